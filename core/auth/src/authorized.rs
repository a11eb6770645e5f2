//! Proofs that a permission was asked for and given.

use std::ops::Deref;
use std::sync::Arc;

use account::StreamImport;
use subject::{Filter, Queue, Subject};

use crate::link::LinkRights;
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
    /// What may cross the link to the server whose interest it is, if something may not.
    link: Option<Arc<LinkRights>>,
    /// The subscription is in another account than its owner, by this import and for these of its subjects here.
    import: Option<Box<(Arc<StreamImport>, Filter)>>,
}

impl SubscribeGrant {
    pub(crate) fn new(filter: Filter, queue: Option<Queue>, withheld: Option<Denies>) -> Self {
        Self { filter, queue, withheld, link: None, import: None }
    }

    pub(crate) fn of_link(filter: Filter, queue: Option<Queue>, link: Option<Arc<LinkRights>>) -> Self {
        Self { filter, queue, withheld: None, link, import: None }
    }

    /// The same subscription in the account that exports a stream, for what the import has of it. Nothing if that is
    /// nothing. What is withheld here is withheld there, by the name it has here.
    pub fn imported(&self, import: &Arc<StreamImport>) -> Option<Self> {
        let filter = import.wanted(&self.filter)?;
        let (queue, withheld, link) = (self.queue.clone(), self.withheld.clone(), self.link.clone());
        let import = Some(Box::new((import.clone(), self.filter.clone())));
        Some(Self { filter, queue, withheld, link, import })
    }

    /// The import by which it is in another account than its owner.
    pub fn import(&self) -> Option<&Arc<StreamImport>> {
        self.import.as_deref().map(|(import, _)| import)
    }

    /// Whether a message of this subject may be delivered. The filter itself is not asked again.
    #[inline]
    pub fn delivers(&self, subject: Subject<'_>) -> bool {
        match &self.import {
            None => self.delivers_named(subject),
            Some(import) => {
                let (import, filter) = &**import;
                let carried = import.carry(subject);
                Subject::parse(&carried).is_ok_and(|named| filter.matches(named) && self.delivers_named(named))
            }
        }
    }

    fn delivers_named(&self, subject: Subject<'_>) -> bool {
        match (&self.withheld, &self.link) {
            (None, None) => true,
            (Some(denies), _) => denies.withholding(subject, self.queue.as_ref()).is_none(),
            (None, Some(link)) => link.gives(subject, self.queue.as_ref()),
        }
    }

    /// Whether some subject of the filter is withheld.
    pub fn is_filtered(&self) -> bool {
        self.withheld.is_some() || self.link.is_some()
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
