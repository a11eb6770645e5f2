//! The half that writes frames.

use std::sync::PoisonError;

use crate::close;
use crate::deflate;
use crate::frame::{self, Head, Opcode};
use crate::opener::Answers;
use crate::upgrade::Agreed;

/// Shorter data is not compressed.
const COMPRESSED_MIN_BYTES: usize = 64;
/// The most that one message holds: data is a stream, so it may be cut anywhere.
const MESSAGE_BYTES: usize = 64 * 1024 - 1;
/// So much memory a connection keeps between its batches: those that are quiet should not pay for those that were not.
const KEPT_BYTES: usize = 4096;
/// The most that a frame for a browser holds; some take no more.
const BROWSER_FRAME_BYTES: usize = 4096;

/// Makes the mask of the next frame: four bytes that nobody can guess (RFC 6455 §5.3).
pub type Masks = Box<dyn FnMut() -> [u8; 4] + Send>;

/// Puts data into frames.
pub struct Sealer {
    compresses: bool,
    /// Who masks its frames has them.
    masks: Option<Masks>,
    frame_bytes: usize,
    /// One compressed message is one frame.
    is_whole: bool,
    data: Vec<u8>,
    packed: Vec<u8>,
    answers: Answers,
    is_closed: bool,
}

impl Sealer {
    pub(crate) fn new(agreed: &Agreed, masks: Option<Masks>, answers: Answers) -> Self {
        Self {
            compresses: agreed.compresses,
            masks,
            frame_bytes: if agreed.is_browser { BROWSER_FRAME_BYTES } else { MESSAGE_BYTES },
            is_whole: agreed.is_safari,
            data: Vec::new(),
            packed: Vec::new(),
            answers,
            is_closed: false,
        }
    }

    /// Takes the next piece of a batch, and appends frames that are full.
    pub fn seal(&mut self, mut plain: &[u8], wire: &mut Vec<u8>) {
        while let Some((now, later)) = plain.split_at_checked(MESSAGE_BYTES - self.data.len()) {
            self.data.extend_from_slice(now);
            self.finish(wire);
            plain = later;
        }
        self.data.extend_from_slice(plain);
    }

    /// The batch is over: appends what is left of it.
    pub fn finish(&mut self, wire: &mut Vec<u8>) {
        if self.data.is_empty() {
            return;
        }
        let data = std::mem::take(&mut self.data);
        if self.compresses && data.len() > COMPRESSED_MIN_BYTES {
            let mut packed = std::mem::take(&mut self.packed);
            deflate::deflate(&data, &mut packed);
            self.fragments(&packed, wire);
            self.packed = small(packed);
        } else {
            data.chunks(self.frame_bytes).for_each(|part| self.message(Opcode::Binary, part, wire));
        }
        self.data = small(data);
    }

    /// Appends the answers to what the peer asked.
    pub fn answer(&mut self, wire: &mut Vec<u8>) {
        let mut waiting = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let (pong, close) = (waiting.pong.take(), waiting.close.take());
        drop(waiting);
        if let Some(body) = pong {
            self.message(Opcode::Pong, &body, wire);
        }
        if let Some(body) = close {
            self.is_closed = true;
            self.message(Opcode::Close, &body, wire);
        }
    }

    /// Says goodbye with a code of RFC 6455 §7.4.1 and a reason, once.
    pub fn close(&mut self, code: u16, reason: &str, wire: &mut Vec<u8>) {
        if !self.is_closed {
            self.is_closed = true;
            self.message(Opcode::Close, &close::body(code, reason), wire);
        }
    }

    /// Appends a message in one frame.
    fn message(&mut self, opcode: Opcode, body: &[u8], wire: &mut Vec<u8>) {
        frame::write(Head::whole(opcode, self.next_mask()), body, wire);
    }

    /// Appends a compressed message in as many frames as it takes.
    fn fragments(&mut self, packed: &[u8], wire: &mut Vec<u8>) {
        let most = if self.is_whole { usize::MAX } else { self.frame_bytes };
        let mut rest = packed;
        let mut is_first = true;
        loop {
            let (now, later) = rest.split_at_checked(most).unwrap_or((rest, &[]));
            let opcode = if is_first { Opcode::Binary } else { Opcode::Continuation };
            let head =
                Head { is_final: later.is_empty(), is_compressed: is_first, ..Head::whole(opcode, self.next_mask()) };
            frame::write(head, now, wire);
            if later.is_empty() {
                return;
            }
            (rest, is_first) = (later, false);
        }
    }

