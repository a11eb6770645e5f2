//! The body of a request to a system service: read leniently, and refused in the words that tools compare.

use std::fmt;

use serde_json::{Map, Value};

/// The longest body of a request.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// The longest list in a body.
pub const LIST_MAX: usize = 1024;

/// Why a body cannot be read; its text is that of the reference server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyFault(String);

impl fmt::Display for BodyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BodyFault {}

/// An object that is being read. Fields it does not know are nobody's business.
#[derive(Clone, Debug)]
pub struct Body {
    holder: &'static str,
    fields: Map<String, Value>,
}

impl Body {
    /// Reads a body; nothing and `null` have no fields. `holder` is the name the reference server has for the request.
    ///
    /// # Errors
    /// If it is no JSON object, or too long.
    pub fn parse(bytes: &[u8], holder: &'static str) -> Result<Self, BodyFault> {
        if bytes.len() > BODY_BYTES_MAX {
            return Err(BodyFault("request is too large".to_owned()));
        }
        if bytes.is_empty() {
            return Ok(Self { holder, fields: Map::new() });
        }
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(fields)) => Ok(Self { holder, fields }),
            Ok(Value::Null) => Ok(Self { holder, fields: Map::new() }),
            Ok(value) => {
                Err(BodyFault(format!("json: cannot unmarshal {} into Go value of type server.{holder}", kind(&value))))
            }
            Err(error) => Err(syntax(bytes, &error)),
        }
    }

    /// A text; empty if it is not there.
    ///
    /// # Errors
    /// If it is none.
    pub fn text(&self, name: &str) -> Result<String, BodyFault> {
        self.read(name, "string", |value| value.as_str().map(str::to_owned))
    }

    /// A yes or no.
    ///
    /// # Errors
    /// If it is none.
    pub fn flag(&self, name: &str) -> Result<bool, BodyFault> {
        self.read(name, "bool", Value::as_bool)
    }

    /// A number with a sign.
    ///
    /// # Errors
    /// If it is none, or does not fit.
    pub fn int(&self, name: &str) -> Result<i64, BodyFault> {
        self.read(name, "int", Value::as_i64)
    }

    /// A number without a sign.
    ///
    /// # Errors
    /// If it is none, or does not fit.
    pub fn uint(&self, name: &str) -> Result<u64, BodyFault> {
        self.read(name, "uint64", Value::as_u64)
    }

    /// Texts, at most [`LIST_MAX`].
    ///
    /// # Errors
    /// If they are none, or too many.
    pub fn texts(&self, name: &str) -> Result<Vec<String>, BodyFault> {
        let list = |value: &Value| {
            let list = value.as_array().filter(|list| list.len() <= LIST_MAX)?;
            list.iter().map(|text| text.as_str().map(str::to_owned)).collect()
        };
        self.read(name, "[]string", list)
    }

    /// A text whose type has a name of its own in error texts.
    ///
    /// # Errors
    /// If it is none.
    pub fn word(&self, name: &str, wanted: &'static str) -> Result<String, BodyFault> {
        self.read(name, wanted, |value| value.as_str().map(str::to_owned))
    }

    /// A number whose type has a name of its own in error texts.
    ///
    /// # Errors
    /// If it is none.
    pub fn choice(&self, name: &str, wanted: &'static str) -> Result<i64, BodyFault> {
        self.read(name, wanted, Value::as_i64)
    }

    fn read<T: Default>(
        &self,
        name: &str,
        wanted: &'static str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<T, BodyFault> {
        let exact = self.fields.get(name);
        let value =
            exact.or_else(|| self.fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v));
        let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(T::default()) };
        read(value).ok_or_else(|| {
            let literal = match value {
                // A number that is one and does not fit is told.
                Value::Number(number) if wanted.contains("int") || wanted.contains('.') && !wanted.ends_with("Opt") => {
                    format!("number {number}")
                }
                other => kind(other).to_owned(),
            };
            BodyFault(format!(
                "json: cannot unmarshal {literal} into Go struct field {}.{name} of type {wanted}",
                self.holder
            ))
        })
    }
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

