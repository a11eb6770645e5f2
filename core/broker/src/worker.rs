//! A worker's half of the broker: takes connections in, has them read ([`crate::reading`]), and flushes what they lead to.

use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;

use account::AccountId;
use auth::{CertificateName, ClientTls};
use moment::{Instant, Timestamp};
use session::Handshake;
use wire::CloseReason;

use crate::buffers::ReadBuffers;
use crate::chance::Secure;
use crate::chunk::ChunkPool;
use crate::connection::{Carry, Connection, Phase, Step};
use crate::engine::Engine;
use crate::house::{OwnMessage, publish_all};
use crate::hub::{Hub, Registered, TOO_MANY_CLIENTS};
use crate::layer::{Opener, Sealer};
use crate::link::{Carrier, Link, LinkKind, LinkParts, QueueLimits, Transport};
use crate::links::ServerLink;
use crate::links::settings::Arrival;
use crate::login::Presented;
use crate::mailbox::{ConnectionKey, Note};
use crate::observer::Event;

/// The part of the broker that belongs to one worker thread.
pub struct Worker {
    number: u16,
    pub(crate) engine: Engine,
    pub(crate) buffers: ReadBuffers,
    pub(crate) stalled: Vec<ConnectionKey>,
}

impl Worker {
    /// A worker without connections.
    pub fn new(hub: Arc<Hub>, number: u16, seed: u64) -> Self {
        Self { number, engine: Engine::new(hub, seed), buffers: ReadBuffers::default(), stalled: Vec::new() }
    }

    /// A round begins: what happens in it happens at this time.
    pub fn begin_round(&mut self, now: Instant, wall: Timestamp) {
        self.engine.begin_round(now, wall);
    }

    pub(crate) fn pool(&mut self) -> &mut ChunkPool {
        &mut self.engine.stages.pool
    }

    /// Takes in a new client.
    pub fn welcome(&mut self, place: u32, address: SocketAddr, transport: Box<dyn Transport>) -> Connection {
        self.welcome_by(Carrier::Stream, place, address, transport)
    }

    /// Takes in a new client whose protocol something may carry. By a WebSocket it is counted in later ([`Worker::count_in`]).
    pub fn welcome_by(
        &mut self,
        carrier: Carrier,
        place: u32,
        address: SocketAddr,
        transport: Box<dyn Transport>,
    ) -> Connection {
        let settings = self.engine.hub.settings();
        let phase = Phase::Opening(Handshake::new(settings.handshake_of(carrier), self.engine.now));
        let limits = settings.limits_before_login(carrier);
        let kind = (LinkKind::Client, carrier);
        let connection = self.take_in(kind, (place, address, transport), phase, limits, (settings.nonce, true));
        // Who still has to ask for a WebSocket may turn out to be another server.
        Connection { is_counted: carrier == Carrier::Stream, ..connection }
    }

    /// Takes in a new connection between servers.
    pub fn welcome_link(
        &mut self,
        arrival: Arrival,
        place: u32,
        address: SocketAddr,
        transport: Box<dyn Transport>,
    ) -> Connection {
        self.welcome_link_by(Carrier::Stream, arrival, place, address, transport)
    }

    /// The same where something carries the protocol.
    pub fn welcome_link_by(
        &mut self,
        carrier: Carrier,
        arrival: Arrival,
        place: u32,
        address: SocketAddr,
        transport: Box<dyn Transport>,
    ) -> Connection {
        let kind = (arrival.kind(), carrier);
        let is_stranger = !arrival.is_solicited();
        let phase = Phase::Server(Box::new(ServerLink::new(arrival, self.engine.now)));
        let limits = self.engine.link_limits(0);
        self.take_in(kind, (place, address, transport), phase, limits, (is_stranger, is_stranger))
    }

