//! Settings of client connections: plain data, already valid.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use auth::Admission;
use session::{Greeting, HandshakeRules, PingRules};
use wire::client::Limits;

use crate::before_login::BeforeLogin;
use crate::connection::Active;
use crate::link::Carrier;

/// What applies to client connections, as of the last start or reload.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// The INFO that every client gets, without what is particular to it.
    pub greeting: Greeting,
    /// What is asked before login.
    pub handshake: HandshakeRules,
    /// Keys sign a nonce, so INFO carries one.
    pub nonce: bool,
    /// When to ping.
    pub ping: PingRules,
    /// Longest argument part of a protocol line.
    pub max_control_line_bytes: usize,
    /// Largest payload; `None` for no limit.
    pub max_payload_bytes: Option<usize>,
    /// Pending bytes that make a client a slow consumer.
    pub max_pending_bytes: usize,
    /// Client connections at once; `None` for no limit.
    pub max_connections: Option<usize>,
    /// Subscriptions of one connection; `None` for no limit.
    pub max_subscriptions: Option<usize>,
    /// Tokens of a subscription's filter; `None` for no limit.
    pub max_subscription_tokens: Option<usize>,
    /// How long a batch may wait for a client.
    pub write_deadline: Duration,
    /// A client that misses it stays, as long as it takes anything at all.
    pub write_retry: bool,
    /// Never hold up publishers; leave messages to slow clients out instead.
    pub never_stall: bool,
    /// Bytes of a message that the protocol log shows; `None` for all.
    pub max_traced_bytes: Option<NonZeroUsize>,
    /// The protocol log shows the headers of messages and not their payloads.
    pub trace_headers: bool,
    /// What strangers may cost.
    pub before_login: BeforeLogin,
    /// What is different for clients that come over WebSocket; nothing is, if absent.
    pub websocket: Option<Box<WebSocketSettings>>,
    /// What events say of the server beside its name.
    pub about: About,
}

/// What counts for clients that come over WebSocket instead.
#[derive(Clone, Debug)]
pub struct WebSocketSettings {
    /// What is asked before login.
    pub handshake: HandshakeRules,
    /// When to ping.
    pub ping: PingRules,
    /// Where they are told to connect.
    pub host: String,
    /// Where they are told to connect.
    pub port: u16,
    /// A login is asked for.
    pub auth_required: bool,
    /// They come over TLS.
    pub tls_required: bool,
    /// A client certificate is asked for.
    pub tls_verify: bool,
    /// Where others of the cluster are reached the same way.
    pub connect_urls: Vec<String>,
}

/// What events say of the server, beside what the greeting says.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Words by which the server is chosen.
    pub tags: Vec<String>,
    /// Anything else.
    pub metadata: BTreeMap<String, String>,
    /// Switches of the reference server.
    pub feature_flags: BTreeMap<String, bool>,
    /// What the server can do, one bit for each.
    pub capabilities: u64,
}

/// The protocol's usual control line.
pub const DEFAULT_MAX_CONTROL_LINE_BYTES: usize = 4096;

/// The protocol's usual payload limit.
pub const DEFAULT_MAX_PAYLOAD_BYTES: usize = 1 << 20;

/// The usual bound of a client's queue.
pub const DEFAULT_MAX_PENDING_BYTES: usize = 64 << 20;

impl Default for ClientSettings {
    fn default() -> Self {
        let greeting = Greeting {
            version: "2.15.1".into(),
            proto: 1,
            headers: true,
            max_payload: DEFAULT_MAX_PAYLOAD_BYTES as i64,
            ..Greeting::default()
        };
        Self {
            greeting,
            handshake: HandshakeRules { headers: true, ..HandshakeRules::default() },
            nonce: false,
            ping: PingRules { interval: Duration::from_secs(120), max_out: 2 },
            max_control_line_bytes: DEFAULT_MAX_CONTROL_LINE_BYTES,
            max_payload_bytes: Some(DEFAULT_MAX_PAYLOAD_BYTES),
            max_pending_bytes: DEFAULT_MAX_PENDING_BYTES,
            max_connections: None,
            max_subscriptions: None,
            max_subscription_tokens: None,
            write_deadline: Duration::from_secs(10),
            write_retry: false,
            never_stall: false,
            max_traced_bytes: None,
            trace_headers: false,
            before_login: BeforeLogin::default(),
            websocket: None,
            about: About::default(),
        }
    }
}

impl ClientSettings {
    fn of(&self, carrier: Carrier) -> Option<&WebSocketSettings> {
        self.websocket.as_deref().filter(|_| carrier == Carrier::WebSocket)
    }

    pub(crate) fn handshake_of(&self, carrier: Carrier) -> HandshakeRules {
        self.of(carrier).map_or(self.handshake, |websocket| websocket.handshake)
    }

    pub(crate) fn ping_of(&self, carrier: Carrier) -> PingRules {
        self.of(carrier).map_or(self.ping, |websocket| websocket.ping)
    }

    pub(crate) fn greeting_of(&self, carrier: Carrier) -> Greeting {
        let greeting = self.greeting.clone();
        let Some(websocket) = self.of(carrier) else { return greeting };
        Greeting {
            host: websocket.host.clone(),
            port: websocket.port,
            auth_required: websocket.auth_required,
            tls_required: websocket.tls_required,
            tls_verify: websocket.tls_verify,
            tls_available: false,
            connect_urls: websocket.connect_urls.clone(),
            ..greeting
        }
    }

    fn limits(&self, headers: bool, max_payload: Option<usize>) -> Limits {
        let max_control_line = self.max_control_line_bytes;
        Limits { max_control_line, max_payload: max_payload.unwrap_or(usize::MAX), headers }
    }

    /// What the parser takes before login. No payload is taken then, so that a stranger cannot make the server keep one;
    /// where nobody is asked to log in, the first message may be one like any other.
    pub(crate) fn limits_before_login(&self, carrier: Carrier) -> Limits {
        let HandshakeRules { auth_required, anonymous_allowed, headers, .. } = self.handshake_of(carrier);
        let open = !auth_required || anonymous_allowed;
        self.limits(headers, if open { self.max_payload_bytes } else { self.max_payload_bytes.map(|_| 0).or(Some(0)) })
    }

    pub(crate) fn limits_after_login(&self, active: &Active) -> Limits {
        let own = active.admission.limits.max_payload.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let max_payload = [self.max_payload_bytes, own].into_iter().flatten().min();
        self.limits(active.session.has_headers(), max_payload)
    }

    pub(crate) fn max_subscriptions_of(&self, admission: &Admission) -> Option<usize> {
        let own = admission.limits.max_subscriptions.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        [self.max_subscriptions, own].into_iter().flatten().min()
    }

    pub(crate) fn may_admit(&self, clients: usize) -> bool {
        self.max_connections.is_none_or(|limit| clients < limit)
    }
}