    fn next_mask(&mut self) -> Option<[u8; 4]> {
        self.masks.as_mut().map(|next| next())
    }
}

/// The same memory for the next batch, unless it is much.
fn small(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.clear();
    bytes.shrink_to(KEPT_BYTES);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Masking, pair, pair_with_masks};
    use proptest::prelude::*;

    fn agreed(compresses: bool, is_browser: bool) -> Agreed {
        // What is sealed by a server has no mask, and is read back here.
        Agreed { peer_masks: Masking::Never, compresses, is_browser, is_safari: false }
    }

    fn sealed(agreed: &Agreed, pieces: &[Vec<u8>]) -> (Vec<u8>, Vec<u8>) {
        let (mut opener, mut sealer) = pair(agreed, Limits::default());
        let (mut wire, mut plain) = (Vec::new(), Vec::new());
        pieces.iter().for_each(|piece| sealer.seal(piece, &mut wire));
        sealer.finish(&mut wire);
        opener.open(&wire, &mut plain).unwrap();
        while opener.has_more() {
            opener.open(&[], &mut plain).unwrap();
        }
        (wire, plain)
    }

    #[test]
    fn a_batch_is_one_frame() {
        let (wire, _) = sealed(&agreed(false, false), &[b"MSG a 1 1\r\n".to_vec(), b"x\r\n".to_vec()]);
        assert_eq!(wire, b"\x82\x0eMSG a 1 1\r\nx\r\n");
    }

    #[test]
    fn a_quiet_connection_keeps_little_of_a_large_batch() {
        let (_, mut sealer) = pair(&agreed(true, false), Limits::default());
        for len in [MESSAGE_BYTES * 3, 10] {
            sealer.seal(&vec![b'x'; len], &mut Vec::new());
            sealer.finish(&mut Vec::new());
            assert!(sealer.data.capacity() + sealer.packed.capacity() <= 2 * KEPT_BYTES);
        }
    }

    #[test]
    fn short_data_is_not_compressed_and_long_data_is() {
        let sealed = |len: usize| sealed(&agreed(true, false), &[vec![b'x'; len]]).0;
        assert_eq!((sealed(64)[0], sealed(64).len()), (0x82, 66));
        let wire = sealed(65);
        assert_eq!(wire[0], 0xc2);
        assert!(wire.len() < 20, "{wire:?}");
    }

    #[test]
    fn a_browser_gets_frames_of_four_kib() {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        let noise: Vec<u8> = (0..20_000).map(|_| next()).collect();
        for compresses in [false, true] {
            let (wire, plain) = sealed(&agreed(compresses, true), std::slice::from_ref(&noise));
            assert_eq!(plain, noise);
            let (mut at, mut frames) = (0, 0);
            while let Some((head, used)) = frame::read(&wire[at..]).unwrap() {
                assert!(head.len <= 4096);
                assert_eq!(head.is_compressed, compresses && frames == 0);
                (at, frames) = (at + used + usize::try_from(head.len).unwrap(), frames + 1);
            }
            assert!(frames >= 4, "{frames}");
        }
    }

    #[test]
    fn who_asked_for_the_connection_masks_each_frame_anew() {
        let mut next = 0;
        let masks: Masks = Box::new(move || {
            next += 1;
            [0, 0, 0, next]
        });
        let asking = Agreed { peer_masks: Masking::Never, ..Agreed::default() };
        let (_, mut sealer) = pair_with_masks(&asking, Limits::default(), masks);
        let mut wire = Vec::new();
        sealer.seal(b"PING", &mut wire);
        sealer.finish(&mut wire);
        sealer.close(1000, "", &mut wire);
        assert_eq!(wire, b"\x82\x84\0\0\0\x01PINF\x88\x82\0\0\0\x02\x03\xe8");
        let asked = Agreed { peer_masks: Masking::Must, ..Agreed::default() };
        let (mut opener, _) = pair(&asked, Limits::default());
        let mut plain = Vec::new();
        assert!(opener.open(&wire, &mut plain).unwrap().closed);
        assert_eq!(plain, b"PING");
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_read(
            pieces in proptest::collection::vec(proptest::collection::vec(b'a'..b'e', 0..50_000), 0..6),
            compresses: bool,
            is_browser: bool,
        ) {
            prop_assert_eq!(sealed(&agreed(compresses, is_browser), &pieces).1, pieces.concat());
        }
    }
}
