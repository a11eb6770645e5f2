//! What happens to connections, as records.

use ::audit::{Class, Outcome, Record};
use broker::{ConnectionFacts, ConnectionLabel, Event, Link, LinkKind};

use crate::log::kind;

/// The record of an event, if it is one for the trail.
pub fn record_of(link: &Link, label: &ConnectionLabel, event: &Event<'_>) -> Option<Record> {
    let from = link.address.ip().to_canonical().to_string();
    let record = |class, outcome| Record { from: from.clone(), ..Record::new(class, outcome) };
    // Where this server itself went, nobody logged in here.
    let is_own = |facts: &ConnectionFacts| link.kind == LinkKind::Leaf && facts.proof.is_none();
    Some(match event {
        Event::Admitted { facts, .. } if is_own(facts) => return None,
        Event::Closed { closed, .. } if is_own(&closed.facts) => return None,
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
            let member = label.member.as_deref();
            Record {
                account: member.map(|member| member.account.to_string()).unwrap_or_default(),
                user: member.map(|member| member.user().to_owned()).unwrap_or_default(),
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
    fn a_name_never_makes_two_tokens() {
        assert_eq!((token("A.B >"), token(""), token("$SYS")), ("A_B__".to_owned(), "_".to_owned(), "$SYS".to_owned()));
    }
}
