//! What only a person at a terminal sees: questions, pages and graphs.

use crate::scene::Scene;
use crate::stream::shop;
use crate::system::WITH_SYSTEM;
use crate::terminal::Terminal;

fn at_terminal(scene: &Scene, args: &[&str]) -> Terminal {
    Terminal::run(scene.command(args))
}

#[test]
fn who_says_no_keeps_keys_buckets_and_streams() {
    let scene = shop();
    scene.nats(&["kv", "add", "B"]).fine();
    scene.nats(&["kv", "put", "B", "k", "v"]).fine();
    for (args, question, said) in [
        (&["kv", "del", "B", "k"][..], "Delete key B > k?", "Skipping delete"),
        (&["kv", "del", "B"], "Delete bucket B?", "Skipping delete"),
        (&["kv", "purge", "B", "k"], "Purge key B > k?", "Skipping purge"),
    ] {
        let mut person = at_terminal(&scene, args);
        person.shows(question).shows("(y/N) ").types("n").shows(said);
        assert_eq!(person.ends(), 0, "{args:?}");
    }
    let mut person = at_terminal(&scene, &["stream", "rm", "ORDERS"]);
    person.shows("ORDERS").shows("(y/N) ").types("");
    person.ends();
    assert_eq!(scene.nats(&["kv", "get", "B", "k", "--raw"]).fine().stdout, "v");
    scene.nats(&["stream", "info", "ORDERS"]).fine();
    let mut person = at_terminal(&scene, &["kv", "del", "B"]);
    person.shows("(y/N) ").types("y");
    assert_eq!(person.ends(), 0);
    scene.nats(&["kv", "info", "B"]).failed(1);
}

#[test]
fn a_stream_is_picked_from_a_list() {
    let scene = shop();
    scene.nats(&["stream", "add", "OTHER", "--subjects", "other", "--defaults"]).fine();
    let mut person = at_terminal(&scene, &["stream", "info"]);
    person.shows("1) ORDERS").shows("2) OTHER").shows("? Select a Stream ").types("7").shows("answer with a number");
    person.shows("? Select a Stream ").types("2").shows("Information for Stream OTHER");
    assert_eq!(person.ends(), 0);
}

#[test]
fn messages_are_looked_through_page_by_page() {
    let scene = shop();
    let mut person = at_terminal(&scene, &["stream", "view", "ORDERS", "2"]);
    person.shows("[1] Subject: orders.new Received: 20").shows("order 1").shows("[2] Subject: orders.new");
    person.shows("? Next Page? (y/N) ").types("y").shows("[3] ").shows("[4] ").shows("(y/N) ").types("y");
    person.shows("[5] Subject: orders.old").shows("order 5").shows("Reached apparent end of data");
    assert_eq!(person.ends(), 0);
    let mut person = at_terminal(&scene, &["stream", "view", "ORDERS", "99", "--id", "4", "--raw"]);
    person.shows("Page size is limited to 25").shows("order 4\r\n").shows("order 5\r\n");
    assert_eq!(person.ends(), 0);
    let mut person = at_terminal(&scene, &["stream", "view", "ORDERS", "2"]);
    person.shows("(y/N) ").types("n");
    assert_eq!(person.ends(), 0);
}

#[test]
fn graphs_follow_streams_consumers_and_subjects() {
    let scene = shop();
    scene.nats(&["consumer", "add", "ORDERS", "C", "--pull", "--defaults"]).fine();
    for (args, captions) in [
        (&["stream", "graph", "ORDERS"][..], ["Stream Statistics for ORDERS", "Messages Stored / second"]),
        (&["consumer", "graph", "ORDERS", "C"], ["Consumer Statistics for ORDERS > C", "/ second"]),
        (&["sub", "--graph", "orders.>", "other"], ["orders.> / second", "other / second"]),
    ] {
        let mut person = at_terminal(&scene, args);
        person.shows("\x1b[2J").shows(captions[0]).shows(captions[1]).shows("\x1b[2J").interrupts();
        assert_eq!(person.ends(), 0, "{args:?}");
    }
    let mut person = at_terminal(&scene, &["sub", "--graph", "orders.new"]);
    person.shows("orders.new / second");
    scene.nats(&["pub", "-q", "orders.new", "hello", "--count", "50"]).fine();
    person.shows("╭").interrupts();
    assert_eq!(person.ends(), 0, "the line went up");
}

#[test]
fn a_graph_needs_room_and_no_more_than_four_subjects() {
    let scene = Scene::open();
    let mut person = Terminal::of_size(scene.command(&["sub", "--graph", "a"]), (19, 19));
    person.shows("please increase");
    assert_eq!(person.ends(), 1);
    let mut person = at_terminal(&scene, &["sub", "--graph", "a", "b", "c", "d", "e"]);
    person.shows("maximum 4 subject patterns may be graphed");
    assert_eq!(person.ends(), 1);
    for args in [&["stream", "graph", "S"][..], &["sub", "--graph", "a"]] {
        let said = scene.nats(args).failed(1).stderr;
        assert!(said.contains("can only graph data on an interactive terminal"), "{said}");
    }
}

#[test]
fn a_server_is_drawn() {
    let scene = Scene::configured(WITH_SYSTEM);
    for (flags, caption) in [(&["one"][..], "Bytes In+Out / second"), (&["one", "-j"], "API Requests / second")] {
        let args = [&["server", "graph"], flags, &["--user", "sys", "--password", "secret"]].concat();
        let mut person = at_terminal(&scene, &args);
        person.shows("Statistics for one").shows("CPU % Used (normalized for ").shows(caption).interrupts();
        assert_eq!(person.ends(), 0, "{args:?}");
    }
}

#[test]
fn top_is_sorted_changed_and_left_by_keys() {
    let scene = Scene::configured(WITH_SYSTEM);
    let mut person = at_terminal(&scene, &["top", "servers", "--user", "sys", "--password", "secret"]);
    person.shows("one");
    person.types("3").shows("CID");
    person.types("q");
    assert_eq!(person.ends(), 0);
}

#[test]
fn watching_is_another_word_for_top() {
    let scene = Scene::with(&["-js"], WITH_SYSTEM);
    for (what, column) in [("accounts", "Account"), ("servers", "Memory"), ("jetstream", "API Pending")] {
        let mut person =
            at_terminal(&scene, &["server", "watch", what, "-n", "5", "--user", "sys", "--password", "secret"]);
        person.shows(column).interrupts();
        assert_eq!(person.ends(), 0, "{what}");
    }
}

#[test]
fn colours_are_for_screens_only() {
    let scene = shop();
    let mut command = scene.command(&["stream", "ls", "--colors", "red"]);
    command.env("TERM", "xterm-256color");
    let mut person = Terminal::run(command);
    person.shows("\x1b[").shows("ORDERS");
    assert_eq!(person.ends(), 0);
    assert!(!scene.nats(&["stream", "ls", "--colors", "red"]).fine().stdout.contains('\x1b'));
}
