//! Messages that go on request.

use super::Stream;
use super::chores::Chore;
use crate::log::{Found, Log, LogError, Walk};
use crate::outbox::Now;
use crate::work::Work;
use api::requests::Purge;
use subject::Filter;

/// The oldest of what a filter takes go, until so many are left.
#[derive(Debug)]
pub(super) struct Surplus {
    filter: [Filter; 1],
    keep: u64,
    walk: Walk,
    /// What was counted: the subjects, the last of them, and their messages.
    subjects: u64,
    last: Vec<u8>,
    total: u64,
    is_counted: bool,
    at: u64,
}

impl<L: Log> Stream<L> {
    /// Removes messages on request. Gives how many went.
    pub(crate) fn purge(&mut self, request: &Purge, now: Now, work: &mut Work) -> Result<u64, LogError> {
        let before = *work.progress().before.get_or_insert(self.log.state().messages);
        if work.note_change()
            && let Some(chore) = purging(request)
        {
            self.add_chore(chore);
        }
        self.do_chores(now, work)?;
        // What an earlier turn could not do is not tried again in this one.
        if let Some(why) = work.progress().failed.take() {
            return Err(LogError::Failed(why));
        }
        Ok(before.saturating_sub(self.log.state().messages))
    }

    /// Removes the oldest until so many are left.
    pub(super) fn keep_newest(&mut self, keep: u64, work: &mut Work) -> Result<(), LogError> {
        loop {
            let state = self.log.state();
            if state.messages <= keep {
                return Ok(());
            }
            if work.is_over() {
                return Err(LogError::Unfinished);
            }
            work.spend(1);
            if !self.remove(state.first_seq, work)? {
                return Ok(());
            }
        }
    }

    /// Removes what a filter takes below a sequence, from one on.
    pub(super) fn remove_matching_below(
        &mut self,
        filter: &[Filter],
        (at, below): (&mut u64, u64),
        work: &mut Work,
    ) -> Result<(), LogError> {
        while *at < below {
            let found = self.log.look(filter, *at, work)?;
            let seq = match found {
                Found::Message(message) if message.seq < below => message.seq,
                Found::Message(_) | Found::NothingBefore(_) => return Ok(()),
                Found::Unfinished(seq) => {
                    *at = seq;
                    return Err(LogError::Unfinished);
                }
            };
            self.remove(seq, work)?;
            *at = seq + 1;
        }
        Ok(())
    }

    pub(super) fn remove_oldest(&mut self, surplus: &mut Surplus, work: &mut Work) -> Result<(), LogError> {
        if !surplus.is_counted {
            let Surplus { filter, walk, subjects, last, total, .. } = surplus;
            surplus.is_counted = self.log.walk(filter, walk, work, &mut |known| {
                *subjects += 1;
                *total += known.messages;
                known.subject.clone_into(last);
                true
            });
            if !surplus.is_counted {
                return Err(LogError::Unfinished);
            }
        }
        if surplus.subjects == 1 {
            return self.trim(&surplus.last, surplus.keep, work);
        }
        // With several subjects the newest of all of them together stay.
        while surplus.total > surplus.keep {
            let seq = match self.log.look(&surplus.filter, surplus.at, work)? {
                Found::Message(message) => message.seq,
                Found::NothingBefore(_) => return Ok(()),
                Found::Unfinished(seq) => {
                    surplus.at = seq;
                    return Err(LogError::Unfinished);
                }
            };
            self.remove(seq, work)?;
            (surplus.at, surplus.total) = (seq + 1, surplus.total - 1);
        }
        Ok(())
    }
}

/// What is to be done for a request; nothing if no subject can be meant.
fn purging(request: &Purge) -> Option<Chore> {
    let Purge { filter, seq, keep, .. } = request;
    if filter.is_empty() || filter == ">" {
        return Some(match (*seq, *keep) {
            (0, 0) => Chore::Below(u64::MAX),
            (0, keep) => Chore::Newest(keep),
            (seq, _) => Chore::Below(seq),
        });
    }
    let filter = Filter::parse(filter.as_bytes()).ok()?;
    Some(match (*seq, *keep) {
        (0, 0) => Chore::Matching { filter, but: Vec::new(), walk: Walk::default() },
        (0, keep) => Chore::Surplus(Box::new(Surplus {
            filter: [filter],
            keep,
            walk: Walk::default(),
            subjects: 0,
            last: Vec::new(),
            total: 0,
            is_counted: false,
            at: 1,
        })),
        (below, _) => Chore::MatchingBelow { filter: [filter], at: 1, below },
    })
}
