//! One question over HTTP: small, bounded, and over in time.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use tls::{ClientTls, Layer, Step};

/// The longest head of a response.
const MAX_HEAD: usize = 16 << 10;

/// What is asked.
pub(crate) struct Question<'a> {
    /// Headers beside those that every question has.
    pub(crate) headers: &'a [(&'a str, &'a str)],
    /// What is posted; a question without it is a GET.
    pub(crate) body: Option<&'a [u8]>,
    /// A longer answer is none.
    pub(crate) body_max: usize,
}

/// What was answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// `200`
    pub(crate) status: String,
    pub(crate) body: Vec<u8>,
}

/// Where it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    secure: bool,
    host: String,
    port: u16,
    path: String,
}

impl Url {
    /// # Errors
    /// If the text is no address of the web.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("not an address of the web: {text:?}");
        let (secure, rest) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            _ => return Err(bad()),
        };
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(bad());
        }
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let default = if secure { 443 } else { 80 };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| bad())?),
            _ => (authority, default),
        };
        if host.is_empty() || authority.contains('@') {
            return Err(bad());
        }
        Ok(Self { secure, host: host.to_owned(), port, path: path.to_owned() })
    }

    /// The same, with this path where none was said.
    pub(crate) fn or_path(self, path: &str) -> Self {
        if self.path == "/" { Self { path: path.to_owned(), ..self } } else { self }
    }

    /// Whether it is asked over TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.secure
    }
}

/// Asks, and waits for the answer. `tls` is for addresses that are asked over it.
///
/// # Errors
/// With what went wrong, for the log. Whatever the status, an answer is none.
pub(crate) fn exchange(
    url: &Url,
    question: &Question<'_>,
    tls: Option<&ClientTls>,
    until: Instant,
) -> Result<Answer, String> {
    let stream = connect(url, until).map_err(|error| error.to_string())?;
    let mut wire: Box<dyn Wire> = match (url.secure, tls) {
        (true, Some(tls)) => Box::new(Secure::begin(stream, url, tls, until)?),
        (true, None) => return Err("there are no roots to trust it by".to_owned()),
        (false, _) => Box::new(stream),
    };
    wire.write_all(&head(url, question)).map_err(|error| error.to_string())?;
    if let Some(body) = question.body {
        wire.write_all(body).map_err(|error| error.to_string())?;
    }
    read_response(&mut *wire, question.body_max, until)
}

trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

fn connect(url: &Url, until: Instant) -> io::Result<TcpStream> {
    let host = url.host.trim_start_matches('[').trim_end_matches(']');
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in (host, url.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, left(until)?) {
            Ok(stream) => {
                let left = left(until)?;
                stream.set_read_timeout(Some(left))?;
                stream.set_write_timeout(Some(left))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn head(url: &Url, question: &Question<'_>) -> Vec<u8> {
    let Url { host, port, path, .. } = url;
    let headers: String = question.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let common = format!("Host: {host}:{port}\r\n{headers}Connection: close\r\n");
    let head = match question.body {
        None => format!("GET {path} HTTP/1.1\r\n{common}\r\n"),
        Some(body) => format!("POST {path} HTTP/1.1\r\n{common}Content-Length: {}\r\n\r\n", body.len()),
    };
    head.into_bytes()
}

fn read_response(wire: &mut dyn Wire, body_max: usize, until: Instant) -> Result<Answer, String> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        if let Some(whole) = parse(&bytes, body_max, false)? {
            return Ok(whole);
        }
        if bytes.len() > MAX_HEAD + body_max {
            return Err("the response is too long".to_owned());
        }
        left(until).map_err(|error| error.to_string())?;
        match wire.read(&mut piece) {
            Ok(0) => return parse(&bytes, body_max, true)?.ok_or_else(|| "the response is cut short".to_owned()),
            Ok(read) => bytes.extend_from_slice(&piece[..read]),
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// The answer, once it is whole; `ended` says that no more will come. One that is no success has no body that matters.
fn parse(bytes: &[u8], body_max: usize, ended: bool) -> Result<Option<Answer>, String> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if bytes.len() > MAX_HEAD { Err("the head of the response is too long".to_owned()) } else { Ok(None) };
    };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| "the head of the response is not text".to_owned())?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let answer = |body: Vec<u8>| Answer { status: status.to_owned(), body };
    if !status.starts_with('2') {
        return Ok(Some(answer(Vec::new())));
    }
    let header = |name: &str| {
        let mut found = lines.clone().filter_map(|line| line.split_once(':'));
        found.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    let body = &bytes[end + 4..];
    if header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        return Ok(unchunked(body, body_max)?.map(answer));
    }
    match header("content-length").map(str::parse::<usize>) {
        Some(Ok(len)) if len > body_max => Err("the response is too long".to_owned()),
        Some(Ok(len)) => Ok(body.get(..len).map(|body| answer(body.to_vec()))),
        Some(Err(_)) => Err("the response has no length".to_owned()),
        None => Ok(ended.then(|| answer(body.to_vec()))),
    }
}

/// A body in chunks, once it is whole.
fn unchunked(mut body: &[u8], body_max: usize) -> Result<Option<Vec<u8>>, String> {
    let mut whole = Vec::new();
    loop {
        let Some(end) = body.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
        let digits = std::str::from_utf8(&body[..end]).unwrap_or_default();
        let digits = digits.split(';').next().unwrap_or_default().trim();
        let len =
            usize::from_str_radix(digits, 16).map_err(|_| "the response has a chunk without length".to_owned())?;
        if len == 0 {
            return Ok(Some(whole));
        }
        if len > body_max || whole.len() + len > body_max {
            return Err("the response is too long".to_owned());
        }
        let Some(chunk) = body.get(end + 2..end + 2 + len) else { return Ok(None) };
        whole.extend_from_slice(chunk);
        body = body.get(end + 2 + len + 2..).unwrap_or_default();
    }
}

/// A stream through TLS.
struct Secure {
    stream: TcpStream,
    layer: Layer,
    read: Vec<u8>,
    /// When all must have been said.
    until: Instant,
}

impl Secure {
    fn begin(mut stream: TcpStream, url: &Url, tls: &ClientTls, until: Instant) -> Result<Self, String> {
        let host = url.host.trim_start_matches('[').trim_end_matches(']');
        let mut handshake = tls.connect(host).map_err(|error| error.to_string())?;
        let mut piece = [0; 4096];
        loop {
            let mut out = Vec::new();
            let step = handshake.step(&mut out);
            stream.write_all(&out).map_err(|error| error.to_string())?;
            if let Step::Done(established) = step.map_err(|fault| fault.to_string())? {
                let mut secure = Self { stream, layer: established.layer, read: Vec::new(), until };
                secure.open(&[]).map_err(|error| error.to_string())?;
                return Ok(secure);
            }
            // Each read has its time; all together have this one.
            left(until).map_err(|error| error.to_string())?;
            let read = stream.read(&mut piece).map_err(|error| error.to_string())?;
            if read == 0 {
                return Err("the far end ended the handshake".to_owned());
            }
            handshake.feed(&piece[..read]).map_err(|fault| fault.to_string())?;
        }
    }

    fn open(&mut self, wire: &[u8]) -> io::Result<bool> {
        let mut answer = Vec::new();
        let closed = self.layer.open(wire, &mut self.read, &mut answer).map_err(io::Error::other)?;
        self.stream.write_all(&answer)?;
        Ok(closed)
    }
}

impl Read for Secure {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut piece = [0; 4096];
        while self.read.is_empty() {
            left(self.until)?;
            let read = self.stream.read(&mut piece)?;
            if read == 0 || self.open(&piece[..read])? && self.read.is_empty() {
                return Ok(0);
            }
        }
        let len = into.len().min(self.read.len());
        into[..len].copy_from_slice(&self.read[..len]);
        self.read.drain(..len);
        Ok(len)
    }
}

