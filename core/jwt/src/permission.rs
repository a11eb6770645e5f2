//! Permissions as they stand in users, scopes and account defaults.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};
use subject::Filter;

use crate::DecodeError;
use crate::bounds::{MAX_PERMISSIONS, MAX_SUBJECT_BYTES};
use crate::issue::Issues;
use crate::read::{self, Fields};
use crate::subjects;
use crate::write::Object;

/// Allow and deny for one verb. An empty allow list allows everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Permission {
    /// `allow`
    pub allow: Vec<String>,
    /// `deny`
    pub deny: Vec<String>,
}

/// Leave to answer requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Responses {
    /// `max`: how many answers to one request; zero for the default.
    pub max: i64,
    /// `ttl`: for how many nanoseconds; zero for the default.
    pub ttl: i64,
}

/// What may be published, subscribed and answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Permissions {
    /// `pub`
    pub publish: Permission,
    /// `sub`
    pub subscribe: Permission,
    /// `resp`
    pub responses: Option<Responses>,
}

impl Permission {
    const FIELDS: &'static [&'static str] = &["allow", "deny"];

    fn read(value: &Value) -> Result<Self, DecodeError> {
        let fields = Fields::of(value, Self::FIELDS)?;
        let subject = |value: &Value| read::text(value, MAX_SUBJECT_BYTES);
        Ok(Self {
            allow: fields.list("allow", MAX_PERMISSIONS, subject)?,
            deny: fields.list("deny", MAX_PERMISSIONS, subject)?,
        })
    }

    fn write(&self) -> Map<String, Value> {
        Object::default().texts("allow", &self.allow).texts("deny", &self.deny).done()
    }

    fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    fn validate(&self, queues: bool, issues: &mut Issues) {
        for entry in self.allow.iter().chain(&self.deny) {
            validate_entry(entry, queues, issues);
        }
    }
}

fn validate_entry(entry: &str, queues: bool, issues: &mut Issues) {
    let mut words = entry.split(' ');
    match (words.next().unwrap_or_default(), words.next(), words.next()) {
        (filter, None, _) => drop(subjects::check(filter, issues)),
        (filter, Some(queue), None) => {
            subjects::check(filter, issues);
            subjects::check(queue, issues);
            if !queues {
                issues.block(format_args!("Permission Subject {entry:?} is not allowed to contain queue"));
            }
        }
        _ => issues.block(format_args!("Permission Subject {entry:?} contains too many spaces")),
    }
}

impl Permissions {
    /// Nothing is said, so an account's defaults apply.
    pub fn is_empty(&self) -> bool {
        self.publish.is_empty() && self.subscribe.is_empty() && self.responses.is_none()
    }

    pub(crate) fn read(fields: Fields<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            publish: fields.read("pub", Permission::read)?.unwrap_or_default(),
            subscribe: fields.read("sub", Permission::read)?.unwrap_or_default(),
            responses: fields.read("resp", read_responses)?,
        })
    }

    pub(crate) fn write(&self, object: &mut Object) {
        object.put("pub", self.publish.write()).put("sub", self.subscribe.write());
        object.maybe("resp", self.responses.map(|r| Object::default().put("max", r.max).put("ttl", r.ttl).done()));
    }

    pub(crate) fn validate(&self, issues: &mut Issues) {
        self.subscribe.validate(true, issues);
        self.publish.validate(false, issues);
    }
}

fn read_responses(value: &Value) -> Result<Responses, DecodeError> {
    let fields = Fields::of(value, &["max", "ttl"])?;
    Ok(Responses { max: fields.int("max")?, ttl: fields.int("ttl")? })
}

/// One checked entry of a list: a filter and, for subscriptions, the queues it speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Which subjects.
    pub filter: Filter,
    /// Which queues; none for plain entries.
    pub queue: Option<Filter>,
}

impl Entry {
    /// Reads `filter` or `filter queue`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let filter = Filter::parse(words.next()?.as_bytes()).ok()?;
        let queue = words.next().map(|queue| Filter::parse(queue.as_bytes())).transpose().ok()?;
        words.next().is_none().then_some(Self { filter, queue })
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.queue {
            Some(queue) => write!(f, "{} {queue}", self.filter),
            None => self.filter.fmt(f),
        }
    }
}

/// What is allowed. An absent list and an empty one are two different things here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allow {
    /// No list was given.
    Everything,
    /// These, and if there are none, nothing.
    Only(Vec<Entry>),
}

/// Checked rules for one verb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What is allowed.
    pub allow: Allow,
    /// What is not, whatever is allowed.
    pub deny: Vec<Entry>,
}

/// How many answers, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerRule {
    /// How many answers to one request; none for any number.
    pub max: Option<u32>,
    /// For how long after the request; none for ever.
    pub expires: Option<Duration>,
}

/// Checked rules, ready to be compiled. Only judged claims turn into these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Publishing.
    pub publish: Rule,
    /// Subscribing.
    pub subscribe: Rule,
    /// Answering.
    pub responses: Option<AnswerRule>,
}

/// Answers to one request where a claim allows them without saying how many.
pub const DEFAULT_MAX_RESPONSES: u32 = 1;
/// How long answers are allowed where a claim does not say.
pub const DEFAULT_RESPONSE_TTL: Duration = Duration::from_secs(120);

impl Rules {
    /// Compiles permissions; `None` when one of their entries is not valid.
    pub fn of(permissions: &Permissions) -> Option<Self> {
        if permissions.publish.allow.iter().chain(&permissions.publish.deny).any(|entry| entry.contains(' ')) {
            return None;
        }
        let mut rules = Self {
            publish: Rule::of(&permissions.publish)?,
            subscribe: Rule::of(&permissions.subscribe)?,
            responses: permissions.responses.map(AnswerRule::of),
        };
        // Leave to answer is leave to do nothing else, unless an allow list says more.
        if rules.responses.is_some() && rules.publish.allow == Allow::Everything {
            rules.publish.allow = Allow::Only(Vec::new());
        }
        Some(rules)
    }
}

impl Rule {
    fn of(permission: &Permission) -> Option<Self> {
        let allow = match permission.allow.as_slice() {
            [] => Allow::Everything,
            entries => Allow::Only(parse_all(entries)?),
        };
        Some(Self { allow, deny: parse_all(&permission.deny)? })
    }
}

fn parse_all(entries: &[String]) -> Option<Vec<Entry>> {
    entries.iter().map(|entry| Entry::parse(entry)).collect()
}

impl AnswerRule {
    fn of(responses: Responses) -> Self {
        let max = match responses.max {
            0 => Some(DEFAULT_MAX_RESPONSES),
            1.. => Some(u32::try_from(responses.max).unwrap_or(u32::MAX)),
            _ => None,
        };
        let expires = match responses.ttl {
            0 => Some(DEFAULT_RESPONSE_TTL),
            1.. => Some(Duration::from_nanos(responses.ttl.unsigned_abs())),
            _ => None,
        };
        Self { max, expires }
    }
}
