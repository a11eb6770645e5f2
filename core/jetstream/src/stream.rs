//! One stream: what may be stored in it, what must go, and who consumes it.

use crate::consumer::Consumer;
use crate::dedupe::{Dedupe, MAX_ID_BYTES};
use crate::log::{Draft, Found, Log, LogError, LogState, Stored};
use crate::outbox::{After, Now, Outbox, Outgoing};
use crate::publish::{MAX_HEADER_BYTES, MSG_ID, Rollup, Wishes};
use crate::stream_config::StreamRules;
use api::errors::*;
use api::responses::{pub_ack, pub_refused};
use api::{ApiError, Discard, Name, Retention, StreamConfig};
use moment::{Instant, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;
use subject::{Filter, Subject};
use wire::headers::Headers;

/// A message on its way into a stream.
#[derive(Clone, Copy, Debug)]
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

/// Messages expired at a time; the rest has to wait for the next tick, so that nobody waits for a flood.
const EXPIRE_AT_ONCE: usize = 10_000;

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
    /// When the oldest message is due to expire; `None` when unknown or never.
    expiry: Option<Instant>,
    /// Whether there may be something new for the consumers.
    pub(crate) has_news: bool,
    last_time: Timestamp,
}

/// What storing a message came to.
enum Taken {
    Stored(u64),
    Duplicate(u64),
}

impl<L: Log> Stream<L> {
    /// A stream over its log.
    pub fn new(id: u64, config: StreamConfig, rules: StreamRules, created: Timestamp, log: L, domain: &str) -> Self {
        let name = Name::parse(&config.name).expect("the configuration was checked");
        let last_time = log.state().last_time.unwrap_or(Timestamp::EPOCH);
        Stream {
            id,
            name,
            config,
            created,
            log,
            consumers: BTreeMap::new(),
            rules,
            dedupe: Dedupe::default(),
            domain: domain.to_owned(),
            expiry: None,
            has_news: true,
            last_time,
        }
    }

