//! What is done to files while nothing more urgent is: sealing anew after a change of keys or cipher, reading blocks of which
//! only the tables of contents were read, so that damage is named, and giving back the space of messages that are gone.
//!
//! One step is one block at most, and after each step the messages that came meanwhile have their turn. Steps are durable
//! one by one, so a crash loses no work but that of the last.

use crate::Report;
use crate::desk::{Desk, Why};
use crate::shelf::Shelf;
use jetstream::{Now, Stream, Tenant};
use moment::Instant;
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use store::{KeyNo, Sealing, StoreError, StreamId};

/// After a block was sealed anew the next one waits this long.
const SEAL_EVERY: Duration = Duration::from_millis(20);
/// After a block was read for damage the next one waits this long.
const EXAMINE_EVERY: Duration = Duration::from_millis(100);
/// How often it is looked for space that can be given back.
const TIDY_EVERY: Duration = Duration::from_secs(1);
/// Streams that are looked at in one step when nothing is to be done in them.
const LOOKS: usize = 64;
/// Progress is told this often, in hundredths of the whole.
const TOLD_PERCENT: u64 = 5;

/// A stream, by account and number: one that is being restored may have the name of another.
type Place = (Arc<str>, u64);

/// What is to be done, and when next.
pub(crate) struct Upkeep {
    at: Instant,
    resealing: Option<Resealing>,
    /// Streams that were not looked at for space yet, in this turn.
    untidied: VecDeque<Place>,
}

/// Sealing anew, under way.
#[derive(Default)]
struct Resealing {
    /// Accounts whose keys were not looked at yet.
    accounts: VecDeque<Arc<str>>,
    /// Keys of accounts that are to be wrapped anew.
    keys: Vec<KeyNo>,
    unseen: VecDeque<Place>,
    blocks: VecDeque<(Place, u64)>,
    done: u64,
    all: u64,
    told: u64,
    /// Streams that may take keys of accounts, and what those take that were looked at. `None` until the blocks are done.
    unchecked: Option<VecDeque<StreamId>>,
    used: BTreeSet<KeyNo>,
}

impl Upkeep {
    /// Everything is looked at once after a start.
    pub(crate) fn new(now: Now) -> Upkeep {
        Upkeep { at: now.tick, resealing: Some(Resealing::default()), untidied: VecDeque::new() }
    }

    /// When the next step is due.
    pub(crate) fn due(&self) -> Instant {
        self.at
    }
}

impl Desk {
    /// Everything is written by other keys or another cipher from now on, and what lies there is sealed anew, little by
    /// little. The present key must be among the new ones, as the previous one.
    ///
    /// # Errors
    /// The key that is missing, or what the disk said. With a missing key nothing has changed.
    pub fn rekey(&mut self, sealing: Sealing, now: Now) -> Result<(), StoreError> {
        self.root.rekey(&sealing)?;
        self.settings.sealing = sealing;
        let vault = self.root.context().vault;
        self.shelving.context.vault = vault.clone();
        let mut outcome = self.shelving.meta.adopt(vault.clone());
        for (account, tenant) in &mut self.tenants {
            let key = self.shelving.key_in_use(account);
            for stream in tenant.streams_mut() {
                outcome = outcome.and(stream.log.adopt(&vault, key));
            }
        }
        self.plan_resealing(now);
        outcome.inspect_err(|error| self.note_failure(Why::new(None, error), now))
    }

    /// Every stream is looked at for blocks that are not sealed as they should be.
    pub(crate) fn plan_resealing(&mut self, now: Now) {
        let (accounts, unseen) = (self.tenants.keys().cloned().collect(), self.places());
        let keys = self.shelving.keyring.to_rewrap(&self.shelving.context);
        self.upkeep.resealing = Some(Resealing { accounts, keys, unseen, ..Resealing::default() });
        self.upkeep.at = now.tick;
    }

    /// All streams, those included that are being restored.
    fn places(&mut self) -> VecDeque<Place> {
        let of = |(account, tenant): (&Arc<str>, &mut Tenant<_>)| -> Vec<Place> {
            tenant.streams_mut().map(|stream| (account.clone(), stream.id)).collect()
        };
        self.tenants.iter_mut().flat_map(of).collect()
    }

    fn at(&mut self, (account, id): &Place) -> Option<&mut Stream<Shelf>> {
        let tenant = self.tenants.get_mut(account)?;
        // Its log is worked on, so what is found there is to be reported.
        tenant.wake();
        tenant.streams_mut().find(|stream| stream.id == *id)
    }

    /// Blocks that were sealed anew and are to be, while that is under way.
    pub fn resealing(&self) -> Option<(u64, u64)> {
        self.upkeep.resealing.as_ref().filter(|resealing| resealing.all > 0).map(|r| (r.done, r.all))
    }

    /// One step, if it is due and the store works.
    pub(crate) fn keep_up(&mut self, now: Now) {
        if now.tick < self.upkeep.at || self.failed.is_some() {
            return;
        }
        let stepped = match self.upkeep.resealing.take() {
            Some(resealing) => self.reseal_step(resealing, now),
            None => self.tidy_step(now),
        };
        if let Err(error) = stepped {
            self.note_failure(Why::new(None, &error), now);
        }
    }

