//! Leaf nodes: a spoke and its hub, each of either make.

use crate::fleet::{Make, Server, mixtures, settle, until, until_linked};

const ACCOUNTS: &str = r#"accounts {
    A { users: [{user: a, password: a}] }
    B { users: [{user: b, password: b}] }
}"#;

/// A hub with two accounts; leaf nodes log in with the users of the block.
fn hub(make: Make, more: &str) -> Server {
    let block = r#"listen: "127.0.0.1:-1", authorization { users: [{user: la, password: la, account: A}, {user: lb, password: lb, account: B}] }"#;
    Server::start(make, &format!("server_name: HUB-{make:?}\n{ACCOUNTS}\nleafnodes {{ {block} {more} }}"))
}

/// A spoke whose clients need no login, bound to the account of that user at the hub.
fn spoke(make: Make, hub: &Server, user: &str, more: &str) -> Server {
    let url = hub.leaf_url(&format!("{user}:{user}"));
    let remote = format!("remotes: [{{ url: \"{url}\" {more} }}]");
    Server::start(make, &format!("server_name: SPOKE-{make:?}-{user}\nleafnodes {{ {remote} }}"))
}

#[test]
fn messages_requests_and_headers_cross_both_ways() {
    for [one, other] in mixtures() {
        let hub = hub(one, "");
        let spoke = spoke(other, &hub, "la", "");
        let (mut up, mut down) = (hub.log_in("a"), spoke.connect());
        up.subscribe("up.>", "1");
        down.subscribe("down.*", "7");
        until_linked(&mut down, &mut up, "up.probe");
        until_linked(&mut up, &mut down, "down.probe");

        down.publish("up.a.b", "hello");
        let came = up.next();
        assert_eq!((&*came.subject, &*came.sid, &*came.payload), ("up.a.b", "1", "hello"), "{one:?} {other:?}");
        up.publish_with_headers("down.x", "Key: value", "body");
        let came = down.next();
        assert_eq!((&*came.headers, &*came.payload), ("NATS/1.0\r\nKey: value\r\n\r\n", "body"));

        // The inbox is new: its interest goes ahead of the request.
        down.send("SUB inbox.1 9\r\n");
        down.ask("up.ask", "inbox.1", "question");
        let question = up.next();
        assert_eq!(question.reply.as_deref(), Some("inbox.1"));
        up.publish("inbox.1", "answer");
        assert_eq!(down.next().payload, "answer");
    }
}

#[test]
fn a_publisher_hears_that_nobody_listens_at_either_end() {
    for [one, other] in mixtures() {
        let hub = hub(one, "");
        let spoke = spoke(other, &hub, "la", "");
        let (mut up, mut down) = (hub.log_in("a"), spoke.connect());
        up.subscribe("up.>", "1");
        until_linked(&mut down, &mut up, "up.probe");
        for client in [&mut up, &mut down] {
            client.send("SUB here.inbox 5\r\n");
            client.ask("nobody.home", "here.inbox", "?");
            assert!(client.next().headers.starts_with("NATS/1.0 503"), "{one:?} {other:?}");
        }
    }
}

#[test]
fn a_message_reaches_one_member_of_a_queue_group_and_ours_before_theirs() {
    for [one, other] in mixtures() {
        let hub = hub(one, "");
        let spoke = spoke(other, &hub, "la", "");
        let (mut up, mut down) = (hub.log_in("a"), spoke.connect());
        down.join("jobs", "workers", "1");
        up.send("SUB ready 3\r\n");
        let mut publisher = hub.log_in("a");
        until_linked(&mut publisher, &mut down, "jobs");

        // Only the spoke has members: each message gets there once.
        for number in 0..20 {
            publisher.publish("jobs", &number.to_string());
        }
        for number in 0..20 {
            assert_eq!(down.next().payload, number.to_string(), "{one:?} {other:?}");
        }
        // Now the hub has one too, and it is preferred there.
        up.join("jobs", "workers", "2");
        for number in 0..20 {
            publisher.publish("jobs", &number.to_string());
        }
        for number in 0..20 {
            assert_eq!(up.next().payload, number.to_string());
        }
        settle(&mut down);
        assert!(down.drain().is_empty());
    }
}

#[test]
fn interest_that_ends_ends_on_the_other_side_too() {
    for [one, other] in mixtures() {
        let hub = hub(one, "");
        let spoke = spoke(other, &hub, "la", "");
        let (mut up, mut down) = (hub.log_in("a"), spoke.connect());
        up.subscribe("gone", "1");
        until_linked(&mut down, &mut up, "gone");
        up.send("UNSUB 1\r\n");
        up.flush();
        down.send("SUB back 2\r\n");
        until("nobody listens any more", || {
            down.ask("gone", "back", "?");
            down.flush();
            down.drain().iter().any(|message| message.headers.contains("503"))
        });
    }
}

