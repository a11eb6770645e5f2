//! What follows from something that was done: what must go, and who has to be made ready. It is done before anything else is
//! done for the account, in as many turns as it takes.

use super::Stream;
use super::purge::Surplus;
use crate::consumer::Consumer;
use crate::log::{Log, LogError, Stored, Walk};
use crate::outbox::Now;
use crate::publish::{Rollup, Wishes};
use crate::work::Work;
use api::{Name, Retention};
use std::collections::VecDeque;
use std::ops::Bound;
use subject::Filter;

/// Consumers that are looked at for a unit of work.
const CONSUMERS_A_UNIT: u64 = 8;

/// Something to be done.
#[derive(Debug)]
pub(super) enum Chore {
    /// Everything below a sequence goes.
    Below(u64),
    /// The newest of a subject goes.
    Last(Vec<u8>),
    /// The oldest of a subject go, until so many are left.
    Trim { subject: Vec<u8>, keep: u64 },
    /// All of the subjects that a filter takes go, but for one subject.
    Matching { filter: Filter, but: Vec<u8>, walk: Walk },
    /// What a filter takes below a sequence goes.
    MatchingBelow { filter: [Filter; 1], at: u64, below: u64 },
    /// The oldest of what a filter takes go.
    Surplus(Box<Surplus>),
    /// All but so many of the newest go.
    Newest(u64),
    /// What is more than the limit of its subject goes.
    EachSubject(Walk),
    /// What is more than the stream may hold goes.
    Limits,
    /// Consumers, from one on, hear that messages of a subject are gone.
    Note { seqs: Vec<u64>, subject: Vec<u8>, after: Option<Name> },
    /// A message is needed by one consumer less; up to one it was asked who needs it still.
    Settle(u64, Option<Name>),
    /// A consumer is gone: each message from one on is needed by one less.
    SettleFrom(u64, Option<Name>),
    /// A consumer is brought to its place.
    Ready(Name),
    /// A consumer forgets what was acknowledged as a whole.
    Release(Name),
}

/// What is to be done, in order.
#[derive(Debug, Default)]
pub(super) struct Chores(VecDeque<Chore>);

impl<L: Log> Stream<L> {
    /// Whether anything is to be done.
    pub(crate) fn has_chores(&self) -> bool {
        !self.chores.0.is_empty()
    }

    pub(super) fn add_chore(&mut self, chore: Chore) {
        self.chores.0.push_back(chore);
    }

    /// Does what is to be done.
    ///
    /// # Errors
    /// The turn is over, or the log failed; it is gone on with in another turn.
    pub(crate) fn do_chores(&mut self, now: Now, work: &mut Work) -> Result<(), LogError> {
        while let Some(mut chore) = self.chores.0.pop_front() {
            let done = if work.is_over() { Err(LogError::Unfinished) } else { self.do_chore(&mut chore, now, work) };
            if let Err(LogError::Unfinished) = done {
                self.chores.0.push_front(chore);
            }
            // What the log can not do is not tried for ever: it has said what is wrong, and is opened again.
            done?;
        }
        Ok(())
    }

    /// The same in the middle of a batch: what follows from one message must not meet the next one.
    pub(super) fn do_chores_at_once(&mut self, now: Now, work: &mut Work) -> Result<(), LogError> {
        if !self.has_chores() {
            return Ok(());
        }
        let mut whole = Work::unbounded();
        let done = self.do_chores(now, &mut whole);
        work.spend(whole.done());
        done
    }

    fn do_chore(&mut self, chore: &mut Chore, now: Now, work: &mut Work) -> Result<(), LogError> {
        match chore {
            Chore::Below(first) => {
                self.log.remove_below(*first, work)?;
                let first = self.log.state().first_seq;
                work.spend(self.consumers.len() as u64 / CONSUMERS_A_UNIT);
                self.consumers.values_mut().for_each(|consumer| consumer.note_removed_below(first));
                self.release_all();
                Ok(())
            }
            Chore::Last(subject) => match self.log.last_of(subject, work)? {
                Some(seq) => self.remove(seq, work).map(drop),
                None => Ok(()),
            },
            Chore::Trim { subject, keep } => self.trim(subject, *keep, work),
            Chore::Matching { filter, but, walk } => {
                let filters = std::slice::from_ref(&*filter);
                self.trim_some(filters, walk, (now, work), |subject, _| (subject != &but[..]).then_some(0))
            }
            Chore::EachSubject(walk) => match self.limit_of_subject() {
                Some(limit) => {
                    self.trim_some(&[], walk, (now, work), |_, messages| (messages > limit).then_some(limit))
                }
                None => Ok(()),
            },
            Chore::MatchingBelow { filter, at, below } => self.remove_matching_below(filter, (at, *below), work),
            Chore::Surplus(surplus) => self.remove_oldest(surplus, work),
            Chore::Newest(keep) => self.keep_newest(*keep, work),
            Chore::Limits => self.remove_surplus(work),
            Chore::Note { seqs, subject, after } => self.note_some(seqs, subject, after, work),
            Chore::Settle(seq, after) => self.settle_now(*seq, after, work),
            Chore::SettleFrom(next, after) => self.settle_from(next, after, work),
            Chore::Ready(name) => match self.consumers.get_mut(name) {
                Some(consumer) => consumer.ready(&mut self.log, now, work),
                None => Ok(()),
            },
            Chore::Release(name) => {
                self.release(name, work);
                Ok(())
            }
        }
    }

