//! Links to other servers: their listeners, and the connections that this server makes and makes again.

mod gateways;
mod leafs;
mod papers;
mod remotes;
mod routes;
mod ways;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use account::AccountIds;
use auth::settings::AuthorizationSettings;
use auth::{Directory, KnownPeers};
use broker::{Domain, Hub, LinkSettings, LinkWrites, WriteRule};
use config::{HostPort, Port, Settings, SingleLogin, Url, WriteTimeout};
use net::{CameBy, DialerThreads, DoorKind, Listener, PeerCheck, Peers, Running, Security, SharedSecurity};
use session::Greeting;
use topology::{Compression, Info, Levels};

use crate::gate::StrangerGate;
use crate::log::Log;
use crate::serve::security_of;
use crate::websocket::WebSocketDoor;

use papers::{Papers, PreparedPapers};
use remotes::{PreparedRemotes, Remotes};

/// The protocol level that servers tell each other.
const SERVER_PROTO: i64 = 3;

/// What the listeners are called.
pub(crate) const CLUSTER: &str = "cluster";
pub(crate) const GATEWAY: &str = "gateway";
pub(crate) const LEAFNODES: &str = "leafnodes";
pub(crate) const WEBSOCKET: &str = "websocket";

/// Everything about links.
pub struct Links {
    log: Arc<Log>,
    greeting: Greeting,
    /// Asks the issuers of other servers' certificates.
    check: Arc<dyn PeerCheck>,
    remotes: Arc<Remotes>,
    papers: Papers,
    leafs: Option<Place>,
    routes: Option<Place>,
    gateways: Option<Place>,
    /// Where clients come in over WebSocket: its certificates are looked after like those of links.
    websocket: Option<WebSocketDoor>,
    /// The cluster's name where none is configured.
    made_up_name: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ids: AccountIds,
    dialing: Option<DialerThreads>,
}

/// The links of another configuration, before it counts.
pub struct PreparedLinks {
    papers: PreparedPapers,
    securities: Vec<(SharedSecurity, Option<Security>)>,
    settings: LinkSettings,
    remotes: PreparedRemotes,
}

/// Where something listens.
struct Place {
    address: SocketAddr,
    security: SharedSecurity,
    gate: Arc<StrangerGate>,
}

impl Links {
    /// Binds the listeners.
    ///
    /// # Errors
    /// With the text for the user.
    pub fn bind(
        settings: &Settings,
        greeting: &Greeting,
        check: Arc<dyn PeerCheck>,
        peers: Arc<Peers>,
        log: &Arc<Log>,
    ) -> Result<(Self, Vec<Listener>), String> {
        let made_up_name = routes::made_up_name();
        let greeting = Greeting { cluster: cluster_name(settings, &made_up_name), ..greeting.clone() };
        let papers = Papers::new(log.clone(), peers);
        papers.install(Papers::prepare(settings));
        let mut listeners = Vec::new();
        let mut leafs = None;
        if let Some(block) = &settings.leafnodes
            && let Some(port) = block.listen.port
        {
            let security = security_of(block.tls.as_ref(), &check)?;
            leafs = Some(listen("leafnode", DoorKind::Leaf, &block.listen.host, port, security, &mut listeners)?);
        }
        let mut routes = None;
        if let Some(port) = settings.cluster.listen.port {
            let security = routes::security(settings, &check)?;
            routes =
                Some(listen("route", DoorKind::Route, &settings.cluster.listen.host, port, security, &mut listeners)?);
        }
        let mut gateways = None;
        if let Some(block) = &settings.gateway
            && let Some(port) = block.listen.port
        {
            let security = gateways::security(block, &check)?;
            gateways = Some(listen("gateway", DoorKind::Gateway, &block.listen.host, port, security, &mut listeners)?);
        }
        let websocket = WebSocketDoor::open(settings, &check, log, &mut listeners)?;
        let links = Self {
            log: log.clone(),
            websocket,
            remotes: Arc::new(Remotes::new(log.clone(), greeting.clone(), check.clone())),
            greeting,
            papers,
            check,
            leafs,
            routes,
            gateways,
            made_up_name,
            state: Mutex::default(),
        };
        Ok((links, listeners))
    }

