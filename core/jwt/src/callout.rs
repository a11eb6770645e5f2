//! The question a server asks an authorization service, and the answer.

use nkeys::{KeyPair, PublicKey, Role};
use serde_json::{Map, Value};

use crate::bounds::{MAX_TEXTS, MAX_TOKEN_BYTES};
use crate::common::{Common, Kind, Top, UnixSeconds, optional_key};
use crate::issue::Issues;
use crate::read::{self, Fields};
use crate::token::{self, Unsigned};
use crate::write::Object;
use crate::{DecodeError, EncodeError};

/// The audience of every request.
pub const REQUEST_AUDIENCE: &str = "nats-authorization-request";
/// The longest certificate in a request, as PEM.
const MAX_PEM_BYTES: usize = 64 << 10;

/// The server that asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerIdentity {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub host: String,
    /// Its public key.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Its cluster.
    pub cluster: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// The key answers may be sealed for.
    pub xkey: String,
}

/// The connection that wants in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientInformation {
    /// Its address.
    pub host: String,
    /// Its number on the server.
    pub id: u64,
    /// Who it says it is.
    pub user: String,
    /// What it calls itself.
    pub name: String,
    /// The tags of its user claims.
    pub tags: Vec<String>,
    /// The name in its user claims.
    pub name_tag: String,
    /// `Client` or `Leafnode`.
    pub kind: String,
    /// `nats`, `mqtt`, `websocket`.
    pub connection_type: String,
    /// Its MQTT client id.
    pub mqtt_id: String,
    /// The nonce, where it signed one.
    pub nonce: String,
}

/// What the connection showed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ConnectOptions {
    /// A user token.
    pub jwt: String,
    /// A public key.
    pub nkey: String,
    /// The signed nonce.
    pub signature: String,
    /// A token.
    pub token: String,
    /// A user name.
    pub user: String,
    /// A password.
    pub password: String,
    /// What it calls itself.
    pub name: String,
    /// Its language.
    pub lang: String,
    /// The version of its library.
    pub version: String,
    /// The protocol it speaks.
    pub protocol: i64,
}

impl std::fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectOptions").field("user", &self.user).field("nkey", &self.nkey).finish_non_exhaustive()
    }
}

/// The connection's TLS, as PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// The protocol version.
    pub version: String,
    /// The cipher suite.
    pub cipher: String,
    /// The certificates as shown, where they were not verified.
    pub certs: Vec<String>,
    /// The verified chains.
    pub verified_chains: Vec<Vec<String>>,
}

/// The question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationRequest {
    /// The shared fields. The subject is the account, or the issuer that answers must have.
    pub common: Common<String>,
    /// Who asks.
    pub server: ServerIdentity,
    /// The key under which the answer must speak of the user; fresh for each question.
    pub user_nkey: PublicKey,
    /// About whom.
    pub client: ClientInformation,
    /// What was shown.
    pub connect: ConnectOptions,
    /// Over which TLS.
    pub tls: Option<ClientTls>,
    /// Reserved.
    pub request_nonce: String,
}

const REQUEST_FIELDS: &[&str] = &[
    "server_id",
    "user_nkey",
    "client_info",
    "connect_opts",
    "client_tls",
    "request_nonce",
    "tags",
    "type",
    "version",
];

impl AuthorizationRequest {
    /// A question about a user, with the audience set.
    pub fn new(subject: &str, server: PublicKey, user_nkey: PublicKey) -> Self {
        let mut common = Common::new(subject.to_owned(), server);
        REQUEST_AUDIENCE.clone_into(&mut common.audience);
        Self {
            common,
            server: ServerIdentity::default(),
            user_nkey,
            client: ClientInformation::default(),
            connect: ConnectOptions::default(),
            tls: None,
            request_nonce: String::new(),
        }
    }

    /// Reads a token and checks that a server signed it.
    pub fn decode(token: &str) -> Result<Self, DecodeError> {
        token::decode(token, Kind::AuthorizationRequest, Self::read, |claims| &claims.common.issuer)
    }

    pub(crate) fn read(top: &Top<'_>) -> Result<Self, DecodeError> {
        let common = Common::read(&in_nats(top), None)?;
        Self::read_body(top, common).map_err(|error| error.within("nats"))
    }

