//! `nats counter`.

use crate::scene::Scene;
use crate::stream::assert_lines;

#[test]
fn numbers_are_added_to_and_shown() {
    let scene = Scene::jetstream();
    let none = scene.nats(&["counter", "get", "hits.a"]).failed(1);
    assert!(none.stderr.contains("no stream has hits.a"), "{}", none.stderr);
    scene.nats(&["stream", "add", "HITS", "--subjects", "hits.>", "--allow-counter", "--defaults"]).fine();
    scene.nats(&["stream", "add", "PLAIN", "--subjects", "plain", "--defaults"]).fine();
    assert_eq!(scene.nats(&["counter", "increment", "hits.a", "5"]).fine().stdout, "5\n");
    assert_eq!(scene.nats(&["ctr", "decr", "hits.a", "18446744073709551620"]).fine().stdout, "-18446744073709551615\n");
    assert_eq!(scene.nats(&["counter", "incr", "hits.b", "-2"]).fine().stdout, "-2\n");
    assert_eq!(scene.nats(&["counter", "get", "hits.a"]).fine().stdout, "-18446744073709551615\n");
    assert_eq!(scene.nats(&["counter", "ls", "hits.>"]).fine().stdout, "hits.a\nhits.b\n");
    let listed = scene.nats(&["counter", "ls", "--stream", "HITS", "--json"]).fine();
    let listed: Vec<String> = serde_json::from_str(&listed.stdout).expect("JSON");
    assert_eq!(listed, ["hits.a", "hits.b"]);
    let shown = scene.nats(&["counter", "view", "hits.b"]).fine();
    assert_lines(&shown, &["Counter hits.b", "Value: -2", "Increment: -2", "Subject: hits.b"]);
    assert!(shown.stdout.contains("No source information found"), "{}", shown.stdout);
    for (wrong, words) in [
        (&["counter", "get", "hits.c"][..], "counter hits.c was never added to"),
        (&["counter", "get", "plain"], "\"PLAIN\" is not a valid counter stream"),
        (&["counter", "ls", "hits.x.>"], "no counters found"),
        (&["counter", "increment", "hits.a", "1.5"], "a whole number is needed"),
        (&["counter", "ls"], "required"),
    ] {
        let done = scene.nats(wrong).failed(1);
        assert!(done.stderr.contains(words), "{wrong:?}: {}", done.stderr);
    }
    let all = ["stream", "add", "ALL", "--subjects", "all.>", "--allow-counter", "--source", "HITS", "--defaults"];
    scene.nats(&all).fine();
    let shown = || scene.nats(&["counter", "view", "hits.b", "--stream", "ALL"]);
    let done = (0..50).map(|_| shown()).find(|done| done.stdout.contains("Sources:")).expect("sources");
    assert_lines(&done, &["HITS: hits.b: -2"]);
}
