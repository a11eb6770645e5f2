//! What a stream remembers when it is closed, so that opening it again need not read its blocks.
//!
//! ```text
//! GENERATION.sum   a head like that of a block, then sealed records:
//!                  what the stream holds and each block with the length of its file | subjects, some at a time | end
//! ```
//!
//! It says nothing that the blocks do not say, and counts only while the block files are exactly those it names, each as long
//! as it names: whatever is written later adds to them. So it is removed as soon as anything is written, a lost or torn one
//! costs the time of reading the blocks, and one that was put back is not believed. As long as no block is newer, blocks that
//! are shorter than it says were cut.

use crate::bytes::{Reader, put_varint};
use crate::disk::{join, read_all};
use crate::error::StoreError;
use crate::file::State;
use crate::frame::{self, FRAME_HEAD, Piece};
use crate::header::DATA_START;
use crate::index::{BlockError, BlockFile};
use crate::record::{BlockFacts, block_facts, put_block_facts};
use crate::remembered::{Packed, pack};
use crate::seal::{Form, SealError, StreamId};
use crate::subjects::Subjects;
use crate::tail::Context;
use moment::Timestamp;
use std::io;

/// Plain bytes of one record of subjects, about.
const RECORD_BYTES: usize = 64 * 1024;
/// Bytes written at once.
const WRITTEN_BYTES: usize = 1024 * 1024;
/// Bytes that room is made for at once; for more it grows.
const RESERVED_BYTES: u64 = 64 * 1024 * 1024;
/// No summary is longer: some twenty million subjects.
const MAX_FILE: u64 = 2 * 1024 * 1024 * 1024;

const KIND_STREAM: u8 = 1;
const KIND_SUBJECTS: u8 = 2;
const KIND_END: u8 = 3;

/// What a closed stream holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub state: State,
    pub blocks: Vec<SummedBlock>,
}

/// A block of a closed stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SummedBlock {
    pub facts: BlockFacts,
    /// What its live messages weigh.
    pub bytes: u64,
    /// Length of its file.
    pub file_len: u64,
}

/// A summary that was read.
pub(crate) struct Read {
    pub summary: Summary,
    pub subjects: Packed,
    /// Whether the present cipher and key seal it.
    pub is_sealed_as_it_should: bool,
}

/// What a file is that should be a summary.
pub(crate) enum Found {
    Good(Box<Read>),
    /// It was cut off when it was written, or it is of no use.
    Unfinished,
    /// All of it was written and it does not open.
    Altered,
}

/// Name of a summary file.
pub(crate) fn summary_name(generation: u64) -> String {
    format!("{generation:016x}.sum")
}

/// The generation a file name stands for.
pub(crate) fn generation_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".sum").filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok().filter(|&generation| summary_name(generation) == name)
}

/// Writes a summary, durably. Its generation must never have been used for anything.
pub(crate) fn write(
    context: &Context,
    dir: &str,
    (stream, generation): (StreamId, u64),
    summary: &Summary,
    subjects: &Subjects,
) -> Result<(), StoreError> {
    let path = join(dir, &summary_name(generation));
    let file = context.disk.create(&path).map_err(StoreError::disk("making", &path))?;
    let (seal, header) = context.new_block((stream, generation), Form::Brief)?;
    let (mut out, mut written) = (header.first(), 0);
    let mut put = |record: &[u8], is_last: bool| {
        let offset = written + out.len() as u64;
        frame::append(&seal, offset, &mut out, |out| out.extend_from_slice(record));
        if out.len() < WRITTEN_BYTES && !is_last {
            return Ok(());
        }
        file.write_at(written, &out)?;
        written += out.len() as u64;
        out.clear();
        Ok(())
    };
    let mut records = || -> io::Result<()> {
        put(&summary.encode(), false)?;
        let mut record = vec![KIND_SUBJECTS];
        for (text, totals) in subjects.all() {
            pack(&mut record, text, totals);
            if record.len() > RECORD_BYTES {
                put(&record, false)?;
                record.truncate(1);
            }
        }
        put(&record, false)?;
        let mut end = vec![KIND_END];
        put_varint(&mut end, subjects.len() as u64);
        put(&end, true)
    };
    records().and_then(|()| file.sync()).map_err(StoreError::disk("writing", &path))?;
    context.disk.sync_dir(dir).map_err(StoreError::disk("syncing directory", dir))
}

