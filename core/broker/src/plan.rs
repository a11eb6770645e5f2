//! Plans: for one account, one set of permissions and one subject, everything that can be decided once.
//!
//! A plan is made from an `Authorized<Publish>` and from what the graph matched, and kept while the revisions of all
//! accounts it crossed stand still. What is left to do per message is to copy three pieces of bytes per target.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use account::Mapped;
use auth::{Authorized, Denial, Moved, Passage, Publish};
use interest::{Graph, Matched, Revision};
use subject::{MappedReply, Subject};

use crate::account_state::AccountState;
use crate::hub::Hub;
use crate::links::crossing::{PlanRemote, Whence};
use crate::sharing::doors::{Beyond, Chance, Door};
use crate::subscription::{ClientTarget, Peer, Subscription, Target};

#[cfg(test)]
mod tests;

/// A publish that may go on, one that reaches nobody because it names no subject, or one that is denied.
pub(crate) type Judged<'a> = Result<Option<Authorized<Publish<'a>>>, Denial>;

/// Who answers for a message.
pub(crate) enum Right<'a, J> {
    /// Rights that are asked about a subject.
    Asked(J),
    /// It was permitted before, and only goes on.
    Had(&'a Passage),
}

/// What the account's mappings make of a subject before the rights of its publisher are asked.
enum Renamed {
    Same,
    To(Box<[u8]>),
    /// That is decided about each message.
    ByChance,
    /// It goes nowhere.
    Nowhere,
}

/// How a message came into the account whose plan is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Entered {
    /// A client of the account published it.
    #[default]
    ByClient,
    /// The server published it.
    ByServer,
    /// It came from another account, by a service import or as an answer.
    ByImport,
    /// A mapping of the account has moved it already.
    Moved,
    /// The same, for one that came from another account.
    ImportedAndMoved,
    /// It is an answer that was on its way back to this cluster, and has arrived.
    Returned,
    /// It is an answer on its way back to another cluster.
    Marked,
}

impl Entered {
    /// Whether the account's mappings apply.
    pub(crate) const fn is_mapped(self) -> bool {
        matches!(self, Self::ByClient | Self::ByImport)
    }

    /// Whether it goes on to those who import the account's streams.
    const fn is_streamed(self) -> bool {
        !matches!(self, Self::ByImport | Self::ImportedAndMoved)
    }

    /// The same once a mapping has applied.
    pub(crate) const fn moved(self) -> Self {
        if self.is_streamed() { Self::Moved } else { Self::ImportedAndMoved }
    }
}

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
    /// A stream import leads to it; whether traces may follow.
    pub(crate) carried: Option<bool>,
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
            _ => None,
        }
    }
}

/// A queue group that a subject reaches: its members here, and those that other servers have.
pub(crate) struct PlanGroup {
    pub(crate) name: Box<[u8]>,
    pub(crate) members: Vec<PlanTarget>,
    pub(crate) far: Vec<FarMember>,
}

/// Members of a queue group at another server.
pub(crate) struct FarMember {
    /// The server's place among the plan's remotes.
    pub(crate) remote: usize,
    pub(crate) subscription: Arc<Subscription>,
}

/// Whom an entry of the graph leads to.
enum Reached {
    Here(PlanTarget),
    There(FarMember),
}

