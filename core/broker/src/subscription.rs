//! Subscriptions as the broker keeps them: what a graph entry points at.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use account::ServiceImport;
use arc_swap::ArcSwap;
use auth::Permissions;

use crate::account_state::AccountState;
use crate::internal::InternalSubscriber;
use crate::link::Link;
use crate::links::remote::RemoteTarget;

/// One subscription in an account's graph.
pub type Subscription = interest::Entry<Target>;

/// Where the messages of a subscription go.
pub enum Target {
    /// To a client.
    Client(ClientTarget),
    /// To a part of this server: a system service, a stream.
    Internal(Arc<dyn InternalSubscriber>),
    /// To another server that wants it.
    Remote(RemoteTarget),
    /// A subscription of another account, which imports a stream of this one.
    Shadow(Arc<Subscription>),
    /// Requests go on in the account that exports the service.
    Service(Arc<ServiceImport>),
    /// Answers to requests from other accounts come in here.
    Answers,
}

impl Target {
    /// Whether those who look at subscriptions see it.
    pub fn is_listed(&self) -> bool {
        !matches!(self, Self::Internal(part) if !part.is_listed())
    }
}

/// What all subscriptions of one client connection share.
pub struct Peer {
    /// The way to the client.
    pub link: Arc<Link>,
    /// The account it is in.
    pub account: Arc<AccountState>,
    /// What the client calls itself, or nothing.
    pub name: Box<str>,
    /// Whether the client reads headers.
    pub headers: bool,
    /// What the client may do, as of the last login, reload or claims update.
    pub permissions: ArcSwap<Permissions>,
}

/// A client's subscription.
pub struct ClientTarget {
    /// The client.
    pub peer: Arc<Peer>,
    /// The id the client gave the subscription.
    pub sid: Box<[u8]>,
    /// Messages after which the subscription ends; 0 for no end.
    max: AtomicU64,
    /// Messages delivered so far, up to the batches under way.
    delivered: AtomicU64,
}

/// What a limited subscription says to one more message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    /// Deliver it.
    Deliver,
    /// Deliver it; it is the last one.
    Last,
    /// It has had all its messages.
    Over,
}

impl ClientTarget {
    pub(crate) fn new(peer: Arc<Peer>, sid: &[u8]) -> Self {
        Self { peer, sid: sid.into(), max: AtomicU64::new(0), delivered: AtomicU64::new(0) }
    }

    /// The same subscription of a peer with other rights: what it has had and when it ends move along.
    pub(crate) fn moved(&self, peer: Arc<Peer>) -> Self {
        let moved = Self::new(peer, &self.sid);
        moved.max.store(self.max.load(Ordering::Acquire), Ordering::Release);
        moved.delivered.store(self.delivered.load(Ordering::Acquire), Ordering::Release);
        moved
    }

    /// Whether an end was set.
    pub(crate) fn is_limited(&self) -> bool {
        self.max.load(Ordering::Acquire) != 0
    }

    /// Sets the end; `true` if it is reached already.
    pub(crate) fn end_after(&self, max: u64) -> bool {
        self.max.store(max, Ordering::Release);
        self.delivered.load(Ordering::Acquire) >= max
    }

    /// Takes a turn of a limited subscription.
    pub(crate) fn take_turn(&self) -> Turn {
        let max = self.max.load(Ordering::Acquire);
        let turn = self.delivered.fetch_add(1, Ordering::AcqRel) + 1;
        match turn.cmp(&max) {
            std::cmp::Ordering::Less => Turn::Deliver,
            std::cmp::Ordering::Equal => Turn::Last,
            std::cmp::Ordering::Greater => Turn::Over,
        }
    }

    /// Whether the end is reached.
    pub(crate) fn is_over(&self) -> bool {
        let max = self.max.load(Ordering::Acquire);
        max != 0 && self.delivered.load(Ordering::Acquire) >= max
    }

    /// Adds messages counted elsewhere during a batch.
    pub(crate) fn add_delivered(&self, messages: u64) {
        self.delivered.fetch_add(messages, Ordering::Relaxed);
    }

    /// Messages delivered, and the end if there is one.
    pub fn progress(&self) -> (u64, Option<u64>) {
        let max = self.max.load(Ordering::Relaxed);
        (self.delivered.load(Ordering::Relaxed), (max != 0).then_some(max))
    }
}
