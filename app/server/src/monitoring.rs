//! The HTTP monitor: when there is one, what it is told of the whole server, and who is warned.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use api::monitoring::healthz::HealthError;
use api::monitoring::options::{HealthzOptions, JszOptions};
use api::monitoring::{Jsz, JszAccount, LinksVarz, OcspCacheVarz, Trustz};
use auth::{Admission, Attempt, ConnectionKind};
use broker::Hub;
use config::Loaded;
use moment::Timestamp;
use monitor::{
    AccountPortrait, Busy, Monitor, MonitorSettings, Observatory, Portrait, ServerFacts, SharedTls, TraceTotals,
};
use secret::Secret;

use crate::certificates::{CLIENTS, Certificates};
use crate::claims_facts;
use crate::jetstream::JetStream;
use crate::link_facts;
use crate::links::{CLUSTER, GATEWAY, Links, WEBSOCKET};
use crate::log::Log;
use crate::system_account::ban_details;
use crate::tracing::Tracing;
use crate::trust::Trust;

/// How long a TLS handshake may take where nothing is said.
const TLS_TIMEOUT: Duration = Duration::from_secs(2);

/// The monitor of a server, if it has one.
pub(crate) struct Monitoring {
    facts: Arc<Facts>,
    observatory: Arc<Observatory>,
    monitor: Option<Monitor>,
    tls: Option<SharedTls>,
}

/// What the monitor asks.
struct Facts {
    log: Arc<Log>,
    certificates: Arc<Certificates>,
    hub: Arc<Hub>,
    asks_who: AtomicBool,
    /// The issuers of certificates are asked about them.
    asks_issuers: AtomicBool,
    trust: Arc<Trust>,
    portrait: Mutex<Portrait>,
    jetstream: OnceLock<Arc<JetStream>>,
    /// Where links come in.
    links: OnceLock<Vec<(&'static str, u16)>>,
    tracing: OnceLock<Arc<Tracing>>,
}

impl Facts {
    /// What is configured, with the ports that were given and the ends of the certificates in use.
    fn links(&self, mut links: LinksVarz) -> LinksVarz {
        for (name, port) in self.links.get().into_iter().flatten() {
            let ends = self.certificates.not_after(name).map(|time| time.to_string());
            match *name {
                CLUSTER => (links.cluster.cluster_port, links.cluster.tls_cert_not_after) = (Some(*port), ends),
                GATEWAY => (links.gateway.port, links.gateway.tls_cert_not_after) = (Some(*port), ends),
                WEBSOCKET => (links.websocket.port, links.websocket.tls_cert_not_after) = (Some(*port), ends),
                _ => (links.leaf.port, links.leaf.tls_cert_not_after) = (Some(*port), ends),
            }
        }
        links
    }
}

impl ServerFacts for Facts {
    fn portrait(&self) -> Portrait {
        let known = self.portrait.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Portrait { tls_cert_not_after: self.certificates.not_after(CLIENTS), links: self.links(known.links), ..known }
    }

    fn asks_who(&self) -> bool {
        self.asks_who.load(Ordering::Relaxed)
    }

    /// The users of the system account may look: they are judged like a login of a client.
    fn admits(&self, user: &str, password: &str, from: IpAddr) -> bool {
        let from = from.to_canonical();
        let mut attempt = Attempt { address: Some(from), ..Attempt::silent(ConnectionKind::Standard) };
        attempt.credentials.user = Some(user.to_owned());
        attempt.credentials.password = Some(Secret::new(password.to_owned()));
        let verdict = auth::authenticate(&self.hub.directory(), &attempt, now());
        let bans = self.hub.bans();
        let is_welcome =
            |admission: &Admission| bans.on_admission(from, admission, now()).inspect(|ban| ban.count()).is_none();
        verdict.admitted().is_some_and(|admission| admission.account.system && is_welcome(&admission))
    }

    fn trust(&self) -> Trustz {
        self.trust.document(self.certificates.details(), ban_details(&self.hub.bans(), now()))
    }

    fn streams(&self, wish: &JszOptions) -> Result<Option<Jsz>, Busy> {
        self.jetstream.get().map_or(Ok(None), |jetstream| jetstream.shown(wish))
    }

    fn streams_of(&self, account: &str, wish: &JszOptions) -> Result<Option<JszAccount>, Busy> {
        self.jetstream.get().map_or(Ok(None), |jetstream| jetstream.shown_account(account, wish))
    }

