//! The `websocket` block.

use std::collections::BTreeMap;
use std::time::Duration;

use conf::{Node, Place, Value};
use moment::GoDuration;

use crate::authorization::{SingleLogin, read_single};
use crate::go_text::{self, quoted};
use crate::listener::{HostPort, Listen, read_advertise};
use crate::report::Report;
use crate::tls::{self, Context};
use crate::url::Url;

/// The block.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct WebSocket {
    /// Where clients come in.
    pub listen: Listen,
    /// The address clients are told.
    pub advertise: Option<HostPort>,
    /// Encryption is left out on purpose.
    pub no_tls: bool,
    /// Encryption.
    pub tls: Option<::tls::Settings>,
    /// A page must come from this server.
    pub same_origin: bool,
    /// A page must come from one of these.
    pub allowed_origins: Vec<String>,
    /// How long the upgrade may take; [`HANDSHAKE_TIMEOUT`] if absent.
    pub handshake_timeout: Option<Duration>,
    /// Frames may be compressed.
    pub compression: bool,
    /// A login of this listener alone.
    pub login: SingleLogin,
    /// The user as which a peer without credentials is admitted.
    pub no_auth_user: Option<String>,
    /// The cookie that holds a JWT.
    pub jwt_cookie: Option<String>,
    /// The cookie that holds a user.
    pub user_cookie: Option<String>,
    /// The cookie that holds a password.
    pub pass_cookie: Option<String>,
    /// The cookie that holds a token.
    pub token_cookie: Option<String>,
    /// Headers of the answer to an upgrade.
    pub headers: BTreeMap<String, String>,
    /// How often a silent client is pinged; the server's if absent.
    pub ping_interval: Option<Duration>,
}

/// How long the upgrade may take where nothing is written.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) const KEYS: &[&str] = &[
    "listen",
    "port",
    "host",
    "net",
    "advertise",
    "no_tls",
    "tls",
    "same_origin",
    "allowed_origins",
    "allowed_origin",
    "allow_origins",
    "allow_origin",
    "origins",
    "origin",
    "handshake_timeout",
    "compression",
    "compress",
    "authorization",
    "authentication",
    "no_auth_user",
    "jwt_cookie",
    "user_cookie",
    "pass_cookie",
    "token_cookie",
    "headers",
    "ping_interval",
];

/// Reads the block.
pub(crate) fn read(node: &Node, report: &mut Report<'_>) -> Option<WebSocket> {
    let map = report.map_or(node, "Expected websocket to be a map")?;
    let mut websocket = WebSocket::default();
    for (key, value) in map.iter() {
        read_key(key, value, &mut websocket, report);
    }
    if websocket.listen.port.is_some() {
        websocket.check(&node.place, report);
    }
    Some(websocket)
}

fn read_key(written: &str, node: &Node, websocket: &mut WebSocket, report: &mut Report<'_>) {
    let key = written.to_ascii_lowercase();
    if websocket.listen.read(&key, node, report) {
        return;
    }
    match key.as_str() {
        "advertise" => read_advertise(node, &mut websocket.advertise, report),
        "no_tls" => report.set_bool(node, &mut websocket.no_tls),
        "tls" => websocket.tls = tls::read(node, Context::Listener, report),
        "same_origin" => report.set_bool(node, &mut websocket.same_origin),
        "allowed_origins" | "allowed_origin" | "allow_origins" | "allow_origin" | "origins" | "origin" => {
            websocket.allowed_origins = report.strings("allowed origins", node).unwrap_or_default();
        }
        "handshake_timeout" => read_handshake_timeout(node, websocket, report),
        "compress" | "compression" => report.set_bool(node, &mut websocket.compression),
        "authorization" | "authentication" => read_single(node, &mut websocket.login, report),
        "jwt_cookie" => report.set_optional_text(node, &mut websocket.jwt_cookie),
        "user_cookie" => report.set_optional_text(node, &mut websocket.user_cookie),
        "pass_cookie" => report.set_optional_text(node, &mut websocket.pass_cookie),
        "token_cookie" => report.set_optional_text(node, &mut websocket.token_cookie),
        "no_auth_user" => report.set_optional_text(node, &mut websocket.no_auth_user),
        "headers" => read_headers(node, websocket, report),
        "ping_interval" => report.set_optional_duration("ping_interval", node, &mut websocket.ping_interval),
        _ => report.unknown(written, node, KEYS),
    }
}

