//! Which sequences of a block are gone.

use std::ops::Range;

/// A bitmap over the sequences of one block, grown as needed. A block spans at most [`MAX_SPAN`] sequences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Deleted {
    base: u64,
    bits: Vec<u64>,
    count: u64,
}

/// Sequences between the first and the last of one block, at most; beyond, the store begins another block. Keeps the
/// bitmap of a block below 512 KiB even where sequences were skipped.
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
        Some(((bit / 64) as usize, 1 << (bit % 64)))
    }

    pub(crate) fn contains(&self, seq: u64) -> bool {
        self.place(seq).is_some_and(|(word, mask)| self.bits.get(word).is_some_and(|bits| bits & mask != 0))
    }

    /// Whether it was not deleted before.
    pub(crate) fn insert(&mut self, seq: u64) -> bool {
        let Some((word, mask)) = self.place(seq) else { return false };
        if word >= self.bits.len() {
            self.bits.resize(word + 1, 0);
        }
        let fresh = self.bits[word] & mask == 0;
        self.bits[word] |= mask;
        self.count += u64::from(fresh);
        fresh
    }

    /// Deletes everything up to `last`.
    pub(crate) fn fill(&mut self, last: u64) {
        let Some(span) = (last + 1).checked_sub(self.base) else { return };
        self.bits = vec![u64::MAX; (span / 64) as usize];
        if !span.is_multiple_of(64) {
            self.bits.push((1 << (span % 64)) - 1);
        }
        self.count = span;
    }

    /// Takes these back.
    pub(crate) fn keep(&mut self, seqs: impl Iterator<Item = u64>) {
        for seq in seqs {
            let Some((word, mask)) = self.place(seq) else { continue };
            if let Some(bits) = self.bits.get_mut(word).filter(|bits| **bits & mask != 0) {
                *bits &= !mask;
                self.count -= 1;
            }
        }
    }

    /// Ascending, not touching.
    pub(crate) fn ranges(&self) -> Vec<Range<u64>> {
        let words = self.bits.iter().zip(0_u64..).filter(|(word, _)| **word != 0);
        let seqs = words.flat_map(|(&word, at)| {
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| self.base + at * 64 + bit)
        });
        ranges_of(seqs)
    }
}

/// Joins ascending numbers to ranges.
pub(crate) fn ranges_of(seqs: impl IntoIterator<Item = u64>) -> Vec<Range<u64>> {
    let mut out: Vec<Range<u64>> = Vec::new();
    for seq in seqs {
        match out.last_mut() {
            Some(last) if last.end == seq => last.end += 1,
            _ => out.push(seq..seq + 1),
        }
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
        assert!(deleted.contains(164) && !deleted.contains(166) && !deleted.contains(99) && !deleted.contains(9_999));
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
