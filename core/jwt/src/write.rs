//! Writing JSON as the reference's library writes it: fields in a fixed order, empty ones left out, and `<`, `>`, `&`
//! escaped, so that the same claims give the same token.

use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};
use serde_json::{Map, Value};

/// An object that grows field by field.
#[derive(Default)]
pub(crate) struct Object(Map<String, Value>);

impl Object {
    pub(crate) fn put(&mut self, name: &str, value: impl Into<Value>) -> &mut Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) -> &mut Self {
        if value.is_empty() { self } else { self.put(name, value) }
    }

    pub(crate) fn int(&mut self, name: &str, value: i64) -> &mut Self {
        if value == 0 { self } else { self.put(name, value) }
    }

    pub(crate) fn flag(&mut self, name: &str, value: bool) -> &mut Self {
        if value { self.put(name, true) } else { self }
    }

    pub(crate) fn list<T: Into<Value>>(&mut self, name: &str, values: impl IntoIterator<Item = T>) -> &mut Self {
        let list: Vec<Value> = values.into_iter().map(Into::into).collect();
        if list.is_empty() { self } else { self.put(name, list) }
    }

    pub(crate) fn texts(&mut self, name: &str, values: &[String]) -> &mut Self {
        self.list(name, values.iter().map(String::as_str))
    }

    pub(crate) fn map(&mut self, name: &str, values: Map<String, Value>) -> &mut Self {
        if values.is_empty() { self } else { self.put(name, values) }
    }

    pub(crate) fn maybe(&mut self, name: &str, value: Option<impl Into<Value>>) -> &mut Self {
        match value {
            Some(value) => self.put(name, value),
            None => self,
        }
    }

    pub(crate) fn done(&mut self) -> Map<String, Value> {
        std::mem::take(&mut self.0)
    }
}

/// The text of a value.
pub(crate) fn to_bytes(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    let mut writer = serde_json::Serializer::with_formatter(&mut bytes, Escaping(CompactFormatter));
    value.serialize(&mut writer).expect("a value in memory always has a text");
    bytes
}

struct Escaping(CompactFormatter);

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (plain, special) = rest.split_at(at);
            let Some(letter) = special.chars().next() else { break };
            self.0.write_string_fragment(writer, plain)?;
            write!(writer, "\\u{:04x}", u32::from(letter))?;
            rest = special.get(letter.len_utf8()..).unwrap_or_default();
        }
        self.0.write_string_fragment(writer, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_escapes_are_written() {
        let value = serde_json::json!({ "a": "x.>", "b": "<&\u{2028}\"\n" });
        let text = String::from_utf8(to_bytes(&value)).expect("text");
        assert_eq!(text, r#"{"a":"x.\u003e","b":"\u003c\u0026\u2028\"\n"}"#);
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), value);
    }

    #[test]
    fn empty_fields_are_left_out() {
        let mut object = Object::default();
        object.text("a", "").int("b", 0).flag("c", false).texts("d", &[]).maybe("e", None::<i64>);
        assert_eq!(object.done(), Map::new());
    }
}
