//! `nats latency`.

use crate::scene::Scene;

#[test]
fn the_time_between_two_connections_is_measured() {
    let scene = Scene::open();
    let done = scene
        .nats(&["latency", "--server-b", &scene.url, "--duration", "300ms", "--rate", "100", "--histogram", "h"])
        .fine();
    let log = done.log();
    for line in [
        "Pub Server RTT : ",
        "Sub Server RTT : ",
        "Message Payload: 8B",
        "Target Msgs/Sec: 100",
        "HDR Percentiles:",
        "99.9:     ",
        "Median Latency : ",
    ] {
        assert!(log.iter().any(|l| l.starts_with(line)), "{line} in {log:#?}");
    }
    assert_eq!(std::fs::read_to_string(scene.path("h.raw")).expect("written").lines().count(), 30);
    assert!(std::fs::read_to_string(scene.path("h.histogram")).expect("written").starts_with("Value\tPercentile"));
    scene.nats(&["latency", "--server-b", &scene.url, "--size", "4"]).failed(1);
    scene.nats(&["latency"]).failed(1);
}
