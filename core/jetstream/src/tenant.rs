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
use api::advisories::Event;
use api::responses::AccountLimits;
use api::{Call, Mode, Name};
use moment::Instant;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use subject::{Filter, Subject, Sublist};

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
        }
    }

    /// Puts back a stream that was kept, with its consumers.
    pub fn restore(&mut self, kept: KeptStream, log: S::Log, around: &mut Surroundings<'_, S>) -> Result<(), LogError> {
        let refuse = |error: api::ApiError| LogError(format!("stream {}: {}", kept.config.name, error.description));
        let rules = crate::stream_config::compile(&kept.config).map_err(refuse)?;
        let mut stream = Stream::new(kept.id, kept.config, rules, kept.created, log, &self.settings);
        stream.recall(around.now)?;
        for consumer in kept.consumers {
            self.restore_consumer(&mut stream, consumer, around.now)?;
        }
        stream.enforce_all()?;
        stream.wake = Some(around.now.tick);
        self.enlist(&stream, around.out);
        self.streams.insert(stream.name.clone(), stream);
        Ok(())
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

    /// Takes a message of this account through the door it came by. A message may come by two: an audit stream that takes
    /// `$JS.>` gets requests by its own door as well.
    pub fn receive(&mut self, door: Door, message: &Incoming<'_>, around: &mut Surroundings<'_, S>) {
        self.wake();
        // Subjects of streams are not read as text: that would cost each message.
        let is_text = door != Door::Streams;
        let text = if is_text { std::str::from_utf8(message.subject).unwrap_or_default() } else { "" };
        match door {
            Door::Requests => self.request(text, message, around),
            Door::Answers if text.starts_with(crate::ack::PREFIX) => self.acknowledge(text, message, around),
            Door::Answers => match text.strip_prefix(backup::PREFIX) {
                Some(rest) => self.transferred(rest, message, around),
                None => self.flow_answered(text, message, around),
            },
            Door::Streams => self.publish(message, "", around),
            Door::Copies => self.hear(message, around),
            Door::Interest => self.interest_began(text, around.now),
        }
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
        if self.attention.is_awake && !self.attention.has_more && !self.streams.values().any(|stream| stream.has_news) {
            self.attention.is_awake = false;
            self.attention.deadline = self.find_deadline();
        }
    }

    fn request(&mut self, text: &str, message: &Incoming<'_>, around: &mut Surroundings<'_, S>) {
        self.used = None;
        let in_domain = self.tail_in_domain(text);
        if let Some(subject) = in_domain.filter(|tail| tail.starts_with("$KV.") || tail.starts_with("$OBJ.")) {
            // Buckets of another domain are written to through its API prefix.
            let (prefix, subject) = (&text[..text.len() - subject.len()], subject.as_bytes());
            return self.publish(&Incoming { subject, ..*message }, prefix, around);
        }
        let Some(tail) = text.strip_prefix(api::calls::PREFIX).or(in_domain) else { return };
        let plain = format!("{}{tail}", api::calls::PREFIX);
        if let Some(call) = Call::parse(&plain) {
            self.call(&call, message, around);
        }
    }

    /// What follows the API's prefix with the domain in it.
    fn tail_in_domain<'a>(&self, subject: &'a str) -> Option<&'a str> {
        let rest = subject.strip_prefix("$JS.")?.strip_prefix(self.settings.domain.as_str())?;
        rest.strip_prefix(".API.").filter(|_| !self.settings.domain.is_empty())
    }

    /// Takes a message for a stream, which was published under a prefix that the streams know nothing of.
    fn publish(&mut self, message: &Incoming<'_>, prefix: &str, around: &mut Surroundings<'_, S>) {
        let Tenant { streams, index, last, used: stored, settings, chance, .. } = self;
        if last.as_ref().is_none_or(|(subject, _)| subject != message.subject) {
            *last = stream_of(index, message.subject);
        }
        let Some((_, name)) = last else { return };
        if stored.is_none() && settings.limits.bound_bytes() {
            *stored = Some(used(streams));
        }
        let Some(stream) = streams.get_mut(name) else { return };
        let may = reading::may_schedule(message, around.asker)
            .and_then(|()| reading::may_roll_up(stream, prefix, message, around.asker));
        if let Err(error) = may.and_then(|()| check_room(stream, message, &settings.limits, stored, around.shelves)) {
            around.follower.into_iter().for_each(|follower| stream.tell_refused(&**follower, &error, around.now));
            return stream.refuse(message, &error, around.out);
        }
        match around.follower {
            None => stream.publish(message, around.asker, around.now, chance.roll() as u32, around.out),
            Some(follower) => {
                let message = (message, around.asker);
                stream.publish_followed(message, &**follower, around.now, chance.roll() as u32, around.out);
                // What is only followed took no room.
                *stored = None;
            }
        }
    }

    fn acknowledge(&mut self, subject: &str, message: &Incoming<'_>, around: &mut Surroundings<'_, S>) {
        let Some(ack) = AckSubject::parse(subject) else { return };
        let found = self.streams.get_mut(ack.stream).filter(|stream| stream.consumers.contains_key(ack.consumer));
        let Some(stream) = found else {
            // Whoever waits for a confirmation must not wait for nobody.
            return message.reply.into_iter().for_each(|reply| Self::nobody_there(message, reply, around));
        };
        let Some(consumer) = stream.consumers.get_mut(ack.consumer) else { return };
        let acked = consumer.acknowledge(Ack::parse(message.payload), ack.stream_seq, around.now);
        stream.has_news = true;
        if let Some(next) = acked.next
            && let Some(reply) = message.reply
        {
            let asked = match reading::may_pull(consumer, &stream.rules.subjects, around.asker) {
                Ok(by) => consumer.ask(&next, reply, by, &mut stream.log, around.now, around.out),
                Err(status) => {
                    around.out.say(reply, status, Vec::new());
                    Ok(())
                }
            };
            drop_log_error(asked);
            return;
        }
        for seq in acked.settled {
            drop_log_error(stream.settle(seq));
        }
        tell_happened(stream, &mut self.chance, &self.settings, around);
        if let Some(reply) = message.reply {
            // Whoever asks for a confirmation gets it when the acknowledgement can not be forgotten any more.
            let kept = self.keep_state(ack.stream, ack.consumer, around.shelves);
            let after = if kept.is_ok() { After::Metadata } else { After::Nothing };
            if kept.is_ok() {
                around.out.answer(reply, Vec::new(), Vec::new(), after, None);
            }
        }
    }

    fn keep_state(&mut self, stream: &str, consumer: &str, shelves: &mut S) -> Result<(), LogError> {
        let account = &self.settings.account;
        let Some(consumer) = self.streams.get_mut(stream).and_then(|stream| stream.consumers.get_mut(consumer)) else {
            return Ok(());
        };
        if consumer.is_kept() && consumer.is_dirty {
            let key = kept::state_key(account, stream, consumer.name.as_str());
            shelves.put(&key, &consumer.encode_state())?;
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
        for seq in settled {
            drop_log_error(stream.settle(seq));
        }
    }

    /// Delivers what became readable, to whoever wants it. Call after each commit. Whether there is more to deliver.
    pub fn deliver(&mut self, around: &mut Surroundings<'_, S>) -> bool {
        self.used = None;
        let mut has_more = self.copy(around) | self.send_streams(around) | self.continue_reads(around);
        let (chance, settings) = (&mut self.chance, &self.settings);
        for stream in self.streams.values_mut().filter(|stream| stream.has_news) {
            let fresh = std::mem::take(&mut stream.has_fresh_copies);
            let more = pump(stream, chance, settings, around);
            stream.has_news = more || fresh;
            has_more |= more;
        }
        self.attention.has_more = has_more;
        has_more
    }

    /// Does what is due: deliveries again, signs of life, expiry, ephemeral consumers that nobody wants.
    pub fn tick(&mut self, around: &mut Surroundings<'_, S>) {
        let now = around.now;
        self.wake();
        self.continue_restores(around);
        self.expire_restores(around);
        let mut abandoned = Vec::new();
        for stream in self.streams.values_mut().filter(|stream| stream.wake.is_some_and(|at| at <= now.tick)) {
            let (chance, before) = (self.chance.roll() as u32, stream.state().last_seq);
            drop_log_error(stream.work(now, chance, around.out));
            let home = (self.settings.account.as_str(), self.settings.domain.as_str());
            drop_log_error(stream.tend_remotes(home, now, &mut self.chance, around.out));
            let has_stored = stream.state().last_seq > before;
            stream.has_news = pump(stream, &mut self.chance, &self.settings, around) || has_stored;
            for consumer in stream.consumers.values() {
                if consumer.inactive_at().is_some_and(|at| at <= now.tick) {
                    abandoned.push((stream.name.clone(), consumer.name.clone()));
                }
            }
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

    /// Stages the states of consumers that changed, to be durable with the next commit.
    pub fn keep_states(&mut self, shelves: &mut S) -> Result<(), LogError> {
        let account = &self.settings.account;
        if !self.attention.has_unkept {
            return Ok(());
        }
        for stream in self.streams.values_mut() {
            let name = stream.name.clone();
            for consumer in stream.consumers.values_mut().filter(|consumer| consumer.is_dirty && consumer.is_kept()) {
                let key = kept::state_key(account, name.as_str(), consumer.name.as_str());
                shelves.put(&key, &consumer.encode_state())?;
                consumer.is_dirty = false;
            }
        }
        self.attention.has_unkept = false;
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

/// Lets the consumers of a stream deliver. Whether one of them has more.
fn pump<S: Shelves>(
    stream: &mut Stream<S::Log>,
    chance: &mut Chance,
    settings: &Settings,
    around: &mut Surroundings<'_, S>,
) -> bool {
    let mut settled = Vec::new();
    let mut has_more = false;
    let name = stream.name.clone();
    for consumer in stream.consumers.values_mut() {
        let mut roll = || chance.roll();
        let pumped = consumer.pump(name.as_str(), &mut stream.log, around.now, around.interest, &mut roll, around.out);
        if let Ok(pumped) = pumped {
            settled.extend(pumped.settled);
            has_more |= pumped.has_more;
        }
    }
    if stream.config.retention != api::Retention::Limits {
        settled.into_iter().for_each(|seq| drop_log_error(stream.settle(seq)));
    }
    tell_happened(stream, chance, settings, around);
    let consumers = stream.consumers.values().filter_map(crate::Consumer::deadline).min();
    stream.wake = [stream.deadline(around.now), consumers].into_iter().flatten().min();
    has_more
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
