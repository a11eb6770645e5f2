//! Reading JSON that a stranger wrote: no field twice, no field that is almost a known one, every number in range.
//!
//! As in the reference, `null` and an absent field are the same and unknown fields are ignored. A name that differs from
//! a known one only in case is refused instead: the reference would honour it, and a deny that is overlooked is a grant.

use std::fmt;

use nkeys::{PublicKey, Role};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::bounds::MAX_TEXT_BYTES;
use crate::{DecodeError, Problem};

type Read<T> = Result<T, DecodeError>;

/// Parses JSON text and refuses objects that name a field twice.
pub(crate) fn parse(part: &'static str, bytes: &[u8]) -> Read<Value> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = Strict::deserialize(&mut reader).and_then(|value| reader.end().map(|()| value.0));
    read.map_err(|error| DecodeError::Json { part, problem: error.to_string() })
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(entry)) = entries.next_element()? {
            list.push(entry);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((name, Strict(value))) = entries.next_entry::<String, Strict>()? {
            if map.contains_key(&name) {
                return Err(A::Error::custom(format_args!("field {name:?} stands twice")));
            }
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

/// The fields of one object; an absent object has none.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a>(Option<&'a Map<String, Value>>);

impl<'a> Fields<'a> {
    /// The object's fields, after a look for names that are almost one of the known ones.
    pub(crate) fn of(value: &'a Value, known: &'static [&'static str]) -> Read<Self> {
        match value {
            Value::Null => Ok(Self(None)),
            Value::Object(map) => {
                map.keys().try_for_each(|name| spelt(name, known))?;
                Ok(Self(Some(map)))
            }
            other => Err(wrong(other, "an object")),
        }
    }

    pub(crate) fn get(self, name: &str) -> Option<&'a Value> {
        self.0.and_then(|map| map.get(name)).filter(|value| !value.is_null())
    }

    /// Reads a field if it is there, and names it in any error.
    pub(crate) fn read<T>(self, name: &str, read: impl FnOnce(&'a Value) -> Read<T>) -> Read<Option<T>> {
        self.get(name).map(read).transpose().map_err(|error| error.within(name))
    }

    pub(crate) fn text(self, name: &str) -> Read<String> {
        self.text_within(name, MAX_TEXT_BYTES)
    }

    pub(crate) fn text_within(self, name: &str, bound: usize) -> Read<String> {
        Ok(self.read(name, |value| text(value, bound))?.unwrap_or_default())
    }

    pub(crate) fn flag(self, name: &str) -> Read<bool> {
        let read = self.read(name, |value| value.as_bool().ok_or_else(|| wrong(value, "true or false")))?;
        Ok(read.unwrap_or_default())
    }

    pub(crate) fn int(self, name: &str) -> Read<i64> {
        self.int_or(name, 0)
    }

    pub(crate) fn int_or(self, name: &str, default: i64) -> Read<i64> {
        Ok(self.read(name, int)?.unwrap_or(default))
    }

    /// A number in a type narrower than the claims' own.
    pub(crate) fn narrow<T: TryFrom<i64> + Default>(self, name: &str) -> Read<T> {
        let narrowed =
            self.read(name, |value| T::try_from(int(value)?).map_err(|_| DecodeError::field(Problem::Range)))?;
        Ok(narrowed.unwrap_or_default())
    }

    pub(crate) fn key(self, name: &str, role: Role) -> Read<PublicKey> {
        self.read(name, |value| key(value, role))?.ok_or_else(|| missing(name))
    }

    pub(crate) fn texts(self, name: &str, bound: usize) -> Read<Vec<String>> {
        self.list(name, bound, |value| text(value, MAX_TEXT_BYTES))
    }

    /// A list, with `[3]` in any error about its fourth entry.
    pub(crate) fn list<T>(self, name: &str, bound: usize, read: impl FnMut(&'a Value) -> Read<T>) -> Read<Vec<T>> {
        Ok(self.read(name, |value| list(value, bound, read))?.unwrap_or_default())
    }

    /// The entries of a map whose names are data.
    pub(crate) fn entries<T>(
        self,
        name: &str,
        bound: usize,
        mut read: impl FnMut(&'a str, &'a Value) -> Read<T>,
    ) -> Read<Vec<T>> {
        let read = self.read(name, |value| {
            let Value::Object(map) = value else { return Err(wrong(value, "an object")) };
            within_bound(map.len(), bound)?;
            map.iter().map(|(key, value)| read(key, value).map_err(|error| error.within(key))).collect()
        })?;
        Ok(read.unwrap_or_default())
    }
}

pub(crate) fn missing(name: &str) -> DecodeError {
    DecodeError::field(Problem::Missing).within(name)
}

pub(crate) fn text(value: &Value, bound: usize) -> Read<String> {
    let text = value.as_str().ok_or_else(|| wrong(value, "a text"))?;
    within_bound(text.len(), bound)?;
    Ok(text.to_owned())
}

pub(crate) fn int(value: &Value) -> Read<i64> {
    match value {
        Value::Number(number) => number.as_i64().ok_or(DecodeError::field(Problem::Range)),
        other => Err(wrong(other, "a whole number")),
    }
}

pub(crate) fn key(value: &Value, role: Role) -> Read<PublicKey> {
    let text = value.as_str().ok_or_else(|| wrong(value, "a key"))?;
    PublicKey::parse_as(role, text).map_err(|error| DecodeError::field(Problem::Key(error)))
}

pub(crate) fn list<'a, T>(value: &'a Value, bound: usize, mut read: impl FnMut(&'a Value) -> Read<T>) -> Read<Vec<T>> {
    let Value::Array(entries) = value else { return Err(wrong(value, "a list")) };
    within_bound(entries.len(), bound)?;
    entries
        .iter()
        .enumerate()
        .map(|(at, entry)| read(entry).map_err(|error| error.within(&format!("[{at}]"))))
        .collect()
}

fn within_bound(len: usize, bound: usize) -> Read<()> {
    if len > bound { Err(DecodeError::field(Problem::TooMany(bound))) } else { Ok(()) }
}

pub(crate) fn wrong(value: &Value, wanted: &'static str) -> DecodeError {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    DecodeError::field(Problem::Type { wanted, found })
}

fn spelt(name: &str, known: &'static [&'static str]) -> Read<()> {
    if known.contains(&name) {
        return Ok(());
    }
    match known.iter().find(|known| folds_to(name, known)) {
        Some(known) => Err(DecodeError::field(Problem::Spelling(known)).within(name)),
        None => Ok(()),
    }
}

/// Whether the reference's reader would take one name for the other: letter case, and the two letters outside ASCII
/// whose upper or lower case lies inside it.
fn folds_to(name: &str, known: &str) -> bool {
    let folded = name.chars().map(|letter| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    });
    folded.eq(known.chars().map(|letter| letter.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["sub", "deny", "kind"];

    #[test]
    fn a_field_that_stands_twice_is_refused() {
        let refused = parse("claims", br#"{"a":1,"b":{"x":1,"x":2}}"#);
        assert!(
            matches!(refused, Err(DecodeError::Json { part: "claims", problem }) if problem.contains("\"x\" stands twice"))
        );
    }

    #[test]
    fn text_after_the_json_is_refused() {
        assert!(parse("claims", b"{} {}").is_err());
        assert!(parse("claims", b"{}  ").is_ok());
    }

    #[test]
    fn depth_is_bounded() {
        assert!(parse("claims", &b"[".repeat(100_000)).is_err());
    }

    #[test]
    fn a_misspelt_field_is_refused_and_an_unknown_one_ignored() {
        for odd in ["Sub", "SUB", "\u{17f}ub", "\u{212a}ind"] {
            let value = serde_json::json!({ odd: 1 });
            assert!(Fields::of(&value, KNOWN).is_err(), "{odd}");
        }
        let value = serde_json::json!({ "subs": 1, "other": null });
        assert!(Fields::of(&value, KNOWN).is_ok());
    }

    #[test]
    fn an_error_names_the_whole_path() {
        let value = serde_json::json!({ "nats": { "list": [1, "two"] } });
        let refused = Fields::of(&value, &["nats"])
            .and_then(|top| top.read("nats", |nats| Fields::of(nats, &["list"])?.list("list", 9, int)))
            .map(|_| ());
        assert_eq!(refused.unwrap_err().to_string(), "nats.list[1]: expected a whole number, found a text");
    }

    #[test]
    fn numbers_keep_their_range() {
        for odd in [serde_json::json!(1.0), serde_json::json!(1e30), serde_json::json!(u64::MAX)] {
            assert_eq!(int(&odd), Err(DecodeError::field(Problem::Range)), "{odd}");
        }
        let value = serde_json::json!({ "w": 256 });
        let fields = Fields::of(&value, &["w"]).expect("an object");
        assert!(fields.narrow::<u8>("w").is_err());
        assert_eq!(fields.narrow::<u16>("w"), Ok(256));
    }
}
