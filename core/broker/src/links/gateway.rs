//! A link between clusters, from both ends: its handshake carried out, its registration, its end.
//!
//! Messages go one way: from the server that made the connection. Interest goes the other way.

use std::collections::HashSet;
use std::sync::Arc;

use auth::{Attempt, ConnectionKind, Credentials, LinkRights};
use moment::Instant;
use session::ConnectOptions;
use topology::{
    GatewayEffect, GatewayHandshake, GatewayNews, GatewayRules, Info, Optimism, Peer as Place, RIGHTS_LEVEL,
    ServerConnect, gateway_news, gossip_info,
};
use wire::CloseReason;
use wire::gateway::Op;

use crate::connection::Connection;
use crate::engine::Engine;
use crate::hub::Hub;
use crate::link::Link;
use crate::links::Said;
use crate::links::alive::Alive;
use crate::links::book::{FarReader, write_info};
use crate::links::heard_rights::HeardRights;
use crate::links::registry::KnownLink;
use crate::links::remote::{RemotePeer, TRACE_LEVEL};
use crate::links::settings::{ClusterNews, GatewaySettings, GatewaySolicit, LinkEnd};
use crate::links::wants::WantsByAccount;
use crate::login::LoginOutcome;
use crate::mailbox::Note;
use crate::observer::{ConnectionLabel, Event};

/// Payloads from another cluster may be larger than those of clients here, if that cluster allows more.
const PAYLOAD_MAX: usize = 64 << 20;

/// A gateway.
pub(crate) struct Gateway {
    solicited: Option<Arc<GatewaySolicit>>,
    pub(crate) stage: Stage,
    deadline: Option<Instant>,
}

/// Where a gateway is in its life.
pub(crate) enum Stage {
    /// Nothing has been said.
    Silent,
    /// Being introduced.
    Greeting(GatewayHandshake),
    /// The login is being judged.
    Judging(GatewayHandshake),
    /// Registered: messages go out.
    Outbound(Box<Outbound>),
    /// Registered: messages come in.
    Inbound(Box<Inbound>),
    /// Over.
    Over,
}

/// A gateway that carries messages to another cluster.
pub(crate) struct Outbound {
    pub(crate) alive: Alive,
    pub(crate) peer: Arc<RemotePeer>,
    pub(crate) rights: Arc<LinkRights>,
    /// What is wanted there.
    pub(crate) wants: WantsByAccount,
}

/// A gateway that carries messages from another cluster.
pub(crate) struct Inbound {
    pub(crate) alive: Alive,
    pub(crate) rights: Arc<LinkRights>,
    /// Nothing is wanted over it; accounts have their plans here.
    pub(crate) accounts: WantsByAccount,
    /// What the far end calls itself.
    pub(crate) server: Box<str>,
    /// What it tells of the rights of those who publish there.
    pub(crate) heard: HeardRights,
    /// Accounts that do not exist here and of which it has been told, if it sends what nobody asked for.
    pub(crate) refused: Option<HashSet<Box<[u8]>>>,
}

impl Gateway {
    pub(crate) fn new(solicited: Option<Arc<GatewaySolicit>>) -> Self {
        Self { solicited, stage: Stage::Silent, deadline: None }
    }

    pub(crate) fn is_judging(&self) -> bool {
        matches!(self.stage, Stage::Judging(_))
    }

    pub(crate) fn alive(&mut self) -> Option<&mut Alive> {
        match &mut self.stage {
            Stage::Outbound(outbound) => Some(&mut outbound.alive),
            Stage::Inbound(inbound) => Some(&mut inbound.alive),
            Stage::Silent | Stage::Greeting(_) | Stage::Judging(_) | Stage::Over => None,
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Outbound(outbound) => outbound.alive.session.next_deadline(),
            Stage::Inbound(inbound) => inbound.alive.session.next_deadline(),
            Stage::Over => None,
            Stage::Silent | Stage::Greeting(_) | Stage::Judging(_) => self.deadline,
        }
    }

