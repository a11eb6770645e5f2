//! The statistics that a server tells every few seconds.

use serde::Serialize;

use super::ServerInfo;
use super::events::Count;
use crate::monitoring::{JetStreamVarz, LinkTroubles, number};

/// Statistics with their server.
#[derive(Serialize, Clone, Debug)]
pub struct ServerStats<'a> {
    /// Who tells them.
    pub server: &'a ServerInfo,
    /// The statistics.
    pub statsz: Statsz,
}

/// The statistics of a server.
#[derive(Serialize, Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct Statsz {
    pub start: String,
    pub mem: u64,
    pub cores: usize,
    #[serde(serialize_with = "number")]
    pub cpu: f64,
    pub connections: usize,
    pub total_connections: u64,
    pub active_accounts: usize,
    pub subscriptions: u64,
    pub sent: Count,
    pub sent_to_clients: Count,
    pub received: Count,
    pub received_from_clients: Count,
    pub slow_consumers: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow_consumer_stats: Option<LinkTroubles>,
    #[serde(skip_serializing_if = "crate::json::is_default")]
    pub stale_connections: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_connection_stats: Option<LinkTroubles>,
    #[serde(skip_serializing_if = "crate::json::is_default")]
    pub stalled_clients: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteStat>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gateways: Vec<GatewayStat>,
    #[serde(skip_serializing_if = "crate::json::is_default")]
    pub active_servers: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jetstream: Option<JetStreamVarz>,
    pub gomaxprocs: usize,
}

/// A route.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct RouteStat {
    pub rid: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    pub sent: Count,
    pub received: Count,
    pub pending: usize,
}

/// A cluster to which this server goes.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct GatewayStat {
    pub gwid: u64,
    pub name: String,
    pub sent: Count,
    pub received: Count,
    pub inbound_connections: usize,
}
