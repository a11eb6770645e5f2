//! What is told without being asked: clients that come and go, refused logins, the number of an account's connections.

use serde::Serialize;

use super::ServerInfo;
use crate::monitoring::AccountStat;

/// What the type of every event begins with.
const KIND: &str = "io.nats.server.advisory.v1.";

/// The head of every event.
#[derive(Serialize, Clone, Debug)]
struct Head<'a> {
    #[serde(rename = "type")]
    kind: String,
    id: &'a str,
    timestamp: &'a str,
    server: &'a ServerInfo,
}

/// Who tells it, when, and as the how manieth.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct Stamp<'a> {
    pub id: &'a str,
    pub timestamp: &'a str,
    pub server: &'a ServerInfo,
}

impl<'a> Stamp<'a> {
    fn head(self, kind: &str) -> Head<'a> {
        Head { kind: format!("{KIND}{kind}"), id: self.id, timestamp: self.timestamp, server: self.server }
    }
}

/// A certificate, as advisories tell of it.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct CertificateInfo {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subject: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub issuer: String,
    /// SHA-256 of it, in base64.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fingerprint: String,
    /// All of it, in base64.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub raw: String,
}

/// A peer was refused because its issuers do not stand by its certificate.
pub fn ocsp_peer_reject(stamp: Stamp<'_>, kind: &str, peer: &CertificateInfo, reason: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Rejected<'a> {
        #[serde(flatten)]
        head: Head<'a>,
        kind: &'a str,
        peer: &'a CertificateInfo,
        reason: &'a str,
    }
    crate::json::to_vec(&Rejected { head: stamp.head("ocsp_peer_reject"), kind, peer, reason })
}

/// An issuer does not stand by one of the certificates of a peer.
pub fn ocsp_peer_link_invalid(
    stamp: Stamp<'_>,
    link: &CertificateInfo,
    peer: &CertificateInfo,
    reason: &str,
) -> Vec<u8> {
    #[derive(Serialize)]
    struct Invalid<'a> {
        #[serde(flatten)]
        head: Head<'a>,
        link: &'a CertificateInfo,
        peer: &'a CertificateInfo,
        reason: &'a str,
    }
    crate::json::to_vec(&Invalid { head: stamp.head("ocsp_peer_link_invalid"), link, peer, reason })
}

/// A client, as events tell of it. What it showed at login is never among it.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct ClientInfo {
    pub start: String,
    pub host: String,
    pub id: u64,
    pub acc: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub user: Box<str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub name: Box<str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub lang: Box<str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub ver: Box<str>,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "crate::json::is_default")]
    pub rtt: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub issuer_key: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name_tag: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    pub kind: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub client_type: &'static str,
}

/// Messages and bytes of one client, one way.
#[derive(Serialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct Count {
    pub msgs: u64,
    pub bytes: u64,
}

/// A client came.
pub fn connect(stamp: Stamp<'_>, client: &ClientInfo) -> Vec<u8> {
    #[derive(Serialize)]
    struct Event<'a> {
        #[serde(flatten)]
        head: Head<'a>,
        client: &'a ClientInfo,
    }
    crate::json::to_vec(&Event { head: stamp.head("client_connect"), client })
}

/// A client went, or was never let in. `sent` is what the client sent.
pub fn disconnect(stamp: Stamp<'_>, client: &ClientInfo, sent: Count, received: Count, reason: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Event<'a> {
        #[serde(flatten)]
        head: Head<'a>,
        client: &'a ClientInfo,
        sent: Count,
        received: Count,
        reason: &'a str,
    }
    crate::json::to_vec(&Event { head: stamp.head("client_disconnect"), client, sent, received, reason })
}

/// How many connections an account has here.
pub fn account_connections(stamp: Stamp<'_>, stat: &AccountStat) -> Vec<u8> {
    #[derive(Serialize)]
    struct Event<'a> {
        #[serde(flatten)]
        head: Head<'a>,
        #[serde(flatten)]
        stat: &'a AccountStat,
    }
    crate::json::to_vec(&Event { head: stamp.head("account_connections"), stat })
}

/// A leaf node of an account has connected.
pub fn leaf_connected(server: &ServerInfo, acc: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Connected<'a> {
        server: &'a ServerInfo,
        acc: &'a str,
    }
    crate::json::to_vec(&Connected { server, acc })
}

/// The configuration was read again: which settings changed, by name, and whether they hold now.
pub fn reloaded(stamp: Stamp<'_>, changes: &[String], error: Option<&str>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Event<'a> {
        #[serde(flatten)]
        head: Head<'a>,
        changes: &'a [String],
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a str>,
    }
    crate::json::to_vec(&Event { head: stamp.head("config_reload"), changes, error })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order of fields was recorded from the reference server.
    #[test]
    fn events_have_the_fields_listeners_know_in_their_order() {
        let server = ServerInfo { name: "one".into(), ver: "2.15.1".into(), seq: 17, ..ServerInfo::default() };
        let stamp = Stamp { id: "ID", timestamp: "T", server: &server };
        let client = ClientInfo {
            start: "S".into(),
            host: "127.0.0.1".into(),
            id: 8,
            acc: "APP".into(),
            user: "app".into(),
            lang: "go".into(),
            name_tag: "APP".into(),
            kind: "Client",
            client_type: "nats",
            ..ClientInfo::default()
        };
        assert_eq!(
            String::from_utf8(connect(stamp, &client)).unwrap(),
            concat!(
                r#"{"type":"io.nats.server.advisory.v1.client_connect","id":"ID","timestamp":"T","#,
                r#""server":{"name":"one","host":"","id":"","ver":"2.15.1","jetstream":false,"flags":0,"seq":17,"time":""},"#,
                r#""client":{"start":"S","host":"127.0.0.1","id":8,"acc":"APP","user":"app","lang":"go","name_tag":"APP","#,
                r#""kind":"Client","client_type":"nats"}}"#
            )
        );
        let client = ClientInfo { rtt: 5, stop: Some("E".into()), ..client };
        let count = Count { msgs: 1, bytes: 2 };
        let gone = String::from_utf8(disconnect(stamp, &client, count, Count::default(), "Client Closed")).unwrap();
        assert!(gone.contains(r#""lang":"go","rtt":5,"stop":"E","name_tag":"APP""#), "{gone}");
        assert!(
            gone.ends_with(r#""sent":{"msgs":1,"bytes":2},"received":{"msgs":0,"bytes":0},"reason":"Client Closed"}"#)
        );
    }
}
