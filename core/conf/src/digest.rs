//! The name of a tree: SHA-256 of its JSON in exactly the spelling of the reference server, so that both print the
//! same digest for the same file.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::{Map, Node, Value};

/// Bytes of JSON that are handed on together.
const PIECE_BYTES: usize = 64 << 10;

/// `sha256:` and 64 hexadecimal digits.
pub fn digest(map: &Map) -> String {
    let mut hasher = Sha256::new();
    write(map, |piece| hasher.update(piece));
    hasher.update(b"\n");
    let mut text = String::from("sha256:");
    for byte in hasher.finalize() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The tree as JSON: keys in byte order, no spaces, `<`, `>` and `&` escaped. It holds the secrets of the file, so it is
/// wiped after use.
pub fn to_json(map: &Map) -> secret::Zeroizing<String> {
    let mut out = secret::Zeroizing::new(String::new());
    write(map, |piece| out.push_str(piece));
    out
}

/// Writes the tree piece by piece: that of a large file need not be in memory as a whole.
fn write(map: &Map, take: impl FnMut(&str)) {
    let piece = secret::Zeroizing::new(String::with_capacity(PIECE_BYTES));
    let mut writer = Writer { piece, take };
    writer.map(map);
    writer.hand_on();
}

struct Writer<F: FnMut(&str)> {
    piece: secret::Zeroizing<String>,
    take: F,
}

impl<F: FnMut(&str)> Writer<F> {
    fn map(&mut self, map: &Map) {
        self.piece.push('{');
        for (at, (key, node)) in map.sorted().enumerate() {
            if at > 0 {
                self.piece.push(',');
            }
            write_string(&mut self.piece, key);
            self.piece.push(':');
            self.node(node);
        }
        self.piece.push('}');
    }

    fn node(&mut self, node: &Node) {
        let out = &mut *self.piece;
        match &node.value {
            Value::String(text) => write_string(out, text.as_str()),
            Value::Integer(number) => {
                let _ = write!(out, "{number}");
            }
            Value::Float(number) => write_float(out, *number),
            Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
            Value::Datetime(text) => write_string(out, text),
            Value::Array(elements) => self.array(elements),
            Value::Map(map) => self.map(map),
        }
        if self.piece.len() >= PIECE_BYTES / 2 {
            self.hand_on();
        }
    }

    fn array(&mut self, elements: &[Node]) {
        self.piece.push('[');
        for (at, element) in elements.iter().enumerate() {
            if at > 0 {
                self.piece.push(',');
            }
            self.node(element);
        }
        self.piece.push(']');
    }

    fn hand_on(&mut self) {
        (self.take)(&self.piece);
        self.piece.clear();
    }
}

/// The shortest decimal that reads back as the same number, with an exponent only when it is very small or large.
fn write_float(out: &mut String, number: f64) {
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        out.push_str(&if size >= 1e21 { text.replace('e', "e+") } else { text });
        return;
    }
    let _ = write!(out, "{number}");
}

fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some((plain, from)) = rest.bytes().position(is_perhaps_escaped).and_then(|at| rest.split_at_checked(at)) {
        out.push_str(plain);
        let mut chars = from.chars();
        if let Some(c) = chars.next() {
            write_char(out, c);
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

/// Whether a character that begins with this byte may be written otherwise. It is never one in the middle of a character.
#[inline]
const fn is_perhaps_escaped(byte: u8) -> bool {
    /// The first byte of U+2028 and U+2029, and of others.
    const OF_LINE_ENDS: u8 = 0xe2;
    matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&' | 0..=0x1f | OF_LINE_ENDS)
}

fn write_char(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        }
        other => out.push(other),
    }
}
