//! Which subjects a stream holds, how often, and where the first and last message of each lies.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use std::ops::ControlFlow;
use subject::Filter;

/// Number of a subject within its stream. Given out again once the subject is gone.
pub(crate) type SubjectNo = u32;

/// What is known of one subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubjectTotals {
    /// Messages stored under it.
    pub messages: u64,
    /// Sequence of the oldest, or a lower bound of it when [`SubjectTotals::first_is_exact`] is not set.
    pub first: u64,
    /// Sequence of the newest.
    pub last: u64,
    /// Whether `first` is the oldest live message and not just a bound.
    pub first_is_exact: bool,
    /// Whether `last` is the newest live message and not just a bound.
    pub last_is_exact: bool,
    pub(crate) last_size: u32,
    pub(crate) first_size: u32,
}

impl SubjectTotals {
    /// What the oldest message weighs, where that is known without looking.
    pub(crate) fn known_first_size(&self) -> Option<u32> {
        (self.first_is_exact && self.first_size > 0).then_some(self.first_size)
    }

    /// With one message left, an exact end is both ends.
    fn settle_the_only_one(&mut self) {
        if self.last_is_exact {
            (self.first, self.first_is_exact, self.first_size) = (self.last, true, self.last_size);
        } else if self.first_is_exact {
            (self.last, self.last_is_exact, self.last_size) = (self.first, true, self.first_size);
        }
    }
}

/// How far a walk over the subjects of a stream is: it is made in parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    numbering: u32,
    at: SubjectNo,
}

impl Walk {
    /// What it is as numbers.
    pub fn numbers(self) -> (u32, u32) {
        (self.numbering, self.at)
    }

    /// A walk that was numbers.
    pub fn of((numbering, at): (u32, u32)) -> Walk {
        Walk { numbering, at }
    }
}

/// Numbers that are kept although their subjects are gone.
const NUMBERS_KEPT: usize = 1024;

struct Entry {
    text: Box<[u8]>,
    totals: SubjectTotals,
}

/// The subjects of one stream.
pub(crate) struct Subjects {
    hasher: FixedState,
    table: HashTable<SubjectNo>,
    entries: Vec<Option<Entry>>,
    free: Vec<SubjectNo>,
    /// How often they were numbered anew.
    numbering: u32,
    /// Whether a walk has come by since a subject was added or went.
    is_walked: bool,
}

impl Subjects {
    /// `seed` keeps a publisher from choosing subjects that collide.
    pub(crate) fn new(seed: u64) -> Subjects {
        let (hasher, table) = (FixedState::with_seed(seed), HashTable::new());
        Subjects { hasher, table, entries: Vec::new(), free: Vec::new(), numbering: 0, is_walked: false }
    }

    /// Makes room for so many more.
    pub(crate) fn reserve(&mut self, count: usize) {
        self.entries.reserve_exact(count);
        let Subjects { hasher, table, entries, .. } = self;
        table.reserve(count, |&no| hasher.hash_one(text_of(entries, no).expect("the table names live entries")));
    }

