//! A worker's half of the broker: reads, takes operations one by one, and flushes what they lead to.

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use auth::CertificateName;
use moment::{Instant, Timestamp};
use session::{Aside, Due, Handshake};
use wire::client::{Op, Parsed};
use wire::{CloseReason, ProtocolError};

use crate::buffers::{BufferId, READ_BUFFER_BYTES, ReadBuffers};
use crate::chance::Chance;
use crate::chunk::ChunkPool;
use crate::connection::{Active, Carry, Connection, Phase, ReadOutcome, Step};
use crate::hub::Hub;
use crate::layer::{LayerError, Opener, Sealer};
use crate::ledger::last_words;
use crate::link::{Link, LinkKind, LinkParts, QueueLimits, Transport};
use crate::mailbox::{ConnectionKey, Note};
use crate::observer::Event;
use crate::plan::Plans;
use crate::protocol_log::ProtocolLog;
use crate::publish::{Source, Tails};
use crate::stage::Stages;
use crate::subscription::{Subscription, Target};

/// A connection that lends its own buffer for a large message takes memory in steps of this size, as bytes arrive: a
/// promise of a large message costs the server nothing.
const LARGE_STEP_BYTES: usize = 256 * 1024;

/// What taking operations needs beside the read buffers.
pub(crate) struct Engine {
    pub(crate) hub: Arc<Hub>,
    pub(crate) stages: Stages,
    pub(crate) plans: Plans,
    pub(crate) tails: Tails,
    pub(crate) chance: Chance,
    pub(crate) now: Instant,
    pub(crate) wall: Timestamp,
    /// Something staged borrows from the buffer at hand.
    pub(crate) borrowed: bool,
    /// Subscriptions that got their last message in this batch.
    pub(crate) spent: Vec<Arc<Subscription>>,
}

/// The part of the broker that belongs to one worker thread.
pub struct Worker {
    number: u16,
    pub(crate) engine: Engine,
    buffers: ReadBuffers,
    stalled: Vec<ConnectionKey>,
}

/// How far a run of operations got.
pub(crate) enum Flow {
    /// To the end of what can be taken now; so many bytes at least are needed to take the next operation.
    Taken { bytes: usize, need: usize },
    /// So many bytes were taken; the next operation waits for a login.
    Wait { bytes: usize },
    /// The connection is to be closed.
    Close(CloseReason),
}

impl Worker {
    /// A worker without connections.
    pub fn new(hub: Arc<Hub>, number: u16, seed: u64) -> Self {
        let engine = Engine {
            hub,
            stages: Stages::default(),
            plans: Plans::new(seed),
            tails: Tails::default(),
            chance: Chance::new(seed),
            now: Instant::START,
            wall: Timestamp::EPOCH,
            borrowed: false,
            spent: Vec::new(),
        };
        Self { number, engine, buffers: ReadBuffers::default(), stalled: Vec::new() }
    }

    /// A round begins: what happens in it happens at this time.
    pub fn begin_round(&mut self, now: Instant, wall: Timestamp) {
        self.engine.now = now;
        self.engine.wall = wall;
        self.engine.stages.now = now;
        self.engine.stages.log = ProtocolLog::open(&self.engine.hub);
    }

    pub(crate) fn pool(&mut self) -> &mut ChunkPool {
        &mut self.engine.stages.pool
    }

    /// Takes in a new connection and greets it.
    pub fn welcome(
        &mut self,
        kind: LinkKind,
        place: u32,
        address: SocketAddr,
        transport: Box<dyn Transport>,
    ) -> Connection {
        let Engine { hub, now, wall, .. } = &mut self.engine;
        hub.ledger.set_clock(*now, *wall);
        let settings = hub.settings();
        let key = ConnectionKey { worker: self.number, place, id: hub.next_connection_id() };
        let limits = QueueLimits::new(settings.max_pending_bytes, settings.never_stall);
        let parts = LinkParts { key, kind, address, transport, limits, now: *now };
        let link = Link::new(parts, hub.mailboxes.clone(), hub.slots.clone());
        let nonce = settings.nonce.then(|| crate::nonce::nonce(&*hub.secure));
        Connection {
            link,
            phase: Phase::Opening(Handshake::new(settings.handshake, *now)),
            carry: Carry::default(),
            is_stranger: true,
            opener: None,
            certificate: None,
            limits: settings.limits_before_login(),
            nonce,
            client_label: String::new(),
            write_check: None,
        }
    }

