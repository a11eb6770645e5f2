//! The configuration of a consumer, as it travels.

use crate::json::{Fault, Field, Mode, is_default, read_object, words};
use moment::Timestamp;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

words! {
    /// Where delivery begins.
    DeliverPolicy { #[default] /// At the first message.
        All = "all", /// At the last message.
        Last = "last", /// At the next message.
        New = "new", /// At a sequence.
        ByStartSequence = "by_start_sequence", /// At a moment.
        ByStartTime = "by_start_time", /// At the last message of each subject.
        LastPerSubject = "last_per_subject" }
}
words! {
    /// Which messages are acknowledged.
    AckPolicy { #[default] /// None.
        None = "none", /// An acknowledgement covers all before it.
        All = "all", /// Each of its own.
        Explicit = "explicit", /// By flow control.
        FlowControl = "flow_control" }
}
words! {
    /// How fast messages are delivered.
    ReplayPolicy { #[default] /// At once.
        Instant = "instant", /// As they came.
        Original = "original" }
}
words! {
    /// How pull requests of several clients are ranked.
    PriorityPolicy { #[default] /// They are not.
        None = "none", /// Some are served only when much is pending.
        Overflow = "overflow", /// One client is served until it leaves.
        PinnedClient = "pinned_client", /// Lower numbers first.
        Prioritized = "prioritized" }
}
words! {
    /// Whether a request may make or change a consumer.
    ConsumerAction { #[default] /// Both.
        CreateOrUpdate = "", /// Make only.
        Create = "create", /// Change only.
        Update = "update" }
}

/// The configuration of a consumer. Fields stand in the order in which they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct ConsumerConfig {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub durable_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    pub deliver_policy: DeliverPolicy,
    #[serde(skip_serializing_if = "is_default")]
    pub opt_start_seq: u64,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::json::time")]
    pub opt_start_time: Option<Timestamp>,
    pub ack_policy: AckPolicy,
    #[serde(skip_serializing_if = "is_default")]
    pub ack_wait: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub max_deliver: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backoff: Vec<i64>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filter_subject: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filter_subjects: Vec<String>,
    pub replay_policy: ReplayPolicy,
    #[serde(skip_serializing_if = "is_default")]
    pub rate_limit_bps: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sample_freq: String,
    #[serde(skip_serializing_if = "is_default")]
    pub max_waiting: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub max_ack_pending: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub flow_control: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub headers_only: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub max_batch: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub max_expires: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub max_bytes: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub deliver_subject: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub deliver_group: String,
    #[serde(skip_serializing_if = "is_default")]
    pub idle_heartbeat: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub inactive_threshold: i64,
    pub num_replicas: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub mem_storage: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub direct: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub sourcing: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::json::time")]
    pub pause_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub priority_groups: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub priority_policy: PriorityPolicy,
    #[serde(skip_serializing_if = "is_default")]
    pub priority_timeout: i64,
}

/// A request to make or change a consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerRequest {
    /// The stream, which must be that of the subject.
    pub stream_name: String,
    /// What is wanted; absent in a broken request.
    pub config: Option<ConsumerConfig>,
    /// Make, change, or either.
    pub action: ConsumerAction,
    /// Whether the server must refuse what it would change.
    pub pedantic: bool,
}