    pub(crate) fn end_run(&mut self, link: &Link) {
        match &mut self.stage {
            Stage::Outbound(outbound) => outbound.alive.end_run(link, Some(outbound.wants.len())),
            Stage::Inbound(inbound) => inbound.alive.end_run(link, None),
            Stage::Silent | Stage::Greeting(_) | Stage::Judging(_) | Stage::Over => {}
        }
    }
}

impl Hub {
    fn gateway_settings(&self) -> Option<Arc<GatewaySettings>> {
        self.links.settings.load().gateways.clone()
    }

    /// What this server says of itself now: its whole cluster can be come to.
    fn gateway_rules(&self, settings: &GatewaySettings) -> GatewayRules {
        let mut rules = settings.rules.clone();
        rules.info.gateway_urls.extend(self.links.gateway_urls());
        rules.info.gateway_urls.sort();
        rules.info.gateway_urls.dedup();
        rules.server_names.extend(self.links.server_names());
        rules
    }

    /// Other clusters hear where this one can be come to now.
    pub(crate) fn tell_gateway_urls(&self) {
        let Some(settings) = self.gateway_settings() else { return };
        let info = self.gateway_rules(&settings).info;
        for link in self.links.gateways.inbound() {
            link.say_first(|out| write_info(out, &info));
            link.post(link.key.worker, Note::Flush(link.key));
        }
    }
}

impl Engine {
    pub(crate) fn begin_gateway(&mut self, link: &Arc<Link>, gateway: &mut Gateway) {
        let Some(settings) = self.hub.gateway_settings() else { return };
        gateway.deadline = Some(self.now + settings.auth_timeout);
        let mut effects = Vec::new();
        let handshake = match &gateway.solicited {
            Some(solicit) => GatewayHandshake::outbound(solicit.name.clone(), solicit.connect.clone()),
            None => GatewayHandshake::inbound(&self.hub.gateway_rules(&settings), &mut effects),
        };
        gateway.stage = Stage::Greeting(handshake);
        for effect in effects {
            if let GatewayEffect::SendInfo(info) = effect {
                self.say_info(link, &info);
            }
        }
    }

    /// Before registration: CONNECT and INFO.
    pub(crate) fn gateway_greeting(&mut self, connection: &mut Connection, gateway: &mut Gateway, op: &Op<'_>) -> Said {
        let Some(settings) = self.hub.gateway_settings() else { return Said::Close(CloseReason::ServerShutdown) };
        let Stage::Greeting(handshake) = &mut gateway.stage else { return Said::Done };
        if let Err(error) = handshake.may_come(op) {
            return self.refuse_link(connection, &error);
        }
        let rules = self.hub.gateway_rules(&settings);
        let mut effects = Vec::new();
        match op {
            Op::Info(json) => match Info::parse(json) {
                Ok(info) => handshake.on_info(info, &rules, &mut effects),
                Err(error) => return self.refuse_link(connection, &error),
            },
            Op::Connect(json) => handshake.on_connect(json, &rules, &mut effects),
            Op::Ping => self.say(&connection.link, wire::encode::PONG),
            Op::Err(text) => return self.gateway_error(connection, text),
            _ => {}
        }
        self.gateway_effects(connection, gateway, &settings, effects)
    }

    /// The far end says what is wrong; it closes the connection itself.
    pub(crate) fn gateway_error(&mut self, connection: &Connection, text: &[u8]) -> Said {
        self.link_error(connection, &ConnectionLabel::default(), "Gateway", text);
        Said::Close(CloseReason::ProtocolViolation)
    }

