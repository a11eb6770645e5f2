//! Reading a stream: by sequence, by subject, in order.

use super::{Block, FileStream};
use crate::deleted::Deleted;
use crate::disk::join;
use crate::error::{Damage, Finding, StoreError};
use crate::index::{BlockError, BlockFile, Entry, Lent, Scanned};
use crate::record::{Draft, Message, MessageView, is_packed, put_message};
use crate::seal::Form;
use crate::subjects::{SubjectTotals, matches};
use crate::tail::block_name;
use moment::Timestamp;
use std::ops::Range;
use subject::Filter;

/// Block indexes kept in memory for each stream, besides the tail's.
const MAX_LOADED: usize = 16;
/// Those of the newest blocks that are kept when a stream is opened.
const LOADED_AT_FIRST: usize = 2;

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
        Ok(match self.find_next(filters, from, Self::open_entry)? {
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
        Ok(self.find_next(filters, from, Self::read_entry)?.map_or_else(Next::NotBefore, Next::Message))
    }

    /// What `read` makes of the next message that it can read; the sequence to go on with when there is none.
    fn find_next<T>(
        &mut self,
        filters: &[Filter],
        from: u64,
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
            match self.next_in(at, filters, seq)? {
                Some((found, entry)) => match read(self, at, found, entry)? {
                    Some(message) => return Ok(Ok(message)),
                    None => seq = found + 1,
                },
                None => seq = self.blocks.get(at).map_or(seq + 1, |block| block.last + 1),
            }
        }
        Ok(Err(seq.max(from).min(self.readable + 1).max(from)))
    }

    /// The next live message within one block.
    fn next_in(&mut self, at: usize, filters: &[Filter], seq: u64) -> Result<Option<(u64, Entry)>, StoreError> {
        if self.blocks[at].messages() == 0 {
            return Ok(None);
        }
        self.index(at)?;
        let (block, subjects, readable) = (&self.blocks[at], &self.subjects, self.readable);
        let entries = block.entries_from(seq);
        let fits = |entry: &Entry| {
            filters.is_empty() || {
                let text = subjects.text(entry.subject).unwrap_or_default();
                filters.iter().any(|filter| matches(filter, text))
            }
        };
        let live = entries.iter().map(|entry| (block.first + u64::from(entry.delta), *entry));
        let found = live.filter(|(seq, _)| block.is_live(*seq)).find(|(_, entry)| fits(entry));
        Ok(found.filter(|(seq, _)| *seq <= readable))
    }

    /// Totals of one subject, staged messages included.
    pub fn subject(&self, subject: &[u8]) -> Option<SubjectTotals> {
        self.subjects.totals(self.subjects.find(subject)?).copied()
    }

    /// All subjects that a filter takes, in no particular order.
    pub fn subjects<'a>(&'a self, filter: &'a Filter) -> impl Iterator<Item = (&'a [u8], &'a SubjectTotals)> {
        self.subjects.matching(filter)
    }

    /// Sequence of the oldest message of a subject.
    pub fn first_of(&mut self, subject: &[u8]) -> Result<Option<u64>, StoreError> {
        let Some(totals) = self.subject(subject) else { return Ok(None) };
        if totals.first_is_exact {
            return Ok(Some(totals.first));
        }
        let found = self.seek(subject, totals.first, true)?;
        self.settle(subject, |totals| {
            if let Some((seq, size)) = found {
                (totals.first, totals.first_is_exact, totals.first_size) = (seq, true, size);
            }
        });
        Ok(found.map(|(seq, _)| seq))
    }

    /// Sequence of the newest message of a subject, staged messages included.
    pub fn last_of(&mut self, subject: &[u8]) -> Result<Option<u64>, StoreError> {
        let Some(totals) = self.subject(subject) else { return Ok(None) };
        if totals.last_is_exact {
            return Ok(Some(totals.last));
        }
        let found = self.seek(subject, totals.last, false)?;
        self.settle(subject, |totals| {
            if let Some((seq, size)) = found {
                (totals.last, totals.last_is_exact, totals.last_size) = (seq, true, size);
            }
        });
        Ok(found.map(|(seq, _)| seq))
    }

    /// Sequence of the newest message of all subjects that a filter takes, staged messages included.
    pub fn last_matching(&mut self, filter: &Filter) -> Result<Option<u64>, StoreError> {
        if filter.is_literal() {
            return self.last_of(filter.as_bytes());
        }
        loop {
            let Some((subject, totals)) = self.subjects.newest(filter) else { return Ok(None) };
            if totals.last_is_exact {
                return Ok(Some(totals.last));
            }
            // From now on it is exact.
            let subject = subject.to_vec();
            self.last_of(&subject)?;
        }
    }

    fn settle(&mut self, subject: &[u8], change: impl FnOnce(&mut SubjectTotals)) {
        if let Some(totals) = self.subjects.find(subject).and_then(|no| self.subjects.totals_mut(no)) {
            change(totals);
        }
    }

    /// Walks from `from` up or down to the nearest live message of a subject.
    fn seek(&mut self, subject: &[u8], from: u64, up: bool) -> Result<Option<(u64, u32)>, StoreError> {
        let Some(no) = self.subjects.find(subject) else { return Ok(None) };
        let start = self.blocks.partition_point(|block| block.last < from);
        let candidates: Vec<u64> = if up {
            self.blocks[start..].iter().map(|block| block.generation).collect()
        } else {
            self.blocks[..(start + 1).min(self.blocks.len())].iter().rev().map(|block| block.generation).collect()
        };
        for generation in candidates {
            let Some(at) = self.blocks.iter().position(|block| block.generation == generation) else { continue };
            self.index(at)?;
            let block = &self.blocks[at];
            let fits = |entry: &&Entry| {
                let seq = block.first + u64::from(entry.delta);
                entry.subject == no && block.is_live(seq) && if up { seq >= from } else { seq <= from }
            };
            let entries = block.entries.as_deref().unwrap_or_default();
            let found = if up { entries.iter().find(fits) } else { entries.iter().rev().find(fits) };
            if let Some(entry) = found {
                return Ok(Some((block.first + u64::from(entry.delta), entry.size() as u32)));
            }
        }
        Ok(None)
    }

    /// How many live messages from `from` on one of the filters takes; without filters, all of them.
    pub fn count(&mut self, filters: &[Filter], from: u64) -> Result<u64, StoreError> {
        if from <= self.state.first_seq {
            return Ok(self.count_all(filters));
        }
        let mut count = 0;
        for at in self.blocks.partition_point(|block| block.last < from)..self.blocks.len() {
            let block = &self.blocks[at];
            if filters.is_empty() {
                let below = from.saturating_sub(block.first).min(block.last + 1 - block.first);
                let gone = (block.first..block.first + below).filter(|&seq| block.deleted.contains(seq)).count() as u64;
                count += block.messages() - (below - gone);
                continue;
            }
            self.index(at)?;
            let block = &self.blocks[at];
            let live = block.entries.as_deref().unwrap_or_default().iter().filter(|entry| {
                let seq = block.first + u64::from(entry.delta);
                seq >= from && block.is_live(seq)
            });
            let text = |entry: &Entry| self.subjects.text(entry.subject).unwrap_or_default();
            count += live.filter(|entry| filters.iter().any(|filter| matches(filter, text(entry)))).count() as u64;
        }
        Ok(count)
    }

    fn count_all(&self, filters: &[Filter]) -> u64 {
        match filters {
            [] => self.state.messages,
            [only] => self.subjects.matching(only).map(|(_, totals)| totals.messages).sum(),
            several => {
                let everything = Filter::everything();
                let all = self.subjects.matching(&everything);
                all.filter(|(text, _)| several.iter().any(|filter| matches(filter, text)))
                    .map(|(_, totals)| totals.messages)
                    .sum()
            }
        }
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
        (self.state.first_seq..=self.state.last_seq).filter(|&seq| !self.is_live(seq)).take(max).collect()
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
        self.unload_the_oldest();
        Ok(())
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
