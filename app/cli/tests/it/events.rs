//! `nats events`.

use crate::scene::Scene;
use crate::system::{WITH_SYSTEM, app};

const SYS: [&str; 4] = ["--user", "sys", "--password", "secret"];

#[test]
fn connections_are_announced() {
    let scene = Scene::configured(WITH_SYSTEM);
    let mut events = scene.start(&[&["events", "--short"][..], &SYS].concat());
    events.wait_for("Listening for Client Connection events on $SYS.ACCOUNT.*.CONNECT");
    events.wait_for("Listening for Authentication Errors events on $SYS.SERVER.*.CLIENT.AUTH.ERR");
    app(&scene, &["pub", "a", "x"]).fine();
    let line = events.wait_for("[Connection] user: app");
    assert!(line.ends_with(" in account APP"), "{line}");
    events.wait_for("[Disconnection] user: app");
}

#[test]
fn events_are_pages_or_json_and_can_be_filtered() {
    let scene = Scene::configured(WITH_SYSTEM);
    let mut pages = scene.start(&[&["events", "--filter", "APP"][..], &SYS].concat());
    pages.wait_for("CLIENT.AUTH.ERR");
    let mut json = scene.start(&[&["events", "--json", "--filter", "\"acc\":\"APP\""][..], &SYS].concat());
    // The first event that JSON shows is of the other watcher or of nobody: publish until it comes.
    app(&scene, &["sub", "a", "--wait", "10ms"]).fine();
    assert!(pages.wait_for("Client Connection").starts_with('['));
    pages.wait_for("User: app");
    app(&scene, &["pub", "a", "x"]).fine();
    let line = json.wait_for("client_connect");
    assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{line}");
}

#[test]
fn choosing_nothing_is_an_error() {
    let done = Scene::alone().nats(&["events", "--no-srv-advisory"]).failed(1);
    assert_eq!(done.stderr, "nats: error: no events were chosen\n");
}

#[test]
fn events_can_be_read_from_a_stream() {
    let scene = Scene::jetstream();
    scene
        .nats(&["req", "$JS.API.STREAM.CREATE.EV", r#"{"name":"EV","subjects":["ev"],"storage":"memory"}"#, "--raw"])
        .fine();
    let event = r#"{"type":"io.nats.jetstream.advisory.v1.stream_action","id":"X","timestamp":"2026-11-24T10:00:00Z","stream":"S","action":"create"}"#;
    scene.nats(&["pub", "ev", event, "-J"]).fine();
    let mut events = scene.start(&["events", "--stream", "EV", "--short"]);
    events.wait_for("Listening for Events in stream EV");
    assert_eq!(events.wait_for("[Stream"), "[Stream Create] S");
}
