//! When to try again to reach a server.

use std::time::Duration;

/// Between attempts.
pub const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Between attempts at most, where the delay grows.
pub const RETRY_DELAY_MAX: Duration = Duration::from_secs(30);

/// A loop was found on a leaf connection, or a permission was violated.
pub const LEAF_LOOP_DELAY: Duration = Duration::from_secs(30);

/// Hub and leaf node are clusters of the same name.
pub const LEAF_SAME_CLUSTER_DELAY: Duration = Duration::from_secs(30);

/// The hub wants a newer leaf node.
pub const LEAF_VERSION_DELAY: Duration = Duration::from_secs(5);

/// How often to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempts {
    /// The configuration names the server: until it is there.
    Forever,
    /// It was heard of: the first attempt and so many more.
    Retries(u32),
}

/// The attempts to reach one server.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    attempts: Attempts,
    grows: bool,
    made: u32,
    delay: Duration,
}

impl Retry {
    /// No attempt made yet. With `grows` each delay is twice the one before.
    pub const fn new(attempts: Attempts, grows: bool) -> Self {
        Self { attempts, grows, made: 0, delay: RETRY_DELAY }
    }

    /// An attempt failed: how long to wait for the next, or `None` to give up.
    pub fn failed(&mut self) -> Option<Duration> {
        self.made = self.made.saturating_add(1);
        if let Attempts::Retries(retries) = self.attempts
            && self.made > retries
        {
            return None;
        }
        let delay = self.delay;
        if self.grows {
            self.delay = (self.delay * 2).min(RETRY_DELAY_MAX);
        }
        Some(delay)
    }

    /// Attempts that failed.
    pub const fn made(&self) -> u32 {
        self.made
    }

    /// The failure is worth a line at error level: the first one and every so many.
    pub const fn is_worth_reporting(&self, every: u32) -> bool {
        self.made == 1 || every == 0 || self.made.is_multiple_of(every)
    }
}

/// A delay with chance added, up to as much again: after a lost connection many come back at once.
pub fn jittered(delay: Duration, chance: u64) -> Duration {
    let spread = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
    delay + Duration::from_nanos(chance.checked_rem(spread).unwrap_or(0))
}
