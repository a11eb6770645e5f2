//! What the server says where others have told it to is no order: with its rights nobody commands who has none of his own.

use super::house::{House, Peer, Server};

const ACCOUNTS: &str = r#"accounts {
    A { jetstream: enabled, users: [
        { user: boss, password: boss }
        { user: low, password: low, permissions: {
            publish: ["mine.>", "$JS.API.DIRECT.GET.MINE", "$SYS.REQ.USER.INFO", "svc"], subscribe: ["_I.>"] } } ]
        imports: [{ service: { account: B, subject: "svc" } }] }
    B { jetstream: enabled, users: [{ user: other, password: other }], exports: [{ service: "svc" }] }
}"#;

fn login(server: &Server, name: &str) -> Peer {
    server.peer(&format!(",\"user\":\"{name}\",\"pass\":\"{name}\""))
}

/// Everything asked before has been done, and X has its one message.
fn stands(low: &mut Peer, boss: &mut Peer, what: &str) {
    low.ask("$JS.API.DIRECT.GET.MINE", r#"{"last_by_subj":"mine.none"}"#);
    assert_eq!(boss.call("STREAM.INFO.X", "")["state"]["messages"], 1, "{what}");
}

#[test]
fn a_reply_a_delivery_or_an_acknowledgement_is_no_order() {
    let house = House::new("strict: false", ACCOUNTS);
    let server = house.start();
    let (mut boss, mut low) = (login(&server, "boss"), login(&server, "low"));
    boss.call("STREAM.CREATE.MINE", r#"{"name":"MINE","subjects":["mine.>"],"allow_direct":true}"#);
    boss.call("STREAM.CREATE.X", r#"{"name":"X","subjects":["x"]}"#);
    boss.store("x", "kept");
    low.store("mine.nothing", "");
    low.store("mine.all", r#"{"name":"COPY","sources":[{"name":"X"}]}"#);
    for order in ["STREAM.DELETE.X", "STREAM.PURGE.X"] {
        let get = r#"{"last_by_subj":"mine.nothing"}"#;
        low.send(&format!("PUB $JS.API.DIRECT.GET.MINE $JS.API.{order} {}\r\n{get}\r\n", get.len()));
        stands(&mut low, &mut boss, order);
        low.send(&format!("PUB mine.word $JS.API.{order} 1\r\nx\r\n"));
        stands(&mut low, &mut boss, &format!("{order} by an acknowledgement"));
        low.send(&format!("PUB $SYS.REQ.USER.INFO $JS.API.{order} 0\r\n\r\n"));
        stands(&mut low, &mut boss, &format!("{order} by what is told of a user"));
    }
    let get = r#"{"last_by_subj":"mine.all"}"#;
    low.send(&format!("PUB $JS.API.DIRECT.GET.MINE $JS.API.STREAM.CREATE.COPY {}\r\n{get}\r\n", get.len()));
    stands(&mut low, &mut boss, "a copy");
    assert_eq!(boss.refused("STREAM.INFO.COPY", ""), 10_059, "nothing was made");
    let consumer = r#"{"stream_name":"MINE","config":{"durable_name":"c","deliver_subject":"$JS.API.STREAM.PURGE.X"}}"#;
    let _ = boss.ask("$JS.API.CONSUMER.CREATE.MINE.c", consumer);
    low.store("mine.word", "");
    stands(&mut low, &mut boss, "a delivery");
}

#[test]
fn an_answer_from_another_account_is_no_order() {
    let house = House::new("strict: false", ACCOUNTS);
    let server = house.start();
    let (mut boss, mut low, mut other) = (login(&server, "boss"), login(&server, "low"), login(&server, "other"));
    boss.call("STREAM.CREATE.MINE", r#"{"name":"MINE","subjects":["mine.>"],"allow_direct":true}"#);
    boss.call("STREAM.CREATE.X", r#"{"name":"X","subjects":["x"]}"#);
    boss.store("x", "kept");
    other.send("SUB svc 9\r\nPING\r\n");
    assert_eq!(other.line().unwrap(), "PONG");
    low.send("PUB svc $JS.API.STREAM.DELETE.X 0\r\n\r\n");
    let asked = other.heard().unwrap();
    other.send(&format!("PUB {} 0\r\n\r\nPING\r\n", asked.reply));
    assert_eq!(other.line().unwrap(), "PONG");
    stands(&mut low, &mut boss, "an answer");
}
