//! `nats request`.

use crate::scene::Scene;

#[test]
fn a_reply_is_shown_with_its_time_headers_and_body() {
    let scene = Scene::open();
    let mut service = scene.start(&["reply", "svc", "answer", "-H", "K:v"]);
    service.wait_for("Listening on");
    let done = scene.nats(&["request", "svc", "question"]).fine();
    let log = done.log();
    assert_eq!(log[0], "Sending request on \"svc\"");
    assert!(log[1].starts_with("Received with rtt "), "{log:?}");
    assert_eq!(log[2..], ["K: v", ""]);
    assert_eq!(done.stdout, "answer\n\n\n");
}

#[test]
fn raw_shows_the_body_only() {
    let scene = Scene::open();
    let mut service = scene.start(&["reply", "svc", "answer"]);
    service.wait_for("Listening on");
    let done = scene.nats(&["req", "svc", "question", "--raw"]).fine();
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("answer\n\n\n", ""));
}

#[test]
fn nobody_answering_is_told_and_no_failure() {
    let done = Scene::open().nats(&["req", "nobody", "x"]).fine();
    assert_eq!(done.log(), ["Sending request on \"nobody\"", "No responders are available"]);
}

#[test]
fn a_silent_service_ends_with_the_timeout() {
    let scene = Scene::open();
    let mut sub = scene.start(&["sub", "silent"]);
    sub.wait_for("Subscribing on");
    let done = scene.nats(&["req", "silent", "x", "--timeout", "100ms"]).fine();
    assert_eq!(done.log(), ["Sending request on \"silent\""]);
}

#[test]
fn several_services_may_answer() {
    let scene = Scene::open();
    let mut services: Vec<_> =
        ["a", "b"].iter().map(|name| scene.start(&["reply", "svc", name, "--queue", name])).collect();
    for service in &mut services {
        service.wait_for("Listening on");
    }
    let two = scene.nats(&["req", "svc", "x", "--replies", "2", "--raw"]).fine();
    let mut answers: Vec<_> = two.stdout.split_whitespace().collect();
    answers.sort_unstable();
    assert_eq!(answers, ["a", "b"]);
    let all = scene.nats(&["req", "svc", "x", "--replies", "0", "--raw", "--timeout", "1s"]).fine();
    assert_eq!(all.stdout.split_whitespace().count(), 2);
}

#[test]
fn a_request_that_is_not_allowed_fails_with_the_servers_words() {
    let scene = Scene::configured(crate::publish::STORY);
    let done = scene.nats(&["req", "billing.x", "q", "--user", "alice", "--password", "s3cret"]).failed(1);
    assert!(done.stderr.contains("Permissions Violation for Publish to \"billing.x\""), "{}", done.stderr);
}