    /// Goes to the remotes, and lets those in who come.
    ///
    /// # Errors
    /// With the text for the user.
    pub fn start(&self, settings: &Settings, hub: &Arc<Hub>, running: &Running) -> Result<(), String> {
        hub.set_links(self.link_settings(settings, hub)?);
        hub.set_link_desk(self.remotes.clone());
        let dialer = running.dialer();
        let destinations: Arc<dyn net::Destinations> = self.remotes.clone();
        let threads = dialer.start(&destinations).map_err(|error| format!("cannot start the dialer: {error}"))?;
        self.state().dialing = Some(threads);
        self.remotes.start(settings, hub, dialer)?;
        for place in self.leafs.iter().chain(&self.routes).chain(&self.gateways) {
            place.gate.open(hub);
        }
        if let Some(door) = &self.websocket {
            door.gate.open(hub);
        }
        Ok(())
    }

    /// What the configuration says of links.
    fn link_settings(&self, settings: &Settings, hub: &Hub) -> Result<LinkSettings, String> {
        let mut state = self.state();
        let listening = match (&settings.leafnodes, &self.leafs) {
            (Some(block), Some(place)) => {
                let directory = leafs::directory(settings, &block.authorization, &mut state.ids)?;
                Some(Arc::new(leafs::listening(settings, block, &self.greeting, place.address, directory)?))
            }
            _ => None,
        };
        let routes = match &self.routes {
            Some(place) => {
                let cluster = &settings.cluster;
                let directory = server_login(&cluster.login, cluster.tls.as_ref(), &cluster.routes, &mut state.ids)?;
                let hub = hub.settings();
                // One that was made up may have been given up for that of another server.
                let current = || hub.greeting.cluster.clone().unwrap_or_else(|| self.made_up_name.clone());
                let configured = configured_name(settings);
                let is_made_up = configured.is_none();
                let name = routes::Name { name: configured.unwrap_or_else(current), is_made_up };
                Some(Arc::new(routes::settings(
                    settings,
                    &self.greeting,
                    &hub.greeting,
                    place.address,
                    name,
                    directory,
                    (self.gateway_url(settings), self.leafnode_urls(settings), self.websocket_urls(settings)),
                )?))
            }
            None => None,
        };
        let gateways = match (&settings.gateway, &self.gateways) {
            (Some(block), Some(place)) => {
                let urls = block.remotes.iter().flat_map(|remote| &remote.urls);
                let directory = server_login(&block.login, block.tls.as_ref(), urls, &mut state.ids)?;
                Some(Arc::new(gateways::settings(settings, block, &self.greeting, place.address, directory)))
            }
            _ => None,
        };
        let (domain, writes) = (domain(settings), writes(settings));
        Ok(LinkSettings { leafs: listening, routes, gateways, domain, writes, ..LinkSettings::default() })
    }

    /// What another configuration makes of links. Changes nothing.
    ///
    /// # Errors
    /// With the text for the user.
    pub fn prepare(&self, settings: &Settings, hub: &Hub) -> Result<PreparedLinks, String> {
        let papers = Papers::prepare(settings);
        let securities = self.securities(settings)?;
        let remotes = self.remotes.prepare(settings)?;
        Ok(PreparedLinks { papers, securities, settings: self.link_settings(settings, hub)?, remotes })
    }

    /// What the listeners ask for in TLS.
    fn securities(&self, settings: &Settings) -> Result<Vec<(SharedSecurity, Option<Security>)>, String> {
        let mut securities = Vec::new();
        if let (Some(block), Some(place)) = (&settings.leafnodes, &self.leafs) {
            securities.push((place.security.clone(), security_of(block.tls.as_ref(), &self.check)?));
        }
        if let Some(place) = &self.routes {
            securities.push((place.security.clone(), routes::security(settings, &self.check)?));
        }
        if let (Some(block), Some(place)) = (&settings.gateway, &self.gateways) {
            securities.push((place.security.clone(), gateways::security(block, &self.check)?));
        }
        if let Some(door) = &self.websocket {
            securities.push((door.security.clone(), door.prepare(settings, &self.check, &self.log)?));
        }
        Ok(securities)
    }

    /// The configuration was read again, and this is what it makes of links.
    pub fn reload(&self, before: &Settings, settings: &Settings, prepared: PreparedLinks, hub: &Arc<Hub>) {
        self.papers.install(prepared.papers);
        for (place, security) in prepared.securities {
            *place.write() = security;
        }
        hub.set_links(prepared.settings);
        self.remotes.reload(settings, prepared.remotes);
        let routes = |settings: &Settings| config::Cluster {
            routes: Vec::new(),
            pinned_accounts: Vec::new(),
            ..settings.cluster.clone()
        };
        if routes(before) != routes(settings) {
            // What was agreed no longer holds: all of them are made again.
            hub.end_links(broker::LinkKind::Route);
        } else {
            hub.dedicate_routes(&settings.cluster.pinned_accounts);
        }
        if before.gateway != settings.gateway {
            // Only encryption may have changed: who is there shows whether it still may be.
            hub.end_links(broker::LinkKind::Gateway);
        }
        self.judge_peers(hub);
    }

