//! The life of a server: start, reload, lame duck, shutdown.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use audit::{Class, Outcome, Record};
use broker::{ConnectionKey, Hub, Note};
use config::{Loaded, Settings};
use net::{DoorKind, Listener, LoginPool, LoginPoolLimits, Running, Security, SharedSecurity, Workers};
use session::Greeting;
use wire::CloseReason;

use crate::accounts::Accounts;
use crate::audit::Auditor;
use crate::callout::Callouts;
use crate::certificates::Certificates;
use crate::chronicle::Chronicle;
use crate::compose;
use crate::counsel::House;
use crate::gate::ConnectionGate;
use crate::identity::{self, OWN_VERSION, REFERENCE_VERSION, ServerKeys};
use crate::jetstream::{self, JetStream};
use crate::links::Links;
use crate::log::Log;
use crate::monitoring::Monitoring;
use crate::process_files::{Ports, PortsFile, write_pid};
use crate::system::{self, SystemRandom};
use crate::system_account::{Control, News, SystemAccount};
use crate::tracing::Tracing;
use crate::trust::Trust;

/// Closing clients one by one takes at most this long for each.
const CLOSE_STEP_MAX: Duration = Duration::from_secs(1);

/// Workers have so long to judge their connections again before somebody is told.
const REVIEW_TIME_MAX: Duration = Duration::from_secs(5);

/// Without a file there is nothing to read again.
const NO_FILE: &str = "can only reload config when a file is provided using -c or --config";

/// How often a lame duck looks whether everybody has left.
const LAME_DUCK_LOOK: Duration = Duration::from_millis(100);

/// How the configuration is read again.
pub type Reader = Box<dyn Fn() -> Result<Loaded, String> + Send + Sync>;

/// A running server.
pub struct Server {
    reader: Reader,
    log: Arc<Log>,
    audit: Arc<Auditor>,
    hub: Arc<Hub>,
    pool: Arc<LoginPool>,
    accounts: Arc<Accounts>,
    callouts: Arc<Callouts>,
    jetstream: Arc<JetStream>,
    address: SocketAddr,
    greeting: Greeting,
    certificates: Arc<Certificates>,
    monitoring: Monitoring,
    tracing: Arc<Tracing>,
    system: Mutex<Option<SystemAccount>>,
    links: Links,
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
    pub fn start(loaded: Loaded, log: Arc<Log>, reader: Reader) -> Result<Arc<Self>, String> {
        let settings = &loaded.settings;
        let keys = ServerKeys::generate();
        let mut greeting = identity::greeting(&keys, settings.identity.server_name.as_deref());
        jetstream::introduce(&mut greeting, settings);
        log.introduce(&greeting.server_name, &greeting.server_id);
        let accounts = Arc::new(Accounts::new(log.clone()));
        let directory = accounts.prepare(settings)?.install(|directory| directory);
        introduce(&log, &loaded, &greeting);
        if let Some(path) = &settings.files.pid_file {
            write_pid(path).map_err(|error| format!("Could not write pidfile: {}: {error}", path.display()))?;
        }
        let trust = Arc::new(Trust::default());
        let audit = Auditor::start(settings.audit.as_ref(), &log)?;
        accounts.record_in(&audit);
        let start = Instant::now();
        let workers = Workers::prepare(system::cores(), start).map_err(|error| error.to_string())?;
        let certificates = Certificates::new(settings, workers.peers(), &log, &audit);
        certificates.install(certificates.prepare(settings)?);
        let gate = Arc::new(ConnectionGate::default());
        let listener = listen(settings, gate.clone(), certificates.security())?;
        let (links, mut listeners) =
            Links::bind(settings, &greeting, certificates.peer_check(), workers.peers(), &log)?;
        greeting.cluster = links.cluster_name().map(str::to_owned);
        let address = listener.address().map_err(|error| error.to_string())?;
        let callouts = Arc::new(Callouts::new(&keys, &greeting, settings));
        let house = Arc::new(House { accounts: accounts.clone(), callouts: callouts.clone() });
        let pool = LoginPool::start(
            LoginPoolLimits::for_cores(system::cores()),
            workers.mailboxes(),
            house,
            Arc::new(SystemRandom),
        );
        let pool = Arc::new(pool.map_err(|error| format!("cannot start the login threads: {error}"))?);
        let clients = compose::client_settings(settings, &directory, &greeting, (address, links.websocket()));
        let news = (!settings.no_system_account).then(News::new);
        if let Some(news) = &news {
            certificates.tell(news.desk());
        }
        let hub = Hub::new(
            workers.mailboxes(),
            directory,
            clients,
            Arc::new(Chronicle {
                log: log.clone(),
                audit: audit.clone(),
                trust: trust.clone(),
                news: news.as_ref().map(News::desk),
            }),
            pool.clone(),
            Arc::new(SystemRandom),
            system::random_u64(),
        );
        callouts.join(&hub, &pool);
        accounts.join(&hub, &pool)?;
        audit.publish_through(&hub);
        let monitoring = Monitoring::start(&loaded, &hub, &certificates, &trust, &log)?;
        let jetstream = JetStream::start(settings, &hub, &log, &audit, &greeting.server_name, start)?;
        accounts.tell(&jetstream);
        monitoring.tell(&jetstream);
        monitoring.tell_of(&links);
        let tracing = Tracing::start(settings.tracing.as_ref(), &greeting, &hub, &log)?;
        monitoring.tell_traces(&tracing);
        gate.open(&hub);
        listeners.insert(0, listener);
        let running = workers.start(&hub, listeners, &pool, system::random_u64());
        let running = running.map_err(|error| error.to_string())?;
        links.start(settings, &hub, &running)?;
        let state = State {
            settings: loaded.settings.remembered(),
            running: Some(running),
            ports_file: None,
            lame_duck: false,
        };
        let server = Arc::new(Self {
            reader,
            log,
            audit,
            hub,
            pool,
            accounts,
            callouts,
            jetstream,
            address,
            greeting,
            certificates,
            monitoring,
            tracing,
            system: Mutex::new(None),
            links,
            state: Mutex::new(state),
        });
        memory::give_back();
        if let Some(news) = news {
            server.open_system_account(news).map_err(|error| error.to_string())?;
        }
        server.announce_listening()?;
        Ok(server)
    }

