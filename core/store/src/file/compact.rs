//! Rewriting blocks: after an erase, to give back space, to seal anew, to wrap keys again.
//!
//! A rewritten block is a new generation under a new key. It counts from the moment a `Replaced` record in the tail is
//! durable; only then the old file goes, and damaged stretches of it are kept aside. Whatever a crash leaves in between is
//! told apart when the stream is opened.

use super::listing::put_contents;
use super::{Block, FileStream};
use crate::deleted::Deleted;
use crate::disk::join;
use crate::error::StoreError;
use crate::index::{BlockFile, Entry};
use crate::record::{Draft, Message, Record};
use crate::seal::Cipher;
use crate::tail::{Context, Tail, Unsynced, block_name};
use moment::Timestamp;

/// Bytes staged before a rewrite writes them out.
const REWRITE_BATCH: usize = 1024 * 1024;

impl FileStream {
    /// Removes one message so that its bytes are in no file of the stream any more, and makes that durable. Whether there
    /// was one. Everything staged is committed, too.
    pub fn erase(&mut self, seq: u64) -> Result<bool, StoreError> {
        let Some(generation) = self.block_of(seq).map(|at| self.blocks[at].generation) else { return Ok(false) };
        if !self.remove(seq)? {
            return Ok(false);
        }
        // The deletion is durable before the rewrite, so a crash between the two leaves it deleted.
        self.end_tail()?;
        self.commit()?;
        match self.blocks.iter().position(|block| block.generation == generation && block.messages() > 0) {
            Some(at) => self.rewrite(at, 1)?,
            // Nothing else is in the block. It goes once the manifest of the next one is durable.
            None => {
                self.ready_tail()?;
                self.commit()?;
            }
        }
        Ok(true)
    }

    /// Rewrites one run of neighbouring blocks that is worth it: mostly deleted, or small ones that fit into one. Whether
    /// there was one.
    pub fn tidy(&mut self) -> Result<bool, StoreError> {
        let Some((at, count)) = self.worth_rewriting() else { return Ok(false) };
        self.rewrite(at, count)?;
        Ok(true)
    }

    fn closed(&self) -> &[Block] {
        let tail = usize::from(self.tail.is_some());
        &self.blocks[..self.blocks.len() - tail]
    }

    fn worth_rewriting(&self) -> Option<(usize, usize)> {
        let limit = self.settings.block_bytes / 2;
        let closed = self.closed();
        let small = |at: usize| closed.get(at).is_some_and(|block| block.bytes < limit);
        let pairs = (0..closed.len()).filter(|&at| small(at) && small(at + 1));
        if let Some(run) = pairs.map(|at| (at, self.run_from(at, limit))).find(|(_, count)| *count > 1) {
            return Some(run);
        }
        // A rewritten block holds little but messages, so it is not hollow again.
        let hollow = |block: &Block| block.deleted.count() > 0 && block.bytes * 2 < block.record_bytes();
        closed.iter().position(|block| hollow(block) && block.len > limit).map(|at| (at, 1))
    }

    /// How many blocks from `at` on fit into one.
    fn run_from(&self, at: usize, limit: u64) -> usize {
        let mut bytes = 0;
        let fits = self.closed()[at..].iter().take_while(|block| {
            bytes += block.bytes;
            block.bytes < limit && bytes <= self.settings.block_bytes
        });
        // One span of sequences must stay within what a block may hold.
        let first = self.blocks[at].first;
        fits.take_while(|block| block.last - first < crate::deleted::MAX_SPAN).count().max(1)
    }

    /// Rewrites `count` blocks from `at` on as one, durably.
    fn rewrite(&mut self, at: usize, count: usize) -> Result<(), StoreError> {
        let old: Vec<u64> = self.blocks[at..at + count].iter().map(|block| block.generation).collect();
        let new = self.write_copy(at, count, &old)?;
        let facts = new.facts();
        let rewritten = self.blocks.splice(at..at + count, [new]).collect();
        // Before the tail is begun: should it be new, its manifest names them as leaving.
        self.doom(rewritten);
        self.ready_tail()?;
        if let Some(tail) = &mut self.tail {
            tail.record(&Record::Replaced { old, new: facts });
            let len = tail.end();
            // The tail's own block is the last: `ready_tail` made it, or it was there and is not among the rewritten.
            if let Some(block) = self.blocks.last_mut() {
                block.len = len;
            }
        }
        self.commit()
    }

