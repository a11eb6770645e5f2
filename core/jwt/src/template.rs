//! Templates in the scope of a signing key, filled in for one user.
//!
//! `{{name()}}`, `{{subject()}}`, `{{account-name()}}`, `{{account-subject()}}`, `{{tag(x)}}` and `{{account-tag(x)}}`
//! stand for values of the user and the account. A tag with several values makes one subject of each. A value that would
//! widen the subject (a wildcard, a blank, an empty token) refuses the user.

use std::collections::BTreeMap;
use std::fmt;

use crate::bounds::MAX_TEMPLATE_SUBJECTS;
use crate::permission::{Entry, Permission, Permissions};

/// Whose values are filled in.
#[derive(Debug)]
pub(crate) struct Names<'a> {
    pub(crate) name: &'a str,
    pub(crate) subject: String,
    pub(crate) tags: &'a [String],
    pub(crate) account_name: &'a str,
    pub(crate) account_subject: String,
    pub(crate) account_tags: &'a [String],
}

/// Why a scope cannot be filled in for a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateRefusal {
    /// A function nobody knows. The account is at fault.
    UnknownFunction {
        /// The entry as it stands in the scope.
        entry: String,
        /// The function.
        function: String,
    },
    /// A deny entry needs a value the user does not have.
    Undefined {
        /// The entry as it stands in the scope.
        entry: String,
        /// The function.
        function: String,
    },
    /// A value holds a wildcard, a blank or an empty token.
    Widening {
        /// The entry as it stands in the scope.
        entry: String,
        /// The value.
        value: String,
    },
    /// A filled-in deny entry is not a subject.
    Invalid {
        /// The entry as it stands in the scope.
        entry: String,
    },
    /// One list would grow beyond [`MAX_TEMPLATE_SUBJECTS`].
    TooMany {
        /// The entry as it stands in the scope.
        entry: String,
    },
}

impl fmt::Display for TemplateRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownFunction { entry, function } => {
                write!(f, "template operation in {entry:?}: {function:?} is not defined")
            }
            Self::Undefined { entry, function } => write!(f, "deny template {entry:?}: user has no {function:?}"),
            Self::Widening { entry, value } => {
                write!(f, "template {entry:?}: value {value:?} holds a wildcard, a blank or an empty token")
            }
            Self::Invalid { entry } => write!(f, "deny template {entry:?} generates an invalid subject"),
            Self::TooMany { entry } => write!(f, "template {entry:?} makes more than {MAX_TEMPLATE_SUBJECTS} subjects"),
        }
    }
}

/// Fills in every list. An allow list whose entries all fall away denies everything.
pub(crate) fn fill_in(template: &Permissions, names: &Names<'_>) -> Result<Permissions, TemplateRefusal> {
    Ok(Permissions {
        publish: fill_in_verb(&template.publish, names)?,
        subscribe: fill_in_verb(&template.subscribe, names)?,
        responses: template.responses,
    })
}

/// Which template each filled-in entry comes from: for whoever asks why. What no placeholder stood in is not named.
pub(crate) fn sources(template: &Permissions, names: &Names<'_>) -> BTreeMap<String, String> {
    let verbs = [&template.publish, &template.subscribe];
    let entries = verbs.into_iter().flat_map(|verb| verb.allow.iter().chain(&verb.deny));
    let of_entry = |entry: &String| {
        let filled = fill_in_list(std::slice::from_ref(entry), names, Lack::DropsEntry).unwrap_or_default();
        filled.into_iter().map(|text| (text, entry.clone())).collect::<Vec<_>>()
    };
    entries.filter(|entry| entry.contains("{{")).flat_map(of_entry).collect()
}

fn fill_in_verb(template: &Permission, names: &Names<'_>) -> Result<Permission, TemplateRefusal> {
    let allow = fill_in_list(&template.allow, names, Lack::DropsEntry)?;
    let mut deny = fill_in_list(&template.deny, names, Lack::RefusesUser)?;
    if allow.is_empty() && !template.allow.is_empty() {
        deny.push(">".to_owned());
    }
    Ok(Permission { allow, deny })
}

/// What follows when the user has no value for a placeholder.
#[derive(Clone, Copy, PartialEq)]
enum Lack {
    /// An allow that cannot be said allows nothing.
    DropsEntry,
    /// A deny that cannot be said must not be forgotten.
    RefusesUser,
}

fn fill_in_list(list: &[String], names: &Names<'_>, lack: Lack) -> Result<Vec<String>, TemplateRefusal> {
    let mut filled = Vec::with_capacity(list.len());
    for entry in list {
        let pieces = pieces(entry);
        if pieces.iter().all(|piece| matches!(piece, Piece::Text(_))) {
            filled.push(entry.clone());
            continue;
        }
        fill_in_entry(entry, &pieces, names, lack, &mut filled)?;
    }
    Ok(filled)
}

