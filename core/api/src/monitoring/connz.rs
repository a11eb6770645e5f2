//! `/connz`: connections.

use serde::Serialize;

/// A page of connections.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct Connz {
    /// The server. Empty when the account is not known here.
    pub server_id: String,
    /// When.
    pub now: String,
    /// Connections on this page.
    pub num_connections: usize,
    /// Connections in all.
    pub total: usize,
    /// Left out before the page.
    pub offset: u64,
    /// The longest the page may be.
    pub limit: u64,
    /// The page; `null` when the account is not known here.
    pub connections: Option<Vec<ConnectionInfo>>,
}

/// A connection.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct ConnectionInfo {
    pub cid: u64,
    pub kind: &'static str,
    #[serde(rename = "type", skip_serializing_if = "str::is_empty")]
    pub kind_of_client: &'static str,
    pub ip: String,
    pub port: u16,
    pub start: String,
    pub last_activity: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rtt: String,
    pub uptime: String,
    pub idle: String,
    pub pending_bytes: usize,
    pub in_msgs: u64,
    pub out_msgs: u64,
    pub in_bytes: u64,
    pub out_bytes: u64,
    /// How often publishers were held up because it was behind.
    #[serde(skip_serializing_if = "super::is_zero")]
    pub stalls: u64,
    pub subscriptions: u64,
    /// How long limits have held its messages up in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub name: Box<str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub lang: Box<str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub version: Box<str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tls_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tls_cipher_suite: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tls_peer_certs: Vec<PeerCertificate>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tls_first: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorized_user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subscriptions_list: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subscriptions_list_detail: Vec<SubscriptionDetail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_tag: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,
}

/// A certificate that a client showed.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct PeerCertificate {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// In hexadecimal digits.
    pub spki_sha256: String,
    /// In hexadecimal digits.
    pub cert_sha256: String,
}

/// The proxy through which a connection came.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxy {
    /// Its public key.
    pub key: String,
}

/// A subscription.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct SubscriptionDetail {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_tag: Option<String>,
    pub subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qgroup: Option<String>,
    pub sid: String,
    pub msgs: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
    pub cid: u64,
}
