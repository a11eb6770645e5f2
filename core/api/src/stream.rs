//! The configuration of a stream, as it travels.

use crate::json::{Fault, Field, Mode, is_default, read_object, words};
use moment::Timestamp;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

words! {
    /// When messages may go.
    Retention { #[default] /// When a limit is passed.
        Limits = "limits", /// When nobody is interested any more.
        Interest = "interest", /// When somebody has worked on it.
        WorkQueue = "workqueue" }
}
words! {
    /// What to do when the stream is full.
    Discard { #[default] /// The oldest go.
        Old = "old", /// New ones are refused.
        New = "new" }
}
words! {
    /// Where messages are kept.
    StorageKind { #[default] /// On disk.
        File = "file", /// In memory.
        Memory = "memory" }
}
words! {
    /// Whether blocks are compressed.
    Compression { #[default] /// No.
        None = "none", /// With S2.
        S2 = "s2" }
}
words! {
    /// What is waited for before a message is acknowledged.
    PersistMode { #[default] /// As the store is configured.
        Default = "default", /// Nothing: written and synced when it suits.
        Async = "async" }
}

/// Where a stream should live.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct Placement {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub preferred: String,
}

/// A rewriting of subjects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct SubjectTransform {
    pub src: String,
    pub dest: String,
}

/// An echo of stored messages to other subjects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct Republish {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub src: String,
    pub dest: String,
    #[serde(skip_serializing_if = "is_default")]
    pub headers_only: bool,
}

/// Another account or domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct External {
    pub api: String,
    pub deliver: String,
}

/// A consumer made beforehand, through which a stream is copied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct SourceConsumer {
    pub name: String,
    pub deliver_subject: String,
}

/// A stream that is copied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct StreamSource {
    pub name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub opt_start_seq: u64,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::json::time")]
    pub opt_start_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filter_subject: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subject_transforms: Vec<SubjectTransform>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer: Option<SourceConsumer>,
}

/// Defaults and bounds for the consumers of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct ConsumerLimits {
    #[serde(skip_serializing_if = "is_default")]
    pub inactive_threshold: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub max_ack_pending: i64,
}

/// The configuration of a stream. Fields stand in the order in which they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct StreamConfig {
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
    pub retention: Retention,
    pub max_consumers: i64,
    pub max_msgs: i64,
    pub max_bytes: i64,
    pub max_age: i64,
    pub max_msgs_per_subject: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub max_msg_size: i32,
    pub discard: Discard,
    pub storage: StorageKind,
    pub num_replicas: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub no_ack: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub duplicate_window: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<StreamSource>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<StreamSource>,
    pub compression: Compression,
    #[serde(skip_serializing_if = "is_default")]
    pub first_seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject_transform: Option<SubjectTransform>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub republish: Option<Republish>,
    pub allow_direct: bool,
    pub mirror_direct: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub discard_new_per_subject: bool,
    pub sealed: bool,
    pub deny_delete: bool,
    pub deny_purge: bool,
    pub allow_rollup_hdrs: bool,
    pub consumer_limits: ConsumerLimits,
    pub allow_msg_ttl: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub subject_delete_marker_ttl: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub allow_msg_counter: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub allow_atomic: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub allow_msg_schedules: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub persist_mode: PersistMode,
    #[serde(skip_serializing_if = "is_default")]
    pub allow_batched: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// A request to make or change a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamRequest {
    /// What is wanted.
    pub config: StreamConfig,
    /// Whether the server may set defaults silently (no) or must refuse what it would change (yes).
    pub pedantic: bool,
}

const HOLDER: &str = "StreamConfigRequest";

impl StreamRequest {
    /// Reads a request body.
    pub fn read(value: &Value, mode: Mode) -> Result<StreamRequest, Fault> {
        let mut request = StreamRequest::default();
        read_object(value, HOLDER, mode, |field| {
            if field.name == "pedantic" {
                request.pedantic = field.flag()?;
                return Ok(true);
            }
            request.config.read_field(&field)
        })?;
        Ok(request)
    }
}

impl StreamConfig {
    /// Reads a configuration.
    pub fn read(value: &Value, mode: Mode) -> Result<StreamConfig, Fault> {
        let mut config = StreamConfig::default();
        read_object(value, "StreamConfig", mode, |field| config.read_field(&field))?;
        Ok(config)
    }

