//! The handshake: the part of a connection's life that costs real work.
//!
//! A [`Handshake`] owns everything it needs and is `Send`. The worker that reads the socket calls [`Handshake::feed`],
//! which only stores bytes, and once [`Handshake::has_work`] hands the value to a thread that may be busy for a while;
//! there [`Handshake::step`] does the arithmetic, and the value comes back with what to send. While it is away the worker
//! does not read that socket.

use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, InsufficientSizeError, UnbufferedStatus};
use rustls::{CertificateError, ClientConfig, CommonState, Error, ExtractedSecrets, HandshakeKind, PeerIncompatible};
use rustls::{ProtocolVersion, ServerConfig};
use rustls_pki_types::ServerName;

use crate::layer::{Layer, Ratchet};
use crate::provider::{curve_of, suite_of};
use crate::{CipherSuite, Curve, Fault, PeerFacts, PinnedCerts, Version};

/// How many bytes a peer may send ahead. A handshake with a long certificate chain fits several times.
pub const MAX_HANDSHAKE_BYTES: usize = 64 << 10;

/// The first byte of everything that begins with a TLS handshake. Nothing in the NATS protocol begins with it.
pub const FIRST_BYTE: u8 = 0x16;

/// A handshake under way.
pub struct Handshake {
    connection: Connection,
    wire: Vec<u8>,
    /// How much of `wire` the state machine has been shown: always whole records, one more each time, so that it never
    /// gets ahead into the data behind the handshake.
    shown: usize,
    pinned: PinnedCerts,
    early: Vec<u8>,
    began: bool,
}

/// What a step led to.
#[expect(clippy::large_enum_variant, reason = "the large one comes once per connection and is taken apart at once")]
pub enum Step {
    /// Send what was appended, then wait for the peer.
    Wait,
    /// Send what was appended; the connection is secure.
    Done(Established),
}

/// A secure connection.
pub struct Established {
    /// Seals and opens from here on. What the peer sent right behind its handshake is already in it: open once with
    /// nothing before reading on.
    pub layer: Layer,
    /// What was agreed.
    pub session: Session,
    /// The peer's certificates as it sent them, its own first. Empty if it showed none.
    pub peer_chain: Vec<Vec<u8>>,
    /// What its own certificate says.
    pub peer: Option<PeerFacts>,
}

/// What both sides agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The version.
    pub version: Version,
    /// The suite.
    pub suite: CipherSuite,
    /// The key exchange group, if it is one of ours.
    pub curve: Option<Curve>,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
}

enum Connection {
    Server(Box<UnbufferedServerConnection>),
    Client(Box<UnbufferedClientConnection>),
    /// Taken out for good.
    Gone,
}

/// What one look at the state machine led to.
enum Turn {
    Again,
    Blocked,
    Secure,
    Failed(Error),
    Over,
}

impl Handshake {
    pub(crate) fn server(config: Arc<ServerConfig>, pinned: PinnedCerts) -> Result<Self, Fault> {
        let connection = UnbufferedServerConnection::new(config).map_err(|error| fault_of(&error))?;
        Ok(Self::new(Connection::Server(Box::new(connection)), pinned))
    }

