//! Strangers who try to wear the server down before they log in, and what they get.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use broker::BeforeLogin;
use testkit::certificates::Subject;
use tls::{HandshakeFirst, Settings};

use crate::place::{PATIENCE, Peer, Place, Server};

const REFUSED: &str = "-ERR 'Authorization Violation'";

/// Connections of an attack here; `cargo xtask prove tls` sets more.
pub(crate) fn crowd() -> usize {
    std::env::var("BULWARK_CROWD").ok().and_then(|text| text.parse().ok()).unwrap_or(500)
}

/// A peer that a load balancer says is somewhere else.
fn from(server: &Server, address: &str) -> Peer {
    let mut peer = server.plain();
    peer.line();
    peer.send(format!("PROXY TCP4 {address} 198.51.100.1 40000 4222\r\n").as_bytes());
    peer
}

/// How long the answer to a wrong password takes.
fn guess(server: &Server, address: &str, user: &str) -> Duration {
    let begun = Instant::now();
    let answer = from(server, address).greet(&format!(r#""user":"{user}","pass":"wrong","#));
    assert_eq!(answer, REFUSED);
    begun.elapsed()
}

#[test]
fn who_guesses_waits_longer_each_time_and_who_knows_never_waits() {
    let users = "authorization { users: [ { user: joe, password: secret }, { user: jane, password: secret } ] }\n";
    let server = Place::new().start(&format!("proxy_protocol: true\n{users}"));
    let (attacker, bounds) = ("192.0.2.66", BeforeLogin::default());
    for n in 0..bounds.free_failures + 5 {
        guess(&server, attacker, &format!("nobody{n}"));
    }
    assert!(guess(&server, attacker, "nobody") >= bounds.delay_max, "the sixteenth guess");
    let begun = Instant::now();
    assert_eq!(from(&server, attacker).greet(r#""user":"joe","pass":"secret","#), "PONG");
    assert_eq!(from(&server, "192.0.2.1").greet(r#""user":"nobody","pass":"wrong","#), REFUSED);
    assert!(begun.elapsed() < bounds.delay_max, "neither the right word nor another address waits");
    // One user, guessed at from many places.
    for n in 0..bounds.free_failures + 5 {
        guess(&server, &format!("203.0.113.{n}"), "jane");
    }
    assert!(guess(&server, "203.0.113.200", "jane") >= bounds.delay_max);
    assert_eq!(from(&server, "203.0.113.201").greet(r#""user":"jane","pass":"secret","#), "PONG");
}

#[test]
fn what_guessing_costs_is_configured_and_follows_a_reload() {
    let users = "authorization { users: [ { user: joe, password: secret } ] }\n";
    let config = |bounds: &str| format!("proxy_protocol: true\nbefore_login {{ {bounds} }}\n{users}");
    let server = Place::new().start(&config("free_failures: 0, delay_min: \"1500ms\", delay_max: \"1500ms\""));
    assert!(guess(&server, "192.0.2.67", "nobody") >= Duration::from_millis(1500));
    server.place.write("server.conf", &config("free_failures: 1000"));
    server.reload();
    for n in 0..20 {
        guess(&server, "192.0.2.68", &format!("nobody{n}"));
    }
    assert!(guess(&server, "192.0.2.68", "nobody") < Duration::from_millis(1500));
}

/// Memory of the server in KiB.
pub(crate) fn memory(server: &Server) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The head of a record that promises more than ever comes, with this much of it.
fn half(len: usize) -> Vec<u8> {
    // A ClientHello of 64 KiB in records of 16 KiB.
    let mut wire = vec![1, 0, 0xff, 0xf0];
    wire.resize(len, 7);
    wire.chunks(16_000)
        .flat_map(|part| [&[0x16, 3, 1, (part.len() >> 8) as u8, part.len() as u8], part].concat())
        .collect()
}

/// What the crowd sends, each in turn.
fn attacks() -> Vec<Vec<u8>> {
    vec![
        Vec::new(),
        vec![0x16, 3, 1, 0x40, 0],
        half(8_000),
        half(60_000),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        vec![0xff; 4096],
        vec![0x16, 3, 1, 0xff, 0xff, 1, 0xff, 0xff, 0xff],
        b"\x16\x03\x01\x00\x04\x0e\x00\x00\x00".to_vec(),
    ]
}

#[test]
fn a_crowd_of_stalled_and_broken_handshakes_is_bounded_and_delays_nobody() {
    let place = Place::new();
    let config = place.tls("timeout: 3");
    let server = place.start(&config);
    server.serves();
    let (before, begun) = (memory(&server), Instant::now());
    let attacks = attacks();
    let crowd: Vec<TcpStream> = (0..crowd())
        .map(|n| {
            let mut stream = server.socket();
            // Whoever is cut off while sending is cut off.
            let _ = stream.write_all(&attacks[n % attacks.len()]);
            stream
        })
        .collect();
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        let begun = Instant::now();
        server.serves();
        slowest = slowest.max(begun.elapsed());
    }
    let during = memory(&server);
    assert!(slowest < Duration::from_secs(2), "an honest client waited {slowest:?}");
    let per_stranger = during.saturating_sub(before) / crowd.len();
    assert!(per_stranger < 96, "{before} KiB before, {during} KiB with {} strangers", crowd.len());
    for mut stream in crowd {
        let mut rest = [0; 4096];
        loop {
            match stream.read(&mut rest) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                Err(error) => panic!("a stranger is still there after {:?}: {error}", begun.elapsed()),
            }
        }
    }
    assert!(begun.elapsed() < PATIENCE * 2);
    server.serves();
    println!("crowd {}: {before} KiB before, {during} KiB during, slowest login {slowest:?}", attacks.len());
}

#[test]
fn what_a_stranger_may_have_kept_for_it_has_an_end() {
    let place = Place::new();
    let config = place.tls("timeout: 10");
    let server = place.start(&config);
    let mut greedy = server.plain();
    greedy.line();
    // More than any handshake needs.
    greedy.send(&half(200_000));
    assert!(greedy.rest().is_empty());
    server.logged("TLS handshake error");
    server.serves();
}

#[test]
fn a_client_that_wants_to_begin_anew_is_sent_away() {
    let place = Place::new();
    let config = place.tls("");
    let server = place.start(&config);
    let mut peer = server.secured(None).unwrap();
    assert_eq!(peer.greet(""), "PONG");
    // A handshake in the clear where sealed records belong.
    peer.stream.write_all(b"\x16\x03\x03\x00\x04\x01\x00\x00\x00").unwrap();
    peer.ends();
    server.logged("TLS error");
    server.serves();
}

#[test]
fn certificates_that_do_not_hold_or_were_made_for_something_else_are_refused_each_with_its_reason() {
    use testkit::certificates::{Usage, Years};
    let place = Place::new();
    place.issue("good", Subject::named("good"));
    let refused = [
        ("expired", Subject::named("a").years(Years::Past), "has expired or is not yet valid"),
        ("early", Subject::named("a").years(Years::Future), "has expired or is not yet valid"),
        ("server only", Subject::named("a").usage(Usage::Server), "incompatible key usage"),
        ("cannot sign", Subject::named("a").may_not_sign(), "incompatible key usage"),
    ];
    for (name, subject, _) in refused.clone() {
        place.issue(name, subject);
    }
    let config = place.tls("verify: true");
    let server = place.start(&config);
    for (name, _, why) in refused {
        assert!(!server.admits(name), "{name}");
        let line = server.logged("TLS handshake error");
        assert!(line.contains(why), "{name}: {line}");
    }
    assert!(server.admits("good"));
}

/// The last record of the server in the clear: its alert, if it is one.
fn alert_to(server: &Server, hello: &[u8]) -> Option<u8> {
    let mut peer = server.plain();
    peer.line();
    peer.stream.write_all(hello).unwrap();
    let mut rest = Vec::new();
    let _ = peer.stream.read_to_end(&mut rest);
    match rest[..] {
        [0x15, 3, _, 0, 2, _, code, ..] => Some(code),
        _ => None,
    }
}

/// A ClientHello with this version and these suites.
fn hello(version: [u8; 2], suites: &[[u8; 2]]) -> Vec<u8> {
    let mut body = version.to_vec();
    body.extend([7; 32]);
    body.push(0);
    body.extend(((suites.len() * 2) as u16).to_be_bytes());
    body.extend(suites.iter().flatten());
    body.extend([1, 0]);
    // Curves and signatures that everybody has.
    let extensions = [&[0, 10, 0, 4, 0, 2, 0, 23][..], &[0, 11, 0, 2, 1, 0], &[0, 13, 0, 6, 0, 4, 4, 3, 4, 1]].concat();
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let mut message = vec![1, 0];
    message.extend((body.len() as u16).to_be_bytes());
    message.extend(body);
    let mut record = vec![0x16, 3, 1];
    record.extend((message.len() as u16).to_be_bytes());
    record.extend(message);
    record
}

/// TLS that is asked for by flags refuses what TLS of a file refuses.
#[test]
fn cve_2021_32026_flags_and_file_refuse_the_same_suites_and_versions() {
    const WEAK: [[u8; 2]; 6] = [[0, 0x2f], [0, 0x35], [0, 0x0a], [0, 0x05], [0xc0, 0x13], [0xc0, 0x14]];
    const STRONG: [[u8; 2]; 2] = [[0xc0, 0x2b], [0xc0, 0x2f]];
    let by_file = {
        let place = Place::new();
        let config = place.tls("");
        place.start(&config)
    };
    let by_flags = {
        let place = Place::new();
        let folder = place.folder.path().display().to_string();
        place.start_with(
            "",
            &["--tls", "--tlscert", &format!("{folder}/server.pem"), "--tlskey", &format!("{folder}/server.key")],
        )
    };
    for server in [&by_file, &by_flags] {
        assert_eq!(alert_to(server, &hello([3, 3], &WEAK)), Some(40), "no suite in common");
        assert_eq!(alert_to(server, &hello([3, 1], &STRONG)), Some(70), "TLS 1.0");
        assert_eq!(alert_to(server, &hello([3, 2], &STRONG)), Some(70), "TLS 1.1");
        server.serves();
    }
}

/// A user that is known by certificate has no empty password on the side where TLS is a choice.
#[test]
fn fix_725f008_a_certificate_user_does_not_come_in_by_name_without_tls() {
    let place = Place::new();
    place.issue("joe", Subject::named("joe"));
    let users = "allow_non_tls: true\nauthorization { users: [ { user: 'CN=joe' } ] }\n";
    let config = place.tls("verify_and_map: true") + users;
    let server = place.start(&config);
    assert_eq!(server.secured(Some("joe")).unwrap().greet(""), "PONG");
    for password in ["", r#""pass":"","#] {
        assert_eq!(server.plain().greet(&format!(r#""user":"CN=joe",{password}"#)), REFUSED);
    }
}

#[test]
fn a_client_that_begins_at_once_where_info_comes_first_is_served_all_the_same() {
    let place = Place::new();
    let config = place.tls("handshake_first: auto, timeout: 10");
    let server = place.start(&config);
    let eager = server.place.client_by(Settings { handshake_first: HandshakeFirst::On, ..Settings::default() });
    let mut peer = server.plain();
    peer.secure(eager.connect("localhost").unwrap()).unwrap();
    assert_eq!(peer.greet(""), "PONG");
}
