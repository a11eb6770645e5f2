//! One stream: what may be stored in it, what must go, and who consumes it.

mod age;
mod agenda;
mod batches;
mod chores;
mod copies;
mod counters;
mod fast;
mod following;
mod purge;
mod remote;
mod take;

pub(crate) use batches::Abandoned;
pub(crate) use copies::Wanted;
pub(crate) use take::{Checked, NotTaken, Origin, with_header};

pub use remote::ASKING_INBOX;
pub(crate) use remote::asked_by;

use crate::asker::Asker;
use crate::batch_limits::BatchLimits;
use crate::consumer::Consumer;
use crate::dedupe::{Dedupe, MAX_ID_BYTES};
use crate::log::{Found, Log, LogError, LogState, Stored};
use crate::outbox::{After, Now, Outbox, Outgoing};
use crate::publish::{MSG_ID, Wishes};
use crate::stream_config::StreamRules;
use crate::tenant::Settings;
use crate::work::Work;
use api::errors::*;
use api::responses::{pub_ack, pub_counted, pub_refused};
use api::{ApiError, Name, StreamConfig};
use counters::Counter;
use moment::{Instant, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use subject::{Filter, Subject};
use wire::headers::Headers;

/// A message on its way into a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming<'a> {
    /// What it was published to.
    pub subject: &'a [u8],
    /// Where the publisher waits for the acknowledgement.
    pub reply: Option<&'a [u8]>,
    /// Its header block; empty without headers.
    pub headers: &'a [u8],
    /// Its body.
    pub payload: &'a [u8],
}

/// A stream.
pub struct Stream<L> {
    /// Its number in the store.
    pub id: u64,
    /// Its name.
    pub name: Name,
    /// Its configuration.
    pub config: StreamConfig,
    /// When it was made.
    pub created: Timestamp,
    /// Its messages.
    pub log: L,
    /// Its consumers.
    pub consumers: BTreeMap<Name, Consumer>,
    pub(crate) rules: StreamRules,
    dedupe: Dedupe,
    domain: String,
    /// What publishers hear when the store can not make their message durable.
    unstored: Arc<[u8]>,
    pub(crate) batch_limits: BatchLimits,
    ages: age::Ages,
    agenda: agenda::Agenda,
    batches: batches::Batches,
    fast: fast::FastBatches,
    counting: counters::Counting,
    pub(crate) copies: Vec<copies::Copying>,
    /// Where streams of others sent that are copied no longer, and the host does not know yet.
    pub(crate) unheard: Vec<Filter>,
    /// The origin that has its turn next, when a turn was not enough for all.
    pub(crate) next_copied: usize,
    /// Where the search for what was copied before a restart goes on.
    sought_down_to: Option<u64>,
    /// Whether something was copied since the last commit, which nobody can read before.
    pub(crate) has_fresh_copies: bool,
    /// Streams that copy from this one, where it has to wait for them.
    pub(crate) copiers: BTreeMap<Name, copies::Copier>,
    /// Batches that were given up, and nobody was told yet.
    pub(crate) abandoned: Vec<(String, Abandoned)>,
    /// Whether there may be something new for the consumers.
    pub(crate) has_news: bool,
    /// The consumer that has its turn next, when a turn was not enough for all.
    pub(crate) next_consumer: Option<Name>,
    /// Consumers that are gone, and are forgotten once what only they needed is gone.
    pub(crate) leaving: Vec<Name>,
    /// What follows from what was done, and is done before anything else.
    chores: chores::Chores,
    /// When something is due without anything new: expiry, a delivery again, a sign of life.
    pub(crate) wake: Option<Instant>,
    last_time: Timestamp,
}

/// A message that was stored.
pub(crate) struct Taken {
    /// Its sequence.
    pub seq: u64,
    /// What its counter says now, if that is told to whoever published it.
    counter: Option<Counter>,
}

