//! What an account's imports put into graphs, its own and those of others.

use std::collections::HashMap;
use std::sync::Arc;

use account::{ServiceImport, StreamImport};
use auth::{Permissions, SubscribeGrant};
use parking_lot::RwLock;

use crate::account_state::AccountState;
use crate::house::flush_soon;
use crate::hub::Hub;
use crate::links::book::Touched;
use crate::subscription::{Subscription, Target};

/// A subscription in the account that exports a stream.
type Shadow = (Arc<AccountState>, Arc<Subscription>);

/// What stands in graphs because of an account's imports.
#[derive(Default)]
pub(crate) struct Shared(RwLock<Standing>);

#[derive(Default)]
struct Standing {
    doors: Vec<(Arc<ServiceImport>, Arc<Subscription>)>,
    streams: Vec<Arc<StreamImport>>,
    /// By the place in memory of the subscription they belong to, which they keep alive.
    shadows: HashMap<usize, Vec<Shadow>>,
}

fn place(subscription: &Arc<Subscription>) -> usize {
    Arc::as_ptr(subscription) as usize
}

impl Standing {
    fn cast(
        hub: &Hub,
        subscription: &Arc<Subscription>,
        import: &Arc<StreamImport>,
        touched: Touched<'_>,
    ) -> Option<Shadow> {
        let grant = subscription.grant.imported(import)?;
        let exporter = hub.exporter(import.exporter())?;
        let shadow = exporter.enter(grant, Target::Shadow(subscription.clone()), touched);
        Some((exporter, shadow))
    }

    /// Shadows of one subscription for these imports.
    fn cast_all(
        &mut self,
        hub: &Hub,
        subscription: &Arc<Subscription>,
        imports: &[Arc<StreamImport>],
        touched: Touched<'_>,
    ) {
        if !casts_shadows(subscription) {
            return;
        }
        let cast: Vec<_> = imports.iter().filter_map(|import| Self::cast(hub, subscription, import, touched)).collect();
        if !cast.is_empty() {
            self.shadows.entry(place(subscription)).or_default().extend(cast);
        }
    }

    fn uncast(&mut self, subscription: &Arc<Subscription>, touched: Touched<'_>) {
        for (exporter, shadow) in self.shadows.remove(&place(subscription)).into_iter().flatten() {
            exporter.withdraw(&shadow, touched);
        }
    }

    /// Imports that are no more lose their shadows, new ones get theirs; the others are not touched, so that nothing is
    /// missed meanwhile.
    fn share_streams(&mut self, hub: &Hub, account: &AccountState, streams: &[Arc<StreamImport>]) {
        let keep = |shadow: &Subscription| shadow.grant.import().is_some_and(|import| streams.contains(import));
        for shadows in self.shadows.values_mut() {
            shadows.retain(|(exporter, shadow)| {
                let kept = keep(shadow);
                if !kept {
                    exporter.withdraw(shadow, &mut flush_soon);
                }
                kept
            });
        }
        self.shadows.retain(|_, shadows| !shadows.is_empty());
        let fresh: Vec<_> = streams.iter().filter(|stream| !self.streams.contains(stream)).cloned().collect();
        self.streams = streams.to_vec();
        if fresh.is_empty() {
            return;
        }
        let mut own = Vec::new();
        account.graph.for_each(&mut |subscription| {
            if casts_shadows(subscription) {
                own.push(subscription.clone());
            }
        });
        own.iter().for_each(|subscription| self.cast_all(hub, subscription, &fresh, &mut flush_soon));
    }

    fn share_services(&mut self, account: &AccountState, services: &[Arc<ServiceImport>]) {
        self.doors.retain(|(import, door)| {
            let kept = services.contains(import);
            if !kept {
                account.withdraw(door, &mut flush_soon);
            }
            kept
        });
        for import in services {
            if !self.doors.iter().any(|(known, _)| known == import) {
                let (grant, target) = (everything(import.local().clone()), Target::Service(import.clone()));
                let door = account.enter(grant, target, &mut flush_soon);
                self.doors.push((import.clone(), door));
            }
        }
    }
}

/// Whether a subscription is wanted in the accounts that export streams to its own. What other servers of the cluster want
/// they want there themselves.
fn casts_shadows(subscription: &Subscription) -> bool {
    match &subscription.target {
        Target::Client(_) | Target::Internal(_) => true,
        Target::Remote(remote) => remote.peer.is_leaf(),
        Target::Shadow(_) | Target::Service(_) | Target::Answers => false,
    }
}

/// What the server itself may subscribe to.
pub(crate) fn everything(filter: subject::Filter) -> SubscribeGrant {
    Permissions::everything().subscribe(filter, None).expect("the server may listen to everything")
}

impl Hub {
    /// A subscription begins, in its own account and wherever streams come from that it wants.
    pub(crate) fn enter(
        &self,
        account: &AccountState,
        grant: SubscribeGrant,
        target: Target,
        touched: Touched<'_>,
    ) -> Arc<Subscription> {
        let standing = account.shared.0.read();
        if standing.streams.is_empty() {
            return account.enter(grant, target, touched);
        }
        drop(standing);
        let mut standing = account.shared.0.write();
        let subscription = account.enter(grant, target, touched);
        let streams = standing.streams.clone();
        standing.cast_all(self, &subscription, &streams, touched);
        subscription
    }

    /// A subscription ends, everywhere.
    pub(crate) fn withdraw(&self, account: &AccountState, subscription: &Arc<Subscription>, touched: Touched<'_>) {
        account.withdraw(subscription, touched);
        if !account.shared.0.read().shadows.is_empty() {
            account.shared.0.write().uncast(subscription, touched);
        }
    }

    /// A subscription takes the place of another one of the same filter, everywhere at once.
    pub(crate) fn replace(
        &self,
        account: &AccountState,
        subscription: &Arc<Subscription>,
        grant: SubscribeGrant,
        target: Target,
    ) -> Arc<Subscription> {
        let mut standing = account.shared.0.write();
        let renewed = account.graph.replace(subscription, grant, target);
        let before = standing.shadows.remove(&place(subscription)).into_iter().flatten();
        let moved = before.filter_map(|(exporter, shadow)| {
            let grant = renewed.grant.imported(shadow.grant.import()?)?;
            let shadow = exporter.graph.replace(&shadow, grant, Target::Shadow(renewed.clone()));
            Some((exporter, shadow))
        });
        let moved: Vec<_> = moved.collect();
        if !moved.is_empty() {
            standing.shadows.insert(place(&renewed), moved);
        }
        renewed
    }

    /// Something about a subscription changed that plans have copied.
    pub(crate) fn touch(&self, account: &AccountState, subscription: &Arc<Subscription>) {
        account.graph.touch(subscription);
        let standing = account.shared.0.read();
        for (exporter, shadow) in standing.shadows.get(&place(subscription)).into_iter().flatten() {
            exporter.graph.touch(shadow);
        }
    }

    /// The account's imports are as its settings say from now on.
    pub(crate) fn share(&self, account: &AccountState) {
        let settings = account.settings();
        let mut standing = account.shared.0.write();
        standing.share_services(account, &settings.sharing.services);
        standing.share_streams(self, account, &settings.sharing.streams);
    }

    /// The account is no more: it imports nothing.
    pub(crate) fn unshare(&self, account: &AccountState) {
        let mut standing = account.shared.0.write();
        standing.share_services(account, &[]);
        standing.share_streams(self, account, &[]);
    }
}