/// What the reference server says of broken JSON, from what our reader says.
fn syntax(bytes: &[u8], error: &serde_json::Error) -> BodyFault {
    if error.is_eof() {
        return BodyFault("unexpected end of JSON input".to_owned());
    }
    let text = error.to_string();
    let place = match text.split(" at line ").next().unwrap_or_default() {
        "expected value" | "expected ident" => "looking for beginning of value",
        "key must be a string" => "looking for beginning of object key string",
        "trailing characters" => "after top-level value",
        "expected `:`" => "after object key",
        "expected `,` or `}`" => "after object key:value pair",
        "expected `,` or `]`" => "after array element",
        _ => return BodyFault(format!("invalid JSON: {text}")),
    };
    let line = bytes.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let found = line.get(error.column().saturating_sub(1)).copied().unwrap_or(b' ');
    BodyFault(format!("invalid character '{}' {place}", found.escape_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault<T: fmt::Debug>(result: Result<T, BodyFault>) -> String {
        result.unwrap_err().to_string()
    }

    fn parse(text: &str) -> Result<Body, BodyFault> {
        Body::parse(text.as_bytes(), "ConnzEventOptions")
    }

    /// Every text was recorded from the reference server.
    #[test]
    fn faults_are_told_in_the_words_tools_know() {
        assert_eq!(fault(parse("[1")), "unexpected end of JSON input");
        assert_eq!(fault(parse("{\"a\":}")), "invalid character '}' looking for beginning of value");
        assert_eq!(fault(parse("xyz")), "invalid character 'x' looking for beginning of value");
        assert_eq!(fault(parse("[]")), "json: cannot unmarshal array into Go value of type server.ConnzEventOptions");
        assert_eq!(fault(parse("5")), "json: cannot unmarshal number into Go value of type server.ConnzEventOptions");
        let field = |text: &str| parse(text).unwrap();
        let said = |what: &str| format!("json: cannot unmarshal {what}");
        assert_eq!(
            fault(field(r#"{"limit":"x"}"#).int("limit")),
            said("string into Go struct field ConnzEventOptions.limit of type int")
        );
        assert_eq!(
            fault(field(r#"{"limit":1.5}"#).int("limit")),
            said("number 1.5 into Go struct field ConnzEventOptions.limit of type int")
        );
        assert_eq!(
            fault(field(r#"{"cid":-1}"#).uint("cid")),
            said("number -1 into Go struct field ConnzEventOptions.cid of type uint64")
        );
        assert_eq!(
            fault(field(r#"{"sort":5}"#).word("sort", "server.SortOpt")),
            said("number into Go struct field ConnzEventOptions.sort of type server.SortOpt")
        );
        assert_eq!(
            fault(field(r#"{"server_name":5}"#).text("server_name")),
            said("number into Go struct field ConnzEventOptions.server_name of type string")
        );
        assert_eq!(
            fault(field(r#"{"tags":"x"}"#).texts("tags")),
            said("string into Go struct field ConnzEventOptions.tags of type []string")
        );
    }

    #[test]
    fn nothing_and_null_ask_for_nothing_and_names_are_read_in_any_case() {
        for text in ["", "null", "{}", r#"{"auth":null,"other":[1]}"#] {
            assert!(!parse(text).unwrap().flag("auth").unwrap(), "{text}");
        }
        assert!(parse(r#"{"AUTH":true}"#).unwrap().flag("auth").unwrap());
    }

    #[test]
    fn long_bodies_and_long_lists_are_refused() {
        assert!(parse(&" ".repeat(BODY_BYTES_MAX + 1)).is_err());
        let list = vec!["\"a\""; LIST_MAX + 1].join(",");
        assert!(parse(&format!("{{\"tags\":[{list}]}}")).unwrap().texts("tags").is_err());
    }
}
