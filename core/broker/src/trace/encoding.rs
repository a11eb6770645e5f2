//! Encodings of a report: gzip and snappy streams, for those who ask for one.
//!
//! A report is framed and not made smaller: whoever asks for an encoding has to find it, but a few hundred bytes now and
//! then are not worth a compressor in this room. Both formats know pieces that are stored as they are.

/// Bytes of one stored piece: a snappy chunk holds at most so many, a deflate block a few less than that.
const PIECE_BYTES: usize = 32 * 1024;

const GZIP_HEAD: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
const SNAPPY_HEAD: &[u8] = b"\xff\x06\x00\x00sNaPpY";
const SNAPPY_STORED: u8 = 1;

/// The polynomials, bits reversed.
const GZIP_POLYNOMIAL: u32 = 0xedb8_8320;
const SNAPPY_POLYNOMIAL: u32 = 0x82f6_3b78;

/// How a report is encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Encoding {
    Gzip,
    Snappy,
    /// As it is: nothing is known of what was asked for.
    Identity,
}

impl Encoding {
    /// The encoding for a list of those that the publisher reads.
    pub(super) fn among(accepted: &[u8]) -> Self {
        let accepted = accepted.to_ascii_lowercase();
        let names = |name: &str| memchr::memmem::find(&accepted, name.as_bytes()).is_some();
        match () {
            () if names("snappy") || names("s2") => Self::Snappy,
            () if names("gzip") => Self::Gzip,
            () => Self::Identity,
        }
    }

    /// The header block that names it.
    pub(super) const fn block(self) -> &'static [u8] {
        match self {
            Self::Gzip => b"NATS/1.0\r\nContent-Encoding: gzip\r\n\r\n",
            Self::Snappy => b"NATS/1.0\r\nContent-Encoding: snappy\r\n\r\n",
            Self::Identity => b"NATS/1.0\r\nContent-Encoding: identity\r\n\r\n",
        }
    }

    /// Appends the bytes, encoded.
    pub(super) fn encode(self, out: &mut Vec<u8>, bytes: &[u8]) {
        match self {
            Self::Gzip => gzip(out, bytes),
            Self::Snappy => snappy(out, bytes),
            Self::Identity => out.extend_from_slice(bytes),
        }
    }
}

fn gzip(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(GZIP_HEAD);
    for piece in bytes.chunks(PIECE_BYTES) {
        let length = piece.len() as u16;
        out.push(0);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(piece);
    }
    // An empty last block spares the question which one is the last.
    out.extend_from_slice(&[1, 0, 0, 0xff, 0xff]);
    out.extend_from_slice(&checksum(GZIP_POLYNOMIAL, bytes).to_le_bytes());
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
}

fn snappy(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(SNAPPY_HEAD);
    for piece in bytes.chunks(PIECE_BYTES) {
        let [low, middle, high, _] = (piece.len() as u32 + 4).to_le_bytes();
        out.extend_from_slice(&[SNAPPY_STORED, low, middle, high]);
        let masked = checksum(SNAPPY_POLYNOMIAL, piece).rotate_right(15).wrapping_add(0xa282_ead8);
        out.extend_from_slice(&masked.to_le_bytes());
        out.extend_from_slice(piece);
    }
}

/// A cyclic redundancy check, bit by bit.
fn checksum(polynomial: u32, bytes: &[u8]) -> u32 {
    let step = |sum: u32| sum >> 1 ^ if sum & 1 == 1 { polynomial } else { 0 };
    !bytes.iter().fold(!0, |sum, &byte| (0..8).fold(sum ^ u32::from(byte), |sum, _| step(sum)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_formats() {
        assert_eq!(checksum(GZIP_POLYNOMIAL, b"123456789"), 0xcbf4_3926);
        assert_eq!(checksum(SNAPPY_POLYNOMIAL, b"123456789"), 0xe306_9283);
    }

    #[test]
    fn the_first_that_is_known_is_taken_snappy_before_gzip() {
        let rows = [("gzip, S2", Encoding::Snappy), ("x-GZIP", Encoding::Gzip), ("br", Encoding::Identity)];
        for (accepted, encoding) in rows {
            assert_eq!(Encoding::among(accepted.as_bytes()), encoding, "{accepted}");
        }
    }

    #[test]
    fn streams_are_stored_in_pieces() {
        let mut out = Vec::new();
        gzip(&mut out, b"hi");
        let expected = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\0\x02\0\xfd\xffhi\x01\0\0\xff\xff\xac*\x93\xd8\x02\0\0\0";
        assert_eq!(out, expected);
        out.clear();
        snappy(&mut out, &[b'x'; PIECE_BYTES + 1]);
        assert_eq!(out.len(), SNAPPY_HEAD.len() + 2 * 8 + PIECE_BYTES + 1);
        assert_eq!(out[10..14], [1, 4, 0x80, 0]);
    }
}
