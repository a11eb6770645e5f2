//! A route, from both ends: its handshake carried out, its registration, its end.

use std::sync::Arc;

use auth::LinkRights;
use moment::Instant;
use session::ConnectOptions;
use topology::{
    GatewayHash, Gossip, Info, LinkError, NewRoute, Peer as Place, Registration, RouteEffect, RouteHandshake,
    RouteKind, RouteNews, RouteRules, ServerConnect, gossip_info, route_news,
};
use wire::CloseReason;
use wire::route::{Form, Op};

use crate::connection::Connection;
use crate::engine::Engine;
use crate::link::{Link, LinkKind};
use crate::links::Said;
use crate::links::alive::Alive;
use crate::links::gateway::attempt_of_server;
use crate::links::registry::{ActiveRoute, KnownLink, RoutePlace};
use crate::links::remote::{RemotePeer, TRACE_LEVEL};
use crate::links::settings::{ClusterNews, LinkEnd, RouteSettings, RouteSolicit, WantedRoute};
use crate::links::wants::WantsByAccount;
use crate::login::LoginOutcome;
use crate::mailbox::Note;
use crate::observer::{ConnectionLabel, Event};

/// Payloads between servers may be larger than those of clients here, if another server of the cluster allows more.
const PAYLOAD_MAX: usize = 64 << 20;

/// A route.
pub(crate) struct Route {
    solicited: Option<Arc<RouteSolicit>>,
    pub(crate) stage: Stage,
    deadline: Option<Instant>,
    duplicate_of: Option<String>,
}

/// Where a route is in its life.
pub(crate) enum Stage {
    /// Nothing has been said.
    Silent,
    /// Being introduced.
    Greeting(RouteHandshake),
    /// The login is being judged.
    Judging(RouteHandshake),
    /// Registered.
    Active(Box<RouteActive>),
    /// Over.
    Over,
}

/// A route that carries messages.
pub(crate) struct RouteActive {
    pub(crate) alive: Alive,
    pub(crate) peer: Arc<RemotePeer>,
    pub(crate) rights: Arc<LinkRights>,
    pub(crate) form: Form,
    pub(crate) server_id: String,
    /// The one account it carries.
    pub(crate) account: Option<Box<[u8]>>,
    pub(crate) wants: WantsByAccount,
    /// The next connection of the pool is made when the far end answers.
    opens_next: bool,
}

impl Route {
    pub(crate) fn new(solicited: Option<Arc<RouteSolicit>>) -> Self {
        Self { solicited, stage: Stage::Silent, deadline: None, duplicate_of: None }
    }

    pub(crate) fn is_judging(&self) -> bool {
        matches!(self.stage, Stage::Judging(_))
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Active(active) => active.alive.session.next_deadline(),
            Stage::Over => None,
            _ => self.deadline,
        }
    }

    pub(crate) fn end_run(&mut self, link: &Link) {
        if let Stage::Active(active) = &mut self.stage {
            let wants = active.wants.len();
            active.alive.end_run(link, Some(wants));
        }
    }

    pub(crate) fn form(&self) -> Form {
        match &self.stage {
            Stage::Active(active) => active.form,
            _ => Form::default(),
        }
    }
}

impl Engine {
    fn route_settings(&self) -> Option<Arc<RouteSettings>> {
        self.hub.links.settings.load().routes.clone()
    }

    pub(crate) fn begin_route(&mut self, link: &Arc<Link>, route: &mut Route, nonce: Option<&str>) {
        let Some(settings) = self.route_settings() else { return };
        route.deadline = Some(self.now + settings.auth_timeout);
        let mut effects = Vec::new();
        let handshake = match &route.solicited {
            Some(solicit) => {
                let start = solicit.start.clone();
                // The cluster may have got its name meanwhile.
                let (cluster, cluster_dynamic) =
                    (settings.rules.info.cluster.clone(), settings.rules.info.cluster_dynamic);
                let connect = ServerConnect { cluster, cluster_dynamic, ..solicit.connect.clone() };
                RouteHandshake::solicit(start, connect, &settings.rules, &mut effects)
            }
            None => RouteHandshake::accept(nonce.unwrap_or_default().to_owned(), &settings.rules, &mut effects),
        };
        route.stage = Stage::Greeting(handshake);
        for effect in effects {
            match effect {
                RouteEffect::SendConnect(connect) => self.introduce_server(link, &connect),
                RouteEffect::SendInfo(info) => self.say_info(link, &info),
                _ => {}
            }
        }
    }

