//! What the dialects between servers have in common: interest, messages with queue names, and how a line is taken apart.

use std::ops::Range;

use crate::ProtocolError;
use crate::client::Limits;
use crate::encode::{Unencodable, check, finish_sizes, number, spaced};
use crate::protocol_error::Snippet;
use crate::size::size;

/// Lines between servers carry origins, accounts, replies and many queue names: their bound is this many times that of
/// clients.
const CONTROL_LINE_FACTOR: usize = 16;

impl Limits {
    /// The bounds of a connection between servers, given those of clients.
    pub const fn between_servers(self) -> Self {
        Self { max_control_line: self.max_control_line.saturating_mul(CONTROL_LINE_FACTOR), headers: true, ..self }
    }
}

/// What the front of a buffer is, in a dialect between servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed<O> {
    /// A whole operation.
    Op {
        /// The operation.
        op: O,
        /// The bytes it took.
        consumed: usize,
    },
    /// Not whole yet.
    Incomplete {
        /// Bytes wanted in all, counted from the start of the buffer, as far as is known.
        need: usize,
    },
}

/// Somebody wants a subject filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest<'a> {
    /// The filter; a clean word, otherwise unchecked.
    pub subject: &'a [u8],
    /// The queue group that wants it.
    pub queue: Option<QueueInterest<'a>>,
}

/// How much a queue group wants a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueInterest<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// How many members it has over there; at least one.
    pub weight: u32,
}

/// The end of an interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disinterest<'a> {
    /// The filter.
    pub subject: &'a [u8],
    /// The queue group.
    pub queue: Option<&'a [u8]>,
}

/// A message between servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Where it goes.
    pub subject: &'a [u8],
    /// Where answers go.
    pub reply: Option<&'a [u8]>,
    /// The queue groups that are to get it over there.
    pub queues: Queues<'a>,
    /// How many bytes at the front of the body are the header block.
    pub header_len: usize,
    /// Where headers and payload lie in the buffer given to the parser, without the CRLF behind them, which is there.
    pub body: Range<usize>,
}

/// Names of queue groups, as they stand in the line.
#[derive(Clone, Copy, Default)]
pub struct Queues<'a>(&'a [u8]);

impl<'a> Queues<'a> {
    /// The names in order.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        split(self.0)
    }

    /// No group is named.
    pub fn is_empty(self) -> bool {
        self.iter().next().is_none()
    }

    /// The first group is named again at the end: the message is for groups alone, as others have it by another way. Servers
    /// that do not know this take it for one name.
    pub fn is_for_groups_alone(self) -> bool {
        let mut names = self.iter();
        let first = names.next();
        first.is_some() && names.last() == first
    }

    /// Whether the group is named.
    pub fn contains(self, name: &[u8]) -> bool {
        self.iter().any(|queue| queue == name)
    }
}

impl PartialEq for Queues<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Queues<'_> {}

impl std::fmt::Debug for Queues<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter().map(subject::Quoted)).finish()
    }
}

const fn is_separator(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

fn split(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&byte| is_separator(byte)).filter(|word| !word.is_empty())
}

/// The arguments of a line, taken word by word from either end.
pub(crate) struct Arguments<'a> {
    line: &'a [u8],
    rest: &'a [u8],
    /// What the log says if they have the wrong number or form.
    what: &'static str,
}

impl<'a> Arguments<'a> {
    /// Refuses control characters, so every word is clean.
    pub(crate) fn new(line: &'a [u8], what: &'static str) -> Result<Self, ProtocolError> {
        let odd = |byte: u8| (byte < b' ' && !is_separator(byte)) || byte == 0x7f;
        if line.iter().any(|&byte| odd(byte)) {
            return Err(ProtocolError::ControlCharacter { word: Snippet::of_line(line) });
        }
        Ok(Self { line, rest: line, what })
    }

    pub(crate) fn wrong(&self) -> ProtocolError {
        ProtocolError::Arguments { what: self.what, line: Snippet::of_line(self.line) }
    }

