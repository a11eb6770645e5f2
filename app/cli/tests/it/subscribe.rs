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
fn a_dot_is_shown_for_every_hundred_dumped_messages() {
    let scene = Scene::open();
    let sub = scene.start(&["sub", "d", "--dump", "out", "--count", "250"]);
    // Nothing says that the subscription stands, so messages are sent until enough were taken.
    let publisher = scene.start(&["pub", "-q", "d", "body", "--count", "1000000", "--sleep", "1ms"]);
    let (code, seen) = sub.end();
    drop(publisher);
    assert_eq!((code, seen.iter().filter(|line| *line == "..").count()), (0, 1), "{seen:?}");
    assert!(scene.path("out/250.json").is_file() && !scene.path("out/251.json").exists());
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
fn subscriptions_are_counted_in_a_report() {
    let scene = Scene::open();
    let mut sub = scene.start(&["sub", "r.a", "r.*", "--report-subscriptions", "--report-top", "1"]);
    sub.wait_for("Subscribing on r.a, r.*");
    scene.nats(&["pub", "r.b", "12345", "--count", "3", "-q"]).fine();
    sub.wait_for("Top Subject Report");
    assert!(sub.wait_for("r.*").contains("│ 3 "));
}

#[test]
fn a_reply_is_dumped_beside_its_request() {
    let scene = Scene::open();
    let mut service = scene.start(&["reply", "svc", "answer"]);
    service.wait_for("Listening on");
    let sub = scene.start(&["sub", "svc", "--match-replies", "--count", "1", "--dump", "out"]);
    // A dump says nothing when it begins, so requests are sent until it has one with its reply.
    for _ in 0..100 {
        scene.nats(&["req", "svc", "question"]).fine();
        if scene.path("out/1_reply.json").exists() {
            break;
        }
    }
    assert_eq!(sub.end().0, 0);
    let read = |name: &str| std::fs::read_to_string(scene.path(name)).expect("the message is in a file");
    assert!(read("out/1.json").contains("cXVlc3Rpb24=") && read("out/1_reply.json").contains("YW5zd2Vy"));
    let mode = std::fs::metadata(scene.path("out/1.json")).expect("a file").permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
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

#[test]
fn a_stream_is_shown_from_its_first_message_to_its_last() {
    let scene = crate::stream::shop();
    let done = scene.nats(&["sub", "orders.new", "--all", "-T"]).fine();
    assert_eq!(done.log()[0], "Subscribing to subject orders.new from first received message ");
    let lines: Vec<_> = done.stdout.lines().collect();
    let head = "[#1] Received JetStream message: stream: ORDERS seq: 1 / pending: 3 / subject: orders.new / time: 20";
    assert!(lines[0].starts_with(head), "{}", lines[0]);
    assert_eq!(lines[1..4], ["order 1", "", ""]);
    assert!(done.stdout.contains("[#4] ") && !done.stdout.contains("orders.old"), "{}", done.stdout);
}

#[test]
fn a_stream_is_shown_from_where_one_wants() {
    let scene = crate::stream::shop();
    for (flags, bodies) in [
        (&["--start-sequence", "4"][..], "order 4\norder 5\n"),
        (&["--last"], "order 5\n"),
        (&["--last-per-subject"], "order 4\norder 5\n"),
        (&["--since", "1h"], "order 1\norder 2\norder 3\norder 4\norder 5\n"),
        (&["--all", "--count", "2"], "order 1\norder 2\n"),
        (&["--all", "-I", "orders.new"], "order 5\n"),
    ] {
        let sub = ["sub", "--stream", "ORDERS", "--raw", "-T"];
        let done = scene.nats(&[&sub[..], flags].concat()).fine();
        assert_eq!((done.stdout.as_str(), done.stderr.as_str()), (bodies, ""), "{flags:?}");
    }
}

#[test]
fn new_messages_of_a_stream_are_shown_as_they_come() {
    let scene = crate::stream::shop();
    let mut sub = scene.start(&["sub", "orders.>", "--new", "--count", "2"]);
    sub.wait_for("Subscribing to subject orders.> for new messages");
    // The consumer is made after the line, so messages are sent until two were seen.
    let publisher = scene.start(&["pub", "-J", "-q", "orders.new", "late", "--count", "100000"]);
    let (code, seen) = sub.end();
    drop(publisher);
    assert_eq!((code, seen.iter().filter(|line| *line == "late").count()), (0, 2), "{seen:?}");
}

#[test]
fn a_durable_consumer_goes_on_where_it_was() {
    let scene = crate::stream::shop();
    scene.nats(&["consumer", "add", "ORDERS", "C", "--pull", "--defaults"]).fine();
    let sub = ["sub", "--stream", "ORDERS", "--durable", "C", "--raw"];
    assert_eq!(scene.nats(&[&sub[..], &["--count", "2"]].concat()).fine().stdout, "order 1\norder 2\n");
    assert_eq!(scene.nats(&[&sub[..], &["-T"]].concat()).fine().stdout, "order 3\norder 4\norder 5\n");
    let json = scene.nats(&["consumer", "info", "ORDERS", "C", "-j"]).fine().stdout;
    let info: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&info["ack_floor"]["stream_seq"], &info["num_ack_pending"]), (&5.into(), &0.into()));
}