    /// None any more. What they took is given away: giving it back takes long where there were many.
    pub(crate) fn clear(&mut self) -> impl Send + 'static {
        self.renumbered();
        let entries = std::mem::take(&mut self.entries);
        (std::mem::take(&mut self.table), entries, std::mem::take(&mut self.free))
    }

    fn renumbered(&mut self) {
        self.numbering = self.numbering.wrapping_add(1);
        self.is_walked = false;
    }

    /// Whether memory is held for many more subjects than there are. As long as nothing changes but that somebody walks over them,
    /// they keep their numbers.
    pub(crate) fn is_wasteful(&self) -> bool {
        !self.is_walked && self.entries.len() > NUMBERS_KEPT && self.table.len() < self.entries.len() / 4
    }

    /// Numbers the subjects anew and gives back what the others took. Gives the new number of each old one; of one that is
    /// gone, a number that no subject has.
    pub(crate) fn renumber(&mut self) -> Vec<SubjectNo> {
        self.renumbered();
        let mut numbers = vec![SubjectNo::MAX; self.entries.len()];
        let mut kept = Vec::with_capacity(self.table.len());
        for (number, entry) in numbers.iter_mut().zip(std::mem::take(&mut self.entries)) {
            if entry.is_some() {
                *number = kept.len() as SubjectNo;
                kept.push(entry);
            }
        }
        (self.table, self.entries, self.free) = (HashTable::with_capacity(kept.len()), kept, Vec::new());
        let Subjects { hasher, table, entries, .. } = self;
        let hash = |no: SubjectNo| hasher.hash_one(text_of(entries, no).expect("each is live"));
        (0..entries.len() as SubjectNo).for_each(|no| {
            table.insert_unique(hash(no), no, |&no| hash(no));
        });
        numbers
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    fn hash(&self, text: &[u8]) -> u64 {
        self.hasher.hash_one(text)
    }

    pub(crate) fn find(&self, text: &[u8]) -> Option<SubjectNo> {
        let entries = &self.entries;
        self.table.find(self.hash(text), |&no| text_of(entries, no) == Some(text)).copied()
    }

    pub(crate) fn text(&self, no: SubjectNo) -> Option<&[u8]> {
        text_of(&self.entries, no)
    }

    pub(crate) fn totals(&self, no: SubjectNo) -> Option<&SubjectTotals> {
        self.entries.get(no as usize)?.as_ref().map(|entry| &entry.totals)
    }

    pub(crate) fn totals_mut(&mut self, no: SubjectNo) -> Option<&mut SubjectTotals> {
        self.entries.get_mut(no as usize)?.as_mut().map(|entry| &mut entry.totals)
    }

    /// Counts one more message. Sequences come in ascending order but for blocks read out of order.
    pub(crate) fn add(&mut self, text: &[u8], seq: u64, size: u32) -> SubjectNo {
        if let Some(no) = self.find(text) {
            self.count(no, seq, size);
            return no;
        }
        let totals = SubjectTotals {
            messages: 1,
            first: seq,
            last: seq,
            first_is_exact: true,
            last_is_exact: true,
            last_size: size,
            first_size: size,
        };
        self.insert(text, totals)
    }

    /// The same for a subject that is known.
    pub(crate) fn count(&mut self, no: SubjectNo, seq: u64, size: u32) {
        let totals = self.totals_mut(no).expect("the table names live entries");
        totals.messages += 1;
        if seq < totals.first {
            (totals.first, totals.first_is_exact, totals.first_size) = (seq, true, size);
        }
        if seq >= totals.last {
            totals.last = seq;
            totals.last_size = size;
            totals.last_is_exact = true;
        }
    }

    /// Puts back a subject as it was when the stream was closed. One that is there stays as it is.
    pub(crate) fn restore(&mut self, text: &[u8], totals: SubjectTotals) {
        if totals.messages > 0 && self.find(text).is_none() {
            self.insert(text, totals);
        }
    }

    fn insert(&mut self, text: &[u8], totals: SubjectTotals) -> SubjectNo {
        self.is_walked = false;
        let entry = Entry { text: text.into(), totals };
        let no = match self.free.pop() {
            Some(no) => {
                self.entries[no as usize] = Some(entry);
                no
            }
            None => {
                self.entries.push(Some(entry));
                (self.entries.len() - 1) as SubjectNo
            }
        };
        let Subjects { hasher, table, entries, .. } = self;
        table.insert_unique(hasher.hash_one(text), no, |&no| {
            hasher.hash_one(text_of(entries, no).expect("the table names live entries"))
        });
        no
    }

    /// Counts one message less; a subject without messages is forgotten.
    pub(crate) fn remove(&mut self, no: SubjectNo, seq: u64) {
        let Some(totals) = self.totals_mut(no) else { return };
        totals.messages -= 1;
        if totals.messages > 0 {
            if seq == totals.first {
                // The next one may be anywhere up to the last.
                totals.first = seq + 1;
                totals.first_is_exact = false;
                totals.first_size = 0;
            } else if seq == totals.last {
                totals.last = seq - 1;
                totals.last_is_exact = false;
                totals.last_size = 0;
            }
            if totals.messages == 1 {
                totals.settle_the_only_one();
            }
            return;
        }
        self.is_walked = false;
        let entry = self.entries[no as usize].take().expect("checked above");
        if let Ok(slot) = self.table.find_entry(self.hasher.hash_one(&*entry.text), |&other| other == no) {
            slot.remove();
        }
        self.free.push(no);
    }

    /// Every subject, in no particular order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&[u8], &SubjectTotals)> {
        self.entries.iter().flatten().map(|entry| (&*entry.text, &entry.totals))
    }

    /// Walks on over the subjects that one of the filters takes, in no particular order; without filters, over all. Each is met
    /// once, if the filters are different ones. Each that is looked at costs so many looks, and when there are none left, or
    /// when `found` breaks off, the walk goes on later. Whether it is at its end.
    ///
    /// A walk lasts as long as the numbers of the subjects do: as no subject comes or goes meanwhile. Otherwise it may begin
    /// anew.
    pub(crate) fn walk(
        &mut self,
        filters: &[Filter],
        walk: &mut Walk,
        looks: &mut u64,
        mut found: impl FnMut(&[u8], &SubjectTotals) -> ControlFlow<()>,
    ) -> bool {
        let are_literal = !filters.is_empty() && filters.iter().all(Filter::is_literal);
        if walk.numbering != self.numbering && !are_literal {
            *walk = Walk { numbering: self.numbering, at: 0 };
        }
        self.is_walked = true;
        let (end, price) = if are_literal { (filters.len(), 1) } else { (self.entries.len(), price(filters)) };
        while (walk.at as usize) < end {
            if *looks == 0 {
                return false;
            }
            *looks = looks.saturating_sub(price);
            let at = walk.at as usize;
            walk.at += 1;
            let entry = match filters.get(at).filter(|_| are_literal) {
                Some(filter) => self.find(filter.as_bytes()).and_then(|no| self.entries.get(no as usize)),
                None => self.entries.get(at),
            };
            let Some(Some(entry)) = entry else { continue };
            let fits = are_literal || filters.is_empty() || fits(filters, &entry.text);
            if fits && found(&entry.text, &entry.totals).is_break() {
                return walk.at as usize >= end;
            }
        }
        true
    }
}

