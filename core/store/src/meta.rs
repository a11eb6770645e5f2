//! The metadata log: names, configurations and states under keys, in sealed blocks like the messages.
//!
//! A change is a record; many changes share one write and one sync. A new block begins with everything that is live and a
//! `Complete` record, and once it is durable the blocks before it go. The newest block with its `Complete` is where
//! reading begins; what the blocks behind it say is added.

use crate::disk::join;
use crate::error::{Damage, Finding, StoreError};
use crate::file::unusable;
use crate::index::{BlockError, BlockFile, Scanned, Step};
use crate::record::Record;
use crate::seal::{SealError, StreamId};
use crate::tail::{Context, SyncTicket, Tail, Unsynced, block_name, generation_of};
use std::collections::BTreeMap;
use std::io;

/// A block that has grown past this, and to twice what is live in it, is followed by a new one.
const BLOCK_BYTES: u64 = 4 * 1024 * 1024;

/// Keys and values, durable by commit.
pub struct MetaLog {
    context: Context,
    dir: String,
    live: BTreeMap<Vec<u8>, Vec<u8>>,
    live_bytes: u64,
    tail: Option<Tail>,
    unsynced: Unsynced,
    /// Older blocks; they go once the tail is durable.
    older: Vec<u64>,
    next_generation: u64,
    poisoned: bool,
}

/// A metadata log that was opened, and what was found on the way.
pub struct MetaOpened {
    /// The log.
    pub log: MetaLog,
    /// What was the matter.
    pub findings: Vec<Finding>,
}

impl MetaLog {
    /// Opens the log in `dir`, or begins one.
    pub fn open(context: Context, dir: &str) -> Result<MetaOpened, StoreError> {
        context.disk.create_dir(dir).map_err(StoreError::disk("making directory", dir))?;
        context.disk.sync_dir("").map_err(StoreError::disk("syncing directory", ""))?;
        let mut log = MetaLog {
            context,
            dir: dir.to_owned(),
            live: BTreeMap::new(),
            live_bytes: 0,
            tail: None,
            unsynced: Unsynced::default(),
            older: Vec::new(),
            next_generation: 1,
            poisoned: false,
        };
        let mut findings = Vec::new();
        let scans = log.read_blocks(&mut findings)?;
        log.replay(&scans, &mut findings);
        Ok(MetaOpened { log, findings })
    }

    fn read_blocks(&mut self, findings: &mut Vec<Finding>) -> Result<BTreeMap<u64, Scanned>, StoreError> {
        let names = self.context.disk.list(&self.dir).map_err(StoreError::disk("listing", &self.dir))?;
        let mut scans = BTreeMap::new();
        for name in names {
            let Some(generation) = generation_of(&name) else {
                findings.push(finding(name, Damage::Unknown, None));
                continue;
            };
            self.next_generation = self.next_generation.max(generation + 1);
            self.older.push(generation);
            match self.read_block(generation)? {
                Ok(scanned) => {
                    scans.insert(generation, scanned);
                }
                Err(what) => findings.push(finding(name, what, None)),
            }
        }
        Ok(scans)
    }

    fn read_block(&self, generation: u64) -> Result<Result<Scanned, Damage>, StoreError> {
        let path = join(&self.dir, &block_name(generation));
        let file = self.context.disk.open(&path).map_err(StoreError::disk("opening", &path))?;
        let place = self.context.place(StreamId::METADATA, generation);
        match BlockFile::open(file, &self.context.vault, place) {
            Ok(block) => block.scan().map(Ok).map_err(StoreError::disk("reading", &path)),
            Err(BlockError::NoHead) => Ok(Err(Damage::NoHead)),
            Err(BlockError::Foreign | BlockError::Seal(SealError::Altered)) => Ok(Err(Damage::Foreign)),
            Err(error) => Err(unusable(error, &path)),
        }
    }