    fn take_in(
        &mut self,
        (kind, carrier): (LinkKind, Carrier),
        (place, address, transport): (u32, SocketAddr, Box<dyn Transport>),
        phase: Phase,
        connection_limits: wire::client::Limits,
        (nonce, is_stranger): (bool, bool),
    ) -> Connection {
        let Engine { hub, now, wall, .. } = &mut self.engine;
        hub.ledger.set_clock(*now, *wall);
        let settings = hub.settings();
        let key = ConnectionKey { worker: self.number, place, id: hub.next_connection_id() };
        let limits = QueueLimits::new(settings.max_pending_bytes, settings.never_stall);
        let parts = LinkParts { key, kind, carrier, address, transport, limits, now: *now };
        let link = Link::new(parts, hub.mailboxes.clone(), hub.slots.clone());
        let nonce = nonce.then(|| crate::nonce::nonce(&*hub.secure));
        Connection {
            link,
            phase,
            carry: Carry::default(),
            is_counted: false,
            is_stranger,
            lent: 0,
            awaits_address: false,
            opener: None,
            squeeze: None,
            new_layer: false,
            certificate: None,
            presented: None,
            tls: None,
            tls_first: false,
            limits: connection_limits,
            nonce,
            client_label: None,
            write_check: None,
            held_until: None,
        }
    }

    /// A header will tell where the peer is: until then INFO does not say it.
    pub fn await_address(&self, connection: &mut Connection) {
        connection.awaits_address = true;
    }

    /// The peer is there and not where the socket says. What was staged leaves first; `transport` is the same socket.
    pub fn readdress(
        &mut self,
        connection: &mut Connection,
        address: SocketAddr,
        transport: Box<dyn Transport>,
    ) -> Step {
        self.flush_staged();
        connection.awaits_address = false;
        let link = &connection.link;
        if link.pending_bytes() > 0 {
            return Step::Close(CloseReason::WriteError);
        }
        let Engine { hub, .. } = &self.engine;
        if mem::take(&mut connection.is_stranger) {
            hub.stranger_gone(link.address.ip(), mem::take(&mut connection.lent));
        }
        if !hub.admit_stranger(address.ip(), self.engine.wall) {
            return Step::Close(CloseReason::MaxConnectionsExceeded);
        }
        connection.is_stranger = true;
        let settings = hub.settings();
        let limits = QueueLimits::new(settings.max_pending_bytes, settings.never_stall);
        let Link { key, kind, carrier, started: now, .. } = **link;
        let parts = LinkParts { key, kind, carrier, address, transport, limits, now };
        connection.link = Link::new(parts, hub.mailboxes.clone(), hub.slots.clone());
        // Who looks for it from now on finds it where it really is.
        if let Some(registered) = hub.connection(connection.link.key.id) {
            hub.register(Registered { link: connection.link.clone(), ..registered });
        }
        Step::Continue
    }

    /// Asks whether so many bytes more may be kept for a stranger. They are given back when it has secured its
    /// connection, logged in, or gone.
    pub fn lend(&self, connection: &mut Connection, bytes: usize) -> bool {
        // Whom we connected to is no stranger.
        if !connection.is_stranger {
            return true;
        }
        let is_lent = self.engine.hub.lend(connection.link.address.ip(), connection.lent, bytes);
        connection.lent += if is_lent { bytes } else { 0 };
        is_lent
    }

    /// Sends the first INFO, and from now on waits for a login.
    pub fn greet(&mut self, connection: &mut Connection) {
        if matches!(connection.phase, Phase::Server(_)) {
            return self.engine.begin_link(connection);
        }
        connection.tls_first = connection.tls.is_some() && connection.link.carrier == Carrier::Stream;
        connection.phase = self.opening(connection);
        self.engine.greet(connection);
    }

    /// A client that has been greeted over a WebSocket is counted in, if there may be one more; else it hears why not.
    pub fn count_in(&mut self, connection: &mut Connection) -> Step {
        connection.is_counted = self.engine.hub.admit_client();
        if connection.is_counted {
            return Step::Continue;
        }
        self.engine.say_error(connection, TOO_MANY_CLIENTS);
        self.engine.tell(connection, &Event::TurnedAway(TOO_MANY_CLIENTS));
        Step::Close(CloseReason::MaxConnectionsExceeded)
    }

    /// Waiting for a login from now on.
    fn opening(&self, connection: &Connection) -> Phase {
        let Engine { hub, now, .. } = &self.engine;
        let settings = hub.settings();
        let carrier = connection.link.carrier;
        Phase::Opening(Handshake::new(settings.handshake_of(carrier), *now).with_pings(settings.ping_of(carrier), *now))
    }