    fn read_body(top: &Top<'_>, common: Common<String>) -> Result<Self, DecodeError> {
        let body = top.body(REQUEST_FIELDS)?;
        Ok(Self {
            common,
            server: body.read("server_id", ServerIdentity::read)?.unwrap_or_default(),
            user_nkey: body.key("user_nkey", Role::User)?,
            client: body.read("client_info", ClientInformation::read)?.unwrap_or_default(),
            connect: body.read("connect_opts", ConnectOptions::read)?.unwrap_or_default(),
            tls: body.read("client_tls", ClientTls::read)?,
            request_nonce: body.text("request_nonce")?,
        })
    }

    /// Signs with the server's key.
    pub fn encode(&self, signer: &KeyPair, now: UnixSeconds) -> Result<String, EncodeError> {
        if self.common.subject.is_empty() {
            return Err(EncodeError::Subject);
        }
        Unsigned::of(&self.common, self.body(), Kind::AuthorizationRequest, signer.public(), now)?.sign(signer)
    }

    fn body(&self) -> Map<String, Value> {
        let mut object = Object::default();
        object
            .put("server_id", self.server.write())
            .put("user_nkey", self.user_nkey.to_string())
            .put("client_info", self.client.write())
            .put("connect_opts", self.connect.write())
            .maybe("client_tls", self.tls.as_ref().map(ClientTls::write))
            .text("request_nonce", &self.request_nonce);
        self.common.write_generic(&mut object, Kind::AuthorizationRequest)
    }
}

/// The callout's kinds never had a first generation: their tags always stand inside.
fn in_nats<'a>(top: &Top<'a>) -> Top<'a> {
    Top { fields: top.fields, nats: top.nats, kind: top.kind, version: 2 }
}

impl ServerIdentity {
    fn read(value: &Value) -> Result<Self, DecodeError> {
        let fields = Fields::of(value, &["name", "host", "id", "version", "cluster", "tags", "xkey"])?;
        Ok(Self {
            name: fields.text("name")?,
            host: fields.text("host")?,
            id: fields.text("id")?,
            version: fields.text("version")?,
            cluster: fields.text("cluster")?,
            tags: fields.texts("tags", MAX_TEXTS)?,
            xkey: fields.text("xkey")?,
        })
    }

    fn write(&self) -> Map<String, Value> {
        Object::default()
            .put("name", self.name.as_str())
            .put("host", self.host.as_str())
            .put("id", self.id.as_str())
            .text("version", &self.version)
            .text("cluster", &self.cluster)
            .texts("tags", &self.tags)
            .text("xkey", &self.xkey)
            .done()
    }
}

impl ClientInformation {
    fn read(value: &Value) -> Result<Self, DecodeError> {
        let known = &["host", "id", "user", "name", "tags", "name_tag", "kind", "type", "mqtt_id", "nonce"];
        let fields = Fields::of(value, known)?;
        Ok(Self {
            host: fields.text("host")?,
            id: fields.narrow("id")?,
            user: fields.text("user")?,
            name: fields.text("name")?,
            tags: fields.texts("tags", MAX_TEXTS)?,
            name_tag: fields.text("name_tag")?,
            kind: fields.text("kind")?,
            connection_type: fields.text("type")?,
            mqtt_id: fields.text("mqtt_id")?,
            nonce: fields.text("nonce")?,
        })
    }

    fn write(&self) -> Map<String, Value> {
        Object::default()
            .text("host", &self.host)
            .int("id", i64::try_from(self.id).unwrap_or(i64::MAX))
            .text("user", &self.user)
            .text("name", &self.name)
            .texts("tags", &self.tags)
            .text("name_tag", &self.name_tag)
            .text("kind", &self.kind)
            .text("type", &self.connection_type)
            .text("mqtt_id", &self.mqtt_id)
            .text("nonce", &self.nonce)
            .done()
    }
}

impl ConnectOptions {
    fn read(value: &Value) -> Result<Self, DecodeError> {
        let known = &["jwt", "nkey", "sig", "auth_token", "user", "pass", "name", "lang", "version", "protocol"];
        let fields = Fields::of(value, known)?;
        Ok(Self {
            jwt: fields.text_within("jwt", MAX_TOKEN_BYTES)?,
            nkey: fields.text("nkey")?,
            signature: fields.text("sig")?,
            token: fields.text_within("auth_token", MAX_TOKEN_BYTES)?,
            user: fields.text("user")?,
            password: fields.text_within("pass", MAX_TOKEN_BYTES)?,
            name: fields.text("name")?,
            lang: fields.text("lang")?,
            version: fields.text("version")?,
            protocol: fields.int("protocol")?,
        })
    }

