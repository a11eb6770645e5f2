//! Heads of frames (RFC 6455 §5.2).

use crate::close::Fault;

/// The longest control frame.
pub(crate) const MAX_CONTROL_BYTES: usize = 125;
/// The longest head: two bytes, eight of length, four of mask.
pub(crate) const MAX_HEAD_LEN: usize = 14;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn of(nibble: u8) -> Result<Self, Fault> {
        Ok(match nibble {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            other => return Err(Fault::protocol(format!("unknown opcode {other}"))),
        })
    }

    const fn nibble(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    /// Whether frames of this kind may stand between the parts of a message.
    pub(crate) const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) is_final: bool,
    pub(crate) is_compressed: bool,
    pub(crate) opcode: Opcode,
    pub(crate) mask: Option<[u8; 4]>,
    pub(crate) len: u64,
}

impl Head {
    /// That of a message in one frame.
    pub(crate) const fn whole(opcode: Opcode, mask: Option<[u8; 4]>) -> Self {
        Self { is_final: true, is_compressed: false, opcode, mask, len: 0 }
    }
}

/// Reads a head from the front of `bytes`: it and its length, or `None` if more bytes are needed.
///
/// # Errors
/// If no head begins like that.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<(Head, usize)>, Fault> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    if first & 0x30 != 0 {
        return Err(Fault::protocol("RSV2 and RSV3 must be clear"));
    }
    let (len, rest, used) = match (second & 0x7f, rest) {
        (126, [a, b, rest @ ..]) => (u64::from(u16::from_be_bytes([*a, *b])), rest, 4),
        (127, _) => match rest.split_first_chunk::<8>() {
            Some((len, rest)) => (u64::from_be_bytes(*len), rest, 10),
            None => return Ok(None),
        },
        (126, _) => return Ok(None),
        (len, rest) => (u64::from(len), rest, 2),
    };
    if len >> 63 != 0 {
        return Err(Fault::protocol("invalid 64-bit payload length"));
    }
    let (mask, used) = match (second & 0x80 != 0, rest.first_chunk::<4>()) {
        (false, _) => (None, used),
        (true, Some(mask)) => (Some(*mask), used + 4),
        (true, None) => return Ok(None),
    };
    let (is_final, is_compressed) = (first & 0x80 != 0, first & 0x40 != 0);
    Ok(Some((Head { is_final, is_compressed, opcode: Opcode::of(first & 0x0f)?, mask, len }, used)))
}

/// Appends a head, its length in as few bytes as it takes.
fn write_head(head: &Head, wire: &mut Vec<u8>) {
    wire.push(head.opcode.nibble() | if head.is_final { 0x80 } else { 0 } | if head.is_compressed { 0x40 } else { 0 });
    let masked = if head.mask.is_some() { 0x80 } else { 0 };
    match (u8::try_from(head.len), u16::try_from(head.len)) {
        (Ok(short), _) if short < 126 => wire.push(masked | short),
        (_, Ok(medium)) => {
            wire.push(masked | 126);
            wire.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            wire.push(masked | 127);
            wire.extend_from_slice(&head.len.to_be_bytes());
        }
    }
    wire.extend_from_slice(head.mask.as_ref().map_or(&[], |mask| mask.as_slice()));
}

/// Appends a frame with this body, masked if its head says so.
pub(crate) fn write(head: Head, body: &[u8], wire: &mut Vec<u8>) {
    write_head(&Head { len: body.len() as u64, ..head }, wire);
    let start = wire.len();
    wire.extend_from_slice(body);
    if let Some(mask) = head.mask {
        unmask(wire.get_mut(start..).unwrap_or_default(), mask, 0);
    }
}

/// Takes the mask off, or puts it on, from this place of the frame on. Where the next byte is masked.
pub(crate) fn unmask(bytes: &mut [u8], mask: [u8; 4], from: usize) -> usize {
    let mut turned = mask;
    turned.rotate_left(from % 4);
    let [a, b, c, d] = turned;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    rest.iter_mut().zip(turned.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    (from + bytes.len()) % 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn heads_take_as_few_bytes_as_they_need() {
        for (mask, more) in [(None, 0), (Some([1, 2, 3, 4]), 4)] {
            for (len, head) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
                let (mut wire, head) = (Vec::new(), head + more);
                let said = Head { len, ..Head::whole(Opcode::Binary, mask) };
                write_head(&said, &mut wire);
                assert_eq!((wire.len(), read(&wire).unwrap().unwrap()), (head, (said, head)));
                assert!((0..head).all(|cut| read(&wire[..cut]).unwrap().is_none()), "{len}");
            }
        }
    }

    #[test]
    fn what_is_no_head_is_told() {
        let text = |bytes: &[u8]| read(bytes).unwrap_err().text.into_owned();
        assert_eq!(text(b"\xa2\x00"), "RSV2 and RSV3 must be clear");
        assert_eq!(text(b"\x83\x00"), "unknown opcode 3");
        assert_eq!(text(b"\x82\x7f\x80\0\0\0\0\0\0\0"), "invalid 64-bit payload length");
    }

    proptest! {
        #[test]
        fn a_mask_comes_off_in_whatever_parts(bytes: Vec<u8>, mask: [u8; 4], cut in 0_usize..100) {
            let plain: Vec<u8> = bytes.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
            let mut taken = bytes.clone();
            let (before, after) = taken.split_at_mut(cut.min(bytes.len()));
            let from = unmask(before, mask, 0);
            unmask(after, mask, from);
            prop_assert_eq!(taken, plain);
        }
    }
}
