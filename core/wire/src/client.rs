//! What clients say.
//!
//! The way of a publish is the hot path: it is looked for first, taken in place, and leaves for the slow path as soon as
//! anything about it is unusual (tabs, several blanks, a missing line end). The slow path takes a line word by word and
//! decides everything; both ways give the same answers, and a test compares them.

use std::ops::Range;

use memchr::memchr;

use crate::ProtocolError;
use crate::line::{self, Line, Shape, Verb, verb, without_cr};
use crate::protocol_error::Snippet;
use crate::size::{size, size_at_end};
use crate::word::{first_odd, is_clean, up_to, words, words_cr};

/// An operation of a client. It borrows from the buffer it was parsed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op<'a> {
    /// `CONNECT`, with its JSON as it came.
    Connect(&'a [u8]),
    /// `PUB` or `HPUB`.
    Publish(Publish<'a>),
    /// `SUB`. The subject and the queue are not checked yet; the sid is a clean word.
    Subscribe {
        /// What is to be heard.
        subject: &'a [u8],
        /// The queue group.
        queue: Option<&'a [u8]>,
        /// The client's name for the subscription.
        sid: &'a [u8],
    },
    /// `UNSUB`.
    Unsubscribe {
        /// The client's name for the subscription.
        sid: &'a [u8],
        /// How many messages in all may be delivered; `None` ends it at once. A maximum that is zero or no number is
        /// none.
        max: Option<u64>,
    },
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
    /// `INFO`, with its JSON as it came.
    Info(&'a [u8]),
    /// `+OK`.
    Ok,
    /// `-ERR`, with its text as it came.
    Err(&'a [u8]),
}

/// A message on its way in. Subject and reply are clean words: no blank, no control character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Where it goes.
    pub subject: &'a [u8],
    /// Where answers go.
    pub reply: Option<&'a [u8]>,
    /// How many bytes at the front of the body are the header block.
    pub header_len: usize,
    /// Where headers and payload lie in the buffer given to [`parse`], without the CRLF behind them, which is there.
    pub body: Range<usize>,
}

/// Bounds on what a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of an operation's arguments.
    pub max_control_line: usize,
    /// Bytes of headers and payload; `usize::MAX` for no limit other than nine digits.
    pub max_payload: usize,
    /// The connection may carry headers.
    pub headers: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_control_line: 4096, max_payload: 1 << 20, headers: true }
    }
}

/// What the front of a buffer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A whole operation.
    Op {
        /// The operation.
        op: Op<'a>,
        /// The bytes it took.
        consumed: usize,
    },
    /// Not whole yet. There is no use in asking again before the buffer holds `need` bytes.
    Incomplete {
        /// Bytes wanted in all, counted from the start of the buffer, as far as is known.
        need: usize,
    },
}

const DIALECT: &str = "Client";

const PUB: u32 = u32::from_le_bytes(*b"pub ");
const HPUB: u32 = u32::from_le_bytes(*b"hpub");
/// Makes small letters of the first three bytes and leaves a blank a blank.
const FOLD_PUB: u32 = u32::from_le_bytes([0x20, 0x20, 0x20, 0]);
const FOLD_HPUB: u32 = u32::from_le_bytes([0x20; 4]);

/// Takes one operation from the front of the buffer.
///
/// # Errors
/// When the bytes cannot become an operation, whatever may still come. A payload that is too large is refused as soon as
/// its size is known.
#[inline]
pub fn parse<'a>(buf: &'a [u8], limits: &Limits) -> Result<Parsed<'a>, ProtocolError> {
    let Some(first) = buf.first_chunk::<4>() else { return slow(buf, limits) };
    let word = u32::from_le_bytes(*first);
    if word | FOLD_PUB == PUB
        && let Some(plain) = plain_publish(buf, 4, limits)
    {
        return plain.finish(buf, 0, limits);
    }
    if word | FOLD_HPUB == HPUB
        && buf.get(4) == Some(&b' ')
        && limits.headers
        && let Some(plain) = plain_publish(buf, 5, limits)
        && let Some((header_len, rest)) = size_at_end(plain.address)
        && header_len <= plain.size
    {
        return Plain { address: rest, ..plain }.finish(buf, header_len, limits);
    }
    slow(buf, limits)
}

