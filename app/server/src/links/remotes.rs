//! The servers to which this one goes: which, when, with what to show, and when again.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use broker::{ClusterNews, Hub, LinkDesk, LinkEnd, RemoteId, WantedRoute};
use config::{LeafRemote, Leafnodes, Settings, Url};
use net::{Destinations, Dial, Dialer, PeerCheck};
use session::Greeting;
use topology::{RETRY_DELAY, Retry, RouteKind};

use crate::links::jittered;
use crate::links::ways::{
    ClusterFacts, FarFacts, GatewayWay, HEARD_OF_MAX, LeafWay, RouteWay, SecuredGateway, Way, attempts, port_of,
};
use crate::log::Log;

#[cfg(test)]
mod tests;

/// The servers to which this one goes.
pub struct Remotes {
    log: Arc<Log>,
    greeting: Greeting,
    /// Asks the issuers of certificates of those this server goes to.
    check: Arc<dyn PeerCheck>,
    joined: OnceLock<Joined>,
    state: Mutex<State>,
}

struct Joined {
    hub: Arc<Hub>,
    dialer: Dialer,
}

#[derive(Default)]
struct State {
    remotes: HashMap<u64, Remote>,
    next: u64,
    stopping: bool,
    cluster: Option<ClusterFacts>,
    far: Option<FarFacts>,
}

impl State {
    /// A way that goes there already goes on with what this one brings. It is given back if it is new.
    fn renew_leaf(&mut self, wanted: LeafWay) -> Option<LeafWay> {
        let kept = self.remotes.values_mut().find_map(|remote| match &mut remote.way {
            Way::Leaf(leaf) if leaf.is_still(&wanted.config) => Some(leaf),
            _ => None,
        });
        match kept {
            Some(leaf) => {
                leaf.renew(wanted);
                None
            }
            None => Some(wanted),
        }
    }

    fn tls_of(&self, way: &Way) -> Option<Arc<tls::ClientTls>> {
        match way {
            Way::Leaf(leaf) => leaf.tls.clone(),
            Way::Route(_) => self.cluster.as_ref().and_then(|cluster| cluster.tls.clone()),
            Way::Gateway(gateway) => gateway.tls.clone(),
        }
    }

    /// Whether a connection was encrypted as it would be now: certificates may have changed while it was made.
    fn is_up_to_date(&self, remote: &Remote) -> bool {
        match (&remote.dialed, self.tls_of(&remote.way)) {
            (Some(dialed), Some(now)) => Arc::ptr_eq(dialed, &now),
            (None, None) => true,
            _ => false,
        }
    }

    /// The ways that go there already show what the URL says now. Whether there are any.
    fn renew_routes(&mut self, url: &Url) -> bool {
        let mut goes_there = false;
        for remote in self.remotes.values_mut() {
            if let Way::Route(route) = &mut remote.way
                && route.is_to(&url.host, port_of(url))
            {
                route.renew(url);
                goes_there = true;
            }
        }
        goes_there
    }
}

/// One of them.
struct Remote {
    way: Way,
    failures: u32,
    was_ready: bool,
    /// How the connection at hand was encrypted.
    dialed: Option<Arc<tls::ClientTls>>,
    /// There are connections enough to this server; when one is lost, this one is made.
    parked_for: Option<String>,
}

/// The remotes of another configuration, before it counts.
pub struct PreparedRemotes {
    leafs: Vec<LeafWay>,
    cluster: Option<ClusterFacts>,
    far: Option<FarFacts>,
    gateways: Vec<(u64, SecuredGateway)>,
}

impl Remotes {
    pub fn new(log: Arc<Log>, greeting: Greeting, check: Arc<dyn PeerCheck>) -> Self {
        Self { log, greeting, check, joined: OnceLock::new(), state: Mutex::default() }
    }

    /// Goes to the remotes of the configuration.
    pub fn start(&self, settings: &Settings, hub: &Arc<Hub>, dialer: Dialer) -> Result<(), String> {
        self.joined.get_or_init(|| Joined { hub: hub.clone(), dialer });
        if let Some(block) = &settings.leafnodes {
            for config in block.remotes.iter().filter(|remote| !remote.disabled) {
                self.add_leaf(settings, block, config)?;
            }
        }
        if settings.cluster.listen.port.is_some() {
            self.state().cluster = Some(ClusterFacts::new(settings)?);
            for url in &settings.cluster.routes {
                self.add(Way::Route(RouteWay::explicit(url, settings)));
            }
        }
        if let Some(gateway) = &settings.gateway {
            let facts = FarFacts::new(settings, gateway)?;
            let remotes = gateway.remotes.iter().filter(|remote| !facts.is_own(&remote.name));
            let ways: Vec<_> = remotes.map(|remote| GatewayWay::explicit(remote, &facts)).collect::<Result<_, _>>()?;
            self.state().far = Some(facts);
            ways.into_iter().for_each(|way| self.add(Way::Gateway(Box::new(way))));
        }
        Ok(())
    }

