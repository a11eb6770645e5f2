//! Where a listener binds: `listen`, `host`, `port`, and what it tells others.

use std::fmt;
use std::num::NonZeroU16;

use conf::{Node, Value};

use crate::go_text::quoted;
use crate::report::Report;

/// The interface that stands for all of them.
pub const ANY_HOST: &str = "0.0.0.0";

/// A port to bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// Whichever is free; written `-1`.
    Random,
    /// This one.
    Fixed(NonZeroU16),
}

impl Port {
    /// The number to bind: 0 lets the system choose.
    pub const fn number(self) -> u16 {
        match self {
            Self::Random => 0,
            Self::Fixed(port) => port.get(),
        }
    }

    /// A port by its number.
    pub const fn fixed(number: u16) -> Option<Self> {
        match NonZeroU16::new(number) {
            Some(port) => Some(Self::Fixed(port)),
            None => None,
        }
    }
}

impl fmt::Display for Port {
    /// As written: `-1` for a random one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random => f.write_str("-1"),
            Self::Fixed(port) => write!(f, "{port}"),
        }
    }
}

/// Host and port of a listener. Without a port nothing listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// An address or a name.
    pub host: String,
    /// The port; absent when there is no listener.
    pub port: Option<Port>,
}

impl Default for Listen {
    fn default() -> Self {
        Self { host: ANY_HOST.to_owned(), port: None }
    }
}

impl Listen {
    /// Reads one of `listen`, `host`, `net` and `port`; false when the key is another.
    pub(crate) fn read(&mut self, key: &str, node: &Node, report: &mut Report<'_>) -> bool {
        match key {
            "listen" => self.read_listen(node, report),
            "port" => self.read_port(node, report),
            "host" | "net" => {
                if let Some(host) = report.text(node) {
                    self.set_host(host);
                }
            }
            _ => return false,
        }
        true
    }

    pub(crate) fn read_port(&mut self, node: &Node, report: &mut Report<'_>) {
        if let Some(port) = read_port(node, report) {
            self.port = port;
        }
    }

    fn set_host(&mut self, host: &str) {
        self.host = if host.is_empty() { ANY_HOST } else { host }.to_owned();
    }

    fn read_listen(&mut self, node: &Node, report: &mut Report<'_>) {
        if let Some((host, port)) = read_listen(node, report) {
            self.set_host(&host);
            self.port = port;
        }
    }
}

/// A port as a number: `None` inside for 0, which asks for the default or for no listener.
pub(crate) fn read_port(node: &Node, report: &mut Report<'_>) -> Option<Option<Port>> {
    let number = report.integer(node)?;
    checked_port(number, node, report)
}

fn checked_port(number: i64, node: &Node, report: &mut Report<'_>) -> Option<Option<Port>> {
    match (number, u16::try_from(number)) {
        (-1, _) => Some(Some(Port::Random)),
        (_, Ok(number)) => Some(Port::fixed(number)),
        (_, Err(_)) => {
            report.error(&node.place, format!("port {number} is not in the range of -1 to 65535"));
            None
        }
    }
}

/// A port, or `host:port`.
pub(crate) fn read_listen(node: &Node, report: &mut Report<'_>) -> Option<(String, Option<Port>)> {
    match &node.value {
        Value::Integer(number) => Some((String::new(), checked_port(*number, node, report)?)),
        Value::String(text) => {
            let Some((host, port)) = split_host_port(text.as_str()) else {
                report.error(&node.place, format!("could not parse address string {}", quoted(text.as_str())));
                return None;
            };
            let Ok(number) = port.parse::<i64>() else {
                report.error(&node.place, format!("could not parse port {}", quoted(port)));
                return None;
            };
            Some((host.to_owned(), checked_port(number, node, report)?))
        }
        _ => {
            report.error(&node.place, format!("expected port or host:port, got {}", node.kind().go_type()));
            None
        }
    }
}

/// Splits `host:port`, `[v6]:port` and `:port`.
pub(crate) fn split_host_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) if !inner.contains(['[', ']']) => Some((inner, port)),
        None if !host.contains([':', '[', ']']) => Some((host, port)),
        _ => None,
    }
}

/// A host with a port, to tell others about: `advertise`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// An address or a name.
    pub host: String,
    /// Absent to take the port of the listener.
    pub port: Option<NonZeroU16>,
}

impl HostPort {
    /// Reads `host` or `host:port`; port 0 and -1 stand for the listener's.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = split_host_port(text).unwrap_or((text.trim_matches(['[', ']']), ""));
        let port = match port.trim() {
            "" | "-1" => None,
            digits => NonZeroU16::new(digits.parse().ok()?),
        };
        let host = host.trim();
        (!host.is_empty() && !host.contains(char::is_whitespace)).then(|| Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.host;
        match (host.contains(':'), self.port) {
            (true, Some(port)) => write!(f, "[{host}]:{port}"),
            (false, Some(port)) => write!(f, "{host}:{port}"),
            (_, None) => f.write_str(host),
        }
    }
}

/// Reads an `advertise` option; an empty text takes it back.
pub(crate) fn read_advertise(node: &Node, target: &mut Option<HostPort>, report: &mut Report<'_>) {
    let Some(text) = report.text(node) else {
        return;
    };
    *target = HostPort::parse(text);
    if target.is_none() && !text.is_empty() {
        report.error_with(&node.place, format!("invalid address {}", quoted(text)), "write host or host:port");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_split_at_the_last_colon_and_v6_needs_brackets() {
        assert_eq!(split_host_port("127.0.0.1:4222"), Some(("127.0.0.1", "4222")));
        assert_eq!(split_host_port("[::1]:4222"), Some(("::1", "4222")));
        assert_eq!(split_host_port(":-1"), Some(("", "-1")));
        assert_eq!(split_host_port("::1:4222"), None);
        assert_eq!(split_host_port("localhost"), None);
    }

    #[test]
    fn an_advertised_address_may_lack_the_port() {
        let parsed = |text: &str| HostPort::parse(text).map(|address| address.to_string());
        assert_eq!(parsed("nats.example.com").as_deref(), Some("nats.example.com"));
        assert_eq!(parsed("[2001:db8::1]:4222").as_deref(), Some("[2001:db8::1]:4222"));
        assert_eq!(parsed("h:0").as_deref(), Some("h"));
        assert_eq!(parsed("h:99999"), None);
        assert_eq!(parsed("a b"), None);
    }
}
