//! What a message is published to.

use std::fmt;

use crate::algebra::{self, is_wildcard, tokens};

/// Longest subject or filter, in bytes. A control line is 4 KiB by default; an operator who raises it does not need
/// more than this.
pub const MAX_SUBJECT_BYTES: usize = 64 * 1024 - 1;

/// Why bytes are not a subject or not a filter. Always the fault of whoever wrote them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SubjectError {
    /// There are no bytes at all.
    Empty,
    /// Two dots in a row, or a dot at either end.
    EmptyToken,
    /// A blank or a control character, at this offset.
    BadByte(usize),
    /// `>` stands before other tokens.
    RestNotLast,
    /// More bytes than [`MAX_SUBJECT_BYTES`], or for a queue name [`crate::MAX_QUEUE_BYTES`].
    TooLong,
    /// More tokens than [`crate::MAX_FILTER_TOKENS`].
    TooManyTokens,
}

impl fmt::Display for SubjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("subject is empty"),
            Self::EmptyToken => f.write_str("subject has an empty token"),
            Self::BadByte(at) => write!(f, "subject has a blank or control character at byte {at}"),
            Self::RestNotLast => f.write_str("'>' is allowed as the last token only"),
            Self::TooLong => f.write_str("subject is too long"),
            Self::TooManyTokens => f.write_str("subject has too many tokens"),
        }
    }
}

impl std::error::Error for SubjectError {}

/// A subject as published: non-empty tokens without blanks and control characters.
///
/// A token `*` or `>` is taken literally here, as publishers outside pedantic mode may send it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject<'a>(&'a [u8]);

impl<'a> Subject<'a> {
    /// Checks the bytes once, so that nobody has to ask again.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, SubjectError> {
        check(bytes)?;
        Ok(Self(bytes))
    }

    /// The checked bytes.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// No token is `*` or `>`: what pedantic mode asks of a publisher.
    pub fn is_literal(self) -> bool {
        !tokens(self.0).any(is_wildcard)
    }

    /// The parts between the dots.
    pub fn tokens(self) -> impl Iterator<Item = &'a [u8]> {
        tokens(self.0)
    }

    /// The part before the first dot.
    pub fn first_token(self) -> &'a [u8] {
        algebra::first_token(self.0)
    }
}

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.0))
    }
}

impl fmt::Debug for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subject({self})")
    }
}

/// What subjects and filters have in common.
pub(crate) fn check(bytes: &[u8]) -> Result<(), SubjectError> {
    match bytes {
        [] => return Err(SubjectError::Empty),
        _ if bytes.len() > MAX_SUBJECT_BYTES => return Err(SubjectError::TooLong),
        [b'.', ..] | [.., b'.'] => return Err(SubjectError::EmptyToken),
        _ => {}
    }
    // Nearly all are in order, which is seen without a branch for each byte.
    let is_bad = bytes.iter().fold(false, |is_bad, &byte| is_bad | (byte < 0x21) | (byte == 0x7f));
    let has_gap =
        bytes.iter().zip(bytes.iter().skip(1)).fold(false, |has_gap, (&a, &b)| has_gap | ((a == b'.') & (b == b'.')));
    if is_bad || has_gap { Err(fault(bytes)) } else { Ok(()) }
}

/// What is wrong first.
#[cold]
fn fault(bytes: &[u8]) -> SubjectError {
    let mut after_dot = false;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte < 0x21 || byte == 0x7f {
            return SubjectError::BadByte(at);
        }
        let dot = byte == b'.';
        if dot && after_dot {
            break;
        }
        after_dot = dot;
    }
    SubjectError::EmptyToken
}
