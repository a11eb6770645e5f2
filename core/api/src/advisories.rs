//! Advisories and metrics: what happens to streams and consumers, told to whoever listens.

use crate::json::{is_default, to_vec};
use crate::responses::StreamState;
use moment::Timestamp;
use serde::Serialize;

/// What every advisory subject begins with.
pub const ADVISORY: &str = "$JS.EVENT.ADVISORY";
/// What every metric subject begins with.
pub const METRIC: &str = "$JS.EVENT.METRIC";

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub enum Event {
    /// A stream was made, changed or removed.
    Stream { stream: String, action: StreamAction },
    /// A consumer was made or removed.
    Consumer { stream: String, consumer: String, action: ConsumerAct },
    /// A consumer pauses or goes on.
    Paused {
        stream: String,
        consumer: String,
        paused: bool,
        #[serde(serialize_with = "crate::json::time")]
        pause_until: Option<Timestamp>,
    },
    /// An atomic batch was given up.
    BatchAbandoned { stream: String, batch: String, reason: &'static str },
    /// A client of a priority group has all messages to itself now.
    Pinned { account: String, stream: String, consumer: String, group: String, pinned_id: String },
    /// It has no longer.
    Unpinned { account: String, stream: String, consumer: String, group: String, reason: &'static str },
    /// Somebody called the API.
    Audit {
        server: String,
        #[serde(serialize_with = "raw_json")]
        client: String,
        subject: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        request: String,
        response: String,
    },
    /// So many requests were dropped.
    LimitReached { server: String, dropped: u64 },
    /// The store is full.
    OutOfStorage { server: String, server_id: String, stream: String, cluster: String },
    /// A stream is being sent away.
    SnapshotCreate {
        stream: String,
        state: StreamState,
        #[serde(serialize_with = "raw_json")]
        client: String,
    },
    /// It was sent.
    SnapshotComplete {
        stream: String,
        #[serde(serialize_with = "crate::json::time")]
        start: Option<Timestamp>,
        #[serde(serialize_with = "crate::json::time")]
        end: Option<Timestamp>,
        #[serde(serialize_with = "raw_json")]
        client: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        error: String,
    },
    /// A stream is being restored.
    RestoreCreate {
        stream: String,
        #[serde(serialize_with = "raw_json")]
        client: String,
    },
    /// It was restored.
    RestoreComplete {
        stream: String,
        #[serde(serialize_with = "crate::json::time")]
        start: Option<Timestamp>,
        #[serde(serialize_with = "crate::json::time")]
        end: Option<Timestamp>,
        bytes: u64,
        #[serde(serialize_with = "raw_json")]
        client: String,
    },
    /// A message was delivered as often as it may be.
    MaxDeliveries { stream: String, consumer: String, stream_seq: u64, deliveries: u64 },
    /// A message was refused for now.
    Naked { stream: String, consumer: String, consumer_seq: u64, stream_seq: u64, deliveries: u64 },
    /// A message was refused for good.
    Terminated {
        stream: String,
        consumer: String,
        consumer_seq: u64,
        stream_seq: u64,
        deliveries: u64,
        #[serde(skip_serializing_if = "is_default")]
        reason: String,
    },
    /// A message was acknowledged, after so many nanoseconds.
    Acked { stream: String, consumer: String, consumer_seq: u64, stream_seq: u64, ack_time: i64, deliveries: u64 },
}

/// JSON that somebody else wrote, as it is.
fn raw_json<S: serde::Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    let value = serde_json::from_str(text).unwrap_or(serde_json::Value::Object(serde_json::Map::new()));
    value.serialize(serializer)
}

/// What happened to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum StreamAction {
    Create,
    Modify,
    Delete,
}

/// What happened to a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum ConsumerAct {
    Create,
    Delete,
}

#[derive(Serialize)]
struct Told<'a> {
    #[serde(rename = "type")]
    kind: String,
    id: &'a str,
    timestamp: String,
    #[serde(flatten)]
    event: &'a Event,
    #[serde(skip_serializing_if = "str::is_empty")]
    domain: &'a str,
}

