//! Messages to other servers: who of them gets one, and how its head is written.
//!
//! A plan names each server once. Where no queue group has to be named, the head is as ready as that of a client; else it
//! is put together per message.

use std::cmp::Reverse;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use auth::LinkRights;
use subject::Subject;
use topology::{
    LeafRole, Peer as Place, may_forward, may_forward_returned, may_forward_service_reply, with_shown, without_shown,
};
use wire::client::Publish;
use wire::server::Queues;

use crate::account_state::AccountState;
use crate::delivery::{Crossing, Delivery, Flight, Witness};
use crate::links::remote::{RemotePeer, RemoteTarget};
use crate::links::telling_rights::is_told;
use crate::orders::Weight;
use crate::plan::{Entered, Plan, PlanGroup, PlanTarget};
use crate::stage::Laid;
use crate::subscription::Target;

/// From where a message comes, as far as one plan can know.
#[derive(Clone, Copy)]
pub(crate) struct Whence<'a> {
    pub(crate) place: Place,
    /// The link it came over; nothing goes back there.
    pub(crate) slot: u32,
    /// The leaf cluster it came from; nothing goes back there by another way.
    pub(crate) cluster: &'a str,
    /// How it came into the account.
    pub(crate) entered: Entered,
}

/// "No slot": it came over no link.
const NO_SLOT: u32 = u32::MAX;

impl Whence<'static> {
    /// From a client of this server.
    pub(crate) const HERE: Self = Self { place: Place::Client, slot: NO_SLOT, cluster: "", entered: Entered::ByClient };

    /// From the server itself.
    pub(crate) const SERVER: Self = Self { entered: Entered::ByServer, ..Self::HERE };

    /// From another account of this server.
    pub(crate) const IMPORT: Self = Self { entered: Entered::ByImport, ..Self::HERE };
}

impl Whence<'_> {
    /// Whether the account's mappings apply: once, at the server where the message comes in.
    pub(crate) fn is_mapped(self) -> bool {
        self.entered.is_mapped() && matches!(self.place, Place::Client | Place::Leaf(_))
    }

    /// Whether rights are asked about the name that mappings give: those of clients are, those of links about the name
    /// that came over the link.
    pub(crate) fn is_asked_last(self) -> bool {
        self.entered == Entered::ByClient && matches!(self.place, Place::Client)
    }

    /// Whether requests go on into other accounts: at the server of the requester.
    pub(crate) fn opens_doors(self) -> bool {
        matches!(self.place, Place::Client | Place::Leaf(_))
    }
}

/// What a message that came over a link says about itself.
#[derive(Clone, Copy)]
pub(crate) struct Arrived<'a> {
    pub(crate) place: Place,
    /// The leaf cluster in which it was published.
    pub(crate) origin: &'a [u8],
    /// The queue groups that are to get it here.
    pub(crate) queues: Queues<'a>,
}

/// Another server that a subject reaches.
pub(crate) struct PlanRemote {
    pub(crate) peer: Arc<RemotePeer>,
    /// It gets every message, not just those for which a queue group of its is chosen.
    plain: bool,
    /// What a message may have it do.
    pub(crate) weight: Weight,
    /// `RMSG account subject `, `LMSG subject `.
    bare: Range<u32>,
    /// `HMSG account subject `, `HMSG subject `.
    with_headers: Range<u32>,
    /// `LMSG origin account subject `: on behalf of a leaf cluster, always with a header size.
    with_origin: Option<Range<u32>>,
}

/// A message may not go everywhere: one hop within a cluster, not back to where it came from.
fn may_go(whence: Whence<'_>, peer: &RemotePeer, subject: &[u8], plain: bool) -> bool {
    if peer.link.slot == whence.slot {
        return false;
    }
    if peer.is_leaf() && !whence.cluster.is_empty() && *peer.cluster == *whence.cluster {
        return false;
    }
    if !plain && whence.place == Place::Route {
        // The last resort for a message whose member here has just left.
        return !peer.is_gateway();
    }
    if whence.entered == Entered::Returned {
        return may_forward_returned(whence.place, peer.place);
    }
    match subject.starts_with(b"_R_.") {
        true => may_forward_service_reply(whence.place, peer.place),
        false => may_forward(whence.place, peer.place),
    }
}

