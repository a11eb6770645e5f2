//! A stream on its way in.

use super::archive::{CONSUMERS, Entry, Fault, Reader, STATE};
use super::consumer_state::{self, Progress};
use super::frames::{self, Decoder};
use super::old::{self, Item};
use crate::asker::Asker;
use crate::log::{Draft, Log, LogError, MAX_FIRST_SEQUENCE, Shelves};
use crate::outbox::Now;
use crate::publish::{Lifetime, Wishes};
use crate::stream::Stream;
use crate::work::{BYTES_A_UNIT, MESSAGE_UNITS, Work};
use api::errors::*;
use api::requests::RestoreState;
use api::{ApiError, ConsumerConfig, json};
use moment::{Instant, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use subject::Subject;

/// A restore that nothing comes for is given up after this.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest message that is restored.
const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;
/// What may have come of one archive and not be unpacked yet, in bytes and in pieces. What a client sends before it was told
/// that the pieces before are stored is in this.
const MAX_AHEAD_BYTES: usize = 8 * 1024 * 1024;
const MAX_AHEAD_PIECES: usize = 1024;
/// Consumers of one archive.
const MAX_CONSUMERS: u64 = 10_000;

/// A stream that is being restored.
pub(crate) struct Restoring<L> {
    pub stream: Stream<L>,
    pub client: String,
    /// Whoever wanted it, if somebody who may not read everything: its consumers are bound by that.
    pub asker: Option<Arc<dyn Asker>>,
    pub start: Timestamp,
    /// Bytes that came.
    pub bytes: u64,
    /// Consumers that the archive had.
    pub consumers: Vec<(String, ConsumerConfig, Progress)>,
    /// What the stream may hold at most: the account has no room for more.
    max_bytes: u64,
    frames: Decoder,
    /// Who waits for pieces to be stored: they are unpacked in later rounds, as many at a time as the server takes.
    waiting: Vec<Box<[u8]>>,
    /// Who waits for the end.
    ends: Option<Box<[u8]>>,
    /// What it holds, as it was told last.
    held: usize,
    archive: Archive,
    /// What the request says of the state of the stream, which archives of older servers do not say themselves.
    told: RestoreState,
    /// Consumers of an archive of an older server, as far as they came.
    halves: BTreeMap<String, (Option<ConsumerConfig>, Option<Progress>)>,
    stage: Stage,
    /// Messages that are still to go, when an archive of an older server ends.
    ending: Option<std::vec::IntoIter<u64>>,
    deadline: Instant,
}

/// What comes, in one of two forms.
enum Archive {
    New(Reader),
    Old(old::Reader),
}

impl Archive {
    fn push(&mut self, plain: &[u8]) {
        match self {
            Archive::New(archive) => archive.push(plain),
            Archive::Old(archive) => archive.push(plain),
        }
    }

    fn held(&self) -> usize {
        match self {
            Archive::New(archive) => archive.held(),
            Archive::Old(archive) => archive.held(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    State,
    /// So many consumers are still to come, then messages behind this sequence; the last sequence there ever was.
    Consumers(u64, State),
    Messages(u64, State),
    Complete,
}

/// What the archive says about the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub first_seq: u64,
    pub last_seq: u64,
    pub bytes: u64,
    pub consumers: u64,
}

/// Reads the first entry.
pub(crate) fn read_state(bytes: &[u8]) -> Option<State> {
    let value = json::parse(bytes).ok()?;
    let number = |name: &str| value.get(name).map_or(Some(0), serde_json::Value::as_u64);
    Some(State {
        first_seq: number("first_seq")?,
        last_seq: number("last_seq")?,
        bytes: number("bytes")?,
        consumers: number("consumer_count")?,
    })
}

fn told(fault: frames::Fault) -> ApiError {
    match fault {
        frames::Fault::Corrupt => failed("s2: corrupt input"),
        frames::Fault::TooMuch => failed("s2: a piece unpacks to too much"),
    }
}

fn old_told(fault: Fault) -> ApiError {
    match fault {
        Fault::Damaged => failed("archive: a message in it is damaged"),
        Fault::Magic | Fault::Entry => failed("archive: invalid archive stream"),
    }
}

fn failed(why: impl std::fmt::Display) -> ApiError {
    STREAM_RESTORE.with(why)
}

impl<L: Log> Restoring<L> {
    pub(crate) fn new(
        stream: Stream<L>,
        told: RestoreState,
        max_bytes: u64,
        (client, asker): (String, Option<Arc<dyn Asker>>),
        now: Now,
    ) -> Restoring<L> {
        Restoring {
            stream,
            client,
            asker,
            start: now.wall,
            bytes: 0,
            consumers: Vec::new(),
            max_bytes,
            frames: Decoder::default(),
            waiting: Vec::new(),
            ends: None,
            held: 0,
            archive: Archive::New(Reader::default()),
            told,
            halves: BTreeMap::new(),
            stage: Stage::State,
            ending: None,
            deadline: now.tick + PATIENCE,
        }
    }

    /// When nothing came for too long.
    pub(crate) fn gives_up_at(&self) -> Instant {
        self.deadline
    }

    /// When something is to be done for it.
    pub(crate) fn deadline(&self) -> Instant {
        if self.is_behind() { Instant::from_nanos(0) } else { self.deadline }
    }

    /// Whether pieces came that were not stored yet.
    pub(crate) fn is_behind(&self) -> bool {
        !self.waiting.is_empty() || self.ends.is_some()
    }

    /// Takes a piece; it is unpacked by [`Restoring::work`]. An empty one is the end.
    pub(crate) fn push(&mut self, piece: &[u8], reply: &[u8], now: Now) -> Result<(), ApiError> {
        self.deadline = now.tick + PATIENCE;
        self.bytes += piece.len() as u64;
        if self.ends.is_some() {
            return Err(failed("a piece came behind the end"));
        }
        if piece.is_empty() {
            self.ends = Some(reply.into());
            return Ok(());
        }
        if self.frames.pending() + piece.len() > MAX_AHEAD_BYTES || self.waiting.len() >= MAX_AHEAD_PIECES {
            return Err(failed("pieces come faster than they are stored"));
        }
        self.frames.push(piece);
        self.waiting.push(reply.into());
        Ok(())
    }

    /// Unpacks and stages what came, as far as the server takes it in this round. Gives who waited for the pieces, once all of
    /// them are staged.
    pub(crate) fn work<S: Shelves>(
        &mut self,
        shelves: &mut S,
        now: Now,
        work: &mut Work,
    ) -> Result<Vec<Box<[u8]>>, ApiError> {
        self.deadline = now.tick + PATIENCE;
        let is_done = self.unpack(shelves, now, work);
        let held = self.frames.pending() + self.archive.held();
        let has_room = shelves.hold_unpacked(std::mem::replace(&mut self.held, held), held);
        match is_done? {
            _ if !has_room => Err(failed("too much of streams that are being restored is held already")),
            true => Ok(std::mem::take(&mut self.waiting)),
            false => Ok(Vec::new()),
        }
    }

    /// Who waits for the end, if everything before it is stored.
    pub(crate) fn take_end(&mut self) -> Option<Box<[u8]>> {
        if self.waiting.is_empty() { self.ends.take() } else { None }
    }

    /// Everybody who waits for something.
    pub(crate) fn take_waiting(&mut self) -> Vec<Box<[u8]>> {
        let mut all = std::mem::take(&mut self.waiting);
        all.extend(self.ends.take());
        all
    }

    /// It holds nothing any more.
    pub(crate) fn let_go<S: Shelves>(&mut self, shelves: &mut S) {
        shelves.hold_unpacked(std::mem::take(&mut self.held), 0);
    }

    /// Whether all that came was unpacked and staged.
    fn unpack<S: Shelves>(&mut self, shelves: &mut S, now: Now, work: &mut Work) -> Result<bool, ApiError> {
        while shelves.may_unpack() && !work.is_over() {
            if self.ending.is_some() {
                self.go_on_ending(work)?;
                continue;
            }
            let mut bytes = 0;
            if !self.take_next(&mut bytes, now)? {
                let Some(plain) = self.frames.next(usize::MAX).map_err(told)? else { return Ok(true) };
                bytes += plain.len();
                self.archive.push(&plain);
            }
            shelves.note_unpacked(bytes);
            work.spend(MESSAGE_UNITS + bytes as u64 / BYTES_A_UNIT);
        }
        Ok(false)
    }

    /// Takes the next entry, if it came as a whole. Whether it did.
    fn take_next(&mut self, bytes: &mut usize, now: Now) -> Result<bool, ApiError> {
        let invalid = || failed("archive: invalid archive stream");
        match &mut self.archive {
            Archive::New(archive) => match archive.next() {
                Ok(Some(entry)) => {
                    *bytes += entry.headers.len() + entry.payload.len();
                    self.take(entry, now).map(|()| true)
                }
                Ok(None) => Ok(false),
                Err(Fault::Magic) => match self.look_again() {
                    Some(true) => Ok(true),
                    Some(false) => Err(failed("the archive is none")),
                    None => Ok(false),
                },
                Err(Fault::Entry | Fault::Damaged) => Err(invalid()),
            },
            // Behind its end a tar has nothing but zeros.
            Archive::Old(_) if self.stage == Stage::Complete => Ok(false),
            Archive::Old(archive) => match archive.next(bytes).map_err(old_told)? {
                None => Ok(false),
                Some(item) => {
                    *bytes += item.size();
                    self.take_old(item, now).map(|()| true)
                }
            },
        }
    }

    /// What does not begin like an archive may be one of an older server. Whether it is, once enough of it came.
    fn look_again(&mut self) -> Option<bool> {
        let Archive::New(archive) = &mut self.archive else { return Some(true) };
        let bytes = std::mem::take(archive).into_bytes();
        let is_tar = old::is_tar(&bytes);
        match is_tar {
            Some(true) => {
                let mut old = old::Reader::default();
                old.push(&bytes);
                self.archive = Archive::Old(old);
                self.stage = Stage::Messages(0, State { last_seq: self.told.last_seq, ..State::default() });
            }
            _ => archive.push(&bytes),
        }
        is_tar
    }

    fn take_old(&mut self, item: Item, now: Now) -> Result<(), ApiError> {
        let Stage::Messages(before, state) = self.stage else { return Err(failed("archive: invalid archive stream")) };
        match item {
            Item::Message(entry) => self.take_message(entry, before, state, now),
            Item::Gone(seq) => self.take_away(seq),
            Item::Consumer(name, config) => {
                self.half(name)?.0 = Some(*config);
                Ok(())
            }
            Item::Progress(name, progress) => {
                self.half(name)?.1 = Some(progress);
                Ok(())
            }
            Item::End => self.end_old(before, state, now),
        }
    }

    fn half(&mut self, name: String) -> Result<&mut (Option<ConsumerConfig>, Option<Progress>), ApiError> {
        if self.halves.len() as u64 >= MAX_CONSUMERS {
            return Err(failed("too many consumers"));
        }
        Ok(self.halves.entry(name).or_default())
    }

    /// A message is not there, whether it came before or not.
    fn take_away(&mut self, seq: u64) -> Result<(), ApiError> {
        let log = &mut self.stream.log;
        let done = match seq {
            0 => Ok(()),
            seq if seq > MAX_FIRST_SEQUENCE => return Err(failed(format!("message sequence {seq} out of order"))),
            seq if seq == log.state().last_seq + 1 => log.skip_to(seq),
            seq => log.remove(seq, &mut |_| {}).map(drop),
        };
        done.map_err(|_| failed("the store failed"))
    }

    /// What the files of older servers still hold and the stream no longer had goes, as the request says.
    fn end_old(&mut self, before: u64, state: State, now: Now) -> Result<(), ApiError> {
        self.take_message(Entry::default(), before, state, now)?;
        self.ending = Some(std::mem::take(&mut self.told.deleted).into_iter());
        Ok(())
    }

    fn go_on_ending(&mut self, work: &mut Work) -> Result<(), ApiError> {
        while let Some(seq) = self.ending.as_mut().and_then(Iterator::next) {
            if seq <= self.stream.state().last_seq {
                self.take_away(seq)?;
            }
            work.spend(1);
            if work.is_over() {
                return Ok(());
            }
        }
        let first = self.told.first_seq;
        if first > self.stream.state().first_seq {
            match self.stream.log.remove_below(first, work) {
                Err(LogError::Unfinished) => return Ok(()),
                outcome => outcome.map_err(|_| failed("the store failed"))?,
            }
        }
        self.ending = None;
        for (name, half) in std::mem::take(&mut self.halves) {
            if let (Some(config), progress) = half {
                self.consumers.push((name, config, progress.unwrap_or_default()));
            }
        }
        Ok(())
    }

    /// Nothing more comes.
    pub(crate) fn finish(&mut self) -> Result<(), ApiError> {
        match self.stage {
            Stage::Complete => Ok(()),
            Stage::State => Err(failed("expected state.json first")),
            Stage::Consumers(..) | Stage::Messages(..) => Err(failed("backup was truncated")),
        }
    }

    fn take(&mut self, entry: Entry, now: Now) -> Result<(), ApiError> {
        match self.stage {
            Stage::State => {
                if entry.name != STATE.as_bytes() {
                    return Err(failed("expected state.json first"));
                }
                let state = read_state(&entry.payload).ok_or_else(|| failed("error in state.json"))?;
                if state.consumers > MAX_CONSUMERS || state.first_seq.max(state.last_seq) > MAX_FIRST_SEQUENCE {
                    return Err(failed("error in state.json"));
                }
                self.check_bytes(state.bytes)?;
                self.stage = Stage::Consumers(state.consumers, state);
                self.begin_messages();
                Ok(())
            }
            Stage::Consumers(left, state) => {
                let name = std::str::from_utf8(&entry.name).ok().and_then(|name| name.strip_prefix(CONSUMERS));
                let Some(name) = name else {
                    let found = String::from_utf8_lossy(&entry.name).into_owned();
                    return Err(failed(format!("expected consumer, found {found:?}")));
                };
                let read = consumer_state::read(&entry.payload);
                let (config, progress) =
                    read.ok_or_else(|| failed(format!("failed to decode consumer {name:?} state")))?;
                self.consumers.push((name.to_owned(), config, progress));
                self.stage = Stage::Consumers(left - 1, state);
                self.begin_messages();
                Ok(())
            }
            Stage::Messages(before, state) => self.take_message(entry, before, state, now),
            Stage::Complete => Err(failed("archive: invalid archive stream")),
        }
    }

    fn begin_messages(&mut self) {
        if let Stage::Consumers(0, state) = self.stage {
            self.stage = Stage::Messages(state.first_seq.saturating_sub(1), state);
        }
    }

    fn check_bytes(&self, bytes: u64) -> Result<(), ApiError> {
        if bytes <= self.max_bytes {
            return Ok(());
        }
        let is_on_disk = crate::stream_config::is_on_disk(&self.stream.config);
        Err(if is_on_disk { STORAGE_RESOURCES_EXCEEDED } else { MEMORY_RESOURCES_EXCEEDED }.into())
    }

    fn take_message(&mut self, entry: Entry, before: u64, state: State, now: Now) -> Result<(), ApiError> {
        let log_failed = |_: LogError| failed("the store failed");
        if entry.is_end() {
            let last = state.last_seq.max(before);
            if last > self.stream.state().last_seq {
                self.stream.log.skip_to(last).map_err(log_failed)?;
            }
            self.stage = Stage::Complete;
            return Ok(());
        }
        let seq = entry.seq;
        if seq == 0 {
            return Err(failed("expected message sequence"));
        }
        let size = entry.headers.len() + entry.payload.len();
        let allowed = usize::try_from(self.stream.config.max_msg_size).unwrap_or(usize::MAX);
        if size > MAX_MESSAGE_BYTES || entry.headers.len() > crate::publish::MAX_HEADER_BYTES {
            return Err(failed(format!("message sequence {seq} exceeds maximum payload size")));
        }
        if size > allowed {
            return Err(failed(format!("message sequence {seq} exceeds maximum message size")));
        }
        if seq <= before || seq <= self.stream.state().last_seq || seq > MAX_FIRST_SEQUENCE {
            return Err(failed(format!("message sequence {seq} out of order")));
        }
        if !Subject::parse(&entry.name).is_ok_and(Subject::is_literal) {
            return Err(failed(format!("message sequence {seq} has an invalid subject")));
        }
        if seq > self.stream.state().last_seq + 1 {
            self.stream.log.skip_to(seq - 1).map_err(log_failed)?;
        }
        let time = Timestamp::from_nanos(entry.nanos);
        let life = Wishes::read(&entry.headers).lifetime();
        let life = life.map_err(|error| failed(format!("failed to parse message TTL: {}", error.description)))?;
        let is_over = matches!(life, Some(Lifetime::For(life)) if time + life < now.wall);
        if is_over {
            self.stream.log.skip_to(seq).map_err(log_failed)?;
        } else {
            let Entry { name: subject, headers, payload, .. } = &entry;
            self.stream.log.stage(&Draft { subject, headers, payload, time }).map_err(log_failed)?;
            self.check_bytes(self.stream.state().bytes)?;
        }
        self.stage = Stage::Messages(seq, state);
        Ok(())
    }
}
