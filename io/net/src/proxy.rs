//! PROXY protocol headers, versions 1 and 2: who really connected, told by the load balancer in front.
//!
//! Pure: bytes in, addresses out. Whether a listener expects a header, how long it waits for one and whose word it takes
//! is decided by the listener. What follows the header, TLS or not, begins at `consumed`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How many bytes tell whether a header begins.
pub const DETECT_LEN: usize = 6;
/// The longest line of version 1, its end included.
pub const MAX_V1: usize = 107;
/// The longest header of version 2. Its length field could ask for 64 KiB; what proxies add is a fraction of this.
pub const MAX_V2: usize = 16 << 10;

const V1_PREFIX: &[u8; DETECT_LEN] = b"PROXY ";
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_FIXED: usize = 16;

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A whole header of `consumed` bytes.
    Header {
        /// Where the connection's own bytes begin.
        consumed: usize,
        /// Who connected.
        origin: Origin,
    },
    /// Something else: all bytes belong to the connection.
    NoHeader,
    /// Not enough bytes yet; at least `need` are wanted, counted from the start.
    Incomplete {
        /// How many bytes from the start.
        need: usize,
    },
}

/// Who connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The proxy itself, a health check for instance, or somebody it cannot name: the address of the socket holds.
    Socket,
    /// The proxy speaks for this client.
    Client {
        /// Where the client connects from.
        source: SocketAddr,
        /// What it connected to.
        destination: SocketAddr,
    },
}

/// Why a header is refused. The connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyError {
    /// Against the rules, and which one.
    Invalid(&'static str),
    /// Allowed by the rules, but nothing that a listener of ours can serve.
    Unsupported(&'static str),
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(why) => write!(f, "invalid PROXY protocol header: {why}"),
            Self::Unsupported(what) => write!(f, "unsupported PROXY protocol feature: {what}"),
        }
    }
}

impl std::error::Error for ProxyError {}

/// Reads the header at the start of `bytes`, if there is one.
pub fn parse(bytes: &[u8]) -> Result<Parsed, ProxyError> {
    let seen = &bytes[..bytes.len().min(DETECT_LEN)];
    let may_be = |start: &[u8]| start.starts_with(seen);
    match (may_be(V1_PREFIX), may_be(&V2_SIGNATURE[..DETECT_LEN])) {
        (false, false) => Ok(Parsed::NoHeader),
        _ if seen.len() < DETECT_LEN => Ok(Parsed::Incomplete { need: DETECT_LEN }),
        (true, _) => parse_v1(bytes),
        (false, true) => parse_v2(bytes),
    }
}

fn parse_v1(bytes: &[u8]) -> Result<Parsed, ProxyError> {
    let window = &bytes[..bytes.len().min(MAX_V1)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return if window.len() == MAX_V1 {
            Err(ProxyError::Invalid("v1 line too long"))
        } else {
            Ok(Parsed::Incomplete { need: bytes.len() + 1 })
        };
    };
    let line = std::str::from_utf8(&window[DETECT_LEN..end]).map_err(|_| ProxyError::Invalid("invalid v1 format"))?;
    Ok(Parsed::Header { consumed: end + 2, origin: v1_origin(line)? })
}

fn v1_origin(line: &str) -> Result<Origin, ProxyError> {
    let mut parts = line.split_ascii_whitespace();
    let family = parts.next().ok_or(ProxyError::Invalid("invalid v1 format"))?;
    if family == "UNKNOWN" {
        return Ok(Origin::Socket);
    }
    let (Some(source), Some(destination), Some(source_port), Some(destination_port), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(ProxyError::Invalid("invalid v1 format"));
    };
    let address = |text: &str| v1_address(family, text);
    Ok(Origin::Client {
        source: SocketAddr::new(address(source)?, port(source_port)?),
        destination: SocketAddr::new(address(destination)?, port(destination_port)?),
    })
}