    /// Removes one message. Whether there was one.
    pub(crate) fn remove(&mut self, seq: u64, work: &mut Work) -> Result<bool, LogError> {
        self.remove_by(seq, L::remove, work)
    }

    /// Removes one message and its bytes. Whether there was one.
    pub(crate) fn erase(&mut self, seq: u64, work: &mut Work) -> Result<bool, LogError> {
        self.remove_by(seq, L::erase, work)
    }

    fn remove_by(
        &mut self,
        seq: u64,
        remove: impl FnOnce(&mut L, u64, &mut dyn FnMut(&[u8])) -> Result<bool, LogError>,
        work: &mut Work,
    ) -> Result<bool, LogError> {
        let (mut subject, is_noted) = (Vec::new(), !self.consumers.is_empty());
        let removed = remove(&mut self.log, seq, &mut |text| {
            if is_noted {
                text.clone_into(&mut subject);
            }
        })?;
        if removed && is_noted {
            self.note(&[seq], &subject, work);
        }
        Ok(removed)
    }

    pub(super) fn trim(&mut self, subject: &[u8], keep: u64, work: &mut Work) -> Result<(), LogError> {
        let (mut seqs, is_noted) = (Vec::new(), !self.consumers.is_empty());
        let outcome = self.log.trim_subject(subject, keep, work, &mut |seq| {
            if is_noted {
                seqs.push(seq);
            }
        });
        if !seqs.is_empty() {
            self.note(&seqs, subject, work);
        }
        outcome
    }

    /// Consumers hear that messages are gone.
    fn note(&mut self, seqs: &[u64], subject: &[u8], work: &mut Work) {
        let mut after = None;
        if self.note_some(seqs, subject, &mut after, work).is_err() {
            // Before anything is counted.
            self.chores.0.push_front(Chore::Note { seqs: seqs.to_vec(), subject: subject.to_vec(), after });
        }
    }

    fn note_some(
        &mut self,
        seqs: &[u64],
        subject: &[u8],
        after: &mut Option<Name>,
        work: &mut Work,
    ) -> Result<(), LogError> {
        for (passed, (name, consumer)) in (1..).zip(self.consumers.range_mut(behind(after))) {
            consumer.note_removed(seqs, subject, work);
            work.spend(u64::from(passed % CONSUMERS_A_UNIT == 0));
            if work.is_over() {
                *after = Some(name.clone());
                return Err(LogError::Unfinished);
            }
        }
        Ok(())
    }

    /// Walks over subjects, and trims each to as many messages as `wanted` says.
    fn trim_some(
        &mut self,
        filters: &[Filter],
        walk: &mut Walk,
        (now, work): (Now, &mut Work),
        wanted: impl Fn(&[u8], u64) -> Option<u64>,
    ) -> Result<(), LogError> {
        loop {
            let mut found = None;
            let is_over = self.log.walk(filters, walk, work, &mut |known| {
                found = wanted(known.subject, known.messages).map(|keep| (known.subject.to_vec(), keep));
                found.is_none()
            });
            let has_found = found.is_some();
            if let Some((subject, keep)) = found {
                self.or_later(Chore::Trim { subject, keep }, now, work)?;
            }
            match (is_over, has_found) {
                (true, _) => return Ok(()),
                (false, false) => return Err(LogError::Unfinished),
                (false, true) => {}
            }
        }
    }

    fn limit_of_subject(&self) -> Option<u64> {
        u64::try_from(self.config.max_msgs_per_subject).ok().filter(|&limit| limit > 0)
    }

