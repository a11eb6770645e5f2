//! Opening a stream that an earlier process wrote, whatever state it was left in.
//!
//! The newest block that still has its manifest is the *base*: the manifest says which blocks there are and what of them
//! is gone, and the records behind it, in the base and in blocks begun later, say what happened since. Each file is then
//! judged by the facts about it:
//!
//! | head of the file | known to the base and what followed | the file is | decision |
//! |---|---|---|---|
//! | sealed by a key we lack, or a newer format | any | any | refuse to open; touch nothing |
//! | good | holds live messages | as long as it was | use it |
//! | good | holds live messages | shorter | use what opens; the rest is lost and named |
//! | good | the base or newer, without a live message | any | keep it until a newer manifest is durable |
//! | good | holds no live message any more, or was rewritten | any | finish the removal |
//! | good | a rewrite that was never completed, its originals are there | any | remove it |
//! | good | newer than the base | any | replay it; what does not open at its end is a torn write |
//! | good | newer than the base, repeats sequences, its first record does not open | any | a torn rewrite; keep it aside |
//! | good | not known, older than the base | any | stale: it was put back; keep it aside |
//! | of another stream or place | any | any | keep it aside; if it was listed, its messages are lost and named |
//! | damaged | holds live messages | any | keep it aside; its messages are lost and named |
//! | damaged | newer than any tail that can be read | any | a torn creation; keep it aside unless it is blank |
//! | – | holds live messages | not there | its messages are lost and named |
//!
//! Nothing is ever appended to a block found here: the next message begins a new generation under a new key. A deletion
//! that stands behind a torn place of the last write is not applied: what caused it may be in the torn part.

use super::read::{restore_deleted, unusable};
use super::{Block, FileSettings, FileStream};
use crate::deleted::{MAX_SPAN, ranges_of};
use crate::disk::{join, read_all};
use crate::error::{Damage, Finding, StoreError};
use crate::index::{BlockError, BlockFile, Entry, MAX_BLOCK_FILE, Scanned, Step};
use crate::record::{BlockFacts, Manifest};
use crate::seal::{SealError, StreamId};
use crate::tail::{Context, block_name, generation_of};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;

/// Directory, within a stream's, for files that must not be used and must not be lost.
pub(super) const ASIDE: &str = "aside";

/// A stream that was opened, and what was found on the way.
pub struct Opened {
    /// The stream.
    pub stream: FileStream,
    /// What was the matter. Empty after a clean shutdown.
    pub findings: Vec<Finding>,
}

impl FileStream {
    /// Opens the stream in `dir`. `first_seq` is where a stream without any record begins.
    pub fn open(
        context: Context,
        dir: &str,
        id: StreamId,
        settings: FileSettings,
        first_seq: u64,
    ) -> Result<Opened, StoreError> {
        let mut stream = FileStream::empty(context, dir, id, settings, first_seq.max(1));
        let mut recovery = Recovery::survey(&mut stream)?;
        recovery.replay()?;
        recovery.settle_files()?;
        let findings = recovery.finish()?;
        Ok(Opened { stream, findings })
    }
}

/// What the head of a file told.
enum File {
    Good(Box<BlockFile>),
    Foreign,
    NoHead,
}

/// What the first record of a block makes it.
enum Role {
    Tail(Manifest),
    Rewrite(Vec<u64>),
    /// The first record does not open.
    Unknown,
}

struct Recovery<'a> {
    stream: &'a mut FileStream,
    files: BTreeMap<u64, File>,
    /// Scans of the base and of everything newer.
    scans: BTreeMap<u64, Scanned>,
    rewrites: BTreeMap<u64, Vec<u64>>,
    blocks: BTreeMap<u64, Block>,
    base: Option<Manifest>,
    base_generation: u64,
    replaced: BTreeSet<u64>,
    /// Every block the replay knows, with or without live messages.
    originals: BTreeSet<u64>,
    /// Messages after this one, in this block, were in the last write, part of which does not open.
    torn_after: Option<(u64, u64)>,
    findings: Vec<Finding>,
}

impl<'a> Recovery<'a> {
    /// Reads all heads, then blocks from the newest down to the base. Changes nothing.
    fn survey(stream: &'a mut FileStream) -> Result<Self, StoreError> {
        let mut recovery = Recovery {
            stream,
            files: BTreeMap::new(),
            scans: BTreeMap::new(),
            rewrites: BTreeMap::new(),
            blocks: BTreeMap::new(),
            base: None,
            base_generation: 0,
            replaced: BTreeSet::new(),
            originals: BTreeSet::new(),
            torn_after: None,
            findings: Vec::new(),
        };
        recovery.read_heads()?;
        recovery.find_base()?;
        Ok(recovery)
    }

