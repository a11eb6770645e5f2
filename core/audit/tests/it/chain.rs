//! Any single change of a trail is found.

use audit::{Chain, ChainHead, Class, Finding, Outcome, Query, Record, Verifier};
use moment::Timestamp;
use nkeys::{KeyPair, Role};
use proptest::prelude::*;
use secret::Secret;

fn key(byte: u8) -> KeyPair {
    KeyPair::from_raw_seed(Role::Server, Secret::new([byte; 32]))
}

fn record(user: &str, what: &str) -> Record {
    let (user, what) = (user.to_owned(), what.to_owned());
    Record { user, what, account: "SHOP".to_owned(), ..Record::new(Class::Denial, Outcome::Refused) }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + seconds)
}

/// Opened, four records, a checkpoint, two records.
fn trail() -> Vec<String> {
    let mut chain = Chain::behind(ChainHead::default());
    let mut lines = vec![chain.open("opened", at(0))];
    lines.extend((1..5).map(|n| chain.append(record("clerk", &format!("publish billing.{n}")), at(n))));
    lines.push(chain.checkpoint(&key(1), at(5)));
    lines.extend((6..8).map(|n| chain.append(record("eve", &format!("publish orders.{n}")), at(n))));
    lines
}

fn findings<'a>(lines: impl IntoIterator<Item = &'a String>) -> Vec<(usize, Finding)> {
    let mut verifier = Verifier::new(Some(key(1).public()));
    let read = lines.into_iter().enumerate().map(|(at, line)| (at, verifier.read(line)));
    read.flat_map(|(at, found)| found.into_iter().map(move |finding| (at, finding))).collect()
}

#[test]
fn a_trail_that_nobody_touched_is_whole() {
    let lines = trail();
    assert_eq!(findings(&lines), []);
    let mut verifier = Verifier::new(None);
    lines.iter().for_each(|line| assert_eq!(verifier.read(line), []));
    let summary = verifier.summary();
    assert_eq!((summary.lines, summary.checkpoints, summary.signed_up_to, summary.head.seq), (8, 1, 5, 8));
}

#[test]
fn a_trail_goes_on_in_the_next_file_and_a_missing_file_is_noticed() {
    let mut lines = trail();
    let head = ChainHead::of_line(lines.last().unwrap()).unwrap();
    let mut chain = Chain::behind(head);
    let second = vec![chain.open("continued", at(9)), chain.append(record("clerk", "x"), at(10))];
    assert_eq!(findings(&second), [], "a file is verified by itself");
    lines.extend(second.clone());
    assert_eq!(findings(&lines), [], "and together with the one before");
    let without_the_last_of_the_first: Vec<String> = lines[..7].iter().chain(&second).cloned().collect();
    assert_eq!(
        findings(&without_the_last_of_the_first),
        [(7, Finding::Torn), (7, Finding::Gap { expected: 8, found: 9 })]
    );
}

#[test]
fn a_chain_that_was_computed_anew_lacks_the_signature() {
    let mut chain = Chain::behind(ChainHead::default());
    let mut forged = vec![chain.open("opened", at(0)), chain.append(record("somebody else", "x"), at(1))];
    forged.push(chain.checkpoint(&key(2), at(5)));
    let other = key(2).public().to_string();
    assert_eq!(findings(&forged), [(2, Finding::OtherKey { seq: 3, key: other })]);
    let real = trail()[5].clone();
    forged[2] = real;
    assert!(!findings(&forged).is_empty());
}

#[test]
fn every_line_removed_doubled_or_moved_is_found() {
    let lines = trail();
    for at in 0..lines.len() - 1 {
        let mut removed = lines.clone();
        removed.remove(at);
        assert!(!findings(&removed).is_empty(), "line {at} removed");
        let mut swapped = lines.clone();
        swapped.swap(at, at + 1);
        assert!(!findings(&swapped).is_empty(), "lines {at} and {} swapped", at + 1);
    }
    for at in 0..lines.len() {
        let mut doubled = lines.clone();
        doubled.insert(at, lines[at].clone());
        assert!(!findings(&doubled).is_empty(), "line {at} doubled");
    }
}

#[test]
fn a_query_picks_by_user_account_text_class_and_time() {
    let lines = trail();
    let count = |query: &Query| lines.iter().filter(|line| query.picks(line).is_some()).count();
    let of = |user: &str| Query { user: Some(user.to_owned()), ..Query::default() };
    assert_eq!((count(&of("clerk")), count(&of("eve")), count(&of("nobody"))), (4, 2, 0));
    assert_eq!(count(&Query { what: Some("orders".to_owned()), ..Query::default() }), 2);
    assert_eq!(count(&Query { class: Some(Class::Trail), ..Query::default() }), 2);
    assert_eq!(count(&Query { since: Some(at(4)), until: Some(at(6)), ..Query::default() }), 3);
    let (time, first) = of("clerk").picks(&lines[1]).unwrap();
    assert_eq!((time, first.what.as_str()), (at(1), "publish billing.1"));
}

#[test]
fn long_texts_of_peers_are_cut() {
    let mut chain = Chain::behind(ChainHead::default());
    let opened = chain.open("opened", at(0));
    let line = chain.append(record(&"ü".repeat(5_000), "x"), at(1));
    assert!(line.len() < audit::MAX_LINE_BYTES);
    assert_eq!(findings(&[opened, line]), []);
}

proptest! {
    #[test]
    fn every_flipped_bit_is_found(line in 0..8usize, byte in 0..1000usize, bit in 0..7u8) {
        let mut lines = trail();
        let mut bytes = std::mem::take(&mut lines[line]).into_bytes();
        let byte = byte % (bytes.len() - 1);
        bytes[byte] ^= 1 << bit;
        lines[line] = String::from_utf8(bytes).unwrap();
        prop_assert!(!findings(&lines).is_empty());
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in ".{0,300}") {
        let mut verifier = Verifier::new(None);
        verifier.read(&text);
        let _ = ChainHead::of_line(&text);
    }
}
