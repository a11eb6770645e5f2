//! So many in a second and no more, and none of it taken by whoever asks most.
//!
//! The number is shared equally by the accounts that asked lately. One that has not asked for a while is let in once even
//! when all is taken: who comes new must not wait for those who flood.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Accounts with a share of their own. Those beyond have one together.
const ACCOUNTS_MAX: usize = 1_024;

/// Who has asked for nothing for so many seconds has no share.
const FORGOTTEN_AFTER_SECONDS: u64 = 60;

/// Those beyond [`ACCOUNTS_MAX`]: no account has this name.
const OTHERS: &str = "";

/// Counts within whole seconds. Shared by workers.
pub(super) struct Quota {
    per_second_max: u64,
    begun: Instant,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    second: u64,
    /// In this second, by all.
    taken: u64,
    accounts: HashMap<Box<str>, Share>,
}

/// What an account has had.
struct Share {
    asked: u64,
    /// The second since when it is counted.
    since: u64,
    taken: u64,
}

impl Quota {
    pub(super) fn new(per_second_max: usize, begun: Instant) -> Self {
        let per_second_max = u64::try_from(per_second_max).unwrap_or(u64::MAX);
        Self { per_second_max, begun, book: Mutex::default() }
    }

    /// Whether one more of this account may be taken now.
    pub(super) fn takes(&self, account: &str, now: Instant) -> bool {
        self.book().takes(account, now.saturating_duration_since(self.begun).as_secs(), self.per_second_max)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn takes(&mut self, account: &str, second: u64, per_second_max: u64) -> bool {
        let second = self.turn_to(second);
        let is_new = self.note(self.key(account), second);
        // With more accounts than may be taken in a second, each has one in so many seconds.
        let sharers = self.accounts.len().max(1) as u64;
        let (share, period) = ((per_second_max / sharers).max(1), sharers.div_ceil(per_second_max.max(1)));
        let key = self.key(account);
        let Some(own) = self.accounts.get_mut(key) else { return false };
        if second >= own.since.saturating_add(period) {
            (own.since, own.taken) = (second, 0);
        }
        let takes = own.taken < share && (self.taken < per_second_max || is_new);
        if takes {
            own.taken += 1;
            self.taken += 1;
        }
        takes
    }

    /// Another second may have begun. Whoever looked at the clock before that is in it too.
    fn turn_to(&mut self, second: u64) -> u64 {
        if second > self.second {
            (self.second, self.taken) = (second, 0);
            self.accounts.retain(|_, share| share.asked.saturating_add(FORGOTTEN_AFTER_SECONDS) > second);
        }
        self.second
    }

    /// Under which name an account is counted.
    fn key<'a>(&self, account: &'a str) -> &'a str {
        let has_place = self.accounts.len() < ACCOUNTS_MAX || self.accounts.contains_key(account);
        if has_place { account } else { OTHERS }
    }

    /// The account asks. Whether it is new.
    fn note(&mut self, key: &str, second: u64) -> bool {
        match self.accounts.get_mut(key) {
            Some(share) => {
                share.asked = second;
                false
            }
            None => {
                self.accounts.insert(key.into(), Share { asked: second, since: second, taken: 0 });
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct Scene(Quota, Instant);

    impl Scene {
        fn new(per_second_max: usize) -> Self {
            let begun = Instant::now();
            Self(Quota::new(per_second_max, begun), begun)
        }

        /// How many of so many are taken.
        fn taken(&self, account: &str, how_many: usize, at: Duration) -> usize {
            (0..how_many).filter(|_| self.0.takes(account, self.1 + at)).count()
        }
    }

    const fn second(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    #[test]
    fn each_second_has_its_own_number() {
        let scene = Scene::new(3);
        assert_eq!(scene.taken("A", 10, Duration::ZERO), 3);
        assert_eq!(scene.taken("A", 10, Duration::from_millis(999)), 0);
        assert_eq!(scene.taken("A", 10, second(1)), 3);
        assert_eq!(scene.taken("A", 10, second(100)), 3);
    }

    #[test]
    fn who_floods_does_not_take_what_others_have() {
        let scene = Scene::new(10);
        assert_eq!(scene.taken("FLOOD", 1000, second(0)), 10);
        assert_eq!(scene.taken("B", 5, second(0)), 1, "who comes new is let in although all is taken");
        for at in 1..50 {
            assert_eq!(scene.taken("FLOOD", 1000, second(at)), 5);
            assert_eq!(scene.taken("B", 5, second(at)), 5);
        }
    }

    #[test]
    fn who_does_not_ask_any_more_leaves_its_share_to_the_others() {
        let scene = Scene::new(10);
        assert_eq!(scene.taken("B", 1, second(0)), 1);
        assert_eq!(scene.taken("A", 100, second(59)), 5);
        assert_eq!(scene.taken("A", 100, second(60)), 10);
    }

    #[test]
    fn more_accounts_than_there_is_number_take_turns() {
        let scene = Scene::new(1);
        let all = |at| ["FLOOD", "B", "C"].map(|account| scene.taken(account, 100, second(at)));
        assert_eq!(all(0), [1, 1, 1], "each of them is new");
        let later: Vec<_> = (1..=60).map(all).collect();
        for account in 0..3 {
            let taken: usize = later.iter().map(|taken| taken[account]).sum();
            assert!((15..=20).contains(&taken), "{account}: {taken}");
        }
    }

    #[test]
    fn however_many_accounts_there_are_the_book_is_bounded_and_those_beyond_share() {
        let scene = Scene::new(100_000);
        let taken =
            |from: usize| (from..from + ACCOUNTS_MAX).map(|one| scene.taken(&format!("A{one}"), 1, second(0))).sum();
        let (known, beyond): (usize, usize) = (taken(0), taken(ACCOUNTS_MAX));
        assert_eq!((known, beyond), (ACCOUNTS_MAX, 100_000 / (ACCOUNTS_MAX + 1)));
        assert_eq!(scene.0.book().accounts.len(), ACCOUNTS_MAX + 1);
    }
}