impl Reached {
    fn here(self) -> Option<PlanTarget> {
        match self {
            Self::Here(target) => Some(target),
            Self::There(_) => None,
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
    pub(crate) groups: Vec<PlanGroup>,
    /// Other servers that want the subject, each once however many of its subscriptions match.
    pub(crate) remotes: Vec<PlanRemote>,
    pub(crate) heads: Vec<u8>,
    crossed: Vec<Crossed>,
    /// Some target counted a message in this batch.
    pub(crate) counted: Cell<bool>,
    entered: Entered,
    /// The subject it is routed by, where a mapping has moved it.
    moved: Option<Box<[u8]>>,
    /// What few subjects have.
    beyond: Option<Box<Beyond>>,
}

impl Plan {
    /// Whether nobody would get a message.
    pub(crate) fn reaches_nobody(&self) -> bool {
        self.targets.is_empty() && self.groups.is_empty() && self.remotes.is_empty()
    }

    fn members(&self) -> impl Iterator<Item = &PlanTarget> {
        self.targets.iter().chain(self.groups.iter().flat_map(|group| &group.members))
    }

    /// Whether a part of this server gets a message that answers with what was counted.
    pub(crate) fn asks_for_counts(&self) -> bool {
        self.beyond.as_ref().is_some_and(|beyond| beyond.counts)
    }

    /// Whether a message of this subject needs more than to be delivered.
    #[inline(always)]
    pub(crate) fn is_special(&self) -> bool {
        self.denial.is_some() || self.beyond.is_some()
    }

    /// Where a message goes beside the account it is in.
    pub(crate) fn beyond(&self) -> Option<&Beyond> {
        self.beyond.as_deref()
    }

    /// How the messages of this plan came in.
    pub(crate) fn entered(&self) -> Entered {
        self.entered
    }

    /// Whether a mapping by chance decides about each message before the rights of its publisher are asked.
    pub(crate) fn is_open(&self) -> bool {
        matches!(&self.beyond, Some(beyond) if matches!(beyond.chance, Some(Chance::BeforeRights)))
    }

    /// The subject that a message published on `subject` is routed by.
    pub(crate) fn routed<'a>(&'a self, subject: &'a [u8]) -> &'a [u8] {
        self.moved.as_deref().unwrap_or(subject)
    }

    /// The subject in the head of a target.
    pub(crate) fn shown(&self, target: &PlanTarget, client: &ClientTarget) -> &[u8] {
        let head = self.head(target);
        let end = head.len().saturating_sub(client.sid.len() + 2);
        head.get(b"HMSG ".len()..end).unwrap_or_default()
    }

    /// What a client sees behind the subject: its subscription's id, between blanks.
    pub(crate) fn behind_shown(&self, target: &PlanTarget, client: &ClientTarget) -> &[u8] {
        let head = self.head(target);
        head.get(head.len().saturating_sub(client.sid.len() + 2)..).unwrap_or_default()
    }

    /// Whether all who would get a message are behind this one link.
    pub(crate) fn reaches_only(&self, slot: u32) -> bool {
        self.remotes.is_empty() && self.members().all(|target| target.slot == slot)
    }

    /// `HMSG subject sid ` of a client. Without its first letter it is the head of a `MSG`. Of a part of the server it is
    /// the subject alone.
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
        for target in self.members() {
            let delivered = target.delivered.take();
            if let (true, Some(client)) = (delivered > 0, target.client()) {
                client.add_delivered(u64::from(delivered));
            }
        }
    }

    /// Makes the plan for one subject.
    fn make(
        &mut self,
        matched: &mut Matched<Target>,
        making: &Making<'_>,
        right: &Right<'_, impl Fn(&[u8]) -> Judged<'_>>,
        subject: &[u8],
    ) {
        self.clear();
        self.entered = making.whence.entered;
        self.cross(making.account, subject);
        match right {
            Right::Had(passage) => self.go_on(matched, making, Ok(passage.publish())),
            Right::Asked(judge) if !making.whence.is_asked_last() => self.go_on(matched, making, judge(subject)),
            Right::Asked(judge) => match self.rename(making, subject) {
                Renamed::Same => self.lead(matched, making, judge(subject)),
                Renamed::To(named) => {
                    self.cross(making.account, &named);
                    self.lead(matched, making, judge(&named));
                    self.moved = Some(named);
                }
                Renamed::ByChance | Renamed::Nowhere => {}
            },
        }
    }

    /// What was permitted under the name it came with goes on by the account's mappings.
    fn go_on(&mut self, matched: &mut Matched<Target>, making: &Making<'_>, judged: Judged<'_>) {
        let moved = match &judged {
            Ok(Some(publish)) if making.whence.is_mapped() => match self.map(making, publish) {
                Moved::Nowhere => return,
                Moved::To(moved) => moved,
                Moved::Stays => return self.lead(matched, making, judged),
            },
            _ => return self.lead(matched, making, judged),
        };
        self.cross(making.account, moved.subject());
        self.lead(matched, making, Ok(moved.publish()));
        self.moved = Some(moved.subject().into());
    }

    /// What was permitted leads to those who want it.
    fn lead(&mut self, matched: &mut Matched<Target>, making: &Making<'_>, judged: Judged<'_>) {
        match judged {
            Ok(Some(publish)) => self.gather(matched, making, &publish),
            Ok(None) => {}
            Err(denial) => self.denial = Some(denial),
        }
    }

    /// Names a subject as the account's mappings do.
    fn rename(&mut self, making: &Making<'_>, subject: &[u8]) -> Renamed {
        let settings = making.account.settings();
        let Ok(subject) = Subject::parse(subject) else { return Renamed::Same };
        if settings.mappings.is_empty() {
            return Renamed::Same;
        }
        let hub = making.hub.settings();
        let cluster = hub.greeting.cluster.as_deref();
        if !settings.mappings.is_fixed(subject, cluster) {
            self.beyond.get_or_insert_default().chance = Some(Chance::BeforeRights);
            return Renamed::ByChance;
        }
        match settings.mappings.apply(subject, cluster, 0) {
            Mapped::Same => Renamed::Same,
            Mapped::To(named) => Renamed::To(named.into()),
            Mapped::Dropped => Renamed::Nowhere,
        }
    }

    /// From now on the plan stands as long as the account does for this subject.
    fn cross(&mut self, account: &Arc<AccountState>, subject: &[u8]) {
        let bucket = Graph::<Target>::bucket(subject);
        let revision = account.graph.revision_of(bucket);
        self.crossed.push(Crossed { account: account.clone(), bucket, revision });
    }

    /// Applies the account's mappings to what was permitted. What depends on chance goes nowhere by this plan.
    fn map(&mut self, making: &Making<'_>, publish: &Authorized<Publish<'_>>) -> Moved {
        let settings = making.account.settings();
        if settings.mappings.is_empty() {
            return Moved::Stays;
        }
        let hub = making.hub.settings();
        let cluster = hub.greeting.cluster.as_deref();
        if !settings.mappings.is_fixed(publish.subject, cluster) {
            self.beyond.get_or_insert_default().chance = Some(Chance::AfterRights(publish.kept()));
            return Moved::Nowhere;
        }
        publish.moved(&settings.mappings, cluster, 0)
    }

    /// Gathers whom the subject reaches, here and beyond.
    fn gather(&mut self, matched: &mut Matched<Target>, making: &Making<'_>, publish: &Authorized<Publish<'_>>) {
        making.account.graph.matched(publish, matched);
        if let Some(way) = making.hub.links.gateways.way_back(publish.subject.as_bytes()) {
            self.add_peer(making.account, making.whence, publish.subject.as_bytes(), &way, true);
        }
        for optimist in making.hub.links.gateways.optimists(making.account, publish.subject.as_bytes()) {
            self.add_peer(making.account, making.whence, publish.subject.as_bytes(), &optimist, true);
        }
        for entry in matched.plain.drain(..) {
            match &entry.target {
                Target::Service(import) => {
                    if making.whence.opens_doors()
                        && let Some(exporter) = making.hub.exporter(import.exporter())
                    {
                        let (import, right) = (import.clone(), publish.imported(import));
                        self.beyond.get_or_insert_default().doors.push(Door { import, exporter, right });
                    }
                }
                Target::Answers => self.beyond.get_or_insert_default().answers = true,
                _ => {
                    let target = self.target(making, publish, &entry, true);
                    self.targets.extend(target.and_then(Reached::here));
                }
            }
        }
        for group in matched.groups.drain(..) {
            let mut planned = PlanGroup { name: Box::default(), members: Vec::new(), far: Vec::new() };
            for member in group.members {
                match self.target(making, publish, &member, false) {
                    Some(Reached::Here(target)) => planned.members.push(target),
                    Some(Reached::There(far)) => planned.far.push(far),
                    None => continue,
                }
                if planned.name.is_empty() {
                    planned.name = member.grant.queue.as_ref().map_or(b"".as_slice(), |queue| queue.as_bytes()).into();
                }
            }
            if !planned.members.is_empty() || !planned.far.is_empty() {
                self.groups.push(planned);
            }
        }
    }

    /// The target behind an entry. A subscription from another account is itself the target, under the subject it has
    /// there, unless the message may not go there.
    fn target(
        &mut self,
        making: &Making<'_>,
        publish: &Authorized<Publish<'_>>,
        entry: &Arc<Subscription>,
        plain: bool,
    ) -> Option<Reached> {
        let (Target::Shadow(owner), Some(import)) = (&entry.target, entry.grant.import()) else {
            return self.reached(making, publish.subject.as_bytes(), entry, plain);
        };
        let named = making.whence.entered.is_streamed().then(|| import.carry(publish.subject))?;
        match self.reached(making, &named, owner, plain)? {
            Reached::Here(target) => Some(Reached::Here(PlanTarget { carried: Some(import.allows_trace()), ..target })),
            there => Some(there),
        }
    }

    /// A subscription under a subject: a target here, or a server that is taken in.
    fn reached(
        &mut self,
        making: &Making<'_>,
        subject: &[u8],
        subscription: &Arc<Subscription>,
        plain: bool,
    ) -> Option<Reached> {
        let Target::Remote(remote) = &subscription.target else {
            return Some(Reached::Here(self.named(subject, subscription.clone())));
        };
        let remote = self.add_remote(making.account, making.whence, subject, remote, plain)?;
        Some(Reached::There(FarMember { remote, subscription: subscription.clone() }))
    }

    fn named(&mut self, subject: &[u8], subscription: Arc<Subscription>) -> PlanTarget {
        let head_start = self.heads.len();
        let mut target = PlanTarget {
            slot: INTERNAL_SLOT,
            head_start: head_start as u32,
            head_len: 0,
            limited: false,
            headers: true,
            grants_replies: false,
            carried: None,
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
        } else {
            self.heads.extend_from_slice(subject);
            if let Target::Internal(part) = &target.subscription.target
                && part.reads_counts()
            {
                self.beyond.get_or_insert_default().counts = true;
            }
        }
        target.head_len = (self.heads.len() - head_start) as u16;
        target
    }

    /// From now on it leads to clients of the account and of this server alone.
    pub(crate) fn keep_clients(&mut self) {
        let is_client = |target: &PlanTarget| target.client().is_some() && target.carried.is_none();
        self.targets.retain(is_client);
        for group in &mut self.groups {
            group.members.retain(is_client);
            group.far.clear();
        }
        self.groups.retain(|group| !group.members.is_empty());
        self.remotes.clear();
        self.beyond = None;
    }

    fn clear(&mut self) {
        self.denial = None;
        self.targets.clear();
        self.groups.clear();
        self.remotes.clear();
        self.heads.clear();
        self.crossed.clear();
        self.moved = None;
        self.beyond = None;
    }
}

/// Places in a worker's cache of plans.
const PLACES: usize = 8192;

/// For whom a plan was made: the account and the permissions, as one number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Route(pub(crate) u64);

impl Route {
    /// The route of all who share an account and a set of permissions.
    pub(crate) fn of(account: &AccountState, permissions: u32) -> Self {
        Self(u64::from(account.id.get()) << 32 | u64::from(permissions))
    }

