//! Fast batches: many messages, few answers. What each message says about its batch is in its reply subject:
//! `<prefix>.<batch>.<flow>.<ok|fail>.<sequence>.<operation>.$FI`.

use super::batches::MAX_ID_BYTES;
use super::take::{NotTaken, Origin};
use super::{Incoming, Stream, Unfinished};
use crate::asker::Asker;
use crate::batch_limits::{Defaults, Slot};
use crate::log::Log;
use crate::outbox::{After, Now, Outbox};
use crate::publish::Wishes;
use crate::work::Work;
use api::errors::*;
use api::responses::{BatchAck, flow_ack, flow_error, flow_gap, pub_refused};
use api::{API_LEVEL, ApiError};
use moment::Instant;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What every reply subject of a fast batch ends with.
pub(super) const SUFFIX: &[u8] = b".$FI";
/// Fast batches that are open at the same time, where the configuration says nothing.
const PLACES: Defaults = Defaults { per_stream: 1_000, total: 50_000 };
/// Messages without answer, of all batches of a stream together.
const MAX_UNANSWERED: usize = 500;
/// Messages between two answers when the client does not say.
const DEFAULT_FLOW: u16 = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Add,
    Commit,
    CommitWithout,
    Ping,
}

/// What a reply subject says.
#[derive(Debug, PartialEq, Eq)]
struct Line<'a> {
    id: &'a [u8],
    flow: u16,
    gaps_are_fine: bool,
    sequence: u64,
    operation: Operation,
}

impl<'a> Line<'a> {
    /// `None` when the subject is none of a fast batch.
    fn parse(reply: &'a [u8]) -> Option<Line<'a>> {
        let text = std::str::from_utf8(reply.strip_suffix(SUFFIX)?).ok()?;
        let mut tokens = text.rsplit('.');
        let number = tokens.next()?.parse::<u8>().ok()?;
        let operation = match number {
            0 | 1 => Operation::Add,
            2 => Operation::Commit,
            3 => Operation::CommitWithout,
            4 => Operation::Ping,
            _ => return None,
        };
        let sequence = tokens.next()?.parse::<u64>().ok().filter(|&n| n > 0 && n < u64::MAX)?;
        let fits = match number {
            0 => sequence == 1,
            1 => sequence > 1,
            3 => sequence > 1,
            _ => true,
        };
        let gaps_are_fine = match tokens.next()? {
            "ok" => true,
            "fail" => false,
            _ => return None,
        };
        let flow = tokens.next()?.parse::<i64>().ok().filter(|flow| *flow > 0);
        let flow = flow.map_or(DEFAULT_FLOW, |flow| u16::try_from(flow).unwrap_or(u16::MAX));
        let id = tokens.next()?.as_bytes();
        tokens.next()?;
        fits.then_some(Line { id, flow, gaps_are_fine, sequence, operation })
    }
}

/// Fast batches that are open.
#[derive(Debug, Default)]
pub(super) struct FastBatches {
    open: BTreeMap<Vec<u8>, Open>,
}

#[derive(Debug)]
struct Open {
    /// The last number of a message that came.
    last: u64,
    /// Its sequence in the stream.
    stored: u64,
    /// Up to which number was answered.
    answered: u64,
    /// Messages between two answers, now and at most.
    flow: u16,
    max_flow: u16,
    gaps_are_fine: bool,
    expires: Instant,
    _place: Slot,
}

impl Open {
    /// Whether an answer is due. The flow follows how many others there are.
    fn answer_due(&mut self, others: usize) -> bool {
        let every = u64::from(self.flow);
        if self.last < self.answered + every {
            return false;
        }
        self.answered += (self.last - self.answered) / every * every;
        let fair = u16::try_from(MAX_UNANSWERED / others.max(1)).unwrap_or(u16::MAX).max(1).min(self.max_flow);
        if self.flow < fair {
            self.flow = self.flow.saturating_mul(2).min(fair);
        } else if self.flow > fair {
            self.flow = (self.flow / 2).max(fair);
        }
        true
    }
}

impl FastBatches {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.open.values().map(|open| open.expires).min()
    }

    pub(super) fn expire(&mut self, now: Now) {
        self.open.retain(|_, open| open.expires > now.tick);
    }
}

