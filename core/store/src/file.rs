//! A stream on disk.
//!
//! Writing is in two steps. *Staging* ([`FileStream::stage`], [`FileStream::remove`], …) changes what the stream will be
//! and is free of I/O but for loading an index now and then. *Committing* ([`FileStream::flush`], running the
//! [`SyncTicket`], [`FileStream::synced`]; or [`FileStream::commit`] for all three) writes everything staged with one
//! write, makes it durable with one sync, and only then are the messages readable. A stage that finds more than
//! it would like to know reads through the part of this type in `read.rs`.

mod block;
mod closing;
mod compact;
mod heads;
mod listing;
mod read;
mod recovery;

pub use read::Next;
pub(crate) use read::unusable;
pub use recovery::Opened;

use block::Block;

use crate::account_keys::KeyNo;
use crate::aside;
use crate::deleted::{MAX_SPAN, ranges_of};
use crate::disk::join;
use crate::error::{Finding, StoreError};
use crate::index::Entry;
use crate::part::{Garbage, Part};
use crate::record::{self, Draft, Manifest, Record, message_size};
use crate::remembered::Remembered;
use crate::seal::{Cipher, KeyId, StreamId, Vault, Wrapped};
use crate::tail::{Context, SyncTicket, Tail, Unsynced, block_name};
use moment::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Longest subject and longest header block the format can say.
pub const MAX_PART: usize = u16::MAX as usize;
/// No skip leads further: what a peer names as a sequence never brings a stream to the end of all numbers.
pub(crate) const MAX_SKIP: u64 = i64::MAX as u64;
/// Blocks of a stream that are there because sequences jump and not because they are full; each names all others.
pub const MAX_SPARSE_BLOCKS: usize = 2048;
/// What the messages of such a block weigh at most.
const SPARSE_BYTES: u64 = 64 * 1024;
/// Files that go at once when a commit leaves them without messages, and how many looks at messages one of them is worth.
const LEAVING_AT_ONCE: usize = 16;
const FILE_TOLL: u64 = 256;
/// Longest payload.
pub const MAX_PAYLOAD: usize = 64 * 1024 * 1024;

/// When written bytes are made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SyncMode {
    /// Before anything in them is readable or acknowledged.
    #[default]
    Always,
    /// Now and then, by [`FileStream::sync_ticket`]: a power cut may lose what was acknowledged since.
    Lazy,
}

/// How a stream is kept.
#[derive(Clone, Copy, Debug)]
pub struct FileSettings {
    /// A block that has grown past this is closed.
    pub block_bytes: u64,
    /// When bytes become durable.
    pub sync: SyncMode,
    /// Payloads are compressed, each for itself, where that makes them shorter. A message then counts for what it takes.
    pub compress: bool,
}

impl Default for FileSettings {
    fn default() -> Self {
        FileSettings { block_bytes: 8 * 1024 * 1024, sync: SyncMode::Always, compress: false }
    }
}

/// What a stream holds, staged messages included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct State {
    /// Live messages.
    pub messages: u64,
    /// What they weigh.
    pub bytes: u64,
    /// Sequence of the oldest live message; one more than `last_seq` when there is none.
    pub first_seq: u64,
    /// The last sequence given out.
    pub last_seq: u64,
    /// When the last message was stored.
    pub last_time: Timestamp,
    /// Different subjects.
    pub subjects: u64,
    /// Messages that were lost to damage, ever.
    pub lost_messages: u64,
    /// An estimate of what they weighed.
    pub lost_bytes: u64,
}

impl State {
    /// Sequences between the first and the last message that are gone.
    pub fn deleted(&self) -> u64 {
        (self.last_seq + 1 - self.first_seq).saturating_sub(self.messages)
    }
}

/// What may be told of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockInfo {
    /// Its number; no two blocks of a stream ever have the same.
    pub generation: u64,
    /// First and last sequence written into it.
    pub first: u64,
    /// See `first`.
    pub last: u64,
    /// Live messages.
    pub messages: u64,
    /// What they weigh.
    pub bytes: u64,
    /// Bytes of its file.
    pub len: u64,
    /// By what it is sealed.
    pub cipher: Cipher,
    /// Mark of the key; zeros without encryption.
    pub key: KeyId,
    /// The key of the account that it takes beside.
    pub account: Option<KeyNo>,
}

