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
//! | good | newer than the base | any | replay it; what was cut off at its end is a torn write |
//! | good, but for one of its two copies | any | any | as above; the copy is made again and named |
//! | good | newer than the base, repeats sequences, its first record does not open | any | a torn rewrite; keep it aside |
//! | good | not known, older than the base | any | stale: it was put back; keep it aside |
//! | of another stream or place | any | any | keep it aside; if it was listed, its messages are lost and named |
//! | damaged | holds live messages | any | keep it aside; its messages are lost and named |
//! | never written | newer than any tail that can be read | any | a torn creation; keep it aside unless it is blank |
//! | damaged | without live messages | any | keep it aside |
//! | – | holds live messages | not there | its messages are lost and named |
//!
//! Nothing is ever appended to a block found here: the next message begins a new generation under a new key. A deletion
//! that stands behind a torn place of the last write is not applied: what caused it may be in the torn part. Records at the
//! very end that were written and do not open may have been acknowledged messages: their sequences are not given out again.
//!
//! Before a file goes that has damaged stretches, these are copied aside.
//!
//! The base and what is newer are read. Of the others the table of contents is enough, if it names every message that is
//! live; they owe a reading then, see `listing.rs`.

use super::heads::File;
use super::read::restore_deleted;
use super::{Block, FileSettings, FileStream};
use crate::aside;
use crate::deleted::{MAX_SPAN, ranges_of};
use crate::disk::{join, read_all};
use crate::error::{Damage, Finding, StoreError};
use crate::header::DATA_START;
use crate::index::{Entry, MAX_BLOCK_FILE, Scanned, Step};
use crate::record::{BlockFacts, Manifest};
use crate::seal::StreamId;
use crate::tail::{Context, block_name};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

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
        if !recovery.resume()? {
            recovery.find_base()?;
            recovery.replay()?;
            recovery.settle_files()?;
        }
        let findings = recovery.finish()?;
        Ok(Opened { stream, findings })
    }
}

/// What the first record of a block makes it.
enum Role {
    Tail(Manifest),
    Rewrite(Vec<u64>),
    /// The first record does not open.
    Unknown,
}

pub(super) struct Recovery<'a> {
    pub(super) stream: &'a mut FileStream,
    pub(super) files: BTreeMap<u64, File>,
    /// Summaries, ascending.
    pub(super) summaries: Vec<u64>,
    /// Scans of the base and of everything newer.
    scans: BTreeMap<u64, Scanned>,
    rewrites: BTreeMap<u64, Vec<u64>>,
    pub(super) blocks: BTreeMap<u64, Block>,
    base: Option<Manifest>,
    base_generation: u64,
    replaced: BTreeSet<u64>,
    /// Every block the replay knows, with or without live messages.
    originals: BTreeSet<u64>,
    /// Messages after this one, in this block, were in the last write, part of which does not open.
    torn_after: Option<(u64, u64)>,
    pub(super) findings: Vec<Finding>,
}

