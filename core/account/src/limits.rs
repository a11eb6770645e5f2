//! What an account may use.

use crate::rate::{Rate, Rates};

/// Limits of one account. `None` is unlimited; zero is a limit that nothing fits under.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Client and leaf connections at the same time.
    pub max_connections: Option<u64>,
    /// Subscriptions of one connection.
    pub max_subscriptions: Option<u64>,
    /// Bytes of one message, header included.
    pub max_payload: Option<u64>,
    /// Leaf node connections at the same time.
    pub max_leafnodes: Option<u64>,
    /// What its clients may publish together.
    pub rates: Rates,
}

impl Limits {
    /// A limit as operators write it: negative is unlimited.
    pub const fn from_written(number: i64) -> Option<u64> {
        if number < 0 { None } else { Some(number.unsigned_abs()) }
    }
}

/// The tighter of two limits.
pub(crate) fn tighter(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The slower of two rates, with its burst.
fn slower(one: Option<Rate>, other: Option<Rate>) -> Option<Rate> {
    one.into_iter().chain(other).min_by_key(|rate| (rate.per_second(), rate.burst()))
}

impl Limits {
    /// The tighter of both, limit by limit.
    #[must_use]
    pub fn within(self, other: Self) -> Self {
        Self {
            max_connections: tighter(self.max_connections, other.max_connections),
            max_subscriptions: tighter(self.max_subscriptions, other.max_subscriptions),
            max_payload: tighter(self.max_payload, other.max_payload),
            max_leafnodes: tighter(self.max_leafnodes, other.max_leafnodes),
            rates: Rates {
                messages: slower(self.rates.messages, other.rates.messages),
                bytes: slower(self.rates.bytes, other.rates.bytes),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tighter_limit_holds_and_no_limit_is_the_widest() {
        let ours = Limits { max_payload: Some(10), max_connections: None, ..Limits::default() };
        let theirs = Limits { max_payload: Some(5), max_connections: Some(0), ..Limits::default() };
        assert_eq!(ours.within(theirs), theirs);
        assert_eq!(theirs.within(ours), theirs);
    }

    #[test]
    fn a_negative_number_is_unlimited_and_large_ones_are_not_cut() {
        assert_eq!(Limits::from_written(-1), None);
        assert_eq!(Limits::from_written(0), Some(0));
        assert_eq!(Limits::from_written(i64::MAX), Some(i64::MAX as u64));
    }
}
