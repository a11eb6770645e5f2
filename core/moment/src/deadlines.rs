//! Everything one connection waits for, in one small table.

use crate::Instant;
use std::marker::PhantomData;

/// A kind of deadline: a small enum whose variants number from zero without gaps.
pub trait Deadline: Copy + 'static {
    /// Every variant, in the order of its index.
    const ALL: &'static [Self];
    /// The place in the table.
    fn index(self) -> usize;
}

/// A fixed table of deadlines, at most one of each kind. `N` is the number of kinds.
#[derive(Clone, Debug)]
pub struct Deadlines<K, const N: usize> {
    at: [Instant; N],
    kind: PhantomData<K>,
}

impl<K: Deadline, const N: usize> Default for Deadlines<K, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Deadline, const N: usize> Deadlines<K, N> {
    /// A table in which nothing is due.
    pub const fn new() -> Self {
        const { assert!(K::ALL.len() == N, "the table has one place for each kind") };
        Deadlines { at: [Instant::NEVER; N], kind: PhantomData }
    }

    /// Sets or moves a deadline.
    pub fn set(&mut self, kind: K, at: Instant) {
        self.at[kind.index()] = at;
    }

    /// Forgets a deadline.
    pub fn clear(&mut self, kind: K) {
        self.at[kind.index()] = Instant::NEVER;
    }

    /// Forgets all of them.
    pub fn clear_all(&mut self) {
        self.at = [Instant::NEVER; N];
    }

    /// When this kind is due, if it is set.
    pub fn get(&self, kind: K) -> Option<Instant> {
        some(self.at[kind.index()])
    }

    /// When to come back: the earliest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.at.iter().copied().min().and_then(some)
    }

    /// Takes the earliest deadline that is due at `now`. Call until it answers `None`.
    pub fn take_expired(&mut self, now: Instant) -> Option<K> {
        let due = K::ALL.iter().copied().min_by_key(|kind| self.at[kind.index()])?;
        let at = self.get(due)?;
        if at > now {
            return None;
        }
        self.clear(due);
        Some(due)
    }
}

fn some(at: Instant) -> Option<Instant> {
    (at != Instant::NEVER).then_some(at)
}
