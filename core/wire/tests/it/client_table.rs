//! Every row of the tables of verbs, errors and verified exchanges that the parser decides.

use bulwark_wire::client::{Limits, Op, Parsed, Publish, parse};
use bulwark_wire::{CloseReason, ProtocolError};

/// What the first operation is: a short text for a table.
fn first(bytes: &[u8], limits: &Limits) -> String {
    match parse(bytes, limits) {
        Ok(Parsed::Incomplete { .. }) => "more".into(),
        Ok(Parsed::Op { op, consumed }) => {
            let rest = bytes.len() - consumed;
            let rest = if rest == 0 { String::new() } else { format!(" then {rest} bytes") };
            format!("{}{rest}", show(&op, bytes))
        }
        Err(error) => {
            let text = error.wire_text().map_or("silent".into(), |text| format!("-ERR '{text}'"));
            format!("{text}, closed: {}", error.close_reason())
        }
    }
}

fn show(op: &Op<'_>, buf: &[u8]) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match op {
        Op::Publish(Publish { subject, reply, header_len, body }) => {
            let reply = reply.map_or(String::new(), |reply| format!(" reply={}", text(reply)));
            let (headers, payload) = buf[body.clone()].split_at(*header_len);
            format!("publish {}{reply} headers={} payload={}", text(subject), headers.len(), text(payload))
        }
        Op::Subscribe { subject, queue, sid } => {
            let queue = queue.map_or(String::new(), |queue| format!(" queue={}", text(queue)));
            format!("subscribe {}{queue} sid={}", text(subject), text(sid))
        }
        Op::Unsubscribe { sid, max } => format!("unsubscribe {} max={max:?}", text(sid)),
        Op::Connect(json) => format!("connect {}", text(json)),
        Op::Info(json) => format!("info {}", text(json)),
        Op::Err(error) => format!("error {}", text(error)),
        Op::Ping => "ping".into(),
        Op::Pong => "pong".into(),
        Op::Ok => "ok".into(),
    }
}

fn check(rows: &[(&str, &str)]) {
    check_with(&Limits::default(), rows);
}

fn check_with(limits: &Limits, rows: &[(&str, &str)]) {
    for (bytes, what) in rows {
        assert_eq!(first(bytes.as_bytes(), limits), *what, "{bytes:?}");
    }
}

const UNKNOWN: &str = "-ERR 'Unknown Protocol Operation', closed: Protocol Violation";
const SILENT: &str = "silent, closed: Protocol Violation";
const TOO_LARGE: &str = "-ERR 'Maximum Payload Violation', closed: Maximum Message Payload Exceeded";
const TOO_LONG: &str = "-ERR 'maximum control line exceeded', closed: Maximum Control Line Exceeded";

#[test]
fn every_verb_of_a_client_is_understood() {
    check(&[
        ("CONNECT {\"verbose\":false}\r\n", "connect {\"verbose\":false}"),
        ("CONNECT\t {}\r\n", "connect {}"),
        ("CONNECT{}\r\n", "connect {}"),
        ("CONNECT\r\n", "connect "),
        ("PUB a 2\r\nhi\r\n", "publish a headers=0 payload=hi"),
        ("PUB a.b r.c 2\r\nhi\r\n", "publish a.b reply=r.c headers=0 payload=hi"),
        ("PUB a 0\r\n\r\n", "publish a headers=0 payload="),
        ("HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", "publish a headers=12 payload=hi"),
        ("HPUB a r 12 12\r\nNATS/1.0\r\n\r\n\r\n", "publish a reply=r headers=12 payload="),
        ("HPUB a 0 2\r\nhi\r\n", "publish a headers=0 payload=hi"),
        ("HPUB a 5 7\r\nhelloxx\r\n", "publish a headers=5 payload=xx"),
        ("SUB a.> 1\r\n", "subscribe a.> sid=1"),
        ("SUB a.* workers sid-9\r\n", "subscribe a.* queue=workers sid=sid-9"),
        ("UNSUB 1\r\n", "unsubscribe 1 max=None"),
        ("UNSUB 1 5\r\n", "unsubscribe 1 max=Some(5)"),
        ("PING\r\n", "ping"),
        ("PONG\r\n", "pong"),
        ("+OK\r\n", "ok"),
        ("-ERR 'oh'\r\n", "error 'oh'"),
        ("INFO {}\r\n", "info {}"),
    ]);
}