fn fill_in_entry(
    entry: &str,
    pieces: &[Piece<'_>],
    names: &Names<'_>,
    lack: Lack,
    filled: &mut Vec<String>,
) -> Result<(), TemplateRefusal> {
    let mut values: Vec<(&str, Vec<&str>)> = Vec::new();
    for piece in pieces {
        let Piece::Call(function) = piece else { continue };
        if values.iter().any(|(known, _)| known == function) {
            continue;
        }
        let found = values_of(entry, function, names)?;
        if found.is_empty() && lack == Lack::DropsEntry {
            return Ok(());
        }
        if found.is_empty() {
            return Err(TemplateRefusal::Undefined { entry: entry.to_owned(), function: (*function).to_owned() });
        }
        values.push((function, found));
    }
    let count = values.iter().try_fold(1_usize, |count, (_, found)| count.checked_mul(found.len()));
    match count.and_then(|count| count.checked_add(filled.len())) {
        Some(total) if total <= MAX_TEMPLATE_SUBJECTS => {}
        _ => return Err(TemplateRefusal::TooMany { entry: entry.to_owned() }),
    }
    for number in 0..count.unwrap_or_default() {
        let subject = combine(pieces, &values, number);
        match (Entry::parse(&subject), lack) {
            (Some(_), _) => filled.push(subject),
            (None, Lack::DropsEntry) => {}
            (None, Lack::RefusesUser) => return Err(TemplateRefusal::Invalid { entry: entry.to_owned() }),
        }
    }
    Ok(())
}

/// The combination with this number, which is read as one digit for each placeholder.
fn combine(pieces: &[Piece<'_>], values: &[(&str, Vec<&str>)], mut number: usize) -> String {
    let mut chosen: Vec<(&str, &str)> = Vec::with_capacity(values.len());
    for (function, found) in values.iter().rev() {
        let value = found.get(number % found.len().max(1)).copied().unwrap_or_default();
        number /= found.len().max(1);
        chosen.push((function, value));
    }
    let text = |piece: &Piece<'_>| match piece {
        Piece::Text(text) => (*text).to_owned(),
        Piece::Call(function) => chosen
            .iter()
            .find(|(known, _)| known == function)
            .map_or_else(String::new, |(_, value)| (*value).to_owned()),
    };
    pieces.iter().map(text).collect()
}

#[derive(Debug, PartialEq)]
enum Piece<'a> {
    Text(&'a str),
    Call(&'a str),
}

/// Takes an entry apart at `{{…}}`.
fn pieces(entry: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = entry;
    while let Some((before, function, after)) = next_call(rest) {
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        pieces.push(Piece::Call(function));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    pieces
}

/// The text before the first call, the function's text, and what follows. Braces that are no call are looked past.
fn next_call(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let open = from + text.get(from..)?.find("{{")?;
        let (function, after) = text.get(open + 2..)?.split_once('}')?;
        match after.strip_prefix('}') {
            Some(after) if !function.is_empty() => return Some((text.get(..open)?, function.trim(), after)),
            _ => from = open + 1,
        }
    }
}

fn values_of<'a>(entry: &str, function: &str, names: &'a Names<'_>) -> Result<Vec<&'a str>, TemplateRefusal> {
    let found = match Function::parse(function) {
        Some(Function::Name) => vec![names.name],
        Some(Function::Subject) => vec![names.subject.as_str()],
        Some(Function::AccountName) => vec![names.account_name],
        Some(Function::AccountSubject) => vec![names.account_subject.as_str()],
        Some(Function::Tag(tag)) => tag_values(names.tags, tag),
        Some(Function::AccountTag(tag)) => tag_values(names.account_tags, tag),
        None => {
            return Err(TemplateRefusal::UnknownFunction { entry: entry.to_owned(), function: function.to_owned() });
        }
    };
    let found: Vec<&str> = found.into_iter().filter(|value| !value.is_empty()).collect();
    match found.iter().find(|value| widens(value)) {
        Some(value) => Err(TemplateRefusal::Widening { entry: entry.to_owned(), value: (*value).to_owned() }),
        None => Ok(found),
    }
}

fn tag_values<'a>(tags: &'a [String], name: &str) -> Vec<&'a str> {
    let prefix = format!("{}:", name.to_lowercase());
    tags.iter().filter_map(|tag| tag.strip_prefix(&prefix)).collect()
}

fn widens(value: &str) -> bool {
    let odd = |letter: char| letter == '*' || letter == '>' || letter.is_whitespace() || letter.is_control();
    value.contains(odd) || value.split('.').any(str::is_empty)
}

