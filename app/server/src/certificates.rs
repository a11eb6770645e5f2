//! Certificates over time: built at start, renewed by reload and by themselves when their files change, stapled, and
//! watched for their end.
//!
//! What is in use is swapped whole. New files that do not fit together change nothing and are said. Whoever is connected
//! is judged again by what is new, and closed if it does not stand.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use api::monitoring::CertificateDetail;
use audit::{Class, Outcome, Record};
use broker::{Hub, Note};
use config::Settings;
use moment::Timestamp;
use net::{CameBy, DoorKind, HandshakeRate, PeerCheck, Peers, Security, SharedSecurity};
use tls::{CertificateInfo, FileWatch, ListInfo, ServerTls, Stamp};
use wire::CloseReason;

use crate::audit::Auditor;
use crate::log::Log;
use crate::ocsp::{PeerAnswers, Stapled, Stapling, now};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A certificate with fewer days left is worth a warning every day.
const FEW_DAYS: i64 = 30;

const DAY: i64 = 86_400;

/// What the listener for clients is called.
pub(crate) const CLIENTS: &str = "clients";

/// Keeps the certificates of the client listener, and tells of the ends of all.
pub(crate) struct Certificates {
    log: Arc<Log>,
    audit: Arc<Auditor>,
    security: SharedSecurity,
    /// Of the listeners for links, by their names.
    links: OnceLock<Vec<(&'static str, SharedSecurity)>>,
    peers: Arc<Peers>,
    answers: Arc<PeerAnswers>,
    state: Mutex<State>,
    stopping: AtomicBool,
    keeper: Mutex<Option<Thread>>,
}

#[derive(Default)]
struct State {
    block: Option<Block>,
    look_at_ends: i64,
}

/// What is in use, and what it was built from.
struct Block {
    settings: tls::Settings,
    optional: bool,
    stapling: Stapling,
    watch: FileWatch,
    stapled: Vec<Stapled>,
    /// The last failure of a renewal, so that it is said once.
    failure: Option<String>,
}

/// A block that is built and not in use yet.
pub(crate) struct Prepared(Option<(Block, Security)>);

impl Certificates {
    pub(crate) fn new(settings: &Settings, peers: Arc<Peers>, log: &Arc<Log>, audit: &Arc<Auditor>) -> Arc<Self> {
        Arc::new(Self {
            log: log.clone(),
            audit: audit.clone(),
            security: SharedSecurity::default(),
            links: OnceLock::new(),
            peers,
            answers: Arc::new(PeerAnswers::new(settings.ocsp_cache.clone().unwrap_or_default(), log.clone())),
            state: Mutex::default(),
            stopping: AtomicBool::new(false),
            keeper: Mutex::default(),
        })
    }

    /// Who asks the issuers of peers, on every kind of link; it remembers their answers.
    pub(crate) fn peer_check(&self) -> Arc<dyn PeerCheck> {
        self.answers.clone()
    }

    /// What issuers have said of peers.
    pub(crate) fn peer_answers(&self) -> &PeerAnswers {
        &self.answers
    }

    /// From now on peers whose issuers do not stand by them are told here.
    pub(crate) fn tell(&self, news: crate::system_account::NewsDesk) {
        self.answers.tell(news);
    }

    /// What the listener asks for; changes with the files.
    pub(crate) fn security(&self) -> SharedSecurity {
        self.security.clone()
    }