/// The family must be that of the text. An IPv4 address in IPv6 clothes is one that dual-stack proxies send.
fn v1_address(family: &str, text: &str) -> Result<IpAddr, ProxyError> {
    let address: IpAddr = text.parse().map_err(|_| ProxyError::Invalid("invalid address"))?;
    match (family, address) {
        ("TCP4", IpAddr::V4(_)) | ("TCP6", IpAddr::V6(_)) => Ok(address.to_canonical()),
        ("TCP4", IpAddr::V6(_)) => Err(ProxyError::Invalid("TCP4 with IPv6 address")),
        ("TCP6", IpAddr::V4(_)) => Err(ProxyError::Invalid("TCP6 with IPv4 address")),
        _ => Err(ProxyError::Invalid("invalid protocol")),
    }
}

fn port(text: &str) -> Result<u16, ProxyError> {
    // `parse` would take a plus sign.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = if digits { text.parse().ok() } else { None };
    port.ok_or(ProxyError::Invalid("invalid port"))
}

fn parse_v2(bytes: &[u8]) -> Result<Parsed, ProxyError> {
    let seen = &bytes[..bytes.len().min(V2_SIGNATURE.len())];
    if !V2_SIGNATURE.starts_with(seen) {
        return Err(ProxyError::Invalid("invalid signature"));
    }
    let Some(&[version_command, family_transport, high, low]) =
        bytes.get(V2_SIGNATURE.len()..V2_FIXED).and_then(|fixed| fixed.first_chunk::<4>())
    else {
        return Ok(Parsed::Incomplete { need: V2_FIXED });
    };
    let kind = v2_kind(version_command, family_transport)?;
    let len = usize::from(u16::from_be_bytes([high, low]));
    let consumed = V2_FIXED + len;
    if len < kind.min_len() {
        return Err(ProxyError::Invalid("address data too short"));
    }
    if consumed > MAX_V2 {
        return Err(ProxyError::Unsupported("header too long"));
    }
    match bytes.get(V2_FIXED..consumed) {
        Some(body) => Ok(Parsed::Header { consumed, origin: kind.origin(body) }),
        None => Ok(Parsed::Incomplete { need: consumed }),
    }
}

/// What the body of a version 2 header holds, before its additions.
#[derive(Clone, Copy)]
enum Body {
    Nothing,
    Inet,
    Inet6,
}

fn v2_kind(version_command: u8, family_transport: u8) -> Result<Body, ProxyError> {
    const LOCAL: u8 = 0;
    const PROXY: u8 = 1;
    const STREAM: u8 = 1;
    if version_command >> 4 != 2 {
        return Err(ProxyError::Invalid("invalid version"));
    }
    match (version_command & 0x0f, family_transport >> 4, family_transport & 0x0f) {
        (LOCAL, _, _) => Ok(Body::Nothing),
        (PROXY, 0, STREAM) => Ok(Body::Nothing),
        (PROXY, 1, STREAM) => Ok(Body::Inet),
        (PROXY, 2, STREAM) => Ok(Body::Inet6),
        (PROXY, _, STREAM) => Err(ProxyError::Unsupported("unsupported address family")),
        (PROXY, _, _) => Err(ProxyError::Unsupported("only STREAM protocol supported")),
        _ => Err(ProxyError::Invalid("unknown command")),
    }
}

impl Body {
    fn min_len(self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Inet => 12,
            Self::Inet6 => 36,
        }
    }

    /// The length was checked.
    fn origin(self, body: &[u8]) -> Origin {
        let addresses = match self {
            Self::Nothing => None,
            Self::Inet => inet(body),
            Self::Inet6 => inet6(body),
        };
        match addresses {
            Some((source, destination)) => Origin::Client { source, destination },
            None => Origin::Socket,
        }
    }
}

fn inet(body: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let &[a, b, c, d, e, f, g, h, p, q, r, s] = body.first_chunk::<12>()?;
    let socket =
        |address: [u8; 4], port: [u8; 2]| SocketAddr::new(Ipv4Addr::from(address).into(), u16::from_be_bytes(port));
    Some((socket([a, b, c, d], [p, q]), socket([e, f, g, h], [r, s])))
}