    /// Sends the first INFO, and from now on waits for a login.
    pub fn greet(&mut self, connection: &mut Connection) {
        let Engine { hub, now, .. } = &self.engine;
        let settings = hub.settings();
        connection.phase = Phase::Opening(Handshake::new(settings.handshake, *now).with_pings(settings.ping, *now));
        self.engine.greet(connection);
    }

    /// Puts a byte layer between the protocol and the transport. What is staged leaves in the clear first. The time for
    /// the login begins anew.
    pub fn secure(
        &mut self,
        connection: &mut Connection,
        opener: Box<dyn Opener>,
        sealer: Box<dyn Sealer>,
        certificate: Option<Vec<CertificateName>>,
    ) -> Step {
        self.flush_staged();
        connection.link.set_sealer(sealer);
        connection.opener = Some(opener);
        connection.certificate = certificate;
        let (settings, now) = (self.engine.hub.settings(), self.engine.now);
        connection.phase = Phase::Opening(Handshake::new(settings.handshake, now).with_pings(settings.ping, now));
        // The peer's first bytes may have come together with its last of the handshake.
        self.take_opened(connection, &[])
    }

    /// Sends bytes as they are, before a layer stands.
    pub fn send_raw(&mut self, connection: &Connection, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.engine.stages.line(&connection.link, bytes);
        }
    }

    /// Takes bytes that the driver read itself.
    pub fn take_bytes(&mut self, connection: &mut Connection, bytes: &[u8]) -> Step {
        let mut all = mem::take(&mut connection.carry.bytes);
        all.extend_from_slice(bytes);
        self.take_lent(connection, all)
    }

    fn take_lent(&mut self, connection: &mut Connection, bytes: Vec<u8>) -> Step {
        connection.carry.need = 0;
        let len = bytes.len();
        let id = self.buffers.lend(bytes);
        self.take(connection, id, len)
    }

    /// Opens bytes of the transport and takes what became readable.
    fn take_opened(&mut self, connection: &mut Connection, wire: &[u8]) -> Step {
        let Some(opener) = connection.opener.as_deref_mut() else { return Step::Continue };
        let mut plain = self.buffers.blank();
        plain.append(&mut connection.carry.bytes);
        let pool = &mut self.engine.stages.pool;
        match connection.link.open(opener, wire, &mut plain, pool) {
            Err(LayerError { text, code }) => {
                if let Some(code) = code {
                    connection.link.say_sealed(pool, |sealer, wire| sealer.fail(code, wire));
                }
                self.engine.tell(connection, &Event::Error(&text));
                Step::Close(CloseReason::ReadError)
            }
            Ok(closed) if plain.len() >= connection.carry.need => match self.take_lent(connection, plain) {
                Step::Continue if closed => Step::Close(CloseReason::ClientClosed),
                step => step,
            },
            Ok(closed) => {
                connection.carry.bytes = plain;
                if closed { Step::Close(CloseReason::ClientClosed) } else { Step::Continue }
            }
        }
    }

    /// Reads sealed bytes.
    fn read_sealed(
        &mut self,
        connection: &mut Connection,
        id: BufferId,
        read: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> ReadOutcome {
        let room = self.buffers.bytes_mut(id);
        let read = match read(room) {
            Ok(0) => return ReadOutcome::End,
            Ok(read) => read,
            Err(error) => return failed(&error),
        };
        // The opener copies out of the buffer, so it is lent to nobody and free again at once.
        let wire = mem::take(self.buffers.whole_mut(id));
        let step = self.take_opened(connection, &wire[..read]);
        let filled = read == wire.len();
        *self.buffers.whole_mut(id) = wire;
        ReadOutcome::Step { step, filled }
    }

    /// Reads once and takes what came.
    pub fn read(
        &mut self,
        connection: &mut Connection,
        read: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> ReadOutcome {
        if connection.opener.is_none() && connection.carry.need > READ_BUFFER_BYTES {
            return self.read_large(connection, read);
        }
        let id = match self.buffers.free() {
            Some(id) => id,
            None => {
                self.flush_staged();
                self.buffers.free().expect("a flush frees every buffer")
            }
        };
        if connection.opener.is_some() {
            return self.read_sealed(connection, id, read);
        }
        let carried = connection.carry.bytes.len();
        let room = self.buffers.bytes_mut(id);
        room[..carried].copy_from_slice(&connection.carry.bytes);
        let read = match read(&mut room[carried..]) {
            Ok(0) => return ReadOutcome::End,
            Ok(read) => read,
            Err(error) => return failed(&error),
        };
        let filled = carried + read == READ_BUFFER_BYTES;
        connection.carry.clear();
        let step = self.take(connection, id, carried + read);
        ReadOutcome::Step { step, filled }
    }

    /// Reads on into the connection's own buffer, for a message larger than a pooled one.
    fn read_large(
        &mut self,
        connection: &mut Connection,
        read: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> ReadOutcome {
        let Carry { bytes, need } = &mut connection.carry;
        let have = bytes.len();
        let step = (*need - have).min(LARGE_STEP_BYTES);
        bytes.resize(have + step, 0);
        let outcome = read(&mut bytes[have..]);
        bytes.truncate(have + *outcome.as_ref().unwrap_or(&0));
        let read = match outcome {
            Ok(0) => return ReadOutcome::End,
            Ok(read) => read,
            Err(error) => return failed(&error),
        };
        if bytes.len() < *need {
            return ReadOutcome::Step { step: Step::Continue, filled: read == step };
        }
        let bytes = mem::take(bytes);
        connection.carry.need = 0;
        let len = bytes.len();
        let id = self.buffers.lend(bytes);
        let taken = self.take(connection, id, len);
        ReadOutcome::Step { step: taken, filled: read == step }
    }

    /// Takes all whole operations in the first `len` bytes of a buffer and keeps the rest for the next read.
    fn take(&mut self, connection: &mut Connection, id: BufferId, len: usize) -> Step {
        let bytes = &self.buffers.bytes(id)[..len];
        let flow = self.engine.run(connection, id, bytes);
        let step = match flow {
            Flow::Taken { bytes: taken, need } => {
                connection.carry.keep(&bytes[taken..], need);
                Step::Continue
            }
            Flow::Wait { bytes: taken } => {
                connection.carry.keep(&bytes[taken..], 0);
                Step::Continue
            }
            Flow::Close(reason) => Step::Close(reason),
        };
        if mem::take(&mut self.engine.borrowed) {
            self.buffers.pin(id);
        }
        self.engine.end_run(connection);
        if self.engine.stages.is_full() {
            self.flush_staged();
        }
        step
    }

    /// Takes bytes that were kept while a login was judged.
    fn take_carried(&mut self, connection: &mut Connection) -> Step {
        if connection.carry.bytes.is_empty() {
            return Step::Continue;
        }
        let bytes = mem::take(&mut connection.carry.bytes);
        self.take_lent(connection, bytes)
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
            Note::Do(_, action) => action(&mut Hands { engine: &mut self.engine, connection }),
            Note::Resume(_) | Note::Watch(_) | Note::Review | Note::Announce | Note::Driver(_) => Step::Continue,
        }
    }

    /// Settings or directory have changed: judge the connection again.
    pub fn review(&mut self, connection: &mut Connection) -> Step {
        self.engine.review(connection)
    }

    /// The greeting has changed: tell the client, if it understands.
    pub fn announce(&mut self, connection: &Connection) {
        self.engine.announce(connection);
    }

    /// Tells the house of trouble with a connection.
    pub fn report(&self, connection: &Connection, text: &str) {
        self.engine.tell(connection, &Event::Error(text));
    }

    /// Tells whoever looks for trouble.
    pub fn remark(&self, connection: &Connection, text: &str) {
        self.engine.tell(connection, &Event::Debug(text));
    }

    /// Whatever is due at this time.
    pub fn deadline(&mut self, connection: &mut Connection) -> Step {
        self.engine.deadline(connection)
    }

    /// The round is over: everything staged leaves. Answers whose publishers are to be held up for a moment.
    pub fn flush(&mut self) -> std::vec::Drain<'_, ConnectionKey> {
        self.flush_staged();
        self.stalled.drain(..)
    }

    fn flush_staged(&mut self) {
        let Self { engine, buffers, stalled, .. } = self;
        engine.plans.settle();
        if !engine.stages.is_empty() {
            let before = stalled.len();
            engine.stages.flush(buffers, &mut |publishers| stalled.extend_from_slice(publishers));
            engine.hub.ledger.stalled(stalled.len() - before);
        }
        buffers.unpin_all();
        engine.retire_spent();
    }

    /// Now and then: lets go of what is not needed any more.
    pub fn tick(&mut self) {
        self.engine.plans.sweep();
        self.engine.stages.pool.shrink();
    }

    /// The connection is over: says the last words, takes its subscriptions out of the graph, and tells the house.
    pub fn goodbye(&mut self, connection: &mut Connection, reason: CloseReason) {
        self.flush_staged();
        self.engine.goodbye(connection, reason);
    }
}