    /// From now on the ends of these are told too: of the listeners for links, whose files somebody else looks after.
    pub(crate) fn tell_of(&self, links: Vec<(&'static str, SharedSecurity)>) {
        let links = self.links.get_or_init(|| links);
        for security in links.iter().filter_map(|(_, security)| security.read().clone()) {
            self.say_ends(&security.tls, Saying::All);
        }
    }

    /// The certificates of all listeners, for the dashboard.
    pub(crate) fn details(&self) -> Vec<CertificateDetail> {
        let mut details = Vec::new();
        for (listener, security) in self.listeners() {
            let security = security.read();
            let all = security.as_ref().map(|security| security.tls.certificates()).unwrap_or_default();
            details.extend(all.iter().map(|certificate| CertificateDetail {
                listener,
                subject: certificate.subject.clone(),
                not_after: Timestamp::from_secs(certificate.not_after).to_string(),
                days_left: (certificate.not_after - now()).div_euclid(DAY),
            }));
        }
        details
    }

    /// Until when the first certificate of a listener holds.
    pub(crate) fn not_after(&self, listener: &str) -> Option<Timestamp> {
        let (_, security) = self.listeners().find(|(name, _)| *name == listener)?;
        let security = security.read();
        let first = security.as_ref()?.tls.certificates().first()?;
        Some(Timestamp::from_secs(first.not_after))
    }

    fn listeners(&self) -> impl Iterator<Item = (&'static str, &SharedSecurity)> {
        let links = self.links.get().into_iter().flatten();
        std::iter::once((CLIENTS, &self.security)).chain(links.map(|(name, security)| (*name, security)))
    }

    /// Reads the files of a configuration.
    ///
    /// # Errors
    /// With the text for the user. Nothing has changed then.
    pub(crate) fn prepare(&self, settings: &Settings) -> Result<Prepared, String> {
        let Some(block) = &settings.tls else { return Ok(Prepared(None)) };
        self.build(block, settings.clients.allow_non_tls, Stapling::of(settings)).map(|built| Prepared(Some(built)))
    }

    fn build(&self, settings: &tls::Settings, optional: bool, stapling: Stapling) -> Result<(Block, Security), String> {
        // The stamps come before the files: what changes while they are read is seen at the next look.
        let watch = FileWatch::new(settings.files(), Stamp::of);
        let tls = ServerTls::build(settings, &|path: &Path| std::fs::read(path)).map_err(|error| error.to_string())?;
        let stapled = stapling.begin(&tls, &self.log)?;
        let rate = settings.connection_rate_limit.map(|most| Arc::new(HandshakeRate::new(most)));
        let check = Some(self.peer_check());
        let security = Security { tls: Arc::new(tls), first: settings.handshake_first, optional, rate, check };
        let block = Block { settings: settings.clone(), optional, stapling, watch, stapled, failure: None };
        Ok((block, security))
    }

    /// Uses what was prepared from now on.
    pub(crate) fn install(&self, prepared: Prepared) {
        let (block, security) = prepared.0.unzip();
        let mut state = self.state();
        if let Some(security) = &security {
            self.say_ends(&security.tls, Saying::All);
        }
        state.look_at_ends = now() + DAY;
        state.block = block;
        *self.security.write() = security;
    }

    /// The configuration has changed: what was prepared from it comes into use, and everybody is judged by it.
    pub(crate) fn reload(&self, settings: &Settings, prepared: Prepared, hub: &Hub) {
        self.answers.reconfigure(settings.ocsp_cache.clone().unwrap_or_default());
        self.install(prepared);
        self.judge_peers(hub);
    }

    /// Closes whoever would not be let in now.
    fn judge_peers(&self, hub: &Hub) {
        let Some(security) = self.security.read().clone() else { return };
        let now = now();
        for (key, fault) in self
            .peers
            .judge(|by, chain| (*by == CameBy::Listener(DoorKind::Client)).then(|| security.tls.recheck(chain, now)))
        {
            let known = hub.connection(key.id).map(|registered| registered.link.address.to_string());
            let address = known.unwrap_or_default();
            self.log.error(&format!("{address} - cid:{} - TLS connection closed by reload: {fault}", key.id));
            hub.tell(key, Note::Close(key, CloseReason::TlsHandshakeFailure));
        }
    }

    /// Looks after files, answers and ends from now on, on a thread of its own. `revoked` is called when a certificate
    /// of ours is, and the configuration wants the server to stop then; `links` at each look, for what is theirs: whether one of theirs is.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn keep(
        self: &Arc<Self>,
        hub: &Arc<Hub>,
        revoked: impl Fn() + Send + 'static,
        links: impl Fn() -> bool + Send + 'static,
    ) -> std::io::Result<()> {
        let (own, hub) = (self.clone(), hub.clone());
        let thread = std::thread::Builder::new().name("certificates".into()).spawn(move || {
            while !own.stopping.load(Ordering::Relaxed) {
                own.look(&hub, &revoked);
                if links() {
                    revoked();
                }
                own.look_at_ends();
                std::thread::park_timeout(LOOK_EVERY);
            }
        })?;
        *self.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread.thread().clone());
        Ok(())
    }

