//! May somebody do something, and which rule says so? For operators: the same decisions as everywhere, in words.

mod reach;
mod remedy;
mod ways;

use std::fmt;

use account::{Account, AccountName};
use subject::{Filter, Queue, Quoted, Subject};

use crate::denial::Because;
use crate::directory::Directory;
use crate::permissions::Permissions;
use crate::rule::Rule;

pub use reach::Reach;
pub use remedy::Remedy;
pub use ways::{Arrival, Party, Step};

/// What somebody wants.
#[derive(Debug, Clone, Copy)]
pub enum Wish<'a> {
    /// To publish to this.
    Publish(Subject<'a>),
    /// To be answered on this.
    Reply(&'a [u8]),
    /// To have the server send messages there: see [`Permissions::deliver`].
    Deliver {
        /// To this.
        to: Subject<'a>,
        /// To this queue group.
        queue: Option<&'a Queue>,
    },
    /// To subscribe.
    Subscribe {
        /// To this.
        filter: &'a Filter,
        /// As a member of this queue group.
        queue: Option<&'a Queue>,
    },
}

/// What comes of a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Granted.
    Allowed {
        /// The entry that admits it; none where there is no list.
        by: Option<Rule>,
        /// The entries whose messages never arrive.
        withheld: Vec<Rule>,
    },
    /// Refused.
    Denied(Because),
}

impl Outcome {
    /// The same without the files in which rules are written.
    #[must_use]
    pub fn without_places(self) -> Self {
        let hidden = |rules: Vec<Rule>| rules.into_iter().map(Rule::without_place).collect();
        match self {
            Self::Allowed { by, withheld } => {
                Self::Allowed { by: by.map(Rule::without_place), withheld: hidden(withheld) }
            }
            Self::Denied(because) => Self::Denied(because.without_place()),
        }
    }
}

impl Permissions {
    /// What comes of the wish.
    pub fn explain(&self, wish: Wish<'_>) -> Outcome {
        let judged = match wish {
            Wish::Publish(subject) => self.judge_publish(subject),
            Wish::Reply(reply) => self.reply(reply).map(|()| None).map_err(|denial| denial.because),
            Wish::Deliver { to, queue } => self.judge_deliver(to, queue),
            Wish::Subscribe { filter, queue } => self.judge_subscribe(filter, queue),
        };
        match judged {
            Err(because) => Outcome::Denied(because),
            Ok(by) => Outcome::Allowed { by: by.cloned(), withheld: self.withheld(wish) },
        }
    }

    fn withheld(&self, wish: Wish<'_>) -> Vec<Rule> {
        let Wish::Subscribe { filter, queue } = wish else { return Vec::new() };
        self.subscribe(filter.clone(), queue).map(|grant| grant.withheld()).unwrap_or_default()
    }
}

/// An answer for a configured user, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The user's account.
    pub account: AccountName,
    /// The user.
    pub user: String,
    /// What was wanted, in words.
    pub wish: String,
    /// What comes of it.
    pub outcome: Outcome,
}

impl Permissions {
    /// What comes of the wish in this account: rights to publish are asked about the name that its mappings give. Where that
    /// is up to chance, one name that is refused refuses.
    pub(crate) fn explain_in(&self, account: &Account, wish: Wish<'_>) -> Outcome {
        let Wish::Publish(subject) = wish else { return self.explain(wish) };
        let names = ways::named(account, subject);
        let subjects = names.iter().filter_map(|name| Subject::parse(name).ok());
        let mut outcomes: Vec<_> = subjects.map(|subject| self.explain(Wish::Publish(subject))).collect();
        let refused = outcomes.iter().position(|outcome| matches!(outcome, Outcome::Denied(_)));
        if outcomes.is_empty() { self.explain(wish) } else { outcomes.swap_remove(refused.unwrap_or(0)) }
    }

    /// What comes of the wish, of a user of this account.
    pub fn explained(&self, account: &Account, user: &str, wish: Wish<'_>) -> Explanation {
        let outcome = self.explain_in(account, wish);
        Explanation { account: account.name.clone(), user: user.to_owned(), wish: wish.to_string(), outcome }
    }
}

impl Directory {
    /// What comes of the wish of a configured user; `None` if there is no such user.
    pub fn explain(&self, user: &str, wish: Wish<'_>) -> Option<Explanation> {
        let (account, permissions) = self.permissions_of(user)?;
        Some(permissions.explained(account, user, wish))
    }
}

impl fmt::Display for Wish<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publish(subject) => write!(f, "publish to {}", Quoted(subject.as_bytes())),
            Self::Reply(reply) => write!(f, "ask for answers on {}", Quoted(reply)),
            Self::Deliver { to, queue: None } => write!(f, "have messages sent to {}", Quoted(to.as_bytes())),
            Self::Deliver { to, queue: Some(queue) } => {
                write!(f, "have messages sent to {} in queue {}", Quoted(to.as_bytes()), Quoted(queue.as_bytes()))
            }
            Self::Subscribe { filter, queue: None } => write!(f, "subscribe to {}", Quoted(filter.as_bytes())),
            Self::Subscribe { filter, queue: Some(queue) } => {
                write!(f, "subscribe to {} in queue {}", Quoted(filter.as_bytes()), Quoted(queue.as_bytes()))
            }
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(because) => write!(f, "denied: {because}"),
            Self::Allowed { by, withheld } => {
                match by {
                    Some(rule) => write!(f, "allowed: allow {rule}")?,
                    None => f.write_str("allowed: no list restricts it")?,
                }
                withheld.iter().try_for_each(|rule| write!(f, "; withheld: deny {rule}"))
            }
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let may = if matches!(self.outcome, Outcome::Allowed { .. }) { "may" } else { "may not" };
        write!(f, "{}/{} {may} {}: {}", self.account, self.user, self.wish, self.outcome)
    }
}
