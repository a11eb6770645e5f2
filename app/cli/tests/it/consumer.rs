//! `nats consumer`.

use serde_json::Value;

use crate::scene::Scene;
use crate::stream::{assert_lines, shop};

/// The shop, and a consumer of its orders.
fn staffed() -> Scene {
    let scene = shop();
    scene.nats(&["consumer", "add", "ORDERS", "NEW", "--pull", "--defaults"]).fine();
    scene
}

fn info(scene: &Scene, name: &str) -> Value {
    let json = scene.nats(&["consumer", "info", "ORDERS", name, "-j"]).fine().stdout;
    serde_json::from_str(&json).expect("JSON")
}

#[test]
fn a_new_consumer_is_shown() {
    let scene = shop();
    let made = scene.nats(&["consumer", "add", "ORDERS", "NEW", "--pull", "--defaults"]).fine();
    assert!(made.stdout.starts_with("Information for Consumer ORDERS > NEW created 20"), "{}", made.stdout);
    assert_lines(
        &made,
        &[
            "Configuration:",
            "Name: NEW",
            "Pull Mode: true",
            "Deliver Policy: All",
            "Ack Policy: Explicit",
            "Ack Wait: 30.00s",
            "Replay Policy: Instant",
            "Max Ack Pending: 1,000",
            "Max Waiting Pulls: 512",
            "State:",
            "Last Delivered Message: Consumer sequence: 0 Stream sequence: 0",
            "Outstanding Acks: 0 out of maximum 1,000",
            "Redelivered Messages: 0",
            "Unprocessed Messages: 5",
            "Waiting Pulls: 0 of maximum 512",
        ],
    );
}

#[test]
fn flags_reach_the_server() {
    let scene = shop();
    let made = scene
        .nats(&[
            "consumer",
            "add",
            "ORDERS",
            "P",
            "--target",
            "push.here",
            "--deliver-group",
            "workers",
            "--ack",
            "all",
            "--deliver",
            "new",
            "--replay",
            "original",
            "--filter",
            "orders.new",
            "--max-deliver",
            "3",
            "--max-pending",
            "7",
            "--heartbeat",
            "5s",
            "--flow-control",
            "--headers-only",
            "--bps",
            "8192",
            "--sample",
            "20",
            "--description",
            "pushes",
            "--metadata",
            "team=x",
            "--wait",
            "1m",
            "--memory",
            "--backoff",
            "none",
        ])
        .fine();
    assert_lines(
        &made,
        &[
            "Description: pushes",
            "Delivery Subject: push.here",
            "Filter Subject: orders.new",
            "Deliver Policy: New",
            "Deliver Queue Group: workers",
            "Ack Policy: All",
            "Ack Wait: 1m0s",
            "Replay Policy: Original",
            "Maximum Deliveries: 3",
            "Sampling Rate: 20",
            "Rate Limit: 1.0 KiB / second",
            "Max Ack Pending: 7",
            "Idle Heartbeat: 5.00s",
            "Flow Control: true",
            "Headers Only: true",
            "Memory Storage: true",
            "team: x",
            "Active Interest: No interest",
        ],
    );
}

#[test]
fn start_positions_are_understood() {
    let scene = shop();
    for (typed, shown) in [
        ("all", "Deliver Policy: All"),
        ("last", "Deliver Policy: Last"),
        ("subject", "Deliver Policy: Last Per Subject"),
        ("3", "Deliver Policy: From Sequence 3"),
        ("1h", "Deliver Policy: Since 20"),
    ] {
        let done =
            scene.nats(&["consumer", "add", "ORDERS", "--ephemeral", "--pull", "--defaults", "--deliver", typed]);
        let done = done.fine();
        assert!(done.stdout.contains(shown), "{shown} in {}", done.stdout);
    }
}

