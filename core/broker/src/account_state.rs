//! A living account: its graph, its limits as of now, and what its connections add up to.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use account::{Account, AccountId};
use arc_swap::ArcSwap;
use auth::SubscribeGrant;
use interest::Graph;
use parking_lot::Mutex;

use crate::awaited::Awaited;
use crate::elsewhere::Elsewhere;
use crate::link::{Link, LinkStats};
use crate::links::book::{Book, FarReader, LeafReader, RouteReader, Touched, weight_of};
use crate::links::crossed::{Crossed, Crossings};
use crate::links::gateways::GatewayClock;
use crate::links::replies::Recent;
use crate::meter::{Holds, Taps};
use crate::sharing::answers::{Answers, Waits};
use crate::sharing::latency_far::Halves;
use crate::sharing::shadows::Shared;
use crate::subscription::{Subscription, Target};

/// An account with everything that lives in it.
pub struct AccountState {
    /// Its number, the same as long as the process lives.
    pub id: AccountId,
    /// Who wants what.
    pub graph: Graph<Target>,
    settings: ArcSwap<Account>,
    /// What other servers are told. Taken before the graph's lock.
    book: Mutex<Book>,
    /// By this subject the account finds loops among leaf connections.
    loop_subject: OnceLock<Box<[u8]>>,
    /// Who began to listen only just now.
    pub(crate) recent: Recent,
    /// What stands in graphs because of its imports.
    pub(crate) shared: Shared,
    /// What it was asked from outside and has not answered.
    pub(crate) answers: Answers,
    /// Answers that other servers have measured, or will.
    pub(crate) halves: Halves,
    /// What it has asked others, where that is measured.
    pub(crate) waits: Waits,
    /// What parts of the server wait for somebody to listen to.
    pub(crate) awaited: Awaited,
    connections: AtomicUsize,
    leafs: AtomicUsize,
    /// Its connections at other servers.
    elsewhere: Elsewhere,
    /// What closed connections had counted.
    retired: LinkStats,
    /// What crossed to and from other servers, once anything did.
    crossings: OnceLock<Box<Crossings>>,
    /// What limits how much its clients may publish together.
    pub(crate) taps: Taps,
    /// How often connections were held up by limits, and how long in all, in nanoseconds.
    pub(crate) holds: Holds,
    /// Connections that were closed because they did not keep up.
    pub(crate) slow_consumers: AtomicU64,
    /// Subscriptions of this server that nobody is shown.
    unlisted: AtomicUsize,
}

/// Interest that other clusters may not have heard of yet.
fn is_new_here(target: &Target) -> bool {
    match target {
        Target::Client(_) | Target::Internal(_) | Target::Answers | Target::Shadow(_) => true,
        Target::Remote(remote) => !remote.peer.is_gateway(),
        Target::Service(_) => false,
    }
}

/// The account has as many connections as it may.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccountFull;

impl AccountState {
    pub(crate) fn new(settings: Arc<Account>, seed: u64, clock: Arc<GatewayClock>) -> Arc<Self> {
        Arc::new(Self {
            id: settings.id,
            graph: Graph::new(seed),
            book: Mutex::new(Book::new(settings.name.as_str().as_bytes())),
            settings: ArcSwap::new(settings),
            loop_subject: OnceLock::new(),
            recent: Recent::new(clock, seed),
            shared: Shared::default(),
            answers: Answers::default(),
            halves: Halves::default(),
            waits: Waits::default(),
            awaited: Awaited::default(),
            connections: AtomicUsize::new(0),
            leafs: AtomicUsize::new(0),
            elsewhere: Elsewhere::default(),
            retired: LinkStats::default(),
            crossings: OnceLock::new(),
            taps: Taps::default(),
            holds: Holds::default(),
            slow_consumers: AtomicU64::new(0),
            unlisted: AtomicUsize::new(0),
        })
    }

    /// How many subscriptions there are, as they are shown.
    pub fn subscriptions(&self) -> usize {
        self.graph.len().saturating_sub(self.unlisted.load(Ordering::Relaxed))
    }

    /// The account as configured now.
    pub fn settings(&self) -> arc_swap::Guard<Arc<Account>> {
        self.settings.load()
    }

    pub(crate) fn replace_settings(&self, settings: Arc<Account>) {
        self.settings.store(settings);
        self.graph.touch_all();
    }

    /// A subscription begins. `touched` hears the links that have something to say because of it.
    pub(crate) fn enter(&self, grant: SubscribeGrant, target: Target, touched: Touched<'_>) -> Arc<Subscription> {
        if is_new_here(&target) {
            self.recent.note(&grant.filter);
        }
        let mut book = self.book.lock();
        self.unlisted.fetch_add(usize::from(!target.is_listed()), Ordering::Relaxed);
        let subscription = self.graph.enter(grant, target);
        if book.has_readers() {
            book.changed(&subscription, i64::from(weight_of(&subscription)), touched);
        }
        drop(book);
        self.awaited.heard(&subscription.grant.filter);
        subscription
    }

    /// A subscription ends.
    pub(crate) fn withdraw(&self, subscription: &Arc<Subscription>, touched: Touched<'_>) {
        let mut book = self.book.lock();
        if !self.graph.leave(subscription) {
            return;
        }
        self.unlisted.fetch_sub(usize::from(!subscription.target.is_listed()), Ordering::Relaxed);
        if book.has_readers() {
            book.changed(subscription, -i64::from(weight_of(subscription)), touched);
        }
    }

