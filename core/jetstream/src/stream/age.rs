//! What goes because of its age, and the markers that stay in its place.

use super::take::Origin;
use super::{Incoming, Stream};
use crate::log::{Found, Log, LogError, Stored};
use crate::outbox::{Now, Outbox};
use crate::publish::{Lifetime, MARKER, ROLLUP, TTL, Wishes};
use moment::{GoDuration, Instant, Timestamp};
use std::collections::BTreeSet;
use std::time::Duration;

/// Messages expired at a time; the rest has to wait for the next tick, so that nobody waits for a flood.
const EXPIRE_AT_ONCE: usize = 10_000;
/// Messages looked at in one step of the walk after a restart.
const WALK_AT_ONCE: usize = 4_096;

/// What a stream knows about the lives of its messages.
#[derive(Debug, Default)]
pub(super) struct Ages {
    /// Lives that messages have of their own.
    due: BTreeSet<(Timestamp, u64)>,
    /// The next message whose age counts: all before are gone or stay for ever.
    cursor: u64,
    /// When that one is too old, as far as it is known.
    oldest: Option<Instant>,
    /// Lives and schedules are in the headers of the messages. After a restart they are read from here on, a part at a
    /// time, so that the start does not wait for it.
    walk: Option<u64>,
}

impl<L: Log> Stream<L> {
    /// Lives and schedules of messages stored before the restart have to be looked up.
    pub(super) fn begin_walk(&mut self) {
        if (self.config.allow_msg_ttl || self.config.allow_msg_schedules) && self.log.state().messages > 0 {
            self.ages.walk = Some(self.log.state().first_seq);
        }
    }

    pub(super) fn forget_ages(&mut self) {
        self.ages.cursor = 0;
        self.ages.oldest = None;
    }

    /// A message was stored.
    pub(super) fn note_lifetime(&mut self, seq: u64, lifetime: Option<Lifetime>, time: Timestamp, now: Now) {
        if let Some(Lifetime::For(life)) = lifetime.filter(|_| self.config.allow_msg_ttl) {
            self.ages.due.insert((time + life, seq));
        }
        if self.config.max_age > 0 && self.ages.oldest.is_none() {
            self.ages.oldest = Some(now.tick + Duration::from_nanos(self.config.max_age as u64));
        }
    }

    /// When something is due by its age or its schedule, as far as that is known.
    pub fn expiry(&self, now: Now) -> Option<Instant> {
        let at = |moment: Timestamp| now.tick + moment.since(now.wall);
        let lives = self.ages.due.first().map(|(due, _)| at(*due));
        let walk = self.ages.walk.map(|_| now.tick);
        [self.ages.oldest, lives, walk, self.agenda.next().map(at)].into_iter().flatten().min()
    }

    /// Removes messages that are too old, and produces what schedules want.
    pub fn expire(&mut self, now: Now, chance: u32, out: &mut Outbox) -> Result<(), LogError> {
        self.walk(now)?;
        let aged = self.expire_oldest(now, chance, out)?;
        let lived = self.expire_lives(now, chance, out)?;
        if aged + lived > 0 {
            self.note_removals();
        }
        self.run_agenda(now, chance, out)
    }

    fn walk(&mut self, now: Now) -> Result<(), LogError> {
        let Some(mut at) = self.ages.walk else { return Ok(()) };
        for _ in 0..WALK_AT_ONCE {
            let Found::Message(message) = self.log.next(&[], at)? else {
                self.ages.walk = None;
                return Ok(());
            };
            at = message.seq() + 1;
            let wishes = Wishes::read(message.headers());
            if let Ok(Some(Lifetime::For(life))) = wishes.lifetime() {
                self.ages.due.insert((message.time() + life, message.seq()));
            }
            if let Ok(Some(schedule)) = wishes.schedule()
                && let Some(next) = schedule.next(message.time(), now.wall)
            {
                self.agenda.add(message.subject(), message.seq(), next);
            }
        }
        self.ages.walk = Some(at);
        Ok(())
    }

    fn expire_oldest(&mut self, now: Now, chance: u32, out: &mut Outbox) -> Result<usize, LogError> {
        let is_due = self.ages.oldest.is_none_or(|at| at <= now.tick);
        if self.config.max_age <= 0 || !is_due {
            return Ok(0);
        }
        let max_age = Duration::from_nanos(self.config.max_age as u64);
        let (mut removed, mut looked) = (0, 0);
        self.ages.oldest = None;
        while let Found::Message(oldest) = self.log.next(&[], self.ages.cursor.max(self.log.state().first_seq))? {
            let age = now.wall.since(oldest.time());
            if age < max_age {
                self.ages.oldest = Some(now.tick + (max_age - age));
                break;
            }
            if looked >= EXPIRE_AT_ONCE {
                self.ages.oldest = Some(now.tick);
                break;
            }
            looked += 1;
            self.ages.cursor = oldest.seq() + 1;
            if matches!(Wishes::read(oldest.headers()).lifetime(), Ok(Some(Lifetime::Forever))) {
                continue;
            }
            self.remove_or_mark(&oldest, now, chance, out)?;
            removed += 1;
        }
        Ok(removed)
    }

    fn expire_lives(&mut self, now: Now, chance: u32, out: &mut Outbox) -> Result<usize, LogError> {
        let mut removed = 0;
        while removed < EXPIRE_AT_ONCE
            && let Some(&(due, seq)) = self.ages.due.first().filter(|(due, _)| *due <= now.wall)
        {
            self.ages.due.remove(&(due, seq));
            if let Some(message) = self.log.load(seq)? {
                self.remove_or_mark(&message, now, chance, out)?;
                removed += 1;
            } else if self.log.is_live(seq) {
                // It is there and can not be read yet, because the disk is slow.
                self.ages.due.insert((now.wall + Duration::from_secs(1), seq));
            }
        }
        Ok(removed)
    }

    /// The last message of a subject leaves a marker, if the stream wants that.
    fn remove_or_mark(
        &mut self,
        message: &L::Message,
        now: Now,
        chance: u32,
        out: &mut Outbox,
    ) -> Result<(), LogError> {
        let stays = self.config.subject_delete_marker_ttl / 1_000_000_000 * 1_000_000_000;
        let is_marker = Wishes::read(message.headers()).marker.is_some();
        if stays > 0 && !is_marker && self.log.messages_of(message.subject()) == 1 {
            let life = GoDuration(stays);
            let headers = format!("NATS/1.0\r\n{MARKER}: MaxAge\r\n{TTL}: {life}\r\n{ROLLUP}: sub\r\n\r\n");
            let marker =
                Incoming { subject: message.subject(), reply: None, headers: headers.as_bytes(), payload: b"" };
            if self.take(&marker, Origin::Server, now, chance, out).is_ok() {
                return Ok(());
            }
        }
        self.log.remove(message.seq()).map(|_| ())
    }
}