/// Filters that are compared for one look.
const FILTERS_A_LOOK: u64 = 4;

/// Looks that it costs to compare a subject with so many filters.
pub(crate) fn price(filters: &[Filter]) -> u64 {
    1 + filters.len() as u64 / FILTERS_A_LOOK
}

/// Whether one of the filters takes a stored subject.
pub(crate) fn fits(filters: &[Filter], text: &[u8]) -> bool {
    filters.iter().any(|filter| filter.matches_stored(text))
}

fn text_of(entries: &[Option<Entry>], no: SubjectNo) -> Option<&[u8]> {
    entries.get(no as usize)?.as_ref().map(|entry| &*entry.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_follow_what_is_added_and_removed() {
        let mut subjects = Subjects::new(1);
        let a = subjects.add(b"a", 1, 10);
        subjects.add(b"b", 2, 10);
        assert_eq!(subjects.add(b"a", 3, 11), a);
        subjects.add(b"a", 4, 12);
        subjects.remove(a, 1);
        let totals = *subjects.totals(a).expect("two are left");
        assert_eq!((totals.messages, totals.first, totals.last, totals.first_is_exact), (2, 2, 4, false));
        subjects.remove(a, 3);
        let totals = *subjects.totals(a).expect("one is left");
        assert_eq!((totals.first, totals.last, totals.first_is_exact), (4, 4, true));
        subjects.remove(a, 4);
        assert_eq!(subjects.find(b"a"), None);
        assert_eq!(subjects.len(), 1);
        assert_eq!(subjects.add(b"c", 5, 1), a, "the number is used again");
        assert_eq!(subjects.text(a), Some(&b"c"[..]));
    }

    #[test]
    fn subjects_that_are_gone_keep_no_memory() {
        let mut subjects = Subjects::new(1);
        let text = |seq: u64| format!("s.{seq}").into_bytes();
        let numbers: Vec<SubjectNo> = (0..10_000).map(|seq| subjects.add(&text(seq), seq, 1)).collect();
        let lasting = [17, 9_999];
        for seq in (0..10_000).filter(|seq| !lasting.contains(seq)) {
            subjects.remove(numbers[seq as usize], seq);
        }
        assert!(subjects.is_wasteful());
        let renumbered = subjects.renumber();
        assert_eq!((subjects.len(), subjects.entries.len(), subjects.free.len()), (2, 2, 0));
        assert!(subjects.table.capacity() < 16 && !subjects.is_wasteful());
        for seq in lasting {
            let no = renumbered[numbers[seq as usize] as usize];
            assert_eq!((subjects.find(&text(seq)), subjects.text(no)), (Some(no), Some(&*text(seq))));
        }
        assert_eq!(subjects.text(renumbered[0]), None);
    }

    fn found(subjects: &mut Subjects, filters: &[&str], at_once: u64) -> Vec<String> {
        let filters: Vec<Filter> =
            filters.iter().map(|text| Filter::parse(text.as_bytes()).expect("a filter")).collect();
        let (mut walk, mut found) = (Walk::default(), Vec::new());
        loop {
            let mut looks = at_once;
            let is_over = subjects.walk(&filters, &mut walk, &mut looks, |text, _| {
                found.push(String::from_utf8_lossy(text).into_owned());
                ControlFlow::Continue(())
            });
            if is_over {
                found.sort();
                return found;
            }
            assert_eq!(looks, 0, "it goes as far as it may");
        }
    }

    #[test]
    fn filters_find_their_subjects_once_however_small_the_parts() {
        let mut subjects = Subjects::new(1);
        for (seq, text) in [b"a.1", b"a.2", b"b.1"].iter().enumerate() {
            subjects.add(*text, seq as u64, 1);
        }
        for at_once in 1..6 {
            assert_eq!(found(&mut subjects, &["a.*"], at_once), ["a.1", "a.2"]);
            assert_eq!(found(&mut subjects, &["b.1"], at_once), ["b.1"]);
            assert_eq!(found(&mut subjects, &["b.1", "a.*", "a.1"], at_once), ["a.1", "a.2", "b.1"]);
            assert_eq!(found(&mut subjects, &["b.1", "c", "a.2"], at_once), ["a.2", "b.1"]);
            assert_eq!(found(&mut subjects, &[], at_once).len(), 3);
            assert!(found(&mut subjects, &["c"], at_once).is_empty());
        }
    }

    #[test]
    fn subjects_keep_their_numbers_while_somebody_walks() {
        let mut subjects = Subjects::new(1);
        let text = |seq: u64| format!("s.{seq}").into_bytes();
        let numbers: Vec<SubjectNo> = (0..10_000).map(|seq| subjects.add(&text(seq), seq, 1)).collect();
        (0..9_999).for_each(|seq| subjects.remove(numbers[seq as usize], seq));
        assert!(subjects.is_wasteful());
        let (mut walk, mut looks) = (Walk::default(), 100);
        assert!(!subjects.walk(&[], &mut walk, &mut looks, |_, _| ControlFlow::Continue(())));
        assert!(!subjects.is_wasteful());
        subjects.add(b"new", 10_000, 1);
        assert!(subjects.is_wasteful());
        subjects.renumber();
        let (mut met, mut looks) = (0, 100);
        let is_over = subjects.walk(&[], &mut walk, &mut looks, |_, _| {
            met += 1;
            ControlFlow::Continue(())
        });
        assert!(is_over && met == 2, "a walk over other numbers begins anew");
    }
}
