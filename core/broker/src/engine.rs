//! Taking operations one by one: what every connection of a worker has in common, and what a batch of bytes leads to.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use moment::{Instant, Timestamp};
use session::{Aside, Due};
use wire::client::{Op, Parsed};
use wire::{CloseReason, ProtocolError};

use crate::buffers::BufferId;
use crate::chance::Chance;
use crate::connection::{Active, Connection, Phase, Step};
use crate::house::Own;
use crate::hub::Hub;
use crate::ledger::{ConnectionFacts, last_words};
use crate::link::{Carrier, Link, LinkKind};
use crate::links::crossed::Tally;
use crate::links::settings::WriteRule;
use crate::links::telling_rights::TellingRights;
use crate::mailbox::Note;
use crate::observer::Event;
use crate::plan::Plans;
use crate::publish::{Source, Tails};
use crate::sharing::answers::Names;
use crate::stage::Stages;
use crate::subscription::{Subscription, Target};

/// Wishes of one client that are refused in its turn. A refusal costs many times what a message does, as it is told to the log, the
/// trail and the peer: whoever is refused this often is held up for a moment, so that it takes little from the others.
const REFUSALS_AT_ONCE_MAX: u32 = 64;

/// How long it is held up.
const REFUSALS_PAUSE: Duration = Duration::from_millis(10);

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
    /// Servers chosen for the queue groups of one message.
    pub(crate) picked: Vec<(usize, Box<[u8]>)>,
    /// Room for a head that is put together for one message.
    pub(crate) head: Vec<u8>,
    /// What other clusters are told of who publishes.
    pub(crate) telling: TellingRights,
    /// What crossed to and from other servers.
    pub(crate) tally: Tally,
    /// The server as a publisher.
    pub(crate) own: Own,
    /// Room for a request that crosses into another account.
    pub(crate) crossing: Vec<u8>,
    /// Names for requests that nobody can guess.
    pub(crate) names: Names,
    /// The client at hand was asked from another cluster and may answer: what it publishes needs a closer look.
    pub(crate) abroad: bool,
    /// Wishes of the client at hand that were refused in its turn.
    pub(crate) refusals: u32,
}

/// How far a run of operations got.
pub(crate) enum Flow {
    /// To the end of what can be taken now; so many bytes at least are needed to take the next operation.
    Taken { bytes: usize, need: usize },
    /// So many bytes were taken; the next operation waits for a login.
    Wait { bytes: usize },
    /// So many bytes were taken; the rest belongs to a layer that has just been put up.
    Layered { bytes: usize },
    /// A TLS handshake begins, as its client.
    StartTls,
    /// The connection is to be closed.
    Close(CloseReason),
}

impl Engine {
    pub(crate) fn new(hub: Arc<Hub>, seed: u64) -> Self {
        Self {
            own: Own::new(&hub),
            crossing: Vec::new(),
            names: Names::default(),
            abroad: false,
            refusals: 0,
            stages: Stages::default(),
            tally: Tally::default(),
            plans: Plans::new(hub.clone(), seed),
            tails: Tails::default(),
            chance: Chance::new(seed),
            now: Instant::START,
            wall: Timestamp::EPOCH,
            borrowed: false,
            spent: Vec::new(),
            picked: Vec::new(),
            head: Vec::new(),
            telling: TellingRights::default(),
            hub,
        }
    }

    /// Takes operations until the bytes end, a login has to be waited for, or the connection is to be closed.
    pub(crate) fn run(&mut self, connection: &mut Connection, id: BufferId, bytes: &[u8]) -> Flow {
        let at = 0;
        // Who answers has read the question before: it cannot be asked in the middle of its bytes.
        self.abroad = connection.link.was_asked(self.now);
        self.refusals = 0;
        match &mut connection.phase {
            Phase::Active(active) => active.session.heard(self.now),
            Phase::Opening(handshake) => {
                if let Some(error) = handshake.on_bytes(bytes) {
                    return Flow::Close(self.refuse_opening(connection, &error));
                }
            }
            Phase::Judging(_) | Phase::Refused(..) | Phase::Rejoining(..) | Phase::Server(_) | Phase::Over => {}
        }
        if is_metered(connection) {
            self.run_from::<true>(connection, id, bytes, at)
        } else {
            self.run_from::<false>(connection, id, bytes, at)
        }
    }

