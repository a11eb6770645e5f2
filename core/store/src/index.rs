//! Where the messages of one block lie, and reading them.

use crate::account_keys::entry::{Says, Sealed};
use crate::contents::{End, Listing};
use crate::disk::{DiskFile, read_all};
use crate::frame::{self, Bound, FRAME_HEAD, MAX_SEALED, Piece, Stretch};
use crate::header::{self, DATA_START, Head, Stray};
use crate::record::{self, CONTENTS_END_LEN, Decoded, Manifest, Message, MessageView, Record, Shape, message_size};
use crate::seal::{BlockSeal, Form, NotHere, Place, SealError, Vault};
use crate::sheet::{SHEET, SHEET_HEAD};
use crate::subjects::SubjectNo;
use std::io;
use std::ops::Range;
use std::sync::Arc;

mod sheets;

/// No block file is longer: a full block may end with one record of the largest kind.
pub(crate) const MAX_BLOCK_FILE: u64 = 2 * MAX_SEALED as u64;
/// Bytes read at once when messages are read in order.
const READ_AHEAD: usize = 128 * 1024;

/// A message of a block: where it is and what it weighs. 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Sequence minus the first of the block.
    pub delta: u32,
    pub offset: u32,
    pub subject: SubjectNo,
    /// Length of the frame, or of the record with its head in a sheet; the highest bits say how the message is written. Where
    /// it is not the first of its sheet, what stands before it and its length are both shorter than a sheet, and share the rest.
    len: u32,
}

const HAS_HEADERS: u32 = 1 << 31;
const IS_BRIEF: u32 = 1 << 30;
const HAS_SUM: u32 = 1 << 29;
const IN_SHEET: u32 = 1 << 28;
const IS_INNER: u32 = 1 << 27;
const FLAGS: u32 = HAS_HEADERS | IS_BRIEF | HAS_SUM | IN_SHEET | IS_INNER;
/// Bits of a length or of a place within a sheet.
const INNER_BITS: u32 = SHEET.trailing_zeros();
const INNER: u32 = (1 << INNER_BITS) - 1;
const _: () = assert!(SHEET.is_power_of_two() && 2 * INNER_BITS <= 27 && MAX_SEALED + FRAME_HEAD < 1 << 27);

/// A message in its block: where it lies, how long it is with what holds it, and what of that is not the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Laid {
    pub offset: u64,
    pub len: usize,
    pub shape: Shape,
    pub bound: Bound,
}

impl Laid {
    /// What is added to the parts of the message.
    pub(crate) fn overhead(&self) -> usize {
        self.bound.overhead() + self.shape.fixed()
    }

    /// Whether there can be such a place.
    pub(crate) fn is_possible(&self) -> bool {
        let fits = match self.bound {
            Bound::Sheet { within } => {
                self.offset >= (within + SHEET_HEAD) as u64 && (within == 0 || within + self.len <= SHEET)
            }
            Bound::Sum | Bound::Tag => true,
        };
        fits && (self.overhead()..=FRAME_HEAD + MAX_SEALED).contains(&self.len)
    }
}

impl Entry {
    pub(crate) fn new(delta: u64, laid: &Laid, subject: SubjectNo) -> Entry {
        let bits = [(laid.shape.has_headers, HAS_HEADERS), (laid.shape.is_brief, IS_BRIEF)];
        let bits: u32 = bits.iter().filter(|(is_set, _)| *is_set).map(|(_, bit)| bit).sum();
        let len = bits | Entry::bound_and_len(laid.bound, u32::try_from(laid.len).expect("frames are bounded"));
        let delta = u32::try_from(delta).expect("blocks span few sequences");
        Entry { delta, offset: u32::try_from(laid.offset).expect("blocks are bounded"), subject, len }
    }

    fn bound_and_len(bound: Bound, len: u32) -> u32 {
        match bound {
            Bound::Sum => HAS_SUM | len,
            Bound::Tag => len,
            Bound::Sheet { within: 0 } => IN_SHEET | len,
            Bound::Sheet { within } => {
                assert!(within + len as usize <= SHEET, "a sheet of several records is no longer");
                IN_SHEET | IS_INNER | (within as u32) << INNER_BITS | len
            }
        }
    }

