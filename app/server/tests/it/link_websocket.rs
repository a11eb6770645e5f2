//! Leaf nodes that come over WebSocket, and hubs that are gone to by it, with the reference in every position.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::fleet::{Client, Make, Server, mixtures, settle, until, until_linked};
use crate::link_monitoring::asked;
use crate::link_tls::Papers;

const ACCOUNTS: &str = "accounts { A { users: [{user: a, password: a}] }\nSYS { users: [{user: s, password: s}] } }
system_account: SYS\nocsp_cache: false";

/// Leaf nodes come by the port for WebSocket too. `more` is of its block.
fn hub(make: Make, more: &str) -> Server {
    let websocket = format!("websocket {{ listen: \"127.0.0.1:-1\"\n{more} }}");
    let leafs = "leafnodes { listen: \"127.0.0.1:-1\", authorization { user: l, password: l, account: A } }";
    Server::start(make, &format!("server_name: HUB\n{ACCOUNTS}\n{leafs}\n{websocket}"))
}

fn spoke(make: Make, url: &str, more: &str) -> Server {
    let remote = format!("{{ url: \"{url}\", account: A\n{more} }}");
    Server::start(make, &format!("server_name: SPOKE\n{ACCOUNTS}\nleafnodes {{ reconnect: 1, remotes: [{remote}] }}"))
}

/// Messages go both ways, also large ones, and many.
fn talk(hub: &Server, spoke: &Server) {
    let (mut up, mut down) = (hub.log_in("a"), spoke.log_in("a"));
    up.subscribe("up", "1");
    down.subscribe("down", "1");
    until_linked(&mut down, &mut up, "up");
    until_linked(&mut up, &mut down, "down");
    carries(&mut down, &mut up, "up");
    carries(&mut up, &mut down, "down");
}

fn carries(from: &mut Client, to: &mut Client, subject: &str) {
    let large = "0123456789abcdef".repeat(30_000);
    from.publish(subject, &large);
    assert!(to.next().payload == large);
    (0..500).for_each(|number| from.publish(subject, &format!("{number} {}", "x".repeat(number))));
    (0..500).for_each(|number| assert_eq!(to.next().payload, format!("{number} {}", "x".repeat(number))));
}

#[test]
fn a_leaf_node_is_one_like_any_other_whatever_is_agreed_on() {
    for [one, two] in mixtures() {
        for (here, there) in [
            ("", ""),
            ("compression: true", "ws_compression: true"),
            ("compression: true", ""),
            ("", "ws_compression: true"),
            ("", "ws_no_masking: true"),
            ("compression: true", "ws_compression: true, ws_no_masking: true, compression: off"),
            ("", "compression: s2_fast"),
        ] {
            let hub = hub(one, &format!("no_tls: true, {here}"));
            let spoke = spoke(two, &hub.websocket_url("l:l", ""), there);
            talk(&hub, &spoke);
        }
    }
}

#[test]
fn a_path_of_a_proxy_is_kept() {
    for [one, two] in mixtures() {
        let hub = hub(one, "no_tls: true");
        let spoke = spoke(two, &hub.websocket_url("l:l", "/behind/a/proxy"), "");
        talk(&hub, &spoke);
    }
}

#[test]
fn a_hub_is_reached_over_tls_and_must_be_who_it_should_be() {
    let papers = Papers::new();
    for [one, two] in mixtures() {
        let mut hub = hub(one, &papers.block("server", "ca.pem", ", verify: true"));
        let url = hub.websocket_url("l:l", "").replace("ws://", "wss://");
        for compression in ["", "ws_compression: true"] {
            let spoke = spoke(two, &url, &format!("{}\n{compression}", papers.block("server", "ca.pem", "")));
            talk(&hub, &spoke);
        }
        let mut doubting = spoke(two, &url, &papers.block("server", "stranger-ca.pem", ""));
        doubting.logged("TLS");
        let mut stranger = spoke(two, &url, &papers.block("stranger", "ca.pem", ""));
        hub.logged("TLS handshake error");
        for stranger in [&mut doubting, &mut stranger] {
            let mut client = stranger.log_in("a");
            settle(&mut client);
            assert!(!stranger.log().contains("INFO"), "{one:?} {two:?}");
        }
    }
}

#[test]
fn both_ends_know_how_they_are_connected_and_nobody_counts_a_client() {
    for [one, two] in mixtures() {
        let mut hub = hub(one, "no_tls: true, compression: true");
        let spoke = spoke(two, &hub.websocket_url("l:l", ""), "ws_compression: true");
        talk(&hub, &spoke);
        hub.logged(" - lid_ws:");
        let mut asks = hub.log_in("s");
        let leafz = &asked(&mut asks, "LEAFZ", "", &["HUB"])["HUB"];
        assert_eq!((&leafz["leafnodes"], &leafz["leafs"][0]["name"]), (&1.into(), &"SPOKE".into()));
        // Nothing is compressed twice.
        assert!(matches!(leafz["leafs"][0]["compression"].as_str(), None | Some("off" | "not supported")), "{leafz}");
        assert_eq!(leafz["leafs"][0]["websocket"], true);
        let varz = &asked(&mut asks, "VARZ", "", &["HUB"])["HUB"];
        assert_eq!(
            (&varz["connections"], &varz["leafnodes"]),
            (&1.into(), &1.into()),
            "the one who asks; {one:?} {two:?}"
        );
    }
}

