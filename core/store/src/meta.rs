//! The metadata log: names, configurations and states under keys, in sealed blocks like the messages.
//!
//! A change is a record; many changes share one write and one sync. A new block begins with everything that is live and a
//! `Complete` record, and once it is durable the blocks before it go. The newest block with its `Complete` is where
//! reading begins; what the blocks behind it say is added: they were never durable as a whole.
//!
//! What is said of an account that has a key of its own takes that key, too: see `account_keys/entry.rs`. Where the key is not
//! there the entry is kept as it is.
//!
//! A block whose head does not open is kept aside, and so are damaged stretches of a block before it goes.

mod live;

use self::live::Live;
use crate::account_keys::KeyNo;
use crate::account_keys::entry::{self, Says, Sealed, Sealer};
use crate::aside::{self, ASIDE};
use crate::disk::{join, read_all};
use crate::error::{Damage, Finding, StoreError};
use crate::file::unusable;
use crate::header::{SLOT_LEN, Why};
use crate::index::{BlockError, BlockFile, MAX_BLOCK_FILE, Scanned, Step};
use crate::record::Record;
use crate::seal::{SealError, StreamId, Vault};
use crate::tail::{Context, SyncTicket, Tail, Unsynced, block_name, generation_of};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// A block that has grown past this, and to twice what is live in it, is followed by a new one.
const BLOCK_BYTES: u64 = 4 * 1024 * 1024;

/// Keys and values, durable by commit.
pub struct MetaLog {
    context: Context,
    dir: String,
    live: Live,
    tail: Option<Tail>,
    /// Seals what takes the key of an account, in the tail.
    sealer: Sealer,
    unsynced: Unsynced,
    /// Older blocks; they go once the tail is durable.
    older: Vec<u64>,
    /// Damaged stretches of those, to be copied aside before.
    evidence: BTreeMap<u64, Vec<Range<u64>>>,
    next_generation: u64,
    poisoned: bool,
    /// Whether some of it is not sealed by the present cipher and key.
    needs_reseal: bool,
}

/// A metadata log that was opened, and what was found on the way.
pub struct MetaOpened {
    /// The log.
    pub log: MetaLog,
    /// Whether there was no file of it at all.
    pub is_blank: bool,
    /// What was the matter.
    pub findings: Vec<Finding>,
}

impl MetaLog {
    /// Opens the log in `dir`, or begins one.
    pub fn open(context: Context, dir: &str) -> Result<MetaOpened, StoreError> {
        context.disk.create_dir(dir).map_err(StoreError::disk("making directory", dir))?;
        context.disk.sync_dir("").map_err(StoreError::disk("syncing directory", ""))?;
        let mut log = MetaLog {
            sealer: Sealer::new(&*context.entropy),
            context,
            dir: dir.to_owned(),
            live: Live::default(),
            tail: None,
            unsynced: Unsynced::default(),
            older: Vec::new(),
            evidence: BTreeMap::new(),
            next_generation: 1,
            poisoned: false,
            needs_reseal: false,
        };
        let mut findings = Vec::new();
        let files = log.read_blocks(&mut findings)?;
        let is_blank = files.is_empty();
        let scans = log.settle(files, &mut findings)?;
        log.replay(scans, &mut findings);
        Ok(MetaOpened { log, is_blank, findings })
    }

    /// Reads all blocks. Changes nothing, so that a key that is missing touches nothing.
    fn read_blocks(&mut self, findings: &mut Vec<Finding>) -> Result<BTreeMap<u64, File>, StoreError> {
        let names = self.context.disk.list(&self.dir).map_err(StoreError::disk("listing", &self.dir))?;
        let mut files = BTreeMap::new();
        for name in names.into_iter().filter(|name| name != ASIDE) {
            let Some(generation) = generation_of(&name) else {
                findings.push(finding(name, Damage::Unknown, None));
                continue;
            };
            files.insert(generation, self.read_block(generation)?);
        }
        Ok(files)
    }

    fn read_block(&mut self, generation: u64) -> Result<File, StoreError> {
        let path = join(&self.dir, &block_name(generation));
        let file = self.context.disk.open(&path).map_err(StoreError::disk("opening", &path))?;
        let place = self.context.place(StreamId::METADATA, generation);
        match BlockFile::open(file.clone(), &self.context.vault, place) {
            Ok(block) => {
                self.needs_reseal |= !self.context.is_present(&block.header.wrapped);
                let scanned = block.scan().map_err(StoreError::disk("reading", &path))?;
                Ok(File::Good(Box::new(block), scanned))
            }
            Err(BlockError::NoHead { unwritten }) => {
                let bytes = read_all(&*file, MAX_BLOCK_FILE).map_err(StoreError::disk("reading", &path))?;
                Ok(File::NoHead { unwritten, is_blank: bytes.iter().all(|&byte| byte == 0) })
            }
            Err(BlockError::Foreign | BlockError::Seal(SealError::Altered)) => Ok(File::Foreign),
            Err(error) => Err(unusable(error, &path)),
        }
    }

