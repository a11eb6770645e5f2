//! What the servers around are told of the interest in one account.
//!
//! The book is changed under one lock together with the graph, and what follows is written to the links under the same
//! lock, in front of everything that is staged later. So a server hears of an inbox before it hears the request that is to
//! be answered there, and interest that comes and goes on several workers is told in the order in which it did.

use std::collections::HashMap;
use std::sync::Arc;

use auth::LinkRights;
use interest::Graph;
use topology::{Info, LeafInterest, LeafTell, LocalInterest, Peer as Place, all_interest_info, may_advertise};
use wire::route::Scope;
use wire::server::{Disinterest, Interest, QueueInterest};

use crate::link::Link;
use crate::links::remote::RemotePeer;
use crate::subscription::{Subscription, Target};

/// Hears which links have something to say.
pub(crate) type Touched<'a> = &'a mut dyn FnMut(&Arc<Link>);

/// A leaf connection of the account.
pub(crate) struct LeafReader {
    pub(crate) peer: Arc<RemotePeer>,
    pub(crate) interest: LeafInterest,
    pub(crate) rights: Arc<LinkRights>,
}

/// A route that carries the account.
pub(crate) struct RouteReader {
    pub(crate) peer: Arc<RemotePeer>,
    pub(crate) rights: Arc<LinkRights>,
    /// `LS-` names the origin.
    pub(crate) unsubscribe_names_origin: bool,
}

/// A link from another cluster, over which that is told what this one wants.
#[derive(Clone)]
pub(crate) struct FarReader {
    pub(crate) link: Arc<Link>,
    /// The name of this cluster.
    pub(crate) cluster: Arc<str>,
}

/// What all other clusters are told alike: the filter, the queue group.
type FarKey = (Box<[u8]>, Option<Box<[u8]>>);

/// What all routes are told alike: the origin, the filter, the queue group.
type RouteKey = (Option<Box<str>>, Box<[u8]>, Option<Box<[u8]>>);

/// What the servers around are told.
#[derive(Default)]
pub(crate) struct Book {
    account: Box<[u8]>,
    leafs: Vec<LeafReader>,
    routes: Vec<RouteReader>,
    told_routes: HashMap<RouteKey, u32>,
    far: Vec<FarReader>,
    told_far: HashMap<FarKey, u32>,
}

impl Book {
    /// The book of an account. Nobody reads it yet.
    pub(crate) fn new(account: &[u8]) -> Self {
        Self { account: account.into(), ..Self::default() }
    }

    /// Whether anybody is told anything.
    pub(crate) fn has_readers(&self) -> bool {
        !self.leafs.is_empty() || !self.routes.is_empty() || !self.far.is_empty()
    }

    /// A subscription came or went: `change` members more, or fewer.
    pub(crate) fn changed(&mut self, subscription: &Subscription, change: i64, touched: Touched<'_>) {
        if !is_told(subscription) {
            return;
        }
        let (interest, slot) = interest_of(subscription);
        for leaf in &mut self.leafs {
            if slot != Some(leaf.peer.link.slot)
                && let Some(tell) = tell_leaf(leaf, subscription, &interest, change)
            {
                leaf.peer.link.say_first(|out| write_leaf(out, &interest, tell));
                touched(&leaf.peer.link);
            }
        }
        if !self.routes.is_empty() && is_for_routes(subscription) && may_advertise(interest.from, Place::Route) {
            self.changed_for_routes(subscription, &interest, change, touched);
        }
        if !self.far.is_empty() && is_for_routes(subscription) && may_advertise(interest.from, Place::Gateway) {
            self.changed_for_far(&interest, change, touched);
        }
    }

    /// Other clusters hear that there is interest, not how much.
    fn changed_for_far(&mut self, interest: &LocalInterest<'_>, change: i64, touched: Touched<'_>) {
        let (before, after) = count_far(&mut self.told_far, interest, change);
        if (before == 0) == (after == 0) {
            return;
        }
        for far in &self.far {
            far.link.say_first(|out| write_far(out, &self.account, interest, after > 0));
            touched(&far.link);
        }
    }

    fn changed_for_routes(
        &mut self,
        subscription: &Subscription,
        interest: &LocalInterest<'_>,
        change: i64,
        touched: Touched<'_>,
    ) {
        let (before, after) = count(&mut self.told_routes, interest, change);
        let is_news = match interest.queue {
            Some(_) => before != after,
            None => (before == 0) != (after == 0),
        };
        if !is_news {
            return;
        }
        for route in &self.routes {
            if route.rights.asks(&subscription.grant.filter) {
                route.peer.link.say_first(|out| write_route(out, &self.account, route, interest, after));
                touched(&route.peer.link);
            }
        }
    }

