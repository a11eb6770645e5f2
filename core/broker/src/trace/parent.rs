//! `traceparent`: `version-trace-parent-flags` in hexadecimal digits (W3C Trace Context, section 3.2).

use std::ops::Range;

use super::request::{self, PARENT};
use crate::hop::{SpanId, TraceId};

/// What the first version of the header is long. Later ones may go on behind it.
const FIRST_VERSION_BYTES: usize = 55;

/// Where the parent stands in the value.
const SPAN: Range<usize> = 36..52;

/// The lowest bit of the flags.
const SAMPLED: u8 = 1;

/// The parent that a message names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
    pub(super) is_sampled: bool,
    /// Where the digits of the span stand in the header block.
    pub(super) at: Range<usize>,
}

impl Parent {
    /// The parent in the header block. What is no valid parent is none, as the standard says.
    pub(super) fn read(block: &[u8]) -> Option<Self> {
        let value = request::lines(block).find_map(|(key, value)| key.eq_ignore_ascii_case(PARENT).then_some(value))?;
        let parent = Self::of(value)?;
        let start = value.as_ptr().addr().checked_sub(block.as_ptr().addr())?;
        Some(Self { at: start + SPAN.start..start + SPAN.end, ..parent })
    }

    fn of(value: &[u8]) -> Option<Self> {
        let (version, rest) = (digits::<1>(value.get(..2)?)?, value.get(FIRST_VERSION_BYTES..)?);
        let has_end = rest.is_empty() || version != [0] && rest.starts_with(b"-");
        let is_divided = [2, 35, 52].iter().all(|&at| value.get(at) == Some(&b'-'));
        let trace = digits::<16>(value.get(3..35)?)?;
        let span = digits::<8>(value.get(SPAN)?)?;
        let [flags] = digits::<1>(value.get(53..55)?)?;
        let is_valid = version != [0xff] && has_end && is_divided && trace != [0; 16] && span != [0; 8];
        is_valid.then_some(Self { trace, span, is_sampled: flags & SAMPLED != 0, at: SPAN })
    }
}

/// A value that names this span as the parent.
pub(super) fn value(trace: TraceId, span: SpanId) -> String {
    format!("00-{}-{}-01", hex(&trace), hex(&span))
}

/// Lower-case digits, as the standard wants them.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digits<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let (pairs, []) = text.as_chunks::<2>() else { return None };
    if pairs.len() != N {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

fn digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN_TEXT: &str = "00f067aa0ba902b7";

    fn read(value: &str) -> Option<Parent> {
        Parent::read(format!("NATS/1.0\r\nA: b\r\nTraceParent:  {value}\r\nC: d\r\n\r\n").as_bytes())
    }

    #[test]
    fn a_parent_is_read_with_its_place() {
        let block = format!("NATS/1.0\r\nA: b\r\ntraceparent: 00-{TRACE}-{SPAN_TEXT}-01\r\n\r\n");
        let parent = Parent::read(block.as_bytes()).unwrap();
        assert_eq!((hex(&parent.trace).as_str(), hex(&parent.span).as_str()), (TRACE, SPAN_TEXT));
        assert!(parent.is_sampled);
        assert_eq!(&block[parent.at], SPAN_TEXT);
        assert_eq!(value(parent.trace, parent.span), format!("00-{TRACE}-{SPAN_TEXT}-01"));
    }

    #[test]
    fn flags_and_later_versions_are_read_as_the_standard_says() {
        assert!(!read(&format!("00-{TRACE}-{SPAN_TEXT}-00")).unwrap().is_sampled);
        assert!(read(&format!("00-{TRACE}-{SPAN_TEXT}-ff")).unwrap().is_sampled);
        assert!(read(&format!("cc-{TRACE}-{SPAN_TEXT}-01-what.comes")).unwrap().is_sampled);
    }

    #[test]
    fn what_is_no_parent_is_none() {
        let zeros = ("0".repeat(32), "0".repeat(16));
        for value in [
            String::new(),
            "00".into(),
            format!("ff-{TRACE}-{SPAN_TEXT}-01"),
            format!("00-{TRACE}-{SPAN_TEXT}-01-more"),
            format!("cc-{TRACE}-{SPAN_TEXT}-01more"),
            format!("00-{}-{SPAN_TEXT}-01", zeros.0),
            format!("00-{TRACE}-{}-01", zeros.1),
            format!("00-{}-{SPAN_TEXT}-01", TRACE.to_uppercase()),
            format!("00_{TRACE}-{SPAN_TEXT}-01"),
            format!("00-{TRACE}-{SPAN_TEXT}-0x"),
            format!("00-{TRACE}-{SPAN_TEXT}-1"),
        ] {
            assert_eq!(read(&value), None, "{value}");
        }
        assert_eq!(Parent::read(b"NATS/1.0\r\nA: traceparent\r\n\r\n"), None);
        assert_eq!(Parent::read(b""), None);
    }
}
