//! `nats server check`.

use crate::publish::STORY;
use crate::scene::Scene;

#[test]
fn a_quick_server_is_fine() {
    let scene = Scene::open();
    let done = scene.nats(&["server", "check", "connection"]).fine();
    assert!(done.stdout.starts_with(&format!("OK Connection OK:connected to {} in ", scene.url)), "{}", done.stdout);
    for part in [" OK:rtt time ", " OK:round trip took ", " | connect_time=", "s;0.5000;1.0000 rtt=", " request_time="]
    {
        assert!(done.stdout.contains(part), "{part} in {}", done.stdout);
    }
}

#[test]
fn thresholds_decide_the_code() {
    let scene = Scene::open();
    let warned = scene.nats(&["server", "check", "conn", "--rtt-warn", "1ns"]).failed(1);
    assert!(warned.stdout.starts_with("WARNING Connection Warn:rtt time exceeded "), "{}", warned.stdout);
    let critical = scene.nats(&["server", "check", "conn", "--connect-critical", "1ns"]).failed(2);
    assert!(critical.stdout.starts_with("CRITICAL Connection Crit:connected to "), "{}", critical.stdout);
}

#[test]
fn a_server_that_is_not_there_is_critical() {
    let done = Scene::alone().nats(&["server", "check", "connection"]).failed(2);
    assert!(
        done.stdout.starts_with("CRITICAL Connection Crit:connection failed: nats: no servers available"),
        "{}",
        done.stdout
    );
}

#[test]
fn a_wrong_password_is_critical() {
    let scene = Scene::configured(STORY);
    let done = scene.nats(&["server", "check", "connection", "--user", "alice", "--password", "no"]).failed(2);
    assert!(done.stdout.contains("connection failed: nats: Authorization Violation"), "{}", done.stdout);
}

#[test]
fn monitoring_systems_get_their_formats() {
    let scene = Scene::open();
    let json = scene.nats(&["server", "check", "connection", "--format", "json"]).fine();
    let json: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!((json["status"].as_str(), json["check_suite"].as_str()), (Some("OK"), Some("connections")));
    let prometheus = scene.nats(&["server", "check", "connection", "--format=prometheus"]).fine().stdout;
    assert!(prometheus.contains("nats_server_check_connections_status_code{item=\"Connection\",status=\"OK\"} 0"));
    let failing = Scene::alone().nats(&["server", "check", "connection", "--format=prometheus"]).fine().stdout;
    assert!(failing.contains("status=\"CRITICAL\"} 2"), "{failing}");
    let text = scene.nats(&["server", "check", "connection", "--format", "text"]).fine().stdout;
    assert!(text.starts_with("Connection: OK\n\nStatus Detail\n"), "{text}");
    let quiet = scene.nats(&["server", "check", "connection", "--outfile", "check.txt"]).fine();
    assert_eq!(quiet.stdout, "");
    assert!(std::fs::read_to_string(scene.path("check.txt")).expect("written").starts_with("OK Connection"));
}

#[test]
fn a_service_is_checked_by_its_answer() {
    let scene = Scene::open();
    let mut service = scene.start(&["reply", "health", "fine", "-H", "State:ready"]);
    service.wait_for("Listening on");
    let check = |more: &[&str]| {
        let mut args = vec!["server", "check", "request", "--subject", "health"];
        args.extend(more);
        scene.nats(&args)
    };
    assert!(
        check(&["--match-payload", "^fi", "--match-headers", "State=ready"])
            .fine()
            .stdout
            .starts_with("OK health OK:Valid response")
    );
    assert!(check(&["--match-payload", "bad"]).failed(2).stdout.contains("response does not match regexp"));
    assert!(check(&["--match-headers", "State=no"]).failed(2).stdout.contains("invalid header \"State\" = \"ready\""));
}