/// A publish in its plain form: single blanks, a whole line.
struct Plain<'a> {
    /// Subject and reply, for `HPUB` at first with the header size.
    address: &'a [u8],
    size: usize,
    /// Where the payload begins.
    start: usize,
}

#[inline(always)]
fn plain_publish<'a>(buf: &'a [u8], verb_len: usize, limits: &Limits) -> Option<Plain<'a>> {
    let rest = buf.get(verb_len..)?;
    let newline = memchr(b'\n', rest)?;
    let line = without_cr(rest.get(..newline)?);
    if line.len() > limits.max_control_line {
        return None;
    }
    let (size, address) = size_at_end(line)?;
    Some(Plain { address, size, start: verb_len + newline + 1 })
}

impl<'a> Plain<'a> {
    #[inline(always)]
    fn finish(self, buf: &'a [u8], header_len: usize, limits: &Limits) -> Result<Parsed<'a>, ProtocolError> {
        let Self { address, size, start } = self;
        let Some((subject, reply)) = subject_and_reply(address) else { return slow(buf, limits) };
        if size > limits.max_payload {
            return Err(too_large(size, limits));
        }
        let end = start + size;
        match buf.get(end..end + 2) {
            Some(b"\r\n") => {
                let publish = Publish { subject, reply, header_len, body: start..end };
                Ok(Parsed::Op { op: Op::Publish(publish), consumed: end + 2 })
            }
            _ => without_end(buf, end),
        }
    }
}

/// Takes `subject` or `subject reply` apart if both are clean words with one blank between them.
#[inline(always)]
fn subject_and_reply(address: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let Some(at) = first_odd(address) else { return (!address.is_empty()).then_some((address, None)) };
    let (subject, rest) = address.split_at_checked(at)?;
    let (b' ', reply) = rest.split_first()? else { return None };
    (!subject.is_empty() && is_clean(reply)).then_some((subject, Some(reply)))
}

#[cold]
fn too_large(size: usize, limits: &Limits) -> ProtocolError {
    ProtocolError::PayloadTooLarge { size, max: limits.max_payload }
}

/// The payload is not there yet, or something else than CRLF is behind it.
#[cold]
fn without_end<'a>(buf: &'a [u8], end: usize) -> Result<Parsed<'a>, ProtocolError> {
    match buf.get(end..).unwrap_or_default() {
        [] | [b'\r'] => Ok(Parsed::Incomplete { need: end + 2 }),
        other => Err(ProtocolError::PayloadEnd { dialect: DIALECT, snippet: Snippet::of_operation(other) }),
    }
}

#[derive(Clone, Copy)]
enum Word {
    Connect,
    Pub,
    Hpub,
    Sub,
    Unsub,
    Ping,
    Pong,
    Info,
    Ok,
    Err,
}

const VERBS: &[Verb<Word>] = &[
    verb(b"PING", Shape::Alone, Word::Ping),
    verb(b"PONG", Shape::Alone, Word::Pong),
    verb(b"SUB", Shape::Arguments, Word::Sub),
    verb(b"UNSUB", Shape::Arguments, Word::Unsub),
    verb(b"CONNECT", Shape::Json, Word::Connect),
    verb(b"PUB", Shape::Arguments, Word::Pub),
    verb(b"HPUB", Shape::Arguments, Word::Hpub),
    verb(b"INFO", Shape::Json, Word::Info),
    verb(b"+OK", Shape::Alone, Word::Ok),
    verb(b"-ERR", Shape::Arguments, Word::Err),
];

/// Every operation, word by word.
#[cold]
#[inline(never)]
pub(crate) fn slow<'a>(buf: &'a [u8], limits: &Limits) -> Result<Parsed<'a>, ProtocolError> {
    let (word, arguments, end) = match line::take(buf, VERBS, DIALECT, limits.max_control_line)? {
        Line::Whole { verb, arguments, end } => (verb, arguments, end),
        Line::Incomplete => return Ok(Parsed::Incomplete { need: buf.len() + 1 }),
    };
    let op = match word {
        Word::Pub => return publish(buf, arguments, end, limits),
        Word::Hpub => return publish_with_headers(buf, arguments, end, limits),
        Word::Sub => subscribe(arguments)?,
        Word::Unsub => unsubscribe(arguments)?,
        Word::Connect => Op::Connect(arguments),
        Word::Info => Op::Info(arguments),
        Word::Err => Op::Err(arguments),
        Word::Ping => Op::Ping,
        Word::Pong => Op::Pong,
        Word::Ok => Op::Ok,
    };
    Ok(Parsed::Op { op, consumed: end })
}