/// A stream in files.
pub struct FileStream {
    context: Context,
    dir: String,
    id: StreamId,
    settings: FileSettings,
    /// Ascending by sequence. While there is a tail its block is the last.
    blocks: Vec<Block>,
    /// Place of the block in which the last search began: a guess, checked before it is used.
    looked_in: usize,
    tail: Option<Tail>,
    subjects: Remembered,
    /// See [`Remembered::new`].
    seed: u64,
    state: State,
    next_generation: u64,
    /// Up to here messages are readable.
    readable: u64,
    /// Deletions staged since the last write.
    pending_deletes: Vec<u64>,
    /// Whether first or last moved without a message saying so.
    head_moved: bool,
    unsynced: Unsynced,
    /// The sync that runs beside, and how many there were.
    beside: Option<(u64, SyncTicket)>,
    besides: u64,
    unsynced_removals: bool,
    /// Blocks that the last write left without messages; their files go once it is durable.
    dead: Vec<u64>,
    dying: Vec<u64>,
    /// Those that nothing durable needs any more. They go some at a time.
    doomed: Vec<u64>,
    /// Damaged stretches of those, to be copied aside before.
    evidence: BTreeMap<u64, Vec<Range<u64>>>,
    /// Those of them that are to be read for damage before.
    unread: BTreeSet<u64>,
    flushed: u64,
    syncing_to: u64,
    poisoned: bool,
    /// Whether recovery found a torn write that no manifest knows of yet.
    found_torn: bool,
    /// The summary of the stream as it is now, if it has one.
    summary: Option<u64>,
    clock: u64,
    /// The record that was lent last.
    opened: Vec<u8>,
    /// See [`FileStream::take_toll`].
    toll: u64,
    garbage: Vec<Garbage>,
    findings: Vec<Finding>,
}

impl FileStream {
    /// Makes the directory of a new stream. Messages begin at `first_seq`.
    pub fn create(
        context: Context,
        dir: &str,
        id: StreamId,
        settings: FileSettings,
        first_seq: u64,
    ) -> Result<FileStream, StoreError> {
        context.disk.create_dir(dir).map_err(StoreError::disk("making directory", dir))?;
        let parent = dir.rsplit_once('/').map_or("", |(parent, _)| parent);
        context.disk.sync_dir(parent).map_err(StoreError::disk("syncing directory", parent))?;
        Ok(FileStream::empty(context, dir, id, settings, first_seq.max(1)))
    }

