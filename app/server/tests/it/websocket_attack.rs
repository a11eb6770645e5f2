//! Whoever attacks the listener for WebSocket, before login and after, and what it gets. Scenes that stand for an advisory or a fix of
//! the reference bear its name.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::DeflateEncoder;

use crate::attack::{crowd, memory};
use crate::websocket::{BINARY, Client, Door, PING, PONG, head, masked};

const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

const USERS: &str = "authorization { users: [ { user: joe, password: secret } ] }\n";

/// A whole message that was compressed.
const PACKED: u8 = 0x80 | 0x40 | BINARY;

/// So much more memory, in KiB, is what a few connections take anyway.
const NOISE_KIB: usize = 12 * 1024;

/// The longest that memory was, in KiB.
fn peak(door: &Door) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", door.server.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// This text so many times, compressed as a message is.
fn packed(text: &[u8], times: usize) -> Vec<u8> {
    let pack = |times: usize| {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&text.repeat(times)).unwrap();
        encoder.flush().unwrap();
        encoder.get_ref().clone()
    };
    // What was flushed stands for itself, so one piece serves as often as it is wanted.
    let piece = 1 + (1 << 20) / text.len();
    let mut packed = pack(piece.min(times)).repeat((times / piece).max(1));
    if times > piece {
        packed.extend(pack(times % piece));
    }
    packed.truncate(packed.len() - 4);
    packed
}

/// Sends as long as it is taken.
fn flood(client: &mut Client, wire: &[u8]) {
    for piece in wire.chunks(64 * 1024) {
        if (&client.0.stream).write_all(piece).is_err() {
            return;
        }
    }
}

/// Reads to the end of the connection; what came at last.
fn last_words(mut client: Client) -> String {
    let mut rest = Vec::new();
    let _ = client.0.stream.read_to_end(&mut rest);
    String::from_utf8_lossy(&rest).into_owned()
}

#[test]
fn cve_2026_27571_a_bomb_is_unpacked_no_further_than_it_is_read() {
    // A gigabyte of zeros, and of lines that anybody may say.
    let (zeros, lines) = (packed(b"\0", 1 << 30), packed(b"+OK\r\n", 1 << 24));
    assert!(zeros.len() < 2 << 20);
    for config in ["", USERS] {
        let door = Door::with("compression: true", config);
        let (_, mut warm) = door.ask(OFFER);
        warm.0.send(&masked(PACKED, &packed(b"PING\r\n", 1)));
        let before = peak(&door);
        for bomb in [&zeros, &lines] {
            let (answer, mut client) = door.ask(OFFER);
            assert!(answer.contains("permessage-deflate"));
            flood(&mut client, &masked(PACKED, bomb));
            last_words(client);
        }
        // Many that are each within their bounds.
        let small = masked(PACKED, &packed(b"\r\n", 7 * 1024));
        let (_, mut client) = door.ask(OFFER);
        flood(&mut client, &small.repeat(20_000));
        drop(client);
        let after = peak(&door);
        assert!(after < before + NOISE_KIB, "{before} KiB, then {after} KiB");
        assert!(door.server.plain().line().starts_with("INFO "));
    }
}