    /// Before registration: CONNECT and INFO.
    pub(crate) fn route_greeting(&mut self, connection: &mut Connection, route: &mut Route, op: &Op<'_>) -> Said {
        let Some(settings) = self.route_settings() else { return Said::Close(CloseReason::ServerShutdown) };
        let Stage::Greeting(handshake) = &mut route.stage else { return Said::Done };
        if let Err(error) = handshake.may_come(op) {
            return self.refuse_link(connection, &error);
        }
        let mut effects = Vec::new();
        let rtt = self.now.since(connection.link.started);
        match op {
            Op::Info(json) => match Info::parse(json) {
                Ok(info) => handshake.on_info(info, &settings.rules, rtt, &mut effects),
                Err(error) => return self.refuse_link(connection, &error),
            },
            Op::Connect(json) => handshake.on_connect(json, &settings.rules, &mut effects),
            Op::Ping => self.say(&connection.link, wire::encode::PONG),
            Op::Err(text) => return self.route_error(connection, text),
            _ => {}
        }
        self.route_effects(connection, route, effects)
    }

    /// The far end says what is wrong; it closes the connection itself.
    pub(crate) fn route_error(&mut self, connection: &Connection, text: &[u8]) -> Said {
        self.link_error(connection, &ConnectionLabel::default(), "Route", text);
        Said::Close(CloseReason::ProtocolViolation)
    }

    fn route_effects(&mut self, connection: &mut Connection, route: &mut Route, effects: Vec<RouteEffect>) -> Said {
        for effect in effects {
            match effect {
                RouteEffect::SendConnect(connect) => self.introduce_server(&connection.link, &connect),
                RouteEffect::SendInfo(info) => self.say_info(&connection.link, &info),
                RouteEffect::Compress(level) => self.squeeze(connection, level),
                RouteEffect::Authenticate(connect) => return self.judge_route(connection, route, &connect),
                RouteEffect::AdoptCluster { name, dynamic, server_id } => {
                    self.adopt_cluster(&connection.link, name, dynamic, server_id);
                }
                RouteEffect::Register(registration) => {
                    return self.register_route(connection, route, *registration);
                }
                RouteEffect::Close(error) => {
                    if error == LinkError::DuplicateRoute {
                        // It is this server itself.
                        route.duplicate_of = Some(self.hub.settings().greeting.server_id.clone());
                    }
                    return self.refuse_link(connection, &error);
                }
            }
        }
        Said::Done
    }

    /// The cluster has another name from now on, of which a server has told.
    fn adopt_cluster(&mut self, by: &Link, name: String, dynamic: bool, server_id: String) {
        let settings = self.hub.links.settings.load_full();
        let Some(routes) = &settings.routes else { return };
        self.hub.announce(|settings| settings.greeting.cluster = Some(name.clone()));
        // Mappings may be for one cluster alone.
        self.hub.accounts().iter().for_each(|account| account.graph.touch_all());
        let mut rules = routes.rules.clone();
        rules.info.cluster = name;
        rules.info.cluster_dynamic = dynamic;
        rules.named_by = Some(server_id);
        let routes = RouteSettings { rules, ..RouteSettings::clone(routes) };
        self.hub.set_links(crate::LinkSettings { routes: Some(Arc::new(routes)), ..(*settings).clone() });
        // All other servers have to agree on it again: those of the cluster, and those that know this one as its leaf node.
        for known in self.hub.links.all() {
            let (link, key) = (&known.link, known.link.key);
            let heard_the_other = link.kind == LinkKind::Route || link.kind == LinkKind::Leaf && known.solicited;
            if heard_the_other && link.slot != by.slot {
                link.post(key.worker, Note::Close(key, CloseReason::ClusterNameConflict));
            }
        }
    }

