//! Frames of S2 between servers: what a link puts around its bytes once both ends have agreed.
//!
//! Every batch is a stream of its own, as peers expect it: an identifier, then chunks. Compressing is a [`Sealer`] over the
//! one that may stand already (TLS); reading goes frame by frame, so that a few bytes which unpack to very many never lie
//! in memory as a whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use crc::{CRC_32_ISCSI, Crc, Table};
use topology::{Compression, Levels};
use wire::CloseReason;

use crate::connection::Connection;
use crate::engine::Engine;
use crate::layer::{LayerError, Sealer};

/// The beginning of a stream.
const IDENTIFIER: &[u8] = b"\xff\x06\x00\x00S2sTwO";

/// The same of an older kind, which peers may send as well.
const OLD_IDENTIFIER: &[u8] = b"\xff\x06\x00\x00sNaPpY";

/// Bytes that go into one chunk.
const BLOCK_BYTES: usize = 256 << 10;

/// Bytes that one chunk may unpack to: the most that the format has.
const BLOCK_BYTES_MAX: usize = 4 << 20;

const COMPRESSED: u8 = 0x00;
const PLAIN: u8 = 0x01;
const STREAM: u8 = 0xff;
const FIRST_SKIPPABLE: u8 = 0x80;

/// Type and length of a chunk.
const HEADER_BYTES: usize = 4;
/// The checksum in front of a chunk's data.
const CHECKSUM_BYTES: usize = 4;

