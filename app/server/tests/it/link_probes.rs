//! What strangers and hostile servers try on the ports of leaf nodes and routes. Scenes that stand for an advisory have its
//! name.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::fleet::{Make, PATIENCE, Server, mixtures, settle, until};

const ACCOUNTS: &str = r#"accounts {
    A { users: [{user: a, password: a}, {user: p, password: p, permissions: {publish: "out.>", subscribe: "in.>"}}] }
}"#;

/// Everything that may be said on some connection of the protocol, and some things that may not.
const WORDS: [&str; 18] = [
    "LS+ x",
    "LS- x",
    "LMSG x 1\r\nx",
    "HMSG x 12 13\r\nNATS/1.0\r\n\r\nx",
    "LMSG o A x 0 1\r\nx",
    "PING",
    "PONG",
    "PUB x 1\r\nx",
    "SUB x 1",
    "RS+ A x",
    "RS- A x",
    "RMSG A x 1\r\nx",
    "A+ A",
    "A- A",
    "-ERR 'Loop detected'",
    "+OK",
    "UNSUB 1",
    "\u{1}\u{2}garbage",
];

fn server(more: &str) -> Server {
    let leafs = format!("leafnodes {{ listen: \"127.0.0.1:-1\" {more} }}");
    let cluster = "cluster { name: C, listen: \"127.0.0.1:-1\", authorization { user: r, password: r } }";
    Server::start(Make::Ours, &format!("server_name: S\n{ACCOUNTS}\n{leafs}\n{cluster}"))
}

/// A raw connection.
struct Probe(TcpStream);

impl Probe {
    fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    fn say(&mut self, bytes: &[u8]) {
        // The server may have hung up already.
        let _ = self.0.write_all(bytes);
    }

    /// One line, without its end.
    fn line(&mut self) -> String {
        let mut line = Vec::new();
        let mut byte = [0];
        while self.0.read(&mut byte).is_ok_and(|read| read == 1) && byte[0] != b'\n' {
            line.push(byte[0]);
        }
        String::from_utf8_lossy(&line).trim_end().to_owned()
    }

    /// Lines until one begins with this.
    fn until(&mut self, start: &str) -> String {
        loop {
            let line = self.line();
            assert!(!line.is_empty(), "it hung up before {start:?}");
            if line.starts_with(start) {
                return line;
            }
        }
    }

