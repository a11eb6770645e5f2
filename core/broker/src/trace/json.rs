//! JSON as the reference server writes it: no blanks, and the characters that HTML knows are escaped.

use std::io::Write;

/// Appends `"name":` behind a comma, unless it is the first of its object.
pub(crate) fn key(out: &mut Vec<u8>, name: &str) {
    if !matches!(out.last(), Some(b'{') | None) {
        out.push(b',');
    }
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Appends a field with a text.
pub(crate) fn text_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    key(out, name);
    text(out, value);
}

/// The same, unless the text is empty.
pub(crate) fn some_text_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    if !value.is_empty() {
        text_field(out, name, value);
    }
}

/// Appends a field with a number, a boolean or JSON made elsewhere.
pub(crate) fn field(out: &mut Vec<u8>, name: &str, value: impl std::fmt::Display) {
    key(out, name);
    write!(out, "{value}").expect("writing to memory");
}

/// Appends an object of the given entries, unless there is none.
pub(crate) fn some_object<K: AsRef<[u8]>, V>(
    out: &mut Vec<u8>,
    name: &str,
    entries: impl IntoIterator<Item = (K, V)>,
    mut value: impl FnMut(&mut Vec<u8>, V),
) {
    let mut entries = entries.into_iter().peekable();
    if entries.peek().is_none() {
        return;
    }
    key(out, name);
    list(out, b'{', entries, b'}', |out, (key, entry)| {
        text(out, key.as_ref());
        out.push(b':');
        value(out, entry);
    });
}

/// Appends items between brackets.
pub(crate) fn list<T>(
    out: &mut Vec<u8>,
    open: u8,
    items: impl IntoIterator<Item = T>,
    close: u8,
    mut each: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(open);
    for (number, item) in items.into_iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        each(out, item);
    }
    out.push(close);
}

/// Appends a text. Bytes that are no UTF-8 become replacement characters.
pub(crate) fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|character| escaped(out, character));
        chunk.invalid().iter().for_each(|_| out.extend_from_slice(b"\\ufffd"));
    }
    out.push(b'"');
}

fn escaped(out: &mut Vec<u8>, character: char) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\x08' => out.extend_from_slice(b"\\b"),
        '\x0c' => out.extend_from_slice(b"\\f"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\0'..='\x1f' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
            write!(out, "\\u{:04x}", u32::from(character)).expect("writing to memory");
        }
        _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_as_peers_know_it() {
        let mut out = Vec::new();
        text(&mut out, b"x.>\"\\\n\x01<&\xff\xe2\x80\xa8\xc3\xa9");
        let expected = "\"x.\\u003e\\\"\\\\\\n\\u0001\\u003c\\u0026\\ufffd\\u2028\u{e9}\"";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn fields_are_separated_by_commas_and_empty_objects_left_out() {
        let mut out = b"{".to_vec();
        field(&mut out, "a", 1);
        some_text_field(&mut out, "b", b"");
        some_object(&mut out, "c", Vec::<(&str, u8)>::new(), |_, _| {});
        some_object(&mut out, "d", [("x", 1), ("y", 2)], |out, number| out.push(b'0' + number));
        assert_eq!(out, br#"{"a":1,"d":{"x":1,"y":2}"#);
    }
}