    /// The route of what is judged already and only goes on in this account. No set of permissions has these numbers: they
    /// are counted from one.
    pub(crate) fn inside(account: &AccountState, entered: Entered) -> Self {
        Self::of(account, u32::MAX - entered as u32)
    }

    /// The same route for what a mapping has moved already. Sets of permissions are never so many that one has this bit.
    pub(crate) const fn moved(self) -> Self {
        Self(self.0 | 1 << 31)
    }
}

#[derive(Default)]
struct Place {
    hash: u64,
    route: Route,
    subject: Box<[u8]>,
    plan: Option<Rc<Plan>>,
}

/// A worker's plans. Direct-mapped; a subject gets a place when it is seen for the second time, so that a stream of
/// subjects that never come back (inboxes) neither allocates nor drives others out. Marked replies get none at all.
pub(crate) struct Plans {
    /// None before the first subject: a worker without messages needs no memory for them.
    places: Vec<Place>,
    /// Where the last answer came from: publishers repeat themselves.
    last: usize,
    /// The plan of a subject seen for the first time.
    scratch: Rc<Plan>,
    matched: Matched<Target>,
    /// Plans whose targets counted messages in this batch.
    counted: Vec<Rc<Plan>>,
    seed: u64,
    hub: Arc<Hub>,
}

/// What a plan is made with.
#[derive(Clone, Copy)]
struct Making<'a> {
    hub: &'a Hub,
    account: &'a Arc<AccountState>,
    whence: Whence<'a>,
}

