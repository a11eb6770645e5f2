//! Everything of one account: its streams, and what it may ask of them.

mod backup;
mod calls;
mod consumers;
mod copies;
mod detail;
mod direct;
mod kept;
mod messages;
mod part_read;
pub(crate) mod reading;
mod streams;

pub use detail::Missing;
pub(crate) use direct::Read;
pub use kept::{KeptConsumer, KeptStream};

use crate::ack::{Ack, AckSubject};
use crate::asker::Asker;
use crate::batch_limits::BatchLimits;
use crate::chance::Chance;
use crate::consumer::Happened;
use crate::follower::Follower;
use crate::limits::Limits;
use crate::log::{Log, LogError, Shelves};
use crate::outbox::{After, Effect, Interest, Now, Outbox};
use crate::stream::{Incoming, Stream};
use crate::work::{BYTES_A_UNIT, MESSAGE_UNITS, REQUEST_UNITS, Work};
use api::advisories::Event;
use api::responses::AccountLimits;
use api::{Call, Mode, Name};
use moment::Instant;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::Arc;
use subject::{Filter, Subject, Sublist};

/// Bytes of states of consumers that are kept at a time, with one state more.
const KEPT_BYTES: usize = 1024 * 1024;
/// Consumers, or those that wait for one, that are looked at for a unit of work.
const CROWD_A_UNIT: u64 = 8;

/// What the server says about itself and this account.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The account, as metadata names it.
    pub account: String,
    /// The JetStream domain; empty without.
    pub domain: String,
    /// This server's name, which is the leader of everything.
    pub server_name: String,
    /// The version that clients are told.
    pub version: String,
    /// Bounds of the account.
    pub limits: Limits,
    /// How requests are read.
    pub mode: Mode,
    /// Longest duplicate window in nanoseconds; zero is no bound.
    pub max_duplicate_window: i64,
    /// Most consumers of a stream that sets no bound; zero is none.
    pub default_max_consumers: i64,
    /// Most unacknowledged messages of a consumer of this server; zero is no bound.
    pub max_ack_pending: i64,
    /// Most messages of a pull; zero is no bound.
    pub max_request_batch: i64,
    /// Bytes of a batch of direct reads that sets no bound.
    pub max_batch_bytes: usize,
    /// Bounds of batches.
    pub batches: BatchLimits,
}

impl Settings {
    /// Most unacknowledged messages of a consumer, by server and account.
    pub(crate) fn max_ack_pending(&self, limits: &AccountLimits) -> i64 {
        match (self.max_ack_pending, limits.max_ack_pending) {
            (server @ 1.., account @ 1..) => server.min(account),
            (server @ 1.., _) => server,
            (_, account) => account,
        }
    }
}

/// What is listened for, and so how a message came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Door {
    /// Requests to the API.
    Requests,
    /// Acknowledgements and answers to flow control.
    Answers,
    /// Subjects of streams.
    Streams,
    /// Answers and messages of streams of other accounts and domains that are copied. Where a message was stored under another
    /// subject than the one it came by, that stands behind an `@` in its reply.
    Copies,
    /// Not a message: somebody listens to where a consumer delivers. The subject is `<stream>.<consumer>`.
    Interest,
}

/// The streams of one account.
pub struct Tenant<S: Shelves> {
    pub(crate) settings: Settings,
    pub(crate) streams: BTreeMap<Name, Stream<S::Log>>,
    index: Sublist<Name>,
    /// The subject that was published to last, and the stream that stores it: publishers repeat themselves.
    last: Option<(Vec<u8>, Name)>,
    /// Which streams copy from a stream that need not be there.
    copiers: BTreeMap<String, BTreeSet<Name>>,
    pub(crate) chance: Chance,
    pub(crate) calls: u64,
    pub(crate) errors: u64,
    /// What is stored, as long as nothing but storing changed it.
    used: Option<[u64; 2]>,
    transfers: backup::Transfers<S::Log>,
    /// Direct reads that one round was not enough for.
    reads: VecDeque<part_read::PartRead>,
    attention: Attention,
    /// What may be done in this turn, and how far the message at hand is.
    work: Work,
    /// Streams with something to be done before anything else is.
    at_work: VecDeque<Name>,
    /// A message was not done with when the turn was over: nothing else is done before it is.
    is_interrupted: bool,
    /// What is said once that is done.
    held: Outbox,
    /// What is stored grows faster than consumers count it: nothing comes in before they have delivered again.
    is_behind: bool,
    /// The stream whose consumers have their turn next, when a turn was not enough for all.
    next_stream: Option<Name>,
    /// The same of streams in which something is due, and of those that copy.
    next_due: Option<Name>,
    next_copying: Option<Name>,
    /// Streams that may have something to copy.
    copying: BTreeSet<Name>,
}

