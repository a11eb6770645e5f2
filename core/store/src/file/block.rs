//! What a stream knows of one of its blocks.

use crate::contents::End;
use crate::deleted::Deleted;
use crate::header::DATA_START;
use crate::index::{BlockFile, Entry};
use crate::record::BlockFacts;
use crate::subjects::SubjectNo;
use std::ops::Range;

/// One block, open or not.
pub(super) struct Block {
    pub(super) generation: u64,
    /// First and last sequence written into it; `last + 1 == first` without any. Each in between is live or deleted.
    pub(super) first: u64,
    pub(super) last: u64,
    /// End of the last record.
    pub(super) len: u64,
    pub(super) bytes: u64,
    pub(super) deleted: Deleted,
    /// Stretches of the file in which nothing opens, found earlier.
    pub(super) holes: Vec<Range<u64>>,
    /// Live messages by sequence. `None` until needed.
    pub(super) entries: Option<Vec<Entry>>,
    pub(super) file: Option<BlockFile>,
    /// What ends its table of contents, as far as it was looked for.
    pub(super) end: Option<End>,
    /// Its messages were taken from its table.
    pub(super) is_listed: bool,
    /// All of it was read, or written, since the stream was opened.
    pub(super) was_read: bool,
    /// When the index was used last, in ticks of [`FileStream::clock`].
    pub(super) used: u64,
}

impl Block {
    pub(super) fn new(generation: u64, first: u64) -> Block {
        Block {
            generation,
            first,
            last: first - 1,
            len: 0,
            bytes: 0,
            deleted: Deleted::new(first),
            holes: Vec::new(),
            entries: Some(Vec::new()),
            file: None,
            end: None,
            is_listed: false,
            was_read: false,
            used: 0,
        }
    }

    /// Whether damage in it may not have been noticed because only its table was read.
    pub(super) fn owes_reading(&self) -> bool {
        self.is_listed && !self.was_read
    }

    /// Bytes of its records, without its table as far as that is known.
    pub(super) fn record_bytes(&self) -> u64 {
        self.end.map_or(self.len, |end| end.start).saturating_sub(DATA_START)
    }

    pub(super) fn messages(&self) -> u64 {
        self.last + 1 - self.first - self.deleted.count()
    }

    /// The next message has this sequence: what was skipped before it is deleted. Records bear their sequences and their
    /// places, so that a gap between two sound ones can only be a skip.
    pub(super) fn pass_over_to(&mut self, seq: u64) {
        if self.last < self.first {
            self.first = seq;
            self.deleted = Deleted::new(seq);
        }
        self.deleted.insert_range(self.last.max(self.first.saturating_sub(1)) + 1..seq);
    }

    /// The subjects have other numbers now: the new one of each old.
    pub(super) fn renumber(&mut self, numbers: &[SubjectNo]) {
        for entry in self.entries.iter_mut().flatten() {
            let number = numbers.get(entry.subject as usize).copied();
            *entry = entry.of_subject(number.unwrap_or(SubjectNo::MAX));
        }
    }

    pub(super) fn holds(&self, seq: u64) -> bool {
        (self.first..=self.last).contains(&seq)
    }

    pub(super) fn is_live(&self, seq: u64) -> bool {
        self.holds(seq) && !self.deleted.contains(seq)
    }

    /// Remembers a stretch in which nothing opens. Whether it was not known; what lies behind the end of the block was torn
    /// when it was written and is nobody's.
    pub(super) fn note_hole(&mut self, stretch: Range<u64>) -> bool {
        let is_known = self.holes.iter().any(|hole| hole.start <= stretch.start && stretch.end <= hole.end);
        if is_known || stretch.start >= self.len {
            return false;
        }
        let mut whole = stretch;
        self.holes.retain(|hole| {
            let is_apart = hole.end < whole.start || whole.end < hole.start;
            if !is_apart {
                whole = hole.start.min(whole.start)..hole.end.max(whole.end);
            }
            is_apart
        });
        self.holes.push(whole);
        self.holes.sort_by_key(|hole| hole.start);
        true
    }

    pub(super) fn facts(&self) -> BlockFacts {
        BlockFacts {
            generation: self.generation,
            len: self.len,
            first: self.first,
            last: self.last,
            deleted: self.deleted.ranges(),
            holes: self.holes.clone(),
        }
    }

    /// The sequence of an indexed message.
    pub(super) fn seq_of(&self, entry: Entry) -> u64 {
        self.first + u64::from(entry.delta)
    }

    pub(super) fn entry(&self, seq: u64) -> Option<Entry> {
        let delta = seq.checked_sub(self.first)?;
        self.entries_from(seq).first().filter(|entry| u64::from(entry.delta) == delta).copied()
    }

    /// What is indexed from a sequence on. Where nothing is missing an entry stands in the place of its sequence.
    pub(super) fn entries_from(&self, seq: u64) -> &[Entry] {
        let entries = self.entries.as_deref().unwrap_or_default();
        let delta = seq.saturating_sub(self.first);
        let place = usize::try_from(delta).unwrap_or(usize::MAX);
        let start = match entries.get(place) {
            Some(entry) if u64::from(entry.delta) == delta => place,
            _ => entries.partition_point(|entry| u64::from(entry.delta) < delta),
        };
        &entries[start..]
    }
}
