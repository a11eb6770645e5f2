//! May somebody do something, and which rule says so? For operators: the same decisions as everywhere, in words.

use std::fmt;

use account::AccountName;
use subject::{Filter, Queue, Quoted, Subject};

use crate::denial::Because;
use crate::directory::Directory;
use crate::permissions::Permissions;
use crate::rule::Rule;

/// What somebody wants.
#[derive(Debug, Clone, Copy)]
pub enum Wish<'a> {
    /// To publish to this.
    Publish(Subject<'a>),
    /// To be answered on this.
    Reply(&'a [u8]),
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

impl Permissions {
    /// What comes of the wish.
    pub fn explain(&self, wish: Wish<'_>) -> Outcome {
        let judged = match wish {
            Wish::Publish(subject) => self.judge_publish(subject),
            Wish::Reply(reply) => self.reply(reply).map(|()| None).map_err(|denial| denial.because),
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

impl Directory {
    /// What comes of the wish of a configured user; `None` if there is no such user.
    pub fn explain(&self, user: &str, wish: Wish<'_>) -> Option<Explanation> {
        let (account, permissions) = self.permissions_of(user)?;
        let outcome = permissions.explain(wish);
        Some(Explanation { account: account.name.clone(), user: user.to_owned(), wish: wish.to_string(), outcome })
    }
}

impl fmt::Display for Wish<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publish(subject) => write!(f, "publish to {}", Quoted(subject.as_bytes())),
            Self::Reply(reply) => write!(f, "ask for answers on {}", Quoted(reply)),
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
