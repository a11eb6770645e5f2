//! What the servers of one cluster say to each other.

use crate::ProtocolError;
use crate::client::Limits;
use crate::encode::{self, Unencodable};
use crate::line::{self, Line, Shape, Verb, verb};
use crate::server::{self, Address, Arguments, Disinterest, Interest, Message, Parsed, with_body};

/// An operation on a route. It borrows from the buffer it was parsed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op<'a> {
    /// `CONNECT`, with its JSON as it came.
    Connect(&'a [u8]),
    /// `INFO`, with its JSON as it came.
    Info(&'a [u8]),
    /// `RS+`, or `LS+` if it has an origin.
    Subscribe {
        /// Whose interest.
        scope: Scope<'a>,
        /// What is wanted.
        interest: Interest<'a>,
    },
    /// `RS-` or `LS-`.
    Unsubscribe {
        /// Whose interest.
        scope: Scope<'a>,
        /// It is `LS-`. Old servers do not name the origin there.
        of_leaf: bool,
        /// What is no longer wanted.
        disinterest: Disinterest<'a>,
    },
    /// `RMSG`, `HMSG`, or `LMSG` if it has an origin.
    Message {
        /// Where it comes from.
        scope: Scope<'a>,
        /// The message.
        message: Message<'a>,
    },
    /// `A+` or `A-`: said between clusters, without meaning here.
    Account(&'a [u8]),
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
    /// `+OK`.
    Ok,
    /// `-ERR`, with its text as it came.
    Err(&'a [u8]),
}

/// Account and origin of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope<'a> {
    /// The cluster of the leaf node that stands behind it.
    pub origin: Option<&'a [u8]>,
    /// The account; `None` on a route that serves one account alone.
    pub account: Option<&'a [u8]>,
}

impl<'a> Scope<'a> {
    fn words(&self) -> ([&'a [u8]; 2], usize) {
        match (self.origin, self.account) {
            (Some(origin), Some(account)) => ([origin, account], 2),
            (Some(word), None) | (None, Some(word)) => ([word, b""], 1),
            (None, None) => ([b"", b""], 0),
        }
    }
}

/// How the lines of a route are to be read: agreed in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Lines name the account. They do not on a route that serves one account alone.
    pub names_account: bool,
    /// `LS-` names the origin (`lnocu`).
    pub unsubscribe_names_origin: bool,
}

impl Default for Form {
    fn default() -> Self {
        Self { names_account: true, unsubscribe_names_origin: true }
    }
}

const DIALECT: &str = "Router";

#[derive(Clone, Copy)]
enum Word {
    Message,
    HeaderMessage,
    LeafMessage,
    Subscribe,
    Unsubscribe,
    LeafSubscribe,
    LeafUnsubscribe,
    Account,
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
    verb(b"LMSG", Shape::Arguments, Word::LeafMessage),
    verb(b"RS+", Shape::Arguments, Word::Subscribe),
    verb(b"RS-", Shape::Arguments, Word::Unsubscribe),
    verb(b"LS+", Shape::Arguments, Word::LeafSubscribe),
    verb(b"LS-", Shape::Arguments, Word::LeafUnsubscribe),
    verb(b"PING", Shape::Alone, Word::Ping),
    verb(b"PONG", Shape::Alone, Word::Pong),
    verb(b"INFO", Shape::Json, Word::Info),
    verb(b"CONNECT", Shape::Json, Word::Connect),
    verb(b"A+", Shape::Arguments, Word::Account),
    verb(b"A-", Shape::Arguments, Word::Account),
    verb(b"+OK", Shape::Alone, Word::Ok),
    verb(b"-ERR", Shape::Arguments, Word::Err),
];

/// Takes one operation from the front of the buffer.
///
/// # Errors
/// When the bytes cannot become an operation of a route, whatever may still come.
pub fn parse<'a>(buf: &'a [u8], limits: &Limits, form: Form) -> Result<Parsed<Op<'a>>, ProtocolError> {
    let (word, line, end) = match line::take(buf, VERBS, DIALECT, limits.max_control_line)? {
        Line::Whole { verb, arguments, end } => (verb, arguments, end),
        Line::Incomplete => return Ok(Parsed::Incomplete { need: buf.len() + 1 }),
    };
    let op = match word {
        Word::Message => {
            return message(buf, line, end, limits, form, (false, false), "processRoutedMsgArgs Parse Error");
        }
        Word::HeaderMessage => {
            return message(buf, line, end, limits, form, (false, true), "processRoutedHeaderMsgArgs Parse Error");
        }
        Word::LeafMessage => {
            let what = "processRoutedOriginClusterMsgArgs Parse Error";
            return message(buf, line, end, limits, form, (true, true), what);
        }
        Word::Subscribe => subscribe(line, form, false)?,
        Word::LeafSubscribe => subscribe(line, form, true)?,
        Word::Unsubscribe => unsubscribe(line, form, false)?,
        Word::LeafUnsubscribe => unsubscribe(line, form, true)?,
        Word::Account => Op::Account(Arguments::new(line, "processAccountSub Parse Error")?.word()?),
        Word::Connect => Op::Connect(line),
        Word::Info => Op::Info(line),
        Word::Ping => Op::Ping,
        Word::Pong => Op::Pong,
        Word::Ok => Op::Ok,
        Word::Err => Op::Err(line),
    };
    Ok(Parsed::Op { op, consumed: end })
}

