//! So many in a second, and no more.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Counts within whole seconds. Shared by workers: the second stands in the upper half of one number, what was taken in it in
/// the lower.
pub(super) struct Quota {
    per_second_max: u64,
    begun: Instant,
    counted: AtomicU64,
}

impl Quota {
    pub(super) fn new(per_second_max: usize, begun: Instant) -> Self {
        let per_second_max = u64::try_from(per_second_max).unwrap_or(u64::MAX).min(u64::from(u32::MAX));
        Self { per_second_max, begun, counted: AtomicU64::new(0) }
    }

    /// Whether one more may be taken now.
    pub(super) fn takes(&self, now: Instant) -> bool {
        let second = now.saturating_duration_since(self.begun).as_secs() & u64::from(u32::MAX);
        let next = |counted: u64| {
            let (then, taken) = (counted >> 32, counted & u64::from(u32::MAX));
            let taken = if then == second { taken } else { 0 };
            (taken < self.per_second_max).then_some(second << 32 | (taken + 1))
        };
        self.counted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_second_has_its_own_number() {
        let begun = Instant::now();
        let quota = Quota::new(3, begun);
        let taken = |at: Duration| (0..10).filter(|_| quota.takes(begun + at)).count();
        assert_eq!(taken(Duration::ZERO), 3);
        assert_eq!(taken(Duration::from_millis(999)), 0);
        assert_eq!(taken(Duration::from_secs(1)), 3);
        assert_eq!(taken(Duration::from_secs(100)), 3);
    }
}