    /// The same from here on. Connections under no limit have a loop of their own, so that they need not be asked.
    fn run_from<const METERED: bool>(
        &mut self,
        connection: &mut Connection,
        id: BufferId,
        bytes: &[u8],
        mut at: usize,
    ) -> Flow {
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
                if METERED && let Err(until) = take_share(active, publish.body.len(), self.now) {
                    self.hold(connection, until);
                    return Flow::Wait { bytes: at };
                }
                let source = Source { lender: Some((id, at)), bytes: rest };
                let taken = self.publish(&connection.link, active, publish, source);
                at += consumed;
                if !taken && self.is_refused_too_often(connection) {
                    return Flow::Wait { bytes: at };
                }
                continue;
            }
            match self.other(connection, op) {
                Taken::Done => {
                    at += consumed;
                    if self.is_refused_too_often(connection) {
                        return Flow::Wait { bytes: at };
                    }
                }
                Taken::Again => {}
                Taken::Wait { consumed: true } => return Flow::Wait { bytes: at + consumed },
                Taken::Wait { consumed: false } => return Flow::Wait { bytes: at },
                Taken::Close(reason) => return Flow::Close(reason),
            }
            if !METERED && is_metered(connection) {
                return self.run_from::<true>(connection, id, bytes, at);
            }
        }
        Flow::Taken { bytes: at, need: 0 }
    }

    /// Whether its turn is over, because too much of what it wants is refused. Then it is held up.
    #[cold]
    fn is_refused_too_often(&mut self, connection: &mut Connection) -> bool {
        if self.refusals < REFUSALS_AT_ONCE_MAX {
            return false;
        }
        self.hold(connection, self.now + REFUSALS_PAUSE);
        connection.held_until.is_some()
    }

    /// Its share is used up: the connection is not read until then. Meanwhile it cannot say that it is there, so nobody
    /// expects it to.
    #[cold]
    fn hold(&self, connection: &mut Connection, until: Instant) {
        let Phase::Active(active) = &mut connection.phase else { return };
        let wait = until.since(self.now);
        active.account.holds.add(wait);
        let nanos = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        connection.link.stats.held.fetch_add(nanos, Ordering::Relaxed);
        active.session.excuse_until(until);
        connection.held_until = Some(until);
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
            Phase::Judging(_) | Phase::Refused(..) | Phase::Rejoining(..) | Phase::Server(_) | Phase::Over => {
                Taken::Wait { consumed: false }
            }
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
    pub(crate) fn end_run(&mut self, connection: &mut Connection) {
        if let Phase::Active(active) = &mut connection.phase {
            active.settle(&connection.link);
        } else {
            self.end_link_run(connection);
        }
    }

    /// Subscriptions that had their last message leave the graph, and their connections are told.
    pub(crate) fn retire_spent(&mut self) {
        for subscription in mem::take(&mut self.spent) {
            if let Target::Client(client) = &subscription.target {
                self.log_end(client);
                self.withdraw(&client.peer.account, &subscription);
                let key = client.peer.link.key;
                self.hub.tell(key, Note::Spent(key, subscription.clone()));
            }
        }
    }

    pub(crate) fn protocol_error(&mut self, connection: &mut Connection, error: &ProtocolError) -> CloseReason {
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
            connection.opener.iter_mut().for_each(|opener| opener.is_known());
            self.hub.stranger_gone(connection.link.address.ip(), mem::take(&mut connection.lent));
        }
    }

    /// Stages a `-ERR`.
    pub(crate) fn say_error(&mut self, connection: &Connection, text: &str) {
        self.stages.line(&connection.link, &wire::encode::err(text));
    }

    pub(crate) fn tell(&self, connection: &Connection, event: &Event<'_>) {
        self.hub.observer.event(&connection.link, &connection.label(), event);
    }

    pub(crate) fn deadline(&mut self, connection: &mut Connection) -> Step {
        let settings = self.hub.settings();
        let WriteRule { deadline, retry } = self.writes_to(connection.link.kind);
        match connection.link.check_write_deadline(self.now, deadline, retry) {
            Ok(next) => connection.write_check = next,
            Err(()) => return Step::Close(CloseReason::SlowConsumerWriteDeadline),
        }
        match &mut connection.phase {
            Phase::Opening(_) | Phase::Judging(_) => self.login_deadline(connection),
            Phase::Refused(_, until) if *until <= self.now => self.answer_refused(connection),
            Phase::Refused(..) => Step::Continue,
            Phase::Active(active) | Phase::Rejoining(active, _) => {
                let due = active.session.due(self.now, settings.ping_of(connection.link.carrier));
                due.map_or(Step::Continue, |due| self.session_due(connection, due))
            }
            Phase::Server(_) => self.link_deadline(connection),
            Phase::Over => Step::Continue,
        }
    }

    /// How long a peer may take its bytes.
    fn writes_to(&self, kind: LinkKind) -> WriteRule {
        self.hub.links.settings.load().writes_to(kind).unwrap_or_else(|| {
            let settings = self.hub.settings();
            WriteRule { deadline: settings.write_deadline, retry: settings.write_retry }
        })
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

    /// Who a connection is, or said it was.
    fn facts_of(&self, connection: &Connection) -> Arc<ConnectionFacts> {
        match &connection.phase {
            Phase::Judging(judging) | Phase::Refused(judging, _) => {
                ConnectionFacts::of_stranger(&judging.options, connection)
            }
            Phase::Server(_) => self.hub.links.one(&connection.link).map(|known| known.facts).unwrap_or_default(),
            _ => self.hub.connection(connection.link.key.id).map(|known| known.facts).unwrap_or_default(),
        }
    }

    pub(crate) fn goodbye(&mut self, connection: &mut Connection, reason: CloseReason) {
        let settings = self.hub.settings();
        let facts = self.facts_of(connection);
        let mut closed = last_words(connection, facts, self.now);
        if connection.link.carrier == Carrier::WebSocket {
            connection.link.say_sealed(&mut self.stages.pool, |sealer, wire| sealer.close(reason, wire));
        }
        let reason = connection.link.close(reason);
        closed.reason = reason;
        let label = connection.label();
        if let Phase::Refused(..) = &connection.phase {
            self.hub.penalties.released(connection.link.address.ip());
        }
        let mut account = None;
        match mem::replace(&mut connection.phase, Phase::Over) {
            Phase::Active(mut active) | Phase::Rejoining(mut active, _) => {
                for subscription in active.subscriptions.drain() {
                    if let Target::Client(client) = &subscription.target {
                        self.log_end(client);
                    }
                    self.withdraw(&active.account, &subscription);
                }
                // In this order: whoever adds up the living after the gone counts nobody twice.
                self.hub.unregister(connection.link.key.id);
                active.account.leave(&connection.link.stats);
                account = Some(active.account);
            }
            Phase::Server(server) => {
                account = server.account().cloned();
                self.end_link(connection, *server);
            }
            Phase::Opening(_) | Phase::Judging(_) | Phase::Refused(..) | Phase::Over => {}
        }
        self.hub.unregister(connection.link.key.id);
        let closed = self.hub.ledger.close(closed, account.as_deref());
        self.known(connection);
        if mem::take(&mut connection.is_counted) {
            self.hub.client_left();
        }
        self.hub.observer.event(
            &connection.link,
            &label,
            &Event::Closed {
                closed: &closed,
                account: account.as_ref(),
                max_pending_bytes: settings.max_pending_bytes,
                write_deadline: self.writes_to(connection.link.kind).deadline,
            },
        );
    }
}

/// Whether a limit says how much the connection may publish.
#[inline]
pub(crate) fn is_metered(connection: &Connection) -> bool {
    matches!(&connection.phase, Phase::Active(active) if active.meter.is_some())
}

/// Counts one message, if there is something left for it; else says when there will be.
fn take_share(active: &mut Active, bytes: usize, now: Instant) -> Result<(), Instant> {
    active.meter.as_deref_mut().map_or(Ok(()), |meter| meter.take(bytes as u64, now))
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
