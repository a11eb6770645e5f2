//! The part of an address behind the question mark.

use api::monitoring::options::{Page, Subscriptions};
use subject::Quoted;

use crate::observatory::Fault;

/// Names and values, decoded. The first value of a name counts.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';'));
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Self(pairs.filter_map(|(name, value)| Some((decoded(name)?, decoded(value)?))).collect())
    }

    /// The value of a name; empty if there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn owned(&self, name: &str) -> String {
        self.text(name).to_owned()
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, Fault> {
        match self.text(name) {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
            "" | "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
            other => Err(fault("boolean", name, "ParseBool", other, "invalid syntax")),
        }
    }

    pub(crate) fn flags<const N: usize>(&self, names: [&str; N]) -> Result<[bool; N], Fault> {
        let mut flags = [false; N];
        for (flag, name) in flags.iter_mut().zip(names) {
            *flag = self.flag(name)?;
        }
        Ok(flags)
    }

    pub(crate) fn integer(&self, name: &str) -> Result<i64, Fault> {
        let text = self.text(name);
        if text.is_empty() {
            return Ok(0);
        }
        text.parse().map_err(|_| fault("int", name, "Atoi", text, why(text.trim_start_matches(['+', '-']))))
    }

    pub(crate) fn number(&self, name: &str) -> Result<u64, Fault> {
        let text = self.text(name);
        match text.parse() {
            _ if text.is_empty() => Ok(0),
            Ok(number) if !text.starts_with('+') => Ok(number),
            _ => Err(fault("uint64", name, "ParseUint", text, why(text))),
        }
    }

    /// A page: how many to leave out, and how many to show. What makes no sense is the default.
    pub(crate) fn page(&self) -> Result<Page, Fault> {
        Ok(Page::new(self.integer("offset")?, self.integer("limit")?))
    }

    pub(crate) fn subscriptions(&self) -> Result<Subscriptions, Fault> {
        if self.text("subs").eq_ignore_ascii_case("detail") {
            return Ok(Subscriptions::Details);
        }
        Ok(if self.flag("subs")? { Subscriptions::Names } else { Subscriptions::None })
    }
}

fn why(digits: &str) -> &'static str {
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits { "value out of range" } else { "invalid syntax" }
}

fn fault(kind: &str, name: &str, parser: &str, text: &str, why: &str) -> Fault {
    let shown = Quoted(text.as_bytes());
    Fault(format!("Error decoding {kind} for '{name}': strconv.{parser}: parsing {shown}: {why}"))
}

/// `%41` and `+`. Nothing for what is not well-formed.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = std::str::from_utf8(after.get(..2)?).ok()?;
                rest = after.get(2..)?;
                if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                    return None;
                }
                u8::from_str_radix(digits, 16).ok()?
            }
            other => other,
        });
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded_and_the_first_counts() {
        let query = Query::parse("acc=%24G&acc=other&user=a+b&empty&bad=%zz&half=%4");
        assert_eq!(query.text("acc"), "$G");
        assert_eq!(query.text("user"), "a b");
        assert_eq!((query.text("empty"), query.text("bad"), query.text("half"), query.text("none")), ("", "", "", ""));
    }

    #[test]
    fn a_page_never_runs_over() {
        let page = Query::parse("offset=9223372036854775807&limit=9223372036854775807").page().unwrap();
        assert!(page.of(vec![1, 2, 3], 2).is_empty());
        let page = Query::parse("offset=1&limit=9223372036854775807").page().unwrap();
        assert_eq!(page.of(vec![1, 2, 3, 4], 2), [2, 3]);
        assert_eq!(Query::parse("offset=-3&limit=-5").page().unwrap(), Page { offset: 0, limit: 1024 });
    }

    #[test]
    fn faults_say_what_could_not_be_read() {
        let text = |result: Result<i64, Fault>| result.unwrap_err().0;
        let query = Query::parse("limit=abc&offset=9223372036854775808&cid=-1");
        assert_eq!(
            text(query.integer("limit")),
            "Error decoding int for 'limit': strconv.Atoi: parsing \"abc\": invalid syntax"
        );
        assert!(text(query.integer("offset")).ends_with("parsing \"9223372036854775808\": value out of range"));
        assert_eq!(
            query.number("cid"),
            Err(Fault("Error decoding uint64 for 'cid': strconv.ParseUint: parsing \"-1\": invalid syntax".into()))
        );
    }
}