/// Whether an account has anything to do. Most of many accounts are quiet most of the time, and then cost nothing.
#[derive(Debug)]
struct Attention {
    /// Something was done since it was last found quiet.
    is_awake: bool,
    /// There was more to deliver than one round takes.
    has_more: bool,
    /// States of consumers may have changed since they were kept.
    has_unkept: bool,
    /// When to tick, as of when it was found quiet.
    deadline: Option<Instant>,
}

/// What handlers need from outside.
pub struct Surroundings<'a, S> {
    /// Where logs and metadata are kept.
    pub shelves: &'a mut S,
    /// The present.
    pub now: Now,
    /// Who listens.
    pub interest: &'a dyn Interest,
    /// What is wanted done.
    pub out: &'a mut Outbox,
    /// Who asks, if somebody who may not read everything.
    pub asker: Option<&'a Arc<dyn Asker>>,
    /// Who follows the message, if somebody.
    pub follower: Option<&'a Arc<dyn Follower>>,
}

impl<'a, S> Surroundings<'a, S> {
    /// Of what is done without anybody who asks for it.
    pub fn own(shelves: &'a mut S, now: Now, interest: &'a dyn Interest, out: &'a mut Outbox) -> Self {
        Self { shelves, now, interest, out, asker: None, follower: None }
    }
}

impl<S: Shelves> Tenant<S> {
    /// An account without streams.
    pub fn new(settings: Settings, seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let index = Sublist::with_seed(chance.roll());
        let (streams, copiers, transfers) = (BTreeMap::new(), BTreeMap::new(), backup::Transfers::default());
        let attention = Attention { is_awake: true, has_more: false, has_unkept: true, deadline: None };
        Tenant {
            settings,
            streams,
            index,
            last: None,
            copiers,
            chance,
            calls: 0,
            errors: 0,
            used: None,
            transfers,
            reads: VecDeque::new(),
            attention,
            work: Work::unbounded(),
            at_work: VecDeque::new(),
            is_interrupted: false,
            held: Outbox::default(),
            is_behind: false,
            next_stream: None,
            next_due: None,
            next_copying: None,
            copying: BTreeSet::new(),
        }
    }

    /// Puts back a stream that was kept, with its consumers.
    pub fn restore(&mut self, kept: KeptStream, log: S::Log, around: &mut Surroundings<'_, S>) -> Result<(), LogError> {
        let refuse =
            |error: api::ApiError| LogError::Failed(format!("stream {}: {}", kept.config.name, error.description));
        let rules = crate::stream_config::compile(&kept.config).map_err(refuse)?;
        let mut stream = Stream::new(kept.id, kept.config, rules, kept.created, log, &self.settings);
        stream.recall(around.now)?;
        for consumer in kept.consumers {
            self.restore_consumer(&mut stream, consumer, around.now);
        }
        stream.finish_rollup()?;
        stream.enforce_all();
        stream.wake = Some(around.now.tick);
        self.enlist(&stream, around.out);
        self.at_work.push_back(stream.name.clone());
        self.streams.insert(stream.name.clone(), stream);
        Ok(())
    }

    /// The account has its turn: so many units of work may be done.
    pub fn begin_turn(&mut self, units: u64) {
        self.work.begin(units);
    }

    /// Whether nothing is left of the turn.
    pub fn has_done_enough(&self) -> bool {
        self.work.is_over()
    }

    /// Units that were done in this turn.
    pub fn units_done(&self) -> u64 {
        self.work.done()
    }

    /// Whether something is to be done before anything else.
    pub fn is_at_work(&self) -> bool {
        !self.at_work.is_empty()
    }

    /// Goes on with what is to be done before anything else. Whether that is done: then what was held back is said, which waits for
    /// the next commit like everything that is said before it.
    pub fn go_on(&mut self, around: &mut Surroundings<'_, S>) -> bool {
        if !self.is_at_work() && self.held.is_empty() {
            return true;
        }
        self.wake();
        let is_done = self.do_chores(around);
        if is_done {
            around.out.append(&mut self.held);
        }
        is_done
    }

