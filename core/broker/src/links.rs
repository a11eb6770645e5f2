//! Links between servers: their life from the first byte to the last.
//!
//! What may be said when is decided in `topology`; this part carries it out. A link before registration is a value that
//! has no way to the graph, and its lines are read in the dialect of its kind, so nothing that a peer says before it is
//! known can become a subscription or a message.

mod alive;
pub(crate) mod book;
pub(crate) mod crossed;
pub(crate) mod crossing;
mod early;
mod gateway;
mod gateway_traffic;
pub(crate) mod gateways;
mod heard_rights;
mod judging;
mod leaf;
mod leaf_news;
mod leaf_traffic;
mod lines;
pub(crate) mod moving;
pub(crate) mod registry;
pub(crate) mod remote;
pub(crate) mod replies;
mod route;
mod route_traffic;
pub(crate) mod settings;
pub(crate) mod telling_rights;
pub(crate) mod wants;

use std::mem;
use std::sync::Arc;

use moment::Instant;
use topology::{Info, LinkError, ServerConnect};
use wire::CloseReason;
use wire::client::Limits;

use crate::account_state::AccountState;
use crate::buffers::BufferId;
use crate::connection::{Connection, Phase, Step};
use crate::engine::{Engine, Flow};
use crate::link::LinkKind;
use crate::links::gateway::Gateway;
use crate::links::gateway_traffic::GatewayDialect;
use crate::links::leaf::Leaf;
use crate::links::leaf_traffic::LeafDialect;
use crate::links::route::Route;
use crate::links::route_traffic::RouteDialect;
use crate::links::settings::Arrival;
use crate::login::LoginOutcome;
use crate::observer::{ConnectionLabel, Event};
use crate::subscription::{Subscription, Target};

/// A link as the worker that reads it knows it.
pub(crate) enum ServerLink {
    Leaf(Leaf),
    Route(Route),
    Gateway(Gateway),
}

impl ServerLink {
    /// The account of a leaf connection that carries messages.
    pub(crate) fn account(&self) -> Option<&Arc<AccountState>> {
        match self {
            Self::Leaf(leaf) => leaf.account(),
            Self::Route(_) | Self::Gateway(_) => None,
        }
    }
}

/// What one operation on a link led to.
pub(crate) enum Said {
    /// It is done.
    Done,
    /// A login has to be waited for.
    Wait,
    /// A TLS handshake begins, as its client.
    StartTls,
    /// The connection is to be closed.
    Close(CloseReason),
}

impl ServerLink {
    pub(crate) fn new(arrival: Arrival, now: Instant) -> Self {
        match arrival {
            Arrival::LeafAccepted => Self::Leaf(Leaf::new(None, now)),
            Arrival::LeafSolicited(solicit) => Self::Leaf(Leaf::new(Some(solicit), now)),
            Arrival::RouteAccepted => Self::Route(Route::new(None)),
            Arrival::RouteSolicited(solicit) => Self::Route(Route::new(Some(solicit))),
            Arrival::GatewayAccepted => Self::Gateway(Gateway::new(None)),
            Arrival::GatewaySolicited(solicit) => Self::Gateway(Gateway::new(Some(solicit))),
        }
    }

    pub(crate) fn is_waiting(&self) -> bool {
        match self {
            Self::Leaf(leaf) => leaf.is_judging(),
            Self::Route(route) => route.is_judging(),
            Self::Gateway(gateway) => gateway.is_judging(),
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        match self {
            Self::Leaf(leaf) => leaf.next_deadline(),
            Self::Route(route) => route.next_deadline(),
            Self::Gateway(gateway) => gateway.next_deadline(),
        }
    }

    pub(crate) fn label(&self) -> Option<ConnectionLabel> {
        match self {
            Self::Leaf(leaf) => leaf.label(),
            Self::Route(_) | Self::Gateway(_) => None,
        }
    }
}

impl Arrival {
    pub(crate) fn kind(&self) -> LinkKind {
        match self {
            Self::LeafAccepted | Self::LeafSolicited(_) => LinkKind::Leaf,
            Self::RouteAccepted | Self::RouteSolicited(_) => LinkKind::Route,
            Self::GatewayAccepted | Self::GatewaySolicited(_) => LinkKind::Gateway,
        }
    }

