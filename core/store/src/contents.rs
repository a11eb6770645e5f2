//! The table of contents at the end of a block: where each message lies, and under which subject.
//!
//! ```text
//! messages and facts … | contents, some at a time … | end: where they begin, how many messages, how many with headers,
//!                                                     when the newest came
//! ```
//!
//! A block gets it with the write that fills it, or when it is rewritten. It says nothing that the records before it do not
//! say, and whoever wants an index reads it instead of them. It counts only while it names every message that is live: it
//! was written before some deletions became final, and those that a torn write swallowed are not applied. A table that is
//! missing, torn or altered costs the time of reading the block.
//!
//! An item is a byte of flags, and what differs from the item before: the gap to its sequence, the gap to its place, the
//! length of its frame, and its subject, as a text when it is new and as its number in the table when it is not.

use crate::bytes::{Reader, put_varint};
use crate::frame::FRAME_OVERHEAD;
use crate::index::Entry;
use crate::record::MESSAGE_FIXED;
use crate::subjects::{SubjectNo, Subjects};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use moment::Timestamp;
use std::ops::Range;

/// Bytes of one record of items, about.
const RECORD_BYTES: usize = 64 * 1024;
/// A table that takes more than this part of its block is not worth it.
const SHARE: u64 = 4;

const HAS_HEADERS: u8 = 1;
const NEW_SUBJECT: u8 = 1 << 1;
const SAME_SUBJECT: u8 = 1 << 2;
const SEQ_GAP: u8 = 1 << 3;
const PLACE_GAP: u8 = 1 << 4;

/// The last record of a block with a table. Always of the same length, so that it is found from the end of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// Where the first record of the table lies.
    pub start: u64,
    /// Sequence from which the gaps are counted.
    pub first: u64,
    /// Messages named.
    pub messages: u32,
    /// Those of them with headers.
    pub headed: u32,
    /// When the newest message of the block was stored.
    pub last_time: Timestamp,
}

/// Bytes of [`End`] as a record says it.
pub(crate) const END_LEN: usize = 8 + 8 + 4 + 4 + 8;

impl End {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.start.to_le_bytes());
        out.extend_from_slice(&self.first.to_le_bytes());
        out.extend_from_slice(&self.messages.to_le_bytes());
        out.extend_from_slice(&self.headed.to_le_bytes());
        out.extend_from_slice(&self.last_time.as_nanos().to_le_bytes());
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<End> {
        let end = End {
            start: reader.u64()?,
            first: reader.u64()?,
            messages: reader.u32()?,
            headed: reader.u32()?,
            last_time: Timestamp::from_nanos(reader.i64()?),
        };
        reader.is_done().then_some(end)
    }
}

/// A table about to be written.
pub(crate) struct Table {
    /// Plain records, in order.
    pub records: Vec<Vec<u8>>,
    pub messages: u32,
    pub headed: u32,
}

/// Makes the table of a block of `block_bytes` bytes from its live messages, ascending. `None`: it is not worth it.
pub(crate) fn table(entries: impl Iterator<Item = Entry>, subjects: &Subjects, block_bytes: u64) -> Option<Table> {
    let mut table = Table { records: Vec::new(), messages: 0, headed: 0 };
    let mut numbers: HashMap<SubjectNo, u32, FixedState> = HashMap::default();
    let (mut out, mut bytes_left) = (Vec::new(), block_bytes / SHARE);
    let (mut next_delta, mut next_place, mut subject_before) = (0, 0, None);
    for entry in entries {
        let (place, end) = entry.place();
        let is_same = subject_before == Some(entry.subject);
        let known = if is_same { None } else { numbers.get(&entry.subject).copied() };
        let is_new = !is_same && known.is_none();
        let flags = [
            (entry.has_headers(), HAS_HEADERS),
            (is_new, NEW_SUBJECT),
            (is_same, SAME_SUBJECT),
            (entry.delta != next_delta, SEQ_GAP),
            (place != next_place, PLACE_GAP),
        ];
        out.push(flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).sum());
        if entry.delta != next_delta {
            put_varint(&mut out, u64::from(entry.delta - next_delta));
        }
        if place != next_place {
            put_varint(&mut out, place - next_place);
        }
        put_varint(&mut out, end - place);
        if is_new {
            let text = subjects.text(entry.subject)?;
            put_varint(&mut out, text.len() as u64);
            out.extend_from_slice(text);
            let number = numbers.len() as u32;
            numbers.insert(entry.subject, number);
        } else if let Some(number) = known {
            put_varint(&mut out, number.into());
        }
        (next_delta, next_place, subject_before) = (entry.delta + 1, end, Some(entry.subject));
        table.messages += 1;
        table.headed += u32::from(entry.has_headers());
        if out.len() > RECORD_BYTES {
            bytes_left = bytes_left.checked_sub(out.len() as u64)?;
            table.records.push(std::mem::take(&mut out));
        }
    }
    bytes_left.checked_sub(out.len() as u64)?;
    table.records.push(out);
    (table.messages > 0).then_some(table)
}

/// What a table says: the messages of a block, each with the number of its subject in this table.
#[derive(Default)]
pub(crate) struct Listing {
    /// Where the messages lie. Their subjects are numbers of [`Listing::subject`].
    pub entries: Vec<Entry>,
    texts: Vec<u8>,
    subjects: Vec<Range<usize>>,
    next_delta: u64,
    next_place: u64,
    before: u32,
}

impl Listing {
    /// How many subjects there are.
    pub(crate) fn subjects(&self) -> usize {
        self.subjects.len()
    }