fn read_handshake_timeout(node: &Node, websocket: &mut WebSocket, report: &mut Report<'_>) {
    let timeout = match &node.value {
        Value::Integer(seconds) => u64::try_from(*seconds).ok().map(Duration::from_secs),
        Value::String(text) => match text.as_str().parse::<GoDuration>() {
            Ok(duration) => duration.to_std(),
            Err(error) => return report.error(&node.place, go_text::duration_error(error, text.as_str())),
        },
        _ => {
            let kind = node.kind().go_type();
            let text = format!("error parsing handshake timeout: unsupported type {kind}");
            return report.error(&node.place, text);
        }
    };
    match timeout {
        Some(timeout) => websocket.handshake_timeout = Some(timeout).filter(|timeout| !timeout.is_zero()),
        None => report.error(&node.place, "handshake_timeout can not be negative"),
    }
}

fn read_headers(node: &Node, websocket: &mut WebSocket, report: &mut Report<'_>) {
    let Some(map) = node.as_map() else {
        let kind = node.kind().go_type();
        return report.error(&node.place, format!("error parsing headers: unsupported type {kind}"));
    };
    for (name, value) in map.iter() {
        match value.as_str() {
            Some(text) => match check_header(name, text) {
                Ok(()) => {
                    websocket.headers.insert(name.to_owned(), text.to_owned());
                }
                Err(why) => report.error(&value.place, why),
            },
            None => {
                let kind = value.kind().go_type();
                report.error(&value.place, format!("error parsing header key {name}: unsupported type {kind}"));
            }
        }
    }
}

fn check_header(name: &str, value: &str) -> Result<(), String> {
    let lower = name.to_ascii_lowercase();
    let shown = quoted(name);
    if ["host", "content-length", "connection", "upgrade", "nats-no-masking"].contains(&lower.as_str()) {
        return Err(format!("websocket: invalid header {shown} not allowed"));
    }
    if lower.starts_with("sec-websocket-") {
        return Err(format!("websocket: invalid header {shown}, \"Sec-WebSocket-\" prefix not allowed"));
    }
    // A line break would let the configuration write headers that nobody sees.
    let is_name =
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
    if !is_name || value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
        return Err(format!("websocket: invalid header {shown}"));
    }
    Ok(())
}

impl WebSocket {
    /// The login of this listener, where it has one that is not that of the server.
    pub(crate) fn own_login(&self) -> Option<auth::settings::DoorLogin> {
        let SingleLogin { user, password, token, .. } = self.login.clone();
        let login = auth::settings::DoorLogin {
            kind: auth::ConnectionKind::WebSocket,
            user,
            password,
            token,
            no_auth_user: self.no_auth_user.clone(),
        };
        let is_own = login.user.is_some() || login.token.is_some() || login.no_auth_user.is_some();
        is_own.then_some(login)
    }

    /// Leaf nodes that come by it may have its `no_auth_user`; beside it they log in as everywhere.
    pub(crate) fn leaf_login(&self, all: &auth::settings::AuthorizationSettings) -> Option<auth::settings::DoorLogin> {
        Some(auth::settings::DoorLogin {
            kind: auth::ConnectionKind::LeafWebSocket,
            user: all.user.clone(),
            password: all.password.clone(),
            token: all.token.clone(),
            no_auth_user: Some(self.no_auth_user.clone()?),
        })
    }

    fn check(&self, place: &Place, report: &mut Report<'_>) {
        if self.tls.is_none() && !self.no_tls {
            report.error_with(place, "websocket requires TLS configuration", "add a tls block or no_tls: true");
        }
        for origin in &self.allowed_origins {
            if let Err(why) = check_origin(origin) {
                report.error(place, format!("unable to parse allowed origin {}: {why}", quoted(origin)));
            }
        }
    }
}

fn check_origin(origin: &str) -> Result<(), &'static str> {
    let scheme = origin.split_once("://").map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
    if scheme != "http" && scheme != "https" {
        return Err("allowed origins must be absolute URLs with http or https scheme");
    }
    if Url::parse(origin).is_some() { Ok(()) } else { Err("host is required") }
}