impl Plans {
    pub(crate) fn new(hub: Arc<Hub>, seed: u64) -> Self {
        Self {
            places: Vec::new(),
            last: 0,
            scratch: Rc::default(),
            matched: Matched::default(),
            counted: Vec::new(),
            seed,
            hub,
        }
    }

    /// The plan for a subject; rights are asked when it has to be made.
    #[inline]
    pub(crate) fn get(
        &mut self,
        route: Route,
        account: &Arc<AccountState>,
        whence: Whence<'_>,
        subject: &[u8],
        judge: impl Fn(&[u8]) -> Judged<'_>,
    ) -> Rc<Plan> {
        if let Some(last) = self.places.get(self.last)
            && let Some(plan) = &last.plan
            && last.route == route
            && is_same(&last.subject, subject)
            && plan.stands()
        {
            return plan.clone();
        }
        self.find(route, account, whence, subject, &Right::Asked(judge))
    }

    /// The plan for what was permitted before and goes on inside an account.
    pub(crate) fn inside(&mut self, account: &Arc<AccountState>, whence: Whence<'_>, right: &Passage) -> Rc<Plan> {
        let route = Route::inside(account, whence.entered);
        self.find(route, account, whence, right.subject(), &had(right))
    }

    fn find(
        &mut self,
        route: Route,
        account: &Arc<AccountState>,
        whence: Whence<'_>,
        subject: &[u8],
        right: &Right<'_, impl Fn(&[u8]) -> Judged<'_>>,
    ) -> Rc<Plan> {
        if MappedReply::parse(subject).is_some() {
            // One message goes by it, and a peer makes up as many as it likes.
            return self.first_sight(account, whence, subject, right);
        }
        let hash = hash(self.seed ^ route.0, subject);
        let at = (hash >> 32) as usize % PLACES;
        if self.places.is_empty() {
            self.places = std::iter::repeat_with(Place::default).take(PLACES).collect();
        }
        let place = &mut self.places[at];
        if place.hash != hash || place.route != route {
            *place = Place { hash, route, ..Place::default() };
            return self.first_sight(account, whence, subject, right);
        }
        if let Some(plan) = &place.plan
            && *place.subject == *subject
            && plan.stands()
        {
            self.last = at;
            return plan.clone();
        }
        let making = Making { hub: &self.hub, account, whence };
        let plan = Rc::new(make(&mut self.matched, &making, right, subject));
        place.subject = subject.into();
        place.plan = Some(plan.clone());
        self.last = at;
        plan
    }