    /// A leaf connection reads from now on, and hears everything so far. `own` is what this server itself wants.
    pub(crate) fn add_leaf(
        &mut self,
        graph: &Graph<Target>,
        mut leaf: LeafReader,
        own: &[&[u8]],
        touched: Touched<'_>,
    ) {
        for subject in own {
            let interest = LocalInterest { from: Place::Client, origin: None, subject, queue: None };
            leaf.interest.update(&interest, 1);
        }
        graph.for_each(&mut |subscription| {
            let (interest, slot) = interest_of(subscription);
            if is_told(subscription) && slot != Some(leaf.peer.link.slot) {
                tell_leaf(&mut leaf, subscription, &interest, i64::from(weight_of(subscription)));
            }
        });
        let link = leaf.peer.link.clone();
        link.say_first(|out| {
            for (subject, queue, weight) in leaf.interest.iter() {
                let interest = LocalInterest { from: Place::Client, origin: None, subject, queue };
                write_leaf(out, &interest, LeafTell::Subscribe(weight));
            }
        });
        touched(&link);
        self.leafs.push(leaf);
    }

    /// A route carries the account from now on, and hears everything so far.
    pub(crate) fn add_route(&mut self, graph: &Graph<Target>, route: RouteReader, touched: Touched<'_>) {
        if self.routes.iter().any(|known| known.peer.link.slot == route.peer.link.slot) {
            return;
        }
        if self.routes.is_empty() {
            graph.for_each(&mut |subscription| {
                let (interest, _) = interest_of(subscription);
                if is_for_routes(subscription) && may_advertise(interest.from, Place::Route) {
                    count(&mut self.told_routes, &interest, i64::from(weight_of(subscription)));
                }
            });
        }
        let link = route.peer.link.clone();
        link.say_first(|out| {
            for ((origin, subject, queue), weight) in &self.told_routes {
                let interest =
                    LocalInterest { from: Place::Client, origin: origin.as_deref(), subject, queue: queue.as_deref() };
                if subject::Filter::parse(subject).is_ok_and(|filter| route.rights.asks(&filter)) {
                    write_route(out, &self.account, &route, &interest, *weight);
                }
            }
        });
        touched(&link);
        self.routes.push(route);
    }

    /// Another cluster hears of the account over this link from now on: of everything so far, and that it was everything.
    pub(crate) fn add_far(&mut self, graph: &Graph<Target>, far: FarReader, touched: Touched<'_>) {
        if self.far.iter().any(|known| known.link.slot == far.link.slot) {
            return;
        }
        if self.far.is_empty() {
            graph.for_each(&mut |subscription| {
                let (interest, _) = interest_of(subscription);
                if is_for_routes(subscription) && may_advertise(interest.from, Place::Gateway) {
                    count_far(&mut self.told_far, &interest, i64::from(weight_of(subscription)));
                }
            });
        }
        let link = far.link.clone();
        link.say_first(|out| {
            self.write_all_far(out, true);
            write_info(out, &all_interest_info(&far.cluster, &self.account_name(), false));
            self.write_all_far(out, false);
            write_info(out, &all_interest_info(&far.cluster, &self.account_name(), true));
        });
        touched(&link);
        self.far.push(far);
    }

    fn account_name(&self) -> String {
        String::from_utf8_lossy(&self.account).into_owned()
    }

    fn write_all_far(&self, out: &mut Vec<u8>, queues: bool) {
        for (subject, queue) in self.told_far.keys().filter(|(_, queue)| queue.is_some() == queues) {
            let interest = LocalInterest { from: Place::Client, origin: None, subject, queue: queue.as_deref() };
            write_far(out, &self.account, &interest, true);
        }
    }

    /// A link is gone.
    pub(crate) fn remove(&mut self, link: &Link) {
        self.leafs.retain(|leaf| leaf.peer.link.slot != link.slot);
        self.routes.retain(|route| route.peer.link.slot != link.slot);
        if self.routes.is_empty() {
            self.told_routes = HashMap::new();
        }
        self.far.retain(|far| far.link.slot != link.slot);
        if self.far.is_empty() {
            self.told_far = HashMap::new();
        }
    }
}

/// Whether other servers are told of it at all.
fn is_told(subscription: &Subscription) -> bool {
    !matches!(&subscription.target, Target::Internal(part) if part.stays_here())
}

/// Requests cross into other accounts at the server of the requester, so other servers of the cluster need not know.
fn is_for_routes(subscription: &Subscription) -> bool {
    is_told(subscription) && !matches!(subscription.target, Target::Service(_))
}