#[test]
fn what_only_servers_say_is_unknown() {
    for line in [
        "MSG x 1 1\r\n",
        "HMSG a 1 12 14\r\n",
        "RS+ a b\r\n",
        "LS+ a\r\n",
        "A+ a\r\n",
        "RMSG a b 1\r\n",
        "LMSG a 1\r\n",
    ] {
        check(&[(line, UNKNOWN)]);
    }
}

#[test]
fn verbs_are_understood_in_any_letter_case() {
    check(&[
        ("connect {}\r\n", "connect {}"),
        ("pUb a 2\r\nhi\r\n", "publish a headers=0 payload=hi"),
        ("hPuB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", "publish a headers=12 payload=hi"),
        ("sub a 1\r\n", "subscribe a sid=1"),
        ("Unsub 1\r\n", "unsubscribe 1 max=None"),
        ("ping\r\n", "ping"),
        ("poNG\r\n", "pong"),
        ("+ok\r\n", "ok"),
        ("-err x\r\n", "error x"),
        ("info {}\r\n", "info {}"),
    ]);
}

#[test]
fn blanks_tabs_and_bare_line_feeds_separate_as_crlf_and_blank_do() {
    check(&[
        ("PUB\ta\t 2\t\r\nhi\r\n", "publish a headers=0 payload=hi"),
        ("PUB  a   r  2 \r\nhi\r\n", "publish a reply=r headers=0 payload=hi"),
        ("PUB a\tr 2\r\nhi\r\n", "publish a reply=r headers=0 payload=hi"),
        ("HPUB\ta 12\t14\r\nNATS/1.0\r\n\r\nhi\r\n", "publish a headers=12 payload=hi"),
        ("PUB a 2\nhi\r\n", "publish a headers=0 payload=hi"),
        ("SUB  a\t1 \n", "subscribe a sid=1"),
        ("UNSUB\t1 \t 2\n", "unsubscribe 1 max=Some(2)"),
        ("PING\n", "ping"),
        ("PING \t\r\n", "ping"),
        ("+OK  \r\n", "ok"),
        ("PUB a 002\r\nhi\r\n", "publish a headers=0 payload=hi"),
        ("PING\r\nPONG\r\n", "ping then 6 bytes"),
    ]);
}

#[test]
fn control_words_are_exact() {
    check(&[
        ("PINGX\r\n", UNKNOWN),
        ("PING x\r\n", UNKNOWN),
        ("PONGPONG\r\n", UNKNOWN),
        ("+OKX\r\n", UNKNOWN),
        ("+OK x\r\n", UNKNOWN),
        ("PUBX a 1\r\n", UNKNOWN),
        ("CONNECTX {}\r\n", UNKNOWN),
        ("PING\r\r\n", UNKNOWN),
    ]);
}

#[test]
fn what_cannot_become_an_operation_is_refused_at_its_first_wrong_byte() {
    check(&[
        ("F", UNKNOWN),
        ("GET / HTTP/1.1\r\n", UNKNOWN),
        ("PUX", UNKNOWN),
        ("\r\n", UNKNOWN),
        ("\n", UNKNOWN),
        (" PING\r\n", UNKNOWN),
        ("M", UNKNOWN),
        ("HM", UNKNOWN),
        ("-ERR\r\n", UNKNOWN),
        ("PUB\r\n", UNKNOWN),
        ("SUB\n", UNKNOWN),
        ("UNSUB\r", UNKNOWN),
        ("PINGX", UNKNOWN),
        ("PING y", UNKNOWN),
        ("\0", UNKNOWN),
        ("\u{16}\u{3}\u{1}", UNKNOWN),
    ]);
}