    fn empty(context: Context, dir: &str, id: StreamId, settings: FileSettings, first_seq: u64) -> FileStream {
        let mut seed = [0; 8];
        context.entropy.fill(&mut seed);
        let seed = u64::from_le_bytes(seed);
        FileStream {
            context,
            dir: dir.to_owned(),
            id,
            settings,
            blocks: Vec::new(),
            looked_in: 0,
            tail: None,
            subjects: Remembered::new(seed),
            seed,
            state: State { first_seq, last_seq: first_seq - 1, ..State::default() },
            next_generation: 1,
            readable: first_seq - 1,
            pending_deletes: Vec::new(),
            head_moved: false,
            unsynced: Unsynced::default(),
            beside: None,
            besides: 0,
            unsynced_removals: false,
            dead: Vec::new(),
            dying: Vec::new(),
            doomed: Vec::new(),
            evidence: BTreeMap::new(),
            unread: BTreeSet::new(),
            flushed: first_seq - 1,
            syncing_to: first_seq - 1,
            poisoned: false,
            found_torn: false,
            summary: None,
            clock: 0,
            opened: Vec::new(),
            toll: 0,
            garbage: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// What the stream holds, staged messages included.
    pub fn state(&self) -> State {
        State { subjects: self.subjects.len() as u64, ..self.state }
    }

    /// Whether payloads are compressed from now on. What is stored stays as it is.
    pub fn set_compression(&mut self, compress: bool) {
        self.settings.compress = compress;
    }

    /// The last message that may be read.
    pub fn readable(&self) -> u64 {
        self.readable
    }

    /// Number of the stream.
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// The key of its account that what is written takes beside the server key.
    pub fn account_key(&self) -> Option<KeyNo> {
        self.context.account
    }

    /// Whether an earlier failure keeps this stream from acknowledging anything.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// All blocks, in order.
    pub fn blocks(&mut self) -> Result<Vec<BlockInfo>, StoreError> {
        let mut told = Vec::with_capacity(self.blocks.len());
        for at in 0..self.blocks.len() {
            self.open_block(at)?;
            let block = &self.blocks[at];
            let Some(file) = &block.file else { continue };
            let Block { generation, first, last, bytes, len, .. } = *block;
            let (messages, Wrapped { cipher, key, account, .. }) = (block.messages(), file.header.wrapped);
            told.push(BlockInfo { generation, first, last, messages, bytes, len, cipher, key, account });
        }
        Ok(told)
    }

    /// Damage noticed since the last call, while reading.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }

    /// Whether anything is staged: messages, deletions, a moved head.
    pub fn is_dirty(&self) -> bool {
        self.staged_bytes() > 0 || self.head_moved || !self.pending_deletes.is_empty() || !self.dead.is_empty()
    }

    /// Bytes staged and not yet written.
    pub fn staged_bytes(&self) -> usize {
        self.tail.as_ref().map_or(0, Tail::staged_bytes)
    }

    /// Takes a message in and gives it the next sequence. Not readable and not to be acknowledged before the commit.
    pub fn stage(&mut self, draft: &Draft<'_>) -> Result<u64, StoreError> {
        self.check_parts(draft)?;
        let packed = if self.settings.compress { record::packed(draft.payload) } else { None };
        let draft = &Draft { payload: packed.as_deref().unwrap_or(draft.payload), ..*draft };
        self.end_tail_before(self.state.last_seq + 1)?;
        self.ready_tail()?;
        let (tail, block) = (self.tail.as_mut(), self.blocks.last_mut());
        let (Some(tail), Some(block)) = (tail, block) else { return Err(StoreError::Poisoned) };
        let seq = self.state.last_seq + 1;
        let laid = tail.message(seq, draft, packed.is_some());
        let size = message_size(draft.subject.len(), draft.headers.len(), draft.payload.len());
        let subject = self.subjects.add(draft.subject, seq, u32::try_from(size).unwrap_or(u32::MAX));
        block.pass_over_to(seq);
        let entry = Entry::new(seq - block.first, &laid, subject);
        block.entries.get_or_insert_default().push(entry);
        block.last = seq;
        block.bytes += size;
        block.len = tail.end();
        self.state.last_seq = seq;
        self.state.last_time = draft.time;
        self.state.messages += 1;
        self.state.bytes += size;
        Ok(seq)
    }

    fn check_parts(&self, draft: &Draft<'_>) -> Result<(), StoreError> {
        if self.poisoned {
            return Err(StoreError::Poisoned);
        }
        let parts = [
            ("subject", draft.subject, MAX_PART),
            ("header", draft.headers, MAX_PART),
            ("payload", draft.payload, MAX_PAYLOAD),
        ];
        match parts.into_iter().find(|(_, bytes, max)| bytes.len() > *max) {
            Some((part, _, max)) => Err(StoreError::TooLong { part, max }),
            None => Ok(()),
        }
    }

    /// Removes one message. Whether there was one.
    pub fn remove(&mut self, seq: u64) -> Result<bool, StoreError> {
        let Some(at) = self.block_of(seq) else { return Ok(false) };
        if !self.blocks[at].is_live(seq) {
            return Ok(false);
        }
        self.index(at)?;
        // The index may have found the message damaged just now.
        let Some(entry) = self.blocks[at].entry(seq) else { return Ok(false) };
        self.forget(at, seq, entry.subject, entry.size());
        Ok(true)
    }

    /// Removes the oldest message.
    pub fn remove_first(&mut self) -> Result<bool, StoreError> {
        self.remove(self.state.first_seq)
    }

    /// Removes the oldest messages of a subject until at most `keep` are left. Gives how many went.
    pub fn trim_subject(&mut self, subject: &[u8], keep: u64) -> Result<u64, StoreError> {
        let mut removed = 0;
        self.trim_within(subject, keep, &mut { u64::MAX }, |_| removed += 1)?;
        Ok(removed)
    }

    /// The same in parts, and tells which went. Whether that is done.
    pub fn trim_within(
        &mut self,
        subject: &[u8],
        keep: u64,
        looks: &mut u64,
        mut gone: impl FnMut(u64),
    ) -> Result<bool, StoreError> {
        while let Some(no) = self.subjects.find(subject) {
            let messages = self.subjects.totals(no).map_or(0, |totals| totals.messages);
            if messages <= keep {
                return Ok(true);
            }
            let first = match self.first_of_within(subject, looks)? {
                Part::Done(Some(first)) if *looks > 0 => first,
                Part::Done(None) => return Ok(true),
                Part::Done(Some(_)) | Part::Unfinished => return Ok(false),
            };
            *looks -= 1;
            let is_gone = match self.subjects.totals(no).and_then(|totals| totals.known_first_size()) {
                Some(size) => self.forget_known(first, no, size.into()),
                None => self.remove(first)?,
            };
            if is_gone {
                gone(first);
            } else if self.subject(subject).is_some_and(|totals| totals.messages == messages) {
                return Ok(true);
            }
        }
        Ok(true)
    }

    fn forget_known(&mut self, seq: u64, no: u32, size: u64) -> bool {
        match self.block_of(seq).filter(|&at| self.blocks[at].is_live(seq)) {
            Some(at) => {
                self.forget(at, seq, no, size);
                true
            }
            None => false,
        }
    }

    fn forget(&mut self, at: usize, seq: u64, subject: u32, size: u64) {
        let block = &mut self.blocks[at];
        block.deleted.insert(seq);
        block.bytes = block.bytes.saturating_sub(size);
        self.subjects.remove(subject, seq);
        self.state.messages -= 1;
        self.state.bytes = self.state.bytes.saturating_sub(size);
        if seq == self.state.first_seq {
            self.state.first_seq = self.next_live(seq + 1);
            self.head_moved = true;
        } else {
            self.pending_deletes.push(seq);
        }
    }

    /// The first live sequence from `seq` on, or one more than the last.
    fn next_live(&self, seq: u64) -> u64 {
        let from = self.blocks.partition_point(|block| block.last < seq);
        let live = self.blocks[from..]
            .iter()
            .filter(|block| block.messages() > 0)
            .find_map(|block| Some(block.deleted.next_kept(seq.max(block.first))).filter(|&seq| seq <= block.last));
        live.unwrap_or(self.state.last_seq + 1)
    }

    /// Removes everything below `first`. Gives how many messages went.
    pub fn remove_below(&mut self, first: u64) -> Result<u64, StoreError> {
        let before = self.state.messages;
        self.remove_below_within(first, &mut { u64::MAX })?;
        Ok(before - self.state.messages)
    }

    /// The same in parts: each message is a look. Whether that is done.
    pub fn remove_below_within(&mut self, first: u64, looks: &mut u64) -> Result<bool, StoreError> {
        if first > self.state.last_seq {
            self.clear();
            return Ok(true);
        }
        while self.state.first_seq < first && self.state.messages > 0 {
            if *looks == 0 {
                return Ok(false);
            }
            *looks -= 1;
            if !self.remove(self.state.first_seq)? {
                break;
            }
        }
        Ok(true)
    }

    fn clear(&mut self) {
        for block in &mut self.blocks {
            block.deleted.fill(block.last);
            block.bytes = 0;
            block.entries = Some(Vec::new());
        }
        self.garbage.push(Garbage::of(self.subjects.clear()));
        self.state.messages = 0;
        self.state.bytes = 0;
        self.state.first_seq = self.state.last_seq + 1;
        self.head_moved = true;
    }

    /// What is of no use any more and takes long to be given back.
    pub fn take_garbage(&mut self) -> Vec<Garbage> {
        std::mem::take(&mut self.garbage)
    }

    /// The next message will have a sequence above `last`, or above 2^63 - 1 if `last` is; what is skipped counts as deleted.
    pub fn skip_to(&mut self, last: u64) -> Result<(), StoreError> {
        let last = last.min(MAX_SKIP);
        if last <= self.state.last_seq {
            return Ok(());
        }
        if self.poisoned {
            return Err(StoreError::Poisoned);
        }
        self.end_tail_before(last + 1)?;
        self.state.last_seq = last;
        if self.state.messages == 0 {
            self.state.first_seq = last + 1;
        }
        self.head_moved = true;
        Ok(())
    }

    /// A message of this sequence comes next: if the tail would span too many sequences then, it is ended. Whoever jumps far again
    /// and again gets a block for a few messages each time, and that has a bound.
    fn end_tail_before(&mut self, seq: u64) -> Result<(), StoreError> {
        let spans_too_much = self.blocks.last().is_some_and(|block| seq - block.first >= MAX_SPAN);
        if !spans_too_much {
            return Ok(());
        }
        if self.tail.is_some() && self.sparse_blocks() >= MAX_SPARSE_BLOCKS {
            return Err(StoreError::TooSparse { max: MAX_SPARSE_BLOCKS });
        }
        self.end_tail()
    }

    /// Blocks that hold far less than they might.
    fn sparse_blocks(&self) -> usize {
        if self.blocks.len() < MAX_SPARSE_BLOCKS {
            return 0;
        }
        self.blocks.iter().filter(|block| block.bytes < SPARSE_BYTES).count()
    }

    fn block_of(&self, seq: u64) -> Option<usize> {
        let at = self.block_from(seq);
        self.blocks.get(at).filter(|block| block.holds(seq)).map(|_| at)
    }

    /// Place of the first block that does not end before a sequence. Who reads in order mostly finds it where the last
    /// message was.
    fn block_from(&self, seq: u64) -> usize {
        match self.blocks.get(self.looked_in) {
            Some(block) if block.holds(seq) => self.looked_in,
            _ => self.blocks.partition_point(|block| block.last < seq),
        }
    }

    /// Makes sure there is a tail that can take a record.
    fn ready_tail(&mut self) -> Result<(), StoreError> {
        if self.poisoned {
            return Err(StoreError::Poisoned);
        }
        if self.tail.is_none() {
            self.begin_tail()?;
        }
        Ok(())
    }

    fn begin_tail(&mut self) -> Result<(), StoreError> {
        self.drop_summary();
        // A file the manifest no longer lists must not come back after a crash: it would look put back.
        self.sync_removals()?;
        let generation = self.take_generation();
        let mut tail = Tail::begin(&self.context, self.id, generation)?;
        tail.record_alone(&Record::Manifest(self.manifest()));
        // The manifest says what these would have said.
        self.pending_deletes.clear();
        self.head_moved = false;
        let mut block = Block::new(generation, self.state.last_seq + 1);
        block.len = tail.end();
        block.was_read = true;
        self.blocks.push(block);
        self.tail = Some(tail);
        if std::mem::take(&mut self.found_torn) {
            // The manifest is durable before any message follows it: should this write be torn as well, the earlier one is
            // still the last that anything was written after.
            self.write_batch()?;
            let outcome = self.unsynced.ticket(&self.context, &self.dir).map_or(Ok(()), |ticket| ticket.run());
            self.synced(outcome)?;
        }
        Ok(())
    }

    fn sync_removals(&mut self) -> Result<(), StoreError> {
        if std::mem::take(&mut self.unsynced_removals) {
            self.context.disk.sync_dir(&self.dir).map_err(StoreError::disk("syncing directory", &self.dir))?;
        }
        Ok(())
    }

    fn take_generation(&mut self) -> u64 {
        let generation = self.next_generation;
        self.next_generation += 1;
        generation
    }

    fn manifest(&self) -> Manifest {
        Manifest {
            first_seq: self.state.first_seq,
            last_seq: self.state.last_seq,
            last_time: self.state.last_time,
            lost_messages: self.state.lost_messages,
            lost_bytes: self.state.lost_bytes,
            blocks: self.blocks.iter().filter(|block| block.messages() > 0).map(Block::facts).collect(),
            leaving: self.leaving(),
        }
    }

    fn leaving(&self) -> Vec<u64> {
        let empty = self.blocks.iter().filter(|block| block.messages() == 0).map(|block| block.generation);
        self.dead.iter().chain(&self.dying).chain(&self.doomed).copied().chain(empty).collect()
    }

    /// Ends the tail in the middle of a batch. What it holds becomes durable first: the manifest of the next block must not
    /// say more than the blocks before it hold.
    fn end_tail(&mut self) -> Result<(), StoreError> {
        if self.tail.is_some() {
            self.commit()?;
            self.close_tail();
        }
        Ok(())
    }

    /// Follows a change of keys: everything staged is committed, and what comes after is sealed by them, beside the key of
    /// its account if that has one.
    pub fn adopt(&mut self, vault: Arc<Vault>, account: Option<KeyNo>) -> Result<(), StoreError> {
        self.end_tail()?;
        self.commit()?;
        self.end_tail()?;
        self.drop_summary();
        self.context.vault = vault;
        self.context.account = account;
        Ok(())
    }

    /// Turns the tail into a block like the others. Nothing is staged in it.
    fn close_tail(&mut self) {
        let Some(tail) = self.tail.take() else { return };
        debug_assert_eq!(tail.staged_bytes(), 0, "a tail is closed after a write");
        if let (Some(block), Some(file)) = (self.blocks.last_mut(), tail.close()) {
            block.file = Some(file);
        }
    }

    /// Writes everything staged. With [`SyncMode::Always`] the ticket must be run and its outcome reported before anything
    /// is readable; `None` means there is nothing to wait for.
    pub fn flush(&mut self) -> Result<Option<SyncTicket>, StoreError> {
        if self.poisoned {
            return Err(StoreError::Poisoned);
        }
        if let Some(numbers) = self.subjects.renumber_if_wasteful() {
            self.blocks.iter_mut().for_each(|block| block.renumber(&numbers));
        }
        self.stage_facts()?;
        self.stage_contents();
        self.write_batch()?;
        self.flushed = self.state.last_seq;
        self.bury();
        match self.settings.sync {
            SyncMode::Always => Ok(self.sync_ticket()),
            SyncMode::Lazy => {
                self.readable = self.flushed;
                self.close_when_full();
                Ok(None)
            }
        }
    }

    /// Deletions and a moved head become records behind the messages that caused them.
    fn stage_facts(&mut self) -> Result<(), StoreError> {
        if self.pending_deletes.is_empty() && !self.head_moved {
            return Ok(());
        }
        self.ready_tail()?;
        // Taken after the tail is ready: a new tail's manifest says all of this.
        let mut deletes = std::mem::take(&mut self.pending_deletes);
        let head_moved = std::mem::take(&mut self.head_moved);
        let first = self.state.first_seq;
        deletes.retain(|&seq| seq > first);
        deletes.sort_unstable();
        let Some(tail) = &mut self.tail else { return Err(StoreError::Poisoned) };
        if head_moved {
            tail.record(&Record::Head { first, last: self.state.last_seq });
        }
        if !deletes.is_empty() {
            tail.record(&Record::Delete(ranges_of(deletes)));
        }
        if let Some(block) = self.blocks.last_mut() {
            block.len = tail.end();
        }
        Ok(())
    }

    fn write_batch(&mut self) -> Result<(), StoreError> {
        let Some(tail) = &mut self.tail else { return Ok(()) };
        let written = self.unsynced.write(tail, &self.context, &self.dir);
        self.poisoned |= written.is_err();
        written
    }

    /// The sync that is due, to run beside the stream, which is written to and even synced meanwhile, and its number. `None`
    /// while one runs, or if none is due.
    pub fn sync_beside(&mut self) -> Option<(u64, SyncTicket)> {
        if self.beside.is_some() {
            return None;
        }
        let ticket = self.sync_ticket()?;
        self.besides += 1;
        self.beside = Some((self.besides, ticket.clone()));
        Some((self.besides, ticket))
    }

    /// The outcome of a sync that ran beside. If one of the stream's own came in between, that has made durable what this was to.
    pub fn synced_beside(&mut self, number: u64, outcome: io::Result<()>) -> Result<(), StoreError> {
        let is_awaited = self.beside.take_if(|(awaited, _)| *awaited == number).is_some();
        if !is_awaited && outcome.is_ok() {
            return Ok(());
        }
        // What was written since is not durable.
        let is_all = self.unsynced.is_empty() && self.staged_bytes() == 0;
        self.take_outcome(outcome, is_all)
    }

    /// What is written and not yet durable, as a sync to run.
    pub fn sync_ticket(&mut self) -> Option<SyncTicket> {
        if let Some((_, ticket)) = self.beside.take() {
            self.unsynced.join(ticket);
        }
        self.syncing_to = self.flushed;
        self.dying.append(&mut self.dead);
        self.unsynced.ticket(&self.context, &self.dir)
    }

    /// The outcome of a sync. After a failure the stream is poisoned: what the disk forgot can not be known.
    pub fn synced(&mut self, outcome: io::Result<()>) -> Result<(), StoreError> {
        self.take_outcome(outcome, true)
    }

    /// `is_all`: everything that was written before is durable.
    fn take_outcome(&mut self, outcome: io::Result<()>, is_all: bool) -> Result<(), StoreError> {
        if let Err(source) = outcome {
            self.poisoned = true;
            return Err(StoreError::disk("syncing", &self.dir)(source));
        }
        if let Some(tail) = self.tail.as_mut().filter(|_| is_all) {
            tail.synced();
        }
        self.readable = self.readable.max(self.syncing_to);
        self.doomed.append(&mut self.dying);
        self.remove_leaving(LEAVING_AT_ONCE);
        self.close_when_full();
        Ok(())
    }

    /// Writes and syncs everything staged.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        let ticket = match self.flush()? {
            Some(ticket) => Some(ticket),
            None => self.sync_ticket(),
        };
        match ticket {
            Some(ticket) => self.synced(ticket.run()),
            None => Ok(()),
        }
    }

