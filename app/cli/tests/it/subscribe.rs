//! `nats sub`.

use crate::publish::STORY;
use crate::scene::Scene;

#[test]
fn messages_are_shown_with_number_subject_headers_and_body() {
    let scene = Scene::open();
    let mut sub = scene.start(&["sub", "orders.>", "--count", "2"]);
    assert_eq!(sub.wait_for("Subscribing on"), "Subscribing on orders.> ");
    scene.nats(&["pub", "orders.a", "one"]).fine();
    scene.nats(&["pub", "orders.b", "two", "-H", "K:v", "--reply", "back.here"]).fine();
    let (code, seen) = sub.end();
    assert_eq!(code, 0);
    assert_eq!(
        seen[1..],
        [
            "[#1] Received on \"orders.a\"",
            "one",
            "",
            "",
            "[#2] Received on \"orders.b\" with reply \"back.here\"",
            "K: v",
            "",
            "two",
            "",
            ""
        ]
    );
}

#[test]
fn an_empty_body_is_named() {
    let scene = Scene::open();
    let mut sub = scene.start(&["sub", "a", "--count", "1"]);
    sub.wait_for("Subscribing on");
    scene.nats(&["pub", "a", ""]).fine();
    assert_eq!(sub.end().1[1..3], ["[#1] Received on \"a\"", "nil body"]);
}

#[test]
fn raw_shows_bodies_only() {
    let scene = Scene::open();
    let sub = scene.start(&["sub", "a", "--raw", "--count", "2", "--wait", "30s"]);
    // A raw subscription says nothing when it begins, so messages are sent until it has its two.
    let publisher = scene.start(&["pub", "a", "body", "--count", "100000", "-q"]);
    let (code, seen) = sub.end();
    drop(publisher);
    assert_eq!((code, seen), (0, vec!["body".to_owned(), "body".to_owned()]));
}

#[test]
fn a_refused_subscription_ends_with_the_servers_words() {
    let scene = Scene::configured(STORY);
    let done = scene.nats(&["sub", "billing.>", "--user", "alice", "--password", "s3cret"]).failed(1);
    assert!(
        done.stderr.contains(
            "nats: error: nats: permissions violation: Permissions Violation for Subscription to \"billing.>\""
        ),
        "{}",
        done.stderr
    );
}

#[test]
fn without_a_subject_there_is_nothing_to_do() {
    let done = Scene::alone().nats(&["sub"]).failed(1);
    assert!(done.stdout.contains("No subjects or --stream flag provided."));
}

#[test]
fn several_subjects_are_one_view_and_some_can_be_ignored() {
    let scene = Scene::open();
    let mut sub = scene.start(&["sub", "a", "b.*", "--ignore-subject", "b.no", "--count", "2"]);
    sub.wait_for("Subscribing on a, b.* ");
    for subject in ["a", "b.no", "b.yes"] {
        scene.nats(&["pub", subject, "x"]).fine();
    }
    let (_, seen) = sub.end();
    assert!(seen.contains(&"[#2] Received on \"b.yes\"".to_owned()), "{seen:#?}");
    assert!(!seen.iter().any(|line| line.contains("b.no") && line.contains("Received")), "{seen:#?}");
}

#[test]
fn idle_time_ends_a_subscription_well() {
    assert_eq!(Scene::open().nats(&["sub", "a", "--wait", "50ms"]).fine().stdout, "");
}

#[test]
fn ctrl_c_ends_a_subscription_well() {
    let scene = Scene::open();
    let mut sub = scene.start(&["sub", "a"]);
    sub.wait_for("Subscribing on a");
    sub.interrupt();
    assert_eq!(sub.end().0, 0);
}

#[test]
fn a_queue_group_shares_the_messages() {
    let scene = Scene::open();
    let mut subs: Vec<_> = (0..2).map(|_| scene.start(&["sub", "q", "--queue", "g", "--wait", "2s"])).collect();
    for sub in &mut subs {
        sub.wait_for("Subscribing on q");
    }
    scene.nats(&["pub", "q", "x", "--count", "10"]).fine();
    let received = |seen: Vec<String>| seen.iter().filter(|line| line.contains("Received on")).count();
    let counts: Vec<_> = subs.into_iter().map(|sub| received(sub.end().1)).collect();
    assert_eq!(counts.iter().sum::<usize>(), 10, "{counts:?}");
}

#[test]
fn messages_are_dumped_as_json_files_or_with_nul_on_stdout() {
    let scene = Scene::open();
    let mut sub = scene.start(&["sub", "d", "--dump", "out", "--count", "1", "--inbox"]);
    sub.wait_for("Subscribing on d");
    scene.nats(&["pub", "d", "body", "-H", "K:v", "--reply", "r"]).fine();
    assert_eq!(sub.end().0, 0);
    let text = std::fs::read_to_string(scene.path("out/1.json")).expect("the message is in a file");
    assert_eq!(text, r#"{"Subject":"d","Reply":"r","Header":{"K":["v"]},"Data":"Ym9keQ==","Sub":null}"#);
}

#[test]
fn bodies_can_go_through_a_command() {
    let scene = Scene::open();
    let mut sub =
        scene.start(&["sub", "t", "--translate", "sh -c 'tr a-z A-Z; echo \" {{Subject}}\"'", "--count", "1"]);
    sub.wait_for("Subscribing on t");
    scene.nats(&["pub", "t", "body"]).fine();
    assert!(sub.end().1.contains(&"BODY t".to_owned()));
}

#[test]
fn requests_are_matched_with_their_replies() {
    let scene = Scene::open();
    let mut service = scene.start(&["reply", "svc", "answer"]);
    service.wait_for("Listening on");
    let mut sub = scene.start(&["sub", "svc", "--match-replies", "--count", "1"]);
    sub.wait_for("Subscribing on svc");
    scene.nats(&["req", "svc", "question"]).fine();
    let (code, seen) = sub.end();
    assert_eq!(code, 0);
    assert!(seen.contains(&"Matching replies with inbox prefix _INBOX.>".to_owned()), "{seen:#?}");
    assert!(seen.iter().any(|line| line.starts_with("[#1] Received on \"svc\" with reply")), "{seen:#?}");
    assert!(seen.iter().any(|line| line.starts_with("[#1] Matched reply on \"_INBOX.")), "{seen:#?}");
    assert!(seen.contains(&"answer".to_owned()));
}

#[test]
fn subjects_are_counted_in_a_report() {
    let scene = Scene::open();
    let mut sub = scene.start(&["sub", "r.>", "--report-subjects", "--report-top", "5"]);
    sub.wait_for("Subscribing on r.>");
    scene.nats(&["pub", "r.a", "12345", "--count", "3", "-q"]).fine();
    sub.wait_for("Top 5 Active Subjects Report");
    assert!(sub.wait_for("r.a").contains("│ r.a"));
    sub.wait_for("Totals");
}

#[test]
fn times_can_be_shown() {
    let scene = Scene::open();
    let mut sub = scene.start(&["sub", "a", "--timestamp", "--count", "1", "--subjects-only"]);
    sub.wait_for("Subscribing on a");
    scene.nats(&["pub", "a", "x"]).fine();
    let (_, seen) = sub.end();
    assert!(seen[1].starts_with("[#1] @ ") && seen[1].ends_with(" Received on \"a\""), "{seen:#?}");
    assert_eq!(seen.len(), 2);
    Scene::alone().nats(&["sub", "a", "-t", "-d"]).failed(1);
}