fn publish<'a>(buf: &'a [u8], line: &'a [u8], start: usize, limits: &Limits) -> Result<Parsed<'a>, ProtocolError> {
    let (subject, reply, size_word) = match up_to(words(line)) {
        Some(([subject, size, _], 2)) => (subject, None, size),
        Some(([subject, reply, size], 3)) => (subject, Some(reply), size),
        _ => return Err(wrong("processPub Parse Error", line)),
    };
    let size = size(size_word).ok_or_else(|| wrong("processPub Bad or Missing Size", line))?;
    message(buf, [Some(subject), reply], 0, start..start + size, limits)
}

fn publish_with_headers<'a>(
    buf: &'a [u8],
    line: &'a [u8],
    start: usize,
    limits: &Limits,
) -> Result<Parsed<'a>, ProtocolError> {
    if !limits.headers {
        return Err(ProtocolError::HeadersNotSupported);
    }
    let (subject, reply, header_word, size_word) = match up_to(words(line)) {
        Some(([subject, headers, size, _], 3)) => (subject, None, headers, size),
        Some(([subject, reply, headers, size], 4)) => (subject, Some(reply), headers, size),
        _ => return Err(wrong("processHeaderPub Parse Error", line)),
    };
    let header_len = size(header_word).ok_or_else(|| wrong("processHeaderPub Bad or Missing Header Size", line))?;
    let size = size(size_word).ok_or_else(|| wrong("processHeaderPub Bad or Missing Total Size", line))?;
    if header_len > size {
        return Err(wrong("processHeaderPub Header Size larger then TotalSize", line));
    }
    message(buf, [Some(subject), reply], header_len, start..start + size, limits)
}

fn message<'a>(
    buf: &'a [u8],
    [subject, reply]: [Option<&'a [u8]>; 2],
    header_len: usize,
    body: Range<usize>,
    limits: &Limits,
) -> Result<Parsed<'a>, ProtocolError> {
    if body.len() > limits.max_payload {
        return Err(too_large(body.len(), limits));
    }
    for word in [subject, reply].into_iter().flatten() {
        clean(word)?;
    }
    let end = body.end;
    match buf.get(end..end + 2) {
        Some(b"\r\n") => {
            let publish = Publish { subject: subject.unwrap_or_default(), reply, header_len, body };
            Ok(Parsed::Op { op: Op::Publish(publish), consumed: end + 2 })
        }
        _ => without_end(buf, end),
    }
}

fn subscribe(line: &[u8]) -> Result<Op<'_>, ProtocolError> {
    let (subject, queue, sid) = match up_to(words_cr(line)) {
        Some(([subject, sid, _], 2)) => (subject, None, sid),
        Some(([subject, queue, sid], 3)) => (subject, Some(queue), sid),
        _ => return Err(wrong("processSub Parse Error", line)),
    };
    Ok(Op::Subscribe { subject, queue, sid: clean(sid)? })
}

fn unsubscribe(line: &[u8]) -> Result<Op<'_>, ProtocolError> {
    let (sid, max) = match up_to(words_cr(line)) {
        Some(([sid, _], 1)) => (sid, None),
        Some(([sid, max], 2)) => (sid, size(max).filter(|&max| max > 0)),
        _ => return Err(wrong("processUnsub Parse Error", line)),
    };
    Ok(Op::Unsubscribe { sid: clean(sid)?, max: max.map(|max| max as u64) })
}

/// A word that will be written into other lines has no control characters.
fn clean(word: &[u8]) -> Result<&[u8], ProtocolError> {
    if is_clean(word) { Ok(word) } else { Err(ProtocolError::ControlCharacter { word: Snippet::of_line(word) }) }
}

fn wrong(what: &'static str, line: &[u8]) -> ProtocolError {
    ProtocolError::Arguments { what, line: Snippet::of_line(line) }
}
