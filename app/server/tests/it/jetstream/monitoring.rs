//! What operators are told of streams, and what only they may have done. The documents themselves equal transcripts of the
//! reference (`conformance` monitoring, system).

use super::house::{House, Peer, Server};

const ACCOUNTS: &str = r#"
    http: "127.0.0.1:-1"
    accounts {
        A { jetstream: enabled, users: [{ user: a, password: a }] }
        B { jetstream: enabled, users: [{ user: b, password: b }] }
        C { users: [{ user: c, password: c }] }
        $SYS { users: [{ user: s, password: s }] }
    }"#;
const ORDERS: &str = r#"{"name":"ORDERS","subjects":["orders.>"]}"#;

fn login(server: &Server, name: &str) -> Peer {
    server.peer(&format!(",\"user\":\"{name}\",\"pass\":\"{name}\""))
}

/// Everything of these subjects is heard from now on.
fn listen(peer: &mut Peer, filter: &str) {
    peer.send(&format!("SUB {filter} 9\r\nPING\r\n"));
    assert_eq!(peer.line().unwrap(), "PONG");
}

#[test]
fn an_account_is_shown_with_what_it_may_ask_for() {
    let house = House::new("", ACCOUNTS);
    let server = house.start();
    let detail = |account: &str| server.page(&format!("/accountz?acc={account}"))["account_detail"].clone();
    for (account, has_streams) in [("A", true), ("C", false)] {
        let detail = detail(account);
        assert_eq!(detail["jetstream_enabled"], has_streams);
        let imports = detail["imports"].as_array().unwrap();
        assert!(imports.iter().any(|import| import["subject"] == "$JS.API.>"), "{account} may ask: {imports:?}");
    }
    assert_eq!(detail("$SYS")["jetstream_enabled"], false);
}

#[test]
fn requests_that_are_lost_are_told_in_the_system_account() {
    let house = House::new("request_queue_limit: 1", ACCOUNTS);
    let mut server = house.start();
    let (mut operator, mut peer) = (login(&server, "s"), login(&server, "a"));
    listen(&mut operator, "$JS.EVENT.ADVISORY.>");
    peer.send(&"PUB $JS.API.INFO x 0\r\n\r\n".repeat(2000));
    let told = operator.heard().unwrap();
    assert_eq!(told.subject, "$JS.EVENT.ADVISORY.API.LIMIT_REACHED");
    let told: serde_json::Value = serde_json::from_str(&told.body).unwrap();
    assert_eq!(told["type"], "io.nats.jetstream.advisory.v1.api_limit_reached");
    assert!(told["dropped"].as_u64().unwrap() > 0 && told["server"].is_string(), "{told}");
    server.logged("JetStream API queue limit reached, dropping");
}

#[test]
fn what_an_account_stores_is_removed_for_the_operator_alone_and_for_good() {
    let mut house = House::new("", ACCOUNTS);
    let mut server = house.start();
    let (mut a, mut b, mut operator) = (login(&server, "a"), login(&server, "b"), login(&server, "s"));
    a.call("STREAM.CREATE.ORDERS", ORDERS);
    b.call("STREAM.CREATE.ORDERS", ORDERS);
    a.store("orders.new", "planted-in-a");
    b.store("orders.new", "kept");
    let purged = operator.call("ACCOUNT.PURGE.A", "");
    assert_eq!(purged["initiated"], true);
    server.logged("Purge request for account A (streams: 1, hasAccount: true)");
    assert_eq!(a.refused("STREAM.INFO.ORDERS", ""), 10059);
    assert_eq!(b.call("STREAM.INFO.ORDERS", "")["state"]["messages"], 1);
    server.stop();
    let planted = |(_, bytes): &(_, Vec<u8>)| bytes.windows(12).any(|window| window == b"planted-in-a");
    assert!(!house.files().iter().any(planted), "nothing of it is on the disk");

    // An account that has streams no longer is served by nobody, and what it left can be removed all the same.
    house.configure("", &ACCOUNTS.replace("B { jetstream: enabled,", "B {"));
    let mut server = house.start();
    assert_eq!(login(&server, "s").call("ACCOUNT.PURGE.B", "")["initiated"], true);
    server.logged("Purge request for account B (streams: 1, hasAccount: true)");
    server.stop();
    house.configure("", ACCOUNTS);
    let server = house.start();
    assert_eq!(login(&server, "b").refused("STREAM.INFO.ORDERS", ""), 10059);
}

#[test]
fn a_group_gets_what_is_pushed_to_it_and_others_do_not() {
    let house = House::new("", ACCOUNTS);
    let server = house.start();
    let (mut peer, mut member) = (login(&server, "a"), login(&server, "a"));
    peer.call("STREAM.CREATE.ORDERS", ORDERS);
    let consumer = r#"{"stream_name":"ORDERS","config":{"durable_name":"crew","deliver_subject":"to.crew","deliver_group":"crew"}}"#;
    let bound = |peer: &mut Peer| peer.call("CONSUMER.INFO.ORDERS.crew", "")["push_bound"].as_bool().unwrap_or(false);
    peer.call("CONSUMER.DURABLE.CREATE.ORDERS.crew", consumer);
    let mut listener = login(&server, "a");
    listen(&mut listener, "to.crew");
    listener.send("SUB to.crew others 8\r\nPING\r\n");
    assert_eq!(listener.line().unwrap(), "PONG");
    peer.store("orders.new", "one");
    assert!(!bound(&mut peer), "nobody of the group is there");
    member.send("SUB to.crew crew 7\r\n");
    let first = member.heard().unwrap();
    assert_eq!((first.subject.as_str(), first.body.as_str()), ("orders.new", "one"));
    assert!(bound(&mut peer));
}

#[test]
fn a_mirror_answers_for_its_origin_when_that_is_gone() {
    let house = House::new("", ACCOUNTS);
    let server = house.start();
    let mut peer = login(&server, "a");
    peer.call("STREAM.CREATE.O", r#"{"name":"O","subjects":["o.>"],"allow_direct":true}"#);
    peer.store("o.1", "one");
    peer.call("STREAM.CREATE.M", r#"{"name":"M","mirror":{"name":"O"}}"#);
    while peer.call("STREAM.INFO.M", "")["state"]["messages"] != 1 {}
    assert!(peer.ask("$JS.API.DIRECT.GET.O.o.1", "").headers.contains("Nats-Stream: O\r\n"));
    peer.call("STREAM.DELETE.O", "");
    let read = peer.ask("$JS.API.DIRECT.GET.O.o.1", "");
    assert_eq!(read.body, "one");
    assert!(read.headers.contains("Nats-Stream: M\r\n"), "as the reference tells it: {}", read.headers);
    assert!(peer.ask("$JS.API.DIRECT.GET.X", "{\"seq\":1}").headers.starts_with("NATS/1.0 503"));
}
