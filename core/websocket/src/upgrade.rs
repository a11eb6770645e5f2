//! From a request to a connection.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use data_encoding::BASE64;
use secret::Secret;

use crate::origin::Origins;
use crate::request::{Read, Request};

/// What is put behind a key before it is hashed (RFC 6455 §1.3).
const KEY_SALT: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Bytes of a key.
pub(crate) const KEY_LEN: usize = 16;
/// The header by which both sides agree that nothing is masked.
pub(crate) const NO_MASKING: &str = "nats-no-masking";
/// The extension by which messages are compressed (RFC 7692).
pub(crate) const COMPRESSION: &str = "permessage-deflate";

/// What a listener was told.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Whose pages may connect.
    pub origins: Origins,
    /// Whether messages may be compressed.
    pub compresses: bool,
    /// Lines of every answer that agrees.
    pub headers: Vec<(String, String)>,
    /// In which cookies credentials come.
    pub cookies: Cookies<String>,
    /// Whether MQTT is spoken here.
    pub has_mqtt: bool,
    /// Whether leaf nodes come in here.
    pub has_leafs: bool,
}

/// Something for each cookie.
#[derive(Clone, Debug)]
pub struct Cookies<T> {
    /// A user's claims.
    pub jwt: Option<T>,
    /// A name.
    pub user: Option<T>,
    /// A password.
    pub pass: Option<T>,
    /// A token.
    pub token: Option<T>,
}

impl<T> Default for Cookies<T> {
    fn default() -> Self {
        Self { jwt: None, user: None, pass: None, token: None }
    }
}

/// What is spoken in the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// NATS, by a client.
    Client,
    /// NATS, by a leaf node: the path ends in `/leafnode`.
    Leaf,
    /// MQTT: the path ends in `/mqtt`.
    Mqtt,
}

/// Whether the frames that come are masked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Masking {
    /// All of them, as those of everybody who asked for the connection.
    #[default]
    Must,
    /// They need not be: both sides want it so.
    May,
    /// None, as those of everybody who was asked.
    Never,
}

/// What both sides agreed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreed {
    /// Whether the peer masks its frames.
    pub peer_masks: Masking,
    /// Messages may be compressed.
    pub compresses: bool,
    /// The peer is a browser.
    pub is_browser: bool,
    /// It is one that cannot read a compressed message in parts.
    pub is_safari: bool,
}

/// A request that becomes a connection.
#[derive(Debug)]
pub struct Upgrade {
    /// What to answer.
    pub answer: Vec<u8>,
    /// What will be spoken.
    pub kind: Kind,
    /// How frames are written.
    pub agreed: Agreed,
    /// Credentials of cookies.
    pub cookies: Cookies<Secret<String>>,
}

/// A request that does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What to answer before the connection is closed; may be nothing.
    pub answer: Vec<u8>,
    /// Why, for the log.
    pub reason: String,
}

/// What became of the bytes that came.
#[derive(Debug)]
pub enum Heard {
    /// There is more to come.
    More,
    /// A connection.
    Upgrade(Box<Upgrade>),
    /// None.
    Refused(Refusal),
}

/// Hears all that came on a connection until now, over TLS or not.
pub fn hear(bytes: &[u8], settings: &Settings, is_secure: bool) -> Heard {
    let request = match Request::read(bytes) {
        Read::More => return Heard::More,
        Read::Bad(reason) => return Heard::Refused(refuse(400, reason)),
        Read::Request(request) => request,
    };
    match judge(&request, settings, is_secure) {
        Err((status, reason)) => Heard::Refused(refuse(status, reason)),
        // Nobody may speak before the answer, which says what is spoken.
        Ok(_) if request.len < bytes.len() => {
            let reason = "client sent data before handshake is complete".to_owned();
            Heard::Refused(Refusal { answer: Vec::new(), reason })
        }
        Ok(upgrade) => Heard::Upgrade(Box::new(upgrade)),
    }
}

type Wrong = (u16, String);

