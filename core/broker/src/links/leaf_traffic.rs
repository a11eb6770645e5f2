//! What crosses a registered leaf connection: interest and messages.

use std::sync::Arc;

use auth::Denial;
use topology::{LEAF_LOOP_DELAY, LeafRole, LinkError, Peer as Place, is_loop};
use wire::client::Limits;
use wire::leaf::{Op, parse};
use wire::server::{Interest, Message, Parsed};
use wire::{CloseReason, ProtocolError};

use crate::connection::{Connection, Phase};
use crate::engine::Engine;
use crate::internal::Rights;
use crate::link::Link;
use crate::links::crossing::Whence;
use crate::links::leaf::{Leaf, LeafActive, Stage};
use crate::links::lines::Dialect;
use crate::links::wants::{INTEREST_MAX, Incoming, Unmet};
use crate::links::{Said, ServerLink};
use crate::observer::Event;
use crate::plan::Entered;
use crate::publish::Source;
use crate::sharing::requester::Requester;

/// What the far end did that it may not.
enum Broken {
    /// It is in a loop with us.
    Loop,
    /// A permission.
    Denied(Denial),
    /// It wants more than it may.
    TooMuch,
}

impl From<Unmet> for Broken {
    fn from(unmet: Unmet) -> Self {
        match unmet {
            Unmet::Denied(denial) => Self::Denied(denial),
            Unmet::TooMuch => Self::TooMuch,
        }
    }
}

/// Leaf nodes and their hubs.
pub(crate) struct LeafDialect;

impl Dialect for LeafDialect {
    type Op<'a> = Op<'a>;

    fn parse<'a>(_: &ServerLink, bytes: &'a [u8], limits: &Limits) -> Result<Parsed<Op<'a>>, ProtocolError> {
        parse(bytes, limits)
    }

    fn heard(server: &mut ServerLink, engine: &Engine) {
        if let ServerLink::Leaf(Leaf { stage: Stage::Active(active), .. }) = server {
            active.alive.session.heard(engine.now);
        }
    }

    fn message(engine: &mut Engine, connection: &mut Connection, op: &Op<'_>, source: Source<'_>) -> Option<Said> {
        let Op::Message(message) = op else { return None };
        let Phase::Server(server) = &mut connection.phase else { return None };
        let ServerLink::Leaf(Leaf { stage: Stage::Active(active), .. }) = &mut **server else { return None };
        match engine.leaf_message(&connection.link, active, message, source) {
            Ok(()) => Some(Said::Done),
            Err(denial) => Some(engine.with_link(connection, |engine, connection, server| match server {
                ServerLink::Leaf(leaf) => engine.leaf_broken(connection, leaf, &Broken::Denied(denial)),
                _ => Said::Done,
            })),
        }
    }

    fn other(engine: &mut Engine, connection: &mut Connection, server: &mut ServerLink, op: &Op<'_>) -> Said {
        let ServerLink::Leaf(leaf) = server else { return Said::Done };
        engine.leaf_operation(connection, leaf, op)
    }
}

impl Engine {
    fn leaf_operation(&mut self, connection: &mut Connection, leaf: &mut Leaf, op: &Op<'_>) -> Said {
        let Stage::Active(active) = &mut leaf.stage else { return self.leaf_greeting(connection, leaf, op) };
        let taken = match op {
            Op::Subscribe(interest) => self.leaf_wants(active, interest),
            Op::Unsubscribe(disinterest) => {
                self.link_wants_no_more(&mut active.wants, None, disinterest);
                Ok(())
            }
            Op::Ping => {
                self.say(&connection.link, wire::encode::PONG);
                Ok(())
            }
            Op::Pong => {
                active.alive.session.on_pong(self.now);
                let rtt = active.alive.session.rtt();
                self.leaf_ponged(connection, leaf, rtt);
                return Said::Done;
            }
            Op::Err(text) => return self.leaf_error(connection, leaf, text),
            Op::Info(json) => {
                self.leaf_told(leaf, json);
                return Said::Done;
            }
            // A second login changes nothing.
            Op::Connect(_) | Op::Ok | Op::Message(_) => Ok(()),
        };
        match taken {
            Ok(()) => Said::Done,
            Err(broken) => self.leaf_broken(connection, leaf, &broken),
        }
    }

    fn leaf_wants(&mut self, active: &mut LeafActive, interest: &Interest<'_>) -> Result<(), Broken> {
        let own = self.loop_subject(&active.wants.state);
        if is_loop(interest.subject, &own) {
            return Err(Broken::Loop);
        }
        let most = active.max_subscriptions.map_or(INTEREST_MAX, |most| usize::try_from(most).unwrap_or(INTEREST_MAX));
        match self.link_wants(&mut active.wants, (&active.peer, &active.rights), None, interest, most) {
            // The hub told us what we may have; it may still want it.
            Err(Unmet::Denied(_)) if active.role == LeafRole::Spoke => Ok(()),
            unmet => unmet.map_err(Broken::from),
        }
    }

    /// One message of the far end.
    fn leaf_message(
        &mut self,
        link: &Arc<Link>,
        active: &mut LeafActive,
        message: &Message<'_>,
        source: Source<'_>,
    ) -> Result<(), Denial> {
        active.alive.count(message.body.len());
        self.tally.came(&active.wants.state, link.kind, message.body.len());
        let place = Place::Leaf(active.role);
        let cluster = &active.peer.cluster;
        let settings = active.wants.state.settings();
        let incoming = Incoming {
            whence: Whence { place, slot: link.slot, cluster, entered: Entered::ByClient },
            origin: cluster.as_bytes(),
            requester: Requester::Leaf(link, &settings.name),
            rights: Rights::Leaf(&active.rights, &active.label),
            server: &active.peer.name,
        };
        match self.link_message(link, &active.wants, &active.rights, &incoming, message, source) {
            Err(denial) if active.role == LeafRole::Hub => Err(denial),
            _ => Ok(()),
        }
    }

    /// The far end did what it may not: it is told, and the connection ends.
    fn leaf_broken(&mut self, connection: &Connection, leaf: &mut Leaf, broken: &Broken) -> Said {
        let Stage::Active(active) = &leaf.stage else { return Said::Done };
        let label = active.label.clone();
        let link = &connection.link;
        match broken {
            Broken::Loop => {
                let account = active.wants.state.settings().name.to_string();
                let error = LinkError::Loop { account };
                self.say(link, &wire::encode::err(&error.to_string()));
                self.hub.observer.event(link, &label, &Event::Error(&error.to_string()));
            }
            Broken::Denied(denial) => {
                let text = denial.wire_text();
                self.say(link, &wire::encode::err(&text));
                self.hub.observer.event(link, &label, &Event::Denied { denial, sid: None });
            }
            Broken::TooMuch => {
                self.say(link, &wire::encode::err("maximum subscriptions exceeded"));
                self.hub.observer.event(link, &label, &Event::Error("maximum subscriptions exceeded"));
            }
        }
        if leaf.is_solicited() {
            leaf.wait_before_next(LEAF_LOOP_DELAY);
        }
        Said::Close(CloseReason::ProtocolViolation)
    }
}
