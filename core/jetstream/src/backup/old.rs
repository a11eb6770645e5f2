//! Archives of servers before release 2.15: a tar of the files in which they kept a stream.
//!
//! ```text
//! meta.inf  meta.sum  msgs/<number>.blk  msgs/index.db  obs/<consumer>/{meta.inf,meta.sum,o.dat}
//! ```
//!
//! Blocks hold messages one behind the other, and marks where messages were removed, each with a checksum by a key that
//! follows from the name of the stream and the number of the block. One that does not fit is damage that the older server
//! had on its disk, and the archive is refused: what a restore leaves out nobody would miss until it is too late.

use super::archive::{Entry, Fault};
use super::consumer_state::Progress;
use super::frames;
use super::highway::{self, Key};
use crate::consumer::Position;
use api::{ConsumerConfig, Mode, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};

/// The unit of a tar.
const BLOCK_BYTES: usize = 512;
/// Where a tar says that it is one.
const MARK: std::ops::Range<usize> = 257..262;
/// Longest file: more than any block of messages has.
const MAX_FILE_BYTES: usize = 72 * 1024 * 1024;
/// Longest name.
const MAX_NAME_BYTES: usize = 4096;
/// Messages without acknowledgement that are taken from an archive.
const MAX_PENDING: u64 = 1_000_000;
/// What a record has around its message: length, sequence, time, length of the subject, checksum.
const RECORD_FRONT_BYTES: usize = 22;
const CHECKSUM_BYTES: usize = 8;
const HAS_HEADERS: u32 = 1 << 31;
const ERASED: u64 = 1 << 63;
const REMOVED: u64 = 1 << 62;

/// Something of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// A message.
    Message(Entry),
    /// The message of this sequence is not there.
    Gone(u64),
    /// A consumer.
    Consumer(String, Box<ConsumerConfig>),
    /// How far a consumer is.
    Progress(String, Progress),
    /// Nothing comes after this.
    End,
}

impl Item {
    /// Bytes of a message.
    pub(crate) fn size(&self) -> usize {
        match self {
            Item::Message(entry) => entry.headers.len() + entry.payload.len(),
            _ => 0,
        }
    }
}

/// Whether bytes are the beginning of a tar; `None` when too few came to say.
pub(crate) fn is_tar(bytes: &[u8]) -> Option<bool> {
    bytes.get(..BLOCK_BYTES).map(|front| front.get(MARK) == Some(b"ustar"))
}

/// Reads an archive that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    bytes: Vec<u8>,
    at: usize,
    /// The name of the next file, where it is too long for its front.
    name: Option<String>,
    /// What the stream was called.
    stream: Option<String>,
    /// The block whose messages come next.
    block: Option<Block>,
    items: VecDeque<Item>,
}

/// Messages of a block, one behind the other, and how far they were read.
#[derive(Debug)]
struct Block {
    plain: Vec<u8>,
    at: usize,
    key: Key,
}

/// The front of a file.
struct Front {
    name: String,
    kind: u8,
    size: usize,
}

