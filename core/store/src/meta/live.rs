//! What the metadata says now: keys with their values, and entries that do not open.

use crate::account_keys::KeyNo;
use crate::account_keys::entry::{Mark, Sealed};
use std::collections::BTreeMap;

/// A value, and which key of an account it is sealed by, if by one.
pub(super) struct Value {
    pub(super) bytes: Vec<u8>,
    pub(super) account: Option<KeyNo>,
}

/// Everything live.
#[derive(Default)]
pub(super) struct Live {
    open: BTreeMap<Vec<u8>, Value>,
    /// Sealed by keys of accounts that are not there.
    closed: BTreeMap<(KeyNo, Mark), Vec<u8>>,
    /// Bytes of both, about.
    bytes: u64,
}

impl Live {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&Value> {
        self.open.get(key)
    }

    pub(super) fn open(&self) -> impl Iterator<Item = (&[u8], &Value)> {
        self.open.iter().map(|(key, value)| (key.as_slice(), value))
    }

    pub(super) fn range<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a Value)> {
        let from = self.open.range(prefix.to_vec()..);
        from.take_while(move |(key, _)| key.starts_with(prefix)).map(|(key, value)| (key.as_slice(), value))
    }

    pub(super) fn remember(&mut self, key: &[u8], value: &[u8], account: Option<KeyNo>) {
        self.forget(key);
        self.bytes += (key.len() + value.len()) as u64;
        self.open.insert(key.to_vec(), Value { bytes: value.to_vec(), account });
    }

    /// Whether there are some that this changes.
    pub(super) fn seal_beginning(&mut self, beginning: &[u8], account: Option<KeyNo>) -> bool {
        let from = self.open.range_mut(beginning.to_vec()..).take_while(|(key, _)| key.starts_with(beginning));
        let others = from.filter(|(_, value)| value.account != account);
        others.map(|(_, value)| value.account = account).count() > 0
    }

    pub(super) fn forget(&mut self, key: &[u8]) {
        if let Some(value) = self.open.remove(key) {
            self.bytes -= (key.len() + value.bytes.len()) as u64;
        }
    }

    /// Keeps an entry that does not open, as it is.
    pub(super) fn keep(&mut self, entry: Sealed) {
        let Sealed { account, mark, bytes } = entry;
        self.drop_closed((account, mark));
        self.bytes += bytes.len() as u64;
        self.closed.insert((account, mark), bytes);
    }

    pub(super) fn drop_closed(&mut self, (account, mark): (KeyNo, Mark)) {
        if let Some(bytes) = self.closed.remove(&(account, mark)) {
            self.bytes -= bytes.len() as u64;
        }
    }

    /// Entries that do not open.
    pub(super) fn closed(&self) -> impl Iterator<Item = (KeyNo, &Mark, &[u8])> {
        self.closed.iter().map(|((account, mark), bytes)| (*account, mark, bytes.as_slice()))
    }

    /// Whether anything is sealed by the key of an account.
    pub(super) fn has_sealed(&self) -> bool {
        !self.closed.is_empty() || self.open.values().any(|value| value.account.is_some())
    }

    /// Forgets everything that this key seals.
    pub(super) fn forget_account(&mut self, account: KeyNo) {
        let of_account = |value: &Value| value.account == Some(account);
        let keys: Vec<Vec<u8>> =
            self.open.iter().filter(|(_, value)| of_account(value)).map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| self.forget(key));
        let closed: Vec<(KeyNo, Mark)> = self.closed.keys().filter(|(no, _)| *no == account).copied().collect();
        closed.into_iter().for_each(|entry| self.drop_closed(entry));
    }
}
