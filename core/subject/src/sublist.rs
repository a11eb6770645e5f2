//! Things kept under filters, found by subject.
//!
//! Literal filters, which are nearly all of them in a busy server, lie in one flat table: finding them costs one hash.
//! Filters with wildcards lie in a trie of tokens. Both hash with a seed that the owner brings, so that a peer cannot
//! prepare collisions.

mod node;
mod tips;

use std::fmt;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::algebra::tokens;
use crate::filter::Filter;
use node::Node;
use tips::Tips;

/// A multimap from filter to `T`.
pub struct Sublist<T> {
    literal: HashTable<(Filter, Tips<T>)>,
    wild: Node<T>,
    len: usize,
    wild_len: usize,
    hasher: FixedState,
}

impl<T> Sublist<T> {
    /// An empty list. The seed should be the same for a process and unknown to its peers.
    pub fn with_seed(seed: u64) -> Self {
        Self {
            literal: HashTable::new(),
            wild: Node::default(),
            len: 0,
            wild_len: 0,
            hasher: FixedState::with_seed(seed),
        }
    }

    /// How many things are kept.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Bytes that the table of literal filters takes, with the filters' texts, without what the things point at.
    pub fn table_bytes(&self) -> usize {
        // A text is shared with whoever inserted it; it is counted here as if it were not.
        let texts: usize =
            self.literal.iter().map(|(filter, _)| filter.as_bytes().len() + 2 * size_of::<usize>()).sum();
        self.literal.allocation_size() + texts
    }

    /// Whether nothing is kept.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many things are kept under filters with wildcards.
    pub const fn wildcard_len(&self) -> usize {
        self.wild_len
    }

    /// Keeps `value` under the filter, beside what is there already.
    pub fn insert(&mut self, filter: &Filter, value: T) {
        self.len += 1;
        if !filter.is_literal() {
            self.wild_len += 1;
            return self.wild.tips_mut(filter.as_bytes(), &self.hasher).push(value);
        }
        let hash = self.hasher.hash_one(filter.as_bytes());
        let same = |kept: &(Filter, Tips<T>)| kept.0 == *filter;
        match self.literal.entry(hash, same, |kept| self.hasher.hash_one(kept.0.as_bytes())) {
            hashbrown::hash_table::Entry::Occupied(mut kept) => kept.get_mut().1.push(value),
            hashbrown::hash_table::Entry::Vacant(place) => {
                place.insert((filter.clone(), Tips::One(value)));
            }
        }
    }

    /// Takes out the first thing under exactly this filter that `wanted` agrees to.
    pub fn remove(&mut self, filter: &Filter, mut wanted: impl FnMut(&T) -> bool) -> Option<T> {
        let removed = if filter.is_literal() {
            self.remove_literal(filter, &mut wanted)?
        } else {
            let removed = self.wild.remove(filter.as_bytes(), &self.hasher, &mut wanted)?;
            self.wild_len -= 1;
            removed
        };
        self.len -= 1;
        Some(removed)
    }

    fn remove_literal(&mut self, filter: &Filter, wanted: &mut impl FnMut(&T) -> bool) -> Option<T> {
        let hash = self.hasher.hash_one(filter.as_bytes());
        let mut kept = self.literal.find_entry(hash, |kept| kept.0 == *filter).ok()?;
        let removed = kept.get_mut().1.remove(wanted)?;
        if kept.get().1.is_empty() {
            kept.remove();
            self.shrink();
        }
        Some(removed)
    }

    /// A table that was once large and is nearly empty now gives its memory back.
    fn shrink(&mut self) {
        if self.literal.capacity() > 1024 && self.literal.len() < self.literal.capacity() / 8 {
            self.literal.shrink_to(self.literal.len() * 2, |kept| self.hasher.hash_one(kept.0.as_bytes()));
        }
    }

    /// Calls `found` with everything whose filter matches the subject. A subject with an empty token matches nothing.
    #[inline]
    pub fn matches(&self, subject: &[u8], found: &mut impl FnMut(&T)) {
        if let Some(kept) = self.literal.find(self.hasher.hash_one(subject), |kept| *kept.0.as_bytes() == *subject) {
            kept.1.for_each(found);
        }
        if self.wild_len > 0 && tokens(subject).all(|token| !token.is_empty()) {
            self.wild.matches(Some(subject), &self.hasher, found);
        }
    }

    /// Whether any filter matches the subject.
    pub fn has_match(&self, subject: &[u8]) -> bool {
        let mut any = false;
        self.matches(subject, &mut |_| any = true);
        any
    }

    /// Calls `found` with everything kept under exactly this filter.
    pub fn exact(&self, filter: &Filter, found: &mut impl FnMut(&T)) {
        if !filter.is_literal() {
            return self.wild.exact(Some(filter.as_bytes()), &self.hasher, found);
        }
        let hash = self.hasher.hash_one(filter.as_bytes());
        if let Some(kept) = self.literal.find(hash, |kept| kept.0 == *filter) {
            kept.1.for_each(found);
        }
    }

    /// Calls `found` with everything whose filter overlaps the given one: what could receive a subject of it.
    ///
    /// A filter with wildcards looks at every literal filter of the list.
    pub fn reverse_matches(&self, filter: &Filter, found: &mut impl FnMut(&T)) {
        if filter.is_literal() {
            return self.matches(filter.as_bytes(), found);
        }
        for (kept, tips) in &self.literal {
            if filter.overlaps(kept) {
                tips.for_each(found);
            }
        }
        self.wild.overlaps(Some(filter.as_bytes()), &self.hasher, found);
    }

    /// Calls `found` with everything whose filter covers the given one: what allows all of its subjects at once.
    pub fn covering(&self, filter: &Filter, found: &mut impl FnMut(&T)) {
        if filter.is_literal() {
            return self.matches(filter.as_bytes(), found);
        }
        self.wild.covering(Some(filter.as_bytes()), &self.hasher, found);
    }

    /// Calls `found` with everything, in no particular order.
    pub fn for_each(&self, found: &mut impl FnMut(&T)) {
        for (_, tips) in &self.literal {
            tips.for_each(found);
        }
        self.wild.for_each(found);
    }
}

impl<T> fmt::Debug for Sublist<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sublist({} things, {} under wildcards)", self.len, self.wild_len)
    }
}
