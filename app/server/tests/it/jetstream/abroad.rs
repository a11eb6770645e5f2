//! Readers in another cluster: what binds them is told over the gateway, and judged where the stream is.

use std::net::SocketAddr;

use super::house::{House, Peer, Server};
use super::wire::Wire;

const STREAM: &str = r#"{"name":"S","subjects":["open.>","secret.>"],"allow_direct":true,"allow_msg_schedules":true,"allow_rollup_hdrs":true}"#;

/// The account where the stream is. Here nobody is bound by anything.
const HERE: &str = "accounts { A { jetstream: enabled, users: [{ user: boss, password: boss }] } }";

/// The same account in the other cluster. `boss` may everything, `clerk` must not have `secret.>`, `inbox` has inboxes only, `poor`
/// may publish little, and `leaf` is a leaf node that must not have `secret.>`.
fn there(more: &str) -> String {
    let users = r#"
        { user: boss, password: boss }
        { user: clerk, password: clerk, permissions: { subscribe: { deny: ["secret.>"] } } }
        { user: inbox, password: inbox, permissions: { publish: ["$JS.API.>", "$JS.ACK.>"], subscribe: ["_I.>"] } }
        { user: poor, password: poor, permissions: { publish: ["open.mine", "$JS.API.>"] } }
        { user: leaf, password: leaf, permissions: { subscribe: { deny: ["secret.>"] } } }"#;
    format!(
        "accounts {{ A {{ users: [{users}\n{more}]\nexports: [{{ service: \"$JS.API.STREAM.NAMES\" }}]\n\
         imports: [{{ service: {{ account: B, subject: svc }} }}] }}\n\
         B {{ users: [{{ user: other, password: other }}], exports: [{{ service: svc }}]\n\
         imports: [{{ service: {{ account: A, subject: \"$JS.API.STREAM.NAMES\" }}, to: names }}] }}\n\
         SYS {{ users: [{{ user: s, password: s }}] }} }}\nsystem_account: SYS\n\
         leafnodes {{ listen: \"127.0.0.1:-1\" }}"
    )
}

/// Two clusters of one server. The first keeps streams.
struct Pair {
    _houses: [House; 2],
    one: Server,
    two: Server,
}

impl Pair {
    /// `block` stands in the `jetstream` block, `gateway` in the first one's `gateway` block, `users` are further ones of the
    /// second one.
    fn new(block: &str, gateway: &str, users: &str) -> Self {
        let ways = format!("gateway {{ name: C1, listen: \"127.0.0.1:-1\" {gateway} }}");
        let first = House::new(block, &format!("server_name: ONE\n{HERE}\n{ways}"));
        let mut one = first.start();
        let remote = format!("{{ name: C1, url: \"nats://{}\" }}", one.port_of("gateways"));
        let ways = format!("gateway {{ name: C2, listen: \"127.0.0.1:-1\", gateways: [{remote}] }}");
        let second = House::empty(&format!("server_name: TWO\n{}\n{ways}", there(users)));
        let mut two = second.start();
        two.has_logged("Outbound gateway connection to \"C1\"");
        one.has_logged("Outbound gateway connection to \"C2\"");
        let pair = Self { _houses: [first, second], one, two };
        until_answered(&mut pair.there("boss"));
        pair
    }

    fn here(&self) -> Peer {
        self.one.peer(&login("boss"))
    }

    fn there(&self, user: &str) -> Peer {
        self.two.peer(&login(user))
    }

    /// With one open and two secret messages, in this order: secret, open, secret.
    fn furnished(block: &str, gateway: &str, users: &str) -> Self {
        let pair = Self::new(block, gateway, users);
        let mut boss = pair.here();
        boss.call("STREAM.CREATE.S", STREAM);
        for (seq, subject) in (1..).zip(["secret.a", "open.a", "secret.b"]) {
            assert_eq!(boss.store(subject, &format!("body of {subject}")), seq);
        }
        pair
    }
}