    fn read_field(&mut self, field: &Field<'_>) -> Result<bool, Fault> {
        match field.name {
            "name" => self.name = field.text()?,
            "description" => self.description = field.text()?,
            "subjects" => self.subjects = field.list(Field::text)?,
            "retention" => self.retention = Retention::read(field)?,
            "max_consumers" => self.max_consumers = field.int()?,
            "max_msgs" => self.max_msgs = field.int()?,
            "max_bytes" => self.max_bytes = field.int()?,
            "max_age" => self.max_age = field.nanos()?,
            "max_msgs_per_subject" => self.max_msgs_per_subject = field.int()?,
            "max_msg_size" => self.max_msg_size = field.int32()?,
            "discard" => self.discard = Discard::read(field)?,
            "storage" => self.storage = StorageKind::read(field)?,
            "num_replicas" => self.num_replicas = field.int()?,
            "no_ack" => self.no_ack = field.flag()?,
            "duplicate_window" => self.duplicate_window = field.nanos()?,
            "placement" => self.placement = Some(Placement::read(field)?),
            "mirror" => self.mirror = Some(StreamSource::read(field)?),
            "sources" => self.sources = field.list(StreamSource::read)?,
            "compression" => self.compression = Compression::read(field)?,
            "first_seq" => self.first_seq = field.uint()?,
            "subject_transform" => self.subject_transform = Some(SubjectTransform::read(field)?),
            "republish" => self.republish = Some(Republish::read(field)?),
            _ => return self.read_permission(field),
        }
        Ok(true)
    }