/// Reads a summary. One that is not whole is no error: the blocks say the same.
pub(crate) fn read(context: &Context, dir: &str, (stream, generation): (StreamId, u64)) -> Result<Found, StoreError> {
    let path = join(dir, &summary_name(generation));
    let failed = |source| StoreError::disk("reading", &path)(source);
    let file = context.disk.open(&path).map_err(StoreError::disk("opening", &path))?;
    let block = match BlockFile::open(file, &context.vault, context.place(stream, generation)) {
        Ok(block) => block,
        Err(BlockError::Io(source)) => return Err(failed(source)),
        Err(BlockError::Foreign | BlockError::Seal(SealError::Altered) | BlockError::NoHead { unwritten: false }) => {
            return Ok(Found::Altered);
        }
        // Sealed by a key that is gone, written by a newer release, or cut off: the blocks say the same.
        Err(_) => return Ok(Found::Unfinished),
    };
    let mut reading = Reading { summary: None, subjects: Packed::default(), end: None };
    let len = block.file.len().map_err(failed)?;
    reading.subjects.reserve(usize::try_from(len.saturating_sub(DATA_START).min(RESERVED_BYTES)).unwrap_or(0));
    let is_read = reading.records(&block).map_err(failed)?.is_some();
    let is_sealed_as_it_should = context.is_present(&block.header.wrapped);
    match reading {
        Reading { summary: Some(summary), subjects, end: Some(end) } if is_read && end == subjects.len() as u64 => {
            Ok(Found::Good(Box::new(Read { summary, subjects, is_sealed_as_it_should })))
        }
        _ => what_is_wrong(&block).map_err(failed),
    }
}

/// Tells one that was cut off from one that was altered.
fn what_is_wrong(block: &BlockFile) -> io::Result<Found> {
    let bytes = read_all(&*block.file, MAX_FILE)?;
    let mut found = Found::Unfinished;
    frame::scan(&block.seal, &bytes, DATA_START, |piece| {
        if matches!(piece, Piece::Damaged(stretch) if !stretch.may_be_torn) {
            found = Found::Altered;
        }
    });
    Ok(found)
}

struct Reading {
    summary: Option<Summary>,
    subjects: Packed,
    end: Option<u64>,
}

impl Reading {
    /// Reads one record after the other, up to the end of the file. `None` at the first that is not as it was written.
    fn records(&mut self, block: &BlockFile) -> io::Result<Option<()>> {
        let (mut at, mut sealed) = (DATA_START, Vec::new());
        loop {
            let mut head = [0; FRAME_HEAD];
            match block.file.read_at(at, &mut head)? {
                0 => return Ok(Some(())),
                FRAME_HEAD => {}
                _ => return Ok(None),
            }
            let Some(len) = frame::sealed_len(&head, at, block.seal.generation()) else { return Ok(None) };
            sealed.resize(len, 0);
            if block.file.read_at(at + FRAME_HEAD as u64, &mut sealed)? < len {
                return Ok(None);
            }
            let Ok(body) = block.seal.open(at, &mut sealed) else { return Ok(None) };
            if self.record(body).is_none() {
                return Ok(None);
            }
            at += (FRAME_HEAD + len) as u64;
        }
    }

    fn record(&mut self, body: &[u8]) -> Option<()> {
        let mut reader = Reader(body);
        match reader.u8()? {
            KIND_STREAM => self.summary = Some(Summary::decode(&mut reader)?),
            KIND_SUBJECTS => self.subjects.take(reader.0)?,
            KIND_END => self.end = Some(reader.varint()?),
            _ => return None,
        }
        Some(())
    }
}

impl Summary {
    fn encode(&self) -> Vec<u8> {
        let mut out = vec![KIND_STREAM];
        let State { messages, bytes, first_seq, last_seq, last_time, subjects, lost_messages, lost_bytes } = self.state;
        for number in [messages, bytes, first_seq, last_seq, subjects, lost_messages, lost_bytes] {
            put_varint(&mut out, number);
        }
        out.extend_from_slice(&last_time.as_nanos().to_le_bytes());
        put_varint(&mut out, self.blocks.len() as u64);
        for block in &self.blocks {
            put_block_facts(&mut out, &block.facts);
            put_varint(&mut out, block.bytes);
            put_varint(&mut out, block.file_len);
        }
        out
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Summary> {
        let state = State {
            messages: reader.varint()?,
            bytes: reader.varint()?,
            first_seq: reader.varint()?,
            last_seq: reader.varint()?,
            subjects: reader.varint()?,
            lost_messages: reader.varint()?,
            lost_bytes: reader.varint()?,
            last_time: Timestamp::from_nanos(reader.i64()?),
        };
        let block = |reader: &mut Reader<'_>| {
            Some(SummedBlock { facts: block_facts(reader)?, bytes: reader.varint()?, file_len: reader.varint()? })
        };
        let blocks = (0..reader.varint()?).map(|_| block(reader)).collect::<Option<_>>()?;
        Some(Summary { state, blocks })
    }
}
