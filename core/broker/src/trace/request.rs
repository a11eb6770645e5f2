//! What the headers of a message ask for.
//!
//! A trace is asked for by the destination in `Nats-Trace-Dest`, or by a `traceparent` of another system whose sampled
//! bit is set. Keys are exact but for `traceparent`; the first of several counts.

use std::collections::BTreeMap;

use memchr::memmem;

/// Where the trace goes.
pub(super) const DESTINATION: &str = "Nats-Trace-Dest";

/// The destination that says: not to be traced, by nobody on the way.
pub(super) const DISABLED: &[u8] = b"trace disabled";

/// By which hop a message came to this server, among servers.
pub(super) const HOP: &str = "Nats-Trace-Hop";

/// Names of hops that are longer are nobody's.
const HOP_BYTES_MAX: usize = 256;

const ONLY: &[u8] = b"Nats-Trace-Only";
const OBSOLETE: &[u8] = b"Nats-Trace-Origin-Account";
const ENCODING: &[u8] = b"Accept-Encoding";
pub(super) const PARENT: &[u8] = b"traceparent";
const VERSION_LINE: &[u8] = b"NATS/1.0\r\n";

/// Whether the block may ask for a trace: a quick look at how each line begins. What is too short to ask is not looked at,
/// so that a block of one header costs one search.
#[inline]
pub(crate) fn is_asked(block: &[u8]) -> bool {
    let mut lines = block.get(VERSION_LINE.len()..).unwrap_or_default();
    while lines.len() > PARENT.len() {
        let asks = match lines {
            [b'N', ..] => lines.starts_with(DESTINATION.as_bytes()),
            [b't' | b'T', ..] => lines.get(..PARENT.len()).is_some_and(|key| key.eq_ignore_ascii_case(PARENT)),
            _ => false,
        };
        if asks {
            return true;
        }
        let end = memchr::memchr(b'\n', lines).unwrap_or(lines.len());
        lines = lines.get(end + 1..).unwrap_or_default();
    }
    false
}

/// What the headers of a message ask for.
pub(super) struct Request<'a> {
    /// All headers, by key as written.
    pub(super) headers: BTreeMap<&'a [u8], Vec<&'a [u8]>>,
    /// Where the trace goes; `None` for where the account wants those of other systems.
    pub(super) destination: Option<&'a [u8]>,
    /// The message is not to be delivered.
    pub(super) only: bool,
}

impl<'a> Request<'a> {
    /// What the block asks for; `None` if no trace.
    pub(super) fn read(block: &'a [u8]) -> Option<Self> {
        let lines = block.strip_prefix(VERSION_LINE)?;
        let mut headers: BTreeMap<&[u8], Vec<&[u8]>> = BTreeMap::new();
        let mut sampled = false;
        for (key, value) in pairs(lines) {
            sampled |= key.eq_ignore_ascii_case(PARENT) && is_sampled(value);
            headers.entry(key).or_default().push(value);
        }
        let first = |key: &[u8]| headers.get(key).and_then(|values| values.first().copied());
        let destination = first(DESTINATION.as_bytes());
        if destination == Some(DISABLED) || (destination.is_none() && !sampled) {
            return None;
        }
        let says_only = first(ONLY)
            .is_some_and(|value| [b"1".as_slice(), b"true", b"on"].iter().any(|yes| value.eq_ignore_ascii_case(yes)));
        Some(Self { only: destination.is_some() && says_only, destination, headers })
    }

    /// A server of long ago marked the message.
    pub(super) fn is_obsolete(&self) -> bool {
        self.headers.contains_key(OBSOLETE)
    }

    /// By which hop it came.
    pub(super) fn hop(&self) -> Option<&'a str> {
        let hop = self.headers.get(HOP.as_bytes())?.first().filter(|hop| hop.len() <= HOP_BYTES_MAX)?;
        std::str::from_utf8(hop).ok()
    }

    /// The encodings that the publisher says it can read.
    pub(super) fn encodings(&self) -> Option<&'a [u8]> {
        self.headers.get(ENCODING)?.first().copied()
    }
}

/// Keys and values of a block, in order.
pub(super) fn lines(block: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    pairs(block.strip_prefix(VERSION_LINE).unwrap_or_default())
}

/// Keys and values in order. What is empty is no header.
fn pairs(mut lines: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let lines = std::iter::from_fn(move || {
        let end = memmem::find(lines, b"\r\n")?;
        let line = lines.get(..end)?;
        lines = lines.get(end + 2..)?;
        Some(line)
    });
    lines.filter_map(|line| {
        let (key, value) = line.split_at_checked(memchr::memchr(b':', line)?)?;
        let value = value.strip_prefix(b":")?.trim_ascii();
        (!key.is_empty() && !value.is_empty()).then_some((key, value))
    })
}

/// `version-trace-parent-flags`, and the lowest bit of the flags is set.
fn is_sampled(value: &[u8]) -> bool {
    let mut parts = value.split(|&byte| byte == b'-');
    let (Some(flags @ [_, _]), None) = (parts.nth(3), parts.next()) else { return false };
    // The flags are read as a signed byte, as peers know it.
    let flags = std::str::from_utf8(flags).ok().and_then(|flags| i8::from_str_radix(flags, 16).ok());
    flags.is_some_and(|flags| flags & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(lines: &str) -> Vec<u8> {
        format!("NATS/1.0\r\n{lines}\r\n").into_bytes()
    }

    #[test]
    fn the_quick_look_finds_what_may_ask() {
        for lines in ["Nats-Trace-Dest: x\r\n", "A: b\r\nNats-Trace-Dest:x\r\n", "A: b\r\nTraceParent: 00\r\n"] {
            assert!(is_asked(&block(lines)), "{lines}");
        }
        for lines in ["", "A: Nats-Trace-Dest\r\n", "nats-trace-dest: x\r\n", "trace: x\r\n", "Nats-Msg-Id: 1\r\n"] {
            assert!(!is_asked(&block(lines)), "{lines}");
        }
        assert!(!is_asked(b""));
    }

    #[test]
    fn the_first_destination_counts_and_blanks_around_it_do_not() {
        let block = block("Nats-Trace-Dest:  \t a.b \t\r\nNats-Trace-Dest: c\r\nNats-Trace-Only: TRUE\r\n");
        let request = Request::read(&block).unwrap();
        assert_eq!((request.destination, request.only), (Some(b"a.b".as_slice()), true));
    }

    #[test]
    fn no_trace_is_asked_for_by_less() {
        for lines in [
            "",
            "Nats-Trace-Dest:\r\n",
            "Nats-Trace-Dest: trace disabled\r\n",
            "nats-trace-dest: x\r\n",
            "Nats-Trace-Only: 1\r\n",
            "traceparent: 00-a-b-00\r\n",
            "traceparent: 00-a-b-ff\r\n",
            "traceparent: 00-a-b-1\r\n",
            "traceparent: 00-a-b-01-x\r\n",
            "traceparent: 00-a-01\r\n",
            "traceparent: 00-a-b-zz\r\n",
        ] {
            assert!(Request::read(&block(lines)).is_none(), "{lines}");
        }
        assert!(Request::read(b"NATS/1.0 503\r\nNats-Trace-Dest: x\r\n\r\n").is_none());
    }

    #[test]
    fn a_sampled_parent_asks_for_the_trace_of_the_account() {
        let block = block("TRACEPARENT: 00-a-b-01\r\nNats-Trace-Only: 1\r\n");
        let request = Request::read(&block).unwrap();
        assert_eq!((request.destination, request.only), (None, false));
    }
}
