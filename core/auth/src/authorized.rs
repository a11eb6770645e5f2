//! Proofs that a permission was asked for and given.

use std::ops::Deref;

use subject::{Filter, Queue, Subject};

use crate::permissions::Denies;
use crate::rule::Rule;

/// A value that was found to be permitted. Only this room makes one: code that needs a permission takes it as an
/// argument, and code without one cannot call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authorized<T>(T);

impl<T> Authorized<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(value)
    }
}

impl<T> Deref for Authorized<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// The wish to publish to a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Where to.
    pub subject: Subject<'a>,
}

/// A subscription that may exist, together with what it must never receive.
#[derive(Clone)]
pub struct SubscribeGrant {
    /// What was asked for.
    pub filter: Filter,
    /// The queue group it is a member of.
    pub queue: Option<Queue>,
    /// Shared by all subscriptions under the same permissions, and only there if it concerns this one.
    withheld: Option<Denies>,
}

impl SubscribeGrant {
    pub(crate) fn new(filter: Filter, queue: Option<Queue>, withheld: Option<Denies>) -> Self {
        Self { filter, queue, withheld }
    }

    /// Whether a message of this subject may be delivered. The filter itself is not asked again.
    #[inline]
    pub fn delivers(&self, subject: Subject<'_>) -> bool {
        match &self.withheld {
            None => true,
            Some(denies) => denies.withholding(subject, self.queue.as_ref()).is_none(),
        }
    }

    /// Whether some subject of the filter is withheld.
    pub fn is_filtered(&self) -> bool {
        self.withheld.is_some()
    }

    /// The rules that withhold something from this subscription.
    pub fn withheld(&self) -> Vec<Rule> {
        let Some(denies) = &self.withheld else { return Vec::new() };
        denies.overlapping(&self.filter, self.queue.as_ref()).into_iter().cloned().collect()
    }
}

impl std::fmt::Debug for SubscribeGrant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SubscribeGrant")
            .field("filter", &self.filter)
            .field("queue", &self.queue)
            .field("withheld", &self.withheld())
            .finish()
    }
}
