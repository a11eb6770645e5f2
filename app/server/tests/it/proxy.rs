//! Clients behind a load balancer that says where they come from.

use std::io::Write;
use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;
use nkeys::{KeyPair, Role};
use secret::Secret;
use testkit::certificates::Subject;

use crate::place::{PATIENCE, Peer, Place, Server};

const BEHIND: &str = "proxy_protocol: true\n";

/// A log line tells where a client is believed to be.
fn source_in_log(server: &Server, hello: &[u8]) -> String {
    let mut peer = server.plain();
    assert!(!peer.line().contains("client_ip"), "nobody has said yet where the client is");
    peer.stream.write_all(hello).unwrap();
    assert_eq!(peer.greet(r#""user":"nobody","pass":"wrong","#), "-ERR 'Authorization Violation'");
    server.logged("authentication error")
}

const USERS: &str = "authorization { user: joe, password: secret }\n";

fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend_from_slice(&[0x20 | command, family]);
    header.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
    header.extend_from_slice(body);
    header
}

#[test]
fn both_versions_tell_where_the_client_is_and_the_log_says_so() {
    let server = Place::new().start(&format!("{BEHIND}{USERS}"));
    let line = source_in_log(&server, b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 4222\r\n");
    assert!(line.contains("192.0.2.7:40000"), "{line}");
    let line = source_in_log(&server, b"PROXY TCP6 2001:db8::7 2001:db8::1 40001 4222\r\n");
    assert!(line.contains("[2001:db8::7]:40001"), "{line}");
    let line = source_in_log(&server, &v2(1, 0x11, &[192, 0, 2, 8, 198, 51, 100, 1, 0x9c, 0x42, 0x10, 0x7e]));
    assert!(line.contains("192.0.2.8:40002"), "{line}");
}

#[test]
fn a_health_check_a_direct_client_and_an_unknown_one_keep_the_address_of_their_socket() {
    let server = Place::new().start(BEHIND);
    for hello in [&b""[..], b"PROXY UNKNOWN\r\n", &v2(0, 0, &[])] {
        let mut peer = server.plain();
        peer.line();
        peer.stream.write_all(hello).unwrap();
        peer.send(b"CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\n");
        assert_eq!(peer.line(), "PONG");
        assert!(peer.line().contains(r#""client_ip":"127.0.0.1""#));
    }
}

#[test]
fn a_header_in_pieces_is_waited_for_and_what_comes_behind_it_is_the_clients() {
    let server = Place::new().start(BEHIND);
    let mut peer = server.plain();
    peer.line();
    peer.stream.set_nodelay(true).unwrap();
    for piece in
        b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 4222\r\nCONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\n"
            .chunks(7)
    {
        peer.stream.write_all(piece).unwrap();
    }
    assert_eq!(peer.line(), "PONG");
    let info = peer.line();
    assert!(info.contains(r#""client_ip":"192.0.2.7""#), "the INFO after the login says it: {info}");
}

#[test]
fn a_broken_header_ends_the_connection_and_says_why() {
    let server = Place::new().start(BEHIND);
    for (hello, why) in [
        (&b"PROXY TCP4 nonsense\r\n"[..], "invalid PROXY protocol header: invalid v1 format"),
        (&v2(1, 0x12, &[0; 12]), "unsupported PROXY protocol feature: only STREAM protocol supported"),
        (b"PROXY TCP4 192.0.2.7 2001:db8::1 1 2\r\n", "invalid PROXY protocol header: TCP4 with IPv6 address"),
    ] {
        let mut peer = server.plain();
        peer.line();
        peer.stream.write_all(hello).unwrap();
        assert_eq!(peer.rest(), "", "the peer learns nothing");
        let line = server.logged("Error reading PROXY protocol header from 127.0.0.1:");
        assert!(line.contains(why), "{line}");
    }
}

#[test]
fn half_a_header_is_not_waited_for_and_holds_up_nobody() {
    let server = Place::new().start(BEHIND);
    let begun = Instant::now();
    let mut half = server.plain();
    half.line();
    half.stream.write_all(b"PROXY TCP4 192.0").unwrap();
    assert_eq!(server.plain().greet(""), "PONG");
    assert_eq!(half.rest(), "");
    server.logged("timeout reading PROXY protocol header");
    assert!((Duration::from_secs(4)..PATIENCE).contains(&begun.elapsed()));
}

/// The log of fixes has a row for TLS that was looked for in the header instead of behind it.
#[test]
fn tls_begins_behind_the_header() {
    let place = Place::new();
    let config = format!("{BEHIND}{}", place.tls(""));
    let server = place.start(&config);
    let mut peer = server.plain();
    peer.line();
    peer.stream.write_all(b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 4222\r\n").unwrap();
    peer.secure(server.place.client(None).connect("localhost").unwrap()).unwrap();
    assert_eq!(peer.greet(""), "PONG");
    // With the handshake first, INFO comes after the header and names the client.
    let place = Place::new();
    let config = format!("{BEHIND}{}", place.tls("handshake_first: true"));
    let server = place.start(&config);
    let mut peer = server.plain();
    peer.stream.write_all(b"PROXY TCP4 192.0.2.9 198.51.100.1 40000 4222\r\n").unwrap();
    peer.secure(server.place.client(None).connect("localhost").unwrap()).unwrap();
    assert!(peer.line().contains(r#""client_ip":"192.0.2.9""#));
    assert_eq!(peer.greet(""), "PONG");
}

#[test]
fn where_tls_is_a_choice_it_is_made_behind_the_header() {
    let place = Place::new();
    place.issue("client", Subject::named("client"));
    let config = format!("{BEHIND}allow_non_tls: true\n{}", place.tls(""));
    let server = place.start(&config);
    let header = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 4222\r\n";
    let mut plain = server.plain();
    plain.line();
    plain.stream.write_all(header).unwrap();
    assert_eq!(plain.greet(""), "PONG");
    let mut secured = server.plain();
    secured.line();
    secured.stream.write_all(header).unwrap();
    secured.secure(server.place.client(None).connect("localhost").unwrap()).unwrap();
    assert_eq!(secured.greet(""), "PONG");
}

/// A proxy of its own kind vouches for clients by signing the nonce: no header is needed for that.
fn greet_through(server: &Server, proxy: Option<&KeyPair>, fields: &str) -> (Peer, String) {
    let mut peer = server.plain();
    let info = peer.line();
    let nonce = info.split_once(r#""nonce":""#).unwrap().1.split_once('"').unwrap().0;
    let signature = proxy.map(|key| BASE64URL_NOPAD.encode(key.sign(nonce.as_bytes()).as_ref()));
    let vouched = signature.map(|text| format!(r#""proxy_sig":"{text}","#)).unwrap_or_default();
    let answer = peer.greet(&format!("{vouched}{fields}"));
    (peer, answer)
}

#[test]
fn a_user_behind_a_proxy_comes_through_one_that_is_trusted_for_as_long_as_it_is() {
    let key = |byte| KeyPair::from_raw_seed(Role::Account, Secret::new([byte; 32]));
    let (trusted, stranger) = (key(1), key(2));
    let config = |trusted: &str| {
        format!(
            "proxies {{ trusted: [ {{ key: {trusted} }} ] }}\n
            authorization {{ users: [
                {{ user: far, password: secret, proxy_required: true }}
                {{ user: near, password: secret }}
            ] }}\n"
        )
    };
    let server = Place::new().start(&config(&trusted.public().to_string()));
    let far = r#""user":"far","pass":"secret","#;
    let near = r#""user":"near","pass":"secret","#;
    const REFUSED: &str = "-ERR 'Authorization Violation'";
    let (mut kept, answer) = greet_through(&server, Some(&trusted), far);
    assert_eq!(answer, "PONG");
    assert_eq!(greet_through(&server, None, far).1, REFUSED);
    assert_eq!(greet_through(&server, Some(&stranger), far).1, REFUSED);
    assert_eq!(greet_through(&server, Some(&stranger), near).1, REFUSED, "a wrong word is worse than none");
    let (mut direct, answer) = greet_through(&server, None, near);
    assert_eq!(answer, "PONG");
    server.place.write("server.conf", &config(&stranger.public().to_string()));
    server.reload();
    while kept.more().is_some() {}
    direct.send(b"PING\r\n");
    assert_eq!(direct.answer(), "PONG", "who came by himself stays");
}
