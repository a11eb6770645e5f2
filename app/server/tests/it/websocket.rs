//! Clients over WebSocket, frames written by hand.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use testkit::certificates::Subject;
use testkit::responder::{Responder, Word};

use crate::place::{PATIENCE, Peer, Place, Server};

const OPEN: &str = "websocket { host: '127.0.0.1', port: -1, no_tls: true, MORE }\n";

pub(crate) const BINARY: u8 = 2;
const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// A server with this in its block, and where it takes WebSockets.
pub(crate) struct Door {
    pub(crate) server: Server,
    pub(crate) address: SocketAddr,
    url: String,
    ports: serde_json::Value,
}

/// A client of it.
pub(crate) struct Client(pub(crate) Peer);

impl Door {
    fn open(config: &str) -> Self {
        Self::open_in(Place::new(), config)
    }

    fn open_in(place: Place, config: &str) -> Self {
        let ports = place.folder.path().join("ports");
        std::fs::create_dir(&ports).unwrap();
        let server = place.start_with(config, &["--ports_file_dir", ports.to_str().unwrap()]);
        let until = Instant::now() + PATIENCE;
        let text = loop {
            assert!(Instant::now() < until, "there is no ports file");
            let mut files = std::fs::read_dir(&ports).unwrap().map(|file| file.unwrap().path());
            match files.find(|path| path.extension().is_some_and(|end| end == "ports")) {
                Some(path) => break std::fs::read_to_string(path).unwrap(),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let ports: serde_json::Value = serde_json::from_str(&text).unwrap();
        let url = ports["websocket"][0].as_str().unwrap().to_owned();
        let address = url.rsplit('/').next().unwrap().parse().unwrap();
        Self { server, address, url, ports }
    }

    pub(crate) fn with(more: &str, rest: &str) -> Self {
        Self::open(&format!("{}{rest}", OPEN.replace("MORE", more)))
    }

    pub(crate) fn socket(&self) -> Peer {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Peer { stream, layer: None, read: Vec::new() }
    }

    /// The answer to a request with these lines, and the connection.
    pub(crate) fn ask(&self, more: &str) -> (String, Client) {
        ask(self.socket(), "/", more)
    }

    /// A connection, greeted, with the greeting.
    pub(crate) fn client(&self, more: &str) -> (Client, String) {
        let (answer, client) = self.ask(more);
        greeted(answer, client)
    }

    fn secured(&self, certificate: &str) -> (Client, String) {
        let mut peer = self.socket();
        peer.secure(self.server.place.client(Some(certificate)).connect("localhost").unwrap()).unwrap();
        let (answer, client) = ask(peer, "/", "");
        greeted(answer, client)
    }
}

fn greeted(answer: String, mut client: Client) -> (Client, String) {
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    let (opcode, info) = client.frame();
    assert_eq!(opcode, BINARY);
    let info = String::from_utf8(info).unwrap();
    assert!(info.starts_with("INFO {") && info.ends_with("\r\n"), "one frame: {info}");
    (client, info)
}

fn ask(mut peer: Peer, path: &str, more: &str) -> (String, Client) {
    peer.send(
        format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
        )
        .as_bytes(),
    );
    (head(&mut peer), Client(peer))
}

/// The head of an answer.
pub(crate) fn head(peer: &mut Peer) -> String {
    loop {
        if let Some(end) = peer.read.windows(4).position(|four| four == b"\r\n\r\n") {
            return String::from_utf8(peer.exactly(end + 4)).unwrap();
        }
        peer.more().expect("an answer");
    }
}

/// A frame as a client writes it.
pub(crate) fn masked(first: u8, body: &[u8]) -> Vec<u8> {
    let mask = [7, 1, 200, 9];
    let mut wire = vec![first];
    match (u8::try_from(body.len()), u16::try_from(body.len())) {
        (Ok(len), _) if len < 126 => wire.push(0x80 | len),
        (_, Ok(len)) => {
            wire.push(0x80 | 126);
            wire.extend_from_slice(&len.to_be_bytes());
        }
        _ => {
            wire.push(0x80 | 127);
            wire.extend_from_slice(&(body.len() as u64).to_be_bytes());
        }
    }
    wire.extend_from_slice(&mask);
    wire.extend(body.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    wire
}

impl Client {
    pub(crate) fn say(&mut self, text: &str) {
        self.0.send(&masked(0x80 | BINARY, text.as_bytes()));
    }

    /// The next frame.
    pub(crate) fn frame(&mut self) -> (u8, Vec<u8>) {
        let head = self.0.exactly(2);
        assert_eq!(head[1] & 0x80, 0, "a server masks nothing");
        let len = match head[1] {
            126 => self.0.exactly(2).iter().fold(0, |len, byte| len << 8 | usize::from(*byte)),
            127 => self.0.exactly(8).iter().fold(0, |len, byte| len << 8 | usize::from(*byte)),
            len => usize::from(len),
        };
        (head[0] & 0x0f, self.0.exactly(len))
    }

    /// What is said until a line begins like this; this line included.
    pub(crate) fn until(&mut self, begin: &str) -> String {
        let mut said = String::new();
        loop {
            let (opcode, body) = self.frame();
            assert_eq!(opcode, BINARY, "after {said:?}: {:?}", String::from_utf8_lossy(&body));
            said.push_str(&String::from_utf8(body).unwrap());
            if said.lines().any(|line| line.starts_with(begin)) {
                return said;
            }
        }
    }

    pub(crate) fn greet(&mut self, fields: &str) -> String {
        self.say(&format!("CONNECT {{{fields}\"verbose\":false}}\r\nPING\r\n"));
        let (_, body) = self.frame();
        String::from_utf8(body).unwrap().lines().next().unwrap().to_owned()
    }

    /// Code and reason of the close frame that comes now, behind which there is nothing.
    pub(crate) fn closed(mut self) -> (u16, String) {
        let (opcode, body) = self.frame();
        assert_eq!(opcode, CLOSE, "{:?}", String::from_utf8_lossy(&body));
        self.0.ends();
        (u16::from_be_bytes([body[0], body[1]]), String::from_utf8(body[2..].to_vec()).unwrap())
    }
}

#[test]
fn a_client_over_websocket_is_one_like_any_other() {
    let door = Door::with("", "");
    assert!(door.url.starts_with("ws://127.0.0.1:"), "{}", door.url);
    let (mut framed, info) = door.client("");
    assert!(info.contains(&format!("\"port\":{},", door.address.port())) && info.contains("\"host\":\"127.0.0.1\""));
    assert!(!info.contains("tls_required") && !info.contains("auth_required"), "{info}");
    door.server.logged(" - wid:");
    assert_eq!(framed.greet(""), "PONG");
    framed.say("SUB a 1\r\nPING\r\n");
    framed.until("PONG");
    let mut plain = door.server.plain();
    assert!(plain.line().starts_with("INFO "));
    plain.send(b"CONNECT {\"verbose\":false}\r\nSUB b 2\r\nPUB a 5\r\nhello\r\nPING\r\n");
    assert_eq!(plain.answer(), "PONG");
    assert_eq!(framed.until("hello"), "MSG a 1 5\r\nhello\r\n");
    // One operation in two frames, and a ping of WebSocket between them.
    framed.0.send(&[masked(BINARY, b"PUB b 5\r\nwo"), masked(0x80 | PING, b"?"), masked(0x80, b"rld\r\n")].concat());
    assert_eq!(framed.frame(), (PONG, b"?".to_vec()));
    assert_eq!(plain.line(), "MSG b 2 5");
    assert_eq!(plain.line(), "world");
    framed.0.send(&masked(0x80 | CLOSE, b"\x03\xe8bye"));
    assert_eq!(framed.closed(), (1000, "bye".to_owned()));
}

fn visit(door: &Door, path: &str) -> serde_json::Value {
    let place = door.ports["monitoring"][0].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let mut stream = TcpStream::connect(place).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn monitoring_tells_the_listener_and_who_came_by_it() {
    let door = Door::with(
        "compression: true, same_origin: true, advertise: 'ws.example:99', handshake_timeout: 2",
        "http: '127.0.0.1:-1'\n",
    );
    let (mut client, _) = door.client("");
    assert_eq!(client.greet(r#""name":"page","#), "PONG");
    let port = door.address.port();
    assert_eq!(
        visit(&door, "/varz")["websocket"],
        serde_json::json!({
            "host": "127.0.0.1", "port": port, "advertise": "ws.example:99", "handshake_timeout": 2_000_000_000,
            "no_tls": true, "same_origin": true, "compression": true
        })
    );
    assert_eq!(visit(&door, "/healthz")["status"], "ok");
    let kind = |document: serde_json::Value| document["connections"][0]["type"].as_str().map(str::to_owned);
    assert_eq!(kind(visit(&door, "/connz")).as_deref(), Some("websocket"));
    client.0.send(&masked(0x80 | CLOSE, b""));
    client.0.ends();
    door.server.logged("Client connection closed: Client Closed");
    assert_eq!(kind(visit(&door, "/connz?state=closed")).as_deref(), Some("websocket"));
}

#[test]
fn what_is_no_request_for_a_connection_is_answered_and_said() {
    let door = Door::with("allowed_origins: ['https://good.example'], headers { X-Own: 'yes' }", "");
    for (request, answer, reason) in [
        ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", "405", "request method must be GET"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "400", "invalid value for header 'Upgrade'"),
        ("GET /mqtt HTTP/1.1\r\nHost: a\r\n\r\n", "404", "mqtt websocket endpoint not enabled"),
        ("GET /leafnode HTTP/1.1\r\nHost: a\r\n\r\n", "404", "leafnode websocket endpoint not enabled"),
        ("CONNECT {}\r\n", "400", "not an HTTP request"),
    ] {
        let mut peer = door.socket();
        peer.send(request.as_bytes());
        assert!(head(&mut peer).starts_with(&format!("HTTP/1.1 {answer} ")), "{request}");
        peer.ends();
        door.server.logged(&format!("websocket handshake error: {reason}"));
    }
    assert!(door.ask("Origin: https://evil.example\r\n").0.starts_with("HTTP/1.1 403 "));
    door.server.logged("websocket handshake error: origin not allowed: not in the allowed list");
    let (answer, _) = door.ask("Origin: https://good.example\r\n");
    assert!(answer.starts_with("HTTP/1.1 101 ") && answer.contains("X-Own: yes\r\n"), "{answer}");
}

#[test]
fn a_request_that_does_not_come_ends_the_connection_without_a_word() {
    let door = Door::with("handshake_timeout: '300ms'", "");
    for begun in ["", "GET / HTTP/1.1\r\nHost: a\r\n"] {
        let mut peer = door.socket();
        peer.send(begun.as_bytes());
        assert_eq!(peer.rest(), "");
    }
}

#[test]
fn who_breaks_the_rules_hears_which_by_a_close_frame() {
    let door = Door::with("", "max_payload: 100\n");
    let (mut unmasked, _) = door.client("");
    unmasked.0.send(b"\x82\x06PING\r\n");
    assert_eq!(unmasked.closed(), (1002, "mask bit missing".to_owned()));
    let (mut oversized, _) = door.client("");
    assert_eq!(oversized.greet(""), "PONG");
    oversized.say("PUB a 101\r\n");
    assert_eq!(oversized.until("-ERR"), "-ERR 'Maximum Payload Violation'\r\n");
    assert_eq!(oversized.closed(), (1009, "Maximum Message Payload Exceeded".to_owned()));
    let (mut nonsense, _) = door.client("");
    nonsense.say("NONSENSE\r\n");
    assert_eq!(nonsense.until("-ERR"), "-ERR 'Unknown Protocol Operation'\r\n");
    assert_eq!(nonsense.closed().0, 1002);
}

#[test]
fn compression_is_agreed_on_where_both_want_it() {
    const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    let door = Door::with("compression: true", "");
    assert!(!door.ask("").0.contains("Extensions"));
    let (answer, mut client) = door.ask(OFFER);
    assert!(answer.contains("permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"));
    let head = client.0.exactly(1);
    assert_eq!(head[0], 0xc2, "INFO is long enough");
    assert!(!Door::with("", "").ask(OFFER).0.contains("Extensions"));
}

const USERS: &str = "authorization { users: [
    { user: web, password: w, allowed_connection_types: [WEBSOCKET] }
    { user: wire, password: w, allowed_connection_types: [STANDARD] }
    { user: guest, password: g, permissions { publish: { deny: '>' } } } ] }\n";

#[test]
fn users_may_be_limited_to_websocket_and_cookies_stand_for_what_connect_leaves_out() {
    let door = Door::with("user_cookie: u, pass_cookie: p", USERS);
    let refused = "-ERR 'Authorization Violation'";
    assert!(door.client("").1.contains("\"auth_required\":true"));
    assert_eq!(door.client("").0.greet(r#""user":"web","pass":"w","#), "PONG");
    assert_eq!(door.client("").0.greet(r#""user":"wire","pass":"w","#), refused);
    let mut plain = door.server.plain();
    assert_eq!(plain.greet(r#""user":"web","pass":"w","#), refused);
    let cookies = "Cookie: a=b; u=web; p=\"w\"\r\n";
    assert_eq!(door.client(cookies).0.greet(""), "PONG");
    assert_eq!(door.client(cookies).0.greet(r#""user":"guest","pass":"g","#), "PONG", "what CONNECT says counts more");
    assert_eq!(door.client("Cookie: u=web; p=x\r\n").0.greet(""), refused);
    let (mut late, _) = door.client(cookies);
    late.say("PING\r\n");
    assert_eq!(late.until("-ERR"), format!("{refused}\r\n"));
    assert_eq!(late.closed(), (1008, "Authentication Failure".to_owned()));
}

#[test]
fn the_block_has_a_login_of_its_own_and_everybody_else_keeps_theirs() {
    let door = Door::with("authorization { token: sesame, timeout: 1 }", "");
    let (mut client, info) = door.client("");
    assert!(info.contains("\"auth_required\":true"), "{info}");
    assert_eq!(client.greet(r#""auth_token":"sesame","#), "PONG");
    assert_eq!(door.client("").0.greet(""), "-ERR 'Authorization Violation'");
    let mut plain = door.server.plain();
    assert!(!plain.line().contains("auth_required"));
    assert_eq!(plain.greet(""), "PONG");
    let (mut silent, _) = door.client("");
    assert_eq!(silent.until("-ERR"), "-ERR 'Authentication Timeout'\r\n");
    assert_eq!(silent.closed(), (1008, "Authentication Timeout".to_owned()));

    let door = Door::with("no_auth_user: guest", USERS);
    let (mut client, info) = door.client("");
    assert!(info.contains("\"auth_required\":true"), "as the reference tells it: {info}");
    client.say("PING\r\n");
    client.until("PONG");
    client.say("PUB a 1\r\nx\r\n");
    client.until("-ERR 'Permissions Violation for Publish to \"a\"'");
    assert_eq!(door.server.plain().greet(""), "-ERR 'Authorization Violation'");
}

#[test]
fn frames_come_over_tls_and_a_certificate_may_say_who_somebody_is() {
    let place = Place::new();
    place.issue("web", Subject::named("web").dns("web"));
    let config = format!("websocket {{ host: '127.0.0.1', port: -1\n{} }}\n{USERS}", place.tls("verify_and_map: true"));
    let door = Door::open_in(place, &config);
    assert!(door.url.starts_with("wss://"), "{}", door.url);
    let (mut client, info) = door.secured("web");
    assert!(info.contains("\"tls_required\":true,\"tls_verify\":true"), "{info}");
    assert_eq!(client.greet(""), "PONG");
    let large = "x".repeat(50_000);
    client.say("SUB a 1\r\n");
    client.say(&format!("PUB a {}\r\n{large}\r\nPING\r\n", large.len()));
    assert!(client.until("PONG").contains(&large));
    client.0.send(&masked(0x80 | CLOSE, b""));
    let (opcode, body) = client.frame();
    assert_eq!((opcode, body.len()), (CLOSE, 0), "an empty close is answered by one");
    // Without a certificate nobody comes so far, and hears it with the first byte at the latest.
    let mut nobody = door.socket();
    if nobody.secure(door.server.place.client(None).connect("localhost").unwrap()).is_ok() {
        nobody.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(nobody.more().is_none());
    }
    door.server.logged("TLS handshake error");
}

#[test]
fn a_certificate_that_promises_a_staple_is_shown_with_one_here_too() {
    let (place, responder) = (Place::new(), Responder::start());
    responder.speaks_for(&place.authority);
    let subject = Subject::named("server").dns("localhost").ocsp(&responder.url()).must_staple();
    let server = place.issue("server", subject);
    responder.say(&server, Word::Good);
    let config = format!("websocket {{ host: '127.0.0.1', port: -1\n{} }}\n", place.tls(""));
    let door = Door::open_in(place, &config);
    let strict = door.server.place.client_by(tls::Settings { require_staple: true, ..tls::Settings::default() });
    for _ in 0..2 {
        let mut peer = door.socket();
        peer.secure(strict.connect("localhost").unwrap()).unwrap();
        let (answer, client) = ask(peer, "/", "");
        assert_eq!(greeted(answer, client).0.greet(""), "PONG");
        assert_eq!(responder.asked(), 1, "asked once, shown to all");
    }
    // Whose certificate was revoked does not start.
    let place = Place::new();
    responder.speaks_for(&place.authority);
    let subject = Subject::named("server").dns("localhost").ocsp(&responder.url()).must_staple();
    let revoked = place.issue("server", subject);
    responder.say(&revoked, Word::Revoked);
    let config = format!("websocket {{ host: '127.0.0.1', port: -1\n{} }}\nocsp {{ mode: must }}\n", place.tls(""));
    let text = place.refusal(&config);
    assert!(text.contains("found existing OCSP status for certificate at") && text.contains("revoked"), "{text}");
}

#[test]
fn who_would_not_be_let_in_any_more_is_closed_by_name() {
    let place = Place::new();
    place.issue("web", Subject::named("web").dns("web"));
    let config = format!("websocket {{ host: '127.0.0.1', port: -1\n{} }}\n{USERS}", place.tls("verify_and_map: true"));
    let door = Door::open_in(place, &config);
    let (mut client, _) = door.secured("web");
    assert_eq!(client.greet(""), "PONG");
    door.server.place.write("ca.pem", &testkit::certificates::Authority::new("Another").pem);
    let line = door.server.logged("TLS connection closed by reload");
    assert!(line.contains(" - wid:"), "{line}");
    client.0.ends();
}

#[test]
fn cookies_that_any_page_may_use_are_warned_of_at_the_start() {
    let cookies = "user_cookie: u, pass_cookie: p";
    let origins = [("", true), (", same_origin: true", false), (", allowed_origins: ['http://shop.example']", false)];
    let with = origins.map(|(more, is_warned)| (format!("{cookies}{more}"), is_warned));
    for (more, is_warned) in with.into_iter().chain([(String::new(), false)]) {
        let place = Place::new();
        let (_server, log) = place.launch(&OPEN.replace("MORE", &more));
        let said: Vec<String> = log.iter().take_while(|line| !line.contains("Server is ready")).collect();
        let says = |part: &str| said.iter().any(|line| line.contains(part));
        assert!(says("Listening for websocket clients on ws://"), "{more}: {said:?}");
        assert_eq!(says("which a browser sends along for pages of any origin"), is_warned, "{more}: {said:?}");
    }
}

#[test]
fn a_lame_duck_closes_this_door_too_and_the_end_is_said() {
    let door = Door::with("", "lame_duck_grace_period: '1ms', lame_duck_duration: '30s'\n");
    let (mut client, _) = door.client("");
    assert_eq!(client.greet("\"protocol\":1,"), "PONG");
    door.server.signal("-USR2");
    door.server.logged("Entering lame duck mode");
    client.until("INFO ");
    assert_eq!(client.closed(), (1001, "Server Shutdown".to_owned()));
    assert!(TcpStream::connect(door.address).is_err());
}

#[test]
fn a_change_of_the_block_needs_a_restart() {
    let door = Door::with("", "");
    let file = door.server.place.folder.path().join("server.conf");
    std::fs::write(file, OPEN.replace("MORE", "compression: true")).unwrap();
    door.server.signal("-HUP");
    door.server.logged("config reload not supported for Websocket: old={127.0.0.1:-1}, new={127.0.0.1:-1}");
    assert_eq!(door.client("").0.greet(""), "PONG");
}
