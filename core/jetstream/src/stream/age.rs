//! What goes because of its age, and the markers that stay in its place.

use super::{Incoming, Stream};
use crate::log::{Found, Log, LogError, Stored};
use crate::outbox::{Now, Outbox};
use crate::publish::{Lifetime, MARKER, ROLLUP, TTL, Wishes};
use crate::work::{MESSAGE_UNITS, Work};
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
    pub(super) fn expire(&mut self, at: (Now, u32), work: &mut Work, out: &mut Outbox) -> Result<(), LogError> {
        self.walk(at.0, work)?;
        self.expire_oldest(at, work, out)?;
        self.expire_lives(at, work, out)?;
        self.run_agenda(at, work, out)
    }

    /// Whether nothing more is to be done now: the turn is over, or something comes first.
    pub(super) fn must_wait(&self, work: &Work) -> bool {
        work.is_over() || self.has_chores()
    }

    fn walk(&mut self, now: Now, work: &mut Work) -> Result<(), LogError> {
        let Some(mut at) = self.ages.walk else { return Ok(()) };
        for _ in 0..WALK_AT_ONCE {
            let message = match self.log.next(&[], at, work)? {
                Found::Message(message) => message,
                Found::Unfinished(seq) => {
                    at = seq;
                    break;
                }
                Found::NothingBefore(_) => {
                    self.ages.walk = None;
                    return Ok(());
                }
            };
            work.spend(MESSAGE_UNITS);
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

    fn expire_oldest(&mut self, at: (Now, u32), work: &mut Work, out: &mut Outbox) -> Result<(), LogError> {
        let now = at.0;
        let is_due = self.ages.oldest.is_none_or(|at| at <= now.tick);
        if self.config.max_age <= 0 || !is_due {
            return Ok(());
        }
        let max_age = Duration::from_nanos(self.config.max_age as u64);
        let mut looked = 0;
        self.ages.oldest = None;
        loop {
            if looked >= EXPIRE_AT_ONCE || self.must_wait(work) {
                self.ages.oldest = Some(now.tick);
                return Ok(());
            }
            let oldest = match self.log.next(&[], self.ages.cursor.max(self.log.state().first_seq), work)? {
                Found::Message(oldest) => oldest,
                Found::NothingBefore(_) => return Ok(()),
                Found::Unfinished(_) => continue,
            };
            let age = now.wall.since(oldest.time());
            if age < max_age {
                self.ages.oldest = Some(now.tick + (max_age - age));
                return Ok(());
            }
            work.spend(MESSAGE_UNITS);
            looked += 1;
            self.ages.cursor = oldest.seq() + 1;
            if !matches!(Wishes::read(oldest.headers()).lifetime(), Ok(Some(Lifetime::Forever))) {
                self.remove_or_mark(&oldest, at, work, out)?;
            }
        }
    }

    fn expire_lives(&mut self, at: (Now, u32), work: &mut Work, out: &mut Outbox) -> Result<(), LogError> {
        let (now, mut removed) = (at.0, 0);
        while removed < EXPIRE_AT_ONCE
            && !self.must_wait(work)
            && let Some(&(due, seq)) = self.ages.due.first().filter(|(due, _)| *due <= now.wall)
        {
            self.ages.due.remove(&(due, seq));
            work.spend(MESSAGE_UNITS);
            if let Some(message) = self.log.load(seq)? {
                self.remove_or_mark(&message, at, work, out)?;
                removed += 1;
            } else if self.log.is_live(seq) {
                // It is there and can not be read yet, because the disk is slow.
                self.ages.due.insert((now.wall + Duration::from_secs(1), seq));
            }
        }
        Ok(())
    }

    /// The last message of a subject leaves a marker, if the stream wants that.
    fn remove_or_mark(
        &mut self,
        message: &L::Message,
        at: (Now, u32),
        work: &mut Work,
        out: &mut Outbox,
    ) -> Result<(), LogError> {
        let stays = self.config.subject_delete_marker_ttl / 1_000_000_000 * 1_000_000_000;
        let is_marker = Wishes::read(message.headers()).marker.is_some();
        if stays > 0 && !is_marker && self.log.messages_of(message.subject()) == 1 {
            let life = GoDuration(stays);
            let headers = format!("NATS/1.0\r\n{MARKER}: MaxAge\r\n{TTL}: {life}\r\n{ROLLUP}: sub\r\n\r\n");
            let marker =
                Incoming { subject: message.subject(), reply: None, headers: headers.as_bytes(), payload: b"" };
            if self.take_at_once(&marker, at, work, out).is_ok() {
                return Ok(());
            }
        }
        self.remove(message.seq(), work).map(drop)
    }
}
