//! What is going on now, looked at twice.

use serde_json::Value;

use crate::scene::Scene;
use crate::system::{WITH_SYSTEM, sys};

fn rows(stdout: &str) -> Vec<Value> {
    let read: Value = serde_json::from_str(stdout).expect("JSON");
    read["rows"].as_array().expect("rows").clone()
}

#[test]
fn subjects_are_counted_while_they_are_looked_at() {
    let scene = Scene::open();
    let looking =
        scene.start(&["top", "subjects", "--filter", "orders.>", "--once", "--json", "--delay", "4", "--trace"]);
    // The subscription is there before the first look; what is published within four seconds is counted.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    scene.nats(&["pub", "orders.new", "hello", "--count", "5"]).fine();
    scene.nats(&["pub", "orders.old", "hello"]).fine();
    scene.nats(&["pub", "other", "hello"]).fine();
    let (code, lines) = looking.end();
    assert_eq!(code, 0, "{lines:#?}");
    let start = lines.iter().position(|line| line == "{").expect("JSON");
    let rows = rows(&lines[start..].join("\n"));
    let seen: Vec<(&str, f64)> =
        rows.iter().map(|row| (row["subject"].as_str().unwrap(), row["total"].as_f64().unwrap())).collect();
    assert_eq!(seen, [("orders.new", 5.0), ("orders.old", 1.0)], "the busiest first");
    assert!(rows[0]["msgs_per_second"].as_f64().unwrap() > 0.0);
}

#[test]
fn servers_accounts_and_connections_are_told_by_the_system_account() {
    let scene = Scene::configured(WITH_SYSTEM);
    let look = |what: &str| rows(&sys(&scene, &["top", what, "--once", "--json", "--delay", "0.2"]).fine().stdout);
    assert_eq!(look("servers")[0]["server"], "one");
    let accounts = look("accounts");
    let names: Vec<&str> = accounts.iter().filter_map(|row| row["account"].as_str()).collect();
    assert!(names.contains(&"SYS"), "{names:?}");
    let connections = look("connections");
    assert_eq!((&connections[0]["server"], &connections[0]["user"]), (&"one".into(), &"sys".into()));
}

#[test]
fn without_a_terminal_it_says_how_it_can_be_used() {
    let scene = Scene::alone();
    let text = scene.nats(&["top"]).failed(1).stderr;
    assert!(text.contains("nats top needs a terminal; with --once it prints what it sees and ends"), "{text}");
    let text = scene.nats(&["top", "--once", "--sort", "colour"]).failed(1).stderr;
    assert!(text.contains("there is no column \"colour\"; there are Server, CID, Account"), "{text}");
}
