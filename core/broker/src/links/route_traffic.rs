//! What crosses a registered route: interest and messages of many accounts.

use std::sync::Arc;

use topology::Peer as Place;
use wire::ProtocolError;
use wire::client::Limits;
use wire::route::{Form, Op, Scope, parse};
use wire::server::{Message, Parsed};

use crate::connection::{Connection, Phase};
use crate::engine::Engine;
use crate::hub::Hub;
use crate::internal::Rights;
use crate::link::Link;
use crate::links::lines::Dialect;
use crate::links::replies::Answer;
use crate::links::route::{Route, RouteActive, Stage};
use crate::links::wants::{INTEREST_MAX, Incoming, Wants};
use crate::links::{Said, ServerLink};
use crate::publish::Source;

/// Servers of one cluster.
pub(crate) struct RouteDialect;

impl Dialect for RouteDialect {
    type Op<'a> = Op<'a>;

    fn parse<'a>(server: &ServerLink, bytes: &'a [u8], limits: &Limits) -> Result<Parsed<Op<'a>>, ProtocolError> {
        let form = if let ServerLink::Route(route) = server { route.form() } else { Form::default() };
        parse(bytes, limits, form)
    }

    fn heard(server: &mut ServerLink, engine: &Engine) {
        if let ServerLink::Route(Route { stage: Stage::Active(active), .. }) = server {
            active.alive.session.heard(engine.now);
        }
    }

    fn message(engine: &mut Engine, connection: &mut Connection, op: &Op<'_>, source: Source<'_>) -> Option<Said> {
        let Op::Message { scope, message } = op else { return None };
        let Phase::Server(server) = &mut connection.phase else { return None };
        let ServerLink::Route(Route { stage: Stage::Active(active), .. }) = &mut **server else { return None };
        engine.route_message(&connection.link, active, *scope, message, source);
        Some(Said::Done)
    }

    fn other(engine: &mut Engine, connection: &mut Connection, server: &mut ServerLink, op: &Op<'_>) -> Said {
        let ServerLink::Route(route) = server else { return Said::Done };
        engine.route_operation(connection, route, op)
    }
}

impl RouteActive {
    /// The account that a line names, or the only one.
    fn name_of(&self, named: Option<&[u8]>) -> Option<Box<[u8]>> {
        named.or(self.account.as_deref()).map(Into::into)
    }

    /// What the route has of the account that a line names, or of its only one.
    fn wants_of(&mut self, hub: &Hub, named: Option<&[u8]>) -> Option<&mut Wants> {
        self.wants.of(named.or(self.account.as_deref())?, hub)
    }
}

impl Engine {
    fn route_operation(&mut self, connection: &mut Connection, route: &mut Route, op: &Op<'_>) -> Said {
        let Stage::Active(active) = &mut route.stage else { return self.route_greeting(connection, route, op) };
        let hub = self.hub.clone();
        match op {
            Op::Subscribe { scope, interest } => {
                let (peer, rights) = (active.peer.clone(), active.rights.clone());
                if let Some(wants) = active.wants_of(&hub, scope.account) {
                    // What may not cross is not taken; the far end may want it all the same.
                    let _ = self.link_wants(wants, (&peer, &rights), scope.origin, interest, INTEREST_MAX);
                } else if let Some(name) = active.name_of(scope.account) {
                    active.wants.want_early(&name, scope.origin, interest);
                }
            }
            Op::Unsubscribe { scope, disinterest, .. } => {
                if let Some(wants) = active.wants_of(&hub, scope.account) {
                    self.link_wants_no_more(wants, scope.origin, disinterest);
                } else if let Some(name) = active.name_of(scope.account) {
                    active.wants.want_early_no_more(&name, scope.origin, disinterest);
                }
            }
            Op::Ping => self.say(&connection.link, wire::encode::PONG),
            Op::Pong => self.route_ponged(connection, route),
            Op::Info(json) => self.route_told(connection, active, json),
            Op::Err(text) => return self.route_error(connection, text),
            Op::Connect(_) | Op::Account(_) | Op::Ok | Op::Message { .. } => {}
        }
        Said::Done
    }

    /// One message of the far end.
    fn route_message(
        &mut self,
        link: &Arc<Link>,
        active: &mut RouteActive,
        scope: Scope<'_>,
        message: &Message<'_>,
        source: Source<'_>,
    ) {
        active.alive.count(message.body.len());
        let (hub, rights, peer) = (self.hub.clone(), active.rights.clone(), active.peer.clone());
        let Some(wants) = active.wants_of(&hub, scope.account) else { return };
        self.tally.came(&wants.state, link.kind, message.body.len());
        let answer = Answer { link, wants, place: Place::Route, message, source, rights: Rights::Answering };
        if self.take_returned(&answer) {
            return;
        }
        let settings = wants.state.settings();
        let origin = scope.origin.unwrap_or_default();
        let incoming = Incoming::from_server(Place::Route, link, origin, &settings.name, &peer.name);
        // What may not be taken in is left out.
        let _ = self.link_message(link, wants, &rights, &incoming, message, source);
    }
}
