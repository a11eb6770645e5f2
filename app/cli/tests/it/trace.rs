//! `nats trace`.

use crate::scene::Scene;

#[test]
fn the_way_of_a_message_is_shown() {
    let scene = Scene::open();
    let mut sub = scene.start(&["sub", "orders.>", "--connection-name", "watcher"]);
    sub.wait_for("Subscribing on");
    let text = scene.nats(&["trace", "orders.new"]).fine().stdout;
    assert!(text.starts_with("Tracing message route to subject orders.new \n\nClient \"NATS CLI Version "), "{text}");
    assert!(
        text.lines()
            .any(|line| line.starts_with("--C Client \"watcher\" cid:") && line.ends_with(" subject:\"orders.>\"")),
        "{text}"
    );
    assert!(
        text.contains("Legend: Client: --C Router: --> Gateway: ==> Leafnode: ~~> JetStream: --J Error: --X"),
        "{text}"
    );
    assert!(text.contains("Egress Count:\n\n  Client: 1\n"), "{text}");
}

#[test]
fn no_interest_is_told() {
    let text = Scene::open().nats(&["trace", "nobody.there", "--timestamp"]).fine().stdout;
    assert!(text.contains("--X No active interest"), "{text}");
}

#[test]
fn a_traced_message_can_be_delivered() {
    let scene = Scene::open();
    let mut sub = scene.start(&["sub", "orders.>", "--count", "1"]);
    sub.wait_for("Subscribing on");
    scene.nats(&["trace", "orders.new", "body", "--deliver"]).fine();
    assert!(sub.end().1.contains(&"body".to_owned()));
}
