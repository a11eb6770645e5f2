//! Archives of servers before release 2.15: a tar of the files in which they kept a stream.
//!
//! ```text
//! meta.inf  meta.sum  msgs/<number>.blk  msgs/index.db  obs/<consumer>/{meta.inf,meta.sum,o.dat}
//! ```
//!
//! Blocks hold messages one behind the other, and marks where messages were removed. Their checksums are not looked at: what
//! travels has those of its frames.

use super::archive::{Entry, Fault};
use super::consumer_state::Progress;
use super::frames;
use super::restoring::MAX_ROUND_BYTES;
use crate::consumer::Position;
use api::{ConsumerConfig, Mode, json};
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
    items: VecDeque<Item>,
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

    /// The next item; `None` when it has not come as a whole. What its files unpack to is added to `unpacked`, which has a bound.
    pub(crate) fn next(&mut self, unpacked: &mut usize) -> Result<Option<Item>, Fault> {
        loop {
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
                    read_file(&name, content, &mut self.items, unpacked)?;
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

fn read_file(name: &str, content: &[u8], items: &mut VecDeque<Item>, unpacked: &mut usize) -> Result<(), Fault> {
    let parts: Vec<&str> = name.split('/').collect();
    match parts[..] {
        ["msgs", file] if file.ends_with(".blk") => read_block(content, items, unpacked),
        ["obs", consumer, "meta.inf"] => {
            let value = json::parse(content).map_err(|_| Fault::Entry)?;
            let config = ConsumerConfig::read(&value, Mode::Lenient).map_err(|_| Fault::Entry)?;
            items.push_back(Item::Consumer(consumer.to_owned(), Box::new(config)));
            Ok(())
        }
        ["obs", consumer, "o.dat"] => {
            let progress = read_progress(content).ok_or(Fault::Entry)?;
            items.push_back(Item::Progress(consumer.to_owned(), progress));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A block of messages, which may be compressed as a whole but for the checksum at its end.
fn read_block(content: &[u8], items: &mut VecDeque<Item>, unpacked: &mut usize) -> Result<(), Fault> {
    let Some(packed) = content.strip_prefix(b"cmp") else { return read_records(content, items) };
    let (kind, rest) = packed.split_first().ok_or(Fault::Entry)?;
    let mut numbers = Numbers(rest);
    let size = numbers.next().and_then(|size| usize::try_from(size).ok()).filter(|size| *size <= MAX_FILE_BYTES);
    let size = size.ok_or(Fault::Entry)?;
    let (body, checksum) =
        numbers.0.split_at_checked(numbers.0.len().saturating_sub(CHECKSUM_BYTES)).ok_or(Fault::Entry)?;
    let mut plain = match kind {
        0 => body.to_vec(),
        1 => unpack(body, size, unpacked)?,
        _ => return Err(Fault::Entry),
    };
    plain.extend_from_slice(checksum);
    if plain.len() != size {
        return Err(Fault::Entry);
    }
    read_records(&plain, items)
}

/// Unpacks no more than a block says that it is.
fn unpack(body: &[u8], size: usize, unpacked: &mut usize) -> Result<Vec<u8>, Fault> {
    *unpacked = unpacked.saturating_add(size);
    if *unpacked > MAX_ROUND_BYTES {
        return Err(Fault::TooMuch);
    }
    let (mut decoder, mut plain) = (frames::Decoder::default(), Vec::new());
    decoder.push(body);
    while let Some(chunk) = decoder.next(size - plain.len()).map_err(|_| Fault::Entry)? {
        plain.extend_from_slice(&chunk);
    }
    Ok(plain)
}

fn read_records(mut bytes: &[u8], items: &mut VecDeque<Item>) -> Result<(), Fault> {
    while !bytes.is_empty() {
        let length = bytes.first_chunk::<4>().map(|length| u32::from_le_bytes(*length)).ok_or(Fault::Entry)?;
        let (record, rest) = bytes.split_at_checked((length & !HAS_HEADERS) as usize).ok_or(Fault::Entry)?;
        items.push_back(read_record(record, length & HAS_HEADERS != 0).ok_or(Fault::Entry)?);
        bytes = rest;
    }
    Ok(())
}

/// `length u32 | sequence u64 | time i64 | subject length u16 | subject | [header length u32 | headers] | payload | checksum`
fn read_record(record: &[u8], has_headers: bool) -> Option<Item> {
    let (front, rest) = record.split_at_checked(RECORD_FRONT_BYTES)?;
    let body = rest.get(..rest.len().checked_sub(CHECKSUM_BYTES)?)?;
    let seq = u64::from_le_bytes(front.get(4..12)?.try_into().ok()?);
    let nanos = i64::from_le_bytes(front.get(12..20)?.try_into().ok()?);
    let subject = usize::from(u16::from_le_bytes(front.get(20..22)?.try_into().ok()?));
    if seq & (ERASED | REMOVED) != 0 {
        return Some(Item::Gone(seq & !(ERASED | REMOVED)));
    }
    let (name, body) = body.split_at_checked(subject)?;
    let (headers, payload) = match has_headers {
        false => (&b""[..], body),
        true => {
            let (length, body) = body.split_first_chunk::<4>()?;
            body.split_at_checked(u32::from_le_bytes(*length) as usize)?
        }
    };
    let (name, headers, payload) = (name.to_vec(), headers.to_vec(), payload.to_vec());
    Some(Item::Message(Entry { name, nanos, seq, headers, payload }))
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
        let mut items = VecDeque::new();
        for broken in
            [&b"\x01"[..], &[0; 4], &[30, 0, 0, 0], &[255; 40], b"cmp", b"cmp\x07\x01xxxxxxxxx", b"cmp\x01\xff\xff"]
        {
            assert_eq!(read_block(broken, &mut items, &mut 0), Err(Fault::Entry), "{broken:?}");
        }
        assert!(items.is_empty());
    }
}
