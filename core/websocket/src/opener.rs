//! The half that reads frames.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use crate::close::{self, Fault};
use crate::deflate::{Inflater, STEP_BYTES, TAIL};
use crate::frame::{self, Head, MAX_CONTROL_BYTES, MAX_HEAD_LEN, Opcode};
use crate::upgrade::{Agreed, Masking};

/// Once so much was unpacked, the peer's turn is over: what it packed tightly neither lies in memory as a whole nor keeps the
/// others waiting.
pub const OPENED_MAX_BYTES: usize = 256 * 1024;
/// Bytes of a compressed message that are taken at once.
const PIECE_BYTES: usize = 16 * 1024;

/// Bounds of what a peer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest message that was compressed, when it no longer is.
    pub message_max_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { message_max_bytes: 1 << 20 }
    }
}

/// What came of reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// The peer has said its last word.
    pub closed: bool,
    /// There is something to answer: [`crate::Sealer::answer`].
    pub answer: bool,
}

/// What is to be answered. Of several pings the last one counts (RFC 6455 §5.5.3), so it stays small.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    pub(crate) pong: Option<Vec<u8>>,
    pub(crate) close: Option<Vec<u8>>,
}

pub(crate) type Answers = Arc<Mutex<Waiting>>;

/// What the next bytes are.
enum State {
    Head,
    Data { left: u64, mask: Option<[u8; 4]>, at: usize, is_final: bool },
    Control { opcode: Opcode, left: usize, mask: Option<[u8; 4]> },
    Over,
}

/// A message that is being unpacked as it comes.
struct Unpacking {
    inflater: Inflater,
    /// The piece at hand, and how much of it was taken.
    piece: Vec<u8>,
    taken: usize,
    /// Nothing more can be made of the piece.
    is_done: bool,
    /// It is the last one.
    is_last: bool,
    /// Unpacked until now.
    unpacked: usize,
}

/// Takes frames apart.
pub struct Opener {
    masking: Masking,
    compresses: bool,
    limits: Limits,
    state: State,
    /// The part of a head that has come, or the body of a control frame.
    few: Vec<u8>,
    /// A message has begun.
    in_message: bool,
    /// It is compressed.
    unpacking: Option<Unpacking>,
    /// What came and was not looked at, because so much was unpacked before it.
    rest: Vec<u8>,
    answers: Answers,
}

impl Opener {
    pub(crate) fn new(agreed: &Agreed, limits: Limits, answers: Answers) -> Self {
        Self {
            masking: agreed.peer_masks,
            compresses: agreed.compresses,
            limits,
            state: State::Head,
            few: Vec::new(),
            in_message: false,
            unpacking: None,
            rest: Vec::new(),
            answers,
        }
    }

    /// Other bounds from now on.
    pub fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes what is read later.
    pub fn keep(&mut self, wire: &[u8]) {
        self.rest.extend_from_slice(wire);
    }

    /// Bytes that were taken and are not read yet.
    pub fn held(&self) -> usize {
        self.rest.len() + self.unpacking.as_ref().map_or(0, |unpacking| unpacking.piece.len())
    }

    /// So much came that it is not all read yet: [`Opener::open`] goes on without another byte.
    pub fn has_more(&self) -> bool {
        !matches!(self.state, State::Over) && (!self.rest.is_empty() || self.is_unpacking())
    }

    fn is_unpacking(&self) -> bool {
        self.unpacking.as_ref().is_some_and(|unpacking| !unpacking.is_done)
    }

    /// Takes what came and appends the data in it to `plain`: all of it, unless that was so tightly packed that there
    /// [is more](Opener::has_more).
    ///
    /// # Errors
    /// If the peer broke the rules. Nothing may be read after that.
    pub fn open(&mut self, wire: &[u8], plain: &mut Vec<u8>) -> Result<Opened, Fault> {
        if self.rest.is_empty() {
            let (opened, used) = self.read(wire, plain)?;
            self.rest = wire.get(used..).unwrap_or_default().to_vec();
            return Ok(opened);
        }
        let mut kept = mem::take(&mut self.rest);
        kept.extend_from_slice(wire);
        let (opened, used) = self.read(&kept, plain)?;
        kept.drain(..used);
        self.rest = kept;
        Ok(opened)
    }

