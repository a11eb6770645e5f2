//! Compressed messages (RFC 7692), each by itself: neither side keeps what came before.
//!
//! So what compresses belongs to the thread and not to a connection, and what unpacks is lent to a message: a stranger that
//! agrees on compression costs no memory by that alone.

use std::cell::RefCell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// What a compressed message ends with that is not sent.
pub(crate) const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// Bytes that are made at once.
pub(crate) const STEP_BYTES: usize = 16 * 1024;
/// Inflaters that a thread keeps for the next messages.
const RESTING_MAX: usize = 8;

thread_local! {
    static COMPRESSOR: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), false));
    static RESTING: RefCell<Vec<Decompress>> = const { RefCell::new(Vec::new()) };
}

/// What came is not compressed in this way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

/// Unpacks one message.
pub(crate) struct Inflater {
    by: Decompress,
    is_over: bool,
}

impl Inflater {
    pub(crate) fn new() -> Self {
        let rested = RESTING.with_borrow_mut(Vec::pop).map(|mut by| {
            by.reset(false);
            by
        });
        Self { by: rested.unwrap_or_else(|| Decompress::new(false)), is_over: false }
    }

    /// The message is over: the next one may have what unpacked it.
    pub(crate) fn rest(self) {
        RESTING.with_borrow_mut(|resting| {
            if resting.len() < RESTING_MAX {
                resting.push(self.by);
            }
        });
    }

    /// Unpacks a step of what came. How much of it was taken, and whether nothing more can be made of it.
    ///
    /// # Errors
    /// If it is not compressed in this way.
    pub(crate) fn step(&mut self, packed: &[u8], plain: &mut Vec<u8>) -> Result<(usize, bool), Damaged> {
        // What follows the end of a stream means nothing.
        if self.is_over {
            return Ok((packed.len(), true));
        }
        let (start, taken, made) = (plain.len(), self.by.total_in(), self.by.total_out());
        plain.resize(start + STEP_BYTES, 0);
        let room = plain.get_mut(start..).unwrap_or_default();
        let status = self.by.decompress(packed, room, FlushDecompress::Sync).map_err(|_| Damaged);
        let (taken, made) = (self.by.total_in() - taken, self.by.total_out() - made);
        let (taken, made) = (usize::try_from(taken).unwrap_or(0), usize::try_from(made).unwrap_or(0));
        plain.truncate(start + made);
        self.is_over = status? == Status::StreamEnd;
        // Room is left: all that could be made of it was made.
        match made < STEP_BYTES && !self.is_over {
            true if taken < packed.len() => Err(Damaged),
            is_done => Ok((taken, is_done)),
        }
    }
}

/// Appends a message, compressed.
pub(crate) fn deflate(message: &[u8], out: &mut Vec<u8>) {
    COMPRESSOR.with_borrow_mut(|by| {
        by.reset();
        loop {
            let taken = usize::try_from(by.total_in()).unwrap_or(usize::MAX);
            out.reserve(STEP_BYTES.min(message.len() + 64));
            let rest = message.get(taken..).unwrap_or_default();
            // It fails only after the end of a stream, which is never written.
            let _ = by.compress_vec(rest, out, FlushCompress::Sync);
            if by.total_in() == message.len() as u64 && out.len() < out.capacity() {
                break;
            }
        }
    });
    if out.ends_with(&TAIL) {
        out.truncate(out.len() - TAIL.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn inflate(packed: &[u8]) -> Result<Vec<u8>, Damaged> {
        let (mut inflater, mut plain) = (Inflater::new(), Vec::new());
        let packed = [packed, &TAIL].concat();
        let (mut at, mut is_done) = (0, false);
        while !is_done {
            let before = plain.len();
            let step = inflater.step(&packed[at..], &mut plain)?;
            assert!(plain.len() - before <= STEP_BYTES);
            (at, is_done) = (at + step.0, step.1);
        }
        inflater.rest();
        Ok(plain)
    }

    fn packed(message: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        deflate(message, &mut packed);
        packed
    }

    #[test]
    fn what_is_not_compressed_is_refused() {
        assert_eq!(inflate(b"\xff\xff\xff\xff"), Err(Damaged));
    }

    #[test]
    fn the_examples_of_the_standard_are_read() {
        for packed in [
            &b"\xf2\x48\xcd\xc9\xc9\x07\x00"[..],
            b"\x00\x05\x00\xfa\xffHello\x00",
            b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
        ] {
            assert_eq!(inflate(packed), Ok(b"Hello".to_vec()), "{packed:x?}");
        }
    }

    #[test]
    fn what_follows_the_end_of_a_stream_means_nothing() {
        assert_eq!(inflate(b"\xf3\x48\xcd\xc9\xc9\x07\x00\xff\xff\xff"), Ok(b"Hello".to_vec()));
    }

    #[test]
    fn an_inflater_that_broke_off_serves_nobody_else() {
        let (mut one, mut plain) = (Inflater::new(), Vec::new());
        one.step(&packed(b"half of a message"), &mut plain).unwrap();
        one.rest();
        assert_eq!(inflate(&packed(b"another")), Ok(b"another".to_vec()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn every_message_comes_back(message in proptest::collection::vec(0_u8..4, 0..70_000)) {
            prop_assert_eq!(inflate(&packed(&message)), Ok(message));
        }
    }
}
