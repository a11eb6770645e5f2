//! Who gains and who loses what between two sets of users and rules. Values in, values out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use auth::{Directory, Lists, Permissions, Reach};
use subject::{Filter, Queue, Quoted};

/// What changes for one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The user is new, in this account.
    Added(String),
    /// The user is gone from this account.
    Removed(String),
    /// From this account to that one.
    Moved(String, String),
    /// More or less of a filter is open.
    Reach {
        /// `publish` or `subscribe`.
        side: &'static str,
        /// The filter, with its queue if the rule has one.
        entry: String,
        /// How much of it was open, and is.
        before: Reach,
        after: Reach,
    },
    /// Whether requests may be answered.
    Responses { before: bool, after: bool },
}

/// The changes of every user that has some, by name.
pub fn between(old: &Directory, new: &Directory) -> BTreeMap<String, Vec<Change>> {
    let names: BTreeSet<&str> = old.user_names().chain(new.user_names()).collect();
    let of = |name: &str| (name.to_owned(), of_user(name, old, new));
    names.into_iter().map(of).filter(|(_, changes)| !changes.is_empty()).collect()
}

fn of_user(name: &str, old: &Directory, new: &Directory) -> Vec<Change> {
    match (old.permissions_of(name), new.permissions_of(name)) {
        (None, None) => Vec::new(),
        (None, Some((account, _))) => vec![Change::Added(account.name.to_string())],
        (Some((account, _)), None) => vec![Change::Removed(account.name.to_string())],
        (Some((was_in, before)), Some((is_in, after))) => {
            let (from, to) = (was_in.name.to_string(), is_in.name.to_string());
            let moved = (from != to).then_some(Change::Moved(from, to));
            moved.into_iter().chain(of_rules(before, after)).collect()
        }
    }
}

fn of_rules(before: &Permissions, after: &Permissions) -> Vec<Change> {
    let (old, new) = (before.lists(), after.lists());
    let mut changes = Vec::new();
    for entry in entries(&old, &new, |lists| (&lists.publish_allow, &lists.publish_deny)) {
        let Ok(filter) = Filter::parse(entry.as_bytes()) else { continue };
        push(&mut changes, "publish", &entry, before.publish_reach(&filter), after.publish_reach(&filter));
    }
    for entry in entries(&old, &new, |lists| (&lists.subscribe_allow, &lists.subscribe_deny)) {
        let Some((filter, queue)) = taken_apart(&entry) else { continue };
        let reach = |permissions: &Permissions| permissions.subscribe_reach(&filter, queue.as_ref());
        push(&mut changes, "subscribe", &entry, reach(before), reach(after));
    }
    let (had, has) = (old.responses.is_some(), new.responses.is_some());
    changes.extend((had != has).then_some(Change::Responses { before: had, after: has }));
    changes
}

fn push(changes: &mut Vec<Change>, side: &'static str, entry: &str, before: Reach, after: Reach) {
    if before != after {
        changes.push(Change::Reach { side, entry: entry.to_owned(), before, after });
    }
}

/// Every filter that one of the lists speaks of, and the one that is everything.
fn entries<'a>(
    old: &Lists<'a>,
    new: &Lists<'a>,
    side: impl for<'l> Fn(&'l Lists<'a>) -> (&'l Option<Vec<&'a str>>, &'l Vec<&'a str>),
) -> BTreeSet<String> {
    let of = |lists: &Lists<'a>| {
        let (allow, deny) = side(lists);
        allow.iter().flatten().chain(deny).map(|entry| (*entry).to_owned()).collect::<Vec<_>>()
    };
    let mut all: BTreeSet<String> = of(old).into_iter().chain(of(new)).collect();
    all.insert(">".to_owned());
    all
}

/// `filter [queue]`. A queue with wildcards names no queue that somebody could be in.
fn taken_apart(entry: &str) -> Option<(Filter, Option<Queue>)> {
    let mut words = entry.split_whitespace();
    let filter = Filter::parse(words.next()?.as_bytes()).ok()?;
    match words.next() {
        None => Some((filter, None)),
        Some(queue) if queue.contains(['*', '>']) => None,
        Some(queue) => Some((filter, Some(Queue::parse(queue.as_bytes()).ok()?))),
    }
}

impl Change {
    /// Whether somebody may do more than before.
    pub fn is_gain(&self) -> bool {
        match self {
            Self::Added(_) => true,
            Self::Removed(_) | Self::Moved(..) => false,
            Self::Reach { before, after, .. } => after > before,
            Self::Responses { after, .. } => *after,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added(account) => write!(f, "is new in account {account}"),
            Self::Removed(account) => write!(f, "is gone from account {account}"),
            Self::Moved(from, to) => write!(f, "moves from account {from} to {to}"),
            Self::Responses { after: true, .. } => f.write_str("may answer requests"),
            Self::Responses { after: false, .. } => f.write_str("may no longer answer requests"),
            Self::Reach { side, entry, before, after } => {
                let entry = Quoted(entry.as_bytes());
                match (before, after) {
                    (Reach::Nothing, Reach::All) => write!(f, "may {side} to {entry}"),
                    (_, Reach::Nothing) => write!(f, "may no longer {side} to {entry}"),
                    (Reach::Nothing, _) => write!(f, "may {side} to a part of {entry}"),
                    (Reach::All, _) => write!(f, "may {side} to a part of {entry} only"),
                    (Reach::Part, _) => write!(f, "may {side} to all of {entry}"),
                }
            }
        }
    }
}
