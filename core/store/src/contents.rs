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
//! length of its frame, and its subject, as a text when it is new and as its number in the table when it is not. So messages of
//! one length and subject take a byte each. A message that begins a sheet says so; one in a sheet that has a gap before it says how
//! much of the sheet stands before it.

use crate::bytes::{Reader, put_varint};
use crate::deleted::MAX_SPAN;
use crate::frame::Bound;
use crate::index::{Entry, Laid};
use crate::record::Shape;
use crate::seal::TAG_LEN;
use crate::sheet::{SHEET, SHEET_HEAD};
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
/// Since version 3: the message is written in the brief form, and its frame is as long as the one before.
const IS_BRIEF: u8 = 1 << 5;
const SAME_LEN: u8 = 1 << 6;
/// Since version 5: the message is the first of its sheet.
const NEW_SHEET: u8 = 1 << 7;
/// What lies between two messages of which the second begins a sheet.
const BETWEEN_SHEETS: u64 = (TAG_LEN + SHEET_HEAD) as u64;

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
    let (mut next_delta, mut next_place, mut subject_before, mut len_before) = (0, 0, None, 0);
    for entry in entries {
        let ((place, end), bound) = (entry.place(), entry.laid().bound);
        let begins_sheet = bound == Bound::Sheet { within: 0 };
        let place_gap = place - next_place - if begins_sheet { BETWEEN_SHEETS } else { 0 };
        let is_same = subject_before == Some(entry.subject);
        let known = if is_same { None } else { numbers.get(&entry.subject).copied() };
        let is_new = !is_same && known.is_none();
        let len = end - place;
        let flags = [
            (entry.has_headers(), HAS_HEADERS),
            (is_new, NEW_SUBJECT),
            (is_same, SAME_SUBJECT),
            (entry.delta != next_delta, SEQ_GAP),
            (place_gap != 0, PLACE_GAP),
            (entry.laid().shape.is_brief, IS_BRIEF),
            (len == len_before, SAME_LEN),
            (begins_sheet, NEW_SHEET),
        ];
        out.push(flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).sum());
        if entry.delta != next_delta {
            put_varint(&mut out, u64::from(entry.delta - next_delta));
        }
        if place_gap != 0 {
            put_varint(&mut out, place_gap);
            if let Bound::Sheet { within } = bound
                && !begins_sheet
            {
                put_varint(&mut out, within as u64);
            }
        }
        if len != len_before {
            put_varint(&mut out, len);
        }
        if is_new {
            let text = subjects.text(entry.subject)?;
            put_varint(&mut out, text.len() as u64);
            out.extend_from_slice(text);
            let number = numbers.len() as u32;
            numbers.insert(entry.subject, number);
        } else if let Some(number) = known {
            put_varint(&mut out, number.into());
        }
        (next_delta, next_place, subject_before, len_before) = (entry.delta + 1, end, Some(entry.subject), len);
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
    len_before: u32,
    /// What stands in its sheet before the next, if it is in the same.
    next_within: usize,
    /// What holds the messages of the block.
    bound: Bound,
}