    fn reseal_step(&mut self, mut resealing: Resealing, now: Now) -> Result<(), StoreError> {
        self.upkeep.at = now.tick + SEAL_EVERY;
        if self.seal_keys(&mut resealing)? {
            self.upkeep.resealing = Some(resealing);
            return Ok(());
        }
        for _ in 0..LOOKS {
            if !resealing.blocks.is_empty() {
                break;
            }
            let Some(place) = resealing.unseen.pop_front() else { return self.blocks_are_done(resealing, now) };
            if let Some(stream) = self.at(&place) {
                let blocks = stream.log.blocks_to_reseal()?;
                resealing.all += blocks.len() as u64;
                resealing.blocks.extend(blocks.into_iter().map(|block| (place.clone(), block)));
            }
        }
        if let Some((place, block)) = resealing.blocks.pop_front() {
            if let Some(stream) = self.at(&place) {
                stream.log.reseal(block)?;
            }
            resealing.done += 1;
            self.tell(&mut resealing);
        }
        self.upkeep.resealing = Some(resealing);
        Ok(())
    }

    /// What lies before the blocks: which account has which key, and keys that are wrapped anew. Whether there was something to
    /// do.
    fn seal_keys(&mut self, resealing: &mut Resealing) -> Result<bool, StoreError> {
        for _ in 0..LOOKS {
            let Some(account) = resealing.accounts.pop_front() else { break };
            if self.settle_account_key(&account)? {
                return Ok(true);
            }
        }
        if !resealing.accounts.is_empty() {
            return Ok(true);
        }
        let Some(key) = resealing.keys.pop() else { return Ok(false) };
        self.shelving.keyring.rewrap(&self.shelving.context, key)?;
        Ok(true)
    }

    /// All blocks are as they should be: the metadata follows, and where accounts are to have no keys of their own it is looked
    /// whether anything still takes one.
    fn blocks_are_done(&mut self, mut resealing: Resealing, now: Now) -> Result<(), StoreError> {
        self.shelving.reseal_entries()?;
        if self.may_retire_account_keys() {
            let all = if resealing.unchecked.is_none() { self.root.stream_ids()? } else { Vec::new() };
            let unchecked = resealing.unchecked.get_or_insert_with(|| all.into());
            if let Some(stream) = unchecked.pop_front() {
                resealing.used.extend(self.root.account_keys_in(stream)?);
                self.upkeep.resealing = Some(resealing);
                return Ok(());
            }
            self.retire_account_keys(&resealing.used, now)?;
        }
        self.resealed(&resealing, now)
    }

    fn tell(&self, resealing: &mut Resealing) {
        let percent = resealing.done * 100 / resealing.all.max(1);
        if percent >= resealing.told + TOLD_PERCENT {
            resealing.told = percent;
            self.port.report(Report::Resealing { done: resealing.done, all: resealing.all });
        }
    }

    /// Everything is as it should be: keys that nothing needs are forgotten.
    fn resealed(&mut self, resealing: &Resealing, now: Now) -> Result<(), StoreError> {
        self.upkeep.at = now.tick + TIDY_EVERY;
        let (accounts, blocks) = (self.shelving.keyring.in_use().count(), resealing.done);
        if blocks > 0 && self.shelving.context.vault.draws_account_keys() {
            self.port.report(Report::AccountsSealed { accounts, blocks });
        }
        if !self.root.has_other_keys() {
            return Ok(());
        }
        let served: HashSet<u64> =
            self.tenants.values_mut().flat_map(Tenant::streams_mut).map(|stream| stream.id).collect();
        let unserved = self.root.stream_ids()?.into_iter().filter(|StreamId(id)| !served.contains(id)).count();
        if unserved > 0 {
            let text = format!("{unserved} streams that no account serves are still sealed by the previous key");
            self.port.report(Report::Finding(text));
            return Ok(());
        }
        self.root.only_present_key()?;
        self.port.report(Report::Resealed { blocks: resealing.done });
        Ok(())
    }

    fn tidy_step(&mut self, now: Now) -> Result<(), StoreError> {
        self.upkeep.at = now.tick + TIDY_EVERY;
        if self.upkeep.untidied.is_empty() {
            self.upkeep.untidied = self.places();
        }
        for _ in 0..LOOKS {
            let Some(place) = self.upkeep.untidied.pop_front() else { return Ok(()) };
            let Some(stream) = self.at(&place) else { continue };
            if stream.log.examine()? {
                self.upkeep.untidied.push_front(place);
                self.upkeep.at = now.tick + EXAMINE_EVERY;
                return Ok(());
            }
            if stream.log.tidy()? {
                // There may be more of it.
                self.upkeep.untidied.push_front(place);
                self.upkeep.at = now.tick + SEAL_EVERY;
                return Ok(());
            }
        }
        Ok(())
    }
}
