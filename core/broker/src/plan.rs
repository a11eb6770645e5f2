//! Plans: for one account, one set of permissions and one subject, everything that can be decided once.
//!
//! A plan is made from an `Authorized<Publish>` and from what the graph matched, and kept while the revisions of all
//! accounts it crossed stand still. What is left to do per message is to copy three pieces of bytes per target.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use auth::{Authorized, Denial, Publish};
use interest::{Graph, Matched, Revision};

use crate::account_state::AccountState;
use crate::subscription::{ClientTarget, Peer, Subscription, Target};

/// A publish that may go on, one that reaches nobody because it names no subject, or one that is denied.
pub(crate) type Judged<'a> = Result<Option<Authorized<Publish<'a>>>, Denial>;

/// A target of a plan, with what delivery needs close together.
pub(crate) struct PlanTarget {
    pub(crate) slot: u32,
    head_start: u32,
    head_len: u16,
    /// An end was set with `UNSUB sid max`: ask before each message.
    pub(crate) limited: bool,
    pub(crate) headers: bool,
    /// The peer may answer to replies it would otherwise not be allowed to publish to.
    pub(crate) grants_replies: bool,
    /// Messages delivered in this batch, added to the subscription when the batch is over.
    pub(crate) delivered: Cell<u32>,
    pub(crate) subscription: Arc<Subscription>,
}

impl PlanTarget {
    /// The client behind the target; `None` for a part of this server.
    #[inline(always)]
    pub(crate) fn client(&self) -> Option<&ClientTarget> {
        match &self.subscription.target {
            Target::Client(client) => Some(client),
            Target::Internal(_) => None,
        }
    }
}

/// "No slot": the target is a part of this server.
pub(crate) const INTERNAL_SLOT: u32 = u32::MAX;

/// An account whose graph a plan was made from, and the revision it had.
struct Crossed {
    account: Arc<AccountState>,
    bucket: u8,
    revision: Revision,
}

/// What to do with a message on one subject.
#[derive(Default)]
pub(crate) struct Plan {
    /// Why it may not be published.
    pub(crate) denial: Option<Denial>,
    pub(crate) targets: Vec<PlanTarget>,
    pub(crate) groups: Vec<Vec<PlanTarget>>,
    heads: Vec<u8>,
    crossed: Vec<Crossed>,
    /// Some target counted a message in this batch.
    pub(crate) counted: Cell<bool>,
}

impl Plan {
    /// Whether nobody would get a message.
    pub(crate) fn reaches_nobody(&self) -> bool {
        self.targets.is_empty() && self.groups.is_empty()
    }

    /// Whether all who would get a message are behind this one link.
    pub(crate) fn reaches_only(&self, slot: u32) -> bool {
        self.targets.iter().chain(self.groups.iter().flatten()).all(|target| target.slot == slot)
    }

    /// `HMSG subject sid ` of a target. Without its first letter it is the head of a `MSG`.
    #[inline(always)]
    pub(crate) fn head(&self, target: &PlanTarget) -> &[u8] {
        let start = target.head_start as usize;
        &self.heads[start..start + usize::from(target.head_len)]
    }

    /// Whether the answers this plan was made from still hold.
    #[inline(always)]
    pub(crate) fn stands(&self) -> bool {
        self.crossed.iter().all(|crossed| crossed.account.graph.revision_of(crossed.bucket) == crossed.revision)
    }

    /// Adds up what was delivered in this batch.
    pub(crate) fn settle(&self) {
        self.counted.set(false);
        for target in self.targets.iter().chain(self.groups.iter().flatten()) {
            let delivered = target.delivered.take();
            if let (true, Some(client)) = (delivered > 0, target.client()) {
                client.add_delivered(u64::from(delivered));
            }
        }
    }

    /// Makes the plan for one subject.
    fn make(&mut self, account: &Arc<AccountState>, judged: Judged<'_>, subject: &[u8], matched: &mut Matched<Target>) {
        self.clear();
        let bucket = Graph::<Target>::bucket(subject);
        let revision = account.graph.revision_of(bucket);
        self.crossed.push(Crossed { account: account.clone(), bucket, revision });
        let publish = match judged {
            Ok(Some(publish)) => publish,
            Ok(None) => return,
            Err(denial) => return self.denial = Some(denial),
        };
        account.graph.matched(&publish, matched);
        for subscription in matched.plain.drain(..) {
            let target = self.target(subject, subscription);
            self.targets.push(target);
        }
        for group in matched.groups.drain(..) {
            let members = group.members.into_iter().map(|member| self.target(subject, member)).collect();
            self.groups.push(members);
        }
    }

    fn target(&mut self, subject: &[u8], subscription: Arc<Subscription>) -> PlanTarget {
        let head_start = self.heads.len();
        let mut target = PlanTarget {
            slot: INTERNAL_SLOT,
            head_start: head_start as u32,
            head_len: 0,
            limited: false,
            headers: true,
            grants_replies: false,
            delivered: Cell::new(0),
            subscription,
        };
        if let Target::Client(client) = &target.subscription.target {
            for piece in [b"HMSG ".as_slice(), subject, b" ", &client.sid, b" "] {
                self.heads.extend_from_slice(piece);
            }
            let (slot, limited) = (client.peer.link.slot, client.is_limited());
            let Peer { headers, permissions, .. } = &*client.peer;
            let (headers, grants_replies) = (*headers, permissions.load().responses().is_some());
            target.slot = slot;
            target.limited = limited;
            target.headers = headers;
            target.grants_replies = grants_replies;
            target.head_len = (self.heads.len() - head_start) as u16;
        }
        target
    }

    fn clear(&mut self) {
        self.denial = None;
        self.targets.clear();
        self.groups.clear();
        self.heads.clear();
        self.crossed.clear();
    }
}