fn failed(error: &io::Error) -> ReadOutcome {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => ReadOutcome::Nothing,
        _ => ReadOutcome::Failed,
    }
}

impl Carry {
    /// Keeps bytes for the next read. A connection without any keeps no memory either.
    fn keep(&mut self, rest: &[u8], need: usize) {
        self.need = need;
        if rest.is_empty() {
            self.bytes = Vec::new();
        } else {
            self.bytes.clear();
            self.bytes.extend_from_slice(rest);
        }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.need = 0;
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

    /// The connection.
    pub fn connection(&self) -> &Connection {
        self.connection
    }
}

impl Engine {
    /// Takes operations until the bytes end, a login has to be waited for, or the connection is to be closed.
    fn run(&mut self, connection: &mut Connection, id: BufferId, bytes: &[u8]) -> Flow {
        let mut at = 0;
        match &mut connection.phase {
            Phase::Active(active) => active.session.heard(self.now),
            Phase::Opening(handshake) => {
                if let Some(error) = handshake.on_bytes(bytes) {
                    return Flow::Close(self.refuse_opening(connection, &error));
                }
            }
            Phase::Judging(_) | Phase::Rejoining(..) | Phase::Over => {}
        }
        while at < bytes.len() {
            let rest = &bytes[at..];
            // Looked at where it was parsed: moving an operation costs more than taking it.
            let parsed = wire::client::parse(rest, &connection.limits);
            let (op, consumed) = match &parsed {
                Ok(Parsed::Op { op, consumed }) => (op, *consumed),
                Ok(Parsed::Incomplete { need }) => return Flow::Taken { bytes: at, need: *need },
                Err(error) => {
                    self.trace_oversized(connection, error, rest);
                    return Flow::Close(self.protocol_error(connection, error));
                }
            };
            if self.stages.log.is_some() {
                self.log_operation(connection, op, rest);
            }
            if let (Op::Publish(publish), Phase::Active(active)) = (op, &mut connection.phase) {
                let source = Source { lender: Some((id, at)), bytes: rest };
                self.publish(&connection.link, active, publish, source);
                at += consumed;
                continue;
            }
            match self.other(connection, op) {
                Taken::Done => at += consumed,
                Taken::Again => {}
                Taken::Wait { consumed: true } => return Flow::Wait { bytes: at + consumed },
                Taken::Wait { consumed: false } => return Flow::Wait { bytes: at },
                Taken::Close(reason) => return Flow::Close(reason),
            }
        }
        Flow::Taken { bytes: at, need: 0 }
    }

