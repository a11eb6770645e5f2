//! The framing of compressed bytes: a stream identifier, then chunks with a checksum each.
//!
//! ```text
//! kind u8 | length u24 | checksum u32 | block, compressed (kind 0) or plain (kind 1)
//! ```

use minlz::s2;

/// What a stream begins with; readers of the older format know it by the second.
const IDENTIFIER: &[u8] = b"\xff\x06\x00\x00S2sTwO";
const OLDER_IDENTIFIER: &[u8] = b"\xff\x06\x00\x00sNaPpY";
const COMPRESSED: u8 = 0;
const PLAIN: u8 = 1;
/// From this kind on a reader may skip what it does not know.
const FIRST_SKIPPABLE: u8 = 0x80;
/// Plain bytes of one chunk when we write.
const BLOCK_BYTES: usize = 256 * 1024;
/// Plain bytes of one chunk at most, whoever wrote it.
const MAX_BLOCK_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of one chunk at most: what does not compress grows a little.
const MAX_CHUNK_BYTES: usize = MAX_BLOCK_BYTES + MAX_BLOCK_BYTES / 6 + 64;

/// Compresses.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    plain: Vec<u8>,
    has_begun: bool,
}

impl Encoder {
    /// Takes bytes and appends chunks to `out` as they become full.
    pub(crate) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.plain.extend_from_slice(bytes);
        while self.plain.len() >= BLOCK_BYTES {
            let rest = self.plain.split_off(BLOCK_BYTES);
            self.chunk(out);
            self.plain = rest;
        }
    }

    /// Appends what is left.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.plain.is_empty() {
            self.chunk(out);
        }
    }

    fn chunk(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.has_begun, true) {
            out.extend_from_slice(IDENTIFIER);
        }
        let plain = std::mem::take(&mut self.plain);
        let checksum = minlz::crc::crc(&plain).to_le_bytes();
        let block = s2::encode(&plain);
        let (kind, body) = if block.len() < plain.len() { (COMPRESSED, &block) } else { (PLAIN, &plain) };
        let length = (body.len() + checksum.len()) as u32;
        out.push(kind);
        out.extend_from_slice(&length.to_le_bytes()[..3]);
        out.extend_from_slice(&checksum);
        out.extend_from_slice(body);
    }
}

/// Why nothing is unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The bytes are no such stream, or a piece of it is damaged.
    Corrupt,
    /// It would be more than is wanted.
    TooMuch,
}

/// Decompresses what comes in pieces, one chunk at a time.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    pending: Vec<u8>,
    at: usize,
    has_begun: bool,
}

impl Decoder {
    /// Takes a piece.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.pending.drain(..self.at);
        self.at = 0;
        self.pending.extend_from_slice(piece);
    }

    /// Bytes that came and were not unpacked.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len() - self.at
    }

    /// What the next chunk unpacks to; `None` when it has not come as a whole. One of more than `most` bytes is not unpacked.
    pub(crate) fn next(&mut self, most: usize) -> Result<Option<Vec<u8>>, Fault> {
        while let Some(&[kind, a, b, c]) = self.pending.get(self.at..self.at + 4) {
            let length = u32::from_le_bytes([a, b, c, 0]) as usize;
            if length > MAX_CHUNK_BYTES {
                return Err(Fault::Corrupt);
            }
            let start = self.at + 4;
            let Some(body) = self.pending.get(start..start + length) else { break };
            let is_identifier = kind == IDENTIFIER[0];
            if !is_identifier && !self.has_begun {
                return Err(Fault::Corrupt);
            }
            match kind {
                _ if is_identifier => {
                    let known = [IDENTIFIER, OLDER_IDENTIFIER].iter().any(|known| &known[4..] == body);
                    self.has_begun = known;
                    if !known {
                        return Err(Fault::Corrupt);
                    }
                }
                COMPRESSED | PLAIN => {
                    let plain = block(kind, body, most)?;
                    self.at = start + length;
                    return Ok(Some(plain));
                }
                FIRST_SKIPPABLE.. => {}
                _ => return Err(Fault::Corrupt),
            }
            self.at = start + length;
        }
        Ok(None)
    }
}

