//! Which sequences of a block are gone.

use std::ops::Range;

/// Sequences of one page of the bitmap.
const PAGE: u64 = 4096;
const WORDS: usize = (PAGE / 64) as usize;

/// A page of the bitmap; where all or nothing is gone it takes no memory of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Page {
    #[default]
    Kept,
    Gone,
    Mixed(Box<[u64; WORDS]>),
}

impl Page {
    fn contains(&self, bit: u64) -> bool {
        match self {
            Page::Kept => false,
            Page::Gone => true,
            Page::Mixed(words) => words[(bit / 64) as usize] >> (bit % 64) & 1 == 1,
        }
    }

    /// How many of the first bits are set.
    fn count_below(&self, bits: u64) -> u64 {
        match self {
            Page::Kept => 0,
            Page::Gone => bits,
            Page::Mixed(words) => {
                let whole =
                    words.iter().take((bits / 64) as usize).map(|word| u64::from(word.count_ones())).sum::<u64>();
                let rest = words.get((bits / 64) as usize).map_or(0, |word| word & ((1 << (bits % 64)) - 1));
                whole + u64::from(rest.count_ones())
            }
        }
    }

    fn set(&mut self, bit: u64) {
        let mut words = match std::mem::take(self) {
            Page::Kept => Box::new([0; WORDS]),
            Page::Gone => Box::new([u64::MAX; WORDS]),
            Page::Mixed(words) => words,
        };
        let word = &mut words[(bit / 64) as usize];
        *word |= 1 << (bit % 64);
        let is_gone = *word == u64::MAX && words.iter().all(|&word| word == u64::MAX);
        *self = if is_gone { Page::Gone } else { Page::Mixed(words) };
    }

    fn unset(&mut self, bit: u64) {
        let mut words = match std::mem::take(self) {
            Page::Kept => return,
            Page::Gone => Box::new([u64::MAX; WORDS]),
            Page::Mixed(words) => words,
        };
        let word = &mut words[(bit / 64) as usize];
        *word &= !(1 << (bit % 64));
        let is_kept = *word == 0 && words.iter().all(|&word| word == 0);
        *self = if is_kept { Page::Kept } else { Page::Mixed(words) };
    }
}

/// A bitmap over the sequences of one block, grown as needed. A block spans at most [`MAX_SPAN`] sequences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Deleted {
    base: u64,
    pages: Vec<Page>,
    count: u64,
}

/// Sequences between the first and the last of one block, at most; beyond, the store begins another block. Keeps what is
/// held of a gap within a block below 16 KiB.
pub(crate) const MAX_SPAN: u64 = 1 << 22;

impl Deleted {
    pub(crate) fn new(base: u64) -> Deleted {
        Deleted { base, ..Deleted::default() }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    fn place(&self, seq: u64) -> Option<(usize, u64)> {
        let bit = seq.checked_sub(self.base).filter(|&bit| bit <= MAX_SPAN)?;
        Some(((bit / PAGE) as usize, bit % PAGE))
    }

    pub(crate) fn contains(&self, seq: u64) -> bool {
        self.place(seq).is_some_and(|(page, bit)| self.pages.get(page).is_some_and(|page| page.contains(bit)))
    }

    /// How many below `seq` are deleted.
    pub(crate) fn count_below(&self, seq: u64) -> u64 {
        let bits = seq.saturating_sub(self.base);
        let (whole, rest) = ((bits / PAGE) as usize, bits % PAGE);
        let before = self.pages.iter().take(whole).map(|page| page.count_below(PAGE)).sum::<u64>();
        before + self.pages.get(whole).map_or(0, |page| page.count_below(rest))
    }

    /// The first sequence from `seq` on that is not deleted.
    pub(crate) fn next_kept(&self, mut seq: u64) -> u64 {
        while let Some((page, bit)) = self.place(seq) {
            match self.pages.get(page) {
                Some(Page::Gone) => seq += PAGE - bit,
                Some(page) if page.contains(bit) => seq += 1,
                _ => break,
            }
        }
        seq
    }

    /// Whether it was not deleted before.
    pub(crate) fn insert(&mut self, seq: u64) -> bool {
        let Some((page, bit)) = self.place(seq) else { return false };
        if page >= self.pages.len() {
            self.pages.resize(page + 1, Page::Kept);
        }
        let fresh = !self.pages[page].contains(bit);
        if fresh {
            self.pages[page].set(bit);
            self.count += 1;
        }
        fresh
    }

    /// Deletes all of these.
    pub(crate) fn insert_range(&mut self, range: Range<u64>) {
        let mut seq = range.start.max(self.base);
        while seq < range.end {
            let Some((page, bit)) = self.place(seq) else { return };
            let is_whole = bit == 0 && seq + PAGE <= range.end && page >= self.pages.len();
            if is_whole && seq + PAGE - 1 - self.base <= MAX_SPAN {
                self.pages.resize(page, Page::Kept);
                self.pages.push(Page::Gone);
                self.count += PAGE;
                seq += PAGE;
            } else {
                self.insert(seq);
                seq += 1;
            }
        }
    }

    /// Deletes everything up to `last`.
    pub(crate) fn fill(&mut self, last: u64) {
        if last + 1 < self.base {
            return;
        }
        *self = Deleted::new(self.base);
        self.insert_range(self.base..last + 1);
    }

    /// Takes these back.
    pub(crate) fn keep(&mut self, seqs: impl Iterator<Item = u64>) {
        for seq in seqs {
            if self.contains(seq)
                && let Some((page, bit)) = self.place(seq)
                && let Some(page) = self.pages.get_mut(page)
            {
                page.unset(bit);
                self.count -= 1;
            }
        }
    }

    /// Ascending, not touching.
    pub(crate) fn ranges(&self) -> Vec<Range<u64>> {
        let mut out = Vec::new();
        for (page, start) in self.pages.iter().zip((self.base..).step_by(PAGE as usize)) {
            match page {
                Page::Kept => {}
                Page::Gone => join(&mut out, start..start + PAGE),
                Page::Mixed(_) => {
                    let gone = (0..PAGE).filter(|&bit| page.contains(bit));
                    gone.for_each(|bit| join(&mut out, start + bit..start + bit + 1));
                }
            }
        }
        out
    }
}

/// Appends a range that begins no earlier than the last one ends.
fn join(out: &mut Vec<Range<u64>>, range: Range<u64>) {
    match out.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => out.push(range),
    }
}