    /// Says what was held back, if what it waited for was done between two turns.
    pub fn say_held(&mut self, out: &mut Outbox) {
        if !self.is_at_work() {
            out.append(&mut self.held);
        }
    }

    /// Whether something is still to be said about what was done.
    pub fn holds_back(&self) -> bool {
        !self.held.is_empty()
    }

    /// What was to be said once it is true, and will never be: the store is opened anew.
    pub fn take_held(&mut self) -> Outbox {
        std::mem::take(&mut self.held)
    }

    fn do_chores(&mut self, around: &mut Surroundings<'_, S>) -> bool {
        while let Some(name) = self.at_work.front().cloned() {
            if let Some(stream) = self.streams.get_mut(&name) {
                let outcome = stream.do_chores(around.now, &mut self.work);
                self.work.spend(stream.log.take_toll());
                stream.has_news = true;
                match outcome {
                    Err(LogError::Unfinished) => return false,
                    Err(LogError::Failed(why)) if self.is_interrupted => self.work.progress().failed = Some(why),
                    Err(LogError::Failed(_)) | Ok(()) => {}
                }
                for consumer in std::mem::take(&mut stream.leaving) {
                    drop_log_error(self.forget_consumer(name.as_str(), &consumer, around));
                }
            }
            self.at_work.pop_front();
        }
        true
    }