    /// The same; how much of it was read.
    fn read(&mut self, all: &[u8], plain: &mut Vec<u8>) -> Result<(Opened, usize), Fault> {
        let mut opened = Opened::default();
        let mut wire = all;
        let most = plain.len() + OPENED_MAX_BYTES;
        loop {
            if self.is_unpacking() && !self.unpack(plain, most)? {
                return Ok((opened, all.len() - wire.len()));
            }
            if wire.is_empty() && !self.goes_on() {
                return Ok((opened, all.len()));
            }
            wire = match self.state {
                State::Over => {
                    opened.closed = true;
                    return Ok((opened, all.len()));
                }
                State::Head => match self.head(wire)? {
                    Some(rest) => rest,
                    None => return Ok((opened, all.len())),
                },
                State::Data { left, mask, at, is_final } => self.data((left, mask, at, is_final), wire, plain)?,
                State::Control { opcode, left, mask } => self.control((opcode, left, mask), wire, &mut opened)?,
            };
        }
    }

    /// What is empty is done without another byte.
    fn goes_on(&self) -> bool {
        matches!(self.state, State::Data { left: 0, .. } | State::Control { left: 0, .. } | State::Over)
    }

    /// What follows a head, once there is all of it.
    fn head<'a>(&mut self, wire: &'a [u8]) -> Result<Option<&'a [u8]>, Fault> {
        let had = self.few.len();
        let some = wire.get(..MAX_HEAD_LEN.saturating_sub(had).min(wire.len())).unwrap_or_default();
        self.few.extend_from_slice(some);
        let Some((head, used)) = frame::read(&self.few)? else { return Ok(None) };
        self.few.clear();
        self.begin(&head)?;
        Ok(wire.get(used - had..))
    }

    fn begin(&mut self, head: &Head) -> Result<(), Fault> {
        if head.opcode.is_control() {
            return self.begin_control(head);
        }
        match (head.opcode, self.in_message) {
            (Opcode::Continuation, false) => return Err(Fault::protocol("invalid continuation frame")),
            (Opcode::Continuation, true) if head.is_compressed => {
                return Err(Fault::protocol("invalid continuation frame"));
            }
            (Opcode::Continuation, true) => {}
            (_, true) => {
                return Err(Fault::protocol(
                    "new message started before final frame for previous message was received",
                ));
            }
            (_, false) if head.is_compressed && !self.compresses => {
                return Err(Fault::protocol("compressed frame received without negotiated permessage-deflate"));
            }
            (_, false) => {
                self.in_message = true;
                self.unpacking = head.is_compressed.then(Unpacking::new);
            }
        }
        self.check_mask(head)?;
        self.state = State::Data { left: head.len, mask: head.mask, at: 0, is_final: head.is_final };
        Ok(())
    }

    fn begin_control(&mut self, head: &Head) -> Result<(), Fault> {
        let left = usize::try_from(head.len).ok().filter(|&len| len <= MAX_CONTROL_BYTES);
        let Some(left) = left else {
            return Err(Fault::protocol("control frame length bigger than maximum allowed of 125 bytes"));
        };
        if !head.is_final {
            return Err(Fault::protocol("control frame does not have final bit set"));
        }
        if head.is_compressed {
            return Err(Fault::protocol("control frame must not be compressed"));
        }
        self.check_mask(head)?;
        self.state = State::Control { opcode: head.opcode, left, mask: head.mask };
        Ok(())
    }

    fn check_mask(&self, head: &Head) -> Result<(), Fault> {
        match (self.masking, head.mask) {
            (Masking::Must, None) => Err(Fault::protocol("mask bit missing")),
            (Masking::Never, Some(_)) => Err(Fault::protocol("mask bit not expected")),
            _ => Ok(()),
        }
    }

    fn data<'a>(
        &mut self,
        (left, mask, at, is_final): (u64, Option<[u8; 4]>, usize, bool),
        wire: &'a [u8],
        plain: &mut Vec<u8>,
    ) -> Result<&'a [u8], Fault> {
        let most = if self.unpacking.is_some() { PIECE_BYTES } else { usize::MAX };
        let now = usize::try_from(left).unwrap_or(usize::MAX).min(wire.len()).min(most);
        let (body, rest) = wire.split_at_checked(now).unwrap_or_default();
        let into = match &mut self.unpacking {
            Some(unpacking) => unpacking.take_piece(),
            None => &mut *plain,
        };
        let start = into.len();
        into.extend_from_slice(body);
        let masked = into.get_mut(start..).unwrap_or_default();
        let at = mask.map_or(0, |mask| frame::unmask(masked, mask, at));
        let left = left - now as u64;
        self.state = State::Data { left, mask, at, is_final };
        if left == 0 {
            self.state = State::Head;
            if is_final {
                self.in_message = false;
                self.unpacking.iter_mut().for_each(Unpacking::end);
            }
        }
        Ok(rest)
    }

    /// Unpacks the piece at hand. Whether nothing is left of it.
    fn unpack(&mut self, plain: &mut Vec<u8>, most: usize) -> Result<bool, Fault> {
        let Some(unpacking) = &mut self.unpacking else { return Ok(true) };
        while !unpacking.is_done {
            if plain.len() + STEP_BYTES > most {
                return Ok(false);
            }
            unpacking.step(plain)?;
            if unpacking.unpacked > self.limits.message_max_bytes {
                return Err(Fault::too_big());
            }
        }
        if unpacking.is_last
            && let Some(unpacking) = self.unpacking.take()
        {
            unpacking.inflater.rest();
        }
        Ok(true)
    }

    fn control<'a>(
        &mut self,
        (opcode, left, mask): (Opcode, usize, Option<[u8; 4]>),
        wire: &'a [u8],
        opened: &mut Opened,
    ) -> Result<&'a [u8], Fault> {
        let (body, rest) = wire.split_at_checked(left.min(wire.len())).unwrap_or_default();
        self.few.extend_from_slice(body);
        let left = left - body.len();
        self.state = State::Control { opcode, left, mask };
        if left > 0 {
            return Ok(rest);
        }
        if let Some(mask) = mask {
            frame::unmask(&mut self.few, mask, 0);
        }
        let body = mem::take(&mut self.few);
        self.state = State::Head;
        let mut waiting = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        match opcode {
            Opcode::Ping => {
                waiting.pong = Some(body);
                opened.answer = true;
            }
            Opcode::Close => {
                close::read(&body)?;
                waiting.close = Some(body);
                *opened = Opened { closed: true, answer: true };
                self.state = State::Over;
            }
            _ => {}
        }
        Ok(rest)
    }
}