    /// Every operation but a publish after login.
    #[cold]
    fn other(&mut self, connection: &mut Connection, op: &Op<'_>) -> Taken {
        match &mut connection.phase {
            Phase::Opening(handshake) => {
                let opening = match op {
                    Op::Connect(json) => handshake.on_connect(json),
                    _ => handshake.on_other(),
                };
                self.opening(connection, opening)
            }
            Phase::Active(_) => self.operation(connection, op),
            Phase::Judging(_) | Phase::Rejoining(..) | Phase::Over => Taken::Wait { consumed: false },
        }
    }

    fn operation(&mut self, connection: &mut Connection, op: &Op<'_>) -> Taken {
        let Phase::Active(active) = &mut connection.phase else { return Taken::Done };
        let link = &connection.link;
        match op {
            Op::Subscribe { subject, queue, sid } => self.subscribe(link, active, subject, *queue, sid),
            Op::Unsubscribe { sid, max } => self.unsubscribe(link, active, sid, *max),
            Op::Ping => self.ping(link, active),
            Op::Pong => active.session.on_pong(self.now),
            Op::Connect(json) => return self.reconnect(connection, json),
            Op::Publish(_) => {}
            Op::Info(_) | Op::Ok | Op::Err(_) => return self.aside(connection, op),
        }
        Taken::Done
    }

    /// What servers say, said by a client.
    fn aside(&mut self, connection: &Connection, op: &Op<'_>) -> Taken {
        match session::aside(op) {
            Aside::Close(reason, text) => {
                self.tell(connection, &Event::Error(&text));
                Taken::Close(reason)
            }
            Aside::Ignore | Aside::NotMine => Taken::Done,
        }
    }

    fn ping(&mut self, link: &Arc<Link>, active: &mut Active) {
        self.stages.line(link, wire::encode::PONG);
        if active.session.on_ping().info {
            let line = self.info_after_login(link, active);
            self.stages.line(link, &line);
        }
    }