    /// What was done with a stream may have left something to do.
    fn note_chores(&mut self, name: &str) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        self.work.spend(stream.log.take_toll());
        if stream.has_chores() && self.at_work.iter().all(|other| *other != stream.name) {
            self.at_work.push_back(stream.name.clone());
        }
    }

    fn enlist(&mut self, stream: &Stream<S::Log>, out: &mut Outbox) {
        for copying in stream.copies.iter().filter(|copying| !copying.is_remote()) {
            self.copiers.entry(copying.stream().to_owned()).or_default().insert(stream.name.clone());
        }
        self.last = None;
        for filter in &stream.rules.subjects {
            self.index.insert(filter, stream.name.clone());
            out.push(Effect::Listen(filter.clone()));
        }
    }

    fn delist(&mut self, name: &Name, subjects: &[Filter], out: &mut Outbox) {
        self.last = None;
        for filter in subjects {
            self.index.remove(filter, |other| other == name);
            out.push(Effect::Unlisten(filter.clone()));
        }
    }

    /// Whether what came may be taken, by the rest of the account: a consumer must know how many messages are left, and would never
    /// deliver if more came in each round than it counts in one.
    pub fn may_receive(&self) -> bool {
        self.is_interrupted || !self.is_behind
    }

    /// Takes a message of this account through the door it came by. A message may come by two: an audit stream that takes
    /// `$JS.>` gets requests by its own door as well. Whether it is done with: otherwise the turn was not enough for it, and it is
    /// to be given again, before any other, in the next one.
    pub fn receive(&mut self, door: Door, message: &Incoming<'_>, around: &mut Surroundings<'_, S>) -> bool {
        self.wake();
        let mark = around.out.mark();
        self.is_interrupted = !self.take(door, message, around);
        if self.is_interrupted {
            around.out.rewind(&mark);
        } else {
            self.work.finish();
        }
        // Spent behind what is done by it: so each turn brings it further, however short the turn.
        let bytes = message.headers.len() + message.payload.len() + around.out.bytes_since(&mark);
        self.work.spend(MESSAGE_UNITS + bytes as u64 / BYTES_A_UNIT);
        if !self.is_interrupted && self.is_at_work() && !self.do_chores(around) {
            // What was said is not true before that is done.
            self.held = around.out.split_off(&mark);
        }
        !self.is_interrupted
    }

    fn take(&mut self, door: Door, message: &Incoming<'_>, around: &mut Surroundings<'_, S>) -> bool {
        // Subjects of streams are not read as text: that would cost each message.
        let is_text = door != Door::Streams;
        let text = if is_text { std::str::from_utf8(message.subject).unwrap_or_default() } else { "" };
        match door {
            Door::Requests => return self.request(text, message, around),
            Door::Answers if text.starts_with(crate::ack::PREFIX) => return self.acknowledge(text, message, around),
            Door::Streams => return self.publish(message, "", around),
            Door::Answers => match text.strip_prefix(backup::PREFIX) {
                Some(rest) => self.transferred(rest, message, around),
                None => self.flow_answered(text, message, around),
            },
            Door::Copies => self.hear(message, around),
            Door::Interest => self.interest_began(text, around.now),
        }
        true
    }

    /// Somebody listens to what a consumer delivers, so it is looked at in this round.
    fn interest_began(&mut self, by: &str, now: Now) {
        let Some((stream, consumer)) = by.split_once('.') else { return };
        let Some(stream) = self.streams.get_mut(stream) else { return };
        if let Some(consumer) = stream.consumers.get_mut(consumer) {
            consumer.interest_began(now);
            stream.has_news = true;
        }
    }

    /// The server ends: whoever waits for messages is told.
    pub fn say_shutdown(&mut self, out: &mut Outbox) {
        let consumers = self.streams.values_mut().flat_map(|stream| stream.consumers.values_mut());
        consumers.for_each(|consumer| consumer.say_shutdown(out));
    }

    /// Something is done with the account.
    pub fn wake(&mut self) {
        (self.attention.is_awake, self.attention.has_unkept) = (true, true);
    }

    /// Whether something was done since it was found quiet: only then there may be something to commit or to deliver.
    pub fn is_awake(&self) -> bool {
        self.attention.is_awake
    }

    /// Nothing is staged in any log, says the host. If nothing is to be delivered either, the account is quiet from now on.
    pub fn rest(&mut self) {
        let is_busy = self.attention.has_more || self.is_at_work() || self.holds_back();
        if self.attention.is_awake && !is_busy && !self.streams.values().any(|stream| stream.has_news) {
            self.attention.is_awake = false;
            self.attention.deadline = self.find_deadline();
        }
    }

    fn request(&mut self, text: &str, message: &Incoming<'_>, around: &mut Surroundings<'_, S>) -> bool {
        self.used = None;
        let in_domain = self.tail_in_domain(text);
        if let Some(subject) = in_domain.filter(|tail| tail.starts_with("$KV.") || tail.starts_with("$OBJ.")) {
            // Buckets of another domain are written to through its API prefix.
            let (prefix, subject) = (&text[..text.len() - subject.len()], subject.as_bytes());
            return self.publish(&Incoming { subject, ..*message }, prefix, around);
        }
        let Some(tail) = text.strip_prefix(api::calls::PREFIX).or(in_domain) else { return true };
        let plain = format!("{}{tail}", api::calls::PREFIX);
        let Some(call) = Call::parse(&plain) else { return true };
        let is_done = self.call(&call, message, around);
        self.work.spend(REQUEST_UNITS);
        self.note_chores(call.stream);
        is_done
    }

    /// What follows the API's prefix with the domain in it.
    fn tail_in_domain<'a>(&self, subject: &'a str) -> Option<&'a str> {
        let rest = subject.strip_prefix("$JS.")?.strip_prefix(self.settings.domain.as_str())?;
        rest.strip_prefix(".API.").filter(|_| !self.settings.domain.is_empty())
    }

    /// Takes a message for a stream, which was published under a prefix that the streams know nothing of.
    fn publish(&mut self, message: &Incoming<'_>, prefix: &str, around: &mut Surroundings<'_, S>) -> bool {
        let Tenant { streams, index, last, used: stored, settings, chance, work, at_work, .. } = self;
        if last.as_ref().is_none_or(|(subject, _)| subject != message.subject) {
            *last = stream_of(index, message.subject);
        }
        let Some((_, name)) = last else { return true };
        if stored.is_none() && settings.limits.bound_bytes() {
            *stored = Some(used(streams));
        }
        let Some(stream) = streams.get_mut(name) else { return true };
        let may = reading::may_schedule(message, around.asker)
            .and_then(|()| reading::may_roll_up(stream, prefix, message, around.asker));
        if let Err(error) = may.and_then(|()| check_room(stream, message, &settings.limits, stored, around.shelves)) {
            around.follower.into_iter().for_each(|follower| stream.tell_refused(&**follower, &error, around.now));
            stream.refuse(message, &error, around.out);
            return true;
        }
        let roll = work.known().and_then(|progress| progress.chance).unwrap_or_else(|| chance.roll() as u32);
        let at = (around.now, roll);
        let published = match around.follower {
            None => stream.publish(message, around.asker, at, work, around.out),
            Some(follower) => {
                // What is only followed takes no room.
                *stored = None;
                stream.publish_followed((message, around.asker), &**follower, at, work, around.out)
            }
        };
        work.spend(stream.log.take_toll());
        if stream.has_chores() && at_work.iter().all(|other| other != name) {
            at_work.push_back(name.clone());
        }
        if published.is_err() {
            // It takes its room when it is stored.
            *stored = None;
            work.progress().chance = Some(roll);
        }
        published.is_ok()
    }

    fn acknowledge(&mut self, subject: &str, message: &Incoming<'_>, around: &mut Surroundings<'_, S>) -> bool {
        let Some(ack) = AckSubject::parse(subject) else { return true };
        let found = self.streams.get_mut(ack.stream).filter(|stream| stream.consumers.contains_key(ack.consumer));
        let Some(stream) = found else {
            // Whoever waits for a confirmation must not wait for nobody.
            message.reply.into_iter().for_each(|reply| Self::nobody_there(message, reply, around));
            return true;
        };
        let Some(consumer) = stream.consumers.get_mut(ack.consumer) else { return true };
        let word = Ack::parse(message.payload);
        let mut acked = crate::consumer::Acked::default();
        if self.work.note_change() {
            acked = consumer.acknowledge(word, ack.stream_seq, around.now);
        } else if let Ack::DoneNext(next) = word {
            acked.next = Some(next);
        }
        stream.has_news = true;
        let name = consumer.name.clone();
        stream.acknowledged(&name, acked.settled);
        if let Some(next) = acked.next
            && let Some(reply) = message.reply
            && let Some(consumer) = stream.consumers.get_mut(ack.consumer)
        {
            let (log, work) = (&mut stream.log, &mut self.work);
            let asked = match reading::may_pull(consumer, &stream.rules.subjects, around.asker) {
                Ok(by) => consumer.ask((&next, reply, by), log, around.now, work, around.out),
                Err(status) => {
                    around.out.say(reply, status, Vec::new());
                    Ok(())
                }
            };
            self.note_chores(ack.stream);
            return asked != Err(LogError::Unfinished);
        }
        self.note_chores(ack.stream);
        if message.reply.is_some() && !self.do_chores(around) {
            // What is kept as acknowledged has gone before.
            return false;
        }
        if let Some(stream) = self.streams.get_mut(ack.stream) {
            tell_happened(stream, &mut self.chance, &self.settings, around);
        }
        if let Some(reply) = message.reply {
            // Whoever asks for a confirmation gets it when the acknowledgement can not be forgotten any more.
            let kept = self.keep_state(ack.stream, ack.consumer, around.shelves);
            let after = if kept.is_ok() { After::Metadata } else { After::Nothing };
            if kept.is_ok() {
                around.out.answer(reply, Vec::new(), Vec::new(), after, None);
            }
        }
        true
    }

    fn keep_state(&mut self, stream: &str, consumer: &str, shelves: &mut S) -> Result<(), LogError> {
        let account = &self.settings.account;
        let Some(consumer) = self.streams.get_mut(stream).and_then(|stream| stream.consumers.get_mut(consumer)) else {
            return Ok(());
        };
        if consumer.is_kept() && consumer.is_dirty {
            let key = kept::state_key(account, stream, consumer.name.as_str());
            let state = consumer.encode_state();
            self.work.spend(state.len() as u64 / BYTES_A_UNIT);
            shelves.put(&key, &state)?;
            consumer.is_dirty = false;
        }
        Ok(())
    }

    /// Tells those who listen what happened.
    fn advise(&mut self, event: &Event, around: &mut Surroundings<'_, S>) {
        tell(event, &mut self.chance, &self.settings.domain, around);
    }

    fn flow_answered(&mut self, text: &str, message: &Incoming<'_>, around: &mut Surroundings<'_, S>) {
        let Some(rest) = text.strip_prefix("$JS.FC.") else { return };
        let mut tokens = rest.split('.');
        let (Some(stream), Some(consumer)) = (tokens.next(), tokens.next()) else { return };
        let Some(stream) = self.streams.get_mut(stream) else { return };
        let Some(consumer) = stream.consumers.get_mut(consumer) else { return };
        let (is_open, settled) = consumer.flow_answered(message.subject, message.headers, around.now);
        stream.has_news |= is_open;
        let (consumer, stream_name) = (consumer.name.clone(), stream.name.clone());
        stream.acknowledged(&consumer, settled);
        self.note_chores(stream_name.as_str());
    }

    /// Delivers what became readable, to whoever wants it. Call after each commit. Whether there is more to deliver.
    pub fn deliver(&mut self, around: &mut Surroundings<'_, S>) -> bool {
        self.used = None;
        // What is held back is not said here: the next commit makes it true.
        let must_wait = self.is_interrupted || !self.do_chores(around) || self.holds_back();
        self.attention.has_more = must_wait || self.deliver_now(around);
        self.attention.has_more
    }

    fn deliver_now(&mut self, around: &mut Surroundings<'_, S>) -> bool {
        self.note_copying();
        self.is_behind = false;
        // Whoever copies, sends or reads much leaves consumers half a turn.
        let half = self.work.keep_half();
        let mut has_more = self.copy(around) | self.send_streams(around) | self.continue_reads(around);
        self.work.give_back(half);
        let news = self.streams.values().filter(|stream| stream.has_news).map(|stream| stream.name.clone());
        for name in from(news.collect(), self.next_stream.take()) {
            if self.work.is_over() || !self.do_chores(around) {
                self.next_stream = Some(name);
                return true;
            }
            let Some(stream) = self.streams.get_mut(&name) else { continue };
            let fresh = std::mem::take(&mut stream.has_fresh_copies);
            let came = pump(stream, &mut self.chance, &self.settings, &mut self.work, around);
            stream.has_news = came.has_more || fresh;
            has_more |= came.has_more;
            self.is_behind |= came.is_behind;
            self.note_chores(name.as_str());
        }
        !self.do_chores(around) || has_more
    }

    /// Does what is due: deliveries again, signs of life, expiry, ephemeral consumers that nobody wants.
    pub fn tick(&mut self, around: &mut Surroundings<'_, S>) {
        self.wake();
        if self.is_interrupted || !self.go_on(around) {
            return;
        }
        self.expire_restores(around);
        let half = self.work.keep_half();
        self.tend_streams(around);
        self.work.give_back(half);
        self.continue_restores(around);
    }

    fn tend_streams(&mut self, around: &mut Surroundings<'_, S>) {
        let now = around.now;
        let is_due = |stream: &&Stream<S::Log>| stream.wake.is_some_and(|at| at <= now.tick);
        let due = self.streams.values().filter(is_due).map(|stream| stream.name.clone());
        let mut abandoned = Vec::new();
        for name in from(due.collect(), self.next_due.take()) {
            if self.work.is_over() || !self.do_chores(around) {
                self.next_due = Some(name);
                break;
            }
            let Some(stream) = self.streams.get_mut(&name) else { continue };
            let (at, before) = ((now, self.chance.roll() as u32), stream.state().last_seq);
            drop_log_error(stream.tend(at, &mut self.work, around.out));
            let home = (self.settings.account.as_str(), self.settings.domain.as_str());
            drop_log_error(stream.tend_remotes(home, now, &mut self.chance, &mut self.work, around.out));
            let has_stored = stream.state().last_seq > before;
            stream.has_news = match stream.has_chores() {
                true => {
                    stream.wake = Some(now.tick);
                    true
                }
                false => pump(stream, &mut self.chance, &self.settings, &mut self.work, around).has_more || has_stored,
            };
            for consumer in stream.consumers.values() {
                if consumer.inactive_at().is_some_and(|at| at <= now.tick) {
                    abandoned.push((stream.name.clone(), consumer.name.clone()));
                }
            }
            self.note_chores(name.as_str());
        }
        for (stream, consumer) in abandoned {
            drop_log_error(self.remove_consumer(&stream, &consumer, around));
        }
    }

    /// When to tick, at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        if self.attention.is_awake { self.find_deadline() } else { self.attention.deadline }
    }

    fn find_deadline(&self) -> Option<Instant> {
        self.streams.values().filter_map(|stream| stream.wake).chain(self.transfers_deadline()).min()
    }

    /// Stages the states of consumers that changed, to be durable with the next commit. What is left of much of it is staged the
    /// next time.
    pub fn keep_states(&mut self, shelves: &mut S) -> Result<(), LogError> {
        let account = &self.settings.account;
        if !self.attention.has_unkept {
            return Ok(());
        }
        let (mut bytes, mut is_put_off) = (0, false);
        for stream in self.streams.values_mut() {
            // What is kept as acknowledged has gone before: a crash in between would leave what nobody needs.
            if stream.has_chores() {
                is_put_off = true;
                continue;
            }
            for consumer in stream.consumers.values_mut().filter(|consumer| consumer.is_dirty && consumer.is_kept()) {
                if bytes >= KEPT_BYTES {
                    return Ok(());
                }
                let key = kept::state_key(account, stream.name.as_str(), consumer.name.as_str());
                let state = consumer.encode_state();
                bytes += state.len();
                shelves.put(&key, &state)?;
                consumer.is_dirty = false;
            }
        }
        self.attention.has_unkept = is_put_off;
        Ok(())
    }

    /// Whether a consumer's state may have changed since it was kept.
    pub fn has_unkept_states(&self) -> bool {
        self.attention.has_unkept
    }

    /// The streams.
    pub fn streams(&self) -> impl Iterator<Item = &Stream<S::Log>> {
        self.streams.values()
    }

    /// What is listened to for copies, beside what effects say.
    pub fn heard(&self) -> impl Iterator<Item = Filter> + '_ {
        self.streams.values().flat_map(Stream::heard)
    }

    /// How often the API was called, and how often in vain.
    pub fn calls(&self) -> (u64, u64) {
        (self.calls, self.errors)
    }

    /// The streams, to be committed, with those that are being restored.
    pub fn streams_mut(&mut self) -> impl Iterator<Item = &mut Stream<S::Log>> {
        let restoring = self.transfers.restoring.values_mut().map(|restoring| &mut restoring.stream);
        self.streams.values_mut().chain(restoring)
    }

    /// Takes changed settings.
    pub fn reconfigure(&mut self, settings: Settings) {
        self.wake();
        self.streams.values_mut().for_each(|stream| stream.batch_limits = settings.batches.clone());
        self.settings = settings;
    }
}