    fn bound(self) -> Bound {
        let has = |flag: u32| self.len & flag != 0;
        match (has(IN_SHEET), has(IS_INNER)) {
            (true, true) => Bound::Sheet { within: (self.len >> INNER_BITS & INNER) as usize },
            (true, false) => Bound::Sheet { within: 0 },
            (false, _) if has(HAS_SUM) => Bound::Sum,
            (false, _) => Bound::Tag,
        }
    }

    /// The same under another number of its subject.
    pub(crate) fn of_subject(self, subject: SubjectNo) -> Entry {
        Entry { subject, ..self }
    }

    pub(crate) fn has_headers(self) -> bool {
        self.len & HAS_HEADERS != 0
    }

    pub(crate) fn laid(self) -> Laid {
        let shape = Shape { has_headers: self.has_headers(), is_brief: self.len & IS_BRIEF != 0 };
        Laid { offset: self.offset.into(), len: self.frame_len(), shape, bound: self.bound() }
    }

    fn frame_len(self) -> usize {
        (self.len & if self.len & IS_INNER != 0 { INNER } else { !FLAGS }) as usize
    }

    /// Where the frame begins and ends.
    pub(crate) fn place(self) -> (u64, u64) {
        (self.offset.into(), u64::from(self.offset) + self.frame_len() as u64)
    }

    /// What the message counts for in the stream's bytes.
    pub(crate) fn size(self) -> u64 {
        let parts = self.frame_len().saturating_sub(self.laid().overhead());
        message_size(0, usize::from(self.has_headers()), parts) - u64::from(self.has_headers())
    }
}

/// An open block file.
pub(crate) struct BlockFile {
    pub file: Arc<dyn DiskFile>,
    pub seal: BlockSeal,
    pub header: header::Header,
    /// The copy of the head that does not say the same.
    pub stray: Option<Stray>,
    /// Part of the file that was read last, for reading on.
    window: Window,
    /// The sheet that was opened last: where it begins, and what it says.
    sheet: Option<u64>,
    opened: Vec<u8>,
}

/// Where a record lies that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lent {
    /// In what was read of its file.
    Read(Range<usize>),
    /// In the sheet that was opened last.
    InSheet(Range<usize>),
    /// Where it was opened to.
    Opened,
}

#[derive(Default)]
struct Window {
    start: u64,
    bytes: Vec<u8>,
    /// End of the last message read: reading there is reading in order.
    next: u64,
}

/// Why a block file can not be used.
#[derive(Debug)]
pub(crate) enum BlockError {
    Io(io::Error),
    /// Neither slot of the head is good. `unwritten`: none was ever written, as far as can be told.
    NoHead {
        unwritten: bool,
    },
    /// Written by a newer release.
    Newer(u16),
    /// The head says another stream, store or generation.
    Foreign,
    Seal(SealError),
}

impl BlockFile {
    pub(crate) fn new(file: Arc<dyn DiskFile>, seal: BlockSeal, header: header::Header) -> BlockFile {
        BlockFile { file, seal, header, stray: None, window: Window::default(), sheet: None, opened: Vec::new() }
    }

    pub(crate) fn open(file: Arc<dyn DiskFile>, vault: &Vault, place: Place) -> Result<BlockFile, BlockError> {
        let mut head = vec![0; DATA_START as usize];
        let read = file.read_at(0, &mut head).map_err(BlockError::Io)?;
        let (header, stray) = match header::read(&head[..read]) {
            Head::Good(header, stray) => (header, stray),
            Head::Newer(version) => return Err(BlockError::Newer(version)),
            Head::Damaged { unwritten } => return Err(BlockError::NoHead { unwritten }),
        };
        if header.place != place {
            return Err(BlockError::Foreign);
        }
        let seal = vault.open_block(place, &header.wrapped, header.form()).map_err(BlockError::Seal)?;
        Ok(BlockFile { stray, ..BlockFile::new(file, seal, header) })
    }

