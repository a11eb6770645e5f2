//! JSON as the peers of this API write it and expect it.
//!
//! Writing: `<`, `>` and `&` inside strings are escaped, so that an answer is byte for byte what clients have seen so far.
//! Reading: unknown fields are an error in strict mode, letter case of field names does not matter, `null` is the
//! default, and errors have the texts that clients know.

use crate::errors::{ApiError, INVALID_JSON};
use serde::Serialize;
use serde_json::Value;
use serde_json::ser::Formatter;
use std::io::{self, Write};

/// Longest request body that is read.
pub const MAX_REQUEST_BYTES: usize = 1024 * 1024;

struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (plain, special) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            let Some(letter) = special.chars().next() else { break };
            write!(writer, "\\u{:04x}", u32::from(letter))?;
            rest = &special[letter.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

/// Writes a value.
pub fn to_vec(value: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, Escaping);
    value.serialize(&mut serializer).expect("our answers have string keys and no failing parts");
    out
}

/// Adds an entry to the inside of an object: a name and a number.
pub fn put_count(object: &mut Vec<u8>, name: &str, count: u64) {
    if !object.is_empty() {
        object.push(b',');
    }
    object.extend_from_slice(&to_vec(&name));
    object.push(b':');
    object.extend_from_slice(count.to_string().as_bytes());
}

/// Adds a number to the inside of a list.
pub fn put_number(list: &mut Vec<u8>, number: u64) {
    if !list.is_empty() {
        list.push(b',');
    }
    list.extend_from_slice(number.to_string().as_bytes());
}

/// What is wrong with a request body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not JSON.
    Syntax(String),
    /// A field nobody knows.
    Unknown(String),
    /// A field holds something else than it should.
    Type {
        /// What was found.
        found: String,
        /// Which field, with the name of what holds it.
        field: String,
        /// What is wanted.
        wanted: &'static str,
    },
    /// A word that is none of the possible ones.
    Word(String),
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> ApiError {
        INVALID_JSON.with(match fault {
            Fault::Syntax(text) => text,
            Fault::Unknown(field) => format!("json: unknown field {field:?}"),
            Fault::Type { found, field, wanted } => {
                format!("json: cannot unmarshal {found} into Go struct field {field} of type {wanted}")
            }
            Fault::Word(word) => format!("can not unmarshal {:?}", format!("{word:?}")),
        })
    }
}

/// How requests are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Unknown fields are errors.
    Strict,
    /// Unknown fields are ignored.
    Lenient,
}

/// Parses a body; nothing and `null` are an empty object.
pub fn parse(body: &[u8]) -> Result<Value, Fault> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    if body.len() > MAX_REQUEST_BYTES {
        return Err(Fault::Syntax("request is too large".to_owned()));
    }
    match serde_json::from_slice(body) {
        Ok(Value::Null) => Ok(Value::Object(serde_json::Map::new())),
        Ok(value) => Ok(value),
        Err(error) if error.is_eof() => Err(Fault::Syntax("unexpected EOF".to_owned())),
        Err(error) => Err(Fault::Syntax(error.to_string())),
    }
}

/// One field of an object that is being read.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    /// Its name, in lower case.
    pub name: &'a str,
    holder: &'static str,
    value: &'a Value,
    mode: Mode,
}

