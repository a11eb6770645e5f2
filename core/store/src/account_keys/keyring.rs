//! Which account has which key, and what becomes of keys: drawn, wrapped again, destroyed, or no longer needed.
//!
//! A key is in its file, durably, before anything is sealed by it. One that is to go is noted in the metadata first, with
//! everything that goes with it; whatever comes between, opening the store goes on with it to the end.

use super::register::{self, Entry, Leaving};
use super::{AccountKey, KeyNo, file};
use crate::error::StoreError;
use crate::meta::MetaLog;
use crate::root::Root;
use crate::seal::{Cipher, KeyId, StreamId};
use crate::tail::Context;
use moment::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// The keys of accounts of a store.
#[derive(Default)]
pub struct Keyring {
    in_use: BTreeMap<String, KeyNo>,
    /// Keys that are needed and not there, or not usable.
    lost: BTreeMap<String, KeyNo>,
    destroyed: Vec<Destroyed>,
    /// By what the key in each file that opens is wrapped.
    wraps: BTreeMap<KeyNo, Wrap>,
}

/// How a key lies in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wrap {
    pub(super) cipher: Cipher,
    pub(super) server: KeyId,
}

impl Wrap {
    fn present(context: &Context) -> Wrap {
        Wrap { cipher: context.vault.cipher(), server: context.vault.key_id() }
    }
}

/// A key that was destroyed on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destroyed {
    /// Its number.
    pub key: KeyNo,
    /// Whose it was.
    pub account: String,
    /// When.
    pub at: Timestamp,
    /// Streams that went with it.
    pub streams: u64,
}

impl Keyring {
    /// The key of an account, if it has one of its own that is there.
    pub fn of(&self, account: &str) -> Option<KeyNo> {
        self.in_use.get(account).copied()
    }

    /// The key that an account needs and that is not there.
    pub fn lost(&self, account: &str) -> Option<KeyNo> {
        self.lost.get(account).copied()
    }

    /// Accounts that have keys of their own, and their keys.
    pub fn in_use(&self) -> impl Iterator<Item = (&str, KeyNo)> {
        self.in_use.iter().map(|(account, key)| (account.as_str(), *key))
    }

    /// Accounts that need keys that are not there.
    pub fn all_lost(&self) -> impl Iterator<Item = (&str, KeyNo)> {
        self.lost.iter().map(|(account, key)| (account.as_str(), *key))
    }

    /// Keys that were destroyed on purpose.
    pub fn destroyed(&self) -> &[Destroyed] {
        &self.destroyed
    }

    /// Whose key it is or was, as far as that is known.
    pub fn account_of(&self, key: KeyNo) -> Option<&str> {
        let known = self.in_use().chain(self.all_lost()).find(|(_, no)| *no == key).map(|(account, _)| account);
        known.or_else(|| self.destroyed.iter().find(|gone| gone.key == key).map(|gone| gone.account.as_str()))
    }

    /// The key of an account. One that has none gets one: it is in its file, durably, and noted with the next commit of the
    /// metadata.
    ///
    /// # Errors
    /// What the disk said, or that the account has one that is not there.
    pub fn draw(&mut self, context: &Context, meta: &mut MetaLog, account: &str) -> Result<KeyNo, StoreError> {
        if let Some(needed) = self.lost(account) {
            return Err(StoreError::NoAccountKey { needed, path: file::path(needed) });
        }
        if let Some(no) = self.of(account) {
            return Ok(no);
        }
        let (no, key) = (KeyNo::drawn(&*context.entropy), AccountKey::drawn(&*context.entropy));
        file::create(context, no, account, &key)?;
        context.vault.accounts().insert(no, key);
        self.wraps.insert(no, Wrap::present(context));
        self.in_use.insert(account.to_owned(), no);
        meta.put(&register::key_of(no), &Entry::InUse(account.to_owned()).encode())?;
        Ok(no)
    }

    /// Keys whose files are not wrapped by the present server key and cipher.
    pub fn to_rewrap(&self, context: &Context) -> Vec<KeyNo> {
        let present = Wrap::present(context);
        // Without a cipher there is nothing to wrap by: what still takes the keys is written anew first.
        let is_sealing = present.cipher != Cipher::None;
        let stale = |(no, wrap): (&KeyNo, &Wrap)| (*wrap != present && is_sealing).then_some(*no);
        self.wraps.iter().filter_map(stale).collect()
    }

    /// Wraps a key by the present server key and cipher, durably.
    pub fn rewrap(&mut self, context: &Context, no: KeyNo) -> Result<(), StoreError> {
        if let file::Found::Good(opened) = file::read(context, no)? {
            file::rewrap(context, no, &opened)?;
            self.wraps.insert(no, Wrap::present(context));
        }
        Ok(())
    }

