//! The flags that say how a stream should be, laid over a configuration.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use crate::command::dig::Dig;
use crate::parse::{duration, pair, signed_size, split_subjects};

/// A flag that is given, given as `--no-X`, or not given at all.
macro_rules! tristate {
    ($name:ident, $flag:literal, $no:literal, $help:literal) => {
        #[derive(clap::Args, Clone, Copy, Debug, Default)]
        pub(crate) struct $name {
            #[arg(id = $flag, long = $flag, help = $help, overrides_with = $no)]
            on: bool,
            #[arg(id = $no, long = $no, hide = true, overrides_with = $flag)]
            off: bool,
        }

        impl $name {
            pub(crate) const fn given(&self) -> Option<bool> {
                match (self.on, self.off) {
                    (true, _) => Some(true),
                    (_, true) => Some(false),
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use tristate;

tristate!(Ack, "ack", "no-ack", "Acknowledge published messages");
tristate!(AllowBatch, "allow-batch", "no-allow-batch", "Allow atomic batches");
tristate!(AllowFast, "allow-fast", "no-allow-fast", "Allow fast batches");
tristate!(AllowCounter, "allow-counter", "no-allow-counter", "Make it a distributed counter");
tristate!(AllowRollup, "allow-rollup", "no-allow-rollup", "Allow messages that replace the ones before them");
tristate!(DenyDelete, "deny-delete", "no-deny-delete", "Forbid to delete messages");
tristate!(DenyPurge, "deny-purge", "no-deny-purge", "Forbid to purge");
tristate!(AllowDirect, "allow-direct", "no-allow-direct", "Allow to read messages directly from any replica");
tristate!(
    AllowMirrorDirect,
    "allow-mirror-direct",
    "no-allow-mirror-direct",
    "Allow to read messages directly from mirrors"
);
tristate!(AllowMsgTtl, "allow-msg-ttl", "no-allow-msg-ttl", "Allow messages with a time to live of their own");
tristate!(AllowSchedules, "allow-schedules", "no-allow-schedules", "Allow scheduled messages");
tristate!(
    DiscardPerSubject,
    "discard-per-subject",
    "no-discard-per-subject",
    "Apply the discard policy 'new' to each subject"
);

/// How a stream should be.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Stream configuration")]
pub(crate) struct StreamFlags {
    /// Subjects that the stream stores
    #[arg(long)]
    subjects: Vec<String>,
    /// What the stream is for
    #[arg(long)]
    description: Option<String>,
    /// Where messages are stored
    #[arg(long)]
    storage: Option<Storage>,
    /// Compress messages on disk
    #[arg(long)]
    compression: Option<Compression>,
    /// Copies in a cluster
    #[arg(long)]
    pub(crate) replicas: Option<u8>,
    /// Place the stream on servers with this tag, may be given several times
    #[arg(long, alias = "tags")]
    pub(crate) tag: Vec<String>,
    /// Place the stream in this cluster
    #[arg(long)]
    pub(crate) cluster: Option<String>,
    #[command(flatten)]
    ack: Ack,
    /// How long messages stay
    #[arg(long)]
    retention: Option<Retention>,
    /// What happens when the stream is full
    #[arg(long)]
    discard: Option<Discard>,
    #[command(flatten)]
    discard_per_subject: DiscardPerSubject,
    /// Sequence of the first message
    #[arg(long)]
    first_sequence: Option<u64>,
    /// Longest age of messages
    #[arg(long, value_parser = unlimited_duration, value_name = "DURATION", allow_hyphen_values = true)]
    max_age: Option<Duration>,
    /// Most bytes
    #[arg(long, value_parser = signed_size, value_name = "BYTES", allow_hyphen_values = true)]
    max_bytes: Option<i64>,
    /// Most consumers
    #[arg(long, allow_hyphen_values = true)]
    max_consumers: Option<i64>,
    /// Largest message
    #[arg(long, value_parser = signed_size, value_name = "BYTES", allow_hyphen_values = true)]
    max_msg_size: Option<i64>,
    /// Most messages
    #[arg(long, allow_hyphen_values = true)]
    max_msgs: Option<i64>,
    /// Most messages of each subject
    #[arg(long, allow_hyphen_values = true)]
    max_msgs_per_subject: Option<i64>,
    /// How long duplicates are recognised
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    dupe_window: Option<Duration>,
    /// Copy this stream: a name, or JSON
    #[arg(long)]
    mirror: Option<String>,
    /// Take in messages of this stream, may be given several times: a name, or JSON
    #[arg(long, value_name = "STREAM")]
    source: Vec<String>,
    #[command(flatten)]
    allow_batch: AllowBatch,
    #[command(flatten)]
    allow_fast: AllowFast,
    #[command(flatten)]
    allow_counter: AllowCounter,
    #[command(flatten)]
    allow_rollup: AllowRollup,
    #[command(flatten)]
    deny_delete: DenyDelete,
    #[command(flatten)]
    deny_purge: DenyPurge,
    #[command(flatten)]
    allow_direct: AllowDirect,
    #[command(flatten)]
    allow_mirror_direct: AllowMirrorDirect,
    #[command(flatten)]
    allow_msg_ttl: AllowMsgTtl,
    #[command(flatten)]
    allow_schedules: AllowSchedules,
    /// How long the marks of deleted subjects stay
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    subject_del_markers_ttl: Option<Duration>,
    /// Rewrite subjects that match this
    #[arg(long, value_name = "SOURCE", requires = "transform_destination")]
    transform_source: Option<String>,
    /// What subjects are rewritten to
    #[arg(long, value_name = "DEST")]
    transform_destination: Option<String>,
    /// Metadata, may be given several times
    #[arg(long, value_name = "K=V", value_parser = metadata)]
    metadata: Vec<(String, String)>,
    /// Publish stored messages of this subject again
    #[arg(long, value_name = "SOURCE", requires = "republish_destination")]
    republish_source: Option<String>,
    /// Where messages are published again
    #[arg(long, value_name = "DEST", requires = "republish_source")]
    republish_destination: Option<String>,
    /// Publish only the headers again
    #[arg(long)]
    republish_headers: bool,
    /// Longest time a consumer may be inactive
    #[arg(long, value_parser = duration, value_name = "THRESHOLD")]
    limit_consumer_inactive: Option<Duration>,
    /// Most messages a consumer may leave without acknowledgement
    #[arg(long, value_name = "PENDING")]
    limit_consumer_max_pending: Option<i64>,
    /// When messages count as stored
    #[arg(long, value_name = "MODE")]
    persist_mode: Option<PersistMode>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Storage {
    #[value(alias = "f")]
    File,
    #[value(alias = "m")]
    Memory,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Compression {
    None,
    S2,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Retention {
    Limits,
    Interest,
    #[value(aliases = ["workq", "workqueue"])]
    Work,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Discard {
    New,
    Old,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PersistMode {
    Default,
    Async,
}

pub(crate) fn metadata(text: &str) -> Result<(String, String), String> {
    let by = if text.contains('=') { '=' } else { ':' };
    pair(text, by).ok_or_else(|| "expected K=V".to_owned())
}

/// Reads a duration; `-1` means that there is no limit, which is what zero means to the server.
pub(crate) fn unlimited_duration(text: &str) -> Result<Duration, String> {
    if text == "-1" { Ok(Duration::ZERO) } else { duration(text) }
}

fn name_of(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

pub(crate) fn nanos(span: Duration) -> Value {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX).into()
}

impl StreamFlags {
    /// Subjects given on the command line, which may be separated by commas.
    pub(crate) fn subjects(&self) -> Vec<String> {
        split_subjects(&self.subjects)
    }

    pub(crate) const fn storage(&self) -> Option<()> {
        if self.storage.is_some() { Some(()) } else { None }
    }

    pub(crate) fn is_fed_by_streams(&self) -> bool {
        self.mirror.is_some() || !self.source.is_empty()
    }

    /// Lays what was typed over a configuration; the rest stays as it is.
    pub(crate) fn apply(&self, config: &mut Map<String, Value>) -> Result<()> {
        let mut set = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                config.insert(key.to_owned(), value);
            }
        };
        let subjects = self.subjects();
        set("subjects", (!subjects.is_empty()).then(|| json!(subjects)));
        set("description", self.description.clone().map(Value::from));
        set("storage", self.storage.map(|storage| name_of(storage).into()));
        set("compression", self.compression.map(|compression| name_of(compression).into()));
        set("num_replicas", self.replicas.map(Value::from));
        set("no_ack", self.ack.given().map(|ack| (!ack).into()));
        set("retention", self.retention.map(|retention| retention_name(retention).into()));
        set("discard", self.discard.map(|discard| name_of(discard).into()));
        set("discard_new_per_subject", self.discard_per_subject.given().map(Value::from));
        if self.discard_per_subject.given() == Some(true) {
            set("discard", Some("new".into()));
        }
        set("first_seq", self.first_sequence.map(Value::from));
        set("max_age", self.max_age.map(nanos));
        set("max_bytes", self.max_bytes.map(Value::from));
        set("max_consumers", self.max_consumers.map(Value::from));
        set("max_msg_size", self.max_msg_size.map(Value::from));
        set("max_msgs", self.max_msgs.map(Value::from));
        set("max_msgs_per_subject", self.max_msgs_per_subject.map(Value::from));
        set("duplicate_window", self.dupe_window.map(nanos));
        set("allow_atomic", self.allow_batch.given().map(Value::from));
        set("allow_batched", self.allow_fast.given().map(Value::from));
        set("allow_msg_counter", self.allow_counter.given().map(Value::from));
        set("allow_rollup_hdrs", self.allow_rollup.given().map(Value::from));
        set("deny_delete", self.deny_delete.given().map(Value::from));
        set("deny_purge", self.deny_purge.given().map(Value::from));
        set("allow_direct", self.allow_direct.given().map(Value::from));
        set("mirror_direct", self.allow_mirror_direct.given().map(Value::from));
        set("allow_msg_ttl", self.allow_msg_ttl.given().map(Value::from));
        set("allow_msg_schedules", self.allow_schedules.given().map(Value::from));
        set("subject_delete_marker_ttl", self.subject_del_markers_ttl.map(nanos));
        set("persist_mode", self.persist_mode.map(|mode| name_of(mode).into()));
        set("mirror", self.mirror.as_deref().map(source).transpose()?);
        let sources: Vec<_> = self.source.iter().map(|text| source(text)).collect::<Result<_>>()?;
        set("sources", (!sources.is_empty()).then(|| sources.into()));
        self.apply_groups(config);
        Ok(())
    }

    /// What consists of several values.
    fn apply_groups(&self, config: &mut Map<String, Value>) {
        if !self.metadata.is_empty() {
            let metadata: Map<_, _> =
                self.metadata.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect();
            config.insert("metadata".to_owned(), metadata.into());
        }
        if let Some(destination) = &self.transform_destination {
            let source = self.transform_source.clone().unwrap_or_default();
            config.insert("subject_transform".to_owned(), json!({"src": source, "dest": destination}));
        }
        if let Some((source, destination)) = self.republish_source.as_ref().zip(self.republish_destination.as_ref()) {
            let republish = json!({"src": source, "dest": destination, "headers_only": self.republish_headers});
            config.insert("republish".to_owned(), republish);
        }
        if self.limit_consumer_inactive.is_some() || self.limit_consumer_max_pending.is_some() {
            let mut limits = config.get("consumer_limits").cloned().unwrap_or_else(|| json!({}));
            if let Some(threshold) = self.limit_consumer_inactive {
                limits["inactive_threshold"] = nanos(threshold);
            }
            if let Some(pending) = self.limit_consumer_max_pending {
                limits["max_ack_pending"] = pending.into();
            }
            config.insert("consumer_limits".to_owned(), limits);
        }
        self.apply_placement(config);
    }

    /// An empty cluster or tag takes the wish away.
    fn apply_placement(&self, config: &mut Map<String, Value>) {
        if self.cluster.is_none() && self.tag.is_empty() {
            return;
        }
        let mut placement = config.get("placement").and_then(Value::as_object).cloned().unwrap_or_default();
        if let Some(cluster) = &self.cluster {
            placement.insert("cluster".to_owned(), cluster.clone().into());
        }
        if !self.tag.is_empty() {
            let tags: Vec<_> = self.tag.iter().filter(|tag| !tag.is_empty()).cloned().collect();
            placement.insert("tags".to_owned(), tags.into());
        }
        placement.retain(|_, value| value.as_str() != Some("") && value.as_array().is_none_or(|list| !list.is_empty()));
        if placement.is_empty() {
            config.remove("placement");
        } else {
            config.insert("placement".to_owned(), placement.into());
        }
    }
}

const fn retention_name(retention: Retention) -> &'static str {
    match retention {
        Retention::Limits => "limits",
        Retention::Interest => "interest",
        Retention::Work => "workqueue",
    }
}

/// A stream to mirror or to take messages from: its name, or all about it as JSON.
pub(crate) fn source(text: &str) -> Result<Value> {
    if !text.trim_start().starts_with('{') {
        return Ok(json!({"name": text}));
    }
    let value: Value = serde_json::from_str(text).context("invalid mirror or source")?;
    if value.text("name").is_empty() {
        bail!("invalid mirror or source: name is required");
    }
    Ok(value)
}

/// What a new stream is like when nothing else is said.
pub(crate) fn defaults() -> Map<String, Value> {
    let Value::Object(config) = json!({
        "retention": "limits",
        "max_consumers": -1,
        "max_msgs_per_subject": -1,
        "max_msgs": -1,
        "max_bytes": -1,
        "max_age": 0,
        "max_msg_size": -1,
        "storage": "file",
        "discard": "old",
        "num_replicas": 1,
        "duplicate_window": 120_000_000_000u64,
        "sealed": false,
        "deny_delete": false,
        "deny_purge": false,
        "allow_rollup_hdrs": false,
        "allow_direct": true,
        "mirror_direct": false,
    }) else {
        unreachable!("an object was written")
    };
    config
}

/// Reads a configuration from a file, bare or as part of a stream's information.
pub(crate) fn from_file(path: &str) -> Result<Map<String, Value>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("could not read {path}"))?;
    let value: Value = serde_json::from_str(&text).map_err(|error| anyhow!("{path} is not valid JSON: {error}"))?;
    let config = if value.has("config") { value.dig("config") } else { &value };
    let mut config = config.as_object().cloned().with_context(|| format!("{path} has no configuration"))?;
    strip_server_metadata(&mut config);
    Ok(config)
}

/// Leaves out what the server wrote into the metadata.
pub(crate) fn strip_server_metadata(config: &mut Map<String, Value>) {
    if let Some(metadata) = config.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|name, _| !name.starts_with("_nats."));
        if metadata.is_empty() {
            config.remove("metadata");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(args: &[&str]) -> Map<String, Value> {
        #[derive(clap::Parser)]
        struct Only {
            #[command(flatten)]
            flags: StreamFlags,
        }
        let mut config = defaults();
        <Only as clap::Parser>::parse_from([&["x"], args].concat()).flags.apply(&mut config).unwrap();
        config
    }

    #[test]
    fn what_is_typed_is_laid_over_the_defaults() {
        let config = typed(&[
            "--subjects",
            "a.>,b",
            "--max-age",
            "1d",
            "--max-bytes",
            "1KB",
            "--retention",
            "work",
            "--no-ack",
            "--deny-purge",
        ]);
        assert_eq!(config["subjects"], json!(["a.>", "b"]));
        assert_eq!((config["max_age"].as_u64(), config["max_bytes"].as_i64()), (Some(86_400_000_000_000), Some(1024)));
        assert_eq!(
            (config["retention"].as_str(), config["no_ack"].as_bool(), config["deny_purge"].as_bool()),
            (Some("workqueue"), Some(true), Some(true))
        );
        assert_eq!(config["storage"], "file");
    }

    #[test]
    fn unlimited_is_minus_one() {
        let config = typed(&["--max-age=-1", "--max-msgs=-1", "--max-bytes=-1"]);
        assert_eq!(
            (config["max_age"].as_u64(), config["max_msgs"].as_i64(), config["max_bytes"].as_i64()),
            (Some(0), Some(-1), Some(-1))
        );
    }

    #[test]
    fn placement_can_be_given_and_taken_away() {
        assert_eq!(
            typed(&["--cluster", "c1", "--tag", "ssd", "--tag", "eu"])["placement"],
            json!({"cluster": "c1", "tags": ["ssd", "eu"]})
        );
        assert!(!typed(&["--cluster", "", "--tag", ""]).contains_key("placement"));
    }

    #[test]
    fn sources_are_names_or_json() {
        assert_eq!(source("S").unwrap(), json!({"name": "S"}));
        assert_eq!(source(r#"{"name":"S","filter_subject":"a"}"#).unwrap()["filter_subject"], "a");
        assert!(source("{}").is_err() && source("{broken").is_err());
    }
}
