//! Operations and messages as bytes.
//!
//! Everything is appended to a buffer of the caller. Words that go into a line are checked: a subject, reply, sid or queue
//! with a blank or a control character would end the line early and smuggle in another one, so it is refused and nothing
//! is written.

use std::fmt;

use crate::client::Op;
use crate::word::is_clean;

/// `+OK`, to verbose clients.
pub const OK: &[u8] = b"+OK\r\n";
/// `PING`.
pub const PING: &[u8] = b"PING\r\n";
/// `PONG`.
pub const PONG: &[u8] = b"PONG\r\n";
/// A pedantic client published to a subject with a wildcard or an empty token.
pub const ERR_INVALID_PUBLISH_SUBJECT: &[u8] = b"-ERR 'Invalid Publish Subject'\r\n";
/// A client subscribed to what is no subject filter.
pub const ERR_INVALID_SUBJECT: &[u8] = b"-ERR 'Invalid Subject'\r\n";

/// The word is empty, or a blank or control character in it would break the line. Our own fault: words are checked on
/// the way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unencodable;

impl fmt::Display for Unencodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a word with a blank or control character cannot be part of a protocol line")
    }
}

impl std::error::Error for Unencodable {}

/// Whether the word may stand in a line.
#[inline]
pub fn is_word(word: &[u8]) -> bool {
    is_clean(word)
}

pub(crate) fn check(words: &[&[u8]]) -> Result<(), Unencodable> {
    if words.iter().all(|word| is_clean(word)) { Ok(()) } else { Err(Unencodable) }
}

pub(crate) fn number(out: &mut Vec<u8>, value: usize) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

pub(crate) fn spaced(out: &mut Vec<u8>, words: &[&[u8]]) {
    for word in words {
        out.extend_from_slice(word);
        out.push(b' ');
    }
}

/// The line before a message without headers: `MSG subject sid [reply] size`.
///
/// # Errors
/// [`Unencodable`] if a word would break the line.
pub fn msg_head(
    out: &mut Vec<u8>,
    subject: &[u8],
    sid: &[u8],
    reply: Option<&[u8]>,
    size: usize,
) -> Result<(), Unencodable> {
    head(out, b"MSG ", &[subject, sid], reply, &[size])
}

/// The line before a message with headers: `HMSG subject sid [reply] header-size size`, where `size` counts both.
///
/// # Errors
/// [`Unencodable`] if a word would break the line.
pub fn hmsg_head(
    out: &mut Vec<u8>,
    subject: &[u8],
    sid: &[u8],
    reply: Option<&[u8]>,
    header_len: usize,
    size: usize,
) -> Result<(), Unencodable> {
    head(out, b"HMSG ", &[subject, sid], reply, &[header_len, size])
}

fn head(
    out: &mut Vec<u8>,
    verb: &[u8],
    words: &[&[u8]],
    reply: Option<&[u8]>,
    sizes: &[usize],
) -> Result<(), Unencodable> {
    check(words)?;
    check(reply.as_slice())?;
    out.extend_from_slice(verb);
    spaced(out, words);
    spaced(out, reply.as_slice());
    finish_sizes(out, sizes);
    Ok(())
}

/// The sizes at the end of a head, and the line end.
pub(crate) fn finish_sizes(out: &mut Vec<u8>, sizes: &[usize]) {
    for (place, size) in sizes.iter().enumerate() {
        if place > 0 {
            out.push(b' ');
        }
        number(out, *size);
    }
    out.extend_from_slice(b"\r\n");
}

/// The answer to a request that nobody hears: an empty message with status 503 that names the subject. Empty if a word
/// would break the line.
pub fn no_responders(reply: &[u8], sid: &[u8], subject: &[u8]) -> Vec<u8> {
    let size = NO_RESPONDERS_STATUS.len() + subject.len() + 4;
    let mut line = Vec::with_capacity(reply.len() + sid.len() + size + 32);
    if check(&[subject]).and_then(|()| hmsg_head(&mut line, reply, sid, None, size, size)).is_ok() {
        line.extend_from_slice(NO_RESPONDERS_STATUS);
        line.extend_from_slice(subject);
        line.extend_from_slice(b"\r\n\r\n\r\n");
    }
    line
}

const NO_RESPONDERS_STATUS: &[u8] = b"NATS/1.0 503\r\nNats-Subject: ";