    /// No more looks; what is remembered goes into its file.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(thread) = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take() {
            thread.unpark();
        }
        self.answers.save(true);
    }

    fn look(&self, hub: &Hub, revoked: &impl Fn()) {
        self.answers.save(false);
        if self.renew_files() {
            self.judge_peers(hub);
        }
        let mut state = self.state();
        let Some(security) = self.security.read().clone() else { return };
        let Some(block) = &mut state.block else { return };
        if block.stapling.renew(&security.tls, &mut block.stapled, &self.log).is_err() {
            revoked();
        }
    }

    /// Once a day, what is about to end on any listener.
    fn look_at_ends(&self) {
        let mut state = self.state();
        if state.look_at_ends > now() {
            return;
        }
        state.look_at_ends = now() + DAY;
        for security in self.listeners().filter_map(|(_, security)| security.read().clone()) {
            self.say_ends(&security.tls, Saying::Near);
        }
    }

    /// Reads the files again if they changed; whether something new is in use.
    fn renew_files(&self) -> bool {
        let mut state = self.state();
        let Some(block) = &mut state.block else { return false };
        if block.watch.changed(Stamp::of).is_empty() {
            return false;
        }
        match self.build(&block.settings, block.optional, block.stapling.clone()) {
            Ok((renewed, mut security)) => {
                // A limit counts on, whoever renews what.
                security.rate = self.security.read().as_ref().and_then(|current| current.rate.clone());
                *block = renewed;
                const RENEWED: &str = "Certificate files have changed: the new ones are in use";
                self.log.notice(RENEWED);
                self.audit.note(&Record { what: RENEWED.to_owned(), ..Record::new(Class::Key, Outcome::Done) });
                self.say_ends(&security.tls, Saying::All);
                *self.security.write() = Some(security);
                true
            }
            Err(error) => {
                if block.failure.as_ref() != Some(&error) {
                    self.log
                        .error(&format!("Certificate files have changed and are not used, the old ones stay: {error}"));
                    block.failure = Some(error);
                }
                false
            }
        }
    }

    fn say_ends(&self, tls: &ServerTls, saying: Saying) {
        let now = now();
        for certificate in tls.certificates() {
            match end_of_certificate(certificate, now) {
                End::Near(text) => self.log.warn(&text),
                End::Far(text) if saying == Saying::All => self.log.notice(&text),
                End::Far(_) => {}
            }
        }
        for list in tls.revocation_lists() {
            match end_of_list(list, now) {
                End::Near(text) => self.log.warn(&text),
                End::Far(text) if saying == Saying::All => self.log.notice(&text),
                End::Far(_) => {}
            }
        }
    }

    /// A panic elsewhere must not end the watch.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Saying {
    All,
    Near,
}

enum End {
    Near(String),
    Far(String),
}

fn end_of_certificate(certificate: &CertificateInfo, now: i64) -> End {
    let (file, subject, days) = (certificate.file.display(), &certificate.subject, certificate.days_left(now));
    let what = format!("Certificate '{file}' ({subject})");
    if certificate.not_before > now {
        return End::Near(format!("{what} does not hold yet"));
    }
    match days {
        ..0 => End::Near(format!("{what} has expired")),
        0..FEW_DAYS => End::Near(format!("{what} expires in {days} days")),
        _ => End::Far(format!("{what} holds for {days} more days")),
    }
}

fn end_of_list(list: &ListInfo, now: i64) -> End {
    let what = format!("Revocation list '{}' of {} ({} revoked)", list.file.display(), list.issuer, list.revoked);
    match list.next_update.map(|next| (next, next.saturating_sub(now) / DAY)) {
        Some((next, _)) if next < now => End::Near(format!("{what} is past its time: nobody of this issuer is let in")),
        Some((_, 0)) => End::Near(format!("{what} must be renewed within a day")),
        Some((_, days)) => End::Far(format!("{what} holds for {days} more days")),
        None => End::Far(format!("{what} names no end")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(not_before: i64, not_after: i64) -> CertificateInfo {
        CertificateInfo {
            file: "c.pem".into(),
            subject: "CN=a".into(),
            dns_names: Vec::new(),
            not_before,
            not_after,
            must_staple: false,
            ocsp_urls: Vec::new(),
        }
    }

    fn text(end: End) -> (bool, String) {
        match end {
            End::Near(text) => (true, text),
            End::Far(text) => (false, text),
        }
    }

    #[test]
    fn the_days_that_a_certificate_has_left_are_said_and_few_are_a_warning() {
        let at = |days: i64| text(end_of_certificate(&certificate(0, days * DAY), DAY));
        assert_eq!(at(32), (false, "Certificate 'c.pem' (CN=a) holds for 31 more days".into()));
        assert_eq!(at(30), (true, "Certificate 'c.pem' (CN=a) expires in 29 days".into()));
        assert_eq!(at(0), (true, "Certificate 'c.pem' (CN=a) has expired".into()));
        let early = text(end_of_certificate(&certificate(2 * DAY, 9 * DAY), DAY));
        assert_eq!(early, (true, "Certificate 'c.pem' (CN=a) does not hold yet".into()));
    }

    #[test]
    fn a_list_past_its_time_is_a_warning() {
        let list = |next_update| ListInfo { file: "r.crl".into(), issuer: "CN=ca".into(), next_update, revoked: 2 };
        assert!(text(end_of_list(&list(Some(DAY - 1)), DAY)).0);
        assert!(text(end_of_list(&list(Some(DAY + 5)), DAY)).0);
        assert!(!text(end_of_list(&list(Some(9 * DAY)), DAY)).0);
        assert!(!text(end_of_list(&list(None), DAY)).0);
    }
}
