//! What visitors cannot do.

use std::io::{Read, Write};
use std::net::TcpStream;

use broker::ClientSettings;
use monitor::{CONNECTIONS_MAX, HEADER_BYTES_MAX, MonitorSettings};

use crate::house::House;

#[test]
fn values_that_cannot_be_read_are_answered_with_the_reason() {
    let house = House::open();
    let decoding = |kind: &str, name: &str, parser: &str, text: &str| {
        format!("Error decoding {kind} for '{name}': strconv.{parser}: parsing \"{text}\": invalid syntax")
    };
    for (path, text) in [
        ("/connz?limit=abc", decoding("int", "limit", "Atoi", "abc")),
        ("/connz?auth=zz", decoding("boolean", "auth", "ParseBool", "zz")),
        ("/connz?cid=-1", decoding("uint64", "cid", "ParseUint", "-1")),
        ("/accstatz?unused=x", decoding("boolean", "unused", "ParseBool", "x")),
        ("/leafz?subs=x", decoding("boolean", "subs", "ParseBool", "x")),
        ("/jsz?raft=x", decoding("boolean", "raft", "ParseBool", "x")),
        ("/connz?state=foo", "Error decoding state for foo".into()),
        ("/connz?sort=xx", "invalid sorting option: xx".into()),
        ("/connz?sort=stop", "sort by stop only valid on closed connections".into()),
        ("/connz?sort=reason&state=any", "sort by reason only valid on closed connections".into()),
        ("/subsz?test=foo..bar", "invalid test subject, must be valid publish subject: foo..bar".into()),
        ("/subsz?test=foo.*", "invalid test subject, must be valid publish subject: foo.*".into()),
    ] {
        let reply = house.visit(path);
        assert_eq!((reply.status, reply.body), (400, text), "{path}");
        assert!(!reply.head.contains("access-control"), "{path}");
    }
}

/// GHSA-q59r: the largest offset and limit together.
#[test]
fn advisory_2026_28_pages_at_the_end_of_numbers_are_empty() {
    let house = House::open();
    let _client = house.client("{}");
    let most = i64::MAX;
    for page in [format!("offset={most}&limit={most}"), format!("offset=1&limit={most}"), "offset=-1&limit=-1".into()] {
        for path in ["/connz?state=any&", "/subsz?subs=1&", "/jsz?"] {
            assert_eq!(house.visit(&format!("{path}{page}")).status, 200, "{path}{page}");
        }
    }
    let connz = house.json(&format!("/connz?offset={most}&limit={most}"));
    assert_eq!((&connz["offset"], &connz["num_connections"], &connz["total"]), (&most.into(), &0.into(), &1.into()));
    let beyond = house.visit("/connz?limit=9223372036854775808");
    assert!(beyond.status == 400 && beyond.body.ends_with("value out of range"), "{}", beyond.body);
}

#[test]
fn there_is_no_page_that_shows_the_process() {
    let house = House::open();
    for path in ["/debug/vars", "/debug/pprof/", "/stacksz", "/expvarz", "/nosuch", "/varz/", "//varz", "/../varz"] {
        let reply = house.visit(path);
        assert_eq!((reply.status, reply.body.as_str()), (404, "404 page not found\n"), "{path}");
    }
}

#[test]
fn a_callback_is_never_called() {
    let house = House::open();
    let reply = house.visit("/varz?callback=steal");
    assert!(reply.body.starts_with('{') && reply.head.contains("content-type: application/json"), "{}", reply.head);
    assert!(reply.head.contains("x-content-type-options: nosniff"));
}

#[test]
fn other_origins_read_documents_only_where_that_is_wanted() {
    let open = House::open();
    assert!(open.visit("/varz").head.contains("access-control-allow-origin: *"));
    assert!(!open.visit("/").head.contains("access-control"));
    let settings = MonitorSettings { cross_origin: false, ..MonitorSettings::default() };
    let closed = House::with(Default::default(), ClientSettings::default(), settings);
    assert!(!closed.visit("/varz").head.contains("access-control"));
}

#[test]
fn any_method_is_answered_and_no_body_is_read() {
    let house = House::open();
    let post = "POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc";
    assert_eq!(house.visit_raw(post).status, 200);
    let head = house.visit_raw("HEAD /varz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[test]
fn a_head_that_is_too_long_is_refused() {
    let house = House::open();
    let long = "a".repeat(HEADER_BYTES_MAX * 2);
    let mut stream = TcpStream::connect(house.monitor.address()).unwrap();
    // The server may close before it has read all of it.
    let _ = stream.write_all(format!("GET /varz HTTP/1.1\r\nHost: x\r\nX: {long}\r\n\r\n").as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(house.visit("/healthz").status, 200);
}

#[test]
fn one_visitor_too_many_is_turned_away_and_the_place_is_free_again() {
    let house = House::open();
    let mut places: Vec<TcpStream> = (0..CONNECTIONS_MAX).map(|_| seated(&house)).collect();
    let mut surplus = TcpStream::connect(house.monitor.address()).unwrap();
    assert!(matches!(surplus.read(&mut [0; 1]), Ok(0) | Err(_)));
    places.pop();
    // The place is free as soon as the server has seen the visitor go.
    while std::panic::catch_unwind(|| house_is_open(house.monitor.address())).is_err() {}
}

/// A visitor that got an answer and stays.
fn seated(house: &House) -> TcpStream {
    let mut stream = TcpStream::connect(house.monitor.address()).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"}") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        seen.push(byte[0]);
    }
    stream
}

fn house_is_open(at: std::net::SocketAddr) {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("200 OK"));
}

#[test]
fn nobody_answers_after_the_stop() {
    let house = House::open();
    let at = house.monitor.address();
    house.monitor.stop();
    assert!(TcpStream::connect(at).is_err());
    house.monitor.stop();
}