/// The stream that stores messages of a subject, with the subject. Bytes that are no subject are stored nowhere.
fn stream_of(index: &Sublist<Name>, subject: &[u8]) -> Option<(Vec<u8>, Name)> {
    Subject::parse(subject).ok()?;
    let mut name = None;
    index.matches(subject, &mut |found: &Name| name = Some(found.clone()));
    name.map(|name| (subject.to_vec(), name))
}

/// Whether the server and the account may store one more message. It counts what the message weighs.
fn check_room<S: Shelves>(
    stream: &Stream<S::Log>,
    message: &Incoming<'_>,
    limits: &Limits,
    used: &mut Option<[u64; 2]>,
    shelves: &S,
) -> Result<(), api::ApiError> {
    let on_disk = crate::stream_config::is_on_disk(&stream.config);
    if shelves.room(on_disk) < 0 {
        return Err(api::errors::INSUFFICIENT_RESOURCES.into());
    }
    let limits = limits.of(stream.config.num_replicas).ok_or(api::errors::NO_LIMITS)?;
    let limit = u64::try_from(if on_disk { limits.max_storage } else { limits.max_memory });
    let (Ok(limit), Some(used)) = (limit, used) else { return Ok(()) };
    let weight = stream.log.weight(message.subject.len(), message.headers.len(), message.payload.len());
    let used = &mut used[usize::from(on_disk)];
    if *used + weight > limit {
        return Err(api::errors::ACCOUNT_RESOURCES_EXCEEDED.into());
    }
    *used += weight;
    Ok(())
}