    /// The first step of destroying the key of an account: it is noted, durably, with the streams that go and with what else
    /// of the metadata goes, which are the keys that begin so. [`Keyring::finish`] is the second. `None`: the account has
    /// no key of its own.
    pub fn begin_destroying(
        &mut self,
        (root, meta): (&Root, &mut MetaLog),
        account: &str,
        (streams, beginnings): (Vec<StreamId>, Vec<Vec<u8>>),
        at: Timestamp,
    ) -> Result<Option<KeyNo>, StoreError> {
        let Some(no) = self.of(account).or_else(|| self.lost(account)) else { return Ok(None) };
        // What the metadata says of an account whose key is not there can not be read.
        let unknown = if self.lost(account).is_some() { root.streams_of(no)? } else { Vec::new() };
        let streams: BTreeSet<StreamId> = streams.into_iter().chain(unknown).collect();
        let streams = streams.into_iter().collect();
        let leaving = Leaving { account: account.to_owned(), at, streams, beginnings, is_destroyed: true };
        note(meta, no, &Entry::Leaving(leaving))?;
        Ok(Some(no))
    }

    /// Keys that nothing takes any more go. `used` are those that a file of any stream takes, see
    /// [`Root::account_keys_in`]. Gives the accounts whose keys went; without any key left the store is as it was before there
    /// were any.
    pub fn retire(
        &mut self,
        (root, meta): (&mut Root, &mut MetaLog),
        used: &BTreeSet<KeyNo>,
        at: Timestamp,
    ) -> Result<Vec<String>, StoreError> {
        let mut gone = Vec::new();
        if !root.has_account_keys()
            || root.context().vault.draws_account_keys()
            || root.metadata_aside_may_take_keys()?
        {
            return Ok(gone);
        }
        for (account, no) in self.in_use.clone() {
            if used.contains(&no) || meta.is_sealed_by(no) {
                continue;
            }
            let leaving = Leaving { account: account.clone(), at, ..Leaving::default() };
            note(meta, no, &Entry::Leaving(leaving))?;
            self.finish(root, meta, no)?;
            gone.push(account);
        }
        if self.in_use.is_empty() && self.lost.is_empty() && self.wraps.is_empty() && !meta.takes_account_keys() {
            // The newest block of the metadata may have been begun while there were some.
            meta.reseal()?;
            root.without_account_keys()?;
        }
        Ok(gone)
    }

    /// Goes on with a key that is to go, to the end: its file, the streams, what the metadata says. How many streams went.
    ///
    /// # Errors
    /// What the disk said. It is gone on with when the store is opened.
    pub fn finish(&mut self, root: &mut Root, meta: &mut MetaLog, no: KeyNo) -> Result<u64, StoreError> {
        let found = meta.get(&register::key_of(no)).and_then(Entry::decode);
        let Some(Entry::Leaving(leaving)) = found else { return Ok(0) };
        let context = root.context();
        file::destroy(&*context.disk, &file::path(no))?;
        self.forget(&context, no);
        leaving.streams.iter().try_for_each(|&id| root.destroy_stream(id))?;
        meta.forget_account(no);
        leaving.beginnings.iter().for_each(|beginning| meta.forget_beginning(beginning));
        // The block that says so holds nothing of it; only then it is done.
        meta.reseal()?;
        let Leaving { account, at, streams, is_destroyed, .. } = leaving;
        let streams = streams.len() as u64;
        if is_destroyed {
            note(meta, no, &Entry::Destroyed { account: account.clone(), at, streams })?;
            self.destroyed.push(Destroyed { key: no, account, at, streams });
        } else {
            meta.remove(&register::key_of(no))?;
            meta.commit()?;
        }
        Ok(streams)
    }

    /// Nobody opens anything by this key any more.
    fn forget(&mut self, context: &Context, no: KeyNo) {
        context.vault.accounts().remove(no);
        self.wraps.remove(&no);
        self.in_use.retain(|_, key| *key != no);
        self.lost.retain(|_, key| *key != no);
    }

    pub(super) fn admit(&mut self, account: &str, no: KeyNo, wrap: Wrap) {
        self.in_use.insert(account.to_owned(), no);
        self.wraps.insert(no, wrap);
    }

    pub(super) fn miss(&mut self, account: &str, no: KeyNo) {
        self.lost.insert(account.to_owned(), no);
    }

    pub(super) fn remember(&mut self, destroyed: Destroyed) {
        self.destroyed.push(destroyed);
    }

    pub(super) fn drop_key(&mut self, context: &Context, no: KeyNo) {
        self.forget(context, no);
    }
}

/// Notes something of a key in the metadata, durably.
fn note(meta: &mut MetaLog, no: KeyNo, entry: &Entry) -> Result<(), StoreError> {
    meta.put(&register::key_of(no), &entry.encode())?;
    meta.commit()
}