impl<L: Log> Stream<L> {
    /// A message of a fast batch.
    pub(super) fn publish_fast(
        &mut self,
        (incoming, asker): (&Incoming<'_>, Option<&Arc<dyn Asker>>),
        reply: &[u8],
        at: (Now, u32),
        work: &mut Work,
        out: &mut Outbox,
    ) -> Result<(), Unfinished> {
        match self.admit_to_fast(incoming, reply, at.0) {
            Err(error) => out.say(reply, Vec::new(), pub_refused(self.name.as_str(), &error)),
            Ok(line) if line.operation == Operation::Ping => self.pinged(&line, reply, out),
            Ok(line) => return self.add_fast((incoming, asker), &line, reply, at, work, out),
        }
        Ok(())
    }

    fn admit_to_fast<'r>(&mut self, incoming: &Incoming<'_>, reply: &'r [u8], now: Now) -> Result<Line<'r>, ApiError> {
        if self.config.sealed {
            return Err(STREAM_SEALED.into());
        }
        let size = incoming.headers.len() + incoming.payload.len();
        if self.config.max_msg_size >= 0 && size > self.config.max_msg_size as usize {
            return Err(STREAM_MESSAGE_EXCEEDS_MAXIMUM.into());
        }
        if !self.config.allow_batched {
            return Err(BATCH_PUBLISH_DISABLED.into());
        }
        let line = Line::parse(reply).ok_or(BATCH_PUBLISH_INVALID_PATTERN)?;
        if line.id.len() > MAX_ID_BYTES {
            return Err(BATCH_PUBLISH_INVALID_BATCH_ID.into());
        }
        if !self.fast.open.contains_key(line.id) {
            if line.sequence != 1 {
                return Err(BATCH_PUBLISH_UNKNOWN_BATCH_ID.into());
            }
            let place = self.batch_limits.take_fast(self.fast.open.len(), PLACES);
            let place = place.ok_or(BATCH_PUBLISH_TOO_MANY_INFLIGHT)?;
            let fair = u16::try_from(MAX_UNANSWERED / (self.fast.open.len() + 1)).unwrap_or(u16::MAX).max(1);
            let (flow, gaps_are_fine) = (line.flow.min(fair), line.gaps_are_fine);
            let open = Open {
                last: 0,
                stored: 0,
                answered: 0,
                flow,
                max_flow: line.flow,
                gaps_are_fine,
                expires: now.tick + self.batch_timeout(),
                _place: place,
            };
            self.fast.open.insert(line.id.to_vec(), open);
        }
        let level = Wishes::read(incoming.headers).required_level.filter(|level| !level.is_empty());
        let level = level.map(|level| std::str::from_utf8(level).ok().and_then(|text| text.trim().parse::<u32>().ok()));
        if level.is_some_and(|level| level.is_none_or(|level| level > API_LEVEL)) {
            self.fast.open.remove(line.id);
            return Err(REQUIRED_API_LEVEL.into());
        }
        let expires = now.tick + self.batch_timeout();
        if let Some(open) = self.fast.open.get_mut(line.id) {
            open.expires = expires;
        }
        Ok(line)
    }

    /// The client wants to know how far the batch is.
    fn pinged(&mut self, line: &Line<'_>, reply: &[u8], out: &mut Outbox) {
        let after = After::Log(self.id);
        let others = self.fast.open.len();
        let Some(open) = self.fast.open.get_mut(line.id) else { return };
        if line.sequence > open.last {
            out.answer(reply, Vec::new(), flow_gap(open.last + 1, line.sequence + 1), after, None);
            if !open.gaps_are_fine {
                return self.end_fast(line.id, reply, out);
            }
            open.last = line.sequence;
            open.answer_due(others);
        }
        out.answer(reply, Vec::new(), flow_ack(open.answered, open.flow), after, None);
    }

    fn add_fast(
        &mut self,
        (incoming, asker): (&Incoming<'_>, Option<&Arc<dyn Asker>>),
        line: &Line<'_>,
        reply: &[u8],
        at: (Now, u32),
        work: &mut Work,
        out: &mut Outbox,
    ) -> Result<(), Unfinished> {
        let after = After::Log(self.id);
        let Some(open) = self.fast.open.get_mut(line.id) else { return Ok(()) };
        let expected = open.last + 1;
        if line.sequence != expected {
            if line.sequence > expected {
                out.answer(reply, Vec::new(), flow_gap(expected, line.sequence), after, None);
            }
            if !open.gaps_are_fine || line.sequence < expected {
                self.end_fast(line.id, reply, out);
                return Ok(());
            }
        }
        if line.operation == Operation::CommitWithout {
            open.last = line.sequence - 1;
            self.end_fast(line.id, reply, out);
            return Ok(());
        }
        let before = std::mem::replace(&mut open.last, line.sequence);
        let (flow, gaps_are_fine) = (open.flow, open.gaps_are_fine);
        let is_last = line.operation == Operation::Commit;
        if line.sequence == 1 && !is_last {
            out.answer(reply, Vec::new(), flow_ack(0, flow), after, None);
        }
        let plain = Incoming { reply: None, ..*incoming };
        match self.take(&plain, Origin::Client(asker), at, work, out) {
            Err(NotTaken::Unfinished) => {
                if let Some(open) = self.fast.open.get_mut(line.id) {
                    open.last = before;
                }
                return Err(Unfinished);
            }
            Ok(taken) => self.added_fast(line.id, Some(taken.seq), is_last, reply, out),
            Err(NotTaken::Duplicate(seq)) if !gaps_are_fine && line.sequence == 1 => {
                self.fast.open.remove(line.id);
                let batch = String::from_utf8_lossy(line.id).into_owned();
                let ack = BatchAck { seq, value: None, batch, count: line.sequence };
                out.answer(reply, Vec::new(), ack.duplicate(self.name.as_str(), &self.domain), after, None);
            }
            Err(NotTaken::Duplicate(_)) => self.added_fast(line.id, None, is_last, reply, out),
            Err(NotTaken::Refused(error)) if !gaps_are_fine && line.sequence == 1 => {
                self.fast.open.remove(line.id);
                out.say(reply, Vec::new(), pub_refused(self.name.as_str(), &error));
            }
            Err(NotTaken::Refused(error)) => {
                out.answer(reply, Vec::new(), flow_error(line.sequence, &error), after, None);
                if !gaps_are_fine || is_last {
                    if let Some(open) = self.fast.open.get_mut(line.id) {
                        open.last = before;
                    }
                    self.end_fast(line.id, reply, out);
                }
            }
        }
        Ok(())
    }

    /// A message was stored, or was stored before.
    fn added_fast(&mut self, id: &[u8], seq: Option<u64>, is_last: bool, reply: &[u8], out: &mut Outbox) {
        let others = self.fast.open.len();
        let Some(open) = self.fast.open.get_mut(id) else { return };
        open.stored = seq.unwrap_or(open.stored);
        if is_last {
            return self.end_fast(id, reply, out);
        }
        if open.answer_due(others) {
            let body = flow_ack(open.answered, open.flow);
            out.answer(reply, Vec::new(), body, After::Log(self.id), None);
        }
    }

    /// The batch ends, and its client is told how far it came.
    fn end_fast(&mut self, id: &[u8], reply: &[u8], out: &mut Outbox) {
        let Some(open) = self.fast.open.remove(id) else { return };
        let batch = String::from_utf8_lossy(id).into_owned();
        let ack = BatchAck { seq: open.stored, value: None, batch, count: open.last };
        let failed =
            pub_refused(self.name.as_str(), &STREAM_STORE_FAILED.with("the store can not make the batch durable"));
        let body = ack.told(self.name.as_str(), &self.domain);
        out.answer(reply, Vec::new(), body, After::Log(self.id), Some(failed.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_subjects_say_what_a_message_is() {
        let line = Line::parse(b"_INBOX.a.b.uuid.0.ok.7.1.$FI").expect("a line");
        let expected = Line { id: b"uuid", flow: 10, gaps_are_fine: true, sequence: 7, operation: Operation::Add };
        assert_eq!(line, expected);
        assert_eq!(Line::parse(b"_I.u.70000.fail.1.0.$FI").map(|line| line.flow), Some(u16::MAX));
        for bad in [
            "_I.u.1.fail.1.5.$FI",
            "_I.u.1.fail.0.1.$FI",
            "_I.u.1.fail.2.0.$FI",
            "_I.u.1.maybe.2.1.$FI",
            "u.1.fail.1.0.$FI",
            "$FI",
            ".$FI",
            "_I.u.1.fail.18446744073709551615.1.$FI",
            "_I.u.1.fail.1.3.$FI",
        ] {
            assert_eq!(Line::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn answers_become_rarer_up_to_what_is_fair() {
        let at = Instant::from_nanos(0);
        let place = crate::BatchLimits::default().take_fast(0, PLACES).expect("the first");
        let mut open = Open {
            last: 0,
            stored: 0,
            answered: 0,
            flow: 2,
            max_flow: 100,
            gaps_are_fine: false,
            expires: at,
            _place: place,
        };
        open.last = 2;
        assert!(open.answer_due(10));
        assert_eq!((open.answered, open.flow), (2, 4));
        open.last = 5;
        assert!(!open.answer_due(10));
        open.last = 11;
        assert!(open.answer_due(200));
        assert_eq!((open.answered, open.flow), (10, 2), "others want their share");
    }
}