#[test]
fn users_may_be_limited_to_leaf_nodes_of_either_kind() {
    for [one, two] in mixtures() {
        let users = "accounts { A { users: [
            { user: a, password: a }
            { user: ws, password: ws, allowed_connection_types: [LEAFNODE_WS] }
            { user: tcp, password: tcp, allowed_connection_types: [LEAFNODE] } ] } }";
        let blocks = "leafnodes { listen: \"127.0.0.1:-1\" }\nwebsocket { listen: \"127.0.0.1:-1\", no_tls: true }";
        let mut hub = Server::start(one, &format!("server_name: HUB\n{users}\n{blocks}"));
        let good = spoke(two, &hub.websocket_url("ws:ws", ""), "");
        talk(&hub, &good);
        drop(good);
        let mut bad = spoke(two, &hub.websocket_url("tcp:tcp", ""), "");
        bad.logged("Authorization Violation");
        hub.logged("uthentication");
        let mut other = spoke(two, &hub.leaf_url("ws:ws"), "");
        other.logged("Authorization Violation");
    }
}

#[test]
fn a_leaf_node_without_credentials_is_the_no_auth_user_of_the_block() {
    for [one, two] in mixtures() {
        let users = "accounts { A { users: [{ user: a, password: a }] }, B { users: [{ user: b, password: b }] } }";
        let blocks = "leafnodes { listen: \"127.0.0.1:-1\" }
            websocket { listen: \"127.0.0.1:-1\", no_tls: true, no_auth_user: a }";
        let hub = Server::start(one, &format!("server_name: HUB\n{users}\n{blocks}"));
        let by_websocket = spoke(two, &hub.websocket_url("", ""), "");
        talk(&hub, &by_websocket);
        let mut by_stream = spoke(two, &hub.leaf_url(""), "");
        by_stream.logged("Authorization Violation");
    }
}

#[test]
fn a_port_that_takes_no_leaf_nodes_is_named() {
    let mut hub = Server::start(
        Make::Ours,
        &format!("server_name: HUB\n{ACCOUNTS}\nwebsocket {{ listen: \"127.0.0.1:-1\", no_tls: true }}"),
    );
    let mut spoke = spoke(Make::Ours, &hub.websocket_url("l:l", ""), "");
    spoke.logged("Error soliciting websocket connection: invalid websocket connection: answered with status 404");
    hub.logged("websocket handshake error: leafnode websocket endpoint not enabled");
    // It comes again, and again.
    until("a second attempt", || spoke.log().matches("answered with status 404").count() > 1);
}

#[test]
fn a_hub_that_answers_something_else_or_nothing_is_left_in_time() {
    for (answer, told) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "answered with status 200"),
        ("INFO {}\r\n", "the answer is not HTTP"),
        (
            "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
            "belongs to another request",
        ),
        ("", "the answer did not come in time"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for mut near in listener.incoming().map_while(Result::ok) {
                let _ = near.write_all(answer.as_bytes());
                std::thread::spawn(move || near.read_to_end(&mut Vec::new()));
            }
        });
        let mut spoke = spoke(Make::Ours, &format!("ws://{address}"), "first_info_timeout: '300ms'");
        spoke.logged("Error soliciting websocket connection: ");
        assert!(spoke.logged(told).contains("lid_ws:"));
    }
}

#[test]
fn a_leaf_node_goes_to_another_server_of_its_hubs_cluster_by_the_same_kind_of_port() {
    for [one, two, three] in mixtures() {
        let leafs = "leafnodes { listen: \"127.0.0.1:-1\", authorization { user: l, password: l, account: A } }";
        let websocket = "websocket { listen: \"127.0.0.1:-1\", no_tls: true }";
        let cluster = |routes: &str| format!("cluster {{ name: C, listen: \"127.0.0.1:-1\" {routes} }}");
        let start = |make, name: &str, routes: &str| {
            Server::start(make, &format!("server_name: {name}\n{ACCOUNTS}\n{leafs}\n{websocket}\n{}", cluster(routes)))
        };
        let first = start(one, "ONE", "");
        let second = start(two, "TWO", &format!(", routes: [\"{}\"]", first.route_url("")));
        let (mut here, mut there) = (first.log_in("a"), second.log_in("a"));
        here.subscribe("probe", "1");
        until_linked(&mut there, &mut here, "probe");
        let spoke = spoke(three, &first.websocket_url("l:l", ""), "");
        let mut down = spoke.log_in("a");
        down.subscribe("down", "1");
        until_linked(&mut there, &mut down, "down");
        drop(first);
        until_linked(&mut there, &mut down, "down");
    }
}