impl Plan {
    /// Takes a server in, once. Where it is among the plan's remotes, unless it must not have the subject.
    pub(crate) fn add_remote(
        &mut self,
        account: &AccountState,
        whence: Whence<'_>,
        subject: &[u8],
        remote: &RemoteTarget,
        plain: bool,
    ) -> Option<usize> {
        self.add_peer(account, whence, subject, &remote.peer, plain)
    }

    /// The same for a server whose interest is not asked for.
    pub(crate) fn add_peer(
        &mut self,
        account: &AccountState,
        whence: Whence<'_>,
        subject: &[u8],
        peer: &Arc<RemotePeer>,
        plain: bool,
    ) -> Option<usize> {
        if !may_go(whence, peer, subject, plain) {
            return None;
        }
        let slot = peer.link.slot;
        if let Some(at) = self.remotes.iter().position(|known| known.peer.link.slot == slot) {
            if let Some(known) = self.remotes.get_mut(at) {
                known.plain |= plain;
            }
            return Some(at);
        }
        let peer = peer.clone();
        let settings = account.settings();
        let name = Some(settings.name.as_str().as_bytes()).filter(|_| peer.names_account);
        let verb: &[u8] = if peer.is_leaf() { b"LMSG" } else { b"RMSG" };
        let behalf = peer.place == Place::Route
            && peer.takes_origins
            && whence.place == Place::Leaf(LeafRole::Hub)
            && !whence.cluster.is_empty();
        let (bare, with_headers) =
            (self.remote_head(verb, &[name], subject), self.remote_head(b"HMSG", &[name], subject));
        let origin = Some(whence.cluster.as_bytes());
        let with_origin = behalf.then(|| self.remote_head(b"LMSG", &[origin, name], subject));
        let weight = Weight::of(subject);
        self.remotes.push(PlanRemote { peer, plain, weight, bare, with_headers, with_origin });
        Some(self.remotes.len() - 1)
    }

    /// A message of this subject to this server and to nobody else.
    pub(crate) fn straight(account: &AccountState, peer: Arc<RemotePeer>, subject: &[u8]) -> Self {
        let mut plan = Self::default();
        plan.add_peer(account, Whence::SERVER, subject, &peer, true);
        plan
    }

    fn remote_head(&mut self, verb: &[u8], words: &[Option<&[u8]>], subject: &[u8]) -> Range<u32> {
        let start = self.heads.len() as u32;
        for word in [Some(verb)].iter().chain(words).chain(&[Some(subject)]).flatten() {
            self.heads.extend_from_slice(word);
            self.heads.push(b' ');
        }
        start..self.heads.len() as u32
    }

    fn piece(&self, range: &Range<u32>) -> &[u8] {
        self.heads.get(range.start as usize..range.end as usize).unwrap_or_default()
    }
}

