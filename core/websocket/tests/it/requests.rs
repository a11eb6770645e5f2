//! Requests and what becomes of them.

use bulwark_websocket::{
    Agreed, Cookies, Heard, Kind, MAX_HEAD_BYTES, Masking, Origin, Origins, Refusal, Settings, Upgrade, hear,
};

/// The example of RFC 6455 §1.3.
const LINES: [&str; 5] = [
    "Host: shop.example",
    "Upgrade: websocket",
    "Connection: keep-alive, Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
];

fn request(first: &str, lines: &[&str]) -> Vec<u8> {
    format!("{first}\r\n{}\r\n\r\n", lines.join("\r\n")).into_bytes()
}

/// The example, with lines of the same name replaced and others added.
fn with(more: &[&str]) -> Vec<u8> {
    let name = |line: &str| line.split(':').next().unwrap().to_ascii_lowercase();
    let kept = LINES.iter().filter(|line| more.iter().all(|other| name(other) != name(line)));
    let lines: Vec<&str> = kept.copied().chain(more.iter().copied().filter(|line| !line.ends_with(':'))).collect();
    request("GET / HTTP/1.1", &lines)
}

fn upgraded(bytes: &[u8], settings: &Settings) -> Upgrade {
    match hear(bytes, settings, true) {
        Heard::Upgrade(upgrade) => *upgrade,
        other => panic!("{other:?}"),
    }
}

