//! What would have to change for a wish to come true.

use std::fmt;

use subject::Quoted;

use crate::denial::Because;
use crate::explain::{Outcome, Wish};
use crate::rule::Rule;

/// One change that would grant a wish, or the reason why none does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// An entry has to be added to this allow list.
    Allow {
        /// `publish` or `subscribe`.
        list: &'static str,
        /// The entry.
        entry: String,
        /// An entry that is there and too narrow.
        beside: Option<Rule>,
    },
    /// This deny entry has to go or to become narrower; no allow entry outweighs it.
    TakeOut(Rule),
    /// The subscription has to be in a queue of this entry.
    UseQueue(Rule),
    /// The filter needs fewer tokens, or `max_sub_tokens` has to grow.
    FewerTokens(usize),
    /// No permission opens what belongs to the server.
    None,
}

impl Remedy {
    /// The same without the files in which rules are written.
    #[must_use]
    pub fn without_places(self) -> Self {
        match self {
            Self::Allow { list, entry, beside } => Self::Allow { list, entry, beside: beside.map(Rule::without_place) },
            Self::TakeOut(rule) => Self::TakeOut(rule.without_place()),
            Self::UseQueue(rule) => Self::UseQueue(rule.without_place()),
            Self::FewerTokens(_) | Self::None => self,
        }
    }
}

impl Outcome {
    /// What would have to change, if the wish is not granted as a whole.
    pub fn remedies(&self, wish: Wish<'_>) -> Vec<Remedy> {
        match self {
            Self::Allowed { withheld, .. } => withheld.iter().cloned().map(Remedy::TakeOut).collect(),
            Self::Denied(because) => vec![remedy(because, wish)],
        }
    }
}

fn remedy(because: &Because, wish: Wish<'_>) -> Remedy {
    match because {
        Because::NotAllowed(beside) => {
            let (list, entry) = entry(wish);
            Remedy::Allow { list, entry, beside: beside.clone() }
        }
        Because::OtherQueue(rule) => Remedy::UseQueue(rule.clone()),
        Because::Denied(rule) => Remedy::TakeOut(rule.clone()),
        Because::TooManyTokens(most) => Remedy::FewerTokens(*most),
        Because::ReservedSubject(_) | Because::ReservedReply(_) | Because::ReservedQueue => Remedy::None,
    }
}

/// The entry that would admit exactly the wish, and the list it belongs to.
fn entry(wish: Wish<'_>) -> (&'static str, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match wish {
        Wish::Publish(subject) | Wish::Deliver { to: subject, .. } => ("publish", text(subject.as_bytes())),
        Wish::Reply(reply) => ("publish", text(reply)),
        Wish::Subscribe { filter, queue: None } => ("subscribe", text(filter.as_bytes())),
        Wish::Subscribe { filter, queue: Some(queue) } => {
            ("subscribe", format!("{} {}", text(filter.as_bytes()), text(queue.as_bytes())))
        }
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow { list, entry, beside } => {
                write!(f, "add {} to the user's {list} allow list", Quoted(entry.as_bytes()))?;
                beside.iter().try_for_each(|rule| write!(f, "; allow {rule} does not cover it"))
            }
            Self::TakeOut(rule) => write!(f, "take out or narrow deny {rule}; no allow entry outweighs it"),
            Self::UseQueue(rule) => write!(f, "subscribe in a queue of allow {rule}, or add an entry without a queue"),
            Self::FewerTokens(most) => write!(f, "use at most {most} tokens, or raise max_sub_tokens"),
            Self::None => f.write_str("nothing: it belongs to the server, and no permission opens it"),
        }
    }
}
