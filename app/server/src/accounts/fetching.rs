//! Accounts that are fetched from elsewhere: one fetch each, so many at once, and each has an end.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use nkeys::PublicKey;
use resolver::{FETCH_TIMEOUT, Fetch, FetchStep, WebError};

use super::Opened;
use super::desk::Desk;
use crate::system::{random_u64, wall};

/// Accounts that other servers are asked for at once.
const MAX_ASKED: usize = 256;

/// How long the account server's word is waited for: a fetch ends by its own clock before that, and a login that may take
/// two seconds does not wait longer. What is not here by then was lost on the way, and the account may be asked for again.
const WEB_PATIENCE: Duration = Duration::from_secs(2);
const _: () = assert!(FETCH_TIMEOUT.as_millis() < WEB_PATIENCE.as_millis());

/// Accounts that are being fetched.
#[derive(Default)]
pub(super) struct Fetching {
    under_way: HashMap<PublicKey, Asked>,
}

/// Who was asked.
enum Asked {
    /// The account server, whose word is waited for until then.
    Web(Instant),
    /// The other servers, under this number.
    Servers(u64, Fetch),
}

/// Whether a fetch began.
pub(super) enum Began {
    /// What comes of it is told later.
    Later,
    /// There is nobody to ask.
    Nowhere,
    /// Too much is being fetched already.
    TooMany,
}

impl Fetching {
    /// Begins to fetch an account, unless that is under way.
    pub(super) fn begin(&mut self, account: &PublicKey, opened: &Opened, desk: &Desk) -> Began {
        if self.under_way.contains_key(account) {
            return Began::Later;
        }
        if self.under_way.len() >= MAX_ASKED {
            return Began::TooMany;
        }
        let asked = match (&opened.web, opened.resolver.fetch_timeout()) {
            (Some(web), _) => match web.fetch(account, desk.hands_over(*account)) {
                Ok(()) => Asked::Web(Instant::now() + WEB_PATIENCE),
                Err(_) => return Began::TooMany,
            },
            (None, Some(timeout)) => {
                let others = desk.others(account);
                if others == 0 {
                    return Began::Nowhere;
                }
                let number = random_u64();
                desk.ask(account, number);
                Asked::Servers(number, Fetch::new(*account, others, timeout, wall()))
            }
            (None, None) => return Began::Nowhere,
        };
        self.under_way.insert(*account, asked);
        Began::Later
    }

    /// A server answered. Says which account is settled by that, and how.
    pub(super) fn answered(&mut self, number: u64, body: &[u8]) -> Option<(PublicKey, Result<String, String>)> {
        let fetch = self.under_way.values_mut().find_map(|asked| match asked {
            Asked::Servers(known, fetch) if *known == number => Some(fetch),
            _ => None,
        })?;
        settled(fetch.answer(body)).map(|found| (*fetch.account(), found))
    }

    /// Time went by. Says which accounts are settled by that.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<(PublicKey, Result<String, String>)> {
        let at = wall();
        let asked = self.under_way.iter();
        let ended = asked.filter_map(|(account, asked)| match asked {
            Asked::Servers(_, fetch) => Some((*account, settled(fetch.elapse(at))?)),
            Asked::Web(until) => (*until <= now).then(|| (*account, Err(WebError::TimedOut.to_string()))),
        });
        ended.collect()
    }

    /// It is over, one way or the other.
    pub(super) fn end(&mut self, account: &PublicKey) {
        self.under_way.remove(account);
    }

    /// When to ask [`Fetching::overdue`].
    pub(super) fn next_end(&self) -> Option<Instant> {
        let ends = self.under_way.values().map(|asked| match asked {
            Asked::Servers(_, fetch) => Instant::now() + fetch.deadline().since(wall()),
            Asked::Web(until) => *until,
        });
        ends.min()
    }
}

fn settled(step: FetchStep) -> Option<Result<String, String>> {
    match step {
        FetchStep::Waiting => None,
        FetchStep::Found(token) => Some(Ok(token)),
        FetchStep::Failed(error) => Some(Err(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jwt::testing::key;
    use nkeys::Role;

    #[test]
    fn a_word_of_the_account_server_that_was_lost_blocks_its_account_for_the_time_of_a_login() {
        let (account, begun) = (key(Role::Account, "shop").public(), Instant::now());
        let mut fetching = Fetching::default();
        fetching.under_way.insert(account, Asked::Web(begun + WEB_PATIENCE));
        assert_eq!(fetching.next_end(), Some(begun + WEB_PATIENCE));
        assert_eq!(fetching.overdue(begun + FETCH_TIMEOUT), []);
        let lost = [(account, Err("no answer in time".to_owned()))];
        assert_eq!(fetching.overdue(begun + WEB_PATIENCE), lost);
        fetching.end(&account);
        assert_eq!((fetching.overdue(begun + WEB_PATIENCE), fetching.next_end()), (Vec::new(), None));
    }
}