    /// A look at the files of certificates. New ones come into use, and everybody is judged by them.
    pub fn look(&self, settings: &Settings, hub: &Hub) {
        if self.papers.have_changed() {
            let renewed = self.renew(settings);
            let is_new = renewed.is_ok();
            self.papers.renewed(renewed);
            if is_new {
                self.judge_peers(hub);
            }
        }
    }

    /// Renews what issuers say of our certificates. Whether one was revoked with which the server is not to run.
    pub fn has_revoked(&self) -> bool {
        self.websocket.as_ref().is_some_and(|door| door.look(&self.log).is_err())
    }

    /// Reads the files of certificates again: all are good, or nothing changes.
    fn renew(&self, settings: &Settings) -> Result<(), String> {
        let securities = self.securities(settings)?;
        let remotes = self.remotes.prepare(settings)?;
        for (place, security) in securities {
            let mut place = place.write();
            // A limit counts on, whoever renews what.
            let rate = place.as_ref().and_then(|current| current.rate.clone());
            *place = security.map(|security| Security { rate, ..security });
        }
        self.remotes.reload(settings, remotes);
        Ok(())
    }

    fn judge_peers(&self, hub: &Hub) {
        let now = crate::ocsp::now();
        self.papers.judge(hub, |by, chain| match by {
            CameBy::Listener(kind) => {
                let of_place = |place: &Option<Place>| place.as_ref().map(|place| place.security.clone());
                let security = match kind {
                    DoorKind::Client => None,
                    DoorKind::WebSocket => self.websocket.as_ref().map(|door| door.security.clone()),
                    DoorKind::Leaf => of_place(&self.leafs),
                    DoorKind::Route => of_place(&self.routes),
                    DoorKind::Gateway => of_place(&self.gateways),
                };
                let security = security?.read().clone()?;
                Some(security.tls.recheck(chain, now))
            }
            CameBy::Remote(remote, host) => Some(self.remotes.tls_to(*remote)?.recheck(chain, host, now)),
        });
    }

    /// What this server's cluster is called at first, if it is in one.
    pub fn cluster_name(&self) -> Option<&str> {
        self.greeting.cluster.as_deref()
    }

    /// Lines for the log about what listens.
    pub fn announce(&self, settings: &Settings) {
        if let Some(door) = &self.websocket {
            door.announce(settings, &self.log);
        }
        if let (Some(block), Some(place)) = (&settings.leafnodes, &self.leafs) {
            let address = format!("{}:{}", block.listen.host, place.address.port());
            self.log.notice(&format!("Listening for leafnode connections on {address}"));
        }
        if let Some(place) = &self.routes {
            let name = settings.cluster.name.as_deref().unwrap_or(&self.made_up_name);
            self.log.notice(&format!("Cluster name is {name}"));
            if settings.cluster.name.is_none() {
                self.log.warn("Cluster name was dynamically generated, consider setting one");
            }
            let address = format!("{}:{}", settings.cluster.listen.host, place.address.port());
            self.log.notice(&format!("Listening for route connections on {address}"));
        }
        if let (Some(block), Some(place)) = (&settings.gateway, &self.gateways) {
            self.log.notice(&format!("Gateway name is {}", block.name));
            let address = format!("{}:{}", block.listen.host, place.address.port());
            self.log.notice(&format!("Listening for gateways connections on {address}"));
        }
    }

    /// Where other clusters are told to come, if they may.
    fn gateway_url(&self, settings: &Settings) -> Option<String> {
        let (block, place) = (settings.gateway.as_ref()?, self.gateways.as_ref()?);
        Some(advertised_one(block.advertise.as_ref(), &block.listen.host, place.address.port()).1)
    }

    /// What listens: its name, its port, and its TLS.
    pub fn listeners(&self) -> Vec<(&'static str, u16, SharedSecurity)> {
        let all = [(CLUSTER, &self.routes), (GATEWAY, &self.gateways), (LEAFNODES, &self.leafs)];
        let there = all.into_iter().filter_map(|(name, place)| Some((name, place.as_ref()?)));
        let links = there.map(|(name, place)| (name, place.address.port(), place.security.clone()));
        let door = self.websocket.as_ref().map(|door| (WEBSOCKET, door.address.port(), door.security.clone()));
        links.chain(door).collect()
    }