    /// This server made the connection.
    pub fn is_solicited(&self) -> bool {
        matches!(self, Self::LeafSolicited(_) | Self::RouteSolicited(_) | Self::GatewaySolicited(_))
    }
}

impl Engine {
    /// The first word, or the first waiting.
    pub(crate) fn begin_link(&mut self, connection: &mut Connection) {
        match &mut connection.phase {
            Phase::Server(server) => match &mut **server {
                ServerLink::Leaf(leaf) => self.begin_leaf(&connection.link, leaf, connection.nonce.as_deref()),
                ServerLink::Route(route) => self.begin_route(&connection.link, route, connection.nonce.as_deref()),
                ServerLink::Gateway(gateway) => self.begin_gateway(&connection.link, gateway),
            },
            _ => debug_assert!(false, "only links are begun"),
        }
        self.hub.observer.event(&connection.link, &ConnectionLabel::default(), &Event::Accepted);
    }

    /// TLS stands: a connection that this server made goes on.
    pub(crate) fn link_secured(&mut self, connection: &mut Connection) -> Step {
        let said = self.with_link(connection, |engine, connection, server| match server {
            ServerLink::Leaf(leaf) => engine.leaf_secured(connection, leaf),
            // TLS comes before the first line of a route or a gateway.
            ServerLink::Route(_) | ServerLink::Gateway(_) => Said::Done,
        });
        step_of(said)
    }

    /// Takes operations of a link, as [`Engine::run`] does for clients.
    pub(crate) fn run_link(&mut self, connection: &mut Connection, id: BufferId, bytes: &[u8]) -> Flow {
        let Phase::Server(server) = &connection.phase else { return Flow::Close(CloseReason::Unknown) };
        match **server {
            ServerLink::Leaf(_) => self.run_lines::<LeafDialect>(connection, id, bytes),
            ServerLink::Route(_) => self.run_lines::<RouteDialect>(connection, id, bytes),
            ServerLink::Gateway(_) => self.run_lines::<GatewayDialect>(connection, id, bytes),
        }
    }

    /// The verdict about the far end.
    pub(crate) fn link_judged(&mut self, connection: &mut Connection, outcome: LoginOutcome) -> Step {
        let said = self.with_link(connection, |engine, connection, server| match server {
            ServerLink::Leaf(leaf) => engine.leaf_judged(connection, leaf, outcome),
            ServerLink::Route(route) => engine.route_judged(connection, route, outcome),
            ServerLink::Gateway(gateway) => engine.gateway_judged(connection, gateway, outcome),
        });
        step_of(said)
    }

    /// Users or settings changed.
    pub(crate) fn review_link(&mut self, connection: &mut Connection) -> Step {
        let said = self.with_link(connection, |engine, connection, server| match server {
            ServerLink::Leaf(leaf) => engine.review_leaf(connection, leaf),
            // A route or a gateway has no user; its settings changing ends it.
            ServerLink::Route(_) | ServerLink::Gateway(_) => Said::Done,
        });
        step_of(said)
    }

    pub(crate) fn link_deadline(&mut self, connection: &mut Connection) -> Step {
        let said = self.with_link(connection, |engine, connection, server| match server {
            ServerLink::Leaf(leaf) => engine.leaf_deadline(connection, leaf),
            ServerLink::Route(route) => engine.route_deadline(connection, route),
            ServerLink::Gateway(gateway) => engine.gateway_deadline(connection, gateway),
        });
        step_of(said)
    }

    /// The batch of a link is over: what it counted is added up.
    pub(crate) fn end_link_run(&mut self, connection: &mut Connection) {
        let Phase::Server(server) = &mut connection.phase else { return };
        match &mut **server {
            ServerLink::Leaf(leaf) => leaf.end_run(&connection.link),
            ServerLink::Route(route) => route.end_run(&connection.link),
            ServerLink::Gateway(gateway) => gateway.end_run(&connection.link),
        }
    }

    /// A link is over: its interest leaves the graph.
    pub(crate) fn end_link(&mut self, connection: &mut Connection, server: ServerLink) {
        match server {
            ServerLink::Leaf(leaf) => self.end_leaf(connection, leaf),
            ServerLink::Route(route) => self.end_route(connection, route),
            ServerLink::Gateway(gateway) => self.end_gateway(connection, gateway),
        }
        self.hub.links.forget(&connection.link);
    }

