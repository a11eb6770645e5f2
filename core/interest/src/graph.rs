//! The graph of one account.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use auth::{Authorized, Publish, SubscribeGrant};
use parking_lot::RwLock;
use subject::{Subject, Sublist};

use crate::revision::{Revision, Revisions};

/// One subscription: what it was granted, and where its messages go.
pub struct Entry<T> {
    /// The permission under which the subscription exists, with what must be withheld from it.
    pub grant: SubscribeGrant,
    /// Where messages go.
    pub target: T,
}

/// Who wants what in one account.
///
/// Readers share the lock; a worker that keeps answers asks only for the [`Revision`] (no lock at all) while nothing
/// changed. The lock is held for one look-up or one change, never across a delivery.
pub struct Graph<T> {
    sublist: RwLock<Sublist<Arc<Entry<T>>>>,
    revisions: Revisions,
    turnover: Turnover,
}

/// What a graph has been through, for monitoring.
#[derive(Default)]
struct Turnover {
    entered: AtomicU64,
    left: AtomicU64,
    looked_up: AtomicU64,
    reached: AtomicU64,
    widest: AtomicU64,
}

/// What a graph has been through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turns {
    /// Subscriptions that came.
    pub entered: u64,
    /// Subscriptions that went.
    pub left: u64,
    /// Subjects that were looked up. Workers keep what they found, so these are fewer than messages.
    pub looked_up: u64,
    /// What was found in all: subscriptions, and one for each queue group.
    pub reached: u64,
    /// The most that was found at once.
    pub widest: u64,
}

/// The members of one queue group that a subject reaches: one of them is to get the message.
pub struct QueueGroup<T> {
    /// The members, in no particular order.
    pub members: Vec<Arc<Entry<T>>>,
}

/// What a subject reaches.
pub struct Matched<T> {
    /// Each of these gets the message.
    pub plain: Vec<Arc<Entry<T>>>,
    /// One member of each of these gets the message.
    pub groups: Vec<QueueGroup<T>>,
}

impl<T> Default for Matched<T> {
    fn default() -> Self {
        Self { plain: Vec::new(), groups: Vec::new() }
    }
}

impl<T> Matched<T> {
    /// Forgets everything, keeping the room for the next answer.
    pub fn clear(&mut self) {
        self.plain.clear();
        self.groups.clear();
    }

    /// Whether nobody is reached.
    pub fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.groups.is_empty()
    }

    /// Sorting instead of searching keeps a subject with very many groups cheap.
    fn group(&mut self, mut queued: Vec<Arc<Entry<T>>>) {
        queued.sort_by(|a, b| a.grant.queue.cmp(&b.grant.queue));
        let groups = queued.chunk_by(|a, b| a.grant.queue == b.grant.queue);
        self.groups.extend(groups.map(|members| QueueGroup { members: members.to_vec() }));
    }
}

impl<T> Graph<T> {
    /// An empty graph. `seed` makes the hashing of subjects unpredictable for strangers.
    pub fn new(seed: u64) -> Self {
        Self {
            sublist: RwLock::new(Sublist::with_seed(seed)),
            revisions: Revisions::new(),
            turnover: Turnover::default(),
        }
    }

    /// Adds a subscription. The grant is the proof that it may exist.
    pub fn enter(&self, grant: SubscribeGrant, target: T) -> Arc<Entry<T>> {
        let entry = Arc::new(Entry { grant, target });
        self.sublist.write().insert(&entry.grant.filter, entry.clone());
        self.revisions.moved(entry.grant.filter.as_bytes());
        self.turnover.entered.fetch_add(1, Ordering::Relaxed);
        entry
    }

    /// Removes a subscription; `false` if it was not there (any more).
    pub fn leave(&self, entry: &Arc<Entry<T>>) -> bool {
        let removed = self.sublist.write().remove(&entry.grant.filter, |other| Arc::ptr_eq(other, entry));
        self.revisions.moved(entry.grant.filter.as_bytes());
        self.turnover.left.fetch_add(u64::from(removed.is_some()), Ordering::Relaxed);
        removed.is_some()
    }

