//! `nats bench`.

use crate::scene::Scene;

#[test]
fn a_publisher_is_measured() {
    let scene = Scene::open();
    let done = scene.nats(&["bench", "pub", "b", "--msgs", "1000", "--size", "16B"]).fine();
    let log = done.log();
    assert_eq!(
        log[0],
        "Starting Core NATS publisher benchmark [clients=1, msg-size=16 B, msgs=1,000, multi-subject=false, multi-subject-max=100,000, multi-subject-randomize=false, sleep=0s, subject=b]"
    );
    assert_eq!(log[1], "[1] Starting Core NATS publisher, publishing 1,000 messages");
    let line = done.stdout.trim();
    assert!(line.starts_with("NATS Core NATS publisher stats: ") && line.contains(" msgs/sec ~ "), "{line}");
    assert!(line.contains("/sec ~ min: ") && line.contains("us ~ P99.9: "), "{line}");
}

#[test]
fn subscribers_receive_everything_that_is_published() {
    let scene = Scene::open();
    let mut sub = scene.start(&["bench", "sub", "b", "--msgs", "5000", "--clients", "2", "--json"]);
    sub.wait_for("[2] Starting Core NATS subscriber, expecting 5,000 messages");
    scene.nats(&["bench", "pub", "b", "--msgs", "5000", "--clients", "3"]).fine();
    let (code, seen) = sub.end();
    assert_eq!(code, 0, "{seen:#?}");
    let json: serde_json::Value = serde_json::from_str(&seen[3..].join("\n")).expect("JSON");
    assert_eq!(json["clients"].as_array().map(Vec::len), Some(2));
    assert_eq!(json["total"]["messages"], 10_000);
}

#[test]
fn many_clients_are_added_up() {
    let scene = Scene::open();
    let done = scene.nats(&["bench", "pub", "b", "--msgs", "1000", "--clients", "4", "--csv", "out.csv"]).fine();
    for part in [
        "  [4] ",
        " msgs)",
        " NATS Core NATS publisher aggregated stats: ",
        " message rates min ",
        " latencies per operation min ",
    ] {
        assert!(done.stdout.contains(part), "{part} in {}", done.stdout);
    }
    assert!(done.stdout.ends_with("Saved metric data in csv file out.csv\n"));
    let csv = std::fs::read_to_string(scene.path("out.csv")).expect("written");
    let lines: Vec<_> = csv.lines().collect();
    assert!(
        lines[0]
            .starts_with("#RunID,ClientID,MsgCount,MsgBytes,MsgsPerSec,BytesPerSec,DurationSecs,MinLatencyMicroSecs")
    );
    assert_eq!(lines.len(), 5);
    assert!(lines[4].contains(",P3,250,32000,"), "{csv}");
}

#[test]
fn a_service_is_measured_with_its_latencies() {
    let scene = Scene::open();
    let mut service = scene.start(&["bench", "service", "serve", "svc"]);
    service.wait_for("[1] Starting Core NATS service server, hit control-c to stop");
    let done =
        scene.nats(&["bench", "service", "request", "svc", "--msgs", "200", "--clients", "2", "--histogram"]).fine();
    assert!(done.stdout.contains(" NATS Core NATS service requester aggregated stats: "), "{}", done.stdout);
    assert!(done.stdout.contains("Latency distribution:") && done.stdout.contains("us: "), "{}", done.stdout);
    service.interrupt();
    assert_eq!(service.end().0, 0);
}

#[test]
fn a_missing_service_is_explained() {
    let done = Scene::open().nats(&["bench", "request", "nobody", "--msgs", "1"]).failed(1);
    assert!(
        done.stderr.contains("no responders") && done.stderr.contains("nats bench service serve nobody"),
        "{}",
        done.stderr
    );
}

#[test]
fn a_rate_is_kept() {
    let scene = Scene::open();
    let done = scene.nats(&["bench", "pub", "b", "--throughput", "1000", "--duration", "300ms", "--json"]).fine();
    let json: serde_json::Value = serde_json::from_str(&done.stdout).expect("JSON");
    assert_eq!(json["total"]["messages"], 300);
    assert!(json["total"]["seconds"].as_f64().is_some_and(|seconds| seconds > 0.28), "{json}");
}

#[test]
fn many_subjects_are_published_and_received() {
    let scene = Scene::open();
    let mut sub = scene.start(&["sub", "m.*", "--subjects-only", "--count", "3"]);
    sub.wait_for("Subscribing on");
    scene.nats(&["bench", "pub", "m", "--msgs", "3", "--multisubject", "--multisubjectmax", "10"]).fine();
    let (_, seen) = sub.end();
    assert_eq!(seen[1..], ["[#1] Received on \"m.00\"", "[#2] Received on \"m.01\"", "[#3] Received on \"m.02\""]);
}

#[test]
fn a_measurement_that_is_not_allowed_fails_with_the_servers_words() {
    let scene = Scene::configured(crate::publish::STORY);
    let who = ["--user", "alice", "--password", "s3cret", "--msgs", "10"];
    for command in [["bench", "pub", "no"], ["bench", "sub", "no"]] {
        let args: Vec<_> = command.iter().chain(&who).copied().collect();
        let done = scene.nats(&args).failed(1);
        assert!(done.stderr.contains("Permissions Violation"), "{}", done.stderr);
    }
}

