//! What a peer did wrong on the wire.

use std::fmt;

use subject::Quoted;

use crate::CloseReason;

/// The first bytes of something a peer sent, for the log. Printed in quotes, so it cannot forge a log line.
#[derive(Clone, PartialEq, Eq)]
pub struct Snippet(Box<[u8]>);

/// Bytes of a line that are shown when the line is at fault as a whole.
const MAX_SNIPPET_BYTES: usize = 128;

/// Bytes that are shown when no operation could be made out.
const MAX_OPERATION_SNIPPET_BYTES: usize = 32;

impl Snippet {
    pub(crate) fn of_line(bytes: &[u8]) -> Self {
        Self(bytes.iter().copied().take(MAX_SNIPPET_BYTES).collect())
    }

    pub(crate) fn of_operation(bytes: &[u8]) -> Self {
        Self(bytes.iter().copied().take(MAX_OPERATION_SNIPPET_BYTES).collect())
    }
}

impl fmt::Display for Snippet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Quoted(&self.0).fmt(f)
    }
}

impl fmt::Debug for Snippet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a peer did wrong on the wire; always the peer's fault, and always the end of the connection.
///
/// `Display` is the line for the log, [`wire_text`](ProtocolError::wire_text) what the peer is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// No operation of this dialect begins like this.
    UnknownOperation {
        /// The dialect, as the log calls it: `Client`, `Router`, `Gateway`, `Leafnode`.
        dialect: &'static str,
        /// What came instead.
        snippet: Snippet,
    },
    /// The payload is not followed by CRLF, so its size was wrong.
    PayloadEnd {
        /// The dialect, as the log calls it.
        dialect: &'static str,
        /// What came instead.
        snippet: Snippet,
    },
    /// The arguments of an operation have the wrong number or form.
    Arguments {
        /// What is wrong, as the log says it.
        what: &'static str,
        /// The arguments.
        line: Snippet,
    },
    /// A control character stands where a word of the protocol should be.
    ControlCharacter {
        /// The word.
        word: Snippet,
    },
    /// The arguments are longer than `max_control_line` allows.
    ControlLineTooLong {
        /// The limit.
        max: usize,
        /// The beginning of the line.
        line: Snippet,
    },
    /// The payload is larger than `max_payload` allows. Known before any of it is stored.
    PayloadTooLarge {
        /// What was announced.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// A message with headers on a connection that has none.
    HeadersNotSupported,
}

impl ProtocolError {
    /// The text of the `-ERR` the peer gets; `None` where the connection is closed without a word.
    pub const fn wire_text(&self) -> Option<&'static str> {
        match self {
            Self::UnknownOperation { .. } | Self::PayloadEnd { .. } | Self::ControlCharacter { .. } => {
                Some("Unknown Protocol Operation")
            }
            Self::ControlLineTooLong { .. } => Some("maximum control line exceeded"),
            Self::PayloadTooLarge { .. } => Some("Maximum Payload Violation"),
            Self::Arguments { .. } | Self::HeadersNotSupported => None,
        }
    }

    /// The reason under which monitoring lists the connection.
    pub const fn close_reason(&self) -> CloseReason {
        match self {
            Self::UnknownOperation { .. }
            | Self::PayloadEnd { .. }
            | Self::Arguments { .. }
            | Self::ControlCharacter { .. } => CloseReason::ProtocolViolation,
            Self::ControlLineTooLong { .. } => CloseReason::MaxControlLineExceeded,
            Self::PayloadTooLarge { .. } => CloseReason::MaxPayloadExceeded,
            Self::HeadersNotSupported => CloseReason::MessageHeaderViolation,
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownOperation { dialect, snippet } => write!(f, "{dialect} parser ERROR: proto='{snippet}...'"),
            Self::PayloadEnd { dialect, snippet } => {
                write!(f, "{dialect} parser ERROR: no CRLF after the payload: proto='{snippet}...'")
            }
            Self::Arguments { what, line } => write!(f, "{what}: {line}"),
            Self::ControlCharacter { word } => write!(f, "control character in {word}"),
            Self::ControlLineTooLong { max, line } => {
                write!(f, "maximum control line exceeded (max_control_line {max}, snip: {line}...)")
            }
            Self::PayloadTooLarge { size, max } => write!(f, "maximum payload exceeded: {size} vs {max}"),
            Self::HeadersNotSupported => f.write_str("message headers not supported"),
        }
    }
}

impl std::error::Error for ProtocolError {}
