//! One stream: what may be stored in it, what must go, and who consumes it.

mod age;
mod agenda;
mod batches;
mod copies;
mod counters;
mod fast;
mod following;
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
use api::errors::*;
use api::responses::{pub_ack, pub_counted, pub_refused};
use api::{ApiError, Name, Retention, StreamConfig};
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
    /// Whether something was copied since the last commit, which nobody can read before.
    pub(crate) has_fresh_copies: bool,
    /// Streams that copy from this one, where it has to wait for them.
    pub(crate) copiers: BTreeMap<Name, copies::Copier>,
    /// Batches that were given up, and nobody was told yet.
    pub(crate) abandoned: Vec<(String, Abandoned)>,
    /// Whether there may be something new for the consumers.
    pub(crate) has_news: bool,
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
            has_fresh_copies: false,
            copiers: BTreeMap::new(),
            abandoned: Vec::new(),
            has_news: true,
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
        if let Found::Message(_) = self.log.next(&[], at)? {
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
    pub fn publish(
        &mut self,
        incoming: &Incoming<'_>,
        asker: Option<&Arc<dyn Asker>>,
        now: Now,
        chance: u32,
        out: &mut Outbox,
    ) {
        let reply = incoming.reply.filter(|_| !self.config.no_ack);
        if let Some(reply) = reply.filter(|reply| reply.ends_with(fast::SUFFIX)) {
            self.has_news = true;
            return self.publish_fast((incoming, asker), reply, now, chance, out);
        }
        if !incoming.headers.is_empty() {
            let wishes = Wishes::read(incoming.headers);
            if let Some(id) = wishes.batch.filter(|id| !id.is_empty()) {
                return self.publish_of_batch((incoming, asker), (&wishes, id), now, chance, out);
            }
        }
        let taken = self.take(incoming, Origin::Client(asker), now, chance, out);
        self.answer_publisher(incoming, taken, out);
    }

    /// Tells a publisher what became of its message, if it waits for that.
    fn answer_publisher(&self, incoming: &Incoming<'_>, taken: Result<Taken, NotTaken>, out: &mut Outbox) {
        let Some(reply) = incoming.reply.filter(|_| !self.config.no_ack) else { return };
        match taken {
            Ok(Taken { seq, counter }) => self.acknowledge(reply, seq, counter.as_ref(), false, out),
            Err(NotTaken::Duplicate(seq)) => self.acknowledge(reply, seq, None, true, out),
            Err(NotTaken::Refused(error)) => self.refuse(incoming, &error, out),
        }
    }

    fn publish_of_batch(
        &mut self,
        (incoming, asker): (&Incoming<'_>, Option<&Arc<dyn Asker>>),
        (wishes, id): (&Wishes<'_>, &[u8]),
        now: Now,
        chance: u32,
        out: &mut Outbox,
    ) {
        self.has_news = true;
        let taken = self.take_of_batch((incoming, asker), wishes, id, (now, chance), out);
        let Some(reply) = incoming.reply.filter(|_| !self.config.no_ack) else { return };
        match taken {
            Ok(ack) => {
                let ack = ack.map_or(Vec::new(), |ack| ack.told(self.name.as_str(), &self.domain));
                out.answer(reply, Vec::new(), ack, self.after(), Some(self.unstored.clone()));
            }
            Err(error) => self.refuse(incoming, &error, out),
        }
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
        now: Now,
        chance: u32,
        out: &mut Outbox,
    ) -> Result<Taken, NotTaken> {
        let checked = self.check(incoming, origin, None, now, chance)?;
        let seq = self.admit(&checked, now, chance, out)?;
        Ok(Taken { seq, counter: origin.told(&checked).cloned() })
    }

    /// Removes what the limits do not allow to stay. Gives how many messages went.
    pub fn enforce(&mut self, subject: Option<&[u8]>) -> Result<u64, LogError> {
        let mut removed = 0;
        if let (Some(subject), Ok(limit @ 1..)) = (subject, u64::try_from(self.config.max_msgs_per_subject)) {
            removed += self.log.trim_subject(subject, limit)?;
        }
        let max_msgs = u64::try_from(self.config.max_msgs).unwrap_or(u64::MAX);
        let max_bytes = u64::try_from(self.config.max_bytes).unwrap_or(u64::MAX);
        if (max_msgs, max_bytes) == (u64::MAX, u64::MAX) {
            return Ok(removed);
        }
        loop {
            let state = self.log.state();
            let is_over = state.messages > max_msgs || state.bytes > max_bytes;
            if !is_over || state.messages == 0 || !self.log.remove(state.first_seq)? {
                return Ok(removed);
            }
            removed += 1;
        }
    }

    /// Enforces every limit on every subject: after a change of the configuration, or a restart.
    pub fn enforce_all(&mut self) -> Result<(), LogError> {
        if let Ok(limit @ 1..) = u64::try_from(self.config.max_msgs_per_subject) {
            let over = self.log.subjects(&Filter::everything()).into_iter().filter(|(_, count)| *count > limit);
            for (subject, _) in over.collect::<Vec<_>>() {
                self.log.trim_subject(&subject, limit)?;
            }
        }
        self.enforce(None)?;
        self.note_removals();
        Ok(())
    }

    /// Messages went without the consumers being asked.
    pub(crate) fn note_removals(&mut self) {
        let first = self.log.state().first_seq;
        self.consumers.values_mut().for_each(|consumer| consumer.note_removals(first));
    }

    /// Removes one message. Whether there was one.
    pub fn remove(&mut self, seq: u64) -> Result<bool, LogError> {
        let removed = self.log.remove(seq)?;
        if removed {
            self.consumers.values_mut().for_each(|consumer| consumer.note_removed(seq));
        }
        Ok(removed)
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
    pub(crate) fn work(&mut self, now: Now, chance: u32, out: &mut Outbox) -> Result<(), LogError> {
        self.expire_batches(now);
        self.fast.expire(now);
        self.expire(now, chance, out)
    }

    /// Takes a changed configuration.
    pub fn reconfigure(&mut self, config: StreamConfig, rules: StreamRules, now: Now) -> Result<(), LogError> {
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
        self.enforce_all()
    }

    /// Removes messages on request. Gives how many went.
    pub fn purge(&mut self, request: &api::requests::Purge) -> Result<u64, LogError> {
        let before = self.log.state().messages;
        if request.filter.is_empty() || request.filter == ">" {
            let first = match (request.seq, request.keep) {
                (0, 0) => u64::MAX,
                (0, keep) => self.nth_from_the_end(keep)?,
                (seq, _) => seq,
            };
            self.log.remove_below(first)?;
        } else if let Ok(filter) = Filter::parse(request.filter.as_bytes()) {
            self.purge_subjects(filter, request)?;
        }
        self.note_removals();
        Ok(before - self.log.state().messages)
    }

    /// The sequence from which `keep` messages are left.
    fn nth_from_the_end(&mut self, keep: u64) -> Result<u64, LogError> {
        let state = self.log.state();
        let (mut low, mut high) = (state.first_seq, state.last_seq + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.log.count(&[], middle)? > keep { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }

    fn purge_subjects(&mut self, filter: Filter, request: &api::requests::Purge) -> Result<(), LogError> {
        if request.seq > 0 {
            let filters = [filter];
            let mut at = self.log.state().first_seq;
            while let Found::Message(message) = self.log.next(&filters, at)? {
                at = message.seq() + 1;
                if message.seq() >= request.seq {
                    break;
                }
                self.log.remove(message.seq())?;
            }
            return Ok(());
        }
        let counts = self.log.subjects(&filter);
        let total: u64 = counts.iter().map(|(_, count)| count).sum();
        if counts.len() == 1 || request.keep == 0 {
            for (subject, _) in counts {
                self.log.trim_subject(&subject, request.keep)?;
            }
            return Ok(());
        }
        // With several subjects the newest of all of them together stay.
        let (filters, mut surplus) = ([filter], total.saturating_sub(request.keep));
        let mut at = self.log.state().first_seq;
        while surplus > 0 {
            let Found::Message(message) = self.log.next(&filters, at)? else { break };
            at = message.seq() + 1;
            self.log.remove(message.seq())?;
            surplus -= 1;
        }
        Ok(())
    }

    /// A message was acknowledged by a consumer, or will never be: does anybody still need it?
    pub(crate) fn settle(&mut self, seq: u64) -> Result<(), LogError> {
        let is_done = match self.config.retention {
            Retention::Limits => false,
            Retention::WorkQueue => true,
            Retention::Interest => match self.log.load(seq)? {
                Some(message) => {
                    let subject = message.subject();
                    let is_needed = self.consumers.values().any(|consumer| consumer.needs(seq, subject));
                    !is_needed && !self.copiers.values().any(|copier| copier.needs(seq, subject))
                }
                None => false,
            },
        };
        if is_done {
            self.remove(seq)?;
        }
        Ok(())
    }
}

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
pub(crate) fn failed(_: LogError) -> ApiError {
    STREAM_STORE_FAILED.with("the store failed; the server's log says why")
}