    fn gateway_effects(
        &mut self,
        connection: &mut Connection,
        gateway: &mut Gateway,
        settings: &GatewaySettings,
        effects: Vec<GatewayEffect>,
    ) -> Said {
        for effect in effects {
            match effect {
                GatewayEffect::SendInfo(info) => self.say_info(&connection.link, &info),
                GatewayEffect::SendConnect(connect) => self.introduce_server(&connection.link, &connect),
                GatewayEffect::Authenticate(connect) => {
                    return self.judge_gateway(connection, gateway, settings, &connect);
                }
                GatewayEffect::RegisterOutbound(info) => {
                    return self.register_outbound(connection, gateway, settings, *info);
                }
                GatewayEffect::RegisterInbound(info) => {
                    return self.register_inbound(connection, gateway, settings, *info);
                }
                GatewayEffect::Close(error) => return self.refuse_link(connection, &error),
            }
        }
        Said::Done
    }

    fn judge_gateway(
        &mut self,
        connection: &mut Connection,
        gateway: &mut Gateway,
        settings: &GatewaySettings,
        connect: &ServerConnect,
    ) -> Said {
        let epoch = self.hub.epoch();
        let Stage::Greeting(mut handshake) = std::mem::replace(&mut gateway.stage, Stage::Over) else {
            return Said::Done;
        };
        let Some(directory) = settings.directory.clone() else {
            handshake.on_admitted();
            gateway.stage = Stage::Greeting(handshake);
            return Said::Done;
        };
        gateway.stage = Stage::Judging(handshake);
        let options = ConnectOptions { name: connect.name.clone(), ..ConnectOptions::default() };
        let attempt = attempt_of_server(connection, connect);
        match self.judge_server(connection, (epoch, directory), attempt, &options, settings.auth_timeout) {
            None => Said::Wait,
            Some(outcome) => self.gateway_judged(connection, gateway, outcome),
        }
    }

    /// The verdict about a server of another cluster.
    pub(crate) fn gateway_judged(
        &mut self,
        connection: &Connection,
        gateway: &mut Gateway,
        outcome: LoginOutcome,
    ) -> Said {
        let Stage::Judging(mut handshake) = std::mem::replace(&mut gateway.stage, Stage::Over) else {
            return Said::Done;
        };
        match self.admitted_server(connection, outcome) {
            Ok(_) => {
                handshake.on_admitted();
                gateway.stage = Stage::Greeting(handshake);
                Said::Done
            }
            Err(said) => said,
        }
    }

    /// Messages go to the other cluster from now on.
    fn register_outbound(
        &mut self,
        connection: &mut Connection,
        gateway: &mut Gateway,
        settings: &GatewaySettings,
        info: Info,
    ) -> Said {
        let Some(solicit) = gateway.solicited.clone() else { return Said::Close(CloseReason::ProtocolViolation) };
        let peer = Arc::new(RemotePeer {
            link: connection.link.clone(),
            place: Place::Gateway,
            cluster: solicit.name.as_str().into(),
            names_account: true,
            headers: settings.rules.info.headers && info.headers,
            takes_origins: false,
            old_replies: !info.gateway_nrp,
            name: info.server_name.as_str().into(),
            traces: info.proto >= TRACE_LEVEL,
            takes_rights: info.bulwark_rights.min(settings.rules.info.bulwark_rights) >= RIGHTS_LEVEL,
            account: None,
            answers: None,
        });
        if !self.hub.links.gateways.open_outbound(&peer, !info.gateway_iom) || !self.hub.links.ready(solicit.id) {
            self.hub.links.gateways.close(&connection.link);
            return Said::Close(CloseReason::WrongGateway);
        }
        self.know_gateway(connection, settings, &info, Some(&solicit));
        let alive = self.bring_to_life(settings.ping, None, true);
        gateway.deadline = None;
        let rights = Arc::new(LinkRights::everything());
        gateway.stage = Stage::Outbound(Box::new(Outbound { alive, peer, rights, wants: WantsByAccount::default() }));
        // Answers find a way back that they did not have.
        self.hub.accounts().iter().for_each(|account| account.graph.touch_all());
        let text = format!("Outbound gateway connection to {:?} ({}) registered", solicit.name, info.server_id);
        self.hub.observer.event(&connection.link, &ConnectionLabel::default(), &Event::LinkReady(&text));
        self.pass_on_cluster(&solicit.name, info.gateway_urls);
        Said::Done
    }

