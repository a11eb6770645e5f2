//! The dialects between servers.

use bulwark_wire::client::Limits;
use bulwark_wire::encode::Unencodable;
use bulwark_wire::server::{Address, Disinterest, Interest, Message, Parsed, QueueInterest};
use bulwark_wire::{ProtocolError, fuzz_servers, gateway, leaf, route};
use proptest::prelude::*;

fn limits() -> Limits {
    Limits::default().between_servers()
}

const POOLED: route::Form = route::Form { names_account: true, unsubscribe_names_origin: true };
const OLD_PEER: route::Form = route::Form { names_account: true, unsubscribe_names_origin: false };
const DEDICATED: route::Form = route::Form { names_account: false, unsubscribe_names_origin: true };

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

fn interest(interest: &Interest<'_>) -> String {
    let queue = interest.queue.map_or(String::new(), |q| format!(" queue={}*{}", text(q.name), q.weight));
    format!("{}{queue}", text(interest.subject))
}

fn disinterest(gone: &Disinterest<'_>) -> String {
    format!("{}{}", text(gone.subject), gone.queue.map_or(String::new(), |q| format!(" queue={}", text(q))))
}

fn message(message: &Message<'_>, buf: &[u8]) -> String {
    let reply = message.reply.map_or(String::new(), |reply| format!(" reply={}", text(reply)));
    let queues: Vec<_> = message.queues.iter().map(text).collect();
    let (headers, payload) = buf[message.body.clone()].split_at(message.header_len);
    format!("{}{reply} queues={queues:?} headers={} payload={}", text(message.subject), headers.len(), text(payload))
}

fn scope(scope: &route::Scope<'_>) -> String {
    let word = |name: &str, word: Option<&[u8]>| word.map_or(String::new(), |word| format!("{name}={} ", text(word)));
    format!("{}{}", word("origin", scope.origin), word("account", scope.account))
}

fn ended<O>(answer: Result<Parsed<O>, ProtocolError>, show: impl Fn(&O) -> String) -> String {
    match answer {
        Ok(Parsed::Op { op, .. }) => show(&op),
        Ok(Parsed::Incomplete { .. }) => "more".into(),
        Err(error) => error.wire_text().map_or_else(|| format!("silent: {error}"), str::to_owned),
    }
}

fn on_route(line: &str, form: route::Form) -> String {
    let buf = line.as_bytes();
    ended(route::parse(buf, &limits(), form), |op| match op {
        route::Op::Subscribe { scope: s, interest: i } => format!("+ {}{}", scope(s), interest(i)),
        route::Op::Unsubscribe { scope: s, of_leaf, disinterest: d } => {
            format!("- {}{}{}", if *of_leaf { "leaf " } else { "" }, scope(s), disinterest(d))
        }
        route::Op::Message { scope: s, message: m } => format!("{}{}", scope(s), message(m, buf)),
        other => format!("{other:?}"),
    })
}

fn on_leaf(line: &str) -> String {
    let buf = line.as_bytes();
    ended(leaf::parse(buf, &limits()), |op| match op {
        leaf::Op::Subscribe(i) => format!("+ {}", interest(i)),
        leaf::Op::Unsubscribe(d) => format!("- {}", disinterest(d)),
        leaf::Op::Message(m) => message(m, buf),
        other => format!("{other:?}"),
    })
}

fn on_gateway(line: &str) -> String {
    let buf = line.as_bytes();
    ended(gateway::parse(buf, &limits()), |op| match op {
        gateway::Op::Subscribe { account, interest: i } => format!("+ {}: {}", text(account), interest(i)),
        gateway::Op::Unsubscribe { account, disinterest: d } => format!("- {}: {}", text(account), disinterest(d)),
        gateway::Op::Message { account, message: m } => format!("{}: {}", text(account), message(m, buf)),
        gateway::Op::AccountInterest(account) => format!("A+ {}", text(account)),
        gateway::Op::AccountDisinterest(account) => format!("A- {}", text(account)),
        gateway::Op::Rights(json) => format!("rights {}", text(json)),
        other => format!("{other:?}"),
    })
}

const UNKNOWN: &str = "Unknown Protocol Operation";

