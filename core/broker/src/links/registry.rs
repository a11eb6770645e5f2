//! The links of this server, for those who ask and for those who have to know them all.

use std::sync::Arc;

use account::AccountName;
use arc_swap::ArcSwap;
use auth::LinkRights;
use hashbrown::HashMap;
use parking_lot::Mutex;
use topology::{Compression, GatewayHash, Info, Placed, Registration, RouteKind, Slots, pool_index};

use crate::account_state::AccountState;
use crate::connection::Step;
use crate::ledger::ConnectionFacts;
use crate::link::{Link, LinkKind};
use crate::links::book::RouteReader;
use crate::links::gateways::Gateways;
use crate::links::remote::RemotePeer;
use crate::links::settings::{ClusterNews, LinkDesk, LinkEnd, LinkSettings, RemoteId, WantedRoute};
use crate::mailbox::{Afterwards, Note};
use crate::worker::Hands;

/// What monitoring knows of a link.
#[derive(Clone)]
pub struct KnownLink {
    /// The link.
    pub link: Arc<Link>,
    /// The account of a leaf connection.
    pub account: Option<Arc<AccountState>>,
    /// What a leaf node that came here said of itself, and as whom it logged in; all empty otherwise.
    pub facts: Arc<ConnectionFacts>,
    /// The server at the far end, by name.
    pub server: String,
    /// Its id, where it tells it.
    pub server_id: String,
    /// Its cluster.
    pub cluster: String,
    /// Its account, where it tells it.
    pub remote_account: String,
    /// This server made the connection.
    pub solicited: bool,
    /// The configuration names it.
    pub configured: bool,
    /// This server is the spoke of a leaf connection.
    pub spoke: bool,
    /// Leaf nodes do not hear of each other over it.
    pub isolated: bool,
    /// How it is compressed.
    pub compression: &'static str,
    /// Which of the servers it is to which this one goes.
    pub remote: Option<RemoteId>,
}

/// The links of this server.
pub(crate) struct Links {
    pub(crate) settings: ArcSwap<LinkSettings>,
    pub(crate) desk: ArcSwap<Option<Arc<dyn LinkDesk>>>,
    known: Mutex<HashMap<u64, KnownLink>>,
    servers: Mutex<HashMap<String, ClusterServer>>,
    routes: Mutex<Vec<ActiveRoute>>,
    pub(crate) gateways: Gateways,
}

/// Another server of the cluster.
struct ClusterServer {
    slots: Slots<u64>,
    dedicated: HashMap<String, u64>,
    info: Info,
}

/// A route that carries accounts.
#[derive(Clone)]
pub(crate) struct ActiveRoute {
    pub(crate) peer: Arc<RemotePeer>,
    pub(crate) rights: Arc<LinkRights>,
    pub(crate) server_id: String,
    /// How marked replies name the server.
    pub(crate) hash: GatewayHash,
    pub(crate) unsubscribe_names_origin: bool,
    pub(crate) kind: RouteKind,
    /// The one account it carries.
    pub(crate) account: Option<String>,
    /// Accounts with a route of their own.
    pub(crate) dedicated: Vec<String>,
    pub(crate) index: u32,
    pub(crate) pool_size: u32,
    /// It is one of a pool, or beside one; otherwise it is the only one to its server.
    pub(crate) is_pooled: bool,
}

/// What becomes of one route when other accounts get routes of their own.
pub(crate) struct Moved {
    /// The route, as it is from now on.
    pub(crate) route: ActiveRoute,
    /// Of those that leave, the accounts that it carried.
    pub(crate) carried: Vec<String>,
    /// Accounts that go elsewhere.
    pub(crate) leave: Vec<String>,
    /// Accounts that it carries again.
    pub(crate) come: Vec<String>,
    /// Its own account goes back to the pool.
    pub(crate) ends: bool,
}

impl ActiveRoute {
    /// Other accounts have routes of their own from now on. What that changes, if anything.
    fn dedicate(&mut self, now: Vec<String>) -> Option<Moved> {
        let before = self.clone();
        self.dedicated = now;
        let is_new = |account: &&String| !before.dedicated.contains(account);
        let is_gone = |account: &&String| !self.dedicated.contains(account);
        let of_pool = self.account.is_none();
        let leave: Vec<_> = self.dedicated.iter().filter(|_| of_pool).filter(is_new).cloned().collect();
        let back = before.dedicated.iter().filter(|_| of_pool).filter(is_gone);
        let come: Vec<_> = back.filter(|account| self.carries(account)).cloned().collect();
        let carried = leave.iter().filter(|account| before.carries(account)).cloned().collect();
        let ends = self.account.as_ref().is_some_and(|account| is_gone(&account));
        let is_news = ends || !leave.is_empty() || !come.is_empty();
        is_news.then(|| Moved { route: self.clone(), carried, leave, come, ends })
    }

    fn carries(&self, account: &str) -> bool {
        match &self.account {
            Some(own) => own == account,
            None => {
                let elsewhere = self.is_pooled && self.dedicated.iter().any(|name| name == account);
                !elsewhere && pool_index(account, self.pool_size) == self.index
            }
        }
    }

