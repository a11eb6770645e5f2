//! How large an S2 stream is when unpacked, read from the headers of its frames as they pass by.

const COMPRESSED: u8 = 0x00;
const UNCOMPRESSED: u8 = 0x01;
/// Type and length of a frame.
const HEADER: usize = 4;
/// The checksum in front of data.
const CHECKSUM: u64 = 4;
/// Header, checksum and the longest length of a block: all that is ever looked at.
const NEEDED: usize = HEADER + 4 + 10;

/// Counts what is packed in a stream of frames that comes in pieces.
#[derive(Default)]
pub(crate) struct Unpacked {
    /// The start of the frame at hand.
    head: Vec<u8>,
    /// Bytes of the frame at hand that are still to come and not looked at.
    to_skip: u64,
    total: u64,
}

impl Unpacked {
    pub(crate) const fn bytes(&self) -> u64 {
        self.total
    }

    pub(crate) fn pass(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let skipped = piece.len().min(usize::try_from(self.to_skip).unwrap_or(usize::MAX));
            self.to_skip -= skipped as u64;
            piece = &piece[skipped..];
            let wanted = self.wanted().saturating_sub(self.head.len()).min(piece.len());
            self.head.extend_from_slice(&piece[..wanted]);
            piece = &piece[wanted..];
            if self.head.len() >= HEADER && self.head.len() == self.wanted() {
                self.finish_frame();
            }
        }
    }

    fn frame_length(&self) -> u64 {
        match self.head.as_slice() {
            [_, low, middle, high, ..] => u64::from(u32::from_le_bytes([*low, *middle, *high, 0])),
            _ => 0,
        }
    }

    /// How much of this frame is kept for a look.
    fn wanted(&self) -> usize {
        if self.head.len() < HEADER {
            return HEADER;
        }
        NEEDED.min(HEADER + usize::try_from(self.frame_length()).unwrap_or(usize::MAX))
    }

    fn finish_frame(&mut self) {
        let length = self.frame_length();
        self.total += match self.head.first() {
            Some(&COMPRESSED) => varint(self.head.get(HEADER + 4..).unwrap_or_default()),
            Some(&UNCOMPRESSED) => length.saturating_sub(CHECKSUM),
            _ => 0,
        };
        self.to_skip = length.saturating_sub((self.head.len() - HEADER) as u64);
        self.head.clear();
    }
}

fn varint(bytes: &[u8]) -> u64 {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(9).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The magic frame, a packed block of 300 bytes, one that is not packed, and padding.
    fn stream() -> Vec<u8> {
        let mut bytes = vec![0xff, 6, 0, 0];
        bytes.extend_from_slice(b"S2sTwO");
        bytes.extend_from_slice(&[COMPRESSED, 26, 0, 0, 1, 2, 3, 4, 0xac, 0x02]);
        bytes.extend_from_slice(&[7; 20]);
        bytes.extend_from_slice(&[UNCOMPRESSED, 9, 0, 0, 1, 2, 3, 4, 5, 5, 5, 5, 5]);
        bytes.extend_from_slice(&[0xfe, 3, 0, 0, 0, 0, 0]);
        bytes
    }

    #[test]
    fn pieces_of_any_size_count_the_same() {
        for size in [1, 2, 3, 7, 64] {
            let mut unpacked = Unpacked::default();
            stream().chunks(size).for_each(|piece| unpacked.pass(piece));
            assert_eq!(unpacked.bytes(), 305, "in pieces of {size}");
        }
    }
}