/// CRC-32C, sixteen bytes at a time: byte by byte it cost more than everything else that a link does with a message.
static CHECKSUM: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// The checksum as the format masks it.
fn checksum_of(block: &[u8]) -> u32 {
    CHECKSUM.checksum(block).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// What one end compresses with. Only that end needs to know, so it may change at any time between batches.
pub(crate) struct Level(AtomicU8);

const LEVELS: [Compression; 4] =
    [Compression::S2Uncompressed, Compression::S2Fast, Compression::S2Better, Compression::S2Best];

impl Level {
    fn new(level: Compression) -> Arc<Self> {
        let new = Self(AtomicU8::new(0));
        new.set(level);
        Arc::new(new)
    }

    fn get(&self) -> Compression {
        LEVELS.get(usize::from(self.0.load(Ordering::Relaxed))).copied().unwrap_or(Compression::S2Fast)
    }

    fn set(&self, level: Compression) {
        let at = LEVELS.iter().position(|known| *known == level).unwrap_or(1);
        self.0.store(u8::try_from(at).unwrap_or(1), Ordering::Relaxed);
    }
}

/// The reading half, and the level of the other one.
pub(crate) struct Squeeze {
    framed: Vec<u8>,
    taken: usize,
    level: Arc<Level>,
}

impl Squeeze {
    fn new(level: Arc<Level>) -> Self {
        Self { framed: Vec::new(), taken: 0, level }
    }

    /// Takes bytes that came.
    pub(crate) fn feed(&mut self, framed: &[u8]) {
        self.framed.drain(..self.taken);
        self.taken = 0;
        self.framed.extend_from_slice(framed);
    }

    /// Appends what the next whole chunk holds. `false` if there is none.
    pub(crate) fn next(&mut self, plain: &mut Vec<u8>) -> Result<bool, LayerError> {
        loop {
            let rest = self.framed.get(self.taken..).unwrap_or_default();
            let Some((&[kind, a, b, c], behind)) = rest.split_first_chunk::<HEADER_BYTES>() else { return Ok(false) };
            let len = usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16;
            if !matches!(kind, COMPRESSED | PLAIN | FIRST_SKIPPABLE..=STREAM) {
                return Err(broken("a chunk of an unknown kind"));
            }
            if len > BLOCK_BYTES_MAX + CHECKSUM_BYTES + BLOCK_BYTES_MAX / 6 {
                return Err(broken("a chunk is too long"));
            }
            let Some(data) = behind.get(..len) else { return Ok(false) };
            let is_data = take_chunk(kind, rest, data, plain)?;
            self.taken += HEADER_BYTES + len;
            if is_data {
                return Ok(true);
            }
        }
    }
}

fn take_chunk(kind: u8, chunk: &[u8], data: &[u8], plain: &mut Vec<u8>) -> Result<bool, LayerError> {
    match kind {
        COMPRESSED | PLAIN => {
            let (&checksum, block) = data.split_first_chunk().ok_or_else(|| broken("a chunk without a checksum"))?;
            let start = plain.len();
            if kind == PLAIN {
                plain.extend_from_slice(block);
            } else {
                unpack(block, plain)?;
            }
            if checksum_of(plain.get(start..).unwrap_or_default()) != u32::from_le_bytes(checksum) {
                return Err(broken("a checksum does not fit"));
            }
            Ok(true)
        }
        STREAM if chunk.starts_with(IDENTIFIER) || chunk.starts_with(OLD_IDENTIFIER) => Ok(false),
        FIRST_SKIPPABLE..STREAM => Ok(false),
        _ => Err(broken("a stream of an unknown kind")),
    }
}

fn unpack(block: &[u8], plain: &mut Vec<u8>) -> Result<(), LayerError> {
    let (len, _) = minlz::decode_len(block).map_err(|_| broken("a block without a length"))?;
    if len > BLOCK_BYTES_MAX {
        return Err(broken("a block unpacks to too much"));
    }
    let start = plain.len();
    plain.resize(start + len, 0);
    let room = plain.get_mut(start..).unwrap_or_default();
    match minlz::decode_into(room, block) {
        Ok(written) if written == len => Ok(()),
        _ => Err(broken("a block cannot be unpacked")),
    }
}

fn broken(text: &str) -> LayerError {
    LayerError { text: format!("compressed bytes: {text}"), code: None }
}

/// The writing half, over what stands already.
struct Squeezer {
    level: Arc<Level>,
    batch: Vec<u8>,
    below: Option<Box<dyn Sealer>>,
}

impl Squeezer {
    fn write(&mut self, framed: &[u8], wire: &mut Vec<u8>) {
        match self.below.as_deref_mut() {
            Some(below) => below.seal(framed, wire),
            None => wire.extend_from_slice(framed),
        }
    }

    fn pack(&self, block: &[u8]) -> Option<Vec<u8>> {
        let packed = match self.level.get() {
            Compression::S2Fast => minlz::encode(block),
            Compression::S2Better => minlz::encode_better(block),
            Compression::S2Best => minlz::encode_best(block),
            _ => return None,
        };
        (packed.len() < block.len()).then_some(packed)
    }

    fn chunk(&self, block: &[u8]) -> Vec<u8> {
        let packed = self.pack(block);
        let kind = if packed.is_some() { COMPRESSED } else { PLAIN };
        let data = packed.as_deref().unwrap_or(block);
        let len = u32::try_from(data.len() + CHECKSUM_BYTES).unwrap_or(0).to_le_bytes();
        let mut chunk = Vec::with_capacity(HEADER_BYTES + CHECKSUM_BYTES + data.len());
        chunk.extend_from_slice(&[kind, len[0], len[1], len[2]]);
        chunk.extend_from_slice(&checksum_of(block).to_le_bytes());
        chunk.extend_from_slice(data);
        chunk
    }
}

impl Sealer for Squeezer {
    fn seal(&mut self, plain: &[u8], _: &mut Vec<u8>) {
        self.batch.extend_from_slice(plain);
    }

    fn finish(&mut self, wire: &mut Vec<u8>) {
        let batch = std::mem::take(&mut self.batch);
        if !batch.is_empty() {
            self.write(IDENTIFIER, wire);
        }
        for block in batch.chunks(BLOCK_BYTES) {
            let chunk = self.chunk(block);
            self.write(&chunk, wire);
        }
        self.batch = batch;
        self.batch.clear();
        if let Some(below) = self.below.as_deref_mut() {
            below.finish(wire);
        }
    }

    fn answer(&mut self, wire: &mut Vec<u8>) {
        if let Some(below) = self.below.as_deref_mut() {
            below.answer(wire);
        }
    }

    fn close(&mut self, reason: CloseReason, wire: &mut Vec<u8>) {
        if let Some(below) = self.below.as_deref_mut() {
            below.close(reason, wire);
        }
    }

    fn fail(&mut self, error: &LayerError, wire: &mut Vec<u8>) {
        if let Some(below) = self.below.as_deref_mut() {
            below.fail(error, wire);
        }
    }
}

impl Engine {
    /// From here on bytes are framed in both directions.
    pub(crate) fn squeeze(&mut self, connection: &mut Connection, level: Compression) {
        let level = Level::new(level);
        let own = level.clone();
        connection.link.wrap_sealer(|below| Box::new(Squeezer { level: own, batch: Vec::new(), below }));
        connection.squeeze = Some(Box::new(Squeeze::new(level)));
        connection.new_layer = true;
    }

    /// The round trip to the far end has been measured anew: where the level follows it, it may be another one now.
    pub(crate) fn settle_level(&self, connection: &Connection, levels: Option<&Levels>, rtt: Option<Duration>) {
        let (Some(squeeze), Some(levels), Some(rtt)) = (&connection.squeeze, levels, rtt) else { return };
        let level = levels.pick(rtt);
        if level != squeeze.level.get() {
            squeeze.level.set(level);
            self.hub.links.recompressed(&connection.link, level);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_format() {
        let bytes: Vec<u8> = (0..1000u32).map(|number| ((number * 31) >> 3) as u8).collect();
        for len in (0..40).chain([127, 128, 999, 1000]) {
            assert_eq!(checksum_of(&bytes[..len]), minlz::crc::crc(&bytes[..len]), "{len}");
        }
    }

    fn framed(level: Compression, batches: &[&[u8]]) -> Vec<u8> {
        let mut sealer = Squeezer { level: Level::new(level), batch: Vec::new(), below: None };
        let mut wire = Vec::new();
        for batch in batches {
            sealer.seal(batch, &mut wire);
            sealer.finish(&mut wire);
        }
        wire
    }

    fn opened(wire: &[u8], step: usize) -> Result<Vec<u8>, LayerError> {
        let mut squeeze = Squeeze::new(Level::new(Compression::S2Fast));
        let mut plain = Vec::new();
        for piece in wire.chunks(step) {
            squeeze.feed(piece);
            while squeeze.next(&mut plain)? {}
        }
        Ok(plain)
    }

    #[test]
    fn what_goes_in_comes_out_however_it_is_cut() {
        let text = b"LMSG orders.created 5\r\nhello\r\n".repeat(20_000);
        for level in [Compression::S2Uncompressed, Compression::S2Fast, Compression::S2Better, Compression::S2Best] {
            let wire = framed(level, &[b"PING\r\n", &text, b"PONG\r\n"]);
            let expected = [b"PING\r\n", &*text, b"PONG\r\n"].concat();
            for step in [1, 7, 4096, wire.len()] {
                assert_eq!(opened(&wire, step).unwrap(), expected, "{level:?} {step}");
            }
            assert_eq!(level == Compression::S2Uncompressed, wire.len() > expected.len(), "{level:?}");
        }
    }

    #[test]
    fn another_level_counts_from_the_next_batch_on() {
        let text = b"LMSG orders.created 5\r\nhello\r\n".repeat(100);
        let level = Level::new(Compression::S2Uncompressed);
        let mut sealer = Squeezer { level: level.clone(), batch: Vec::new(), below: None };
        let mut sizes = Vec::new();
        let mut all = Vec::new();
        for next in LEVELS {
            level.set(next);
            let mut wire = Vec::new();
            sealer.seal(&text, &mut wire);
            sealer.finish(&mut wire);
            sizes.push(wire.len());
            all.extend_from_slice(&wire);
        }
        assert!(sizes[0] > text.len() && sizes[1..].iter().all(|size| *size < text.len() / 4), "{sizes:?}");
        assert_eq!(opened(&all, 64).unwrap(), text.repeat(4), "whoever reads need not know");
    }

    #[test]
    fn an_empty_batch_says_nothing() {
        assert!(framed(Compression::S2Fast, &[b""]).is_empty());
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let mut wire = framed(Compression::S2Uncompressed, &[b"LMSG a 1\r\nx\r\n"]);
        *wire.last_mut().unwrap() ^= 1;
        assert!(opened(&wire, 64).is_err());
    }

    #[test]
    fn a_chunk_that_promises_too_much_is_refused_before_it_is_unpacked() {
        // A block of 512 MiB, by its own word.
        let block = [0x80, 0x80, 0x80, 0x80, 0x02, 0x00];
        let mut wire = IDENTIFIER.to_vec();
        wire.extend_from_slice(&[COMPRESSED, 10, 0, 0, 1, 2, 3, 4]);
        wire.extend_from_slice(&block);
        assert!(opened(&wire, 64).is_err());
        assert!(opened(&[PLAIN, 0xff, 0xff, 0xff], 64).is_err(), "a chunk of 16 MiB");
        assert!(opened(&[0x02, 0, 0, 0], 64).is_err(), "a kind that must not be skipped");
        assert!(opened(b"PING\r\n", 64).is_err(), "bytes that are not framed");
    }
}