    fn open_system_account(self: &Arc<Self>, news: News) -> std::io::Result<()> {
        let control = Arc::new(ByRequest(Arc::downgrade(self)));
        let account =
            SystemAccount::open(&self.hub, self.monitoring.observatory(), news, control, &self.audit, &self.log)?;
        *self.system.lock().unwrap_or_else(PoisonError::into_inner) = Some(account);
        Ok(())
    }

    /// Tells the system account something, if there is one.
    fn tell_system(&self, tell: impl FnOnce(&SystemAccount)) {
        if let Some(account) = &*self.system.lock().unwrap_or_else(PoisonError::into_inner) {
            tell(account);
        }
    }

    fn announce_listening(&self) -> Result<(), String> {
        let mut state = self.state();
        let settings = &state.settings;
        self.log.notice(&format!("Listening for client connections on {}", shown(settings, self.address)));
        if settings.clients.proxy_protocol {
            self.log.notice("PROXY protocol enabled for client connections");
        }
        if settings.tls.is_some() {
            let how = if settings.clients.allow_non_tls { "available" } else { "required" };
            self.log.notice(&format!("TLS {how} for client connections"));
        }
        self.links.announce(settings);
        self.log.notice("Server is ready");
        let folder = settings.files.ports_file_dir.clone();
        state.ports_file = folder.map(|folder| self.write_ports(&folder)).transpose()?;
        Ok(())
    }

    fn write_ports(&self, folder: &Path) -> Result<PortsFile, String> {
        let scheme = if self.certificates.security().read().is_some() { "tls" } else { "nats" };
        let monitoring = self.monitoring.ports();
        let (leafnodes, cluster) = (self.links.leaf_ports(), self.links.route_ports());
        let websocket = self.links.websocket_ports();
        let ports = Ports { nats: vec![(scheme, self.address)], monitoring, leafnodes, cluster, websocket };
        PortsFile::write(folder, &ports)
            .map_err(|error| format!("Could not write the ports file into {}: {error}", folder.display()))
    }