#[test]
fn messages_are_asked_for_directly() {
    let scene = crate::stream::shop();
    let done = scene.nats(&["sub", "orders.new", "--direct", "--all", "-T"]).fine();
    let start = "Subscribing to JetStream Stream (direct) holding messages with subject orders.new starting with the first message received ";
    assert_eq!(done.log()[0], start);
    let head = "[#1] Received JetStream message (direct): stream: ORDERS seq 1 / subject: orders.new / time: 20";
    assert!(done.stdout.starts_with(head) && done.stdout.contains("[#4]"), "{}", done.stdout);
    assert!(!done.stdout.contains("[#5]"), "{}", done.stdout);
    let sub = ["sub", "--stream", "ORDERS", "--direct", "--raw", "-T"];
    for (flags, bodies) in [
        (&["--start-sequence", "5"][..], "order 5\n"),
        (&["--last-per-subject"], "order 4\norder 5\n"),
        (&["--since", "1h", "--count", "1"], "order 1\n"),
    ] {
        assert_eq!(scene.nats(&[&sub[..], flags].concat()).fine().stdout, bodies, "{flags:?}");
    }
}

#[test]
fn a_work_queue_is_read_without_taking_anything() {
    let scene = Scene::jetstream();
    scene.nats(&["stream", "add", "Q", "--subjects", "q", "--retention", "work", "--defaults"]).fine();
    scene.nats(&["pub", "-J", "q", "job"]).fine();
    assert!(scene.nats(&["sub", "--stream", "Q", "--all", "-T"]).fine().stdout.contains("(direct)"));
    let state = scene.nats(&["stream", "state", "Q"]).fine();
    crate::stream::assert_lines(&state, &["Messages: 1"]);
}

#[test]
fn messages_of_a_stream_are_dumped_under_their_sequence() {
    let scene = crate::stream::shop();
    scene.nats(&["sub", "--stream", "ORDERS", "--start-sequence", "4", "-T", "--dump", "out"]).fine();
    let mut names: Vec<_> =
        std::fs::read_dir(scene.path("out")).expect("the directory").flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    assert_eq!(names, ["4.json", "5.json"]);
}

#[test]
fn flags_of_streams_that_do_not_fit_are_refused() {
    let scene = Scene::alone();
    for (flags, text) in [
        (&["a", "-T"][..], "--terminate-at-end is only supported for JetStream subscriptions"),
        (&["a", "--stream", "S", "--durable", "D"], "cannot specify both subjects and a durable consumer"),
        (&["a", "b", "--all"], "streams subscribe support only 1 subject"),
        (&["a", "--all", "--queue", "q"], "queue group subscriptions are not supported with JetStream"),
        (&["a", "--all", "--match-replies"], "cannot enable --match-replies for JetStream streams"),
        (&["-i", "--all"], "generating inboxes is not compatible with JetStream subscriptions"),
        (&["--stream", "S", "--durable", "D", "--direct"], "cannot use direct get when a durable name is supplied"),
        (&["a", "--graph"], "can only graph data on an interactive terminal"),
    ] {
        let done = scene.nats(&[&["sub"], flags].concat()).failed(1);
        assert!(done.stderr.contains(text), "{flags:?}: {}", done.stderr);
    }
}