    fn has_streams(&self, account: &str) -> Option<bool> {
        self.jetstream.get()?.serves(account)
    }

    fn stream_troubles(&self, wish: &HealthzOptions) -> Vec<(u16, HealthError)> {
        self.jetstream.get().map_or_else(Vec::new, |jetstream| jetstream.troubles(wish))
    }

    fn account(&self, account: &str) -> Option<AccountPortrait> {
        let directory = self.hub.directory();
        let key = directory.account(account)?.nkey?;
        directory.claims_of(&key).map(|trusted| claims_facts::account(trusted, now()))
    }

    fn ocsp_peer_cache(&self) -> Option<OcspCacheVarz> {
        self.asks_issuers.load(Ordering::Relaxed).then(|| self.certificates.peer_answers().counts()).flatten()
    }

    fn pinned_account_fails(&self) -> u64 {
        self.trust.pinned_account_fails()
    }

    fn traces(&self) -> Option<TraceTotals> {
        self.tracing.get().map(|tracing| tracing.totals())
    }

    fn warn(&self, text: &str) {
        self.log.warn(text);
    }
}

impl Monitoring {
    /// Starts the monitor, if the configuration has a port for it.
    ///
    /// # Errors
    /// With the text for the user, if the port cannot be had.
    pub(crate) fn start(
        loaded: &Loaded,
        hub: &Arc<Hub>,
        certificates: &Arc<Certificates>,
        trust: &Arc<Trust>,
        log: &Arc<Log>,
    ) -> Result<Self, String> {
        let portrait = Mutex::new(portrait(loaded, hub, now()));
        let asks_who = AtomicBool::new(loaded.settings.monitoring.login);
        let (certificates, trust) = (certificates.clone(), trust.clone());
        let facts = Arc::new(Facts {
            log: log.clone(),
            hub: hub.clone(),
            certificates,
            asks_who,
            asks_issuers: AtomicBool::new(asks_issuers(&loaded.settings)),
            trust,
            portrait,
            jetstream: OnceLock::new(),
            links: OnceLock::new(),
            tracing: OnceLock::new(),
        });
        hub.ledger().keep_closed(loaded.settings.limits.max_closed_clients);
        let observatory = Observatory::new(hub.clone(), facts.clone());
        let tls = https(&loaded.settings)?.map(|tls| Arc::new(RwLock::new(tls)));
        let monitor = listen(loaded, &observatory, tls.clone(), log).transpose();
        let monitor = monitor.map_err(|error| format!("Can't start monitoring: {error}"))?;
        Ok(Self { facts, observatory, monitor, tls })
    }

    /// From now on the documents say what streams there are.
    pub(crate) fn tell(&self, jetstream: &Arc<JetStream>) {
        self.facts.jetstream.get_or_init(|| jetstream.clone());
    }

    /// From now on the documents say where links come in, and how long their certificates hold.
    pub(crate) fn tell_of(&self, links: &Links) {
        let listeners = links.listeners();
        self.facts.links.get_or_init(|| listeners.iter().map(|(name, port, _)| (*name, *port)).collect());
        self.facts.certificates.tell_of(listeners.into_iter().map(|(name, _, security)| (name, security)).collect());
    }

    /// From now on the metrics say what became of traces.
    pub(crate) fn tell_traces(&self, tracing: &Arc<Tracing>) {
        self.facts.tracing.get_or_init(|| tracing.clone());
    }

    /// The documents, for the system account's services.
    pub(crate) fn observatory(&self) -> &Arc<Observatory> {
        &self.observatory
    }

    /// The configuration has changed. `tls` was made for it with [`https`].
    pub(crate) fn reloaded(&self, loaded: &Loaded, hub: &Hub, tls: Option<Arc<tls::ServerTls>>) {
        if let (Some(shared), Some(tls)) = (&self.tls, tls) {
            *shared.write().unwrap_or_else(PoisonError::into_inner) = tls;
        }
        self.facts.asks_who.store(loaded.settings.monitoring.login, Ordering::Relaxed);
        self.facts.asks_issuers.store(asks_issuers(&loaded.settings), Ordering::Relaxed);
        hub.ledger().keep_closed(loaded.settings.limits.max_closed_clients);
        let mut known = self.facts.portrait.lock().unwrap_or_else(PoisonError::into_inner);
        *known = portrait(loaded, hub, known.start);
    }

