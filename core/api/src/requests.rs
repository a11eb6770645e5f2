//! Bodies of requests other than configurations.

use crate::json::{Fault, Field, Mode, read_object};
use crate::stream::StreamConfig;
use moment::Timestamp;
use serde_json::Value;

macro_rules! request {
    ($(#[$about:meta])* $name:ident $holder:literal { $($(#[$each:meta])* $field:ident: $kind:ty = $json:literal by $read:expr),* $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name { $($(#[$each])* pub $field: $kind),* }

        impl $name {
            /// Reads a request body.
            pub fn read(value: &Value, mode: Mode) -> Result<$name, Fault> {
                let mut request = $name::default();
                read_object(value, $holder, mode, |field| {
                    match field.name {
                        $($json => request.$field = $read(&field)?,)*
                        _ => return Ok(false),
                    }
                    Ok(true)
                })?;
                Ok(request)
            }
        }
    };
}

fn some_time(field: &Field<'_>) -> Result<Option<Timestamp>, Fault> {
    field.time().map(Some)
}

request! {
    /// A page of stream names or infos.
    StreamsPage "JSApiStreamsRequest" {
        /// Where the page begins.
        offset: i64 = "offset" by Field::int,
        /// Only streams with a subject that overlaps this one.
        subject: String = "subject" by Field::text,
    }
}
request! {
    /// What of a stream is asked for.
    StreamInfo "JSApiStreamInfoRequest" {
        /// Where the page of subjects begins.
        offset: i64 = "offset" by Field::int,
        /// Whether deleted sequences are listed.
        deleted_details: bool = "deleted_details" by Field::flag,
        /// Which subjects are listed with their counts.
        subjects_filter: String = "subjects_filter" by Field::text,
    }
}
request! {
    /// What to purge.
    Purge "JSApiStreamPurgeRequest" {
        /// Messages below this sequence.
        seq: u64 = "seq" by Field::uint,
        /// Messages of these subjects.
        filter: String = "filter" by Field::text,
        /// All but the newest so many.
        keep: u64 = "keep" by Field::uint,
    }
}
request! {
    /// Which message is wanted.
    MessageGet "JSApiMsgGetRequest" {
        /// This one, or the first from here on.
        seq: u64 = "seq" by Field::uint,
        /// The last of this subject.
        last_by_subj: String = "last_by_subj" by Field::text,
        /// The next of these subjects.
        next_by_subj: String = "next_by_subj" by Field::text,
        /// The first stored at this moment or later.
        start_time: Option<Timestamp> = "start_time" by some_time,
        /// So many messages.
        batch: i64 = "batch" by Field::int,
        /// At most so many bytes.
        max_bytes: i64 = "max_bytes" by Field::int,
        /// The last of each of these subjects.
        multi_last: Vec<String> = "multi_last" by |field: &Field<'_>| field.list(Field::text),
        /// As of this sequence.
        up_to_seq: u64 = "up_to_seq" by Field::uint,
        /// As of this moment.
        up_to_time: Option<Timestamp> = "up_to_time" by some_time,
        /// Without headers.
        no_hdr: bool = "no_hdr" by Field::flag,
    }
}
request! {
    /// Which message goes.
    MessageDelete "JSApiMsgDeleteRequest" {
        /// This one.
        seq: u64 = "seq" by Field::uint,
        /// Whether its bytes may stay on disk.
        no_erase: bool = "no_erase" by Field::flag,
    }
}
request! {
    /// A page of consumer names or infos.
    ConsumersPage "JSApiConsumersRequest" {
        /// Where the page begins.
        offset: i64 = "offset" by Field::int,
    }
}
request! {
    /// Until when a consumer pauses.
    ConsumerPause "JSApiConsumerPauseRequest" {
        /// Until then; a moment in the past resumes.
        pause_until: Option<Timestamp> = "pause_until" by some_time,
    }
}
request! {
    /// Where a consumer begins anew.
    ConsumerReset "JSApiConsumerResetRequest" {
        /// At this sequence; zero is behind the last acknowledged one.
        seq: u64 = "seq" by Field::uint,
    }
}
request! {
    /// Messages wanted from a pull consumer.
    Next "JSApiConsumerGetNextRequest" {
        /// So many.
        batch: i64 = "batch" by Field::int,
        /// For so many nanoseconds.
        expires: i64 = "expires" by Field::nanos,
        /// At most so many bytes.
        max_bytes: i64 = "max_bytes" by Field::int,
        /// Only what is there.
        no_wait: bool = "no_wait" by Field::flag,
        /// A sign of life each so many nanoseconds.
        idle_heartbeat: i64 = "idle_heartbeat" by Field::nanos,
        /// For this priority group.
        group: String = "group" by Field::text,
        /// Only when so many are pending.
        min_pending: i64 = "min_pending" by Field::int,
        /// Only when so many wait for their acknowledgement.
        min_ack_pending: i64 = "min_ack_pending" by Field::int,
        /// As the pinned client of this id.
        id: String = "id" by Field::text,
        /// With this rank, 0 first.
        priority: i64 = "priority" by Field::int,
    }
}
request! {
    /// How a stream is to be sent.
    Snapshot "JSApiStreamSnapshotRequest" {
        /// Where to.
        deliver_subject: String = "deliver_subject" by Field::text,
        /// Without consumers.
        no_consumers: bool = "no_consumers" by Field::flag,
        /// Bytes of one piece.
        chunk_size: i64 = "chunk_size" by Field::int,
        /// Bytes on their way at a time.
        window_size: i64 = "window_size" by Field::int,
        /// Whether all messages are checked before. They are checked in any case when they are read.
        jsck: bool = "jsck" by Field::flag,
    }
}
request! {
    /// Which priority group loses its pinned client.
    ConsumerUnpin "JSApiConsumerUnpinRequest" {
        /// This one.
        group: String = "group" by Field::text,
    }
}

/// A stream to be restored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restore {
    /// Its configuration.
    pub config: StreamConfig,
    /// What it held.
    pub state: RestoreState,
}

