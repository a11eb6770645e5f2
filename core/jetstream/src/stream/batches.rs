//! Atomic batches: all of their messages are stored, or none.

use super::counters::Counter;
use super::take::{Checked, NotTaken, Origin, with_header};
use super::{Incoming, Stream};
use crate::asker::Asker;
use crate::batch_limits::{Defaults, Slot};
use crate::log::{Log, LogError, Stored};
use crate::outbox::{Now, Outbox};
use crate::publish::{BATCH_COMMIT, BATCH_ID, BATCH_SEQUENCE, Rollup, Wishes};
use crate::work::Work;
use api::errors::*;
use api::responses::BatchAck;
use api::{API_LEVEL, ApiError};
use moment::Instant;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use subject::{Filter, Subject};
use wire::headers::{self, Headers};

/// Messages of one batch, where the configuration says nothing.
const MAX_BATCH: u64 = 1_000;
/// Batches that are open at the same time, where the configuration says nothing.
const PLACES: Defaults = Defaults { per_stream: 50, total: 1_000 };
/// Bytes of all open batches of one stream.
const MAX_OPEN_BYTES: usize = 64 * 1024 * 1024;
/// Longest name of a batch.
pub(super) const MAX_ID_BYTES: usize = 64;
/// A batch that nothing is added to is given up after this, where the configuration says nothing.
const IDLE: Duration = Duration::from_secs(10);

/// Why a batch was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Abandoned {
    Timeout,
    Large,
    Incomplete,
    Unsupported,
}

impl Abandoned {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Abandoned::Timeout => "timeout",
            Abandoned::Large => "large",
            Abandoned::Incomplete => "incomplete",
            Abandoned::Unsupported => "unsupported",
        }
    }
}

/// Batches that are not complete yet.
#[derive(Default)]
pub(super) struct Batches {
    open: BTreeMap<Vec<u8>, Open>,
    bytes: usize,
}

struct Open {
    messages: Vec<Held>,
    bytes: usize,
    expires: Instant,
    _place: Slot,
}

/// A message that waits for its batch to be complete.
struct Held {
    subject: Vec<u8>,
    headers: Vec<u8>,
    payload: Vec<u8>,
    /// Who published it, if somebody who may not read everything.
    asker: Option<Arc<dyn Asker>>,
}

impl Held {
    fn weight(&self) -> usize {
        self.subject.len() + self.headers.len() + self.payload.len() + size_of::<Held>()
    }
}

/// What a batch has checked so far, as if it were stored.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    subjects: HashMap<Vec<u8>, u64>,
    ids: HashSet<Vec<u8>>,
    counters: HashMap<Vec<u8>, Counter>,
    messages: u64,
    bytes: u64,
}

impl Staged {
    pub(super) fn len(&self) -> u64 {
        self.messages
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn holds_subject(&self, subject: &[u8]) -> bool {
        self.subjects.contains_key(subject)
    }

    /// Whether any subject that the filter takes is among them.
    pub(super) fn holds_any(&self, filter: &Filter) -> bool {
        self.subjects.keys().any(|held| Subject::parse(held).is_ok_and(|held| filter.matches(held)))
    }

    pub(super) fn messages_of(&self, subject: &[u8]) -> u64 {
        self.subjects.get(subject).copied().unwrap_or(0)
    }

    pub(super) fn counter(&self, subject: &[u8]) -> Option<&Counter> {
        self.counters.get(subject)
    }

    pub(super) fn note_counter(&mut self, subject: &[u8], counter: Counter) {
        self.counters.insert(subject.to_vec(), counter);
    }

    pub(super) fn holds_id(&self, id: &[u8]) -> bool {
        self.ids.contains(id)
    }

    pub(super) fn note(&mut self, checked: &Checked<'_>, weight: u64) {
        self.ids.extend(checked.id.clone());
        *self.subjects.entry(checked.subject.to_vec()).or_default() += 1;
        self.messages += 1;
        self.bytes += weight;
    }

    /// A message may not replace what its own batch stores.
    pub(super) fn check_rollup(&self, rollup: Rollup, subject: &[u8]) -> Result<(), ApiError> {
        match rollup {
            Rollup::Subject if self.holds_subject(subject) => {
                Err(STREAM_ROLLUP_FAILED.with("batch rollup sub invalid"))
            }
            Rollup::All if self.messages > 0 => Err(STREAM_ROLLUP_FAILED.with("batch rollup all invalid")),
            _ => Ok(()),
        }
    }
}

/// How a message says that its batch is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Commit {
    /// With itself.
    With,
    /// Without itself, which is only the end.
    Without,
}

impl Batches {
    fn forget(&mut self, id: &[u8]) -> Option<Open> {
        let open = self.open.remove(id)?;
        self.bytes -= open.bytes;
        Some(open)
    }

    fn put_back(&mut self, id: &[u8], open: Open) {
        self.bytes += open.bytes;
        self.open.insert(id.to_vec(), open);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.open.values().map(|open| open.expires).min()
    }
}

