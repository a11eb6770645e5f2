//! The house: what the server itself publishes.
//!
//! Streams, system services and the callout publish as the server, with every right, in an account that they name. There
//! are two ways, and both end in the same pipeline as a client's message:
//!
//! * [`House`]: a publisher with its own stages and plans, for a thread that publishes much. It writes straight to the
//!   receivers' transports, like a worker.
//! * [`Hub::publish`]: a few messages, from any thread; a worker publishes them in its next round.
//!
//! Messages of one caller keep their order on either way, but not across the two.

use std::rc::Rc;
use std::sync::Arc;

use auth::Permissions;
use moment::{Instant, Timestamp};
use subject::{Filter, Queue, Subject};
use wire::client::Publish;

use crate::account_state::AccountState;
use crate::awaited::Told;
use crate::buffers::ReadBuffers;
use crate::engine::Engine;
use crate::hub::Hub;
use crate::internal::{InternalSubscriber, Rights};
use crate::link::{Carrier, Link, LinkKind, LinkParts, QueueLimits, Transport};
use crate::links::crossing::Whence;
use crate::mailbox::{ConnectionKey, Note};
use crate::orders::Weight;
use crate::plan::{Plan, Route};
use crate::protocol_log::ProtocolLog;
use crate::publish::{Sending, Source};
use crate::sharing::doors::Journey;
use crate::sharing::requester::Requester;
use crate::stage::BORROW_BYTES;
use crate::subscription::{Subscription, Target};

/// A message of the server itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct HouseMessage<'a> {
    /// The subject it is routed by.
    pub to: &'a [u8],
    /// The subject its receivers see, where that is another one: a stream's message keeps its own on the way to an inbox.
    pub shown: Option<&'a [u8]>,
    /// Where an answer goes.
    pub reply: Option<&'a [u8]>,
    /// The header block, with its final empty line; empty if there is none.
    pub headers: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
    /// Header block, payload and the end of a line, if they lie one behind the other. Then they need not be put together.
    pub whole: Option<&'a [u8]>,
    /// The server itself wants something done. Otherwise it goes where others have said, and not where orders and
    /// acknowledgements are taken.
    pub orders: bool,
}

/// The same, owned, with the account it is for.
#[derive(Clone)]
pub struct OwnMessage {
    /// The account in which it is published.
    pub account: Arc<AccountState>,
    /// The subject it is routed by.
    pub to: Vec<u8>,
    /// The subject its receivers see, where that is another one.
    pub shown: Option<Vec<u8>>,
    /// Where an answer goes.
    pub reply: Option<Vec<u8>>,
    /// The header block, with its final empty line; empty if there is none.
    pub headers: Vec<u8>,
    /// The payload.
    pub payload: Vec<u8>,
    /// It shows clients of this server what was said elsewhere. No part of a server, no other server and no other account gets it, so that
    /// nobody takes it for the message itself: an order may be shown.
    pub is_copy: bool,
}

impl OwnMessage {
    /// A message without reply and headers.
    pub fn new(account: Arc<AccountState>, to: impl Into<Vec<u8>>, payload: impl Into<Vec<u8>>) -> Self {
        let (to, payload) = (to.into(), payload.into());
        Self { account, to, shown: None, reply: None, headers: Vec::new(), payload, is_copy: false }
    }

    fn lent(&self) -> HouseMessage<'_> {
        HouseMessage {
            to: &self.to,
            shown: self.shown.as_deref(),
            reply: self.reply.as_deref(),
            headers: &self.headers,
            payload: &self.payload,
            whole: None,
            orders: false,
        }
    }
}

/// A worker number that no worker has: nobody is told anything.
const NO_WORKER: u16 = u16::MAX;

/// The way out of a publisher that nothing is sent to.
struct Nowhere;

impl Transport for Nowhere {
    fn write(&self, bytes: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
        Ok(bytes.iter().map(|slice| slice.len()).sum())
    }

