//! What crosses a gateway before a message: what binds its publisher, where somebody has to judge by it, and nothing else.

use std::net::TcpListener;

use super::abroad::{gateway, mark};
use super::house::{House, Peer, Server};
use super::wire::Wire;

const USERS: &str = r#"accounts { A { users: [
    { user: boss, password: boss }
    { user: clerk, password: clerk, permissions: { publish: { deny: ["vault.>"] }, subscribe: { deny: ["secret.>", "jobs work"] } } }
    { user: inbox, password: inbox, permissions: { publish: [">"], subscribe: ["_I.>"] } }
], imports: [{ service: { account: B, subject: svc } }] }
B { users: [{ user: other, password: other }], exports: [{ service: svc }] } }"#;

const BOSS: &str = r#"{"who":"user:boss","publish":{},"subscribe":{}}"#;
const CLERK: &str =
    r#"{"who":"user:clerk","publish":{"deny":["vault.>"]},"subscribe":{"deny":["secret.>","jobs work"]}}"#;
const INBOX: &str = r#"{"who":"user:inbox","publish":{"allow":[">"]},"subscribe":{"allow":["_I.>"]}}"#;

/// A server that has gone to cluster `OLD`, which wants everything of account A and is spoken for by hand.
struct Scene {
    _house: House,
    server: Server,
    old: Wire,
}

impl Scene {
    /// `more` stands in the INFO of the other cluster.
    fn new(more: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let remote = format!("gateways: [{{ name: OLD, url: \"nats://{address}\" }}]");
        let gateway = format!("gateway {{ name: NEW, listen: \"127.0.0.1:-1\", {remote} }}");
        let house = House::empty(&format!("server_name: NEW\n{USERS}\n{gateway}"));
        let mut server = house.start();
        let mut old = Wire::new(listener.accept().unwrap().0);
        old.say(&format!(
            "INFO {{\"server_id\":\"NOLD\",\"server_name\":\"OLD\",\"version\":\"2.15.1\",\"proto\":3,\"host\":\"127.0.0.1\",\
             \"port\":{},\"headers\":true,\"max_payload\":1048576,\"gateway\":\"OLD\",\"gateway_urls\":[\"{address}\"],\
             \"gateway_nrp\":true,\"gateway_iom\":true{more}}}\r\n",
            address.port()
        ));
        old.line_that("CONNECT ");
        assert!(old.line_that("INFO ").contains("\"bulwark_rights\":1"));
        server.has_logged("Outbound gateway connection to \"OLD\"");
        old.say("RS+ A >\r\n");
        old.settle();
        Self { _house: house, server, old }
    }

    fn peer(&self, user: &str) -> Peer {
        self.server.peer(&format!(",\"user\":\"{user}\",\"pass\":\"{user}\""))
    }

    /// What comes over there when somebody publishes.
    fn told(&mut self, user: &str, subject: &str, header: &str, payload: &str) -> Vec<String> {
        let block = if header.is_empty() { String::new() } else { format!("NATS/1.0\r\n{header}\r\n\r\n") };
        let (sizes, verb) = match block.len() {
            0 => (payload.len().to_string(), "PUB"),
            headers => (format!("{headers} {}", headers + payload.len()), "HPUB"),
        };
        self.peer(user).send(&format!("{verb} {subject} {sizes}\r\n{block}{payload}\r\n"));
        let mut told = Vec::new();
        loop {
            let (line, body) = self.old.message();
            match line.split(' ').nth(1) {
                Some("$SYS") => {}
                Some("A") => return told,
                _ => told.push(body),
            }
        }
    }
}

#[test]
fn what_binds_a_publisher_is_told_before_messages_that_are_judged_by_it() {
    let mut scene = Scene::new(",\"bulwark_rights\":1");
    for (subject, header, payload) in [
        ("$JS.API.DIRECT.GET.S", "", "{}"),
        ("$JS.hub.API.CONSUMER.CREATE.S", "Key: value", "{}"),
        ("$JS.ACK.S.C.1.1.1.1.0", "", "+NXT"),
        ("orders.new", "Nats-Rollup: all", "x"),
        ("orders.new", "nats-schedule-target: y", "x"),
        ("orders.new", "Nats-Schedule-Source: y", "x"),
        ("orders.new", "Nats-Expected-Last-Subject-Sequence: 7", "x"),
        ("orders.new", "Nats-Incr: +0", ""),
    ] {
        assert_eq!(scene.told("clerk", subject, header, payload), [CLERK], "{subject} {header}");
        assert_eq!(scene.told("inbox", subject, header, payload), [INBOX], "{subject} {header}");
        assert_eq!(scene.told("boss", subject, header, payload), [""; 0], "nothing binds it: {subject} {header}");
    }
    // Whatever else crosses goes as it is.
    for (subject, header, payload) in [
        ("orders.new", "", "x"),
        ("orders.new", "Nats-Msg-Id: 7", "x"),
        ("$JS.ACK.S.C.1.1.1.1.0", "", "+ACK"),
        ("$JS.FC.S.C.x", "", ""),
        ("$KV.bucket.key", "KV-Operation: DEL", ""),
    ] {
        assert_eq!(scene.told("clerk", subject, header, payload), [""; 0], "{subject} {header}");
    }
}