/// Places in a worker's cache of plans.
const PLACES: usize = 8192;

/// For whom a plan was made: the account and the permissions, as one number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Route(pub(crate) u64);

#[derive(Default)]
struct Place {
    hash: u64,
    route: Route,
    subject: Box<[u8]>,
    plan: Option<Rc<Plan>>,
}

/// A worker's plans. Direct-mapped; a subject gets a place when it is seen for the second time, so that a stream of
/// subjects that never come back (inboxes) neither allocates nor drives others out.
pub(crate) struct Plans {
    places: Vec<Place>,
    /// Where the last answer came from: publishers repeat themselves.
    last: usize,
    /// The plan of a subject seen for the first time.
    scratch: Rc<Plan>,
    matched: Matched<Target>,
    /// Plans whose targets counted messages in this batch.
    counted: Vec<Rc<Plan>>,
    seed: u64,
}

impl Plans {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            places: std::iter::repeat_with(Place::default).take(PLACES).collect(),
            last: 0,
            scratch: Rc::default(),
            matched: Matched::default(),
            counted: Vec::new(),
            seed,
        }
    }

    /// The plan for a subject; `judge` is asked when it has to be made.
    #[inline]
    pub(crate) fn get<'a>(
        &mut self,
        route: Route,
        account: &Arc<AccountState>,
        subject: &'a [u8],
        judge: impl FnOnce() -> Judged<'a>,
    ) -> Rc<Plan> {
        let last = &self.places[self.last];
        if let Some(plan) = &last.plan
            && last.route == route
            && is_same(&last.subject, subject)
            && plan.stands()
        {
            return plan.clone();
        }
        self.find(route, account, subject, judge)
    }

    fn find<'a>(
        &mut self,
        route: Route,
        account: &Arc<AccountState>,
        subject: &'a [u8],
        judge: impl FnOnce() -> Judged<'a>,
    ) -> Rc<Plan> {
        let hash = hash(self.seed ^ route.0, subject);
        let at = (hash >> 32) as usize % PLACES;
        let place = &mut self.places[at];
        if place.hash != hash || place.route != route {
            *place = Place { hash, route, ..Place::default() };
            return self.first_sight(account, subject, judge);
        }
        if let Some(plan) = &place.plan
            && *place.subject == *subject
            && plan.stands()
        {
            self.last = at;
            return plan.clone();
        }
        let plan = Rc::new(make(account, subject, judge, &mut self.matched));
        place.subject = subject.into();
        place.plan = Some(plan.clone());
        self.last = at;
        plan
    }

    fn first_sight<'a>(
        &mut self,
        account: &Arc<AccountState>,
        subject: &'a [u8],
        judge: impl FnOnce() -> Judged<'a>,
    ) -> Rc<Plan> {
        match Rc::get_mut(&mut self.scratch) {
            Some(scratch) => scratch.make(account, judge(), subject, &mut self.matched),
            // Still counted in this batch.
            None => self.scratch = Rc::new(make(account, subject, judge, &mut self.matched)),
        }
        self.scratch.clone()
    }

    /// A plan for this one message.
    pub(crate) fn once(&mut self, account: &Arc<AccountState>, publish: Authorized<Publish<'_>>) -> Rc<Plan> {
        let subject = publish.subject.as_bytes();
        Rc::new(make(account, subject, || Ok(Some(publish)), &mut self.matched))
    }

    /// Notes that targets of this plan counted a message. The plan of a first sight is settled at once: it is about
    /// to be overwritten.
    #[inline]
    pub(crate) fn count(&mut self, plan: &Rc<Plan>) {
        if plan.counted.get() {
            return;
        }
        if Rc::ptr_eq(plan, &self.scratch) {
            return plan.settle();
        }
        plan.counted.set(true);
        self.counted.push(plan.clone());
    }

    /// The batch is over: what was counted is added up.
    pub(crate) fn settle(&mut self) {
        self.counted.drain(..).for_each(|plan| plan.settle());
    }

    /// Lets go of plans that no longer hold, and so of the connections they name.
    pub(crate) fn sweep(&mut self) {
        for place in &mut self.places {
            if place.plan.as_ref().is_some_and(|plan| !plan.stands()) {
                *place = Place::default();
            }
        }
        if !self.scratch.crossed.is_empty() && !self.scratch.stands() {
            self.scratch = Rc::default();
        }
    }
}

fn make<'a>(
    account: &Arc<AccountState>,
    subject: &'a [u8],
    judge: impl FnOnce() -> Judged<'a>,
    matched: &mut Matched<Target>,
) -> Plan {
    let mut plan = Plan::default();
    plan.make(account, judge(), subject, matched);
    plan
}

/// Equality of short texts without a call.
#[inline(always)]
fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let ((words, rest), (other_words, other_rest)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    let equal = |(a, b): (&[u8; 8], &[u8; 8])| u64::from_ne_bytes(*a) == u64::from_ne_bytes(*b);
    words.iter().zip(other_words).all(equal) && rest.iter().zip(other_rest).all(|(a, b)| a == b)
}

/// A multiplicative hash over eight bytes at a time. Seeded per worker; a collision costs a look-up, nothing else.
#[inline(always)]
fn hash(seed: u64, bytes: &[u8]) -> u64 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        product as u64 ^ (product >> 64) as u64
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let start = seed ^ (bytes.len() as u64).wrapping_mul(MULTIPLIER);
    let hash = words.iter().fold(start, |hash, word| mix(hash ^ u64::from_le_bytes(*word), MULTIPLIER));
    let tail = rest.iter().rev().fold(0u64, |tail, &byte| tail << 8 | u64::from(byte));
    mix(hash ^ tail, MULTIPLIER ^ 0xabcd_ef01)
}
