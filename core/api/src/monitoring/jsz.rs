//! `/jsz`, and what `/varz` and `/statsz` say of streams.

use moment::Timestamp;
use serde::Serialize;

use crate::StreamConfig;
use crate::json::is_default;
use crate::responses::{Cluster, ConsumerInfo, SourceInfo, StreamState, time};

/// Streams: what they add up to, and, where that is asked for, account by account.
#[derive(Serialize, Clone, Debug, Default)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct Jsz {
    #[serde(flatten)]
    pub stats: JszStats,
    pub server_id: String,
    pub now: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    pub config: JszConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<JszLimits>,
    pub streams: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streams_leader: Option<usize>,
    pub consumers: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumers_leader: Option<usize>,
    pub messages: u64,
    pub bytes: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub account_details: Vec<JszAccount>,
    pub total: usize,
}

/// What is stored and asked. Of an account, `reserved` is what it may store; no limit is the largest number there is.
#[derive(Serialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct JszStats {
    pub memory: u64,
    pub storage: u64,
    pub reserved_memory: u64,
    pub reserved_storage: u64,
    pub accounts: usize,
    pub ha_assets: usize,
    pub api: JszApi,
}

/// Requests to the JetStream API.
#[derive(Serialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct JszApi {
    pub level: u32,
    pub total: u64,
    pub errors: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub inflight: u64,
}

/// What streams may use, and how they are kept.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct JszConfig {
    pub max_memory: u64,
    pub max_storage: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub store_dir: String,
    #[serde(skip_serializing_if = "is_default")]
    pub sync_interval: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sync_always: bool,
    /// By what streams in files are sealed; nothing if they are not. Bulwark's own.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub cipher: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub compress_ok: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unique_tag: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
}

/// Limits that hold for every account. Absent is none, or the default of the kind.
#[derive(Serialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct JszLimits {
    #[serde(skip_serializing_if = "is_default")]
    pub max_request_batch: usize,
    #[serde(skip_serializing_if = "is_default")]
    pub max_ack_pending: usize,
    #[serde(skip_serializing_if = "is_default")]
    pub max_ha_assets: usize,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "is_default")]
    pub max_duplicate_window: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub max_batch_inflight_per_stream: usize,
    #[serde(skip_serializing_if = "is_default")]
    pub max_batch_inflight_total: usize,
    #[serde(skip_serializing_if = "is_default")]
    pub max_batch_size: usize,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "is_default")]
    pub max_batch_timeout: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub default_max_consumers: usize,
}

/// What a server says of its streams beside everything else. Empty where there are none.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct JetStreamVarz {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<JszConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stats: Option<JszStats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<JszLimits>,
}

/// The streams of an account.
#[derive(Serialize, Clone, Debug, Default)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct JszAccount {
    pub name: String,
    pub id: String,
    #[serde(flatten)]
    pub stats: JszStats,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stream_detail: Vec<JszStream>,
}

/// A stream. Its configuration and those of its consumers are shown where that is asked for.
#[derive(Serialize, Clone, Debug, Default)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct JszStream {
    pub name: String,
    #[serde(serialize_with = "time")]
    pub created: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Cluster>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<StreamConfig>,
    pub state: StreamState,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub consumer_detail: Vec<ConsumerInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<SourceInfo>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceInfo>,
}
