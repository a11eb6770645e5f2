//! What lies under sequences that only grow: gaps cost nothing, and what is removed gives its place back.
//!
//! Sequences come in pages of [`PAGE`]. The page that is being filled is at hand, so that an append looks for nothing; the others
//! are in a tree. A page without anything live is dropped, and one that is less than half alive is packed, so that what is
//! held beyond what lives is at most one place for each live one, a node of the tree for each page, and one page.

use std::collections::BTreeMap;

/// Sequences of one page: as many as a mask has bits.
const PAGE: u64 = u64::BITS as u64;

#[derive(Debug)]
struct Page<T> {
    /// Which sequences have a place in `places`, the lowest first, and which of those are live.
    held: u64,
    live: u64,
    places: Vec<T>,
}

impl<T: Copy> Page<T> {
    fn place(&self, bit: u32) -> Option<usize> {
        let is_live = self.live >> bit & 1 == 1;
        is_live.then(|| (self.held & ((1 << bit) - 1)).count_ones() as usize)
    }

    fn get(&self, bit: u32) -> Option<&T> {
        self.places.get(self.place(bit)?)
    }

    fn push(&mut self, bit: u32, value: T) {
        self.held |= 1 << bit;
        self.live |= 1 << bit;
        self.places.push(value);
    }

    fn take(&mut self, bit: u32) -> Option<T> {
        let value = *self.get(bit)?;
        self.live &= !(1 << bit);
        Some(value)
    }

    fn is_mostly_dead(&self) -> bool {
        2 * (self.live.count_ones() as usize) < self.places.capacity()
    }

    /// Keeps no more than what is live.
    fn pack(&mut self) {
        let live = bits(self.live).filter_map(|bit| self.get(bit).copied());
        let mut places = Vec::with_capacity(self.live.count_ones() as usize);
        places.extend(live);
        (self.places, self.held) = (places, self.live);
    }
}

/// Values by sequence.
#[derive(Debug)]
pub(crate) struct Places<T> {
    /// By number, each with something live; all before `tail_no`.
    pages: BTreeMap<u64, Page<T>>,
    tail_no: u64,
    tail: Page<T>,
    /// Memory of a page that was dropped, for the next.
    spare: Vec<T>,
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        let tail = Page { held: 0, live: 0, places: Vec::new() };
        Places { pages: BTreeMap::new(), tail_no: 0, tail, spare: Vec::new() }
    }
}

impl<T: Copy> Places<T> {
    /// Puts a value at a sequence above all that ever had one.
    pub(crate) fn push(&mut self, seq: u64, value: T) {
        let (no, bit) = spot(seq);
        if no != self.tail_no {
            self.turn_to(no);
        }
        self.tail.push(bit, value);
    }

    /// Begins a page; the one before goes to the others.
    #[cold]
    fn turn_to(&mut self, no: u64) {
        debug_assert!(no > self.tail_no, "sequences only grow");
        let mut places = std::mem::take(&mut self.spare);
        if self.tail.live == 0 {
            std::mem::swap(&mut places, &mut self.tail.places);
        }
        places.clear();
        if self.tail_is_worn_in() {
            places.reserve_exact(PAGE as usize);
        }
        let mut old = std::mem::replace(&mut self.tail, Page { held: 0, live: 0, places });
        let old_no = std::mem::replace(&mut self.tail_no, no);
        if old.live == 0 {
            return;
        }
        if old.is_mostly_dead() {
            old.pack();
        }
        self.pages.insert(old_no, old);
    }

    /// Whether the next page will probably be filled, as this one was: a stream of a few messages keeps little.
    fn tail_is_worn_in(&self) -> bool {
        self.tail.held == u64::MAX
    }

    fn page(&self, no: u64) -> Option<&Page<T>> {
        if no == self.tail_no { Some(&self.tail) } else { self.pages.get(&no) }
    }

    pub(crate) fn get(&self, seq: u64) -> Option<&T> {
        let (no, bit) = spot(seq);
        self.page(no)?.get(bit)
    }

    pub(crate) fn get_mut(&mut self, seq: u64) -> Option<&mut T> {
        let (no, bit) = spot(seq);
        let page = if no == self.tail_no { &mut self.tail } else { self.pages.get_mut(&no)? };
        let place = page.place(bit)?;
        page.places.get_mut(place)
    }

    pub(crate) fn remove(&mut self, seq: u64) -> Option<T> {
        let (no, bit) = spot(seq);
        if no == self.tail_no {
            return self.tail.take(bit);
        }
        let page = self.pages.get_mut(&no)?;
        let value = page.take(bit)?;
        if page.live == 0 {
            self.spare = self.pages.remove(&no).map(|page| page.places).unwrap_or_default();
        } else if page.is_mostly_dead() {
            page.pack();
        }
        Some(value)
    }

    /// The first that is live.
    pub(crate) fn first(&self) -> Option<u64> {
        let (no, page) = self.pages.first_key_value().map_or((self.tail_no, &self.tail), |(&no, page)| (no, page));
        bits(page.live).next().map(|bit| no * PAGE + u64::from(bit))
    }

    /// What is live from a sequence on.
    pub(crate) fn from(&self, seq: u64) -> impl Iterator<Item = (u64, &T)> {
        let (first, bit) = spot(seq);
        let tail = (self.tail_no >= first).then_some((self.tail_no, &self.tail));
        let pages = self.pages.range(first..).map(|(&no, page)| (no, page)).chain(tail);
        pages.flat_map(move |(no, page)| {
            let mask = if no == first { u64::MAX << bit } else { u64::MAX };
            bits(page.live & mask).filter_map(move |bit| Some((no * PAGE + u64::from(bit), page.get(bit)?)))
        })
    }