#[test]
fn accounts_stay_apart_on_two_links_of_one_spoke() {
    for [one, other] in mixtures() {
        let hub = hub(one, "");
        let (a, b) = (hub.leaf_url("la:la"), hub.leaf_url("lb:lb"));
        let remotes = format!("remotes: [{{ url: \"{a}\", account: A }}, {{ url: \"{b}\", account: B }}]");
        let spoke = Server::start(other, &format!("server_name: S\n{ACCOUNTS}\nleafnodes {{ {remotes} }}"));
        let (mut up_a, mut up_b) = (hub.log_in("a"), hub.log_in("b"));
        let (mut down_a, mut down_b) = (spoke.log_in("a"), spoke.log_in("b"));
        up_a.subscribe(">", "1");
        up_b.subscribe(">", "1");
        until_linked(&mut down_a, &mut up_a, "probe");
        until_linked(&mut down_b, &mut up_b, "probe");
        up_a.drain();
        up_b.drain();
        down_a.publish("secret", "of A");
        assert_eq!(up_a.next().payload, "of A", "{one:?} {other:?}");
        settle(&mut up_b);
        down_b.publish("secret", "of B");
        assert_eq!(up_b.next().payload, "of B");
    }
}

#[test]
fn a_wrong_password_is_refused_and_nothing_crosses() {
    for [one, other] in mixtures() {
        let mut hub = hub(one, "");
        let url = hub.leaf_url("la:wrong");
        let mut spoke = Server::start(other, &format!("leafnodes {{ remotes: [{{ url: \"{url}\" }}] }}"));
        hub.logged("authentication error");
        spoke.logged("Authorization Violation");
    }
}

#[test]
fn what_is_denied_at_a_remote_neither_leaves_nor_comes_in() {
    for [one, other] in mixtures() {
        let hub = hub(one, "");
        let denies = ", deny_exports: [\"private.>\"], deny_imports: [\"noise.>\"]";
        let spoke = spoke(other, &hub, "la", denies);
        let (mut up, mut down) = (hub.log_in("a"), spoke.connect());
        up.subscribe(">", "1");
        down.subscribe(">", "1");
        down.subscribe("noise.>", "2");
        down.subscribe("open.>", "3");
        until_linked(&mut down, &mut up, "open.probe");
        until_linked(&mut up, &mut down, "open.probe");
        up.drain();
        down.publish("private.plan", "hidden");
        down.publish("open.plan", "shown");
        assert_eq!(up.next().payload, "shown", "{one:?} {other:?}");
        settle(&mut up);
        down.drain();
        up.publish("noise.a", "loud");
        up.publish("open.a", "quiet");
        let came = down.next();
        assert_eq!(came.payload, "quiet");
    }
}

#[test]
fn a_user_of_the_hub_limits_what_its_leaf_node_sends_and_gets() {
    for [one, other] in mixtures() {
        let user = r#"{user: p, password: p, permissions: {publish: "out.>", subscribe: "in.>"}}"#;
        let accounts = format!("accounts {{ A {{ users: [{{user: a, password: a}}, {user}] }} }}");
        let mut hub =
            Server::start(one, &format!("server_name: H\n{accounts}\nleafnodes {{ listen: \"127.0.0.1:-1\" }}"));
        let spoke = spoke(other, &hub, "p", "");
        let (mut up, mut down) = (hub.log_in("a"), spoke.connect());
        up.subscribe("out.>", "1");
        up.subscribe("elsewhere", "2");
        down.subscribe("in.>", "1");
        down.subscribe(">", "2");
        until_linked(&mut down, &mut up, "out.probe");
        until_linked(&mut up, &mut down, "in.probe");
        up.drain();
        down.publish("elsewhere", "not allowed");
        down.publish("out.x", "allowed");
        assert_eq!(up.next().payload, "allowed", "{one:?} {other:?}");
        settle(&mut down);
        up.publish("neither", "not allowed");
        up.publish("in.x", "allowed");
        assert_eq!(down.next().payload, "allowed");
        assert!(!hub.log().contains("Violation"), "a spoke that knows its rights does not try");
    }
}

#[test]
fn a_chain_of_three_carries_messages_end_to_end() {
    for [one, two, three] in mixtures() {
        let hub = hub(one, "");
        let url = hub.leaf_url("la:la");
        let middle =
            format!("server_name: MIDDLE\nleafnodes {{ listen: \"127.0.0.1:-1\", remotes: [{{ url: \"{url}\" }}] }}");
        let middle = Server::start(two, &middle);
        let url = middle.leaf_url("");
        let end = Server::start(three, &format!("server_name: END\nleafnodes {{ remotes: [{{ url: \"{url}\" }}] }}"));
        let (mut up, mut down) = (hub.log_in("a"), end.connect());
        up.subscribe("up", "1");
        down.subscribe("down", "1");
        until_linked(&mut down, &mut up, "up");
        until_linked(&mut up, &mut down, "down");
        down.publish("up", "from the end");
        assert_eq!(up.next().payload, "from the end", "{one:?} {two:?} {three:?}");
        up.publish("down", "from the hub");
        assert_eq!(down.next().payload, "from the hub");
    }
}