    /// What another configuration makes of the remotes. May fail, and changes nothing.
    pub fn prepare(&self, settings: &Settings) -> Result<PreparedRemotes, String> {
        let mut leafs = Vec::new();
        if let Some(block) = &settings.leafnodes {
            for config in block.remotes.iter().filter(|remote| !remote.disabled) {
                leafs.push(LeafWay::new(settings, block, config)?);
            }
        }
        let state = self.state();
        let cluster = state.cluster.as_ref().map(|_| ClusterFacts::new(settings)).transpose()?;
        let mut gateways = Vec::new();
        let far = settings.gateway.as_ref().map(|gateway| FarFacts::new(settings, gateway)).transpose()?;
        if let (Some(gateway), Some(far)) = (&settings.gateway, &far) {
            for (id, remote) in &state.remotes {
                if let Way::Gateway(way) = &remote.way {
                    gateways.push((*id, way.secured(gateway, far)?));
                }
            }
        }
        Ok(PreparedRemotes { leafs, cluster, far, gateways })
    }

    /// Remotes that are new are gone to; those that are gone or look different now are left.
    pub fn reload(&self, settings: &Settings, prepared: PreparedRemotes) {
        let PreparedRemotes { leafs, cluster, far, gateways } = prepared;
        let mut state = self.state();
        let is_wanted = |remote: &Remote| match &remote.way {
            Way::Leaf(leaf) => leafs.iter().any(|wanted| leaf.is_still(&wanted.config)),
            Way::Route(route) => {
                let is_named = settings.cluster.routes.iter().any(|url| route.is_to(&url.host, port_of(url)));
                let is_pinned = |account| settings.cluster.pinned_accounts.contains(account);
                (route.kind == RouteKind::Implicit || is_named) && route.account.as_ref().is_none_or(is_pinned)
            }
            // Which clusters there are does not change by a reload.
            Way::Gateway(_) => true,
        };
        let gone: Vec<u64> = state.remotes.iter().filter(|(_, remote)| !is_wanted(remote)).map(|(id, _)| *id).collect();
        for id in &gone {
            state.remotes.remove(id);
        }
        let new: Vec<LeafWay> = leafs.into_iter().filter_map(|wanted| state.renew_leaf(wanted)).collect();
        let routes: Vec<&Url> = settings.cluster.routes.iter().filter(|url| !state.renew_routes(url)).collect();
        state.cluster = cluster.or(state.cluster.take());
        state.far = far.or(state.far.take());
        for (id, secured) in gateways {
            if let Some(Remote { way: Way::Gateway(way), .. }) = state.remotes.get_mut(&id) {
                way.secure(secured);
            }
        }
        drop(state);
        for url in routes {
            self.add(Way::Route(RouteWay::explicit(url, settings)));
        }
        if let Some(joined) = self.joined.get() {
            gone.iter().for_each(|id| joined.hub.end_remote(RemoteId(*id)));
        }
        new.into_iter().for_each(|leaf| self.add(Way::Leaf(Box::new(leaf))));
    }

    fn add_leaf(&self, settings: &Settings, block: &Leafnodes, config: &LeafRemote) -> Result<(), String> {
        let leaf = LeafWay::new(settings, block, config)?;
        self.add(Way::Leaf(Box::new(leaf)));
        Ok(())
    }

    fn add(&self, way: Way) {
        let mut state = self.state();
        state.next += 1;
        let id = state.next;
        state.remotes.insert(id, Remote { way, failures: 0, was_ready: false, dialed: None, parked_for: None });
        drop(state);
        if let Some(joined) = self.joined.get() {
            joined.dialer.dial(RemoteId(id), Duration::ZERO);
        }
    }

