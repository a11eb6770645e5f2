//! The CONNECT with which a server introduces itself.

use secret::Secret;
use serde::{Deserialize, Serialize};

use crate::error::LinkError;
use crate::info::MAX_NAME_BYTES;

/// What a soliciting server says on a route or a gateway.
#[derive(Clone, Debug, Default)]
pub struct ServerConnect {
    /// A user, if the far end asks for one.
    pub user: String,
    /// The password.
    pub pass: Option<Secret<String>>,
    /// The connection is encrypted.
    pub tls_required: bool,
    /// Headers are understood.
    pub headers: bool,
    /// The server's id.
    pub name: String,
    /// The cluster; empty on gateways.
    pub cluster: String,
    /// The cluster's name was made up.
    pub cluster_dynamic: bool,
    /// Interest of leaf clusters is understood.
    pub lnoc: bool,
    /// The cluster, on gateways.
    pub gateway: String,
    /// A client's language: only clients say it.
    pub lang: String,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct ServerConnectJson {
    echo: bool,
    verbose: bool,
    pedantic: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pass: Option<String>,
    tls_required: bool,
    headers: bool,
    name: String,
    cluster: String,
    #[serde(skip_serializing_if = "is_false")]
    cluster_dynamic: bool,
    #[serde(skip_serializing_if = "is_false")]
    lnoc: bool,
    #[serde(skip_serializing_if = "is_false")]
    ln: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    gateway: String,
    #[serde(skip_serializing)]
    lang: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl ServerConnect {
    /// Reads the argument of a CONNECT; unknown fields are ignored.
    ///
    /// # Errors
    /// [`LinkError::Unreadable`] if it is no such JSON or a name goes beyond its bound.
    pub fn parse(json: &[u8]) -> Result<Self, LinkError> {
        let read: ServerConnectJson = parse(json)?;
        check([&read.name, &read.cluster, &read.gateway])?;
        Ok(Self {
            user: read.user,
            pass: read.pass.map(Secret::new),
            tls_required: read.tls_required,
            headers: read.headers,
            name: read.name,
            cluster: read.cluster,
            cluster_dynamic: read.cluster_dynamic,
            lnoc: read.lnoc,
            gateway: read.gateway,
            lang: read.lang,
        })
    }

    /// The JSON, with the password in it.
    pub fn to_json(&self) -> Vec<u8> {
        let is_route = self.gateway.is_empty();
        let json = ServerConnectJson {
            echo: is_route,
            verbose: false,
            pedantic: false,
            user: self.user.clone(),
            pass: self.pass.as_ref().map(|pass| pass.expose().clone()),
            tls_required: self.tls_required,
            headers: self.headers,
            name: self.name.clone(),
            cluster: self.cluster.clone(),
            cluster_dynamic: self.cluster_dynamic,
            lnoc: self.lnoc,
            ln: self.lnoc && is_route,
            gateway: self.gateway.clone(),
            lang: String::new(),
        };
        serde_json::to_vec(&json).expect("a struct of plain fields is serialisable")
    }
}

/// What a soliciting leaf node says.
#[derive(Clone, Debug, Default)]
pub struct LeafConnect {
    /// Its version.
    pub version: String,
    /// A user's public key.
    pub nkey: String,
    /// A user JWT.
    pub jwt: Option<Secret<String>>,
    /// The signature over the nonce.
    pub sig: Option<Secret<String>>,
    /// A user name.
    pub user: String,
    /// A password.
    pub pass: Option<Secret<String>>,
    /// A token.
    pub auth_token: Option<Secret<String>>,
    /// The word of a proxy in between: its signature over the nonce. Proxies put it in, no leaf node says it.
    pub proxy_sig: Option<Secret<String>>,
    /// The server's id.
    pub server_id: String,
    /// Its JetStream domain.
    pub domain: String,
    /// Its name.
    pub name: String,
    /// It wants to be the hub of this connection.
    pub is_hub: bool,
    /// Its cluster, or its name if it is alone.
    pub cluster: String,
    /// Headers are understood.
    pub headers: bool,
    /// The account has JetStream.
    pub jetstream: bool,
    /// Subjects that are not to be sent to it.
    pub deny_pub: Vec<String>,
    /// Interest of other leaf nodes is not to be sent to it.
    pub isolate: bool,
    /// How the connection is compressed.
    pub compress_mode: Option<String>,
    /// Only gateways say it.
    pub gateway: String,
    /// Its account.
    pub remote_account: String,
    /// Its protocol level.
    pub protocol: i64,
    /// A client's language: only clients say it.
    pub lang: String,
}

/// Subjects in `deny_pub` at most.
const MAX_DENIES: usize = 4096;

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct LeafConnectJson {
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    nkey: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sig: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pass: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_token: Option<String>,
    #[serde(skip_serializing)]
    proxy_sig: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    server_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    domain: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "is_false")]
    is_hub: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    cluster: String,
    #[serde(skip_serializing_if = "is_false")]
    headers: bool,
    #[serde(skip_serializing_if = "is_false")]
    jetstream: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deny_pub: Vec<String>,
    #[serde(skip_serializing_if = "is_false")]
    isolate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    compress_mode: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    gateway: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    remote_account: String,
    #[serde(skip_serializing_if = "is_zero")]
    protocol: i64,
    #[serde(skip_serializing)]
    lang: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(level: &i64) -> bool {
    *level == 0
}

impl LeafConnect {
    /// Reads the argument of a CONNECT; unknown fields are ignored.
    ///
    /// # Errors
    /// [`LinkError::Unreadable`] if it is no such JSON or goes beyond a bound.
    pub fn parse(json: &[u8]) -> Result<Self, LinkError> {
        let read: LeafConnectJson = parse(json)?;
        check([&read.name, &read.cluster, &read.gateway, &read.server_id, &read.domain, &read.remote_account])?;
        if read.deny_pub.len() > MAX_DENIES {
            return Err(LinkError::Unreadable("a list in CONNECT is too long".to_owned()));
        }
        Ok(Self {
            version: read.version,
            nkey: read.nkey,
            jwt: read.jwt.map(Secret::new),
            sig: read.sig.map(Secret::new),
            user: read.user,
            pass: read.pass.map(Secret::new),
            auth_token: read.auth_token.map(Secret::new),
            proxy_sig: read.proxy_sig.map(Secret::new),
            server_id: read.server_id,
            domain: read.domain,
            name: read.name,
            is_hub: read.is_hub,
            cluster: read.cluster,
            headers: read.headers,
            jetstream: read.jetstream,
            deny_pub: read.deny_pub,
            isolate: read.isolate,
            compress_mode: read.compress_mode,
            gateway: read.gateway,
            remote_account: read.remote_account,
            protocol: read.protocol,
            lang: read.lang,
        })
    }