#[test]
fn a_beginning_of_an_operation_waits_for_the_rest() {
    check(&[
        ("", "more"),
        ("C", "more"),
        ("pu", "more"),
        ("PUB", "more"),
        ("PUB ", "more"),
        ("PUB a 2\r", "more"),
        ("PUB a 2\r\n", "more"),
        ("PUB a 2\r\nhi", "more"),
        ("PUB a 2\r\nhi\r", "more"),
        ("PING", "more"),
        ("PING \r", "more"),
        ("-", "more"),
        ("CONNECT {", "more"),
    ]);
}

#[test]
fn the_bytes_needed_are_told_as_soon_as_the_size_is_known() {
    for (bytes, need) in [
        ("", 1),
        ("PU", 3),
        ("PUB a 100", 10),
        ("PUB a 100\r\n", 113),
        ("PUB a 100\r\nhello", 113),
        ("HPUB a 12 1000\r\nNATS", 1018),
        ("PUB\ta 100\r\n", 113),
        ("PUB a 2\r\nhi\r", 13),
    ] {
        assert_eq!(parse(bytes.as_bytes(), &Limits::default()), Ok(Parsed::Incomplete { need }), "{bytes:?}");
    }
}

#[test]
fn wrong_bytes_after_the_payload_end_the_connection() {
    check(&[
        ("PUB a 2\r\nhix\r\n", UNKNOWN),
        ("PUB a 2\r\nhi\n", UNKNOWN),
        ("PUB a 2\r\nhi\r\r", UNKNOWN),
        ("PUB a 2\r\nhix", UNKNOWN),
        ("PUB  a 2\r\nhix", UNKNOWN),
        ("HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi!\r\n", UNKNOWN),
    ]);
}

#[test]
fn arguments_of_the_wrong_number_or_form_end_the_connection_without_a_word() {
    check(&[
        ("PUB x\r\n", SILENT),
        ("PUB \r\n", SILENT),
        ("PUB a b c 1\r\nx\r\n", SILENT),
        ("PUB a -1\r\n", SILENT),
        ("PUB a +1\r\n", SILENT),
        ("PUB a x\r\n", SILENT),
        ("PUB a 0000000002\r\nhi\r\n", SILENT),
        ("PUB a 1234567890\r\n", SILENT),
        ("HPUB a 2\r\nhi\r\n", SILENT),
        ("HPUB a b c 2 3\r\n", SILENT),
        ("HPUB a 15 14\r\n", SILENT),
        ("HPUB a -1 14\r\n", SILENT),
        ("HPUB a 0000000012 14\r\n", SILENT),
        ("HPUB a 12 x\r\n", SILENT),
        ("SUB x\r\n", SILENT),
        ("SUB \r\n", SILENT),
        ("SUB a b c d\r\n", SILENT),
        ("UNSUB \r\n", SILENT),
        ("UNSUB 1 2 3\r\n", SILENT),
    ]);
}

#[test]
fn an_end_that_is_no_positive_number_ends_the_subscription_at_once() {
    check(&[
        ("UNSUB 1 0\r\n", "unsubscribe 1 max=None"),
        ("UNSUB 1 x\r\n", "unsubscribe 1 max=None"),
        ("UNSUB 1 -1\r\n", "unsubscribe 1 max=None"),
        ("UNSUB 1 99999999999\r\n", "unsubscribe 1 max=None"),
        ("UNSUB 1 999999999\r\n", "unsubscribe 1 max=Some(999999999)"),
    ]);
}