    /// Puts a subscription in the place of another one of the same filter, at once: no message meets both or neither.
    pub fn replace(&self, entry: &Arc<Entry<T>>, grant: SubscribeGrant, target: T) -> Arc<Entry<T>> {
        let renewed = Arc::new(Entry { grant, target });
        let mut sublist = self.sublist.write();
        sublist.remove(&entry.grant.filter, |other| Arc::ptr_eq(other, entry));
        sublist.insert(&renewed.grant.filter, renewed.clone());
        drop(sublist);
        self.revisions.moved(entry.grant.filter.as_bytes());
        renewed
    }

    /// Something about this subscription's target changed that kept answers may have copied.
    pub fn touch(&self, entry: &Entry<T>) {
        self.revisions.moved(entry.grant.filter.as_bytes());
    }

    /// Everything kept about this account is void (permissions, mappings or imports changed).
    pub fn touch_all(&self) {
        self.revisions.everything_moved();
    }

    /// The revision of answers for a bucket got from [`Graph::bucket`].
    #[inline]
    pub fn revision_of(&self, bucket: u8) -> Revision {
        self.revisions.of_bucket(usize::from(bucket))
    }

    /// The revision of answers for this subject.
    pub fn revision(&self, subject: &[u8]) -> Revision {
        self.revisions.of(subject)
    }

    /// The revision bucket of a subject, the same in every graph.
    pub fn bucket(subject: &[u8]) -> u8 {
        Revisions::bucket_of(subject) as u8
    }

    /// Collects whom the message reaches. Entries that must not receive this subject are left out, queue members
    /// included, so a pick among the rest is always a member that may have the message.
    ///
    /// Ask for the revision *before* calling this, so that a change in between voids the answer.
    pub fn matched(&self, publish: &Authorized<Publish<'_>>, into: &mut Matched<T>) {
        into.clear();
        self.turnover.looked_up.fetch_add(1, Ordering::Relaxed);
        let subject = publish.subject;
        let mut queued = Vec::new();
        self.sublist.read().matches(subject.as_bytes(), &mut |entry: &Arc<Entry<T>>| {
            if entry.grant.delivers(subject) {
                let list = if entry.grant.queue.is_some() { &mut queued } else { &mut into.plain };
                list.push(entry.clone());
            }
        });
        if !queued.is_empty() {
            into.group(queued);
        }
        let reached = (into.plain.len() + into.groups.len()) as u64;
        self.turnover.reached.fetch_add(reached, Ordering::Relaxed);
        self.turnover.widest.fetch_max(reached, Ordering::Relaxed);
    }

    /// Whether a message of this subject would reach anybody.
    pub fn reaches(&self, subject: Subject<'_>) -> bool {
        let mut reached = false;
        self.sublist.read().matches(subject.as_bytes(), &mut |entry: &Arc<Entry<T>>| {
            reached |= entry.grant.delivers(subject);
        });
        reached
    }

    /// Whether a message of this subject could reach a member of this queue group; for no group, somebody who is in none.
    pub fn reaches_in(&self, subject: Subject<'_>, group: &[u8]) -> bool {
        let mut reached = false;
        self.sublist.read().matches(subject.as_bytes(), &mut |entry: &Arc<Entry<T>>| {
            let own = entry.grant.queue.as_ref().map_or(&b""[..], |queue| queue.as_bytes());
            reached |= own == group && entry.grant.delivers(subject);
        });
        reached
    }

    /// Who would be reached by the subject but must not be, for whoever wants to tell why. Nobody is reached by this.
    pub fn withheld(&self, subject: Subject<'_>) -> Vec<Arc<Entry<T>>> {
        let mut withheld = Vec::new();
        self.sublist.read().matches(subject.as_bytes(), &mut |entry: &Arc<Entry<T>>| {
            if !entry.grant.delivers(subject) {
                withheld.push(entry.clone());
            }
        });
        withheld
    }

    /// Shows every subscription, in no particular order. The lock is held meanwhile: `visit` must be quick.
    pub fn for_each(&self, visit: &mut dyn FnMut(&Arc<Entry<T>>)) {
        self.sublist.read().for_each(&mut |entry| visit(entry));
    }

    /// What it has been through so far.
    pub fn turns(&self) -> Turns {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Turnover { entered, left, looked_up, reached, widest } = &self.turnover;
        Turns {
            entered: read(entered),
            left: read(left),
            looked_up: read(looked_up),
            reached: read(reached),
            widest: read(widest),
        }
    }

    /// How many subscriptions there are.
    pub fn len(&self) -> usize {
        self.sublist.read().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