    /// The JSON, with the credentials in it.
    pub fn to_json(&self) -> Vec<u8> {
        let shown = |secret: &Option<Secret<String>>| secret.as_ref().map(|secret| secret.expose().clone());
        let json = LeafConnectJson {
            version: self.version.clone(),
            nkey: self.nkey.clone(),
            jwt: shown(&self.jwt),
            sig: shown(&self.sig),
            user: self.user.clone(),
            pass: shown(&self.pass),
            auth_token: shown(&self.auth_token),
            proxy_sig: None,
            server_id: self.server_id.clone(),
            domain: self.domain.clone(),
            name: self.name.clone(),
            is_hub: self.is_hub,
            cluster: self.cluster.clone(),
            headers: self.headers,
            jetstream: self.jetstream,
            deny_pub: self.deny_pub.clone(),
            isolate: self.isolate,
            compress_mode: self.compress_mode.clone(),
            gateway: self.gateway.clone(),
            remote_account: self.remote_account.clone(),
            protocol: self.protocol,
            lang: String::new(),
        };
        serde_json::to_vec(&json).expect("a struct of plain fields is serialisable")
    }
}

fn parse<'de, T: Deserialize<'de>>(json: &'de [u8]) -> Result<T, LinkError> {
    serde_json::from_slice(json).map_err(|error| LinkError::Unreadable(error.to_string()))
}

fn check<const N: usize>(names: [&String; N]) -> Result<(), LinkError> {
    if names.iter().any(|name| name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control)) {
        return Err(LinkError::Unreadable("a name in CONNECT is too long or has a control character".to_owned()));
    }
    Ok(())
}