    /// The batch of one connection is over: what it counted is added up.
    fn end_run(&mut self, connection: &mut Connection) {
        if let Phase::Active(active) = &mut connection.phase {
            let batch = mem::take(&mut active.batch);
            if batch.msgs > 0 {
                connection.link.stats.in_msgs.fetch_add(batch.msgs, Ordering::Relaxed);
                connection.link.stats.in_bytes.fetch_add(batch.bytes, Ordering::Relaxed);
            }
            connection.link.stats.note(active);
        }
    }

    /// Subscriptions that had their last message leave the graph, and their connections are told.
    fn retire_spent(&mut self) {
        for subscription in mem::take(&mut self.spent) {
            if let Target::Client(client) = &subscription.target {
                self.log_end(client);
                client.peer.account.graph.leave(&subscription);
                let key = client.peer.link.key;
                self.hub.tell(key, Note::Spent(key, subscription.clone()));
            }
        }
    }

    fn protocol_error(&mut self, connection: &mut Connection, error: &ProtocolError) -> CloseReason {
        if let Some(text) = error.wire_text() {
            self.say_error(connection, text);
        }
        let text = error.to_string();
        self.tell(connection, &Event::ProtocolError(&text));
        error.close_reason()
    }

    /// The connection is no stranger any more.
    pub(crate) fn known(&self, connection: &mut Connection) {
        if mem::take(&mut connection.is_stranger) {
            self.hub.stranger_left(connection.link.address.ip());
        }
    }

    /// Stages a `-ERR`.
    pub(crate) fn say_error(&mut self, connection: &Connection, text: &str) {
        self.stages.line(&connection.link, &wire::encode::err(text));
    }

    pub(crate) fn tell(&self, connection: &Connection, event: &Event<'_>) {
        self.hub.observer.event(&connection.link, &connection.label(), event);
    }

    fn deadline(&mut self, connection: &mut Connection) -> Step {
        let settings = self.hub.settings();
        match connection.link.check_write_deadline(self.now, settings.write_deadline, settings.write_retry) {
            Ok(next) => connection.write_check = next,
            Err(()) => return Step::Close(CloseReason::SlowConsumerWriteDeadline),
        }
        match &mut connection.phase {
            Phase::Opening(_) | Phase::Judging(_) => self.login_deadline(connection),
            Phase::Active(active) | Phase::Rejoining(active, _) => {
                let due = active.session.due(self.now, settings.ping);
                due.map_or(Step::Continue, |due| self.session_due(connection, due))
            }
            Phase::Over => Step::Continue,
        }
    }

    /// What a session waits for has come. What else is due is asked for at the next look, which is at once.
    pub(crate) fn session_due(&mut self, connection: &Connection, due: Due) -> Step {
        match due {
            Due::Ping => {
                self.stages.line(&connection.link, wire::encode::PING);
                Step::Continue
            }
            Due::Stale => {
                self.say_error(connection, "Stale Connection");
                Step::Close(CloseReason::StaleConnection)
            }
            Due::Expired => self.login_expired(connection),
        }
    }

    fn goodbye(&mut self, connection: &mut Connection, reason: CloseReason) {
        let settings = self.hub.settings();
        let facts = self.hub.connection(connection.link.key.id).map(|known| known.facts).unwrap_or_default();
        let mut closed = last_words(connection, facts, self.now);
        let pending_bytes = closed.pending_bytes;
        let reason = connection.link.close(reason);
        closed.reason = reason;
        let label = connection.label();
        let mut account = None;
        if let Phase::Active(mut active) | Phase::Rejoining(mut active, _) =
            mem::replace(&mut connection.phase, Phase::Over)
        {
            for subscription in active.subscriptions.drain() {
                if let Target::Client(client) = &subscription.target {
                    self.log_end(client);
                }
                active.account.graph.leave(&subscription);
            }
            // In this order: whoever adds up the living after the gone counts nobody twice.
            self.hub.unregister(connection.link.key.id);
            active.account.leave(&connection.link.stats);
            account = Some(active.account);
        }
        self.hub.ledger.close(closed, account.as_deref());
        self.known(connection);
        if connection.link.kind == LinkKind::Client {
            self.hub.client_left();
        }
        self.hub.observer.event(
            &connection.link,
            &label,
            &Event::Closed {
                reason,
                pending_bytes,
                max_pending_bytes: settings.max_pending_bytes,
                write_deadline: settings.write_deadline,
            },
        );
    }
}

/// What became of one operation.
pub(crate) enum Taken {
    /// It is done.
    Done,
    /// A login came of it; take it again.
    Again,
    /// A login has to be waited for.
    Wait {
        /// The operation itself needs not be taken again.
        consumed: bool,
    },
    /// The connection is to be closed.
    Close(CloseReason),
}
