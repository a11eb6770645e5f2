//! `nats reply`.

use crate::scene::Scene;

#[test]
fn without_anything_to_say_it_echoes() {
    let scene = Scene::open();
    let mut service = scene.start(&["reply", "echo"]);
    service.wait_for("No body or command supplied, enabling echo mode");
    assert_eq!(service.wait_for("Listening on"), "Listening on \"echo\" in group \"NATS-RPLY-22\"");
    let done = scene.nats(&["req", "echo", "ping", "-H", "K:v"]).fine();
    assert!(done.log().contains(&"K: v") && done.log().contains(&"NATS-Reply-Counter: 0"), "{:?}", done.log());
    assert_eq!(done.stdout, "ping\n\n\n");
    assert_eq!(service.wait_for("[#0]"), "[#0] Received on subject \"echo\":");
}

#[test]
fn a_command_gets_the_subject_and_the_body() {
    let scene = Scene::open();
    let mut service = scene.start(&["reply", "weather.>", "--command", "sh -c 'echo {{1}} {{0}} $NATS_REQUEST_BODY'"]);
    service.wait_for("Listening on");
    let done = scene.nats(&["req", "weather.london", "now", "--raw"]).fine();
    assert_eq!(done.stdout, "london weather now\n\n");
}

#[test]
fn a_body_may_quote_the_request() {
    let scene = Scene::open();
    let mut service = scene.start(&["reply", "svc", "{{Count}}: {{Request}}"]);
    service.wait_for("Listening on");
    assert_eq!(scene.nats(&["req", "svc", "one", "--raw"]).fine().stdout, "0: one\n\n\n");
    assert_eq!(scene.nats(&["req", "svc", "two", "--raw"]).fine().stdout, "1: two\n\n\n");
}

#[test]
fn it_ends_with_code_one_after_its_count_or_ctrl_c() {
    let scene = Scene::open();
    let mut service = scene.start(&["reply", "svc", "x", "--count", "1"]);
    service.wait_for("Listening on");
    assert_eq!(scene.nats(&["req", "svc", "", "--raw"]).fine().stdout, "x\n\n\n");
    let (code, seen) = service.end();
    // Two pipes: a last line of the one may be read after the last of the other.
    assert!(code == 1 && seen.iter().any(|line| line == "Exiting"), "{code}: {seen:#?}");
    let mut service = scene.start(&["reply", "svc", "x"]);
    service.wait_for("Listening on");
    service.interrupt();
    assert_eq!(service.end().0, 1);
}