impl Event {
    /// Where it is told.
    pub fn subject(&self) -> String {
        match self {
            Event::Stream { stream, action } => {
                let word = match action {
                    StreamAction::Create => "CREATED",
                    StreamAction::Modify => "UPDATED",
                    StreamAction::Delete => "DELETED",
                };
                format!("{ADVISORY}.STREAM.{word}.{stream}")
            }
            Event::Consumer { stream, consumer, action: ConsumerAct::Create } => {
                format!("{ADVISORY}.CONSUMER.CREATED.{stream}.{consumer}")
            }
            Event::Consumer { stream, consumer, action: ConsumerAct::Delete } => {
                format!("{ADVISORY}.CONSUMER.DELETED.{stream}.{consumer}")
            }
            Event::Paused { stream, consumer, .. } => format!("{ADVISORY}.CONSUMER.PAUSE.{stream}.{consumer}"),
            Event::BatchAbandoned { stream, .. } => format!("{ADVISORY}.STREAM.BATCH_ABANDONED.{stream}"),
            Event::Pinned { stream, consumer, .. } => format!("{ADVISORY}.CONSUMER.PINNED.{stream}.{consumer}"),
            Event::Unpinned { stream, consumer, .. } => format!("{ADVISORY}.CONSUMER.UNPINNED.{stream}.{consumer}"),
            Event::Audit { .. } => format!("{ADVISORY}.API"),
            Event::LimitReached { .. } => format!("{ADVISORY}.API.LIMIT_REACHED"),
            Event::OutOfStorage { .. } => format!("{ADVISORY}.SERVER.OUT_OF_STORAGE"),
            Event::SnapshotCreate { stream, .. } => format!("{ADVISORY}.STREAM.SNAPSHOT_CREATE.{stream}"),
            Event::SnapshotComplete { stream, .. } => format!("{ADVISORY}.STREAM.SNAPSHOT_COMPLETE.{stream}"),
            Event::RestoreCreate { stream, .. } => format!("{ADVISORY}.STREAM.RESTORE_CREATE.{stream}"),
            Event::RestoreComplete { stream, .. } => format!("{ADVISORY}.STREAM.RESTORE_COMPLETE.{stream}"),
            Event::MaxDeliveries { stream, consumer, .. } => {
                format!("{ADVISORY}.CONSUMER.MAX_DELIVERIES.{stream}.{consumer}")
            }
            Event::Naked { stream, consumer, .. } => format!("{ADVISORY}.CONSUMER.MSG_NAKED.{stream}.{consumer}"),
            Event::Terminated { stream, consumer, .. } => {
                format!("{ADVISORY}.CONSUMER.MSG_TERMINATED.{stream}.{consumer}")
            }
            Event::Acked { stream, consumer, .. } => format!("{METRIC}.CONSUMER.ACK.{stream}.{consumer}"),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Event::Stream { .. } => "io.nats.jetstream.advisory.v1.stream_action",
            Event::Consumer { .. } => "io.nats.jetstream.advisory.v1.consumer_action",
            Event::Paused { .. } => "io.nats.jetstream.advisory.v1.consumer_pause",
            Event::BatchAbandoned { .. } => "io.nats.jetstream.advisory.v1.stream_batch_abandoned",
            Event::Pinned { .. } => "io.nats.jetstream.advisory.v1.consumer_group_pinned",
            Event::Unpinned { .. } => "io.nats.jetstream.advisory.v1.consumer_group_unpinned",
            Event::Audit { .. } => "io.nats.jetstream.advisory.v1.api_audit",
            Event::LimitReached { .. } => "io.nats.jetstream.advisory.v1.api_limit_reached",
            Event::OutOfStorage { .. } => "io.nats.jetstream.advisory.v1.server_out_of_space",
            Event::SnapshotCreate { .. } => "io.nats.jetstream.advisory.v1.snapshot_create",
            Event::SnapshotComplete { .. } => "io.nats.jetstream.advisory.v1.snapshot_complete",
            Event::RestoreCreate { .. } => "io.nats.jetstream.advisory.v1.restore_create",
            Event::RestoreComplete { .. } => "io.nats.jetstream.advisory.v1.restore_complete",
            Event::MaxDeliveries { .. } => "io.nats.jetstream.advisory.v1.max_deliver",
            Event::Naked { .. } => "io.nats.jetstream.advisory.v1.nak",
            Event::Terminated { .. } => "io.nats.jetstream.advisory.v1.terminated",
            Event::Acked { .. } => "io.nats.jetstream.metric.v1.consumer_ack",
        }
    }

    /// The event as it is told.
    pub fn told(&self, id: &str, at: Timestamp, domain: &str) -> Vec<u8> {
        to_vec(&Told { kind: self.kind().to_owned(), id, timestamp: at.to_string(), event: self, domain })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_as_listeners_know_them() {
        let at = Timestamp::from_secs(1_795_000_000);
        let event = Event::Terminated {
            stream: "S".into(),
            consumer: "c".into(),
            consumer_seq: 3,
            stream_seq: 3,
            deliveries: 1,
            reason: "because".into(),
        };
        assert_eq!(event.subject(), "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.S.c");
        assert_eq!(
            String::from_utf8_lossy(&event.told("id", at, "")),
            concat!(
                r#"{"type":"io.nats.jetstream.advisory.v1.terminated","id":"id","timestamp":"2026-11-18T11:06:40Z","#,
                r#""stream":"S","consumer":"c","consumer_seq":3,"stream_seq":3,"deliveries":1,"reason":"because"}"#
            )
        );
        let event = Event::Stream { stream: "S".into(), action: StreamAction::Modify };
        assert_eq!(event.subject(), "$JS.EVENT.ADVISORY.STREAM.UPDATED.S");
        let told = String::from_utf8(event.told("id", at, "D")).expect("text");
        assert!(told.ends_with(r#""stream":"S","action":"modify","domain":"D"}"#), "{told}");
    }
}
