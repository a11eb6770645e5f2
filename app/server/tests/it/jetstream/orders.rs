//! What the server says where others have told it to is no order: with its rights nobody commands who has none of his own.

use super::house::{House, Peer, Server};

/// A stream of the low user's own, which may take the place of others and read by itself.
const MINE: &str = r#"{"name":"MINE","subjects":["mine.>"],"allow_direct":true,"allow_rollup_hdrs":true}"#;

const ACCOUNTS: &str = r#"accounts {
    A { jetstream: enabled, users: [
        { user: boss, password: boss }
        { user: low, password: low, permissions: {
            publish: ["mine.>", "$JS.API.DIRECT.GET.MINE", "$SYS.REQ.USER.INFO", "svc"],
            subscribe: ["_I.>", "$JS.ACK.MINE.>"] } } ]
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
        let reply = format!("$JS.API.{order}");
        let get = r#"{"last_by_subj":"mine.nothing"}"#;
        low.send(&format!("PUB $JS.API.DIRECT.GET.MINE {reply} {}\r\n{get}\r\n", get.len()));
        low.is_not_answered_on(&reply);
        stands(&mut low, &mut boss, order);
        low.send(&format!("PUB mine.word {reply} 1\r\nx\r\n"));
        low.is_not_answered_on(&reply);
        stands(&mut low, &mut boss, &format!("{order} by an acknowledgement"));
        low.send(&format!("PUB $SYS.REQ.USER.INFO {reply} 0\r\n\r\n"));
        low.is_not_answered_on(&reply);
        stands(&mut low, &mut boss, &format!("{order} by what is told of a user"));
    }
    let get = r#"{"last_by_subj":"mine.all"}"#;
    low.send(&format!("PUB $JS.API.DIRECT.GET.MINE $JS.API.STREAM.CREATE.COPY {}\r\n{get}\r\n", get.len()));
    low.is_not_answered_on("$JS.API.STREAM.CREATE.COPY");
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