/// A server with a stream of a thousand messages.
fn filled() -> Scene {
    let scene = Scene::jetstream();
    let done = scene.nats(&["bench", "js", "pub", "async", "b", "--create", "--msgs", "1000", "--clients", "2"]).fine();
    let banner = done.log()[0].to_owned();
    assert!(
        banner.starts_with("Starting JetStream asynchronous publisher benchmark [batch=500, clients=2, "),
        "{banner}"
    );
    assert!(done.stdout.contains(" NATS JetStream asynchronous publisher aggregated stats: "), "{}", done.stdout);
    scene
}

fn messages(scene: &Scene) -> u64 {
    let info = scene.nats(&["stream", "info", "benchstream", "--json"]).fine();
    let info: serde_json::Value = serde_json::from_str(&info.stdout).expect("JSON");
    info["state"]["messages"].as_u64().expect("a number")
}

#[test]
fn messages_are_stored_in_each_way() {
    let scene = filled();
    assert_eq!(messages(&scene), 1000);
    let done = scene.nats(&["bench", "js", "pub", "sync", "b", "--msgs", "50", "--purge", "--dedup"]).fine();
    assert!(done.stdout.contains("NATS JetStream synchronous publisher stats: "), "{}", done.stdout);
    assert_eq!(messages(&scene), 50);
    scene.nats(&["bench", "js", "pub", "sync", "b", "--msgs", "50", "--dedup"]).fine();
    assert_eq!(messages(&scene), 50, "the stream remembers their ids");
    scene.nats(&["stream", "rm", "benchstream", "-f"]).fine();
    let whole = ["bench", "js", "pub", "atomic", "b", "--create", "--msgs", "250", "--batch", "100"];
    assert!(scene.nats(&whole).fine().stdout.contains("NATS JetStream atomic batch publisher stats: "));
    assert_eq!(messages(&scene), 250);
    let refused = scene.nats(&["bench", "js", "pub", "batch", "b", "--batch", "1001"]).failed(1);
    assert!(refused.stderr.contains("a batch has 1000 messages at most"), "{}", refused.stderr);
    let fast = ["bench", "js", "pub", "fast", "b", "--batch", "50", "--purge", "--msgs", "2001", "--clients", "2"];
    let refused = scene.nats(&fast).failed(1);
    assert!(refused.stderr.contains("(10205)"), "{}", refused.stderr);
    scene.nats(&["stream", "edit", "benchstream", "--allow-fast", "-f"]).fine();
    for acks in ["1", "3"] {
        let done = scene.nats(&[&fast[..], &["--max-outstanding-acks", acks]].concat()).fine();
        assert!(done.stdout.contains(" NATS JetStream fast batch publisher aggregated stats: "), "{}", done.stdout);
        assert_eq!(messages(&scene), 2001);
    }
    scene.nats(&["stream", "rm", "benchstream", "-f"]).fine();
    scene.nats(&["bench", "js", "pub", "fast", "b", "--create", "--msgs", "1"]).fine();
    assert_eq!(messages(&scene), 1);
}

#[test]
fn what_is_stored_is_consumed_and_read_in_each_way() {
    let scene = filled();
    let total = |args: &[&str]| {
        let args = [&["bench", "js"], args, &["--json"]].concat();
        let done = scene.nats(&args).fine();
        let json: serde_json::Value = serde_json::from_str(&done.stdout).expect("JSON");
        json["total"]["messages"].as_u64()
    };
    assert_eq!(total(&["ordered", "--clients", "2"]), Some(2000), "each gets everything");
    assert_eq!(total(&["consume", "--clients", "2", "--consumer", "c"]), Some(1000));
    assert_eq!(total(&["fetch", "--msgs", "600", "--batch", "100", "--doubleack", "--consumer", "f"]), Some(600));
    assert_eq!(total(&["fetch", "--msgs", "300", "--acks", "none", "--consumer", "n"]), Some(300));
    assert_eq!(total(&["get", "sync", "--msgs", "20"]), Some(20));
    assert_eq!(total(&["get", "batch", "--clients", "2", "--batch", "300"]), Some(1000));
    let info = scene.nats(&["consumer", "info", "benchstream", "f", "--json"]).fine();
    let info: serde_json::Value = serde_json::from_str(&info.stdout).expect("JSON");
    assert_eq!((&info["ack_floor"]["stream_seq"], &info["num_pending"]), (&600.into(), &400.into()));
    let missing = scene.nats(&["bench", "js", "ordered", "--stream", "NONE"]).failed(1);
    assert!(missing.stderr.contains("stream NONE does not exist"), "{}", missing.stderr);
}

#[test]
fn a_bucket_is_measured() {
    let scene = Scene::jetstream();
    let done = scene.nats(&["bench", "kv", "put", "--msgs", "200", "--clients", "2", "--size", "10B"]).fine();
    assert!(done.stdout.contains(" NATS KV putter aggregated stats: "), "{}", done.stdout);
    assert_eq!(scene.nats(&["kv", "get", "benchbucket", "199", "--raw"]).fine().stdout.len(), 10);
    let done = scene.nats(&["bench", "kv", "get", "--msgs", "200", "--randomize", "200"]).fine();
    assert!(done.stdout.contains("NATS KV getter stats: "), "{}", done.stdout);
    let missing = scene.nats(&["bench", "kv", "get", "--msgs", "300"]).failed(1);
    assert!(missing.stderr.contains("key 200 of bucket benchbucket has no value"), "{}", missing.stderr);
}
