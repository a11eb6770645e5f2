//! How much may come in per second: of one user, of one account.

use std::num::NonZeroU64;
use std::time::Duration;

/// A burst that nobody wrote down is what this time allows.
const BURST_DEFAULT: Duration = Duration::from_millis(100);

/// A burst is at least what this time allows: whoever waits is looked at about as often, and what it may do meanwhile
/// would be lost to it.
const BURST_MIN: Duration = Duration::from_millis(50);

/// So many per second, and so many at once after a time of silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    per_second: NonZeroU64,
    burst: NonZeroU64,
}

impl Rate {
    /// So many per second. Without a burst, what a tenth of a second allows; a shorter one than a twentieth is taken as
    /// that, and one is the least.
    pub fn new(per_second: NonZeroU64, burst: Option<NonZeroU64>) -> Self {
        let least = worth(per_second, BURST_MIN);
        let burst = burst.map_or_else(|| worth(per_second, BURST_DEFAULT), |burst| burst.max(least));
        Self { per_second, burst }
    }

    /// So many per second.
    pub const fn per_second(self) -> NonZeroU64 {
        self.per_second
    }

    /// So many at once.
    pub const fn burst(self) -> NonZeroU64 {
        self.burst
    }

    /// So many in this time, at least one.
    pub fn in_time(self, time: Duration) -> NonZeroU64 {
        worth(self.per_second, time)
    }

    /// So many whole ones in this time.
    pub fn whole_in(self, time: Duration) -> u64 {
        count(self.per_second, time)
    }

    /// How long so many take.
    pub fn time_for(self, count: u64) -> Duration {
        let nanos = u128::from(count) * 1_000_000_000 / u128::from(self.per_second.get());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

fn worth(per_second: NonZeroU64, time: Duration) -> NonZeroU64 {
    NonZeroU64::new(count(per_second, time)).unwrap_or(NonZeroU64::MIN)
}

fn count(per_second: NonZeroU64, time: Duration) -> u64 {
    let count = u128::from(per_second.get()) * time.as_nanos() / 1_000_000_000;
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// What may come in. `None` is unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Rates {
    /// Messages.
    pub messages: Option<Rate>,
    /// Bytes of them, headers included.
    pub bytes: Option<Rate>,
}

impl Rates {
    /// Nothing is limited.
    pub const fn is_unlimited(&self) -> bool {
        self.messages.is_none() && self.bytes.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_second: u64, burst: Option<u64>) -> Rate {
        Rate::new(NonZeroU64::new(per_second).unwrap(), burst.and_then(NonZeroU64::new))
    }

    #[test]
    fn a_burst_is_a_tenth_of_a_second_unless_written_and_never_less_than_half_of_that() {
        assert_eq!(rate(1_000, None).burst().get(), 100);
        assert_eq!(rate(1_000, Some(7)).burst().get(), 50);
        assert_eq!(rate(1_000, Some(5_000)).burst().get(), 5_000);
        assert_eq!(rate(3, None).burst().get(), 1);
    }

    #[test]
    fn time_and_count_agree() {
        assert_eq!(rate(4, None).time_for(6), Duration::from_millis(1_500));
        assert_eq!(rate(2_000, None).in_time(Duration::from_millis(50)).get(), 100);
        assert_eq!(rate(1, None).in_time(Duration::from_millis(50)).get(), 1);
        assert_eq!(rate(1, None).time_for(u64::MAX), Duration::from_nanos(u64::MAX));
    }
}