    /// Reads one message. `None` means that what lies there is not this message: damage.
    pub(crate) fn load(&mut self, seq: u64, entry: Entry) -> io::Result<Option<Message>> {
        if let Bound::Sheet { within } = entry.bound() {
            let Some(range) = self.open_in_sheet(entry, within)? else { return Ok(None) };
            let record = self.opened.get(range).unwrap_or_default().to_vec();
            let len = record.len();
            return Ok(Message::from_record(record, 0, len).filter(|message| message.seq() == seq));
        }
        self.read_to_window(entry.offset.into(), entry.frame_len())?;
        let frame = self.window.part(entry.offset.into(), entry.frame_len()).to_vec();
        Ok(self.opened(seq, entry, frame))
    }

    /// Reads one message and says where its record lies: in what was read of the file, or, where that is encrypted, in `plain`.
    /// `None` means that what lies there is not this message: damage.
    pub(crate) fn look_at(&mut self, seq: u64, entry: Entry, plain: &mut Vec<u8>) -> io::Result<Option<Lent>> {
        if let Bound::Sheet { within } = entry.bound() {
            let Some(range) = self.open_in_sheet(entry, within)? else { return Ok(None) };
            let message = self.opened.get(range.clone()).and_then(MessageView::decode);
            return Ok(message.filter(|message| message.seq == seq).map(|_| Lent::InSheet(range)));
        }
        let offset = u64::from(entry.offset);
        self.read_to_window(offset, entry.frame_len())?;
        let frame = self.window.part(offset, entry.frame_len());
        let len = frame::sealed_len(frame, offset, self.seal.generation());
        let Some(sealed) = len.and_then(|len| frame.get(FRAME_HEAD..FRAME_HEAD + len)) else { return Ok(None) };
        let (lent, body) = if self.seal.is_open() {
            let Ok(body) = self.seal.checked(offset, sealed) else { return Ok(None) };
            let start = (offset - self.window.start) as usize + FRAME_HEAD;
            (Lent::Read(start..start + body.len()), body)
        } else {
            match self.seal.open_into(offset, sealed, plain) {
                Ok(()) => (Lent::Opened, plain.as_slice()),
                Err(NotHere) => return Ok(None),
            }
        };
        Ok(MessageView::decode(body).filter(|message| message.seq == seq).map(|_| lent))
    }

    /// A record that was looked at just now, if this lends it.
    pub(crate) fn lent(&self, lent: &Lent) -> Option<&[u8]> {
        match lent {
            Lent::Read(range) => self.window.bytes.get(range.clone()),
            Lent::InSheet(range) => self.opened.get(range.clone()),
            Lent::Opened => None,
        }
    }

    fn opened(&self, seq: u64, entry: Entry, mut frame: Vec<u8>) -> Option<Message> {
        let offset = u64::from(entry.offset);
        let len = frame::sealed_len(&frame, offset, self.seal.generation())?;
        let sealed = frame.get_mut(FRAME_HEAD..FRAME_HEAD + len)?;
        let plain_len = self.seal.open(offset, sealed).ok()?.len();
        Message::from_record(frame, FRAME_HEAD, FRAME_HEAD + plain_len).filter(|message| message.seq() == seq)
    }

    /// Sees to it that the window holds this part of the file, as far as there is such a part.
    fn read_to_window(&mut self, offset: u64, len: usize) -> io::Result<()> {
        let end = offset + len as u64;
        if !self.window.covers(offset, end) {
            let in_order = self.window.next == offset;
            let wanted = if in_order { len.max(READ_AHEAD) } else { len };
            self.window.bytes.resize(wanted, 0);
            let read = self.file.read_at(offset, &mut self.window.bytes)?;
            self.window.bytes.truncate(read);
            self.window.start = offset;
        }
        self.window.next = end;
        Ok(())
    }

    /// Writes the header again, one slot after the other.
    pub(crate) fn rewrap(&mut self, header: header::Header) -> io::Result<()> {
        for slot in header::SLOTS {
            self.file.write_at(slot, &header.encode())?;
            self.file.sync()?;
        }
        (self.header, self.stray) = (header, None);
        Ok(())
    }

    /// Makes the stray copy of the head say what the other says.
    pub(crate) fn mend(&mut self) -> io::Result<()> {
        if let Some(stray) = self.stray {
            self.file.write_at(stray.at, &self.header.encode())?;
            self.file.sync()?;
            self.stray = None;
        }
        Ok(())
    }