    /// Reads back the message ids of the window, after a restart.
    pub fn remember_ids(&mut self, now: Now) -> Result<(), LogError> {
        let window = i64::try_from(self.window().as_nanos()).unwrap_or(i64::MAX);
        let since = Timestamp::from_nanos(now.wall.as_nanos().saturating_sub(window));
        let mut at = self.log.seq_at(since)?;
        while let Found::Message(message) = self.log.next(&[], at)? {
            at = message.seq() + 1;
            match Headers::new(message.headers()).get(MSG_ID).filter(|id| !id.is_empty() && id.len() <= MAX_ID_BYTES) {
                Some(id) => self.dedupe.note(id, message.seq(), message.time()),
                None => self.dedupe.note_without_id(),
            }
        }
        Ok(())
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

    /// Takes a message in and tells its publisher, once that is true.
    pub fn publish(&mut self, incoming: &Incoming<'_>, now: Now, chance: u32, out: &mut Outbox) {
        let outcome = self.take(incoming, now, chance, out);
        let Some(reply) = incoming.reply.filter(|_| !self.config.no_ack) else { return };
        let name = self.name.as_str();
        match outcome {
            Ok(taken) => {
                let mut ack = Vec::with_capacity(64);
                let (seq, duplicate) = match taken {
                    Taken::Stored(seq) => (seq, false),
                    Taken::Duplicate(seq) => (seq, true),
                };
                pub_ack(&mut ack, name, &self.domain, seq, duplicate);
                let failed = pub_refused(name, &STREAM_STORE_FAILED.with("the store can not make the message durable"));
                out.answer(reply, Vec::new(), ack, After::Log(self.id), Some(failed));
            }
            Err(error) => out.say(reply, Vec::new(), pub_refused(name, &error)),
        }
    }

    fn take(&mut self, incoming: &Incoming<'_>, now: Now, chance: u32, out: &mut Outbox) -> Result<Taken, ApiError> {
        if self.config.sealed {
            return Err(STREAM_SEALED.into());
        }
        let wishes = Wishes::read(incoming.headers);
        wishes.check_offered()?;
        wishes.check_stream(self.name.as_str())?;
        let id = wishes.id.filter(|id| id.len() <= MAX_ID_BYTES && !self.window().is_zero());
        if let Some(id) = id {
            self.dedupe.expire(now.wall, self.window());
            if let Some(seq) = self.dedupe.seen(id) {
                return Ok(Taken::Duplicate(seq));
            }
        }
        self.check_size(incoming)?;
        let subject = self.stored_subject(incoming.subject, chance);
        let state = self.log.state();
        self.check_expectations(&wishes, &subject, state.last_seq)?;
        let rollup = wishes.rollup(self.config.allow_rollup_hdrs && !self.config.deny_purge)?;
        wishes.check_schedule()?;
        self.check_room(&subject, incoming)?;
        let before = match self.rules.republish {
            Some(_) => self.log.last_of(&subject).map_err(failed)?.unwrap_or(0),
            None => 0,
        };
        let seq = self.store(&subject, incoming, now)?;
        match id {
            Some(id) => self.dedupe.note(id, seq, now.wall),
            None => self.dedupe.note_without_id(),
        }
        self.after_store(seq, &subject, rollup, now)?;
        self.republish((before, seq), &subject, incoming, chance, out);
        Ok(Taken::Stored(seq))
    }

    fn stored_subject(&self, subject: &[u8], chance: u32) -> Vec<u8> {
        let transformed = self.rules.transform.as_ref().and_then(|transform| {
            let subject = Subject::parse(subject).ok().filter(|subject| transform.matches(*subject))?;
            Some(transform.apply(subject, chance))
        });
        transformed.unwrap_or_else(|| subject.to_vec())
    }

    fn check_expectations(&mut self, wishes: &Wishes<'_>, subject: &[u8], last_seq: u64) -> Result<(), ApiError> {
        if let Some(subject) = wishes.expected_subject(subject)? {
            let last = self.log.last_of(subject).map_err(failed)?.unwrap_or(0);
            wishes.check_last_of_subject(last)?;
        }
        wishes.check_last(last_seq, self.dedupe.last())
    }

    fn check_size(&self, incoming: &Incoming<'_>) -> Result<(), ApiError> {
        let size = incoming.headers.len() + incoming.payload.len();
        if self.config.max_msg_size >= 0 && size > self.config.max_msg_size as usize {
            return Err(STREAM_MESSAGE_EXCEEDS_MAXIMUM.into());
        }
        if incoming.headers.len() > MAX_HEADER_BYTES {
            return Err(STREAM_HEADER_EXCEEDS_MAXIMUM.into());
        }
        Ok(())
    }

    /// With discard new, refuses what does not fit. A message that replaces an older one of its subject may.
    fn check_room(&mut self, subject: &[u8], incoming: &Incoming<'_>) -> Result<(), ApiError> {
        if self.config.discard != Discard::New {
            return Ok(());
        }
        let full = |text: &str| Err(STREAM_STORE_FAILED.with(text));
        let (state, config) = (self.log.state(), &self.config);
        let per_subject = u64::try_from(config.max_msgs_per_subject).ok().filter(|&limit| limit > 0);
        let replaces = per_subject.is_some_and(|limit| self.log.messages_of(subject) >= limit);
        if replaces && config.discard_new_per_subject {
            return full("maximum messages per subject exceeded");
        }
        if config.max_msgs > 0 && state.messages >= config.max_msgs as u64 && !replaces {
            return full("maximum messages exceeded");
        }
        let weight = self.log.weight(subject.len(), incoming.headers.len(), incoming.payload.len());
        if config.max_bytes > 0 && state.bytes + weight >= config.max_bytes as u64 && !replaces {
            return full("maximum bytes exceeded");
        }
        Ok(())
    }

    fn store(&mut self, subject: &[u8], incoming: &Incoming<'_>, now: Now) -> Result<u64, ApiError> {
        // Time never goes back within a stream, whatever the clock does: searches by time rely on it.
        self.last_time = self.last_time.max(now.wall);
        let Incoming { headers, payload, .. } = *incoming;
        self.log.stage(&Draft { subject, headers, payload, time: self.last_time }).map_err(failed)
    }

    fn after_store(&mut self, seq: u64, subject: &[u8], rollup: Option<Rollup>, now: Now) -> Result<(), ApiError> {
        self.has_news = true;
        let mut interested = false;
        for consumer in self.consumers.values_mut() {
            interested |= consumer.note_stored(seq, subject);
        }
        let removed = match rollup {
            Some(Rollup::All) => self.log.remove_below(seq).map_err(failed)?,
            Some(Rollup::Subject) => self.log.trim_subject(subject, 1).map_err(failed)?,
            None => 0,
        };
        let trimmed = self.enforce(Some(subject)).map_err(failed)?;
        if removed + trimmed > 0 {
            self.note_removals();
        }
        if self.config.retention == Retention::Interest && !interested {
            self.remove(seq).map_err(failed)?;
        }
        if self.config.max_age > 0 && self.expiry.is_none() {
            self.expiry = Some(now.tick + Duration::from_nanos(self.config.max_age as u64));
        }
        Ok(())
    }

    /// Removes what the limits do not allow to stay. Gives how many messages went.
    pub fn enforce(&mut self, subject: Option<&[u8]>) -> Result<u64, LogError> {
        let mut removed = 0;
        if let (Some(subject), Ok(limit @ 1..)) = (subject, u64::try_from(self.config.max_msgs_per_subject)) {
            removed += self.log.trim_subject(subject, limit)?;
        }
        let max_msgs = u64::try_from(self.config.max_msgs).unwrap_or(u64::MAX);
        let max_bytes = u64::try_from(self.config.max_bytes).unwrap_or(u64::MAX);
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
        subject: &[u8],
        incoming: &Incoming<'_>,
        chance: u32,
        out: &mut Outbox,
    ) {
        let (Some(transform), Some(config)) = (&self.rules.republish, &self.config.republish) else { return };
        let Some(source) = Subject::parse(subject).ok().filter(|subject| transform.matches(*subject)) else { return };
        let mut headers = Vec::with_capacity(incoming.headers.len() + 160);
        let time = self.last_time.to_string();
        let (seq_text, size) = (seq.to_string(), incoming.payload.len().to_string());
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
        append_headers(&mut headers, incoming.headers, &lines);
        out.send(Outgoing {
            to: transform.apply(source, chance),
            subject: None,
            reply: None,
            headers,
            payload: if config.headers_only { Vec::new() } else { incoming.payload.to_vec() },
            after: After::Log(self.id),
            else_say: None,
        });
    }

    /// Removes messages that are too old. Gives when to come again.
    pub fn expire(&mut self, now: Now) -> Result<Option<Instant>, LogError> {
        if self.config.max_age <= 0 {
            return Ok(None);
        }
        let max_age = Duration::from_nanos(self.config.max_age as u64);
        let mut removed = 0;
        self.expiry = None;
        while let Found::Message(oldest) = self.log.next(&[], self.log.state().first_seq)? {
            let age = now.wall.since(oldest.time());
            if age < max_age {
                self.expiry = Some(now.tick + (max_age - age));
                break;
            }
            if removed >= EXPIRE_AT_ONCE {
                self.expiry = Some(now.tick);
                break;
            }
            let seq = oldest.seq();
            self.log.remove(seq)?;
            removed += 1;
        }
        if removed > 0 {
            self.note_removals();
        }
        Ok(self.expiry)
    }

    /// When messages are due to expire, as far as that is known.
    pub fn expiry(&self) -> Option<Instant> {
        self.expiry
    }

    /// Takes a changed configuration.
    pub fn reconfigure(&mut self, config: StreamConfig, rules: StreamRules, now: Now) -> Result<(), LogError> {
        self.config = config;
        self.rules = rules;
        self.enforce_all()?;
        self.expire(now)?;
        Ok(())
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
                Some(message) => !self.consumers.values().any(|consumer| consumer.needs(seq, message.subject())),
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
