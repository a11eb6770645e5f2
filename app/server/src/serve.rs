//! The life of a server: start, reload, lame duck, shutdown.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use broker::{ConnectionKey, Hub, Note};
use config::{Loaded, Settings};
use net::{Listener, LoginPool, LoginPoolLimits, Running, Security, SharedSecurity, Workers};
use session::Greeting;
use wire::CloseReason;

use crate::accounts::Accounts;
use crate::chronicle::Chronicle;
use crate::compose;
use crate::gate::ConnectionGate;
use crate::identity::{self, OWN_VERSION, REFERENCE_VERSION, ServerKeys};
use crate::log::Log;
use crate::monitoring::Monitoring;
use crate::process_files::{Ports, PortsFile, write_pid};
use crate::system::{self, SystemRandom};

/// Closing clients one by one takes at most this long for each.
const CLOSE_STEP_MAX: Duration = Duration::from_secs(1);

/// How often a lame duck looks whether everybody has left.
const LAME_DUCK_LOOK: Duration = Duration::from_millis(100);

/// A running server.
pub struct Server {
    log: Arc<Log>,
    hub: Arc<Hub>,
    pool: Arc<LoginPool>,
    accounts: Arc<Accounts>,
    address: SocketAddr,
    greeting: Greeting,
    security: SharedSecurity,
    monitoring: Monitoring,
    state: Mutex<State>,
}

struct State {
    settings: Settings,
    running: Option<Running>,
    ports_file: Option<PortsFile>,
    lame_duck: bool,
}

impl Server {
    /// Starts a server.
    ///
    /// # Errors
    /// With the text for the user: what could not be had, and where.
    pub fn start(loaded: &Loaded, log: Arc<Log>) -> Result<Arc<Self>, String> {
        let settings = &loaded.settings;
        let keys = ServerKeys::generate();
        let greeting = identity::greeting(&keys, settings.identity.server_name.as_deref());
        let accounts = Arc::new(Accounts::new(log.clone()));
        let directory = accounts.directory(settings)?;
        introduce(&log, loaded, &greeting);
        if let Some(path) = &settings.files.pid_file {
            write_pid(path).map_err(|error| format!("Could not write pidfile: {}: {error}", path.display()))?;
        }
        let security = SharedSecurity::default();
        *security.write() = build_security(settings)?;
        let gate = Arc::new(ConnectionGate::default());
        let listener = listen(settings, gate.clone(), security.clone())?;
        let address = listener.address().map_err(|error| error.to_string())?;
        let workers = Workers::prepare(system::cores(), Instant::now()).map_err(|error| error.to_string())?;
        let pool = LoginPool::start(LoginPoolLimits::default(), workers.mailboxes(), accounts.clone());
        let pool = Arc::new(pool.map_err(|error| format!("cannot start the login threads: {error}"))?);
        let clients = compose::client_settings(settings, &directory, &greeting, address);
        let hub = Hub::new(
            workers.mailboxes(),
            directory,
            clients,
            Arc::new(Chronicle(log.clone())),
            pool.clone(),
            Arc::new(SystemRandom),
            system::random_u64(),
        );
        let monitoring = Monitoring::start(loaded, &hub, &log)?;
        gate.open(&hub);
        let running = workers.start(&hub, Some(listener), &pool, system::random_u64());
        let running = running.map_err(|error| error.to_string())?;
        let state = State { settings: settings.clone(), running: Some(running), ports_file: None, lame_duck: false };
        let server = Arc::new(Self {
            log,
            hub,
            pool,
            accounts,
            address,
            greeting,
            security,
            monitoring,
            state: Mutex::new(state),
        });
        server.announce_listening()?;
        Ok(server)
    }