    fn remove_surplus(&mut self, work: &mut Work) -> Result<(), LogError> {
        let max_msgs = u64::try_from(self.config.max_msgs).unwrap_or(u64::MAX);
        let max_bytes = u64::try_from(self.config.max_bytes).unwrap_or(u64::MAX);
        if (max_msgs, max_bytes) == (u64::MAX, u64::MAX) {
            return Ok(());
        }
        loop {
            let state = self.log.state();
            let is_over = state.messages > max_msgs || state.bytes > max_bytes;
            if !is_over || state.messages == 0 {
                return Ok(());
            }
            if work.is_over() {
                return Err(LogError::Unfinished);
            }
            work.spend(1 + self.consumers.len() as u64 / CONSUMERS_A_UNIT);
            if !self.remove(state.first_seq, work)? {
                return Ok(());
            }
        }
    }

    /// Removes what the limits do not allow to stay, after a message was stored. What a turn is not enough for is a chore.
    pub(super) fn enforce(&mut self, subject: &[u8], work: &mut Work) -> Result<(), LogError> {
        if let Some(limit) = self.limit_of_subject()
            && self.log.messages_of(subject) > limit
        {
            match self.trim(subject, limit, work) {
                Err(LogError::Unfinished) => self.add_chore(Chore::Trim { subject: subject.to_vec(), keep: limit }),
                outcome => outcome?,
            }
        }
        match self.remove_surplus(work) {
            Err(LogError::Unfinished) => {
                self.add_chore(Chore::Limits);
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Does something, or leaves it as a chore if the turn is over.
    fn or_later(&mut self, mut chore: Chore, now: Now, work: &mut Work) -> Result<(), LogError> {
        match self.do_chore(&mut chore, now, work) {
            Err(LogError::Unfinished) => {
                self.add_chore(chore);
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Enforces every limit on every subject: after a change of the configuration, or a restart.
    pub(crate) fn enforce_all(&mut self) {
        if self.limit_of_subject().is_some() {
            self.add_chore(Chore::EachSubject(Walk::default()));
        }
        self.add_chore(Chore::Limits);
    }

    /// Removes everything below a sequence.
    pub(crate) fn remove_below(&mut self, first: u64, now: Now, work: &mut Work) -> Result<(), LogError> {
        self.or_later(Chore::Below(first), now, work)
    }

    /// Leaves the message that was just stored under this subject: with wildcards in it, of all subjects that they match.
    pub(super) fn roll_up(&mut self, subject: &[u8], now: Now, work: &mut Work) -> Result<(), LogError> {
        if let Ok(filter) = Filter::parse(subject)
            && !filter.is_literal()
        {
            self.remove_matching(filter, subject, now, work)?;
        }
        self.or_later(Chore::Trim { subject: subject.to_vec(), keep: 1 }, now, work)
    }

    /// A crash may have cut off a rollup: whoever asks again by the same id hears that it was stored, so it is done to its end. Nothing
    /// is stored behind such a message before the rollup is done.
    pub(crate) fn finish_rollup(&mut self) -> Result<(), LogError> {
        if !self.config.allow_rollup_hdrs || self.config.deny_purge {
            return Ok(());
        }
        let Some(message) = self.log.load(self.log.state().last_seq)? else { return Ok(()) };
        match Wishes::read(message.headers()).rollup(true) {
            Ok(Some(Rollup::All)) => self.add_chore(Chore::Below(message.seq())),
            Ok(Some(Rollup::Subject)) => {
                let subject = message.subject().to_vec();
                if let Some(filter) = Filter::parse(&subject).ok().filter(|filter| !filter.is_literal()) {
                    self.add_chore(Chore::Matching { filter, but: subject.clone(), walk: Walk::default() });
                }
                self.add_chore(Chore::Trim { subject, keep: 1 });
            }
            Ok(None) | Err(_) => {}
        }
        Ok(())
    }

    /// Removes the newest of a subject.
    pub(super) fn remove_last(&mut self, subject: &[u8], now: Now, work: &mut Work) -> Result<(), LogError> {
        self.or_later(Chore::Last(subject.to_vec()), now, work)
    }

    /// Removes everything that a filter takes, but for one subject.
    pub(crate) fn remove_matching(
        &mut self,
        filter: Filter,
        but: &[u8],
        now: Now,
        work: &mut Work,
    ) -> Result<(), LogError> {
        self.or_later(Chore::Matching { filter, but: but.to_vec(), walk: Walk::default() }, now, work)
    }

    /// A message was acknowledged by a consumer, or will never be: does anybody still need it?
    pub(crate) fn settle(&mut self, seq: u64) {
        if self.config.retention != Retention::Limits {
            self.add_chore(Chore::Settle(seq, None));
        }
    }

    fn settle_now(&mut self, seq: u64, after: &mut Option<Name>, work: &mut Work) -> Result<(), LogError> {
        work.spend(1);
        let is_done = match self.config.retention {
            Retention::Limits => false,
            Retention::WorkQueue => true,
            Retention::Interest => match self.log.subject_of(seq)? {
                Some(subject) => {
                    let consumers = self.consumers.range(behind(after));
                    !any(consumers, after, work, |consumer, work| consumer.needs(seq, subject, work))?
                        && !self.copiers.values().any(|copier| copier.needs(seq, subject))
                }
                None => false,
            },
        };
        if is_done {
            self.remove(seq, work)?;
        }
        Ok(())
    }

    /// Whether anybody needs a message, where only what is needed is kept. It is known once all were asked; of one of many, that is
    /// remembered until the others are known as well.
    pub(super) fn wants(&self, subject: &[u8], is_of_many: bool, work: &mut Work) -> Result<bool, LogError> {
        if self.config.retention != Retention::Interest {
            return Ok(true);
        }
        if let Some(known) = work.known().and_then(|progress| progress.wanted.get(subject).copied()) {
            return Ok(known);
        }
        let mut after = work.known().and_then(|progress| progress.asked.take());
        let consumers = self.consumers.range(behind(&after));
        let is_wanted = match any(consumers, &mut after, work, |consumer, work| consumer.wants(subject, work)) {
            Ok(is_wanted) => is_wanted || self.copiers.values().any(|copier| copier.takes(subject)),
            Err(error) => {
                work.progress().asked = after;
                return Err(error);
            }
        };
        if is_of_many {
            work.progress().wanted.insert(subject.to_vec(), is_wanted);
        }
        Ok(is_wanted)
    }

    /// A consumer is gone: with interest retention, the messages that only it needed go.
    pub(crate) fn settle_all(&mut self) {
        if self.config.retention == Retention::Interest {
            self.add_chore(Chore::SettleFrom(self.log.state().first_seq, None));
        }
    }

    fn settle_from(&mut self, next: &mut u64, after: &mut Option<Name>, work: &mut Work) -> Result<(), LogError> {
        while let Some(seq) = self.log.next_live(*next) {
            *next = seq;
            if work.is_over() {
                return Err(LogError::Unfinished);
            }
            self.settle_now(seq, after, work)?;
            (*next, *after) = (seq + 1, None);
        }
        Ok(())
    }

    /// A consumer that is not at its place, or whose messages have to be counted, is brought there.
    pub(crate) fn make_ready(&mut self, name: &Name) {
        if self.consumers.get(name).is_some_and(|consumer| !consumer.is_ready()) {
            self.add_chore(Chore::Ready(name.clone()));
        }
    }

    fn release_all(&mut self) {
        let holding = self.consumers.values().filter(|consumer| consumer.is_releasing());
        self.chores.0.extend(holding.map(|consumer| Chore::Release(consumer.name.clone())));
    }

    /// A consumer has something acknowledged; it may have more to forget than is done at once.
    pub(crate) fn acknowledged(&mut self, consumer: &Name, settled: Vec<u64>) {
        settled.into_iter().for_each(|seq| self.settle(seq));
        if self.consumers.get(consumer).is_some_and(Consumer::is_releasing) {
            self.add_chore(Chore::Release(consumer.clone()));
        }
    }

    fn release(&mut self, name: &Name, work: &mut Work) {
        let Some(consumer) = self.consumers.get_mut(name) else { return };
        let settled = consumer.release(work);
        let has_more = consumer.is_releasing();
        settled.into_iter().for_each(|seq| self.settle(seq));
        if has_more {
            // Behind what follows from these.
            self.add_chore(Chore::Release(name.clone()));
        }
    }
}

/// The names behind one, or all.
fn behind(after: &Option<Name>) -> (Bound<Name>, Bound<Name>) {
    (after.clone().map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
}

/// Asks consumers until one says yes; at the end of the turn `after` is the last that was asked.
fn any<'a>(
    consumers: impl Iterator<Item = (&'a Name, &'a Consumer)>,
    after: &mut Option<Name>,
    work: &mut Work,
    says: impl Fn(&Consumer, &mut Work) -> bool,
) -> Result<bool, LogError> {
    for (passed, (name, consumer)) in (1..).zip(consumers) {
        if says(consumer, work) {
            return Ok(true);
        }
        work.spend(u64::from(passed % CONSUMERS_A_UNIT == 0));
        if work.is_over() {
            *after = Some(name.clone());
            return Err(LogError::Unfinished);
        }
    }
    Ok(false)
}
