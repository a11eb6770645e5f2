//! `nats rtt`.

use crate::scene::Scene;

#[test]
fn every_address_has_its_time() {
    let scene = Scene::open();
    let done = scene.nats(&["rtt", "2"]).fine();
    let lines: Vec<_> = done.stdout.lines().collect();
    assert_eq!(lines[0], format!("{}:", scene.url));
    assert_eq!(lines[1], "");
    let wanted = format!("   {}: ", scene.url);
    assert!(lines[2].starts_with(&wanted) && lines[2].ends_with('s'), "{lines:?}");
}

#[test]
fn programs_get_json() {
    let scene = Scene::open();
    let done = scene.nats(&["rtt", "--json"]).fine();
    let json: serde_json::Value = serde_json::from_str(&done.stdout).expect("JSON");
    assert_eq!(json[0]["url"], scene.url);
    assert!(json[0]["results"][0]["rtt"].as_u64().is_some_and(|nanos| nanos > 0));
}

#[test]
fn a_server_that_is_not_there_fails() {
    let done = Scene::alone().nats(&["rtt"]).failed(1);
    assert!(done.stdout.contains("nats://127.0.0.1:1: failed"), "{}", done.stdout);
}