impl Unpacking {
    fn new() -> Self {
        let piece = Vec::new();
        Self { inflater: Inflater::new(), piece, taken: 0, is_done: true, is_last: false, unpacked: 0 }
    }

    /// Room for the next piece; the last one is done.
    fn take_piece(&mut self) -> &mut Vec<u8> {
        self.piece.clear();
        (self.taken, self.is_done) = (0, false);
        &mut self.piece
    }

    /// The piece at hand is the last one.
    fn end(&mut self) {
        self.piece.extend_from_slice(&TAIL);
        self.is_last = true;
    }

    fn step(&mut self, plain: &mut Vec<u8>) -> Result<(), Fault> {
        let before = plain.len();
        let rest = self.piece.get(self.taken..).unwrap_or_default();
        let (taken, is_done) =
            self.inflater.step(rest, plain).map_err(|_| Fault::not_text("compressed data cannot be read"))?;
        self.taken += taken;
        self.is_done = is_done;
        self.unpacked += plain.len() - before;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Sealer, deflate, pair};
    use proptest::prelude::*;

    fn agreed(compresses: bool) -> Agreed {
        Agreed { peer_masks: Masking::Must, compresses, ..Agreed::default() }
    }

    /// A frame as a client writes it.
    fn masked(first: u8, body: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut wire = vec![first];
        match body.len() {
            len @ 0..=125 => wire.push(0x80 | len as u8),
            len @ 126..=65_535 => {
                wire.push(0x80 | 126);
                wire.extend_from_slice(&(len as u16).to_be_bytes());
            }
            len => {
                wire.push(0x80 | 127);
                wire.extend_from_slice(&(len as u64).to_be_bytes());
            }
        }
        wire.extend_from_slice(&mask);
        let start = wire.len();
        wire.extend_from_slice(body);
        frame::unmask(&mut wire[start..], mask, 0);
        wire
    }

