//! `nats errors` and `nats cheat`.

use crate::scene::Scene;

#[test]
fn errors_are_listed_and_looked_up() {
    let scene = Scene::alone();
    let found = scene.nats(&["errors", "lookup", "10059"]).fine();
    assert!(found.stdout.starts_with("NATS Error Code: 10059\n"), "{}", found.stdout);
    crate::stream::assert_lines(
        &found,
        &["Description: stream not found", "HTTP Code: 404", "Go Index Constant: JSStreamNotFoundErr"],
    );
    let table = scene.nats(&["err", "ls", "Stream not"]).fine().stdout;
    assert!(table.contains("NATS Errors") && table.contains("10059") && !table.contains("10014"), "{table}");
    let by_name = scene.nats(&["errors", "ls", "JSStreamNotFoundErr"]).fine().stdout;
    assert!(by_name.contains("Go Constant") && by_name.contains("10059"), "{by_name}");
    let reverse = scene.nats(&["errors", "ls", "consumer", "code", "-R"]).fine().stdout;
    assert!(reverse.find("10225") < reverse.find("10014"), "{reverse}");
    let none = scene.nats(&["errors", "lookup", "1"]).failed(1);
    assert_eq!(none.stderr, "nats: error: no error matches code 1\n\nhint: nats errors ls shows them all\n");
    scene.nats(&["errors", "ls", "no such words"]).failed(1);
}

#[test]
fn examples_are_shown_by_topic() {
    let scene = Scene::alone();
    assert!(scene.nats(&["cheat"]).fine().stdout.contains("account, auth, bench, consumer, context, counter"));
    assert!(scene.nats(&["cheat", "publish"]).fine().stdout.contains("\nnats pub orders.new hello\n"));
    let none = scene.nats(&["cheat", "cooking"]).failed(1);
    assert!(none.stderr.contains("hint: there are some for: account,"), "{}", none.stderr);
}
