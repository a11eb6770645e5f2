//! What a user may read of what was stored: the subscribe permissions, asked about messages of the past.
//!
//! A consumer is a subscription to the past, and a direct read is a subscription to one message of it. What decides is the
//! same: an allow entry must cover the filter, a deny entry refuses a filter that is not wider than itself, and from a wider
//! one its subjects are withheld. Entries for queues do not speak of it, as nobody reads as a member of a queue.
//!
//! Which of the entries bind is the operator's choice ([`ReadRule`]). Allow lists that name inboxes only, with streams opened
//! by the right to publish to their API, are common; by default they keep working, and what is denied stays denied.

use std::fmt;
use std::sync::Arc;

use subject::{Filter, Subject};

use crate::denial::{Because, Denial};
use crate::permissions::part_kept_out;
use crate::rule::{Origin, Rule, RuleError, RuleSet, Side};

/// Which subscribe permissions bind who reads what is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadRule {
    /// What is denied can not be read either.
    #[default]
    Denied,
    /// Only what could be subscribed to can be read.
    Allowed,
    /// None: whoever may call the API may read every stream of the account.
    Free,
}

/// What one user may read. Cheap to clone.
#[derive(Clone)]
pub struct Reading {
    allow: Option<Arc<RuleSet>>,
    deny: Arc<RuleSet>,
}

/// The entries of a [`Reading`] as written, to be kept beside what reads on behalf of the user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadingTexts {
    /// What is allowed; everything if absent.
    pub allow: Option<Vec<String>>,
    /// What is denied, even if allowed.
    pub deny: Vec<String>,
}

impl Reading {
    /// What the lists mean under a rule. `None`: everything may be read.
    pub(crate) fn new(allow: Option<&Arc<RuleSet>>, deny: &Arc<RuleSet>, rule: ReadRule) -> Option<Self> {
        let allow = allow.filter(|_| rule == ReadRule::Allowed).cloned();
        let binds = rule != ReadRule::Free && (allow.is_some() || !deny.is_empty());
        binds.then(|| Self { allow, deny: deny.clone() })
    }

    /// Everything may be read.
    pub fn everything() -> Self {
        Self { allow: None, deny: Arc::new(RuleSet::empty()) }
    }

    /// Whether there is anything that may not be read.
    pub fn binds(&self) -> bool {
        self.allow.is_some() || !self.deny.is_empty()
    }

    /// Whether messages of the filter may be read, except those that [`Reading::sees`] withholds.
    ///
    /// # Errors
    /// The rule that refuses it.
    pub fn read(&self, filter: &Filter) -> Result<(), Denial> {
        self.is_allowed(filter)?;
        match self.deny.matching_text(filter, None).plain {
            Some(rule) => Err(refused(filter, Because::Denied(rule.clone()))),
            None => Ok(()),
        }
    }

    /// Whether every message of the filter may be read.
    ///
    /// # Errors
    /// A rule that withholds some.
    pub fn read_all(&self, filter: &Filter) -> Result<(), Denial> {
        match part_kept_out(self.allow.as_deref(), &self.deny, filter) {
            Some(because) => Err(refused(filter, because)),
            None => Ok(()),
        }
    }

    fn is_allowed(&self, filter: &Filter) -> Result<(), Denial> {
        let Some(rules) = &self.allow else { return Ok(()) };
        match rules.covering(filter, None).plain {
            Some(_) => Ok(()),
            None => {
                let nearest = rules.overlapping(filter, None).first().map(|rule| (*rule).clone());
                Err(refused(filter, Because::NotAllowed(nearest)))
            }
        }
    }

    /// Whether a message of this subject may be read.
    pub fn sees(&self, subject: Subject<'_>) -> bool {
        self.allow.as_ref().is_none_or(|rules| rules.withholding(subject, None).is_some())
            && self.deny.withholding(subject, None).is_none()
    }