    fn trimmed(&self) -> &'a [u8] {
        let start = self.rest.iter().position(|&byte| !is_separator(byte)).unwrap_or(self.rest.len());
        let end = self.rest.iter().rposition(|&byte| !is_separator(byte)).map_or(start, |last| last + 1);
        self.rest.get(start..end).unwrap_or_default()
    }

    /// The next word from the front, if there is one.
    pub(crate) fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.trimmed();
        let end = rest.iter().position(|&byte| is_separator(byte)).unwrap_or(rest.len());
        let (word, after) = rest.split_at_checked(end)?;
        self.rest = after;
        (!word.is_empty()).then_some(word)
    }

    fn next_back(&mut self) -> Option<&'a [u8]> {
        let rest = self.trimmed();
        let start = rest.iter().rposition(|&byte| is_separator(byte)).map_or(0, |last| last + 1);
        let (before, word) = rest.split_at_checked(start)?;
        self.rest = before;
        (!word.is_empty()).then_some(word)
    }

    /// The next word, which must be there.
    pub(crate) fn word(&mut self) -> Result<&'a [u8], ProtocolError> {
        self.next().ok_or_else(|| self.wrong())
    }

    /// The next word if the line has one here.
    pub(crate) fn word_if(&mut self, has_one: bool) -> Result<Option<&'a [u8]>, ProtocolError> {
        if has_one { self.word().map(Some) } else { Ok(None) }
    }

    pub(crate) fn size(&mut self) -> Result<usize, ProtocolError> {
        self.next().and_then(size).ok_or_else(|| self.wrong())
    }

    fn size_back(&mut self) -> Result<usize, ProtocolError> {
        self.next_back().and_then(size).ok_or_else(|| self.wrong())
    }

    /// Nothing may be left.
    pub(crate) fn end(&mut self) -> Result<(), ProtocolError> {
        if self.next().is_some() { Err(self.wrong()) } else { Ok(()) }
    }

    /// `subject [queue weight]` to the end of the line. A weight that is zero or no number counts as one.
    pub(crate) fn interest(&mut self) -> Result<Interest<'a>, ProtocolError> {
        let subject = self.word()?;
        let queue = match self.next() {
            None => None,
            Some(name) => {
                let weight = size(self.word()?).and_then(|weight| u32::try_from(weight).ok()).unwrap_or(1).max(1);
                Some(QueueInterest { name, weight })
            }
        };
        self.end()?;
        Ok(Interest { subject, queue })
    }

    /// `subject [queue]` to the end of the line.
    pub(crate) fn disinterest(&mut self) -> Result<Disinterest<'a>, ProtocolError> {
        let subject = self.word()?;
        let queue = self.next();
        self.end()?;
        Ok(Disinterest { subject, queue })
    }

    /// `subject [reply | + reply queues… | \| queues…] [header-size] size` to the end of the line, and the body behind it.
    pub(crate) fn message(
        &mut self,
        has_headers: bool,
        start: usize,
        limits: &Limits,
    ) -> Result<Message<'a>, ProtocolError> {
        let subject = self.word()?;
        let size = self.size_back()?;
        let header_len = if has_headers { self.size_back()? } else { 0 };
        if header_len > size {
            return Err(self.wrong());
        }
        let (reply, queues) = self.reply_and_queues()?;
        if size > limits.max_payload {
            return Err(ProtocolError::PayloadTooLarge { size, max: limits.max_payload });
        }
        Ok(Message { subject, reply, queues, header_len, body: start..start + size })
    }

    fn reply_and_queues(&mut self) -> Result<(Option<&'a [u8]>, Queues<'a>), ProtocolError> {
        let Some(first) = self.next() else { return Ok((None, Queues::default())) };
        if self.trimmed().is_empty() {
            return Ok((Some(first), Queues::default()));
        }
        let reply = match first {
            b"+" => self.next(),
            b"|" => None,
            _ => return Err(self.wrong()),
        };
        Ok((reply, Queues(self.rest)))
    }
}