    fn read(compresses: bool, wire: &[u8]) -> Result<(Vec<u8>, Opened, Sealer), Fault> {
        let (mut opener, sealer) = pair(&agreed(compresses), Limits { message_max_bytes: 1000 });
        let mut plain = Vec::new();
        let opened = opener.open(wire, &mut plain)?;
        Ok((plain, opened, sealer))
    }

    fn packed(message: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        deflate::deflate(message, &mut packed);
        packed
    }

    fn fault(wire: &[u8]) -> (u16, String) {
        let fault = read(true, wire).err().expect("a fault");
        (fault.code, fault.text.into_owned())
    }

    #[test]
    fn data_is_a_stream_whatever_the_frames() {
        let wire = [masked(0x01, b"PUB a"), masked(0x89, b"are you there"), masked(0x80, b" 1\r\n"), masked(0x82, b"")];
        let (plain, opened, mut sealer) = read(false, &wire.concat()).unwrap();
        assert_eq!((plain.as_slice(), opened), (&b"PUB a 1\r\n"[..], Opened { closed: false, answer: true }));
        let mut answer = Vec::new();
        sealer.answer(&mut answer);
        assert_eq!(answer, b"\x8a\x0dare you there");
    }

    #[test]
    fn a_close_is_answered_by_the_same_and_nothing_is_read_behind_it() {
        let wire = [masked(0x88, b"\x03\xe8bye"), masked(0x82, b"PUB")].concat();
        let (plain, opened, mut sealer) = read(false, &wire).unwrap();
        assert_eq!((plain.len(), opened), (0, Opened { closed: true, answer: true }));
        let mut answer = Vec::new();
        sealer.answer(&mut answer);
        sealer.close(1000, "Client Closed", &mut answer);
        assert_eq!(answer, b"\x88\x05\x03\xe8bye", "one close is enough");
    }

    #[test]
    fn what_breaks_the_rules_is_told_by_its_code() {
        let long = masked(0x89, &[0; 126]);
        for (wire, code, text) in [
            (b"\x82\x01a".to_vec(), 1002, "mask bit missing"),
            (masked(0x80, b"x"), 1002, "invalid continuation frame"),
            (
                [masked(0x02, b"x"), masked(0x82, b"y")].concat(),
                1002,
                "new message started before final frame for previous message was received",
            ),
            ([masked(0x02, b"x"), masked(0xc0, b"y")].concat(), 1002, "invalid continuation frame"),
            (long, 1002, "control frame length bigger than maximum allowed of 125 bytes"),
            (masked(0x09, b""), 1002, "control frame does not have final bit set"),
            (masked(0xc9, b""), 1002, "control frame must not be compressed"),
            (masked(0x88, b"x"), 1002, "close frame payload cannot be 1 byte"),
            (masked(0x88, b"\x03\xed"), 1002, "invalid close status code 1005"),
            (masked(0x88, b"\x03\xe8\xff"), 1007, "invalid utf8 body in close frame"),
            (masked(0xc2, &[0xff; 8]), 1007, "compressed data cannot be read"),
            (masked(0xc2, &packed(&[0; 1001])), 1009, "maximum payload exceeded"),
        ] {
            assert_eq!(fault(&wire), (code, text.to_owned()));
        }
        let refused = read(false, &masked(0xc2, b"x")).err().unwrap();
        assert_eq!(refused.text, "compressed frame received without negotiated permessage-deflate");
    }

