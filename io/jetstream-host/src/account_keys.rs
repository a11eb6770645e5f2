//! Keys of accounts: what is written takes them, and an account whose key is destroyed begins anew.

use crate::Report;
use crate::desk::{Desk, Why};
use crate::shelf::Shelving;
use jetstream::{KeptStream, Now, Outbox, Tenant};
use std::collections::BTreeSet;
use std::sync::Arc;
use store::{Destroyed, KeyNo, StoreError, StreamId};

impl Shelving {
    /// The key that what is written for an account takes; none if accounts have none, or it has none yet.
    pub(crate) fn key_in_use(&self, account: &str) -> Option<KeyNo> {
        self.keyring.of(account).filter(|_| self.context.vault.draws_account_keys())
    }

    /// As [`Shelving::key_in_use`]; an account that has none yet gets one if accounts have some.
    pub(crate) fn key_for(&mut self, account: &str) -> Result<Option<KeyNo>, StoreError> {
        if !self.context.vault.draws_account_keys() || self.keyring.of(account).is_some() {
            return Ok(self.key_in_use(account));
        }
        let key = self.keyring.draw(&self.context, &mut self.meta, account)?;
        self.drawn.push(account.to_owned());
        self.seal_entries(account, Some(key));
        Ok(Some(key))
    }

    /// What is kept of an account takes this key from the next block of the metadata on. Whether some of it did not.
    fn seal_entries(&mut self, account: &str, key: Option<KeyNo>) -> bool {
        let changed = KeptStream::beginnings(account).map(|beginning| self.meta.seal_beginning(&beginning, key));
        let is_due = changed.contains(&true);
        self.is_meta_due |= is_due;
        is_due
    }

    /// Begins a new block of the metadata if entries are to be sealed otherwise.
    pub(crate) fn reseal_entries(&mut self) -> Result<(), StoreError> {
        if self.is_meta_due || self.meta.needs_reseal() {
            self.meta.reseal()?;
            self.is_meta_due = false;
        }
        Ok(())
    }

    /// Numbers of the streams of an account, as far as they are kept.
    fn kept_streams(&self, account: &str) -> Vec<StreamId> {
        let (kept, _) = KeptStream::read_all(self.meta.range(&[]));
        kept.iter().filter(|(of, _)| of == account).map(|(_, stream)| StreamId(stream.id)).collect()
    }
}

impl Desk {
    /// Destroys the key that an account has of its own, with everything that it seals, and makes that durable. Its streams end; the
    /// account begins anew. How many streams there were.
    ///
    /// # Errors
    /// That it has none, or what the disk said. Once it was noted that the key is to go, it goes: when the store is opened
    /// again at the latest.
    pub fn destroy_key(&mut self, account: &str, now: Now) -> Result<u64, String> {
        if self.failed.is_some() {
            return Err("the store failed, and nothing is destroyed until it works again".to_owned());
        }
        let mut streams = self.shelving.kept_streams(account);
        // Those too that are being restored.
        let of_tenant = self.tenants.get_mut(account).into_iter().flat_map(Tenant::streams_mut);
        streams.extend(of_tenant.map(|stream| StreamId(stream.id)));
        let going = (streams, KeptStream::beginnings(account).to_vec());
        let (keyring, meta) = (&mut self.shelving.keyring, &mut self.shelving.meta);
        let key = match keyring.begin_destroying((&self.root, meta), account, going, now.wall) {
            Ok(Some(key)) => key,
            Ok(None) => return Err(format!("account {account} has no key of its own")),
            Err(error) => return Err(self.failed_to_destroy(&error, now)),
        };
        let mut out = self.end_streams(account, now);
        let (keyring, meta) = (&mut self.shelving.keyring, &mut self.shelving.meta);
        let finished = keyring.finish(&mut self.root, meta, key);
        // What fails here fails the store; the key is gone, or goes when that is opened again.
        let _ = self.carry_out(account, &mut out, now);
        let streams = finished.map_err(|error| self.failed_to_destroy(&error, now))?;
        self.port.report(Report::KeyDestroyed { account: account.to_owned(), streams });
        self.unrecovered.retain(|(of, _)| of != account);
        if let Some(settings) = self.accounts.get(account).cloned().filter(|_| self.failed.is_none()) {
            self.add_tenant(settings, Vec::new(), now).map_err(|error| self.failed_to_destroy(&error, now))?;
        }
        Ok(streams)
    }

