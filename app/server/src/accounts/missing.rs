//! Accounts that were sought in vain: they are not sought again at once, so that asking for what is not there is cheap.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use nkeys::PublicKey;

/// How long an account is not sought again.
const PAUSE: Duration = Duration::from_secs(2);
/// Accounts that are remembered; the oldest goes.
const MAX_REMEMBERED: usize = 16_384;

/// Accounts sought in vain lately.
#[derive(Default)]
pub(super) struct Missing {
    until: HashMap<PublicKey, Instant>,
    order: VecDeque<(Instant, PublicKey)>,
}

impl Missing {
    pub(super) fn note(&mut self, account: PublicKey, now: Instant) {
        self.forget_old(now);
        if self.order.len() >= MAX_REMEMBERED {
            self.forget_oldest();
        }
        let until = now + PAUSE;
        self.until.insert(account, until);
        self.order.push_back((until, account));
    }

    pub(super) fn holds(&self, account: &PublicKey, now: Instant) -> bool {
        self.until.get(account).is_some_and(|until| *until > now)
    }

    /// It is there after all.
    pub(super) fn found(&mut self, account: &PublicKey) {
        self.until.remove(account);
    }

    fn forget_old(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(until, _)| *until <= now) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((until, account)) = self.order.pop_front() else { return };
        // It may have been noted again since.
        if self.until.get(&account) == Some(&until) {
            self.until.remove(&account);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jwt::testing::key;
    use nkeys::Role;

    #[test]
    fn an_account_is_sought_again_after_a_pause_or_when_it_came() {
        let (mut missing, now) = (Missing::default(), Instant::now());
        let (shop, bank) = (key(Role::Account, "shop").public(), key(Role::Account, "bank").public());
        missing.note(shop, now);
        missing.note(bank, now);
        assert!(missing.holds(&shop, now) && missing.holds(&bank, now));
        missing.found(&shop);
        assert!(!missing.holds(&shop, now) && !missing.holds(&bank, now + PAUSE));
    }

    #[test]
    fn so_many_are_remembered_and_no_more() {
        let (mut missing, now) = (Missing::default(), Instant::now());
        for number in 0..MAX_REMEMBERED + 10 {
            let mut seed = [0; 32];
            seed[..8].copy_from_slice(&number.to_le_bytes());
            missing.note(PublicKey::from_raw(Role::Account, seed).expect("a key"), now);
        }
        assert_eq!((missing.until.len(), missing.order.len()), (MAX_REMEMBERED, MAX_REMEMBERED));
        missing.note(key(Role::Account, "shop").public(), now + PAUSE);
        assert_eq!((missing.until.len(), missing.order.len()), (1, 1));
    }
}
