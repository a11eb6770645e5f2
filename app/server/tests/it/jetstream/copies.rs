//! What whoever listens in the system account is shown of calls elsewhere.

use super::house::{Heard, House, Peer, Server};

const USERS: &str = r#"server_name: one
accounts {
    A { jetstream: enabled, users: [{ user: a, password: a }] }
    B { users: [{ user: b, password: b }] }
    SYS { users: [{ user: s, password: s }], exports: [{ stream: ">" }] }
    C { users: [{ user: c, password: c }], imports: [{ stream: { account: SYS, subject: "$JS.>" } }] }
}
system_account: SYS"#;

fn peer(server: &Server, user: &str) -> Peer {
    server.peer(&format!(",\"user\":\"{user}\",\"pass\":\"{user}\""))
}

/// A server, and somebody who listens in its system account.
fn scene() -> (House, Server, Peer) {
    let house = House::new("domain: D", USERS);
    let server = house.start();
    let mut system = peer(&server, "s");
    system.send("SUB $JS.> 2\r\nSUB _R_.> 3\r\nPING\r\n");
    assert_eq!(system.line().unwrap(), "PONG");
    (house, server, system)
}

/// The next two: a request and its answer.
fn pair(system: &mut Peer) -> (Heard, Heard) {
    let (request, answer) = (system.heard().unwrap(), system.heard().unwrap());
    assert!(request.reply.starts_with("_R_."), "{request:?}");
    assert_eq!(answer.subject, request.reply);
    (request, answer)
}

#[test]
fn a_call_is_shown_with_who_asks_and_what_was_answered() {
    let (_house, server, mut system) = scene();
    let mut a = peer(&server, "a");
    let said = a.ask("$JS.D.API.STREAM.CREATE.S", r#"{"name":"S","subjects":["s"]}"#);
    let (request, answer) = pair(&mut system);
    assert_eq!((&*request.subject, &*request.body), ("$JS.API.STREAM.CREATE.S", r#"{"name":"S","subjects":["s"]}"#));
    assert_eq!(answer.body, said.body);
    let info = request.headers.split_once("Nats-Request-Info: ").unwrap().1;
    let info: serde_json::Value = serde_json::from_str(info.trim_end()).unwrap();
    assert_eq!((&info["acc"], &info["user"], &info["server"]), (&"A".into(), &"a".into(), &"one".into()));
    // It was done once.
    assert_eq!(a.call("STREAM.NAMES", "")["streams"], serde_json::json!(["S"]));
    pair(&mut system);
}

#[test]
fn who_asks_is_not_what_the_request_says() {
    let (_house, server, mut system) = scene();
    peer(&server, "b").ask_with("$JS.API.INFO", "Nats-Request-Info: {\"acc\":\"A\"}", "");
    let (request, answer) = pair(&mut system);
    assert_eq!(request.headers.matches("Nats-Request-Info").count(), 1);
    assert!(request.headers.contains(r#""acc":"B","user":"b""#), "{request:?}");
    assert!(answer.body.contains("10039"), "an account without streams: {answer:?}");
}

#[test]
fn what_is_fetched_is_not_shown_and_what_a_message_says_neither() {
    let (_house, server, mut system) = scene();
    let mut a = peer(&server, "a");
    a.call("STREAM.CREATE.S", r#"{"name":"S","subjects":["s"],"allow_direct":true}"#);
    a.call("CONSUMER.CREATE.S.c", r#"{"stream_name":"S","config":{"name":"c","ack_policy":"explicit"}}"#);
    pair(&mut system);
    pair(&mut system);
    a.store("s", "secret");
    assert_eq!(a.pull("S", "c").body, "secret");
    assert_eq!(a.ask("$JS.API.DIRECT.GET.S", r#"{"seq":1}"#).body, "secret");
    assert!(a.call("STREAM.MSG.GET.S", r#"{"seq":1}"#)["message"]["data"].is_string());
    let request = system.heard().unwrap();
    assert_eq!(request.subject, "$JS.API.STREAM.MSG.GET.S");
    // A bucket of this domain is written to by its prefix.
    a.call("STREAM.CREATE.KV_b", r#"{"name":"KV_b","subjects":["$KV.b.>"]}"#);
    pair(&mut system);
    a.store("$JS.D.API.$KV.b.key", "secret");
    a.call("STREAM.NAMES", "");
    assert_eq!(pair(&mut system).0.subject, "$JS.API.STREAM.NAMES");
}

#[test]
fn nobody_answers_for_the_server_and_nobody_else_is_shown_anything() {
    let (_house, server, mut system) = scene();
    let mut other = peer(&server, "c");
    other.send("SUB $JS.> 2\r\nSUB _R_.> 3\r\nPING\r\n");
    assert_eq!(other.line().unwrap(), "PONG");
    let mut a = peer(&server, "a");
    // Nobody knows this call, so what is shown of it stays open.
    let inbox = a.inbox();
    a.send(&format!("PUB $JS.API.NOSUCH {inbox} 0\r\n\r\n"));
    let request = system.heard().unwrap();
    assert_eq!(request.subject, "$JS.API.NOSUCH");
    system.send(&format!("PUB {} 2\r\nhi\r\nPING\r\n", request.reply));
    assert_eq!(system.heard().unwrap().body, "hi", "in the system account, and nowhere else");
    assert_eq!(a.call("STREAM.NAMES", "")["total"], 0, "the first that comes");
    other.send("PING\r\n");
    assert_eq!(other.line().unwrap(), "PONG", "no copy before it");
}
