//! How many messages are still to be delivered.
//!
//! They are counted once and then followed: what is delivered or goes counts no more, and what was stored since is looked at when
//! somebody wants to know, so that it costs publishers nothing however many consumers there are.

use super::Consumer;
use crate::log::{Log, LogError};
use crate::outbox::Now;
use crate::search::Tally;
use crate::work::Work;

/// Messages that are counted before more come in. What is more is counted while other things are done: that may take long.
const CAUGHT_UP: u64 = 100_000;

/// A count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    /// Everything below was counted.
    upto: u64,
    /// Live messages from the next one on, as far as they were counted.
    count: u64,
}

impl Consumer {
    /// Whether it is at its place in the stream, and what is to be delivered was counted but for what came since.
    pub(crate) fn is_ready(&self) -> bool {
        self.beginning.is_none() && self.counted.is_some()
    }

    /// Finds its place in the stream, if that was not found yet. Nothing else is done with the log until that is done.
    pub(crate) fn find_place<L: Log>(&mut self, log: &mut L, now: Now, work: &mut Work) -> Result<(), LogError> {
        if let Some(mut beginning) = self.beginning.take() {
            if let Err(error) = self.begin(&mut beginning, log, work) {
                self.beginning = Some(beginning);
                return Err(error);
            }
            beginning.progress.into_iter().for_each(|progress| self.proceed(progress, now));
        }
        Ok(())
    }

    /// Brings it there, and counts. Nothing else is done with the log until that is done.
    pub(crate) fn ready<L: Log>(&mut self, log: &mut L, now: Now, work: &mut Work) -> Result<(), LogError> {
        self.find_place(log, now, work)?;
        if self.counted.is_none() {
            let end = log.state().last_seq.saturating_add(1);
            let Consumer { filters, withheld, next, tally, .. } = self;
            let tally = tally.get_or_insert_with(|| Tally::from(*next, (filters, withheld), log));
            if let Tally::Messages { .. } = tally {
                // It can be counted while other things are done.
                self.counted = Some(Counted { upto: self.next, count: 0 });
            } else {
                let count = tally.go_on((filters, withheld), log, work)?;
                self.counted = Some(Counted { upto: end, count });
            }
            self.tally = None;
        }
        Ok(())
    }

    /// How many messages are still to be delivered.
    pub(crate) fn left<L: Log>(&mut self, log: &mut L, now: Now, work: &mut Work) -> Result<u64, LogError> {
        self.ready(log, now, work)?;
        let end = log.state().last_seq.saturating_add(1);
        while let Some(counted) = self.counted.as_mut().filter(|counted| counted.upto < end) {
            if work.is_over() {
                return Err(LogError::Unfinished);
            }
            let (some, upto) = log.count((&self.filters, &self.withheld), counted.upto, work)?;
            (counted.count, counted.upto) = (counted.count + some, upto.max(counted.upto));
        }
        Ok(self.left_so_far())
    }

    /// Whether little is left that was not counted.
    pub(super) fn is_nearly_counted<L: Log>(&self, log: &L) -> bool {
        let last = log.state().last_seq;
        self.counted.is_some_and(|counted| last.saturating_sub(counted.upto) < CAUGHT_UP)
    }

    /// How many were counted so far.
    pub(super) fn left_so_far(&self) -> u64 {
        self.counted.map_or(0, |counted| counted.count) + self.firsts.len() as u64
    }

    pub(super) fn forget_count(&mut self) {
        (self.counted, self.tally) = (None, None);
    }

    /// One of those that were counted was delivered.
    pub(super) fn count_delivered(&mut self) {
        if let Some(counted) = &mut self.counted {
            counted.count = counted.count.saturating_sub(1);
        }
    }

    /// There is none below this sequence.
    pub(super) fn count_nothing_before(&mut self, seq: u64) {
        if self.counted.is_some_and(|counted| counted.upto <= seq) {
            self.counted = Some(Counted { upto: seq, count: 0 });
        }
    }

    /// Messages of a subject were removed.
    pub(crate) fn note_removed(&mut self, seqs: &[u64], subject: &[u8], work: &mut Work) {
        self.tally = None;
        if let Some(counted) = self.counted {
            let gone = seqs.iter().filter(|seq| (self.next..counted.upto).contains(seq)).count() as u64;
            if gone > 0 && self.wants(subject, work) {
                self.counted = Some(Counted { count: counted.count.saturating_sub(gone), ..counted });
            }
        }
        let lost = seqs.iter().filter(|seq| self.deliveries.remove(**seq).is_some()).count();
        if lost > 0 {
            self.settle_floor();
        }
    }

    /// All messages below `first` were removed.
    pub(crate) fn note_removed_below(&mut self, first: u64) {
        self.tally = None;
        if self.next < first {
            match self.counted {
                Some(counted) if counted.upto > first => self.counted = None,
                counted => self.counted = counted.map(|_| Counted { upto: first, count: 0 }),
            }
        }
        while self.firsts.front().is_some_and(|&seq| seq < first) {
            self.firsts.pop_front();
        }
        if self.next < first && self.firsts.is_empty() {
            self.next = first;
        }
        if self.deliveries.first().is_some_and(|(seq, _)| seq < first) {
            self.releasing = self.releasing.max(Some(first - 1));
        }
    }
}
