//! Peers that are gone without a word, slow ones, and strangers who say nothing: on each kind of link, with the reference
//! in every position.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::fleet::{Client, Make, PATIENCE, Server, mixtures, until, until_linked};
use crate::link_monitoring::asked;
use crate::link_tls::Papers;
use crate::relay::Relay;

const ACCOUNTS: &str = r#"accounts {
    A { users: [{user: a, password: a}] }
    SYS { users: [{user: s, password: s}] }
}
system_account: SYS"#;

const LISTEN: &str = "listen: \"127.0.0.1:-1\"";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Route,
    Gateway,
    Leaf,
}

const KINDS: [Kind; 3] = [Kind::Route, Kind::Gateway, Kind::Leaf];

impl Kind {
    /// The block of a server to which others come.
    fn block(self, more: &str) -> String {
        match self {
            Self::Route => format!("cluster {{ name: C, {LISTEN} {more} }}"),
            Self::Gateway => format!("gateway {{ name: C1, {LISTEN} {more} }}"),
            Self::Leaf => format!("leafnodes {{ {LISTEN} {more} }}"),
        }
    }

    /// The block of a server that goes there.
    fn block_to(self, place: SocketAddr, more: &str) -> String {
        match self {
            Self::Route => format!("cluster {{ name: C, {LISTEN}, routes: [\"nats://{place}\"] {more} }}"),
            Self::Gateway => {
                let remote = format!("{{ name: C1, url: \"nats://{place}\" }}");
                format!("gateway {{ name: C2, {LISTEN}, gateways: [{remote}] {more} }}")
            }
            Self::Leaf => {
                format!("leafnodes {{ remotes: [{{ url: \"nats://a:a@{place}\", account: A {more} }}] }}")
            }
        }
    }

    fn port(self, server: &Server) -> SocketAddr {
        match self {
            Self::Route => server.route,
            Self::Gateway => server.gateway,
            Self::Leaf => server.leaf,
        }
        .unwrap()
    }
}

/// Two servers; the second goes to the first over a wire of the scene.
fn over_a_wire(kind: Kind, [one, two]: [Make; 2], more: [&str; 2]) -> (Server, Relay, Server) {
    let start = |make, name: &str, block: &str| {
        let pings = "ping_interval: \"1s\"\nping_max: 3";
        Server::start(make, &format!("server_name: {name}\n{ACCOUNTS}\n{pings}\n{block}"))
    };
    let first = start(one, "ONE", &kind.block(more[0]));
    let relay = Relay::to(kind.port(&first));
    let second = start(two, "TWO", &kind.block_to(relay.address, more[1]));
    (first, relay, second)
}

#[test]
fn a_link_whose_far_end_has_vanished_is_dropped_and_made_again() {
    for kind in KINDS {
        for mix in mixtures() {
            let (first, relay, second) = over_a_wire(kind, mix, ["", ""]);
            let (mut near, mut far) = (first.log_in("a"), second.log_in("a"));
            near.subscribe("near", "1");
            far.subscribe("far", "1");
            until_linked(&mut near, &mut far, "far");
            until_linked(&mut far, &mut near, "near");
            let made = relay.made();
            relay.cut_silently();
            // Hubs and clusters are known by the addresses that they tell as well, and may be gone to by another way.
            until(&format!("{kind:?} {mix:?} is made again"), || {
                // Whoever does not answer is sent away, clients too.
                near.flush();
                far.flush();
                kind != Kind::Route || relay.made() > made
            });
            until_linked(&mut near, &mut far, "far");
            until_linked(&mut far, &mut near, "near");
            if kind == Kind::Leaf {
                drop((near, far));
                let mut asks = first.log_in("s");
                until(&format!("the hub keeps one of both links, {mix:?}"), || {
                    asked(&mut asks, "LEAFZ", "", &["ONE"])["ONE"]["leafs"].as_array().map_or(0, Vec::len) == 1
                });
            }
        }
    }
}

