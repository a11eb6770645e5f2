//! What a leaf node and its hub say to each other. There is one account per connection, so no line names it.

use crate::ProtocolError;
use crate::client::Limits;
use crate::encode::{self, Unencodable};
use crate::line::{self, Line, Shape, Verb, verb};
use crate::server::{self, Address, Arguments, Disinterest, Interest, Message, Parsed, with_body};

/// An operation on a leaf connection. It borrows from the buffer it was parsed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op<'a> {
    /// `CONNECT`, with its JSON as it came.
    Connect(&'a [u8]),
    /// `INFO`, with its JSON as it came.
    Info(&'a [u8]),
    /// `LS+`.
    Subscribe(Interest<'a>),
    /// `LS-`.
    Unsubscribe(Disinterest<'a>),
    /// `LMSG` or `HMSG`.
    Message(Message<'a>),
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
    /// `+OK`.
    Ok,
    /// `-ERR`, with its text as it came.
    Err(&'a [u8]),
}

const DIALECT: &str = "Leafnode";

#[derive(Clone, Copy)]
enum Word {
    Message,
    HeaderMessage,
    Subscribe,
    Unsubscribe,
    Connect,
    Info,
    Ping,
    Pong,
    Ok,
    Err,
}

const VERBS: &[Verb<Word>] = &[
    verb(b"LMSG", Shape::Arguments, Word::Message),
    verb(b"HMSG", Shape::Arguments, Word::HeaderMessage),
    verb(b"LS+", Shape::Arguments, Word::Subscribe),
    verb(b"LS-", Shape::Arguments, Word::Unsubscribe),
    verb(b"PING", Shape::Alone, Word::Ping),
    verb(b"PONG", Shape::Alone, Word::Pong),
    verb(b"INFO", Shape::Json, Word::Info),
    verb(b"CONNECT", Shape::Json, Word::Connect),
    verb(b"+OK", Shape::Alone, Word::Ok),
    verb(b"-ERR", Shape::Arguments, Word::Err),
];

/// Takes one operation from the front of the buffer.
///
/// # Errors
/// When the bytes cannot become an operation of a leaf connection, whatever may still come.
pub fn parse<'a>(buf: &'a [u8], limits: &Limits) -> Result<Parsed<Op<'a>>, ProtocolError> {
    let (word, line, end) = match line::take(buf, VERBS, DIALECT, limits.max_control_line)? {
        Line::Whole { verb, arguments, end } => (verb, arguments, end),
        Line::Incomplete => return Ok(Parsed::Incomplete { need: buf.len() + 1 }),
    };
    let op = match word {
        Word::Message => return message(buf, line, end, limits, false, "processLeafMsgArgs Parse Error"),
        Word::HeaderMessage => return message(buf, line, end, limits, true, "processLeafHeaderMsgArgs Parse Error"),
        Word::Subscribe => Op::Subscribe(Arguments::new(line, "processLeafSub Parse Error")?.interest()?),
        Word::Unsubscribe => Op::Unsubscribe(Arguments::new(line, "processLeafUnsub Parse Error")?.disinterest()?),
        Word::Connect => Op::Connect(line),
        Word::Info => Op::Info(line),
        Word::Ping => Op::Ping,
        Word::Pong => Op::Pong,
        Word::Ok => Op::Ok,
        Word::Err => Op::Err(line),
    };
    Ok(Parsed::Op { op, consumed: end })
}

fn message<'a>(
    buf: &'a [u8],
    line: &'a [u8],
    start: usize,
    limits: &Limits,
    has_headers: bool,
    what: &'static str,
) -> Result<Parsed<Op<'a>>, ProtocolError> {
    let message = Arguments::new(line, what)?.message(has_headers, start, limits)?;
    let body = message.body.clone();
    with_body(Op::Message(message), buf, &body, DIALECT)
}

/// The line before a message: `HMSG` with headers, else `LMSG`. `size` counts headers and payload.
///
/// # Errors
/// [`Unencodable`] if a word would break the line; nothing is written then.
pub fn message_head(
    out: &mut Vec<u8>,
    address: &Address<'_>,
    header_len: usize,
    size: usize,
) -> Result<(), Unencodable> {
    match header_len {
        0 => server::head(out, b"LMSG ", &[], address, &[size]),
        _ => server::head(out, b"HMSG ", &[], address, &[header_len, size]),
    }
}

/// `LS+`.
///
/// # Errors
/// [`Unencodable`] if a word would break the line; nothing is written then.
pub fn subscribe_line(out: &mut Vec<u8>, interest: &Interest<'_>) -> Result<(), Unencodable> {
    server::interest(out, b"LS+ ", &[], interest)
}

/// `LS-`.
///
/// # Errors
/// [`Unencodable`] if a word would break the line; nothing is written then.
pub fn unsubscribe_line(out: &mut Vec<u8>, disinterest: &Disinterest<'_>) -> Result<(), Unencodable> {
    server::disinterest(out, b"LS- ", &[], disinterest)
}

/// Any operation, whose body lies in `buf`.
///
/// # Errors
/// [`Unencodable`] if a word would break the line.
pub fn encode(out: &mut Vec<u8>, op: &Op<'_>, buf: &[u8]) -> Result<(), Unencodable> {
    match op {
        Op::Connect(json) => encode::line(out, b"CONNECT ", json),
        Op::Info(json) => encode::line(out, b"INFO ", json),
        Op::Err(text) => encode::line(out, b"-ERR ", text),
        Op::Ping => encode::line(out, b"PING", b""),
        Op::Pong => encode::line(out, b"PONG", b""),
        Op::Ok => encode::line(out, b"+OK", b""),
        Op::Subscribe(interest) => subscribe_line(out, interest),
        Op::Unsubscribe(disinterest) => unsubscribe_line(out, disinterest),
        Op::Message(message) => {
            let body = server::again(message, buf, |address, &[header_len, size]| {
                message_head(out, address, header_len, size)
            })?;
            encode::body(out, buf, body)
        }
    }
}