impl Reader {
    /// Takes a piece.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        if self.at > self.bytes.len() / 2 {
            self.bytes.drain(..self.at);
            self.at = 0;
        }
        self.bytes.extend_from_slice(piece);
    }

    /// Bytes that came, or were unpacked, and were not read yet.
    pub(crate) fn held(&self) -> usize {
        self.bytes.len() + self.block.as_ref().map_or(0, |block| block.plain.len())
    }

    /// The next item; `None` when it has not come as a whole. What its files unpack to is added to `unpacked`; that is one at a
    /// time.
    pub(crate) fn next(&mut self, unpacked: &mut usize) -> Result<Option<Item>, Fault> {
        loop {
            if let Some(item) = self.block.as_mut().map(Block::next).transpose()?.flatten() {
                return Ok(Some(item));
            }
            self.block = None;
            if let Some(item) = self.items.pop_front() {
                return Ok(Some(item));
            }
            let Some(front) = self.bytes.get(self.at..self.at + BLOCK_BYTES) else { return Ok(None) };
            if front.iter().all(|byte| *byte == 0) {
                self.at += BLOCK_BYTES;
                return Ok(Some(Item::End));
            }
            let Front { name, kind, size } = read_front(front)?;
            let start = self.at + BLOCK_BYTES;
            let end = start + size.div_ceil(BLOCK_BYTES) * BLOCK_BYTES;
            let Some(content) = self.bytes.get(start..end).and_then(|padded| padded.get(..size)) else {
                return Ok(None);
            };
            match kind {
                b'x' => self.name = long_name(content),
                b'0' | 0 => {
                    let name = self.name.take().unwrap_or(name);
                    match read_file(&name, content, self.stream.as_deref())? {
                        Content::Stream(name) => self.stream = name,
                        Content::Block(block) => {
                            *unpacked = unpacked.saturating_add(block.plain.len());
                            self.block = Some(block);
                        }
                        Content::Item(item) => self.items.push_back(item),
                        Content::Other => {}
                    }
                }
                _ => {}
            }
            self.at = end;
        }
    }
}

fn read_front(front: &[u8]) -> Result<Front, Fault> {
    let field = |range: std::ops::Range<usize>| {
        let bytes = front.get(range).unwrap_or_default();
        bytes.split(|byte| *byte == 0).next().unwrap_or_default()
    };
    let text = |range| String::from_utf8_lossy(field(range)).into_owned();
    if front.get(MARK) != Some(b"ustar") {
        return Err(Fault::Entry);
    }
    let size = usize::from_str_radix(text(124..136).trim(), 8).ok().filter(|size| *size <= MAX_FILE_BYTES);
    let kind = front.get(156).copied().unwrap_or_default();
    Ok(Front { name: text(0..100), kind, size: size.ok_or(Fault::Entry)? })
}

/// The name in the records `<length> path=<name>\n`.
fn long_name(records: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(records).ok()?;
    let found = text.lines().find_map(|line| line.split_once(" path=").map(|(_, name)| name))?;
    (found.len() <= MAX_NAME_BYTES).then(|| found.to_owned())
}

/// What a file of the archive holds.
enum Content {
    /// What the stream was called.
    Stream(Option<String>),
    Block(Block),
    Item(Item),
    Other,
}

fn read_file(name: &str, content: &[u8], stream: Option<&str>) -> Result<Content, Fault> {
    let parts: Vec<&str> = name.split('/').collect();
    Ok(match parts[..] {
        ["meta.inf"] => {
            let value = json::parse(content).map_err(|_| Fault::Entry)?;
            Content::Stream(value.get("name").and_then(|name| name.as_str()).map(str::to_owned))
        }
        ["msgs", file] if file.ends_with(".blk") => {
            let number = file.strip_suffix(".blk").and_then(|number| number.parse().ok()).ok_or(Fault::Entry)?;
            Content::Block(read_block(content, key(stream.ok_or(Fault::Entry)?, number))?)
        }
        ["obs", consumer, "meta.inf"] => {
            let value = json::parse(content).map_err(|_| Fault::Entry)?;
            let config = ConsumerConfig::read(&value, Mode::Lenient).map_err(|_| Fault::Entry)?;
            Content::Item(Item::Consumer(consumer.to_owned(), Box::new(config)))
        }
        ["obs", consumer, "o.dat"] => {
            let progress = read_progress(content).ok_or(Fault::Entry)?;
            Content::Item(Item::Progress(consumer.to_owned(), progress))
        }
        _ => Content::Other,
    })
}

/// By what the checksums of a block are made.
fn key(stream: &str, block: u32) -> Key {
    Key::new(&Sha256::digest(format!("{stream}-{block}")).into())
}