    fn read_permission(&mut self, field: &Field<'_>) -> Result<bool, Fault> {
        match field.name {
            "allow_direct" => self.allow_direct = field.flag()?,
            "mirror_direct" => self.mirror_direct = field.flag()?,
            "discard_new_per_subject" => self.discard_new_per_subject = field.flag()?,
            "sealed" => self.sealed = field.flag()?,
            "deny_delete" => self.deny_delete = field.flag()?,
            "deny_purge" => self.deny_purge = field.flag()?,
            "allow_rollup_hdrs" => self.allow_rollup_hdrs = field.flag()?,
            "consumer_limits" => self.consumer_limits = ConsumerLimits::read(field)?,
            "allow_msg_ttl" => self.allow_msg_ttl = field.flag()?,
            "subject_delete_marker_ttl" => self.subject_delete_marker_ttl = field.nanos()?,
            "allow_msg_counter" => self.allow_msg_counter = field.flag()?,
            "allow_atomic" => self.allow_atomic = field.flag()?,
            "allow_msg_schedules" => self.allow_msg_schedules = field.flag()?,
            "persist_mode" => self.persist_mode = PersistMode::read(field)?,
            "allow_batched" => self.allow_batched = field.flag()?,
            "metadata" => self.metadata = field.map()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Placement {
    fn read(field: &Field<'_>) -> Result<Placement, Fault> {
        let mut placement = Placement::default();
        read_object(field.value(), "Placement", field.mode(), |field| {
            match field.name {
                "cluster" => placement.cluster = field.text()?,
                "tags" => placement.tags = field.list(Field::text)?,
                "preferred" => placement.preferred = field.text()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(placement)
    }
}

impl SubjectTransform {
    fn read(field: &Field<'_>) -> Result<SubjectTransform, Fault> {
        let mut transform = SubjectTransform::default();
        read_object(field.value(), "SubjectTransformConfig", field.mode(), |field| {
            match field.name {
                "src" => transform.src = field.text()?,
                "dest" => transform.dest = field.text()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(transform)
    }
}

impl Republish {
    fn read(field: &Field<'_>) -> Result<Republish, Fault> {
        let mut republish = Republish::default();
        read_object(field.value(), "RePublish", field.mode(), |field| {
            match field.name {
                "src" => republish.src = field.text()?,
                "dest" => republish.dest = field.text()?,
                "headers_only" => republish.headers_only = field.flag()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(republish)
    }
}

impl External {
    fn read(field: &Field<'_>) -> Result<External, Fault> {
        let mut external = External::default();
        read_object(field.value(), "ExternalStream", field.mode(), |field| {
            match field.name {
                "api" => external.api = field.text()?,
                "deliver" => external.deliver = field.text()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(external)
    }
}

impl SourceConsumer {
    fn read(field: &Field<'_>) -> Result<SourceConsumer, Fault> {
        let mut consumer = SourceConsumer::default();
        read_object(field.value(), "StreamConsumerSource", field.mode(), |field| {
            match field.name {
                "name" => consumer.name = field.text()?,
                "deliver_subject" => consumer.deliver_subject = field.text()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(consumer)
    }
}

impl StreamSource {
    fn read(field: &Field<'_>) -> Result<StreamSource, Fault> {
        let mut source = StreamSource::default();
        read_object(field.value(), "StreamSource", field.mode(), |field| {
            match field.name {
                "name" => source.name = field.text()?,
                "opt_start_seq" => source.opt_start_seq = field.uint()?,
                "opt_start_time" => source.opt_start_time = Some(field.time()?),
                "filter_subject" => source.filter_subject = field.text()?,
                "subject_transforms" => source.subject_transforms = field.list(SubjectTransform::read)?,
                "external" => source.external = Some(External::read(&field)?),
                "consumer" => source.consumer = Some(SourceConsumer::read(&field)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(source)
    }
}

impl ConsumerLimits {
    fn read(field: &Field<'_>) -> Result<ConsumerLimits, Fault> {
        let mut limits = ConsumerLimits::default();
        read_object(field.value(), "StreamConsumerLimits", field.mode(), |field| {
            match field.name {
                "inactive_threshold" => limits.inactive_threshold = field.nanos()?,
                "max_ack_pending" => limits.max_ack_pending = field.int()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{parse, to_vec};

    /// Everything set, in the order of the wire.
    const FULL: &str = concat!(
        r#"{"name":"S","description":"d","subjects":["s.\u003e","a.*"],"retention":"workqueue","max_consumers":10,"#,
        r#""max_msgs":100,"max_bytes":100000,"max_age":60000000000,"max_msgs_per_subject":3,"max_msg_size":1000,"#,
        r#""discard":"new","storage":"memory","num_replicas":1,"no_ack":true,"duplicate_window":1000000000,"#,
        r#""placement":{"cluster":"c","tags":["t"],"preferred":"p"},"mirror":{"name":"M","opt_start_seq":5},"#,
        r#""sources":[{"name":"X","opt_start_time":"2026-01-01T00:00:00Z","filter_subject":"s.1","#,
        r#""subject_transforms":[{"src":"a","dest":"b"}],"external":{"api":"$JS.x.API","deliver":"d.x"},"#,
        r#""consumer":{"name":"n","deliver_subject":"d"}}],"compression":"s2","first_seq":10,"#,
        r#""subject_transform":{"src":"a.*","dest":"s.{{wildcard(1)}}"},"#,
        r#""republish":{"src":"\u003e","dest":"rep.\u003e","headers_only":true},"allow_direct":true,"#,
        r#""mirror_direct":true,"discard_new_per_subject":true,"sealed":true,"deny_delete":true,"deny_purge":true,"#,
        r#""allow_rollup_hdrs":true,"consumer_limits":{"inactive_threshold":5,"max_ack_pending":10},"#,
        r#""allow_msg_ttl":true,"subject_delete_marker_ttl":2000000000,"allow_msg_counter":true,"allow_atomic":true,"#,
        r#""allow_msg_schedules":true,"persist_mode":"async","allow_batched":true,"metadata":{"a":"b"}}"#,
    );

    #[test]
    fn a_full_configuration_comes_back_byte_for_byte() {
        let value = parse(FULL.as_bytes()).expect("json");
        let config = StreamConfig::read(&value, Mode::Strict).expect("known fields");
        assert_eq!(String::from_utf8_lossy(&to_vec(&config)), FULL);
    }

    #[test]
    fn field_names_do_not_mind_their_case_and_unknown_ones_do_in_strict_mode() {
        let value = parse(b"{\"NAME\":\"S\",\"bogus\":1}").expect("json");
        assert_eq!(StreamRequest::read(&value, Mode::Strict), Err(Fault::Unknown("bogus".into())));
        assert_eq!(StreamRequest::read(&value, Mode::Lenient).expect("lenient").config.name, "S");
    }
}