    /// An account has come to life: what the far end wanted in it before counts from now on.
    pub(crate) fn account_is_here(&mut self, connection: &mut Connection, name: &[u8]) {
        self.with_link(connection, |engine, _, server| {
            match server {
                ServerLink::Route(Route { stage: route::Stage::Active(active), .. }) => {
                    let (peer, rights) = (active.peer.clone(), active.rights.clone());
                    engine.link_wanted_early(&mut active.wants, (&peer, &rights), name);
                }
                ServerLink::Gateway(Gateway { stage: gateway::Stage::Outbound(outbound), .. }) => {
                    let (peer, rights) = (outbound.peer.clone(), outbound.rights.clone());
                    engine.link_wanted_early(&mut outbound.wants, (&peer, &rights), name);
                }
                ServerLink::Route(_) | ServerLink::Gateway(_) | ServerLink::Leaf(_) => {}
            }
            Said::Done
        });
    }

    /// Runs something that needs both the connection and its link, which is out of the connection meanwhile.
    pub(crate) fn with_link(
        &mut self,
        connection: &mut Connection,
        run: impl FnOnce(&mut Self, &mut Connection, &mut ServerLink) -> Said,
    ) -> Said {
        let Phase::Server(mut server) = mem::replace(&mut connection.phase, Phase::Over) else { return Said::Done };
        let said = run(self, connection, &mut server);
        connection.phase = Phase::Server(server);
        said
    }

    pub(crate) fn say_info(&mut self, link: &Arc<crate::Link>, info: &Info) {
        let mut line = Vec::new();
        book::write_info(&mut line, info);
        self.say(link, &line);
    }

    /// CONNECT, with what this server has to show.
    pub(crate) fn introduce_server(&mut self, link: &Arc<crate::Link>, connect: &ServerConnect) {
        let mut line = b"CONNECT ".to_vec();
        line.extend_from_slice(&connect.to_json());
        line.extend_from_slice(b"\r\n");
        self.say_secret(link, &line);
    }

    /// Says something on a link. Everything that is no message is said this way, so that it keeps its order with the
    /// interest that others write there.
    pub(crate) fn say(&mut self, link: &Arc<crate::Link>, bytes: &[u8]) {
        if let Some(log) = &self.stages.log {
            log.line_out(link, bytes);
        }
        self.say_secret(link, bytes);
    }

    /// The same, and no log shows it.
    pub(crate) fn say_secret(&mut self, link: &Arc<crate::Link>, bytes: &[u8]) {
        link.say_first(|out| out.extend_from_slice(bytes));
        self.stages.touch(link);
    }

    /// Tells the far end why, if it is to hear it, and the log in any case.
    pub(crate) fn refuse_link(&mut self, connection: &Connection, error: &LinkError) -> Said {
        if let Some(text) = error.wire_text() {
            self.say(&connection.link, &wire::encode::err(&text));
        }
        self.hub.observer.event(&connection.link, &ConnectionLabel::default(), &Event::Error(&error.to_string()));
        Said::Close(error.close_reason())
    }

    /// A subscription begins; links that have something to say because of it do so before this round's messages.
    pub(crate) fn enter(
        &mut self,
        account: &AccountState,
        grant: auth::SubscribeGrant,
        target: Target,
    ) -> Arc<Subscription> {
        let Self { stages, hub, .. } = self;
        hub.enter(account, grant, target, &mut |link| stages.touch(link))
    }

    /// A subscription ends.
    pub(crate) fn withdraw(&mut self, account: &AccountState, subscription: &Arc<Subscription>) {
        let Self { stages, hub, .. } = self;
        hub.withdraw(account, subscription, &mut |link| stages.touch(link));
        self.no_longer_waits(account, &subscription.grant.filter);
    }

    /// What a link may send before it is registered: lines, but no payload.
    pub(crate) fn link_limits(&self, max_payload: usize) -> Limits {
        let max_control_line = self.hub.settings().max_control_line_bytes;
        Limits { max_control_line, max_payload, headers: true }.between_servers()
    }
}

fn step_of(said: Said) -> Step {
    match said {
        Said::Done | Said::Wait => Step::Continue,
        Said::StartTls => Step::StartTls,
        Said::Close(reason) => Step::Close(reason),
    }
}