#[test]
fn whoever_says_himself_who_asks_is_told_of_even_if_nothing_binds_him() {
    let mut scene = Scene::new(",\"bulwark_rights\":1");
    for (user, told) in [("boss", BOSS), ("clerk", CLERK)] {
        let forged = "nats-request-info: {\"user\":\"mallory\"}";
        assert_eq!(scene.told(user, "$JS.API.STREAM.NAMES", forged, ""), [told]);
    }
    assert_eq!(scene.told("boss", "orders.new", "Nats-Request-Info: {}", ""), [""; 0], "no stream keeps it");
}

#[test]
fn what_is_said_on_somebodys_word_is_told_to_be_nobodys_and_acknowledges_nothing() {
    let mut scene = Scene::new(",\"bulwark_rights\":1");
    let (mut boss, mut other) = (scene.peer("boss"), scene.peer("other"));
    other.send("SUB svc 9\r\nPING\r\n");
    assert_eq!(other.line().unwrap(), "PONG");
    let mut answered = |header: &str, body: &str| {
        boss.send("PUB svc home 0\r\n\r\n");
        let (asked, block) = (other.heard().unwrap(), format!("NATS/1.0\r\n{header}\r\n\r\n"));
        let size = block.len() + body.len();
        other.send(&format!("HPUB {} {} {size}\r\n{block}{body}\r\n", asked.reply, block.len()));
        let mut told = Vec::new();
        loop {
            let (line, body) = scene.old.message();
            match (line.split(' ').nth(1), line.split(' ').nth(2)) {
                (Some("A"), Some("home")) => return told,
                (Some("A" | "B" | "$SYS"), _) => {}
                _ => told.push(body),
            }
        }
    };
    let nobody = r#"{"who":"","publish":{"deny":[">"]},"subscribe":{"deny":[">"]}}"#;
    assert_eq!(answered("Nats-Rollup: all", "x"), [nobody]);
    assert_eq!(answered("Nats-Msg-Id: 1", "x"), [""; 0]);
    boss.send("PUB $SYS.REQ.USER.INFO $JS.ACK.S.c.1.1.1.1.0 0\r\n\r\nPUB $SYS.REQ.USER.INFO plain 0\r\n\r\n");
    loop {
        let (line, _) = scene.old.message();
        assert!(!line.starts_with("RMSG A $JS.ACK."), "{line}");
        if line.starts_with("RMSG A plain ") {
            break;
        }
    }
}

#[test]
fn servers_that_do_not_say_that_they_judge_are_told_nothing() {
    let mut scene = Scene::new("");
    for (subject, header) in [("$JS.API.DIRECT.GET.S", ""), ("orders.new", "Nats-Rollup: all")] {
        assert_eq!(scene.told("clerk", subject, header, "x"), [""; 0], "{subject} {header}");
    }
}

/// A mark names the way back of an answer, and what stands behind it is where the answer goes: not another way.
#[test]
fn an_answer_bears_one_mark() {
    let mut scene = Scene::new(",\"bulwark_rights\":1");
    let mut boss = scene.peer("boss");
    let here = boss.info["server_id"].as_str().unwrap().to_owned();
    boss.send("SUB home 9\r\nPING\r\n");
    assert_eq!(boss.line().unwrap(), "PONG");
    let mut other = gateway(scene.server.port_of("gateways"), "");
    let on = mark("OLD", "NOLD", "$JS.ACK.S.c.1.1.1.1.0");
    for (subject, body) in [
        (mark("NEW", &here, &on), "+NXT"),
        (mark("NEW", &here, &mark("NEW", &here, "home")), "twice"),
        (mark("NEW", &here, "home"), "once"),
    ] {
        other.say(&format!("RMSG A {subject} {}\r\n{body}\r\n", body.len()));
    }
    other.settle();
    assert_eq!(boss.heard().unwrap().body, "once");
    boss.send("PUB end 0\r\n\r\n");
    loop {
        let (line, body) = scene.old.message();
        match line.split(' ').nth(2) {
            Some("end") => break,
            _ => assert_ne!(body, "+NXT", "it went on by the second mark: {line}"),
        }
    }
}
