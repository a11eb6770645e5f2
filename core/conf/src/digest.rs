//! The name of a tree: SHA-256 of its JSON in exactly the spelling of the reference server, so that both print the
//! same digest for the same file.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::{Map, Node, Value};

/// `sha256:` and 64 hexadecimal digits.
pub fn digest(map: &Map) -> String {
    let mut json = to_json(map);
    json.push('\n');
    let hash = Sha256::digest(json.as_bytes());
    let mut text = String::from("sha256:");
    for byte in hash {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The tree as JSON: keys in byte order, no spaces, `<`, `>` and `&` escaped. It holds the secrets of the file, so it is
/// wiped after use.
pub fn to_json(map: &Map) -> secret::Zeroizing<String> {
    let mut out = secret::Zeroizing::new(String::new());
    write_map(&mut out, map);
    out
}

fn write_map(out: &mut String, map: &Map) {
    out.push('{');
    for (at, (key, node)) in map.sorted().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_string(out, key);
        out.push(':');
        write_node(out, node);
    }
    out.push('}');
}

fn write_node(out: &mut String, node: &Node) {
    match &node.value {
        Value::String(text) => write_string(out, text.as_str()),
        Value::Integer(number) => {
            let _ = write!(out, "{number}");
        }
        Value::Float(number) => write_float(out, *number),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Datetime(text) => write_string(out, text),
        Value::Array(elements) => write_array(out, elements),
        Value::Map(map) => write_map(out, map),
    }
}

fn write_array(out: &mut String, elements: &[Node]) {
    out.push('[');
    for (at, node) in elements.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_node(out, node);
    }
    out.push(']');
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
    for c in text.chars() {
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
    out.push('"');
}
