//! What a record says: a message, or a fact about the stream.
//!
//! Facts travel in the same blocks as messages, so one write and one sync make both durable.

use crate::account_keys::KeyNo;
use crate::account_keys::entry::{Mark, Says};
use crate::bytes::{Reader, put_varint};
use crate::contents::{END_LEN, End};
use crate::seal::Form;
use moment::Timestamp;
use std::ops::Range;

/// A message about to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draft<'a> {
    /// What it was published to.
    pub subject: &'a [u8],
    /// The header block, from `NATS/1.0` to the empty line; empty without headers.
    pub headers: &'a [u8],
    /// The body.
    pub payload: &'a [u8],
    /// When it was stored.
    pub time: Timestamp,
}

/// A stored message. One buffer holds all its parts.
#[derive(Clone)]
pub struct Message {
    seq: u64,
    time: Timestamp,
    bytes: Vec<u8>,
    subject: Range<usize>,
    headers: Range<usize>,
    payload: Range<usize>,
    /// The payload is compressed. Nobody outside of this room sees it so.
    is_packed: bool,
}

impl Message {
    /// Its number in the stream.
    pub fn seq(&self) -> u64 {
        self.seq
    }
    /// When it was stored.
    pub fn time(&self) -> Timestamp {
        self.time
    }
    /// What it was published to.
    pub fn subject(&self) -> &[u8] {
        &self.bytes[self.subject.clone()]
    }
    /// The header block; empty without headers.
    pub fn headers(&self) -> &[u8] {
        &self.bytes[self.headers.clone()]
    }
    /// The body.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[self.payload.clone()]
    }
    /// What it counts for in the stream's bytes.
    pub fn size(&self) -> u64 {
        message_size(self.subject.len(), self.headers.len(), self.payload.len())
    }

    /// A lent message, kept.
    pub(crate) fn of(view: &MessageView<'_>) -> Message {
        let bytes = [view.subject, view.headers, view.payload].concat();
        let (s, h) = (view.subject.len(), view.headers.len());
        Message {
            seq: view.seq,
            time: view.time,
            subject: 0..s,
            headers: s..s + h,
            payload: s + h..bytes.len(),
            bytes,
            is_packed: false,
        }
    }

    /// Takes an opened record over; its plain part is `bytes[start..end]`.
    pub(crate) fn from_record(mut bytes: Vec<u8>, start: usize, end: usize) -> Option<Message> {
        let view = MessageView::decode(bytes.get(start..end)?)?;
        let (seq, time, is_packed) = (view.seq, view.time, bytes.get(start + 1)? & PACKED != 0);
        let parts = view.subject.len() + view.headers.len() + view.payload.len();
        let subject = end - parts..end - parts + view.subject.len();
        let headers = subject.end..subject.end + view.headers.len();
        let payload = headers.end..end;
        bytes.truncate(end);
        Some(Message { seq, time, bytes, subject, headers, payload, is_packed })
    }

    /// Whether the payload is as it lies in the file, compressed.
    pub(crate) fn is_packed(&self) -> bool {
        self.is_packed
    }

    /// The message with its payload as it was published. `None`: what lies there is no compressed payload.
    pub(crate) fn unpacked(self) -> Option<Message> {
        if !self.is_packed {
            return Some(self);
        }
        let (len, _) = minlz::s2::decode_len(self.payload()).ok()?;
        if len > crate::file::MAX_PAYLOAD {
            return None;
        }
        let at = self.subject.len() + self.headers.len();
        let mut bytes = Vec::with_capacity(at + len);
        bytes.extend_from_slice(self.subject());
        bytes.extend_from_slice(self.headers());
        bytes.resize(at + len, 0);
        let written = minlz::s2::decode_into(bytes.get_mut(at..)?, self.payload()).ok()?;
        let (subject, headers) = (0..self.subject.len(), self.subject.len()..at);
        let message = Message { bytes, subject, headers, payload: at..at + len, is_packed: false, ..self };
        (written == len).then_some(message)
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        let parts =
            |message: &Self| (message.subject().to_vec(), message.headers().to_vec(), message.payload().to_vec());
        (self.seq, self.time) == (other.seq, other.time) && parts(self) == parts(other)
    }
}

