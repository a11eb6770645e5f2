//! Consumers of somebody who may not read everything.

use crate::house::Room;
use auth::{Denial, Reading, ReadingTexts};
use bulwark_jetstream_host::Asker;
use std::sync::Arc;
use std::time::Duration;
use subject::{Filter, Subject};

/// Messages that the reader must not see.
const DENIED: u32 = 200_000;
/// More than a consumer may look at before the others get their turn.
const LOOKS_MAX: u32 = 2_000;

struct Reader(Reading);

impl Asker for Reader {
    fn reading(&self) -> &Reading {
        &self.0
    }
    fn may_publish(&self, _: Subject<'_>) -> Result<(), Denial> {
        Ok(())
    }
    fn may_deliver(&self, _: Subject<'_>, _: &str) -> Result<(), Denial> {
        Ok(())
    }
    fn may_publish_all(&self, _: &Filter) -> Result<(), Denial> {
        Ok(())
    }
    fn refused(&self, denial: &Denial) {
        panic!("nothing is refused as a whole: {denial:?}");
    }
}

fn denied(filter: &str) -> Arc<dyn Asker> {
    let texts = ReadingTexts { allow: None, deny: vec![filter.to_owned()] };
    Arc::new(Reader(Reading::of_texts(&texts).expect("a filter")))
}

/// A stream with many messages that the reader must not see, and behind them one that it may.
fn room_with_secrets() -> Room {
    let mut room = Room::new();
    let answer = room.ask("$JS.API.STREAM.CREATE.S", r#"{"name":"S","subjects":["s.>"],"storage":"memory"}"#);
    assert!(answer.contains("did_create"), "{answer}");
    let secrets: Vec<_> = (0..1000).map(|_| room.message("s.secret", None, b"", b"no")).collect();
    (0..DENIED / 1000).for_each(|_| room.round(&secrets));
    room.publish("s.open", b"", b"yes");
    room
}

#[test]
fn a_consumer_that_sees_next_to_nothing_lets_the_others_have_their_turn() {
    let mut room = room_with_secrets();
    let body = r#"{"stream_name":"S","config":{"deliver_subject":"_I.d","ack_policy":"none","mem_storage":true}}"#;
    let mut order = room.message("$JS.API.CONSUMER.CREATE.S", Some("_I.c"), b"", body.as_bytes());
    order.asker = Some(denied("s.secret"));
    room.round(&[order]);
    let (mut rounds, mut delivered) = (0, Vec::new());
    while delivered.is_empty() {
        assert_eq!(room.desk.rest(room.now), Duration::ZERO, "there is more to look at, after {rounds} rounds");
        let other = room.message("s.open", Some("_I.ack"), b"", b"yes");
        room.round(&[other]);
        let heard = room.heard();
        assert!(heard.iter().any(|outgoing| outgoing.to == b"_I.ack"), "a publisher is answered in its round");
        delivered.extend(heard.into_iter().filter(|outgoing| outgoing.to == b"_I.d"));
        rounds += 1;
        assert!(rounds <= DENIED / 100, "it comes to the end");
    }
    assert!(rounds >= DENIED / LOOKS_MAX, "{rounds} rounds for {DENIED} messages");
    assert_eq!(delivered[0].payload, b"yes");
}
