//! Bodies of answers. Fields stand in the order in which they are written.

use crate::consumer::ConsumerConfig;
use crate::errors::ApiError;
use crate::json::{is_default, to_vec};
use crate::stream::{External, StreamConfig, SubjectTransform};
use moment::Timestamp;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// An answer: its type, perhaps an error, and what it says.
#[derive(Serialize)]
struct Envelope<'a, T: Serialize> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a ApiError>,
    #[serde(flatten)]
    body: T,
}

/// Nothing beyond type and error.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Nothing {}

/// Writes an answer.
pub fn answer(word: &str, body: impl Serialize) -> Vec<u8> {
    to_vec(&Envelope { kind: crate::calls::answer_type(word), error: None, body })
}

/// Writes the answer to a request for a stream's info, with what was written before: the inside of the object of its subjects, and of
/// the list of sequences that are gone. Both may be long, so that they are written a part at a time.
pub fn stream_info_with(mut told: StreamInfoPage, subjects: &[u8], deleted: &[u8]) -> Vec<u8> {
    // Nothing else is written like these: a name with such a letter in it, and a number where no other is.
    const SUBJECTS: (&str, &[u8]) = ("\u{1}", br#""subjects":{"\u0001":0}"#);
    const DELETED: (u64, &[u8]) = (u64::MAX, br#""deleted":[18446744073709551615]"#);
    let state = &mut told.info.state;
    state.subjects = (!subjects.is_empty()).then(|| (SUBJECTS.0.to_owned(), 0)).into_iter().collect();
    state.deleted = (!deleted.is_empty()).then_some(DELETED.0).into_iter().collect();
    let mut body = answer("stream_info", told);
    for (mark, begin, inside, end) in
        [(SUBJECTS.1, &br#""subjects":{"#[..], subjects, b'}'), (DELETED.1, &br#""deleted":["#[..], deleted, b']')]
    {
        // The state stands behind the configuration, whose texts are somebody's.
        let at = body.windows(mark.len()).rposition(|window| window == mark).filter(|_| !inside.is_empty());
        if let Some(at) = at {
            let mut written = begin.to_vec();
            written.extend_from_slice(inside);
            written.push(end);
            body.splice(at..at + mark.len(), written);
        }
    }
    body
}

/// Writes an answer that is an error. `body` is what stands beside the error, often [`Nothing`].
pub fn failure(word: &str, error: &ApiError, body: impl Serialize) -> Vec<u8> {
    to_vec(&Envelope { kind: crate::calls::answer_type(word), error: Some(error), body })
}

pub(crate) fn time<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    crate::json::time(time, serializer)
}

/// Limits of an account; -1 is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct AccountLimits {
    pub max_memory: i64,
    pub max_storage: i64,
    pub max_streams: i64,
    pub max_consumers: i64,
    pub max_ack_pending: i64,
    pub memory_max_stream_bytes: i64,
    pub storage_max_stream_bytes: i64,
    pub max_bytes_required: bool,
}

impl Default for AccountLimits {
    fn default() -> Self {
        AccountLimits {
            max_memory: -1,
            max_storage: -1,
            max_streams: -1,
            max_consumers: -1,
            max_ack_pending: -1,
            memory_max_stream_bytes: -1,
            storage_max_stream_bytes: -1,
            max_bytes_required: false,
        }
    }
}

impl AccountLimits {
    /// What an account shows that has limits by tier only.
    pub const NOTHING: Self = AccountLimits {
        max_memory: 0,
        max_storage: 0,
        max_streams: 0,
        max_consumers: 0,
        max_ack_pending: 0,
        memory_max_stream_bytes: 0,
        storage_max_stream_bytes: 0,
        max_bytes_required: false,
    };
}

/// Limits and usage of one tier of an account.
#[derive(Clone, Debug, Default, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct Tier {
    pub memory: u64,
    pub storage: u64,
    pub reserved_memory: u64,
    pub reserved_storage: u64,
    pub streams: u64,
    pub consumers: u64,
    pub limits: AccountLimits,
}

/// Use of the API by an account.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct ApiUse {
    pub level: u32,
    pub total: u64,
    pub errors: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub inflight: u64,
}

/// Limits and usage of an account.
#[derive(Clone, Debug, Default, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct AccountInfo {
    pub memory: u64,
    pub storage: u64,
    pub reserved_memory: u64,
    pub reserved_storage: u64,
    pub streams: u64,
    pub consumers: u64,
    pub limits: AccountLimits,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    pub api: ApiUse,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tiers: BTreeMap<String, Tier>,
}

/// What a stream holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct StreamState {
    pub messages: u64,
    pub bytes: u64,
    pub first_seq: u64,
    #[serde(serialize_with = "time")]
    pub first_ts: Option<Timestamp>,
    pub last_seq: u64,
    #[serde(serialize_with = "time")]
    pub last_ts: Option<Timestamp>,
    #[serde(skip_serializing_if = "is_default")]
    pub num_subjects: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub subjects: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "is_default")]
    pub num_deleted: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deleted: Vec<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<Lost>,
    pub consumer_count: u64,
}