fn judge(request: &Request<'_>, settings: &Settings, is_secure: bool) -> Result<Upgrade, Wrong> {
    let bad = |status: u16, reason: &str| Err((status, reason.to_owned()));
    let kind = kind(request.path());
    if kind == Kind::Mqtt && !settings.has_mqtt {
        return bad(404, "mqtt websocket endpoint not enabled");
    }
    if kind == Kind::Leaf && !settings.has_leafs {
        return bad(404, "leafnode websocket endpoint not enabled");
    }
    if request.method != "GET" {
        return bad(405, "request method must be GET");
    }
    if !request.is_current {
        return bad(400, "the request is not of HTTP/1.1");
    }
    if request.values("host").count() > 1 {
        return bad(400, "several 'Host' in request");
    }
    let Some(host) = request.value("host").filter(|host| !host.is_empty()) else {
        return bad(400, "'Host' missing in request");
    };
    if !request.has_token("upgrade", "websocket") {
        return bad(400, "invalid value for header 'Upgrade'");
    }
    if !request.has_token("connection", "upgrade") {
        return bad(400, "invalid value for header 'Connection'");
    }
    let Some(key) = request.value("sec-websocket-key").filter(|key| !key.is_empty()) else {
        return bad(400, "key missing");
    };
    if !BASE64.decode(key.as_bytes()).is_ok_and(|key| key.len() == KEY_LEN) {
        return bad(400, "invalid websocket key");
    }
    if !request.has_token("sec-websocket-version", "13") {
        return bad(400, "invalid version");
    }
    let said = |name: &str| request.value(name).filter(|origin| !origin.is_empty());
    let origin = said("origin").or_else(|| said("sec-websocket-origin"));
    settings.origins.admit(origin, host, is_secure).map_err(|reason| (403, reason))?;
    let agreed = agree(request, settings);
    let answer = answer(&accept(key), kind, &agreed, settings);
    let cookies = match kind {
        Kind::Leaf => Cookies::default(),
        Kind::Client | Kind::Mqtt => cookies(request, &settings.cookies),
    };
    Ok(Upgrade { answer, kind, agreed, cookies })
}

fn kind(path: &str) -> Kind {
    match path {
        path if path.ends_with("/leafnode") => Kind::Leaf,
        path if path.ends_with("/mqtt") => Kind::Mqtt,
        _ => Kind::Client,
    }
}

fn agree(request: &Request<'_>, settings: &Settings) -> Agreed {
    let offers = request.values("sec-websocket-extensions").flat_map(|value| value.split(','));
    let mut names = offers.filter_map(|offer| offer.split(';').next()).map(str::trim);
    let agent = request.value("user-agent").unwrap_or_default();
    let is_browser = agent.starts_with("Mozilla/");
    Agreed {
        peer_masks: if request.value(NO_MASKING) == Some("true") { Masking::May } else { Masking::Must },
        compresses: settings.compresses && names.any(|name| name.eq_ignore_ascii_case(COMPRESSION)),
        is_browser,
        is_safari: is_browser && agent.contains("Version/") && agent.contains("Safari/"),
    }
}

/// What proves that the request was read as one for a WebSocket.
pub(crate) fn accept(key: &str) -> String {
    BASE64.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key.as_bytes(), KEY_SALT].concat()).as_ref())
}

fn answer(accept: &str, kind: Kind, agreed: &Agreed, settings: &Settings) -> Vec<u8> {
    let mut text = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n"
    );
    if agreed.compresses {
        text.push_str(
            "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n",
        );
    }
    if agreed.peer_masks == Masking::May {
        text.push_str("Nats-No-Masking: true\r\n");
    }
    if kind == Kind::Mqtt {
        text.push_str("Sec-Websocket-Protocol: mqtt\r\n");
    }
    for (name, value) in &settings.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

fn refuse(status: u16, reason: impl Into<String>) -> Refusal {
    let text = match status {
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        _ => "Bad Request",
    };
    let answer = format!(
        "HTTP/1.1 {status} {text}\r\nContent-Type: text/plain; charset=utf-8\r\nSec-Websocket-Version: 13\r\n\
         X-Content-Type-Options: nosniff\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}\n",
        text.len() + 1
    );
    Refusal { answer: answer.into_bytes(), reason: reason.into() }
}

fn cookies(request: &Request<'_>, names: &Cookies<String>) -> Cookies<Secret<String>> {
    let read = |name: &Option<String>| {
        let value = request.cookie(name.as_deref()?)?;
        Some(Secret::from(value))
    };
    Cookies { jwt: read(&names.jwt), user: read(&names.user), pass: read(&names.pass), token: read(&names.token) }
}
