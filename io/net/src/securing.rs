//! Securing a connection: the TLS handshake between acceptance and the first protocol byte.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use auth::CertificateName;
use moment::Instant;
use parking_lot::{Mutex, RwLock};
use tls::{AUTO_FALLBACK_DELAY, Fault, Handshake, HandshakeFirst, ServerTls, Step};

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
    /// How many handshakes may begin per second (`connection_rate_limit`).
    pub rate: Option<Arc<HandshakeRate>>,
}

/// Counts the handshakes that begin within a second.
#[derive(Debug)]
pub struct HandshakeRate {
    most: u32,
    /// The second that is counted, by its begin, and the count.
    second: Mutex<(Option<Instant>, u32)>,
}

impl HandshakeRate {
    /// At most so many per second.
    pub fn new(most: NonZeroU32) -> Self {
        Self { most: most.get(), second: Mutex::new((None, 0)) }
    }

    /// Whether one more may begin.
    pub(crate) fn admits(&self, now: Instant) -> bool {
        let (begin, count) = &mut *self.second.lock();
        if begin.is_none_or(|begin| now.since(begin) >= Duration::from_secs(1)) {
            (*begin, *count) = (Some(now), 0);
        }
        *count = count.saturating_add(1);
        *count <= self.most
    }
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
    /// Asked once, when the peer begins.
    pub(crate) rate: Option<Arc<HandshakeRate>>,
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
            // A peer that speaks in the clear waits for INFO.
            HandshakeFirst::On => security.optional.then_some(AUTO_FALLBACK_DELAY),
            HandshakeFirst::WithFallback(delay) => Some(delay),
        };
        Ok(Self {
            handshake: Some(Box::new(security.tls.accept()?)),
            until: now + security.tls.timeout(),
            greet_at: fallback.map(|delay| now + delay),
            greeted: false,
            undecided: security.optional,
            rate: security.rate.clone(),
        })
    }

    /// When to look at it although nothing came.
    pub(crate) fn next_deadline(&self) -> Instant {
        self.greet_at.map_or(self.until, |at| at.min(self.until))
    }
}

/// What came of a step that panicked.
pub(crate) fn broken() -> Secured {
    Secured::Failed(Fault::Internal("the handshake broke off"), Vec::new())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_admits_so_many_handshakes_and_the_next_second_as_many_again() {
        let rate = HandshakeRate::new(NonZeroU32::new(2).unwrap());
        let begin = Instant::default();
        assert!([begin, begin].map(|at| rate.admits(at)).iter().all(|admitted| *admitted));
        assert!(!rate.admits(begin + Duration::from_millis(999)));
        assert!(rate.admits(begin + Duration::from_secs(1)));
    }
}