    pub(crate) fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        pinned: PinnedCerts,
    ) -> Result<Self, Fault> {
        let connection = UnbufferedClientConnection::new(config, name).map_err(|error| fault_of(&error))?;
        Ok(Self::new(Connection::Client(Box::new(connection)), pinned))
    }

    fn new(connection: Connection, pinned: PinnedCerts) -> Self {
        let began = matches!(connection, Connection::Server(_));
        Self { connection, wire: Vec::new(), shown: 0, pinned, early: Vec::new(), began }
    }

    /// Stores what the transport delivered. Cheap.
    ///
    /// # Errors
    /// If it does not look like a handshake at all, or is more than [`MAX_HANDSHAKE_BYTES`].
    pub fn feed(&mut self, wire: &[u8]) -> Result<(), Fault> {
        if self.wire.is_empty() && self.shown == 0 && wire.first().is_some_and(|&byte| !begins_record(byte)) {
            return Err(Fault::NotTls);
        }
        if self.wire.len() + wire.len() > MAX_HANDSHAKE_BYTES {
            return Err(Fault::HandshakeTooLong);
        }
        self.wire.extend_from_slice(wire);
        Ok(())
    }

    /// Whether [`Handshake::step`] has something to do: a whole record is there, or we speak first.
    pub fn has_work(&self) -> bool {
        !self.began || self.next_record().is_some()
    }

    /// Goes on as far as the bytes allow and appends what to send to `out`, an alert included. Expensive: a key exchange,
    /// a signature, a certificate check.
    ///
    /// # Errors
    /// If the handshake failed. Send what was appended, then close.
    pub fn step(&mut self, out: &mut Vec<u8>) -> Result<Step, Fault> {
        self.began = true;
        loop {
            match self.turn(out) {
                Turn::Again => {}
                Turn::Blocked => match self.next_record() {
                    Some(end) => self.shown = end,
                    None => return Ok(Step::Wait),
                },
                Turn::Secure => return self.establish(out).map(Step::Done),
                Turn::Over => return Err(Fault::PeerAlert(0)),
                Turn::Failed(error) => {
                    self.last_words(out);
                    return Err(fault_of(&error));
                }
            }
        }
    }

    /// Appends the alert. The state machine is asked for nothing else: it would take the same bytes for new ones.
    fn last_words(&mut self, out: &mut Vec<u8>) {
        while self.connection.common().is_ok_and(CommonState::wants_write) && matches!(self.turn(out), Turn::Again) {}
        self.connection = Connection::Gone;
    }

    /// Where the next record that was not shown yet ends.
    fn next_record(&self) -> Option<usize> {
        let [_, _, _, high, low] = *self.wire.get(self.shown..)?.first_chunk::<5>()?;
        let end = self.shown + 5 + usize::from(u16::from_be_bytes([high, low]));
        // A length that no record has is shown as it is: the state machine refuses it by its header.
        let end = if end - self.shown > 5 + (1 << 14) + 2048 { self.shown + 5 } else { end };
        (end <= self.wire.len()).then_some(end)
    }

    fn turn(&mut self, out: &mut Vec<u8>) -> Turn {
        let shown = &mut self.wire[..self.shown];
        let (discard, turn) = match &mut self.connection {
            Connection::Server(connection) => look(connection.process_tls_records(shown), out, &mut self.early),
            Connection::Client(connection) => look(connection.process_tls_records(shown), out, &mut self.early),
            Connection::Gone => (0, Turn::Over),
        };
        self.wire.drain(..discard);
        self.shown -= discard;
        turn
    }

    fn establish(&mut self, out: &mut Vec<u8>) -> Result<Established, Fault> {
        if self.shown > 0 || !self.early.is_empty() {
            return Err(Fault::Internal("the handshake ran into the data behind it"));
        }
        let connection = std::mem::replace(&mut self.connection, Connection::Gone);
        let common = connection.common()?;
        let session = Self::session(common)?;
        let peer_chain: Vec<Vec<u8>> =
            common.peer_certificates().unwrap_or_default().iter().map(|der| der.to_vec()).collect();
        let is_server = matches!(connection, Connection::Server(_));
        let (secrets, ratchet) = connection.into_parts()?;
        let mut wire = std::mem::take(&mut self.wire);
        // An idle connection keeps no room for a handshake it will never repeat.
        wire.shrink_to_fit();
        let mut layer = Layer::new(session.version, is_server, secrets, ratchet, wire)?;
        let peer = self.peer_facts(&peer_chain).inspect_err(|fault| layer.sealer.fail(fault, out))?;
        Ok(Established { layer, session, peer_chain, peer })
    }

    fn peer_facts(&self, chain: &[Vec<u8>]) -> Result<Option<PeerFacts>, Fault> {
        let facts = chain.first().map(|der| PeerFacts::read(der)).transpose()?;
        if self.pinned.allows(facts.as_ref().map(|facts| &facts.spki_sha256)) {
            Ok(facts)
        } else {
            Err(Fault::NotPinned)
        }
    }

    fn session(common: &CommonState) -> Result<Session, Fault> {
        let version = match common.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => Version::Tls12,
            Some(ProtocolVersion::TLSv1_3) => Version::Tls13,
            _ => return Err(Fault::Internal("a version that we did not offer")),
        };
        let suite = common.negotiated_cipher_suite().and_then(suite_of);
        let group = common.negotiated_key_exchange_group().map(|group| group.name());
        Ok(Session {
            version,
            suite: suite.ok_or(Fault::Internal("a suite that we did not offer"))?,
            curve: group.and_then(curve_of),
            resumed: common.handshake_kind() == Some(HandshakeKind::Resumed),
        })
    }
}

