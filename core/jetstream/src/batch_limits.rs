//! How many batches may be open, of a stream and of the whole server, and how large and how slow they may be.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What the configuration says; where it says nothing, each kind of batch has its own bound.
#[derive(Clone, Debug, Default)]
pub struct BatchLimits {
    /// Batches of one stream that are open at the same time.
    pub per_stream: Option<NonZeroUsize>,
    /// Batches of the server that are open at the same time.
    pub total: Option<NonZeroUsize>,
    /// Messages of one atomic batch.
    pub messages: Option<NonZeroUsize>,
    /// A batch that nothing is added to is given up after this.
    pub timeout: Option<Duration>,
    /// Batches that are open, of all accounts that share this.
    pub open: OpenBatches,
}

/// Counts of open batches, shared by everybody who has a clone.
#[derive(Clone, Debug, Default)]
pub struct OpenBatches {
    atomic: Arc<AtomicUsize>,
    fast: Arc<AtomicUsize>,
}

/// Batches of one kind: what holds where the configuration says nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Defaults {
    pub per_stream: usize,
    pub total: usize,
}

/// The place of one open batch; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Slot(Arc<AtomicUsize>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl BatchLimits {
    /// A place for one more atomic batch of a stream that has so many. `None`: there is none.
    pub(crate) fn take_atomic(&self, of_stream: usize, defaults: Defaults) -> Option<Slot> {
        self.take(&self.open.atomic, of_stream, defaults)
    }

    /// The same for a fast batch.
    pub(crate) fn take_fast(&self, of_stream: usize, defaults: Defaults) -> Option<Slot> {
        self.take(&self.open.fast, of_stream, defaults)
    }

    fn take(&self, open: &Arc<AtomicUsize>, of_stream: usize, defaults: Defaults) -> Option<Slot> {
        let bound = |said: Option<NonZeroUsize>, default| said.map_or(default, NonZeroUsize::get);
        if of_stream >= bound(self.per_stream, defaults.per_stream) {
            return None;
        }
        let total = bound(self.total, defaults.total);
        let taken = open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| (open < total).then_some(open + 1));
        taken.is_ok().then(|| Slot(open.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_it_is_dropped() {
        let limits = BatchLimits { total: NonZeroUsize::new(2), ..BatchLimits::default() };
        let elsewhere = limits.clone();
        let defaults = Defaults { per_stream: 5, total: 9 };
        let one = limits.take_atomic(0, defaults).expect("the first");
        let _two = elsewhere.take_atomic(0, defaults).expect("the second");
        assert!(limits.take_atomic(0, defaults).is_none(), "of all accounts together");
        assert!(limits.take_fast(0, defaults).is_some(), "the other kind has places of its own");
        drop(one);
        assert!(limits.take_atomic(5, defaults).is_none(), "of one stream");
        assert!(limits.take_atomic(4, defaults).is_some());
    }
}