    /// What ends the table of contents; `None` without one.
    pub(crate) fn contents_end(&self) -> io::Result<Option<End>> {
        if self.seal.form() == Form::Sheets {
            return self.contents_end_in_sheet();
        }
        let sealed_len = CONTENTS_END_LEN + self.seal.tag_len();
        let Some(at) = self.file.len()?.checked_sub((FRAME_HEAD + sealed_len) as u64) else { return Ok(None) };
        let mut frame = vec![0; FRAME_HEAD + sealed_len];
        self.file.read_at(at, &mut frame)?;
        let is_one = frame::sealed_len(&frame, at, self.seal.generation()) == Some(sealed_len);
        let opened = if is_one { self.seal.open(at, &mut frame[FRAME_HEAD..]).ok() } else { None };
        Ok(opened.and_then(contents_end))
    }

    /// Reads the messages of the block from its table of contents; `None` if that makes no sense. When each was stored it
    /// does not say, only when the newest was.
    pub(crate) fn contents(&self, end: End) -> io::Result<Option<Listing>> {
        let len = self.file.len()?;
        let Some(bytes) = len.checked_sub(end.start).filter(|&bytes| bytes <= MAX_BLOCK_FILE) else { return Ok(None) };
        let mut table = vec![0; bytes as usize];
        let read = self.file.read_at(end.start, &mut table)?;
        table.truncate(read);
        Ok(self.listed(&mut table, end))
    }

    fn listed(&self, table: &mut [u8], end: End) -> Option<Listing> {
        if self.seal.form() == Form::Sheets {
            return self.listed_in_sheets(table, end);
        }
        let mut listing = Listing::of(Bound::of_frames(&self.seal));
        let (mut at, mut rest) = (end.start, table);
        while !rest.is_empty() {
            let len = frame::sealed_len(rest, at, self.seal.generation())?;
            let (frame, after) = rest.split_at_mut_checked(FRAME_HEAD + len)?;
            match record::decode(self.seal.open(at, &mut frame[FRAME_HEAD..]).ok()?)?.record {
                Record::Contents(record) => listing.take(record)?,
                Record::ContentsEnd(_) => break,
                _ => return None,
            }
            (at, rest) = (at + (FRAME_HEAD + len) as u64, after);
        }
        (listing.entries.len() == end.messages as usize).then_some(listing)
    }

    /// Reads and opens the whole block.
    pub(crate) fn scan(&self) -> io::Result<Scanned> {
        let bytes = read_all(&*self.file, MAX_BLOCK_FILE)?;
        let mut scanned = Scanned { end: DATA_START, ..Scanned::default() };
        frame::scan(&self.seal, &bytes, DATA_START, |piece| scanned.take(piece));
        Ok(scanned)
    }
}

fn contents_end(record: &[u8]) -> Option<End> {
    match record::decode(record)? {
        Decoded { record: Record::ContentsEnd(end), .. } => Some(end),
        _ => None,
    }
}

impl Window {
    /// What it holds from a place on.
    fn from(&self, start: u64) -> &[u8] {
        let at = start.checked_sub(self.start).and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| self.bytes.get(at..)).unwrap_or_default()
    }

    fn covers(&self, from: u64, to: u64) -> bool {
        from >= self.start && to <= self.start + self.bytes.len() as u64
    }

    /// What it holds of a part of the file.
    fn part(&self, offset: u64, len: usize) -> &[u8] {
        let at = offset.checked_sub(self.start).map_or(usize::MAX, |at| at as usize);
        self.bytes.get(at..at.saturating_add(len).min(self.bytes.len())).unwrap_or_default()
    }
}

/// A message found by a scan.
#[derive(Debug)]
pub(crate) struct Found {
    pub seq: u64,
    pub time: moment::Timestamp,
    pub laid: Laid,
    pub size: u64,
    /// Within [`Scanned::subjects`].
    pub subject: Range<usize>,
}

