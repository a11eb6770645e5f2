//! Rules: entries of allow and deny lists, compiled, each knowing where it came from.

use std::fmt;
use std::sync::Arc;

use subject::{Filter, Queue, Subject, Sublist};

use crate::settings::{Place, RuleText};

/// Where a rule came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A user's own permissions in the configuration.
    Config(Place),
    /// The default permissions of the account or the authorization block.
    Default(Place),
    /// The user's own JWT.
    User,
    /// The default permissions in the account's JWT.
    AccountDefault,
    /// The template of a scoped signing key.
    Scope {
        /// The key.
        key: Arc<str>,
        /// What the account calls the scope; empty where it has no name.
        role: Arc<str>,
        /// The entry as it stands in the template, where something was filled in.
        template: Option<Arc<str>>,
    },
    /// The claims in the answer of the auth callout service.
    Answer,
    /// Nobody may take the callout service's place in its account.
    Callout,
    /// A server of another cluster tells what binds those who are connected there. Whose word it is.
    Told(Arc<str>),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(place) => place.fmt(f),
            Self::Default(place) => write!(f, "default permissions, {place}"),
            Self::User => f.write_str("user JWT"),
            Self::AccountDefault => f.write_str("default permissions of the account JWT"),
            Self::Scope { key, role, template } => {
                let name = if role.is_empty() { String::new() } else { format!("{role:?} ") };
                write!(f, "scope {name}of signing key {key}")?;
                template.iter().try_for_each(|template| write!(f, ", template \"{template}\""))
            }
            Self::Answer => f.write_str("answer of the auth callout service"),
            Self::Callout => f.write_str("auth callout"),
            Self::Told(by) => f.write_str(by),
        }
    }
}

/// One entry of a list, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The entry's text, queue included.
    pub text: Arc<str>,
    /// Where it came from.
    pub origin: Origin,
}

impl Rule {
    /// The same without the file in which it is written, for those who may know what binds them and not how the server is kept.
    #[must_use]
    pub fn without_place(self) -> Self {
        let origin = match self.origin {
            Origin::Config(_) => Origin::Config(Place::default()),
            Origin::Default(_) => Origin::Default(Place::default()),
            other => other,
        };
        Self { origin, ..self }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" ({})", self.text, self.origin)
    }
}

/// An entry that is not a rule. The fault of whoever wrote the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    /// The entry.
    pub rule: Rule,
    /// What is wrong with it.
    pub fault: RuleFault,
}

/// What can be wrong with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleFault {
    /// The subject part is not a subject filter.
    Subject,
    /// The queue part is not a queue or a filter of queues.
    Queue,
    /// A publish rule has no queue part.
    QueueOnPublish,
    /// The list is longer than [`MAX_RULES`].
    TooMany,
}

/// Most entries of one list.
pub const MAX_RULES: usize = 100_000;

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.rule.text;
        match self.fault {
            RuleFault::Subject => write!(f, "subject {text:?} is not a valid subject"),
            RuleFault::Queue => write!(f, "subject {text:?}: the queue is not a valid queue"),
            RuleFault::QueueOnPublish => {
                write!(f, "subject {text:?} is not a valid subject: publishing knows no queue")
            }
            RuleFault::TooMany => write!(f, "more than {MAX_RULES} entries in one list"),
        }
    }
}

impl std::error::Error for RuleError {}

/// Whether entries may speak of queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Publish,
    Subscribe,
}

struct Compiled {
    rule: Rule,
    queue: Option<Filter>,
}

/// A list, compiled so that asking it costs the same however long it is.
pub(crate) struct RuleSet {
    rules: Vec<Compiled>,
    list: Sublist<u32>,
}

impl RuleSet {
    pub(crate) fn compile(
        texts: &[RuleText],
        side: Side,
        origin: impl Fn(&RuleText) -> Origin,
    ) -> Result<Self, RuleError> {
        // The seed guards tables into which strangers insert. This one is filled by the operator alone.
        let mut set = Self { rules: Vec::with_capacity(texts.len()), list: Sublist::with_seed(0) };
        for text in texts {
            set.add(Rule { text: text.text.as_str().into(), origin: origin(text) }, side)?;
        }
        Ok(set)
    }

    pub(crate) fn add(&mut self, rule: Rule, side: Side) -> Result<(), RuleError> {
        let parsed = if self.rules.len() < MAX_RULES { parse(&rule.text, side) } else { Err(RuleFault::TooMany) };
        let (filter, queue) = match parsed {
            Ok(parsed) => parsed,
            Err(fault) => return Err(RuleError { rule, fault }),
        };
        self.list.insert(&filter, u32::try_from(self.rules.len()).expect("MAX_RULES fits"));
        self.rules.push(Compiled { rule, queue });
        Ok(())
    }

