//! What must hold for any bytes. Entry points of fuzz targets and property tests.

use crate::client::{Limits, Op, Parsed, Publish, parse, slow};
use crate::server::Parsed as ServerParsed;
use crate::{ProtocolError, encode, gateway, headers, leaf, route};

/// Parses the bytes as operations of a client; panics if something that must hold does not.
#[doc(hidden)]
pub fn fuzz_client(bytes: &[u8]) {
    let tight = Limits { max_control_line: 64, max_payload: 256, headers: false };
    for limits in [Limits::default(), tight] {
        let mut rest = bytes;
        loop {
            let answer = parse(rest, &limits);
            assert_eq!(answer, slow(rest, &limits), "both ways give the same answer");
            match answer {
                Err(_) => break,
                Ok(Parsed::Incomplete { need }) => {
                    assert!(need > rest.len(), "more bytes are wanted");
                    assert!(need <= rest.len().max(limits.max_control_line + 66) + limits.max_payload + 2);
                    break;
                }
                Ok(Parsed::Op { op, consumed }) => {
                    check_op(&op, rest, consumed);
                    let Some(after) = rest.get(consumed..) else { unreachable!("consumed what was not there") };
                    rest = after;
                }
            }
        }
    }
}

fn check_op(op: &Op<'_>, buf: &[u8], consumed: usize) {
    assert!(consumed > 0);
    if let Op::Publish(Publish { subject, reply, header_len, body }) = op {
        assert!(encode::is_word(subject) && reply.is_none_or(encode::is_word));
        assert!(*header_len <= body.len() && body.end + 2 == consumed);
    }
    let mut again = Vec::new();
    if encode::client_op(&mut again, op, buf).is_err() {
        // Subjects and queues of subscriptions are the one thing that is parsed without being a clean word.
        assert!(matches!(op, Op::Subscribe { .. }));
        return;
    }
    let unlimited = Limits { max_control_line: usize::MAX, max_payload: usize::MAX, headers: true };
    let Ok(Parsed::Op { op: back, consumed }) = parse(&again, &unlimited) else { unreachable!("what we write parses") };
    assert_eq!(consumed, again.len());
    assert!(same(op, buf, &back, &again), "decode of encode is the identity");
}

/// The same operation, wherever its body lies.
fn same(a: &Op<'_>, a_buf: &[u8], b: &Op<'_>, b_buf: &[u8]) -> bool {
    match (a, b) {
        (Op::Publish(a), Op::Publish(b)) => {
            let heads = a.subject == b.subject && a.reply == b.reply && a.header_len == b.header_len;
            heads && a_buf.get(a.body.clone()) == b_buf.get(b.body.clone())
        }
        (a, b) => a == b,
    }
}

/// Reads and rewrites the bytes as a header block; panics if something that must hold does not.
#[doc(hidden)]
pub fn fuzz_headers(block: &[u8]) {
    const KEY: &str = "Nats-Request-Info";
    let view = headers::Headers::new(block);
    let _ = (view.status(), view.iter().count());
    let mut removed = Vec::new();
    headers::remove(&mut removed, block, KEY);
    assert_eq!(headers::Headers::new(&removed).get_any_case(KEY), None);
    assert!(removed.len() <= block.len());
    let mut made = Vec::new();
    assert_eq!(headers::set(&mut made, block, KEY, b"ours"), Ok(()));
    let ours = headers::Headers::new(&made).iter().filter(|(key, _)| key.eq_ignore_ascii_case(KEY.as_bytes()));
    assert!(ours.map(|(_, value)| value).eq([&b"ours"[..]]), "exactly one, and it is ours");
    let mut plain = Vec::new();
    headers::remove_status(&mut plain, block);
    headers::remove_prefix(&mut plain, block, "Nats-");
}

/// Parses the bytes in every dialect between servers; panics if something that must hold does not.
#[doc(hidden)]
pub fn fuzz_servers(bytes: &[u8]) {
    let limits = Limits::default().between_servers();
    for (names_account, unsubscribe_names_origin) in [(true, true), (true, false), (false, true), (false, false)] {
        let form = route::Form { names_account, unsubscribe_names_origin };
        walk(bytes, |buf| route::parse(buf, &limits, form), route::encode);
    }
    walk(bytes, |buf| leaf::parse(buf, &limits), leaf::encode);
    walk(bytes, |buf| gateway::parse(buf, &limits), gateway::encode);
}

fn walk<'a, O>(
    bytes: &'a [u8],
    parse: impl Fn(&'a [u8]) -> Result<ServerParsed<O>, ProtocolError>,
    encode: impl Fn(&mut Vec<u8>, &O, &[u8]) -> Result<(), encode::Unencodable>,
) {
    let mut rest = bytes;
    while let Ok(answer) = parse(rest) {
        let ServerParsed::Op { op, consumed } = answer else { break };
        assert!(consumed > 0);
        let mut again = Vec::new();
        if encode(&mut again, &op, rest).is_ok() {
            assert!(again.ends_with(b"\r\n"));
        }
        let Some(after) = rest.get(consumed..) else { unreachable!("consumed what was not there") };
        rest = after;
    }
}
