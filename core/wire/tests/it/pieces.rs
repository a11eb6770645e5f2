//! Bytes in pieces, damaged bytes, and bytes we wrote ourselves.

use bulwark_wire::client::{Limits, Op, Parsed, parse};
use bulwark_wire::{ProtocolError, encode, fuzz_client};
use proptest::prelude::*;

/// What all bytes together say: the operations as text, then how it ended.
fn whole(bytes: &[u8], limits: &Limits) -> Vec<String> {
    let mut said = Vec::new();
    let mut rest = bytes;
    loop {
        match parse(rest, limits) {
            Ok(Parsed::Op { op, consumed }) => {
                said.push(text(&op, rest));
                rest = &rest[consumed..];
            }
            Ok(Parsed::Incomplete { .. }) => return said,
            Err(error) => {
                said.push(ended(&error));
                return said;
            }
        }
    }
}

/// The same, when the bytes come one by one and are looked at each time.
fn one_by_one(bytes: &[u8], limits: &Limits) -> Vec<String> {
    let mut said = Vec::new();
    let mut held = Vec::new();
    for &byte in bytes {
        held.push(byte);
        match parse(&held, limits) {
            Ok(Parsed::Op { op, consumed }) => {
                assert_eq!(consumed, held.len(), "an operation is taken with its last byte");
                said.push(text(&op, &held));
                held.clear();
            }
            Ok(Parsed::Incomplete { need }) => assert!(need > held.len()),
            Err(error) => {
                said.push(ended(&error));
                return said;
            }
        }
    }
    said
}

fn text(op: &Op<'_>, buf: &[u8]) -> String {
    match op {
        Op::Publish(p) => format!("{:?} {:?} {} {:?}", p.subject, p.reply, p.header_len, &buf[p.body.clone()]),
        other => format!("{other:?}"),
    }
}

/// Snippets differ with what has arrived; what the peer hears does not.
fn ended(error: &ProtocolError) -> String {
    format!("{:?} {}", error.wire_text(), error.close_reason())
}

/// Lines that are right, nearly right and wrong.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just("PING\r\n"),
        Just("pong\n"),
        Just("CONNECT {\"verbose\":false}\r\n"),
        Just("PUB a.b 5\r\nhello\r\n"),
        Just("PUB a.b r 0\r\n\r\n"),
        Just("pub\ta\tr 3 \nabc\r\n"),
        Just("HPUB a 12 17\r\nNATS/1.0\r\n\r\nhello\r\n"),
        Just("HPUB a r.x 12 12\nNATS/1.0\r\n\r\n\r\n"),
        Just("SUB a.* q 1\r\n"),
        Just("SUB > 2\r\n"),
        Just("UNSUB 1 5\r\n"),
        Just("+OK\r\n"),
        Just("INFO {}\r\n"),
        Just("-ERR 'x'\r\n"),
        Just("PUB a 99999\r\n"),
        Just("SUB x\r\n"),
        Just("MSG a 1 2\r\n"),
        Just("PUB a\u{1} 1\r\nx\r\n"),
    ];
    line.prop_map(|line| line.as_bytes().to_vec())
}

fn conversation() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(piece(), 1..8).prop_map(|pieces| pieces.concat())
}

fn limits() -> impl Strategy<Value = Limits> {
    (prop_oneof![Just(16), Just(64), Just(4096)], prop_oneof![Just(8), Just(1 << 20)], any::<bool>())
        .prop_map(|(max_control_line, max_payload, headers)| Limits { max_control_line, max_payload, headers })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn bytes_say_the_same_whole_and_one_by_one(bytes in conversation(), limits in limits()) {
        prop_assert_eq!(whole(&bytes, &limits), one_by_one(&bytes, &limits));
    }

    #[test]
    fn no_damage_panics(
        mut bytes in conversation(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        limits in limits(),
    ) {
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        fuzz_client(&bytes);
        for end in 0..bytes.len() {
            let _ = parse(&bytes[..end], &limits);
        }
        prop_assert_eq!(whole(&bytes, &limits), one_by_one(&bytes, &limits));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzz_client(&bytes);
    }

    #[test]
    fn a_written_publish_reads_back_as_itself(
        subject in "[!-~é]{1,40}",
        reply in prop::option::of("[!-~]{1,40}"),
        headers in prop::collection::vec(any::<u8>(), 0..40),
        payload in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut bytes = Vec::new();
        let reply = reply.as_deref().map(str::as_bytes);
        encode::publish(&mut bytes, subject.as_bytes(), reply, &headers, &payload).expect("clean words");
        let Ok(Parsed::Op { op: Op::Publish(back), consumed }) = parse(&bytes, &Limits::default()) else {
            panic!("not a publish: {bytes:?}");
        };
        prop_assert_eq!(consumed, bytes.len());
        prop_assert_eq!((back.subject, back.reply, back.header_len), (subject.as_bytes(), reply, headers.len()));
        prop_assert_eq!(&bytes[back.body], [headers, payload].concat());
    }

    #[test]
    fn written_subscriptions_read_back_as_themselves(
        subject in "[!-~]{1,40}", queue in prop::option::of("[!-~]{1,20}"), sid in "[!-~]{1,20}", max in 0u64..999_999_999,
    ) {
        let (subject, queue, sid) = (subject.as_bytes(), queue.as_deref().map(str::as_bytes), sid.as_bytes());
        let max = (max > 0).then_some(max);
        for op in [Op::Subscribe { subject, queue, sid }, Op::Unsubscribe { sid, max }] {
            let mut bytes = Vec::new();
            encode::client_op(&mut bytes, &op, b"").expect("clean words");
            prop_assert_eq!(parse(&bytes, &Limits::default()), Ok(Parsed::Op { op, consumed: bytes.len() }));
        }
    }
}

#[test]
fn every_single_byte_change_of_every_verb_is_survived() {
    for line in [
        "CONNECT {}\r\n",
        "PUB a r 5\r\nhello\r\n",
        "HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
        "SUB a q 1\r\n",
        "UNSUB 1 2\r\n",
        "PING\r\n",
    ] {
        for place in 0..line.len() {
            for byte in 0..=255 {
                let mut bytes = line.as_bytes().to_vec();
                bytes[place] = byte;
                fuzz_client(&bytes);
            }
        }
    }
}
