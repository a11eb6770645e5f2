//! Settings of the configuration to settings of the rooms.

use std::net::SocketAddr;

use auth::Directory;
use broker::{About, ClientSettings};
use config::Settings;
use session::{Greeting, HandshakeRules, PingRules};

use crate::log::{FileLimits, Format, LogSettings};
use crate::websocket;

/// What the log needs.
pub fn log_settings(settings: &Settings) -> LogSettings {
    let logging = &settings.logging;
    LogSettings {
        file: logging.file.clone(),
        limits: FileLimits { size_bytes: logging.size_limit_bytes, files_max: logging.files_max },
        syslog: logging.syslog,
        remote_syslog: logging.remote_syslog.clone(),
        time: logging.time,
        utc: logging.utc,
        debug: logging.debug,
        trace: logging.trace,
        trace_system: logging.trace_verbose,
        format: match logging.format {
            config::LogFormat::Text => Format::Text,
            config::LogFormat::Json => Format::Json,
        },
    }
}

/// What client connections need. `greeting` is what the server says of itself, `at` where it listens.
pub fn client_settings(
    settings: &Settings,
    directory: &Directory,
    greeting: &Greeting,
    (at, websocket_at): (SocketAddr, Option<SocketAddr>),
) -> ClientSettings {
    let limits = &settings.limits;
    let headers = !settings.clients.no_header_support;
    let allow_non_tls = settings.clients.allow_non_tls;
    let (host, port) = advertised(settings, at);
    let tls = settings.tls.as_ref();
    let greeting = Greeting {
        host,
        port,
        headers,
        auth_required: directory.announces_auth_required(),
        tls_required: tls.is_some() && !allow_non_tls,
        tls_verify: tls.is_some_and(tls::Settings::wants_peer_certificate),
        tls_available: tls.is_some() && allow_non_tls,
        max_payload: limits.max_payload_bytes.map_or(-1, |bytes| bytes as i64),
        ..greeting.clone()
    };
    let handshake = HandshakeRules {
        auth_required: directory.requires_auth(),
        anonymous_allowed: directory.admits_silent_peers(),
        headers,
        auth_timeout: settings.auth.authorization.timeout.filter(|_| directory.requires_auth()),
    };
    let websocket = websocket_at.and_then(|at| websocket::settings(settings, directory, handshake, at));
    ClientSettings {
        greeting,
        handshake,
        websocket: websocket.map(Box::new),
        nonce: directory.needs_nonce(),
        ping: PingRules { interval: limits.ping_interval, max_out: u32::try_from(limits.ping_max).unwrap_or(u32::MAX) },
        max_control_line_bytes: limits.max_control_line_bytes,
        max_payload_bytes: limits.max_payload_bytes,
        max_pending_bytes: limits.max_pending_bytes,
        max_connections: Some(limits.max_connections),
        max_subscriptions: limits.max_subscriptions,
        max_subscription_tokens: limits.max_subscription_tokens.map(|tokens| usize::from(tokens.get())),
        write_deadline: limits.write_deadline,
        write_retry: limits.write_timeout.retries(true),
        never_stall: limits.no_fast_producer_stall,
        max_traced_bytes: settings.logging.max_traced_bytes,
        trace_headers: settings.logging.trace_headers,
        before_login: settings.before_login.clone(),
        about: About {
            tags: settings.identity.tags.clone(),
            metadata: settings.identity.metadata.clone(),
            feature_flags: settings.identity.feature_flags.clone(),
            capabilities: if settings.jetstream.enabled { OF_STREAMS } else { 0 },
        },
    }
}

/// What a server with streams tells others that it can do: streams, backups of the present form, and traffic of replicas in
/// the accounts they belong to. Other servers ask about the last only where they share replicas, which they never do here.
const OF_STREAMS: u64 = 7;

/// Where clients are told to connect.
fn advertised(settings: &Settings, at: SocketAddr) -> (String, u16) {
    match &settings.clients.advertise {
        Some(advertise) => (advertise.host.clone(), advertise.port.map_or(at.port(), std::num::NonZero::get)),
        None => (settings.clients.host.clone(), at.port()),
    }
}