/// Messages lost to damage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// Their sequences, as far as they are known.
    pub msgs: Vec<u64>,
    /// What they weighed.
    pub bytes: u64,
}

/// Where something lives.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Cluster {
    /// The server that leads.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub leader: String,
}

/// How copying a stream goes.
#[derive(Clone, Debug, Default, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct SourceInfo {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
    pub lag: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub seq: u64,
    pub active: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ApiError>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filter_subject: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subject_transforms: Vec<SubjectTransform>,
}

/// A stream, told.
#[derive(Clone, Debug, Default, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct StreamInfo {
    pub config: StreamConfig,
    #[serde(serialize_with = "time")]
    pub created: Option<Timestamp>,
    pub state: StreamState,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Cluster>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<SourceInfo>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceInfo>,
    #[serde(serialize_with = "time")]
    pub ts: Option<Timestamp>,
}

/// Which part of a list an answer holds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct Page {
    pub total: u64,
    pub offset: u64,
    pub limit: u64,
}

/// A stream that was made.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct StreamCreated {
    #[serde(flatten)]
    pub info: StreamInfo,
    pub did_create: bool,
}

/// A stream with a page of its subjects.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct StreamInfoPage {
    #[serde(flatten)]
    pub page: Page,
    #[serde(flatten)]
    pub info: StreamInfo,
}

/// A page of a list under the name `streams`.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct Streams<T: Serialize> {
    #[serde(flatten)]
    pub page: Page,
    pub streams: Option<Vec<T>>,
}

/// A page of a list under the name `consumers`.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct Consumers<T: Serialize> {
    #[serde(flatten)]
    pub page: Page,
    pub consumers: Vec<T>,
}

/// A stream that is about to be sent.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct Snapshot {
    pub config: StreamConfig,
    pub state: StreamState,
}

/// Where the pieces of a stream are to be sent.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct Restore {
    pub deliver_subject: String,
}

/// It was done.
#[derive(Clone, Copy, Debug, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct Success {
    #[serde(skip_serializing_if = "is_default")]
    pub success: bool,
}

/// Removing everything that an account stores has begun.
#[derive(Clone, Copy, Debug, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct AccountPurged {
    #[serde(skip_serializing_if = "is_default")]
    pub initiated: bool,
}

/// It was purged.
#[derive(Clone, Copy, Debug, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct Purged {
    #[serde(skip_serializing_if = "is_default")]
    pub success: bool,
    pub purged: u64,
}

/// A stored message, as JSON.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct StoredMessage {
    pub subject: String,
    pub seq: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hdrs: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub data: String,
    #[serde(serialize_with = "time")]
    pub time: Option<Timestamp>,
}

/// An answer with a message in it.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct GotMessage {
    pub message: StoredMessage,
}

/// A pair of sequences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct SequencePair {
    pub consumer_seq: u64,
    pub stream_seq: u64,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "time")]
    pub last_active: Option<Timestamp>,
}

/// A priority group, told.
#[derive(Clone, Debug, Default, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct PriorityGroup {
    pub group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pinned_client_id: String,
    #[serde(serialize_with = "time")]
    pub pinned_ts: Option<Timestamp>,
}

/// A consumer, told.
#[derive(Clone, Debug, Default, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct ConsumerInfo {
    pub stream_name: String,
    pub name: String,
    #[serde(serialize_with = "time")]
    pub created: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<ConsumerConfig>,
    pub delivered: SequencePair,
    pub ack_floor: SequencePair,
    pub num_ack_pending: u64,
    pub num_redelivered: u64,
    pub num_waiting: u64,
    pub num_pending: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub push_bound: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub paused: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub pause_remaining: i64,
    #[serde(serialize_with = "time")]
    pub ts: Option<Timestamp>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub priority_groups: Vec<PriorityGroup>,
}

/// A pause, told.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct Paused {
    pub paused: bool,
    #[serde(serialize_with = "time")]
    pub pause_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "is_default")]
    pub pause_remaining: i64,
}

/// A consumer that begins anew.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct ConsumerWasReset {
    #[serde(flatten)]
    pub info: ConsumerInfo,
    pub reset_seq: u64,
}

/// A consumer that does not begin anew.
#[derive(Clone, Copy, Debug, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct WasReset {
    pub reset_seq: u64,
}

/// The refusal of a message, as its publisher gets it.
#[derive(Clone, Debug, Serialize)]
struct Refused<'a> {
    error: &'a ApiError,
    stream: &'a str,
    seq: u64,
}