    /// Reads the configuration again and goes on with it: all of it, or nothing. The log and the system account are told
    /// what changed, or why nothing did.
    ///
    /// # Errors
    /// With what the log says.
    pub fn reload(&self) -> Result<(), String> {
        let reloaded = (self.reader)().and_then(|mut loaded| {
            if loaded.config_file.is_none() {
                return Err(NO_FILE.to_owned());
            }
            let lines = self.try_reload(&mut loaded)?;
            memory::give_back();
            Ok((lines, digest(&loaded)))
        });
        match reloaded {
            Ok((lines, digest)) => {
                self.audit.note(&reloaded_record(&lines));
                lines.iter().for_each(|line| self.log.notice(line));
                self.log.notice(&format!("Reloaded server configuration{digest}"));
                self.tell_system(|system| system.newsroom().reloaded(lines, None));
                Ok(())
            }
            Err(error) => {
                self.log.error(&format!("Failed to reload server configuration: {error}"));
                self.audit.note(&Record { rule: error.clone(), ..Record::new(Class::Reload, Outcome::Refused) });
                self.tell_system(|system| system.newsroom().reloaded(Vec::new(), Some(error.clone())));
                Err(error)
            }
        }
    }

    fn try_reload(&self, loaded: &mut Loaded) -> Result<Vec<String>, String> {
        let mut state = self.state();
        let changes = config::diff(&state.settings, &loaded.settings);
        let changes = config::all_live(changes).map_err(|refused| refused.to_string())?;
        let settings = &loaded.settings;
        let prepared = self.certificates.prepare(settings)?;
        let https = crate::monitoring::https(settings)?;
        let accounts = self.accounts.prepare(settings)?;
        let links = self.links.prepare(settings, &self.hub)?;
        let tracing = self.tracing.prepare(state.settings.tracing.as_ref(), settings.tracing.as_ref())?;
        // What changes something and may fail comes next, and is taken back if what follows fails: a refused reload has
        // changed nothing.
        let files = self.new_files(&state, settings)?;
        self.log.reconfigure(compose::log_settings(settings)).map_err(|error| error.to_string())?;
        let streams =
            self.jetstream.rekey(settings).and_then(|()| self.jetstream.begin(settings, accounts.directory()));
        if let Err(error) = streams {
            // The place it was written to before is there still.
            let _ = self.log.reconfigure(compose::log_settings(&state.settings));
            return Err(error);
        }
        files.keep(&mut state);
        // What the cluster is called now; a name that was made up may have been given up.
        let cluster = self.hub.settings().greeting.cluster.clone();
        let mut greeting = Greeting { cluster, ..self.greeting.clone() };
        jetstream::introduce(&mut greeting, settings);
        let clients =
            compose::client_settings(settings, accounts.directory(), &greeting, (self.address, self.links.websocket()));
        let most = settings.limits.max_connections;
        // Before the review of all connections, which asks who may come in.
        self.links.reload(&state.settings, settings, links, &self.hub);
        self.callouts.reloaded(&self.greeting, settings);
        let since = accounts.install(|directory| self.hub.reconfigure(directory, clients));
        self.callouts.remember(settings, since);
        self.accounts.reloaded();
        self.hub.tell_cluster_urls();
        self.certificates.reload(settings, prepared, &self.hub);
        if state.settings.audit != settings.audit {
            self.audit.reconfigure(settings.audit.as_ref());
        }
        self.tracing.install(tracing, &self.hub);
        self.jetstream.reload(settings);
        self.monitoring.reloaded(loaded, &self.hub, https);
        state.settings = std::mem::take(&mut loaded.settings).remembered();
        drop(state);
        self.close_surplus(most);
        self.all_reviewed();
        Ok(changes.into_iter().map(|change| change.line).collect())
    }

    /// The files of another configuration, where they are others than now.
    fn new_files(&self, state: &State, settings: &Settings) -> Result<NewFiles, String> {
        let (was, is) = (&state.settings.files, &settings.files);
        let mut files = NewFiles::default();
        if let Some(path) = is.pid_file.as_ref().filter(|_| was.pid_file != is.pid_file) {
            write_pid(path).map_err(|error| format!("Could not write pidfile: {}: {error}", path.display()))?;
            files.pid = Some(path.clone());
        }
        if was.ports_file_dir != is.ports_file_dir {
            files.ports = Some(is.ports_file_dir.as_deref().map(|folder| self.write_ports(folder)).transpose()?);
        }
        Ok(files)
    }

