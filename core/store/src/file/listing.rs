//! Tables of contents: writing them when a block is full, and reading them instead of blocks.
//!
//! Whoever took a block's messages from its table owes the block a reading: what is damaged in it is named no later than
//! [`FileStream::examine_next`] comes to it, and kept before its file goes.

use super::recovery::Recovery;
use super::{Block, FileStream};
use crate::aside;
use crate::contents::{self, End, Listing};
use crate::disk::join;
use crate::error::StoreError;
use crate::index::{BlockFile, Entry};
use crate::record::Record;
use crate::subjects::{SubjectNo, Subjects};
use crate::tail::{Tail, block_name};
use moment::Timestamp;
use std::io;
use std::ops::Range;

impl FileStream {
    /// The block that the next write fills gets its table with the same write.
    pub(super) fn stage_contents(&mut self) {
        let is_full = |tail: &&mut Tail| tail.staged_bytes() > 0 && tail.end() >= self.settings.block_bytes;
        if let (Some(tail), Some(block)) = (self.tail.as_mut().filter(is_full), self.blocks.last_mut()) {
            put_contents(tail, block, &self.subjects, self.state.last_time);
        }
    }

    /// Makes the index of a block whose file is open from its table, if that names all messages that are live. Whether it
    /// does.
    pub(super) fn index_by_table(&mut self, at: usize) -> Result<bool, StoreError> {
        let end = self.end_of(at)?;
        let block = &self.blocks[at];
        let (Some(file), Some(end)) = (&block.file, end) else { return Ok(false) };
        let path = join(&self.dir, &block_name(block.generation));
        let listed = listed(file, block, end).map_err(StoreError::disk("reading", &path))?;
        let Some(listing) = listed else { return Ok(false) };
        let numbers: Vec<Option<SubjectNo>> =
            (0..listing.subjects() as u32).map(|number| self.subjects.find(listing.subject(number))).collect();
        let live = listing.entries.iter().filter(|entry| block.is_live(block.seq_of(**entry)));
        let known = live.map(|entry| Some(entry.of_subject((*numbers.get(entry.subject as usize)?)?)));
        let Some(entries) = known.collect::<Option<Vec<Entry>>>() else { return Ok(false) };
        let block = &mut self.blocks[at];
        (block.entries, block.is_listed) = (Some(entries), true);
        Ok(true)
    }

    /// What ends the table of a block; `None` without one, and while the block is written.
    pub(super) fn end_of(&mut self, at: usize) -> Result<Option<End>, StoreError> {
        let is_tail = self.tail.as_ref().is_some_and(|tail| tail.generation == self.blocks[at].generation);
        if self.blocks[at].end.is_some() || is_tail {
            return Ok(self.blocks[at].end);
        }
        let was_open = self.blocks[at].file.is_some();
        self.open_block(at)?;
        let block = &mut self.blocks[at];
        let end = block.file.as_ref().map_or(Ok(None), BlockFile::contents_end);
        let path = || join(&self.dir, &block_name(block.generation));
        block.end = end.map_err(|source| StoreError::disk("reading", &path())(source))?;
        if !was_open {
            // A stream may have more blocks than a process may have files.
            block.file = None;
        }
        Ok(block.end)
    }

    /// Reads one block that was not read yet although its table was. Whether there was one. Damage is among the findings
    /// afterwards.
    ///
    /// # Errors
    /// What the disk said. The block is not tried again.
    pub fn examine_next(&mut self) -> Result<bool, StoreError> {
        let Some(at) = self.blocks.iter().position(Block::owes_reading) else { return Ok(false) };
        self.blocks[at].was_read = true;
        let (had_index, had_file) = (self.blocks[at].entries.take().is_some(), self.blocks[at].file.is_some());
        self.open_block(at)?;
        let scanned = self.scan(at)?;
        self.take_index(at, &scanned);
        if !had_index {
            self.blocks[at].entries = None;
        }
        if !had_file {
            self.blocks[at].file = None;
        }
        Ok(true)
    }