    fn shut_down(&self) {}
}

/// The server as a publisher, and room for the message at hand.
pub(crate) struct Own {
    /// Held anew for each message: within the thread that is cheap.
    publisher: Rc<Publisher>,
    scratch: Vec<u8>,
}

/// The server as a publisher: its link and its rights.
struct Publisher {
    link: Arc<Link>,
    rights: Arc<Permissions>,
    number: u32,
}

impl Own {
    pub(crate) fn new(hub: &Arc<Hub>) -> Self {
        let key = ConnectionKey { worker: NO_WORKER, place: 0, id: 0 };
        let limits = QueueLimits::new(0, true);
        let address = (std::net::Ipv4Addr::UNSPECIFIED, 0).into();
        let parts = LinkParts {
            key,
            kind: LinkKind::House,
            carrier: Carrier::Stream,
            address,
            transport: Box::new(Nowhere),
            limits,
            now: Instant::START,
        };
        let rights = Arc::new(Permissions::everything());
        let number = hub.permission_number(&rights);
        let link = Link::new(parts, hub.mailboxes.clone(), hub.slots.clone());
        Self { publisher: Rc::new(Publisher { link, rights, number }), scratch: Vec::new() }
    }

    /// Every right.
    pub(crate) fn rights(&self) -> Arc<Permissions> {
        self.publisher.rights.clone()
    }
}

/// A publisher inside the server, for one thread that publishes much.
pub struct House {
    engine: Engine,
    buffers: ReadBuffers,
}

impl House {
    /// A publisher. It stays on the thread that makes it.
    pub fn new(hub: &Arc<Hub>, seed: u64) -> Self {
        Self { engine: Engine::new(hub.clone(), seed), buffers: ReadBuffers::default() }
    }

    /// A round begins: what happens in it happens at this time.
    pub fn begin_round(&mut self, now: Instant, wall: Timestamp) {
        self.engine.begin_round(now, wall);
    }

    /// Publishes in an account. Whether anybody is reached. It leaves with [`House::flush`] at the latest.
    pub fn publish(&mut self, account: &Arc<AccountState>, message: &HouseMessage<'_>) -> bool {
        let reached = self.engine.publish_own(account, message, &mut self.buffers);
        if self.engine.stages.is_full() {
            self.flush();
        }
        reached
    }

    /// Everything published leaves.
    pub fn flush(&mut self) {
        self.engine.flush(&mut self.buffers, &mut |_| {});
    }

    /// Now and then: lets go of what is not needed any more.
    pub fn tick(&mut self) {
        self.engine.plans.sweep();
        self.engine.stages.pool.shrink();
        self.buffers.shrink();
    }
}

impl Engine {
    /// Publishes as the server. Whether anybody is reached.
    pub(crate) fn publish_own(
        &mut self,
        account: &Arc<AccountState>,
        message: &HouseMessage<'_>,
        buffers: &mut ReadBuffers,
    ) -> bool {
        let plan = self.own_plan(account, message.to);
        if !message.orders && Weight::of(plan.routed(message.to)).commands() {
            return false;
        }
        self.send_by(&plan, account, message, buffers)
    }

    /// Shows a copy to clients.
    fn show(&mut self, account: &Arc<AccountState>, message: &HouseMessage<'_>, buffers: &mut ReadBuffers) -> bool {
        let rights = self.own.rights();
        let Ok(Some(publish)) = crate::publish::judge(&rights, message.to) else { return false };
        let mut plan = self.plans.once(account, Whence::SERVER, &publish.kept());
        Rc::get_mut(&mut plan).into_iter().for_each(Plan::keep_clients);
        self.send_by(&plan, account, message, buffers)
    }