/// A block of messages, which may be compressed as a whole but for the checksum at its end.
fn read_block(content: &[u8], key: Key) -> Result<Block, Fault> {
    let Some(packed) = content.strip_prefix(b"cmp") else {
        return Ok(Block { plain: content.to_vec(), at: 0, key });
    };
    let (kind, rest) = packed.split_first().ok_or(Fault::Entry)?;
    let mut numbers = Numbers(rest);
    let size = numbers.next().and_then(|size| usize::try_from(size).ok()).filter(|size| *size <= MAX_FILE_BYTES);
    let size = size.ok_or(Fault::Entry)?;
    let (body, checksum) =
        numbers.0.split_at_checked(numbers.0.len().saturating_sub(CHECKSUM_BYTES)).ok_or(Fault::Entry)?;
    let mut plain = match kind {
        0 => body.to_vec(),
        1 => unpack(body, size)?,
        _ => return Err(Fault::Entry),
    };
    plain.extend_from_slice(checksum);
    if plain.len() != size {
        return Err(Fault::Entry);
    }
    Ok(Block { plain, at: 0, key })
}

/// Unpacks no more than a block says that it is.
fn unpack(body: &[u8], size: usize) -> Result<Vec<u8>, Fault> {
    let (mut decoder, mut plain) = (frames::Decoder::default(), Vec::new());
    decoder.push(body);
    while let Some(chunk) = decoder.next(size - plain.len()).map_err(|_| Fault::Entry)? {
        plain.extend_from_slice(&chunk);
    }
    Ok(plain)
}

impl Block {
    fn next(&mut self) -> Result<Option<Item>, Fault> {
        let bytes = self.plain.get(self.at..).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(None);
        }
        let length = bytes.first_chunk::<4>().map(|length| u32::from_le_bytes(*length)).ok_or(Fault::Entry)?;
        let size = (length & !HAS_HEADERS) as usize;
        let record = bytes.get(..size).ok_or(Fault::Entry)?;
        let item = read_record(record, length & HAS_HEADERS != 0, &self.key)?;
        self.at += size;
        Ok(Some(item))
    }
}

/// `length u32 | sequence u64 | time i64 | subject length u16 | subject | [header length u32 | headers] | payload | checksum`
fn read_record(record: &[u8], has_headers: bool, key: &Key) -> Result<Item, Fault> {
    let Record { seq, nanos, name, headers, payload, hashed, checksum } =
        split_record(record, has_headers).ok_or(Fault::Entry)?;
    if highway::hash(key, &[hashed, name, headers, payload]).to_le_bytes() != *checksum {
        return Err(Fault::Damaged);
    }
    if seq & (ERASED | REMOVED) != 0 {
        return Ok(Item::Gone(seq & !(ERASED | REMOVED)));
    }
    let (name, headers, payload) = (name.to_vec(), headers.to_vec(), payload.to_vec());
    Ok(Item::Message(Entry { name, nanos, seq, headers, payload }))
}

/// The parts of a record.
struct Record<'a> {
    seq: u64,
    nanos: i64,
    name: &'a [u8],
    headers: &'a [u8],
    payload: &'a [u8],
    /// Of what is in front of the subject, what the checksum is taken over.
    hashed: &'a [u8],
    checksum: &'a [u8; CHECKSUM_BYTES],
}

fn split_record(record: &[u8], has_headers: bool) -> Option<Record<'_>> {
    let (front, rest) = record.split_at_checked(RECORD_FRONT_BYTES)?;
    let (body, checksum) = rest.split_last_chunk::<CHECKSUM_BYTES>()?;
    let hashed = front.get(4..20)?;
    let seq = u64::from_le_bytes(front.get(4..12)?.try_into().ok()?);
    let nanos = i64::from_le_bytes(front.get(12..20)?.try_into().ok()?);
    let subject = usize::from(u16::from_le_bytes(front.get(20..22)?.try_into().ok()?));
    let (name, body) = body.split_at_checked(subject)?;
    let (headers, payload) = match has_headers {
        false => (&b""[..], body),
        true => {
            let (length, body) = body.split_first_chunk::<4>()?;
            body.split_at_checked(u32::from_le_bytes(*length) as usize)?
        }
    };
    Some(Record { seq, nanos, name, headers, payload, hashed, checksum })
}