    fn announce_listening(&self) -> Result<(), String> {
        let mut state = self.state();
        let settings = &state.settings;
        self.log.notice(&format!("Listening for client connections on {}", shown(settings, self.address)));
        if settings.tls.is_some() {
            let how = if settings.clients.allow_non_tls { "available" } else { "required" };
            self.log.notice(&format!("TLS {how} for client connections"));
        }
        self.log.notice("Server is ready");
        let folder = settings.files.ports_file_dir.clone();
        state.ports_file = folder.map(|folder| self.write_ports(&folder)).transpose()?;
        Ok(())
    }

    fn write_ports(&self, folder: &Path) -> Result<PortsFile, String> {
        let scheme = if self.security.read().is_some() { "tls" } else { "nats" };
        let monitoring = self.monitoring.ports();
        let ports = Ports { nats: vec![(scheme, self.address)], monitoring, ..Ports::default() };
        PortsFile::write(folder, &ports)
            .map_err(|error| format!("Could not write the ports file into {}: {error}", folder.display()))
    }

    /// Goes on with another configuration: all of it, or nothing.
    pub fn reload(&self, loaded: &Loaded) {
        match self.try_reload(loaded) {
            Ok(lines) => {
                for line in lines {
                    self.log.notice(&line);
                }
                self.log.notice(&format!("Reloaded server configuration{}", digest(loaded)));
            }
            Err(error) => self.reload_failed(&error),
        }
    }

    /// The configuration could not even be read.
    pub fn reload_failed(&self, error: &str) {
        self.log.error(&format!("Failed to reload server configuration: {error}"));
    }

    fn try_reload(&self, loaded: &Loaded) -> Result<Vec<String>, String> {
        let mut state = self.state();
        let changes = config::diff(&state.settings, &loaded.settings);
        let changes = config::all_live(changes).map_err(|refused| refused.to_string())?;
        let settings = &loaded.settings;
        let security = build_security(settings)?;
        let directory = self.accounts.directory(settings)?;
        self.log.reconfigure(compose::log_settings(settings)).map_err(|error| error.to_string())?;
        if let Some(path) =
            settings.files.pid_file.as_ref().filter(|path| state.settings.files.pid_file.as_ref() != Some(path))
        {
            write_pid(path).map_err(|error| format!("Could not write pidfile: {}: {error}", path.display()))?;
        }
        let clients = compose::client_settings(settings, &directory, &self.greeting, self.address);
        let most = settings.limits.max_connections;
        *self.security.write() = security;
        self.hub.reconfigure(directory, clients);
        self.monitoring.reloaded(loaded, &self.hub);
        state.settings = settings.clone();
        drop(state);
        self.close_surplus(most);
        Ok(changes.into_iter().map(|change| change.line).collect())
    }

    /// A lower limit of connections closes those beyond it.
    fn close_surplus(&self, most: usize) {
        let all = self.hub.connections();
        let surplus = all.len().saturating_sub(most);
        for registered in all.iter().rev().take(surplus) {
            let key = registered.link.key;
            self.hub.tell(
                key,
                Note::Do(
                    key,
                    Box::new(|hands| {
                        hands.send(&wire::encode::err("maximum connections exceeded"));
                        broker::Step::Close(CloseReason::MaxConnectionsExceeded)
                    }),
                ),
            );
        }
        if surplus > 0 {
            self.log.notice(&format!("Closed {surplus} connections to fall within max_connections"));
        }
    }

    /// Stops politely: clients are told, then closed one by one. Returns when that is done.
    pub fn lame_duck(&self) {
        let mut state = self.state();
        if std::mem::replace(&mut state.lame_duck, true) {
            return;
        }
        let times = state.settings.lame_duck;
        self.log.notice("Entering lame duck mode, stop accepting new clients");
        if let Some(running) = &state.running {
            running.stop_listening();
        }
        drop(state);
        if self.hub.client_counts().0 == 0 {
            return;
        }
        self.hub.announce(|greeting| {
            greeting.ldm = true;
            greeting.connect_urls.clear();
        });
        if self.all_left_within(times.grace_period) {
            return;
        }
        self.log.notice("Closing existing clients");
        let rest = times.duration.saturating_sub(times.grace_period).max(CLOSE_STEP_MAX);
        self.close_one_by_one(rest);
    }