impl<L: Log> Stream<L> {
    /// A stream over its log.
    pub fn new(
        id: u64,
        config: StreamConfig,
        rules: StreamRules,
        created: Timestamp,
        log: L,
        settings: &Settings,
    ) -> Self {
        let name = Name::parse(&config.name).expect("the configuration was checked");
        let last_time = log.state().last_time.unwrap_or(Timestamp::EPOCH);
        let unstored = STREAM_STORE_FAILED.with("the store can not make the message durable");
        let unstored = pub_refused(name.as_str(), &unstored).into();
        let mut stream = Stream {
            id,
            name,
            config,
            created,
            log,
            consumers: BTreeMap::new(),
            rules,
            dedupe: Dedupe::default(),
            domain: settings.domain.clone(),
            unstored,
            batch_limits: settings.batches.clone(),
            ages: age::Ages::default(),
            agenda: agenda::Agenda::default(),
            batches: batches::Batches::default(),
            fast: fast::FastBatches::default(),
            counting: counters::Counting::default(),
            copies: Vec::new(),
            unheard: Vec::new(),
            next_copied: 0,
            sought_down_to: None,
            has_fresh_copies: false,
            copiers: BTreeMap::new(),
            abandoned: Vec::new(),
            has_news: true,
            next_consumer: None,
            leaving: Vec::new(),
            chores: chores::Chores::default(),
            wake: None,
            last_time,
        };
        stream.begin_copies();
        stream
    }

    /// What is not kept beside the messages is found again in them, after a restart.
    pub fn recall(&mut self, now: Now) -> Result<(), LogError> {
        self.remove_torn_batch()?;
        self.begin_walk();
        self.remember_ids(now)
    }

    /// Reads back the message ids of the window.
    fn remember_ids(&mut self, now: Now) -> Result<(), LogError> {
        if self.window().is_zero() {
            return Ok(());
        }
        let window = i64::try_from(self.window().as_nanos()).unwrap_or(i64::MAX);
        let since = Timestamp::from_nanos(now.wall.as_nanos().saturating_sub(window));
        let mut at = self.log.seq_at(since)?;
        while let Found::Message(message) = self.log.next_headed(at)? {
            at = message.seq() + 1;
            match Headers::new(message.headers()).get(MSG_ID).filter(|id| !id.is_empty() && id.len() <= MAX_ID_BYTES) {
                Some(id) => self.dedupe.note(id, message.seq(), message.time()),
                None => self.dedupe.note_without_id(),
            }
        }
        // Whatever came after the last of them had no headers.
        if let Found::Message(_) = self.log.next(&[], at, &mut Work::unbounded())? {
            self.dedupe.note_without_id();
        }
        Ok(())
    }

    /// By what it is told from another stream of the same name.
    pub(crate) fn identity(&self) -> String {
        crate::origins::short_hash(&self.created.to_string())
    }

    fn window(&self) -> Duration {
        Duration::from_nanos(self.config.duplicate_window.max(0) as u64)
    }

    /// Whether messages of this subject are stored here.
    pub fn takes(&self, subject: Subject<'_>) -> bool {
        crate::stream_config::takes(&self.rules, subject)
    }

    /// What it holds.
    pub fn state(&self) -> LogState {
        self.log.state()
    }

    /// Takes a message in and tells its publisher, once that is true. `asker` is who published it, if somebody who may not
    /// read everything.
    ///
    /// # Errors
    /// The turn is over before it was taken; it is published again then.
    pub(crate) fn publish(
        &mut self,
        incoming: &Incoming<'_>,
        asker: Option<&Arc<dyn Asker>>,
        (now, chance): (Now, u32),
        work: &mut Work,
        out: &mut Outbox,
    ) -> Result<(), Unfinished> {
        let reply = incoming.reply.filter(|_| !self.config.no_ack);
        if let Some(reply) = reply.filter(|reply| reply.ends_with(fast::SUFFIX)) {
            self.has_news = true;
            return self.publish_fast((incoming, asker), reply, (now, chance), work, out);
        }
        if !incoming.headers.is_empty() {
            let wishes = Wishes::read(incoming.headers);
            if let Some(id) = wishes.batch.filter(|id| !id.is_empty()) {
                return self.publish_of_batch((incoming, asker), (&wishes, id), (now, chance), work, out);
            }
        }
        let taken = self.take(incoming, Origin::Client(asker), (now, chance), work, out);
        self.answer_publisher(incoming, taken, out)
    }

