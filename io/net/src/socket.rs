//! What a worker keeps of a connection beside what the broker knows.

use std::sync::Arc;

use broker::Connection;
use mio::net::TcpStream;
use moment::Instant;

use crate::securing::Securing;

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
    /// The TLS handshake, while it is under way.
    pub(crate) securing: Option<Securing>,
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
            securing: None,
            wake_at: None,
        }
    }

    /// Whether the worker should read now.
    pub(crate) fn wants_reading(&self) -> bool {
        let busy = self.securing.as_ref().is_some_and(|securing| securing.handshake.is_none());
        self.readable && !busy && self.paused_until.is_none() && !self.connection.is_waiting()
    }

    /// When to look at it although nothing happened.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        match &self.securing {
            Some(securing) => Some(securing.next_deadline()),
            None => self.connection.next_deadline(),
        }
    }
}