/// Reads an object field by field. `read` says whether it knew the field.
pub fn read_object(
    value: &Value,
    holder: &'static str,
    mode: Mode,
    mut read: impl FnMut(Field<'_>) -> Result<bool, Fault>,
) -> Result<(), Fault> {
    let Value::Object(object) = value else {
        return Err(Fault::Type { found: kind(value).to_owned(), field: holder.to_owned(), wanted: "object" });
    };
    for (name, value) in object.iter().filter(|(_, value)| !value.is_null()) {
        let lower = name.to_ascii_lowercase();
        if !read(Field { name: &lower, holder, value, mode })? && mode == Mode::Strict {
            return Err(Fault::Unknown(name.clone()));
        }
    }
    Ok(())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

impl<'a> Field<'a> {
    fn wrong(&self, wanted: &'static str) -> Fault {
        let found = kind(self.value).to_owned();
        Fault::Type { found, field: format!("{}.{}", self.holder, self.name), wanted }
    }

    /// A number was wanted, and not this one.
    fn wrong_number(&self, wanted: &'static str) -> Fault {
        match self.value {
            Value::Number(number) => {
                let field = format!("{}.{}", self.holder, self.name);
                Fault::Type { found: format!("number {number}"), field, wanted }
            }
            _ => self.wrong(wanted),
        }
    }

    /// The value itself.
    pub fn value(&self) -> &'a Value {
        self.value
    }

    /// How the request is read.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// A text.
    pub fn text(&self) -> Result<String, Fault> {
        self.value.as_str().map(str::to_owned).ok_or_else(|| self.wrong("string"))
    }

    /// A yes or no.
    pub fn flag(&self) -> Result<bool, Fault> {
        self.value.as_bool().ok_or_else(|| self.wrong("bool"))
    }

    /// A number with a sign.
    pub fn int(&self) -> Result<i64, Fault> {
        self.value.as_i64().ok_or_else(|| self.wrong_number("int"))
    }

    /// A number of at most 32 bits with a sign.
    pub fn int32(&self) -> Result<i32, Fault> {
        self.value.as_i64().and_then(|number| i32::try_from(number).ok()).ok_or_else(|| self.wrong_number("int32"))
    }

    /// A number without a sign.
    pub fn uint(&self) -> Result<u64, Fault> {
        self.value.as_u64().ok_or_else(|| self.wrong_number("uint64"))
    }

    /// Nanoseconds.
    pub fn nanos(&self) -> Result<i64, Fault> {
        self.value.as_i64().ok_or_else(|| self.wrong_number("time.Duration"))
    }

    /// A moment.
    pub fn time(&self) -> Result<moment::Timestamp, Fault> {
        let text = self.value.as_str().ok_or_else(|| self.wrong("time.Time"))?;
        text.parse().map_err(|_| {
            Fault::Syntax(format!("parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text:?}"))
        })
    }

    /// A list.
    pub fn list<T>(&self, item: impl Fn(&Field<'a>) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
        let Value::Array(values) = self.value else { return Err(self.wrong("[]interface {}")) };
        values.iter().map(|value| item(&Field { value, ..*self })).collect()
    }

    /// Texts under texts, sorted.
    pub fn map(&self) -> Result<std::collections::BTreeMap<String, String>, Fault> {
        let Value::Object(object) = self.value else { return Err(self.wrong("map[string]string")) };
        let pair = |(key, value): (&String, &Value)| {
            let text = value.as_str().ok_or_else(|| Field { value, ..*self }.wrong("string"))?;
            Ok((key.clone(), text.to_owned()))
        };
        object.iter().map(pair).collect()
    }
}

/// An enum whose values are words.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$each:meta])* $value:ident = $word:literal),* $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$each])* $value),* }

        impl $name {
            /// The word for it.
            pub const fn word(self) -> &'static str {
                match self { $($name::$value => $word),* }
            }

            pub(crate) fn read(field: &crate::json::Field<'_>) -> Result<Self, crate::json::Fault> {
                match field.text()?.as_str() {
                    $($word => Ok($name::$value),)*
                    other => Err(crate::json::Fault::Word(other.to_owned())),
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }
    };
}
pub(crate) use words;

/// Whether a value is what an absent field stands for.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A moment as text; the moment "never" is the first of year 1.
pub(crate) fn time<S: serde::Serializer>(time: &Option<moment::Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(time),
        None => serializer.serialize_str("0001-01-01T00:00:00Z"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angle_brackets_and_ampersands_are_escaped() {
        assert_eq!(to_vec(&"a.> <&> é\n"), br#""a.\u003e \u003c\u0026\u003e "#.iter().chain("é".as_bytes()).chain(br#"\n""#).copied().collect::<Vec<u8>>());
    }

    #[test]
    fn faults_have_the_texts_clients_know() {
        let text = |fault: Fault| ApiError::from(fault).description;
        assert_eq!(text(parse(b"[1").expect_err("cut")), "invalid JSON: unexpected EOF");
        assert_eq!(text(Fault::Unknown("bogus".into())), "invalid JSON: json: unknown field \"bogus\"");
        assert_eq!(text(Fault::Word("foo".into())), "invalid JSON: can not unmarshal \"\\\"foo\\\"\"");
        let value = parse(b"{\"max_age\":\"x\"}").expect("json");
        let fault = read_object(&value, "StreamConfigRequest", Mode::Strict, |field| field.nanos().map(|_| true));
        assert_eq!(
            text(fault.expect_err("a string")),
            "invalid JSON: json: cannot unmarshal string into Go struct field StreamConfigRequest.max_age of type time.Duration"
        );
    }

    #[test]
    fn an_empty_body_is_an_empty_object_and_null_is_the_default() {
        assert_eq!(parse(b" \r\n"), Ok(serde_json::json!({})));
        assert_eq!(parse(b"null"), Ok(serde_json::json!({})));
        let value = parse(b"{\"a\":null}").expect("json");
        read_object(&value, "X", Mode::Strict, |_| unreachable!("nothing to read")).expect("nothing wrong");
    }
}
