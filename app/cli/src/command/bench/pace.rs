//! Not faster than asked: pauses between messages, and a rate that is held over time.

use std::time::{Duration, Instant};

/// When the next message may be sent.
pub(crate) struct Pace {
    sleep: Duration,
    per_second: Option<f64>,
    start: Instant,
}

impl Pace {
    /// `per_second` is this client's share of the rate; 0 is no limit.
    pub(crate) fn new(sleep: Duration, per_second: f64) -> Self {
        Self { sleep, per_second: (per_second > 0.0).then_some(per_second), start: Instant::now() }
    }

    /// How long to wait after so many messages.
    pub(crate) fn pause(&self, sent: u64, now: Instant) -> Duration {
        let behind = match self.per_second {
            None => Duration::ZERO,
            Some(rate) => {
                let due = Duration::from_secs_f64(sent as f64 / rate);
                due.saturating_sub(now.saturating_duration_since(self.start))
            }
        };
        self.sleep.max(behind)
    }

    pub(crate) const fn is_free(&self) -> bool {
        self.sleep.is_zero() && self.per_second.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_held_over_time() {
        let pace = Pace::new(Duration::ZERO, 100.0);
        assert_eq!(pace.pause(10, pace.start), Duration::from_millis(100));
        assert_eq!(pace.pause(10, pace.start + Duration::from_millis(60)), Duration::from_millis(40));
        assert_eq!(pace.pause(10, pace.start + Duration::from_secs(1)), Duration::ZERO);
        assert!(Pace::new(Duration::ZERO, 0.0).is_free());
        let slow = Pace::new(Duration::from_secs(1), 1000.0);
        assert_eq!(slow.pause(1, slow.start), Duration::from_secs(1));
    }
}
