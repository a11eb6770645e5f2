//! Asking for a connection, and answers.

use bulwark_websocket::{Agreed, Answer, Asking, BadAnswer, Heard, Kind, MAX_HEAD_BYTES, Masking, Settings, hear};

/// The key of RFC 6455 §1.3.
const KEY: &[u8; 16] = b"the sample nonce";

const LINES: [&str; 3] =
    ["Upgrade: WebSocket", "Connection: upgrade", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="];

const EXTENSION: &str =
    "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover";

fn answer(status: &str, lines: &[&str]) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{}\r\n\r\n", lines.join("\r\n")).into_bytes()
}

/// An answer that agrees, with these lines besides.
fn agreeing(more: &[&str]) -> Vec<u8> {
    answer("101 Switching Protocols", &[LINES.as_slice(), more].concat())
}

fn agreed(compresses: bool) -> Agreed {
    Agreed { peer_masks: Masking::Never, compresses, ..Agreed::default() }
}

#[test]
fn what_is_asked_is_understood_by_whoever_hears() {
    for (compresses, unmasked) in [(false, false), (true, false), (false, true), (true, true)] {
        let asking = Asking::new(*KEY, compresses, unmasked);
        let request = asking.request("hub.example:443", "/behind/leafnode").unwrap();
        let settings = Settings { compresses: true, has_leafs: true, ..Settings::default() };
        let Heard::Upgrade(upgrade) = hear(&request, &settings, true) else { panic!() };
        assert_eq!(upgrade.kind, Kind::Leaf);
        assert_eq!(upgrade.agreed.compresses, compresses);
        assert_eq!(upgrade.agreed.peer_masks == Masking::May, unmasked);
        let len = upgrade.answer.len();
        let behind = [upgrade.answer.as_slice(), b"\x82\x00"].concat();
        assert_eq!(asking.hear(&behind), Answer::Agreed { agreed: agreed(compresses), masks: !unmasked, len });
    }
}

#[test]
fn an_answer_comes_in_parts_and_has_an_end() {
    let asking = Asking::new(*KEY, false, false);
    let bytes = agreeing(&["Server: x"]);
    assert!((0..bytes.len()).all(|cut| asking.hear(&bytes[..cut]) == Answer::More));
    let endless = format!("HTTP/1.1 101 x\r\nA: {}", "x".repeat(MAX_HEAD_BYTES));
    assert_eq!(asking.hear(endless.as_bytes()), Answer::Refused(BadAnswer::TooLong));
    let many = format!("HTTP/1.1 101 x\r\n{}\r\n", "A: b\r\n".repeat(65));
    assert_eq!(asking.hear(many.as_bytes()), Answer::Refused(BadAnswer::TooManyHeaders));
}

#[test]
fn every_wrong_answer_has_its_name() {
    let [upgrade, connection, accept] = LINES;
    let asking = Asking::new(*KEY, true, true);
    for (bytes, bad) in [
        (b"INFO {}\r\n".to_vec(), BadAnswer::NotHttp),
        (answer("200 OK", &LINES), BadAnswer::Status(200)),
        (answer("404 Not Found", &[]), BadAnswer::Status(404)),
        (answer("101 x", &[connection, accept]), BadAnswer::NoWebSocket),
        (answer("101 x", &[upgrade, accept]), BadAnswer::NoWebSocket),
        (answer("101 x", &["Upgrade: h2c", connection, accept]), BadAnswer::NoWebSocket),
        (answer("101 x", &[upgrade, connection]), BadAnswer::WrongAccept),
        (
            answer("101 x", &[upgrade, connection, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOO="]),
            BadAnswer::WrongAccept,
        ),
        (agreeing(&["Sec-WebSocket-Extensions: permessage-deflate"]), BadAnswer::Extension),
        (agreeing(&["Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover"]), BadAnswer::Extension),
        (agreeing(&["Sec-WebSocket-Extensions: x-other"]), BadAnswer::Extension),
        (agreeing(&[EXTENSION, "Sec-WebSocket-Extensions: x-other"]), BadAnswer::Extension),
    ] {
        assert_eq!(asking.hear(&bytes), Answer::Refused(bad), "{}", String::from_utf8_lossy(&bytes));
        assert!(!bad.to_string().is_empty());
    }
    let modest = Asking::new(*KEY, false, false);
    assert_eq!(modest.hear(&agreeing(&[EXTENSION])), Answer::Refused(BadAnswer::Extension), "it was not offered");
}

#[test]
fn what_the_server_does_not_take_up_is_not_done() {
    let asking = Asking::new(*KEY, true, true);
    let said = |more: &[&str]| match asking.hear(&agreeing(more)) {
        Answer::Agreed { agreed, masks, .. } => (agreed.compresses, masks),
        other => panic!("{other:?}"),
    };
    assert_eq!(said(&[]), (false, true));
    assert_eq!(said(&[EXTENSION]), (true, true));
    assert_eq!(said(&["Nats-No-Masking: true"]), (false, false));
    let modest = Asking::new(*KEY, false, false).hear(&agreeing(&["Nats-No-Masking: true"]));
    assert!(matches!(modest, Answer::Agreed { masks: true, .. }), "who did not offer it masks");
}

#[test]
fn a_host_or_a_path_that_would_be_a_line_is_none() {
    let asking = Asking::new(*KEY, false, false);
    for (host, path) in
        [("", "/"), ("a b", "/"), ("a\r\nX: y", "/"), ("a", ""), ("a", "x"), ("a", "/x y"), ("a", "/\r\nX: y")]
    {
        assert_eq!(asking.request(host, path), None, "{host:?} {path:?}");
    }
    assert!(asking.request("[2001:db8::1]:443", "/a%20b/leafnode").is_some());
}