    fn write(&self) -> Map<String, Value> {
        Object::default()
            .text("jwt", &self.jwt)
            .text("nkey", &self.nkey)
            .text("sig", &self.signature)
            .text("auth_token", &self.token)
            .text("user", &self.user)
            .text("pass", &self.password)
            .text("name", &self.name)
            .text("lang", &self.lang)
            .text("version", &self.version)
            .put("protocol", self.protocol)
            .done()
    }
}

impl ClientTls {
    fn read(value: &Value) -> Result<Self, DecodeError> {
        let fields = Fields::of(value, &["version", "cipher", "certs", "verified_chains"])?;
        let certificates = |value: &Value| read::text(value, MAX_PEM_BYTES);
        Ok(Self {
            version: fields.text("version")?,
            cipher: fields.text("cipher")?,
            certs: fields.list("certs", MAX_TEXTS, certificates)?,
            verified_chains: fields
                .list("verified_chains", MAX_TEXTS, |value| read::list(value, MAX_TEXTS, certificates))?,
        })
    }

    fn write(&self) -> Map<String, Value> {
        Object::default()
            .text("version", &self.version)
            .text("cipher", &self.cipher)
            .texts("certs", &self.certs)
            .list("verified_chains", self.verified_chains.iter().map(|chain| Value::from(chain.clone())))
            .done()
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationResponse {
    /// The shared fields. The subject is the question's user key, the audience the server's.
    pub common: Common,
    /// The user's claims, where the user may come in.
    pub jwt: String,
    /// Why not, where not.
    pub error: String,
    /// The account, where a signing key of it issued the answer.
    pub issuer_account: Option<PublicKey>,
}

impl AuthorizationResponse {
    /// An answer that says nothing yet.
    pub fn new(user_nkey: PublicKey, server: PublicKey, issuer: PublicKey) -> Self {
        let mut common = Common::new(user_nkey, issuer);
        common.audience = server.to_string();
        Self { common, jwt: String::new(), error: String::new(), issuer_account: None }
    }

    /// Reads a token and checks its signature, not whether the signer may answer.
    pub fn decode(token: &str) -> Result<Self, DecodeError> {
        token::decode(token, Kind::AuthorizationResponse, Self::read, |claims| &claims.common.issuer)
    }

    pub(crate) fn read(top: &Top<'_>) -> Result<Self, DecodeError> {
        let common = Common::read(&in_nats(top), Some(Role::User))?;
        Self::read_body(top, common).map_err(|error| error.within("nats"))
    }

    fn read_body(top: &Top<'_>, common: Common) -> Result<Self, DecodeError> {
        let body = top.body(&["jwt", "error", "issuer_account", "tags", "type", "version"])?;
        Ok(Self {
            common,
            jwt: body.text_within("jwt", MAX_TOKEN_BYTES)?,
            error: body.text("error")?,
            issuer_account: optional_key(body, "issuer_account", Role::Account)?,
        })
    }

    /// Everything that is wrong with it.
    pub fn validate(&self, now: UnixSeconds) -> Issues {
        let mut issues = Issues::default();
        if !PublicKey::is(Role::Server, &self.common.audience) {
            issues.block("Audience must be a server public key");
        }
        match (self.error.is_empty(), self.jwt.is_empty()) {
            (true, true) => issues.block("Error or Jwt is required"),
            (false, false) => issues.block("Only Error or Jwt can be set"),
            _ => {}
        }
        issues.check_time(&self.common, now);
        issues
    }

    /// Signs with an account key.
    pub fn encode(&self, signer: &KeyPair, now: UnixSeconds) -> Result<String, EncodeError> {
        let mut object = Object::default();
        object
            .text("jwt", &self.jwt)
            .text("error", &self.error)
            .maybe("issuer_account", self.issuer_account.map(|key| key.to_string()));
        let body = self.common.write_generic(&mut object, Kind::AuthorizationResponse);
        Unsigned::of(&self.common, body, Kind::AuthorizationResponse, signer.public(), now)?.sign(signer)
    }
}