impl Eq for Message {}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{} {} ", self.seq, String::from_utf8_lossy(self.subject()))?;
        write!(f, "({} + {} bytes)", self.headers.len(), self.payload.len())
    }
}

/// What a stored message counts for in a file stream's bytes. The sum the reference uses, so that `max_bytes` means the
/// same here and there.
pub const fn message_size(subject: usize, headers: usize, payload: usize) -> u64 {
    let header_field = if headers > 0 { 4 } else { 0 };
    (22 + subject + header_field + headers + payload + 8) as u64
}

/// Set on the first record written after a sync: everything before it is durable, so what does not open there is damage
/// and not a torn write.
pub(crate) const AFTER_SYNC: u8 = 1;

/// Set on a message whose payload is compressed.
pub(crate) const PACKED: u8 = 2;
/// Set on a brief message that has headers.
const HEADED: u8 = 4;
/// Payloads shorter than this are stored as they are.
const PACKED_FROM: usize = 64;

/// Whether the payload of a message record is compressed.
pub(crate) fn is_packed(record: &[u8]) -> bool {
    record.get(1).is_some_and(|flags| flags & PACKED != 0)
}

/// A payload, compressed. `None`: that would not make it shorter.
pub(crate) fn packed(payload: &[u8]) -> Option<Vec<u8>> {
    let is_worth_it = payload.len() >= PACKED_FROM;
    is_worth_it.then(|| minlz::s2::encode(payload)).filter(|packed| packed.len() < payload.len())
}

const KIND_MESSAGE: u8 = 1;
const KIND_DELETE: u8 = 2;
const KIND_HEAD: u8 = 3;
const KIND_MANIFEST: u8 = 4;
const KIND_REPLACED: u8 = 5;
const KIND_COMPACTED: u8 = 6;
const KIND_CONTENTS: u8 = 7;
const KIND_CONTENTS_END: u8 = 8;
const KIND_BRIEF: u8 = 9;
const KIND_PUT: u8 = 16;
const KIND_REMOVE: u8 = 17;
const KIND_COMPLETE: u8 = 18;
const KIND_SEALED_PUT: u8 = 19;
const KIND_SEALED_REMOVE: u8 = 20;

/// Bytes of the plain record that ends a table of contents.
pub(crate) const CONTENTS_END_LEN: usize = 2 + END_LEN;

/// Bytes of a message record before the subject: kind, flags, sequence, time, two lengths.
const MESSAGE_FIXED: usize = 2 + 8 + 8 + 2 + 2;
/// Of a brief one: kind, flags, sequence, time, length of the subject. With headers their length follows.
const BRIEF_FIXED: usize = 2 + SHORT_SEQ + 8 + 1;
/// Bytes of a record of a message, or some more.
pub(crate) fn most_bytes(draft: &Draft<'_>) -> usize {
    MESSAGE_FIXED + draft.subject.len() + draft.headers.len() + draft.payload.len()
}

/// Bytes of a sequence that is not very large, and of the length of headers.
const SHORT_SEQ: usize = 5;
const HEADERS_LEN: usize = 2;

/// How a message is written: what it adds to its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub has_headers: bool,
    pub is_brief: bool,
}

impl Shape {
    /// Of a message as it is written in a block of this form.
    fn of(form: Form, seq: u64, draft: &Draft<'_>) -> Shape {
        let fits = seq < 1 << (8 * SHORT_SEQ) && draft.subject.len() <= usize::from(u8::MAX);
        Shape { has_headers: !draft.headers.is_empty(), is_brief: form != Form::First && fits }
    }

    /// Of a message record, whose subject, headers and payload were found.
    pub(crate) fn found(record: &[u8], message: &MessageView<'_>) -> Shape {
        Shape { has_headers: !message.headers.is_empty(), is_brief: record.first() == Some(&KIND_BRIEF) }
    }

    /// Bytes of the record before the subject.
    pub(crate) const fn fixed(self) -> usize {
        match (self.is_brief, self.has_headers) {
            (true, true) => BRIEF_FIXED + HEADERS_LEN,
            (true, false) => BRIEF_FIXED,
            (false, _) => MESSAGE_FIXED,
        }
    }
}