enum Function<'a> {
    Name,
    Subject,
    AccountName,
    AccountSubject,
    Tag(&'a str),
    AccountTag(&'a str),
}

impl<'a> Function<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (name, argument) = text.strip_suffix(')')?.split_once('(')?;
        Some(match (name.to_ascii_lowercase().as_str(), argument) {
            ("name", "") => Self::Name,
            ("subject", "") => Self::Subject,
            ("account-name", "") => Self::AccountName,
            ("account-subject", "") => Self::AccountSubject,
            ("tag", tag) => Self::Tag(tag),
            ("account-tag", tag) => Self::AccountTag(tag),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(entries: &[&str], lack: Lack, tags: &[&str]) -> Result<Vec<String>, TemplateRefusal> {
        let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let account_tags = vec!["region:eu".to_owned()];
        let names = Names {
            name: "joe",
            subject: "UJOE".to_owned(),
            tags: &tags,
            account_name: "shop",
            account_subject: "ASHOP".to_owned(),
            account_tags: &account_tags,
        };
        let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        fill_in_list(&entries, &names, lack)
    }

    fn allowed(entry: &str, tags: &[&str]) -> Vec<String> {
        filled(&[entry], Lack::DropsEntry, tags).expect("a filled list")
    }

    #[test]
    fn every_function_has_its_value() {
        let entry =
            "{{name()}}.{{subject()}}.{{account-name()}}.{{account-subject()}}.{{tag(team)}}.{{account-tag(region)}}";
        assert_eq!(allowed(entry, &["team:blue"]), ["joe.UJOE.shop.ASHOP.blue.eu"]);
        assert_eq!(allowed("a.{{ NAME() }}.>", &[]), ["a.joe.>"]);
        assert_eq!(allowed("a.{{Tag(TEAM)}}", &["team:blue"]), ["a.blue"]);
        assert_eq!(allowed("a.{{name()}} q.{{name()}}", &[]), ["a.joe q.joe"]);
    }

    #[test]
    fn tags_with_several_values_make_every_combination() {
        let tags = ["t:a", "t:b", "s:1", "s:2", "other"];
        assert_eq!(allowed("x.{{tag(t)}}", &tags), ["x.a", "x.b"]);
        assert_eq!(allowed("{{tag(t)}}.{{tag(s)}}", &tags), ["a.1", "a.2", "b.1", "b.2"]);
        assert_eq!(allowed("{{tag(t)}}.{{tag(t)}}", &tags), ["a.a", "b.b"], "one placeholder, one value");
    }

    #[test]
    fn a_missing_value_drops_an_allow_and_refuses_a_deny() {
        assert_eq!(filled(&["a", "x.{{tag(t)}}"], Lack::DropsEntry, &[]), Ok(vec!["a".to_owned()]));
        let refused = filled(&["a", "x.{{tag(t)}}"], Lack::RefusesUser, &[]);
        assert!(matches!(refused, Err(TemplateRefusal::Undefined { .. })));
    }

    #[test]
    fn values_that_widen_refuse_the_user() {
        for odd in ["t:*", "t:>", "t:a b", "t:a..b", "t:.", "t:a.", "t:a\tb", "t:x*y"] {
            for lack in [Lack::DropsEntry, Lack::RefusesUser] {
                let refused = filled(&["x.{{tag(t)}}"], lack, &[odd]);
                assert!(matches!(refused, Err(TemplateRefusal::Widening { .. })), "{odd}");
            }
        }
        assert_eq!(allowed("x.{{tag(t)}}", &["t:a.b"]), ["x.a.b"]);
    }

    #[test]
    fn fix_58b7e14_unknown_functions_refuse_the_user() {
        for odd in ["{{nope()}}", "{{name}}", "{{tag}}", "{{tag(}}", "{{)}}", "{{ }}", "{{name(x)}}", "{{{name()}}"] {
            let refused = filled(&[odd], Lack::DropsEntry, &[]);
            assert!(matches!(refused, Err(TemplateRefusal::UnknownFunction { .. })), "{odd}: {refused:?}");
        }
    }

    #[test]
    fn a_value_is_never_filled_in_again() {
        let refused = filled(&["x.{{tag(t)}}"], Lack::DropsEntry, &["t:{{name()}}"]).expect("a list");
        assert_eq!(refused, ["x.{{name()}}"], "it stays the literal text that it is");
    }

    #[test]
    fn fix_20b2f67_growth_is_bounded() {
        let tags: Vec<String> = (0..65).map(|at| format!("t:{at}")).collect();
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        assert_eq!(allowed("{{tag(t)}}.x", &tags).len(), 65);
        let other: Vec<String> = (0..65).map(|at| format!("s:{at}")).collect();
        let both: Vec<&str> = tags.into_iter().chain(other.iter().map(String::as_str)).collect();
        let refused = filled(&["{{tag(t)}}.{{tag(s)}}"], Lack::DropsEntry, &both);
        assert!(matches!(refused, Err(TemplateRefusal::TooMany { .. })));
    }

    #[test]
    fn braces_that_are_no_call_are_text() {
        assert_eq!(pieces("a.{{}}.b"), [Piece::Text("a.{{}}.b")]);
        assert_eq!(pieces("{{a} {{b()}}"), [Piece::Text("{{a} "), Piece::Call("b()")]);
        assert_eq!(pieces("{{"), [Piece::Text("{{")]);
    }

    #[test]
    fn an_allow_list_that_falls_away_denies_everything() {
        let template = Permission { allow: vec!["x.{{tag(t)}}".to_owned()], deny: Vec::new() };
        let (subject, account_subject) = ("U".to_owned(), "A".to_owned());
        let names = Names { name: "", subject, tags: &[], account_name: "", account_subject, account_tags: &[] };
        let filled = fill_in_verb(&template, &names).expect("filled");
        assert_eq!(filled, Permission { allow: Vec::new(), deny: vec![">".to_owned()] });
    }
}