/// Writes the acknowledgement of a stored message.
pub fn pub_ack(out: &mut Vec<u8>, stream: &str, domain: &str, seq: u64, duplicate: bool) {
    let mut digits = itoa::Buffer::new();
    let domain = if domain.is_empty() { ["", ""] } else { ["\",\"domain\":\"", domain] };
    let end = if duplicate { ",\"duplicate\": true}" } else { "}" };
    // Stream names and domains need no escaping: their alphabets hold no quote, backslash or control byte.
    for part in ["{\"stream\":\"", stream, domain[0], domain[1], "\",\"seq\":", digits.format(seq), end] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Writes the acknowledgement of a message that counts.
pub fn pub_counted(out: &mut Vec<u8>, stream: &str, domain: &str, seq: u64, value: &str) {
    pub_ack(out, stream, domain, seq, false);
    out.pop();
    out.extend_from_slice(format!(",\"val\":\"{value}\"}}").as_bytes());
}

/// The acknowledgement of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchAck {
    /// Sequence of its last message.
    pub seq: u64,
    /// What the counter of that says.
    pub value: Option<String>,
    /// The batch.
    pub batch: String,
    /// How many messages it had.
    pub count: u64,
}

impl BatchAck {
    /// The batch was stored.
    pub fn told(&self, stream: &str, domain: &str) -> Vec<u8> {
        self.written(stream, domain, false)
    }

    /// It was stored before.
    pub fn duplicate(&self, stream: &str, domain: &str) -> Vec<u8> {
        self.written(stream, domain, true)
    }

    fn written(&self, stream: &str, domain: &str, is_duplicate: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(96);
        match &self.value {
            Some(value) => pub_counted(&mut out, stream, domain, self.seq, value),
            None => pub_ack(&mut out, stream, domain, self.seq, is_duplicate),
        }
        out.pop();
        out.extend_from_slice(b",\"batch\":");
        out.extend_from_slice(&to_vec(&self.batch));
        out.extend_from_slice(format!(",\"count\":{}}}", self.count).as_bytes());
        out
    }
}

/// How far a fast batch is, and after how many messages it is told again.
pub fn flow_ack(seq: u64, messages: u16) -> Vec<u8> {
    format!("{{\"type\":\"ack\",\"seq\":{seq},\"msgs\":{messages}}}").into_bytes()
}

/// Messages of a fast batch are missing.
pub fn flow_gap(expected: u64, came: u64) -> Vec<u8> {
    format!("{{\"type\":\"gap\",\"last_seq\":{expected},\"seq\":{came}}}").into_bytes()
}

/// A message of a fast batch was not stored.
pub fn flow_error(seq: u64, error: &ApiError) -> Vec<u8> {
    #[derive(Serialize)]
    struct Flow<'a> {
        #[serde(rename = "type")]
        kind: &'static str,
        seq: u64,
        error: &'a ApiError,
    }
    to_vec(&Flow { kind: "err", seq, error })
}

/// Writes the refusal of a message.
pub fn pub_refused(stream: &str, error: &ApiError) -> Vec<u8> {
    to_vec(&Refused { error, stream, seq: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors::STREAM_NOT_FOUND;

    #[test]
    fn answers_are_written_as_clients_know_them() {
        let error = ApiError::from(STREAM_NOT_FOUND);
        assert_eq!(
            String::from_utf8_lossy(&failure("stream_info", &error, Page::default())),
            concat!(
                r#"{"type":"io.nats.jetstream.api.v1.stream_info_response","error":{"code":404,"err_code":10059,"#,
                r#""description":"stream not found"},"total":0,"offset":0,"limit":0}"#
            )
        );
        assert_eq!(
            String::from_utf8_lossy(&answer("stream_purge", Purged { success: true, purged: 0 })),
            r#"{"type":"io.nats.jetstream.api.v1.stream_purge_response","success":true,"purged":0}"#
        );
        assert_eq!(
            String::from_utf8_lossy(&pub_refused("S", &error)),
            r#"{"error":{"code":404,"err_code":10059,"description":"stream not found"},"stream":"S","seq":0}"#
        );
    }

    #[test]
    fn publish_acknowledgements_keep_their_blank() {
        let ack = |domain, duplicate| {
            let mut out = Vec::new();
            pub_ack(&mut out, "S", domain, 1, duplicate);
            String::from_utf8(out).expect("text")
        };
        assert_eq!(ack("", false), r#"{"stream":"S","seq":1}"#);
        assert_eq!(ack("D", true), r#"{"stream":"S","domain":"D","seq":1,"duplicate": true}"#);
    }

    #[test]
    fn an_empty_state_has_moments_of_the_year_one() {
        let text = String::from_utf8(to_vec(&StreamState::default())).expect("text");
        assert_eq!(
            text,
            concat!(
                r#"{"messages":0,"bytes":0,"first_seq":0,"first_ts":"0001-01-01T00:00:00Z","last_seq":0,"#,
                r#""last_ts":"0001-01-01T00:00:00Z","consumer_count":0}"#
            )
        );
    }
}