    fn send_by(
        &mut self,
        plan: &Rc<Plan>,
        account: &Arc<AccountState>,
        message: &HouseMessage<'_>,
        buffers: &mut ReadBuffers,
    ) -> bool {
        if plan.reaches_nobody() && plan.beyond().is_none() {
            return false;
        }
        let HouseMessage { headers, payload, whole, .. } = *message;
        let size = headers.len() + payload.len();
        if let Some(bytes) = whole.filter(|whole| size < BORROW_BYTES && whole.len() == size + 2) {
            return self.send_own(account, message, size, Source { lender: None, bytes }, plan);
        }
        let mut bytes = std::mem::take(&mut self.own.scratch);
        bytes.clear();
        bytes.reserve(size + 2);
        for piece in [headers, payload, b"\r\n"] {
            bytes.extend_from_slice(piece);
        }
        if size < BORROW_BYTES {
            let reached = self.send_own(account, message, size, Source { lender: None, bytes: &bytes }, plan);
            self.own.scratch = bytes;
            return reached;
        }
        let id = buffers.lend(bytes);
        let source = Source { lender: Some((id, 0)), bytes: buffers.bytes(id) };
        let reached = self.send_own(account, message, size, source, plan);
        self.own.scratch = buffers.blank();
        // A lent buffer stays until the flush anyway.
        self.borrowed = false;
        reached
    }

    fn own_plan(&mut self, account: &Arc<AccountState>, to: &[u8]) -> Rc<Plan> {
        let Publisher { rights, number, .. } = &*self.own.publisher;
        let route = Route::of(account, *number);
        self.plans.get(route, account, Whence::SERVER, to, |to| crate::publish::judge(rights, to))
    }

    fn send_own(
        &mut self,
        account: &Arc<AccountState>,
        message: &HouseMessage<'_>,
        size: usize,
        source: Source<'_>,
        plan: &Rc<Plan>,
    ) -> bool {
        let HouseMessage { to, shown, reply, headers, .. } = *message;
        let publish = Publish { subject: to, reply, header_len: headers.len(), body: 0..size };
        let publisher = self.own.publisher.clone();
        let sending = Sending {
            link: &publisher.link,
            account,
            no_echo: false,
            shown,
            arrived: None,
            publish: &publish,
            source,
            rights: if message.orders { Rights::Granted } else { Rights::Passing },
        };
        if plan.beyond().is_none() {
            return self.send_here(&sending, plan, None);
        }
        let settings = account.settings();
        self.send_far(&sending, plan, &Journey::of(Requester::Server(&settings.name)), None)
    }

    /// A round begins.
    pub(crate) fn begin_round(&mut self, now: Instant, wall: Timestamp) {
        self.now = now;
        self.wall = wall;
        self.stages.now = now;
        self.stages.log = ProtocolLog::open(&self.hub);
        self.hub.links.gateways.clock.tick(now);
    }

    /// Everything staged leaves. `stalled` hears whose messages met a link that is behind.
    pub(crate) fn flush(&mut self, buffers: &mut ReadBuffers, stalled: &mut dyn FnMut(&[ConnectionKey])) {
        self.plans.settle();
        self.tally.settle();
        self.hub.end_batch();
        if !self.stages.is_empty() {
            self.stages.flush(buffers, stalled);
        }
        buffers.unpin_all();
        self.retire_spent();
    }
}

impl Hub {
    /// Publishes as the server, in this order, from any thread. A worker does it in its next round.
    pub fn publish(&self, messages: Vec<OwnMessage>) {
        if let (false, Some(mailbox)) = (messages.is_empty(), self.mailboxes.first()) {
            mailbox.post(Note::Publish(messages));
        }
    }

    /// A part of the server listens in an account from now on, until [`Hub::unlisten`].
    pub fn listen(
        &self,
        account: &AccountState,
        filter: Filter,
        queue: Option<&Queue>,
        subscriber: Arc<dyn InternalSubscriber>,
    ) -> Arc<Subscription> {
        let grant = Permissions::everything().subscribe(filter, queue).expect("the server may listen to everything");
        self.enter(account, grant, Target::Internal(subscriber), &mut flush_soon)
    }