impl Listing {
    /// Nothing yet, of a block whose messages are held so.
    pub(crate) fn of(bound: Bound) -> Listing {
        Listing { bound, ..Listing::default() }
    }

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
        let place = self.next_place.checked_add(if has(NEW_SHEET) { BETWEEN_SHEETS } else { 0 })?;
        let place = place.checked_add(gap(has(PLACE_GAP))?)?;
        let bound = match (self.bound, has(NEW_SHEET)) {
            (Bound::Sheet { .. }, true) => Bound::Sheet { within: 0 },
            (Bound::Sheet { .. }, false) => Bound::Sheet { within: self.within(reader, has(PLACE_GAP))? },
            (_, true) => return None,
            (frame, false) => frame,
        };
        let frame_len = if has(SAME_LEN) { self.len_before } else { u32::try_from(reader.varint()?).ok()? };
        let shape = Shape { has_headers: has(HAS_HEADERS), is_brief: has(IS_BRIEF) };
        let laid = Laid { offset: place, len: frame_len as usize, shape, bound };
        if !laid.is_possible() || delta > MAX_SPAN {
            return None;
        }
        let subject = match (has(SAME_SUBJECT), has(NEW_SUBJECT)) {
            (true, _) => self.before,
            (false, true) => self.text(reader)?,
            (false, false) => u32::try_from(reader.varint()?).ok()?,
        };
        self.subjects.get(subject as usize)?;
        self.next_delta = delta + 1;
        self.next_place = place.checked_add(frame_len.into())?;
        u32::try_from(self.next_place).ok()?;
        (self.before, self.len_before) = (subject, frame_len);
        if let Bound::Sheet { within } = bound {
            self.next_within = within.saturating_add(laid.len);
        }
        Some(Entry::new(delta, &laid, subject))
    }

    /// What stands before a message that is not the first of its sheet.
    fn within(&self, reader: &mut Reader<'_>, is_told: bool) -> Option<usize> {
        let within = if is_told { usize::try_from(reader.varint()?).ok()? } else { self.next_within };
        (1..SHEET).contains(&within).then_some(within)
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
            // One of them in the first form.
            let shape = Shape { has_headers: delta == 5, is_brief: delta != 2 };
            let mut laid = Laid { offset: place, len: 0, shape, bound: Bound::Sum };
            laid.len = laid.overhead() + text.len() + 100;
            let len = laid.len;
            made.push(Entry::new(delta, &laid, subjects.add(text, 1 + delta, 1)));
            place += len as u64 + if delta == 1 { 60 } else { 0 };
        }
        made
    }

    fn read(table: &Table) -> Option<(Vec<Entry>, Vec<Vec<u8>>)> {
        let mut listing = Listing::of(Bound::Sum);
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
            assert_eq!((entry.delta, entry.laid(), entry.size()), (found.delta, found.laid(), found.size()));
        }
    }

    #[test]
    fn a_table_of_many_records_reads_back() {
        let mut subjects = Subjects::new(1);
        let mut made = Vec::new();
        for delta in 0..20_000_u64 {
            let no = subjects.add(format!("subject.{delta}").as_bytes(), delta + 1, 1);
            let shape = Shape { has_headers: false, is_brief: true };
            let laid = Laid { offset: 8192 + delta * 150, len: 150, shape, bound: Bound::Sum };
            made.push(Entry::new(delta, &laid, no));
        }
        let table = table(made.iter().copied(), &subjects, 20_000 * 150).expect("worth it");
        assert!(table.records.len() > 1);
        let (found, texts) = read(&table).expect("reads");
        assert_eq!((found.len(), &texts[19_999][..]), (20_000, &b"subject.19999"[..]));
    }

    /// Sheets of three messages each, as long as any.
    fn in_sheets(count: u64, subjects: &mut Subjects) -> Vec<Entry> {
        let (shape, len) = (Shape { has_headers: false, is_brief: true }, 168);
        let sheet = BETWEEN_SHEETS + 3 * len;
        let laid = |delta: u64| {
            let within = (delta % 3 * len) as usize;
            let offset = 8192 + delta / 3 * sheet + SHEET_HEAD as u64 + within as u64;
            Laid { offset, len: len as usize, shape, bound: Bound::Sheet { within } }
        };
        (0..count).map(|delta| Entry::new(delta, &laid(delta), subjects.add(b"a.b", 1 + delta, 1))).collect()
    }

    #[test]
    fn a_table_of_sheets_reads_back_whatever_is_removed_and_takes_no_more() {
        for removed in 0_u32..1 << 9 {
            let mut subjects = Subjects::new(1);
            let all = in_sheets(9, &mut subjects).into_iter();
            let left: Vec<Entry> = all.filter(|entry| removed >> entry.delta & 1 == 0).collect();
            let Some(table) = table(left.iter().copied(), &subjects, 4096) else { continue };
            let mut listing = Listing::of(Bound::Sheet { within: 0 });
            table.records.iter().for_each(|record| listing.take(record).expect("reads"));
            let places =
                |entries: &[Entry]| entries.iter().map(|entry| (entry.delta, entry.laid())).collect::<Vec<_>>();
            assert_eq!(places(&listing.entries), places(&left), "{removed:b}");
        }
        let mut subjects = Subjects::new(1);
        let entries = in_sheets(999, &mut subjects);
        let table = table(entries.into_iter(), &subjects, 168_000).expect("worth it");
        assert!(table.records.iter().map(Vec::len).sum::<usize>() <= 999 + 10);
    }

    #[test]
    fn a_message_in_a_sheet_that_can_not_be_there_is_refused() {
        let take = |bytes: &[u8], bound| Listing::of(bound).take(bytes);
        let sheet = Bound::Sheet { within: 0 };
        let first = [NEW_SHEET | NEW_SUBJECT | PLACE_GAP | IS_BRIEF, 100, 60, 1, b'a'];
        assert_eq!((take(&first, sheet), take(&first, Bound::Tag)), (Some(()), None));
        // Nothing before it, more before it than a sheet has, or than the file has; and one that ends behind its sheet.
        let inner = |within: &[u8], len: &[u8]| {
            [&[NEW_SUBJECT | PLACE_GAP | IS_BRIEF, 0x80, 1][..], within, len, &[1, b'a']].concat()
        };
        assert_eq!(take(&inner(&[100], &[60]), sheet), Some(()));
        for (within, len) in
            [(&[0][..], &[60][..]), (&[0x80, 0x40], &[60]), (&[0xff, 1], &[60]), (&[100], &[0xff, 0x3f])]
        {
            assert_eq!(take(&inner(within, len), sheet), None, "{within:?} {len:?}");
        }
    }

    #[test]
    fn messages_of_one_length_and_subject_take_a_byte_each() {
        let mut subjects = Subjects::new(1);
        let shape = Shape { has_headers: false, is_brief: true };
        let laid = |delta: u64| Laid { offset: 8192 + delta * 168, len: 168, shape, bound: Bound::Sum };
        let entries: Vec<Entry> =
            (0..1_000).map(|delta| Entry::new(delta, &laid(delta), subjects.add(b"a.b", 1 + delta, 1))).collect();
        let table = table(entries.into_iter(), &subjects, 168_000).expect("worth it");
        let bytes: usize = table.records.iter().map(Vec::len).sum();
        assert!(bytes <= 1_000 + 10, "{bytes}");
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
        // More messages than a block may hold, a frame that is longer than any, and as long as the one before the first.
        let far = [SEQ_GAP | NEW_SUBJECT, 0x81, 0x80, 0x80, 0x02, 60, 1, b'a'];
        let long = [NEW_SUBJECT, 0x80, 0x80, 0x80, 0x80, 0x02, 1, b'a'];
        let same = [SAME_LEN | NEW_SUBJECT, 1, b'a'];
        for bytes in [
            &far[..],
            &long,
            &same,
            &[0, 200, 1, 9][..],
            &[SEQ_GAP, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 60, 0],
            &[2, 5],
        ] {
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
