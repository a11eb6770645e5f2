//! WebSocket as a peer speaks it: a request, and frames around the protocol. Frames are made by hand, so that a script can make
//! wrong ones; what comes is read by the room that knows them.

use std::collections::VecDeque;

use websocket::{Agreed, Limits, Masking, Opener, pair};

/// The request that asks for a connection, unless a script says otherwise.
const USUAL: [(&str, &str); 5] = [
    ("Host", "localhost"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
];

/// What is not shown of an answer: when it was given, and whether another request may follow one that was refused.
const HIDDEN: [&str; 2] = ["date:", "connection: close"];

/// The mask of all frames that a peer sends.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// `[METHOD] TARGET | Name: value | …`: a value takes the place of the usual one of that name, an empty one leaves it out.
pub(crate) fn request(text: &str) -> String {
    let mut parts = text.split(" | ").map(str::trim);
    let first = parts.next().unwrap_or_default();
    let (method, target) = first.split_once(' ').unwrap_or(("GET", first));
    let said: Vec<(&str, &str)> = parts.filter_map(|line| line.split_once(':')).map(|(n, v)| (n, v.trim())).collect();
    let is_said = |name: &str| said.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
    let usual = USUAL.iter().copied().filter(|(name, _)| !is_said(name));
    let lines = usual.chain(said.iter().copied().filter(|(_, value)| !value.is_empty()));
    let lines: String = lines.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{method} {target} HTTP/1.1\r\n{lines}\r\n")
}

/// An answer as it is shown: its status, and its headers in order.
pub(crate) fn answer(head: &str) -> Vec<String> {
    let mut lines = head.split("\r\n").filter(|line| !line.is_empty());
    let status = lines.next().unwrap_or_default().to_owned();
    let mut headers: Vec<String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| format!("{}: {}", name.to_ascii_lowercase(), value.trim()))
        .filter(|line| !HIDDEN.iter().any(|hidden| line.starts_with(hidden)))
        .collect();
    headers.sort();
    [vec![status], headers].concat()
}

/// A frame as a client sends it.
pub(crate) fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut wire = vec![first];
    match body.len() {
        len @ 0..=125 => wire.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            wire.push(0x80 | 126);
            wire.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            wire.push(0x80 | 127);
            wire.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    wire.extend_from_slice(&MASK);
    wire.extend(body.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    wire
}

/// What comes in frames.
pub(crate) struct Framed {
    opener: Opener,
    wire: Vec<u8>,
}

/// What is in a frame.
pub(crate) enum Piece {
    /// A part of the protocol.
    Data(Vec<u8>),
    /// A control frame, in words.
    Control(String),
}

impl Framed {
    pub(crate) fn new(compresses: bool) -> Self {
        let agreed = Agreed { peer_masks: Masking::May, compresses, ..Agreed::default() };
        Self { opener: pair(&agreed, Limits { message_max_bytes: usize::MAX }).0, wire: Vec::new() }
    }

    /// Takes what came: the frames that are whole.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> VecDeque<Piece> {
        self.wire.extend_from_slice(bytes);
        let mut pieces = VecDeque::new();
        while let Some((opcode, head, len)) = head(&self.wire).filter(|(_, head, len)| self.wire.len() >= head + len) {
            let frame: Vec<u8> = self.wire.drain(..head + len).collect();
            pieces.push_back(match opcode {
                0..=2 => Piece::Data(self.data(&frame)),
                _ => Piece::Control(control(opcode, &frame[head..])),
            });
        }
        pieces
    }

    fn data(&mut self, frame: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        if let Err(fault) = self.opener.open(frame, &mut plain) {
            return format!("(a bad frame: {fault})\r\n").into_bytes();
        }
        while self.opener.has_more() {
            let _ = self.opener.open(&[], &mut plain);
        }
        plain
    }
}

/// Opcode, length of the head, length of the body. Servers mask nothing.
fn head(wire: &[u8]) -> Option<(u8, usize, usize)> {
    let [first, second, rest @ ..] = wire else { return None };
    let (head, len) = match second & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes(*rest.first_chunk()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?),
        len => (2, usize::from(len)),
    };
    Some((first & 0x0f, head, len))
}

fn control(opcode: u8, body: &[u8]) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match (opcode, body) {
        (8, [high, low, reason @ ..]) => format!("(close {} {})", u16::from_be_bytes([*high, *low]), text(reason)),
        (8, body) => format!("(close{})", text(body)),
        (9, body) => format!("(ping {})", text(body)),
        (10, body) => format!("(pong {})", text(body)),
        (opcode, body) => format!("(opcode {opcode} {})", text(body)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_script_says_takes_the_place_of_the_usual() {
        let text = request("POST /a | host: b | Upgrade: | X: y");
        assert!(text.starts_with("POST /a HTTP/1.1\r\nConnection: Upgrade\r\n"), "{text}");
        assert!(text.ends_with("\r\nhost: b\r\nX: y\r\n\r\n") && !text.contains("pgrade: w"), "{text}");
        assert!(request("/").starts_with("GET / HTTP/1.1\r\nHost: localhost\r\n"));
    }

    #[test]
    fn an_answer_is_shown_in_order_and_without_its_date() {
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nDate: now\r\nA: b\r\nConnection: close";
        assert_eq!(answer(head), ["HTTP/1.1 101 Switching Protocols", "a: b", "upgrade: websocket"]);
    }

    #[test]
    fn frames_are_taken_apart_as_they_come() {
        let mut framed = Framed::new(false);
        let wire = b"\x82\x06PING\r\n\x8a\x01x\x88\x05\x03\xe8bye";
        let (one, two) = wire.split_at(5);
        let mut pieces = framed.take(one);
        pieces.extend(framed.take(two));
        let shown: Vec<String> = pieces
            .into_iter()
            .map(|piece| match piece {
                Piece::Data(data) => String::from_utf8(data).unwrap(),
                Piece::Control(text) => text,
            })
            .collect();
        assert_eq!(shown, ["PING\r\n", "(pong x)", "(close 1000 bye)"]);
        assert_eq!(frame(0x82, b"a"), [0x82, 0x81, 0x37, 0xfa, 0x21, 0x3d, b'a' ^ 0x37]);
    }
}
