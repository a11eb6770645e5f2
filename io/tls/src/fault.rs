//! Why a secure connection ended: the peer's fault, unless it says `Internal`.

use std::fmt;

/// What went wrong between us and one peer. The text is for our log; the peer sees the alert at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The first bytes are not a handshake: somebody speaks plain text, or another protocol.
    NotTls,
    /// The peer did not show the certificate we asked for.
    NoCertificate,
    /// The peer's certificate was not accepted, and why.
    CertificateRefused(String),
    /// Its issuer does not stand by it, or could not be asked, and why.
    OcspInvalid(String),
    /// The certificate is in order, but its key is not one of the pinned ones.
    NotPinned,
    /// The handshake broke a rule or found nothing in common.
    Handshake(String),
    /// More bytes than any honest handshake needs.
    HandshakeTooLong,
    /// The handshake was not over in time.
    TimedOut,
    /// The peer gave up, and its reason.
    PeerAlert(u8),
    /// A record of a kind that does not belong here.
    UnexpectedRecord,
    /// A record header that makes no sense.
    MalformedRecord,
    /// A record larger than allowed.
    RecordOverflow,
    /// A record that the peer did not make.
    BadRecordMac,
    /// The peer wanted to begin the handshake anew.
    Renegotiation,
    /// Too many messages that carry nothing.
    TooMuchNoise,
    /// The key has protected all that it may.
    KeyExhausted,
    /// Our own mistake.
    Internal(&'static str),
}

impl Fault {
    /// The alert to send, if the peer is still there to hear it.
    pub fn alert(&self) -> Option<u8> {
        match self {
            Self::NotTls | Self::PeerAlert(_) | Self::TimedOut => None,
            Self::NoCertificate => Some(116),
            Self::CertificateRefused(_) | Self::NotPinned | Self::OcspInvalid(_) => Some(42),
            Self::Handshake(_) | Self::HandshakeTooLong => Some(40),
            Self::UnexpectedRecord | Self::TooMuchNoise => Some(10),
            Self::MalformedRecord => Some(50),
            Self::RecordOverflow => Some(22),
            Self::BadRecordMac => Some(20),
            Self::Renegotiation => Some(100),
            Self::KeyExhausted | Self::Internal(_) => Some(80),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTls => f.write_str("tls: first record does not look like a TLS handshake"),
            Self::NoCertificate => f.write_str("tls: client didn't provide a certificate"),
            Self::CertificateRefused(why) => write!(f, "tls: failed to verify certificate: {why}"),
            Self::OcspInvalid(why) => write!(f, "peer not OCSP valid: {why}"),
            Self::NotPinned => f.write_str("certificate not pinned"),
            Self::Handshake(why) => write!(f, "tls: {why}"),
            Self::HandshakeTooLong => f.write_str("tls: handshake message too large"),
            Self::TimedOut => f.write_str("timeout"),
            Self::PeerAlert(code) => write!(f, "remote error: tls: {}", alert_text(*code)),
            Self::UnexpectedRecord => f.write_str("tls: unexpected message"),
            Self::MalformedRecord => f.write_str("tls: malformed record"),
            Self::RecordOverflow => f.write_str("tls: oversized record received"),
            Self::BadRecordMac => f.write_str("tls: bad record MAC"),
            Self::Renegotiation => f.write_str("tls: no renegotiation"),
            Self::TooMuchNoise => f.write_str("tls: too many messages without data"),
            Self::KeyExhausted => f.write_str("tls: key used up"),
            Self::Internal(what) => write!(f, "tls: internal error: {what}"),
        }
    }
}

impl std::error::Error for Fault {}

/// The name of an alert (RFC 8446 section 6).
fn alert_text(code: u8) -> String {
    let name = match code {
        0 => "close notify",
        10 => "unexpected message",
        20 => "bad record MAC",
        22 => "record overflow",
        40 => "handshake failure",
        42 => "bad certificate",
        43 => "unsupported certificate",
        44 => "revoked certificate",
        45 => "expired certificate",
        46 => "unknown certificate",
        47 => "illegal parameter",
        48 => "unknown certificate authority",
        49 => "access denied",
        50 => "error decoding message",
        51 => "error decrypting message",
        70 => "protocol version not supported",
        71 => "insufficient security level",
        80 => "internal error",
        90 => "user canceled",
        109 => "missing extension",
        112 => "unrecognized name",
        116 => "certificate required",
        _ => return format!("alert({code})"),
    };
    name.to_owned()
}
