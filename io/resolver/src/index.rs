//! What is known of every stored token, the order of use, and the combined hash.

use std::collections::{BTreeMap, HashMap};

use aws_lc_rs::digest::{SHA256, digest};
use jwt::Glance;
use nkeys::PublicKey;

use crate::store::Stored;

/// The index of a store.
#[derive(Debug, Default)]
pub(crate) struct Index {
    entries: HashMap<PublicKey, Entry>,
    /// Who was used when, for stores that let the oldest go. The others do not pay for it.
    order: Option<Order>,
    hash: [u8; 32],
}

#[derive(Debug, Default)]
struct Order {
    accounts: BTreeMap<u64, PublicKey>,
    uses: u64,
}

impl Order {
    /// Puts an account at the end and says its number there.
    fn append(&mut self, account: PublicKey) -> u64 {
        self.uses += 1;
        self.accounts.insert(self.uses, account);
        self.uses
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    stored: Stored,
    /// Nanoseconds after which an unused entry goes; `i64::MAX` for never.
    until: i64,
    used: u64,
}

/// What a store remembers of a token.
pub(crate) fn describe(token: &str) -> Stored {
    let glance = Glance::of(token).unwrap_or_default();
    let hash = digest(&SHA256, token.as_bytes());
    let hash = hash.as_ref().try_into().expect("SHA-256 makes 32 bytes");
    Stored { issued_at: glance.issued_at, expires: glance.expires, hash }
}

impl Index {
    /// An index that knows the order of use.
    pub(crate) fn ordered() -> Self {
        Self { order: Some(Order::default()), ..Self::default() }
    }

    pub(crate) fn get(&self, account: &PublicKey) -> Option<Stored> {
        self.entries.get(account).map(|entry| entry.stored)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) const fn hash(&self) -> [u8; 32] {
        self.hash
    }

    pub(crate) fn put(&mut self, account: PublicKey, stored: Stored, until: i64) {
        self.remove(&account);
        let used = self.order.as_mut().map_or(0, |order| order.append(account));
        self.entries.insert(account, Entry { stored, until, used });
        self.combine(stored.hash);
    }

    pub(crate) fn remove(&mut self, account: &PublicKey) -> Option<Stored> {
        let entry = self.entries.remove(account)?;
        if let Some(order) = &mut self.order {
            order.accounts.remove(&entry.used);
        }
        self.combine(entry.stored.hash);
        Some(entry.stored)
    }

    /// The entry was used: it moves to the end, and lives until then.
    pub(crate) fn touch(&mut self, account: &PublicKey, until: i64) {
        let (Some(order), Some(entry)) = (&mut self.order, self.entries.get_mut(account)) else { return };
        order.accounts.remove(&entry.used);
        (entry.used, entry.until) = (order.append(*account), until);
    }

    /// The account that was not used for longest.
    pub(crate) fn oldest(&self) -> Option<PublicKey> {
        self.order.as_ref().and_then(|order| order.accounts.values().next().copied())
    }

    /// The accounts that nobody used until now.
    pub(crate) fn unused(&self, now_nanos: i64) -> Vec<PublicKey> {
        self.entries.iter().filter(|(_, entry)| entry.until <= now_nanos).map(|(account, _)| *account).collect()
    }

    /// The accounts whose tokens ended by now.
    pub(crate) fn expired(&self, now_seconds: i64) -> Vec<PublicKey> {
        let ended = |stored: &Stored| stored.expires != 0 && stored.expires <= now_seconds;
        self.entries.iter().filter(|(_, entry)| ended(&entry.stored)).map(|(account, _)| *account).collect()
    }

    pub(crate) fn accounts(&self) -> impl Iterator<Item = (&PublicKey, Stored)> {
        self.entries.iter().map(|(account, entry)| (account, entry.stored))
    }

    fn combine(&mut self, other: [u8; 32]) {
        for (ours, theirs) in self.hash.iter_mut().zip(other) {
            *ours ^= theirs;
        }
    }
}