    fn path(&self, generation: u64) -> String {
        join(&self.stream.dir, &block_name(generation))
    }

    fn read_heads(&mut self) -> Result<(), StoreError> {
        let dir = &self.stream.dir;
        let names = match self.stream.context.disk.list(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.stream.context.disk.create_dir(dir).map_err(StoreError::disk("making directory", dir))?;
                self.find(0, Damage::Missing, None);
                Vec::new()
            }
            listed => listed.map_err(StoreError::disk("listing", dir))?,
        };
        for name in names.into_iter().filter(|name| name != ASIDE) {
            match generation_of(&name) {
                Some(generation) => {
                    let file = self.read_head(generation)?;
                    self.files.insert(generation, file);
                }
                None => {
                    let stream = self.stream.id;
                    self.findings.push(Finding { stream, file: name, what: Damage::Unknown, bytes: None, lost: None });
                }
            }
        }
        Ok(())
    }

    fn read_head(&self, generation: u64) -> Result<File, StoreError> {
        let path = self.path(generation);
        let context = &self.stream.context;
        let file = context.disk.open(&path).map_err(StoreError::disk("opening", &path))?;
        match BlockFile::open(file, &context.vault, context.place(self.stream.id, generation)) {
            Ok(file) => Ok(File::Good(Box::new(file))),
            Err(BlockError::NoHead) => Ok(File::NoHead),
            Err(BlockError::Foreign | BlockError::Seal(SealError::Altered)) => Ok(File::Foreign),
            Err(error) => Err(unusable(error, &path)),
        }
    }

    fn find_base(&mut self) -> Result<(), StoreError> {
        let generations: Vec<u64> = self.files.keys().rev().copied().collect();
        for generation in generations {
            let Some(File::Good(file)) = self.files.get(&generation) else { continue };
            let mut scanned = file.scan().map_err(StoreError::disk("reading", &self.path(generation)))?;
            match role(&mut scanned) {
                Role::Rewrite(old) => {
                    self.rewrites.insert(generation, old);
                }
                Role::Unknown => {
                    self.scans.insert(generation, scanned);
                }
                Role::Tail(manifest) => {
                    self.scans.insert(generation, scanned);
                    self.base = Some(manifest);
                    self.base_generation = generation;
                    break;
                }
            }
        }
        Ok(())
    }

    /// Works out which blocks there are and which of their messages are live.
    fn replay(&mut self) -> Result<(), StoreError> {
        if let Some(base) = self.base.take() {
            let state = &mut self.stream.state;
            state.first_seq = base.first_seq.max(1);
            state.last_seq = base.last_seq;
            state.last_time = base.last_time;
            state.lost_messages = base.lost_messages;
            state.lost_bytes = base.lost_bytes;
            base.blocks.into_iter().for_each(|facts| self.know(facts));
        }
        let newest = self.scans.iter().rev().find(|(_, scanned)| speaks(scanned)).map(|(&generation, _)| generation);
        for generation in self.scans.keys().copied().collect::<Vec<_>>() {
            if let Some(scanned) = self.scans.remove(&generation) {
                self.replay_block(generation, &scanned, newest.is_none_or(|newest| generation >= newest));
                self.scans.insert(generation, scanned);
            }
        }
        self.apply_head();
        Ok(())
    }

    fn know(&mut self, facts: BlockFacts) {
        let plausible = facts.first >= 1 && facts.last >= facts.first && facts.last - facts.first <= MAX_SPAN;
        if plausible {
            let mut block = Block::new(facts.generation, facts.first);
            block.last = facts.last;
            block.len = facts.len;
            let span = facts.first..facts.last + 1;
            let within: Vec<Range<u64>> = facts.deleted.iter().filter_map(|range| overlap(range, &span)).collect();
            block.deleted = restore_deleted(facts.first, &within);
            block.holes = facts.holes;
            block.entries = None;
            self.blocks.insert(facts.generation, block);
        }
    }

    fn replay_block(&mut self, generation: u64, scanned: &Scanned, is_newest: bool) {
        let first_found = scanned.messages().next().map(|found| found.seq);
        // A rewrite that lost its first record looks like a block that repeats sequences; so does an old block put back.
        if self.blocks.contains_key(&generation) || first_found.is_some_and(|seq| seq <= self.stream.state.last_seq) {
            return;
        }
        let mut block = Block::new(generation, first_found.unwrap_or(self.stream.state.last_seq + 1));
        block.len = scanned.end;
        block.entries = None;
        self.blocks.insert(generation, block);
        let mut is_torn = false;
        for step in &scanned.steps {
            match step {
                Step::Message(found) => self.replay_message(generation, found.seq, found.time),
                Step::Damaged { from, to, certain } => {
                    let torn = is_newest && !certain;
                    is_torn |= torn;
                    if torn && self.torn_after.is_none() {
                        self.torn_after = Some((generation, self.stream.state.last_seq));
                    }
                    self.stream.found_torn |= torn;
                    self.blocks.entry(generation).and_modify(|block| block.holes.push(*from..*to));
                    let what = if torn { Damage::TornTail } else { Damage::Altered };
                    self.find(generation, what, Some((*from, *to)));
                }
                Step::Delete(ranges) if !is_torn => ranges.iter().for_each(|range| self.delete(range)),
                Step::Head { first, last } if !is_torn => {
                    let state = &mut self.stream.state;
                    state.first_seq = state.first_seq.max(*first);
                    state.last_seq = state.last_seq.max(*last);
                }
                Step::Replaced { old, new } if !is_torn => {
                    old.iter().for_each(|generation| {
                        self.blocks.remove(generation);
                        self.replaced.insert(*generation);
                    });
                    self.know(new.clone());
                }
                _ => {}
            }
        }
    }

    fn replay_message(&mut self, generation: u64, seq: u64, time: moment::Timestamp) {
        let Some(block) = self.blocks.get_mut(&generation) else { return };
        if seq > block.last && seq - block.first <= MAX_SPAN {
            block.last = seq;
        }
        let state = &mut self.stream.state;
        state.last_seq = state.last_seq.max(seq);
        state.last_time = state.last_time.max(time);
    }

    fn delete(&mut self, range: &Range<u64>) {
        for block in self.blocks.values_mut() {
            if let Some(within) = overlap(range, &(block.first..block.last + 1)) {
                within.for_each(|seq| {
                    block.deleted.insert(seq);
                });
            }
        }
    }

    fn apply_head(&mut self) {
        let below = 0..self.stream.state.first_seq;
        self.delete(&below);
    }

    /// Compares files with what should be there.
    fn settle_files(&mut self) -> Result<(), StoreError> {
        self.originals = self.blocks.keys().copied().collect();
        let known: Vec<u64> =
            self.blocks.iter().filter(|(_, block)| block.messages() > 0).map(|(&generation, _)| generation).collect();
        for generation in known {
            self.settle_known(generation)?;
        }
        // A tail begun later means that an earlier one was durable. Rewrites say nothing: they go by beside the tail.
        let newest_tail = self.scans.iter().rev().find(|(_, scanned)| speaks(scanned)).map_or(0, |(&newest, _)| newest);
        let generations: Vec<u64> = self.files.keys().copied().collect();
        for &generation in &generations {
            if self.blocks.get(&generation).is_none_or(|block| block.messages() == 0) {
                self.settle_unneeded(generation, generation > newest_tail)?;
            }
        }
        let newest = generations.last().copied().unwrap_or(0);
        self.stream.next_generation = newest.max(self.blocks.keys().next_back().copied().unwrap_or(0)) + 1;
        Ok(())
    }

    /// A block with live messages: is its file usable?
    fn settle_known(&mut self, generation: u64) -> Result<(), StoreError> {
        let what = match self.files.get(&generation) {
            Some(File::Good(file)) => {
                let len = file.file.len().map_err(StoreError::disk("reading", &self.path(generation)))?;
                let expected = self.blocks.get(&generation).map_or(0, |block| block.len);
                if len < expected {
                    self.find(generation, Damage::Cut, Some((len, expected)));
                }
                return Ok(());
            }
            Some(File::Foreign) => Damage::Foreign,
            Some(File::NoHead) => Damage::NoHead,
            None => Damage::Missing,
        };
        let Some(block) = self.blocks.remove(&generation) else { return Ok(()) };
        let live: Vec<u64> = (block.first..=block.last).filter(|&seq| block.is_live(seq)).collect();
        self.stream.state.lost_messages += live.len() as u64;
        for lost in ranges_of(live) {
            self.find_lost(generation, what, lost);
        }
        if what != Damage::Missing {
            self.keep_aside(generation)?;
        }
        Ok(())
    }

    /// A file nobody needs: does what happened explain why it is still there?
    fn settle_unneeded(&mut self, generation: u64, may_be_torn: bool) -> Result<(), StoreError> {
        if self.speaks_for_the_stream(generation) {
            return Ok(());
        }
        self.blocks.remove(&generation);
        let unfinished = |old: &Vec<u64>| old.iter().all(|old| self.originals.contains(old));
        let what = match self.files.get(&generation) {
            None => return Ok(()),
            Some(File::Good(_)) if self.replaced.contains(&generation) || self.originals.contains(&generation) => {
                return self.finish_removal(generation);
            }
            Some(File::Good(_)) if self.rewrites.get(&generation).is_some_and(unfinished) => {
                return self.finish_removal(generation);
            }
            // Begun after the base and yet neither a tail nor a rewrite that can be read: its making was cut short.
            Some(File::Good(_)) if generation > self.base_generation && self.scans.contains_key(&generation) => {
                Damage::TornTail
            }
            Some(File::Good(_)) => Damage::Stale,
            Some(File::NoHead) if may_be_torn && self.is_blank(generation)? => return self.finish_removal(generation),
            Some(File::NoHead) if may_be_torn => Damage::TornTail,
            Some(File::NoHead) => Damage::NoHead,
            Some(File::Foreign) => Damage::Foreign,
        };
        // The manifest may have listed it, with nothing live in it: then it is only a removal that was cut short.
        if what == Damage::Stale && self.was_listed(generation) {
            return self.finish_removal(generation);
        }
        self.find(generation, what, None);
        self.keep_aside(generation)
    }

    /// The base, and what was begun after it, hold the stream's first and last sequence even without a message. They go
    /// once a newer manifest is durable.
    fn speaks_for_the_stream(&self, generation: u64) -> bool {
        generation >= self.base_generation
            && self.scans.contains_key(&generation)
            && self.blocks.contains_key(&generation)
    }

    fn was_listed(&self, generation: u64) -> bool {
        self.scans.get(&self.base_generation).is_some_and(|scanned| {
            scanned.steps.iter().any(|step| {
                matches!(step, Step::Manifest(manifest) if manifest.leaving.contains(&generation)
                    || manifest.blocks.iter().any(|block| block.generation == generation))
            })
        })
    }

    fn is_blank(&self, generation: u64) -> Result<bool, StoreError> {
        let path = self.path(generation);
        let file = self.stream.context.disk.open(&path).map_err(StoreError::disk("opening", &path))?;
        let bytes = read_all(&*file, MAX_BLOCK_FILE).map_err(StoreError::disk("reading", &path))?;
        Ok(bytes.iter().all(|&byte| byte == 0))
    }

    fn finish_removal(&mut self, generation: u64) -> Result<(), StoreError> {
        let path = self.path(generation);
        self.files.remove(&generation);
        self.stream.unsynced_removals = true;
        self.stream.context.disk.remove(&path).map_err(StoreError::disk("removing", &path))
    }

    fn keep_aside(&mut self, generation: u64) -> Result<(), StoreError> {
        let disk = self.stream.context.disk.clone();
        let aside = join(&self.stream.dir, ASIDE);
        disk.create_dir(&aside).map_err(StoreError::disk("making directory", &aside))?;
        let taken = disk.list(&aside).map_err(StoreError::disk("listing", &aside))?;
        let name = (0_u64..)
            .map(|n| format!("{}.{n}", block_name(generation)))
            .find(|name| !taken.contains(name))
            .unwrap_or_else(|| block_name(generation));
        let from = self.path(generation);
        disk.rename(&from, &join(&aside, &name)).map_err(StoreError::disk("moving aside", &from))?;
        self.files.remove(&generation);
        [aside.as_str(), &self.stream.dir]
            .into_iter()
            .try_for_each(|dir| disk.sync_dir(dir).map_err(StoreError::disk("syncing directory", dir)))
    }

    /// Counts what is live and hands the blocks over.
    fn finish(mut self) -> Result<Vec<Finding>, StoreError> {
        let mut blocks: Vec<Block> = std::mem::take(&mut self.blocks).into_values().collect();
        let base = self.base_generation;
        blocks.retain(|block| block.messages() > 0 || block.generation >= base);
        blocks.sort_by_key(|block| (block.first, block.last));
        for block in blocks {
            self.admit(block)?;
        }
        let stream = self.stream;
        stream.state.last_seq = stream.state.last_seq.max(stream.blocks.last().map_or(0, |block| block.last));
        stream.state.first_seq = stream.next_live(stream.state.first_seq);
        stream.readable = stream.state.last_seq;
        stream.flushed = stream.state.last_seq;
        stream.syncing_to = stream.state.last_seq;
        stream.findings.clear();
        Ok(self.findings)
    }

    fn admit(&mut self, mut block: Block) -> Result<(), StoreError> {
        let generation = block.generation;
        let Some(File::Good(file)) = self.files.remove(&generation) else { return Ok(()) };
        if self.stream.blocks.last().is_some_and(|before| before.last >= block.first) {
            self.find(generation, Damage::Stale, None);
            return self.keep_aside(generation);
        }
        let scanned = match self.scans.remove(&generation) {
            Some(scanned) => scanned,
            None => file.scan().map_err(StoreError::disk("reading", &self.path(generation)))?,
        };
        let replayed = generation >= self.base_generation;
        if !replayed {
            self.report_damage(&mut block, &scanned);
        }
        let entries = self.count(&mut block, &scanned);
        let found: BTreeSet<u32> = entries.iter().map(|entry| entry.delta).collect();
        let missing: Vec<u64> = (block.first..=block.last)
            .filter(|&seq| block.is_live(seq) && !found.contains(&((seq - block.first) as u32)))
            .collect();
        missing.iter().for_each(|&seq| {
            block.deleted.insert(seq);
        });
        let torn_after = self.torn_after.filter(|(torn, _)| *torn == generation).map(|(_, seq)| seq);
        let (torn, lost): (Vec<u64>, Vec<u64>) =
            missing.into_iter().partition(|&seq| torn_after.is_some_and(|after| seq > after));
        self.stream.state.lost_messages += lost.len() as u64;
        ranges_of(lost).into_iter().for_each(|lost| self.find_lost(generation, Damage::Altered, lost));
        ranges_of(torn).into_iter().for_each(|torn| self.find_lost(generation, Damage::TornTail, torn));
        block.file = Some(*file);
        block.entries = Some(entries);
        self.stream.blocks.push(block);
        self.stream.unload_all_but_the_newest();
        Ok(())
    }

    /// Names damage that no manifest knew of. What lies behind the end of the block was torn when it was written.
    fn report_damage(&mut self, block: &mut Block, scanned: &Scanned) {
        for step in &scanned.steps {
            let Step::Damaged { from, to, .. } = step else { continue };
            let is_known = block.holes.iter().any(|hole| hole.start <= *from && *to <= hole.end) || *from >= block.len;
            if !is_known {
                block.holes.push(*from..*to);
                block.holes.sort_by_key(|hole| hole.start);
                self.find(block.generation, Damage::Altered, Some((*from, *to)));
            }
        }
    }

    fn count(&mut self, block: &mut Block, scanned: &Scanned) -> Vec<Entry> {
        let stream = &mut *self.stream;
        let mut entries: Vec<Entry> = Vec::new();
        let mut bytes = 0;
        for found in scanned.messages().filter(|found| block.is_live(found.seq)) {
            let delta = found.seq - block.first;
            if entries.last().is_some_and(|last| u64::from(last.delta) >= delta) {
                continue;
            }
            let size = u32::try_from(found.size).unwrap_or(u32::MAX);
            let subject = stream.subjects.add(scanned.subject(found), found.seq, size);
            entries.push(Entry::new(delta, found.offset, subject, found.frame_len, found.has_headers));
            bytes += found.size;
            stream.state.messages += 1;
            stream.state.bytes += found.size;
            stream.state.last_time = stream.state.last_time.max(found.time);
        }
        block.bytes = bytes;
        entries
    }

    fn find(&mut self, generation: u64, what: Damage, bytes: Option<(u64, u64)>) {
        let (stream, file) = (self.stream.id, block_name(generation));
        self.findings.push(Finding { stream, file, what, bytes, lost: None });
    }

    fn find_lost(&mut self, generation: u64, what: Damage, lost: Range<u64>) {
        let (stream, file) = (self.stream.id, block_name(generation));
        self.findings.push(Finding { stream, file, what, bytes: None, lost: Some(lost.start..=lost.end - 1) });
    }
}

/// Whether a block says anything as a tail.
fn speaks(scanned: &Scanned) -> bool {
    scanned.steps.iter().any(|step| matches!(step, Step::Message(_) | Step::Manifest(_)))
}

fn role(scanned: &mut Scanned) -> Role {
    match scanned.steps.first() {
        Some(Step::Manifest(manifest)) => Role::Tail(manifest.clone()),
        Some(Step::Compacted { old }) => Role::Rewrite(old.clone()),
        _ => Role::Unknown,
    }
}

fn overlap(left: &Range<u64>, right: &Range<u64>) -> Option<Range<u64>> {
    let both = left.start.max(right.start)..left.end.min(right.end);
    (both.start < both.end).then_some(both)
}
