//! How values and mistakes are spelled in messages that scripts compare with those of the reference server.

use std::fmt;

use conf::{Node, Value};
use moment::DurationError;

/// A text in double quotes, with quotes and control characters escaped.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 || c == '\u{7f}' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// A list of texts: `["a" "b"]`.
pub(crate) fn quoted_list<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let texts: Vec<String> = texts.into_iter().map(quoted).collect();
    format!("[{}]", texts.join(" "))
}

/// Why a text is no duration.
pub(crate) fn duration_error(error: DurationError, text: &str) -> String {
    let whole = quoted(text);
    match error {
        DurationError::MissingUnit => format!("time: missing unit in duration {whole}"),
        DurationError::UnknownUnit => {
            format!("time: unknown unit {} in duration {whole}", quoted(unknown_unit(text).unwrap_or(text)))
        }
        DurationError::Malformed | DurationError::TooLong => format!("time: invalid duration {whole}"),
    }
}

/// The first run of letters that is no unit.
fn unknown_unit(text: &str) -> Option<&str> {
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let mut rest = text.trim_start_matches(['-', '+']);
    while !rest.is_empty() {
        rest = rest.trim_start_matches(is_number);
        let (unit, after) = rest.split_at(rest.find(is_number).unwrap_or(rest.len()));
        if !["ns", "us", "µs", "μs", "ms", "s", "m", "h"].contains(&unit) {
            return Some(unit);
        }
        rest = after;
    }
    None
}

/// A value in a message. Maps and arrays may hold secrets, so only their kind is shown.
pub(crate) struct Shown<'a>(pub(crate) &'a Node);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.value {
            Value::String(text) => f.write_str(text.as_str()),
            Value::Integer(number) => write!(f, "{number}"),
            Value::Float(number) => write!(f, "{number}"),
            Value::Bool(truth) => write!(f, "{truth}"),
            Value::Datetime(text) => f.write_str(text),
            Value::Array(_) | Value::Map(_) => f.write_str(self.0.kind().words()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_no_duration_is_told_as_the_reference_does() {
        let why = |text: &str| duration_error(text.parse::<moment::GoDuration>().unwrap_err(), text);
        assert_eq!(why("abc"), "time: invalid duration \"abc\"");
        assert_eq!(why("5"), "time: missing unit in duration \"5\"");
        assert_eq!(why("1s5x"), "time: unknown unit \"x\" in duration \"1s5x\"");
        assert_eq!(why(""), "time: invalid duration \"\"");
    }

    #[test]
    fn quotes_hide_what_would_break_a_line() {
        assert_eq!(quoted("a\"b\\c\n\u{1}"), r#""a\"b\\c\n\x01""#);
        assert_eq!(quoted_list(["a", "b"]), r#"["a" "b"]"#);
    }
}