    fn close_when_full(&mut self) {
        if self.tail.as_ref().is_some_and(|tail| tail.end() >= self.settings.block_bytes) {
            self.close_tail();
        }
    }

    /// Notes blocks without messages, now that the records that emptied them are written.
    fn bury(&mut self) {
        let tail = self.tail.as_ref().map(|tail| tail.generation);
        let gone = |block: &mut Block| block.messages() == 0 && Some(block.generation) != tail;
        let buried: Vec<Block> = self.blocks.extract_if(.., gone).collect();
        self.doom(buried);
    }

    /// The files of these blocks go once what is written is durable.
    fn doom(&mut self, blocks: Vec<Block>) {
        self.toll += blocks.len() as u64 * FILE_TOLL;
        for block in blocks {
            self.dead.push(block.generation);
            if block.owes_reading() {
                self.unread.insert(block.generation);
            } else if !block.holes.is_empty() {
                self.evidence.insert(block.generation, block.holes);
            }
        }
    }

    /// Whether files are still to be removed that nothing needs any more.
    pub fn is_leaving(&self) -> bool {
        !self.doomed.is_empty()
    }

    /// Removes some of the files that nothing needs any more; one that was never read is read first, which is enough at once. How
    /// many of the files that may go at once that was.
    pub fn remove_leaving(&mut self, most: usize) -> usize {
        let mut removed = 0;
        while removed < most
            && let Some(generation) = self.doomed.pop()
        {
            removed = if self.unread.contains(&generation) { most } else { removed + 1 };
            match self.remove_file(generation) {
                Ok(()) => self.unsynced_removals = true,
                // It is tried again after the next commit, and found again when the stream is opened.
                Err(_) => self.dead.push(generation),
            }
        }
        removed
    }

    fn remove_file(&mut self, generation: u64) -> Result<(), StoreError> {
        self.read_before_removal(generation)?;
        let (disk, name) = (&*self.context.disk, block_name(generation));
        if let Some(damaged) = self.evidence.get(&generation) {
            aside::keep_stretches(disk, &self.dir, &name, damaged)?;
            self.evidence.remove(&generation);
        }
        let path = join(&self.dir, &name);
        match disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::disk("removing", &path)(error)),
            _ => Ok(()),
        }
    }
}