    pub(crate) fn empty() -> Self {
        Self { rules: Vec::new(), list: Sublist::with_seed(0) }
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.rules.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    pub(crate) fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|compiled| &compiled.rule)
    }

    /// The first rule in the list that matches the subject.
    pub(crate) fn matching(&self, subject: Subject<'_>) -> Option<&Rule> {
        let mut first = First::default();
        self.list.matches(subject.as_bytes(), &mut |index| first.see(*index));
        self.rule(first)
    }

    /// The first rule that keeps this subject from a member of this queue: one without a queue, or of this queue.
    pub(crate) fn withholding(&self, subject: Subject<'_>, queue: Option<&Queue>) -> Option<&Rule> {
        let mut first = First::default();
        self.list.matches(subject.as_bytes(), &mut |index| {
            if self.concerns(*index, queue) {
                first.see(*index);
            }
        });
        self.rule(first)
    }

    /// Every rule that overlaps the filter and concerns the queue.
    pub(crate) fn overlapping(&self, filter: &Filter, queue: Option<&Queue>) -> Vec<&Rule> {
        let mut indices = Vec::new();
        self.list.reverse_matches(filter, &mut |index| {
            if self.concerns(*index, queue) {
                indices.push(*index);
            }
        });
        indices.sort_unstable();
        indices.iter().filter_map(|index| self.compiled(*index)).map(|compiled| &compiled.rule).collect()
    }

    /// Whether any rule overlaps the filter and concerns the queue.
    pub(crate) fn overlaps(&self, filter: &Filter, queue: Option<&Queue>) -> bool {
        let mut any = false;
        self.list.reverse_matches(filter, &mut |index| any |= self.concerns(*index, queue));
        any
    }

    /// Whether one rule without a queue covers the filter.
    pub(crate) fn covers(&self, filter: &Filter) -> bool {
        self.covering(filter, None).plain.is_some()
    }

    /// What the list says about subscribing, by the rules that cover the filter.
    pub(crate) fn covering(&self, filter: &Filter, queue: Option<&Queue>) -> Found<'_> {
        let mut sorted = Sorted::default();
        self.list.covering(filter, &mut |index| self.sort(*index, queue, &mut sorted));
        self.found(sorted)
    }

    /// What the list says about subscribing, by the rules that match the filter's text as if it were a subject. They are
    /// those that cover it, and some that are narrower: `a.*` matches the text `a.>`.
    pub(crate) fn matching_text(&self, filter: &Filter, queue: Option<&Queue>) -> Found<'_> {
        let mut sorted = Sorted::default();
        self.list.matches(filter.as_bytes(), &mut |index| self.sort(*index, queue, &mut sorted));
        self.found(sorted)
    }

    fn sort(&self, index: u32, queue: Option<&Queue>, into: &mut Sorted) {
        let of_queue = self.compiled(index).and_then(|compiled| compiled.queue.as_ref());
        match (of_queue, queue) {
            (None, _) => into.plain.see(index),
            (Some(rule), Some(queue)) if queue.is_within(rule) => into.same_queue.see(index),
            (Some(_), _) => into.other_queue.see(index),
        }
    }

    fn found(&self, sorted: Sorted) -> Found<'_> {
        Found {
            plain: self.rule(sorted.plain),
            same_queue: self.rule(sorted.same_queue),
            other_queue: self.rule(sorted.other_queue),
        }
    }

    /// A rule without a queue concerns everyone; one with a queue the members of that queue.
    fn concerns(&self, index: u32, queue: Option<&Queue>) -> bool {
        match self.compiled(index).and_then(|compiled| compiled.queue.as_ref()) {
            None => true,
            Some(rule) => queue.is_some_and(|queue| queue.is_within(rule)),
        }
    }

    fn compiled(&self, index: u32) -> Option<&Compiled> {
        self.rules.get(index as usize)
    }

    fn rule(&self, first: First) -> Option<&Rule> {
        self.compiled(first.0?).map(|compiled| &compiled.rule)
    }
}

/// What a list says about a subscription: by rules without a queue, of its queue, and of other queues.
pub(crate) struct Found<'a> {
    pub(crate) plain: Option<&'a Rule>,
    pub(crate) same_queue: Option<&'a Rule>,
    pub(crate) other_queue: Option<&'a Rule>,
}

#[derive(Default)]
struct Sorted {
    plain: First,
    same_queue: First,
    other_queue: First,
}

/// The smallest index seen, so that the rule named to the operator does not depend on the order of a table.
#[derive(Default)]
struct First(Option<u32>);

impl First {
    fn see(&mut self, index: u32) {
        self.0 = Some(self.0.map_or(index, |first| first.min(index)));
    }
}

fn parse(text: &str, side: Side) -> Result<(Filter, Option<Filter>), RuleFault> {
    let mut words = text.split_ascii_whitespace();
    let (Some(subject), queue, None) = (words.next(), words.next(), words.next()) else {
        return Err(RuleFault::Subject);
    };
    let filter = Filter::parse(subject.as_bytes()).map_err(|_| RuleFault::Subject)?;
    match queue {
        None if subject.len() == text.len() || side == Side::Subscribe => Ok((filter, None)),
        None => Err(RuleFault::Subject),
        Some(_) if side == Side::Publish => Err(RuleFault::QueueOnPublish),
        Some(queue) => Ok((filter, Some(Filter::parse(queue.as_bytes()).map_err(|_| RuleFault::Queue)?))),
    }
}