impl<'a> Recovery<'a> {
    /// Reads all heads. Changes nothing.
    fn survey(stream: &'a mut FileStream) -> Result<Self, StoreError> {
        let mut recovery = Recovery {
            stream,
            files: BTreeMap::new(),
            summaries: Vec::new(),
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
        Ok(recovery)
    }

    pub(super) fn path(&self, generation: u64) -> String {
        join(&self.stream.dir, &block_name(generation))
    }

    /// Reads blocks from the newest down to the base.
    fn find_base(&mut self) -> Result<(), StoreError> {
        let generations: Vec<u64> = self.files.keys().rev().copied().collect();
        for generation in generations {
            if !matches!(self.files.get(&generation), Some(File::Good { .. })) {
                continue;
            }
            let mut scanned = self.scan(generation)?;
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
            for facts in base.blocks {
                let _ = self.know(facts);
            }
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

    /// Takes what a manifest, a rewrite or a summary says of a block, if that may be. A block of a summary may be empty.
    pub(super) fn know(&mut self, facts: BlockFacts) -> Option<&mut Block> {
        let (first, last) = (facts.first, facts.last);
        let plausible = first >= 1 && last >= first - 1 && last < u64::MAX && last + 1 - first <= MAX_SPAN + 1;
        if !plausible {
            return None;
        }
        let mut block = Block::new(facts.generation, facts.first);
        block.last = facts.last;
        block.len = facts.len;
        let span = facts.first..facts.last + 1;
        let within: Vec<Range<u64>> = facts.deleted.iter().filter_map(|range| overlap(range, &span)).collect();
        block.deleted = restore_deleted(facts.first, &within);
        block.holes = facts.holes;
        block.entries = None;
        Some(self.blocks.entry(facts.generation).insert_entry(block).into_mut())
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
        let (mut is_torn, mut is_sound, mut unread) = (false, true, 0);
        for step in &scanned.steps {
            match step {
                Step::Message(found) => {
                    self.replay_message(generation, found.seq, found.time, is_sound);
                    (is_sound, unread) = (true, 0);
                }
                Step::Damaged { from, to, records, certain } => {
                    let torn = is_newest && !certain;
                    // The first record of a block is never a message.
                    let messages = if *from == DATA_START { records.saturating_sub(1) } else { *records };
                    let may_be_messages = is_newest && *certain && !scanned.is_in_table(*from);
                    unread += if may_be_messages { u64::from(messages) } else { 0 };
                    is_torn |= torn;
                    is_sound = false;
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
                    unread = 0;
                }
                Step::Replaced { old, new } if !is_torn => {
                    old.iter().for_each(|generation| {
                        self.blocks.remove(generation);
                        self.replaced.insert(*generation);
                    });
                    let _ = self.know(new.clone());
                }
                _ => {}
            }
        }
        self.reserve(generation, unread);
    }

    /// So many records at the end of the newest block were written and do not open: each may have been a message.
    fn reserve(&mut self, generation: u64, records: u64) {
        let Some(block) = self.blocks.get_mut(&generation).filter(|_| records > 0) else { return };
        let first = self.stream.state.last_seq + 1;
        let last = self.stream.state.last_seq + records;
        if last.saturating_sub(block.first) <= MAX_SPAN {
            block.pass_over_to(first);
            block.last = last;
        }
        self.stream.state.last_seq = last;
    }

    /// `is_sound`: nothing was damaged since the message before, so sequences between the two were skipped.
    fn replay_message(&mut self, generation: u64, seq: u64, time: moment::Timestamp, is_sound: bool) {
        let Some(block) = self.blocks.get_mut(&generation) else { return };
        if seq > block.last && seq - block.first <= MAX_SPAN {
            if is_sound {
                block.pass_over_to(seq);
            }
            block.last = seq;
        }
        let state = &mut self.stream.state;
        state.last_seq = state.last_seq.max(seq);
        state.last_time = state.last_time.max(time);
    }

    fn delete(&mut self, range: &Range<u64>) {
        for block in self.blocks.values_mut() {
            if let Some(within) = overlap(range, &(block.first..block.last + 1)) {
                block.deleted.insert_range(within);
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
        self.mend_heads(newest_tail)?;
        let newest = generations.last().copied().unwrap_or(0);
        let newest = newest.max(self.blocks.keys().next_back().copied().unwrap_or(0));
        self.stream.next_generation = self.stream.next_generation.max(newest + 1);
        Ok(())
    }

    /// A block with live messages: is its file usable?
    fn settle_known(&mut self, generation: u64) -> Result<(), StoreError> {
        let what = match self.files.get(&generation) {
            Some(File::Good { len, .. }) => {
                let len = *len;
                let expected = self.blocks.get(&generation).map_or(0, |block| block.len);
                if len < expected {
                    self.find(generation, Damage::Cut, Some((len, expected)));
                }
                return Ok(());
            }
            Some(File::Foreign { .. }) => Damage::Foreign,
            Some(File::NoHead { .. }) => Damage::NoHead,
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
            Some(File::Good { .. }) if self.replaced.contains(&generation) || self.originals.contains(&generation) => {
                return self.finish_removal(generation);
            }
            // Its originals are there: what is damaged in the copy is no evidence of anything.
            Some(File::Good { .. }) if self.rewrites.get(&generation).is_some_and(unfinished) => {
                return self.remove(generation);
            }
            // Begun after the base and yet neither a tail nor a rewrite that can be read: its making was cut short, unless
            // all of it was written.
            Some(File::Good { .. }) if generation > self.base_generation && self.scans.contains_key(&generation) => {
                if self.was_written_whole(generation) {
                    Damage::Altered
                } else {
                    Damage::TornTail
                }
            }
            Some(File::Good { .. }) => Damage::Stale,
            Some(File::NoHead { .. }) if may_be_torn && self.is_blank(generation)? => return self.remove(generation),
            Some(File::NoHead { unwritten: true, .. }) if may_be_torn => Damage::TornTail,
            Some(File::NoHead { .. }) => Damage::NoHead,
            Some(File::Foreign { .. }) => Damage::Foreign,
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

    fn was_written_whole(&self, generation: u64) -> bool {
        let cut = |step: &Step| matches!(step, Step::Damaged { certain: false, .. });
        self.scans.get(&generation).is_some_and(|scanned| !scanned.steps.iter().any(cut))
    }

    /// Removes a file whose removal was cut short. What is damaged in it is kept aside.
    fn finish_removal(&mut self, generation: u64) -> Result<(), StoreError> {
        if let Some(File::Good { .. }) = self.files.get(&generation) {
            let damaged: Vec<Range<u64>> = self.scan(generation)?.damaged().collect();
            let disk = &*self.stream.context.disk;
            aside::keep_stretches(disk, &self.stream.dir, &block_name(generation), &damaged)?;
        }
        self.remove(generation)
    }

    fn remove(&mut self, generation: u64) -> Result<(), StoreError> {
        let path = self.path(generation);
        self.files.remove(&generation);
        self.stream.unsynced_removals = true;
        self.stream.context.disk.remove(&path).map_err(StoreError::disk("removing", &path))
    }

    fn keep_aside(&mut self, generation: u64) -> Result<(), StoreError> {
        self.files.remove(&generation);
        aside::keep_file(&*self.stream.context.disk, &self.stream.dir, &block_name(generation))
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
        if !matches!(self.files.remove(&generation), Some(File::Good { .. })) {
            return Ok(());
        }
        if self.stream.blocks.last().is_some_and(|before| before.last >= block.first) {
            self.find(generation, Damage::Stale, None);
            return self.keep_aside(generation);
        }
        let scanned = self.scans.remove(&generation);
        let listing = if scanned.is_none() { self.listing_of(&mut block)? } else { None };
        match listing {
            Some(listing) => self.count_listed(&mut block, listing),
            None => self.count_read(&mut block, scanned)?,
        }
        self.stream.blocks.push(block);
        self.stream.unload_all_but_the_newest();
        Ok(())
    }

    /// Counts the messages of a block by reading it, if the replay did not. What is live and not found is lost.
    fn count_read(&mut self, block: &mut Block, scanned: Option<Scanned>) -> Result<(), StoreError> {
        let generation = block.generation;
        let scanned = scanned.map_or_else(|| self.scan(generation), Ok)?;
        block.was_read = true;
        if generation < self.base_generation {
            self.report_damage(block, &scanned);
        }
        let entries = self.count(block, &scanned);
        let is_whole = entries.len() as u64 == block.messages();
        block.entries = Some(entries);
        if is_whole {
            return Ok(());
        }
        let missing: Vec<u64> =
            (block.first..=block.last).filter(|&seq| block.is_live(seq) && block.entry(seq).is_none()).collect();
        missing.iter().for_each(|&seq| {
            block.deleted.insert(seq);
        });
        let torn_after = self.torn_after.filter(|(torn, _)| *torn == generation).map(|(_, seq)| seq);
        let (torn, lost): (Vec<u64>, Vec<u64>) =
            missing.into_iter().partition(|&seq| torn_after.is_some_and(|after| seq > after));
        self.stream.state.lost_messages += lost.len() as u64;
        ranges_of(lost).into_iter().for_each(|lost| self.find_lost(generation, Damage::Altered, lost));
        ranges_of(torn).into_iter().for_each(|torn| self.find_lost(generation, Damage::TornTail, torn));
        Ok(())
    }

    /// Names damage that no manifest knew of. What lies behind the end of the block was torn when it was written.
    fn report_damage(&mut self, block: &mut Block, scanned: &Scanned) {
        let generation = block.generation;
        for Range { start, end } in scanned.damaged().filter(|stretch| block.note_hole(stretch.clone())) {
            self.find(generation, Damage::Altered, Some((start, end)));
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
            entries.push(Entry::new(delta, &found.laid, subject));
            bytes += found.size;
            stream.state.messages += 1;
            stream.state.bytes += found.size;
            stream.state.last_time = stream.state.last_time.max(found.time);
        }
        block.bytes = bytes;
        entries
    }

    pub(super) fn find(&mut self, generation: u64, what: Damage, bytes: Option<(u64, u64)>) {
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