fn block(kind: u8, body: &[u8], most: usize) -> Result<Vec<u8>, Fault> {
    let corrupt = || Fault::Corrupt;
    let (checksum, body) = body.split_first_chunk::<4>().ok_or_else(corrupt)?;
    // A compressed block says first to how much it unpacks.
    let length = match kind {
        PLAIN => body.len(),
        _ => s2::decode_len(body).map_err(|_| Fault::Corrupt)?.0,
    };
    if length > MAX_BLOCK_BYTES {
        return Err(Fault::Corrupt);
    }
    if length > most {
        return Err(Fault::TooMuch);
    }
    let plain = if kind == PLAIN { body.to_vec() } else { s2::decode(body).map_err(|_| Fault::Corrupt)? };
    if minlz::crc::crc(&plain).to_le_bytes() == *checksum { Ok(plain) } else { Err(Fault::Corrupt) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compressed(bytes: &[u8]) -> Vec<u8> {
        let (mut encoder, mut out) = (Encoder::default(), Vec::new());
        bytes.chunks(1000).for_each(|part| encoder.push(part, &mut out));
        encoder.finish(&mut out);
        out
    }

    fn plain(pieces: impl Iterator<Item = Vec<u8>>) -> Result<Vec<u8>, Fault> {
        let (mut decoder, mut out) = (Decoder::default(), Vec::new());
        for piece in pieces {
            decoder.push(&piece);
            while let Some(plain) = decoder.next(usize::MAX)? {
                out.extend(plain);
            }
        }
        Ok(out)
    }

    #[test]
    fn what_was_compressed_comes_back_however_it_is_cut() {
        let mut chance = crate::Chance::new(3);
        let bytes: Vec<u8> = (0..700_000).map(|n| if n % 3 == 0 { chance.roll() as u8 } else { 7 }).collect();
        let packed = compressed(&bytes);
        assert!(packed.len() < bytes.len());
        for size in [1_000, 4_097, 1_000_000] {
            assert_eq!(plain(packed.chunks(size).map(<[u8]>::to_vec)).as_ref(), Ok(&bytes));
        }
    }

    #[test]
    fn a_flipped_bit_is_noticed() {
        let packed = compressed(&[5; 10_000]);
        let mut unnoticed = 0;
        for at in 0..packed.len() {
            let mut damaged = packed.clone();
            damaged[at] ^= 1;
            // A longer chunk is one whose end did not come yet.
            unnoticed += usize::from(plain(std::iter::once(damaged)).is_ok_and(|bytes| !bytes.is_empty()));
        }
        assert_eq!(unnoticed, 0);
    }

    #[test]
    fn a_small_piece_can_not_become_a_huge_one() {
        let mut bomb = IDENTIFIER.to_vec();
        bomb.extend_from_slice(&[COMPRESSED, 9, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]);
        assert_eq!(plain(std::iter::once(bomb)), Err(Fault::Corrupt));
        assert_eq!(
            plain(std::iter::once(b"\x00\x04\x00\x00abcd".to_vec())),
            Err(Fault::Corrupt),
            "without an identifier"
        );
    }

    #[test]
    fn nothing_is_unpacked_that_is_more_than_wanted() {
        let packed = compressed(&[0; 3 * BLOCK_BYTES]);
        assert!(packed.len() < 1_000, "{} bytes", packed.len());
        let mut decoder = Decoder::default();
        decoder.push(&packed);
        assert_eq!(
            decoder.next(BLOCK_BYTES).map(|plain| plain.map(|plain| plain.len())),
            Ok(Some(BLOCK_BYTES)),
            "one chunk at a time"
        );
        assert_eq!(decoder.next(BLOCK_BYTES - 1), Err(Fault::TooMuch));
    }
}