    /// Where clients come in over WebSocket, if they do.
    pub fn websocket(&self) -> Option<SocketAddr> {
        self.websocket.as_ref().map(|door| door.address)
    }

    /// The same for the ports file.
    pub fn websocket_ports(&self) -> Vec<(&'static str, SocketAddr)> {
        self.websocket.iter().map(|door| (door.scheme(), door.address)).collect()
    }

    /// Where clients are told to come over WebSocket.
    fn websocket_urls(&self, settings: &Settings) -> Vec<String> {
        let (Some(block), Some(door)) = (&settings.websocket, &self.websocket) else { return Vec::new() };
        let (host, port) = (&block.listen.host, door.address.port());
        if block.advertise.is_none() && is_everywhere(host) {
            return net::own_addresses().iter().map(|own| address(&own.to_string(), port)).collect();
        }
        vec![advertised(block.advertise.as_ref(), host, port).1]
    }

    /// Where leaf nodes are told to come, if any come here.
    fn leafnode_urls(&self, settings: &Settings) -> Option<Vec<String>> {
        leafs::urls(settings.leafnodes.as_ref()?, self.leafs.as_ref()?.address)
    }

    /// Where leaf nodes come in, for the ports file.
    pub fn leaf_ports(&self) -> Vec<(&'static str, SocketAddr)> {
        self.leafs.iter().map(|place| ("nats-leaf", place.address)).collect()
    }

    /// Where routes come in, for the ports file.
    pub fn route_ports(&self) -> Vec<(&'static str, SocketAddr)> {
        self.routes.iter().map(|place| ("nats-route", place.address)).collect()
    }