/// What a stream held that is restored: archives of older servers do not say that themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoreState {
    /// Its first sequence.
    pub first_seq: u64,
    /// Its last sequence.
    pub last_seq: u64,
    /// Sequences in between that are gone.
    pub deleted: Vec<u64>,
}

impl RestoreState {
    /// What makes no sense is zero; the archive decides.
    fn read(value: &Value) -> Self {
        let number = |name: &str| value.get(name).and_then(Value::as_u64).unwrap_or(0);
        let deleted = value.get("deleted").and_then(Value::as_array).into_iter().flatten();
        let deleted = deleted.filter_map(Value::as_u64).collect();
        Self { first_seq: number("first_seq"), last_seq: number("last_seq"), deleted }
    }
}

impl Restore {
    /// Reads a request body.
    pub fn read(value: &Value, mode: Mode) -> Result<Restore, Fault> {
        let mut request = Restore::default();
        read_object(value, "JSApiStreamRestoreRequest", mode, |field| {
            match field.name {
                "config" => request.config = StreamConfig::read(field.value(), field.mode())?,
                "state" => request.state = RestoreState::read(field.value()),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(request)
    }
}

impl Next {
    /// Reads the body of a pull request: nothing, a number, or JSON.
    pub fn parse(body: &[u8]) -> Result<Next, Fault> {
        let text = body.trim_ascii();
        if text.is_empty() {
            return Ok(Next { batch: 1, ..Next::default() });
        }
        if text.first() == Some(&b'{') {
            let next = Next::read(&crate::json::parse(text)?, Mode::Lenient)?;
            return Ok(Next { batch: if next.batch == 0 { 1 } else { next.batch }, ..next });
        }
        let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
        number.map(|batch| Next { batch, ..Next::default() }).ok_or_else(|| Fault::Syntax("invalid batch".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_request_is_nothing_a_number_or_json() {
        assert_eq!(Next::parse(b"").map(|next| next.batch), Ok(1));
        assert_eq!(Next::parse(b" 25 ").map(|next| next.batch), Ok(25));
        let next = Next::parse(br#"{"expires":5,"no_wait":true}"#).expect("known fields");
        assert_eq!((next.batch, next.expires, next.no_wait), (1, 5, true));
        assert!(Next::parse(b"many").is_err() && Next::parse(b"{").is_err());
    }
}
