//! Direct reads, a part in each round: one request is no more work at a time than others are, however much it asks for.

use super::reading::sees;
use crate::asker::Asker;
use crate::log::{Found, Log, LogError, Stored};
use crate::outbox::{Outbox, status};
use crate::stream::append_headers;
use crate::work::{BYTES_A_UNIT, MESSAGE_UNITS, Work};
use api::Name;
use std::sync::Arc;
use subject::Filter;

/// Bytes that one read sends in a round, with one message more.
const PART_BYTES: u64 = 256 * 1024;
/// Messages that one read looks at in a round.
const PART_LOOKS: u64 = 1024;

/// Which messages are read.
pub(super) enum Course {
    /// One.
    Only(u64),
    /// From one on, those that a filter takes; without filters, all.
    On { filters: Vec<Filter>, at: u64 },
    /// These, as of a sequence.
    These { seqs: std::vec::IntoIter<u64>, up_to: u64 },
}

/// A read that is on its way.
pub(super) struct PartRead {
    /// The stream that is read.
    pub stream: Name,
    /// Where the messages go.
    pub reply: Vec<u8>,
    /// Who asked, if somebody who may not read everything.
    pub asker: Option<Arc<dyn Asker>>,
    pub no_headers: bool,
    pub course: Course,
    /// Messages that are still to be read, as whoever asked is told.
    pub left: u64,
    /// Messages that were asked for and not sent yet.
    pub batch: u64,
    /// Bytes that may still be sent.
    pub bytes: u64,
    /// The last sequence that was sent, and how many were.
    pub last: u64,
    pub sent: u64,
    /// There may be more, and the turn was over.
    pub is_paused: bool,
}

impl PartRead {
    /// Sends what goes into one round. Whether that was all.
    pub(super) fn send_part<L: Log>(
        &mut self,
        log: &mut L,
        work: &mut Work,
        out: &mut Outbox,
    ) -> Result<bool, LogError> {
        let (mut room, mut looks) = (PART_BYTES, PART_LOOKS);
        while self.batch > 0 {
            if room == 0 || looks == 0 || (work.is_over() && !matches!(self.course, Course::Only(_))) {
                return Ok(false);
            }
            looks -= 1;
            let Some(message) = self.next(log, work)? else {
                if self.is_paused {
                    continue;
                }
                break;
            };
            work.spend(MESSAGE_UNITS);
            let size = (message.headers().len() + message.payload().len() + message.subject().len()) as u64;
            if self.sent > 0 && size > self.bytes {
                break;
            }
            self.left = self.left.saturating_sub(1);
            if !sees(self.asker.as_ref(), message.subject()) {
                continue;
            }
            self.send(&message, out);
            (self.last, self.sent) = (message.seq(), self.sent + 1);
            self.batch -= 1;
            self.bytes = self.bytes.saturating_sub(size);
            work.spend(size / BYTES_A_UNIT);
            room = room.saturating_sub(size);
        }
        self.end(out);
        Ok(true)
    }

    fn next<L: Log>(&mut self, log: &mut L, work: &mut Work) -> Result<Option<L::Message>, LogError> {
        self.is_paused = false;
        match &mut self.course {
            Course::Only(seq) => log.load(*seq),
            Course::On { filters, at } => match log.next(filters, *at, work)? {
                Found::Message(message) => {
                    *at = message.seq() + 1;
                    Ok(Some(message))
                }
                Found::NothingBefore(_) => Ok(None),
                Found::Unfinished(seq) => {
                    (*at, self.is_paused) = (seq, true);
                    Ok(None)
                }
            },
            Course::These { seqs, .. } => {
                for seq in seqs {
                    if let Some(message) = log.load(seq)? {
                        return Ok(Some(message));
                    }
                }
                Ok(None)
            }
        }
    }

    fn send<M: Stored>(&self, message: &M, out: &mut Outbox) {
        let mut headers = Vec::new();
        if !self.no_headers {
            let (seq, time) = (message.seq().to_string(), message.time().to_string());
            let (left, last) = (self.left.to_string(), self.last.to_string());
            let own: [(&str, &[u8]); 6] = [
                ("Nats-Stream", self.stream.as_str().as_bytes()),
                ("Nats-Subject", message.subject()),
                ("Nats-Sequence", seq.as_bytes()),
                ("Nats-Time-Stamp", time.as_bytes()),
                ("Nats-Num-Pending", left.as_bytes()),
                ("Nats-Last-Sequence", last.as_bytes()),
            ];
            let told = if matches!(self.course, Course::Only(_)) { &own[..4] } else { &own[..] };
            append_headers(&mut headers, message.headers(), told);
        }
        out.say(&self.reply, headers, message.payload().to_vec());
    }

    fn end(&self, out: &mut Outbox) {
        let up_to = match &self.course {
            Course::Only(_) => return,
            Course::On { .. } if self.sent == 0 => {
                return out.say(&self.reply, status("404 Message Not Found", &[]), Vec::new());
            }
            Course::On { .. } => None,
            Course::These { up_to, .. } => Some(*up_to),
        };
        let mut lines =
            vec![("Nats-Num-Pending", self.left.to_string()), ("Nats-Last-Sequence", self.last.to_string())];
        lines.extend(up_to.map(|seq| ("Nats-UpTo-Sequence", seq.to_string())));
        out.say(&self.reply, status("204 EOB", &lines), Vec::new());
    }
}
