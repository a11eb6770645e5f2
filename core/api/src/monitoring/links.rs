//! `/routez`, `/gatewayz` and `/leafz`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::connz::{ConnectionInfo, SubscriptionDetail};

/// Subjects that may cross, and those that may not.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct SubjectLists {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

/// Routes: one entry for each connection.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct Routez {
    pub server_id: String,
    pub server_name: String,
    pub now: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import: Option<SubjectLists>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export: Option<SubjectLists>,
    pub num_routes: usize,
    pub routes: Vec<RouteInfo>,
}

/// A route.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct RouteInfo {
    pub rid: u64,
    pub remote_id: String,
    pub remote_name: String,
    pub did_solicit: bool,
    pub is_configured: bool,
    pub ip: String,
    pub port: u16,
    pub start: String,
    pub last_activity: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rtt: String,
    pub uptime: String,
    pub idle: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import: Option<SubjectLists>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export: Option<SubjectLists>,
    pub pending_size: usize,
    pub in_msgs: u64,
    pub out_msgs: u64,
    pub in_bytes: u64,
    pub out_bytes: u64,
    pub subscriptions: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subscriptions_list: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subscriptions_list_detail: Vec<SubscriptionDetail>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub account: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub compression: String,
}

/// Gateways, by cluster.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct Gatewayz {
    pub server_id: String,
    pub now: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    #[serde(skip_serializing_if = "super::is_zero_port")]
    pub port: u16,
    pub outbound_gateways: Option<BTreeMap<String, RemoteGatewayInfo>>,
    pub inbound_gateways: BTreeMap<String, Vec<RemoteGatewayInfo>>,
}

/// A connection to or from another cluster.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct RemoteGatewayInfo {
    pub configured: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<ConnectionInfo>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<AccountGatewayInfo>,
}

/// What is known of an account over a gateway.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct AccountGatewayInfo {
    pub name: String,
    pub interest_mode: &'static str,
    #[serde(skip_serializing_if = "super::is_zero_count")]
    pub no_interest_count: usize,
    #[serde(skip_serializing_if = "super::is_zero_count")]
    pub interest_only_threshold: usize,
    #[serde(skip_serializing_if = "super::is_zero_count")]
    pub num_subs: usize,
    #[serde(skip_serializing_if = "super::is_zero_count")]
    pub num_queue_subs: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subscriptions_list: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subscriptions_list_detail: Vec<SubscriptionDetail>,
}

/// Leaf nodes, and hubs.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct Leafz {
    pub server_id: String,
    pub now: String,
    pub leafnodes: usize,
    pub leafs: Vec<LeafInfo>,
}

/// A leaf connection.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct LeafInfo {
    pub id: u64,
    pub name: String,
    pub is_spoke: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_isolated: bool,
    pub account: String,
    pub ip: String,
    pub port: u16,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rtt: String,
    pub in_msgs: u64,
    pub out_msgs: u64,
    pub in_bytes: u64,
    pub out_bytes: u64,
    pub subscriptions: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subscriptions_list: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub compression: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub websocket: bool,
}
