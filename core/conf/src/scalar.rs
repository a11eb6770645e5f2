//! Strings, and which kind of value begins here.

use crate::cursor::{Mark, is_blank, is_line_end};
use crate::node::Text;
use crate::world::{Parser, Step};
use crate::{Fault, Node, Unexpected, Value};

impl Parser<'_, '_> {
    /// A value on this line.
    pub(crate) fn value(&mut self) -> Step<Node> {
        self.cursor.bump_while(is_blank);
        match self.cursor.peek() {
            Some('[') => {
                self.cursor.bump();
                self.array()
            }
            Some('{') => {
                self.cursor.bump();
                self.map()
            }
            Some('\'') => self.raw_string(),
            Some('"') => self.quoted_string(),
            Some('(') => self.block_string(),
            Some('-') => self.negative_number(),
            Some(c) if c.is_ascii_digit() => self.number(),
            Some('.') => self.unexpected_next(|_| Unexpected::LeadingPoint),
            Some(c) if is_line_end(c) => self.unexpected_next(|_| Unexpected::NewLineForValue),
            _ => self.bare_string(),
        }
    }

    /// Single quotes: nothing is escaped.
    fn raw_string(&mut self) -> Step<Node> {
        self.cursor.bump();
        let mark = self.cursor.mark();
        self.cursor.bump_while(|c| c != '\'');
        let node = self.text(mark);
        if self.cursor.eat('\'') { node } else { self.unexpected(Unexpected::End) }
    }

    /// Double quotes: a few characters are escaped.
    fn quoted_string(&mut self) -> Step<Node> {
        self.cursor.bump();
        let mark = self.cursor.mark();
        self.cursor.bump_while(|c| c != '"' && c != '\\');
        if self.cursor.peek() == Some('"') {
            let node = self.text(mark);
            self.cursor.bump();
            return node;
        }
        let mut bytes = self.cursor.since(mark).as_bytes().to_vec();
        loop {
            self.plain_run(&mut bytes, |c| c == '"' || c == '\\');
            match self.cursor.peek() {
                Some('\\') => self.escape(&mut bytes)?,
                Some(_) => break,
                None => return self.unexpected(Unexpected::End),
            }
        }
        let node = self.unescaped(mark, bytes);
        self.cursor.bump();
        node
    }

    /// No quotes: a boolean, a variable or a string.
    fn bare_string(&mut self) -> Step<Node> {
        self.bare_string_from(self.cursor.mark())
    }

    /// The rest of a string without quotes that began at the mark.
    pub(crate) fn bare_string_from(&mut self, mark: Mark) -> Step<Node> {
        let ends = |c| ends_bare_string(c) || c == '\\' || c == '\'';
        self.cursor.bump_while(|c| !ends(c));
        let node = if self.cursor.peek() == Some('\\') { self.escaped(mark, ends) } else { self.bare_value(mark) };
        // A single quote ends the string and is not part of it.
        self.cursor.eat('\'');
        node
    }

    /// A string without quotes in which something is escaped. The cursor stands on the first backslash.
    fn escaped(&mut self, mark: Mark, ends: impl Fn(char) -> bool + Copy) -> Step<Node> {
        let mut bytes = self.cursor.since(mark).as_bytes().to_vec();
        while self.cursor.peek() == Some('\\') {
            self.escape(&mut bytes)?;
            self.plain_run(&mut bytes, ends);
        }
        self.unescaped(mark, bytes)
    }

    /// A string without quotes and escapes. What a single quote ends is nothing else than a string.
    fn bare_value(&mut self, mark: Mark) -> Step<Node> {
        let text = self.cursor.since(mark);
        let is_whole = self.cursor.peek() != Some('\'');
        if let Some(truth) = boolean(text).filter(|_| is_whole) {
            return self.node(mark, text.len(), Value::Bool(truth));
        }
        match text.strip_prefix('$') {
            Some(name) if is_whole => self.variable(mark, name),
            _ => self.text(mark),
        }
    }

    fn plain_run(&mut self, bytes: &mut Vec<u8>, ends: impl Fn(char) -> bool) {
        let mark = self.cursor.mark();
        self.cursor.bump_while(|c| !ends(c));
        bytes.extend_from_slice(self.cursor.since(mark).as_bytes());
    }

    fn escape(&mut self, bytes: &mut Vec<u8>) -> Step<()> {
        self.cursor.bump();
        let byte = match self.cursor.peek() {
            Some('x') => {
                self.cursor.bump();
                return self.hex_escape(bytes);
            }
            Some('t') => b'\t',
            Some('n') => b'\n',
            Some('r') => b'\r',
            Some('"') => b'"',
            Some('\\') => b'\\',
            _ => return self.unexpected_next(Unexpected::Escape),
        };
        self.cursor.bump();
        bytes.push(byte);
        Ok(())
    }

    fn hex_escape(&mut self, bytes: &mut Vec<u8>) -> Step<()> {
        let mark = self.cursor.mark();
        for _ in 0..2 {
            match self.cursor.peek() {
                Some(c) if is_line_end(c) => return self.unexpected_next(|_| Unexpected::HexEscapeLineEnd),
                Some(_) => self.cursor.bump(),
                None => return self.unexpected(Unexpected::End),
            };
        }
        let digits = self.cursor.since(mark);
        // `from_str_radix` would take a sign.
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        match u8::from_str_radix(digits, 16) {
            Ok(byte) if is_hex => bytes.push(byte),
            _ => return self.unexpected(Unexpected::HexEscape(digits.to_owned())),
        }
        Ok(())
    }

    /// Parentheses: everything up to a closing one that stands alone on its line.
    fn block_string(&mut self) -> Step<Node> {
        self.cursor.bump();
        let mark = self.cursor.mark();
        loop {
            self.cursor.bump_while(|c| c != ')');
            if self.cursor.peek().is_none() {
                return self.unexpected(Unexpected::EndInBlock);
            }
            let is_alone = self.cursor.since(mark).ends_with('\n');
            let after = self.cursor.rest().get(1..).unwrap_or_default();
            if is_alone && (after.is_empty() || after.starts_with('\n')) {
                let node = self.text(mark);
                self.cursor.bump();
                return node;
            }
            self.cursor.bump();
        }
    }

    fn unescaped(&mut self, mark: Mark, bytes: Vec<u8>) -> Step<Node> {
        let len = bytes.len();
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(_) => {
                let here = self.here();
                self.shared.note(here, Fault::StringNotUtf8)?;
                String::new()
            }
        };
        self.node(mark, len, Value::String(Text::new(text)))
    }
}

fn boolean(text: &str) -> Option<bool> {
    let is_any = |words: [&str; 3]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_any(["true", "yes", "on"]) {
        Some(true)
    } else if is_any(["false", "no", "off"]) {
        Some(false)
    } else {
        None
    }
}

#[inline]
pub(crate) const fn ends_bare_string(c: char) -> bool {
    is_line_end(c) || is_blank(c) || matches!(c, ';' | ',' | ']' | '}')
}
