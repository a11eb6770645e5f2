//! What servers of different clusters say to each other.

use crate::ProtocolError;
use crate::client::Limits;
use crate::encode::{self, Unencodable};
use crate::line::{self, Line, Shape, Verb, verb};
use crate::server::{self, Address, Arguments, Disinterest, Interest, Message, Parsed, with_body};

/// An operation on a gateway connection. It borrows from the buffer it was parsed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op<'a> {
    /// `CONNECT`, with its JSON as it came.
    Connect(&'a [u8]),
    /// `INFO`, with its JSON as it came.
    Info(&'a [u8]),
    /// `RS+`.
    Subscribe {
        /// The account.
        account: &'a [u8],
        /// What is wanted.
        interest: Interest<'a>,
    },
    /// `RS-`.
    Unsubscribe {
        /// The account.
        account: &'a [u8],
        /// What is not wanted.
        disinterest: Disinterest<'a>,
    },
    /// `A+`: the account wants something again.
    AccountInterest(&'a [u8]),
    /// `A-`: the account wants nothing.
    AccountDisinterest(&'a [u8]),
    /// `RMSG` or `HMSG`.
    Message {
        /// The account.
        account: &'a [u8],
        /// The message.
        message: Message<'a>,
    },
    /// `RIGHTS`: what binds whoever published the message that follows, as JSON. Servers of this make say it to each other, once
    /// both have said that they do.
    Rights(&'a [u8]),
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
    /// `+OK`.
    Ok,
    /// `-ERR`, with its text as it came.
    Err(&'a [u8]),
}

/// Bytes that a server may say about what binds one publisher.
pub const MAX_RIGHTS_BYTES: usize = 16 * 1024;

const DIALECT: &str = "Gateway";

#[derive(Clone, Copy)]
enum Word {
    Message,
    HeaderMessage,
    Subscribe,
    Unsubscribe,
    AccountInterest,
    AccountDisinterest,
    Rights,
    Connect,
    Info,
    Ping,
    Pong,
    Ok,
    Err,
}

const VERBS: &[Verb<Word>] = &[
    verb(b"RMSG", Shape::Arguments, Word::Message),
    verb(b"HMSG", Shape::Arguments, Word::HeaderMessage),
    verb(b"RS+", Shape::Arguments, Word::Subscribe),
    verb(b"RS-", Shape::Arguments, Word::Unsubscribe),
    verb(b"A+", Shape::Arguments, Word::AccountInterest),
    verb(b"A-", Shape::Arguments, Word::AccountDisinterest),
    verb(b"RIGHTS", Shape::Arguments, Word::Rights),
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
/// When the bytes cannot become an operation of a gateway, whatever may still come.
pub fn parse<'a>(buf: &'a [u8], limits: &Limits) -> Result<Parsed<Op<'a>>, ProtocolError> {
    let (word, line, end) = match line::take(buf, VERBS, DIALECT, limits.max_control_line)? {
        Line::Whole { verb, arguments, end } => (verb, arguments, end),
        Line::Incomplete => return Ok(Parsed::Incomplete { need: buf.len() + 1 }),
    };
    let op = match word {
        Word::Message => return message(buf, line, end, limits, false, "processRoutedMsgArgs Parse Error"),
        Word::HeaderMessage => return message(buf, line, end, limits, true, "processRoutedHeaderMsgArgs Parse Error"),
        Word::Subscribe => {
            let mut arguments = Arguments::new(line, "processGatewaySubjectSub Parse Error")?;
            Op::Subscribe { account: arguments.word()?, interest: arguments.interest()? }
        }
        Word::Unsubscribe => {
            let mut arguments = Arguments::new(line, "processGatewaySubjectUnsub parse error")?;
            Op::Unsubscribe { account: arguments.word()?, disinterest: arguments.disinterest()? }
        }
        Word::Rights => return rights(buf, line, end),
        Word::AccountInterest => Op::AccountInterest(account(line)?),
        Word::AccountDisinterest => Op::AccountDisinterest(account(line)?),
        Word::Connect => Op::Connect(line),
        Word::Info => Op::Info(line),
        Word::Ping => Op::Ping,
        Word::Pong => Op::Pong,
        Word::Ok => Op::Ok,
        Word::Err => Op::Err(line),
    };
    Ok(Parsed::Op { op, consumed: end })
}

fn account(line: &[u8]) -> Result<&[u8], ProtocolError> {
    let mut arguments = Arguments::new(line, "processAccountSub Parse Error")?;
    let account = arguments.word()?;
    arguments.end()?;
    Ok(account)
}

fn message<'a>(
    buf: &'a [u8],
    line: &'a [u8],
    start: usize,
    limits: &Limits,
    has_headers: bool,
    what: &'static str,
) -> Result<Parsed<Op<'a>>, ProtocolError> {
    let mut arguments = Arguments::new(line, what)?;
    let account = arguments.word()?;
    let message = arguments.message(has_headers, start, limits)?;
    let body = message.body.clone();
    with_body(Op::Message { account, message }, buf, &body, DIALECT)
}

fn rights<'a>(buf: &'a [u8], line: &[u8], start: usize) -> Result<Parsed<Op<'a>>, ProtocolError> {
    let mut arguments = Arguments::new(line, "rights Parse Error")?;
    let size = arguments.size()?;
    if size > MAX_RIGHTS_BYTES {
        return Err(arguments.wrong());
    }
    arguments.end()?;
    let body = start..start + size;
    with_body(Op::Rights(buf.get(body.clone()).unwrap_or_default()), buf, &body, DIALECT)
}