    fn failed_to_destroy(&mut self, error: &StoreError, now: Now) -> String {
        self.note_failure(Why::new(None, error), now);
        error.to_string()
    }

    /// The streams of an account are gone, and nobody is heard in it any more. What whoever waits for them is to be told.
    fn end_streams(&mut self, account: &str, now: Now) -> Outbox {
        let mut out = Outbox::default();
        if let Some(mut tenant) = self.tenants.remove(account) {
            // What it leaves undone goes with the key.
            let _ = self.with_surroundings(account, &mut out, now, |around| tenant.remove_all(around));
            self.unlisten(account);
        }
        out
    }

    /// An account whose key is not there is not served: what it has could not be read, and what it made would be mixed with
    /// that. Whether it is one.
    pub(crate) fn is_shut_out(&mut self, account: &Arc<str>) -> Result<bool, StoreError> {
        let Some(key) = self.shelving.keyring.lost(account) else { return Ok(false) };
        let streams = self.unserved_by(key)?;
        let text = format!(
            "JetStream of account {account} is out of service: its key is not there, file keys/{key}.key; its {streams} \
             streams in files are left alone until it is put back, or destroyed"
        );
        self.port.report(Report::Finding(text));
        self.unrecovered.insert((account.to_string(), String::new()));
        Ok(true)
    }

    fn unserved_by(&self, key: KeyNo) -> Result<usize, StoreError> {
        let mut streams = 0;
        for id in self.root.stream_ids()? {
            streams += usize::from(self.root.account_keys_in(id)?.contains(&key));
        }
        Ok(streams)
    }

    /// Why a stream that the metadata does not know can not be opened, where that is for want of the key of an account.
    pub(crate) fn why_closed(&self, id: StreamId) -> Result<Option<String>, StoreError> {
        let Some(key) = self.root.account_keys_in(id)?.into_iter().next() else { return Ok(None) };
        let keyring = &self.shelving.keyring;
        let gone = keyring.destroyed().iter().find(|gone| gone.key == key);
        Ok(match (gone, keyring.account_of(key)) {
            (Some(Destroyed { account, at, .. }), _) => {
                Some(format!("takes key {key} of account {account}, which was destroyed at {at}"))
            }
            (None, Some(account)) if keyring.lost(account) == Some(key) => {
                Some(format!("takes key {key} of account {account}, which is not there"))
            }
            (None, Some(_)) => None,
            (None, None) => Some(format!("takes key {key} of an account, which is not there")),
        })
    }

    /// What an account has takes the key that it should: one of its own if accounts have some, else none. Whether there was
    /// something to do. Blocks follow one by one.
    pub(crate) fn settle_account_key(&mut self, account: &str) -> Result<bool, StoreError> {
        let Some(tenant) = self.tenants.get_mut(account) else { return Ok(false) };
        let has_streams = tenant.streams_mut().next().is_some();
        let shelving = &mut self.shelving;
        let key = if has_streams { shelving.key_for(account)? } else { shelving.key_in_use(account) };
        let mut has_changed = shelving.seal_entries(account, key);
        for stream in tenant.streams_mut().filter(|stream| !stream.log.takes(key)) {
            stream.log.adopt(&shelving.context.vault, key)?;
            has_changed = true;
        }
        Ok(has_changed)
    }

    /// Keys of accounts that nothing takes any more go, where accounts are to have none.
    pub(crate) fn retire_account_keys(&mut self, used: &BTreeSet<KeyNo>, now: Now) -> Result<(), StoreError> {
        let (keyring, meta) = (&mut self.shelving.keyring, &mut self.shelving.meta);
        for account in keyring.retire((&mut self.root, meta), used, now.wall)? {
            self.port.report(Report::KeyRetired { account });
        }
        for (account, key) in self.shelving.keyring.in_use() {
            let what = "files that are kept aside, or streams that nobody serves, take it";
            self.port.report(Report::Finding(format!("key {key} of account {account} stays: {what}")));
        }
        Ok(())
    }

    /// Whether there may be keys of accounts although accounts are to have none.
    pub(crate) fn may_retire_account_keys(&self) -> bool {
        self.root.has_account_keys() && !self.shelving.context.vault.draws_account_keys()
    }

    /// Tells of keys that were drawn.
    pub(crate) fn tell_drawn(&mut self) {
        for account in std::mem::take(&mut self.shelving.drawn) {
            self.port.report(Report::KeyDrawn { account });
        }
    }
}
