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