#[test]
fn a_payload_beyond_the_limit_is_refused_before_it_is_sent() {
    check(&[
        ("PUB a 1048576\r\n", "more"),
        ("PUB a 1048577\r\n", TOO_LARGE),
        ("PUB a 999999999\r\n", TOO_LARGE),
        ("PUB  a 1048577\r\n", TOO_LARGE),
        ("HPUB a 12 1048577\r\n", TOO_LARGE),
    ]);
    let none = Limits { max_payload: usize::MAX, ..Limits::default() };
    check_with(&none, &[("PUB a 999999999\r\n", "more"), ("PUB a 1000000000\r\n", SILENT)]);
}

#[test]
fn headers_need_to_be_agreed() {
    let without = Limits { headers: false, ..Limits::default() };
    let row = "HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n";
    assert_eq!(first(row.as_bytes(), &without), "silent, closed: Message Header Violation");
}

#[test]
fn the_control_line_limit_is_that_of_the_arguments() {
    let exact = format!("SUB {} 1\r\n", "a".repeat(4094));
    assert!(first(exact.as_bytes(), &Limits::default()).starts_with("subscribe aaa"));
    for long in [
        format!("SUB {} 1\r\n", "a".repeat(4095)),
        format!("SUB {}", "a".repeat(4097)),
        format!("SUB {}", " ".repeat(5000)),
        format!("PUB {} 1\r\nx\r\n", "a".repeat(4095)),
        format!("HPUB {} 1 1\r\nx\r\n", "a".repeat(4095)),
        format!("CONNECT {{\"x\":\"{}\"}}\r\n", "a".repeat(4090)),
        format!("CONNECT {{\"x\":\"{}", "a".repeat(5000)),
        format!("-ERR {}", "a".repeat(5000)),
        format!("PING{}", " ".repeat(5000)),
    ] {
        assert_eq!(first(long.as_bytes(), &Limits::default()), TOO_LONG, "{}", &long[..20]);
    }
    let raised = Limits { max_control_line: 8192, ..Limits::default() };
    assert!(first(format!("SUB {} 1\r\n", "a".repeat(8000)).as_bytes(), &raised).starts_with("subscribe"));
}

#[test]
fn every_error_says_to_the_log_what_the_reference_says() {
    for (bytes, text) in [
        ("PUB x\r\n", r#"processPub Parse Error: "x""#),
        ("PUB a x\r\n", r#"processPub Bad or Missing Size: "a x""#),
        ("HPUB a 2\r\n", r#"processHeaderPub Parse Error: "a 2""#),
        ("HPUB a x 14\r\n", r#"processHeaderPub Bad or Missing Header Size: "a x 14""#),
        ("HPUB a 1 x\r\n", r#"processHeaderPub Bad or Missing Total Size: "a 1 x""#),
        ("HPUB a 15 14\r\n", r#"processHeaderPub Header Size larger then TotalSize: "a 15 14""#),
        ("SUB \"x\"\r\n", r#"processSub Parse Error: "\"x\"""#),
        ("UNSUB 1 2 3\r\n", r#"processUnsub Parse Error: "1 2 3""#),
        ("PUB a 1048577\r\n", "maximum payload exceeded: 1048577 vs 1048576"),
        ("FOO\r\nbar", r#"Client parser ERROR: proto='"FOO\r\nbar"...'"#),
    ] {
        let error = parse(bytes.as_bytes(), &Limits::default()).expect_err("an error");
        assert_eq!(error.to_string(), text);
    }
    assert_eq!(ProtocolError::HeadersNotSupported.to_string(), "message headers not supported");
}

#[test]
fn what_a_log_line_shows_of_a_peer_is_bounded() {
    let line = format!("PUB {}\r\n", "\u{1}".repeat(4000));
    let error = parse(line.as_bytes(), &Limits::default()).expect_err("an error");
    assert!(error.to_string().len() < 600);
}

#[test]
fn the_close_reasons_are_the_38_of_monitoring() {
    assert_eq!(CloseReason::ALL.len(), 38);
    let names: std::collections::BTreeSet<_> = CloseReason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(names.len(), 38);
}
