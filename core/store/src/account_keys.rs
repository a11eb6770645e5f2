//! Keys of accounts: one each, drawn at random, without which nothing of the account opens.
//!
//! ```text
//! server key ──┐
//!              ├─HKDF──> stream key of the account ──AEAD wraps──> block keys of its streams
//! account key ─┤
//!              └─HKDF──> entry keys ──AEAD seals──> what the metadata says of its streams and consumers
//! ```
//!
//! Each lies in a file of its own, wrapped by the server key; the metadata says which account has which. Whoever wants
//! an account's data gone has the key destroyed.

pub(crate) mod entry;
pub(crate) mod file;
pub(crate) mod keyring;
mod register;
pub(crate) mod survey;
mod users;

use crate::disk::Entropy;
use crate::seal::KEY_LEN;
use secret::Zeroizing;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

/// Number of a key of an account, drawn at random, never zero. It names the file and tells nothing of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyNo(pub u64);

impl KeyNo {
    /// One that no key has: of 2^64.
    pub(crate) fn drawn(entropy: &dyn Entropy) -> KeyNo {
        let mut bytes = [0; 8];
        entropy.fill(&mut bytes);
        KeyNo(u64::from_le_bytes(bytes).max(1))
    }

    /// As it is written where zero stands for none.
    pub(crate) fn read(number: u64) -> Option<KeyNo> {
        Some(KeyNo(number)).filter(|no| no.0 != 0)
    }

    pub(crate) fn written(no: Option<KeyNo>) -> u64 {
        no.map_or(0, |no| no.0)
    }
}

impl fmt::Display for KeyNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Any bytes as a copy of a key's file, and as what the metadata says of one: for the fuzzer.
pub(crate) fn any(bytes: &[u8]) {
    file::any(bytes);
    if let Some(entry) = register::Entry::decode(bytes) {
        assert_eq!(register::Entry::decode(&entry.encode()), Some(entry));
    }
}

/// The key of an account.
pub(crate) struct AccountKey(Zeroizing<[u8; KEY_LEN]>);

impl AccountKey {
    pub(crate) fn new(bytes: Zeroizing<[u8; KEY_LEN]>) -> AccountKey {
        AccountKey(bytes)
    }

    pub(crate) fn drawn(entropy: &dyn Entropy) -> AccountKey {
        let mut bytes = Zeroizing::new([0; KEY_LEN]);
        entropy.fill(&mut *bytes);
        AccountKey(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }
}

/// The keys that are there. Shared by whoever seals and opens: one that is taken away is gone for all of them.
#[derive(Default)]
pub(crate) struct AccountKeys(RwLock<BTreeMap<KeyNo, Arc<AccountKey>>>);

impl AccountKeys {
    pub(crate) fn get(&self, no: KeyNo) -> Option<Arc<AccountKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&no).cloned()
    }

    pub(crate) fn insert(&self, no: KeyNo, key: AccountKey) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(no, Arc::new(key));
    }

    pub(crate) fn remove(&self, no: KeyNo) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&no);
    }
}
