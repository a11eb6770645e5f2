//! Addresses of other servers: `nats://user:password@host:port`. They never print their user or password.

use std::fmt;
use std::num::NonZeroU16;

use conf::Node;
use secret::Secret;

use crate::go_text::quoted;
use crate::listener::split_host_port;
use crate::report::Report;

/// The address of another server.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// Before `://`, in lower case.
    pub scheme: String,
    /// The user, or the token when there is no password.
    pub user: Option<Secret<String>>,
    /// The password.
    pub password: Option<Secret<String>>,
    /// A name or an address, without brackets.
    pub host: String,
    /// Absent to take the default of the link.
    pub port: Option<NonZeroU16>,
    /// From the first slash on, with query.
    pub path: String,
}

impl Url {
    /// Reads an address. Nothing of a wrong one is given back, since it may hold a password.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return None;
        }
        let (scheme, rest) = text.split_once("://")?;
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        if !is_scheme {
            return None;
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (info, address) = match authority.rsplit_once('@') {
            Some((info, address)) => (Some(info), address),
            None => (None, authority),
        };
        let (user, password) = credentials(info)?;
        let (host, port) = host_and_port(address)?;
        Some(Self { scheme: scheme.to_ascii_lowercase(), user, password, host, port, path: path.to_owned() })
    }

    /// Whether what is said there travels in frames of WebSocket.
    pub fn is_websocket(&self) -> bool {
        matches!(self.scheme.as_str(), "ws" | "wss")
    }

    /// `host:port`, with brackets where the host needs them.
    pub fn address(&self, default_port: u16) -> String {
        let port = self.port.map_or(default_port, NonZeroU16::get);
        if self.host.contains(':') { format!("[{}]:{port}", self.host) } else { format!("{}:{port}", self.host) }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme)?;
        if self.user.is_some() {
            f.write_str("[REDACTED]@")?;
        }
        let bracketed = self.host.contains(':');
        if bracketed {
            write!(f, "[{}]", self.host)?
        } else {
            f.write_str(&self.host)?
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(&self.path)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

type Credentials = (Option<Secret<String>>, Option<Secret<String>>);

fn credentials(info: Option<&str>) -> Option<Credentials> {
    let Some(info) = info else {
        return Some((None, None));
    };
    let (user, password) = match info.split_once(':') {
        Some((user, password)) => (user, Some(unescaped(password)?)),
        None => (info, None),
    };
    Some((Some(unescaped(user)?), password))
}

/// `%41` is `A`.
fn unescaped(text: &str) -> Option<Secret<String>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        bytes.push(digit(digits[0])? << 4 | digit(digits[1])?);
        rest = after;
    }
    String::from_utf8(bytes).ok().map(Secret::new)
}

fn host_and_port(address: &str) -> Option<(String, Option<NonZeroU16>)> {
    if let Some(inner) = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return Some((inner.to_owned(), None));
    }
    let (host, port) = match address.contains(':') {
        true => split_host_port(address)?,
        false => (address, ""),
    };
    let port = if port.is_empty() { None } else { NonZeroU16::new(port.parse().ok()?) };
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

/// Reads one address. `kind` names the link in messages.
pub(crate) fn read_url(node: &Node, kind: &str, report: &mut Report<'_>) -> Option<Url> {
    let text = report.text(node)?;
    let url = Url::parse(text);
    if url.is_none() {
        let shown = if text.contains('@') { "[REDACTED]" } else { text.trim() };
        report.error_with(
            &node.place,
            format!("error parsing {kind} url [{}]", quoted(shown)),
            "write scheme://host:port or scheme://user:password@host:port",
        );
    }
    url
}

/// Reads an array of addresses. One that is written twice is warned about and counts once.
pub(crate) fn read_urls(nodes: &[Node], kind: &str, report: &mut Report<'_>) -> Vec<Url> {
    let mut urls: Vec<Url> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let Some(url) = read_url(node, kind, report) else {
            continue;
        };
        if urls.contains(&url) {
            report.invalid_use(&node.place, &url.to_string(), &format!("Duplicate {kind} entry detected"));
        } else {
            urls.push(url);
        }
    }
    urls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_an_address_are_found() {
        let url = Url::parse("nats-route://bob:p%40ss@[::1]:6222/leafnode?x").unwrap();
        assert_eq!((url.scheme.as_str(), url.host.as_str(), url.path.as_str()), ("nats-route", "::1", "/leafnode?x"));
        assert!(url.user.as_ref().is_some_and(|user| user.is(b"bob")));
        assert!(url.password.as_ref().is_some_and(|password| password.is(b"p@ss")));
        assert_eq!(url.address(1), "[::1]:6222");
        assert_eq!(Url::parse("TLS://host").unwrap().address(7422), "host:7422");
    }

    #[test]
    fn an_address_does_not_print_its_secrets() {
        let url = Url::parse("nats://bob:marker@host:1").unwrap();
        assert_eq!(format!("{url} {url:?}"), "nats://[REDACTED]@host:1 nats://[REDACTED]@host:1");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "host:1", "://host", "nats://", "nats://h:0x1", "nats://h:99999", "nats://a b", "nats://%zz@h"]
        {
            assert_eq!(Url::parse(text), None, "{text}");
        }
        assert_eq!(Url::parse("nats://h:p:1"), None);
    }
}
