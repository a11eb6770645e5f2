//! The hop of a message that is being handled.

use std::sync::Arc;

use auth::{Action, Denial};
use wire::client::Publish;

use super::parent::{Parent, value};
use super::{Asker, Request, with};
use crate::delivery::Missed;
use crate::engine::Engine;
use crate::hop::{HOP_STEPS_MAX, Hop, HopRefusal, HopTaker, Step, StepTo, text};
use crate::links::remote::RemotePeer;
use crate::publish::Source;
use crate::subscription::{ClientTarget, Subscription};

/// A hop that is not over yet. Whoever drops it tells it.
pub(crate) struct OpenHop {
    taker: Arc<dyn HopTaker>,
    hop: Option<Hop>,
}

/// A message that bears this server's span as its parent.
pub(super) struct Carried {
    /// Headers, payload and the end behind it.
    pub(super) bytes: Vec<u8>,
    pub(super) header_len: usize,
}

impl Carried {
    /// The message in its place.
    pub(super) fn of<'m>(&'m self, publish: &Publish<'m>) -> (Publish<'m>, Source<'m>) {
        let body = 0..self.bytes.len() - 2;
        let source = Source { lender: None, bytes: &self.bytes };
        (Publish { header_len: self.header_len, body, ..*publish }, source)
    }
}

impl OpenHop {
    fn hop(&mut self) -> Option<&mut Hop> {
        self.hop.as_mut()
    }

    /// It is clear where the message goes.
    pub(super) fn decided(&mut self) {
        let now = self.taker.now();
        if let Some(hop) = self.hop() {
            (hop.decided, hop.delivered) = (now, now);
        }
    }

    /// The message goes no further.
    pub(super) fn refused(&mut self, what: &'static str, because: String) {
        if let Some(hop) = self.hop() {
            hop.refused = Some(HopRefusal { what, because });
        }
    }

    pub(super) fn denied(&mut self, denial: &Denial) {
        let what = match denial.action {
            Action::Publish(_) => "publish denied",
            Action::Reply(_) => "reply denied",
            Action::Subscribe { .. } => "subscription denied",
        };
        self.refused(what, denial.because.to_string());
    }

    fn step(&mut self, to: impl FnOnce() -> StepTo) {
        let at = self.taker.now();
        let Some(hop) = self.hop() else { return };
        if hop.steps.len() < HOP_STEPS_MAX {
            hop.steps.push(Step { at, to: to() });
        } else {
            hop.steps_left_out += 1;
        }
    }

    pub(super) fn met(&mut self, subscription: &Subscription, client: &ClientTarget, missed: Option<Missed>) {
        self.step(|| StepTo::Client {
            connection: client.peer.link.key.id,
            name: text(client.peer.name.as_bytes()),
            account: client.peer.account.settings().name.to_string(),
            filter: text(subscription.grant.filter.as_bytes()),
            queue: subscription.grant.queue.as_ref().map(|queue| text(queue.as_bytes())),
            missed: missed.map(super::event::error_text),
        });
    }

    pub(super) fn crossed(&mut self, peer: &RemotePeer) {
        let (kind, connection) = (peer.link.kind, peer.link.key.id);
        self.step(|| StepTo::Server { kind, connection, name: text(peer.name.as_bytes()) });
    }

    pub(super) fn entered(&mut self, account: &str, from: &[u8], to: &[u8]) {
        self.step(|| StepTo::Service { account: account.to_owned(), from: text(from), to: text(to) });
    }

    pub(super) fn carried(&mut self, account: &str, to: &[u8]) {
        self.step(|| StepTo::Stream { account: account.to_owned(), to: text(to) });
    }
}

impl Drop for OpenHop {
    fn drop(&mut self) {
        if let Some(mut hop) = self.hop.take() {
            hop.delivered = self.taker.now().max(hop.decided);
            self.taker.take(hop);
        }
    }
}

impl Engine {
    /// Opens a hop for a message, if somebody takes hops and its headers ask for one. The message as it goes on.
    pub(super) fn open_hop(
        &self,
        asker: &Asker<'_>,
        subject: &[u8],
        block: &[u8],
        payload: &[u8],
        size_bytes: usize,
    ) -> Option<(OpenHop, Carried)> {
        let taker = self.hub.hops()?;
        let parent = Parent::read(block);
        let is_asked = parent.as_ref().is_some_and(|parent| parent.is_sampled)
            || Request::read(block).is_some_and(|request| request.destination.is_some());
        if !is_asked {
            return None;
        }
        let account = asker.account.settings().name.to_string();
        let begun = taker.opens(&account)?;
        let (mut trace, mut span) = ([0; 16], [0; 8]);
        self.hub.secure.fill(&mut span);
        match &parent {
            Some(parent) => trace = parent.trace,
            None => self.hub.secure.fill(&mut trace),
        }
        let (mut bytes, at) = match &parent {
            Some(parent) => (block.to_vec(), Some(parent.at.clone())),
            None => (with(block, "traceparent", value(trace, span).as_bytes()), None),
        };
        if let Some(digits) = at.and_then(|at| bytes.get_mut(at)) {
            digits.copy_from_slice(super::parent::hex(&span).as_bytes());
        }
        let header_len = bytes.len();
        bytes.extend_from_slice(payload);
        bytes.extend_from_slice(b"\r\n");
        let hop = Hop {
            trace,
            parent: parent.map(|parent| parent.span),
            span,
            received: self.wall.min(begun),
            begun,
            decided: begun,
            delivered: begun,
            kind: asker.link.kind,
            connection: asker.link.key.id,
            peer: text(asker.name.as_bytes()),
            account,
            subject: text(subject),
            size_bytes,
            refused: None,
            steps: Vec::new(),
            steps_left_out: 0,
        };
        Some((OpenHop { taker, hop: Some(hop) }, Carried { bytes, header_len }))
    }
}
