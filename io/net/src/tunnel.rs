//! Through an HTTP proxy to another server: CONNECT, and from the answer on the bytes of the connection.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use nkeys::Secret;

use crate::dialer::reach;

/// Bytes of an answer with its headers.
const ANSWER_MAX: usize = 16 * 1024;

/// Of a refusal so much is told.
const REASON_MAX: usize = 128;

/// A proxy on the way to a server.
pub struct Tunnel {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whom it lets through, if it asks.
    pub login: Option<(String, Secret<String>)>,
    /// How long it may take, from the connection to its answer.
    pub timeout: Duration,
}

impl Tunnel {
    /// A connection to the server beyond. The address is that of the proxy.
    ///
    /// # Errors
    /// Those of the system, and the refusal of the proxy.
    pub(crate) fn through(&self, host: &str, port: u16) -> io::Result<(TcpStream, SocketAddr)> {
        let until = Instant::now() + self.timeout;
        let to_proxy = |error: io::Error| io::Error::new(error.kind(), format!("failed to connect to proxy: {error}"));
        let (stream, address) = reach(&self.host, self.port, self.timeout).map_err(to_proxy)?;
        stream.set_write_timeout(Some(left(until)?))?;
        (&stream).write_all(self.request(host, port)?.expose())?;
        judge(&answer(&stream, until)?)?;
        stream.set_read_timeout(None)?;
        stream.set_write_timeout(None)?;
        Ok((stream, address))
    }

    fn request(&self, host: &str, port: u16) -> io::Result<Secret<Vec<u8>>> {
        // Another server may have told the name: it must not become a line of its own.
        if host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte)) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no name for a proxy"));
        }
        let place = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let mut text = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n");
        if let Some((user, password)) = &self.login {
            let login = BASE64.encode(format!("{user}:{}", password.expose()).as_bytes());
            text.push_str(&format!("Proxy-Authorization: Basic {login}\r\n"));
        }
        text.push_str("\r\n");
        Ok(Secret::new(text.into_bytes()))
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tunnel({}:{})", self.host, self.port)
    }
}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::Error::new(io::ErrorKind::TimedOut, "the proxy takes too long")) } else { Ok(left) }
}

/// The answer up to its empty line. Byte by byte: what follows is for whoever speaks with the server.
fn answer(mut stream: &TcpStream, until: Instant) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") {
        stream.set_read_timeout(Some(left(until)?))?;
        if stream.read(&mut byte)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "failed to read proxy response: it hung up"));
        }
        text.extend_from_slice(&byte);
        if text.len() > ANSWER_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "failed to read proxy response: too long"));
        }
    }
    Ok(text)
}

/// Whether the proxy has made the connection.
fn judge(answer: &[u8]) -> io::Result<()> {
    let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.split_once(' ')).map(|(_, status)| status);
    match status {
        Some(status) if status.split(' ').next() == Some("200") => Ok(()),
        Some(status) => {
            let told: String = status.chars().filter(|c| !c.is_control()).take(REASON_MAX).collect();
            Err(io::Error::new(io::ErrorKind::ConnectionRefused, format!("proxy CONNECT failed: {told}")))
        }
        None => Err(io::Error::new(io::ErrorKind::InvalidData, "failed to read proxy response: it is not HTTP")),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A proxy that answers so; what it was asked.
    fn ask(answers: &'static [u8], login: Option<(&str, &str)>, host: &str) -> (io::Result<Vec<u8>>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let proxy = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            let mut byte = [0];
            while !asked.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
                asked.extend_from_slice(&byte);
            }
            stream.write_all(answers).unwrap();
            String::from_utf8(asked).unwrap()
        });
        let login = login.map(|(user, password)| (user.to_owned(), Secret::new(password.to_owned())));
        let tunnel = Tunnel { host: "127.0.0.1".to_owned(), port, login, timeout: Duration::from_secs(5) };
        let made = tunnel.through(host, 7422).map(|(mut stream, _)| {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
            rest
        });
        (made, proxy.join().unwrap())
    }

    #[test]
    fn what_follows_the_answer_is_the_servers() {
        let (made, asked) = ask(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nINFO {}\r\n", None, "hub");
        assert_eq!(made.unwrap(), b"INFO {}\r\n");
        assert_eq!(asked, "CONNECT hub:7422 HTTP/1.1\r\nHost: hub:7422\r\n\r\n");
    }

    #[test]
    fn a_proxy_that_asks_is_told_who_comes() {
        let (made, asked) = ask(b"HTTP/1.0 200 OK\r\n\r\n", Some(("me", "secret")), "2001:db8::1");
        assert_eq!(made.unwrap(), b"");
        assert!(asked.starts_with("CONNECT [2001:db8::1]:7422 HTTP/1.1\r\nHost: [2001:db8::1]:7422\r\n"), "{asked}");
        assert!(asked.ends_with("\r\nProxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n"), "{asked}");
    }

    #[test]
    fn refusals_and_nonsense_are_named() {
        for (answers, told) in [
            (
                &b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"[..],
                "proxy CONNECT failed: 407 Proxy Authentication Required",
            ),
            (b"HTTP/1.1 204 \x1b[2J\r\n\r\n", "proxy CONNECT failed: 204 [2J"),
            (b"INFO {}\r\n\r\n", "it is not HTTP"),
            (b"HTTP/1.1 200", "it hung up"),
        ] {
            let error = ask(answers, None, "hub").0.unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn a_name_that_would_be_a_line_is_none() {
        let tunnel = Tunnel { host: String::new(), port: 1, login: None, timeout: Duration::ZERO };
        for name in ["", "hub\r\nX: y", "hub x", "h/b"] {
            assert!(tunnel.request(name, 1).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_proxy_that_says_nothing_is_left_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let tunnel = Tunnel { host: "127.0.0.1".to_owned(), port, login: None, timeout: Duration::from_millis(200) };
        assert!(tunnel.through("hub", 1).is_err());
    }
}
