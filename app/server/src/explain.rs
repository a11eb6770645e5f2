//! May somebody do something, which rule decides, where it goes from there, and what would have to change: one answer, for the
//! tool that reads a configuration (`tools::explain`) and for the running server ([`live`]).

mod answer;
mod live;

use std::sync::Arc;

use account::Account;
use auth::{Directory, Outcome, Permissions, Wish, WrittenLimits};
use subject::{Filter, Queue, Subject};

pub use answer::{Answer, why, word};
pub use live::{explain, explain_oneself};

/// A wish, parsed.
pub enum Wanted<'a> {
    Publish(Subject<'a>),
    Deliver { to: Subject<'a>, queue: Option<Queue> },
    Subscribe { filter: Filter, queue: Option<Queue> },
}

/// The words of a question.
#[derive(Clone, Copy, Default)]
pub struct Asked<'a> {
    /// A subject to publish to.
    pub publish: Option<&'a str>,
    /// A subject to which the server is to send messages.
    pub deliver: Option<&'a str>,
    /// A filter to subscribe to.
    pub subscribe: Option<&'a str>,
    /// The group of those who listen.
    pub queue: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    /// # Errors
    /// With the text for whoever asked.
    pub fn read(asked: Asked<'a>) -> Result<Self, String> {
        let queue = || {
            let read = |name: &str| Queue::parse(name.as_bytes()).map_err(|_| format!("{name:?} is no queue"));
            asked.queue.map(read).transpose()
        };
        match (asked.publish, asked.deliver, asked.subscribe) {
            (Some(_), None, None) if asked.queue.is_some() => Err("publishing knows no queue".to_owned()),
            (Some(subject), None, None) => literal(subject).map(Self::Publish),
            (None, Some(subject), None) => Ok(Self::Deliver { to: literal(subject)?, queue: queue()? }),
            (None, None, Some(filter)) => {
                let parsed = Filter::parse(filter.as_bytes());
                let filter = parsed.map_err(|_| format!("{filter:?} is no subject filter"))?;
                Ok(Self::Subscribe { filter, queue: queue()? })
            }
            _ => Err("one thing is asked at a time: to publish, to subscribe, or to have messages sent".to_owned()),
        }
    }

    pub fn wish(&self) -> Wish<'_> {
        match self {
            Self::Publish(subject) => Wish::Publish(*subject),
            Self::Deliver { to, queue } => Wish::Deliver { to: *to, queue: queue.as_ref() },
            Self::Subscribe { filter, queue } => Wish::Subscribe { filter, queue: queue.as_ref() },
        }
    }
}

fn literal(subject: &str) -> Result<Subject<'_>, String> {
    let parsed = Subject::parse(subject.as_bytes()).ok().filter(|subject| subject.is_literal());
    parsed.ok_or_else(|| format!("{subject:?} is no subject to publish to"))
}

/// The answer about somebody of this account with these permissions and limits.
pub fn judged(
    directory: &Directory,
    account: &Arc<Account>,
    user: &str,
    permissions: &Permissions,
    limits: &WrittenLimits,
    wish: Wish<'_>,
) -> Answer {
    let explained = permissions.explained(account, user, wish);
    let remedies = explained.outcome.remedies(wish);
    let ways = ways(directory, account, &explained.outcome, wish);
    let (bounds, barred) = (bounds(account, limits, wish), barred(account, limits, wish));
    Answer { explained, remedies, ways, bounds, barred }
}

/// Where it goes from there: what mappings and imports make of it.
fn ways(directory: &Directory, account: &Arc<Account>, outcome: &Outcome, wish: Wish<'_>) -> Vec<String> {
    if matches!(outcome, Outcome::Denied(_)) {
        return Vec::new();
    }
    match wish {
        Wish::Publish(subject) => {
            let arrivals = directory.arrivals(account, subject);
            let last = arrivals.iter().filter_map(|arrival| arrival.steps.last());
            let mut ways: Vec<String> = last.map(ToString::to_string).collect();
            if arrivals.is_empty() {
                ways.push(format!("a mapping of {} drops it", account.name));
            }
            ways
        }
        Wish::Subscribe { filter, .. } => {
            let heard = |import: &Arc<account::StreamImport>| {
                let there = import.wanted(filter)?;
                Some(format!(
                    "it also hears \"{there}\" of {}, a stream that {} imports",
                    import.exporter(),
                    account.name
                ))
            };
            account.sharing.streams.iter().filter_map(heard).collect()
        }
        Wish::Reply(_) | Wish::Deliver { .. } => Vec::new(),
    }
}

/// A limit that lets nothing through at all, whatever rules say.
fn barred(account: &Account, user: &WrittenLimits, wish: Wish<'_>) -> Option<String> {
    let nobody = ("max_connections", account.limits.max_connections, user.max_connections);
    let nothing = ("max_subscriptions", account.limits.max_subscriptions, user.max_subscriptions);
    let asked = if matches!(wish, Wish::Subscribe { .. }) { vec![nobody, nothing] } else { vec![nobody] };
    asked.into_iter().find_map(|(name, of_account, of_user)| match (of_account, of_user) {
        (Some(0), _) => Some(format!("{name} of account {} is 0", account.name)),
        (_, Some(0)) => Some(format!("{name} of the user is 0")),
        _ => None,
    })
}

/// Limits that bear on it, each with whose it is.
fn bounds(account: &Account, user: &WrittenLimits, wish: Wish<'_>) -> Vec<String> {
    let mut bounds = Vec::new();
    let mut bound = |what: &str, of_account: Option<u64>, of_user: Option<u64>| {
        let whose = format!("account {}", account.name);
        for (limit, whose) in [(of_account, whose.as_str()), (of_user, "the user")] {
            bounds.extend(limit.map(|limit| format!("{what}: {limit} ({whose})")));
        }
    };
    let per_second = |rate: Option<account::Rate>| rate.map(|rate| rate.per_second().get());
    bound("connections at most", account.limits.max_connections, user.max_connections);
    match wish {
        Wish::Publish(_) | Wish::Reply(_) => {
            bound("bytes of a message at most", account.limits.max_payload, user.max_payload);
            let (of_account, of_user) = (account.limits.rates, user.rates());
            bound("messages per second", per_second(of_account.messages), per_second(of_user.messages));
            bound("bytes per second", per_second(of_account.bytes), per_second(of_user.bytes));
        }
        // What the server sends is counted for nobody.
        Wish::Deliver { .. } => {}
        Wish::Subscribe { .. } => {
            bound("subscriptions at most", account.limits.max_subscriptions, user.max_subscriptions);
        }
    }
    bounds
}