    /// What is withheld from a filter that may be read: its part of each deny entry.
    pub fn withheld(&self, filter: &Filter) -> Vec<Filter> {
        let rules = self.deny.overlapping(filter, None).into_iter();
        let denied = rules.filter_map(|rule| Filter::parse(rule.text.trim().as_bytes()).ok());
        denied.filter_map(|denied| denied.intersection(filter)).collect()
    }

    /// The deny entries that withhold something of a filter that may be read, for explanations.
    pub fn withholding(&self, filter: &Filter) -> Vec<Rule> {
        self.deny.overlapping(filter, None).into_iter().cloned().collect()
    }

    /// The entries as written.
    pub fn texts(&self) -> ReadingTexts {
        let texts = |rules: &RuleSet| rules.rules().map(|rule| rule.text.to_string()).collect();
        ReadingTexts { allow: self.allow.as_deref().map(texts), deny: texts(&self.deny) }
    }

    /// What was kept as texts.
    ///
    /// # Errors
    /// An entry that is none: never of texts that [`Reading::texts`] gave.
    pub fn of_texts(texts: &ReadingTexts) -> Result<Self, RuleError> {
        let compile = |texts: &[String]| {
            let mut rules = RuleSet::empty();
            for text in texts {
                let origin = Origin::Config(crate::settings::Place::default());
                rules.add(Rule { text: text.as_str().into(), origin }, Side::Subscribe)?;
            }
            Ok(Arc::new(rules))
        };
        let allow = texts.allow.as_deref().map(compile).transpose()?;
        Ok(Self { allow, deny: compile(&texts.deny)? })
    }
}

fn refused(filter: &Filter, because: Because) -> Denial {
    Denial::subscribe(filter, None, because)
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.texts(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(allow: Option<&[&str]>, deny: &[&str], rule: ReadRule) -> Option<Reading> {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let all = ReadingTexts { allow: allow.map(texts), deny: texts(deny) };
        let all = Reading::of_texts(&all).unwrap();
        Reading::new(all.allow.as_ref(), &all.deny, rule)
    }

    fn filter(text: &str) -> Filter {
        Filter::parse(text.as_bytes()).unwrap()
    }

    fn subject(text: &str) -> Subject<'_> {
        Subject::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn an_allow_list_binds_only_where_it_is_told_to() {
        let inboxes: Option<&[&str]> = Some(&["_INBOX.>"]);
        assert!(reading(inboxes, &[], ReadRule::Denied).is_none());
        assert!(reading(inboxes, &["a"], ReadRule::Free).is_none());
        let strict = reading(inboxes, &[], ReadRule::Allowed).unwrap();
        assert!(strict.read(&filter("orders.>")).is_err() && !strict.sees(subject("orders.a")));
        assert!(strict.read(&filter("_INBOX.x.>")).is_ok() && strict.sees(subject("_INBOX.x")));
        assert!(strict.binds() && !Reading::everything().binds());
        assert!(Reading::everything().read_all(&Filter::everything()).is_ok());
    }

    #[test]
    fn what_is_denied_is_refused_or_withheld() {
        let reading = reading(None, &["secret.>", "a.*.c", "q work"], ReadRule::Denied).unwrap();
        let error = reading.read(&filter("secret.x")).unwrap_err();
        assert_eq!(error.wire_text(), "Permissions Violation for Subscription to \"secret.x\"");
        assert!(reading.read(&filter(">")).is_ok() && reading.read_all(&filter(">")).is_err());
        assert!(reading.read_all(&filter("b.>")).is_ok());
        assert!(!reading.sees(subject("secret.x")) && reading.sees(subject("b")) && reading.sees(subject("q")));
        assert_eq!(reading.withheld(&filter("a.b.*")), [filter("a.b.c")]);
        assert_eq!(reading.withheld(&filter("b.>")), []);
    }

    #[test]
    fn what_is_kept_as_texts_means_the_same() {
        let before = reading(Some(&["a.>"]), &["a.secret"], ReadRule::Allowed).unwrap();
        let after = Reading::of_texts(&before.texts()).unwrap();
        for text in ["a.b", "a.secret", "b"] {
            assert_eq!(after.sees(subject(text)), before.sees(subject(text)), "{text}");
        }
    }
}