    /// What a peer with these bounds reads of messages that were compressed, turn by turn.
    fn turns(messages: &[Vec<u8>], message_max_bytes: usize) -> Result<Vec<usize>, Fault> {
        let wire: Vec<u8> = messages.iter().flat_map(|message| masked(0xc2, &packed(message))).collect();
        let (mut opener, _) = pair(&agreed(true), Limits { message_max_bytes });
        let (mut turns, mut plain) = (Vec::new(), Vec::new());
        let mut wire = wire.as_slice();
        loop {
            let before = plain.len();
            opener.open(wire, &mut plain)?;
            turns.push(plain.len() - before);
            if !opener.has_more() {
                assert_eq!((plain, opener.held()), (messages.concat(), 0));
                return Ok(turns);
            }
            wire = &[];
        }
    }

    #[test]
    fn what_is_packed_tightly_comes_in_turns() {
        let zeros = vec![0; 10_000_000];
        assert_eq!(turns(std::slice::from_ref(&zeros), 1_000_000).unwrap_err().code, 1009);
        let turns = turns(&[zeros, b"x".to_vec(), vec![1; 300_000]], 10_000_000).unwrap();
        assert!(turns.len() >= 10_300_001 / OPENED_MAX_BYTES && turns.iter().all(|turn| *turn <= OPENED_MAX_BYTES));
    }

    #[test]
    fn many_messages_that_are_tightly_packed_come_in_turns_too() {
        let messages = vec![vec![0; 16_000]; 4000];
        let turns = turns(&messages, 16_000).unwrap();
        assert!(turns.iter().all(|turn| *turn <= OPENED_MAX_BYTES));
    }

    #[test]
    fn a_message_without_end_is_read_as_it_comes() {
        let (mut opener, _) = pair(&agreed(true), Limits { message_max_bytes: 1_000_000 });
        let mut plain = Vec::new();
        let mut compressed = packed(b"PING\r\n");
        compressed.extend_from_slice(&TAIL);
        opener.open(&masked(0x42, &compressed), &mut plain).unwrap();
        assert_eq!(plain, b"PING\r\n", "before its last frame");
        for _ in 0..100_000 {
            opener.open(&masked(0x00, b""), &mut plain).unwrap();
        }
        assert!(opener.held() <= PIECE_BYTES);
        opener.open(&masked(0x80, b""), &mut plain).unwrap();
        assert_eq!(opener.held(), 0);
    }

    proptest! {
        #[test]
        fn every_cut_reads_the_same(
            parts in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..400)), 1..6),
            cuts in proptest::collection::vec(1_usize..60, 1..40),
        ) {
            let mut wire = Vec::new();
            let mut sent = Vec::new();
            for (compressed, part) in &parts {
                if *compressed {
                    let packed = packed(part);
                    let (one, two) = packed.split_at(packed.len() / 2);
                    wire.extend(masked(0x42, one));
                    wire.extend(masked(0x8a, b"pong"));
                    wire.extend(masked(0x80, two));
                } else {
                    wire.extend(masked(0x82, part));
                }
                sent.extend_from_slice(part);
            }
            let (mut opener, _) = pair(&agreed(true), Limits::default());
            let mut plain = Vec::new();
            let mut rest = wire.as_slice();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                opener.open(now, &mut plain).unwrap();
                rest = later;
            }
            while opener.has_more() {
                opener.open(&[], &mut plain).unwrap();
            }
            prop_assert_eq!(plain, sent);
        }

        #[test]
        fn whatever_comes_is_read_or_refused(wire: Vec<u8>, compresses: bool) {
            let _ = read(compresses, &wire);
        }
    }
}
