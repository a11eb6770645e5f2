//! Searches that may look at every message or subject of a stream, in as many parts as it takes.

use crate::log::{Down, Found, Log, LogError, Walk};
use crate::work::Work;
use std::collections::{BTreeMap, BTreeSet};
use subject::Filter;

/// Messages that are looked at from the newest on before the subjects are: what is asked for mostly came a short while ago.
const DOWN_LOOKS: u64 = 512;

/// A search for the newest message that one of the filters takes.
#[derive(Debug, Default)]
pub(crate) struct Newest {
    has_looked_down: bool,
    is_over: bool,
    walk: Walk,
    best: u64,
    /// A subject whose newest message is not known to be the one that its totals say.
    unsettled: Option<Vec<u8>>,
}

impl Newest {
    /// Goes on; the sequence at the end, if there is such a message. Asked once more it says the same.
    pub(crate) fn go_on<L: Log>(
        &mut self,
        filters: &[Filter],
        log: &mut L,
        work: &mut Work,
    ) -> Result<Option<u64>, LogError> {
        if let [only] = filters {
            if only.is_literal() {
                return log.last_of(only.as_bytes(), work);
            }
            if !self.has_looked_down {
                self.has_looked_down = true;
                match log.look_down(only, DOWN_LOOKS, work) {
                    Down::Found(seq) => (self.best, self.is_over) = (seq, true),
                    Down::End => self.is_over = true,
                    Down::Stopped => {}
                }
            }
        }
        while !self.is_over || self.unsettled.is_some() {
            if let Some(subject) = &self.unsettled {
                self.best = log.last_of(subject, work)?.map_or(self.best, |seq| seq.max(self.best));
                self.unsettled = None;
                continue;
            }
            let Newest { walk, best, unsettled, .. } = self;
            self.is_over = log.walk(filters, walk, work, &mut |known| {
                match known.is_exact {
                    _ if known.last <= *best => {}
                    true => *best = known.last,
                    false => *unsettled = Some(known.subject.to_vec()),
                }
                unsettled.is_none()
            });
            if !self.is_over && self.unsettled.is_none() {
                return Err(LogError::Unfinished);
            }
        }
        Ok(Some(self.best).filter(|&best| best > 0))
    }
}

/// A search for the last message of each subject that one of the filters takes.
#[derive(Debug)]
pub(crate) struct Lasts {
    /// Those that were found, in order.
    pub found: BTreeSet<u64>,
    /// Older ones do not count.
    from: u64,
    /// With more than so many it ends.
    most: usize,
    is_over: bool,
    walk: Walk,
    unsettled: Option<Vec<u8>>,
}

impl Lasts {
    pub(crate) fn new(from: u64, most: usize) -> Lasts {
        Lasts { found: BTreeSet::new(), from, most, is_over: false, walk: Walk::default(), unsettled: None }
    }

    /// Goes on, among subjects that are seen, until all were found or more than there may be.
    pub(crate) fn go_on<L: Log>(
        &mut self,
        filters: &[Filter],
        log: &mut L,
        sees: &dyn Fn(&[u8]) -> bool,
        work: &mut Work,
    ) -> Result<(), LogError> {
        while self.found.len() <= self.most && (!self.is_over || self.unsettled.is_some()) {
            let Lasts { found, from, most, walk, unsettled, .. } = self;
            if let Some(subject) = unsettled {
                found.extend(log.last_of(subject, work)?.filter(|seq| seq >= from));
                *unsettled = None;
                continue;
            }
            self.is_over = log.walk(filters, walk, work, &mut |known| {
                match known.is_exact {
                    _ if known.last < *from || !sees(known.subject) => {}
                    true => {
                        found.insert(known.last);
                    }
                    false => *unsettled = Some(known.subject.to_vec()),
                }
                unsettled.is_none() && found.len() <= *most
            });
            if !self.is_over && self.unsettled.is_none() && self.found.len() <= self.most {
                return Err(LogError::Unfinished);
            }
        }
        Ok(())
    }
}

/// The same as of an earlier moment: every message up to it is looked at.
#[derive(Debug)]
pub(crate) struct LastsThen {
    pub found: BTreeMap<Vec<u8>, u64>,
    at: u64,
    most: usize,
}

