//! `/accountz` and `/accstatz`: accounts.

use std::collections::BTreeMap;

use serde::Serialize;

use super::SublistStats;

/// The accounts, or one of them.
#[derive(Serialize, Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct Accountz {
    pub server_id: String,
    pub now: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_account: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_detail: Option<AccountDetail>,
}

/// One account.
#[derive(Serialize, Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct AccountDetail {
    pub account_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_time: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_system: bool,
    pub expired: bool,
    pub complete: bool,
    pub jetstream_enabled: bool,
    pub leafnode_connections: usize,
    pub client_connections: usize,
    pub subscriptions: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub mappings: BTreeMap<String, Vec<MappedTo>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exports: Vec<ExportDetail>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<ImportDetail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<RateLimits>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_tag: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoded_jwt: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub validation_result_jwt: Vec<ClaimIssue>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub revoked_user: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sublist_stats: Option<SublistStats>,
    /// Requests from other accounts that have no answer yet. The reference lists them with the replies that lead back; whoever
    /// knows one can answer for another, so here they are a number.
    #[serde(skip_serializing_if = "super::is_zero_count")]
    pub open_requests: usize,
}

/// Something about the claims of an account that whoever signs them should know.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct ClaimIssue {
    pub description: String,
    pub blocking: bool,
    pub time_check: bool,
}

/// What the clients of an account may publish together. Bulwark's own; the reference has no such limits.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct RateLimits {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages_per_second: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages_burst: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_burst: Option<u64>,
}

/// Where a mapping leads. The weight is the sum of those up to this one, the lightest first, as in the reference.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct MappedTo {
    pub subject: String,
    pub weight: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
}

/// What an account offers to others.
#[derive(Serialize, Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct ExportDetail {
    pub subject: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub token_req: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_latency: Option<LatencyDetail>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approved_accounts: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub revoked_activations: BTreeMap<String, String>,
}

/// Where latencies of a service are told: sampled in percent, or `headers`.
#[derive(Serialize, Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct LatencyDetail {
    pub sampling: serde_json::Value,
    pub results: String,
}

/// What an account has of others. Streams have no `to`.
#[derive(Serialize, Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct ImportDetail {
    pub subject: String,
    pub account: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub local_subject: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub invalid: bool,
    pub share: bool,
    pub tracking: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<LatencyDetail>,
}

/// The counts of accounts.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct Accstatz {
    pub server_id: String,
    pub now: String,
    pub account_statz: Vec<AccountStat>,
}

/// The counts of one account. `sent` is what its peers got.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct AccountStat {
    pub acc: String,
    pub name: String,
    pub conns: usize,
    pub leafnodes: usize,
    pub total_conns: usize,
    pub num_subscriptions: u64,
    pub sent: DataStats,
    pub received: DataStats,
    pub slow_consumers: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldStats>,
}

/// How often limits held connections up, and how long in all. Bulwark's own; the reference has no such limits.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct HeldStats {
    pub times: u64,
    pub time: String,
}

/// Messages and bytes one way, and how many of them over links between servers.
#[derive(Serialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct DataStats {
    pub msgs: u64,
    pub bytes: u64,
    pub gateways: MessageCount,
    pub routes: MessageCount,
    pub leafs: MessageCount,
}

/// Messages and bytes.
#[derive(Serialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct MessageCount {
    pub msgs: u64,
    pub bytes: u64,
}