    /// Where the monitor listens, for the ports file.
    pub(crate) fn ports(&self) -> Vec<(&'static str, SocketAddr)> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        self.monitor.iter().map(|monitor| (scheme, monitor.address())).collect()
    }

    /// Stops it.
    pub(crate) fn stop(&self) {
        if let Some(monitor) = &self.monitor {
            monitor.stop();
        }
    }
}

fn listen(
    loaded: &Loaded,
    observatory: &Arc<Observatory>,
    tls: Option<SharedTls>,
    log: &Log,
) -> Option<Result<Monitor, monitor::MonitorError>> {
    let config::Settings { monitoring, clients, .. } = &loaded.settings;
    let host = monitoring.host.clone().unwrap_or_else(|| clients.host.clone());
    let settings = MonitorSettings {
        host: host.clone(),
        port: monitoring.http_port.or(monitoring.https_port)?.number(),
        base_path: monitoring.base_path.clone(),
        ..MonitorSettings::default()
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let started = Monitor::start(settings, observatory.clone(), tls);
    Some(started.inspect(|monitor| announce(log, scheme, &host, monitor.address(), monitoring.login)))
}

fn announce(log: &Log, scheme: &str, host: &str, at: SocketAddr, asks_who: bool) {
    log.notice(&format!("Starting {scheme} monitor on {host}:{}", at.port()));
    let is_near = at.ip().to_canonical().is_loopback();
    if !is_near && !asks_who {
        log.warn(&format!(
            "The {scheme} monitor can be reached from other hosts and asks nobody who they are; keep its port inside, or set http_login"
        ));
    } else if !is_near && scheme == "http" {
        log.warn("Visitors of the http monitor log in over connections that others may read; use https_port");
    }
}

/// The TLS of the monitor, if it is to speak it: that of the client listener, without a look at visitors' certificates.
///
/// # Errors
/// With the text for the user, if the files cannot be used.
pub(crate) fn https(settings: &config::Settings) -> Result<Option<Arc<tls::ServerTls>>, String> {
    let (Some(_), Some(block)) = (settings.monitoring.https_port, &settings.tls) else { return Ok(None) };
    let block = tls::Settings {
        verify: false,
        verify_and_map: false,
        verify_cert_and_check_known_urls: false,
        ocsp_peer: None,
        pinned_certs: tls::PinnedCerts::default(),
        ..block.clone()
    };
    let read = |path: &std::path::Path| std::fs::read(path);
    tls::ServerTls::build(&block, &read).map(|tls| Some(Arc::new(tls))).map_err(|error| error.to_string())
}

fn portrait(loaded: &Loaded, hub: &Hub, start: Timestamp) -> Portrait {
    let settings = &loaded.settings;
    let system = || hub.directory().accounts().system().name.to_string();
    Portrait {
        start,
        config_load_time: now(),
        config_digest: loaded.digest.clone().unwrap_or_default(),
        auth_timeout: settings.auth.authorization.timeout.unwrap_or_default(),
        tls_timeout: settings.tls.as_ref().map_or(TLS_TIMEOUT, |tls| tls.timeout),
        write_timeout: settings.limits.write_timeout.chosen(),
        system_account: (!settings.no_system_account).then(system),
        tls_cert_not_after: None,
        links: link_facts::links(settings),
        tls_ocsp_peer_verify: settings.tls.as_ref().is_some_and(|tls| tls.ocsp_peer.is_some()),
        operators: claims_facts::operators(settings),
        proxies: settings.auth.trusted_proxies.clone(),
    }
}

/// Whether the issuers of any peer's certificate are asked about it.
fn asks_issuers(settings: &config::Settings) -> bool {
    let leafnodes = settings.leafnodes.as_ref();
    let gateway = settings.gateway.as_ref();
    let leaf_remotes = leafnodes.into_iter().flat_map(|block| &block.remotes).map(|remote| remote.tls.as_ref());
    let gateway_remotes = gateway.into_iter().flat_map(|block| &block.remotes).map(|remote| remote.tls.as_ref());
    let listeners = [
        settings.websocket.as_ref().and_then(|block| block.tls.as_ref()),
        settings.tls.as_ref(),
        settings.cluster.tls.as_ref(),
        gateway.and_then(|block| block.tls.as_ref()),
        leafnodes.and_then(|block| block.tls.as_ref()),
    ];
    let mut all = listeners.into_iter().chain(leaf_remotes).chain(gateway_remotes).flatten();
    all.any(|tls| tls.ocsp_peer.is_some())
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