impl<L: Log> Stream<L> {
    /// A message of a batch. `None`: it is kept until the batch is complete.
    pub(super) fn take_of_batch(
        &mut self,
        (incoming, asker): (&Incoming<'_>, Option<&Arc<dyn Asker>>),
        wishes: &Wishes<'_>,
        id: &[u8],
        (now, chance): (Now, u32),
        work: &mut Work,
        out: &mut Outbox,
    ) -> Result<Option<BatchAck>, NotTaken> {
        if self.config.sealed {
            return Err(STREAM_SEALED.into());
        }
        let size = incoming.headers.len() + incoming.payload.len();
        if self.config.max_msg_size >= 0 && size > self.config.max_msg_size as usize {
            return Err(STREAM_MESSAGE_EXCEEDS_MAXIMUM.into());
        }
        if !self.config.allow_atomic {
            return Err(ATOMIC_PUBLISH_DISABLED.into());
        }
        if id.len() > MAX_ID_BYTES {
            return Err(ATOMIC_PUBLISH_INVALID_BATCH_ID.into());
        }
        let sequence = wishes.batch_sequence.and_then(|text| std::str::from_utf8(text).ok()?.parse::<u64>().ok());
        let sequence = sequence.filter(|sequence| *sequence > 0).ok_or(ATOMIC_PUBLISH_MISSING_SEQ)?;
        let commit = match wishes.batch_commit {
            None => Ok(None),
            Some(b"1") => Ok(Some(Commit::With)),
            Some(b"eob") => Ok(Some(Commit::Without)),
            Some(_) => Err(ATOMIC_PUBLISH_INVALID_BATCH_COMMIT),
        };
        let counted = sequence - u64::from(commit == Ok(Some(Commit::Without)));
        self.open_batch(id, sequence, counted, now)?;
        let headers = self.add_to_batch(incoming, wishes, id, (sequence, counted), commit)?;
        let (subject, payload) = (incoming.subject.to_vec(), incoming.payload.to_vec());
        let held = Held { subject, headers, payload, asker: asker.cloned() };
        match commit.unwrap_or(None) {
            None => {
                self.hold(id, held, now)?;
                Ok(None)
            }
            Some(commit) => {
                self.commit_batch(id, (commit == Commit::With).then_some(held), (now, chance), work, out).map(Some)
            }
        }
    }

    fn max_batch(&self) -> u64 {
        self.batch_limits.messages.map_or(MAX_BATCH, |messages| messages.get() as u64)
    }

    /// A batch that nothing is added to is given up after this.
    pub(super) fn batch_timeout(&self) -> Duration {
        self.batch_limits.timeout.unwrap_or(IDLE)
    }

    fn open_batch(&mut self, id: &[u8], sequence: u64, counted: u64, now: Now) -> Result<(), ApiError> {
        if self.batches.open.contains_key(id) {
            return Ok(());
        }
        if sequence != 1 {
            return Err(match counted > self.max_batch() {
                true => ATOMIC_PUBLISH_TOO_LARGE_BATCH.with(self.max_batch()),
                false => ATOMIC_PUBLISH_INCOMPLETE_BATCH.into(),
            });
        }
        if self.batches.bytes >= MAX_OPEN_BYTES {
            return Err(ATOMIC_PUBLISH_TOO_MANY_INFLIGHT.into());
        }
        let place = self.batch_limits.take_atomic(self.batches.open.len(), PLACES);
        let place = place.ok_or(ATOMIC_PUBLISH_TOO_MANY_INFLIGHT)?;
        let expires = now.tick + self.batch_timeout();
        let open = Open { messages: Vec::new(), bytes: 0, expires, _place: place };
        self.batches.open.insert(id.to_vec(), open);
        Ok(())
    }

    /// Checks that a message is the next of its batch; if it is not, the batch is given up. Gives its headers as they
    /// are stored.
    fn add_to_batch(
        &mut self,
        incoming: &Incoming<'_>,
        wishes: &Wishes<'_>,
        id: &[u8],
        (sequence, counted): (u64, u64),
        commit: Result<Option<Commit>, ErrorKind>,
    ) -> Result<Vec<u8>, ApiError> {
        let commit = commit.map_err(|kind| {
            self.batches.forget(id);
            ApiError::from(kind)
        })?;
        let mut block = incoming.headers.to_vec();
        if let Some(level) = wishes.required_level.filter(|level| !level.is_empty()) {
            let level = std::str::from_utf8(level).ok().and_then(|text| text.trim().parse::<u32>().ok());
            if level.is_none_or(|level| level > API_LEVEL) {
                self.abandon(id, Abandoned::Unsupported);
                return Err(REQUIRED_API_LEVEL.into());
            }
            let mut out = Vec::with_capacity(block.len());
            headers::remove(&mut out, &block, "Nats-Required-Api-Level");
            block = out;
        }
        let held = self.batches.open.get(id).map_or(0, |open| open.messages.len() as u64);
        if held + 1 != sequence || (sequence == 1 && commit == Some(Commit::Without)) {
            self.abandon(id, Abandoned::Incomplete);
            return Err(ATOMIC_PUBLISH_INCOMPLETE_BATCH.into());
        }
        if counted > self.max_batch() {
            self.abandon(id, Abandoned::Large);
            return Err(ATOMIC_PUBLISH_TOO_LARGE_BATCH.with(self.max_batch()));
        }
        Ok(block)
    }

    fn hold(&mut self, id: &[u8], held: Held, now: Now) -> Result<(), ApiError> {
        let weight = held.weight();
        if self.batches.bytes + weight > MAX_OPEN_BYTES {
            self.abandon(id, Abandoned::Large);
            return Err(ATOMIC_PUBLISH_TOO_MANY_INFLIGHT.into());
        }
        let expires = now.tick + self.batch_timeout();
        if let Some(open) = self.batches.open.get_mut(id) {
            open.expires = expires;
            open.bytes += weight;
            open.messages.push(held);
            self.batches.bytes += weight;
        }
        Ok(())
    }

    /// Checks all messages of a batch, and stores them when nothing is wrong with any.
    fn commit_batch(
        &mut self,
        id: &[u8],
        last: Option<Held>,
        at: (Now, u32),
        work: &mut Work,
        out: &mut Outbox,
    ) -> Result<BatchAck, NotTaken> {
        let open = self.batches.forget(id).ok_or(ATOMIC_PUBLISH_INCOMPLETE_BATCH)?;
        // The last that is stored says that the batch is complete.
        let complete = match &last {
            Some(_) => None,
            None => open.messages.last().map(|last| with_header(&last.headers, BATCH_COMMIT, b"1")),
        };
        let messages: Vec<&Held> = open.messages.iter().chain(&last).collect();
        let checked = match self.check_batch(&messages, complete.as_deref(), at, work) {
            Err(NotTaken::Unfinished) => {
                self.batches.put_back(id, open);
                return Err(NotTaken::Unfinished);
            }
            checked => checked?,
        };
        let mut seq = 0;
        for message in &checked {
            self.do_chores_at_once(at.0, work)?;
            seq = self.admit(message, at, work, out)?;
        }
        let publisher = Origin::Client(messages.last().and_then(|last| last.asker.as_ref()));
        let value = checked.last().and_then(|message| publisher.told(message)).map(|c| c.total.to_string());
        let batch = String::from_utf8_lossy(id).into_owned();
        // A batch that only counts says how far, as a single message does.
        let value = value.filter(|_| checked.len() == 1);
        Ok(BatchAck { seq, value, batch, count: checked.len() as u64 })
    }

    /// `complete` are the headers of the last message, if they are others than those it came with.
    fn check_batch<'a>(
        &mut self,
        messages: &[&'a Held],
        complete: Option<&'a [u8]>,
        at: (Now, u32),
        work: &mut Work,
    ) -> Result<Vec<Checked<'a>>, NotTaken> {
        let mut staged = Staged::default();
        let mut checked = Vec::with_capacity(messages.len());
        for (number, held) in messages.iter().enumerate() {
            let Held { subject, headers, payload, asker } = held;
            let headers = complete.filter(|_| number + 1 == messages.len()).unwrap_or(headers);
            if Wishes::read(headers).expected_last_id().is_some() {
                return Err(ATOMIC_PUBLISH_UNSUPPORTED_HEADER_BATCH.with("Nats-Expected-Last-Msg-Id").into());
            }
            let incoming = Incoming { subject, reply: None, headers, payload };
            match self.check(&incoming, Origin::Client(asker.as_ref()), Some(&mut staged), at, work) {
                Err(NotTaken::Duplicate(_)) => return Err(ATOMIC_PUBLISH_CONTAINS_DUPLICATE_MESSAGE.into()),
                message => checked.push(message?),
            }
        }
        Ok(checked)
    }

