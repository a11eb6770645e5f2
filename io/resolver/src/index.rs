//! What is known of every stored token, the order of use, and the combined hash.

use std::collections::{BTreeMap, HashMap};

use aws_lc_rs::digest::{SHA256, digest};
use jwt::Glance;
use nkeys::PublicKey;

use crate::store::Stored;

/// The index of a store: one flat list in the order of the keys, since a directory may hold a hundred thousand accounts and
/// most of them are never asked for.
#[derive(Debug, Default)]
pub(crate) struct Index {
    entries: Vec<(PublicKey, Stored)>,
    /// Who was used when, for stores that let the oldest go. The others do not pay for it.
    order: Option<Order>,
    hash: [u8; 32],
}

#[derive(Debug, Default)]
struct Order {
    accounts: BTreeMap<u64, PublicKey>,
    /// When an account was used, by number, and the nanoseconds after which it goes if it is not used again.
    used: HashMap<PublicKey, (u64, i64)>,
    uses: u64,
}

impl Order {
    /// Puts an account at the end.
    fn append(&mut self, account: PublicKey, until: i64) {
        self.forget(&account);
        self.uses += 1;
        self.accounts.insert(self.uses, account);
        self.used.insert(account, (self.uses, until));
    }

    fn forget(&mut self, account: &PublicKey) {
        if let Some((used, _)) = self.used.remove(account) {
            self.accounts.remove(&used);
        }
    }
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

    /// Takes in what a directory holds, each account once.
    pub(crate) fn fill(&mut self, mut entries: Vec<(PublicKey, Stored)>, until: i64) {
        entries.sort_unstable_by_key(|(account, _)| *account);
        entries.shrink_to_fit();
        for (account, stored) in &entries {
            combine(&mut self.hash, stored.hash);
            if let Some(order) = &mut self.order {
                order.append(*account, until);
            }
        }
        self.entries = entries;
    }

    fn place(&self, account: &PublicKey) -> Result<usize, usize> {
        self.entries.binary_search_by_key(account, |(known, _)| *known)
    }

    pub(crate) fn get(&self, account: &PublicKey) -> Option<Stored> {
        self.entries.get(self.place(account).ok()?).map(|(_, stored)| *stored)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) const fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// Puts a token in, or in the place of the account's former one. `until`: nanoseconds after which an unused one goes.
    pub(crate) fn put(&mut self, account: PublicKey, stored: Stored, until: i64) {
        match self.place(&account) {
            Ok(at) => {
                if let Some((_, former)) = self.entries.get_mut(at) {
                    combine(&mut self.hash, former.hash);
                    *former = stored;
                }
            }
            Err(at) => self.entries.insert(at, (account, stored)),
        }
        combine(&mut self.hash, stored.hash);
        self.touch(&account, until);
    }

    pub(crate) fn remove(&mut self, account: &PublicKey) -> Option<Stored> {
        let (_, stored) = self.entries.remove(self.place(account).ok()?);
        if let Some(order) = &mut self.order {
            order.forget(account);
        }
        combine(&mut self.hash, stored.hash);
        Some(stored)
    }

    /// The entry was used: it moves to the end, and lives until then.
    pub(crate) fn touch(&mut self, account: &PublicKey, until: i64) {
        if self.place(account).is_ok()
            && let Some(order) = &mut self.order
        {
            order.append(*account, until);
        }
    }

    /// The account that was not used for longest.
    pub(crate) fn oldest(&self) -> Option<PublicKey> {
        self.order.as_ref().and_then(|order| order.accounts.values().next().copied())
    }

    /// The accounts that nobody used until now.
    pub(crate) fn unused(&self, now_nanos: i64) -> Vec<PublicKey> {
        let used = self.order.iter().flat_map(|order| &order.used);
        used.filter(|(_, (_, until))| *until <= now_nanos).map(|(account, _)| *account).collect()
    }

    /// The accounts whose tokens ended by now.
    pub(crate) fn expired(&self, now_seconds: i64) -> Vec<PublicKey> {
        let ended = |stored: &Stored| stored.expires != 0 && stored.expires <= now_seconds;
        self.entries.iter().filter(|(_, stored)| ended(stored)).map(|(account, _)| *account).collect()
    }

    pub(crate) fn accounts(&self) -> impl Iterator<Item = (&PublicKey, Stored)> {
        self.entries.iter().map(|(account, stored)| (account, *stored))
    }
}

fn combine(all: &mut [u8; 32], other: [u8; 32]) {
    for (ours, theirs) in all.iter_mut().zip(other) {
        *ours ^= theirs;
    }
}
