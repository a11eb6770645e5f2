//! The documents of monitoring: what `/varz`, `/connz` and the others answer, over HTTP and as system services.
//!
//! Names, order and omissions are those of the reference server; who reads the documents depends on them. The values are
//! put in by whoever holds the snapshots (`io/monitor`).

pub mod accountz;
pub mod connz;
pub mod healthz;
pub mod jsz;
pub mod links;
pub mod options;
pub mod subsz;
pub mod trustz;
pub mod varz;
pub mod varz_links;

use serde::{Serialize, Serializer};
/// What a document says that others wrote, such as claims.
pub use serde_json::Value;

pub use accountz::{
    AccountDetail, AccountStat, Accountz, Accstatz, ClaimIssue, DataStats, ExportDetail, HeldStats, ImportDetail,
    LatencyDetail, MappedTo, MessageCount, RateLimits,
};
pub use connz::{ConnectionInfo, Connz, PeerCertificate, Proxy, SubscriptionDetail};
pub use healthz::Healthz;
pub use jsz::{JetStreamVarz, Jsz, JszAccount, JszApi, JszConfig, JszLimits, JszStats, JszStream};
pub use links::{AccountGatewayInfo, Gatewayz, LeafInfo, Leafz, RemoteGatewayInfo, RouteInfo, Routez, SubjectLists};
pub use subsz::{SublistStats, Subsz};
pub use trustz::{BanDetail, Banlist, CertificateDetail, RefusalDetail, Trustz};
pub use varz::{DiskWaits, LinkTroubles, OcspCacheVarz, ProxiesVarz, Varz};
pub use varz_links::{
    ClusterVarz, DenyVarz, GatewayVarz, LeafVarz, LinkTls, LinksVarz, RemoteGatewayVarz, RemoteLeafVarz, WebSocketVarz,
};

/// A document as it travels: indented by two blanks, without a line end.
pub fn pretty(document: &impl Serialize) -> Vec<u8> {
    escaped(&serde_json::to_string_pretty(document).expect("documents have text keys and finite numbers"))
}

/// A document on one line.
pub fn compact(document: &impl Serialize) -> Vec<u8> {
    escaped(&serde_json::to_string(document).expect("documents have text keys and finite numbers"))
}

/// Characters that mean something in HTML are written by number, so that a browser never sees markup in a name. They can
/// only stand within texts.
fn escaped(json: &str) -> Vec<u8> {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            other => out.push(other),
        }
    }
    out.into_bytes()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
pub(crate) fn is_zero_port(port: &u16) -> bool {
    *port == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
pub(crate) fn is_zero_count(count: &usize) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
pub(crate) fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Whole numbers are written without a point.
pub(crate) fn number<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        value if !value.is_finite() => serializer.serialize_i64(0),
        value if value.fract() == 0.0 && value.abs() < 1e15 => serializer.serialize_i64(*value as i64),
        value => serializer.serialize_f64(*value),
    }
}

/// An object without fields: a part that is not there.
#[derive(Serialize, Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Nothing {}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Sample {
        text: &'static str,
        #[serde(serialize_with = "number")]
        whole: f64,
        #[serde(serialize_with = "number")]
        part: f64,
        nothing: Nothing,
        list: Vec<u8>,
    }

    #[test]
    fn documents_look_as_readers_expect() {
        let sample = Sample { text: "<a&b>\u{2028}", whole: 2.0, part: 0.5, nothing: Nothing {}, list: vec![] };
        let text = String::from_utf8(pretty(&sample)).unwrap();
        assert_eq!(
            text,
            "{\n  \"text\": \"\\u003ca\\u0026b\\u003e\\u2028\",\n  \"whole\": 2,\n  \"part\": 0.5,\n  \"nothing\": {},\n  \
             \"list\": []\n}"
        );
        assert_eq!(compact(&Nothing {}), b"{}");
    }
}
