//! Answers that were fetched, for as long as they are worth something.

use std::collections::HashMap;

use data_encoding::BASE64;

use crate::identity::sha256;
use crate::ocsp::{Answer, Status};

/// The most answers that are kept.
pub const MAX_CACHED: usize = 10_000;

/// What the cache knows a certificate by.
pub fn fingerprint(certificate: &[u8]) -> String {
    BASE64.encode(&sha256(certificate))
}

/// Answers by the fingerprint of the certificate. Only answers that were read with [`Answer::read`] belong here.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    answers: HashMap<String, Answer>,
    preserve_revoked: bool,
}

/// Answers by what they say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The certificate stands.
    pub good: u64,
    /// It does not any more.
    pub revoked: u64,
    /// The responder does not know it.
    pub unknown: u64,
}

impl Cache {
    /// An empty one. `preserve_revoked` keeps answers that said revoked past their time.
    pub fn new(preserve_revoked: bool) -> Self {
        Self { answers: HashMap::new(), preserve_revoked }
    }

    /// The answer about a certificate if it is current.
    pub fn current(&self, fingerprint: &str, now: i64, skew: i64, unset_ttl: i64) -> Option<&Answer> {
        self.answers.get(fingerprint).filter(|answer| answer.is_current(now, skew, unset_ttl))
    }

    /// The last that was heard about a certificate, current or not.
    pub fn get(&self, fingerprint: &str) -> Option<&Answer> {
        self.answers.get(fingerprint)
    }

    /// Whether the last that was heard about a certificate, current or not, is that it was revoked.
    pub fn was_revoked(&self, fingerprint: &str) -> bool {
        self.answers.get(fingerprint).is_some_and(|answer| matches!(answer.status, Status::Revoked { .. }))
    }

    /// Remembers an answer. When the cache is full, what is past its time goes first; if nothing is, the new answer is not
    /// kept, and its certificate is asked about each time.
    pub fn remember(&mut self, fingerprint: String, answer: Answer, now: i64, unset_ttl: i64) {
        if self.answers.len() >= MAX_CACHED && !self.answers.contains_key(&fingerprint) {
            self.prune(now, unset_ttl);
        }
        if self.answers.len() < MAX_CACHED || self.answers.contains_key(&fingerprint) {
            self.answers.insert(fingerprint, answer);
        }
    }

    /// Forgets what is past its time.
    pub fn prune(&mut self, now: i64, unset_ttl: i64) {
        let keep_revoked = self.preserve_revoked;
        self.answers.retain(|_, answer| {
            answer.until(unset_ttl) >= now || (keep_revoked && matches!(answer.status, Status::Revoked { .. }))
        });
    }

    /// What the answers say that it holds.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for answer in self.answers.values() {
            *match answer.status {
                Status::Good => &mut counts.good,
                Status::Revoked { .. } => &mut counts.revoked,
                Status::Unknown => &mut counts.unknown,
            } += 1;
        }
        counts
    }

    /// How many answers it holds.
    pub fn len(&self) -> usize {
        self.answers.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: Status, until: i64) -> Answer {
        Answer { status, this_update: 0, next_update: Some(until) }
    }

    #[test]
    fn what_is_past_its_time_is_not_used_and_goes() {
        let mut cache = Cache::new(true);
        cache.remember("good".into(), answer(Status::Good, 100), 0, 0);
        cache.remember("bad".into(), answer(Status::Revoked { at: 1 }, 100), 0, 0);
        assert!(cache.current("good", 100, 0, 0).is_some());
        assert!(cache.current("good", 101, 0, 0).is_none());
        assert!(cache.current("other", 0, 0, 0).is_none());
        cache.prune(101, 0);
        assert_eq!(cache.len(), 1);
        assert!(cache.was_revoked("bad"));
        cache.remember("who".into(), answer(Status::Unknown, 1000), 0, 0);
        assert_eq!(cache.counts(), Counts { good: 0, revoked: 1, unknown: 1 });
    }

    #[test]
    fn it_never_grows_past_its_bound() {
        let mut cache = Cache::new(false);
        for at in 0..MAX_CACHED + 10 {
            cache.remember(at.to_string(), answer(Status::Good, 1000), 0, 0);
        }
        assert_eq!(cache.len(), MAX_CACHED);
        cache.remember("late".into(), answer(Status::Good, 5000), 2000, 0);
        assert_eq!(cache.len(), 1, "the old ones made room");
    }
}