impl Write for Secure {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut wire = Vec::new();
        self.layer.seal(bytes, &mut wire);
        self.layer.finish(&mut wire);
        self.stream.write_all(&wire)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_nothing_else() {
        let url = |secure, host: &str, port, path: &str| Ok(Url { secure, host: host.into(), port, path: path.into() });
        assert_eq!(Url::parse("http://ocsp.test"), url(false, "ocsp.test", 80, "/"));
        assert_eq!(Url::parse("http://ocsp.test:8080/a/b"), url(false, "ocsp.test", 8080, "/a/b"));
        assert_eq!(Url::parse("https://[::1]:8443/"), url(true, "[::1]", 8443, "/"));
        assert_eq!(Url::parse("https://[::1]/x"), url(true, "[::1]", 443, "/x"));
        let bare = Url::parse("http://a:4318").map(|url| url.or_path("/v1/traces"));
        assert_eq!(bare, url(false, "a", 4318, "/v1/traces"));
        assert_eq!(Url::parse("http://a/b").map(|url| url.or_path("/v1/traces")), url(false, "a", 80, "/b"));
        for text in ["ftp://a", "http://", "http://a:b", "a", "http://a\r\nb", "http://u@a", "http://a b"] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_response_is_whole_by_its_length_its_last_chunk_or_its_end() {
        let head = "HTTP/1.1 200 OK\r\nServer: x\r\n";
        let parse = |bytes: &[u8], ended: bool| parse(bytes, 100, ended).map(|answer| answer.map(|answer| answer.body));
        let sized = format!("{head}content-length: 3\r\n\r\nabc");
        assert_eq!(parse(sized.as_bytes(), false), Ok(Some(b"abc".to_vec())));
        assert_eq!(parse(&sized.as_bytes()[..sized.len() - 1], false), Ok(None));
        let chunked = format!("{head}Transfer-Encoding: Chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n");
        assert_eq!(parse(chunked.as_bytes(), false), Ok(Some(b"abc".to_vec())));
        assert_eq!(parse(&chunked.as_bytes()[..chunked.len() - 8], false), Ok(None));
        let open = format!("{head}\r\nabc");
        assert_eq!(parse(open.as_bytes(), false), Ok(None));
        assert_eq!(parse(open.as_bytes(), true), Ok(Some(b"abc".to_vec())));
    }

    #[test]
    fn a_response_that_is_none_is_refused() {
        let refused = |text: &str| parse(text.as_bytes(), 100, true).is_err();
        let missing = Answer { status: "404".to_owned(), body: Vec::new() };
        assert_eq!(parse(b"HTTP/1.1 404 Not Found\r\n\r\n", 100, false), Ok(Some(missing)));
        assert!(refused(&format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n{}\r\n0\r\n\r\n",
            "x".repeat(101)
        )));
        assert!(refused("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"));
        assert!(refused("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"));
        assert!(refused("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n"));
        assert!(refused("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n"));
        assert!(refused(&"x".repeat(MAX_HEAD + 1)));
    }
}
