//! The question as it goes over the wire.

use std::sync::Arc;
use std::time::Duration;

use jwt::callout::{ClientInformation, ClientTls, ConnectOptions, ServerIdentity};
use jwt::{AuthorizationRequest, EncodeError, Zones};
use moment::Timestamp;
use nkeys::{BOX_NONCE_BYTES, KeyPair, PublicKey, RAW_SEED_BYTES, Role, Secret, XKey};

use super::CalloutQuestion;
use crate::attempt::Attempt;

/// The server that asks.
pub struct CalloutServer {
    /// Its key; the public half is its id.
    pub key: KeyPair,
    /// Its curve key.
    pub xkey: XKey,
    /// What it says about itself. Id and curve key are filled in here.
    pub identity: ServerIdentity,
    /// What time of day it is where: users that the service admits may be limited to times.
    pub zones: Arc<dyn Zones + Send + Sync>,
}

/// What the question says about the peer besides its attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientFacts {
    /// Its address as text.
    pub host: String,
    /// The number of its connection.
    pub id: u64,
    /// What it calls itself.
    pub name: String,
    /// Its language.
    pub lang: String,
    /// The version of its library.
    pub version: String,
    /// The protocol it speaks.
    pub protocol: i64,
    /// `Client` or `Leafnode`.
    pub kind: &'static str,
    /// `nats`, `websocket` or `mqtt`.
    pub connection_type: &'static str,
    /// Its MQTT client id.
    pub mqtt_id: String,
    /// Its TLS, as PEM.
    pub tls: Option<ClientTls>,
}

/// Chance, as an argument: used once, for one question.
pub struct Chance {
    /// For the key by which the answer must name the user.
    pub user: Secret<[u8; RAW_SEED_BYTES]>,
    /// For sealing.
    pub nonce: [u8; BOX_NONCE_BYTES],
}

/// What to publish, and what to remember until the answer comes.
#[derive(Debug)]
pub struct CalloutRequest {
    /// The request, sealed if the service wants it so. The subject is [`super::CALLOUT_SUBJECT`], in the question's account.
    pub payload: Vec<u8>,
    /// The value of [`super::CALLOUT_XKEY_HEADER`], if the request is sealed.
    pub xkey_header: Option<String>,
    /// For [`crate::conclude`].
    pub asked: Asked,
}

/// A question that was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    pub(super) question: CalloutQuestion,
    /// By this name the answer must call the user, so that no other answer fits.
    pub(super) user: PublicKey,
}

/// Claims count in seconds. Rounded down, a question of a login that ends in 1.98 s would be dead on arrival now and then.
const fn first_second_from(end: Timestamp) -> i64 {
    let seconds = end.as_secs();
    if end.as_nanos() > Timestamp::from_secs(seconds).as_nanos() { seconds.saturating_add(1) } else { seconds }
}

impl CalloutQuestion {
    /// Writes the request. It expires when the login does, in the first whole second from there on.
    pub fn ask(
        &self,
        attempt: &Attempt,
        server: &CalloutServer,
        client: &ClientFacts,
        chance: Chance,
        now: Timestamp,
        timeout: Duration,
    ) -> Result<CalloutRequest, EncodeError> {
        let user = KeyPair::from_raw_seed(Role::User, chance.user).public();
        let mut request = AuthorizationRequest::new(&self.authority.to_string(), server.key.public(), user);
        request.common.expires = first_second_from(now + timeout);
        request.server = ServerIdentity {
            id: server.key.public().to_string(),
            xkey: self.xkey.map(|_| server.xkey.public().to_string()).unwrap_or_default(),
            ..server.identity.clone()
        };
        request.client = self.client(attempt, client);
        request.connect = self.connect(attempt, client);
        request.tls = client.tls.clone();
        let token = request.encode(&server.key, now.as_secs())?.into_bytes();
        let payload = match &self.xkey {
            Some(service) => server.xkey.seal(&token, service, &chance.nonce),
            None => token,
        };
        let xkey_header = self.xkey.map(|_| server.xkey.public().to_string());
        Ok(CalloutRequest { payload, xkey_header, asked: Asked { question: self.clone(), user } })
    }

    fn client(&self, attempt: &Attempt, client: &ClientFacts) -> ClientInformation {
        let signed = attempt.credentials.signature.is_some();
        let nonce = attempt.nonce.as_deref().filter(|_| signed).unwrap_or_default();
        ClientInformation {
            host: client.host.clone(),
            id: client.id,
            user: self.user.name().to_owned(),
            name: client.name.clone(),
            tags: self.tags.clone(),
            name_tag: self.name_tag.clone(),
            kind: client.kind.to_owned(),
            connection_type: client.connection_type.to_owned(),
            mqtt_id: client.mqtt_id.clone(),
            nonce: String::from_utf8_lossy(nonce).into_owned(),
        }
    }

    /// What the peer showed. As whom a silent peer is admitted is named, but a password it never showed is not.
    fn connect(&self, attempt: &Attempt, client: &ClientFacts) -> ConnectOptions {
        let said = &attempt.credentials;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let secret =
            |secret: &Option<Secret<String>>| secret.as_ref().map(|secret| secret.expose().clone()).unwrap_or_default();
        let mut connect = ConnectOptions {
            jwt: secret(&said.jwt),
            nkey: text(&said.nkey),
            signature: text(&said.signature),
            token: secret(&said.token),
            user: text(&said.user),
            password: secret(&said.password),
            name: client.name.clone(),
            lang: client.lang.clone(),
            version: client.version.clone(),
            protocol: client.protocol,
        };
        match &self.user {
            crate::UserLabel::User(name) => connect.user.clone_from(name),
            crate::UserLabel::Nkey(key) => connect.nkey.clone_from(key),
            _ => {}
        }
        if attempt.kind.is_mqtt() && connect.jwt.is_empty() && jwt::UserClaims::decode(&connect.password).is_ok() {
            connect.jwt.clone_from(&connect.password);
        }
        connect
    }
}