#[test]
fn a_loop_is_found_and_broken() {
    for [one, other] in mixtures() {
        let hub = hub(one, "");
        let url = hub.leaf_url("la:la");
        // The spoke is joined with the same account twice, by way of a second server.
        let middle =
            format!("server_name: M\nleafnodes {{ listen: \"127.0.0.1:-1\", remotes: [{{ url: \"{url}\" }}] }}");
        let mut middle = Server::start(other, &middle);
        let to_middle = middle.leaf_url("");
        let both = format!("remotes: [{{ url: \"{url}\" }}, {{ url: \"{to_middle}\" }}]");
        let mut end = Server::start(other, &format!("server_name: E\nleafnodes {{ {both} }}"));
        let mut hub = hub;
        until("a loop is named in a log", || {
            [&mut hub, &mut middle, &mut end].into_iter().any(|server| server.log().contains("Loop detected"))
        });
    }
}

#[test]
fn compression_is_agreed_on_and_carries_everything() {
    for mode in ["s2_auto", "s2_fast", "s2_better", "s2_best", "accept", "off"] {
        for [one, other] in mixtures() {
            let hub = hub(one, &format!(", compression: {mode}"));
            let spoke = spoke(other, &hub, "la", ", compression: s2_fast");
            let (mut up, mut down) = (hub.log_in("a"), spoke.connect());
            up.subscribe("up", "1");
            down.subscribe("down", "1");
            until_linked(&mut down, &mut up, "up");
            until_linked(&mut up, &mut down, "down");
            let large = "0123456789abcdef".repeat(40_000);
            down.publish("up", &large);
            assert!(up.next().payload == large, "{mode} {one:?} {other:?}");
            up.publish("down", &large);
            assert!(down.next().payload == large, "{mode} {one:?} {other:?}");
        }
    }
}

#[test]
fn a_spoke_comes_back_to_a_hub_that_was_away() {
    for [one, other] in mixtures() {
        let hub = hub(one, "");
        let spoke = spoke(other, &hub, "la", "");
        let mut down = spoke.connect();
        down.subscribe("down", "1");
        let mut up = hub.log_in("a");
        until_linked(&mut up, &mut down, "down");
        let port = hub.leaf.unwrap().port();
        drop((hub, up));
        let block = format!(
            "listen: \"127.0.0.1:{port}\", authorization {{ users: [{{user: la, password: la, account: A}}] }}"
        );
        let hub = Server::start(one, &format!("server_name: AGAIN\n{ACCOUNTS}\nleafnodes {{ {block} }}"));
        let mut up = hub.log_in("a");
        until_linked(&mut up, &mut down, "down");
    }
}

#[test]
fn a_hub_takes_no_leaf_node_that_is_older_than_it_wants() {
    for [one, other] in mixtures() {
        let hub = hub(one, ", min_version: \"99.0.0\"");
        let mut spoke = spoke(other, &hub, "la", "");
        spoke.logged("minimum version");
    }
}

/// A hub that is one of two servers of a cluster.
fn hub_of_two(make: Make, name: &str, cluster: &str) -> Server {
    let leafs = "listen: \"127.0.0.1:-1\", authorization { user: la, password: la, account: A }";
    let cluster = format!("name: HUBS, listen: \"127.0.0.1:-1\" {cluster}");
    Server::start(make, &format!("server_name: {name}\n{ACCOUNTS}\nleafnodes {{ {leafs} }}\ncluster {{ {cluster} }}"))
}

#[test]
fn a_spoke_goes_to_another_server_of_its_hubs_cluster() {
    for [one, two, three] in mixtures() {
        let first = hub_of_two(one, "ONE", "");
        let spoke = spoke(three, &first, "la", "");
        let second = hub_of_two(two, "TWO", &format!(", routes: [\"{}\"]", first.route_url("")));
        let (mut up, mut down) = (second.log_in("a"), spoke.connect());
        down.subscribe("down", "1");
        // The spoke was there before the second server was: it is told of it later.
        until_linked(&mut up, &mut down, "down");
        drop(first);
        let told = format!("{one:?} {two:?} {three:?}");
        until_linked(&mut up, &mut down, "down");
        up.publish("down", "by way of the other one");
        assert_eq!(down.next().payload, "by way of the other one", "{told}");
    }
}

#[test]
fn a_spoke_that_ignores_what_it_is_told_goes_to_its_hub_alone() {
    let first = hub_of_two(Make::Ours, "ONE", "");
    let mut second = hub_of_two(Make::Ours, "TWO", &format!(", routes: [\"{}\"]", first.route_url("")));
    let mut spoke = spoke(Make::Ours, &first, "la", ", ignore_discovered_servers: true");
    let (mut up, mut down) = (second.log_in("a"), spoke.connect());
    down.subscribe("down", "1");
    until_linked(&mut up, &mut down, "down");
    let gone = first.leaf.unwrap().to_string();
    drop(first);
    spoke.logged(&format!("Error trying to connect as leafnode to remote server \"{gone}\" (attempt 3)"));
    assert!(!second.log().contains("Leafnode connection created"));
}