impl LastsThen {
    pub(crate) fn new(from: u64, most: usize) -> LastsThen {
        LastsThen { found: BTreeMap::new(), at: from.max(1), most }
    }

    /// Goes on until all were found up to a sequence, or more than there may be.
    pub(crate) fn go_on<L: Log>(
        &mut self,
        filters: &[Filter],
        up_to: u64,
        log: &mut L,
        sees: &dyn Fn(&[u8]) -> bool,
        work: &mut Work,
    ) -> Result<(), LogError> {
        while self.found.len() <= self.most {
            match log.look(filters, self.at, work)? {
                Found::Message(message) if message.seq <= up_to => {
                    self.at = message.seq + 1;
                    if let Some(seq) = self.found.get_mut(message.subject) {
                        *seq = message.seq;
                    } else if sees(message.subject) {
                        self.found.insert(message.subject.to_vec(), message.seq);
                    }
                }
                Found::Unfinished(at) if at <= up_to => {
                    self.at = at;
                    return Err(LogError::Unfinished);
                }
                Found::Message(_) | Found::NothingBefore(_) | Found::Unfinished(_) => break,
            }
        }
        Ok(())
    }
}

/// A count of messages.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tally {
    /// By the totals of the subjects.
    Subjects { walk: Walk, sum: u64 },
    /// From a message on.
    Messages { at: u64, sum: u64 },
}

impl Tally {
    /// Counts from a sequence on, by what is less: the subjects, if all messages are meant, or the messages.
    pub(crate) fn from<L: Log>(at: u64, (filters, but): (&[Filter], &[Filter]), log: &L) -> Tally {
        match at <= log.state().first_seq && !(filters.is_empty() && but.is_empty()) {
            true => Tally::Subjects { walk: Walk::default(), sum: 0 },
            false => Tally::Messages { at, sum: 0 },
        }
    }

    /// Goes on: how many one of the filters takes, or all, and none of the others does.
    pub(crate) fn go_on<L: Log>(
        &mut self,
        (filters, but): (&[Filter], &[Filter]),
        log: &mut L,
        work: &mut Work,
    ) -> Result<u64, LogError> {
        match self {
            Tally::Subjects { walk, sum } => {
                let is_over = log.walk(filters, walk, work, &mut |known| {
                    let is_meant = but.is_empty() || !crate::subjects_match(but, known.subject);
                    *sum += if is_meant { known.messages } else { 0 };
                    true
                });
                if is_over { Ok(*sum) } else { Err(LogError::Unfinished) }
            }
            Tally::Messages { at, sum } => {
                let (some, next) = log.count((filters, but), *at, work)?;
                (*at, *sum) = (next, *sum + some);
                if next > log.state().last_seq { Ok(*sum) } else { Err(LogError::Unfinished) }
            }
        }
    }
}

/// The subjects of a stream with their counts, in order, of which a page is shown.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    walk: Walk,
    is_over: bool,
    /// Those that are not on the page yet.
    rest: BTreeMap<Vec<u8>, u64>,
    /// How many there are, and how many of them come before the page.
    pub total: u64,
    passed: u64,
    /// Those on the page, as JSON.
    pub page: Vec<u8>,
    shown: usize,
}

impl Listing {
    /// Goes on: finds them all, and then takes those from `offset` on, no more than `limit`.
    pub(crate) fn go_on<L: Log>(
        &mut self,
        filters: &[Filter],
        (offset, limit): (u64, usize),
        log: &mut L,
        sees: &dyn Fn(&[u8]) -> bool,
        work: &mut Work,
    ) -> Result<(), LogError> {
        if !self.is_over {
            let Listing { walk, rest, .. } = self;
            self.is_over = log.walk(filters, walk, work, &mut |known| {
                if sees(known.subject) {
                    rest.insert(known.subject.to_vec(), known.messages);
                }
                true
            });
            if !self.is_over {
                return Err(LogError::Unfinished);
            }
            self.total = self.rest.len() as u64;
        }
        while let Some((subject, messages)) = self.rest.pop_first() {
            work.spend(1);
            self.passed += 1;
            if self.passed > offset && self.shown < limit {
                self.shown += 1;
                api::json::put_count(&mut self.page, &String::from_utf8_lossy(&subject), messages);
            }
            if work.is_over() && !self.rest.is_empty() {
                return Err(LogError::Unfinished);
            }
        }
        Ok(())
    }
}