#[test]
fn a_credential_without_expiry_is_critical_unless_allowed() {
    let scene = Scene::alone();
    let claims = data_encoding::BASE64URL_NOPAD.encode(br#"{"sub":"U"}"#);
    let jwt = format!("-----BEGIN NATS USER JWT-----\neyJhIjoxfQ.{claims}.c2ln\n------END NATS USER JWT------\n");
    std::fs::write(scene.path("u.creds"), jwt).expect("written");
    let done = scene.nats(&["server", "check", "credential", "--credential", "u.creds"]).failed(2);
    assert!(done.stdout.starts_with("CRITICAL Credential Crit:never expires"), "{}", done.stdout);
    scene.nats(&["server", "check", "credential", "--credential", "u.creds", "--no-require-expiry"]).fine();
    scene.nats(&["server", "check", "credential", "--credential", "none.creds"]).failed(2);
}

#[test]
fn streams_are_checked() {
    let scene = crate::stream::shop();
    let check = |more: &[&str]| scene.nats(&[&["server", "check", "stream", "--stream", "ORDERS"], more].concat());
    assert_eq!(check(&[]).fine().stdout, "OK ORDERS OK:0 sources | sources=0\n");
    let few = check(&["--msgs-warn", "5", "--msgs-critical", "2"]).failed(1);
    assert!(few.stdout.starts_with("WARNING ORDERS Warn:5 messages OK:0 sources | messages=5;5;2 "), "{}", few.stdout);
    assert!(check(&["--subjects-critical", "2"]).failed(2).stdout.contains("Crit:2 subjects"));
    assert!(check(&["--peer-expect", "3"]).failed(2).stdout.contains("Crit:Stream is not clustered"));
    assert!(check(&["--lag-critical", "3"]).failed(2).stdout.contains("Crit:not mirrored"));
    let gone = scene.nats(&["server", "check", "stream", "--stream", "NONE"]).failed(2);
    assert_eq!(gone.stdout, "CRITICAL NONE Crit:could not load info: stream not found (10059)\n");
}

#[test]
fn a_mirror_is_checked_and_brings_its_thresholds() {
    let scene = crate::stream::shop();
    let lag = "io.nats.monitor.lag-critical=10";
    scene.nats(&["stream", "add", "COPY", "--mirror", "ORDERS", "--metadata", lag, "--defaults"]).fine();
    let done = scene.nats(&["server", "check", "stream", "--stream", "COPY", "--format", "json"]).fine();
    let json: serde_json::Value = serde_json::from_str(&done.stdout).expect("JSON");
    assert_eq!((&json["check_suite"], &json["ok"][1]), (&"stream".into(), &"Mirror ORDERS".into()));
    let lag = json["perf_data"].as_array().and_then(|list| list.iter().find(|metric| metric["name"] == "lag"));
    assert_eq!(lag.map(|metric| metric["critical"].clone()), Some(10.0.into()));
}

#[test]
fn consumers_are_checked() {
    let scene = crate::stream::shop();
    scene.nats(&["consumer", "add", "ORDERS", "C", "--pull", "--defaults"]).fine();
    let check = |more: &[&str]| {
        scene.nats(&[&["server", "check", "consumer", "--stream", "ORDERS", "--consumer", "C"], more].concat())
    };
    let fine = check(&["--unprocessed-critical", "6"]).fine();
    assert!(fine.stdout.starts_with("OK ORDERS_C OK:Unprocessed Messages: 5 | ack_pending=0 "), "{}", fine.stdout);
    assert!(check(&["--unprocessed-critical", "5"]).failed(2).stdout.contains("Crit:Unprocessed Messages: 5"));
    assert!(check(&["--last-delivery-critical", "1m"]).failed(2).stdout.contains("Crit:No deliveries"));
    scene.nats(&["consumer", "next", "ORDERS", "C", "--no-ack"]).fine();
    let waiting = check(&["--outstanding-ack-critical", "1", "--last-delivery-critical", "1h"]).failed(2);
    assert!(waiting.stdout.contains("Crit:Ack Pending: 1 OK:Last delivery 20"), "{}", waiting.stdout);
    assert!(check(&["--pinned"]).failed(2).stdout.contains("Crit:Not pinned client priority mode"));
}

#[test]
fn stored_messages_are_checked() {
    let scene = crate::stream::shop();
    let check = |more: &[&str]| scene.nats(&[&["server", "check", "message", "--stream", "ORDERS"], more].concat());
    let fine = check(&["--subject", "orders.new", "--age-critical", "1h", "--content", "^order 4$"]).fine();
    assert!(
        fine.stdout.starts_with("OK Stream Message OK:Valid message on ORDERS > orders.new | age="),
        "{}",
        fine.stdout
    );
    assert!(check(&["--age-warn", "1ns"]).code <= 1);
    assert!(check(&["--content", "4"]).failed(2).stdout.contains("Crit:does not match regex: 4"));
    assert!(check(&["--subject", "orders.none"]).failed(2).stdout.contains("Crit:no message found"));
}

#[test]
fn buckets_are_checked() {
    let scene = Scene::jetstream();
    scene.nats(&["kv", "add", "B"]).fine();
    scene.nats(&["kv", "put", "B", "k", "v"]).fine();
    let check = |more: &[&str]| scene.nats(&[&["server", "check", "kv", "--bucket", "B"], more].concat());
    let fine = check(&["--key", "k", "--values-warn", "2", "--values-critical", "3"]).fine();
    assert!(fine.stdout.starts_with("OK B OK:bucket B OK:key k found OK:1 values | values=1;2;3 "), "{}", fine.stdout);
    assert!(check(&["--values-warn", "1"]).failed(1).stdout.contains("Warn:1 values"));
    assert!(check(&["--values-warn", "5", "--values-critical", "1"]).failed(2).stdout.contains("Crit:1 values"));
    assert!(check(&["--key", "none"]).failed(2).stdout.contains("Crit:key none not found"));
    scene.nats(&["kv", "del", "B", "k", "-f"]).fine();
    assert!(check(&["--key", "k"]).failed(2).stdout.contains("Crit:key k is deleted"));
    let none = scene.nats(&["server", "check", "kv", "--bucket", "NONE"]).failed(2);
    assert_eq!(none.stdout, "CRITICAL NONE Crit:bucket NONE not found\n");
}

#[test]
fn what_the_account_uses_is_checked() {
    let scene = crate::stream::shop();
    let done = scene.nats(&["server", "check", "jetstream"]).fine();
    assert!(done.stdout.starts_with("OK JetStream | memory=0B memory_pct=0%;75;90 storage="), "{}", done.stdout);
    assert!(done.stdout.contains(" replicas_ok=1 ") && done.stdout.contains("streams=1 "), "{}", done.stdout);
    let none = Scene::open().nats(&["server", "check", "js"]).failed(2);
    assert!(none.stdout.contains("Crit:JetStream not available: nats: JetStream not enabled"), "{}", none.stdout);
}

#[test]
fn a_server_is_checked_by_the_system_account() {
    let scene = Scene::configured(crate::system::WITH_SYSTEM);
    let check =
        |more: &[&str]| crate::system::sys(&scene, &[&["server", "check", "server", "--name", "one"], more].concat());
    let fine = check(&["--auth-required", "--conn-critical", "100", "--uptime-critical", "1ns"]).fine();
    assert!(fine.stdout.starts_with("OK one OK:Authentication required OK:Up "), "{}", fine.stdout);
    assert!(fine.stdout.contains(" OK:Connections 1.00 | uptime="), "{}", fine.stdout);
    let demands = check(&["--tls-required", "--js-required", "--uptime-warn", "1d"]).failed(2);
    for part in ["Crit:JetStream not enabled", "Crit:TLS not required", "Warn:Up "] {
        assert!(demands.stdout.contains(part), "{part} in {}", demands.stdout);
    }
    let stranger = crate::system::app(&scene, &["server", "check", "server", "--name", "one"]).failed(2);
    assert!(stranger.stdout.starts_with("CRITICAL one Crit:varz failed: no results received"), "{}", stranger.stdout);
    let meta = ["server", "check", "meta", "--expect", "3", "--lag-critical", "1", "--seen-critical", "1s"];
    let meta = crate::system::sys(&scene, &[&meta[..], &["--timeout", "1s"]].concat()).failed(2);
    assert!(meta.stdout.starts_with("CRITICAL JetStream Meta Cluster Crit:"), "{}", meta.stdout);
}
