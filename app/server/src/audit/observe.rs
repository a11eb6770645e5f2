//! What happens to connections, as records.

use ::audit::{Class, Outcome, Record};
use broker::{Event, Link, LinkKind};

/// The record of an event, if it is one for the trail.
pub fn record_of(link: &Link, user_label: &str, event: &Event<'_>) -> Option<Record> {
    let from = link.address.ip().to_canonical().to_string();
    let record = |class, outcome| Record { from: from.clone(), ..Record::new(class, outcome) };
    Some(match event {
        Event::Admitted { facts, account } => Record {
            account: account.settings().name.to_string(),
            user: facts.user.to_string(),
            credential: facts.proof.map_or("none", auth::Proof::word).to_owned(),
            what: kind(link.kind).to_owned(),
            rule: facts.claims.as_ref().map(|claims| format!("signed by {}", claims.issuer)).unwrap_or_default(),
            ..record(Class::Login, Outcome::Done)
        },
        Event::LoginRefused(refusal) => Record {
            user: refusal.user(),
            what: kind(link.kind).to_owned(),
            rule: refusal.to_string(),
            ..record(Class::Login, Outcome::Refused)
        },
        Event::CertificateRefused(text) => Record {
            what: kind(link.kind).to_owned(),
            rule: (*text).to_owned(),
            credential: "certificate".to_owned(),
            ..record(Class::Login, Outcome::Refused)
        },
        Event::Denied { denial, .. } => {
            let (account, user) = named(user_label);
            Record {
                account,
                user,
                what: denial.violation(None),
                rule: denial.because.to_string(),
                ..record(Class::Denial, Outcome::Refused)
            }
        }
        Event::Closed { closed, account: Some(account), .. } => Record {
            account: account.settings().name.to_string(),
            user: closed.facts.user.to_string(),
            what: closed.reason.to_string(),
            ..record(Class::Logout, Outcome::Done)
        },
        _ => return None,
    })
}

const fn kind(kind: LinkKind) -> &'static str {
    match kind {
        LinkKind::Client => "client",
        LinkKind::Route => "route",
        LinkKind::Gateway => "gateway",
        LinkKind::Leaf => "leaf node",
        LinkKind::House => "server",
    }
}

/// Account and user of a label ` - "ACCOUNT/kind:user"`.
fn named(label: &str) -> (String, String) {
    let text = label.strip_prefix(" - \"").and_then(|rest| rest.strip_suffix('"')).unwrap_or_default();
    let (account, tag) = text.split_once('/').unwrap_or((text, ""));
    let user = tag.split_once(':').map_or(tag, |(_, user)| user);
    (account.to_owned(), user.to_owned())
}

/// An account's name as one token of a subject.
pub fn token(account: &str) -> String {
    let is_plain = |byte: char| byte.is_alphanumeric() || "$_-".contains(byte);
    if account.is_empty() {
        return "_".to_owned();
    }
    account.chars().map(|char| if is_plain(char) { char } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_taken_apart() {
        assert_eq!(named(" - \"SHOP/user:clerk\""), ("SHOP".to_owned(), "clerk".to_owned()));
        assert_eq!(named(" - \"SHOP/token\""), ("SHOP".to_owned(), "token".to_owned()));
        assert_eq!(named(""), (String::new(), String::new()));
    }

    #[test]
    fn a_name_never_makes_two_tokens() {
        assert_eq!((token("A.B >"), token(""), token("$SYS")), ("A_B__".to_owned(), "_".to_owned(), "$SYS".to_owned()));
    }
}