    /// Makes no connection any more.
    pub fn stop(&self) {
        self.remotes.stop();
        let threads = self.state().dialing.take();
        if let Some(threads) = threads {
            threads.stop();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long servers may take their bytes: as their block says, or as long as clients.
fn writes(settings: &Settings) -> LinkWrites {
    let server = settings.limits.write_deadline;
    let rule = |deadline: Option<Duration>, timeout: WriteTimeout| WriteRule {
        deadline: deadline.filter(|deadline| !deadline.is_zero()).unwrap_or(server),
        retry: timeout.retries(false),
    };
    let nothing = || rule(None, WriteTimeout::Default);
    LinkWrites {
        routes: rule(settings.cluster.write_deadline, settings.cluster.write_timeout),
        gateways: settings
            .gateway
            .as_ref()
            .map_or_else(nothing, |block| rule(block.write_deadline, block.write_timeout)),
        leafs: settings
            .leafnodes
            .as_ref()
            .map_or_else(nothing, |block| rule(block.write_deadline, block.write_timeout)),
    }
}

fn listen(
    name: &str,
    kind: DoorKind,
    host: &str,
    port: Port,
    security: Option<Security>,
    listeners: &mut Vec<Listener>,
) -> Result<Place, String> {
    let (shared, gate) = (SharedSecurity::default(), Arc::new(StrangerGate::default()));
    *shared.write() = security;
    let listener = Listener::bind(kind, host, port.number(), gate.clone(), shared.clone());
    let listener = listener.map_err(|error| format!("Error listening on {name} port: {host}:{port} - {error}"))?;
    let address = listener.address().map_err(|error| error.to_string())?;
    listeners.push(listener);
    Ok(Place { address, security: shared, gate })
}

/// Where others are told to come: host and port, and both as one.
fn advertised(advertise: Option<&HostPort>, host: &str, port: u16) -> ((String, u16), String) {
    let host = advertise.map_or_else(|| host.to_owned(), |advertise| advertise.host.clone());
    let port = advertise.and_then(|advertise| advertise.port).map_or(port, std::num::NonZero::get);
    let address = address(&host, port);
    ((host, port), address)
}

/// The same of listeners of which one address is told: that of a listener on every address is the machine's first.
fn advertised_one(advertise: Option<&HostPort>, host: &str, port: u16) -> ((String, u16), String) {
    let first = if advertise.is_none() && is_everywhere(host) { net::own_addresses().first().copied() } else { None };
    advertised(advertise, &first.map_or_else(|| host.to_owned(), |first| first.to_string()), port)
}

/// Whether a listener takes what comes to any address.
fn is_everywhere(host: &str) -> bool {
    matches!(host, config::ANY_HOST | "" | "::")
}

fn address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Which servers may come in: those whose certificates are known if that is what TLS is told to ask, else those that log in
/// as the one user, else all.
fn server_login<'a>(
    login: &SingleLogin,
    tls: Option<&tls::Settings>,
    urls: impl IntoIterator<Item = &'a Url>,
    ids: &mut AccountIds,
) -> Result<Option<Directory>, String> {
    let known_peers = known_peers(login, tls, urls);
    if known_peers.is_some() {
        return build(&auth::Settings { known_peers, ..auth::Settings::default() }, ids).map(Some);
    }
    if login.user.is_none() && login.password.is_none() {
        return Ok(None);
    }
    let authorization = AuthorizationSettings {
        defined: true,
        user: login.user.clone(),
        password: login.password.clone(),
        ..AuthorizationSettings::default()
    };
    build(&auth::Settings { authorization, ..auth::Settings::default() }, ids).map(Some)
}

/// Whose certificates are known; nothing if certificates need not be.
fn known_peers<'a>(
    login: &SingleLogin,
    tls: Option<&tls::Settings>,
    urls: impl IntoIterator<Item = &'a Url>,
) -> Option<KnownPeers> {
    let tls = tls.filter(|tls| tls.verify_and_map || tls.verify_cert_and_check_known_urls)?;
    let hosts = urls.into_iter().filter(|_| tls.verify_cert_and_check_known_urls).map(|url| url.host.clone());
    Some(KnownPeers { hosts: hosts.collect(), user: login.user.clone().filter(|_| tls.verify_and_map) })
}

/// What the configuration calls the cluster. One that is part of a super-cluster has the same name there.
fn configured_name(settings: &Settings) -> Option<String> {
    settings.cluster.name.clone().or_else(|| settings.gateway.as_ref().map(|gateway| gateway.name.clone()))
}

/// The name of the cluster, if this server is to be in one.
fn cluster_name(settings: &Settings, made_up: &str) -> Option<String> {
    let is_listening = settings.cluster.listen.port.is_some();
    configured_name(settings).or_else(|| is_listening.then(|| made_up.to_owned()))
}

/// What every INFO to another server says.
fn info(settings: &Settings, greeting: &Greeting, host: String, port: u16) -> Info {
    Info {
        server_id: greeting.server_id.clone(),
        server_name: greeting.server_name.clone(),
        version: greeting.version.clone(),
        proto: SERVER_PROTO,
        git_commit: greeting.git_commit.clone(),
        go: greeting.go.clone(),
        host,
        port,
        headers: !settings.clients.no_header_support,
        max_payload: settings.limits.max_payload_bytes.map_or(-1, |bytes| bytes as i64),
        cluster: greeting.cluster.clone().unwrap_or_default(),
        ..Info::default()
    }
}

fn domain(settings: &Settings) -> Domain {
    let jetstream = &settings.jetstream;
    Domain {
        name: jetstream.domain.clone().unwrap_or_default(),
        has_jetstream: jetstream.enabled,
        will_extend: jetstream.extension_hint.as_deref() == Some("will_extend"),
        empty_defaults: jetstream
            .default_domains
            .iter()
            .filter(|(_, domain)| domain.is_empty())
            .map(|(account, _)| account.clone())
            .collect(),
    }
}

/// The room of links knows the levels apart from the mode.
fn compression(configured: &config::Compression) -> (Compression, Levels) {
    let mode = match configured {
        config::Compression::NotSupported => Compression::NotSupported,
        config::Compression::Off => Compression::Off,
        config::Compression::Accept => Compression::Accept,
        config::Compression::Auto(thresholds) => {
            return (Compression::S2Auto, Levels::new(thresholds.clone()).unwrap_or_default());
        }
        config::Compression::Fast => Compression::S2Fast,
        config::Compression::Better => Compression::S2Better,
        config::Compression::Best => Compression::S2Best,
    };
    (mode, Levels::default())
}

/// How long another server may take to log in: what is configured, else a second more than its handshake may take, else
/// two.
pub(crate) fn login_time(configured: Option<Duration>, tls: Option<&tls::Settings>) -> Duration {
    let handshake = tls.map(|tls| tls.timeout + Duration::from_secs(1));
    configured.or(handshake).unwrap_or(Duration::from_secs(2))
}

/// In another order each time, so that not all go to the same server first.
fn shuffle(urls: &mut [Url]) {
    for last in (1..urls.len()).rev() {
        urls.swap(last, (crate::system::random_u64() % (last as u64 + 1)) as usize);
    }
}

/// A delay with chance added, so that many who lost a server do not all come back at once.
fn jittered(delay: Duration) -> Duration {
    topology::jittered(delay, crate::system::random_u64())
}

/// A directory for one kind of link.
fn build(settings: &auth::Settings, ids: &mut AccountIds) -> Result<Directory, String> {
    Directory::build(settings, ids)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}
