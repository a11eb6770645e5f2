//! The HTTP monitor: when there is one, what it is told of the whole server, and who is warned.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use broker::Hub;
use config::{Loaded, WriteTimeout};
use moment::Timestamp;
use monitor::{Monitor, MonitorSettings, Portrait, ServerFacts};

use crate::log::Log;

/// How long a TLS handshake may take where nothing is said.
const TLS_TIMEOUT: Duration = Duration::from_secs(2);

/// The monitor of a server, if it has one.
pub(crate) struct Monitoring {
    facts: Arc<Facts>,
    monitor: Option<Monitor>,
}

/// What the monitor asks.
struct Facts {
    log: Arc<Log>,
    portrait: Mutex<Portrait>,
}

impl ServerFacts for Facts {
    fn portrait(&self) -> Portrait {
        self.portrait.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
    pub(crate) fn start(loaded: &Loaded, hub: &Arc<Hub>, log: &Arc<Log>) -> Result<Self, String> {
        let portrait = Mutex::new(portrait(loaded, hub, now()));
        let facts = Arc::new(Facts { log: log.clone(), portrait });
        hub.ledger().keep_closed(loaded.settings.limits.max_closed_clients);
        let monitor = listen(loaded, hub, &facts, log).transpose();
        Ok(Self { facts, monitor: monitor.map_err(|error| format!("Can't start monitoring: {error}"))? })
    }

    /// The configuration has changed.
    pub(crate) fn reloaded(&self, loaded: &Loaded, hub: &Hub) {
        hub.ledger().keep_closed(loaded.settings.limits.max_closed_clients);
        let mut known = self.facts.portrait.lock().unwrap_or_else(PoisonError::into_inner);
        *known = portrait(loaded, hub, known.start);
    }

    /// Where the monitor listens, for the ports file.
    pub(crate) fn ports(&self) -> Vec<(&'static str, SocketAddr)> {
        self.monitor.iter().map(|monitor| ("http", monitor.address())).collect()
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
    hub: &Arc<Hub>,
    facts: &Arc<Facts>,
    log: &Log,
) -> Option<Result<Monitor, monitor::MonitorError>> {
    let config::Settings { monitoring, clients, .. } = &loaded.settings;
    let host = monitoring.host.clone().unwrap_or_else(|| clients.host.clone());
    let settings = MonitorSettings {
        host: host.clone(),
        port: monitoring.http_port?.number(),
        base_path: monitoring.base_path.clone(),
        ..MonitorSettings::default()
    };
    let started = Monitor::start(settings, hub.clone(), facts.clone());
    Some(started.inspect(|monitor| announce(log, &host, monitor.address())))
}

fn announce(log: &Log, host: &str, at: SocketAddr) {
    log.notice(&format!("Starting http monitor on {host}:{}", at.port()));
    if !at.ip().to_canonical().is_loopback() {
        log.warn("The http monitor can be reached from other hosts and asks nobody who they are; keep its port inside");
    }
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
        write_timeout: match settings.limits.write_timeout {
            WriteTimeout::Default => None,
            WriteTimeout::Close => Some("close"),
            WriteTimeout::Retry => Some("retry"),
        },
        system_account: (!settings.no_system_account).then(system),
        tls_cert_not_after: None,
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