    fn abandon(&mut self, id: &[u8], why: Abandoned) {
        if self.batches.forget(id).is_some() {
            self.abandoned.push((String::from_utf8_lossy(id).into_owned(), why));
        }
    }

    /// Gives up batches that nothing was added to for too long.
    pub(super) fn expire_batches(&mut self, now: Now) {
        let over = self.batches.open.iter().filter(|(_, open)| open.expires <= now.tick);
        for id in over.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.abandon(&id, Abandoned::Timeout);
        }
    }

    /// A crash may have kept the beginning of a batch, of which nobody was told: it goes. Only the end of the log can be
    /// such a beginning.
    pub(super) fn remove_torn_batch(&mut self) -> Result<(), LogError> {
        if !self.config.allow_atomic {
            return Ok(());
        }
        let mut seq = self.log.state().last_seq;
        let mut id: Option<Vec<u8>> = None;
        while let Some(message) = if seq == 0 { None } else { self.log.load(seq)? } {
            let block = Headers::new(message.headers());
            let own = block.get(BATCH_ID).map(<[u8]>::to_vec);
            if own.is_none() || block.get(BATCH_COMMIT).is_some() || id.is_some() && own != id {
                break;
            }
            id = own;
            let is_first = block.get(BATCH_SEQUENCE) == Some(b"1");
            self.remove(seq, &mut Work::unbounded())?;
            if is_first {
                break;
            }
            seq -= 1;
        }
        Ok(())
    }
}