    /// Keeps what is damaged in a file that goes and was not read.
    pub(super) fn read_before_removal(&mut self, generation: u64) -> Result<(), StoreError> {
        if !self.unread.contains(&generation) {
            return Ok(());
        }
        let name = block_name(generation);
        let path = join(&self.dir, &name);
        let reading = StoreError::disk("reading", &path);
        if let Ok(file) = self.context.disk.open(&path) {
            let opened = BlockFile::open(file, &self.context.vault, self.context.place(self.id, generation));
            if let Ok(file) = opened {
                let damaged: Vec<Range<u64>> = file.scan().map_err(reading)?.damaged().collect();
                aside::keep_stretches(&*self.context.disk, &self.dir, &name, &damaged)?;
            }
        }
        self.unread.remove(&generation);
        Ok(())
    }
}

impl Recovery<'_> {
    /// What the table of a block from before the base says, if it names all messages that are live.
    pub(super) fn listing_of(&self, block: &mut Block) -> Result<Option<Listing>, StoreError> {
        let failed = |source| StoreError::disk("reading", &self.path(block.generation))(source);
        let file = self.block_file(block.generation)?;
        let end = file.contents_end().map_err(failed)?;
        let listed = end.map(|end| listed(&file, block, end)).transpose().map_err(failed)?.flatten();
        block.end = end;
        block.is_listed = listed.is_some();
        Ok(listed)
    }

    /// Counts the messages of a block by its table.
    pub(super) fn count_listed(&mut self, block: &mut Block, listing: Listing) {
        let stream = &mut *self.stream;
        let mut numbers: Vec<Option<SubjectNo>> = vec![None; listing.subjects()];
        let mut entries = Vec::with_capacity(block.messages() as usize);
        let mut bytes = 0;
        for entry in listing.entries.iter().filter(|entry| block.is_live(block.seq_of(**entry))) {
            let (seq, size) = (block.seq_of(*entry), entry.size());
            let Some(number) = numbers.get_mut(entry.subject as usize) else { continue };
            let size_of_one = u32::try_from(size).unwrap_or(u32::MAX);
            let subject = match *number {
                Some(no) => {
                    stream.subjects.count(no, seq, size_of_one);
                    no
                }
                None => *number.insert(stream.subjects.add(listing.subject(entry.subject), seq, size_of_one)),
            };
            entries.push(entry.of_subject(subject));
            bytes += size;
        }
        stream.state.messages += entries.len() as u64;
        stream.state.bytes += bytes;
        block.bytes = bytes;
        if let Some(end) = block.end {
            stream.state.last_time = stream.state.last_time.max(end.last_time);
        }
        block.entries = Some(entries);
    }
}

fn listed(file: &BlockFile, block: &Block, end: End) -> io::Result<Option<Listing>> {
    if end.first != block.first {
        return Ok(None);
    }
    let names_all = |listing: &Listing| {
        let live = listing.entries.iter().filter(|entry| block.is_live(block.seq_of(**entry))).count();
        live as u64 == block.messages()
    };
    Ok(file.contents(end)?.filter(names_all))
}

/// Ends a block with its table, if that is worth it. Nothing else is appended after it.
pub(super) fn put_contents(tail: &mut Tail, block: &mut Block, subjects: &Subjects, last_time: Timestamp) {
    tail.seal_sheet();
    let (start, first) = (tail.end(), block.first);
    let live = block.entries.iter().flatten().filter(|entry| block.is_live(first + u64::from(entry.delta)));
    let Some(table) = contents::table(live.copied(), subjects, start) else { return };
    table.records.iter().for_each(|items| {
        tail.record(&Record::Contents(items));
    });
    let end = End { start, first, messages: table.messages, headed: table.headed, last_time };
    tail.record_alone(&Record::ContentsEnd(end));
    block.len = tail.end();
    block.end = Some(end);
}
