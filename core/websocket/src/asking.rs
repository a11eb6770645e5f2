//! The other side: asking a server for a connection, and judging its answer.

use std::fmt;

use data_encoding::BASE64;

use crate::request::{MAX_HEAD_BYTES, MAX_HEADERS, has_token, value, values};
use crate::upgrade::{Agreed, COMPRESSION, KEY_LEN, Masking, NO_MASKING, accept};

/// What both sides say so that each message is compressed by itself.
const NO_CONTEXT: [&str; 2] = ["server_no_context_takeover", "client_no_context_takeover"];

/// A connection that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asking {
    key: String,
    compresses: bool,
    unmasked: bool,
}

/// What became of the bytes that came.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// There is more to come.
    More,
    /// A connection.
    Agreed {
        /// How frames are read and written.
        agreed: Agreed,
        /// Whether our frames are masked.
        masks: bool,
        /// Bytes of the answer; frames may follow at once.
        len: usize,
    },
    /// None.
    Refused(BadAnswer),
}

/// Why an answer is none that makes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadAnswer {
    /// It is not HTTP.
    NotHttp,
    /// It is longer than [`MAX_HEAD_BYTES`].
    TooLong,
    /// It has more lines than [`MAX_HEADERS`].
    TooManyHeaders,
    /// The server says no, by this status.
    Status(u16),
    /// It agrees to something else.
    NoWebSocket,
    /// It does not answer this request.
    WrongAccept,
    /// It wants what was not offered.
    Extension,
}

impl fmt::Display for BadAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHttp => f.write_str("invalid websocket connection: the answer is not HTTP"),
            Self::TooLong => f.write_str("invalid websocket connection: the answer is too long"),
            Self::TooManyHeaders => f.write_str("invalid websocket connection: the answer has too many headers"),
            Self::Status(status) => write!(f, "invalid websocket connection: answered with status {status}"),
            Self::NoWebSocket => f.write_str("invalid websocket connection: the answer agrees to something else"),
            Self::WrongAccept => f.write_str("invalid websocket connection: the answer belongs to another request"),
            Self::Extension => f.write_str("compression negotiation error"),
        }
    }
}

impl std::error::Error for BadAnswer {}

impl Asking {
    /// By a key that nobody can guess. `compresses` and `unmasked` are what this side would like.
    pub fn new(key: [u8; KEY_LEN], compresses: bool, unmasked: bool) -> Self {
        Self { key: BASE64.encode(&key), compresses, unmasked }
    }

    /// The request. Nothing if host or path would become lines of their own: another server may have told them.
    pub fn request(&self, host: &str, path: &str) -> Option<Vec<u8>> {
        let is_host = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:%[]".contains(&b));
        if !is_host || !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let mut text = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {}\r\nSec-WebSocket-Version: 13\r\n",
            self.key
        );
        if self.compresses {
            let [server, client] = NO_CONTEXT;
            text.push_str(&format!("Sec-WebSocket-Extensions: {COMPRESSION}; {server}; {client}\r\n"));
        }
        if self.unmasked {
            text.push_str("Nats-No-Masking: true\r\n");
        }
        text.push_str("\r\n");
        Some(text.into_bytes())
    }

    /// Hears all that came as an answer until now.
    pub fn hear(&self, bytes: &[u8]) -> Answer {
        let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut lines);
        let len = match response.parse(bytes) {
            Ok(httparse::Status::Complete(len)) if len <= MAX_HEAD_BYTES => len,
            Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD_BYTES => return Answer::More,
            Ok(_) => return Answer::Refused(BadAnswer::TooLong),
            Err(httparse::Error::TooManyHeaders) => return Answer::Refused(BadAnswer::TooManyHeaders),
            Err(_) => return Answer::Refused(BadAnswer::NotHttp),
        };
        match self.judge(response.code.unwrap_or_default(), response.headers) {
            Ok((agreed, masks)) => Answer::Agreed { agreed, masks, len },
            Err(bad) => Answer::Refused(bad),
        }
    }

    fn judge(&self, status: u16, lines: &[httparse::Header<'_>]) -> Result<(Agreed, bool), BadAnswer> {
        if status != 101 {
            return Err(BadAnswer::Status(status));
        }
        if !has_token(lines, "upgrade", "websocket") || !has_token(lines, "connection", "upgrade") {
            return Err(BadAnswer::NoWebSocket);
        }
        if value(lines, "sec-websocket-accept") != Some(accept(&self.key).as_str()) {
            return Err(BadAnswer::WrongAccept);
        }
        let compresses = self.extensions(lines)?;
        let masks = !self.unmasked || value(lines, NO_MASKING) != Some("true");
        Ok((Agreed { peer_masks: Masking::Never, compresses, is_browser: false, is_safari: false }, masks))
    }

    /// Whether messages may be compressed. A server that would keep what came before, or speaks of anything that was not
    /// offered, is not understood.
    fn extensions(&self, lines: &[httparse::Header<'_>]) -> Result<bool, BadAnswer> {
        let mut agreed = values(lines, "sec-websocket-extensions").flat_map(|value| value.split(',')).map(str::trim);
        let Some(extension) = agreed.find(|extension| !extension.is_empty()) else { return Ok(false) };
        let mut words = extension.split(';').map(str::trim);
        let is_named = words.next().is_some_and(|name| name.eq_ignore_ascii_case(COMPRESSION));
        let words: Vec<&str> = words.collect();
        let has = |word: &str| words.iter().any(|other| other.eq_ignore_ascii_case(word));
        let is_offered = self.compresses && is_named && NO_CONTEXT.into_iter().all(has);
        if is_offered && agreed.all(str::is_empty) { Ok(true) } else { Err(BadAnswer::Extension) }
    }
}