    /// The account is told over this route from now on, if the route carries it.
    pub(crate) fn attach(&self, account: &AccountState) {
        if self.carries(account.settings().name.as_str()) {
            let reader = RouteReader {
                peer: self.peer.clone(),
                rights: self.rights.clone(),
                unsubscribe_names_origin: self.unsubscribe_names_origin,
            };
            account.add_route(reader, &mut |link| link.post(link.key.worker, Note::Flush(link.key)));
        }
    }
}

/// The place of a new route among those to its server.
pub(crate) enum RoutePlace {
    /// It is number `index`.
    At { index: u32, is_first: bool, wants_more: bool },
    /// There are enough.
    Duplicate,
}

impl Default for Links {
    fn default() -> Self {
        Self {
            settings: ArcSwap::from_pointee(LinkSettings::default()),
            desk: ArcSwap::from_pointee(None),
            known: Mutex::default(),
            servers: Mutex::default(),
            routes: Mutex::default(),
            gateways: Gateways::default(),
        }
    }
}

impl Links {
    /// A link is compressed in another way from now on.
    pub(crate) fn recompressed(&self, link: &Link, compression: Compression) {
        if let Some(known) = self.known.lock().get_mut(&link.key.id) {
            known.compression = compression.as_str().unwrap_or("not supported");
        }
    }

    pub(crate) fn ready(&self, remote: RemoteId) -> bool {
        (**self.desk.load()).as_ref().is_none_or(|desk| desk.ready(remote))
    }

    pub(crate) fn wanted(&self, route: WantedRoute) {
        if let Some(desk) = &**self.desk.load() {
            desk.wanted(route);
        }
    }

    /// Places a new route among those to its server.
    pub(crate) fn place_route(&self, registration: &Registration, solicited: bool, link: u64) -> RoutePlace {
        let info = &registration.info;
        let mut servers = self.servers.lock();
        let is_first = !servers.contains_key(&info.server_id);
        let server = servers.entry(info.server_id.clone()).or_insert_with(|| ClusterServer {
            slots: Slots::new(registration.pooling),
            dedicated: HashMap::new(),
            info: info.clone(),
        });
        if !info.route_account.is_empty() {
            return match server.dedicated.try_insert(info.route_account.clone(), link).is_ok() {
                true => RoutePlace::At { index: 0, is_first, wants_more: false },
                false => RoutePlace::Duplicate,
            };
        }
        let wanted = registration.index.filter(|_| !solicited);
        match server.slots.place(link, wanted) {
            Placed::At { index, wants_more, .. } => RoutePlace::At { index, is_first, wants_more },
            Placed::Duplicate(_) => RoutePlace::Duplicate,
        }
    }

    /// A route is gone.
    pub(crate) fn release_route(&self, server_id: &str, link: u64) {
        let mut servers = self.servers.lock();
        if let Some(server) = servers.get_mut(server_id) {
            server.slots.remove(link);
            server.dedicated.retain(|_, other| *other != link);
            if server.slots.is_empty() && server.dedicated.is_empty() {
                servers.remove(server_id);
            }
        }
        drop(servers);
        self.routes.lock().retain(|route| route.peer.link.key.id != link);
        if let Some(desk) = &**self.desk.load() {
            desk.lost(server_id);
        }
    }

    pub(crate) fn knows_server(&self, server_id: &str) -> bool {
        self.servers.lock().contains_key(server_id)
    }

    /// Client addresses of the other servers of the cluster.
    pub(crate) fn connect_urls(&self) -> Vec<String> {
        let servers = self.servers.lock();
        let mut urls: Vec<String> = servers.values().flat_map(|server| server.info.connect_urls.clone()).collect();
        urls.sort();
        urls.dedup();
        urls
    }

    /// Where they take clients over WebSocket.
    pub(crate) fn ws_connect_urls(&self) -> Vec<String> {
        let servers = self.servers.lock();
        let mut urls: Vec<String> = servers.values().flat_map(|server| server.info.ws_connect_urls.clone()).collect();
        urls.sort();
        urls.dedup();
        urls
    }

    /// A server is about to go: clients are not sent there any more.
    pub(crate) fn forget_urls(&self, server_id: &str) {
        if let Some(server) = self.servers.lock().get_mut(server_id) {
            server.info.connect_urls.clear();
            server.info.ws_connect_urls.clear();
        }
    }

    /// A route carries accounts from now on: those that live are told over it.
    pub(crate) fn open_route(&self, route: ActiveRoute, accounts: impl FnOnce() -> Vec<Arc<AccountState>>) {
        let mut routes = self.routes.lock();
        routes.push(route.clone());
        for account in accounts() {
            route.attach(&account);
        }
    }