impl Connection {
    fn common(&self) -> Result<&CommonState, Fault> {
        match self {
            Self::Server(connection) => Ok(connection),
            Self::Client(connection) => Ok(connection),
            Self::Gone => Err(Fault::Internal("the handshake was over")),
        }
    }

    fn into_parts(self) -> Result<(ExtractedSecrets, Ratchet), Fault> {
        match self {
            Self::Server(connection) => connection
                .dangerous_into_kernel_connection()
                .map(|(secrets, connection)| (secrets, Ratchet::Server(connection))),
            Self::Client(connection) => connection
                .dangerous_into_kernel_connection()
                .map(|(secrets, connection)| (secrets, Ratchet::Client(connection))),
            Self::Gone => return Err(Fault::Internal("the handshake was over")),
        }
        .map_err(|_| Fault::Internal("the handshake gave no keys"))
    }
}

fn look<Data>(status: UnbufferedStatus<'_, '_, Data>, out: &mut Vec<u8>, early: &mut Vec<u8>) -> (usize, Turn) {
    let mut discard = status.discard;
    let turn = match status.state {
        Err(error) => Turn::Failed(error),
        Ok(ConnectionState::EncodeTlsData(data)) => encode(data, out),
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Turn::Again
        }
        Ok(ConnectionState::BlockedHandshake) => Turn::Blocked,
        Ok(ConnectionState::WriteTraffic(_)) => Turn::Secure,
        Ok(ConnectionState::ReadTraffic(mut traffic)) => {
            while let Some(Ok(record)) = traffic.next_record() {
                early.extend_from_slice(record.payload);
                discard += record.discard;
            }
            Turn::Again
        }
        Ok(_) => Turn::Over,
    };
    (discard, turn)
}

fn encode<Data>(mut data: EncodeTlsData<'_, Data>, out: &mut Vec<u8>) -> Turn {
    let Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) = data.encode(&mut []) else {
        return Turn::Again;
    };
    let start = out.len();
    out.resize(start + required_size, 0);
    match data.encode(&mut out[start..]) {
        Ok(written) => out.truncate(start + written),
        Err(_) => out.truncate(start),
    }
    Turn::Again
}

/// Alert, handshake, or the change-cipher-spec and data records of peers that are already further.
fn begins_record(byte: u8) -> bool {
    (20..=23).contains(&byte)
}

/// Our words for what rustls found.
pub(crate) fn fault_of(error: &Error) -> Fault {
    match error {
        Error::NoCertificatesPresented => Fault::NoCertificate,
        Error::InvalidCertificate(why) => Fault::CertificateRefused(certificate_text(why)),
        Error::InvalidCertRevocationList(why) => Fault::CertificateRefused(format!("revocation list: {why:?}")),
        Error::AlertReceived(alert) => Fault::PeerAlert(u8::from(*alert)),
        Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => Fault::NotTls,
        Error::InvalidMessage(why) => Fault::Handshake(format!("malformed message: {why:?}")),
        Error::PeerIncompatible(why) => Fault::Handshake(incompatible_text(why)),
        Error::DecryptError => Fault::BadRecordMac,
        Error::PeerSentOversizedRecord => Fault::RecordOverflow,
        other => Fault::Handshake(other.to_string()),
    }
}

fn certificate_text(why: &CertificateError) -> String {
    match why {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => "x509: certificate has expired or is not yet valid".into(),
        // A root of the right name but another key is as unknown as any other.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "x509: certificate signed by unknown authority".into()
        }
        CertificateError::Revoked => "x509: certificate is revoked".into(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "x509: certificate specifies an incompatible key usage".into()
        }
        CertificateError::Other(inner) => format!("x509: {inner}"),
        CertificateError::BadEncoding => "x509: malformed certificate".into(),
        other => format!("x509: {other}"),
    }
}

fn incompatible_text(why: &PeerIncompatible) -> String {
    match why {
        PeerIncompatible::NoCipherSuitesInCommon => "no cipher suite supported by both client and server".into(),
        PeerIncompatible::NoKxGroupsInCommon => "no key exchange group supported by both client and server".into(),
        PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::Tls13RequiredForQuic
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::ServerDoesNotSupportTls12Or13 => "client offered only unsupported versions".into(),
        other => format!("{other:?}"),
    }
}