    /// Whether a lame duck is on its way out.
    pub fn is_lame_duck(&self) -> bool {
        self.state().lame_duck
    }

    fn all_left_within(&self, grace: Duration) -> bool {
        let until = Instant::now() + grace;
        while Instant::now() < until {
            if self.hub.client_counts().0 == 0 {
                return true;
            }
            std::thread::sleep(LAME_DUCK_LOOK.min(until.saturating_duration_since(Instant::now())));
        }
        self.hub.client_counts().0 == 0
    }

    fn close_one_by_one(&self, rest: Duration) {
        let keys: Vec<ConnectionKey> = self.hub.connections().iter().map(|registered| registered.link.key).collect();
        let step = (rest / u32::try_from(keys.len().max(1)).unwrap_or(u32::MAX)).min(CLOSE_STEP_MAX);
        for key in keys {
            self.hub.tell(key, Note::Close(key, CloseReason::ServerShutdown));
            // Between half and the whole of the step, so that clients do not come back all at the same beat.
            let half = step / 2;
            let chance = system::random_u64() % (half.as_nanos() as u64 + 1);
            std::thread::sleep(half + Duration::from_nanos(chance));
        }
    }

    /// Opens the log file again.
    pub fn reopen_log(&self) {
        self.log.reopen();
    }

    /// Closes everything.
    pub fn stop(&self) {
        let mut state = self.state();
        self.log.notice("Initiating Shutdown...");
        let running = state.running.take();
        state.ports_file = None;
        drop(state);
        if let Some(running) = running {
            running.stop();
        }
        self.monitoring.stop();
        self.log.notice("Server Exiting..");
        let _ = &self.pool;
    }

    /// A panic elsewhere must not keep the server from stopping.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn build_security(settings: &Settings) -> Result<Option<Security>, String> {
    let Some(block) = &settings.tls else { return Ok(None) };
    let read = |path: &std::path::Path| std::fs::read(path);
    let tls = tls::ServerTls::build(block, &read).map_err(|error| error.to_string())?;
    let rate = block.connection_rate_limit.map(|most| Arc::new(net::HandshakeRate::new(most)));
    let optional = settings.clients.allow_non_tls;
    Ok(Some(Security { tls: Arc::new(tls), first: block.handshake_first, optional, rate }))
}

fn listen(settings: &Settings, gate: Arc<ConnectionGate>, security: SharedSecurity) -> Result<Listener, String> {
    let host = &settings.clients.host;
    let port = settings.clients.port.number();
    Listener::bind(host, port, gate, security)
        .map_err(|error| format!("Error listening on port: {host}:{port}, \"{error}\"; another server may have it"))
}

/// The address as the log has it.
fn shown(settings: &Settings, at: SocketAddr) -> String {
    format!("{}:{}", settings.clients.host, at.port())
}

fn digest(loaded: &Loaded) -> String {
    loaded.digest.as_ref().map(|digest| format!(" ({digest})")).unwrap_or_default()
}

/// The first lines of the log.
fn introduce(log: &Log, loaded: &Loaded, greeting: &Greeting) {
    log.notice("Starting nats-server");
    log.notice(&format!("  Version:  {REFERENCE_VERSION}"));
    log.notice(&format!("  Bulwark:  {OWN_VERSION}"));
    let commit = if greeting.git_commit.is_empty() { "not set" } else { &greeting.git_commit };
    log.notice(&format!("  Git:      [{commit}]"));
    log.debug(&format!("  Compiler: {}", greeting.go));
    log.notice(&format!("  Name:     {}", greeting.server_name));
    log.notice(&format!("  ID:       {}", greeting.server_id));
    for advice in loaded.settings.advice() {
        log.warn(&advice);
    }
    if let Some(file) = &loaded.config_file {
        log.notice(&format!("Using configuration file: {file}{}", digest(loaded)));
    }
    for line in &loaded.notices {
        log.notice(line);
    }
}