    /// Keeps aside what can not be used and must not be lost, and gives what the others say.
    fn settle(
        &mut self,
        files: BTreeMap<u64, File>,
        findings: &mut Vec<Finding>,
    ) -> Result<BTreeMap<u64, Scanned>, StoreError> {
        self.next_generation = files.keys().next_back().map_or(1, |newest| newest + 1);
        let newest =
            files.iter().rev().find(|(_, file)| matches!(file, File::Good(..))).map_or(0, |(&newest, _)| newest);
        let mut scans = BTreeMap::new();
        for (generation, file) in files {
            // A block begun later means that an earlier one was durable; behind the newest one may have been torn at birth.
            let what = match file {
                File::Good(block, scanned) => {
                    self.mend_head(generation, *block, generation == newest, findings)?;
                    let damaged: Vec<Range<u64>> = scanned.damaged().collect();
                    if !damaged.is_empty() {
                        self.evidence.insert(generation, damaged);
                    }
                    self.older.push(generation);
                    scans.insert(generation, scanned);
                    continue;
                }
                File::NoHead { is_blank: true, .. } if generation > newest => {
                    self.older.push(generation);
                    continue;
                }
                File::NoHead { unwritten: true, .. } if generation > newest => Damage::TornTail,
                File::NoHead { .. } => Damage::NoHead,
                File::Foreign => Damage::Foreign,
            };
            findings.push(finding(block_name(generation), what, None));
            aside::keep_file(&*self.context.disk, &self.dir, &block_name(generation))?;
        }
        Ok(scans)
    }

    fn mend_head(
        &self,
        generation: u64,
        mut block: BlockFile,
        is_newest: bool,
        findings: &mut Vec<Finding>,
    ) -> Result<(), StoreError> {
        let Some(stray) = block.stray else { return Ok(()) };
        let name = block_name(generation);
        block.mend().map_err(StoreError::disk("writing", &join(&self.dir, &name)))?;
        if stray.why == Why::Damaged || stray.why == Why::Unwritten && !is_newest {
            findings.push(finding(name, Damage::HalfHead, Some((stray.at, stray.at + SLOT_LEN as u64))));
        }
        Ok(())
    }

    fn replay(&mut self, mut scans: BTreeMap<u64, Scanned>, findings: &mut Vec<Finding>) {
        let base =
            scans.iter().rev().find(|(_, scanned)| is_complete(scanned)).map_or(0, |(&generation, _)| generation);
        for (generation, scanned) in scans.split_off(&base) {
            self.replay_block(generation, scanned, findings);
        }
    }

    fn replay_block(&mut self, generation: u64, scanned: Scanned, findings: &mut Vec<Finding>) {
        let mut is_torn = false;
        for step in scanned.steps {
            match step {
                Step::Put { key, value } => self.live.remember(&key, &value, None),
                Step::Remove { key } if !is_torn => self.live.forget(&key),
                Step::Sealed(says, sealed) if says == Says::Put || !is_torn => {
                    let damage = self.replay_sealed(says, sealed);
                    findings.extend(damage.map(|what| finding(block_name(generation), what, None)));
                }
                Step::Damaged { from, to, certain, .. } => {
                    is_torn |= !certain;
                    let what = if certain { Damage::Altered } else { Damage::TornTail };
                    findings.push(finding(block_name(generation), what, Some((from, to))));
                }
                _ => {}
            }
        }
    }

    /// What the key of an account opens. `Some`: the key is there, and it does not open.
    fn replay_sealed(&mut self, says: Says, sealed: Sealed) -> Option<Damage> {
        match (entry::open(&self.context.vault, says, &sealed), says) {
            (Ok((key, value)), Says::Put) => self.live.remember(&key, &value, Some(sealed.account)),
            (Ok((key, _)), Says::Remove) => self.live.forget(&key),
            (Err(SealError::NoAccountKey(_)), Says::Remove) => self.live.drop_closed((sealed.account, sealed.mark)),
            (Err(SealError::NoAccountKey(_)), Says::Put) => self.live.keep(sealed),
            (Err(_), Says::Remove) => return Some(Damage::Altered),
            (Err(_), Says::Put) => {
                self.live.keep(sealed);
                return Some(Damage::Altered);
            }
        }
        None
    }