fn scope<'a>(arguments: &mut Arguments<'a>, has_origin: bool, form: Form) -> Result<Scope<'a>, ProtocolError> {
    let origin = arguments.word_if(has_origin)?;
    Ok(Scope { origin, account: arguments.word_if(form.names_account)? })
}

fn subscribe(line: &[u8], form: Form, of_leaf: bool) -> Result<Op<'_>, ProtocolError> {
    let mut arguments = Arguments::new(line, "processRemoteSub Parse Error")?;
    let scope = scope(&mut arguments, of_leaf, form)?;
    Ok(Op::Subscribe { scope, interest: arguments.interest()? })
}

fn unsubscribe(line: &[u8], form: Form, of_leaf: bool) -> Result<Op<'_>, ProtocolError> {
    let mut arguments = Arguments::new(line, "processRemoteUnsub parse error")?;
    let scope = scope(&mut arguments, of_leaf && form.unsubscribe_names_origin, form)?;
    Ok(Op::Unsubscribe { scope, of_leaf, disinterest: arguments.disinterest()? })
}

fn message<'a>(
    buf: &'a [u8],
    line: &'a [u8],
    start: usize,
    limits: &Limits,
    form: Form,
    (has_origin, has_headers): (bool, bool),
    what: &'static str,
) -> Result<Parsed<Op<'a>>, ProtocolError> {
    let mut arguments = Arguments::new(line, what)?;
    let scope = scope(&mut arguments, has_origin, form)?;
    let message = arguments.message(has_headers, start, limits)?;
    let body = message.body.clone();
    with_body(Op::Message { scope, message }, buf, &body, DIALECT)
}

/// The line before a message: `LMSG` with an origin, else `HMSG` with headers, else `RMSG`. `size` counts headers and
/// payload.
///
/// # Errors
/// [`Unencodable`] if a word would break the line; nothing is written then.
pub fn message_head(
    out: &mut Vec<u8>,
    scope: Scope<'_>,
    address: &Address<'_>,
    header_len: usize,
    size: usize,
) -> Result<(), Unencodable> {
    let (words, count) = scope.words();
    let words = words.get(..count).unwrap_or_default();
    match (scope.origin, header_len) {
        (Some(_), _) => server::head(out, b"LMSG ", words, address, &[header_len, size]),
        (None, 0) => server::head(out, b"RMSG ", words, address, &[size]),
        (None, _) => server::head(out, b"HMSG ", words, address, &[header_len, size]),
    }
}

/// `RS+`, or `LS+` with an origin.
///
/// # Errors
/// [`Unencodable`] if a word would break the line; nothing is written then.
pub fn subscribe_line(out: &mut Vec<u8>, scope: Scope<'_>, interest: &Interest<'_>) -> Result<(), Unencodable> {
    let (words, count) = scope.words();
    let verb: &[u8] = if scope.origin.is_some() { b"LS+ " } else { b"RS+ " };
    server::interest(out, verb, words.get(..count).unwrap_or_default(), interest)
}

/// `RS-`, or `LS-` for interest of a leaf. The scope names an origin only if the peer reads it there.
///
/// # Errors
/// [`Unencodable`] if a word would break the line; nothing is written then.
pub fn unsubscribe_line(
    out: &mut Vec<u8>,
    scope: Scope<'_>,
    of_leaf: bool,
    disinterest: &Disinterest<'_>,
) -> Result<(), Unencodable> {
    let (words, count) = scope.words();
    let verb: &[u8] = if of_leaf { b"LS- " } else { b"RS- " };
    server::disinterest(out, verb, words.get(..count).unwrap_or_default(), disinterest)
}

/// Any operation, whose body lies in `buf`. `A+` and `A-` are not told apart here, so they cannot be written.
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
        Op::Account(_) => Err(Unencodable),
        Op::Subscribe { scope, interest } => subscribe_line(out, *scope, interest),
        Op::Unsubscribe { scope, of_leaf, disinterest } => unsubscribe_line(out, *scope, *of_leaf, disinterest),
        Op::Message { scope, message } => {
            let body = server::again(message, buf, |address, &[header_len, size]| {
                message_head(out, *scope, address, header_len, size)
            })?;
            encode::body(out, buf, body)
        }
    }
}