    /// All that comes until the far end hangs up, which it must.
    fn rest(mut self) -> String {
        let mut rest = Vec::new();
        let mut room = [0; 4096];
        loop {
            match self.0.read(&mut room) {
                Ok(0) => break,
                Ok(read) => rest.extend_from_slice(&room[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
                Err(error) => panic!("the connection stays open: {error}"),
            }
        }
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// Logs in as a leaf node.
    fn leaf(server: &Server, user: &str) -> Self {
        let mut probe = Self::introduced(server, user);
        probe.until("LS+ $LDS.");
        probe
    }

    /// Says who it is, and hears nothing yet.
    fn introduced(server: &Server, user: &str) -> Self {
        let mut probe = Self::new(server.leaf.unwrap());
        probe.line();
        let connect = format!(
            "CONNECT {{\"user\":\"{user}\",\"pass\":\"{user}\",\"name\":\"L\",\"server_id\":\"NL\",\"cluster\":\"L\",\"headers\":true,\"protocol\":3}}\r\n"
        );
        probe.say(connect.as_bytes());
        probe
    }
}

/// The first INFO, perhaps an error, and then the end.
fn is_refusal(heard: &str) -> bool {
    heard.lines().all(|line| line.starts_with("INFO {") || line.starts_with("-ERR '"))
}

/// Nobody noticed anything.
fn still_serves(server: &Server) {
    let mut client = server.log_in("a");
    client.subscribe("self", "1");
    client.publish("self", "well");
    assert_eq!(client.next().payload, "well");
}

#[test]
fn cve_2026_29785_nothing_is_heard_from_a_leaf_node_before_it_has_logged_in() {
    for mode in ["off", "accept", "s2_auto"] {
        let mut server = server(&format!(", compression: {mode}"));
        for word in WORDS {
            let mut probe = Probe::new(server.leaf.unwrap());
            probe.say(format!("{word}\r\n").as_bytes());
            let heard = probe.rest();
            assert!(is_refusal(&heard), "{mode}: {word:?} is answered with {heard:?}");
        }
        still_serves(&server);
        assert!(!server.log().contains("panicked"));
    }
}

#[test]
fn ghsa_38x3_nothing_is_heard_on_a_route_before_the_server_has_logged_in() {
    let server = server("");
    for word in WORDS.into_iter().chain(["INFO {\"server_id\":\"NX\",\"cluster\":\"C\"}", "LS+ o A x", "CONNECT {}"]) {
        let mut probe = Probe::new(server.route.unwrap());
        probe.say(format!("{word}\r\nRS+ A x\r\n").as_bytes());
        let heard = probe.rest();
        assert!(is_refusal(&heard), "{word:?} is answered with {heard:?}");
    }
    still_serves(&server);
}

#[test]
fn cve_2026_33218_an_error_before_login_ends_the_connection_and_nothing_else() {
    let mut server = server("");
    let mut probe = Probe::new(server.leaf.unwrap());
    probe.say(b"-ERR 'Loop detected for leafnode account=\"A\"'\r\n");
    probe.rest();
    still_serves(&server);
    assert!(!server.log().contains("Loop detected"));
}

#[test]
fn fix_3b6e032_an_info_of_the_leaf_node_does_not_change_the_nonce_it_has_to_sign() {
    let server = server(", compression: s2_auto");
    let mut probe = Probe::new(server.leaf.unwrap());
    probe
        .say(b"INFO {\"nonce\":\"mine\",\"compression\":\"off\"}\r\nCONNECT {\"nkey\":\"UNONE\",\"sig\":\"AAAA\"}\r\n");
    assert!(probe.rest().contains("Authorization Violation"));
}

#[test]
fn fix_ea35e31_a_leaf_node_is_held_to_what_its_user_may_publish() {
    let server = server("");
    let mut client = server.log_in("a");
    client.subscribe(">", "1");
    let mut probe = Probe::leaf(&server, "p");
    probe.say(b"LMSG out.a 2\r\nok\r\n");
    assert_eq!(client.next().payload, "ok");
    probe.say(b"LMSG elsewhere 3\r\nbad\r\n");
    assert!(probe.rest().contains("Permissions Violation for Publish to \"elsewhere\""));
    settle(&mut client);
    assert!(client.drain().is_empty());
}

/// What a leaf node may answer to, it may once, and only where it was asked.
#[test]
fn a_leaf_node_that_may_answer_publishes_where_it_was_asked_and_nowhere_else() {
    let user = "{user: q, password: q, permissions: {publish: \"out.>\", subscribe: \"svc\", allow_responses: true}}";
    for [make, _] in mixtures::<2>() {
        let accounts = format!("accounts {{ A {{ users: [{{user: a, password: a}}, {user}] }} }}");
        let config = format!("server_name: S\n{accounts}\nleafnodes {{ listen: \"127.0.0.1:-1\", compression: off }}");
        let server = Server::start(make, &config);
        let mut client = server.log_in("a");
        client.subscribe("inbox.>", "1");
        let mut probe = Probe::leaf(&server, "q");
        probe.say(b"LS+ svc\r\nPING\r\n");
        probe.until("PONG");
        for number in 0..3 {
            client.ask("svc", &format!("inbox.{number}"), "?");
            client.flush();
            assert_eq!(probe.until("LMSG"), format!("LMSG svc inbox.{number} 1"), "{make:?}");
            // Where it may publish anyway is not counted.
            probe.say(b"LMSG out.x 1\r\nx\r\n");
            probe.say(format!("LMSG inbox.{number} 2\r\nok\r\n").as_bytes());
            let answer = client.next();
            assert_eq!((&*answer.subject, &*answer.payload), (&*format!("inbox.{number}"), "ok"), "{make:?}");
        }
        let violation = |subject: &str| format!("Permissions Violation for Publish to \"{subject}\"");
        probe.say(b"LMSG inbox.2 5\r\nagain\r\n");
        assert!(probe.rest().contains(&violation("inbox.2")), "{make:?}");
        let mut probe = Probe::leaf(&server, "q");
        probe.say(b"LMSG inbox.9 5\r\nnever\r\n");
        assert!(probe.rest().contains(&violation("inbox.9")), "{make:?}");
        settle(&mut client);
        assert!(client.drain().is_empty(), "{make:?}");
    }
}

#[test]
fn a_leaf_node_is_held_to_what_its_user_may_subscribe_to() {
    let server = server("");
    let mut probe = Probe::leaf(&server, "p");
    probe.say(b"LS+ elsewhere\r\n");
    assert!(probe.rest().contains("Permissions Violation for Subscription to \"elsewhere\""));
    // Of a wide interest only the allowed part is served.
    let mut probe = Probe::leaf(&server, "p");
    probe.say(b"LS+ >\r\nPING\r\n");
    probe.until("PONG");
    let mut client = server.log_in("a");
    client.publish("elsewhere", "hidden");
    client.publish("in.a", "shown");
    client.flush();
    assert_eq!(probe.until("LMSG"), "LMSG in.a 5");
}

#[test]
fn fix_9c5ae6b_interest_from_before_is_told_only_where_it_may_be_published() {
    let server = server("");
    let mut client = server.log_in("a");
    for (number, subject) in ["secret.x", "out.y", "secret.>"].into_iter().enumerate() {
        client.subscribe(subject, &number.to_string());
    }
    let mut probe = Probe::introduced(&server, "p");
    probe.say(b"PING\r\n");
    let mut told = Vec::new();
    while !told.iter().any(|line: &String| line.starts_with("LS+ $LDS.")) || !told.iter().any(|line| line == "PONG") {
        told.push(probe.line());
    }
    assert!(told.iter().any(|line| line == "LS+ out.y"), "{told:?}");
    assert!(!told.iter().any(|line| line.contains("secret")), "{told:?}");
}

#[test]
fn fix_487c991_a_later_info_of_a_leaf_node_does_not_change_its_rights() {
    let server = server("");
    let mut probe = Probe::leaf(&server, "p");
    probe.say(b"INFO {\"connect_info\":true,\"import\":{\"allow\":[\">\"]},\"export\":{\"allow\":[\">\"]}}\r\n");
    probe.say(b"LMSG elsewhere 3\r\nbad\r\n");
    assert!(probe.rest().contains("Permissions Violation for Publish"));
}

#[test]
fn fix_373b559_lines_and_payloads_of_links_are_bounded() {
    let server = server("");
    // A line that never ends, before login and after.
    for mut probe in [Probe::new(server.leaf.unwrap()), Probe::new(server.route.unwrap()), Probe::leaf(&server, "a")] {
        probe.say(b"LS+ ");
        for _ in 0..40 {
            probe.say(&[b'x'; 4096]);
        }
        probe.rest();
    }
    // A payload before login is refused by its size alone.
    let mut probe = Probe::new(server.leaf.unwrap());
    probe.say(b"LMSG x 100000000\r\n");
    probe.rest();
    let mut probe = Probe::leaf(&server, "a");
    probe.say(b"LMSG x 2000000\r\n");
    assert!(probe.rest().contains("Maximum Payload"));
    still_serves(&server);
}

#[test]
fn a_client_on_a_port_of_servers_is_told_so() {
    let server = server("");
    for (address, text) in [
        (server.leaf.unwrap(), "attempted to connect to leaf node port"),
        (server.route.unwrap(), "attempted to connect to route port"),
    ] {
        let mut probe = Probe::new(address);
        probe.say(b"CONNECT {\"lang\":\"go\",\"verbose\":false}\r\nPING\r\n");
        assert!(probe.rest().contains(text), "{text}");
    }
}

#[test]
fn who_says_nothing_on_a_link_is_sent_away() {
    let server = server(", authorization { timeout: 1 }");
    let probe = Probe::new(server.leaf.unwrap());
    let start = std::time::Instant::now();
    assert!(probe.rest().contains("Authentication Timeout"));
    assert!(start.elapsed() >= Duration::from_millis(900));
}

#[test]
fn a_leaf_node_whose_user_is_gone_is_sent_away_by_a_reload() {
    let mut server = server("");
    let probe = Probe::leaf(&server, "p");
    let without = "accounts { A { users: [{user: a, password: a}] } }";
    server.reload(&|config| config.replace(ACCOUNTS, without));
    assert!(probe.rest().contains("Authorization Violation"));
    let mut server = server;
    until("the log names the login", || server.log().contains("authentication error"));
}

/// A hub whose tenant imports a service of another one.
fn with_service() -> Server {
    let accounts = r#"accounts {
        A { users: [{user: a, password: a}], imports: [{service: {account: B, subject: "svc"}}] }
        B { users: [{user: b, password: b}], exports: [{service: "svc"}] }
    }"#;
    Server::start(Make::Ours, &format!("server_name: S\n{accounts}\nleafnodes {{ listen: \"127.0.0.1:-1\" }}"))
}

fn with_headers(subject: &str, headers: &str, payload: &str) -> Vec<u8> {
    let headers = format!("NATS/1.0\r\n{headers}\r\n\r\n");
    let total = headers.len() + payload.len();
    format!("HMSG {subject} {} {total}\r\n{headers}{payload}\r\n", headers.len()).into_bytes()
}

#[test]
fn cve_2026_33246_who_asks_is_not_what_a_leaf_node_says() {
    let server = with_service();
    let mut answers = server.log_in("b");
    answers.subscribe("svc", "1");
    let mut probe = Probe::leaf(&server, "a");
    probe.say(&with_headers("svc reply.x", "Nats-Request-Info: {\"acc\":\"SYS\",\"user\":\"root\"}", "?"));
    let question = answers.next();
    assert!(question.headers.contains("\"acc\":\"A\""), "{question:?}");
    assert!(!question.headers.contains("root") && !question.headers.contains("SYS"), "{question:?}");
}

#[test]
fn ghsa_p3j5_a_message_whose_trace_may_not_go_there_goes_nowhere() {
    let mut server = server("");
    let mut client = server.log_in("a");
    client.subscribe(">", "1");
    let mut probe = Probe::leaf(&server, "p");
    for only in ["", "\r\nNats-Trace-Only: true"] {
        probe.say(&with_headers("out.a", &format!("Nats-Trace-Dest: elsewhere{only}"), "!"));
        for reserved in ["_GR_.abcdef.ghijkl.out.a", "$GR.abcd.out.a"] {
            probe.say(&with_headers("out.a", &format!("Nats-Trace-Dest: {reserved}{only}"), "!"));
        }
    }
    server.logged("elsewhere");
    settle(&mut client);
    probe.say(b"LMSG out.b 2\r\nok\r\n");
    assert_eq!(client.next().payload, "ok", "nothing came of those before");
    settle(&mut client);
    assert!(client.drain().is_empty());
}

#[test]
fn advisory_2026_07_denies_of_queue_groups_hold_over_leaf_connections() {
    let accounts = r#"accounts { A { users: [
        {user: a, password: a}
        {user: q, password: q, permissions: {subscribe: {allow: [">"], deny: ["jobs workers"]}}}
    ] } }"#;
    let server =
        Server::start(Make::Ours, &format!("server_name: S\n{accounts}\nleafnodes {{ listen: \"127.0.0.1:-1\" }}"));
    let mut probe = Probe::leaf(&server, "q");
    probe.say(b"LS+ jobs workers 1\r\n");
    assert!(probe.rest().contains("Permissions Violation for Subscription to \"jobs\""));
    let mut probe = Probe::leaf(&server, "q");
    probe.say(b"LS+ > workers 1\r\nLS+ > others 1\r\nPING\r\n");
    probe.until("PONG");
    let mut client = server.log_in("a");
    client.publish("jobs", "denied to workers");
    client.publish("free", "for both");
    client.flush();
    assert_eq!(probe.until("LMSG"), "LMSG jobs | others 17");
    let line = probe.until("LMSG");
    assert!(line.starts_with("LMSG free | ") && line.contains("workers") && line.contains("others"), "{line}");
}

