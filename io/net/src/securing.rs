//! Securing a connection: the TLS handshake between acceptance and the first protocol byte.

use std::sync::Arc;
use std::time::Duration;

use auth::CertificateName;
use moment::Instant;
use parking_lot::RwLock;
use tls::{Fault, Handshake, HandshakeFirst, ServerTls, Step};

use crate::tls_layer::{TlsOpener, TlsSealer, names};

/// What a listener asks for in TLS, as of the last start or reload.
#[derive(Clone)]
pub struct Security {
    /// Certificates, suites, verification.
    pub tls: Arc<ServerTls>,
    /// Whether the handshake comes before INFO.
    pub first: HandshakeFirst,
    /// Clients that do not begin a handshake are served in the clear (`allow_non_tls`).
    pub optional: bool,
}

/// The security of a listener, replaced whole on reload.
pub type SharedSecurity = Arc<RwLock<Option<Security>>>;

/// A connection whose handshake is under way.
pub(crate) struct Securing {
    /// `None` while it is being worked on elsewhere.
    pub(crate) handshake: Option<Box<Handshake>>,
    /// It must be over by then.
    pub(crate) until: Instant,
    /// INFO goes out in the clear if nothing came by then.
    pub(crate) greet_at: Option<Instant>,
    /// INFO has been sent.
    pub(crate) greeted: bool,
    /// Nothing has come from the peer yet, so it may still turn out to speak in the clear.
    pub(crate) undecided: bool,
}

/// What a step of a handshake led to, with the bytes to send first.
pub(crate) enum Secured {
    /// Wait for the peer.
    Wait(Box<Handshake>, Vec<u8>),
    /// Both halves, the names in the peer's certificate, and the last bytes in the clear.
    Done(Box<(TlsOpener, TlsSealer, Option<Vec<CertificateName>>)>, Vec<u8>),
    /// It failed.
    Failed(Fault, Vec<u8>),
}

impl Securing {
    pub(crate) fn begin(security: &Security, now: Instant) -> Result<Self, Fault> {
        let fallback = match security.first {
            HandshakeFirst::Off => Some(Duration::ZERO),
            HandshakeFirst::On => None,
            HandshakeFirst::WithFallback(delay) => Some(delay),
        };
        Ok(Self {
            handshake: Some(Box::new(security.tls.accept()?)),
            until: now + security.tls.timeout(),
            greet_at: fallback.map(|delay| now + delay),
            greeted: false,
            undecided: security.optional,
        })
    }

    /// When to look at it although nothing came.
    pub(crate) fn next_deadline(&self) -> Instant {
        self.greet_at.map_or(self.until, |at| at.min(self.until))
    }
}

/// The arithmetic of a handshake. Takes long: not for workers.
pub(crate) fn step(mut handshake: Box<Handshake>) -> Secured {
    let mut out = Vec::new();
    match handshake.step(&mut out) {
        Ok(Step::Wait) => Secured::Wait(handshake, out),
        Ok(Step::Done(established)) => {
            let certificate = established.peer.as_ref().map(names);
            let (opener, sealer) = established.layer.split();
            Secured::Done(Box::new((TlsOpener(opener), TlsSealer(sealer), certificate)), out)
        }
        Err(fault) => Secured::Failed(fault, out),
    }
}
