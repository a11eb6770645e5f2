//! Header blocks.

use bulwark_wire::fuzz_headers;
use bulwark_wire::headers::{self, Headers, Status};
use proptest::prelude::*;

const BLOCK: &[u8] = b"NATS/1.0\r\nA: 1\r\nB:2\r\na: 3\r\nA:  4\r\n\r\n";

fn removed(block: &[u8], key: &str) -> String {
    let mut out = Vec::new();
    headers::remove(&mut out, block, key);
    String::from_utf8(out).expect("text")
}

fn set(block: &[u8], key: &str, value: &str) -> String {
    let mut out = Vec::new();
    headers::set(&mut out, block, key, value.as_bytes()).expect("a key");
    String::from_utf8(out).expect("text")
}

#[test]
fn the_first_line_with_exactly_the_key_counts() {
    let view = Headers::new(BLOCK);
    assert_eq!(view.get("A"), Some(&b"1"[..]));
    assert_eq!(view.get("a"), Some(&b"3"[..]));
    assert_eq!(view.get("B"), Some(&b"2"[..]));
    assert_eq!(view.get("C"), None);
    assert_eq!(view.get_any_case("b"), Some(&b"2"[..]));
    assert_eq!(view.iter().count(), 4);
}

#[test]
fn a_key_is_no_part_of_another_nor_of_a_value() {
    let view = Headers::new(b"NATS/1.0\r\nX-Key: Key: no\r\nKeyX: no\r\nKey : no\r\n Key: no\r\nKey:yes\r\n\r\n");
    assert_eq!(view.get("Key"), Some(&b"yes"[..]));
    assert_eq!(Headers::new(b"Key: no\r\n\r\n").get("Key"), None);
}

#[test]
fn the_status_line_is_taken_apart() {
    let status = |block| Headers::new(block).status();
    assert_eq!(status(b"NATS/1.0 503\r\n\r\n"), Some(Status { code: b"503", description: b"" }));
    assert_eq!(
        status(b"NATS/1.0 100 Idle Heartbeat\r\nA:b\r\n\r\n"),
        Some(Status { code: b"100", description: b"Idle Heartbeat" })
    );
    assert_eq!(status(b"NATS/1.0\r\n\r\n"), None);
    assert_eq!(status(b"NATS/1.0 \r\n\r\n"), None);
    assert_eq!(status(b"HTTP/1.0 200\r\n\r\n"), None);
    assert_eq!(status(b""), None);
}

#[test]
fn a_server_header_replaces_every_other_and_goes_to_the_end() {
    assert_eq!(set(b"", "K", "v"), "NATS/1.0\r\nK: v\r\n\r\n");
    assert_eq!(set(b"NATS/1.0\r\n\r\n", "K", "v"), "NATS/1.0\r\nK: v\r\n\r\n");
    assert_eq!(set(BLOCK, "A", "9"), "NATS/1.0\r\nB:2\r\nA: 9\r\n\r\n");
    assert_eq!(set(b"NATS/1.0 503\r\n\r\n", "K", "v"), "NATS/1.0 503\r\nK: v\r\n\r\n");
    assert_eq!(set(b"hello", "K", "v"), "hello\r\nK: v\r\n\r\n");
    assert_eq!(set(b"", "K", " a\r\nEvil: 1 "), "NATS/1.0\r\nK: a  Evil: 1\r\n\r\n");
    assert!(headers::set(&mut Vec::new(), b"", "K: v\r\nEvil", b"").is_err());
    assert!(headers::append(&mut Vec::new(), b"", "K:", b"").is_err());
}

#[test]
fn a_removed_header_is_gone_and_an_empty_block_is_none() {
    assert_eq!(removed(BLOCK, "B"), "NATS/1.0\r\nA: 1\r\na: 3\r\nA:  4\r\n\r\n");
    assert_eq!(removed(BLOCK, "a"), "NATS/1.0\r\nB:2\r\n\r\n");
    assert_eq!(removed(b"NATS/1.0\r\nK: v\r\n\r\n", "K"), "");
    assert_eq!(removed(b"NATS/1.0 503\r\nK: v\r\n\r\n", "K"), "NATS/1.0 503\r\n\r\n");
    let mut out = Vec::new();
    headers::remove_prefix(&mut out, b"NATS/1.0\r\nNats-A: 1\r\nnats-b: 2\r\nC: 3\r\n\r\n", "Nats-");
    assert_eq!(out, b"NATS/1.0\r\nC: 3\r\n\r\n");
}

#[test]
fn a_publisher_cannot_pass_a_status_on_as_the_servers() {
    let without = |block: &[u8]| {
        let mut out = Vec::new();
        headers::remove_status(&mut out, block);
        String::from_utf8(out).expect("text")
    };
    assert_eq!(without(b"NATS/1.0 503 x\r\nA:b\r\n\r\n"), "NATS/1.0\r\nA:b\r\n\r\n");
    assert_eq!(without(b"NATS/1.0 503\r\n\r\n"), "");
    assert_eq!(without(b"NATS/1.0\r\nA:b\r\n\r\n"), "NATS/1.0\r\nA:b\r\n\r\n");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_block_panics(block in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz_headers(&block);
    }

    #[test]
    fn no_nearly_right_block_panics(
        lines in prop::collection::vec("(Nats-Request-Info|nats-request-info|A|NATS/1.0|Nats-)? ?:? ?[a-z\r\n\t :]{0,9}(\r\n|\n|\r)?", 0..9)
    ) {
        fuzz_headers(lines.concat().as_bytes());
        fuzz_headers(format!("NATS/1.0\r\n{}\r\n", lines.concat()).as_bytes());
    }
}