/// Joins ascending numbers to ranges.
pub(crate) fn ranges_of(seqs: impl IntoIterator<Item = u64>) -> Vec<Range<u64>> {
    let mut out: Vec<Range<u64>> = Vec::new();
    for seq in seqs {
        join(&mut out, seq..seq + 1);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inserted_comes_back_as_ranges() {
        let mut deleted = Deleted::new(100);
        for seq in [100, 163, 164, 165, 300] {
            assert!(deleted.insert(seq));
            assert!(!deleted.insert(seq));
        }
        assert_eq!(deleted.ranges(), [100..101, 163..166, 300..301]);
        assert_eq!(deleted.count(), 5);
        let below = [0, 100, 101, 163, 164, 165, 166, 300, 301, 9_999].map(|seq| deleted.count_below(seq));
        assert_eq!(below, [0, 0, 1, 1, 2, 3, 4, 4, 5, 5]);
        assert!(deleted.contains(164) && !deleted.contains(166) && !deleted.contains(99) && !deleted.contains(9_999));
    }

    #[test]
    fn a_gap_keeps_little_memory() {
        let mut deleted = Deleted::new(100);
        let last = 100 + MAX_SPAN;
        deleted.insert_range(101..last);
        assert_eq!(deleted.count(), MAX_SPAN - 1);
        assert_eq!(
            (deleted.count_below(101), deleted.count_below(5_000), deleted.count_below(last)),
            (0, 4_899, MAX_SPAN - 1)
        );
        assert_eq!(deleted.ranges(), std::slice::from_ref(&(101..last)));
        let mixed = |deleted: &Deleted| deleted.pages.iter().filter(|page| matches!(page, Page::Mixed(_))).count();
        assert!(mixed(&deleted) <= 2 && size_of::<Page>() * deleted.pages.capacity() <= 32 * 1024);
        assert_eq!((deleted.next_kept(100), deleted.next_kept(101), deleted.next_kept(last)), (100, last, last));
        deleted.keep([5_000_u64, 5_000, 99, last].into_iter());
        assert_eq!(deleted.ranges(), [101..5_000, 5_001..last]);
        assert_eq!(deleted.next_kept(101), 5_000);
        assert!(deleted.insert(5_000) && mixed(&deleted) <= 2);
    }

    #[test]
    fn everything_can_go_at_once() {
        for last in [99, 100, 163, 164, 227, 228] {
            let mut deleted = Deleted::new(100);
            deleted.insert(100);
            deleted.fill(last);
            let expected: Vec<Range<u64>> = (last >= 100).then(|| 100..last + 1).into_iter().collect();
            assert_eq!(deleted.ranges(), expected, "{last}");
        }
    }

    #[test]
    fn sequences_outside_the_block_are_not_taken() {
        let mut deleted = Deleted::new(100);
        assert!(!deleted.insert(99));
        assert!(!deleted.insert(100 + MAX_SPAN + 1));
        assert!(deleted.ranges().is_empty());
    }
}