fn login(name: &str) -> String {
    format!(",\"user\":\"{name}\",\"pass\":\"{name}\"")
}

/// Until the interface of streams is known where the peer is.
fn until_answered(peer: &mut Peer) {
    while peer.ask("$JS.API.INFO", "").headers.starts_with("NATS/1.0 503") {
        std::thread::yield_now();
    }
}

fn consumer(name: &str, more: &str) -> String {
    format!(r#"{{"stream_name":"S","config":{{"durable_name":"{name}","ack_policy":"explicit"{more}}}}}"#)
}

/// The answer to a direct read.
fn direct(peer: &mut Peer, body: &str) -> String {
    let heard = peer.ask("$JS.API.DIRECT.GET.S", body);
    format!("{}{}", heard.headers.lines().next().unwrap_or_default(), heard.body)
}

#[test]
fn a_consumer_made_from_abroad_never_reads_what_its_user_is_denied_there() {
    let mut pair = Pair::furnished("", "", "");
    let mut clerk = pair.there("clerk");
    assert_eq!(clerk.refused("CONSUMER.CREATE.S.c", &consumer("c", r#","filter_subject":"secret.a""#)), 19_001);
    let line = pair.one.logged("Subscription Violation - Subject \"secret.a\"");
    assert!(line.contains("gid:") && line.contains("\"A/user:clerk\""), "{line}");
    assert!(line.contains("deny \"secret.>\" (told by server \"TWO\")"), "{line}");

    let made = clerk.call("CONSUMER.CREATE.S.c", &consumer("c", ""));
    assert_eq!(made["num_pending"], 1, "what is withheld is not counted");
    let message = clerk.pull("S", "c");
    assert_eq!((message.subject.as_str(), message.body.as_str()), ("open.a", "body of open.a"));
    assert!(clerk.pull("S", "c").headers.starts_with("NATS/1.0 404"));
    let mut here = pair.here();
    assert!(here.pull("S", "c").headers.starts_with("NATS/1.0 404"), "it is bound whoever pulls");

    let mut boss = pair.there("boss");
    boss.call("CONSUMER.CREATE.S.all", &consumer("all", ""));
    let first = boss.pull("S", "all");
    assert_eq!(first.subject, "secret.a", "nothing binds this one");
    let refused = clerk.pull("S", "all");
    assert_eq!(refused.subject, "open.a", "a pull is bound by what the puller may read");
    let refused = clerk.ask(&first.reply, "+NXT");
    assert!(refused.headers.starts_with("NATS/1.0 409 Permissions Violation"), "{refused:?}");
}

#[test]
fn single_messages_that_are_denied_there_are_as_if_they_were_not_here() {
    let pair = Pair::furnished("", "", "");
    let (mut clerk, mut boss) = (pair.there("clerk"), pair.there("boss"));
    for body in [r#"{"seq":1}"#, r#"{"last_by_subj":"secret.b"}"#] {
        assert_eq!(clerk.refused("STREAM.MSG.GET.S", body), 10037);
        assert_eq!(direct(&mut clerk, body), "NATS/1.0 404 Message Not Found");
    }
    assert!(clerk.ask("$JS.API.DIRECT.GET.S.secret.b", "").headers.starts_with("NATS/1.0 404"));
    assert!(direct(&mut clerk, r#"{"seq":2}"#).ends_with("body of open.a"));
    assert_eq!(clerk.ask("$JS.API.DIRECT.GET.S", r#"{"multi_last":[">"]}"#).body, "body of open.a");
    assert!(clerk.heard().unwrap().headers.starts_with("NATS/1.0 204 EOB"));
    assert_eq!(clerk.ask("$JS.API.DIRECT.GET.S", r#"{"seq":1,"batch":10}"#).body, "body of open.a");
    assert!(clerk.heard().unwrap().headers.starts_with("NATS/1.0 204 EOB"));
    let info = clerk.call("STREAM.INFO.S", r#"{"subjects_filter":">"}"#);
    assert_eq!(info["state"]["subjects"], serde_json::json!({"open.a": 1}));
    assert!(direct(&mut boss, r#"{"seq":1}"#).ends_with("body of secret.a"));
}

#[test]
fn no_copy_leads_around_it() {
    let pair = Pair::furnished("", "", "");
    let mut clerk = pair.there("clerk");
    for config in [
        r#"{"name":"T","mirror":{"name":"S"}}"#,
        r#"{"name":"T","sources":[{"name":"S","subject_transforms":[{"src":"secret.>","dest":"plain.>"}]}]}"#,
        r#"{"name":"T","subjects":["secretly.>"],"republish":{"src":"secret.>","dest":"plain.>"}}"#,
    ] {
        assert_eq!(clerk.refused("STREAM.CREATE.T", config), 19_001, "{config}");
    }
    assert_eq!(clerk.refused("STREAM.SNAPSHOT.S", r#"{"deliver_subject":"_I.x"}"#), 19_001);
    let source = "Nats-Schedule: @every 1s\r\nNats-Schedule-Target: open.b\r\nNats-Schedule-Source: secret.a";
    let refused = clerk.ask_with("open.schedule", source, "");
    assert!(refused.body.contains("19001"), "{refused:?}");
    pair.there("boss").call("STREAM.CREATE.T", r#"{"name":"T","mirror":{"name":"S"}}"#);
}

#[test]
fn what_a_message_has_a_stream_remove_or_publish_its_sender_there_may_publish_to() {
    let mut pair = Pair::furnished("", "", "");
    let (mut poor, mut boss) = (pair.there("poor"), pair.there("boss"));
    let refused = poor.ask_with("open.mine", "Nats-Rollup: all", "");
    assert!(refused.body.contains("10111"), "{refused:?}");
    let line = pair.one.logged("Publish Violation - Subject \"open.>\"");
    assert!(line.contains("\"A/user:poor\"") && line.contains("told by server \"TWO\""), "{line}");
    let schedule = |target: &str| format!("Nats-Schedule: @at 2035-01-01T00:00:00Z\r\nNats-Schedule-Target: {target}");
    let refused = poor.ask_with("open.mine", &schedule("open.other"), "");
    assert!(refused.body.contains("10190"), "{refused:?}");
    let refused = poor.ask_with("open.mine", "Nats-Schedule-Next: purge\r\nNats-Scheduler: open.boss", "");
    assert!(refused.body.contains("10212"), "{refused:?}");
    assert!(poor.ask_with("open.mine", "Nats-Rollup: sub", "").body.contains(r#""seq":4"#));
    let taken = boss.ask_with("open.mine", &schedule("open.other"), "");
    assert!(taken.body.contains(r#""seq":5"#), "{taken:?}");
    assert!(boss.ask_with("open.mine", "Nats-Rollup: all", "").body.contains(r#""seq":6"#));
}

#[test]
fn a_refusal_does_not_tell_the_last_of_what_may_not_be_read_there() {
    let pair = Pair::furnished("", "", "");
    let expects = "Nats-Expected-Last-Subject-Sequence: 77\r\nNats-Expected-Last-Subject-Sequence-Subject: secret.>";
    for (user, code) in [("clerk", 10_164), ("boss", 10_071)] {
        let refused = pair.there(user).ask_with("open.a", expects, "").body;
        assert!(refused.contains(&format!("\"err_code\":{code}")), "{user}: {refused}");
    }
}

#[test]
fn who_asks_there_is_answered_where_he_may_publish_there() {
    let mut pair = Pair::furnished("", "", "");
    let (mut poor, mut boss) = (pair.there("poor"), pair.there("boss"));
    boss.send("SUB open.> 9\r\nPING\r\n");
    while boss.line().unwrap() != "PONG" {}
    for to in ["open.hers", "open.mine"] {
        poor.send(&format!("PUB $JS.API.DIRECT.GET.S {to} 9\r\n{{\"seq\":2}}\r\n"));
        assert!(direct(&mut poor, r#"{"seq":2}"#).ends_with("body of open.a"), "its inbox is open");
    }
    let heard = boss.heard().unwrap();
    assert_eq!((heard.subject.as_str(), heard.body.as_str()), ("open.mine", "body of open.a"));
    let line = pair.one.logged("Publish Violation - Reply \"open.hers\"");
    assert!(line.contains("\"A/user:poor\""), "{line}");
}

#[test]
fn which_permissions_bind_is_the_choice_of_the_server_with_the_stream() {
    let pair = Pair::furnished("", "", "");
    let mut inbox = pair.there("inbox");
    assert!(direct(&mut inbox, r#"{"seq":1}"#).ends_with("body of secret.a"));
    let pair = Pair::furnished("subscribe_permissions: all", "", "");
    let (mut inbox, mut boss) = (pair.there("inbox"), pair.there("boss"));
    assert_eq!(inbox.refused("CONSUMER.CREATE.S.c", &consumer("c", "")), 19_001);
    assert_eq!(direct(&mut inbox, r#"{"seq":2}"#), "NATS/1.0 404 Message Not Found");
    assert!(direct(&mut boss, r#"{"seq":1}"#).ends_with("body of secret.a"));
    let pair = Pair::furnished("subscribe_permissions: \"off\"", "", "");
    assert!(direct(&mut pair.there("clerk"), r#"{"seq":1}"#).ends_with("body of secret.a"));
}

#[test]
fn lists_that_are_too_long_to_be_told_open_nothing() {
    let denied: String = (0..2000).map(|number| format!("\"far.away.{number}\", ")).collect();
    let user = format!("{{ user: long, password: long, permissions: {{ subscribe: {{ deny: [{denied}] }} }} }}");
    assert!(user.len() > 16 * 1024);
    let mut pair = Pair::furnished("", "", &user);
    let mut long = pair.there("long");
    assert_eq!(direct(&mut long, r#"{"seq":2}"#), "NATS/1.0 404 Message Not Found");
    assert_eq!(long.refused("CONSUMER.CREATE.S.c", &consumer("c", "")), 19_001);
    let line = pair.one.logged("too long to be told");
    assert!(line.contains("\"A/user:long\""), "{line}");
}

/// The far end of a leaf connection, by hand: it says whatever it likes.
fn leaf(at: SocketAddr) -> Wire {
    let mut leaf = Wire::to(at);
    leaf.line_that("INFO ");
    leaf.say("CONNECT {\"user\":\"leaf\",\"pass\":\"leaf\",\"name\":\"LEAF\",\"server_id\":\"NLEAF\",\"cluster\":\"LEAF\",\"headers\":true,\"protocol\":1}\r\n");
    leaf.say("LS+ mine.>\r\n");
    leaf.settle();
    leaf
}

#[test]
fn a_leaf_node_is_bound_by_the_lists_of_its_user_at_its_hub() {
    let mut pair = Pair::furnished("", "", "");
    let mut leaf = leaf(pair.two.port_of("leafnode"));
    let mut direct = |body: &str| {
        leaf.say(&format!("LMSG $JS.API.DIRECT.GET.S mine.1 {}\r\n{body}\r\n", body.len()));
        leaf.message().1
    };
    assert!(direct(r#"{"seq":1}"#).contains("404 Message Not Found"));
    assert!(direct(r#"{"seq":2}"#).contains("body of open.a"));
    let body = consumer("c", r#","filter_subject":"secret.a""#);
    leaf.say(&format!("LMSG $JS.API.CONSUMER.CREATE.S.c mine.2 {}\r\n{body}\r\n", body.len()));
    assert!(leaf.message().1.contains("19001"));
    let line = pair.one.logged("Subscription Violation - Subject \"secret.a\"");
    assert!(line.contains("\"A/user:leaf\"") && line.contains("told by server \"TWO\""), "{line}");
}

/// A reply with the mark by which an answer finds back to the server of a cluster.
pub(super) fn mark(cluster: &str, server: &str, reply: &str) -> String {
    let [cluster, server] = [cluster, server].map(topology::GatewayHash::of);
    let text = |hash: topology::GatewayHash| String::from_utf8(hash.as_bytes().to_vec()).unwrap();
    format!("_GR_.{}.{}.{reply}", text(cluster), text(server))
}

#[test]
fn an_answer_is_no_way_around_it() {
    let pair = Pair::furnished("", "", "");
    let mut boss = pair.here();
    boss.call("CONSUMER.CREATE.S.secret", &consumer("secret", r#","filter_subject":"secret.>""#));
    let first = boss.pull("S", "secret");
    assert_eq!(first.subject, "secret.a");
    boss.send("SUB home 9\r\nPING\r\n");
    assert_eq!(boss.line().unwrap(), "PONG");
    let server = boss.info["server_id"].as_str().unwrap().to_owned();
    let mark = |reply: &str| mark("C1", &server, reply);
    // A leaf node may send answers on their way back. Where one arrives is no place where orders are taken.
    let mut leaf = leaf(pair.two.port_of("leafnode"));
    let mut say = |subject: &str, reply: &str, body: &str| {
        leaf.say(&format!("LMSG {subject} {reply} {}\r\n{body}\r\n", body.len()));
    };
    say(&mark("home"), "mine.1", "here it is");
    say(&mark("$JS.API.DIRECT.GET.S"), "mine.2", r#"{"seq":2}"#);
    say("$JS.API.DIRECT.GET.S", "mine.3", r#"{"seq":2}"#);
    say(&mark(&first.reply), "mine.4", "+NXT");
    // Streams answer in the order in which they are asked.
    let (head, body) = leaf.message();
    assert!(head.contains("mine.3") && body.contains("body of open.a"), "{head} {body}");
    let (head, body) = leaf.message();
    assert!(head.contains("mine.4") && body.contains("409 Permissions Violation"), "{head} {body}");
    assert_eq!(boss.heard().unwrap().body, "here it is");
}

/// What binds nobody.
const FREE: &str = r#"{"who":"user:boss","publish":{},"subscribe":{}}"#;

fn rights(json: &str) -> String {
    format!("RIGHTS {}\r\n{json}\r\n", json.len())
}

#[test]
fn rights_are_told_by_servers_and_by_nobody_else() {
    let pair = Pair::furnished("", "", "");
    let mut clerk = pair.there("clerk");
    clerk.send(&rights(FREE));
    assert_eq!(clerk.line().unwrap(), "-ERR 'Unknown Protocol Operation'");
    let mut leaf = leaf(pair.two.port_of("leafnode"));
    leaf.say(&rights(FREE));
    leaf.line_that("-ERR 'Unknown Protocol Operation'");
    // Nor is there a word for it among headers.
    let mut clerk = pair.there("clerk");
    for header in ["RIGHTS: {}", "Nats-Rights: {}", "Bulwark-Rights: {}"] {
        let heard = clerk.ask_with("$JS.API.DIRECT.GET.S.secret.a", header, "");
        assert!(heard.headers.starts_with("NATS/1.0 404"), "{heard:?}");
    }
}

#[test]
fn who_receives_a_message_is_not_told_what_binds_its_publisher() {
    let pair = Pair::furnished("", "", "");
    let (mut boss, mut clerk) = (pair.here(), pair.there("clerk"));
    boss.send("SUB $JS.API.DIRECT.GET.> 7\r\nSUB open.> 8\r\nPING\r\n");
    assert_eq!(boss.line().unwrap(), "PONG");
    clerk.ask("$JS.API.DIRECT.GET.S", r#"{"seq":2}"#);
    let heard = boss.heard().unwrap();
    assert_eq!((heard.headers.as_str(), heard.body.as_str()), ("", r#"{"seq":2}"#));
    clerk.ask_with("open.b", "Nats-Rollup: sub", "x");
    let heard = boss.heard().unwrap();
    assert_eq!((heard.headers.as_str(), heard.body.as_str()), ("NATS/1.0\r\nNats-Rollup: sub\r\n\r\n", "x"));
}

/// A server of cluster `OLD` comes in, by hand. `more` stands in its INFO.
pub(super) fn gateway(at: SocketAddr, more: &str) -> Wire {
    let mut gateway = Wire::to(at);
    gateway.line_that("INFO ");
    gateway.say("CONNECT {\"echo\":false,\"verbose\":false,\"name\":\"NOLD\",\"gateway\":\"OLD\"}\r\n");
    gateway.say(&format!(
        "INFO {{\"server_id\":\"NOLD\",\"server_name\":\"OLD\",\"version\":\"2.15.1\",\"proto\":3,\"host\":\"127.0.0.1\",\"port\":1,\
         \"headers\":true,\"max_payload\":1048576,\"gateway\":\"OLD\",\"gateway_urls\":[],\"gateway_nrp\":true,\
         \"gateway_iom\":true{more}}}\r\n"
    ));
    gateway.settle();
    gateway
}

#[test]
fn a_server_that_tells_no_rights_is_named_in_the_log_and_may_be_refused() {
    let accounts = format!("server_name: ONE\n{HERE}");
    for (block, is_open) in [("", true), (", require_rights: true", false)] {
        let house = House::new("", &format!("{accounts}\ngateway {{ name: C1, listen: \"127.0.0.1:-1\"{block} }}"));
        let mut one = house.start();
        let mut boss = one.peer(&login("boss"));
        boss.call("STREAM.CREATE.S", STREAM);
        boss.store("secret.a", "body of secret.a");
        boss.send("SUB answer 9\r\nPING\r\n");
        assert_eq!(boss.line().unwrap(), "PONG");
        let mut old = gateway(one.port_of("gateways"), "");
        if is_open {
            let line = one.logged("does not tell what its users are denied");
            assert!(line.contains("[WRN]") && line.contains("\"OLD\""), "{line}");
        }
        old.say("RMSG A $JS.API.STREAM.MSG.GET.S answer 9\r\n{\"seq\":1}\r\n");
        for header in ["Nats-Rollup: all", "Nats-Msg-Id: 1"] {
            let block = format!("NATS/1.0\r\n{header}\r\n\r\n");
            old.say(&format!("HMSG A open.new answer {0} {0}\r\n{block}\r\n", block.len()));
        }
        let answers: Vec<String> = (0..3).map(|_| boss.heard().unwrap().body).collect();
        assert_eq!(answers[0].contains("\"message\""), is_open, "{answers:?}");
        assert_eq!(answers[1].contains("10111"), !is_open, "{answers:?}");
        assert!(answers[2].contains("\"seq\":"), "what only is to be stored is stored: {answers:?}");
        if !is_open {
            let line = one.logged("Publish Violation");
            assert!(line.contains("server \"OLD\" does not tell what binds its users"), "{line}");
        }
    }
}

#[test]
fn only_who_said_so_tells_rights_and_what_cannot_be_read_opens_nothing() {
    let house = House::new("", &format!("server_name: ONE\n{HERE}\ngateway {{ name: C1, listen: \"127.0.0.1:-1\" }}"));
    let mut one = house.start();
    let mut boss = one.peer(&login("boss"));
    boss.call("STREAM.CREATE.S", STREAM);
    boss.store("secret.a", "body of secret.a");
    boss.send("SUB answer 9\r\nPING\r\n");
    assert_eq!(boss.line().unwrap(), "PONG");
    let ask = "RMSG A $JS.API.STREAM.MSG.GET.S answer 9\r\n{\"seq\":1}\r\n";
    let mut told = gateway(one.port_of("gateways"), ",\"bulwark_rights\":1");
    for (json, is_open) in [
        (None, true),
        (Some("{}"), false),
        (Some("\0"), false),
        (Some(FREE), true),
        (Some(r#"{"who":"user:boss","publish":{},"subscribe":{"deny":["s.t.."]}}"#), false),
        (Some(r#"{"who":"user:boss"}"#), false),
        // It is about the next message only.
        (None, true),
    ] {
        told.say(&format!("{}{ask}", json.map(rights).unwrap_or_default()));
        let body = boss.heard().unwrap().body;
        assert_eq!(body.contains("\"message\""), is_open, "{json:?} {body}");
    }
    let mut silent = gateway(one.port_of("gateways"), "");
    silent.say(&rights(FREE));
    silent.ends();
    assert!(one.logged("Gateway connection closed").contains("gid:"));
}

/// What the advisory of a call of this kind says of who asked.
fn client_of(boss: &mut Peer) -> serde_json::Value {
    loop {
        let heard = boss.heard().unwrap();
        let event: serde_json::Value = serde_json::from_str(&heard.body).unwrap_or_default();
        if heard.subject == "$JS.EVENT.ADVISORY.API" && event["subject"] == "$JS.API.STREAM.NAMES" {
            return event["client"].clone();
        }
    }
}

#[test]
fn who_asks_from_abroad_has_no_say_in_who_he_is() {
    let pair = Pair::furnished("", "", "");
    let mut here = pair.here();
    here.send("SUB $JS.EVENT.ADVISORY.API 77\r\nPING\r\n");
    assert_eq!(here.line().unwrap(), "PONG");
    let forged = "Nats-Request-Info: {\"user\":\"mallory\"}";
    for user in ["boss", "clerk"] {
        pair.there(user).ask_with("$JS.API.STREAM.NAMES", forged, "");
        assert_eq!(client_of(&mut here), serde_json::json!({ "acc": "A" }), "{user}");
    }
    // An import says who asks.
    pair.there("other").ask_with("names", forged, "");
    let told = client_of(&mut here);
    assert_eq!((&told["acc"], &told["user"]), (&"B".into(), &serde_json::Value::Null), "{told}");
}

#[test]
fn who_asked_is_believed_of_servers_that_tell_rights_alone() {
    let house = House::new("", &format!("server_name: ONE\n{HERE}\ngateway {{ name: C1, listen: \"127.0.0.1:-1\" }}"));
    let one = house.start();
    let mut boss = one.peer(&login("boss"));
    boss.send("SUB $JS.EVENT.ADVISORY.API 77\r\nPING\r\n");
    assert_eq!(boss.line().unwrap(), "PONG");
    let block = "NATS/1.0\r\nNats-Request-Info: {\"acc\":\"B\"}\r\n\r\n";
    let ask = format!("HMSG A $JS.API.STREAM.NAMES answer {0} {0}\r\n{block}\r\n", block.len());
    for (more, told, by) in [(",\"bulwark_rights\":1", "", "B"), (",\"bulwark_rights\":1", FREE, "A"), ("", "", "A")] {
        let mut there = gateway(one.port_of("gateways"), more);
        there.say(&format!("{}{ask}", if told.is_empty() { String::new() } else { rights(told) }));
        assert_eq!(client_of(&mut boss), serde_json::json!({ "acc": by }), "{more} {told}");
    }
}

#[test]
fn what_is_said_there_on_somebodys_word_removes_nothing_here() {
    let mut pair = Pair::furnished("", "", "");
    let (mut poor, mut other) = (pair.there("clerk"), pair.there("other"));
    other.send("SUB svc 9\r\nPING\r\n");
    assert_eq!(other.line().unwrap(), "PONG");
    let mut answer = |header: &str, to: &str| {
        poor.send(&format!("PUB svc {to} 0\r\n\r\n"));
        let (asked, inbox) = (other.heard().unwrap(), other.inbox());
        let block = format!("NATS/1.0\r\n{header}\r\n\r\n");
        other.send(&format!("HPUB {} {inbox} {1} {1}\r\n{block}\r\n", asked.reply, block.len()));
        other.heard().unwrap().body
    };
    assert!(answer("Nats-Rollup: all", "open.mine").contains("10111"));
    let line = pair.one.logged("Publish Violation");
    assert!(line.contains("deny \">\" (told by server \"TWO\")"), "{line}");
    let expects = "Nats-Expected-Last-Subject-Sequence: 9\r\nNats-Expected-Last-Subject-Sequence-Subject: open.a";
    assert!(answer(expects, "open.mine").contains("10164"), "nor is the last of anything told");
    assert!(answer("Key: value", "open.mine").contains("\"seq\":4"), "it may be stored");
}

/// Who has just begun to listen is asked with a mark, and so acknowledges by it.
#[test]
fn whoever_acknowledges_by_a_marked_reply_does_it_on_his_own_word() {
    let house = House::new("", &format!("server_name: ONE\n{HERE}\ngateway {{ name: C1, listen: \"127.0.0.1:-1\" }}"));
    let one = house.start();
    let mut boss = one.peer(&login("boss"));
    boss.call("STREAM.CREATE.S", STREAM);
    (1..=6).for_each(|seq| assert_eq!(boss.store("secret.a", &seq.to_string()), seq));
    boss.call("CONSUMER.CREATE.S.all", &consumer("all", r#","filter_subjects":["secret.>","open.>"]"#));
    let server = boss.info["server_id"].as_str().unwrap().to_owned();
    boss.send("SUB answer 9\r\nPING\r\n");
    assert_eq!(boss.line().unwrap(), "PONG");
    let bound = r#"{"who":"user:clerk","publish":{},"subscribe":{"deny":["secret.>"]}}"#;
    let telling = ",\"bulwark_rights\":1";
    for (more, told, next) in [(telling, "", Some("2")), ("", "", Some("4")), (telling, bound, None)] {
        let pulled = boss.pull("S", "all");
        let mut there = gateway(one.port_of("gateways"), more);
        let told = if told.is_empty() { String::new() } else { rights(told) };
        there.say(&format!("{told}RMSG A {} answer 4\r\n+NXT\r\n", mark("C1", &server, &pulled.reply)));
        let heard = boss.heard().unwrap();
        match next {
            Some(body) => assert_eq!(heard.body, body),
            None => assert!(heard.headers.starts_with("NATS/1.0 409 Permissions Violation"), "{heard:?}"),
        }
    }
}

#[test]
fn a_pull_that_is_refused_is_logged_whoever_asked() {
    let more = "{ user: clark, password: clark, permissions: { subscribe: { deny: [\"secret.>\"] } } }";
    let mut pair = Pair::furnished("", "", more);
    let mut boss = pair.here();
    boss.call("CONSUMER.CREATE.S.secret", &consumer("secret", r#","filter_subject":"secret.>""#));
    boss.call("CONSUMER.CREATE.S.all", &consumer("all", ""));
    let first = boss.pull("S", "all");
    assert_eq!((first.subject.as_str(), boss.pull("S", "all").subject.as_str()), ("secret.a", "open.a"));
    let next = |name: &str| format!("$JS.API.CONSUMER.MSG.NEXT.S.{name}");
    for (user, subject, body, what) in [
        ("clerk", next("secret"), "1", "secret.>"),
        ("clark", next("secret"), "1", "secret.>"),
        ("clerk", next("all"), "1", "secret.b"),
        ("clark", first.reply, "+NXT", "secret.b"),
    ] {
        let heard = pair.there(user).ask(&subject, body);
        assert!(heard.headers.starts_with("NATS/1.0 409 Permissions Violation"), "{heard:?}");
        let line = pair.one.logged(&format!("Subscription Violation - Subject \"{what}\""));
        assert!(line.contains(&format!("\"A/user:{user}\"")), "{line}");
        assert!(line.contains("deny \"secret.>\" (told by server \"TWO\")"), "{line}");
    }
}
