//! Reading a stream: by sequence, by subject, in order.

use super::{Block, FileStream};
use crate::deleted::Deleted;
use crate::disk::join;
use crate::error::{Damage, Finding, StoreError};
use crate::index::{BlockError, BlockFile, Entry, Lent, Scanned};
use crate::part::{Down, Part};
use crate::record::{Draft, Message, MessageView, is_packed, put_message};
use crate::seal::Form;
use crate::subjects::{SubjectNo, SubjectTotals, Subjects, Walk, fits, price};
use crate::tail::block_name;
use moment::Timestamp;
use std::ops::{ControlFlow, Range};
use subject::Filter;

/// Block indexes kept in memory for each stream, besides the tail's.
const MAX_LOADED: usize = 16;
/// Those of the newest blocks that are kept when a stream is opened.
const LOADED_AT_FIRST: usize = 2;

/// Messages of a block whose index is made that count as one look.
const INDEXED_A_LOOK: u64 = 4;

/// Memory for a lent message that is kept for the next.
const OPENED_KEPT: usize = 1024 * 1024;

/// What a search for the next message gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// The next message that fits.
    Message(Message),
    /// None up to here; go on with this sequence when there is more.
    NotBefore(u64),
}

impl FileStream {
    /// Reads a message.
    pub fn load(&mut self, seq: u64) -> Result<Option<Message>, StoreError> {
        if seq > self.readable {
            return Ok(None);
        }
        let Some(at) = self.block_of(seq).filter(|&at| self.blocks[at].is_live(seq)) else { return Ok(None) };
        self.index(at)?;
        let Some(entry) = self.blocks[at].entry(seq) else { return Ok(None) };
        self.read_entry(at, seq, entry)
    }

    /// The subject of a message, which may be staged only. Nothing but the index of its block is read.
    pub fn subject_of(&mut self, seq: u64) -> Result<Option<&[u8]>, StoreError> {
        let Some(at) = self.block_of(seq).filter(|&at| self.blocks[at].is_live(seq)) else { return Ok(None) };
        self.index(at)?;
        let entry = self.blocks[at].entry(seq).filter(|_| self.blocks[at].is_live(seq));
        Ok(entry.and_then(|entry| self.subjects.text(entry.subject)))
    }

    /// The first sequence from one on that a message is kept under, which may be staged only.
    pub fn next_live_from(&self, seq: u64) -> Option<u64> {
        Some(self.next_live(seq)).filter(|&seq| seq <= self.state.last_seq)
    }

    /// The same as it lies in the file, its payload perhaps compressed.
    pub(super) fn load_stored(&mut self, seq: u64) -> Result<Option<Message>, StoreError> {
        let Some(at) = self.block_of(seq).filter(|&at| self.blocks[at].is_live(seq)) else { return Ok(None) };
        self.index(at)?;
        let Some(entry) = self.blocks[at].entry(seq) else { return Ok(None) };
        self.read_stored(at, seq, entry)
    }

    fn read_entry(&mut self, at: usize, seq: u64, entry: Entry) -> Result<Option<Message>, StoreError> {
        let Some(stored) = self.read_stored(at, seq, entry)? else { return Ok(None) };
        let unpacked = stored.unpacked();
        if unpacked.is_none() {
            self.lose(at, seq..seq + 1, Some(entry.place()), Damage::Altered);
        }
        Ok(unpacked)
    }

