//! `nats service`.

use crate::scene::Scene;

#[test]
fn a_service_is_found_asked_and_counted() {
    let scene = Scene::open();
    let mut service = scene.start(&["service", "serve", "demo", "-H", "K:v"]);
    service.wait_for("NATS CLI Service demo handler");
    service.wait_for("Requests Log:");
    let list = scene.nats(&["service", "list"]).fine().stdout;
    assert!(list.contains("All Services") && list.contains("NATS CLI Demo Service (demo)"), "{list}");
    assert!(scene.nats(&["micro", "ls", "demo"]).fine().stdout.contains("demo Service Instances"));
    let reply = scene.nats(&["service", "request", "demo", "echo", "hello"]).fine();
    assert_eq!(reply.stdout, "hello\n\n\n");
    assert!(reply.log().contains(&"K: v"), "{:?}", reply.log());
    let ping = scene.nats(&["service", "ping"]).fine().stdout;
    assert!(ping.starts_with("demo ") && ping.contains(" rtt="), "{ping}");
    let info = scene.nats(&["service", "info", "demo"]).fine().stdout;
    assert!(info.contains("Subject: demo.echo") && info.contains("Requests: 1 in group \"q\""), "{info}");
    let stats = scene.nats(&["service", "stats", "demo"]).fine().stdout;
    assert!(stats.contains("demo Service Statistics") && stats.contains("echo"), "{stats}");
    let json: serde_json::Value =
        serde_json::from_str(&scene.nats(&["service", "stats", "demo", "-j"]).fine().stdout).expect("JSON");
    assert_eq!(json[0]["endpoints"][0]["num_requests"], 1);
    let wrong = scene.nats(&["service", "request", "demo", "nope", ""]).failed(1);
    assert_eq!(wrong.stderr, "nats: error: service \"demo\" has no endpoint \"nope\" (available: echo)\n");
    service.interrupt();
    assert_eq!(service.end().0, 0);
}

#[test]
fn without_services_there_is_nothing_to_show() {
    let scene = Scene::open();
    assert_eq!(scene.nats(&["service", "ping"]).fine().stdout, "No responses received\n");
    assert_eq!(scene.nats(&["service", "info", "none"]).failed(1).stderr, "nats: error: no service instances found\n");
}