    fn judge_route(&mut self, connection: &mut Connection, route: &mut Route, connect: &ServerConnect) -> Said {
        let epoch = self.hub.epoch();
        let Some(settings) = self.route_settings() else { return Said::Close(CloseReason::ServerShutdown) };
        let Stage::Greeting(handshake) = std::mem::replace(&mut route.stage, Stage::Over) else { return Said::Done };
        let Some(directory) = settings.directory.clone() else {
            return self.admit_route(connection, route, handshake);
        };
        route.stage = Stage::Judging(handshake);
        let attempt = attempt_of_server(connection, connect);
        let options = ConnectOptions { name: connect.name.clone(), ..ConnectOptions::default() };
        match self.judge_server(connection, (epoch, directory), attempt, &options, settings.auth_timeout) {
            None => Said::Wait,
            Some(outcome) => self.route_judged(connection, route, outcome),
        }
    }

    /// The verdict about a server of the cluster.
    pub(crate) fn route_judged(&mut self, connection: &Connection, route: &mut Route, outcome: LoginOutcome) -> Said {
        let Stage::Judging(handshake) = std::mem::replace(&mut route.stage, Stage::Over) else { return Said::Done };
        match self.admitted_server(connection, outcome) {
            Ok(_) => self.admit_route(connection, route, handshake),
            Err(said) => said,
        }
    }

    fn admit_route(&mut self, connection: &Connection, route: &mut Route, mut handshake: RouteHandshake) -> Said {
        let mut effects = Vec::new();
        handshake.on_admitted(&mut effects);
        route.stage = Stage::Greeting(handshake);
        for effect in effects {
            if let RouteEffect::AdoptCluster { name, dynamic, server_id } = effect {
                self.adopt_cluster(&connection.link, name, dynamic, server_id);
            }
        }
        Said::Done
    }

    /// The connection carries messages from now on, if there is room for it among those to its server.
    fn register_route(
        &mut self,
        connection: &mut Connection,
        route: &mut Route,
        mut registration: Registration,
    ) -> Said {
        let Some(settings) = self.route_settings() else { return Said::Close(CloseReason::ServerShutdown) };
        let Stage::Greeting(mut handshake) = std::mem::replace(&mut route.stage, Stage::Over) else {
            return Said::Done;
        };
        let solicited = route.solicited.is_some();
        if registration.info.ip.is_empty() {
            let ip = connection.link.address.ip().to_canonical();
            registration.info.ip = format!("nats-route://{}/", std::net::SocketAddr::new(ip, registration.info.port));
        }
        let account = Some(registration.info.route_account.clone()).filter(|account| !account.is_empty());
        let known = account.as_deref().map(|name| self.hub.account_named(name));
        if let (Some(None), Some(name)) = (&known, &account) {
            return self.refuse_link(connection, &LinkError::UnknownAccount(name.clone()));
        }
        let place = self.hub.links.place_route(&registration, solicited, connection.link.key.id);
        let RoutePlace::At { index, is_first, wants_more } = place else {
            route.duplicate_of = Some(registration.info.server_id.clone());
            let text = LinkError::DuplicateRoute.to_string();
            self.hub.observer.event(&connection.link, &ConnectionLabel::default(), &Event::Debug(&text));
            return Said::Close(CloseReason::DuplicateRoute);
        };
        let mut effects = Vec::new();
        handshake.on_placed(index, &settings.rules, &mut effects);
        for effect in effects {
            if let RouteEffect::SendInfo(info) = effect {
                self.say_info(&connection.link, &info);
            }
        }
        self.known(connection);
        connection.limits = self.link_limits(self.hub.settings().max_payload_bytes.unwrap_or(0).max(PAYLOAD_MAX));
        let opens_next = solicited && wants_more && account.is_none();
        self.open_route(connection, route, &settings, &registration, index, opens_next);
        self.route_news_of(connection, route, &settings, &registration, is_first);
        Said::Done
    }