    /// One of them.
    pub(crate) fn subject(&self, number: u32) -> &[u8] {
        self.subjects.get(number as usize).and_then(|range| self.texts.get(range.clone())).unwrap_or_default()
    }

    /// Reads one record of the table. `None`: it makes no sense.
    pub(crate) fn take(&mut self, record: &[u8]) -> Option<()> {
        let mut reader = Reader(record);
        while !reader.is_done() {
            let entry = self.entry(&mut reader)?;
            self.entries.push(entry);
        }
        Some(())
    }

    fn entry(&mut self, reader: &mut Reader<'_>) -> Option<Entry> {
        let flags = reader.u8()?;
        let has = |flag: u8| flags & flag != 0;
        let mut gap = |is_there: bool| if is_there { reader.varint() } else { Some(0) };
        let delta = self.next_delta.checked_add(gap(has(SEQ_GAP))?)?;
        let place = self.next_place.checked_add(gap(has(PLACE_GAP))?)?;
        let frame_len = u32::try_from(reader.varint()?).ok()?;
        (frame_len as usize).checked_sub(FRAME_OVERHEAD + MESSAGE_FIXED)?;
        let subject = match (has(SAME_SUBJECT), has(NEW_SUBJECT)) {
            (true, _) => self.before,
            (false, true) => self.text(reader)?,
            (false, false) => u32::try_from(reader.varint()?).ok()?,
        };
        self.subjects.get(subject as usize)?;
        u32::try_from(delta).ok()?;
        self.next_delta = delta + 1;
        self.next_place = place.checked_add(frame_len.into())?;
        u32::try_from(self.next_place).ok()?;
        self.before = subject;
        Some(Entry::new(delta, place, subject, frame_len as usize, has(HAS_HEADERS)))
    }

    fn text(&mut self, reader: &mut Reader<'_>) -> Option<u32> {
        let len = usize::try_from(reader.varint()?).ok()?;
        let start = self.texts.len();
        self.texts.extend_from_slice(reader.take(len)?);
        self.subjects.push(start..start + len);
        u32::try_from(self.subjects.len() - 1).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(subjects: &mut Subjects) -> Vec<Entry> {
        let texts: [&[u8]; 6] = [b"a", b"a", b"b.c", b"a", b"b.c", b"d"];
        let mut place = 8192;
        let mut made = Vec::new();
        for (text, delta) in texts.iter().zip([0, 1, 2, 5, 6, 9]) {
            let len = FRAME_OVERHEAD + MESSAGE_FIXED + text.len() + 100;
            made.push(Entry::new(delta, place, subjects.add(text, 1 + delta, 1), len, delta == 5));
            place += len as u64 + if delta == 1 { 60 } else { 0 };
        }
        made
    }

    fn read(table: &Table) -> Option<(Vec<Entry>, Vec<Vec<u8>>)> {
        let mut listing = Listing::default();
        for record in &table.records {
            listing.take(record)?;
        }
        let texts = listing.entries.iter().map(|entry| listing.subject(entry.subject).to_vec()).collect();
        Some((listing.entries, texts))
    }

    #[test]
    fn a_table_reads_back() {
        let mut subjects = Subjects::new(1);
        let entries = entries(&mut subjects);
        let table = table(entries.iter().copied(), &subjects, 4096).expect("worth it");
        assert_eq!((table.messages, table.headed), (6, 1));
        let (found, texts) = read(&table).expect("reads");
        assert_eq!(texts, [&b"a"[..], b"a", b"b.c", b"a", b"b.c", b"d"]);
        for (entry, found) in entries.iter().zip(found) {
            assert_eq!((entry.delta, entry.place(), entry.size()), (found.delta, found.place(), found.size()));
        }
    }

    #[test]
    fn a_table_of_many_records_reads_back() {
        let mut subjects = Subjects::new(1);
        let mut made = Vec::new();
        for delta in 0..20_000_u64 {
            let no = subjects.add(format!("subject.{delta}").as_bytes(), delta + 1, 1);
            made.push(Entry::new(delta, 8192 + delta * 150, no, 150, false));
        }
        let table = table(made.iter().copied(), &subjects, 20_000 * 150).expect("worth it");
        assert!(table.records.len() > 1);
        let (found, texts) = read(&table).expect("reads");
        assert_eq!((found.len(), &texts[19_999][..]), (20_000, &b"subject.19999"[..]));
    }

    #[test]
    fn a_table_that_would_be_large_beside_its_block_is_not_made() {
        let mut subjects = Subjects::new(1);
        let entries = entries(&mut subjects);
        assert!(table(entries.iter().copied(), &subjects, 100).is_none());
        assert!(table(std::iter::empty(), &subjects, 4096).is_none());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let mut subjects = Subjects::new(1);
        let mut table = table(entries(&mut subjects).into_iter(), &subjects, 4096).expect("worth it");
        let whole = table.records[0].clone();
        for len in 1..whole.len() {
            table.records[0] = whole[..len].to_vec();
            assert!(read(&table).is_none_or(|(found, _)| found.len() < 6), "{len}");
        }
        for bytes in [&[0, 200, 1, 9][..], &[SEQ_GAP, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 60, 0], &[2, 5]] {
            assert_eq!(Listing::default().take(bytes), None);
        }
    }

    #[test]
    fn the_end_reads_back() {
        let end = End { start: 1, first: 2, messages: 3, headed: 4, last_time: Timestamp::from_nanos(-5) };
        let mut out = Vec::new();
        end.put(&mut out);
        assert_eq!((out.len(), End::read(&mut Reader(&out))), (END_LEN, Some(end)));
        out.push(0);
        assert_eq!(End::read(&mut Reader(&out)), None);
    }
}