/// Bytes stored in memory, and in files.
fn used<L: Log>(streams: &BTreeMap<Name, Stream<L>>) -> [u64; 2] {
    let mut used = [0; 2];
    for stream in streams.values() {
        used[usize::from(crate::stream_config::is_on_disk(&stream.config))] += stream.state().bytes;
    }
    used
}

/// Names in their order, from one on.
fn from(mut names: Vec<Name>, first: Option<Name>) -> Vec<Name> {
    if let Some(first) = first {
        let at = names.partition_point(|name| *name < first);
        names.rotate_left(at);
    }
    names
}

/// What came of letting consumers deliver.
#[derive(Default)]
struct Came {
    /// One of them has more.
    has_more: bool,
    /// One of them did not come to the end of what it counts, though it is near.
    is_behind: bool,
}

/// Lets the consumers of a stream deliver.
fn pump<S: Shelves>(
    stream: &mut Stream<S::Log>,
    chance: &mut Chance,
    settings: &Settings,
    work: &mut Work,
    around: &mut Surroundings<'_, S>,
) -> Came {
    let (mut settled, mut came, name) = (Vec::new(), Came::default(), stream.name.clone());
    let first = stream.next_consumer.take();
    let before = first.clone().map(|first| (Unbounded, Excluded(first)));
    let after = (first.map_or(Unbounded, Included), Unbounded);
    for range in std::iter::once(after).chain(before) {
        for (_, consumer) in stream.consumers.range_mut(range) {
            if work.is_over() {
                stream.next_consumer = Some(consumer.name.clone());
                break;
            }
            if consumer.ready(&mut stream.log, around.now, work) == Err(LogError::Unfinished) {
                stream.next_consumer = Some(consumer.name.clone());
                break;
            }
            let mut roll = || chance.roll();
            let (log, at) = (&mut stream.log, (around.now, around.interest));
            let pumped = consumer.pump(name.as_str(), log, at, &mut roll, work, around.out);
            if let Ok(pumped) = pumped {
                settled.extend(pumped.settled);
                came.is_behind |= pumped.is_behind;
                came.has_more |= pumped.has_more;
            }
            work.spend(1 + consumer.crowd() / CROWD_A_UNIT);
        }
        if let Some(next) = stream.next_consumer.clone() {
            came.has_more = true;
            stream.make_ready(&next);
            break;
        }
    }
    work.spend(stream.consumers.len() as u64 / CROWD_A_UNIT + stream.log.take_toll());
    settled.into_iter().for_each(|seq| stream.settle(seq));
    tell_happened(stream, chance, settings, around);
    let consumers = stream.consumers.values().filter_map(crate::Consumer::deadline).min();
    stream.wake = [stream.deadline(around.now), consumers].into_iter().flatten().min();
    came
}

