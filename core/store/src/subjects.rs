//! Which subjects a stream holds, how often, and where the first and last message of each lies.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use subject::{Filter, Subject};

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
}

impl Subjects {
    /// `seed` keeps a publisher from choosing subjects that collide.
    pub(crate) fn new(seed: u64) -> Subjects {
        Subjects { hasher: FixedState::with_seed(seed), table: HashTable::new(), entries: Vec::new(), free: Vec::new() }
    }

    /// Makes room for so many more.
    pub(crate) fn reserve(&mut self, count: usize) {
        self.entries.reserve_exact(count);
        let Subjects { hasher, table, entries, .. } = self;
        table.reserve(count, |&no| hasher.hash_one(text_of(entries, no).expect("the table names live entries")));
    }

    pub(crate) fn clear(&mut self) {
        (self.table, self.entries, self.free) = (HashTable::new(), Vec::new(), Vec::new());
    }

    /// Whether memory is held for many more subjects than there are.
    pub(crate) fn is_wasteful(&self) -> bool {
        self.entries.len() > NUMBERS_KEPT && self.table.len() < self.entries.len() / 4
    }

    /// Numbers the subjects anew and gives back what the others took. Gives the new number of each old one; of one that is
    /// gone, a number that no subject has.
    pub(crate) fn renumber(&mut self) -> Vec<SubjectNo> {
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

    /// The subject that matches with the newest message, as far as its totals say. Subjects that came last are looked at first,
    /// and where an older message would not count the text is not looked at.
    pub(crate) fn newest(&self, filter: &Filter) -> Option<(&[u8], &SubjectTotals)> {
        let mut best: Option<&Entry> = None;
        for entry in self.entries.iter().rev().flatten() {
            if best.is_none_or(|best| entry.totals.last > best.totals.last) && matches(filter, &entry.text) {
                best = Some(entry);
            }
        }
        best.map(|entry| (&*entry.text, &entry.totals))
    }

    /// Every subject that matches, in no particular order.
    pub(crate) fn matching<'a>(
        &'a self,
        filter: &'a Filter,
    ) -> Box<dyn Iterator<Item = (&'a [u8], &'a SubjectTotals)> + 'a> {
        if filter.is_literal() {
            let no = self.find(filter.as_bytes());
            let found = no.and_then(|no| self.entries.get(no as usize)?.as_ref());
            return Box::new(found.into_iter().map(|entry| (&*entry.text, &entry.totals)));
        }
        let all = self.entries.iter().flatten();
        Box::new(all.filter(|entry| matches(filter, &entry.text)).map(|entry| (&*entry.text, &entry.totals)))
    }
}

/// Whether a filter takes a stored subject.
pub(crate) fn matches(filter: &Filter, text: &[u8]) -> bool {
    Subject::parse(text).is_ok_and(|subject| filter.matches(subject))
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

    #[test]
    fn a_filter_finds_its_subjects() {
        let mut subjects = Subjects::new(1);
        for (seq, text) in [b"a.1", b"a.2", b"b.1"].iter().enumerate() {
            subjects.add(*text, seq as u64, 1);
        }
        let found = |filter: &[u8]| {
            let filter = Filter::parse(filter).expect("a filter");
            let mut found: Vec<Vec<u8>> = subjects.matching(&filter).map(|(text, _)| text.to_vec()).collect();
            found.sort();
            found
        };
        assert_eq!(found(b"a.*"), [b"a.1", b"a.2"]);
        assert_eq!(found(b"b.1"), [b"b.1"]);
        assert!(found(b"c").is_empty());
    }
}