    /// Reads a message and lends it.
    pub fn look_at(&mut self, seq: u64) -> Result<Option<MessageView<'_>>, StoreError> {
        if seq > self.readable {
            return Ok(None);
        }
        let Some(at) = self.block_of(seq).filter(|&at| self.blocks[at].is_live(seq)) else { return Ok(None) };
        self.index(at)?;
        let Some(entry) = self.blocks[at].entry(seq) else { return Ok(None) };
        let opened = self.open_entry(at, seq, entry)?;
        Ok(opened.and_then(|opened| self.lent(opened)))
    }

    /// As [`FileStream::next`], lent; the sequence to go on with when there is none.
    pub fn look(&mut self, filters: &[Filter], from: u64) -> Result<Result<MessageView<'_>, u64>, StoreError> {
        self.look_within(filters, from, &mut { u64::MAX })
    }

    /// The same in parts: with no looks left it gives the sequence to go on with as well.
    pub fn look_within(
        &mut self,
        filters: &[Filter],
        from: u64,
        looks: &mut u64,
    ) -> Result<Result<MessageView<'_>, u64>, StoreError> {
        Ok(match self.find_next(filters, from, looks, Self::open_entry)? {
            Ok(opened) => self.lent(opened).ok_or(from),
            Err(seq) => Err(seq),
        })
    }

    /// A message that was looked at just now.
    fn lent(&self, (at, lent): (usize, Lent)) -> Option<MessageView<'_>> {
        MessageView::decode(match lent {
            Lent::Opened => &self.opened,
            Lent::Read(_) | Lent::InSheet(_) => self.blocks.get(at)?.file.as_ref()?.lent(&lent)?,
        })
    }

    /// Reads a message. Where its record lies then, with the payload as it was published, and in which block.
    fn open_entry(&mut self, at: usize, seq: u64, entry: Entry) -> Result<Option<(usize, Lent)>, StoreError> {
        self.open_block(at)?;
        let block = &mut self.blocks[at];
        let Some(file) = &mut block.file else { return Ok(None) };
        if self.opened.capacity() > OPENED_KEPT {
            self.opened = Vec::new();
        }
        let path = || join(&self.dir, &block_name(block.generation));
        let looked = file.look_at(seq, entry, &mut self.opened);
        let Some(lent) = looked.map_err(|source| StoreError::disk("reading", &path())(source))? else {
            let suspect = file.suspect(entry);
            self.lose(at, seq..seq + 1, Some(suspect), Damage::Altered);
            return Ok(None);
        };
        let record = file.lent(&lent).unwrap_or(&self.opened);
        if !is_packed(record) {
            return Ok(Some((at, lent)));
        }
        let Some(message) = self.read_entry(at, seq, entry)? else { return Ok(None) };
        let (subject, headers, payload, time) =
            (message.subject(), message.headers(), message.payload(), message.time());
        self.opened.clear();
        put_message(&mut self.opened, Form::Brief, 0, seq, &Draft { subject, headers, payload, time });
        Ok(Some((at, Lent::Opened)))
    }

    fn read_stored(&mut self, at: usize, seq: u64, entry: Entry) -> Result<Option<Message>, StoreError> {
        self.open_block(at)?;
        let block = &mut self.blocks[at];
        let Some(file) = &mut block.file else { return Ok(None) };
        let path = || join(&self.dir, &block_name(block.generation));
        let loaded = file.load(seq, entry).map_err(|source| StoreError::disk("reading", &path())(source))?;
        if loaded.is_none() {
            let suspect = file.suspect(entry);
            self.lose(at, seq..seq + 1, Some(suspect), Damage::Altered);
        }
        Ok(loaded)
    }

    /// The next message from `from` on that one of the filters takes; without filters, the next.
    pub fn next(&mut self, filters: &[Filter], from: u64) -> Result<Next, StoreError> {
        self.next_within(filters, from, &mut { u64::MAX })
    }

    /// The same in parts: with no looks left it gives the sequence to go on with as well.
    pub fn next_within(&mut self, filters: &[Filter], from: u64, looks: &mut u64) -> Result<Next, StoreError> {
        Ok(self.find_next(filters, from, looks, Self::read_entry)?.map_or_else(Next::NotBefore, Next::Message))
    }

    /// What `read` makes of the next message that it can read; the sequence to go on with when there is none.
    fn find_next<T>(
        &mut self,
        filters: &[Filter],
        from: u64,
        looks: &mut u64,
        read: impl Fn(&mut Self, usize, u64, Entry) -> Result<Option<T>, StoreError>,
    ) -> Result<Result<T, u64>, StoreError> {
        let mut seq = from.max(self.state.first_seq);
        while seq <= self.readable {
            let at = self.block_from(seq);
            self.looked_in = at;
            let Some(block) = self.blocks.get(at) else { break };
            seq = seq.max(block.first);
            if seq > self.readable {
                break;
            }
            if *looks == 0 {
                return Ok(Err(seq));
            }
            match self.next_in(at, filters, seq, looks)? {
                Ok((found, entry)) => match read(self, at, found, entry)? {
                    Some(message) => return Ok(Ok(message)),
                    None => seq = found + 1,
                },
                Err(next) => seq = next,
            }
        }
        Ok(Err(seq.max(from).min(self.readable + 1).max(from)))
    }

    /// The next live message within one block, or where to go on.
    fn next_in(
        &mut self,
        at: usize,
        filters: &[Filter],
        seq: u64,
        looks: &mut u64,
    ) -> Result<Result<(u64, Entry), u64>, StoreError> {
        if self.blocks[at].messages() == 0 {
            *looks = looks.saturating_sub(1);
            return Ok(Err(self.blocks[at].last + 1));
        }
        self.index(at)?;
        let (block, subjects, readable) = (&self.blocks[at], &self.subjects, self.readable);
        let (price, mut before) = (price(filters), None);
        for entry in block.entries_from(seq) {
            let seq = block.seq_of(*entry);
            if seq > readable || *looks == 0 {
                return Ok(Err(seq));
            }
            *looks = looks.saturating_sub(price);
            if block.is_live(seq) && (filters.is_empty() || is_taken(subjects, filters, entry.subject, &mut before)) {
                return Ok(Ok((seq, *entry)));
            }
        }
        Ok(Err(block.last + 1))
    }

    /// Totals of one subject, staged messages included.
    pub fn subject(&self, subject: &[u8]) -> Option<SubjectTotals> {
        self.subjects.totals(self.subjects.find(subject)?).copied()
    }

    /// Walks on over the subjects that filters take, see [`Walk`]. Whether that was all.
    pub fn walk(
        &mut self,
        filters: &[Filter],
        walk: &mut Walk,
        looks: &mut u64,
        found: impl FnMut(&[u8], &SubjectTotals) -> ControlFlow<()>,
    ) -> bool {
        self.subjects.walk(filters, walk, looks, found)
    }

    /// Sequence of the oldest message of a subject.
    pub fn first_of(&mut self, subject: &[u8]) -> Result<Option<u64>, StoreError> {
        Ok(self.first_of_within(subject, &mut { u64::MAX })?.done().flatten())
    }

    pub(super) fn first_of_within(&mut self, subject: &[u8], looks: &mut u64) -> Result<Part<Option<u64>>, StoreError> {
        let Some(totals) = self.subject(subject) else { return Ok(Part::Done(None)) };
        if totals.first_is_exact {
            return Ok(Part::Done(Some(totals.first)));
        }
        let sought = self.seek(subject, totals.first, true, looks)?;
        self.settle(subject, |totals| match sought {
            Sought::Found(seq, size) => (totals.first, totals.first_is_exact, totals.first_size) = (seq, true, size),
            Sought::Stopped(seq) => totals.first = seq,
            Sought::Nowhere => {}
        });
        Ok(sought.told())
    }

    /// Sequence of the newest message of a subject, staged messages included.
    pub fn last_of(&mut self, subject: &[u8]) -> Result<Option<u64>, StoreError> {
        Ok(self.last_of_within(subject, &mut { u64::MAX })?.done().flatten())
    }

    /// The same in parts: asked again it goes on where it was.
    pub fn last_of_within(&mut self, subject: &[u8], looks: &mut u64) -> Result<Part<Option<u64>>, StoreError> {
        let Some(totals) = self.subject(subject) else { return Ok(Part::Done(None)) };
        if totals.last_is_exact {
            return Ok(Part::Done(Some(totals.last)));
        }
        let sought = self.seek(subject, totals.last, false, looks)?;
        self.settle(subject, |totals| match sought {
            Sought::Found(seq, size) => (totals.last, totals.last_is_exact, totals.last_size) = (seq, true, size),
            Sought::Stopped(seq) => totals.last = seq,
            Sought::Nowhere => {}
        });
        Ok(sought.told())
    }

    /// Looks from the newest message on, which may be staged only, towards older ones for one that a filter takes, as far as the
    /// indexes of blocks are at hand.
    pub fn look_down(&self, filter: &Filter, looks: &mut u64) -> Down {
        for block in self.blocks.iter().rev().filter(|block| block.messages() > 0) {
            let Some(entries) = &block.entries else { return Down::Stopped };
            for entry in entries.iter().rev() {
                let seq = block.seq_of(*entry);
                if !block.is_live(seq) {
                    continue;
                }
                if *looks == 0 {
                    return Down::Stopped;
                }
                *looks -= 1;
                if filter.matches_stored(self.subjects.text(entry.subject).unwrap_or_default()) {
                    return Down::Found(seq);
                }
            }
        }
        Down::End
    }

    fn settle(&mut self, subject: &[u8], change: impl FnOnce(&mut SubjectTotals)) {
        if let Some(totals) = self.subjects.find(subject).and_then(|no| self.subjects.totals_mut(no)) {
            change(totals);
        }
    }

    /// Walks from `from` up or down to the nearest live message of a subject.
    fn seek(&mut self, subject: &[u8], from: u64, up: bool, looks: &mut u64) -> Result<Sought, StoreError> {
        let Some(no) = self.subjects.find(subject) else { return Ok(Sought::Nowhere) };
        let start = self.blocks.partition_point(|block| block.last < from);
        let candidates: Vec<u64> = if up {
            self.blocks[start..].iter().map(|block| block.generation).collect()
        } else {
            self.blocks[..(start + 1).min(self.blocks.len())].iter().rev().map(|block| block.generation).collect()
        };
        for generation in candidates {
            let Some(at) = self.blocks.iter().position(|block| block.generation == generation) else { continue };
            if *looks == 0 {
                let block = &self.blocks[at];
                return Ok(Sought::Stopped(if up { block.first.max(from) } else { block.last.min(from) }));
            }
            self.index(at)?;
            let block = &self.blocks[at];
            let entries = block.entries.as_deref().unwrap_or_default();
            let split = entries
                .partition_point(|entry| if up { block.seq_of(*entry) < from } else { block.seq_of(*entry) <= from });
            let (older, newer) = entries.split_at(split);
            let sought = if up {
                seek_in(block, newer.iter(), no, looks)
            } else {
                seek_in(block, older.iter().rev(), no, looks)
            };
            if !matches!(sought, Sought::Nowhere) {
                return Ok(sought);
            }
        }
        Ok(Sought::Nowhere)
    }

    /// How many live messages from `from` on one of the filters takes; without filters, all of them.
    pub fn count(&mut self, filters: &[Filter], from: u64) -> Result<u64, StoreError> {
        Ok(self.count_within((filters, &[]), from, &mut { u64::MAX })?.0)
    }

    /// How many live messages from `from` on one of the filters takes, or all, and none of the others does, as far as the looks
    /// reach; and where to go on: behind the last message when that was all.
    pub fn count_within(
        &mut self,
        (filters, but): (&[Filter], &[Filter]),
        from: u64,
        looks: &mut u64,
    ) -> Result<(u64, u64), StoreError> {
        let end = (self.state.last_seq + 1).max(from);
        let all = filters.is_empty() && but.is_empty();
        if all && from <= self.state.first_seq {
            return Ok((self.state.messages, end));
        }
        let (price, mut count) = (price(filters) + price(but) - 1, 0);
        for at in self.blocks.partition_point(|block| block.last < from)..self.blocks.len() {
            if *looks == 0 {
                return Ok((count, self.blocks[at].first.max(from)));
            }
            if all {
                *looks -= 1;
                let block = &self.blocks[at];
                let below = from.saturating_sub(block.first).min(block.last + 1 - block.first);
                count += block.messages() - (below - block.deleted.count_below(block.first + below));
                continue;
            }
            self.index(at)?;
            let (block, subjects, mut before, mut before_but) = (&self.blocks[at], &self.subjects, None, None);
            for entry in block.entries_from(from) {
                let seq = block.seq_of(*entry);
                if *looks == 0 {
                    return Ok((count, seq));
                }
                *looks = looks.saturating_sub(price);
                count += u64::from(
                    block.is_live(seq)
                        && (filters.is_empty() || is_taken(subjects, filters, entry.subject, &mut before))
                        && (but.is_empty() || !is_taken(subjects, but, entry.subject, &mut before_but)),
                );
            }
        }
        Ok((count, end))
    }

    /// The first live sequence stored at or after a moment; one more than the last when there is none.
    pub fn seq_at(&mut self, time: Timestamp) -> Result<u64, StoreError> {
        let (mut low, mut high) = (self.state.first_seq, self.state.last_seq + 1);
        if time > self.state.last_time || self.state.messages == 0 {
            return Ok(high);
        }
        // Who asks mostly asks for what was stored a short while ago: the newest block is looked at first.
        if let Some(seq) = self.blocks.last().map(|block| self.next_live(block.first)).filter(|&seq| seq < high)
            && self.load(seq)?.is_some_and(|message| message.time() < time)
        {
            low = seq + 1;
        }
        (low, high) = self.span_of(time, low..high)?;
        while low < high {
            let middle = low + (high - low) / 2;
            let seq = self.next_live(middle);
            let stored = if seq < high { self.load(seq)?.map(|message| message.time()) } else { None };
            match stored {
                Some(stored) if stored < time => low = seq + 1,
                _ => high = middle,
            }
        }
        Ok(self.next_live(low))
    }

    /// Within a span, what is left of it when blocks that are older and newer as a whole are left out.
    fn span_of(&mut self, time: Timestamp, span: Range<u64>) -> Result<(u64, u64), StoreError> {
        let (mut from, mut to) = (0, self.blocks.len());
        while from < to {
            let middle = from + (to - from) / 2;
            match self.end_of(middle)? {
                Some(end) if end.last_time < time => from = middle + 1,
                Some(_) => to = middle,
                None => break,
            }
        }
        let low = self.blocks[..from].last().map_or(span.start, |older| span.start.max(older.last + 1));
        let high = self.blocks.get(to).map_or(span.end, |block| span.end.min(block.last + 1));
        Ok((low.min(high), high))
    }

    /// The next message with headers from `from` on; the sequence to go on with when there is none.
    pub fn next_headed(&mut self, from: u64) -> Result<Next, StoreError> {
        let mut seq = from.max(self.state.first_seq);
        while seq <= self.readable {
            let at = self.blocks.partition_point(|block| block.last < seq);
            let Some(block) = self.blocks.get(at) else { break };
            let (first, last) = (block.first, block.last);
            seq = seq.max(first);
            let found = match self.end_of(at)? {
                Some(end) if end.headed == 0 => None,
                _ => self.headed_in(at, seq)?,
            };
            match found {
                Some((headed, entry)) => match self.read_entry(at, headed, entry)? {
                    Some(message) => return Ok(Next::Message(message)),
                    None => seq = headed + 1,
                },
                None => seq = last + 1,
            }
        }
        Ok(Next::NotBefore(seq.min(self.readable + 1).max(from)))
    }

    /// The next live message with headers within one block.
    fn headed_in(&mut self, at: usize, seq: u64) -> Result<Option<(u64, Entry)>, StoreError> {
        self.index(at)?;
        let block = &self.blocks[at];
        let numbered = block.entries_from(seq).iter().map(|entry| (block.first + u64::from(entry.delta), *entry));
        let mut headed = numbered.filter(|(seq, entry)| entry.has_headers() && block.is_live(*seq));
        Ok(headed.next().filter(|(seq, _)| *seq <= self.readable))
    }

    /// Sequences between the first and the last message that are gone, at most `max` of them.
    pub fn deleted(&self, max: usize) -> Vec<u64> {
        let mut gone = Vec::new();
        self.deleted_within(self.state.first_seq, max, &mut { u64::MAX }, &mut gone);
        gone
    }

    /// The same in parts, from a sequence on. Where to go on, as long as there is more.
    pub fn deleted_within(&self, from: u64, max: usize, looks: &mut u64, gone: &mut Vec<u64>) -> Option<u64> {
        for seq in from.max(self.state.first_seq)..=self.state.last_seq {
            if gone.len() >= max {
                return None;
            }
            if *looks == 0 {
                return Some(seq);
            }
            *looks -= 1;
            gone.extend((!self.is_live(seq)).then_some(seq));
        }
        None
    }

    /// Whether a message with this sequence is stored, staged ones included.
    pub fn is_live(&self, seq: u64) -> bool {
        self.block_of(seq).is_some_and(|at| self.blocks[at].is_live(seq))
    }

    /// Opens and reads everything there is, a second time if it was read before. Damage is among the findings afterwards;
    /// given is what can not be read at all, a block at most once.
    pub fn examine(&mut self) -> Vec<StoreError> {
        let generations: Vec<u64> = self.blocks.iter().map(|block| block.generation).collect();
        let examined = generations.into_iter().map(|generation| self.examine_block(generation));
        examined.filter_map(Result::err).collect()
    }

    fn examine_block(&mut self, generation: u64) -> Result<(), StoreError> {
        let Some(at) = self.blocks.iter().position(|block| block.generation == generation) else { return Ok(()) };
        if self.tail.as_ref().is_none_or(|tail| tail.generation != generation) {
            self.blocks[at].entries = None;
            self.open_block(at)?;
            let scanned = self.scan(at)?;
            self.take_index(at, &scanned);
        }
        (self.blocks[at].first..=self.blocks[at].last).try_for_each(|seq| self.load(seq).map(drop))
    }

    /// Opens the file of a block for reading.
    pub(super) fn open_block(&mut self, at: usize) -> Result<(), StoreError> {
        let block = &mut self.blocks[at];
        if block.file.is_some() {
            return Ok(());
        }
        let tail = self.tail.as_ref().filter(|tail| tail.generation == block.generation);
        if let Some(tail) = tail {
            block.file = tail.reader(&self.context);
            return Ok(());
        }
        let path = join(&self.dir, &block_name(block.generation));
        let file = self.context.disk.open(&path).map_err(StoreError::disk("opening", &path))?;
        let place = self.context.place(self.id, block.generation);
        block.file = Some(BlockFile::open(file, &self.context.vault, place).map_err(|error| unusable(error, &path))?);
        Ok(())
    }

    /// Loads the index of a block if it is not there.
    pub(super) fn index(&mut self, at: usize) -> Result<(), StoreError> {
        self.clock += 1;
        self.blocks[at].used = self.clock;
        if self.blocks[at].entries.is_some() {
            return Ok(());
        }
        self.open_block(at)?;
        if !self.index_by_table(at)? {
            let scanned = self.scan(at)?;
            self.take_index(at, &scanned);
        }
        self.toll += self.blocks[at].entries.as_ref().map_or(0, |entries| entries.len() as u64) / INDEXED_A_LOOK;
        self.unload_the_oldest();
        Ok(())
    }

    /// Looks that were not counted yet, since this was asked last: at the tables of blocks whose index was made.
    pub fn take_toll(&mut self) -> u64 {
        std::mem::take(&mut self.toll)
    }

    pub(super) fn scan(&mut self, at: usize) -> Result<Scanned, StoreError> {
        self.blocks[at].was_read = true;
        let block = &self.blocks[at];
        let Some(file) = &block.file else { return Ok(Scanned::default()) };
        file.scan().map_err(StoreError::disk("reading", &join(&self.dir, &block_name(block.generation))))
    }

    /// Builds the index from what a scan found. Live messages it did not find are lost.
    pub(super) fn take_index(&mut self, at: usize, scanned: &Scanned) {
        let block = &mut self.blocks[at];
        let name = block_name(block.generation);
        for Range { start, end } in scanned.damaged().filter(|stretch| block.note_hole(stretch.clone())) {
            let (stream, file, bytes) = (self.id, name.clone(), Some((start, end)));
            self.findings.push(Finding { stream, file, what: Damage::Altered, bytes, lost: None });
        }
        let mut entries = Vec::new();
        for found in scanned.messages().filter(|found| block.is_live(found.seq)) {
            if let Some(subject) = self.subjects.find(scanned.subject(found)) {
                let delta = found.seq - block.first;
                entries.push(Entry::new(delta, &found.laid, subject));
            }
        }
        block.entries = Some(entries);
        let missing: Vec<u64> =
            (block.first..=block.last).filter(|&seq| block.is_live(seq) && block.entry(seq).is_none()).collect();
        for range in crate::deleted::ranges_of(missing) {
            self.lose(at, range, None, Damage::Altered);
        }
    }

    /// Takes lost messages out of the stream and notes the finding.
    pub(super) fn lose(&mut self, at: usize, seqs: Range<u64>, bytes: Option<(u64, u64)>, what: Damage) {
        let known: Vec<(u64, Option<Entry>)> = seqs
            .clone()
            .filter(|&seq| self.blocks[at].is_live(seq))
            .map(|seq| (seq, self.blocks[at].entry(seq)))
            .collect();
        let file = block_name(self.blocks[at].generation);
        if let Some((from, to)) = bytes {
            // The finding names it already.
            let _ = self.blocks[at].note_hole(from..to);
        }
        self.findings.push(Finding { stream: self.id, file, what, bytes, lost: Some(seqs.start..=seqs.end - 1) });
        for (seq, entry) in known {
            let average = self.state.bytes / self.state.messages.max(1);
            let size = entry.map_or(average, Entry::size);
            self.state.lost_messages += 1;
            self.state.lost_bytes += size;
            match entry {
                Some(entry) => self.forget(at, seq, entry.subject, size),
                None => self.forget(at, seq, u32::MAX, size),
            }
        }
    }

    /// Keeps the newest indexes while a long stream is being opened.
    pub(super) fn unload_all_but_the_newest(&mut self) {
        if let Some(older) = self.blocks.len().checked_sub(LOADED_AT_FIRST + 1) {
            self.blocks[older].entries = None;
            self.blocks[older].file = None;
        }
    }

    fn unload_the_oldest(&mut self) {
        let tail = self.tail.as_ref().map(|tail| tail.generation);
        let unloadable = |block: &&mut Block| block.entries.is_some() && Some(block.generation) != tail;
        while self.blocks.iter_mut().filter(unloadable).count() > MAX_LOADED {
            let Some(oldest) = self.blocks.iter_mut().filter(unloadable).min_by_key(|block| block.used) else { return };
            oldest.entries = None;
            oldest.file = None;
        }
    }
}