    /// A cluster that comes to us is there: it is gone to until it is reached, however often that fails.
    fn hears_from(&self, cluster: &str) -> Option<Duration> {
        let comes = |link: &broker::KnownLink| {
            link.link.kind == broker::LinkKind::Gateway && !link.solicited && link.cluster == cluster
        };
        self.joined.get()?.hub.links().iter().any(comes).then_some(RETRY_DELAY)
    }

    /// Nothing is made any more.
    pub fn stop(&self) {
        let mut state = self.state();
        state.stopping = true;
        state.remotes.clear();
    }

    /// How a connection to a remote is encrypted now. Nothing if it is not wanted any more, or goes in the clear.
    pub fn tls_to(&self, remote: RemoteId) -> Option<Arc<tls::ClientTls>> {
        let state = self.state();
        state.tls_of(&state.remotes.get(&remote.0)?.way)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Destinations for Remotes {
    fn next(&self, remote: RemoteId) -> Option<Dial> {
        let joined = self.joined.get()?;
        let mut state = self.state();
        let State { remotes, cluster, far, .. } = &mut *state;
        let known = remotes.get_mut(&remote.0)?;
        let mut dial = match &mut known.way {
            Way::Gateway(gateway) => gateway.dial(remote, &self.greeting, far.as_ref()?)?,
            Way::Route(route) => route.dial(remote, &self.greeting, cluster.as_ref()?),
            Way::Leaf(leaf) => {
                let name = leaf.config.account.as_deref().unwrap_or(account::GLOBAL);
                let Some(account) = joined.hub.directory().account(name).cloned() else {
                    self.log.error(&format!("Leafnode remote: account {name:?} is unknown"));
                    return None;
                };
                let cluster = joined.hub.settings().greeting.cluster.clone();
                leaf.dial(remote, &self.greeting, cluster.as_deref(), account)?
            }
        };
        if let Some(tls) = &mut dial.tls {
            tls.check = Some(self.check.clone());
        }
        known.dialed = dial.tls.as_ref().map(|tls| tls.tls.clone());
        Some(dial)
    }

    fn failed(&self, remote: RemoteId, host: &str, port: u16, error: &io::Error) -> Option<Duration> {
        let mut state = self.state();
        let State { remotes, cluster, far, .. } = &mut *state;
        let known = remotes.get_mut(&remote.0)?;
        known.failures = known.failures.saturating_add(1);
        let (attempt, again) = (known.failures, known.was_ready);
        let (what, first_every, again_every, delay) = match &mut known.way {
            Way::Leaf(leaf) => {
                let facts = &leaf.facts;
                let delay = Some(jittered(facts.reconnect));
                ("as leafnode to remote server", facts.report_every, facts.report_again_every, delay)
            }
            Way::Route(route) => {
                let facts = cluster.as_ref()?;
                ("to route", facts.report_every, facts.report_again_every, route.retry.failed())
            }
            Way::Gateway(gateway) => {
                let facts = far.as_ref()?;
                let delay = gateway.retry.failed().or_else(|| self.hears_from(&gateway.name));
                ("to gateway", facts.report_every, facts.report_again_every, delay)
            }
        };
        let every = if again { again_every } else { first_every };
        let text = format!("Error trying to connect {what} \"{host}:{port}\" (attempt {attempt}): {error}");
        if attempt == 1 || attempt.is_multiple_of(every.max(1)) {
            self.log.error(&text);
        } else {
            self.log.debug(&text);
        }
        if delay.is_none() {
            remotes.remove(&remote.0);
        }
        delay
    }
}

impl LinkDesk for Remotes {
    fn ready(&self, remote: RemoteId) -> bool {
        let mut state = self.state();
        if !state.remotes.get(&remote.0).is_some_and(|known| state.is_up_to_date(known)) {
            return false;
        }
        let State { remotes, cluster, far, .. } = &mut *state;
        let Some(known) = remotes.get_mut(&remote.0) else { return false };
        (known.failures, known.was_ready) = (0, true);
        match (&mut known.way, cluster, far) {
            (Way::Route(route), Some(facts), _) => {
                route.retry = Retry::new(attempts(route.kind, facts), facts.backoff);
            }
            (Way::Gateway(gateway), _, Some(facts)) => gateway.reached(facts),
            _ => {}
        }
        true
    }

    fn wanted(&self, route: WantedRoute) {
        let state = self.state();
        let Some(facts) = state.cluster.as_ref().filter(|_| !state.stopping) else { return };
        let routes = || {
            state.remotes.values().filter_map(|remote| match &remote.way {
                Way::Route(route) => Some(route),
                Way::Leaf(_) | Way::Gateway(_) => None,
            })
        };
        let new = match route {
            WantedRoute::Like(like, account) => {
                let Some(Remote { way: Way::Route(like), .. }) = state.remotes.get(&like.0) else { return };
                let same = routes().filter(|route| route.is_to(&like.host, like.port) && route.account == account);
                let most = if account.is_some() { 1 } else { facts.pool_size };
                (same.count() < most).then(|| RouteWay { account, ..like.clone() })
            }
            WantedRoute::Server { server_id, url } => {
                let Some(url) = Url::parse(&url) else { return };
                let (host, port) = (url.host.clone(), port_of(&url));
                let is_known = |route: &RouteWay| {
                    route.is_to(&host, port) || route.server_id.as_deref() == Some(server_id.as_str())
                };
                (!routes().any(is_known)).then(|| RouteWay {
                    host: host.clone(),
                    port,
                    user: None,
                    password: None,
                    kind: RouteKind::Implicit,
                    account: None,
                    server_id: Some(server_id.clone()),
                    retry: Retry::new(attempts(RouteKind::Implicit, facts), facts.backoff),
                })
            }
        };
        drop(state);
        if let Some(new) = new {
            self.add(Way::Route(new));
        }
    }

    fn heard_of(&self, cluster: ClusterNews) {
        let mut state = self.state();
        let State { remotes, far, stopping, .. } = &mut *state;
        let Some(facts) = far.as_ref().filter(|facts| !*stopping && !facts.is_own(&cluster.name)) else { return };
        let mut known = remotes.values_mut().filter_map(|remote| match &mut remote.way {
            Way::Gateway(way) => Some(way),
            Way::Leaf(_) | Way::Route(_) => None,
        });
        if let Some(way) = known.by_ref().find(|way| way.name == cluster.name) {
            return way.hear(&cluster);
        }
        drop(known);
        if cluster.urls.is_empty() || remotes.len() >= HEARD_OF_MAX {
            return;
        }
        let mut way = GatewayWay::implicit(cluster.name.clone(), facts);
        way.hear(&cluster);
        drop(state);
        self.add(Way::Gateway(Box::new(way)));
    }

    fn heard_of_hubs(&self, remote: RemoteId, urls: Vec<String>) {
        if let Some(Remote { way: Way::Leaf(leaf), .. }) = self.state().remotes.get_mut(&remote.0) {
            leaf.hear(&urls);
        }
    }

    fn clusters(&self) -> Vec<(String, Vec<String>)> {
        let state = self.state();
        let ways = state.remotes.values().filter_map(|remote| match &remote.way {
            Way::Gateway(way) => Some((way.name.clone(), way.addresses())),
            Way::Leaf(_) | Way::Route(_) => None,
        });
        ways.collect()
    }

    fn lost(&self, server_id: &str) {
        let mut state = self.state();
        let parked = state.remotes.iter_mut().filter(|(_, remote)| remote.parked_for.as_deref() == Some(server_id));
        let ids: Vec<u64> = parked
            .map(|(id, remote)| {
                remote.parked_for = None;
                *id
            })
            .collect();
        drop(state);
        if let Some(joined) = self.joined.get() {
            ids.into_iter().for_each(|id| joined.dialer.dial(RemoteId(id), jittered(RETRY_DELAY)));
        }
    }

    fn ended(&self, remote: RemoteId, end: LinkEnd) {
        let mut state = self.state();
        if state.stopping {
            return;
        }
        let Some(known) = state.remotes.get_mut(&remote.0) else { return };
        if end.duplicate_of.is_some() {
            known.parked_for = end.duplicate_of;
            return;
        }
        let delay = match &mut known.way {
            Way::Leaf(leaf) => Some(end.delay.unwrap_or_else(|| jittered(leaf.facts.reconnect))),
            // It may never have been ready: then it counts as a failure.
            Way::Route(_) | Way::Gateway(_) if end.was_ready => Some(jittered(RETRY_DELAY)),
            Way::Route(route) => route.retry.failed().map(jittered),
            Way::Gateway(gateway) => gateway.retry.failed().or_else(|| self.hears_from(&gateway.name)).map(jittered),
        };
        if delay.is_none() {
            state.remotes.remove(&remote.0);
        }
        drop(state);
        if let (Some(joined), Some(delay)) = (self.joined.get(), delay) {
            joined.dialer.dial(remote, delay);
        }
    }
}