fn inet6(body: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let (source, rest) = body.split_first_chunk::<16>()?;
    let (destination, rest) = rest.split_first_chunk::<16>()?;
    let &[p, q, r, s] = rest.first_chunk::<4>()?;
    let socket = |address: &[u8; 16], port: [u8; 2]| {
        SocketAddr::new(IpAddr::from(Ipv6Addr::from(*address)).to_canonical(), u16::from_be_bytes(port))
    };
    Some((socket(source, [p, q]), socket(destination, [r, s])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(source: &str, destination: &str) -> Origin {
        Origin::Client { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    fn v2(version_command: u8, family_transport: u8, body: &[u8]) -> Vec<u8> {
        let len = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&V2_SIGNATURE[..], &[version_command, family_transport], &len, body].concat()
    }

    const INET: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 9, 0xc3, 0x50, 0x10, 0x7e];

    #[test]
    fn version_1_names_the_client_and_leaves_the_rest() {
        for (line, origin) in [
            ("PROXY TCP4 192.0.2.7 198.51.100.9 50000 4222\r\n", client("192.0.2.7:50000", "198.51.100.9:4222")),
            ("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n", client("[2001:db8::1]:1", "[2001:db8::2]:65535")),
            ("PROXY TCP6 ::ffff:192.0.2.7 ::ffff:192.0.2.8 1 2\r\n", client("192.0.2.7:1", "192.0.2.8:2")),
            ("PROXY UNKNOWN\r\n", Origin::Socket),
            ("PROXY UNKNOWN whatever it likes to say\r\n", Origin::Socket),
        ] {
            let bytes = format!("{line}CONNECT {{}}\r\n");
            assert_eq!(parse(bytes.as_bytes()), Ok(Parsed::Header { consumed: line.len(), origin }), "{line}");
        }
    }

    #[test]
    fn version_1_refuses_what_is_not_exact() {
        for line in [
            "PROXY \r\n",
            "PROXY TCP4\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.9 50000\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.9 50000 4222 1\r\n",
            "PROXY TCP4 2001:db8::1 198.51.100.9 1 2\r\n",
            "PROXY TCP6 192.0.2.7 2001:db8::2 1 2\r\n",
            "PROXY TCP4 192.0.2.07 198.51.100.9 1 2\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.9 65536 2\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.9 +1 2\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.9 -1 2\r\n",
            "PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n",
            "PROXY UDP4 192.0.2.7 198.51.100.9 1 2\r\n",
            "PROXY tcp4 192.0.2.7 198.51.100.9 1 2\r\n",
        ] {
            assert!(matches!(parse(line.as_bytes()), Err(ProxyError::Invalid(_))), "{line}");
        }
        assert!(parse(b"PROXY TCP4 \xff\xfe 198.51.100.9 1 2\r\n").is_err());
    }

    #[test]
    fn version_1_is_at_most_107_bytes_long() {
        let line = |len: usize| format!("PROXY UNKNOWN{}\r\n", " ".repeat(len - "PROXY UNKNOWN\r\n".len()));
        assert!(matches!(parse(line(107).as_bytes()), Ok(Parsed::Header { consumed: 107, .. })));
        let refusal = Err(ProxyError::Invalid("v1 line too long"));
        assert_eq!(parse(line(108).as_bytes()), refusal);
        assert_eq!(parse(&[b"PROXY ".as_slice(), &[b'x'; 200]].concat()), refusal);
    }

    #[test]
    fn version_2_names_the_client_and_skips_additions() {
        let plain = v2(0x21, 0x11, &INET);
        let origin = client("192.0.2.7:50000", "198.51.100.9:4222");
        assert_eq!(parse(&plain), Ok(Parsed::Header { consumed: 28, origin }));

        let with_additions = v2(0x21, 0x11, &[&INET[..], &[0x04, 0, 3, 1, 2, 3]].concat());
        let bytes = [&with_additions[..], b"\x16\x03\x01"].concat();
        assert_eq!(parse(&bytes), Ok(Parsed::Header { consumed: 34, origin }));

        let mut six = [0; 36];
        six[15] = 1;
        six[31] = 2;
        six[33] = 80;
        six[35] = 81;
        assert_eq!(
            parse(&v2(0x21, 0x21, &six)),
            Ok(Parsed::Header { consumed: 52, origin: client("[::1]:80", "[::2]:81") })
        );
    }

    #[test]
    fn version_2_keeps_the_socket_address_for_local_and_unspecified() {
        for bytes in [v2(0x20, 0x00, &[]), v2(0x20, 0x11, &INET), v2(0x21, 0x01, &[]), v2(0x21, 0x01, &[1, 2, 3])] {
            let origin = Origin::Socket;
            assert_eq!(parse(&bytes), Ok(Parsed::Header { consumed: bytes.len(), origin }));
        }
    }

    #[test]
    fn version_2_refuses_what_it_cannot_serve() {
        for (bytes, error) in [
            (v2(0x11, 0x11, &INET), ProxyError::Invalid("invalid version")),
            (v2(0x22, 0x11, &INET), ProxyError::Invalid("unknown command")),
            (v2(0x21, 0x12, &INET), ProxyError::Unsupported("only STREAM protocol supported")),
            (v2(0x21, 0x00, &[]), ProxyError::Unsupported("only STREAM protocol supported")),
            (v2(0x21, 0x31, &[0; 216]), ProxyError::Unsupported("unsupported address family")),
            (v2(0x21, 0x11, &INET[..11]), ProxyError::Invalid("address data too short")),
            (v2(0x21, 0x21, &[0; 35]), ProxyError::Invalid("address data too short")),
            (v2(0x21, 0x11, &[0; 60_000]), ProxyError::Unsupported("header too long")),
            (b"\r\n\r\n\0\rXQUIT\n....".to_vec(), ProxyError::Invalid("invalid signature")),
        ] {
            assert_eq!(parse(&bytes), Err(error));
        }
    }

    #[test]
    fn anything_else_belongs_to_the_connection() {
        for bytes in
            [&b"CONNECT {}\r\n"[..], b"\x16\x03\x01", b"P ", b"PING\r\n", b"PUB a 0\r\n\r\n", b"\r\nPING", b"proxy "]
        {
            assert_eq!(parse(bytes), Ok(Parsed::NoHeader), "{bytes:?}");
        }
    }

    /// The log of fixes has a row for headers that swallowed or misread bytes: every cut must ask for more, never guess.
    #[test]
    fn a_header_in_pieces_waits_for_its_end() {
        let whole = [v2(0x21, 0x11, &INET), b"PROXY TCP4 192.0.2.7 198.51.100.9 50000 4222\r\n".to_vec()];
        for header in whole {
            for cut in 0..header.len() {
                let outcome = parse(&header[..cut]);
                let Ok(Parsed::Incomplete { need }) = outcome else {
                    panic!("{cut}: {outcome:?}");
                };
                assert!(need > cut && need <= header.len());
            }
            let behind = [&header[..], b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n"].concat();
            assert!(matches!(parse(&behind), Ok(Parsed::Header { consumed, .. }) if consumed == header.len()));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused() {
        // A small generator, so that the test needs no more than this file.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let starts: [&[u8]; 4] = [b"", b"PROXY ", b"PROXY TCP6 ", V2_SIGNATURE];
        for round in 0..50_000 {
            let mut bytes = starts[round % starts.len()].to_vec();
            bytes.extend((0..next() % 140).map(|_| (next() >> 32) as u8));
            if let Ok(Parsed::Header { consumed, .. }) = parse(&bytes) {
                assert!(consumed <= bytes.len());
            }
        }
    }
}
