//! Names of streams and consumers.

use std::fmt;
use std::sync::Arc;

/// Longest name.
pub const MAX_NAME_BYTES: usize = 255;

/// A name of a stream or consumer: 1 to 255 bytes, no dot, wildcard, slash, backslash, blank or control character.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameFault {
    /// Empty.
    Empty,
    /// Longer than [`MAX_NAME_BYTES`].
    TooLong,
    /// Holds a slash or backslash.
    Separator,
    /// Holds a dot, wildcard, blank or control character.
    Character,
}

impl Name {
    /// Checks a text.
    pub fn parse(text: &str) -> Result<Name, NameFault> {
        let bad = |byte: u8| byte <= b' ' || byte == 0x7f || matches!(byte, b'.' | b'*' | b'>' | b'"');
        match text.as_bytes() {
            [] => Err(NameFault::Empty),
            bytes if bytes.len() > MAX_NAME_BYTES => Err(NameFault::TooLong),
            bytes if bytes.iter().any(|byte| matches!(byte, b'/' | b'\\')) => Err(NameFault::Separator),
            bytes if bytes.iter().any(|&byte| bad(byte)) => Err(NameFault::Character),
            _ => Ok(Name(text.into())),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_an_alphabet_and_a_length() {
        assert_eq!(Name::parse("KV_bucket-1").as_ref().map(Name::as_str), Ok("KV_bucket-1"));
        assert_eq!(Name::parse(""), Err(NameFault::Empty));
        assert_eq!(Name::parse(&"x".repeat(256)), Err(NameFault::TooLong));
        for text in ["a/b", "a\\b", "../x"] {
            assert_eq!(Name::parse(text), Err(NameFault::Separator), "{text}");
        }
        for text in ["a.b", "*", ">", "a b", "a\n", "\u{7f}", "a\"b"] {
            assert_eq!(Name::parse(text), Err(NameFault::Character), "{text}");
        }
    }
}
