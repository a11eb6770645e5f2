//! `/varz`: the server.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{ClusterVarz, GatewayVarz, JetStreamVarz, LeafVarz, Nothing, Proxy, WebSocketVarz, is_zero, number};

/// What a server says of itself as a whole. Times are RFC 3339, durations nanoseconds unless they say seconds.
#[derive(Serialize, Clone, Debug, Default)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct Varz {
    pub server_id: String,
    pub server_name: String,
    pub version: String,
    pub proto: u8,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub git_commit: String,
    pub go: String,
    pub host: String,
    pub port: u16,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub auth_required: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tls_required: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tls_verify: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tls_ocsp_peer_verify: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub connect_urls: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ws_connect_urls: Vec<String>,
    pub max_connections: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_subscriptions: Option<usize>,
    pub ping_interval: u64,
    pub ping_max: u32,
    pub http_host: String,
    pub http_port: u16,
    pub http_base_path: String,
    pub https_port: u16,
    /// Seconds.
    #[serde(serialize_with = "number")]
    pub auth_timeout: f64,
    pub max_control_line: usize,
    pub max_payload: i64,
    pub max_pending: usize,
    pub cluster: ClusterVarz,
    pub gateway: GatewayVarz,
    pub leaf: LeafVarz,
    pub mqtt: Nothing,
    pub websocket: WebSocketVarz,
    pub jetstream: JetStreamVarz,
    /// Seconds.
    #[serde(serialize_with = "number")]
    pub tls_timeout: f64,
    pub write_deadline: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_timeout: Option<&'static str>,
    pub start: String,
    pub now: String,
    pub uptime: String,
    pub mem: u64,
    pub cores: usize,
    pub gomaxprocs: usize,
    #[serde(serialize_with = "number")]
    pub cpu: f64,
    pub connections: usize,
    pub total_connections: u64,
    pub routes: usize,
    pub remotes: usize,
    pub leafnodes: usize,
    pub in_msgs: u64,
    pub in_bytes: u64,
    pub in_client_msgs: u64,
    pub in_client_bytes: u64,
    pub out_msgs: u64,
    pub out_bytes: u64,
    pub out_client_msgs: u64,
    pub out_client_bytes: u64,
    pub slow_consumers: u64,
    pub stale_connections: u64,
    pub stalled_clients: u64,
    pub subscriptions: u64,
    pub http_req_stats: BTreeMap<&'static str, u64>,
    pub config_load_time: String,
    pub config_digest: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub feature_flags: BTreeMap<String, bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trusted_operators_jwt: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trusted_operators_claim: Vec<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_account: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub pinned_account_fails: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ocsp_peer_cache: Option<OcspCacheVarz>,
    pub slow_consumer_stats: LinkTroubles,
    pub stale_connection_stats: LinkTroubles,
    pub disk_io_wait_stats: DiskWaits,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxies: Option<ProxiesVarz>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_cert_not_after: Option<String>,
}

/// What issuers have said of the certificates of peers. A server that remembers nothing does not tell of it.
#[derive(Serialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct OcspCacheVarz {
    pub cache_type: &'static str,
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_hits: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_misses: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub cached_responses: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub cached_revoked_responses: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub cached_good_responses: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub cached_unknown_responses: u64,
}

/// The `proxies` block.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct ProxiesVarz {
    pub trusted: Vec<Proxy>,
}

/// A count for each kind of link.
#[derive(Serialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct LinkTroubles {
    pub clients: u64,
    pub routes: u64,
    pub gateways: u64,
    pub leafs: u64,
}

/// Waiting for disks.
#[derive(Serialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct DiskWaits {
    pub waiters: u64,
    pub waits: u64,
    pub wait_time: u64,
    pub max_wait_time: u64,
}