    /// A copy of these blocks, with what is live in them, and its table.
    fn write_copy(&mut self, at: usize, count: usize, old: &[u64]) -> Result<Block, StoreError> {
        let generation = self.take_generation();
        let mut tail = Tail::begin(&self.context, self.id, generation)?;
        tail.record_alone(&Record::Compacted { old: old.to_vec() });
        let first = self.blocks[at].first;
        let mut new = Block::new(generation, first);
        let (mut unsynced, mut last_time) = (Unsynced::default(), Timestamp::EPOCH);
        for at in at..at + count {
            last_time = self.copy_block(at, &mut tail, &mut new, &mut unsynced)?.max(last_time);
        }
        new.last = self.blocks[at + count - 1].last;
        new.deleted = Deleted::new(first);
        new.deleted.fill(new.last);
        new.deleted.keep(new.entries.iter().flatten().map(|entry| first + u64::from(entry.delta)));
        new.was_read = true;
        new.len = tail.end();
        put_contents(&mut tail, &mut new, &self.subjects, last_time);
        // A rewrite that fails is left behind; the stream goes on with the originals.
        unsynced.write(&mut tail, &self.context, &self.dir)?;
        let synced = unsynced.ticket(&self.context, &self.dir).map_or(Ok(()), |ticket| ticket.run());
        synced.map_err(StoreError::disk("syncing", &join(&self.dir, &block_name(generation))))?;
        new.file = tail.close();
        Ok(new)
    }

    fn copy_block(
        &mut self,
        at: usize,
        tail: &mut Tail,
        new: &mut Block,
        unsynced: &mut Unsynced,
    ) -> Result<Timestamp, StoreError> {
        self.index(at)?;
        let (first, last) = (self.blocks[at].first, self.blocks[at].last);
        let mut last_time = Timestamp::EPOCH;
        for seq in first..=last {
            let Some(message) = self.load_stored(seq)? else { continue };
            if let Some(subject) = self.subjects.find(message.subject()) {
                new.entries.get_or_insert_default().push(copy_message(tail, new.first, subject, &message));
                new.bytes += message.size();
                last_time = last_time.max(message.time());
            }
            if tail.staged_bytes() > REWRITE_BATCH {
                unsynced.write(tail, &self.context, &self.dir)?;
            }
        }
        Ok(last_time)
    }

    /// Closed blocks that are not sealed by the present cipher and key, or of which a copy of the head is not.
    pub fn blocks_to_reseal(&mut self) -> Result<Vec<u64>, StoreError> {
        let mut found = Vec::new();
        for at in 0..self.closed().len() {
            let was_open = self.blocks[at].file.is_some();
            self.open_block(at)?;
            let file = self.blocks[at].file.as_ref();
            if file.is_some_and(|file| !self.is_sealed_as_it_should(file)) {
                found.push(self.blocks[at].generation);
            }
            if !was_open {
                // A stream may have more blocks than a process may have files.
                self.blocks[at].file = None;
            }
        }
        Ok(found)
    }

    fn is_sealed_as_it_should(&self, file: &BlockFile) -> bool {
        file.stray.is_none() && self.context.is_present(&file.header.wrapped)
    }

    /// Seals one block by the present cipher and keys: where only keys changed, its block key is wrapped again; where
    /// the cipher changed, it is rewritten. Whether there was one to do.
    pub fn reseal(&mut self, generation: u64) -> Result<bool, StoreError> {
        let Some(at) = self.blocks.iter().position(|block| block.generation == generation) else { return Ok(false) };
        self.open_block(at)?;
        let path = join(&self.dir, &block_name(generation));
        let is_done = self.blocks[at].file.as_ref().is_none_or(|file| self.is_sealed_as_it_should(file));
        if is_done {
            return Ok(false);
        }
        // It bears the old key, too.
        self.drop_summary();
        let context = &self.context;
        let Some(file) = &mut self.blocks[at].file else { return Ok(false) };
        let wrapped = &file.header.wrapped;
        if context.is_present(wrapped) {
            file.mend().map_err(StoreError::disk("writing", &path))?;
        } else if may_be_wrapped_again(context, file) {
            let wrapped = context.vault.wrap(&file.seal, context.account, &*context.entropy)?;
            file.rewrap(file.header.rewrapped(wrapped)).map_err(StoreError::disk("writing", &path))?;
        } else {
            self.rewrite(at, 1)?;
            // The block before must not come back after a crash: its key may not be there any more.
            self.sync_removals()?;
        }
        Ok(true)
    }
}

/// Whether only the keys around a block's own key are other ones.
fn may_be_wrapped_again(context: &Context, file: &BlockFile) -> bool {
    let (cipher, header) = (context.vault.cipher(), &file.header);
    header.wrapped.cipher == cipher && cipher != Cipher::None && header.may_take(context.account)
}

fn copy_message(tail: &mut Tail, first: u64, subject: u32, message: &Message) -> Entry {
    let draft = Draft {
        subject: message.subject(),
        headers: message.headers(),
        payload: message.payload(),
        time: message.time(),
    };
    let laid = tail.message(message.seq(), &draft, message.is_packed());
    Entry::new(message.seq() - first, &laid, subject)
}
