//! The same rules, written down as slowly as possible: the oracle of the property tests, and a source of random rules.

use auth::settings::{PermissionsSettings, RuleText, SideSettings};
use auth::{Binding, Permissions, Source};

/// One entry of a list: tokens, and the queue it is for.
pub(crate) type Entry = (Vec<&'static str>, Option<&'static str>);

/// What one direction allows and denies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lists {
    pub(crate) allow: Option<Vec<Entry>>,
    pub(crate) deny: Vec<Entry>,
}

/// The definition of matching, on tokens.
pub(crate) fn matches(filter: &[&str], subject: &[&str]) -> bool {
    match (filter, subject) {
        ([], []) => true,
        ([">"], [_, ..]) => true,
        (["*", filter @ ..], [_, subject @ ..]) => matches(filter, subject),
        ([one, filter @ ..], [other, subject @ ..]) => one == other && matches(filter, subject),
        _ => false,
    }
}

/// Covering, by asking every subject that could make a difference.
pub(crate) fn covers(wide: &[&str], narrow: &[&str]) -> bool {
    let stand_in = |rest: usize| -> Vec<&str> {
        let literal = narrow.iter().map(|token| if *token == "*" { "fresh" } else { *token });
        let closed = literal.filter(|token| *token != ">");
        closed.chain(std::iter::repeat_n("fresh", rest)).collect()
    };
    let open = narrow.last() == Some(&">");
    let rests = if open { 1..=5 } else { 0..=0 };
    rests.map(stand_in).all(|subject| matches(wide, &subject))
}

/// Whether an entry without a queue, or for this queue, is meant.
fn concerns(entry: &Entry, queue: Option<&str>) -> bool {
    entry.1.is_none_or(|rule| queue.is_some_and(|queue| covers(&split(rule), &split(queue))))
}

fn split(text: &str) -> Vec<&str> {
    text.split('.').collect()
}

impl Lists {
    /// The oracle: whether the subscription may exist.
    pub(crate) fn admit(&self, filter: &[&str], queue: Option<&str>) -> bool {
        let allowed = self.allow.as_ref().is_none_or(|allow| {
            let covering: Vec<&Entry> = allow.iter().filter(|entry| covers(&entry.0, filter)).collect();
            let for_queues = covering.iter().any(|entry| entry.1.is_some());
            let plain = covering.iter().any(|entry| entry.1.is_none());
            let named = covering.iter().any(|entry| entry.1.is_some() && concerns(entry, queue));
            if queue.is_some() && for_queues { named } else { plain }
        });
        allowed && !self.deny.iter().any(|entry| matches(&entry.0, filter) && concerns(entry, queue))
    }

    /// The oracle: whether a message reaches the subscription.
    pub(crate) fn deliver(&self, filter: &[&str], queue: Option<&str>, subject: &[&str]) -> bool {
        self.admit(filter, queue)
            && matches(filter, subject)
            && !self.deny.iter().any(|entry| matches(&entry.0, subject) && concerns(entry, queue))
    }

    /// The oracle: whether a subject may be published to.
    pub(crate) fn publish(&self, subject: &[&str]) -> bool {
        let named = |list: &[Entry]| list.iter().any(|entry| matches(&entry.0, subject));
        self.allow.as_deref().is_none_or(named) && !named(&self.deny)
    }

    pub(crate) fn settings(&self) -> SideSettings {
        let texts =
            |list: &[Entry]| -> Vec<RuleText> { list.iter().map(|entry| text(entry).as_str().into()).collect() };
        SideSettings { allow: self.allow.as_deref().map(texts), deny: Some(texts(&self.deny)) }
    }

    pub(crate) fn for_subscribing(&self) -> Permissions {
        compile(PermissionsSettings { subscribe: self.settings(), ..Default::default() })
    }

    pub(crate) fn for_publishing(&self) -> Permissions {
        compile(PermissionsSettings { publish: self.settings(), ..Default::default() })
    }
}

pub(crate) fn text(entry: &Entry) -> String {
    let subject = entry.0.join(".");
    entry.1.map_or(subject.clone(), |queue| format!("{subject} {queue}"))
}

pub(crate) fn compile(settings: PermissionsSettings) -> Permissions {
    Permissions::compile(&settings, &Source::Config, Binding::default()).expect("the rules of the test compile")
}

/// Random rules from a seed: small alphabets, so that rules meet each other.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    pub(crate) fn one_of(&mut self, of: &[&'static str]) -> &'static str {
        of[self.below(of.len() as u64) as usize]
    }

    pub(crate) fn subject(&mut self) -> Vec<&'static str> {
        (0..=self.below(3)).map(|_| self.one_of(&["a", "b", "c"])).collect()
    }

    pub(crate) fn filter(&mut self) -> Vec<&'static str> {
        let mut tokens: Vec<_> = (0..=self.below(3)).map(|_| self.one_of(&["a", "b", "c", "*", "*"])).collect();
        if self.below(3) == 0 {
            let last = tokens.len() - 1;
            tokens[last] = ">";
        }
        tokens
    }

    pub(crate) fn queue(&mut self) -> Option<&'static str> {
        (self.below(2) == 0).then(|| self.one_of(&["v1", "v1.x", "v2.x", "w"]))
    }

    fn entries(&mut self, queues: bool) -> Vec<Entry> {
        let entry = |dice: &mut Self| {
            let queue = (queues && dice.below(3) == 0).then(|| dice.one_of(&["v1", "v1.*", "*.x", ">", "w"]));
            (dice.filter(), queue)
        };
        (0..self.below(5)).map(|_| entry(self)).collect()
    }

    pub(crate) fn lists(&mut self, queues: bool) -> Lists {
        let allow = (self.below(3) > 0).then(|| self.entries(queues));
        Lists { allow, deny: self.entries(queues) }
    }
}