/// A stored message in the place where it lies, lent by its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageView<'a> {
    /// Its number in the stream.
    pub seq: u64,
    /// When it was stored.
    pub time: Timestamp,
    /// What it was published to.
    pub subject: &'a [u8],
    /// The header block; empty without headers.
    pub headers: &'a [u8],
    /// The body.
    pub payload: &'a [u8],
}

impl<'a> MessageView<'a> {
    pub(crate) fn decode(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(body);
        match (reader.u8()?, reader.u8()?) {
            (KIND_MESSAGE, _) => Self::fields(&mut reader),
            (KIND_BRIEF, flags) => Self::brief_fields(&mut reader, flags),
            _ => None,
        }
    }

    fn brief_fields(reader: &mut Reader<'a>, flags: u8) -> Option<Self> {
        let mut seq = [0; 8];
        seq[..SHORT_SEQ].copy_from_slice(reader.take(SHORT_SEQ)?);
        let (seq, time) = (u64::from_le_bytes(seq), Timestamp::from_nanos(reader.i64()?));
        let subject_len = reader.u8()?;
        let headers_len = if flags & HEADED != 0 { reader.u16()? } else { 0 };
        let subject = reader.take(subject_len.into())?;
        let headers = reader.take(headers_len.into())?;
        Some(MessageView { seq, time, subject, headers, payload: reader.0 })
    }

    fn fields(reader: &mut Reader<'a>) -> Option<Self> {
        let (seq, time) = (reader.u64()?, Timestamp::from_nanos(reader.i64()?));
        let (subject_len, headers_len) = (reader.u16()?, reader.u16()?);
        let subject = reader.take(subject_len.into())?;
        let headers = reader.take(headers_len.into())?;
        Some(MessageView { seq, time, subject, headers, payload: reader.0 })
    }

    pub(crate) fn size(&self) -> u64 {
        message_size(self.subject.len(), self.headers.len(), self.payload.len())
    }
}

/// Appends a message record for a block of this form. The caller has checked that subject and headers are at most 65,535 bytes
/// each.
pub(crate) fn put_message(out: &mut Vec<u8>, form: Form, flags: u8, seq: u64, draft: &Draft<'_>) -> Shape {
    let shape = Shape::of(form, seq, draft);
    let subject_len = u16::try_from(draft.subject.len()).expect("checked when the message was staged");
    let headers_len = u16::try_from(draft.headers.len()).expect("checked when the message was staged");
    out.reserve(shape.fixed() + draft.subject.len() + draft.headers.len() + draft.payload.len() + 16);
    let time = draft.time.as_nanos().to_le_bytes();
    if shape.is_brief {
        out.extend_from_slice(&[KIND_BRIEF, flags | if shape.has_headers { HEADED } else { 0 }]);
        out.extend_from_slice(&seq.to_le_bytes()[..SHORT_SEQ]);
        out.extend_from_slice(&time);
        out.extend_from_slice(&subject_len.to_le_bytes()[..1]);
        if shape.has_headers {
            out.extend_from_slice(&headers_len.to_le_bytes());
        }
    } else {
        out.extend_from_slice(&[KIND_MESSAGE, flags]);
        out.extend_from_slice(&seq.to_le_bytes());
        out.extend_from_slice(&time);
        out.extend_from_slice(&subject_len.to_le_bytes());
        out.extend_from_slice(&headers_len.to_le_bytes());
    }
    out.extend_from_slice(draft.subject);
    out.extend_from_slice(draft.headers);
    out.extend_from_slice(draft.payload);
    shape
}

/// Facts about one block that is no longer written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlockFacts {
    pub generation: u64,
    /// End of the last good record. A generation only grows, so a file of this length or more holds everything.
    pub len: u64,
    /// First and last sequence the block was written with; `last < first` when it holds no message.
    pub first: u64,
    pub last: u64,
    /// Sequences that are gone, in ascending ranges.
    pub deleted: Vec<Range<u64>>,
    /// Stretches of the file in which nothing opens, as known so far.
    pub holes: Vec<Range<u64>>,
}

/// Everything a stream must remember from the blocks before this one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub first_seq: u64,
    pub last_seq: u64,
    pub last_time: Timestamp,
    pub lost_messages: u64,
    pub lost_bytes: u64,
    pub blocks: Vec<BlockFacts>,
    /// Generations whose files may still be there although nothing in them counts.
    pub leaving: Vec<u64>,
}

