//! One protocol line, whatever the dialect: its verb, its arguments, its bounds.

use memchr::memchr;

use crate::ProtocolError;
use crate::protocol_error::Snippet;

/// Bytes of a line beside its arguments: the verb and the blanks after it. A peer that sends more blanks is not
/// speaking the protocol, and must not fill a buffer with them.
pub(crate) const MAX_VERB_AND_BLANKS: usize = 64;

/// What may follow a verb.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Nothing.
    Alone,
    /// A blank or tab, then arguments.
    Arguments,
    /// Blanks if any, then JSON.
    Json,
}

/// A verb of a dialect: its word in capitals, what may follow it, and what it stands for.
pub(crate) struct Verb<V> {
    pub(crate) word: &'static [u8],
    pub(crate) shape: Shape,
    pub(crate) kind: V,
}

pub(crate) const fn verb<V>(word: &'static [u8], shape: Shape, kind: V) -> Verb<V> {
    Verb { word, shape, kind }
}

/// A line, or the wish for more bytes.
pub(crate) enum Line<'a, V> {
    /// A whole line.
    Whole {
        verb: V,
        /// What stands between the blanks after the verb and the line end.
        arguments: &'a [u8],
        /// Where the next line, or the payload, begins.
        end: usize,
    },
    /// It may become one.
    Incomplete,
}

enum Recognised<'v, V> {
    Unknown,
    /// Too short to tell.
    Partial,
    Known(&'v Verb<V>),
}

/// Takes the line at the front of the buffer. What cannot become a line of the dialect is refused at its first wrong
/// byte, before the line end has come.
pub(crate) fn take<'a, V: Copy>(
    buf: &'a [u8],
    verbs: &[Verb<V>],
    dialect: &'static str,
    max_control_line: usize,
) -> Result<Line<'a, V>, ProtocolError> {
    let unknown = || ProtocolError::UnknownOperation { dialect, snippet: Snippet::of_operation(buf) };
    let verb = match recognise(buf, verbs) {
        Recognised::Unknown => return Err(unknown()),
        Recognised::Partial => return Ok(Line::Incomplete),
        Recognised::Known(verb) => verb,
    };
    let newline = memchr(b'\n', buf);
    let so_far = without_cr(newline.and_then(|at| buf.get(..at)).unwrap_or(buf));
    let arguments = after_blanks(so_far.get(verb.word.len()..).unwrap_or_default());
    if verb.shape == Shape::Alone && !arguments.is_empty() {
        return Err(unknown());
    }
    let too_long = so_far.len() > max_control_line.saturating_add(MAX_VERB_AND_BLANKS);
    if too_long || arguments.len() > max_control_line {
        return Err(ProtocolError::ControlLineTooLong { max: max_control_line, line: Snippet::of_line(arguments) });
    }
    Ok(match newline {
        Some(at) => Line::Whole { verb: verb.kind, arguments, end: at + 1 },
        None => Line::Incomplete,
    })
}

fn recognise<'v, V>(buf: &[u8], verbs: &'v [Verb<V>]) -> Recognised<'v, V> {
    let mut partial = false;
    for verb in verbs {
        let common = buf.len().min(verb.word.len());
        let begins = buf.get(..common).zip(verb.word.get(..common)).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b));
        match buf.get(verb.word.len()) {
            Some(&next) if begins && may_follow(verb.shape, next) => return Recognised::Known(verb),
            None if begins => partial = true,
            _ => {}
        }
    }
    if partial { Recognised::Partial } else { Recognised::Unknown }
}

const fn may_follow(shape: Shape, next: u8) -> bool {
    match shape {
        Shape::Alone => matches!(next, b' ' | b'\t' | b'\r' | b'\n'),
        Shape::Arguments => matches!(next, b' ' | b'\t'),
        Shape::Json => matches!(next, b' ' | b'\t' | b'\r' | b'\n' | b'{'),
    }
}

#[inline(always)]
pub(crate) fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn after_blanks(line: &[u8]) -> &[u8] {
    let blanks = line.iter().take_while(|&&byte| byte == b' ' || byte == b'\t').count();
    line.get(blanks..).unwrap_or_default()
}
