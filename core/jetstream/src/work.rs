//! How much may be done in a turn.
//!
//! One thread serves all accounts, so that each has its turns, and a turn has a bound: in units of work, not in time. What takes more
//! than is left of a turn is put off and goes on in the next one; meanwhile nothing else is done for its account, so that whatever
//! was found out stays true.

use crate::consumer::Consumer;
use crate::log::Walk;
use crate::search::{Lasts, LastsThen, Listing, Newest, Tally};
use crate::stream_config::StreamRules;
use crate::tenant::Read;
use api::{Name, StreamConfig};
use std::collections::BTreeMap;
use subject::Filter;

/// A message that came costs so many units, beside what it has looked at.
pub const MESSAGE_UNITS: u64 = 8;
/// A request to the API costs so many more.
pub const REQUEST_UNITS: u64 = 24;
/// A log that something is to be written to in this round costs so many: the disk is waited for.
pub const DISK_UNITS: u64 = 128;
/// A log that is made on the disk costs so many: a directory is synced.
pub(crate) const MADE_UNITS: u64 = 4096;
/// So many bytes that are sent cost a unit.
pub const BYTES_A_UNIT: u64 = 256;

/// What is left of a turn, and how far the message at hand is.
#[derive(Default)]
pub struct Work {
    left: u64,
    done: u64,
    /// What was to be changed for the message is changed.
    has_changed: bool,
    /// Most messages need none.
    progress: Option<Box<Progress>>,
}

/// How far a message is that one turn was not enough for. It is handled again from the beginning, and goes on by what is written
/// here. Empty for a message that was not handled yet.
#[derive(Default)]
pub(crate) struct Progress {
    /// The newest messages by filters.
    pub newest: BTreeMap<Filter, Newest>,
    /// Where a search goes on.
    pub at: Option<u64>,
    /// By what chance decides about it: the same each time.
    pub chance: Option<u32>,
    /// A walk over the subjects of a stream.
    pub walk: Option<Walk>,
    /// A count.
    pub tally: Option<Tally>,
    /// The last messages of subjects, and those as of an earlier moment.
    pub lasts: Option<Lasts>,
    pub lasts_then: Option<LastsThen>,
    /// Subjects of a stream with their counts, and how far that is.
    pub subjects: Option<Listing>,
    /// Sequences that are gone.
    pub deleted: Gone,
    /// A configuration that makes sense by itself.
    pub checked: Option<Box<(StreamConfig, StreamRules)>>,
    /// A direct read, as it was understood.
    pub read: Option<Box<Read>>,
    /// A consumer that is not among the others yet.
    pub making: Option<Box<Consumer>>,
    /// Whether messages of these subjects are needed, and the last consumer that was asked that of the next subject.
    pub wanted: BTreeMap<Vec<u8>, bool>,
    pub asked: Option<Name>,
    /// Messages there were before some went.
    pub before: Option<u64>,
    /// What follows from it could not be done, and why.
    pub failed: Option<String>,
}

/// A list of sequences that are gone.
#[derive(Default)]
pub(crate) struct Gone {
    /// They, as JSON, and how many they are.
    pub text: Vec<u8>,
    pub count: usize,
    /// Where it goes on.
    pub at: u64,
    pub is_over: bool,
}

impl Work {
    /// A turn of so many units.
    pub fn turn(units: u64) -> Work {
        Work { left: units, ..Work::default() }
    }

    /// No bound: at a start, where nobody waits.
    pub fn unbounded() -> Work {
        Work::turn(u64::MAX)
    }

    /// The next turn begins.
    pub fn begin(&mut self, units: u64) {
        (self.left, self.done) = (units, 0);
    }

    /// The message at hand is done with.
    pub(crate) fn finish(&mut self) {
        self.has_changed = false;
        if self.progress.is_some() {
            self.progress = None;
        }
    }

    /// What is to be changed for the message at hand is changed now. Whether it was not before, in an earlier turn.
    pub(crate) fn note_change(&mut self) -> bool {
        !std::mem::replace(&mut self.has_changed, true)
    }

    /// How far the message at hand is.
    pub(crate) fn progress(&mut self) -> &mut Progress {
        self.progress.get_or_insert_default()
    }

    /// The same, if it was written down.
    pub(crate) fn known(&mut self) -> Option<&mut Progress> {
        self.progress.as_deref_mut()
    }

    /// Whether nothing is left of the turn.
    pub fn is_over(&self) -> bool {
        self.left == 0
    }

    /// Units that were done in this turn.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Something was done. What is more than was left is a debt that whoever gives the turns knows of.
    pub fn spend(&mut self, units: u64) {
        self.left = self.left.saturating_sub(units);
        self.done = self.done.saturating_add(units);
    }

    /// Keeps half of what is left for something else.
    pub(crate) fn keep_half(&mut self) -> u64 {
        let half = self.left / 2;
        self.left -= half;
        half
    }

    /// Gives it back.
    pub(crate) fn give_back(&mut self, kept: u64) {
        self.left = self.left.saturating_add(kept);
    }

    /// Lends what is left, to be counted down.
    pub fn lend<T>(&mut self, work: impl FnOnce(&mut u64) -> T) -> T {
        self.lend_some(u64::MAX, work)
    }

    /// Lends no more than so much of it.
    pub fn lend_some<T>(&mut self, most: u64, work: impl FnOnce(&mut u64) -> T) -> T {
        let lent = self.left.min(most);
        let mut left = lent;
        let outcome = work(&mut left);
        self.spend(lent - left.min(lent));
        outcome
    }
}
