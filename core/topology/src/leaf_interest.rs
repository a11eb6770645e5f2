//! What one leaf connection has been told of the interest on this side.

use std::collections::BTreeMap;

use crate::hop::{LeafRole, Peer, may_advertise};

/// The beginning of the subject by which loops are found. Each account has its own; who hears its own is in a loop.
pub const LOOP_DETECTION_PREFIX: &[u8] = b"$LDS.";

/// Interest as it comes up on this side.
#[derive(Clone, Copy, Debug)]
pub struct LocalInterest<'a> {
    /// Who wants it.
    pub from: Peer,
    /// The leaf cluster behind it, if it came by way of one.
    pub origin: Option<&'a str>,
    /// The filter.
    pub subject: &'a [u8],
    /// The queue group.
    pub queue: Option<&'a [u8]>,
}

impl LocalInterest<'_> {
    /// It is the subject by which loops are found.
    pub fn is_loop_detection(&self) -> bool {
        self.subject.starts_with(LOOP_DETECTION_PREFIX)
    }
}

/// What to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeafTell {
    /// `LS+`, for a queue group with this weight.
    Subscribe(u32),
    /// `LS-`.
    Unsubscribe,
}

/// A filter, and the queue group that wants it.
type Key = (Box<[u8]>, Option<Box<[u8]>>);

/// The interest one leaf connection has been told of, counted.
#[derive(Clone, Debug)]
pub struct LeafInterest {
    role: LeafRole,
    cluster: String,
    isolated: bool,
    counts: BTreeMap<Key, u32>,
}

impl LeafInterest {
    /// Nothing told yet, to a far end of this cluster.
    pub fn new(role: LeafRole, cluster: &str, isolated: bool) -> Self {
        Self { role, cluster: cluster.to_owned(), isolated, counts: BTreeMap::new() }
    }

    /// Whether the far end is to hear of it at all.
    pub fn concerns(&self, interest: &LocalInterest<'_>) -> bool {
        let is_other = interest.origin.is_none_or(|origin| origin != self.cluster);
        if interest.is_loop_detection() {
            return is_other;
        }
        let of_leaf = matches!(interest.from, Peer::Leaf(_)) || interest.origin.is_some();
        is_other && !(self.isolated && of_leaf) && may_advertise(interest.from, Peer::Leaf(self.role))
    }

    /// Interest came up or went: `change` members more, or fewer. A queue group's weight is told whenever it changes.
    pub fn update(&mut self, interest: &LocalInterest<'_>, change: i64) -> Option<LeafTell> {
        if !self.concerns(interest) {
            return None;
        }
        let key: Key = (interest.subject.into(), interest.queue.map(Into::into));
        let before = self.counts.get(&key).copied().unwrap_or(0);
        let after = u32::try_from((i64::from(before) + change).clamp(0, i64::from(u32::MAX))).unwrap_or(0);
        match after {
            0 => self.counts.remove(&key),
            _ => self.counts.insert(key, after),
        };
        match (before, after) {
            (0, 0) => None,
            (_, 0) => Some(LeafTell::Unsubscribe),
            (0, _) => Some(LeafTell::Subscribe(after)),
            (before, after) if interest.queue.is_some() && before != after => Some(LeafTell::Subscribe(after)),
            _ => None,
        }
    }

    /// Everything told so far: filter, queue group, weight.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>, u32)> {
        self.counts.iter().map(|((subject, queue), count)| (&**subject, queue.as_deref(), *count))
    }
}

/// Whether an `LS+` from the far end shows a loop: it is this account's own subject, come back by another way.
pub fn is_loop(subject: &[u8], own_detection_subject: &[u8]) -> bool {
    subject.starts_with(LOOP_DETECTION_PREFIX) && subject == own_detection_subject
}
