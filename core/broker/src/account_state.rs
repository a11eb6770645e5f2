//! A living account: its graph, its limits as of now, and what its connections add up to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use account::{Account, AccountId};
use arc_swap::ArcSwap;
use interest::Graph;

use crate::link::LinkStats;
use crate::subscription::Target;

/// An account with everything that lives in it.
pub struct AccountState {
    /// Its number, the same as long as the process lives.
    pub id: AccountId,
    /// Who wants what.
    pub graph: Graph<Target>,
    settings: ArcSwap<Account>,
    connections: AtomicUsize,
    /// What closed connections had counted.
    retired: LinkStats,
    /// Connections that were closed because they did not keep up.
    pub(crate) slow_consumers: AtomicU64,
}

/// The account has as many connections as it may.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccountFull;

impl AccountState {
    pub(crate) fn new(settings: Arc<Account>, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            id: settings.id,
            graph: Graph::new(seed),
            settings: ArcSwap::new(settings),
            connections: AtomicUsize::new(0),
            retired: LinkStats::default(),
            slow_consumers: AtomicU64::new(0),
        })
    }

    /// The account as configured now.
    pub fn settings(&self) -> arc_swap::Guard<Arc<Account>> {
        self.settings.load()
    }

    pub(crate) fn replace_settings(&self, settings: Arc<Account>) {
        self.settings.store(settings);
        self.graph.touch_all();
    }

    /// Active client connections.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Registers a connection, within the account's limit.
    pub(crate) fn join(&self) -> Result<(), AccountFull> {
        let limit = self.settings.load().limits.max_connections.map_or(usize::MAX, |limit| limit as usize);
        let grow = |connections| (connections < limit).then_some(connections + 1);
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

    /// Connections of the account that were closed because they did not keep up.
    pub fn slow_consumers(&self) -> u64 {
        self.slow_consumers.load(Ordering::Relaxed)
    }

    /// What closed connections of the account had counted.
    pub fn retired(&self) -> &LinkStats {
        &self.retired
    }
}