    fn replay(&mut self, scans: &BTreeMap<u64, Scanned>, findings: &mut Vec<Finding>) {
        let complete = |scanned: &Scanned| scanned.steps.iter().any(|step| matches!(step, Step::Complete));
        let base = scans.iter().rev().find(|(_, scanned)| complete(scanned)).map_or(0, |(&generation, _)| generation);
        let newest = scans.keys().next_back().copied();
        for (&generation, scanned) in scans.range(base..) {
            self.replay_block(generation, scanned, Some(generation) == newest, findings);
        }
    }

    fn replay_block(&mut self, generation: u64, scanned: &Scanned, is_newest: bool, findings: &mut Vec<Finding>) {
        let mut is_torn = false;
        for step in &scanned.steps {
            match step {
                Step::Put { key, value } => self.remember(key, value),
                Step::Remove { key } if !is_torn => self.forget(key),
                Step::Damaged { from, to, certain } => {
                    let torn = is_newest && !certain;
                    is_torn |= torn;
                    let what = if torn { Damage::TornTail } else { Damage::Altered };
                    findings.push(finding(block_name(generation), what, Some((*from, *to))));
                }
                _ => {}
            }
        }
    }

    fn remember(&mut self, key: &[u8], value: &[u8]) {
        self.forget(key);
        self.live_bytes += (key.len() + value.len()) as u64;
        self.live.insert(key.to_vec(), value.to_vec());
    }

    fn forget(&mut self, key: &[u8]) {
        if let Some(value) = self.live.remove(key) {
            self.live_bytes -= (key.len() + value.len()) as u64;
        }
    }

    /// The value of a key, staged changes included.
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.live.get(key).map(Vec::as_slice)
    }

    /// Keys that begin with `prefix`, in order, with their values.
    pub fn range<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let from = self.live.range(prefix.to_vec()..);
        from.take_while(move |(key, _)| key.starts_with(prefix)).map(|(key, value)| (key.as_slice(), value.as_slice()))
    }

    /// Stages a value for a key.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let tail = self.ready_tail()?;
        tail.record(&Record::Put { key, value });
        self.remember(key, value);
        Ok(())
    }

    /// Stages the removal of a key.
    pub fn remove(&mut self, key: &[u8]) -> Result<(), StoreError> {
        if self.live.contains_key(key) {
            self.ready_tail()?.record(&Record::Remove { key });
            self.forget(key);
        }
        Ok(())
    }

    fn ready_tail(&mut self) -> Result<&mut Tail, StoreError> {
        if self.poisoned {
            return Err(StoreError::Poisoned);
        }
        let full = BLOCK_BYTES.max(2 * self.live_bytes);
        if let Some(tail) = self.tail.take_if(|tail| tail.staged_bytes() == 0 && tail.end() > full) {
            self.older.push(tail.generation);
        }
        if self.tail.is_none() {
            let generation = self.next_generation;
            self.next_generation += 1;
            let mut tail = Tail::begin(&self.context, StreamId::METADATA, generation);
            self.live.iter().for_each(|(key, value)| {
                tail.record(&Record::Put { key, value });
            });
            tail.record(&Record::Complete);
            self.tail = Some(tail);
        }
        self.tail.as_mut().ok_or(StoreError::Poisoned)
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
                if self.context.disk.remove(&join(&self.dir, &block_name(generation))).is_err() {
                    self.older.push(generation);
                }
            }
        }
        Ok(())
    }

    /// Writes and syncs everything staged.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        match self.flush()? {
            Some(ticket) => self.synced(ticket.run()),
            None => Ok(()),
        }
    }

    /// Begins a new block, sealed by the present cipher and key, and makes it durable.
    pub fn reseal(&mut self) -> Result<(), StoreError> {
        self.commit()?;
        self.older.extend(self.tail.take().map(|tail| tail.generation));
        self.ready_tail()?;
        self.commit()
    }
}

fn finding(file: String, what: Damage, bytes: Option<(u64, u64)>) -> Finding {
    Finding { stream: StreamId::METADATA, file, what, bytes, lost: None }
}