/// The reference tells that the message came in, and that is all: so do we.
#[test]
fn what_a_leaf_node_may_not_publish_is_told_where_it_asks_for_that() {
    let accounts = r#"accounts { A { users: [
        {user: a, password: a}
        {user: p, password: p, permissions: {publish: "out.>"}}
    ] } }"#;
    for [make, _] in mixtures::<2>() {
        let config = format!("server_name: HUB\n{accounts}\nleafnodes {{ listen: \"127.0.0.1:-1\" }}");
        let server = Server::start(make, &config);
        let mut client = server.log_in("a");
        client.subscribe(">", "1");
        for (destination, is_told) in [("out.told", true), ("secret.told", false)] {
            let mut probe = Probe::leaf(&server, "p");
            let headers = format!("NATS/1.0\r\nNats-Trace-Dest: {destination}\r\n\r\n");
            let sizes = format!("{} {}", headers.len(), headers.len() + 3);
            probe.say(format!("HMSG elsewhere {sizes}\r\n{headers}bad\r\n").as_bytes());
            assert!(probe.rest().contains("Permissions Violation for Publish to"), "{make:?}");
            if !is_told {
                settle(&mut client);
                assert!(client.drain().is_empty(), "{make:?}: nobody hears where it may not publish");
                continue;
            }
            let message = client.next();
            let told: serde_json::Value = serde_json::from_str(&message.payload).unwrap();
            let events = told["events"].as_array().unwrap();
            let said = ["type", "name", "acc", "subj"].map(|key| events[0][key].as_str().unwrap_or_default());
            assert_eq!((message.subject.as_str(), said), ("out.told", ["in", "L", "A", "elsewhere"]), "{make:?}");
            assert_eq!((events.len(), &events[0]["kind"], events[0].get("error")), (1, &4.into(), None), "{make:?}");
        }
    }
}