/// Has the server answer `reply` with the last message of a subject.
fn say_last(low: &mut Peer, subject: &str, reply: &str) {
    let get = format!(r#"{{"last_by_subj":"{subject}"}}"#);
    low.send(&format!("PUB $JS.API.DIRECT.GET.MINE {reply} {}\r\n{get}\r\n", get.len()));
}

/// Everything that was said before, and what that led to, has been done.
fn settle(low: &mut Peer) {
    for _ in 0..3 {
        let heard = low.ask("$JS.API.DIRECT.GET.MINE", r#"{"last_by_subj":"mine.none"}"#);
        assert!(heard.headers.starts_with("NATS/1.0 404"), "something else came: {heard:?}");
    }
}

#[test]
fn what_is_said_on_somebodys_word_asks_for_no_next_message() {
    let house = House::new("strict: false", ACCOUNTS);
    let server = house.start();
    let (mut boss, mut low) = (login(&server, "boss"), login(&server, "low"));
    boss.call("STREAM.CREATE.MINE", MINE);
    boss.call("STREAM.CREATE.X", r#"{"name":"X","subjects":["x"],"retention":"workqueue"}"#);
    boss.call("CONSUMER.CREATE.X.c", r#"{"stream_name":"X","config":{"durable_name":"c","ack_policy":"explicit"}}"#);
    boss.store("x", "first");
    boss.store("x", "second");
    let first = boss.pull("X", "c");
    low.store("mine.next", "+NXT");
    // A delivery has a reply that may be listened to: it would be done with what somebody else has, and read the next one.
    low.send("SUB $JS.ACK.MINE.> 7\r\n");
    let deliver = &first.reply;
    let config = format!(r#"{{"durable_name":"d","ack_policy":"none","deliver_subject":"{deliver}"}}"#);
    boss.call("CONSUMER.CREATE.MINE.d", &format!(r#"{{"stream_name":"MINE","config":{config}}}"#));
    settle(&mut low);
    assert_eq!(boss.call("CONSUMER.INFO.X.c", "")["num_pending"], 1, "nobody was given the next one");
    assert_eq!(boss.call("STREAM.INFO.X", "")["state"]["messages"], 2);
    assert!(boss.ask(&first.reply, "+NXT").body == "second", "whoever may asks himself");
}

#[test]
fn what_is_said_on_somebodys_word_removes_and_schedules_nothing() {
    let house = House::new("strict: false", ACCOUNTS);
    let server = house.start();
    let (mut boss, mut low, mut other) = (login(&server, "boss"), login(&server, "low"), login(&server, "other"));
    boss.call("STREAM.CREATE.MINE", MINE);
    let taking = r#""allow_rollup_hdrs":true,"allow_msg_schedules":true"#;
    boss.call("STREAM.CREATE.K", &format!(r#"{{"name":"K","subjects":["k.>"],{taking}}}"#));
    assert_eq!((boss.store("k.a", "kept"), boss.store("k.b", "kept")), (1, 2));
    assert!(low.ask_with("mine.all", "Nats-Rollup: all", "").body.contains("\"seq\":1"), "it may with its own");
    say_last(&mut low, "mine.all", "k.c");
    low.is_not_answered_on("k.c");
    settle(&mut low);
    assert_eq!(boss.call("STREAM.INFO.K", "")["state"]["last_seq"], 2, "by an answer of a stream");

    other.send("SUB svc 9\r\nPING\r\n");
    assert_eq!(other.line().unwrap(), "PONG");
    let schedule = "Nats-Schedule: @at 2035-01-01T00:00:00Z\r\nNats-Schedule-Target: k.a";
    for header in ["Nats-Rollup: all", "nats-rollup: sub", schedule, "Nats-Schedule-Next: purge\r\nNats-Scheduler: k.a"]
    {
        low.send("PUB svc k.c 0\r\n\r\n");
        let asked = other.heard().unwrap();
        let block = format!("NATS/1.0\r\n{header}\r\n\r\n");
        other.send(&format!("HPUB {} {1} {1}\r\n{block}\r\nPING\r\n", asked.reply, block.len()));
        assert_eq!(other.line().unwrap(), "PONG");
        settle(&mut low);
        assert_eq!(
            boss.call("STREAM.INFO.K", "")["state"]["last_seq"],
            2,
            "by an answer from another account: {header}"
        );
    }
    assert!(boss.ask_with("k.c", schedule, "").body.contains("\"seq\":3"), "whoever may does it himself");
}

/// A delivery without a body would be an acknowledgement, whatever it says in its headers.
#[test]
fn what_is_said_on_somebodys_word_acknowledges_nothing() {
    let house = House::new("strict: false", ACCOUNTS);
    let server = house.start();
    let (mut boss, mut low) = (login(&server, "boss"), login(&server, "low"));
    boss.call("STREAM.CREATE.MINE", MINE);
    boss.call("STREAM.CREATE.X", r#"{"name":"X","subjects":["x"],"retention":"workqueue"}"#);
    boss.call("CONSUMER.CREATE.X.c", r#"{"stream_name":"X","config":{"durable_name":"c","ack_policy":"explicit"}}"#);
    for body in ["first", "second"] {
        boss.store("x", body);
    }
    let first = boss.pull("X", "c");
    let stands = |low: &mut Peer, boss: &mut Peer, what: &str| {
        settle(low);
        let info = boss.call("CONSUMER.INFO.X.c", "");
        assert_eq!((&info["num_ack_pending"], &info["num_redelivered"]), (&1.into(), &0.into()), "{what}: {info}");
        assert_eq!(boss.call("STREAM.INFO.X", "")["state"]["messages"], 2, "{what}");
    };
    let deliver = &first.reply;
    let config = format!(r#"{{"durable_name":"d","ack_policy":"none","deliver_subject":"{deliver}"}}"#);
    boss.call("CONSUMER.CREATE.MINE.d", &format!(r#"{{"stream_name":"MINE","config":{config}}}"#));
    for word in ["", "+ACK", "+OK", "+TERM because", "+NXT", "-NAK"] {
        low.store("mine.word", word);
        stands(&mut low, &mut boss, word);
    }
    assert_eq!(boss.pull("X", "c").body, "second", "nothing comes again");
    assert_eq!(boss.ask(&first.reply, "+ACK").body, "", "whoever may does it himself");
    assert_eq!(boss.call("STREAM.INFO.X", "")["state"]["messages"], 1);
}

#[test]
fn what_is_said_on_somebodys_word_is_not_told_the_last_of_what_is_stored() {
    let house = House::new("strict: false", ACCOUNTS);
    let server = house.start();
    let (mut boss, mut low, mut other) = (login(&server, "boss"), login(&server, "low"), login(&server, "other"));
    boss.call("STREAM.CREATE.MINE", MINE);
    boss.call("STREAM.CREATE.K", r#"{"name":"K","subjects":["k.>"]}"#);
    boss.call("STREAM.CREATE.N", r#"{"name":"N","subjects":["n.>"],"allow_msg_counter":true}"#);
    boss.store("k.a", "kept");
    boss.ask_with("n.a", "Nats-Incr: +7", "");
    other.send("SUB svc 9\r\nPING\r\n");
    assert_eq!(other.line().unwrap(), "PONG");
    for (to, header, told) in [
        ("k.b", "Nats-Expected-Last-Subject-Sequence: 9\r\nNats-Expected-Last-Subject-Sequence-Subject: k.a", "10164"),
        ("n.a", "Nats-Incr: +0", "{\"stream\":\"N\",\"seq\":2}"),
    ] {
        low.send(&format!("PUB svc {to} 0\r\n\r\n"));
        let asked = other.heard().unwrap();
        let (block, inbox) = (format!("NATS/1.0\r\n{header}\r\n\r\n"), other.inbox());
        other.send(&format!("HPUB {} {inbox} {1} {1}\r\n{block}\r\n", asked.reply, block.len()));
        let answer = other.heard().unwrap();
        assert!(answer.body.contains(told), "{header}: {answer:?}");
    }
}