    fn open_route(
        &mut self,
        connection: &Connection,
        route: &mut Route,
        settings: &RouteSettings,
        registration: &Registration,
        index: u32,
        opens_next: bool,
    ) {
        let info = &registration.info;
        let account = Some(info.route_account.clone()).filter(|account| !account.is_empty());
        let peer = Arc::new(RemotePeer {
            link: connection.link.clone(),
            place: Place::Route,
            cluster: "".into(),
            names_account: registration.form.names_account,
            headers: info.headers,
            takes_origins: info.lnoc,
            old_replies: false,
            name: info.server_name.as_str().into(),
            traces: info.proto >= TRACE_LEVEL,
            takes_rights: false,
            account: None,
            answers: None,
        });
        let alive = self.bring_to_life(settings.ping, None, true);
        if opens_next {
            self.say(&connection.link, wire::encode::PING);
        }
        route.deadline = None;
        route.stage = Stage::Active(Box::new(RouteActive {
            alive,
            peer: peer.clone(),
            rights: settings.rights.clone(),
            form: registration.form,
            server_id: info.server_id.clone(),
            account: account.as_deref().map(|account| account.as_bytes().into()),
            wants: WantsByAccount::default(),
            opens_next,
        }));
        let kind = route.solicited.as_ref().map_or(RouteKind::Implicit, |solicit| solicit.start.kind);
        let active = ActiveRoute {
            peer,
            rights: settings.rights.clone(),
            server_id: info.server_id.clone(),
            hash: GatewayHash::of(&info.server_id),
            unsubscribe_names_origin: info.lnocu,
            kind,
            account,
            dedicated: settings.rules.dedicated.clone(),
            index,
            pool_size: registration.pooling.size(),
            is_pooled: matches!(registration.pooling, topology::Pooling::Pool(_)),
        };
        self.hub.links.know(KnownLink {
            link: connection.link.clone(),
            account: None,
            facts: Arc::default(),
            server: info.server_name.clone(),
            server_id: info.server_id.clone(),
            cluster: info.cluster.clone(),
            remote_account: info.route_account.clone(),
            solicited: route.solicited.is_some(),
            configured: kind == RouteKind::Explicit,
            isolated: false,
            spoke: false,
            compression: registration.compression.as_str().unwrap_or("not supported"),
            remote: route.solicited.as_ref().map(|solicit| solicit.id),
        });
        let hub = self.hub.clone();
        hub.links.open_route(active, || hub.accounts());
        self.stages.touch(&connection.link);
    }

    /// Others are told of a new server, dedicated routes are asked for, clients hear where else they may go.
    fn route_news_of(
        &mut self,
        connection: &Connection,
        route: &Route,
        settings: &RouteSettings,
        registration: &Registration,
        is_first: bool,
    ) {
        let info = &registration.info;
        let text = format!("Route connection created to server {:?}", info.server_name);
        self.hub.observer.event(&connection.link, &ConnectionLabel::default(), &Event::LinkReady(&text));
        if let Some(solicit) = &route.solicited {
            let key = connection.link.key;
            if !self.hub.links.ready(solicit.id) {
                self.hub.tell(key, Note::Close(key, CloseReason::ServerShutdown));
            }
        }
        if !is_first {
            return;
        }
        self.introduce_clusters(&connection.link);
        if let Some(solicit) = &route.solicited
            && matches!(registration.pooling, topology::Pooling::Pool(_))
        {
            for account in &settings.rules.dedicated {
                self.hub.links.wanted(WantedRoute::Like(solicit.id, Some(account.clone())));
            }
        }
        let new = NewRoute {
            kind: route.solicited.as_ref().map_or(RouteKind::Implicit, |solicit| solicit.start.kind),
            solicited: route.solicited.is_some(),
            local: route.solicited.as_ref().map_or(Gossip::Default, |solicit| solicit.start.gossip),
            remote: Gossip::of_number(info.gossip_mode),
        };
        if new.is_news() {
            for other in self.hub.links.one_route_each(&info.server_id) {
                let gossip_mode = new.mode_for(other.kind).number();
                let told = Info {
                    nonce: String::new(),
                    gossip_mode,
                    route_account: String::new(),
                    route_pool_idx: 0,
                    ..info.clone()
                };
                self.say_info(&other.peer.link, &told);
            }
        }
        self.hub.tell_cluster_urls();
        self.hub.tell_leafnode_urls();
    }

