//! What a worker keeps of a connection beside what the broker knows.

use std::io::{ErrorKind, Read};
use std::sync::Arc;

use broker::{Connection, Step};
use mio::net::TcpStream;
use moment::Instant;
use wire::CloseReason;

use crate::dialer::DialTls;
use crate::securing::Securing;
use crate::upgrading::{DialFrames, Upgrading};

pub(crate) struct Socket {
    pub(crate) stream: Arc<TcpStream>,
    pub(crate) connection: Connection,
    /// There may be bytes to read: the kernel said so and nobody has read to the end since.
    pub(crate) readable: bool,
    /// The far end has closed its direction: read until the end.
    pub(crate) hung_up: bool,
    /// On the ready list.
    pub(crate) listed: bool,
    /// Held up behind a slow target until then, or until told.
    pub(crate) paused_until: Option<Instant>,
    /// A PROXY header is awaited until then; nothing else is read before.
    pub(crate) header_until: Option<Instant>,
    /// The TLS handshake, while it is under way.
    pub(crate) securing: Option<Securing>,
    /// A request to become a WebSocket, or the answer to one, while it is awaited.
    pub(crate) upgrading: Option<Upgrading>,
    /// How the connection is to be framed, if this server made it and it is not yet.
    pub(crate) frames: Option<DialFrames>,
    /// How the connection is to be encrypted, if this server made it and it is not yet.
    pub(crate) dial: Option<DialTls>,
    /// By which listener it came, if it did.
    pub(crate) door: Option<usize>,
    /// It is among the peers that are connected by TLS.
    pub(crate) is_peer: bool,
    /// The earliest wake-up asked for.
    pub(crate) wake_at: Option<Instant>,
}

impl Socket {
    pub(crate) fn new(stream: Arc<TcpStream>, connection: Connection) -> Self {
        Self {
            stream,
            connection,
            readable: false,
            hung_up: false,
            listed: false,
            paused_until: None,
            header_until: None,
            securing: None,
            upgrading: None,
            frames: None,
            dial: None,
            door: None,
            is_peer: false,
            wake_at: None,
        }
    }

    /// One read, before the broker does it by itself: what came.
    ///
    /// # Errors
    /// With what is to be done if nothing did.
    pub(crate) fn read<'bytes>(&mut self, bytes: &'bytes mut [u8]) -> Result<&'bytes [u8], Step> {
        let read = match (&*self.stream).read(bytes) {
            Ok(0) => return Err(Step::Close(CloseReason::ClientClosed)),
            Ok(read) => read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                self.readable = false;
                self.hung_up = false;
                return Err(Step::Continue);
            }
            Err(_) => return Err(Step::Close(CloseReason::ReadError)),
        };
        self.readable = read == bytes.len() || self.hung_up;
        Ok(bytes.get(..read).unwrap_or_default())
    }

    /// Whether the worker should read now.
    pub(crate) fn wants_reading(&self) -> bool {
        let busy = self.securing.as_ref().is_some_and(|securing| securing.handshake.is_none());
        (self.readable || self.connection.has_more())
            && !busy
            && self.paused_until.is_none()
            && !self.connection.is_waiting()
    }

    /// Whether its handshake, its request, or the header of a proxy before it, is not over.
    pub(crate) fn is_stranger(&self) -> bool {
        self.securing.is_some() || self.upgrading.is_some() || self.header_until.is_some()
    }

    /// When to look at it although nothing happened.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let next = match (&self.securing, &self.upgrading) {
            (Some(securing), _) => Some(securing.next_deadline()),
            (None, Some(upgrading)) => Some(upgrading.until),
            (None, None) => self.connection.next_deadline(),
        };
        [next, self.header_until].into_iter().flatten().min()
    }
}
