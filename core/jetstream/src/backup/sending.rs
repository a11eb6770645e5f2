//! A stream on its way out: as many pieces at a time as the client can take.

use super::archive::{CONSUMERS, Entry, MAGIC, STATE};
use super::consumer_state;
use super::frames::Encoder;
use crate::log::{Found, Log, LogError, Stored};
use crate::outbox::{Interest, Now, Outbox, Outgoing, status};
use crate::stream::Stream;
use crate::work::{MESSAGE_UNITS, Work};
use api::requests::Snapshot as Request;
use api::responses::StreamState;
use api::{Name, json};
use moment::{Instant, Timestamp};
use std::collections::VecDeque;
use std::time::Duration;

const DEFAULT_CHUNK_BYTES: i64 = 128 * 1024;
const DEFAULT_WINDOW_BYTES: i64 = 8 * 1024 * 1024;
const MIN_BYTES: i64 = 1024;
const MAX_CHUNK_BYTES: i64 = 1024 * 1024;
const MAX_WINDOW_BYTES: i64 = 32 * 1024 * 1024;
/// How long we wait for a piece to be acknowledged.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long we wait for somebody to listen.
const WAIT_FOR_INTEREST: Duration = Duration::from_secs(2);
/// Bytes that are packed for a unit of work.
const PACKED_A_UNIT: u64 = 64;
/// Pieces sent in one go; others want to be served between.
const PIECES_AT_ONCE: usize = 64;

/// A stream that is being sent.
#[derive(Debug)]
pub(crate) struct Sending {
    pub stream: Name,
    pub client: String,
    pub start: Timestamp,
    deliver: Vec<u8>,
    acks: String,
    chunk_bytes: usize,
    /// Pieces that may still be sent.
    room: u64,
    index: u64,
    consumers: VecDeque<Name>,
    next: u64,
    last_seq: u64,
    nanos: i64,
    is_read: bool,
    encoder: Encoder,
    packed: Vec<u8>,
    deadline: Instant,
    seen_interest: bool,
}

/// How sending ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Well,
    NoInterest,
    NoFlow,
    StoreFailed,
}

impl Ended {
    /// What the client is told.
    fn status(self, has_sent: bool) -> Vec<u8> {
        match self {
            Ended::Well if !has_sent => Vec::new(),
            Ended::Well => status("204", &[]),
            Ended::NoInterest => status("408 No Interest", &[]),
            Ended::NoFlow => status("408 No Flow Response", &[]),
            Ended::StoreFailed => status("500 the store failed", &[]),
        }
    }

    /// What listeners are told.
    pub(crate) fn error(self) -> &'static str {
        match self {
            Ended::Well => "",
            Ended::NoInterest => "no interest",
            Ended::NoFlow => "no flow response",
            Ended::StoreFailed => "the store failed",
        }
    }
}

impl Sending {
    /// Begins. `id` is by what acknowledgements know it, `state` what the stream holds.
    pub(crate) fn new<L: Log>(
        request: &Request,
        id: &str,
        stream: &Stream<L>,
        state: &StreamState,
        client: String,
        now: Now,
    ) -> Sending {
        let or = |bytes: i64, default: i64| if bytes == 0 { default } else { bytes };
        let chunk = or(request.chunk_size, DEFAULT_CHUNK_BYTES).clamp(MIN_BYTES, MAX_CHUNK_BYTES);
        let window = or(request.window_size, DEFAULT_WINDOW_BYTES).clamp(MIN_BYTES, MAX_WINDOW_BYTES).max(chunk);
        let consumers = stream.consumers.keys().filter(|_| !request.no_consumers).cloned().collect();
        let mut sending = Sending {
            stream: stream.name.clone(),
            client,
            start: now.wall,
            deliver: request.deliver_subject.clone().into_bytes(),
            acks: format!("$JS.SNAPSHOT.ACK.{}.{id}", stream.name),
            chunk_bytes: chunk as usize,
            room: (window / chunk) as u64,
            index: 1,
            consumers,
            next: state.first_seq,
            last_seq: state.last_seq,
            nanos: now.wall.as_nanos(),
            is_read: false,
            encoder: Encoder::default(),
            packed: Vec::new(),
            deadline: now.tick + WAIT_FOR_INTEREST,
            seen_interest: false,
        };
        let mut first = MAGIC.to_vec();
        let payload = json::to_vec(state);
        Entry { name: STATE.into(), nanos: sending.nanos, payload, ..Entry::default() }.write(&mut first);
        sending.encoder.push(&first, &mut sending.packed);
        sending
    }

