//! Schedules: which messages of a stream produce others, and when.

use super::take::{NotTaken, with_header};
use super::{Incoming, Stream};
use crate::log::{Log, LogError, Stored};
use crate::outbox::{Now, Outbox};
use crate::publish::{SCHEDULE_NEXT, SCHEDULER, Wishes};
use crate::work::{MESSAGE_UNITS, Work};
use moment::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use wire::headers;

/// What could not be produced is tried again after this.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Messages produced at a time.
const AT_ONCE: usize = 1_000;

/// The schedules of a stream, by subject and by date.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    by_subject: HashMap<Vec<u8>, (u64, Timestamp)>,
    due: BTreeSet<(Timestamp, u64, Vec<u8>)>,
}

impl Agenda {
    /// A schedule takes the place of an earlier one of its subject.
    pub(super) fn add(&mut self, subject: &[u8], seq: u64, at: Timestamp) {
        self.forget(subject);
        self.by_subject.insert(subject.to_vec(), (seq, at));
        self.due.insert((at, seq, subject.to_vec()));
    }

    /// A schedule is due again.
    pub(super) fn again(&mut self, subject: &[u8], at: Timestamp) {
        if let Some(&(seq, _)) = self.by_subject.get(subject) {
            self.add(subject, seq, at);
        }
    }

    pub(super) fn forget(&mut self, subject: &[u8]) {
        if let Some((seq, at)) = self.by_subject.remove(subject) {
            self.due.remove(&(at, seq, subject.to_vec()));
        }
    }

    /// Takes what is due. It stays on the list of subjects until it was produced.
    fn take_due(&mut self, now: Timestamp) -> Vec<(u64, Vec<u8>, Timestamp)> {
        let mut taken = Vec::new();
        while taken.len() < AT_ONCE
            && self.due.first().is_some_and(|(at, ..)| *at <= now)
            && let Some((at, seq, subject)) = self.due.pop_first()
        {
            taken.push((seq, subject, at));
        }
        taken.sort_unstable();
        taken
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, ..)| *at)
    }
}

/// A message as its schedule wants it.
struct Produced {
    target: Vec<u8>,
    headers: Vec<u8>,
    payload: Vec<u8>,
}

impl<L: Log> Stream<L> {
    /// Produces what is due.
    pub(super) fn run_agenda(&mut self, at: (Now, u32), work: &mut Work, out: &mut Outbox) -> Result<(), LogError> {
        let now = at.0;
        for (seq, subject, due) in self.agenda.take_due(now.wall) {
            if self.must_wait(work) {
                self.agenda.again(&subject, due);
                continue;
            }
            work.spend(MESSAGE_UNITS);
            let stored = match self.produce(seq, &subject, now, work) {
                Ok(Some(Produced { target, headers, payload })) => {
                    let incoming = Incoming { subject: &target, reply: None, headers: &headers, payload: &payload };
                    self.take_at_once(&incoming, at, work, out)
                }
                Ok(None) => {
                    self.agenda.forget(&subject);
                    Ok(())
                }
                Err(LogError::Unfinished) => Err(NotTaken::Unfinished),
                Err(error) => return Err(error),
            };
            match stored {
                Err(NotTaken::Refused(_)) => self.agenda.again(&subject, now.wall + AGAIN_AFTER),
                Err(NotTaken::Unfinished) => self.agenda.again(&subject, now.wall),
                Ok(()) | Err(NotTaken::Duplicate(_)) => {}
            }
        }
        Ok(())
    }

    /// What the schedule of this sequence produces now. `None`: it is no schedule any more.
    fn produce(&mut self, seq: u64, subject: &[u8], now: Now, work: &mut Work) -> Result<Option<Produced>, LogError> {
        let Some(message) = self.log.load(seq)? else { return Ok(None) };
        let wishes = Wishes::read(message.headers());
        let (Ok(Some(schedule)), Some(target)) = (wishes.schedule(), wishes.schedule_target()) else { return Ok(None) };
        let source = match wishes.schedule_source() {
            Some(source) => match self.log.last_of(source, work)? {
                Some(seq) => self.log.load(seq)?,
                None => None,
            },
            None => None,
        };
        let origin = source.as_ref().unwrap_or(&message);
        let next = match schedule.repeats() {
            true => schedule.next(now.wall, now.wall).map(|next| next.to_string()),
            false => None,
        };
        let mut block = without_own(origin.headers());
        block = with_header(&block, SCHEDULER, subject);
        block = with_header(&block, SCHEDULE_NEXT, next.as_deref().unwrap_or("purge").as_bytes());
        for (name, value) in wishes.schedule_extras() {
            if let Some(value) = value {
                block = with_header(&block, name, value);
            }
        }
        Ok(Some(Produced { target: target.to_vec(), headers: block, payload: origin.payload().to_vec() }))
    }
}

/// The headers of a schedule without those that make it one, and without those that could keep what it produces from
/// being stored.
fn without_own(block: &[u8]) -> Vec<u8> {
    let mut block = block.to_vec();
    for prefix in ["Nats-Schedule", "Nats-Expected-"] {
        let mut out = Vec::with_capacity(block.len());
        headers::remove_prefix(&mut out, &block, prefix);
        block = out;
    }
    for key in ["Nats-Msg-Id", "Nats-TTL", "Nats-Rollup"] {
        let mut out = Vec::with_capacity(block.len());
        headers::remove(&mut out, &block, key);
        block = out;
    }
    block
}
