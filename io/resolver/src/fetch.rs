//! Asking the other servers for an account.

use std::fmt;

use moment::{Duration, Timestamp};
use nkeys::PublicKey;

/// The subject on which the other servers are asked.
pub fn lookup_subject(account: &PublicKey) -> String {
    format!("$SYS.REQ.ACCOUNT.{account}.CLAIMS.LOOKUP")
}

/// One question to the other servers. The first answer with a token counts; that nobody has one is known when all have
/// said so.
#[derive(Debug, Clone)]
pub struct Fetch {
    account: PublicKey,
    expected: usize,
    deadline: Timestamp,
}

/// What an answer, or the passing of time, means for a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchStep {
    /// Wait on.
    Waiting,
    /// This is what somebody has. It is yet to be judged.
    Found(String),
    /// There is none.
    Failed(FetchError),
}

/// Why there is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchError {
    /// Nobody has one.
    NotFound,
    /// Not everybody answered in time.
    TimedOut,
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "account jwt not found",
            Self::TimedOut => "fetching jwt timed out",
        })
    }
}

impl std::error::Error for FetchError {}

impl Fetch {
    /// A question to so many servers.
    pub fn new(account: PublicKey, servers: usize, timeout: Duration, now: Timestamp) -> Self {
        Self { account, expected: servers, deadline: now + timeout }
    }

    /// About whom.
    pub const fn account(&self) -> &PublicKey {
        &self.account
    }

    /// Until when answers are awaited.
    pub const fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// An answer came.
    pub fn answer(&mut self, body: &[u8]) -> FetchStep {
        self.expected = self.expected.saturating_sub(1);
        match std::str::from_utf8(body) {
            Ok(token) if !token.is_empty() => FetchStep::Found(token.to_owned()),
            _ if self.expected > 0 => FetchStep::Waiting,
            _ => FetchStep::Failed(FetchError::NotFound),
        }
    }

    /// Time went by. With nobody to ask there is nothing to wait for.
    pub fn elapse(&self, now: Timestamp) -> FetchStep {
        if self.expected == 0 {
            FetchStep::Failed(FetchError::NotFound)
        } else if now < self.deadline {
            FetchStep::Waiting
        } else {
            FetchStep::Failed(FetchError::TimedOut)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jwt::testing::{NOW, key};
    use nkeys::Role;

    fn fetch(servers: usize) -> Fetch {
        Fetch::new(key(Role::Account, "shop").public(), servers, Duration::from_millis(1900), NOW)
    }

    #[test]
    fn the_first_token_counts() {
        let mut fetch = fetch(3);
        assert_eq!(fetch.answer(b""), FetchStep::Waiting);
        assert_eq!(fetch.answer(b"eyJ"), FetchStep::Found("eyJ".into()));
    }

    #[test]
    fn nobody_has_it_when_all_have_said_so() {
        let mut fetch = fetch(2);
        assert_eq!(fetch.answer(b""), FetchStep::Waiting);
        assert_eq!(fetch.answer(b""), FetchStep::Failed(FetchError::NotFound));
    }

    #[test]
    fn time_ends_the_waiting() {
        let fetch = fetch(1);
        assert_eq!(fetch.elapse(NOW + Duration::from_millis(1899)), FetchStep::Waiting);
        assert_eq!(fetch.elapse(fetch.deadline()), FetchStep::Failed(FetchError::TimedOut));
        assert_eq!(FetchError::TimedOut.to_string(), "fetching jwt timed out");
    }

    #[test]
    fn with_nobody_to_ask_it_is_known_at_once() {
        assert_eq!(fetch(0).elapse(NOW), FetchStep::Failed(FetchError::NotFound));
    }

    #[test]
    fn the_subject_names_the_account() {
        let account = key(Role::Account, "shop").public();
        assert_eq!(lookup_subject(&account), format!("$SYS.REQ.ACCOUNT.{account}.CLAIMS.LOOKUP"));
    }
}