    /// A piece was acknowledged.
    pub(crate) fn acknowledged(&mut self) {
        self.room += 1;
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Sends what the client can take. How it ended, when it did.
    pub(crate) fn pump<L: Log>(
        &mut self,
        stream: Option<&mut Stream<L>>,
        now: Now,
        interest: &dyn Interest,
        work: &mut Work,
        out: &mut Outbox,
    ) -> Option<Ended> {
        let ended = match stream {
            Some(stream) => self.advance(stream, now, interest, work, out).unwrap_or(Some(Ended::StoreFailed)),
            None => Some(Ended::StoreFailed),
        }?;
        out.say(&self.deliver, ended.status(self.index > 1), Vec::new());
        Some(ended)
    }

    fn advance<L: Log>(
        &mut self,
        stream: &mut Stream<L>,
        now: Now,
        interest: &dyn Interest,
        work: &mut Work,
        out: &mut Outbox,
    ) -> Result<Option<Ended>, LogError> {
        let is_wanted = interest.is_wanted(&self.deliver);
        if !is_wanted && (self.seen_interest || now.tick >= self.deadline) {
            return Ok(Some(Ended::NoInterest));
        }
        if !is_wanted {
            return Ok(None);
        }
        if !std::mem::replace(&mut self.seen_interest, true) {
            self.deadline = now.tick + PATIENCE;
        }
        if self.room == 0 && now.tick >= self.deadline {
            return Ok(Some(Ended::NoFlow));
        }
        for _ in 0..PIECES_AT_ONCE {
            if self.room == 0 {
                return Ok(None);
            }
            self.fill(stream, work)?;
            if self.packed.len() < self.chunk_bytes && !self.is_read {
                // The turn was not enough for a piece.
                break;
            }
            if self.packed.len() < self.chunk_bytes {
                let piece = std::mem::take(&mut self.packed);
                if !piece.is_empty() {
                    self.send(&piece, None, out);
                }
                return Ok(Some(Ended::Well));
            }
            let rest = self.packed.split_off(self.chunk_bytes);
            let piece = std::mem::replace(&mut self.packed, rest);
            let reply = format!("{}.{}.{}", self.acks, piece.len(), self.index);
            self.send(&piece, Some(reply.as_bytes()), out);
            self.room -= 1;
            self.index += 1;
            self.deadline = now.tick + PATIENCE;
        }
        if self.room > 0 {
            // There is more to send at once.
            self.deadline = now.tick;
        }
        Ok(None)
    }

    fn send(&self, payload: &[u8], reply: Option<&[u8]>, out: &mut Outbox) {
        out.send(&Outgoing { to: &self.deliver, reply, payload, ..Outgoing::default() });
    }

    /// Reads until there is enough for a piece, or nothing more.
    fn fill<L: Log>(&mut self, stream: &mut Stream<L>, work: &mut Work) -> Result<(), LogError> {
        let mut plain = Vec::new();
        while self.packed.len() < self.chunk_bytes && !self.is_read && !work.is_over() {
            plain.clear();
            let entry = match self.next_entry(stream, work) {
                Err(LogError::Unfinished) => return Ok(()),
                entry => entry?,
            };
            match entry {
                Some(entry) => entry.write(&mut plain),
                None => {
                    Entry::default().write(&mut plain);
                    self.is_read = true;
                }
            }
            work.spend(MESSAGE_UNITS + plain.len() as u64 / PACKED_A_UNIT);
            self.encoder.push(&plain, &mut self.packed);
            if self.is_read {
                self.encoder.finish(&mut self.packed);
            }
        }
        Ok(())
    }

    fn next_entry<L: Log>(&mut self, stream: &mut Stream<L>, work: &mut Work) -> Result<Option<Entry>, LogError> {
        if let Some(name) = self.consumers.pop_front() {
            // The state counts them, so one that is gone by now is written as one that never was anywhere.
            let payload = match stream.consumers.get(&name) {
                Some(consumer) => consumer_state::write(consumer, self.last_seq, self.nanos),
                None => consumer_state::nothing(name.as_str()),
            };
            let name = format!("{CONSUMERS}{name}").into_bytes();
            return Ok(Some(Entry { name, nanos: self.nanos, payload, ..Entry::default() }));
        }
        let message = match stream.log.next(&[], self.next, work)? {
            Found::Message(message) => message,
            Found::NothingBefore(_) => return Ok(None),
            Found::Unfinished(seq) => {
                self.next = seq;
                return Err(LogError::Unfinished);
            }
        };
        if message.seq() > self.last_seq {
            return Ok(None);
        }
        self.next = message.seq() + 1;
        Ok(Some(Entry {
            name: message.subject().to_vec(),
            nanos: message.time().as_nanos(),
            seq: message.seq(),
            headers: message.headers().to_vec(),
            payload: message.payload().to_vec(),
        }))
    }
}
