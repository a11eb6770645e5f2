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
#[derive(Debug)]
pub(crate) struct Deliveries {
    pending: BTreeMap<u64, Pending>,
    due: BTreeSet<(Instant, u64)>,
    again: BTreeSet<u64>,
    /// To be delivered again, and delivered as often as may be.
    worn: BTreeSet<u64>,
    /// How often that is.
    most: u64,
    redelivered: u64,
}

impl Default for Deliveries {
    fn default() -> Self {
        let (pending, due, again, worn) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        Deliveries { pending, due, again, worn, most: u64::MAX, redelivered: 0 }
    }
}

impl Deliveries {
    /// None yet, of messages that are delivered so often at most.
    pub(crate) fn at_most(most: u64) -> Deliveries {
        Deliveries { most, ..Deliveries::default() }
    }

    /// From now on they are delivered so often at most.
    pub(crate) fn set_most(&mut self, most: u64) {
        if std::mem::replace(&mut self.most, most) != most {
            let waiting = std::mem::take(&mut self.again).into_iter().chain(std::mem::take(&mut self.worn));
            waiting.collect::<Vec<_>>().into_iter().for_each(|seq| self.wait_again(seq));
        }
    }

    fn wait_again(&mut self, seq: u64) {
        let is_worn = self.count(seq) >= self.most;
        if is_worn {
            self.worn.insert(seq)
        } else {
            self.again.insert(seq)
        };
    }

    fn waits(&self, seq: u64) -> bool {
        self.again.contains(&seq) || self.worn.contains(&seq)
    }

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

    /// A message that is to be delivered again and may not be, and how often it was.
    pub(crate) fn worn_out(&self) -> Option<(u64, u64)> {
        self.worn.first().map(|&seq| (seq, self.count(seq)))
    }

    pub(crate) fn count(&self, seq: u64) -> u64 {
        self.pending.get(&seq).map_or(0, |pending| pending.count)
    }

    /// A message was delivered, for the first time or again.
    pub(crate) fn delivered(&mut self, seq: u64, consumer_seq: u64, now: Instant, due: Option<Instant>) {
        self.again.remove(&seq);
        self.worn.remove(&seq);
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
            None => self.wait_again(seq),
        }
    }

    pub(crate) fn remove(&mut self, seq: u64) -> Option<Pending> {
        let pending = self.pending.remove(&seq)?;
        if let Some(due) = pending.due {
            self.due.remove(&(due, seq));
        }
        self.again.remove(&seq);
        self.worn.remove(&seq);
        self.redelivered -= u64::from(pending.count > 1);
        Some(pending)
    }

    /// Removes the oldest up to a sequence, so many of them, and gives what that was.
    pub(crate) fn take_up_to(&mut self, seq: u64, at_most: usize) -> Vec<u64> {
        let seqs: Vec<u64> = self.pending.range(..=seq).take(at_most).map(|(seq, _)| *seq).collect();
        seqs.iter().for_each(|&seq| {
            self.remove(seq);
        });
        seqs
    }

    /// Delivers a message again at a moment, or as soon as possible.
    pub(crate) fn again(&mut self, seq: u64, at: Instant, now: bool) {
        if self.pending.contains_key(&seq) {
            self.set_due(seq, (!now).then_some(at));
            if now {
                self.wait_again(seq);
            }
        }
    }

    /// Gives a message more time.
    pub(crate) fn extend(&mut self, seq: u64, at: Instant) {
        if self.pending.contains_key(&seq) && !self.waits(seq) {
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

    /// A message whose time is up is to be delivered again. Whether there was one.
    pub(crate) fn expire_one(&mut self, now: Instant) -> bool {
        let Some(&(due, seq)) = self.due.first().filter(|(due, _)| *due <= now) else { return false };
        self.due.remove(&(due, seq));
        if let Some(pending) = self.pending.get_mut(&seq) {
            pending.due = None;
        }
        self.wait_again(seq);
        true
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
        assert!(!deliveries.expire_one(at(9)));
        assert_eq!(deliveries.next_again(), None);
        assert!(deliveries.expire_one(at(10)) && !deliveries.expire_one(at(10)));
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
        assert_eq!((deliveries.take_up_to(3, 2), deliveries.take_up_to(3, 2)), (vec![1, 2], vec![3]));
        assert_eq!(deliveries.len(), 2);
    }

    #[test]
    fn a_message_that_was_delivered_as_often_as_may_be_is_worn_out() {
        let mut deliveries = Deliveries::at_most(2);
        for seq in [1, 2] {
            deliveries.delivered(seq, seq, at(0), Some(at(10)));
            deliveries.again(seq, at(0), true);
        }
        assert_eq!((deliveries.worn_out(), deliveries.waits_again()), (None, 2));
        deliveries.delivered(1, 3, at(10), Some(at(20)));
        assert!(deliveries.expire_one(at(20)));
        assert_eq!((deliveries.worn_out(), deliveries.next_again()), (Some((1, 2)), Some(2)));
        deliveries.set_most(1);
        assert_eq!((deliveries.worn_out(), deliveries.waits_again()), (Some((1, 2)), 0));
        deliveries.set_most(u64::MAX);
        assert_eq!((deliveries.worn_out(), deliveries.waits_again()), (None, 2));
        deliveries.set_most(2);
        assert!(deliveries.remove(1).is_some() && deliveries.worn_out().is_none());
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