#[test]
fn priority_groups_are_set() {
    let scene = shop();
    let add = ["consumer", "add", "ORDERS", "--pull", "--defaults"];
    let made = scene.nats(&[&add[..], &["A", "--pinned-groups", "a", "--pinned-ttl", "10s"]].concat()).fine();
    assert_lines(&made, &["Priority Policy: Pinned Client", "Priority Groups: a", "Pinned TTL: 10.00s"]);
    let made = scene.nats(&[&add[..], &["B", "--overflow-groups", "b"]].concat()).fine();
    assert_lines(&made, &["Priority Policy: Overflow", "Priority Groups: b"]);
    let failed = scene.nats(&["consumer", "unpin", "ORDERS", "A", "-f"]).failed(1);
    assert!(failed.stderr.contains("no priority groups have pinned clients"), "{}", failed.stderr);
    let pull = ["req", "$JS.API.CONSUMER.MSG.NEXT.ORDERS.A", r#"{"batch":1,"group":"a"}"#, "--raw"];
    scene.nats(&pull).fine();
    let unpinned = scene.nats(&["consumer", "unpin", "ORDERS", "A", "a", "-f"]).fine().stdout;
    assert!(unpinned.starts_with("Unpinned client ") && unpinned.contains(" ORDERS > A > a\n"), "{unpinned}");
}

#[test]
fn a_configuration_goes_to_a_file_and_comes_back() {
    let scene = shop();
    let add = ["consumer", "add", "ORDERS", "C", "--pull", "--defaults"];
    scene.nats(&[&add[..], &["--output", "c.json"]].concat()).fine();
    let valid = scene.nats(&[&add[..], &["--validate"]].concat()).fine().stdout;
    assert!(valid.ends_with("\nConfiguration is a valid Consumer\n"), "{valid}");
    assert_eq!(scene.nats(&["consumer", "ls", "ORDERS", "-n"]).fine().stdout, "");
    scene.nats(&["consumer", "add", "ORDERS", "--config", "c.json"]).fine();
    scene.nats(&["consumer", "add", "ORDERS", "D", "--config", "c.json"]).fine();
    assert_eq!(scene.nats(&["consumer", "ls", "ORDERS", "-n"]).fine().stdout, "C\nD\n");
}

#[test]
fn consumers_are_listed() {
    let scene = shop();
    assert_eq!(scene.nats(&["consumer", "ls", "ORDERS"]).fine().stdout, "No Consumers defined\n");
    scene.nats(&["consumer", "add", "ORDERS", "NEW", "--pull", "--defaults"]).fine();
    let table = scene.nats(&["consumer", "ls", "ORDERS"]).fine().stdout;
    assert!(table.contains(" Consumers ") && table.contains("│ NEW "), "{table}");
    assert_eq!(
        scene.nats(&["consumer", "ls", "ORDERS", "-j"]).fine().stdout.split_whitespace().collect::<String>(),
        "[\"NEW\"]"
    );
    let report = scene.nats(&["consumer", "report", "ORDERS"]).fine().stdout;
    assert!(report.contains("Consumer report for ORDERS with 1 consumers"), "{report}");
    assert!(
        report.contains("│ NEW      │ Pull │ Explicit   │ 30.00s   │ 0           │ 0           │ 5 / 100%"),
        "{report}"
    );
}

#[test]
fn messages_are_pulled_and_acknowledged() {
    let scene = staffed();
    let next = scene.nats(&["consumer", "next", "ORDERS", "NEW"]).fine().stdout;
    let (head, rest) = next.split_once('\n').expect("lines");
    assert_eq!(&head[10..], " subj: orders.new / tries: 1 / cons seq: 1 / str seq: 1 / pending: 4");
    assert_eq!(rest, "\norder 1\n\nAcknowledged message\n\n");
    let raw = scene.nats(&["consumer", "next", "ORDERS", "NEW", "--raw", "--count", "2"]).fine().stdout;
    assert_eq!(raw, "order 2\norder 3\n");
    let state = info(&scene, "NEW");
    assert_eq!((&state["ack_floor"]["stream_seq"], &state["num_ack_pending"]), (&3.into(), &0.into()));
}

#[test]
fn messages_can_be_refused() {
    let scene = staffed();
    let nak = scene.nats(&["consumer", "next", "ORDERS", "NEW", "--nak"]).fine().stdout;
    assert!(nak.contains("\nNegative Acknowledged message\n"), "{nak}");
    let again = scene.nats(&["consumer", "next", "ORDERS", "NEW", "--no-ack"]).fine().stdout;
    assert!(again.contains(" / tries: 2 / ") && !again.contains("Acknowledged"), "{again}");
    let term = scene.nats(&["consumer", "next", "ORDERS", "NEW", "--term"]).fine().stdout;
    assert!(term.ends_with("\nTerminated message\n"), "{term}");
    assert_eq!(info(&scene, "NEW")["num_ack_pending"], 1);
}

#[test]
fn headers_of_a_pulled_message_are_shown() {
    let scene = staffed();
    scene.nats(&["stream", "purge", "ORDERS", "-f"]).fine();
    scene.nats(&["pub", "-J", "orders.new", "body", "-H", "Kind:test"]).fine();
    let next = scene.nats(&["consumer", "next", "ORDERS", "NEW"]).fine().stdout;
    assert!(next.contains("\n\nHeaders:\n\n  Kind: test\n\nData:\n\n\nbody\n\nAcknowledged message\n"), "{next}");
}

#[test]
fn nothing_to_pull_is_an_error() {
    let scene = staffed();
    scene.nats(&["stream", "purge", "ORDERS", "-f"]).fine();
    let failed = scene.nats(&["consumer", "next", "ORDERS", "NEW", "--timeout", "200ms"]).failed(1);
    assert!(failed.stderr.contains("no message received: nats: timeout"), "{}", failed.stderr);
    let failed = scene.nats(&["consumer", "next", "ORDERS", "NOBODY", "--timeout", "200ms"]).failed(1);
    assert!(failed.stderr.contains("consumer not found"), "{}", failed.stderr);
    scene.nats(&["consumer", "add", "ORDERS", "PUSH", "--target", "t", "--defaults"]).fine();
    let failed = scene.nats(&["consumer", "next", "ORDERS", "PUSH", "--timeout", "200ms"]).failed(1);
    assert!(failed.stderr.contains("no message received: 409 Consumer is push based"), "{}", failed.stderr);
}

#[test]
fn pushed_messages_are_received() {
    let scene = shop();
    let add = ["consumer", "add", "ORDERS", "PUSH", "--target", "here", "--ack", "explicit", "--defaults"];
    scene.nats(&add).fine();
    let mut sub = scene.start(&["consumer", "sub", "ORDERS", "PUSH"]);
    sub.wait_for("Subscribing to topic here auto acknowledgment: true");
    sub.wait_for("Ack Policy: Explicit");
    sub.wait_for("subj: orders.new / tries: 1 / cons seq: 1 / str seq: 1 / pending: 4");
    sub.wait_for("order 5");
}

#[test]
fn an_edit_shows_its_difference_first() {
    let scene = staffed();
    let edit = ["consumer", "edit", "ORDERS", "NEW", "--description", "newer", "--max-deliver", "9"];
    let dry = scene.nats(&[&edit[..], &["--dry-run"]].concat()).failed(1).stdout;
    assert!(dry.starts_with("Differences (-old +new):\n") && dry.contains("newer"), "{dry}");
    let done = scene.nats(&[&edit[..], &["-f"]].concat()).fine();
    assert_lines(&done, &["Description: newer", "Maximum Deliveries: 9"]);
    let same = scene.nats(&[&edit[..], &["-f"]].concat()).fine().stdout;
    assert_eq!(same, "No difference in configuration\n");
}

#[test]
fn consumers_are_copied_and_removed() {
    let scene = staffed();
    let copy = scene.nats(&["consumer", "copy", "ORDERS", "NEW", "OLD", "--filter", "orders.old", "--ack", "all"]);
    assert_lines(
        &copy.fine(),
        &["Name: OLD", "Filter Subject: orders.old", "Ack Policy: All", "Unprocessed Messages: 1"],
    );
    let failed = scene.nats(&["consumer", "rm", "ORDERS", "OLD"]).failed(1);
    assert!(failed.stderr.contains("without a terminal"), "{}", failed.stderr);
    scene.nats(&["consumer", "rm", "ORDERS", "OLD", "-f"]).fine();
    let failed = scene.nats(&["consumer", "info", "ORDERS", "OLD"]).failed(1);
    assert!(
        failed.stderr.contains("consumer not found (10014)")
            && failed.stderr.contains("known consumers of ORDERS: NEW")
    );
}

#[test]
fn a_paused_consumer_goes_on() {
    let scene = staffed();
    let failed = scene.nats(&["consumer", "resume", "ORDERS", "NEW", "-f"]).failed(1);
    assert!(failed.stderr.contains("consumer is not paused"), "{}", failed.stderr);
    let paused = scene.nats(&["consumer", "pause", "ORDERS", "NEW", "1h", "-f"]).fine().stdout;
    assert!(paused.starts_with("Paused ORDERS > NEW until 20") && paused.ends_with(" (1h0m0s)\n"), "{paused}");
    let state = scene.nats(&["consumer", "state", "ORDERS", "NEW"]).fine().stdout;
    assert!(state.starts_with("State for Consumer ORDERS > NEW") && state.contains("Paused Until: "), "{state}");
    let resumed = scene.nats(&["consumer", "resume", "ORDERS", "NEW", "-f"]).fine().stdout;
    assert!(resumed.starts_with("Consumer ORDERS > NEW was resumed while previously paused until 20"), "{resumed}");
}

#[test]
fn a_consumer_is_set_back() {
    let scene = staffed();
    scene.nats(&["consumer", "next", "ORDERS", "NEW", "--count", "3", "--raw"]).fine();
    scene.nats(&["consumer", "reset", "ORDERS", "NEW", "--sequence", "2", "-f"]).fine();
    assert_eq!(scene.nats(&["consumer", "next", "ORDERS", "NEW", "--raw"]).fine().stdout, "order 2\n");
}

#[test]
fn consumers_are_found() {
    let scene = staffed();
    scene.nats(&["consumer", "add", "ORDERS", "PUSH", "--target", "t", "--defaults"]).fine();
    for (flag, names) in [("--pull", "NEW\n"), ("--push", "PUSH\n"), ("--bound", ""), ("--pinned", "")] {
        assert_eq!(scene.nats(&["consumer", "find", "ORDERS", flag]).fine().stdout, names, "{flag}");
    }
    let inverted = scene.nats(&["consumer", "find", "ORDERS", "--push", "--invert"]).fine().stdout;
    assert_eq!(inverted, "NEW\n");
    for (expression, names) in [
        ("config.deliver_subject == \"t\"", "PUSH\n"),
        ("state.num_pending > 0 and Info.Config.Durable == \"NEW\"", "NEW\n"),
        ("info.num_waiting > 7", ""),
    ] {
        let found = scene.nats(&["consumer", "find", "ORDERS", "--expression", expression]).fine();
        assert_eq!(found.stdout, names, "{expression}");
    }
}

#[test]
fn what_is_alone_has_no_leader_to_change() {
    let scene = staffed();
    let failed = scene.nats(&["consumer", "cluster", "step-down", "ORDERS", "NEW"]).failed(1);
    assert!(failed.stderr.contains("consumer \"ORDERS\" > \"NEW\" is not clustered"), "{}", failed.stderr);
    let failed = scene.nats(&["stream", "cluster", "step-down", "ORDERS"]).failed(1);
    assert!(failed.stderr.contains("stream \"ORDERS\" is not clustered"), "{}", failed.stderr);
}