/// Varints, one behind the other.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn next(&mut self) -> Option<u64> {
        let (mut number, mut shift) = (0_u64, 0);
        loop {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            if shift == 63 && *byte > 1 || shift > 63 {
                return None;
            }
            number |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Some(number);
            }
            shift += 7;
        }
    }
}

/// How far a consumer is, in the two forms that older servers wrote.
fn read_progress(bytes: &[u8]) -> Option<Progress> {
    const MAGIC: u8 = 22;
    let [MAGIC, version @ (1 | 2), rest @ ..] = bytes else { return None };
    let mut numbers = Numbers(rest);
    let mut position = || Some(Position { consumer: numbers.next()?, stream: numbers.next()? });
    let (floor, mut delivered) = (position()?, position()?);
    if *version == 1 {
        // It says how far behind the floor the next delivery is.
        delivered.consumer = delivered.consumer.checked_add(floor.consumer.saturating_sub(1))?;
        delivered.stream = delivered.stream.checked_add(floor.stream.saturating_sub(1))?;
    }
    let mut pending = BTreeMap::new();
    let count = numbers.next().filter(|count| *count <= MAX_PENDING)?;
    if count > 0 {
        numbers.next()?;
    }
    for _ in 0..count {
        let seq = numbers.next()?.checked_add(floor.stream)?;
        let number = if *version == 2 { numbers.next()?.checked_add(floor.consumer)? } else { 0 };
        numbers.next()?;
        pending.insert(seq, (number, 1));
    }
    for _ in 0..numbers.next().filter(|count| *count <= MAX_PENDING)? {
        let seq = numbers.next()?.checked_add(floor.stream)?;
        let again = numbers.next()?;
        if let Some((_, deliveries)) = pending.get_mut(&seq) {
            *deliveries = again.saturating_add(1);
        }
    }
    Some(Progress { delivered, floor, pending })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_of_an_older_server_is_understood() {
        let bytes = [0x16, 2, 1, 1, 3, 4, 1, 0xac, 0xce, 0xe5, 0xb0, 0x0d, 1, 1, 2, 1, 1, 2];
        let progress = read_progress(&bytes).expect("a state");
        assert_eq!(progress.floor, Position { consumer: 1, stream: 1 });
        assert_eq!(progress.delivered, Position { consumer: 3, stream: 4 });
        assert_eq!(progress.pending, BTreeMap::from([(2, (2, 3))]));
        for cut in 0..bytes.len() {
            assert_eq!(read_progress(&bytes[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn records_that_make_no_sense_are_refused() {
        for broken in
            [&b"\x01"[..], &[0; 4], &[30, 0, 0, 0], &[255; 40], b"cmp", b"cmp\x07\x01xxxxxxxxx", b"cmp\x01\xff\xff"]
        {
            let read = read_block(broken, key("S", 1)).and_then(|mut block| block.next());
            assert_eq!(read, Err(Fault::Entry), "{broken:?}");
        }
    }

    #[test]
    fn a_record_of_another_block_or_with_a_flipped_bit_is_damaged() {
        let mut record = [&[0; 4][..], &7_u64.to_le_bytes(), &9_i64.to_le_bytes(), &[3, 0], b"a.bpayload"].concat();
        let length = u32::try_from(record.len() + CHECKSUM_BYTES).expect("short").to_le_bytes();
        record[..4].copy_from_slice(&length);
        let sum = highway::hash(&key("S", 1), &[&record[4..20], &record[22..]]).to_le_bytes();
        record.extend_from_slice(&sum);
        let read = |bytes: &[u8], block| read_block(bytes, key("S", block)).and_then(|mut block| block.next());
        assert!(matches!(read(&record, 1), Ok(Some(Item::Message(Entry { seq: 7, nanos: 9, .. })))));
        assert_eq!(read(&record, 2), Err(Fault::Damaged));
        for at in (4..record.len()).filter(|at| !(20..22).contains(at)) {
            let mut flipped = record.clone();
            flipped[at] ^= 4;
            assert_eq!(read(&flipped, 1), Err(Fault::Damaged), "{at}");
        }
    }
}
