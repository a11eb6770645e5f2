//! Texts in double quotes, as peers and log readers know them.

use std::fmt;

/// Bytes printed in double quotes with the escapes of Go's `%q`: error texts on the wire and log lines have them, and
/// tools compare them byte for byte. Whatever a peer sent, the result has no control characters and no line breaks.
///
/// ```
/// use subject::Quoted;
///
/// assert_eq!(Quoted(b"a\"b\r\n\xff").to_string(), r#""a\"b\r\n\xff""#);
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Quoted<'a>(pub &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for chunk in self.0.utf8_chunks() {
            chunk.valid().chars().try_for_each(|c| character(f, c))?;
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        f.write_str("\"")
    }
}

impl fmt::Debug for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn character(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '"' => f.write_str("\\\""),
        '\\' => f.write_str("\\\\"),
        ' '..='~' => fmt::Write::write_char(f, c),
        '\x07' => f.write_str("\\a"),
        '\x08' => f.write_str("\\b"),
        '\x0c' => f.write_str("\\f"),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        '\x0b' => f.write_str("\\v"),
        '\0'..='\x7f' => write!(f, "\\x{:02x}", u32::from(c)),
        c if is_printable(c) => fmt::Write::write_char(f, c),
        c if u32::from(c) <= 0xffff => write!(f, "\\u{:04x}", u32::from(c)),
        c => write!(f, "\\U{:08x}", u32::from(c)),
    }
}

/// The standard library escapes what is not printable, but at the start of a text also marks that join the letter before
/// them; so the question is asked about the second character of a text.
fn is_printable(c: char) -> bool {
    let mut bytes = [b'a', 0, 0, 0, 0];
    let Some((_, room)) = bytes.split_first_mut() else { return false };
    let length = c.encode_utf8(room).len();
    let text = bytes.get(..=length).and_then(|bytes| std::str::from_utf8(bytes).ok());
    text.is_some_and(|text| text.escape_debug().nth(1) == Some(c))
}

#[cfg(test)]
mod tests {
    use super::Quoted;

    #[test]
    fn quoting_is_that_of_the_reference() {
        for (bytes, text) in [
            (&b"orders.>"[..], r#""orders.>""#),
            (b"", r#""""#),
            (b"\x00\x07\x08\x09\x0a\x0b\x0c\x0d\x1b\x7f", r#""\x00\a\b\t\n\v\f\r\x1b\x7f""#),
            ("ü日本".as_bytes(), "\"ü日本\""),
            (b"\xc3\x28\xff", r#""\xc3(\xff""#),
            ("\u{a0}\u{200b}\u{ad}\u{feff}".as_bytes(), r#""\u00a0\u200b\u00ad\ufeff""#),
            ("e\u{301}".as_bytes(), "\"e\u{301}\""),
            ("\u{301}".as_bytes(), "\"\u{301}\""),
            ("😀".as_bytes(), "\"😀\""),
            ("\u{e000}\u{10ffff}".as_bytes(), r#""\ue000\U0010ffff""#),
            (b"it's \\", r#""it's \\""#),
        ] {
            assert_eq!(Quoted(bytes).to_string(), text);
        }
    }
}
