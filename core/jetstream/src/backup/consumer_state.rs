//! A consumer as it travels in an archive: its configuration and how far it is.

use crate::consumer::{Consumer, Position};
use crate::log::MAX_FIRST_SEQUENCE;
use api::{ConsumerConfig, Mode, json};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Messages without acknowledgement that are taken from an archive.
const MAX_PENDING: usize = 1_000_000;

#[derive(Serialize)]
struct Written<'a> {
    config: &'a ConsumerConfig,
    state: State,
}

#[derive(Serialize)]
struct State {
    delivered: Pair,
    ack_floor: Pair,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pending: BTreeMap<u64, Pending>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    redelivered: BTreeMap<u64, u64>,
}

#[derive(Serialize)]
struct Pair {
    consumer_seq: u64,
    stream_seq: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Pending {
    sequence: u64,
    timestamp: i64,
}

/// How far a consumer is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub delivered: Position,
    pub floor: Position,
    /// By sequence: the number of the delivery, and how many there were.
    pub pending: BTreeMap<u64, (u64, u64)>,
}

impl Progress {
    /// As far as a stream goes that ends at this sequence. `None` when it counts further than anything can.
    pub(crate) fn within(mut self, last_seq: u64) -> Option<Progress> {
        let counts = self.pending.values().map(|(delivery, count)| *delivery.max(count));
        let most = counts.chain([self.delivered.consumer, self.floor.consumer]).max();
        if most.is_some_and(|most| most > MAX_FIRST_SEQUENCE) {
            return None;
        }
        self.delivered.stream = self.delivered.stream.min(last_seq);
        self.floor.stream = self.floor.stream.min(self.delivered.stream);
        self.pending.retain(|seq, _| (1..=last_seq).contains(seq));
        Some(self)
    }
}

/// Writes a consumer; what lies behind the last sequence of the archive is left out.
pub(crate) fn write(consumer: &Consumer, last_seq: u64, nanos: i64) -> Vec<u8> {
    let progress = consumer.progress();
    let pair = |position: Position| Pair { consumer_seq: position.consumer, stream_seq: position.stream.min(last_seq) };
    let within = || progress.pending.iter().filter(|(seq, _)| **seq <= last_seq);
    let pending = within().map(|(seq, (delivery, _))| (*seq, Pending { sequence: *delivery, timestamp: nanos }));
    let redelivered = within().filter(|(_, (_, count))| *count > 1).map(|(seq, (_, count))| (*seq, count - 1));
    let state = State {
        delivered: pair(progress.delivered),
        ack_floor: pair(progress.floor),
        pending: pending.collect(),
        redelivered: redelivered.collect(),
    };
    json::to_vec(&Written { config: &consumer.config, state })
}

/// Reads a consumer. `None` when it makes no sense.
pub(crate) fn read(bytes: &[u8]) -> Option<(ConsumerConfig, Progress)> {
    let value = json::parse(bytes).ok()?;
    let config = ConsumerConfig::read(value.get("config")?, Mode::Lenient).ok()?;
    let state = value.get("state")?;
    let pair = |name: &str| {
        let number = |name, field| state.get::<&str>(name).and_then(|pair| pair.get::<&str>(field)?.as_u64());
        let position = Position { consumer: number(name, "consumer_seq")?, stream: number(name, "stream_seq")? };
        Some(position)
    };
    let mut progress = Progress { delivered: pair("delivered")?, floor: pair("ack_floor")?, pending: BTreeMap::new() };
    let counts = state.get("redelivered").and_then(Value::as_object);
    for (seq, pending) in state.get("pending").and_then(Value::as_object).into_iter().flatten().take(MAX_PENDING) {
        let again = counts.and_then(|counts| counts.get(seq)).and_then(Value::as_u64).unwrap_or(0);
        let delivery = pending.get("Sequence").and_then(Value::as_u64).unwrap_or(0);
        progress.pending.insert(seq.parse().ok()?, (delivery, again.saturating_add(1)));
    }
    Some((config, progress))
}

/// A consumer that is gone.
pub(super) fn nothing(name: &str) -> Vec<u8> {
    let config = ConsumerConfig { name: name.to_owned(), ..ConsumerConfig::default() };
    let zero = || Pair { consumer_seq: 0, stream_seq: 0 };
    let (pending, redelivered) = (BTreeMap::new(), BTreeMap::new());
    let state = State { delivered: zero(), ack_floor: zero(), pending, redelivered };
    json::to_vec(&Written { config: &config, state })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_is_not_ahead_of_its_stream_and_counts_no_further_than_anything_can() {
        let at = |consumer, stream| Position { consumer, stream };
        let far = Progress {
            delivered: at(9, u64::MAX),
            floor: at(1, u64::MAX),
            pending: [0, 3, 8].map(|seq| (seq, (1, 1))).into(),
        };
        let near = far.within(5).expect("it makes sense");
        assert_eq!((near.delivered, near.floor), (at(9, 5), at(1, 5)));
        assert_eq!(near.pending, BTreeMap::from([(3, (1, 1))]));
        for (delivered, floor, pending) in
            [(u64::MAX, 0, (1, 1)), (0, u64::MAX, (1, 1)), (0, 0, (u64::MAX, 1)), (0, 0, (1, u64::MAX))]
        {
            let huge = Progress { delivered: at(delivered, 1), floor: at(floor, 1), pending: [(1, pending)].into() };
            assert_eq!(huge.within(5), None);
        }
    }

    #[test]
    fn a_state_of_the_reference_is_understood() {
        let json = concat!(
            r#"{"config":{"durable_name":"c","name":"c","ack_policy":"explicit"},"state":{"#,
            r#""delivered":{"consumer_seq":5,"stream_seq":4},"ack_floor":{"consumer_seq":1,"stream_seq":1},"#,
            r#""pending":{"2":{"Sequence":2,"Timestamp":1795000000000000000},"4":{"Sequence":5,"Timestamp":1}},"#,
            r#""redelivered":{"4":2}}}"#
        );
        let (config, progress) = read(json.as_bytes()).expect("a consumer");
        assert_eq!(config.durable_name, "c");
        assert_eq!(progress.delivered, Position { consumer: 5, stream: 4 });
        assert_eq!(progress.pending, BTreeMap::from([(2, (2, 1)), (4, (5, 3))]));
        for broken in ["", "{}", "[]", r#"{"config":{},"state":{}}"#, r#"{"config":{},"state":{"delivered":1}}"#] {
            assert_eq!(read(broken.as_bytes()), None, "{broken}");
        }
    }
}
