//! What was delivered and waits for its acknowledgement.

use moment::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// A delivered message without acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Number of its first delivery.
    pub consumer_seq: u64,
    /// How often it was delivered.
    pub count: u64,
    /// When it was delivered last.
    pub since: Instant,
    /// When it is delivered again; `None` when it already waits for that.
    pub due: Option<Instant>,
}

/// All delivered messages without acknowledgement, by sequence and by deadline.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    pending: BTreeMap<u64, Pending>,
    due: BTreeSet<(Instant, u64)>,
    again: BTreeSet<u64>,
    redelivered: u64,
}

impl Deliveries {
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    pub(crate) fn redelivered(&self) -> u64 {
        self.redelivered
    }

    pub(crate) fn holds(&self, seq: u64) -> bool {
        self.pending.contains_key(&seq)
    }

    pub(crate) fn first(&self) -> Option<(u64, &Pending)> {
        self.pending.first_key_value().map(|(seq, pending)| (*seq, pending))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Pending)> {
        self.pending.iter().map(|(seq, pending)| (*seq, pending))
    }

    pub(crate) fn get(&self, seq: u64) -> Option<Pending> {
        self.pending.get(&seq).copied()
    }

    /// Messages to be delivered again that were delivered so often already.
    pub(crate) fn worn_out(&self, max: u64) -> Vec<(u64, u64)> {
        let counts = self.again.iter().map(|&seq| (seq, self.count(seq)));
        counts.filter(|(_, count)| *count >= max).collect()
    }

    pub(crate) fn count(&self, seq: u64) -> u64 {
        self.pending.get(&seq).map_or(0, |pending| pending.count)
    }

    /// A message was delivered, for the first time or again.
    pub(crate) fn delivered(&mut self, seq: u64, consumer_seq: u64, now: Instant, due: Option<Instant>) {
        self.again.remove(&seq);
        let fresh = Pending { consumer_seq, count: 0, since: now, due: None };
        let pending = self.pending.entry(seq).or_insert(fresh);
        if let Some(old) = pending.due.take() {
            self.due.remove(&(old, seq));
        }
        pending.count += 1;
        pending.since = now;
        self.redelivered += u64::from(pending.count == 2);
        pending.due = due;
        self.due.extend(due.map(|due| (due, seq)));
    }

    /// Puts back what was kept.
    pub(crate) fn restore(&mut self, seq: u64, pending: Pending) {
        self.redelivered += u64::from(pending.count > 1);
        self.pending.insert(seq, pending);
        match pending.due {
            Some(due) => {
                self.due.insert((due, seq));
            }
            None => {
                self.again.insert(seq);
            }
        }
    }

    pub(crate) fn remove(&mut self, seq: u64) -> Option<Pending> {
        let pending = self.pending.remove(&seq)?;
        if let Some(due) = pending.due {
            self.due.remove(&(due, seq));
        }
        self.again.remove(&seq);
        self.redelivered -= u64::from(pending.count > 1);
        Some(pending)
    }

    /// Removes everything up to a sequence and gives what that was.
    pub(crate) fn take_up_to(&mut self, seq: u64) -> Vec<u64> {
        let seqs: Vec<u64> = self.pending.range(..=seq).map(|(seq, _)| *seq).collect();
        seqs.iter().for_each(|&seq| {
            self.remove(seq);
        });
        seqs
    }

    /// Whether anything below this sequence was there.
    pub(crate) fn remove_below(&mut self, first: u64) -> bool {
        first > 0 && !self.take_up_to(first - 1).is_empty()
    }

    /// Delivers a message again at a moment, or as soon as possible.
    pub(crate) fn again(&mut self, seq: u64, at: Instant, now: bool) {
        if self.pending.contains_key(&seq) {
            self.set_due(seq, (!now).then_some(at));
            if now {
                self.again.insert(seq);
            }
        }
    }

    /// Gives a message more time.
    pub(crate) fn extend(&mut self, seq: u64, at: Instant) {
        if self.pending.contains_key(&seq) && !self.again.contains(&seq) {
            self.set_due(seq, Some(at));
        }
    }

    fn set_due(&mut self, seq: u64, due: Option<Instant>) {
        let Some(pending) = self.pending.get_mut(&seq) else { return };
        if let Some(old) = pending.due.take() {
            self.due.remove(&(old, seq));
        }
        pending.due = due;
        self.due.extend(due.map(|due| (due, seq)));
    }

    /// Messages whose time is up are to be delivered again.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some(&(due, seq)) = self.due.first().filter(|(due, _)| *due <= now) {
            self.due.remove(&(due, seq));
            if let Some(pending) = self.pending.get_mut(&seq) {
                pending.due = None;
            }
            self.again.insert(seq);
        }
    }

    /// The next message to be delivered again.
    pub(crate) fn next_again(&self) -> Option<u64> {
        self.again.first().copied()
    }

    pub(crate) fn waits_again(&self) -> u64 {
        self.again.len() as u64
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn a_message_is_delivered_again_when_its_time_is_up() {
        let mut deliveries = Deliveries::default();
        deliveries.delivered(1, 1, at(0), Some(at(10)));
        deliveries.delivered(2, 2, at(0), Some(at(20)));
        deliveries.expire(at(9));
        assert_eq!(deliveries.next_again(), None);
        deliveries.expire(at(10));
        assert_eq!((deliveries.next_again(), deliveries.deadline()), (Some(1), Some(at(20))));
        deliveries.delivered(1, 3, at(10), Some(at(30)));
        assert_eq!((deliveries.next_again(), deliveries.count(1), deliveries.redelivered()), (None, 2, 1));
        assert_eq!(deliveries.first().map(|(_, pending)| pending.consumer_seq), Some(1), "the first delivery counts");
    }

    #[test]
    fn an_acknowledged_message_leaves_nothing_behind() {
        let mut deliveries = Deliveries::default();
        deliveries.delivered(1, 1, at(0), Some(at(10)));
        deliveries.delivered(1, 2, at(10), Some(at(20)));
        deliveries.again(1, at(0), true);
        assert!(deliveries.remove(1).is_some());
        assert_eq!((deliveries.len(), deliveries.redelivered()), (0, 0));
        assert_eq!((deliveries.next_again(), deliveries.deadline()), (None, None));
    }

    #[test]
    fn acknowledging_all_takes_everything_before() {
        let mut deliveries = Deliveries::default();
        (1..=5).for_each(|seq| deliveries.delivered(seq, seq, at(0), Some(at(10))));
        assert_eq!(deliveries.take_up_to(3), [1, 2, 3]);
        assert_eq!(deliveries.len(), 2);
    }

    #[test]
    fn more_time_moves_the_deadline_but_not_a_message_that_is_due() {
        let mut deliveries = Deliveries::default();
        deliveries.delivered(1, 1, at(0), Some(at(10)));
        deliveries.extend(1, at(50));
        assert_eq!(deliveries.deadline(), Some(at(50)));
        deliveries.again(1, at(0), true);
        deliveries.extend(1, at(90));
        assert_eq!((deliveries.deadline(), deliveries.next_again()), (None, Some(1)));
    }
}