fn refused(bytes: &[u8], settings: &Settings) -> Refusal {
    match hear(bytes, settings, true) {
        Heard::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_example_of_the_standard_is_answered_as_it_says() {
    let upgrade = upgraded(&with(&[]), &Settings::default());
    let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                  Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    assert_eq!(String::from_utf8(upgrade.answer).unwrap(), answer);
    assert_eq!(upgrade.agreed, Agreed::default());
    assert_eq!(upgrade.kind, Kind::Client);
}

#[test]
fn every_check_has_its_status_and_its_reason() {
    let settings = Settings {
        origins: Origins { same: true, allowed: vec![Origin::parse("https://shop.example").unwrap()] },
        ..Settings::default()
    };
    let post = request("POST / HTTP/1.1", &LINES);
    let mqtt = request("GET /mqtt HTTP/1.1", &LINES);
    for (bytes, status, reason) in [
        (mqtt, 404, "mqtt websocket endpoint not enabled"),
        (request("GET /leafnode HTTP/1.1", &LINES), 404, "leafnode websocket endpoint not enabled"),
        (post, 405, "request method must be GET"),
        (with(&["Host:"]), 400, "'Host' missing in request"),
        (with(&["Host: shop.example", "Host: other"]), 400, "several 'Host' in request"),
        (request("GET / HTTP/1.0", &LINES), 400, "the request is not of HTTP/1.1"),
        (with(&["Upgrade: h2c, websockets"]), 400, "invalid value for header 'Upgrade'"),
        (with(&["Connection: keep-alive"]), 400, "invalid value for header 'Connection'"),
        (with(&["Sec-WebSocket-Key:"]), 400, "key missing"),
        (with(&["Sec-WebSocket-Key: dGhl"]), 400, "invalid websocket key"),
        (with(&["Sec-WebSocket-Key: not base64"]), 400, "invalid websocket key"),
        (with(&["Sec-WebSocket-Version: 8"]), 400, "invalid version"),
        (with(&["Origin: http://shop.example"]), 403, "origin not allowed: not same origin"),
        (with(&["Sec-WebSocket-Origin: https://evil.example"]), 403, "origin not allowed: not same origin"),
        (
            with(&["Origin: null"]),
            403,
            "origin not allowed: allowed origins must be absolute URLs with http or https scheme",
        ),
        (with(&["Host: other", "Origin: https://other"]), 403, "origin not allowed: not in the allowed list"),
        (b"hello\r\n\r\n".to_vec(), 400, "not an HTTP request"),
        (b"CONNECT {}\r\nPING\r\n".to_vec(), 400, "not an HTTP request"),
    ] {
        let refusal = refused(&bytes, &settings);
        assert_eq!(refusal.reason, reason);
        let answer = String::from_utf8(refusal.answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains("Sec-Websocket-Version: 13\r\n"));
    }
}

#[test]
fn an_origin_that_is_no_text_is_no_missing_origin() {
    let settings = Settings { origins: Origins { same: true, allowed: Vec::new() }, ..Settings::default() };
    let mut bytes = with(&["Origin: https://shop.example?"]);
    *bytes.iter_mut().find(|byte| **byte == b'?').unwrap() = 0xff;
    let reason = "origin not allowed: allowed origins must be absolute URLs with http or https scheme";
    assert_eq!(refused(&bytes, &settings).reason, reason);
    for nothing in ["Origin: ", "Origin:\t"] {
        assert_eq!(upgraded(&with(&[nothing]), &settings).kind, Kind::Client, "what is empty says nothing");
    }
}

#[test]
fn who_speaks_before_the_answer_gets_none() {
    let bytes = [with(&[]), b"\x82".to_vec()].concat();
    let refusal = refused(&bytes, &Settings::default());
    assert_eq!((refusal.answer.len(), refusal.reason.as_str()), (0, "client sent data before handshake is complete"));
}

#[test]
fn a_request_comes_in_parts_and_has_an_end() {
    let bytes = with(&["Cookie: a=b"]);
    for cut in 0..bytes.len() {
        assert!(matches!(hear(&bytes[..cut], &Settings::default(), false), Heard::More), "{cut}");
    }
    let long = format!("GET / HTTP/1.1\r\nCookie: {}", "x".repeat(MAX_HEAD_BYTES));
    assert_eq!(refused(long.as_bytes(), &Settings::default()).reason, "the request is too long");
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(65));
    assert_eq!(refused(many.as_bytes(), &Settings::default()).reason, "the request has too many headers");
}

#[test]
fn the_path_says_what_is_spoken() {
    let settings = Settings { has_mqtt: true, has_leafs: true, ..Settings::default() };
    for (target, kind) in [
        ("/", Kind::Client),
        ("/leafnode", Kind::Leaf),
        ("/behind/a/proxy/leafnode?x=1", Kind::Leaf),
        ("/leafnode/", Kind::Client),
        ("/noleafnode", Kind::Client),
        ("http://shop.example/mqtt", Kind::Mqtt),
        ("/mqtt", Kind::Mqtt),
    ] {
        let upgrade = upgraded(&request(&format!("GET {target} HTTP/1.1"), &LINES), &settings);
        assert_eq!(upgrade.kind, kind, "{target}");
        let is_mqtt = String::from_utf8(upgrade.answer).unwrap().contains("Sec-Websocket-Protocol: mqtt\r\n");
        assert_eq!(is_mqtt, kind == Kind::Mqtt);
    }
}

#[test]
fn what_is_agreed_takes_two() {
    let offer = "Sec-WebSocket-Extensions: x-other, permessage-deflate; client_max_window_bits";
    let (on, off) = (Settings { compresses: true, ..Settings::default() }, Settings::default());
    let compresses = |lines: &[&str], settings| upgraded(&with(lines), settings).agreed.compresses;
    assert_eq!([compresses(&[offer], &on), compresses(&[offer], &off), compresses(&[], &on)], [true, false, false]);
    let upgrade = upgraded(&with(&["Nats-No-Masking: true", offer]), &on);
    let answer = String::from_utf8(upgrade.answer).unwrap();
    assert!(upgrade.agreed.peer_masks == Masking::May && answer.contains("Nats-No-Masking: true\r\n"));
    assert!(answer.contains("permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"));
    assert_eq!(upgraded(&with(&["Nats-No-Masking: TRUE"]), &on).agreed.peer_masks, Masking::Must);
}

#[test]
fn browsers_are_known_by_their_name() {
    let agreed = |agent: &str| {
        let agreed = upgraded(&with(&[&format!("User-Agent: {agent}")]), &Settings::default()).agreed;
        (agreed.is_browser, agreed.is_safari)
    };
    assert_eq!(agreed("Mozilla/5.0 (X11) Gecko/20100101 Firefox/140.0"), (true, false));
    assert_eq!(agreed("Mozilla/5.0 (Macintosh) AppleWebKit/605 Version/19.0 Safari/605"), (true, true));
    assert_eq!(agreed("Safari/605 Version/19.0"), (false, false));
}

#[test]
fn cookies_bring_credentials_but_never_into_a_log() {
    let names =
        Cookies { jwt: Some("t".to_owned()), user: Some("u".to_owned()), pass: Some("p".to_owned()), token: None };
    let settings = Settings { cookies: names, has_leafs: true, ..Settings::default() };
    let upgrade = upgraded(&with(&["Cookie: u=alice; t=\"eyJ0\"", "Cookie: p=s3cret=; z=1"]), &settings);
    let Cookies { jwt, user, pass, token } = &upgrade.cookies;
    let read = [jwt, user, pass, token].map(|value| value.as_ref().map(|value| value.expose().as_str().to_owned()));
    let words = ["eyJ0", "alice", "s3cret="].map(|word| Some(word.to_owned()));
    assert_eq!(read[..3], words);
    assert_eq!(read[3], None);
    assert!(!format!("{upgrade:?}").contains("s3cret"));
    let leaf = request("GET /leafnode HTTP/1.1", &[LINES.as_slice(), &["Cookie: u=alice"]].concat());
    assert!(upgraded(&leaf, &settings).cookies.user.is_none(), "leaf nodes have none");
}

#[test]
fn configured_lines_are_in_the_answer() {
    let headers = vec![("X-Served-By".to_owned(), "bulwark".to_owned())];
    let upgrade = upgraded(&with(&[]), &Settings { headers, ..Settings::default() });
    assert!(upgrade.answer.ends_with(b"X-Served-By: bulwark\r\n\r\n"));
}