    /// A queue group at another server has another number of members now.
    pub(crate) fn weigh(&self, subscription: &Arc<Subscription>, weight: u32, touched: Touched<'_>) {
        let Target::Remote(remote) = &subscription.target else { return };
        let mut book = self.book.lock();
        let change = i64::from(weight.max(1)) - i64::from(remote.weigh(weight));
        self.graph.touch(subscription);
        if change != 0 && book.has_readers() {
            book.changed(subscription, change, touched);
        }
    }

    /// A leaf connection hears of the account's interest from now on.
    pub(crate) fn add_leaf(&self, leaf: LeafReader, own: &[&[u8]], touched: Touched<'_>) {
        self.book.lock().add_leaf(&self.graph, leaf, own, touched);
    }

    /// A route hears of the account's interest from now on.
    pub(crate) fn add_route(&self, route: RouteReader, touched: Touched<'_>) {
        self.book.lock().add_route(&self.graph, route, touched);
    }

    /// Another cluster hears of the account's interest from now on.
    pub(crate) fn add_far(&self, far: FarReader, touched: Touched<'_>) {
        self.book.lock().add_far(&self.graph, far, touched);
    }

    /// A link is told nothing any more.
    pub(crate) fn forget_link(&self, link: &Link) {
        self.book.lock().remove(link);
    }

    /// The subject by which loops are found, made up once by `make`.
    pub(crate) fn loop_subject(&self, make: impl FnOnce() -> Box<[u8]>) -> &[u8] {
        self.loop_subject.get_or_init(make)
    }

    /// Registers a leaf connection, within the account's limit.
    pub(crate) fn join_leaf(&self) -> Result<(), AccountFull> {
        let limits = self.settings.load().limits;
        let limit = |limit: Option<u64>| limit.map_or(usize::MAX, |limit| limit as usize);
        let (all, own) = (limit(limits.max_connections), limit(limits.max_leafnodes));
        let clients = self.connections().saturating_add(self.elsewhere.clients());
        let far = self.elsewhere.leafs();
        let grow = |leafs: usize| {
            (leafs.saturating_add(far) < own && leafs.saturating_add(clients) < all).then_some(leafs + 1)
        };
        self.leafs.fetch_update(Ordering::AcqRel, Ordering::Acquire, grow).map(drop).map_err(|_| AccountFull)
    }

    pub(crate) fn leave_leaf(&self) {
        self.leafs.fetch_sub(1, Ordering::AcqRel);
    }

    /// Leaf connections of the account.
    pub fn leafs(&self) -> usize {
        self.leafs.load(Ordering::Relaxed)
    }

    /// Active client connections.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Registers a connection, within the account's limit.
    pub(crate) fn join(&self) -> Result<(), AccountFull> {
        let limit = self.settings.load().limits.max_connections.map_or(usize::MAX, |limit| limit as usize);
        let others = self.leafs.load(Ordering::Acquire).saturating_add(self.elsewhere.clients());
        let grow = |connections: usize| (connections.saturating_add(others) < limit).then_some(connections + 1);
        match self.connections.fetch_update(Ordering::AcqRel, Ordering::Acquire, grow) {
            Ok(_) => Ok(()),
            Err(_) => Err(AccountFull),
        }
    }

    pub(crate) fn leave(&self, stats: &LinkStats) {
        self.connections.fetch_sub(1, Ordering::AcqRel);
        for (total, last) in [
            (&self.retired.in_msgs, &stats.in_msgs),
            (&self.retired.in_bytes, &stats.in_bytes),
            (&self.retired.out_msgs, &stats.out_msgs),
            (&self.retired.out_bytes, &stats.out_bytes),
        ] {
            total.fetch_add(last.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// Another server has told how many connections the account has there.
    pub fn note_elsewhere(&self, server: &str, clients: usize, leafs: usize) {
        self.elsewhere.note(server, clients, leafs);
    }

    /// Other servers where the account has connections, as far as they told.
    pub fn servers_elsewhere(&self) -> usize {
        self.elsewhere.servers()
    }

    /// Time has passed: servers that told nothing for long count no more. To be called every half minute.
    pub fn look_elsewhere(&self) {
        self.elsewhere.look();
    }

    /// By how many connections the account has too many, with those at other servers.
    pub fn surplus(&self) -> usize {
        let Some(limit) = self.settings.load().limits.max_connections else { return 0 };
        let here = self.connections().saturating_add(self.leafs());
        let all = here.saturating_add(self.elsewhere.clients());
        all.saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX))
    }

    /// Connections of the account that were closed because they did not keep up.
    pub fn slow_consumers(&self) -> u64 {
        self.slow_consumers.load(Ordering::Relaxed)
    }

    /// How often its connections were held up by limits, and how long in all.
    pub fn holds(&self) -> (u64, Duration) {
        self.holds.read()
    }

    pub(crate) fn crossings(&self) -> &Crossings {
        self.crossings.get_or_init(Box::default)
    }

    /// What crossed to and from other servers.
    pub fn crossed(&self) -> Crossed {
        self.crossings.get().map(|crossings| crossings.read()).unwrap_or_default()
    }

    /// What closed connections of the account had counted.
    pub fn retired(&self) -> &LinkStats {
        &self.retired
    }
}
