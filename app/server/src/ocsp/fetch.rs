//! One question over HTTP: small, bounded, and over in time.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use tls::ocsp::{MAX_ANSWER, get_url};
use tls::{ClientTls, Layer, Step};

/// The longest head of a response.
const MAX_HEAD: usize = 16 << 10;

/// Asks one responder: by POST, and by GET if it does not like that.
///
/// # Errors
/// With what went wrong, for the log.
pub(super) fn ask(responder: &str, question: &[u8], patience: Duration) -> Result<Vec<u8>, String> {
    let until = Instant::now() + patience;
    let posted = Url::parse(responder).and_then(|url| exchange(&url, Some(question), until));
    posted.or_else(|why| {
        let got = Url::parse(&get_url(responder, question)).and_then(|url| exchange(&url, None, until));
        got.map_err(|also| if also == why { why } else { format!("{why}; by GET: {also}") })
    })
}

/// Where a responder is.
#[derive(Debug, PartialEq, Eq)]
struct Url {
    secure: bool,
    host: String,
    port: u16,
    path: String,
}

impl Url {
    fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("not an address of a responder: {text:?}");
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
}

fn exchange(url: &Url, body: Option<&[u8]>, until: Instant) -> Result<Vec<u8>, String> {
    let stream = connect(url, until).map_err(|error| error.to_string())?;
    let mut wire: Box<dyn Wire> = if url.secure { Box::new(Secure::begin(stream, url)?) } else { Box::new(stream) };
    wire.write_all(&head(url, body)).map_err(|error| error.to_string())?;
    if let Some(body) = body {
        wire.write_all(body).map_err(|error| error.to_string())?;
    }
    read_response(&mut *wire, until)
}

trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

fn connect(url: &Url, until: Instant) -> io::Result<TcpStream> {
    let host = url.host.trim_start_matches('[').trim_end_matches(']');
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the responder has no address");
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

fn head(url: &Url, body: Option<&[u8]>) -> Vec<u8> {
    let Url { host, port, path, .. } = url;
    let common = format!("Host: {host}:{port}\r\nAccept: application/ocsp-response\r\nConnection: close\r\n");
    let head = match body {
        None => format!("GET {path} HTTP/1.1\r\n{common}\r\n"),
        Some(body) => {
            let len = body.len();
            let kind = "Content-Type: application/ocsp-request";
            format!("POST {path} HTTP/1.1\r\n{common}{kind}\r\nContent-Length: {len}\r\n\r\n")
        }
    };
    head.into_bytes()
}

fn read_response(wire: &mut dyn Wire, until: Instant) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        if let Some(whole) = parse(&bytes, false)? {
            return Ok(whole);
        }
        if bytes.len() > MAX_HEAD + MAX_ANSWER {
            return Err("the response is too long".to_owned());
        }
        left(until).map_err(|error| error.to_string())?;
        match wire.read(&mut piece) {
            Ok(0) => return parse(&bytes, true)?.ok_or_else(|| "the response is cut short".to_owned()),
            Ok(read) => bytes.extend_from_slice(&piece[..read]),
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// The body, once it is whole; `ended` says that no more will come.
fn parse(bytes: &[u8], ended: bool) -> Result<Option<Vec<u8>>, String> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if bytes.len() > MAX_HEAD { Err("the head of the response is too long".to_owned()) } else { Ok(None) };
    };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| "the head of the response is not text".to_owned())?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    if status != "200" {
        return Err(format!("bad OCSP responder http status: [{status}]"));
    }
    let header = |name: &str| {
        let mut found = lines.clone().filter_map(|line| line.split_once(':'));
        found.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    let body = &bytes[end + 4..];
    if header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        return unchunked(body);
    }
    match header("content-length").map(str::parse::<usize>) {
        Some(Ok(len)) if len > MAX_ANSWER => Err("the response is too long".to_owned()),
        Some(Ok(len)) => Ok(body.get(..len).map(<[u8]>::to_vec)),
        Some(Err(_)) => Err("the response has no length".to_owned()),
        None => Ok(ended.then(|| body.to_vec())),
    }
}

/// A body in chunks, once it is whole.
fn unchunked(mut body: &[u8]) -> Result<Option<Vec<u8>>, String> {
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
        if len > MAX_ANSWER || whole.len() + len > MAX_ANSWER {
            return Err("the response is too long".to_owned());
        }
        let Some(chunk) = body.get(end + 2..end + 2 + len) else { return Ok(None) };
        whole.extend_from_slice(chunk);
        body = body.get(end + 2 + len + 2..).unwrap_or_default();
    }
}

/// A stream through TLS, trusted by the roots of the system.
struct Secure {
    stream: TcpStream,
    layer: Layer,
    read: Vec<u8>,
}

impl Secure {
    fn begin(mut stream: TcpStream, url: &Url) -> Result<Self, String> {
        let tls = ClientTls::build(&tls::Settings::default(), &|path| std::fs::read(path));
        let mut handshake = tls.map_err(|error| error.to_string())?.connect(&url.host).map_err(|e| e.to_string())?;
        let mut piece = [0; 4096];
        loop {
            let mut out = Vec::new();
            let step = handshake.step(&mut out);
            stream.write_all(&out).map_err(|error| error.to_string())?;
            if let Step::Done(established) = step.map_err(|fault| fault.to_string())? {
                let mut secure = Self { stream, layer: established.layer, read: Vec::new() };
                secure.open(&[]).map_err(|error| error.to_string())?;
                return Ok(secure);
            }
            let read = stream.read(&mut piece).map_err(|error| error.to_string())?;
            if read == 0 {
                return Err("the responder ended the handshake".to_owned());
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
    fn addresses_of_responders_are_read_and_nothing_else() {
        let url = |secure, host: &str, port, path: &str| Ok(Url { secure, host: host.into(), port, path: path.into() });
        assert_eq!(Url::parse("http://ocsp.test"), url(false, "ocsp.test", 80, "/"));
        assert_eq!(Url::parse("http://ocsp.test:8080/a/b"), url(false, "ocsp.test", 8080, "/a/b"));
        assert_eq!(Url::parse("https://[::1]:8443/"), url(true, "[::1]", 8443, "/"));
        assert_eq!(Url::parse("https://[::1]/x"), url(true, "[::1]", 443, "/x"));
        for text in ["ftp://a", "http://", "http://a:b", "a", "http://a\r\nb", "http://u@a", "http://a b"] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_response_is_whole_by_its_length_its_last_chunk_or_its_end() {
        let head = "HTTP/1.1 200 OK\r\nServer: x\r\n";
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
        let refused = |text: &str| parse(text.as_bytes(), true).is_err();
        assert!(refused("HTTP/1.1 404 Not Found\r\n\r\n"));
        assert!(refused("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"));
        assert!(refused("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"));
        assert!(refused("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n"));
        assert!(refused("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n"));
        assert!(refused(&"x".repeat(MAX_HEAD + 1)));
    }
}
