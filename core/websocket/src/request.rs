//! The head of an HTTP request.

/// The longest head: a user's JWT in a cookie is a few kilobytes.
pub const MAX_HEAD_BYTES: usize = 16 * 1024;
/// The most lines of it.
pub const MAX_HEADERS: usize = 64;

/// A request without body.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    /// It is of HTTP/1.1, before which there was no WebSocket.
    pub(crate) is_current: bool,
    target: &'a str,
    headers: Vec<httparse::Header<'a>>,
    /// What it takes of the bytes.
    pub(crate) len: usize,
}

/// What bytes are.
pub(crate) enum Read<'a> {
    Request(Request<'a>),
    More,
    Bad(&'static str),
}

impl<'a> Request<'a> {
    /// Reads one from the front of `bytes`.
    pub(crate) fn read(bytes: &'a [u8]) -> Read<'a> {
        let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut lines);
        let len = match request.parse(bytes) {
            Ok(httparse::Status::Complete(len)) if len <= MAX_HEAD_BYTES => len,
            Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD_BYTES => return Read::More,
            Ok(_) => return Read::Bad("the request is too long"),
            Err(httparse::Error::TooManyHeaders) => return Read::Bad("the request has too many headers"),
            Err(_) => return Read::Bad("not an HTTP request"),
        };
        let (method, target) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
        let headers = request.headers.to_vec();
        let is_current = request.version == Some(1);
        Read::Request(Request { method, is_current, target, headers, len })
    }

    /// The path of the target, as it is written.
    pub(crate) fn path(&self) -> &'a str {
        let path = match self.target.split_once("://") {
            Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
            None => self.target,
        };
        path.split(['?', '#']).next().unwrap_or_default()
    }

    /// The values of all lines of this name.
    pub(crate) fn values<'l>(&'l self, name: &'l str) -> impl Iterator<Item = &'a str> + use<'l, 'a> {
        values(&self.headers, name)
    }

    /// The first of them.
    pub(crate) fn value(&self, name: &str) -> Option<&'a str> {
        value(&self.headers, name)
    }

    /// Whether a list between commas has this word, in whatever case.
    pub(crate) fn has_token(&self, name: &str, token: &str) -> bool {
        has_token(&self.headers, name, token)
    }

    /// What a cookie says. Quotes around it are not part of it.
    pub(crate) fn cookie(&self, name: &str) -> Option<&'a str> {
        let pairs =
            self.values("cookie").flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let value = pairs.into_iter().find(|(key, _)| *key == name)?.1;
        Some(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
    }
}

/// What stands for a value that is no text.
const NOT_TEXT: &str = "\u{fffd}";

/// The values of all lines of this name.
pub(crate) fn values<'l, 'a>(
    lines: &'l [httparse::Header<'a>],
    name: &'l str,
) -> impl Iterator<Item = &'a str> + use<'l, 'a> {
    let lines = lines.iter().filter(move |line| line.name.eq_ignore_ascii_case(name));
    lines.map(|line| std::str::from_utf8(line.value).unwrap_or(NOT_TEXT).trim())
}

/// The first of them.
pub(crate) fn value<'a>(lines: &[httparse::Header<'a>], name: &str) -> Option<&'a str> {
    values(lines, name).next()
}

/// Whether a list between commas has this word, in whatever case.
pub(crate) fn has_token(lines: &[httparse::Header<'_>], name: &str, token: &str) -> bool {
    values(lines, name).flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(token))
}