#[test]
fn route_lines_say_what_they_say() {
    for (line, what) in [
        ("RS+ A foo\r\n", "+ account=A foo"),
        ("RS+ A bar q1 3\r\n", "+ account=A bar queue=q1*3"),
        ("rs+\tA  bar q1 0\n", "+ account=A bar queue=q1*1"),
        ("RS+ A bar q1 x\r\n", "+ account=A bar queue=q1*1"),
        ("RS- A bar q1\r\n", "- account=A bar queue=q1"),
        ("RS- A bar\r\n", "- account=A bar"),
        ("LS+ LF A $SYS.REQ.USER.INFO\r\n", "+ origin=LF account=A $SYS.REQ.USER.INFO"),
        ("LS+ LF A foo q 2\r\n", "+ origin=LF account=A foo queue=q*2"),
        ("LS- LF A foo\r\n", "- leaf origin=LF account=A foo"),
        ("RMSG A foo 2\r\nhi\r\n", r#"account=A foo queues=[] headers=0 payload=hi"#),
        ("RMSG A foo rep.x 2\r\nhi\r\n", r#"account=A foo reply=rep.x queues=[] headers=0 payload=hi"#),
        ("RMSG A foo + rep q1 q2 2\r\nhi\r\n", r#"account=A foo reply=rep queues=["q1", "q2"] headers=0 payload=hi"#),
        ("RMSG A foo | q1 2\r\nhi\r\n", r#"account=A foo queues=["q1"] headers=0 payload=hi"#),
        ("RMSG A foo + 2\r\nhi\r\n", r#"account=A foo reply=+ queues=[] headers=0 payload=hi"#),
        ("RMSG A foo + rep 2\r\nhi\r\n", r#"account=A foo reply=rep queues=[] headers=0 payload=hi"#),
        ("HMSG A foo 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", r#"account=A foo queues=[] headers=12 payload=hi"#),
        ("HMSG A foo r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", r#"account=A foo reply=r queues=[] headers=12 payload=hi"#),
        (
            "HMSG A foo + r q 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
            r#"account=A foo reply=r queues=["q"] headers=12 payload=hi"#,
        ),
        ("LMSG LF A foo 0 2\r\nhi\r\n", r#"origin=LF account=A foo queues=[] headers=0 payload=hi"#),
        ("LMSG LF A foo r 0 2\r\nhi\r\n", r#"origin=LF account=A foo reply=r queues=[] headers=0 payload=hi"#),
        (
            "LMSG LF A foo | q1 q2 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
            r#"origin=LF account=A foo queues=["q1", "q2"] headers=12 payload=hi"#,
        ),
        ("RMSG A foo 2\r\nhi", "more"),
        ("RMS", "more"),
        ("RMSG A foo 2\r\nhix", UNKNOWN),
        ("RMSG A foo 1048577\r\n", "Maximum Payload Violation"),
        ("RMSG A foo\r\n", r#"silent: processRoutedMsgArgs Parse Error: "A foo""#),
        ("RMSG A foo x y z 2\r\n", r#"silent: processRoutedMsgArgs Parse Error: "A foo x y z 2""#),
        ("RMSG A foo 0000000002\r\n", r#"silent: processRoutedMsgArgs Parse Error: "A foo 0000000002""#),
        ("HMSG A foo 15 14\r\n", r#"silent: processRoutedHeaderMsgArgs Parse Error: "A foo 15 14""#),
        ("LMSG LF A foo 2\r\n", r#"silent: processRoutedOriginClusterMsgArgs Parse Error: "LF A foo 2""#),
        ("RS+ A\r\n", r#"silent: processRemoteSub Parse Error: "A""#),
        ("RS+ A foo q\r\n", r#"silent: processRemoteSub Parse Error: "A foo q""#),
        ("RS+ A foo q 1 x\r\n", r#"silent: processRemoteSub Parse Error: "A foo q 1 x""#),
        ("RS- A b c d\r\n", r#"silent: processRemoteUnsub parse error: "A b c d""#),
        ("A+ acc\r\n", "Account([97, 99, 99])"),
        ("PING\r\n", "Ping"),
        ("+OK\r\n", "Ok"),
        ("SUB foo 1\r\n", UNKNOWN),
        ("PUB foo 1\r\n", UNKNOWN),
        ("MSG foo 1 1\r\n", UNKNOWN),
        ("UNSUB 1\r\n", UNKNOWN),
    ] {
        assert_eq!(on_route(line, POOLED), what, "{line:?}");
    }
}

#[test]
fn the_form_of_a_route_says_which_words_are_there() {
    for (form, line, what) in [
        (DEDICATED, "RS+ foo\r\n", "+ foo"),
        (DEDICATED, "RS+ foo q 2\r\n", "+ foo queue=q*2"),
        (DEDICATED, "RS- foo q\r\n", "- foo queue=q"),
        (DEDICATED, "LS+ LF foo\r\n", "+ origin=LF foo"),
        (DEDICATED, "LS- LF foo\r\n", "- leaf origin=LF foo"),
        (DEDICATED, "RMSG foo r 2\r\nhi\r\n", "foo reply=r queues=[] headers=0 payload=hi"),
        (DEDICATED, "LMSG LF foo 0 2\r\nhi\r\n", "origin=LF foo queues=[] headers=0 payload=hi"),
        (OLD_PEER, "LS+ LF A foo\r\n", "+ origin=LF account=A foo"),
        (OLD_PEER, "LS- A foo\r\n", "- leaf account=A foo"),
        (OLD_PEER, "LS- A foo q\r\n", "- leaf account=A foo queue=q"),
    ] {
        assert_eq!(on_route(line, form), what, "{line:?}");
    }
}

#[test]
fn leaf_lines_say_what_they_say() {
    for (line, what) in [
        ("LS+ foo\r\n", "+ foo"),
        ("LS+ bar q1 1\r\n", "+ bar queue=q1*1"),
        ("LS- bar q1\r\n", "- bar queue=q1"),
        ("LS+ $LDS.abc\r\n", "+ $LDS.abc"),
        ("LMSG foo rep.l 2\r\nhi\r\n", r#"foo reply=rep.l queues=[] headers=0 payload=hi"#),
        ("LMSG bar + rep.l q1 2\r\nhi\r\n", r#"bar reply=rep.l queues=["q1"] headers=0 payload=hi"#),
        ("LMSG bar | q1 q2 2\r\nhi\r\n", r#"bar queues=["q1", "q2"] headers=0 payload=hi"#),
        ("HMSG foo 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", "foo queues=[] headers=12 payload=hi"),
        ("LMSG foo 1048577\r\n", "Maximum Payload Violation"),
        ("LMSG foo\r\n", r#"silent: processLeafMsgArgs Parse Error: "foo""#),
        ("LS+ a b\r\n", r#"silent: processLeafSub Parse Error: "a b""#),
        ("LS+ \r\n", r#"silent: processLeafSub Parse Error: """#),
        ("RS+ A foo\r\n", UNKNOWN),
        ("RMSG A foo 1\r\n", UNKNOWN),
        ("A+ x\r\n", UNKNOWN),
        ("SUB foo 1\r\n", UNKNOWN),
        ("PUB foo 1\r\n", UNKNOWN),
    ] {
        assert_eq!(on_leaf(line), what, "{line:?}");
    }
}

#[test]
fn gateway_lines_say_what_they_say() {
    for (line, what) in [
        ("RS+ A foo\r\n", "+ A: foo"),
        ("RS+ A bar q1 1\r\n", "+ A: bar queue=q1*1"),
        ("RS- A foo\r\n", "- A: foo"),
        ("A+ A\r\n", "A+ A"),
        ("A- A\r\n", "A- A"),
        (
            "RMSG A foo _GR_.Q9nuOZ.xJpEY1.rep.g 2\r\nhi\r\n",
            "A: foo reply=_GR_.Q9nuOZ.xJpEY1.rep.g queues=[] headers=0 payload=hi",
        ),
        ("RMSG A bar + _GR_.x.y.z q1 2\r\nhi\r\n", r#"A: bar reply=_GR_.x.y.z queues=["q1"] headers=0 payload=hi"#),
        ("HMSG A foo 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", "A: foo queues=[] headers=12 payload=hi"),
        ("RIGHTS 2\r\n{}\r\n", "rights {}"),
        ("rights 4\r\n\r\n\r\n\r\n", "rights \r\n\r\n"),
        ("RIGHTS 2\r\n{}", "more"),
        ("RIGHTS 2\r\n{}x", UNKNOWN),
        ("RIGHTS\r\n", UNKNOWN),
        ("RIGHTS 2 2\r\n{}\r\n", r#"silent: rights Parse Error: "2 2""#),
        ("RIGHTS x\r\n", r#"silent: rights Parse Error: "x""#),
        ("RIGHTS 16384\r\n", "more"),
        ("RIGHTS 16385\r\n", r#"silent: rights Parse Error: "16385""#),
        ("A+ \r\n", r#"silent: processAccountSub Parse Error: """#),
        ("A+ a b\r\n", r#"silent: processAccountSub Parse Error: "a b""#),
        ("LS+ foo\r\n", UNKNOWN),
        ("LMSG foo 1\r\n", UNKNOWN),
        ("SUB foo 1\r\n", UNKNOWN),
    ] {
        assert_eq!(on_gateway(line), what, "{line:?}");
    }
}

#[test]
fn rights_are_told_on_gateways_alone() {
    let line = "RIGHTS 2\r\n{}\r\n";
    assert_eq!((on_leaf(line).as_str(), on_route(line, POOLED).as_str()), (UNKNOWN, UNKNOWN));
}

#[test]
fn lines_between_servers_may_be_sixteen_times_as_long_and_no_longer() {
    let line = |length: usize| format!("RS+ A {}\r\n", "a".repeat(length));
    assert!(on_route(&line(65_534), POOLED).starts_with("+ "));
    assert_eq!(on_route(&line(65_535), POOLED), "maximum control line exceeded");
    assert_eq!(on_leaf(&format!("LS+ {}", "a".repeat(65_537))), "maximum control line exceeded");
    assert_eq!(on_gateway(&format!("A+ {}", "a".repeat(65_537))), "maximum control line exceeded");
}

#[test]
fn ghsa_qrcv_no_control_character_crosses_a_link_between_servers() {
    for byte in (0..b' ').chain([0x7f]).filter(|byte| !matches!(byte, b'\n' | b'\t' | b'\r')) {
        let odd = char::from(byte);
        assert_eq!(on_route(&format!("RS+ A a{odd}b\r\n"), POOLED), UNKNOWN);
        assert_eq!(on_route(&format!("RMSG A a{odd}b 1\r\nx\r\n"), POOLED), UNKNOWN);
        assert_eq!(on_leaf(&format!("LS+ a{odd}\r\n")), UNKNOWN);
        assert_eq!(on_leaf(&format!("LMSG a r{odd} 1\r\nx\r\n")), UNKNOWN);
        assert_eq!(on_gateway(&format!("A- a{odd}\r\n")), UNKNOWN);
    }
    for word in [&b"a b"[..], b"a\r\nRS+ A x", b"a\tb", b"", b"a\0"] {
        let mut out = Vec::new();
        let plain = Interest { subject: b"s", queue: None };
        let bad = Interest { subject: word, queue: None };
        let bad_queue = Interest { subject: b"s", queue: Some(QueueInterest { name: word, weight: 1 }) };
        let of = |account| route::Scope { account: Some(account), origin: None };
        let to = |subject, reply| Address { subject, reply, queues: &[] };
        let queues = [word];
        for refused in [
            route::subscribe_line(&mut out, of(word), &plain),
            route::subscribe_line(&mut out, of(b"A"), &bad),
            route::subscribe_line(&mut out, of(b"A"), &bad_queue),
            route::subscribe_line(&mut out, route::Scope { origin: Some(word), account: None }, &plain),
            leaf::subscribe_line(&mut out, &bad),
            gateway::subscribe_line(&mut out, word, &plain),
            gateway::account_line(&mut out, word, true),
            leaf::message_head(&mut out, &to(word, None), 0, 1),
            leaf::message_head(&mut out, &to(b"s", Some(word)), 0, 1),
            leaf::message_head(&mut out, &Address { subject: b"s", reply: None, queues: &queues }, 0, 1),
            leaf::unsubscribe_line(&mut out, &Disinterest { subject: b"s", queue: Some(word) }),
        ] {
            assert_eq!(refused, Err(Unencodable));
        }
        assert_eq!(out, b"");
    }
}

#[test]
fn heads_are_written_in_the_form_their_content_asks_for() {
    let to = Address { subject: b"foo", reply: Some(b"r"), queues: &[b"q1", b"q2"] };
    let quiet = Address { reply: None, ..to };
    let alone = Address { queues: &[], ..to };
    let scope = |origin| route::Scope { origin, account: Some(b"A") };
    let written = |write: &dyn Fn(&mut Vec<u8>) -> Result<(), Unencodable>| {
        let mut out = Vec::new();
        write(&mut out).expect("clean words");
        String::from_utf8(out).expect("text")
    };
    assert_eq!(written(&|out| route::message_head(out, scope(None), &to, 0, 2)), "RMSG A foo + r q1 q2 2\r\n");
    assert_eq!(written(&|out| route::message_head(out, scope(None), &quiet, 0, 2)), "RMSG A foo | q1 q2 2\r\n");
    assert_eq!(written(&|out| route::message_head(out, scope(None), &alone, 12, 14)), "HMSG A foo r 12 14\r\n");
    assert_eq!(written(&|out| route::message_head(out, scope(Some(b"LF")), &alone, 0, 2)), "LMSG LF A foo r 0 2\r\n");
    assert_eq!(written(&|out| route::message_head(out, route::Scope::default(), &alone, 0, 2)), "RMSG foo r 2\r\n");
    assert_eq!(written(&|out| leaf::message_head(out, &quiet, 0, 2)), "LMSG foo | q1 q2 2\r\n");
    assert_eq!(written(&|out| leaf::message_head(out, &to, 12, 14)), "HMSG foo + r q1 q2 12 14\r\n");
    assert_eq!(written(&|out| gateway::message_head(out, b"A", &alone, 0, 2)), "RMSG A foo r 2\r\n");
    assert_eq!(written(&|out| gateway::account_line(out, b"A", false)), "A- A\r\n");
}

const WORD: &str = "[!-*,-{}~]{1,12}";

fn a_message() -> impl Strategy<Value = (String, Option<String>, Vec<String>, Vec<u8>, Vec<u8>)> {
    (
        WORD,
        prop::option::of(WORD),
        prop::collection::vec(WORD, 0..4),
        prop::collection::vec(any::<u8>(), 0..30),
        prop::collection::vec(any::<u8>(), 0..60),
    )
}

fn some_lines() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just("RS+ A foo\r\n"),
        Just("RS+ A foo q 3\r\n"),
        Just("LS+ LF A foo\r\n"),
        Just("LS+ foo q 1\r\n"),
        Just("LS- foo q\r\n"),
        Just("RS- A foo\r\n"),
        Just("RMSG A foo + r q1 q2 2\r\nhi\r\n"),
        Just("LMSG foo r 2\r\nhi\r\n"),
        Just("LMSG LF A foo | q 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"),
        Just("HMSG A foo 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"),
        Just("A+ A\r\n"),
        Just("RIGHTS 2\r\n{}\r\n"),
        Just("PING\r\n"),
        Just("INFO {}\r\n"),
        Just("-ERR 'x'\r\n"),
    ];
    prop::collection::vec(line, 1..6).prop_map(|lines| lines.concat().into_bytes())
}

proptest! {
    #[test]
    fn a_written_message_reads_back_as_itself(
        (subject, reply, queues, headers, payload) in a_message(),
        account in WORD,
        origin in prop::option::of(WORD),
    ) {
        let queues: Vec<&[u8]> = queues.iter().map(String::as_bytes).collect();
        let reply = reply.as_deref().map(str::as_bytes);
        let to = Address { subject: subject.as_bytes(), reply, queues: &queues };
        let (header_len, size) = (headers.len(), headers.len() + payload.len());
        let body = [headers, payload, b"\r\n".to_vec()].concat();
        let same = |message: &Message<'_>, buf: &[u8]| {
            assert_eq!((message.subject, message.reply, message.header_len), (to.subject, to.reply, header_len));
            assert!(message.queues.iter().eq(queues.iter().copied()));
            assert!(queues.iter().all(|queue| message.queues.contains(queue)));
            assert_eq!(message.queues.is_empty(), queues.is_empty());
            assert_eq!(&buf[message.body.clone()], &body[..size]);
        };

        let scope = route::Scope { origin: origin.as_deref().map(str::as_bytes), account: Some(account.as_bytes()) };
        let mut buf = Vec::new();
        route::message_head(&mut buf, scope, &to, header_len, size).expect("clean words");
        buf.extend_from_slice(&body);
        let Ok(Parsed::Op { op: route::Op::Message { scope: read, message }, consumed }) =
            route::parse(&buf, &limits(), POOLED) else { panic!("{buf:?}") };
        prop_assert_eq!((read, consumed), (scope, buf.len()));
        same(&message, &buf);

        let mut buf = Vec::new();
        leaf::message_head(&mut buf, &to, header_len, size).expect("clean words");
        buf.extend_from_slice(&body);
        let Ok(Parsed::Op { op: leaf::Op::Message(message), .. }) = leaf::parse(&buf, &limits()) else { panic!() };
        same(&message, &buf);

        let mut buf = Vec::new();
        gateway::message_head(&mut buf, account.as_bytes(), &to, header_len, size).expect("clean words");
        buf.extend_from_slice(&body);
        let Ok(Parsed::Op { op: gateway::Op::Message { account: read, message }, .. }) =
            gateway::parse(&buf, &limits()) else { panic!() };
        prop_assert_eq!(read, account.as_bytes());
        same(&message, &buf);
    }

    #[test]
    fn written_interest_reads_back_as_itself(
        subject in WORD, queue in prop::option::of((WORD, 1u32..999_999_999)), account in WORD, origin in prop::option::of(WORD),
    ) {
        let queue = queue.as_ref().map(|(name, weight)| QueueInterest { name: name.as_bytes(), weight: *weight });
        let interest = Interest { subject: subject.as_bytes(), queue };
        let gone = Disinterest { subject: subject.as_bytes(), queue: queue.map(|queue| queue.name) };
        let origin = origin.as_deref().map(str::as_bytes);
        for (form, account) in [(POOLED, Some(account.as_bytes())), (DEDICATED, None)] {
            let scope = route::Scope { origin, account };
            let of_leaf = origin.is_some();
            for op in [
                route::Op::Subscribe { scope, interest },
                route::Op::Unsubscribe { scope, of_leaf, disinterest: gone },
            ] {
                let mut buf = Vec::new();
                route::encode(&mut buf, &op, b"").expect("clean words");
                prop_assert_eq!(route::parse(&buf, &limits(), form), Ok(Parsed::Op { op, consumed: buf.len() }));
            }
        }
        for op in [leaf::Op::Subscribe(interest), leaf::Op::Unsubscribe(gone)] {
            let mut buf = Vec::new();
            leaf::encode(&mut buf, &op, b"").expect("clean words");
            prop_assert_eq!(leaf::parse(&buf, &limits()), Ok(Parsed::Op { op, consumed: buf.len() }));
        }
        let account = account.as_bytes();
        for op in [
            gateway::Op::Subscribe { account, interest },
            gateway::Op::Unsubscribe { account, disinterest: gone },
            gateway::Op::AccountInterest(account),
            gateway::Op::AccountDisinterest(account),
            gateway::Op::Rights(account),
        ] {
            let mut buf = Vec::new();
            gateway::encode(&mut buf, &op, b"").expect("clean words");
            prop_assert_eq!(gateway::parse(&buf, &limits()), Ok(Parsed::Op { op, consumed: buf.len() }));
        }
    }

    #[test]
    fn an_operation_is_taken_with_its_last_byte_and_not_before(bytes in some_lines()) {
        for end in 0..bytes.len() {
            if let Ok(Parsed::Op { consumed, .. }) = route::parse(&bytes[..end], &limits(), POOLED) {
                prop_assert!(consumed <= end);
                let before = route::parse(&bytes[..consumed - 1], &limits(), POOLED);
                let waits = matches!(before, Ok(Parsed::Incomplete { .. }));
                prop_assert!(waits, "{:?}", before);
            }
        }
    }

    #[test]
    fn no_damage_panics(
        mut bytes in some_lines(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        for end in 0..=bytes.len() {
            fuzz_servers(&bytes[..end]);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzz_servers(&bytes);
    }
}