    /// What is live up to a sequence, the newest first.
    pub(crate) fn down_from(&self, seq: u64) -> impl Iterator<Item = (u64, &T)> {
        let (last, bit) = spot(seq);
        let tail = (self.tail_no <= last).then_some((self.tail_no, &self.tail));
        let pages = tail.into_iter().chain(self.pages.range(..=last).rev().map(|(&no, page)| (no, page)));
        pages.flat_map(move |(no, page)| {
            let mask = if no == last { u64::MAX >> (PAGE as u32 - 1 - bit) } else { u64::MAX };
            bits_down(page.live & mask).filter_map(move |bit| Some((no * PAGE + u64::from(bit), page.get(bit)?)))
        })
    }

    /// How many are live from a sequence on, and where to go on; a page is a look.
    pub(crate) fn count_from(&self, seq: u64, looks: &mut u64) -> (u64, Option<u64>) {
        let (first, bit) = spot(seq);
        let tail = (self.tail_no >= first).then_some((self.tail_no, &self.tail));
        let pages = self.pages.range(first..).map(|(&no, page)| (no, page)).chain(tail);
        let mut count = 0;
        for (no, page) in pages {
            if *looks == 0 {
                return (count, Some((no * PAGE).max(seq)));
            }
            *looks -= 1;
            let mask = if no == first { u64::MAX << bit } else { u64::MAX };
            count += u64::from((page.live & mask).count_ones());
        }
        (count, None)
    }

    /// Pages and places for values that memory is held for.
    #[cfg(test)]
    pub(crate) fn held(&self) -> (usize, usize) {
        let places: usize = self.pages.values().map(|page| page.places.capacity()).sum();
        (self.pages.len() + 1, places + self.tail.places.capacity() + self.spare.capacity())
    }
}

fn spot(seq: u64) -> (u64, u32) {
    (seq / PAGE, (seq % PAGE) as u32)
}

/// The bits of a mask, the lowest first.
fn bits(mut mask: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (mask != 0).then(|| mask.trailing_zeros())?;
        mask &= mask - 1;
        Some(bit)
    })
}

/// The same, the highest first.
fn bits_down(mut mask: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = mask.checked_ilog2()?;
        mask &= !(1 << bit);
        Some(bit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At most what the documentation of the room says.
    fn assert_bounded(places: &Places<u64>, live: usize) {
        let (pages, held) = places.held();
        assert!(pages <= live + 1, "{pages} pages for {live} values");
        assert!(held <= 2 * live + 2 * PAGE as usize, "{held} places for {live} values");
    }

    #[test]
    fn a_gap_costs_nothing() {
        let mut places = Places::default();
        for seq in [1, 1 << 40, (1 << 40) + 1, u64::MAX - 1] {
            places.push(seq, seq);
        }
        assert_bounded(&places, 4);
        let all: Vec<u64> = places.from(0).map(|(seq, _)| seq).collect();
        assert_eq!(all, [1, 1 << 40, (1 << 40) + 1, u64::MAX - 1]);
    }

    #[test]
    fn a_million_overwrites_of_one_value_keep_a_bounded_number_of_places() {
        let mut places = Places::default();
        places.push(1, 1);
        for seq in 2..1_000_000 {
            places.push(seq, seq);
            if seq > 2 {
                assert_eq!(places.remove(seq - 1), Some(seq - 1));
            }
            if seq % 1_000 == 0 {
                assert_bounded(&places, 2);
            }
        }
        assert_bounded(&places, 2);
        assert_eq!(places.first(), Some(1));
    }

    #[test]
    fn it_says_the_same_as_a_tree() {
        for seed in 1..=40 {
            let (mut places, mut model, mut next) = (Places::default(), BTreeMap::new(), 1_u64);
            let mut dice = testkit::Dice(seed);
            let mut draw = |below: u64| dice.below(below);
            for step in 0..2_000_u64 {
                let seq = draw(next + 5);
                match draw(12) {
                    0..=5 => {
                        places.push(next, step);
                        model.insert(next, step);
                        next += 1;
                    }
                    6 => next += [1, 63, 64, 65, 1 << 40][draw(5) as usize] * u64::from(step % 9 == 0),
                    7 => assert_eq!(places.remove(seq), model.remove(&seq)),
                    8 => {
                        let Some(seq) = model.keys().nth(draw(model.len().max(1) as u64) as usize).copied() else {
                            continue;
                        };
                        assert_eq!(places.remove(seq), model.remove(&seq));
                        assert_eq!(places.remove(seq), None);
                    }
                    9 if step % 50 == 0 => {
                        while let Some(first) = places.first() {
                            assert_eq!(places.remove(first), model.remove(&first));
                        }
                    }
                    9 => {
                        let (is, should) = (places.get_mut(seq), model.get_mut(&seq));
                        assert_eq!(is, should);
                        if let (Some(is), Some(should)) = (is, should) {
                            (*is, *should) = (step, step);
                        }
                    }
                    10 => assert!(places.from(seq).eq(model.range(seq..).map(|(&seq, value)| (seq, value)))),
                    _ => assert!(places.down_from(seq).eq(model.range(..=seq).rev().map(|(&seq, value)| (seq, value)))),
                }
                assert_eq!(places.first(), model.keys().next().copied());
                assert_eq!(places.get(seq), model.get(&seq));
                assert_bounded(&places, model.len());
            }
        }
    }
}
