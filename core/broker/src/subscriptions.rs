//! A connection's subscriptions by the ids the client gave them.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::subscription::{Subscription, Target};

/// The subscriptions of one connection. Ids are chosen by the client, so the hash is seeded: ids made to collide would
/// slow down everybody on the same worker.
pub(crate) struct Subscriptions {
    table: HashTable<Arc<Subscription>>,
    hasher: FixedState,
}

fn sid_of(subscription: &Subscription) -> &[u8] {
    match &subscription.target {
        Target::Client(client) => &client.sid,
        _ => b"",
    }
}

impl Subscriptions {
    pub(crate) fn new(seed: u64) -> Self {
        Self { table: HashTable::new(), hasher: FixedState::with_seed(seed) }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn get(&self, sid: &[u8]) -> Option<&Arc<Subscription>> {
        self.table.find(self.hasher.hash_one(sid), |known| sid_of(known) == sid)
    }

    pub(crate) fn insert(&mut self, subscription: Arc<Subscription>) {
        let hasher = &self.hasher;
        let hash = hasher.hash_one(sid_of(&subscription));
        self.table.insert_unique(hash, subscription, |known| hasher.hash_one(sid_of(known)));
    }

    /// Removes this very subscription, not a later one under the same id.
    pub(crate) fn forget(&mut self, subscription: &Arc<Subscription>) {
        let hash = self.hasher.hash_one(sid_of(subscription));
        if let Ok(entry) = self.table.find_entry(hash, |known| Arc::ptr_eq(known, subscription)) {
            entry.remove();
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Subscription>> {
        self.table.iter()
    }

    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Arc<Subscription>> + '_ {
        self.table.drain()
    }
}