/// One record, decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    Message(MessageView<'a>),
    /// These sequences are gone.
    Delete(Vec<Range<u64>>),
    /// Everything below `first` is gone, and no sequence up to `last` is given out again.
    Head {
        first: u64,
        last: u64,
    },
    /// First record of a tail block.
    Manifest(Manifest),
    /// The blocks `old` were rewritten as `new`.
    Replaced {
        old: Vec<u64>,
        new: BlockFacts,
    },
    /// First record of a rewritten block: it stands for these generations once a `Replaced` says so.
    Compacted {
        old: Vec<u64>,
    },
    /// A part of the table of contents of a block.
    Contents(&'a [u8]),
    /// The table is complete. The last record of its block.
    ContentsEnd(End),
    /// Metadata: a key has this value.
    Put {
        key: &'a [u8],
        value: &'a [u8],
    },
    /// Metadata: a key is gone.
    Remove {
        key: &'a [u8],
    },
    /// Metadata: everything that was live when the block was begun stands before this record.
    Complete,
    /// Metadata: a value, or a removal, that the key of an account opens.
    Sealed {
        says: Says,
        account: KeyNo,
        mark: Mark,
        bytes: &'a [u8],
    },
}

/// A decoded record and whether it is the first after a sync.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decoded<'a> {
    pub record: Record<'a>,
    pub after_sync: bool,
}

pub(crate) fn decode(body: &[u8]) -> Option<Decoded<'_>> {
    let mut reader = Reader(body);
    let (kind, flags) = (reader.u8()?, reader.u8()?);
    let record = decode_kind((kind, flags), &mut reader)?;
    Some(Decoded { record, after_sync: flags & AFTER_SYNC != 0 })
}

fn decode_kind<'a>((kind, flags): (u8, u8), reader: &mut Reader<'a>) -> Option<Record<'a>> {
    Some(match kind {
        KIND_MESSAGE => Record::Message(MessageView::fields(reader)?),
        KIND_BRIEF => Record::Message(MessageView::brief_fields(reader, flags)?),
        KIND_DELETE => Record::Delete(ranges(reader)?),
        KIND_HEAD => Record::Head { first: reader.varint()?, last: reader.varint()? },
        KIND_MANIFEST => Record::Manifest(manifest(reader)?),
        KIND_REPLACED => Record::Replaced { old: numbers(reader)?, new: block_facts(reader)? },
        KIND_COMPACTED => Record::Compacted { old: numbers(reader)? },
        KIND_CONTENTS => Record::Contents(reader.0),
        KIND_CONTENTS_END => Record::ContentsEnd(End::read(reader)?),
        KIND_PUT => {
            let key_len = usize::try_from(reader.varint()?).ok()?;
            Record::Put { key: reader.take(key_len)?, value: reader.0 }
        }
        KIND_REMOVE => Record::Remove { key: reader.0 },
        KIND_COMPLETE => Record::Complete,
        KIND_SEALED_PUT => sealed(Says::Put, reader)?,
        KIND_SEALED_REMOVE => sealed(Says::Remove, reader)?,
        _ => return None,
    })
}

/// Appends any record but a message (those are not copied around: [`put_message`]).
pub(crate) fn put(out: &mut Vec<u8>, flags: u8, record: &Record<'_>) {
    let kind = out.len();
    out.extend_from_slice(&[0, flags]);
    out[kind] = match record {
        Record::Message(_) => unreachable!("messages go through put_message"),
        Record::Delete(deleted) => {
            put_ranges(out, deleted);
            KIND_DELETE
        }
        Record::Head { first, last } => {
            put_varint(out, *first);
            put_varint(out, *last);
            KIND_HEAD
        }
        Record::Manifest(manifest) => {
            put_manifest(out, manifest);
            KIND_MANIFEST
        }
        Record::Replaced { old, new } => {
            put_numbers(out, old);
            put_block_facts(out, new);
            KIND_REPLACED
        }
        Record::Compacted { old } => {
            put_numbers(out, old);
            KIND_COMPACTED
        }
        Record::Contents(items) => {
            out.extend_from_slice(items);
            KIND_CONTENTS
        }
        Record::ContentsEnd(end) => {
            end.put(out);
            KIND_CONTENTS_END
        }
        Record::Put { key, value } => {
            put_varint(out, key.len() as u64);
            out.extend_from_slice(key);
            out.extend_from_slice(value);
            KIND_PUT
        }
        Record::Remove { key } => {
            out.extend_from_slice(key);
            KIND_REMOVE
        }
        Record::Complete => KIND_COMPLETE,
        Record::Sealed { says, account, mark, bytes } => {
            out.extend_from_slice(&account.0.to_le_bytes());
            out.extend_from_slice(mark);
            out.extend_from_slice(bytes);
            match says {
                Says::Put => KIND_SEALED_PUT,
                Says::Remove => KIND_SEALED_REMOVE,
            }
        }
    };
}