#[test]
fn a_bomb_of_somebody_who_is_known_keeps_nobody_waiting() {
    let door = Door::with("compression: true", "");
    let (_, mut client) = door.ask(OFFER);
    client.0.send(&masked(0x80 | BINARY, b"CONNECT {\"verbose\":false}\r\n"));
    // Some hundred megabytes of operations that are fine.
    let bomb = masked(PACKED, &packed(b"PUB a 0\r\n\r\n", 5 << 20));
    let before = peak(&door);
    let sends = std::thread::spawn(move || {
        flood(&mut client, &bomb.repeat(2));
        client
    });
    let begun = Instant::now();
    for _ in 0..10 {
        assert_eq!(door.client("").0.greet(""), "PONG");
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(peak(&door) < before + NOISE_KIB);
    drop(sends.join().unwrap());
}

#[test]
fn cve_2026_27889_lengths_that_overflow_end_one_connection() {
    let door = Door::with("compression: true", "");
    let mask = [0; 4];
    for len in [u64::MAX, 1 << 63, (1 << 63) + 5] {
        let (mut client, _) = door.client("");
        client.0.send(&[&[0x82, 0xff][..], &len.to_be_bytes(), &mask].concat());
        assert_eq!(client.closed(), (1002, "invalid 64-bit payload length".to_owned()));
    }
    // These are lengths; what comes is read as what it is.
    for len in [(1 << 63) - 1, 1 << 32] {
        for first in [0x82, PACKED] {
            let (_, mut client) = door.ask(OFFER);
            client.0.send(&[&[first, 0xff][..], &u64::to_be_bytes(len), &mask].concat());
            client.0.send(&[0xff; 100]);
            last_words(client);
        }
    }
    // Nothing, compressed, and frames of nothing.
    let (_, mut empty) = door.ask(OFFER);
    empty.0.send(&[masked(0x42, b""), masked(0x80, b""), masked(PACKED, b""), masked(0x82, b"PING\r\n")].concat());
    while empty.frame() != (BINARY, b"PONG\r\n".to_vec()) {}
    // Reserved bits, and compression that was not agreed on.
    for first in [0xa2, 0x92, 0xb2, 0xf2] {
        let (mut client, _) = door.client("");
        client.0.send(&masked(first, b"PING\r\n"));
        assert_eq!(client.closed(), (1002, "RSV2 and RSV3 must be clear".to_owned()));
    }
    let (mut client, _) = door.client("");
    client.0.send(&masked(PACKED, b"PING\r\n"));
    assert_eq!(client.closed().0, 1002);
}

#[test]
fn cve_2026_33219_a_message_without_end_is_not_collected() {
    let door = Door::with("compression: true, authorization { token: t, timeout: 20 }", "");
    let before = peak(&door);
    let letters = [b'a'; 60_000];
    // One line that never ends, in fragments that never end.
    let (mut plain, _) = door.client("");
    plain.0.send(&masked(BINARY, &[b"CONNECT {", &letters[..5000]].concat()));
    let said = last_words(plain);
    assert!(said.contains("-ERR 'maximum control line exceeded'"), "{said:?}");
    let (mut plain, _) = door.client("");
    flood(&mut plain, &[masked(BINARY, &letters), masked(0, &letters).repeat(300)].concat());
    last_words(plain);
    // The same, compressed; and fragments of nothing.
    let (_, mut packed_line) = door.ask(OFFER);
    flood(&mut packed_line, &[masked(0x42, &packed(b"a", 4)), masked(0, &packed(b"a", 60_000)).repeat(2000)].concat());
    last_words(packed_line);
    let (_, mut nothing) = door.ask(OFFER);
    flood(&mut nothing, &[masked(0x42, b""), masked(0, b"").repeat(500_000)].concat());
    drop(nothing);
    let after = peak(&door);
    assert!(after < before + NOISE_KIB, "{before} KiB, then {after} KiB");
}

#[test]
fn ghsa_p957_mqtt_is_not_spoken_where_it_is_off() {
    let door = Door::with("", USERS);
    for path in ["/mqtt", "/x/mqtt", "/mqtt?x", "/%2e/mqtt"] {
        let mut peer = door.socket();
        peer.send(
            format!(
                "GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
            )
            .as_bytes(),
        );
        assert!(head(&mut peer).starts_with("HTTP/1.1 404 "), "{path}");
        peer.ends();
    }
    // And a client of MQTT that asks for a connection like any other is none.
    let (mut client, _) = door.client("Sec-WebSocket-Protocol: mqtt\r\n");
    client.0.send(&masked(0x82, b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00"));
    assert!(last_words(client).contains("-ERR"));
}

#[test]
fn ghsa_hmmp_a_first_word_that_is_not_connect_passes_the_same_checks() {
    let config = "authorization { users: [
        { user: wire, password: w, allowed_connection_types: [STANDARD] }
        { user: web, password: w, allowed_connection_types: [WEBSOCKET] } ] }\n";
    let door = Door::with("no_auth_user: wire", config);
    let (mut client, _) = door.client("");
    client.say("PING\r\n");
    assert!(last_words(client).contains("-ERR 'Authorization Violation'"));
    let door = Door::with("no_auth_user: web", &format!("{config}no_auth_user: wire\n"));
    let (mut client, _) = door.client("");
    client.say("PING\r\n");
    client.until("PONG");
    let mut plain = door.server.plain();
    plain.line();
    plain.send(b"PING\r\n");
    assert_eq!(plain.line(), "PONG");
}

/// What a crowd says that never ends its request, each in turn.
fn requests() -> Vec<Vec<u8>> {
    let long = |len| format!("GET / HTTP/1.1\r\nCookie: {}", "x".repeat(len)).into_bytes();
    vec![
        Vec::new(),
        b"G".to_vec(),
        b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec(),
        b"\r\n".repeat(2000),
        long(4000),
        long(15_000),
        format!("GET / HTTP/1.1\r\n{}", "A: b\r\n".repeat(60)).into_bytes(),
        vec![0xff; 100],
    ]
}

#[test]
fn a_crowd_of_requests_that_never_end_is_bounded_and_delays_nobody() {
    let door = Door::with("handshake_timeout: 3", "");
    let (before, begun) = (memory(&door.server), Instant::now());
    let requests = requests();
    let crowd: Vec<TcpStream> = (0..crowd())
        .map(|n| {
            let mut stream = TcpStream::connect(door.address).unwrap();
            let _ = stream.write_all(&requests[n % requests.len()]);
            stream
        })
        .collect();
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        let begun = Instant::now();
        assert_eq!(door.client("").0.greet(""), "PONG");
        slowest = slowest.max(begun.elapsed());
    }
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    let after = memory(&door.server);
    // A request takes at most 16 KiB, a connection about as much.
    assert!(after < before + crowd.len() * 40 + NOISE_KIB, "{before} KiB, then {after} KiB");
    for mut stream in crowd {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&rest));
    }
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[test]
fn a_request_that_is_too_much_is_refused_at_once() {
    let door = Door::with("handshake_timeout: 20", "");
    let begun = Instant::now();
    for request in [
        format!("GET / HTTP/1.1\r\nCookie: {}\r\n", "x".repeat(17_000)),
        format!("GET / HTTP/1.1\r\nCookie: {}", "x".repeat(40_000)),
        format!("GET /{} HTTP/1.1\r\n", "x".repeat(17_000)),
        format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(65)),
        format!("{}\r\n", "x".repeat(20_000)),
        "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
    ] {
        let mut peer = door.socket();
        let _ = (&peer.stream).write_all(request.as_bytes());
        assert!(head(&mut peer).starts_with("HTTP/1.1 400 "), "{}", &request[..40.min(request.len())]);
    }
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn who_pings_without_end_and_never_listens_fills_nothing() {
    let door = Door::with("", "");
    let (mut client, _) = door.client("");
    assert_eq!(client.greet(""), "PONG");
    let before = peak(&door);
    client.0.stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    flood(&mut client, &masked(0x80 | PING, &[b'?'; 125]).repeat(200_000));
    assert!(peak(&door) < before + NOISE_KIB);
    let (opcode, body) = client.frame();
    assert_eq!((opcode, body.len()), (PONG, 125));
    assert_eq!(door.client("").0.greet(""), "PONG");
}

#[test]
fn what_a_close_frame_says_is_not_said_again_where_it_may_not_be() {
    let door = Door::with("", "");
    for (body, code, text) in [
        (&b"x"[..], 1002, "close frame payload cannot be 1 byte"),
        (b"\x03\xed", 1002, "invalid close status code 1005"),
        (b"\xff\xff", 1002, "invalid close status code 65535"),
        (b"\x03\xe8\xff", 1007, "invalid utf8 body in close frame"),
    ] {
        let (mut client, _) = door.client("");
        client.0.send(&masked(0x88, body));
        assert_eq!(client.closed(), (code, text.to_owned()));
    }
}