/// A message whose head is read: whole if its body and the CRLF behind it are there.
pub(crate) fn with_body<O>(
    op: O,
    buf: &[u8],
    body: &Range<usize>,
    dialect: &'static str,
) -> Result<Parsed<O>, ProtocolError> {
    let need = body.end + 2;
    match buf.get(body.end..).unwrap_or_default() {
        [b'\r', b'\n', ..] => Ok(Parsed::Op { op, consumed: need }),
        [] | [b'\r'] => Ok(Parsed::Incomplete { need }),
        other => Err(ProtocolError::PayloadEnd { dialect, snippet: Snippet::of_operation(other) }),
    }
}

/// Who gets a message over there, as the line says it.
#[derive(Clone, Copy, Debug)]
pub struct Address<'a> {
    /// Where it goes.
    pub subject: &'a [u8],
    /// Where answers go.
    pub reply: Option<&'a [u8]>,
    /// The queue groups that are to get it.
    pub queues: &'a [&'a [u8]],
}

/// `verb words… subject [reply | + reply queues… | \| queues…] sizes…` and the line end.
pub(crate) fn head(
    out: &mut Vec<u8>,
    verb: &[u8],
    words: &[&[u8]],
    address: &Address<'_>,
    sizes: &[usize],
) -> Result<(), Unencodable> {
    let Address { subject, reply, queues } = *address;
    check(words)?;
    check(&[subject])?;
    check(reply.as_slice())?;
    check(queues)?;
    out.extend_from_slice(verb);
    spaced(out, words);
    spaced(out, &[subject]);
    if !queues.is_empty() {
        spaced(out, if reply.is_some() { &[b"+"] } else { &[b"|"] });
    }
    spaced(out, reply.as_slice());
    spaced(out, queues);
    finish_sizes(out, sizes);
    Ok(())
}

/// `verb words… subject [queue weight]` and the line end.
pub(crate) fn interest(
    out: &mut Vec<u8>,
    verb: &[u8],
    words: &[&[u8]],
    interest: &Interest<'_>,
) -> Result<(), Unencodable> {
    let queue = interest.queue.map(|queue| queue.name);
    check(queue.as_slice())?;
    written(out, verb, words, interest.subject)?;
    if let Some(QueueInterest { name, weight }) = interest.queue {
        out.push(b' ');
        spaced(out, &[name]);
        number(out, weight as usize);
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// `verb words… subject [queue]` and the line end.
pub(crate) fn disinterest(
    out: &mut Vec<u8>,
    verb: &[u8],
    words: &[&[u8]],
    disinterest: &Disinterest<'_>,
) -> Result<(), Unencodable> {
    check(disinterest.queue.as_slice())?;
    written(out, verb, words, disinterest.subject)?;
    if let Some(queue) = disinterest.queue {
        out.push(b' ');
        out.extend_from_slice(queue);
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

fn written(out: &mut Vec<u8>, verb: &[u8], words: &[&[u8]], subject: &[u8]) -> Result<(), Unencodable> {
    check(words)?;
    check(&[subject])?;
    out.extend_from_slice(verb);
    spaced(out, words);
    out.extend_from_slice(subject);
    Ok(())
}

/// The parts of a parsed message as [`Address`] wants them.
pub(crate) fn again(
    message: &Message<'_>,
    buf: &[u8],
    write: impl FnOnce(&Address<'_>, &[usize; 2]) -> Result<(), Unencodable>,
) -> Result<Range<usize>, Unencodable> {
    let body = buf.get(message.body.clone()).ok_or(Unencodable)?;
    let queues: Vec<&[u8]> = message.queues.iter().collect();
    let address = Address { subject: message.subject, reply: message.reply, queues: &queues };
    write(&address, &[message.header_len, body.len()])?;
    Ok(message.body.clone())
}
