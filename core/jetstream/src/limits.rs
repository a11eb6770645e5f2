//! What an account may store.

use api::responses::AccountLimits;
use std::collections::BTreeMap;

/// Limits of an account: one set for all its streams, or one for each number of replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Limits {
    /// For all streams together.
    Flat(AccountLimits),
    /// By the name of the tier: `R1` holds for streams that are kept once, and so on. Where a tier is missing, streams of it
    /// are refused.
    Tiers(BTreeMap<String, AccountLimits>),
}

impl Default for Limits {
    fn default() -> Self {
        Limits::Flat(AccountLimits::default())
    }
}

/// The names of tiers, by replicas from one on.
const TIERS: [&str; 5] = ["R1", "R2", "R3", "R4", "R5"];

impl Limits {
    /// Whether anything bounds what may be stored.
    pub(crate) fn bound_bytes(&self) -> bool {
        let bound = |limits: &AccountLimits| limits.max_storage >= 0 || limits.max_memory >= 0;
        match self {
            Limits::Flat(limits) => bound(limits),
            Limits::Tiers(tiers) => tiers.values().any(bound),
        }
    }

    /// What holds for a stream with so many replicas; `None` if it may not be.
    pub fn of(&self, replicas: i64) -> Option<&AccountLimits> {
        match self {
            Limits::Flat(limits) => Some(limits),
            Limits::Tiers(tiers) => {
                let at = usize::try_from(replicas.max(1) - 1).unwrap_or(usize::MAX);
                TIERS.get(at).and_then(|name| tiers.get(*name))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_holds_for_its_number_of_replicas_and_without_one_nothing_may_be() {
        let of_one = AccountLimits { max_streams: 1, ..AccountLimits::default() };
        let tiers = Limits::Tiers([("R1".to_owned(), of_one.clone())].into());
        assert_eq!((tiers.of(0), tiers.of(1), tiers.of(3), tiers.of(9)), (Some(&of_one), Some(&of_one), None, None));
        assert_eq!(Limits::Flat(of_one.clone()).of(3), Some(&of_one));
    }
}