    /// A client turns out to be another server. What was staged leaves first; `transport` is the same socket.
    pub fn becomes_link(
        &mut self,
        connection: &mut Connection,
        arrival: Arrival,
        transport: Box<dyn Transport>,
    ) -> Step {
        self.flush_staged();
        if connection.link.pending_bytes() > 0 {
            return Step::Close(CloseReason::WriteError);
        }
        let Engine { hub, now, .. } = &self.engine;
        let (settings, kind) = (hub.settings(), arrival.kind());
        let limits = QueueLimits::new(settings.max_pending_bytes, settings.never_stall);
        let Link { key, carrier, address, started, .. } = *connection.link;
        let parts = LinkParts { key, kind, carrier, address, transport, limits, now: started };
        let link = Link::new(parts, hub.mailboxes.clone(), hub.slots.clone());
        if let Some(sealer) = connection.link.take_sealer() {
            link.set_sealer(sealer);
        }
        connection.link = link;
        connection.nonce.get_or_insert_with(|| crate::nonce::nonce(&*hub.secure));
        connection.phase = Phase::Server(Box::new(ServerLink::new(arrival, *now)));
        connection.limits = self.engine.link_limits(0);
        Step::Continue
    }

    /// Puts a byte layer on top of the one that stands, if any does. What is staged leaves before it. `presented` is what the
    /// peer showed meanwhile, for a login that does not show it.
    pub fn wrap(
        &mut self,
        connection: &mut Connection,
        presented: Presented,
        opener: impl FnOnce(Option<Box<dyn Opener>>) -> Box<dyn Opener>,
        sealer: impl FnOnce(Option<Box<dyn Sealer>>) -> Box<dyn Sealer>,
    ) {
        self.flush_staged();
        self.engine.hub.give_back(connection.link.address.ip(), mem::take(&mut connection.lent));
        connection.link.wrap_sealer(sealer);
        connection.opener = Some(opener(connection.opener.take()));
        connection.presented = Some(Box::new(presented));
    }

    /// Puts a byte layer between the protocol and the transport. What is staged leaves in the clear first. The time for
    /// the login begins anew. What the peer said right behind its handshake waits for [`Worker::take_behind`].
    pub fn secure(
        &mut self,
        connection: &mut Connection,
        opener: Box<dyn Opener>,
        sealer: Box<dyn Sealer>,
        certificate: Option<Vec<CertificateName>>,
        tls: Option<Box<ClientTls>>,
    ) -> Step {
        self.flush_staged();
        self.engine.hub.give_back(connection.link.address.ip(), mem::take(&mut connection.lent));
        connection.link.set_sealer(sealer);
        connection.opener = Some(opener);
        connection.certificate = certificate;
        connection.tls = tls;
        if matches!(connection.phase, Phase::Server(_)) {
            match self.engine.link_secured(connection) {
                Step::Continue => {}
                step => return step,
            }
        } else {
            connection.phase = self.opening(connection);
        }
        Step::Continue
    }

    /// Takes what came together with the last bytes of the handshake: after the greeting, where that goes inside, or the
    /// greeting would begin a login that is over already.
    pub fn take_behind(&mut self, connection: &mut Connection) -> Step {
        self.take_opened(connection, &[])
    }