    /// It listens no longer.
    pub fn unlisten(&self, account: &AccountState, subscription: &Arc<Subscription>) {
        self.withdraw(account, subscription, &mut flush_soon);
    }

    /// Whether anybody in the account would get a message of this subject.
    pub fn is_wanted(&self, account: &AccountState, subject: &[u8]) -> bool {
        let leads_out = |subject| self.links.gateways.way_back(subject).is_some();
        Subject::parse(subject).is_ok_and(|subject| account.graph.reaches(subject)) || leads_out(subject)
    }

    /// Whether any client of this server in the account would see a copy of a message of this subject ([`OwnMessage::is_copy`]).
    pub fn is_shown(&self, account: &AccountState, subject: &[u8]) -> bool {
        let server = Permissions::everything();
        let Ok(Some(publish)) = crate::publish::judge(&server, subject) else { return false };
        let mut matched = interest::Matched::default();
        account.graph.matched(&publish, &mut matched);
        let is_client = |entry: &Arc<Subscription>| matches!(entry.target, Target::Client(_));
        matched.plain.iter().any(is_client) || matched.groups.iter().any(|group| group.members.iter().any(is_client))
    }

    /// Whether a member of this queue group would get a message of this subject; without a group, whether somebody would who
    /// is in none.
    pub fn is_heard(&self, account: &AccountState, subject: &[u8], group: &[u8]) -> bool {
        let leads_out = |subject| self.links.gateways.way_back(subject).is_some();
        let reaches = |subject| account.graph.reaches_in(subject, group);
        Subject::parse(subject).is_ok_and(reaches) || leads_out(subject)
    }

    /// `told` is called once: at once, if a member of the group would get a message of this subject, or without a group
    /// somebody who is in none; else as soon as anybody in the account begins to listen to it. Who waits for the same subject
    /// by the same name already goes on waiting.
    pub fn await_interest(&self, account: &AccountState, (subject, group): (&[u8], &[u8]), by: &[u8], told: Told) {
        account.awaited.add(subject, by, told);
        if self.is_heard(account, subject, group) {
            account.awaited.heard(&Filter::parse(subject).expect("a subject that is wanted is a filter"));
        }
    }

    /// `by` does not wait for the subject any more.
    pub fn no_longer_awaits(&self, account: &AccountState, subject: &[u8], by: &[u8]) {
        account.awaited.remove(subject, by);
    }

    /// How many others than these would get a message of this subject. Of a queue group one would.
    pub fn others_wanting(&self, account: &AccountState, subject: &[u8], own: &[Arc<Subscription>]) -> usize {
        let server = Permissions::everything();
        let Some(publish) = Subject::parse(subject).ok().and_then(|subject| server.publish(subject).ok()) else {
            return 0;
        };
        let mut matched = interest::Matched::default();
        account.graph.matched(&publish, &mut matched);
        let is_other = |entry: &Arc<Subscription>| !own.iter().any(|own| Arc::ptr_eq(own, entry));
        let plain = matched.plain.iter().filter(|entry| is_other(entry)).count();
        plain + matched.groups.iter().filter(|group| group.members.iter().any(is_other)).count()
    }

    /// The living account of this name, if the directory knows it.
    pub fn account_named(&self, name: &str) -> Option<Arc<AccountState>> {
        self.directory().account(name).map(|account| self.account(account))
    }
}

/// Has the worker of a link send what the link has to say.
pub(crate) fn flush_soon(link: &Arc<Link>) {
    link.post(link.key.worker, Note::Flush(link.key));
}

/// Publishes what another thread asked for.
pub(crate) fn publish_all(engine: &mut Engine, buffers: &mut ReadBuffers, messages: &[OwnMessage]) {
    for message in messages {
        match message.is_copy {
            true => engine.show(&message.account, &message.lent(), buffers),
            false => engine.publish_own(&message.account, &message.lent(), buffers),
        };
    }
}