/// `-ERR 'text'`. Control characters in the text become blanks: they have no place in a line.
pub fn err(text: &str) -> Vec<u8> {
    let mut line = Vec::with_capacity(text.len() + 9);
    line.extend_from_slice(b"-ERR '");
    line.extend(text.bytes().map(|byte| if byte.is_ascii_control() { b' ' } else { byte }));
    line.extend_from_slice(b"'\r\n");
    line
}

/// `INFO json`, with the blank between the JSON and the line end that clients know. JSON has no raw line breaks.
pub fn info(out: &mut Vec<u8>, json: &[u8]) {
    debug_assert!(!json.contains(&b'\n'));
    out.extend_from_slice(b"INFO ");
    out.extend_from_slice(json);
    out.extend_from_slice(b" \r\n");
}

/// `SUB subject [queue] sid`.
///
/// # Errors
/// [`Unencodable`] if a word would break the line.
pub fn sub(out: &mut Vec<u8>, subject: &[u8], queue: Option<&[u8]>, sid: &[u8]) -> Result<(), Unencodable> {
    check(&[subject, sid])?;
    check(queue.as_slice())?;
    out.extend_from_slice(b"SUB ");
    spaced(out, &[subject]);
    spaced(out, queue.as_slice());
    out.extend_from_slice(sid);
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// `UNSUB sid [max]`.
///
/// # Errors
/// [`Unencodable`] if the sid would break the line.
pub fn unsub(out: &mut Vec<u8>, sid: &[u8], max: Option<u64>) -> Result<(), Unencodable> {
    check(&[sid])?;
    out.extend_from_slice(b"UNSUB ");
    out.extend_from_slice(sid);
    if let Some(max) = max {
        out.push(b' ');
        out.extend_from_slice(itoa::Buffer::new().format(max).as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// `PUB subject [reply] size`, or `HPUB` if there is a header block, with the body and the line end.
///
/// # Errors
/// [`Unencodable`] if a word would break the line.
pub fn publish(
    out: &mut Vec<u8>,
    subject: &[u8],
    reply: Option<&[u8]>,
    headers: &[u8],
    payload: &[u8],
) -> Result<(), Unencodable> {
    let size = headers.len() + payload.len();
    if headers.is_empty() {
        head(out, b"PUB ", &[subject], reply, &[size])?;
    } else {
        head(out, b"HPUB ", &[subject], reply, &[headers.len(), size])?;
    }
    out.extend_from_slice(headers);
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Any operation of a client, whose body lies in `buf`. The arguments of `CONNECT`, `INFO` and `-ERR` go as they are.
///
/// # Errors
/// [`Unencodable`] if a word would break the line.
pub fn client_op(out: &mut Vec<u8>, op: &Op<'_>, buf: &[u8]) -> Result<(), Unencodable> {
    match op {
        Op::Connect(json) => line(out, b"CONNECT ", json),
        Op::Info(json) => line(out, b"INFO ", json),
        Op::Err(text) => line(out, b"-ERR ", text),
        Op::Ping => line(out, b"PING", b""),
        Op::Pong => line(out, b"PONG", b""),
        Op::Ok => line(out, b"+OK", b""),
        Op::Subscribe { subject, queue, sid } => sub(out, subject, *queue, sid),
        Op::Unsubscribe { sid, max } => unsub(out, sid, *max),
        Op::Publish(message) => {
            let body = buf.get(message.body.clone()).ok_or(Unencodable)?;
            let (headers, payload) = body.split_at_checked(message.header_len).ok_or(Unencodable)?;
            publish(out, message.subject, message.reply, headers, payload)
        }
    }
}

pub(crate) fn line(out: &mut Vec<u8>, verb: &[u8], arguments: &[u8]) -> Result<(), Unencodable> {
    if arguments.contains(&b'\n') {
        return Err(Unencodable);
    }
    out.extend_from_slice(verb);
    out.extend_from_slice(arguments);
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// A body and the line end behind it.
pub(crate) fn body(out: &mut Vec<u8>, buf: &[u8], place: std::ops::Range<usize>) -> Result<(), Unencodable> {
    out.extend_from_slice(buf.get(place).ok_or(Unencodable)?);
    out.extend_from_slice(b"\r\n");
    Ok(())
}
