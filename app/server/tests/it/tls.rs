//! TLS on the client port, over real sockets.

use std::io::Read;
use std::time::{Duration, Instant};

use testkit::certificates::{Authority, Subject};

use crate::place::{PATIENCE, Peer, Place};

#[test]
fn info_comes_in_the_clear_and_everything_else_inside() {
    let place = Place::new();
    let config = place.tls("");
    let server = place.start(&config);
    let mut peer = server.plain();
    assert!(peer.line().contains("\"tls_required\":true"));
    peer.secure(server.place.client(None).connect("localhost").unwrap()).unwrap();
    assert_eq!(peer.greet(""), "PONG");
}

#[test]
fn a_password_and_large_messages_pass_inside() {
    let place = Place::new();
    let config = place.tls("") + "authorization { user: joe, password: secret }\n";
    let server = place.start(&config);
    let mut peer = server.secured(None).unwrap();
    assert_eq!(peer.greet(r#""user":"joe","pass":"secret","#), "PONG");
    let body: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    let mut wire = b"SUB big 1\r\nPUB big 1000000\r\n".to_vec();
    wire.extend_from_slice(&body);
    wire.extend_from_slice(b"\r\nPING\r\n");
    peer.send(&wire);
    assert_eq!(peer.line(), "MSG big 1 1000000");
    assert!(peer.exactly(body.len()) == body, "the body comes back as it was sent");
    assert_eq!((peer.line(), peer.line()), (String::new(), "PONG".into()));
    let mut stranger = server.secured(None).unwrap();
    assert_eq!(stranger.greet(r#""user":"joe","pass":"wrong","#), "-ERR 'Authorization Violation'");
}

#[test]
fn plain_bytes_on_a_tls_port_end_without_a_word() {
    let place = Place::new();
    let config = place.tls("");
    let server = place.start(&config);
    let mut peer = server.plain();
    peer.line();
    peer.send(b"CONNECT {}\r\nPING\r\n");
    assert_eq!(peer.rest(), "");
    server.logged("TLS handshake error");
    server.serves();
}

#[test]
fn who_shows_no_certificate_where_one_is_wanted_is_not_served() {
    let place = Place::new();
    place.issue("client", Subject::named("client"));
    let config = place.tls("verify: true");
    let server = place.start(&config);
    // In TLS 1.3 the client is done before it is judged.
    let refused = server.secured(None).map(Peer::rest);
    assert!(refused.is_err() || refused == Ok(String::new()));
    server.logged("TLS handshake error: tls: client didn't provide a certificate");
    assert_eq!(server.secured(Some("client")).unwrap().greet(""), "PONG");
}

#[test]
fn a_certificate_of_a_stranger_is_refused() {
    let place = Place::new();
    let stranger = Authority::new("Stranger").issue(Subject::named("client"));
    place.write("client.pem", &stranger.chain_pem);
    place.write("client.key", &stranger.key_pem);
    let config = place.tls("verify: true");
    let server = place.start(&config);
    let refused = server.secured(Some("client")).map(Peer::rest);
    assert!(refused.is_err() || refused == Ok(String::new()));
    server.logged("TLS handshake error: tls: failed to verify certificate");
}

#[test]
fn certificates_name_users_by_email_by_host_and_by_distinguished_name() {
    let place = Place::new();
    place.issue("email", Subject::named("a").email("joe@example.com"));
    place.issue("host", Subject::named("b").dns("app.example.com"));
    place.issue("dn", Subject::named("carol").organisation("Acme"));
    place.issue("nobody", Subject::named("nobody"));
    let users = "authorization { users: [
        { user: 'joe@example.com', permissions: { publish: { deny: 'x' } } }
        { user: 'app.example.com', permissions: { publish: { deny: 'y' } } }
        { user: 'CN=carol,O=Acme', permissions: { publish: { deny: 'z' } } }
    ] }\n";
    let config = place.tls("verify_and_map: true") + users;
    let server = place.start(&config);
    for (name, denied) in [("email", "x"), ("host", "y"), ("dn", "z")] {
        let mut peer = server.secured(Some(name)).unwrap();
        assert_eq!(peer.greet(""), "PONG", "{name}");
        peer.send(format!("PUB {denied} 0\r\n\r\n").as_bytes());
        assert_eq!(peer.answer(), format!("-ERR 'Permissions Violation for Publish to \"{denied}\"'"));
    }
    assert_eq!(server.secured(Some("nobody")).unwrap().greet(""), "-ERR 'Authorization Violation'");
}

#[test]
fn only_pinned_keys_are_served() {
    let place = Place::new();
    let pinned = place.issue("pinned", Subject::named("client"));
    place.issue("other", Subject::named("client"));
    let pin = tls::PeerFacts::read(&pinned.der).unwrap().spki_sha256;
    let pin: String = pin.0.iter().map(|byte| format!("{byte:02x}")).collect();
    let config = place.tls(&format!("verify: true, pinned_certs: ['{pin}']"));
    let server = place.start(&config);
    let refused = server.secured(Some("other")).map(Peer::rest);
    assert!(refused.is_err() || refused == Ok(String::new()));
    server.logged("TLS handshake error: certificate not pinned");
    assert_eq!(server.secured(Some("pinned")).unwrap().greet(""), "PONG");
}

#[test]
fn with_the_handshake_first_nothing_is_said_in_the_clear() {
    let place = Place::new();
    let config = place.tls("handshake_first: true, timeout: 0.5");
    let server = place.start(&config);
    assert_eq!(server.secured_first(None).unwrap().greet(""), "PONG");
    assert_eq!(server.plain().rest(), "", "who waits for INFO waits in vain");
}

/// A client that knows what it wants says so with the last bytes of its handshake. INFO comes first all the same, and the
/// login counts: what is said afterwards is said by somebody who is logged in.
#[test]
fn words_that_come_with_the_end_of_the_handshake_are_taken_after_the_greeting() {
    for block in ["", "handshake_first: true", "verify: true, handshake_first: true"] {
        let place = Place::new();
        place.issue("client", Subject::named("client"));
        let config = place.tls(block) + "authorization { user: joe, password: secret, timeout: 1 }\n";
        let server = place.start(&config);
        for _ in 0..10 {
            let mut peer = server.plain();
            let comes_inside = !block.is_empty();
            if !comes_inside {
                assert!(peer.line().starts_with("INFO "));
            }
            let handshake = server.place.client(Some("client")).connect("localhost").unwrap();
            let words = b"CONNECT {\"user\":\"joe\",\"pass\":\"secret\",\"verbose\":false}\r\nSUB a 1\r\nPING\r\n";
            peer.secure_and_say(handshake, words).unwrap();
            if comes_inside {
                assert!(peer.line().starts_with("INFO "), "{block}");
            }
            assert_eq!(peer.answer(), "PONG", "{block}");
            peer.send(b"PUB a 2\r\nhi\r\n");
            assert_eq!(peer.line(), "MSG a 1 2", "{block}");
        }
    }
}

#[test]
fn an_automatic_first_handshake_serves_both_kinds() {
    let place = Place::new();
    // Long enough that a busy machine does not make the first kind late.
    let config = place.tls("handshake_first: '1s', timeout: 10");
    let server = place.start(&config);
    assert_eq!(server.secured_first(None).unwrap().greet(""), "PONG");
    server.serves();
}

#[test]
fn where_tls_is_a_choice_both_kinds_are_served() {
    let place = Place::new();
    let config = place.tls("timeout: 0.3") + "allow_non_tls: true\n";
    let server = place.start(&config);
    let mut peer = server.plain();
    assert!(peer.line().contains("\"tls_available\":true"));
    assert_eq!(peer.greet(""), "PONG");
    server.serves();
    // One that is slow to speak is not taken for a broken handshake.
    let mut slow = server.plain();
    slow.line();
    slow.stream.set_read_timeout(Some(Duration::from_millis(600))).unwrap();
    assert!(slow.stream.read(&mut [0; 16]).is_err(), "the connection stays open and quiet");
    slow.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(slow.greet(""), "PONG");
}

#[test]
fn half_a_handshake_ends_in_time_and_delays_nobody() {
    let place = Place::new();
    let config = place.tls("timeout: 0.5");
    let server = place.start(&config);
    let halves: Vec<Peer> = (0..20)
        .map(|_| {
            let mut peer = server.plain();
            peer.line();
            // The head of a record whose body never comes.
            peer.send(&[0x16, 3, 1, 2, 0]);
            peer
        })
        .collect();
    server.serves();
    for half in halves {
        assert_eq!(half.rest(), "");
    }
    server.logged("TLS handshake error: timeout");
}

#[test]
fn a_replaced_certificate_is_shown_after_a_reload_and_old_connections_stay() {
    let place = Place::new();
    let config = place.tls("");
    let server = place.start(&config);
    let mut old = server.secured(None).unwrap();
    assert_eq!(old.greet(""), "PONG");
    let next = Authority::new("Next");
    let identity = next.issue(Subject::named("server").dns("localhost"));
    let before = server.place.client(None);
    server.place.write("server.pem", &identity.chain_pem);
    server.place.write("server.key", &identity.key_pem);
    server.place.write("ca.pem", &next.pem);
    server.reload();
    server.serves();
    let mut peer = server.plain();
    peer.line();
    assert!(peer.secure(before.connect("localhost").unwrap()).is_err(), "the old certificate is gone");
    old.send(b"PING\r\n");
    assert_eq!(old.answer(), "PONG");
}

#[test]
fn too_many_handshakes_in_a_second_are_turned_away() {
    let place = Place::new();
    let config = place.tls("connection_rate_limit: 1");
    let server = place.start(&config);
    let refused = (0..20).filter(|_| server.secured(None).is_err()).count();
    assert!(refused > 0, "twenty handshakes take less than twenty seconds");
    let until = Instant::now() + PATIENCE;
    while server.secured(None).is_err() {
        assert!(Instant::now() < until, "the next second begins anew");
    }
}

/// A key under a passphrase. It and its certificate are of no other use; the passphrase is `secret`.
#[test]
fn a_sealed_key_is_opened_by_a_passphrase_of_the_environment_or_of_a_file() {
    let certificate = include_str!("../../../../io/tls/tests/fixtures/encrypted.pem");
    let key = include_str!("../../../../io/tls/tests/fixtures/encrypted.aes-256-cbc.key");
    let sealed = || {
        let place = Place::new();
        place.write("server.pem", certificate);
        place.write("server.key", key);
        place.write("passphrase", "secret\n");
        place
    };
    let serves = |server: &crate::place::Server| {
        let tls = server.place.client_by(tls::Settings { insecure: true, ..tls::Settings::default() });
        assert_eq!(server.secured_by(&tls).unwrap().greet(""), "PONG");
    };
    let place = sealed();
    let config = place.tls("key_passphrase: $KEY_PASSPHRASE");
    serves(&place.start_where(&config, "KEY_PASSPHRASE", "secret"));
    let place = sealed();
    let config = place.tls(&format!("key_passphrase_file: '{}/passphrase'", place.folder.path().display()));
    serves(&place.start(&config));
    let place = sealed();
    for (wrong, why) in [("", "passphrase"), ("key_passphrase: planted-marker", "passphrase")] {
        let text = place.refusal(&place.tls(wrong));
        assert!(text.contains(why) && !text.contains("planted-marker"), "{text}");
    }
}
