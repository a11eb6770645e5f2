//! What `/varz` says of how links are configured. Parts that are not configured are empty objects, as the reference has
//! it.

use std::ops::Not;

use serde::Serialize;

use super::number;

/// Zero is left out.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_nothing(seconds: &f64) -> bool {
    *seconds == 0.0
}

/// How a listener is encrypted. Seconds.
#[derive(Serialize, Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct LinkTls {
    #[serde(skip_serializing_if = "is_nothing", serialize_with = "number")]
    pub tls_timeout: f64,
    #[serde(skip_serializing_if = "Not::not")]
    pub tls_required: bool,
    #[serde(skip_serializing_if = "Not::not")]
    pub tls_verify: bool,
}

/// The `cluster` block.
#[derive(Serialize, Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct ClusterVarz {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub addr: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_port: Option<u16>,
    /// Seconds.
    #[serde(skip_serializing_if = "is_nothing", serialize_with = "number")]
    pub auth_timeout: f64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    #[serde(flatten)]
    pub tls: LinkTls,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool_size: Option<u32>,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_deadline: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_timeout: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_cert_not_after: Option<String>,
}

/// The `gateway` block.
#[derive(Serialize, Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct GatewayVarz {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Seconds.
    #[serde(skip_serializing_if = "is_nothing", serialize_with = "number")]
    pub auth_timeout: f64,
    #[serde(flatten)]
    pub tls: LinkTls,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub advertise: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_retries: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gateways: Vec<RemoteGatewayVarz>,
    #[serde(skip_serializing_if = "Not::not")]
    pub reject_unknown: bool,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_deadline: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_timeout: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_cert_not_after: Option<String>,
}

/// Another cluster.
#[derive(Serialize, Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct RemoteGatewayVarz {
    pub name: String,
    #[serde(skip_serializing_if = "is_nothing", serialize_with = "number")]
    pub tls_timeout: f64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
}

/// The `leafnodes` block.
#[derive(Serialize, Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct LeafVarz {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Seconds.
    #[serde(skip_serializing_if = "is_nothing", serialize_with = "number")]
    pub auth_timeout: f64,
    #[serde(flatten)]
    pub tls: LinkTls,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remotes: Vec<RemoteLeafVarz>,
    #[serde(skip_serializing_if = "Not::not")]
    pub tls_ocsp_peer_verify: bool,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_deadline: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_timeout: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_cert_not_after: Option<String>,
}

/// A hub this server goes to.
#[derive(Serialize, Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct RemoteLeafVarz {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub local_account: String,
    #[serde(skip_serializing_if = "is_nothing", serialize_with = "number")]
    pub tls_timeout: f64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deny: Option<DenyVarz>,
    #[serde(skip_serializing_if = "Not::not")]
    pub tls_ocsp_peer_verify: bool,
}

/// What does not cross.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct DenyVarz {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exports: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<String>,
}

/// The blocks of links.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct LinksVarz {
    pub cluster: ClusterVarz,
    pub gateway: GatewayVarz,
    pub leaf: LeafVarz,
    pub websocket: WebSocketVarz,
}

/// The `websocket` block; all empty if nothing listens.
#[derive(Serialize, Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the names of the document")]
pub struct WebSocketVarz {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub advertise: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub no_auth_user: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub jwt_cookie: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handshake_timeout: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_timeout: Option<f64>,
    #[serde(skip_serializing_if = "Not::not")]
    pub no_tls: bool,
    #[serde(skip_serializing_if = "Not::not")]
    pub tls_map: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tls_pinned_certs: Vec<String>,
    #[serde(skip_serializing_if = "Not::not")]
    pub same_origin: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_origins: Vec<String>,
    #[serde(skip_serializing_if = "Not::not")]
    pub compression: bool,
    #[serde(skip_serializing_if = "Not::not")]
    pub tls_ocsp_peer_verify: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_cert_not_after: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order of the reference: serde's `flatten` keeps the place of its field.
    #[test]
    fn fields_stand_in_the_order_of_the_reference() {
        let tls = LinkTls { tls_timeout: 2.5, tls_required: true, tls_verify: true };
        let leaf = LeafVarz {
            host: "h".into(),
            port: Some(1),
            auth_timeout: 3.0,
            tls: tls.clone(),
            remotes: vec![RemoteLeafVarz {
                local_account: "A".into(),
                urls: vec!["u:1".into()],
                deny: Some(DenyVarz { exports: vec!["y.>".into()], imports: Vec::new() }),
                ..RemoteLeafVarz::default()
            }],
            ..LeafVarz::default()
        };
        assert_eq!(
            serde_json::to_string(&leaf).unwrap(),
            r#"{"host":"h","port":1,"auth_timeout":3,"tls_timeout":2.5,"tls_required":true,"tls_verify":true,"remotes":[{"local_account":"A","urls":["u:1"],"deny":{"exports":["y.>"]}}]}"#
        );
        let cluster = ClusterVarz { auth_timeout: 2.0, urls: vec!["u:1".into()], tls, ..ClusterVarz::default() };
        assert_eq!(
            serde_json::to_string(&cluster).unwrap(),
            r#"{"auth_timeout":2,"urls":["u:1"],"tls_timeout":2.5,"tls_required":true,"tls_verify":true}"#
        );
        assert_eq!(serde_json::to_string(&ClusterVarz::default()).unwrap(), "{}");
        assert_eq!(serde_json::to_string(&GatewayVarz::default()).unwrap(), "{}");
    }
}