/// `RIGHTS size`, and what is said behind it. It stands directly before the head of its message.
pub fn rights_lines(out: &mut Vec<u8>, json: &[u8]) {
    out.extend_from_slice(b"RIGHTS ");
    encode::finish_sizes(out, &[json.len()]);
    out.extend_from_slice(json);
    out.extend_from_slice(b"\r\n");
}

/// The line before a message: `HMSG` with headers, else `RMSG`. `size` counts headers and payload.
///
/// # Errors
/// [`Unencodable`] if a word would break the line; nothing is written then.
pub fn message_head(
    out: &mut Vec<u8>,
    account: &[u8],
    address: &Address<'_>,
    header_len: usize,
    size: usize,
) -> Result<(), Unencodable> {
    match header_len {
        0 => server::head(out, b"RMSG ", &[account], address, &[size]),
        _ => server::head(out, b"HMSG ", &[account], address, &[header_len, size]),
    }
}

/// `RS+`.
///
/// # Errors
/// [`Unencodable`] if a word would break the line; nothing is written then.
pub fn subscribe_line(out: &mut Vec<u8>, account: &[u8], interest: &Interest<'_>) -> Result<(), Unencodable> {
    server::interest(out, b"RS+ ", &[account], interest)
}

/// `RS-`.
///
/// # Errors
/// [`Unencodable`] if a word would break the line; nothing is written then.
pub fn unsubscribe_line(out: &mut Vec<u8>, account: &[u8], gone: &Disinterest<'_>) -> Result<(), Unencodable> {
    server::disinterest(out, b"RS- ", &[account], gone)
}

/// `A+` or `A-`.
///
/// # Errors
/// [`Unencodable`] if the name would break the line; nothing is written then.
pub fn account_line(out: &mut Vec<u8>, account: &[u8], is_interested: bool) -> Result<(), Unencodable> {
    encode::check(&[account])?;
    encode::line(out, if is_interested { b"A+ " } else { b"A- " }, account)
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
        Op::Subscribe { account, interest } => subscribe_line(out, account, interest),
        Op::Unsubscribe { account, disinterest } => unsubscribe_line(out, account, disinterest),
        Op::AccountInterest(account) => account_line(out, account, true),
        Op::AccountDisinterest(account) => account_line(out, account, false),
        Op::Rights(json) => {
            rights_lines(out, json);
            Ok(())
        }
        Op::Message { account, message } => {
            let body = server::again(message, buf, |address, &[header_len, size]| {
                message_head(out, account, address, header_len, size)
            })?;
            encode::body(out, buf, body)
        }
    }
}