    /// A cluster has told where it can be come to: so this one knows, in all its servers.
    fn pass_on_cluster(&mut self, name: &str, urls: Vec<String>) {
        self.hub.links.heard_of(ClusterNews { name: name.to_owned(), urls: urls.clone(), is_own_word: true });
        let server_id = self.hub.settings().greeting.server_id.clone();
        let news = gossip_info(name, urls, &server_id, true);
        for route in self.hub.links.one_route_each("") {
            self.say_info(&route.peer.link, &news);
        }
    }

    /// Messages come from the other cluster from now on.
    fn register_inbound(
        &mut self,
        connection: &mut Connection,
        gateway: &mut Gateway,
        settings: &GatewaySettings,
        info: Info,
    ) -> Said {
        self.know_gateway(connection, settings, &info, None);
        let alive = self.bring_to_life(settings.ping, None, true);
        gateway.deadline = None;
        let rights = Arc::new(LinkRights::everything());
        let (accounts, server) = (WantsByAccount::default(), info.server_name.as_str().into());
        let refused = (!info.gateway_iom).then(HashSet::new);
        let heard = HeardRights::new(&info.server_name, info.bulwark_rights, settings.require_rights);
        let is_open = heard.leaves_open();
        gateway.stage = Stage::Inbound(Box::new(Inbound { alive, rights, accounts, server, heard, refused }));
        let own = &settings.rules.info.gateway;
        let text = format!("Inbound gateway connection from {:?} ({}) registered", info.gateway, info.server_id);
        self.hub.observer.event(&connection.link, &ConnectionLabel::default(), &Event::LinkReady(&text));
        if is_open && self.hub.settings().greeting.jetstream {
            let text = unjudged(&info);
            self.hub.observer.event(&connection.link, &ConnectionLabel::default(), &Event::Warning(&text));
        }
        let server_id = self.hub.settings().greeting.server_id.clone();
        for (name, urls) in self.hub.links.clusters() {
            if name != info.gateway && !urls.is_empty() {
                self.say_info(&connection.link, &gossip_info(&name, urls, &server_id, false));
            }
        }
        let hub = self.hub.clone();
        let reader = FarReader { link: connection.link.clone(), cluster: own.as_str().into() };
        hub.links.gateways.open_inbound(reader, || hub.accounts());
        self.stages.touch(&connection.link);
        hub.links.heard_of(ClusterNews { name: info.gateway, urls: info.gateway_urls, is_own_word: false });
        Said::Done
    }

    fn know_gateway(
        &mut self,
        connection: &mut Connection,
        settings: &GatewaySettings,
        info: &Info,
        solicit: Option<&Arc<GatewaySolicit>>,
    ) {
        self.known(connection);
        connection.limits = self.link_limits(self.hub.settings().max_payload_bytes.unwrap_or(0).max(PAYLOAD_MAX));
        self.hub.links.know(KnownLink {
            link: connection.link.clone(),
            account: None,
            facts: Arc::default(),
            server: info.server_name.clone(),
            server_id: info.server_id.clone(),
            cluster: info.gateway.clone(),
            remote_account: String::new(),
            solicited: solicit.is_some(),
            configured: settings.rules.known.contains(&info.gateway),
            isolated: false,
            spoke: false,
            compression: "not supported",
            remote: solicit.map(|solicit| solicit.id),
        });
    }