/// How a link is compressed, as a server tells it.
fn compression(asks: &mut Client, kind: Kind, name: &str) -> String {
    let (what, list) = if kind == Kind::Route { ("ROUTEZ", "routes") } else { ("LEAFZ", "leafs") };
    let told = asked(asks, what, "", &[name]);
    let links: &Value = &told[name][list];
    links[0]["compression"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn compression_follows_the_round_trip() {
    let auto = "compression: {mode: s2_auto, rtt_thresholds: [100ms, 400ms, 2s]}";
    for kind in [Kind::Route, Kind::Leaf] {
        for mix in mixtures() {
            let more = format!(", {auto}");
            let (first, relay, second) = over_a_wire(kind, mix, [&more, &more]);
            for (delay, level) in [(0, "s2_uncompressed"), (100, "s2_fast"), (300, "s2_better"), (0, "s2_uncompressed")]
            {
                relay.delay(Duration::from_millis(delay));
                // A hub pings a leaf node that speaks only now and then.
                let ends = [(&second, "TWO"), (&first, "ONE")];
                for (server, name) in ends.into_iter().take(if kind == Kind::Leaf { 1 } else { 2 }) {
                    let mut asks = server.log_in("s");
                    until(&format!("{name} takes {level}, {kind:?} {mix:?}"), || {
                        compression(&mut asks, kind, name) == level
                    });
                }
                let (mut near, mut far) = (first.log_in("a"), second.log_in("a"));
                far.subscribe("far", "1");
                until_linked(&mut near, &mut far, "far");
                near.publish("far", level);
                until(&format!("what is packed as {level} is understood, {kind:?} {mix:?}"), || {
                    far.drain().iter().any(|message| message.payload == level)
                });
            }
        }
    }
}

/// Large enough to wait for a slow far end.
const BULK: usize = 512 * 1024;
const BULKS: usize = 64;

#[test]
fn a_far_end_that_takes_little_stays_or_is_sent_away_as_the_block_says() {
    for kind in KINDS {
        for mix in mixtures() {
            for policy in ["close", "retry"] {
                takes_little(kind, mix, policy);
            }
        }
    }
}

fn takes_little(kind: Kind, [one, two]: [Make; 2], policy: &str) {
    let what = format!("{kind:?} {one:?} {two:?} {policy}");
    let rule = format!(", write_deadline: \"1s\", write_timeout: {policy}");
    let start =
        |make, name: &str, block: &str| Server::start(make, &format!("server_name: {name}\n{ACCOUNTS}\n{block}"));
    // What is packed is not much.
    let packed = if kind == Kind::Leaf { ", compression: off" } else { "" };
    let first = start(one, "ONE", &kind.block(&format!("{rule}{packed}")));
    let relay = Relay::to(kind.port(&first));
    let second = start(two, "TWO", &kind.block_to(relay.address, if kind == Kind::Leaf { "" } else { &rule }));
    // To another cluster messages go by the connection that was made to it.
    let (mut writes, reads) = if kind == Kind::Leaf { (first, second) } else { (second, first) };
    let (mut writer, mut reader) = (writes.log_in("a"), reads.log_in("a"));
    reader.subscribe("bulk", "1");
    until_linked(&mut writer, &mut reader, "bulk");
    relay.pause(Duration::from_millis(if policy == "close" { 10 } else { 2 }));
    let bulk = "x".repeat(BULK);
    (0..BULKS).for_each(|_| writer.publish("bulk", &bulk));
    if policy == "close" {
        writes.logged("WriteDeadline of 1s exceeded");
        relay.pause(Duration::ZERO);
        until(&format!("{what} is made again"), || {
            writer.publish("bulk", "again");
            writer.flush();
            reader.drain().iter().any(|message| message.payload == "again")
        });
    } else {
        for _ in 0..BULKS {
            assert_eq!(reader.next().payload.len(), BULK, "{what}");
        }
    }
}

#[test]
fn a_server_that_never_says_anything_is_left_and_tried_again() {
    let papers = Papers::new();
    let tls = papers.block("server", "ca.pem", "").replace("timeout: 5", "timeout: 0.5");
    std::thread::scope(|scope| {
        for kind in KINDS {
            for more in [String::new(), format!(", {tls}")] {
                scope.spawn(move || left_and_tried_again(kind, &more));
            }
        }
    });
}

fn left_and_tried_again(kind: Kind, more: &str) {
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let block = kind.block_to(mute.local_addr().unwrap(), more);
    let _server = Server::start(Make::Ours, &format!("server_name: ONE\n{ACCOUNTS}\n{block}"));
    for _ in 0..2 {
        let (mut visitor, _) = mute.accept().unwrap();
        visitor.set_read_timeout(Some(PATIENCE)).unwrap();
        // Until it hangs up; what it says before depends on the kind of link.
        visitor.read_to_end(&mut Vec::new()).unwrap_or_else(|error| panic!("{kind:?} {more}: {error}"));
    }
}

#[test]
fn a_stranger_that_never_says_anything_is_sent_away() {
    for kind in KINDS {
        let more = ", authorization { user: l, password: l, timeout: 0.5 }";
        let server = Server::start(Make::Ours, &format!("server_name: ONE\n{ACCOUNTS}\n{}", kind.block(more)));
        let mut stranger = TcpStream::connect(kind.port(&server)).unwrap();
        stranger.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut heard = String::new();
        stranger.read_to_string(&mut heard).unwrap();
        assert!(heard.ends_with("-ERR 'Authentication Timeout'\r\n"), "{kind:?}: {heard}");
    }
}
