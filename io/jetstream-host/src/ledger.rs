//! What all streams of all accounts weigh, and what they may.

use std::sync::atomic::{AtomicI64, Ordering};

/// Bytes that all accounts together may store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// In memory.
    pub memory: u64,
    /// In files.
    pub store: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { memory: u64::MAX, store: u64::MAX }
    }
}

/// Kept by the streams themselves as they grow and shrink, so that asking costs nothing.
#[derive(Debug)]
pub struct Ledger {
    memory: AtomicI64,
    store: AtomicI64,
    bounds: Bounds,
}

impl Ledger {
    pub(crate) fn new(bounds: Bounds) -> Ledger {
        Ledger { memory: AtomicI64::new(0), store: AtomicI64::new(0), bounds }
    }

    fn of(&self, on_disk: bool) -> &AtomicI64 {
        if on_disk { &self.store } else { &self.memory }
    }

    /// A stream weighs something else than before.
    pub(crate) fn weigh(&self, on_disk: bool, before: u64, now: u64) {
        self.of(on_disk).fetch_add(signed(now) - signed(before), Ordering::Relaxed);
    }

    /// Bytes stored.
    pub fn used(&self, on_disk: bool) -> u64 {
        u64::try_from(self.of(on_disk).load(Ordering::Relaxed)).unwrap_or(0)
    }

    pub(crate) fn bound(&self, on_disk: bool) -> u64 {
        if on_disk { self.bounds.store } else { self.bounds.memory }
    }

    /// Bytes that may still be stored; negative when there is too much.
    pub(crate) fn room(&self, on_disk: bool) -> i64 {
        signed(self.bound(on_disk)).saturating_sub(signed(self.used(on_disk)))
    }
}

/// No disk has more.
pub(crate) fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