    /// A later INFO on a gateway that carries messages to another cluster.
    pub(crate) fn gateway_told(&mut self, connection: &Connection, cluster: &str, json: &[u8]) -> Said {
        let Some(settings) = self.hub.gateway_settings() else { return Said::Done };
        let news = Info::parse(json).and_then(|info| gateway_news(info, cluster, &settings.rules));
        match news {
            Ok(Some(GatewayNews::Gateway(info))) => {
                let Info { gateway, gateway_urls, .. } = *info;
                self.hub.links.heard_of(ClusterNews { name: gateway, urls: gateway_urls, is_own_word: false });
            }
            Ok(Some(GatewayNews::Urls(urls))) => self.pass_on_cluster(cluster, urls),
            Ok(Some(GatewayNews::AllInterestFollows(account))) => {
                self.told_by_optimist(connection, &account, |known| known.all_follows(&account));
            }
            Ok(Some(GatewayNews::AllInterestSent(account))) => {
                self.told_by_optimist(connection, &account, |known| known.all_sent(&account));
            }
            Ok(None) => {}
            Ok(Some(GatewayNews::Unknown(command))) => {
                let text = format!("Received unknown command {command} from gateway {cluster:?}");
                self.hub.observer.event(&connection.link, &ConnectionLabel::default(), &Event::Error(&text));
            }
            Err(error) => return self.refuse_link(connection, &error),
        }
        Said::Done
    }

    /// An old server says what it does not want of an account, or takes that back. Nothing if it is none of those, which
    /// get only what they ask for.
    pub(crate) fn told_by_optimist<R>(
        &self,
        connection: &Connection,
        account: &str,
        take: impl FnOnce(&mut Optimism) -> R,
    ) -> Option<R> {
        let known = self.hub.account_named(account)?;
        let taken = self.hub.links.gateways.told_by_optimist(&connection.link, take)?;
        known.graph.touch_all();
        Some(taken)
    }

    pub(crate) fn gateway_deadline(&mut self, connection: &Connection, gateway: &mut Gateway) -> Said {
        let Some(settings) = self.hub.gateway_settings() else { return Said::Done };
        let (now, solicited) = (self.now, gateway.solicited.is_some());
        if let Some(alive) = gateway.alive() {
            let due = alive.session.due(now, settings.ping);
            return self.link_due(connection, due);
        }
        match gateway.stage {
            Stage::Over => Said::Done,
            _ if gateway.deadline.is_some_and(|deadline| deadline <= now) => {
                let text = if solicited { "Gateway handshake timed out" } else { "Authentication Timeout" };
                self.link_overdue(connection, text, !solicited)
            }
            _ => Said::Done,
        }
    }

    pub(crate) fn end_gateway(&mut self, connection: &Connection, gateway: Gateway) {
        let Gateway { solicited, stage, .. } = gateway;
        self.hub.links.gateways.close(&connection.link);
        let was_ready = matches!(stage, Stage::Outbound(_) | Stage::Inbound(_));
        match stage {
            Stage::Outbound(outbound) => {
                outbound.wants.iter().for_each(|wants| self.link_wants_nothing(wants));
                self.hub.accounts().iter().for_each(|account| account.graph.touch_all());
            }
            Stage::Inbound(_) => {
                self.hub.accounts().iter().for_each(|account| account.forget_link(&connection.link));
            }
            Stage::Silent | Stage::Greeting(_) | Stage::Judging(_) | Stage::Over => {}
        }
        if let Some(solicit) = solicited {
            self.hub.links.ended(solicit.id, LinkEnd { was_ready, delay: None, duplicate_of: None });
        }
    }
}

/// What whoever runs the server has to know of a far end that tells no rights.
fn unjudged(info: &Info) -> String {
    format!(
        "Server {:?} of cluster {:?} does not tell what its users are denied: streams of this server are read and changed from \
         there with no regard to it (require_rights of the gateway block refuses that)",
        info.server_name, info.gateway
    )
}

/// Everything a server showed.
pub(crate) fn attempt_of_server(connection: &Connection, connect: &ServerConnect) -> Attempt {
    let user = Some(connect.user.clone()).filter(|user| !user.is_empty());
    Attempt {
        credentials: Credentials { user, password: connect.pass.clone(), ..Credentials::default() }.tidy(),
        address: Some(connection.link.address.ip().to_canonical()),
        certificate: connection.certificate.clone(),
        ..Attempt::silent(ConnectionKind::Standard)
    }
}