    /// A later INFO on a registered route.
    pub(crate) fn route_told(&mut self, connection: &Connection, active: &mut RouteActive, json: &[u8]) {
        let Ok(info) = Info::parse(json) else { return };
        match route_news(info, &active.server_id) {
            RouteNews::Server(info) => {
                let own = self.hub.settings().greeting.server_id == info.server_id;
                let (server_id, url) = (info.server_id, info.ip);
                if !own && !url.is_empty() && !self.hub.links.knows_server(&server_id) {
                    self.hub.links.wanted(WantedRoute::Server { server_id, url });
                }
            }
            RouteNews::LameDuck => {
                self.hub.links.forget_urls(&active.server_id);
                self.hub.tell_cluster_urls();
            }
            // Rights of the far end are its own business: it takes in and gives out what it wants.
            RouteNews::Gateway(info) => self.route_told_of_cluster(connection, *info),
            RouteNews::Rules { .. } => {}
            RouteNews::AccountMoves { account, answer, .. } => {
                self.route_told_of_move(connection, active, &account, &answer);
            }
            RouteNews::AccountMoved(account) => self.route_told_of_moved(active, &account),
        }
    }

    /// A server of the cluster knows another cluster.
    fn route_told_of_cluster(&self, connection: &Connection, info: Info) {
        let Some(gateways) = self.hub.links.settings.load().gateways.clone() else { return };
        if !gateways.rules.is_wanted(&info.gateway) {
            let text = format!("gateway {:?}, of which the cluster tells, is unknown here", info.gateway);
            return self.hub.observer.event(&connection.link, &ConnectionLabel::default(), &Event::Debug(&text));
        }
        let Info { gateway, gateway_urls, .. } = info;
        self.hub.links.heard_of(ClusterNews { name: gateway, urls: gateway_urls, is_own_word: false });
    }

    /// A new server of the cluster hears which other clusters there are, and they hear of it.
    fn introduce_clusters(&mut self, link: &Arc<Link>) {
        if self.hub.links.settings.load().gateways.is_none() {
            return;
        }
        let server_id = self.hub.settings().greeting.server_id.clone();
        let reached: Vec<_> = self.hub.links.gateways.outbound().iter().map(|peer| peer.cluster.clone()).collect();
        for (name, urls) in self.hub.links.clusters() {
            if !urls.is_empty() && reached.iter().any(|cluster| **cluster == *name) {
                self.say_info(link, &gossip_info(&name, urls, &server_id, true));
            }
        }
        self.hub.tell_gateway_urls();
    }

    /// The far end has answered.
    pub(crate) fn route_ponged(&mut self, connection: &Connection, route: &mut Route) {
        let Stage::Active(active) = &mut route.stage else { return };
        active.alive.session.on_pong(self.now);
        if let Some(settings) = self.route_settings() {
            let RouteRules { levels, compression, .. } = &settings.rules;
            self.settle_level(connection, levels.followed(*compression), active.alive.session.rtt());
        }
        if std::mem::take(&mut active.opens_next)
            && let Some(solicit) = &route.solicited
        {
            self.hub.links.wanted(WantedRoute::Like(solicit.id, None));
        }
    }

    pub(crate) fn route_deadline(&mut self, connection: &Connection, route: &mut Route) -> Said {
        let Some(settings) = self.route_settings() else { return Said::Done };
        match &mut route.stage {
            Stage::Active(active) => {
                let due = active.alive.session.due(self.now, settings.ping);
                self.link_due(connection, due)
            }
            Stage::Silent | Stage::Greeting(_) | Stage::Judging(_)
                if route.deadline.is_some_and(|deadline| deadline <= self.now) =>
            {
                self.link_overdue(connection, "Authentication Timeout", true)
            }
            _ => Said::Done,
        }
    }

    pub(crate) fn end_route(&mut self, connection: &Connection, route: Route) {
        let Route { solicited, stage, duplicate_of, .. } = route;
        let was_ready = matches!(stage, Stage::Active(_));
        if let Stage::Active(active) = stage {
            self.hub.links.release_route(&active.server_id, connection.link.key.id);
            for account in self.hub.accounts() {
                account.forget_link(&connection.link);
            }
            active.wants.iter().for_each(|wants| self.link_wants_nothing(wants));
            self.hub.tell_cluster_urls();
            if !self.hub.links.knows_server(&active.server_id) {
                self.hub.tell_gateway_urls();
                self.hub.tell_leafnode_urls();
            }
        }
        if let Some(solicit) = solicited {
            self.hub.links.ended(solicit.id, LinkEnd { was_ready, delay: None, duplicate_of });
        }
    }
}