/// What came of walking to the nearest message of a subject.
#[derive(Clone, Copy)]
enum Sought {
    /// Its sequence and what it weighs.
    Found(u64, u32),
    /// There were no looks left; there is none before this.
    Stopped(u64),
    Nowhere,
}

impl Sought {
    fn told(self) -> Part<Option<u64>> {
        match self {
            Sought::Found(seq, _) => Part::Done(Some(seq)),
            Sought::Stopped(_) => Part::Unfinished,
            Sought::Nowhere => Part::Done(None),
        }
    }
}

fn seek_in<'a>(block: &Block, entries: impl Iterator<Item = &'a Entry>, no: SubjectNo, looks: &mut u64) -> Sought {
    for entry in entries {
        let seq = block.seq_of(*entry);
        if entry.subject == no && block.is_live(seq) {
            return Sought::Found(seq, entry.size() as u32);
        }
        if *looks == 0 {
            return Sought::Stopped(seq);
        }
        *looks -= 1;
    }
    Sought::Nowhere
}

/// Whether one of the filters takes a subject. `before` is which was asked about last, and what came of it: many messages of one
/// subject often come one after the other.
fn is_taken(subjects: &Subjects, filters: &[Filter], no: SubjectNo, before: &mut Option<(SubjectNo, bool)>) -> bool {
    if let Some((_, is_taken)) = before.filter(|(same, _)| *same == no) {
        return is_taken;
    }
    let is_taken = fits(filters, subjects.text(no).unwrap_or_default());
    *before = Some((no, is_taken));
    is_taken
}

/// Bitmap of a block restored from its facts.
pub(super) fn restore_deleted(first: u64, ranges: &[Range<u64>]) -> Deleted {
    let mut deleted = Deleted::new(first);
    ranges.iter().cloned().for_each(|range| deleted.insert_range(range));
    deleted
}

/// A block that can not be read at all, as an error that names it.
pub(crate) fn unusable(error: BlockError, path: &str) -> StoreError {
    use crate::seal::SealError;
    let path = path.to_owned();
    match error {
        BlockError::Io(source) => StoreError::Disk { doing: "reading", path, source },
        BlockError::Newer(version) => StoreError::NewerFormat { version, path },
        BlockError::Seal(SealError::UnknownKey(needed)) => StoreError::WrongKey { needed, path },
        BlockError::Seal(SealError::NoKey) => StoreError::NoKey,
        BlockError::Seal(SealError::NoAccountKey(needed)) => StoreError::NoAccountKey { needed, path },
        BlockError::Seal(SealError::Altered) => StoreError::Unusable { path, why: "the head of the file was altered" },
        BlockError::NoHead { .. } => StoreError::Unusable { path, why: "the head of the file is damaged" },
        BlockError::Foreign => StoreError::Unusable { path, why: "the file belongs to another stream" },
    }
}
