//! Reply permissions in use: who was asked may answer, so often and so long.

use std::collections::VecDeque;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use moment::Instant;

use crate::settings::ResponsePermission;

/// Most requests of one connection that may still be answered. The oldest goes first.
pub const MAX_REPLY_GRANTS: usize = 4096;

/// The requests that a connection was sent and may answer. Owned by the connection's outbound side, written when a
/// request is delivered and used up when an answer is published.
pub struct ReplyGrants {
    permission: ResponsePermission,
    table: HashTable<Grant>,
    /// In order of time, which is the order of expiry too, since all live equally long. May hold grants that are used
    /// up or were renewed; `serial` tells.
    order: VecDeque<(Arc<[u8]>, u64)>,
    serial: u64,
    hasher: FixedState,
}

struct Grant {
    reply: Arc<[u8]>,
    serial: u64,
    left: Option<u32>,
    expires: Instant,
}

impl ReplyGrants {
    /// No grants yet. The seed keeps requesters from preparing collisions.
    pub fn new(permission: ResponsePermission, seed: u64) -> Self {
        Self {
            permission,
            table: HashTable::new(),
            order: VecDeque::new(),
            serial: 0,
            hasher: FixedState::with_seed(seed),
        }
    }

    /// A request with this reply subject is being delivered. A second one with the same subject starts it anew.
    pub fn record(&mut self, reply: &[u8], now: Instant) {
        self.prune(now);
        self.forget(reply);
        while self.table.len() >= MAX_REPLY_GRANTS || self.order.len() >= MAX_REPLY_GRANTS {
            self.drop_oldest();
        }
        let reply: Arc<[u8]> = reply.into();
        self.serial += 1;
        self.order.push_back((reply.clone(), self.serial));
        let grant =
            Grant { reply, serial: self.serial, left: self.permission.max, expires: now + self.permission.expires };
        let hash = self.hasher.hash_one(&*grant.reply);
        self.table.insert_unique(hash, grant, |grant| self.hasher.hash_one(&*grant.reply));
    }

    /// Uses one message of the grant for this subject, if there is one.
    pub fn use_one(&mut self, subject: &[u8], now: Instant) -> bool {
        let hash = self.hasher.hash_one(subject);
        let Ok(mut found) = self.table.find_entry(hash, |grant| *grant.reply == *subject) else {
            return false;
        };
        let grant = found.get_mut();
        if grant.expires < now {
            found.remove();
            return false;
        }
        match &mut grant.left {
            None => {}
            Some(left @ 2..) => *left -= 1,
            Some(_) => drop(found.remove()),
        }
        true
    }

    /// Forgets what has expired. Called by itself on every record; calling it from a timer gives memory back earlier.
    pub fn prune(&mut self, now: Instant) {
        while let Some((reply, serial)) = self.order.front() {
            match self.find(reply) {
                Some(grant) if grant.serial == *serial && grant.expires >= now => return,
                _ => self.drop_oldest(),
            }
        }
    }

    /// How many requests may still be answered.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether none may.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    fn find(&self, reply: &[u8]) -> Option<&Grant> {
        self.table.find(self.hasher.hash_one(reply), |grant| *grant.reply == *reply)
    }

    fn forget(&mut self, reply: &[u8]) {
        if let Ok(found) = self.table.find_entry(self.hasher.hash_one(reply), |grant| *grant.reply == *reply) {
            found.remove();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((reply, serial)) = self.order.pop_front()
            && self.find(&reply).is_some_and(|grant| grant.serial == serial)
        {
            self.forget(&reply);
        }
    }
}

impl fmt::Debug for ReplyGrants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplyGrants({} of {MAX_REPLY_GRANTS}, {:?})", self.len(), self.permission)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn grants(max: Option<u32>, expires: Duration) -> ReplyGrants {
        ReplyGrants::new(ResponsePermission { max, expires }, 1)
    }

    #[test]
    fn a_request_is_answered_as_often_as_allowed() {
        let (mut grants, now) = (grants(Some(2), SECOND), Instant::START);
        grants.record(b"inbox.1", now);
        assert!(grants.use_one(b"inbox.1", now) && grants.use_one(b"inbox.1", now));
        assert!(!grants.use_one(b"inbox.1", now));
        assert!(grants.is_empty());
    }

    #[test]
    fn another_subject_is_not_an_answer() {
        let (mut grants, now) = (grants(None, SECOND), Instant::START);
        grants.record(b"inbox.1", now);
        assert!(!grants.use_one(b"inbox.2", now) && !grants.use_one(b"inbox.>", now));
    }

    #[test]
    fn an_answer_may_come_until_the_grant_expires() {
        let (mut grants, now) = (grants(None, SECOND), Instant::START);
        grants.record(b"r", now);
        assert!(grants.use_one(b"r", now + SECOND));
        assert!(!grants.use_one(b"r", now + SECOND + Duration::from_nanos(1)));
        assert!(grants.is_empty());
    }

    #[test]
    fn a_second_request_with_the_same_reply_starts_anew() {
        let (mut grants, now) = (grants(Some(1), SECOND), Instant::START);
        grants.record(b"r", now);
        grants.record(b"r", now + SECOND / 2);
        grants.prune(now + SECOND + Duration::from_nanos(1));
        assert!(grants.use_one(b"r", now + SECOND + SECOND / 2));
        assert!(grants.is_empty());
    }

    #[test]
    fn grants_are_bounded_and_the_oldest_goes_first() {
        let (mut grants, now) = (grants(None, Duration::MAX), Instant::START);
        for index in 0..=MAX_REPLY_GRANTS {
            grants.record(format!("r.{index}").as_bytes(), now);
        }
        assert_eq!(grants.len(), MAX_REPLY_GRANTS);
        assert!(!grants.use_one(b"r.0", now) && grants.use_one(b"r.1", now));
    }

    #[test]
    fn renewing_one_grant_for_ever_needs_no_memory() {
        let (mut grants, now) = (grants(Some(1), Duration::MAX), Instant::START);
        for _ in 0..10 * MAX_REPLY_GRANTS {
            grants.record(b"r", now);
        }
        assert_eq!(grants.len(), 1);
        assert!(grants.order.len() <= MAX_REPLY_GRANTS);
        assert!(grants.use_one(b"r", now));
    }

    #[test]
    fn what_expired_is_forgotten_without_being_asked_for() {
        let (mut grants, now) = (grants(Some(1), SECOND), Instant::START);
        (0..10).for_each(|index| grants.record(format!("r.{index}").as_bytes(), now));
        grants.record(b"late", now + SECOND * 2);
        assert_eq!(grants.len(), 1);
    }
}