/// A fact found by a scan, in the order of the block.
#[derive(Debug)]
pub(crate) enum Step {
    Message(Found),
    Delete(Vec<Range<u64>>),
    Head {
        first: u64,
        last: u64,
    },
    Manifest(Manifest),
    Replaced {
        old: Vec<u64>,
        new: record::BlockFacts,
    },
    Compacted {
        old: Vec<u64>,
    },
    Put {
        key: Vec<u8>,
        value: Vec<u8>,
    },
    Remove {
        key: Vec<u8>,
    },
    Complete,
    Sealed(Says, Sealed),
    /// Nothing opens there. Not `certain`: the last write, cut off, would look the same.
    Damaged {
        from: u64,
        to: u64,
        records: u32,
        certain: bool,
    },
}

/// Everything a block holds.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    pub steps: Vec<Step>,
    pub subjects: Vec<u8>,
    /// End of the last record that opened.
    pub end: u64,
    /// Steps that are known to have been durable once.
    durable: usize,
    /// Where the table of contents begins, as far as is known.
    table: Option<u64>,
}

impl Scanned {
    pub(crate) fn take(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Damaged(Stretch { from, to, records, may_be_torn }) => {
                self.steps.push(Step::Damaged { from, to, records, certain: !may_be_torn });
            }
            Piece::Record { offset, len, bound, end, body } => {
                self.end = end;
                match record::decode(body) {
                    Some(decoded) => self.record((offset, len, bound), body, decoded),
                    // It opened, so it is ours, and yet we do not understand it: a later minor format, or a bug. Never guess.
                    None => {
                        let to = offset + len as u64;
                        self.steps.push(Step::Damaged { from: offset, to, records: 1, certain: true });
                    }
                }
            }
        }
    }

    fn record(&mut self, (offset, len, bound): (u64, usize, Bound), body: &[u8], decoded: Decoded<'_>) {
        if decoded.after_sync {
            self.everything_so_far_was_durable();
        }
        let step = match decoded.record {
            Record::Message(message) => {
                let start = self.subjects.len();
                let laid = Laid { offset, len, shape: Shape::found(body, &message), bound };
                self.subjects.extend_from_slice(message.subject);
                Step::Message(Found {
                    seq: message.seq,
                    time: message.time,
                    laid,
                    size: message.size(),
                    subject: start..self.subjects.len(),
                })
            }
            Record::Delete(ranges) => Step::Delete(ranges),
            Record::Head { first, last } => Step::Head { first, last },
            Record::Manifest(manifest) => Step::Manifest(manifest),
            Record::Replaced { old, new } => Step::Replaced { old, new },
            Record::Compacted { old } => Step::Compacted { old },
            Record::Put { key, value } => Step::Put { key: key.to_vec(), value: value.to_vec() },
            Record::Remove { key } => Step::Remove { key: key.to_vec() },
            Record::Complete => Step::Complete,
            Record::Sealed { says, account, mark, bytes } => {
                Step::Sealed(says, Sealed { account, mark, bytes: bytes.to_vec() })
            }
            // It says what was said before.
            Record::Contents(_) => return self.table_begins(offset),
            Record::ContentsEnd(contents) => return self.table_begins(contents.start),
        };
        self.steps.push(step);
    }

    fn table_begins(&mut self, offset: u64) {
        self.table = Some(self.table.map_or(offset, |known| known.min(offset)));
    }

    /// Whether a stretch lies in the table of contents, where no message is.
    pub(crate) fn is_in_table(&self, offset: u64) -> bool {
        self.table.is_some_and(|table| offset >= table)
    }

    /// What did not open before a record that was written after a sync was durable once: damage, not a torn write.
    fn everything_so_far_was_durable(&mut self) {
        for step in self.steps.iter_mut().skip(self.durable) {
            if let Step::Damaged { certain, .. } = step {
                *certain = true;
            }
        }
        self.durable = self.steps.len();
    }

    /// Stretches in which nothing opens.
    pub(crate) fn damaged(&self) -> impl Iterator<Item = Range<u64>> {
        self.steps.iter().filter_map(|step| match step {
            Step::Damaged { from, to, .. } => Some(*from..*to),
            _ => None,
        })
    }

    pub(crate) fn subject(&self, found: &Found) -> &[u8] {
        &self.subjects[found.subject.clone()]
    }

    /// The messages alone.
    pub(crate) fn messages(&self) -> impl DoubleEndedIterator<Item = &Found> {
        self.steps.iter().filter_map(|step| match step {
            Step::Message(found) => Some(found),
            _ => None,
        })
    }
}