/// Tells what happened to the deliveries of a stream's consumers.
fn tell_happened<S: Shelves>(
    stream: &mut Stream<S::Log>,
    chance: &mut Chance,
    settings: &Settings,
    around: &mut Surroundings<'_, S>,
) {
    let (account, domain) = (settings.account.as_str(), settings.domain.as_str());
    let name = stream.name.clone();
    for (batch, reason) in std::mem::take(&mut stream.abandoned) {
        let event = Event::BatchAbandoned { stream: name.to_string(), batch, reason: reason.word() };
        tell(&event, chance, domain, around);
    }
    for consumer in stream.consumers.values_mut() {
        for happened in std::mem::take(&mut consumer.happened) {
            let event = event(account, name.as_str(), consumer.name.as_str(), happened);
            tell(&event, chance, domain, around);
        }
    }
}

fn event(account: &str, stream: &str, consumer: &str, happened: Happened) -> Event {
    let (stream, consumer) = (stream.to_owned(), consumer.to_owned());
    match happened {
        Happened::MaxDeliveries { stream_seq, deliveries } => {
            Event::MaxDeliveries { stream, consumer, stream_seq, deliveries }
        }
        Happened::Naked { stream_seq, consumer_seq, deliveries } => {
            Event::Naked { stream, consumer, consumer_seq, stream_seq, deliveries }
        }
        Happened::Terminated { stream_seq, consumer_seq, deliveries, reason } => {
            Event::Terminated { stream, consumer, consumer_seq, stream_seq, deliveries, reason }
        }
        Happened::Acked { stream_seq, consumer_seq, deliveries, after } => {
            let ack_time = i64::try_from(after.as_nanos()).unwrap_or(i64::MAX);
            Event::Acked { stream, consumer, consumer_seq, stream_seq, ack_time, deliveries }
        }
        Happened::Pinned { group, id: pinned_id } => {
            Event::Pinned { account: account.to_owned(), stream, consumer, group, pinned_id }
        }
        Happened::Unpinned { group, why } => {
            Event::Unpinned { account: account.to_owned(), stream, consumer, group, reason: why.word() }
        }
    }
}

fn tell<S: Shelves>(event: &Event, chance: &mut Chance, domain: &str, around: &mut Surroundings<'_, S>) {
    let subject = event.subject().into_bytes();
    // Most advisories have no listener, and then they cost a look.
    if around.interest.is_wanted(&subject) {
        let id = crate::random_word(chance.roll(), 10) + &crate::random_word(chance.roll(), 10);
        let body = event.told(&id, around.now.wall, domain);
        around.out.say(&subject, Vec::new(), body);
    }
}

/// The log has said what is wrong where it happened; here the work stops and is tried again at the next occasion.
fn drop_log_error<T>(outcome: Result<T, LogError>) {
    drop(outcome);
}
