//! The INFO that servers exchange: one shape for routes, gateways and leaf nodes, in the order peers know.

use data_encoding::BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::LinkError;

/// URLs in one list at most.
pub const MAX_URLS: usize = 1024;

/// Bytes of a name: server, cluster, account, domain, gateway.
pub const MAX_NAME_BYTES: usize = 1024;

/// Subjects that may be used, or may not. Nothing said is everything allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SubjectRules {
    /// Only these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Not these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

/// What a server tells another of itself, or of a third one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct Info {
    pub server_id: String,
    pub server_name: String,
    pub version: String,
    pub proto: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub git_commit: String,
    pub go: String,
    pub host: String,
    pub port: u16,
    pub headers: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub auth_required: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub tls_required: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub tls_verify: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub tls_available: bool,
    pub max_payload: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub jetstream: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ip: String,
    #[serde(skip_serializing_if = "is_default")]
    pub client_id: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub nonce: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    #[serde(skip_serializing_if = "is_default")]
    pub cluster_dynamic: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub connect_urls: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ws_connect_urls: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub ldm: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub connect_info: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remote_account: String,
    #[serde(skip_serializing_if = "is_default")]
    pub acc_is_sys: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub api_lvl: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import: Option<SubjectRules>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export: Option<SubjectRules>,
    #[serde(skip_serializing_if = "is_default")]
    pub lnoc: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub lnocu: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub ln: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub info_on_connect: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub route_pool_size: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub route_pool_idx: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub route_account: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub route_acc_add_reqid: String,
    #[serde(skip_serializing_if = "is_default")]
    pub gossip_mode: u8,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub gateway: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gateway_urls: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub gateway_url: String,
    #[serde(skip_serializing_if = "is_default")]
    pub gateway_cmd: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway_cmd_payload: Option<Base64>,
    #[serde(skip_serializing_if = "is_default")]
    pub gateway_nrp: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub gateway_iom: bool,
    /// Of this make alone: it tells what binds those who publish, and judges by what it is told, from this level on. It
    /// says so on gateways.
    #[serde(skip_serializing_if = "is_default")]
    pub bulwark_rights: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leafnode_urls: Option<Vec<String>>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub xkey: String,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Bytes that are base64 in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base64(pub Vec<u8>);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64.decode(text.as_bytes()).map(Self).map_err(serde::de::Error::custom)
    }
}

impl Info {
    /// Reads the argument of an INFO; unknown fields are ignored.
    ///
    /// # Errors
    /// [`LinkError::Unreadable`] if it is no such JSON or goes beyond a bound.
    pub fn parse(json: &[u8]) -> Result<Self, LinkError> {
        let info: Self = serde_json::from_slice(json).map_err(|error| LinkError::Unreadable(error.to_string()))?;
        info.check()?;
        Ok(info)
    }

    fn check(&self) -> Result<(), LinkError> {
        let names = [
            &self.server_id,
            &self.server_name,
            &self.cluster,
            &self.domain,
            &self.remote_account,
            &self.route_account,
            &self.route_acc_add_reqid,
            &self.gateway,
        ];
        let lists = [&self.connect_urls, &self.ws_connect_urls, &self.gateway_urls];
        let leafnode_urls = self.leafnode_urls.as_ref().map_or(0, Vec::len);
        if names.iter().any(|name| name.len() > MAX_NAME_BYTES) {
            return Err(LinkError::Unreadable("a name in INFO is too long".to_owned()));
        }
        if names.iter().any(|name| name.chars().any(char::is_control)) {
            return Err(LinkError::Unreadable("a name in INFO has a control character".to_owned()));
        }
        if leafnode_urls > MAX_URLS || lists.iter().any(|list| list.len() > MAX_URLS) {
            return Err(LinkError::Unreadable("a list in INFO is too long".to_owned()));
        }
        Ok(())
    }

    /// The JSON.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a struct of plain fields is serialisable")
    }
}