    /// The value of a key, staged changes included.
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.live.get(key).map(|value| value.bytes.as_slice())
    }

    /// Keys that begin with `prefix`, in order, with their values.
    pub fn range<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.live.range(prefix).map(|(key, value)| (key, value.bytes.as_slice()))
    }

    /// Stages a value for a key.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.put_for(None, key, value)
    }

    /// Stages a value for a key that, if an account's key is named, takes that to be read again.
    pub fn put_for(&mut self, account: Option<KeyNo>, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        if let Some(needed) = account.filter(|&no| self.context.vault.accounts().get(no).is_none()) {
            return Err(StoreError::NoAccountKey { needed, path: String::new() });
        }
        if self.live.get(key).is_some_and(|before| before.account != account) {
            // The value before stands in no block that the new one stands in: should that be unreadable one day, it must not
            // come back.
            self.live.remember(key, value, account);
            return self.reseal();
        }
        self.ready_tail()?;
        self.record(account, Says::Put, (key, value))?;
        self.live.remember(key, value, account);
        Ok(())
    }

    /// Stages the removal of a key.
    pub fn remove(&mut self, key: &[u8]) -> Result<(), StoreError> {
        let Some(account) = self.live.get(key).map(|value| value.account) else { return Ok(()) };
        self.ready_tail()?;
        self.record(account, Says::Remove, (key, b""))?;
        self.live.forget(key);
        Ok(())
    }

    /// Writes an entry into the tail that is ready.
    fn record(&mut self, account: Option<KeyNo>, says: Says, (key, value): (&[u8], &[u8])) -> Result<(), StoreError> {
        let Some(tail) = &mut self.tail else { return Err(StoreError::Poisoned) };
        let Some(account) = account else {
            tail.record(&match says {
                Says::Put => Record::Put { key, value },
                Says::Remove => Record::Remove { key },
            });
            return Ok(());
        };
        let Sealed { account, mark, bytes } = self.sealer.seal(&self.context.vault, account, says, (key, value))?;
        tail.record(&Record::Sealed { says, account, mark, bytes: &bytes });
        Ok(())
    }

    fn ready_tail(&mut self) -> Result<(), StoreError> {
        if self.poisoned {
            return Err(StoreError::Poisoned);
        }
        let full = BLOCK_BYTES.max(2 * self.live.bytes());
        if let Some(tail) = self.tail.take_if(|tail| tail.staged_bytes() == 0 && tail.end() > full) {
            self.older.push(tail.generation);
        }
        if self.tail.is_none() {
            self.begin_tail()?;
        }
        Ok(())
    }

    /// Begins a block with everything that is live.
    fn begin_tail(&mut self) -> Result<(), StoreError> {
        let generation = self.next_generation;
        let takes_account_keys = self.context.vault.draws_account_keys() || self.live.has_sealed();
        self.tail = Some(Tail::begin_metadata(&self.context, generation, takes_account_keys)?);
        self.next_generation += 1;
        self.sealer = Sealer::new(&*self.context.entropy);
        let live = std::mem::take(&mut self.live);
        let mut entries = live.open();
        let written = entries.try_for_each(|(key, value)| self.record(value.account, Says::Put, (key, &value.bytes)));
        drop(entries);
        if let Some(tail) = &mut self.tail {
            live.closed().for_each(|(account, &mark, bytes)| {
                tail.record(&Record::Sealed { says: Says::Put, account, mark, bytes });
            });
            tail.record(&Record::Complete);
        }
        self.live = live;
        if written.is_err() {
            // Nothing of it was written: what lies there stays.
            self.tail = None;
        }
        written
    }

    /// Whether there is something to commit.
    pub fn is_dirty(&self) -> bool {
        self.tail.as_ref().is_some_and(|tail| tail.staged_bytes() > 0)
    }

    /// Whether an earlier failure keeps the log from acknowledging anything.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// Writes everything staged. The ticket must be run and its outcome reported before anything counts as durable.
    pub fn flush(&mut self) -> Result<Option<SyncTicket>, StoreError> {
        if self.poisoned {
            return Err(StoreError::Poisoned);
        }
        let Some(tail) = &mut self.tail else { return Ok(None) };
        let written = self.unsynced.write(tail, &self.context, &self.dir);
        self.poisoned |= written.is_err();
        written.map(|()| self.unsynced.ticket(&self.context, &self.dir))
    }

    /// The outcome of a sync.
    pub fn synced(&mut self, outcome: io::Result<()>) -> Result<(), StoreError> {
        if let Err(source) = outcome {
            self.poisoned = true;
            return Err(StoreError::disk("syncing", &self.dir)(source));
        }
        if let Some(tail) = &mut self.tail {
            tail.synced();
            for generation in std::mem::take(&mut self.older) {
                // A file that stays is older than the base next time, and is tried again.
                if self.remove_file(generation).is_err() {
                    self.older.push(generation);
                }
            }
        }
        Ok(())
    }

    fn remove_file(&mut self, generation: u64) -> Result<(), StoreError> {
        let (disk, name) = (&*self.context.disk, block_name(generation));
        if let Some(damaged) = self.evidence.get(&generation) {
            aside::keep_stretches(disk, &self.dir, &name, damaged)?;
            self.evidence.remove(&generation);
        }
        let path = join(&self.dir, &name);
        disk.remove(&path).map_err(StoreError::disk("removing", &path))
    }

    /// Writes and syncs everything staged.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        match self.flush()? {
            Some(ticket) => self.synced(ticket.run()),
            None => Ok(()),
        }
    }

    /// Begins a new block, sealed by the present cipher and key, and makes it durable. The blocks before are gone then, also
    /// after a crash.
    pub fn reseal(&mut self) -> Result<(), StoreError> {
        self.commit()?;
        self.older.extend(self.tail.take().map(|tail| tail.generation));
        self.ready_tail()?;
        self.commit()?;
        self.context.disk.sync_dir(&self.dir).map_err(StoreError::disk("syncing directory", &self.dir))?;
        self.needs_reseal = false;
        Ok(())
    }

    /// The values of all keys that begin so take this key of an account from now on, or none, as soon as
    /// [`MetaLog::reseal`] was called. Whether there are some that did not.
    pub fn seal_beginning(&mut self, beginning: &[u8], account: Option<KeyNo>) -> bool {
        self.live.seal_beginning(beginning, account)
    }

    /// Forgets everything that this key of an account seals. It is gone from the disk with the block that [`MetaLog::reseal`]
    /// begins.
    pub(crate) fn forget_account(&mut self, account: KeyNo) {
        self.live.forget_account(account);
    }

    /// Forgets everything under keys that begin so, as [`MetaLog::forget_account`] does.
    pub(crate) fn forget_beginning(&mut self, beginning: &[u8]) {
        let keys: Vec<Vec<u8>> = self.live.range(beginning).map(|(key, _)| key.to_vec()).collect();
        keys.iter().for_each(|key| self.live.forget(key));
    }

    /// Whether anything in it takes this key of an account.
    pub(crate) fn is_sealed_by(&self, account: KeyNo) -> bool {
        let closed = self.closed_accounts().any(|no| no == account);
        closed || self.live.open().any(|(_, value)| value.account == Some(account))
    }

    /// Whether anything in it takes keys of accounts.
    pub(crate) fn takes_account_keys(&self) -> bool {
        self.live.has_sealed()
    }

    /// The key that each entry needs that does not open.
    pub(crate) fn closed_accounts(&self) -> impl Iterator<Item = KeyNo> {
        self.live.closed().map(|(account, ..)| account)
    }

    /// Which key of an account the value of a key takes, if one.
    pub fn sealed_for(&self, key: &[u8]) -> Option<KeyNo> {
        self.live.get(key).and_then(|value| value.account)
    }

    /// The newest generation that was begun.
    pub fn generation(&self) -> u64 {
        self.next_generation - 1
    }

    /// Whether some of it is not sealed by the present cipher and key.
    pub fn needs_reseal(&self) -> bool {
        self.needs_reseal
    }

    /// Follows a change of keys: everything is sealed by them, at once.
    pub fn adopt(&mut self, vault: Arc<Vault>) -> Result<(), StoreError> {
        self.commit()?;
        self.context.vault = vault;
        self.reseal()
    }
}

/// Whether a block stands for those before it: everything up to its `Complete` is there, or was once. Where some of that was never
/// written the block was not durable, and those before it are still there.
fn is_complete(scanned: &Scanned) -> bool {
    let decisive =
        scanned.steps.iter().find(|step| matches!(step, Step::Complete | Step::Damaged { certain: false, .. }));
    matches!(decisive, Some(Step::Complete))
}

/// What a block file is.
enum File {
    Good(Box<BlockFile>, Scanned),
    NoHead { unwritten: bool, is_blank: bool },
    Foreign,
}

fn finding(file: String, what: Damage, bytes: Option<(u64, u64)>) -> Finding {
    Finding { stream: StreamId::METADATA, file, what, bytes, lost: None }
}