    /// Waits until every worker has judged its connections again: whoever hears that the configuration was reloaded may
    /// rely on it. Logins that take a hash or another server's word are judged a little later.
    fn all_reviewed(&self) {
        let (done, reviewed) = std::sync::mpsc::channel();
        let workers = self.hub.workers();
        let done: Arc<dyn Fn() + Send + Sync> = Arc::new(move || {
            // Nobody waits any more when the time was up.
            let _ = done.send(());
        });
        self.hub.when_done(&done);
        let until = Instant::now() + REVIEW_TIME_MAX;
        for _ in 0..workers {
            if reviewed.recv_timeout(until.saturating_duration_since(Instant::now())).is_err() {
                return self.log.warn("Some connections are still judged by the configuration before");
            }
        }
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
                        hands.send(&wire::encode::err(broker::TOO_MANY_CLIENTS));
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
        self.tell_system(|system| system.newsroom().lame_duck());
        self.hub.tell_cluster_lame_duck();
        if self.hub.client_counts().0 == 0 {
            return;
        }
        self.hub.announce(|settings| {
            settings.greeting.ldm = true;
            settings.greeting.connect_urls.clear();
            settings.websocket.iter_mut().for_each(|websocket| websocket.connect_urls.clear());
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

    /// Looks after the certificates from now on. `revoked` is called when one of ours is and the server is to stop then.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn keep_certificates(self: &Arc<Self>, revoked: impl Fn() + Send + 'static) -> std::io::Result<()> {
        let server = Arc::downgrade(self);
        let links = move || {
            let Some(server) = server.upgrade() else { return false };
            server.links.look(&server.state().settings, &server.hub);
            server.links.has_revoked()
        };
        self.certificates.keep(&self.hub, revoked, links)
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
        // Before the clients go: who waits for an acknowledgement still gets it.
        self.jetstream.stop();
        self.links.stop();
        // Last of all news comes that the server ends.
        let system = self.system.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(system) = system {
            system.close();
        }
        if let Some(running) = running {
            running.stop();
        }
        self.monitoring.stop();
        self.tracing.stop(&self.hub);
        self.certificates.stop();
        self.audit.stop();
        self.log.notice("Server Exiting..");
        let _ = &self.pool;
    }

    /// A panic elsewhere must not keep the server from stopping.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Files written for a configuration that does not hold yet; removed unless it comes to hold.
#[derive(Default)]
struct NewFiles {
    pid: Option<std::path::PathBuf>,
    /// The ports file that replaces the present one, which may be none.
    ports: Option<Option<PortsFile>>,
}

impl NewFiles {
    fn keep(mut self, state: &mut State) {
        self.pid = None;
        if let Some(ports) = self.ports.take() {
            state.ports_file = ports;
        }
    }
}

impl Drop for NewFiles {
    fn drop(&mut self) {
        if let Some(path) = &self.pid {
            // Nothing can be done about a file that somebody removed before us.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// What the system account may ask of the server.
struct ByRequest(std::sync::Weak<Server>);

impl Control for ByRequest {
    fn reload(&self) -> Result<(), String> {
        let server = self.0.upgrade().ok_or("the server is shutting down")?;
        server.reload()
    }

    fn destroy_key(&self, account: &str) -> Result<u64, String> {
        let server = self.0.upgrade().ok_or("the server is shutting down")?;
        server.jetstream.destroy_key(account)
    }
}

/// The encryption of a listener for other servers. `check` asks the issuers of their certificates, where the block says so.
pub fn security_of(block: Option<&tls::Settings>, check: &Arc<dyn net::PeerCheck>) -> Result<Option<Security>, String> {
    let Some(block) = block else { return Ok(None) };
    let read = |path: &std::path::Path| std::fs::read(path);
    let tls = tls::ServerTls::build(block, &read).map_err(|error| error.to_string())?;
    let rate = block.connection_rate_limit.map(|most| Arc::new(net::HandshakeRate::new(most)));
    let (first, check) = (block.handshake_first, Some(check.clone()));
    Ok(Some(Security { tls: Arc::new(tls), first, optional: false, rate, check }))
}

/// What a reload changed, for the trail. The lines never hold a secret.
fn reloaded_record(lines: &[String]) -> Record {
    Record { what: lines.join("; "), ..Record::new(Class::Reload, Outcome::Done) }
}

fn listen(settings: &Settings, gate: Arc<ConnectionGate>, security: SharedSecurity) -> Result<Listener, String> {
    let host = &settings.clients.host;
    let port = settings.clients.port.number();
    let listener = Listener::bind(DoorKind::Client, host, port, gate, security)
        .map_err(|error| format!("Error listening on port: {host}:{port}, \"{error}\"; another server may have it"))?;
    Ok(if settings.clients.proxy_protocol { listener.behind_proxy() } else { listener })
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