fn sealed<'a>(says: Says, reader: &mut Reader<'a>) -> Option<Record<'a>> {
    let account = KeyNo::read(reader.u64()?)?;
    Some(Record::Sealed { says, account, mark: reader.bytes16()?, bytes: reader.0 })
}

fn numbers(reader: &mut Reader<'_>) -> Option<Vec<u64>> {
    (0..reader.varint()?).map(|_| reader.varint()).collect()
}

fn put_numbers(out: &mut Vec<u8>, numbers: &[u64]) {
    put_varint(out, numbers.len() as u64);
    numbers.iter().for_each(|&number| put_varint(out, number));
}

/// Ascending ranges, each as the gap to the one before and its length.
fn ranges(reader: &mut Reader<'_>) -> Option<Vec<Range<u64>>> {
    let mut at = 0_u64;
    (0..reader.varint()?)
        .map(|_| {
            let start = at.checked_add(reader.varint()?)?;
            at = start.checked_add(reader.varint()?)?;
            Some(start..at)
        })
        .collect()
}

fn put_ranges(out: &mut Vec<u8>, ranges: &[Range<u64>]) {
    put_varint(out, ranges.len() as u64);
    let mut at = 0;
    for range in ranges {
        put_varint(out, range.start - at);
        put_varint(out, range.end - range.start);
        at = range.end;
    }
}

pub(crate) fn block_facts(reader: &mut Reader<'_>) -> Option<BlockFacts> {
    Some(BlockFacts {
        generation: reader.varint()?,
        len: reader.varint()?,
        first: reader.varint()?,
        last: reader.varint()?,
        deleted: ranges(reader)?,
        holes: ranges(reader)?,
    })
}

pub(crate) fn put_block_facts(out: &mut Vec<u8>, facts: &BlockFacts) {
    [facts.generation, facts.len, facts.first, facts.last].into_iter().for_each(|number| put_varint(out, number));
    put_ranges(out, &facts.deleted);
    put_ranges(out, &facts.holes);
}

fn manifest(reader: &mut Reader<'_>) -> Option<Manifest> {
    Some(Manifest {
        first_seq: reader.varint()?,
        last_seq: reader.varint()?,
        last_time: Timestamp::from_nanos(reader.i64()?),
        lost_messages: reader.varint()?,
        lost_bytes: reader.varint()?,
        blocks: (0..reader.varint()?).map(|_| block_facts(reader)).collect::<Option<_>>()?,
        leaving: numbers(reader)?,
    })
}