    /// Other accounts have routes of their own from now on: `accounts` makes the list of what it was. To one server, or to all.
    pub(crate) fn dedicate(&self, server_id: Option<&str>, accounts: impl Fn(&[String]) -> Vec<String>) -> Vec<Moved> {
        let mut routes = self.routes.lock();
        let concerned = routes.iter_mut().filter(|route| server_id.is_none_or(|id| route.server_id == id));
        concerned
            .filter(|route| route.is_pooled)
            .filter_map(|route| route.dedicate(accounts(&route.dedicated)))
            .collect()
    }

    /// An account has come to life: the routes that carry it tell of it.
    pub(crate) fn attach(&self, account: &AccountState) {
        for route in self.routes.lock().iter() {
            route.attach(account);
        }
        self.gateways.attach(account);
    }

    /// An account has come to life: what other servers wanted in it before counts from now on.
    pub(crate) fn account_is_here(&self, name: &AccountName, then: Option<&Arc<Afterwards>>) {
        for known in self.all() {
            if matches!(known.link.kind, LinkKind::Route | LinkKind::Gateway) {
                let (key, name, then) = (known.link.key, name.clone(), then.cloned());
                let tell = move |hands: &mut Hands<'_>| {
                    hands.account_is_here(name.as_str().as_bytes());
                    drop(then);
                    Step::Continue
                };
                known.link.post(key.worker, Note::Do(key, Box::new(tell)));
            }
        }
    }

    /// The route that carries this account to the server that a marked reply names.
    pub(crate) fn route_to(&self, hash: &[u8], account: &str) -> Option<Arc<RemotePeer>> {
        let routes = self.routes.lock();
        routes
            .iter()
            .find(|route| route.hash.as_bytes() == hash && route.carries(account))
            .map(|route| route.peer.clone())
    }

    /// Names of the other servers of the cluster.
    pub(crate) fn server_names(&self) -> Vec<String> {
        self.servers.lock().values().map(|server| server.info.server_name.clone()).collect()
    }

    /// Where the other servers of the cluster take gateways.
    pub(crate) fn gateway_urls(&self) -> Vec<String> {
        let servers = self.servers.lock();
        servers.values().map(|server| server.info.gateway_url.clone()).filter(|url| !url.is_empty()).collect()
    }

    /// Where the other servers of the cluster take leaf nodes.
    pub(crate) fn leafnode_urls(&self) -> Vec<String> {
        let servers = self.servers.lock();
        servers.values().flat_map(|server| server.info.leafnode_urls.iter().flatten().cloned()).collect()
    }

    /// The far end of a leaf connection tells where its cluster takes leaf nodes.
    pub(crate) fn heard_of_hubs(&self, remote: RemoteId, urls: Vec<String>) {
        if let Some(desk) = &**self.desk.load() {
            desk.heard_of_hubs(remote, urls);
        }
    }

    /// There is another cluster.
    pub(crate) fn heard_of(&self, cluster: ClusterNews) {
        if let Some(desk) = &**self.desk.load() {
            desk.heard_of(cluster);
        }
    }

    /// The clusters that are gone to, with their addresses.
    pub(crate) fn clusters(&self) -> Vec<(String, Vec<String>)> {
        (**self.desk.load()).as_ref().map(|desk| desk.clusters()).unwrap_or_default()
    }

    /// One route to each other server of the cluster.
    pub(crate) fn one_route_each(&self, but: &str) -> Vec<ActiveRoute> {
        let mut each: Vec<ActiveRoute> = Vec::new();
        for route in self.routes.lock().iter() {
            if route.server_id != but && !each.iter().any(|known| known.server_id == route.server_id) {
                each.push(route.clone());
            }
        }
        each
    }

    pub(crate) fn ended(&self, remote: RemoteId, end: LinkEnd) {
        if let Some(desk) = &**self.desk.load() {
            desk.ended(remote, end);
        }
    }

    /// A link is ready. The older one of the same kind to the same server for the same account, if there is one: a leaf
    /// node that comes again before its old connection was found dead.
    pub(crate) fn know(&self, new: KnownLink) -> Option<Arc<Link>> {
        let mut known = self.known.lock();
        let is_same = |old: &KnownLink| {
            let account = |link: &KnownLink| link.account.as_ref().map(|account| account.id);
            old.link.kind == LinkKind::Leaf
                && new.link.kind == LinkKind::Leaf
                && !new.solicited
                && !old.solicited
                && !new.server.is_empty()
                && (&old.server, &old.cluster, &old.remote_account) == (&new.server, &new.cluster, &new.remote_account)
                && account(old) == account(&new)
        };
        let old = known.values().find(|old| is_same(old)).map(|old| old.link.clone());
        known.insert(new.link.key.id, new);
        old
    }

    pub(crate) fn forget(&self, link: &Link) {
        self.known.lock().remove(&link.key.id);
    }

    /// One link.
    pub(crate) fn one(&self, link: &Link) -> Option<KnownLink> {
        self.known.lock().get(&link.key.id).cloned()
    }

    /// Every link, oldest first.
    pub(crate) fn all(&self) -> Vec<KnownLink> {
        let mut all: Vec<_> = self.known.lock().values().cloned().collect();
        all.sort_by_key(|known| known.link.key.id);
        all
    }
}
