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

/// The bytes are no such stream, or a piece of it is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Corrupt;

/// Decompresses what comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    pending: Vec<u8>,
    has_begun: bool,
}

impl Decoder {
    /// Takes a piece and gives what can be decompressed now.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<Vec<u8>, Corrupt> {
        self.pending.extend_from_slice(piece);
        let (mut plain, mut at) = (Vec::new(), 0);
        while let Some(&[kind, a, b, c]) = self.pending.get(at..at + 4) {
            let length = u32::from_le_bytes([a, b, c, 0]) as usize;
            if length > MAX_CHUNK_BYTES {
                return Err(Corrupt);
            }
            let Some(body) = self.pending.get(at + 4..at + 4 + length) else { break };
            let is_identifier = kind == IDENTIFIER[0];
            if !is_identifier && !self.has_begun {
                return Err(Corrupt);
            }
            match kind {
                _ if is_identifier => {
                    let known = [IDENTIFIER, OLDER_IDENTIFIER].iter().any(|known| &known[4..] == body);
                    self.has_begun = known;
                    if !known {
                        return Err(Corrupt);
                    }
                }
                COMPRESSED | PLAIN => plain.extend_from_slice(&block(kind, body)?),
                FIRST_SKIPPABLE.. => {}
                _ => return Err(Corrupt),
            }
            at += 4 + length;
        }
        self.pending.drain(..at);
        Ok(plain)
    }
}

fn block(kind: u8, body: &[u8]) -> Result<Vec<u8>, Corrupt> {
    let (checksum, body) = body.split_first_chunk::<4>().ok_or(Corrupt)?;
    let plain = match kind {
        PLAIN if body.len() <= MAX_BLOCK_BYTES => body.to_vec(),
        PLAIN => return Err(Corrupt),
        _ => {
            let (length, _) = s2::decode_len(body).map_err(|_| Corrupt)?;
            if length > MAX_BLOCK_BYTES {
                return Err(Corrupt);
            }
            s2::decode(body).map_err(|_| Corrupt)?
        }
    };
    if minlz::crc::crc(&plain).to_le_bytes() == *checksum { Ok(plain) } else { Err(Corrupt) }
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

    fn plain(pieces: impl Iterator<Item = Vec<u8>>) -> Result<Vec<u8>, Corrupt> {
        let (mut decoder, mut out) = (Decoder::default(), Vec::new());
        for piece in pieces {
            out.extend(decoder.push(&piece)?);
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
        assert_eq!(plain(std::iter::once(bomb)), Err(Corrupt));
        assert_eq!(plain(std::iter::once(b"\x00\x04\x00\x00abcd".to_vec())), Err(Corrupt), "without an identifier");
    }
}