    /// Sends bytes as they are, before a layer stands.
    pub fn send_raw(&mut self, connection: &Connection, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.engine.stages.line(&connection.link, bytes);
        }
    }

    /// A note for this connection.
    pub fn told(&mut self, connection: &mut Connection, note: Note) -> Step {
        match note {
            Note::Login(_, outcome) => match self.engine.judged(connection, *outcome) {
                Step::Continue => self.take_carried(connection),
                close => close,
            },
            Note::Spent(_, subscription) => {
                if let Phase::Active(active) | Phase::Rejoining(active, _) = &mut connection.phase {
                    active.subscriptions.forget(&subscription);
                    connection.link.stats.note(active);
                }
                Step::Continue
            }
            Note::Close(_, reason) => Step::Close(reason),
            Note::Flush(_) => {
                self.engine.stages.touch(&connection.link);
                Step::Continue
            }
            Note::Do(_, action) => action(&mut Hands { engine: &mut self.engine, connection }),
            Note::Publish(messages) => {
                self.publish_own(&messages);
                Step::Continue
            }
            Note::Done(done) => {
                done();
                Step::Continue
            }
            Note::Resume(_) | Note::Watch(_) | Note::Review | Note::ReviewOf(_) | Note::Announce | Note::Driver(_) => {
                Step::Continue
            }
        }
    }

    /// Publishes as the server.
    pub fn publish_own(&mut self, messages: &[OwnMessage]) {
        publish_all(&mut self.engine, &mut self.buffers, messages);
    }

    /// Settings or directory have changed: judge the connection again.
    pub fn review(&mut self, connection: &mut Connection) -> Step {
        self.engine.review(connection)
    }

    /// The same, if it belongs to one of these accounts.
    pub fn review_of(&mut self, connection: &mut Connection, accounts: &[AccountId]) -> Step {
        match &connection.phase {
            Phase::Active(active) if accounts.contains(&active.account.id) => self.engine.review(connection),
            _ => Step::Continue,
        }
    }

    /// The greeting has changed: tell the client, if it understands.
    pub fn announce(&mut self, connection: &Connection) {
        self.engine.announce(connection);
    }

    /// Tells the house of trouble with a connection.
    pub fn report(&self, connection: &Connection, text: &str) {
        self.engine.tell(connection, &Event::Error(text));
    }

    /// Tells the house that a peer's certificate was not accepted.
    pub fn certificate_refused(&self, connection: &Connection, text: &str) {
        self.engine.tell(connection, &Event::CertificateRefused(text));
    }

    /// The longest operation that this peer may send now.
    pub fn operation_bound(&self, connection: &Connection) -> usize {
        let limits = connection.limits;
        limits.max_payload.saturating_add(limits.max_control_line)
    }

    /// Randomness that nobody can guess.
    pub fn secret_chance(&self) -> &Arc<dyn Secure> {
        &self.engine.hub.secure
    }

    /// Tells the house that a connection could not be made of what a peer asked for. Anybody can ask for anything.
    pub fn upgrade_refused(&self, connection: &Connection, text: &str) {
        self.engine.tell(connection, &Event::UpgradeRefused(text));
    }

    /// Tells whoever looks for trouble.
    pub fn remark(&self, connection: &Connection, text: &str) {
        self.engine.tell(connection, &Event::Debug(text));
    }

    /// Whatever is due at this time.
    pub fn deadline(&mut self, connection: &mut Connection) -> Step {
        if connection.held_until.take_if(|until| *until <= self.engine.now).is_some() {
            match self.take_carried(connection) {
                Step::Continue => {}
                step => return step,
            }
        }
        self.engine.deadline(connection)
    }

    /// The round is over: everything staged leaves. Answers whose publishers are to be held up for a moment.
    pub fn flush(&mut self) -> std::vec::Drain<'_, ConnectionKey> {
        self.flush_staged();
        self.stalled.drain(..)
    }

    pub(crate) fn flush_staged(&mut self) {
        let Self { engine, buffers, stalled, .. } = self;
        let before = stalled.len();
        engine.flush(buffers, &mut |publishers| stalled.extend_from_slice(publishers));
        engine.hub.ledger.stalled(stalled.len() - before);
    }

    /// Now and then: lets go of what is not needed any more.
    pub fn tick(&mut self) {
        self.engine.plans.sweep();
        self.engine.stages.pool.shrink();
        self.buffers.shrink();
        if self.number == 0 {
            self.engine.give_up_requests();
        }
    }

    /// The connection is over: says the last words, takes its subscriptions out of the graph, and tells the house.
    pub fn goodbye(&mut self, connection: &mut Connection, reason: CloseReason) {
        self.flush_staged();
        self.engine.goodbye(connection, reason);
    }
}

/// What an action sent to a connection ([`Note::Do`]) can do there.
pub struct Hands<'a> {
    engine: &'a mut Engine,
    connection: &'a mut Connection,
}

impl Hands<'_> {
    /// Sends protocol bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        self.engine.stages.line(&self.connection.link, bytes);
    }

    /// Tells the client to go elsewhere. Whether it understands that.
    pub fn say_lame_duck(&mut self) -> bool {
        let Phase::Active(active) = &self.connection.phase else { return false };
        if !active.session.takes_infos() {
            return false;
        }
        let mut greeting = self.engine.greeting_for(&self.connection.link);
        greeting.ldm = true;
        self.engine.stages.line(&self.connection.link, &greeting.line());
        true
    }

    /// An account has come to life, in which the far end of this link may want something.
    pub(crate) fn account_is_here(&mut self, name: &[u8]) {
        self.engine.account_is_here(self.connection, name);
    }

    /// An account has a route of its own from now on; the far end of this one is told, if it is.
    pub(crate) fn account_leaves(&mut self, account: &[u8], told: Option<&topology::Info>) {
        self.engine.account_leaves(self.connection, account, told);
    }

    /// The connection.
    pub fn connection(&self) -> &Connection {
        self.connection
    }
}
