//! Securing a connection: the TLS handshake between acceptance and the first protocol byte.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use auth::CertificateName;
use broker::LinkKind;
use moment::Instant;
use parking_lot::{Mutex, RwLock};
use tls::ocsp::PeerAsking;
use tls::{AUTO_FALLBACK_DELAY, Fault, Handshake, HandshakeFirst, ServerTls, Step};

use crate::asking::{Check, PeerCheck};
use crate::dialer::DialTls;
use crate::peers::{CameBy, PeerChain};
use crate::tls_layer::{TlsOpener, TlsSealer, agreed, names};

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
    /// What a peer's certificate has to pass beside the handshake.
    pub check: Option<Arc<dyn PeerCheck>>,
}

impl Security {
    fn check(&self, kind: LinkKind) -> Option<Check> {
        check_of(self.tls.asking(), self.check.as_ref(), (kind, true))
    }
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
    pub(crate) handshake: Option<Box<Shaking>>,
    /// What follows it.
    pub(crate) check: Option<Check>,
    /// By which certificates and roots the peer is judged, where it connected to us.
    pub(crate) tls: Option<Arc<ServerTls>>,
    /// How the connection came to be, where this server made it.
    pub(crate) dialed: Option<CameBy>,
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

/// A handshake, with what follows it.
pub(crate) struct Shaking {
    pub(crate) handshake: Handshake,
    check: Option<Check>,
}

/// What a handshake leaves behind.
pub(crate) struct SecuredParts {
    pub(crate) opener: TlsOpener,
    pub(crate) sealer: TlsSealer,
    /// The names in the peer's certificate.
    pub(crate) certificate: Option<Vec<CertificateName>>,
    /// What was agreed and shown.
    pub(crate) tls: Box<auth::ClientTls>,
    /// Its certificates.
    pub(crate) chain: PeerChain,
}

/// What a step of a handshake led to, with the bytes to send first.
pub(crate) enum Secured {
    /// Wait for the peer.
    Wait(Box<Shaking>, Vec<u8>),
    /// Somebody has to be asked about the peer's certificate first. The last bytes in the clear go out meanwhile.
    Ask(Box<SecuredParts>, Vec<u8>),
    /// The connection is secure, once these last bytes in the clear are sent.
    Done(Box<SecuredParts>, Vec<u8>),
    /// It failed.
    Failed(Fault, Vec<u8>),
}

/// Which side of a link this is.
pub enum Side<'a> {
    /// The peer connected to us.
    Accepts(&'a Security),
    /// We connected to the peer.
    Connects(&'a DialTls),
}

/// What a peer has to pass after its handshake, if anything. Its kind, and whether it came to us.
fn check_of(
    asking: Option<&Arc<PeerAsking>>,
    by: Option<&Arc<dyn PeerCheck>>,
    (kind, came): (LinkKind, bool),
) -> Option<Check> {
    asking.zip(by).map(|(asking, by)| Check { asking: asking.clone(), by: by.clone(), kind, came })
}

impl Securing {
    /// Either side. The worker sees no difference, but that one which connects has work before anything was read.
    pub(crate) fn begin(side: &Side<'_>, kind: LinkKind, now: Instant) -> Result<Self, Fault> {
        match side {
            Side::Accepts(security) => Self::accept(security, kind, now),
            Side::Connects(dial) => Self::connect(dial, kind, now),
        }
    }

    fn connect(dial: &DialTls, kind: LinkKind, now: Instant) -> Result<Self, Fault> {
        let check = check_of(dial.tls.asking(), dial.check.as_ref(), (kind, false));
        let handshake = dial.tls.connect(&dial.host)?;
        Ok(Self {
            handshake: Some(Box::new(Shaking { handshake, check: check.clone() })),
            check,
            tls: None,
            dialed: Some(CameBy::Remote(dial.remote, dial.host.clone())),
            until: now + dial.tls.timeout(),
            greet_at: None,
            greeted: true,
            undecided: false,
            rate: None,
        })
    }

    fn accept(security: &Security, kind: LinkKind, now: Instant) -> Result<Self, Fault> {
        let fallback = match security.first {
            HandshakeFirst::Off => Some(Duration::ZERO),
            // A peer that speaks in the clear waits for INFO.
            HandshakeFirst::On => security.optional.then_some(AUTO_FALLBACK_DELAY),
            HandshakeFirst::WithFallback(delay) => Some(delay),
        };
        Ok(Self {
            handshake: Some(Box::new(Shaking { handshake: security.tls.accept()?, check: security.check(kind) })),
            check: security.check(kind),
            tls: Some(security.tls.clone()),
            dialed: None,
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
pub(crate) fn step(mut shaking: Box<Shaking>) -> Secured {
    let mut out = Vec::new();
    match shaking.handshake.step(&mut out) {
        Ok(Step::Wait) => Secured::Wait(shaking, out),
        Ok(Step::Done(established)) => {
            let certificate = established.peer.as_ref().map(names);
            let tls = Box::new(agreed(&established));
            let chain = established.peer_chain.into();
            let (opener, sealer) = established.layer.split();
            let (opener, sealer) = (TlsOpener(opener), TlsSealer(sealer));
            let parts = Box::new(SecuredParts { opener, sealer, certificate, tls, chain });
            match &shaking.check {
                Some(check) => check.judge(parts, out),
                None => Secured::Done(parts, out),
            }
        }
        Err(fault) => Secured::Failed(fault, out),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use testkit::certificates::{Authority, Files, Subject};

    use super::*;

    /// One step of one side, as a thread of the pool does it.
    fn turn(securing: &mut Securing, heard: &[u8]) -> (Vec<u8>, bool) {
        let mut shaking = securing.handshake.take().unwrap();
        shaking.handshake.feed(heard).unwrap();
        match step(shaking) {
            Secured::Wait(shaking, out) => {
                securing.handshake = Some(shaking);
                (out, false)
            }
            Secured::Ask(_, out) | Secured::Done(_, out) => (out, true),
            Secured::Failed(fault, _) => panic!("{fault}"),
        }
    }

    #[test]
    fn the_side_that_connects_speaks_first_and_the_same_steps_lead_both() {
        let (files, authority) = (Files::new(), Authority::new("Root"));
        files.write("ca.pem", authority.pem.as_str());
        files.write_identity("server", &authority.issue(Subject::named("server").dns("localhost")));
        let read = |path: &Path| files.read(path);
        let certificates = vec![tls::CertificateFiles::new("server.pem", "server.key")];
        let block = tls::Settings { certificates, ca_file: Some("ca.pem".into()), ..tls::Settings::default() };
        let security = Security {
            tls: Arc::new(ServerTls::build(&block, &read).unwrap()),
            first: HandshakeFirst::On,
            optional: false,
            rate: None,
            check: None,
        };
        let client = Arc::new(tls::ClientTls::build(&block, &read).unwrap());
        let dial =
            DialTls { remote: broker::RemoteId(1), tls: client, host: "localhost".into(), first: true, check: None };
        let now = Instant::default();
        let mut near = Securing::begin(&Side::Connects(&dial), LinkKind::Client, now).unwrap();
        let mut far = Securing::begin(&Side::Accepts(&security), LinkKind::Client, now).unwrap();
        let has_work = |side: &Securing| side.handshake.as_ref().unwrap().handshake.has_work();
        assert!(has_work(&near) && !has_work(&far));
        assert_eq!(near.next_deadline(), now + tls::DEFAULT_TIMEOUT);
        let (hello, _) = turn(&mut near, &[]);
        let (answer, _) = turn(&mut far, &hello);
        let (finished, is_done) = turn(&mut near, &answer);
        assert!(is_done);
        assert!(turn(&mut far, &finished).1);
    }

    #[test]
    fn a_second_admits_so_many_handshakes_and_the_next_second_as_many_again() {
        let rate = HandshakeRate::new(NonZeroU32::new(2).unwrap());
        let begin = Instant::default();
        assert!([begin, begin].map(|at| rate.admits(at)).iter().all(|admitted| *admitted));
        assert!(!rate.admits(begin + Duration::from_millis(999)));
        assert!(rate.admits(begin + Duration::from_secs(1)));
    }
}
