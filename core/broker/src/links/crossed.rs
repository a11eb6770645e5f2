//! Messages that crossed to and from other servers, by account and kind of link, for monitoring.
//!
//! A worker counts for itself as long as messages of one account cross, and adds up when another account's turn comes and at
//! the end of a batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::account_state::AccountState;
use crate::link::LinkKind;

/// Messages, and bytes of headers and payloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Messages.
    pub msgs: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What crossed one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByLink {
    /// Over routes.
    pub routes: Amount,
    /// Over gateways.
    pub gateways: Amount,
    /// Over leaf connections.
    pub leafs: Amount,
}

impl ByLink {
    /// What crossed in all.
    pub fn total(&self) -> Amount {
        let all = [self.routes, self.gateways, self.leafs];
        Amount {
            msgs: all.iter().fold(0, |sum, amount| sum.wrapping_add(amount.msgs)),
            bytes: all.iter().fold(0, |sum, amount| sum.wrapping_add(amount.bytes)),
        }
    }

    fn of(&mut self, kind: LinkKind) -> Option<&mut Amount> {
        match kind {
            LinkKind::Route => Some(&mut self.routes),
            LinkKind::Gateway => Some(&mut self.gateways),
            LinkKind::Leaf => Some(&mut self.leafs),
            LinkKind::Client | LinkKind::House => None,
        }
    }
}

/// What crossed both ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crossed {
    /// From other servers.
    pub inward: ByLink,
    /// To other servers.
    pub outward: ByLink,
}

/// What crossed of one account so far.
#[derive(Default)]
pub(crate) struct Crossings {
    inward: [Counter; 3],
    outward: [Counter; 3],
}

#[derive(Default)]
struct Counter {
    msgs: AtomicU64,
    bytes: AtomicU64,
}

impl Counter {
    fn add(&self, amount: Amount) {
        if amount.msgs > 0 {
            self.msgs.fetch_add(amount.msgs, Ordering::Relaxed);
            self.bytes.fetch_add(amount.bytes, Ordering::Relaxed);
        }
    }

    fn read(&self) -> Amount {
        Amount { msgs: self.msgs.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }
}

fn read([routes, gateways, leafs]: &[Counter; 3]) -> ByLink {
    ByLink { routes: routes.read(), gateways: gateways.read(), leafs: leafs.read() }
}

fn add([routes, gateways, leafs]: &[Counter; 3], more: &ByLink) {
    routes.add(more.routes);
    gateways.add(more.gateways);
    leafs.add(more.leafs);
}

impl Crossings {
    pub(crate) fn read(&self) -> Crossed {
        Crossed { inward: read(&self.inward), outward: read(&self.outward) }
    }

    fn add(&self, more: &Crossed) {
        add(&self.inward, &more.inward);
        add(&self.outward, &more.outward);
    }
}

/// What a worker has counted and not added up yet.
#[derive(Default)]
pub(crate) struct Tally {
    account: Option<Arc<AccountState>>,
    crossed: Crossed,
}

impl Tally {
    /// A message came from another server.
    #[inline]
    pub(crate) fn came(&mut self, account: &Arc<AccountState>, kind: LinkKind, bytes: usize) {
        self.turn_to(account);
        count(&mut self.crossed.inward, kind, bytes as u64);
    }

    /// A message went to another server.
    #[inline]
    pub(crate) fn went(&mut self, account: &Arc<AccountState>, kind: LinkKind, bytes: u64) {
        self.turn_to(account);
        count(&mut self.crossed.outward, kind, bytes);
    }

    /// Adds up.
    pub(crate) fn settle(&mut self) {
        if let Some(account) = self.account.take() {
            account.crossings().add(&std::mem::take(&mut self.crossed));
        }
    }

    #[inline]
    fn turn_to(&mut self, account: &Arc<AccountState>) {
        if self.account.as_ref().is_none_or(|known| !Arc::ptr_eq(known, account)) {
            self.settle();
            self.account = Some(account.clone());
        }
    }
}

#[inline]
fn count(way: &mut ByLink, kind: LinkKind, bytes: u64) {
    if let Some(amount) = way.of(kind) {
        amount.msgs += 1;
        amount.bytes += bytes;
    }
}