    fn first_sight(
        &mut self,
        account: &Arc<AccountState>,
        whence: Whence<'_>,
        subject: &[u8],
        right: &Right<'_, impl Fn(&[u8]) -> Judged<'_>>,
    ) -> Rc<Plan> {
        let making = Making { hub: &self.hub, account, whence };
        match Rc::get_mut(&mut self.scratch) {
            Some(scratch) => scratch.make(&mut self.matched, &making, right, subject),
            // Still counted in this batch, or on its way through accounts.
            None => self.scratch = Rc::new(make(&mut self.matched, &making, right, subject)),
        }
        self.scratch.clone()
    }

    /// A plan for this one message, which is permitted.
    pub(crate) fn once(&mut self, account: &Arc<AccountState>, whence: Whence<'_>, right: &Passage) -> Rc<Plan> {
        let making = Making { hub: &self.hub, account, whence };
        Rc::new(make(&mut self.matched, &making, &had(right), right.subject()))
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

fn make(
    matched: &mut Matched<Target>,
    making: &Making<'_>,
    right: &Right<'_, impl Fn(&[u8]) -> Judged<'_>>,
    subject: &[u8],
) -> Plan {
    let mut plan = Plan::default();
    plan.make(matched, making, right, subject);
    plan
}

/// What was permitted before asks nobody.
const fn had(passage: &Passage) -> Right<'_, fn(&[u8]) -> Judged<'_>> {
    Right::Had(passage)
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