impl ConsumerRequest {
    /// Reads a request body.
    pub fn read(value: &Value, mode: Mode) -> Result<ConsumerRequest, Fault> {
        let mut request = ConsumerRequest::default();
        read_object(value, "CreateConsumerRequest", mode, |field| {
            match field.name {
                "stream_name" => request.stream_name = field.text()?,
                "config" => request.config = Some(ConsumerConfig::read(field.value(), field.mode())?),
                "action" => request.action = ConsumerAction::read(&field)?,
                "pedantic" => request.pedantic = field.flag()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(request)
    }
}

impl ConsumerConfig {
    /// Reads a configuration.
    pub fn read(value: &Value, mode: Mode) -> Result<ConsumerConfig, Fault> {
        let mut config = ConsumerConfig::default();
        read_object(value, "ConsumerConfig", mode, |field| config.read_field(&field))?;
        Ok(config)
    }

    fn read_field(&mut self, field: &Field<'_>) -> Result<bool, Fault> {
        match field.name {
            "durable_name" => self.durable_name = field.text()?,
            "name" => self.name = field.text()?,
            "description" => self.description = field.text()?,
            "deliver_policy" => self.deliver_policy = DeliverPolicy::read(field)?,
            "opt_start_seq" => self.opt_start_seq = field.uint()?,
            "opt_start_time" => self.opt_start_time = Some(field.time()?),
            "ack_policy" => self.ack_policy = AckPolicy::read(field)?,
            "ack_wait" => self.ack_wait = field.nanos()?,
            "max_deliver" => self.max_deliver = field.int()?,
            "backoff" => self.backoff = field.list(Field::nanos)?,
            "filter_subject" => self.filter_subject = field.text()?,
            "filter_subjects" => self.filter_subjects = field.list(Field::text)?,
            "replay_policy" => self.replay_policy = ReplayPolicy::read(field)?,
            "rate_limit_bps" => self.rate_limit_bps = field.uint()?,
            "sample_freq" => self.sample_freq = field.text()?,
            "max_waiting" => self.max_waiting = field.int()?,
            "max_ack_pending" => self.max_ack_pending = field.int()?,
            "metadata" => self.metadata = field.map()?,
            _ => return self.read_delivery(field),
        }
        Ok(true)
    }

    fn read_delivery(&mut self, field: &Field<'_>) -> Result<bool, Fault> {
        match field.name {
            "flow_control" => self.flow_control = field.flag()?,
            "headers_only" => self.headers_only = field.flag()?,
            "max_batch" => self.max_batch = field.int()?,
            "max_expires" => self.max_expires = field.nanos()?,
            "max_bytes" => self.max_bytes = field.int()?,
            "deliver_subject" => self.deliver_subject = field.text()?,
            "deliver_group" => self.deliver_group = field.text()?,
            "idle_heartbeat" => self.idle_heartbeat = field.nanos()?,
            "inactive_threshold" => self.inactive_threshold = field.nanos()?,
            "num_replicas" => self.num_replicas = field.int()?,
            "mem_storage" => self.mem_storage = field.flag()?,
            "direct" => self.direct = field.flag()?,
            "sourcing" => self.sourcing = field.flag()?,
            "pause_until" => self.pause_until = Some(field.time()?),
            "priority_groups" => self.priority_groups = field.list(Field::text)?,
            "priority_policy" => self.priority_policy = PriorityPolicy::read(field).map_err(unknown_policy)?,
            "priority_timeout" => self.priority_timeout = field.nanos()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn unknown_policy(fault: Fault) -> Fault {
    match fault {
        Fault::Word(word) => Fault::Syntax(format!("unknown priority policy: {word:?}")),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{parse, to_vec};

    const FULL: &str = concat!(
        r#"{"durable_name":"c","name":"c","description":"dd","deliver_policy":"by_start_sequence","opt_start_seq":3,"#,
        r#""opt_start_time":"2026-01-01T00:00:00Z","ack_policy":"all","ack_wait":1,"max_deliver":5,"#,
        r#""backoff":[1000000000,2000000000],"filter_subject":"s.\u003e","filter_subjects":["s.1","s.2"],"#,
        r#""replay_policy":"original","rate_limit_bps":9,"sample_freq":"50%","max_waiting":9,"max_ack_pending":7,"#,
        r#""flow_control":true,"headers_only":true,"max_batch":5,"max_expires":2000000000,"max_bytes":100,"#,
        r#""deliver_subject":"d","deliver_group":"g","idle_heartbeat":5,"inactive_threshold":3000000000,"#,
        r#""num_replicas":1,"mem_storage":true,"direct":true,"sourcing":true,"metadata":{"x":"y"},"#,
        r#""pause_until":"2030-01-01T00:00:00Z","priority_groups":["g"],"priority_policy":"pinned_client","#,
        r#""priority_timeout":60000000000}"#,
    );

    #[test]
    fn a_full_configuration_comes_back_byte_for_byte() {
        let value = parse(FULL.as_bytes()).expect("json");
        let config = ConsumerConfig::read(&value, Mode::Strict).expect("known fields");
        assert_eq!(String::from_utf8_lossy(&to_vec(&config)), FULL);
    }

    #[test]
    fn a_request_names_its_action() {
        let value = parse(br#"{"stream_name":"S","config":{"name":"c"},"action":"update"}"#).expect("json");
        let request = ConsumerRequest::read(&value, Mode::Strict).expect("known fields");
        assert_eq!(
            (request.action, request.config.map(|config| config.name)),
            (ConsumerAction::Update, Some("c".into()))
        );
        let value = parse(br#"{"action":"destroy"}"#).expect("json");
        assert_eq!(ConsumerRequest::read(&value, Mode::Strict), Err(Fault::Word("destroy".into())));
    }
}