/// Where interest comes from, and the slot of the link it came over.
fn interest_of(subscription: &Subscription) -> (LocalInterest<'_>, Option<u32>) {
    let subject = subscription.grant.filter.as_bytes();
    let queue = subscription.grant.queue.as_ref().map(subject::Queue::as_bytes);
    match &subscription.target {
        Target::Client(_) | Target::Internal(_) | Target::Service(_) | Target::Answers => {
            (LocalInterest { from: Place::Client, origin: None, subject, queue }, None)
        }
        Target::Shadow(owner) => {
            let (interest, slot) = interest_of(owner);
            (LocalInterest { subject, queue, ..interest }, slot)
        }
        Target::Remote(remote) => {
            let origin = remote.leaf_cluster();
            (LocalInterest { from: remote.peer.place, origin, subject, queue }, Some(remote.peer.link.slot))
        }
    }
}

/// How many members a subscription stands for.
pub(crate) fn weight_of(subscription: &Subscription) -> u32 {
    match &subscription.target {
        Target::Remote(remote) if subscription.grant.queue.is_some() => remote.weight(),
        Target::Shadow(owner) => weight_of(owner),
        _ => 1,
    }
}

fn tell_leaf(
    leaf: &mut LeafReader,
    subscription: &Subscription,
    interest: &LocalInterest<'_>,
    change: i64,
) -> Option<LeafTell> {
    if change > 0 && !leaf.rights.asks(&subscription.grant.filter) {
        return None;
    }
    leaf.interest.update(interest, change)
}

fn count(told: &mut HashMap<RouteKey, u32>, interest: &LocalInterest<'_>, change: i64) -> (u32, u32) {
    let key: RouteKey = (interest.origin.map(Into::into), interest.subject.into(), interest.queue.map(Into::into));
    count_one(told, key, change)
}

fn count_far(told: &mut HashMap<FarKey, u32>, interest: &LocalInterest<'_>, change: i64) -> (u32, u32) {
    count_one(told, (interest.subject.into(), interest.queue.map(Into::into)), change)
}

fn count_one<K: Eq + std::hash::Hash>(told: &mut HashMap<K, u32>, key: K, change: i64) -> (u32, u32) {
    let before = told.get(&key).copied().unwrap_or(0);
    let after = u32::try_from((i64::from(before) + change).clamp(0, i64::from(u32::MAX))).unwrap_or(0);
    match after {
        0 => drop(told.remove(&key)),
        _ => drop(told.insert(key, after)),
    }
    (before, after)
}

fn write_leaf(out: &mut Vec<u8>, interest: &LocalInterest<'_>, tell: LeafTell) {
    let LocalInterest { subject, queue, .. } = *interest;
    // Words of the graph are clean: what is parsed as a filter can be written as one.
    let written = match tell {
        LeafTell::Subscribe(weight) => {
            let queue = queue.map(|name| QueueInterest { name, weight });
            wire::leaf::subscribe_line(out, &Interest { subject, queue })
        }
        LeafTell::Unsubscribe => wire::leaf::unsubscribe_line(out, &Disinterest { subject, queue }),
    };
    debug_assert!(written.is_ok(), "words of the graph are clean");
}

fn write_route(out: &mut Vec<u8>, account: &[u8], route: &RouteReader, interest: &LocalInterest<'_>, weight: u32) {
    let LocalInterest { subject, queue, origin, .. } = *interest;
    let origin = origin.map(str::as_bytes).filter(|_| route.peer.takes_origins);
    let account = route.peer.names_account.then_some(account);
    let written = if weight > 0 {
        let queue = queue.map(|name| QueueInterest { name, weight });
        wire::route::subscribe_line(out, Scope { origin, account }, &Interest { subject, queue })
    } else {
        let named = origin.filter(|_| route.unsubscribe_names_origin);
        let scope = Scope { origin: named, account };
        wire::route::unsubscribe_line(out, scope, origin.is_some(), &Disinterest { subject, queue })
    };
    debug_assert!(written.is_ok(), "words of the graph are clean");
}

/// The weight of queue groups is not told across clusters.
fn write_far(out: &mut Vec<u8>, account: &[u8], interest: &LocalInterest<'_>, is_wanted: bool) {
    let LocalInterest { subject, queue, .. } = *interest;
    let written = if is_wanted {
        let queue = queue.map(|name| QueueInterest { name, weight: 1 });
        wire::gateway::subscribe_line(out, account, &Interest { subject, queue })
    } else {
        wire::gateway::unsubscribe_line(out, account, &Disinterest { subject, queue })
    };
    debug_assert!(written.is_ok(), "words of the graph are clean");
}

/// An INFO among other lines.
pub(crate) fn write_info(out: &mut Vec<u8>, info: &Info) {
    out.extend_from_slice(b"INFO ");
    out.extend_from_slice(&info.to_json());
    out.extend_from_slice(b"\r\n");
}