impl Delivery<'_> {
    /// A queue group with members at other servers, or a message from another server. `None` if the choice fell on another
    /// server, which is noted, or on nobody.
    pub(crate) fn pick_anywhere<'p, W: Witness>(
        &mut self,
        plan: &'p Plan,
        group: &'p PlanGroup,
        flight: &Flight<'_>,
        witness: &mut W,
    ) -> Option<&'p PlanTarget> {
        if let Some(arrived) = flight.arrived
            && !arrived.queues.contains(&group.name)
        {
            return None;
        }
        let from_route = flight.arrived.is_some_and(|arrived| arrived.place == Place::Route);
        let far = if from_route { None } else { self.far_in_this_cluster(plan, group) };
        if let Some(remote) = far {
            self.picked.push((remote, group.name.clone()));
            return None;
        }
        if let Some(member) = self.pick(&group.members, flight, witness) {
            return Some(member);
        }
        // Nobody here: a leaf, or what a leaf stands behind, or at last any server that has members.
        let last_resort = self.far_elsewhere(plan, group, flight);
        self.picked.extend(last_resort.map(|remote| (remote, group.name.clone())));
        None
    }

    /// Members of other servers of the cluster count like those here: one of all is drawn. `None` if it is one of ours.
    fn far_in_this_cluster(&mut self, plan: &Plan, group: &PlanGroup) -> Option<usize> {
        let candidates = || {
            group.far.iter().filter_map(|member| {
                let Target::Remote(remote) = &member.subscription.target else { return None };
                let place = plan.remotes.get(member.remote)?.peer.place;
                (place == Place::Route && remote.origin.is_none()).then_some((member.remote, remote.weight() as usize))
            })
        };
        let theirs: usize = candidates().map(|(_, weight)| weight).sum();
        if theirs == 0 {
            return None;
        }
        let drawn = self.chance.below(theirs + group.members.len());
        let mut left = drawn.checked_sub(group.members.len())?;
        candidates().find_map(|(remote, weight)| match left.checked_sub(weight) {
            Some(rest) => {
                left = rest;
                None
            }
            None => Some(remote),
        })
    }

    fn far_elsewhere(&mut self, plan: &Plan, group: &PlanGroup, flight: &Flight<'_>) -> Option<usize> {
        let origin = flight.arrived.map_or(b"".as_slice(), |arrived| arrived.origin);
        let is_back = |cluster: &str| !origin.is_empty() && cluster.as_bytes() == origin;
        let mut best: Option<((u8, Reverse<u64>), usize)> = None;
        let start = self.chance.below(group.far.len());
        let (before, from) = group.far.split_at_checked(start)?;
        for member in from.iter().chain(before) {
            let Target::Remote(remote) = &member.subscription.target else { continue };
            let Some(planned) = plan.remotes.get(member.remote) else { continue };
            if remote.leaf_cluster().is_some_and(is_back) {
                continue;
            }
            let is_leaf = planned.peer.is_leaf();
            let rank = match flight.arrived {
                // Another cluster is asked last, the nearest first.
                _ if planned.peer.is_gateway() => (0, Reverse(planned.peer.link.stats.rtt.load(Ordering::Relaxed))),
                Some(Arrived { place: Place::Route, .. }) => (1 + u8::from(is_leaf), Reverse(0)),
                _ => (1 + u8::from(!is_leaf && remote.origin.is_none()), Reverse(0)),
            };
            if best.is_none_or(|(known, _)| rank > known) {
                best = Some((rank, member.remote));
            }
        }
        best.map(|(_, remote)| remote)
    }

    /// The message to the other servers of the plan. One that is not for all goes where a group was chosen.
    #[inline(never)]
    pub(crate) fn cross<W: Witness>(&mut self, plan: &Plan, flight: &Flight<'_>, is_for_all: bool, witness: &mut W) {
        let origin = flight.arrived.map_or(b"".as_slice(), |arrived| arrived.origin);
        let mut marks = None;
        let has_name = |reply: &[u8]| without_shown(reply).len() < reply.len();
        let is_renamed = flight.shown.is_some() || flight.publish.reply.is_some_and(has_name);
        // Who follows a message counts other clusters last.
        let order = || plan.remotes.iter().enumerate().filter(|(_, remote)| !remote.peer.is_gateway());
        let last = || plan.remotes.iter().enumerate().filter(|(_, remote)| remote.peer.is_gateway());
        for (at, remote) in order().chain(last()) {
            let chosen = self.picked.iter().any(|(picked, _)| *picked == at);
            if !(chosen || remote.plain && is_for_all) {
                continue;
            }
            if remote.peer.is_leaf() && !origin.is_empty() && remote.peer.cluster.as_bytes() == origin {
                continue;
            }
            if let Some(rights) = &remote.peer.answers {
                self.grant_far_reply(&remote.peer, rights, flight);
            }
            let leaves = remote.peer.is_gateway() && *marks.get_or_insert_with(|| is_to_be_marked(flight));
            if W::LOOKS_CLOSELY {
                match witness.crosses(&remote.peer, flight.account) {
                    Crossing::AsItIs => {}
                    Crossing::Stays => continue,
                    Crossing::Hop(name) => {
                        self.tally.went(flight.account, remote.peer.link.kind, flight.whole.counted);
                        self.send_followed(plan, at, remote, flight, leaves, &name);
                        continue;
                    }
                }
            }
            self.tally.went(flight.account, remote.peer.link.kind, flight.whole.counted);
            let is_composed = chosen || leaves || is_renamed || flight.marked.is_some() || remote.with_origin.is_some();
            if is_composed || is_told(remote, flight) {
                self.send_composed(plan, at, remote, flight, leaves);
            } else {
                self.send_ready(plan, remote, flight);
            }
        }
        self.picked.clear();
    }

    /// A leaf node that may answer is asked: to a reply that it may not publish to anyway it may from now on.
    #[cold]
    fn grant_far_reply(&mut self, peer: &RemotePeer, rights: &LinkRights, flight: &Flight<'_>) {
        let Some(reply) = flight.marked.or(flight.publish.reply).map(without_shown) else { return };
        if Subject::parse(reply).is_ok_and(|reply| rights.take(reply).is_err()) {
            self.stages.grant_reply(&peer.link, reply, flight.now);
        }
    }

    fn send_ready(&mut self, plan: &Plan, remote: &PlanRemote, flight: &Flight<'_>) {
        let link = &remote.peer.link;
        let (head, laid) = match (flight.publish.header_len, remote.peer.headers) {
            (0, _) => (&remote.bare, flight.whole),
            (_, true) => (&remote.with_headers, flight.whole),
            (_, false) => (&remote.bare, flight.stripped),
        };
        self.stages.message(link.slot, link, flight.link, plan.piece(head), laid);
    }

    /// The message with the name of its hop in the headers.
    #[cold]
    fn send_followed(
        &mut self,
        plan: &Plan,
        at: usize,
        remote: &PlanRemote,
        flight: &Flight<'_>,
        leaves: bool,
        hop: &str,
    ) {
        let Some((block, payload)) = flight.whole.body.split_at_checked(flight.publish.header_len) else { return };
        let mut bytes = crate::trace::with_hop(block, hop);
        let header_len = bytes.len();
        bytes.extend_from_slice(payload);
        let size = bytes.len().saturating_sub(2);
        let whole = Laid { tail: b"", body: &bytes, borrowed: None, counted: size as u64 };
        let publish = Publish { header_len, body: 0..size, ..*flight.publish };
        let flight = Flight { publish: &publish, whole: &whole, ..*flight };
        self.send_composed(plan, at, remote, &flight, leaves);
    }

    /// Puts the head together. `leaves` marks the reply, so that the answer finds back to this cluster.
    fn send_composed(&mut self, plan: &Plan, at: usize, remote: &PlanRemote, flight: &Flight<'_>, leaves: bool) {
        let laid = if remote.peer.headers { flight.whole } else { flight.stripped };
        let header_len = if remote.peer.headers { flight.publish.header_len } else { 0 };
        let prefix = match (&remote.with_origin, header_len) {
            (Some(origin), _) => origin,
            (None, 0) => &remote.bare,
            (None, _) => &remote.with_headers,
        };
        let mut head = std::mem::take(self.head);
        head.clear();
        if is_told(remote, flight) {
            self.telling.write(&mut head, flight.rights);
        }
        head.extend_from_slice(plan.piece(prefix));
        let queues = || self.picked.iter().filter(|(picked, _)| *picked == at).map(|(_, name)| &**name);
        if queues().next().is_some() {
            head.extend_from_slice(if flight.publish.reply.is_some() { b"+ " } else { b"| " });
        }
        if let Some(reply) = flight.marked.or(flight.publish.reply) {
            // What a client writes there names no subject: only a stream's own message is shown under another one.
            let reply = without_shown(reply);
            let links = self.hub.links.settings.load();
            match (&links.gateways, flight.shown) {
                (Some(gateways), _) if leaves => gateways.mapper.map(&mut head, reply, remote.peer.old_replies),
                (_, Some(shown)) => with_shown(reply, shown, &mut head),
                _ => head.extend_from_slice(reply),
            }
            head.push(b' ');
        }
        // Passed on within the cluster, or come so: whoever is in no group there has it already.
        let alone = flight.arrived.is_some_and(|arrived| {
            arrived.queues.is_for_groups_alone() || arrived.place == Place::Route && !remote.plain
        });
        for word in queues().chain(queues().take(usize::from(alone))) {
            head.extend_from_slice(word);
            head.push(b' ');
        }
        let mut digits = itoa::Buffer::new();
        if header_len > 0 || remote.with_origin.is_some() {
            head.extend_from_slice(digits.format(header_len).as_bytes());
            head.push(b' ');
        }
        head.extend_from_slice(digits.format(laid.body.len() - 2).as_bytes());
        head.extend_from_slice(b"\r\n");
        let link = &remote.peer.link;
        self.stages.message(link.slot, link, flight.link, &head, &Laid { tail: b"", ..*laid });
        *self.head = head;
    }
}

/// Whether the reply of a message that leaves the cluster is marked: somebody has only just begun to wait for the answer. A
/// message that came from another cluster keeps what it has.
fn is_to_be_marked(flight: &Flight<'_>) -> bool {
    // Acknowledgements go to the stream, which has listened all the time.
    let is_recent = |reply: &[u8]| !reply.starts_with(b"$JS.ACK.") && flight.account.recent.has(reply);
    flight.marked.is_none() && flight.publish.reply.is_some_and(is_recent)
}
