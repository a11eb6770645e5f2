//! `{{name}}` and its like in what a rule grants.
//!
//! A value fills exactly one token of a subject. One that could widen a right or reach into another person's subjects is refused:
//! wildcards, dots, blanks, control characters, a leading `$`, nothing at all.

use crate::provider::Identity;

/// Why a template cannot be filled in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Not a template we know, or not closed.
    Unknown(String),
    /// The identity has no such value.
    Missing(String),
    /// The value could widen a right.
    Unsafe(String),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown(name) => {
                write!(
                    f,
                    "unknown template {name:?}: use {{{{name}}}}, {{{{provider}}}}, {{{{group}}}} or {{{{claim.NAME}}}}"
                )
            }
            Self::Missing(name) => write!(f, "the identity has no value for {{{{{name}}}}}"),
            Self::Unsafe(name) => write!(f, "the value of {{{{{name}}}}} is not one plain token of a subject"),
        }
    }
}

/// Fills in every template of a subject, or of an account's name.
pub(crate) fn expand(text: &str, identity: &Identity, group: Option<&str>) -> Result<String, Refusal> {
    fill_in(text, identity, group, is_token)
}

/// Fills in every template of a user's name or a tag, where dots are no danger.
pub(crate) fn expand_label(text: &str, identity: &Identity, group: Option<&str>) -> Result<String, Refusal> {
    fill_in(text, identity, group, is_label)
}

fn fill_in(text: &str, identity: &Identity, group: Option<&str>, is_safe: fn(&str) -> bool) -> Result<String, Refusal> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, left) = after.split_once("}}").ok_or_else(|| Refusal::Unknown(after.to_owned()))?;
        let name = name.trim();
        let value = value(name, identity, group)?;
        if !is_safe(&value) {
            return Err(Refusal::Unsafe(name.to_owned()));
        }
        expanded.push_str(before);
        expanded.push_str(&value);
        rest = left;
    }
    Ok(expanded + rest)
}

/// Whether a text names only templates that there are.
pub(crate) fn check(text: &str) -> Result<(), Refusal> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("{{") {
        let (name, left) = after.split_once("}}").ok_or_else(|| Refusal::Unknown(after.to_owned()))?;
        let name = name.trim();
        if !matches!(name, "name" | "provider" | "group") && name.strip_prefix("claim.").is_none_or(str::is_empty) {
            return Err(Refusal::Unknown(name.to_owned()));
        }
        rest = left;
    }
    Ok(())
}

fn value(name: &str, identity: &Identity, group: Option<&str>) -> Result<String, Refusal> {
    let missing = || Refusal::Missing(name.to_owned());
    match name {
        "name" => Ok(identity.name.clone()),
        "provider" => Ok(identity.provider.clone()),
        "group" => group.map(str::to_owned).ok_or_else(missing),
        _ => {
            let path = name.strip_prefix("claim.").ok_or_else(|| Refusal::Unknown(name.to_owned()))?;
            match identity.claim(path) {
                Some(serde_json::Value::String(text)) => Ok(text.clone()),
                Some(serde_json::Value::Number(number)) => Ok(number.to_string()),
                _ => Err(missing()),
            }
        }
    }
}

fn is_token(value: &str) -> bool {
    is_label(value) && !value.contains('.')
}

fn is_label(value: &str) -> bool {
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '*' | '>' | '{' | '}');
    !value.is_empty() && !value.starts_with('$') && !value.contains(is_odd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn joe() -> Identity {
        let claims = json!({"dept": "sales", "deep": {"id": 7}, "list": ["x"]});
        Identity {
            provider: "oidc".into(),
            name: "joe".into(),
            claims: claims.as_object().cloned().unwrap(),
            ..Identity::default()
        }
    }

    #[test]
    fn values_fill_one_token() {
        let expanded =
            expand("{{provider}}.{{ name }}.{{claim.dept}}.{{claim.deep.id}}.{{group}}.>", &joe(), Some("g"));
        assert_eq!(expanded.as_deref(), Ok("oidc.joe.sales.7.g.>"));
        assert_eq!(expand("plain.*", &joe(), None).as_deref(), Ok("plain.*"));
    }

    #[test]
    fn a_value_that_could_widen_a_right_is_refused() {
        for odd in ["", "*", ">", "a.b", "a b", "a\t", "a*", "x>", "$SYS", "{{name}}", "a\u{0}", "a\u{2003}b"] {
            let identity = Identity { name: odd.into(), ..joe() };
            assert_eq!(expand("orders.{{name}}.>", &identity, None), Err(Refusal::Unsafe("name".into())), "{odd:?}");
        }
    }

    #[test]
    fn names_of_users_may_have_dots() {
        let mail = Identity { name: "a@example.org".into(), ..joe() };
        assert_eq!(expand_label("{{name}}", &mail, None).as_deref(), Ok("a@example.org"));
        assert!(expand("u.{{name}}", &mail, None).is_err());
        for odd in ["*", "a b", "", ">"] {
            assert!(expand_label("{{name}}", &Identity { name: odd.into(), ..joe() }, None).is_err(), "{odd:?}");
        }
    }

    #[test]
    fn what_is_missing_or_unknown_is_refused() {
        assert_eq!(expand("{{claim.none}}", &joe(), None), Err(Refusal::Missing("claim.none".into())));
        assert_eq!(expand("{{claim.list}}", &joe(), None), Err(Refusal::Missing("claim.list".into())));
        assert_eq!(expand("{{group}}", &joe(), None), Err(Refusal::Missing("group".into())));
        for odd in ["{{nme}}", "{{claim.}}", "{{name", "{{}}"] {
            assert!(matches!(check(odd), Err(Refusal::Unknown(_))), "{odd}");
            assert!(expand(odd, &joe(), None).is_err(), "{odd}");
        }
    }
}