    /// Tells a publisher what became of its message, if it waits for that.
    fn answer_publisher(
        &self,
        incoming: &Incoming<'_>,
        taken: Result<Taken, NotTaken>,
        out: &mut Outbox,
    ) -> Result<(), Unfinished> {
        let reply = incoming.reply.filter(|_| !self.config.no_ack);
        match (taken, reply) {
            (Err(NotTaken::Unfinished), _) => return Err(Unfinished),
            (_, None) => {}
            (Ok(Taken { seq, counter }), Some(reply)) => self.acknowledge(reply, seq, counter.as_ref(), false, out),
            (Err(NotTaken::Duplicate(seq)), Some(reply)) => self.acknowledge(reply, seq, None, true, out),
            (Err(NotTaken::Refused(error)), _) => self.refuse(incoming, &error, out),
        }
        Ok(())
    }

    fn publish_of_batch(
        &mut self,
        (incoming, asker): (&Incoming<'_>, Option<&Arc<dyn Asker>>),
        (wishes, id): (&Wishes<'_>, &[u8]),
        at: (Now, u32),
        work: &mut Work,
        out: &mut Outbox,
    ) -> Result<(), Unfinished> {
        self.has_news = true;
        let taken = self.take_of_batch((incoming, asker), wishes, id, at, work, out);
        let reply = incoming.reply.filter(|_| !self.config.no_ack);
        match (taken, reply) {
            (Err(NotTaken::Unfinished), _) => return Err(Unfinished),
            (_, None) => {}
            (Ok(ack), Some(reply)) => {
                let ack = ack.map_or(Vec::new(), |ack| ack.told(self.name.as_str(), &self.domain));
                out.answer(reply, Vec::new(), ack, self.after(), Some(self.unstored.clone()));
            }
            (Err(NotTaken::Duplicate(_)), _) => {
                self.refuse(incoming, &ATOMIC_PUBLISH_CONTAINS_DUPLICATE_MESSAGE.into(), out);
            }
            (Err(NotTaken::Refused(error)), _) => self.refuse(incoming, &error, out),
        }
        Ok(())
    }

    /// Tells a publisher why its message is not taken.
    pub(crate) fn refuse(&self, incoming: &Incoming<'_>, error: &ApiError, out: &mut Outbox) {
        if let Some(reply) = incoming.reply.filter(|_| !self.config.no_ack) {
            out.say(reply, Vec::new(), pub_refused(self.name.as_str(), error));
        }
    }

    /// What an acknowledgement waits for.
    fn after(&self) -> After {
        After::Log(self.id)
    }

    /// Tells a publisher that its message is stored.
    fn acknowledge(&self, reply: &[u8], seq: u64, counter: Option<&Counter>, is_duplicate: bool, out: &mut Outbox) {
        let (name, domain) = (self.name.as_str(), self.domain.as_str());
        let write = |ack: &mut Vec<u8>| match counter {
            Some(counter) => pub_counted(ack, name, domain, seq, &counter.total.to_string()),
            None => pub_ack(ack, name, domain, seq, is_duplicate),
        };
        out.acknowledge(reply, write, self.after(), &self.unstored);
    }

    /// Takes a message in.
    pub(crate) fn take(
        &mut self,
        incoming: &Incoming<'_>,
        origin: Origin<'_>,
        (now, chance): (Now, u32),
        work: &mut Work,
        out: &mut Outbox,
    ) -> Result<Taken, NotTaken> {
        let checked = self.check(incoming, origin, None, (now, chance), work)?;
        let seq = self.admit(&checked, (now, chance), work, out)?;
        Ok(Taken { seq, counter: origin.told(&checked).cloned() })
    }

    /// Takes what the stream itself has to say.
    pub(crate) fn take_at_once(
        &mut self,
        incoming: &Incoming<'_>,
        at: (Now, u32),
        work: &mut Work,
        out: &mut Outbox,
    ) -> Result<(), NotTaken> {
        let checked = self.check_at_once(incoming, Origin::Server, at, work)?;
        self.admit(&checked, at, work, out)?;
        Ok(())
    }

    fn republish(
        &self,
        (before, seq): (u64, u64),
        checked: &Checked<'_>,
        time: Timestamp,
        chance: u32,
        out: &mut Outbox,
    ) {
        let (Some(transform), Some(config)) = (&self.rules.republish, &self.config.republish) else { return };
        let subject = &*checked.subject;
        let Some(source) = Subject::parse(subject).ok().filter(|subject| transform.matches(*subject)) else { return };
        let mut headers = Vec::with_capacity(checked.headers.len() + 160);
        let time = time.to_string();
        let (seq_text, size) = (seq.to_string(), checked.payload.len().to_string());
        let before = before.to_string();
        let mut lines: Vec<(&str, &[u8])> = vec![
            ("Nats-Stream", self.name.as_str().as_bytes()),
            ("Nats-Subject", subject),
            ("Nats-Sequence", seq_text.as_bytes()),
            ("Nats-Time-Stamp", time.as_bytes()),
            ("Nats-Last-Sequence", before.as_bytes()),
        ];
        if config.headers_only {
            lines.push(("Nats-Msg-Size", size.as_bytes()));
        }
        append_headers(&mut headers, &checked.headers, &lines);
        let to = transform.apply(source, chance);
        let payload: &[u8] = if config.headers_only { b"" } else { &checked.payload };
        let outgoing = Outgoing { to: &to, headers: &headers, payload, ..Outgoing::default() };
        out.send_after(&outgoing, self.after());
    }

    /// When something of the stream itself is due.
    pub(crate) fn deadline(&self, now: Now) -> Option<Instant> {
        let batches = [self.batches.deadline(), self.fast.deadline()];
        batches.into_iter().chain([self.expiry(now), self.copies_deadline()]).flatten().min()
    }

    /// Does what is due.
    pub(crate) fn tend(&mut self, at: (Now, u32), work: &mut Work, out: &mut Outbox) -> Result<(), LogError> {
        self.expire_batches(at.0);
        self.fast.expire(at.0);
        self.expire(at, work, out)
    }

    /// Takes a changed configuration. Its limits are enforced by chores.
    pub(crate) fn reconfigure(&mut self, config: StreamConfig, rules: StreamRules, now: Now) {
        let began_lives = config.allow_msg_ttl && !self.config.allow_msg_ttl;
        self.config = config;
        self.rules = rules;
        self.has_news = true;
        self.wake = Some(now.tick);
        self.forget_ages();
        self.begin_copies();
        if began_lives {
            self.begin_walk();
        }
        self.enforce_all();
    }
}

/// The turn is over before something was done. It is done again from the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unfinished;

/// Appends a header block with more lines at its end.
pub(crate) fn append_headers(out: &mut Vec<u8>, block: &[u8], lines: &[(&str, &[u8])]) {
    match block.strip_suffix(b"\r\n") {
        Some(open) => out.extend_from_slice(open),
        None => out.extend_from_slice(b"NATS/1.0\r\n"),
    }
    for (name, value) in lines {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// What the publisher is told when the log fails; the reason is for the operator.
pub(crate) fn failed() -> ApiError {
    STREAM_STORE_FAILED.with("the store failed; the server's log says why")
}