fn put_manifest(out: &mut Vec<u8>, manifest: &Manifest) {
    put_varint(out, manifest.first_seq);
    put_varint(out, manifest.last_seq);
    out.extend_from_slice(&manifest.last_time.as_nanos().to_le_bytes());
    put_varint(out, manifest.lost_messages);
    put_varint(out, manifest.lost_bytes);
    put_varint(out, manifest.blocks.len() as u64);
    manifest.blocks.iter().for_each(|facts| put_block_facts(out, facts));
    put_numbers(out, &manifest.leaving);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(record: Record<'_>) {
        let mut out = Vec::new();
        put(&mut out, AFTER_SYNC, &record);
        assert_eq!(decode(&out), Some(Decoded { record, after_sync: true }));
        for cut in 0..2 {
            assert_eq!(decode(&out[..cut]), None);
        }
    }

    #[test]
    fn every_kind_of_record_reads_back() {
        let (deleted, holes) = (vec![11..12, 20..40], vec![8_200..8_300, 8_400..8_401]);
        let facts = BlockFacts { generation: 3, len: 9_000, first: 10, last: 99, deleted, holes };
        round_trip(Record::Delete(vec![1..2, 5..u64::MAX]));
        round_trip(Record::Head { first: 7, last: 300 });
        round_trip(Record::Replaced { old: vec![1, 2], new: facts.clone() });
        round_trip(Record::Compacted { old: vec![300] });
        round_trip(Record::Contents(b"items"));
        let last_time = Timestamp::from_nanos(7);
        round_trip(Record::ContentsEnd(End { start: 9_000, first: 1, messages: 2, headed: 1, last_time }));
        round_trip(Record::Put { key: b"k", value: b"value" });
        round_trip(Record::Remove { key: b"k" });
        round_trip(Record::Complete);
        for says in [Says::Put, Says::Remove] {
            round_trip(Record::Sealed { says, account: KeyNo(9), mark: [3; 16], bytes: b"sealed" });
        }
        round_trip(Record::Manifest(Manifest {
            first_seq: 1,
            last_seq: 99,
            last_time: Timestamp::from_nanos(-5),
            lost_messages: 2,
            lost_bytes: 200,
            blocks: vec![facts],
            leaving: vec![1, 2],
        }));
    }

    #[test]
    fn a_message_reads_back_and_counts_as_the_reference_counts() {
        let draft = Draft { subject: b"a.b", headers: b"NATS/1.0\r\n\r\n", payload: b"xyz", time: Timestamp::EPOCH };
        for (form, fixed) in [(Form::First, 22), (Form::Brief, 18)] {
            let mut out = vec![0xee];
            let shape = put_message(&mut out, form, 0, 42, &draft);
            let end = out.len();
            assert_eq!((shape.fixed(), end), (fixed, 1 + fixed + 3 + 12 + 3));
            out.extend_from_slice(&[0; 16]);
            let message = Message::from_record(out, 1, end).expect("well formed");
            assert_eq!((message.seq(), message.subject(), message.headers()), (42, draft.subject, draft.headers));
            assert_eq!((message.payload(), message.size()), (draft.payload, 22 + 3 + 4 + 12 + 3 + 8));
        }
    }

    #[test]
    fn what_a_brief_message_cannot_say_is_said_at_length() {
        let (long, longer) = ([b'a'; 255], [b'a'; 256]);
        let draft = |subject| Draft { subject, headers: b"", payload: b"xyz", time: Timestamp::from_nanos(-7) };
        let last = (1 << 40) - 1;
        for (subject, seq, fixed) in [
            (&long[..], last, 16),
            (&b""[..], 1, 16),
            (&longer[..], 1, 22),
            (&b"a"[..], last + 1, 22),
            (&b"a"[..], u64::MAX, 22),
        ] {
            let mut out = Vec::new();
            let shape = put_message(&mut out, Form::Brief, 0, seq, &draft(subject));
            let view = MessageView::decode(&out).expect("well formed");
            assert_eq!((shape.fixed(), Shape::found(&out, &view)), (fixed, shape));
            let Draft { subject, payload, time, .. } = draft(subject);
            assert_eq!(view, MessageView { seq, time, subject, headers: b"", payload });
            assert_eq!(decode(&out).map(|decoded| decoded.record), Some(Record::Message(view)));
        }
    }

    #[test]
    fn a_cut_message_is_refused() {
        let draft = Draft { subject: b"a.b", headers: b"", payload: b"", time: Timestamp::EPOCH };
        for (form, headers) in [(Form::First, &b""[..]), (Form::Brief, b""), (Form::Brief, b"NATS/1.0\r\n\r\n")] {
            let mut out = Vec::new();
            put_message(&mut out, form, 0, 42, &Draft { headers, ..draft });
            for len in 0..out.len() {
                assert_eq!(MessageView::decode(&out[..len]), None, "{len}");
            }
        }
    }

    #[test]
    fn numbers_from_a_broken_record_do_not_overflow() {
        let mut out = vec![KIND_DELETE, 0];
        put_varint(&mut out, 2);
        [u64::MAX, 1, 0, 0].into_iter().for_each(|number| put_varint(&mut out, number));
        assert_eq!(decode(&out), None);
    }
}
