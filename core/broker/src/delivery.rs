//! Delivery: one message to everybody a plan names.

use std::cell::Cell;
use std::sync::Arc;

use auth::Denial;
use moment::Instant;
use subject::Subject;
use wire::client::Publish;

use crate::account_state::AccountState;
use crate::chance::Chance;
use crate::hub::Hub;
use crate::internal::{InternalSubscriber, Message, Rights, Sender};
use crate::link::{Link, LinkKind};
use crate::links::crossed::Tally;
use crate::links::crossing::Arrived;
use crate::links::remote::RemotePeer;
use crate::links::telling_rights::TellingRights;
use crate::plan::{Plan, PlanTarget};
use crate::stage::{Laid, Stages};
use crate::subscription::{ClientTarget, Subscription, Target, Turn};
use crate::trace::Follower;

/// One message on its way to many targets.
#[derive(Clone, Copy)]
pub(crate) struct Flight<'a> {
    /// Whose message it is.
    pub(crate) link: &'a Arc<Link>,
    /// It is not to come back to its publisher.
    pub(crate) no_echo: bool,
    /// The subject receivers see, where it is not the one it is routed by.
    pub(crate) shown: Option<&'a [u8]>,
    pub(crate) publish: &'a Publish<'a>,
    /// The reply as it came from another cluster, where clients see another one.
    pub(crate) marked: Option<&'a [u8]>,
    /// Another server wants to hear how long the answer takes.
    pub(crate) measured: bool,
    /// The message as it came.
    pub(crate) whole: &'a Laid<'a>,
    /// Without headers, for clients that read none.
    pub(crate) stripped: &'a Laid<'a>,
    pub(crate) account: &'a Arc<AccountState>,
    /// What the message says about itself, if it came from another server.
    pub(crate) arrived: Option<&'a Arrived<'a>>,
    pub(crate) now: Instant,
    pub(crate) rights: Rights<'a>,
}

/// What delivering needs of a worker.
pub(crate) struct Delivery<'a> {
    pub(crate) stages: &'a mut Stages,
    pub(crate) chance: &'a mut Chance,
    /// Subscriptions that get their last message.
    pub(crate) spent: &'a mut Vec<Arc<Subscription>>,
    /// Servers chosen for a queue group: the place among the plan's remotes, and the group.
    pub(crate) picked: &'a mut Vec<(usize, Box<[u8]>)>,
    /// Room for a head that is put together for one message.
    pub(crate) head: &'a mut Vec<u8>,
    /// What other clusters are told of who publishes.
    pub(crate) telling: &'a mut TellingRights,
    /// What crosses to other servers.
    pub(crate) tally: &'a mut Tally,
    pub(crate) hub: &'a Hub,
    /// The publisher has been told that it gets no answer.
    pub(crate) unanswered: bool,
}

/// Why a target does not get a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Missed {
    /// It is the publisher, who asked for no echo.
    Echo,
    /// Its subscription must not have the subject.
    Withheld,
    /// Its subscription has had all its messages.
    Over,
    /// It is so far behind that messages are left out.
    Behind,
    /// Its connection is over.
    Closed,
}

/// How a witness wants to see a message that is carried into another account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Carried {
    /// Like any other.
    On,
    /// Delivered, and not looked at.
    Unseen,
    /// Not at all.
    NoFurther,
}

/// How a message goes to another server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Crossing {
    /// As it is.
    AsItIs,
    /// With the name of this hop in its headers.
    Hop(String),
    /// Not at all.
    Stays,
}

/// Looks on while a message is delivered.
pub(crate) trait Witness {
    /// Whether more is asked than delivering itself needs.
    const LOOKS_CLOSELY: bool;

    /// Whether receivers may see another subject than the one the message is routed by.
    const RENAMES: bool;

    /// Whether the message is delivered at all, not just followed.
    fn delivers(&self) -> bool;

    /// A part of this server is handed the message; if it has something to add to what is told, by this.
    fn handed(&mut self, _: &dyn InternalSubscriber) -> Option<Follower> {
        None
    }

    /// The target gets the message, or would get it.
    fn reached(&mut self, subscription: &Subscription, client: &ClientTarget);

    /// The message is carried by a stream import to a target of another account, under this subject.
    fn carried(&mut self, _: &ClientTarget, _subject: &[u8], _traced: bool) -> Carried {
        Carried::On
    }

    /// The target does not get the message.
    fn missed(&mut self, subscription: &Subscription, missed: Missed);

    /// These bytes are on their way.
    fn staged(&mut self, client: &ClientTarget, head: &[u8], laid: &Laid<'_>, header_len: usize);

    /// The message is about to go to another server, from this account.
    fn crosses(&mut self, _: &RemotePeer, _account: &AccountState) -> Crossing {
        Crossing::AsItIs
    }
}

/// The witness of most messages.
pub(crate) struct Nobody;

impl Witness for Nobody {
    const LOOKS_CLOSELY: bool = false;
    const RENAMES: bool = false;

    #[inline(always)]
    fn delivers(&self) -> bool {
        true
    }

    #[inline(always)]
    fn reached(&mut self, _: &Subscription, _: &ClientTarget) {}

    #[inline(always)]
    fn missed(&mut self, _: &Subscription, _: Missed) {}

    #[inline(always)]
    fn staged(&mut self, _: &ClientTarget, _: &[u8], _: &Laid<'_>, _: usize) {}
}

/// The witness of messages whose receivers see another subject.
pub(crate) struct Renaming;

impl Witness for Renaming {
    const LOOKS_CLOSELY: bool = false;
    const RENAMES: bool = true;

    fn delivers(&self) -> bool {
        true
    }

    fn reached(&mut self, _: &Subscription, _: &ClientTarget) {}

    fn missed(&mut self, _: &Subscription, _: Missed) {}

    fn staged(&mut self, _: &ClientTarget, _: &[u8], _: &Laid<'_>, _: usize) {}
}

impl Flight<'_> {
    #[inline(always)]
    fn is_echo(&self, target: &PlanTarget) -> bool {
        self.no_echo && target.slot == self.link.slot
    }
}

impl Delivery<'_> {
    #[inline]
    pub(crate) fn fan_out<W: Witness>(&mut self, plan: &Plan, flight: &Flight<'_>, witness: &mut W) {
        let is_for_all = flight.arrived.is_none_or(|arrived| !arrived.queues.is_for_groups_alone());
        if is_for_all {
            for target in &plan.targets {
                self.deliver(plan, target, flight, witness);
            }
        }
        for group in &plan.groups {
            let member = if group.far.is_empty() && flight.arrived.is_none() {
                self.pick(&group.members, flight, witness)
            } else {
                self.pick_anywhere(plan, group, flight, witness)
            };
            if let Some(member) = member {
                self.deliver(plan, member, flight, witness);
            }
        }
        if !plan.remotes.is_empty() {
            self.cross(plan, flight, is_for_all, witness);
        }
    }

    /// One member of a queue group, by chance, among those that may have the message.
    pub(crate) fn pick<'p, W: Witness>(
        &mut self,
        group: &'p [PlanTarget],
        flight: &Flight<'_>,
        witness: &mut W,
    ) -> Option<&'p PlanTarget> {
        let takes = |member: &&PlanTarget| {
            let over = member.limited && member.client().is_some_and(ClientTarget::is_over);
            if over {
                witness.missed(&member.subscription, Missed::Over);
            } else if flight.is_echo(member) {
                witness.missed(&member.subscription, Missed::Echo);
            } else {
                return true;
            }
            false
        };
        let (before, from) = group.split_at(self.chance.below(group.len()));
        from.iter().chain(before).find(takes)
    }

    /// Tells a client of this server that its reply is refused, once for each message.
    #[cold]
    fn leave_unanswered(&mut self, publisher: &Arc<Link>, denial: &Denial) {
        if publisher.kind == LinkKind::Client && !std::mem::replace(&mut self.unanswered, true) {
            self.stages.line(publisher, &wire::encode::err(&denial.wire_text()));
        }
    }

    #[inline(always)]
    fn deliver<W: Witness>(&mut self, plan: &Plan, target: &PlanTarget, flight: &Flight<'_>, witness: &mut W) {
        if flight.is_echo(target) {
            return witness.missed(&target.subscription, Missed::Echo);
        }
        let client = match &target.subscription.target {
            Target::Client(client) => client,
            Target::Internal(internal) => {
                let follower = if W::LOOKS_CLOSELY { witness.handed(&**internal) } else { None };
                if follower.is_some() || witness.delivers() {
                    let unanswered = hand_over(&**internal, plan.head(target), flight, follower);
                    unanswered.into_iter().for_each(|denial| self.leave_unanswered(flight.link, &denial));
                }
                return;
            }
            // Other servers have their own place in a plan, and the rest stands for others who are targets themselves.
            Target::Remote(_) | Target::Shadow(_) | Target::Service(_) | Target::Answers => return,
        };
        let mut seen = true;
        if W::LOOKS_CLOSELY {
            match carried(plan, target, client, witness) {
                Carried::On => {
                    if !look(target, client, witness) {
                        return;
                    }
                }
                Carried::Unseen => seen = false,
                Carried::NoFurther => return,
            }
        }
        if target.limited || target.grants_replies || flight.measured || flight.marked.is_some() {
            if !self.before_delivery(plan, target, client, flight) {
                return witness.missed(&target.subscription, Missed::Over);
            }
        } else {
            target.delivered.set(target.delivered.get() + 1);
        }
        let head = match flight.shown {
            Some(shown) if W::RENAMES => {
                self.head.clear();
                for piece in [b"HMSG ", shown, plan.behind_shown(target, client)] {
                    self.head.extend_from_slice(piece);
                }
                &*self.head
            }
            _ => plan.head(target),
        };
        let (head, laid, header_len) = if flight.publish.header_len == 0 {
            (&head[1..], flight.whole, 0)
        } else if target.headers {
            (head, flight.whole, flight.publish.header_len)
        } else {
            (&head[1..], flight.stripped, 0)
        };
        self.stages.message(target.slot, &client.peer.link, flight.link, head, laid);
        if seen {
            witness.reached(&target.subscription, client);
        }
        witness.staged(client, head, laid, header_len);
    }

    /// What limited subscriptions and reply grants ask for. `false` if the message is not to be delivered.
    #[cold]
    fn before_delivery(
        &mut self,
        plan: &Plan,
        target: &PlanTarget,
        client: &ClientTarget,
        flight: &Flight<'_>,
    ) -> bool {
        if target.limited {
            match client.take_turn() {
                Turn::Over => return false,
                Turn::Last => self.spent.push(target.subscription.clone()),
                Turn::Deliver => {}
            }
        } else {
            target.delivered.set(target.delivered.get() + 1);
        }
        if let (true, Some(reply)) = (target.grants_replies, flight.publish.reply) {
            let permissions = client.peer.permissions.load();
            if Subject::parse(reply).is_ok_and(|reply| permissions.publish(reply).is_err()) {
                self.stages.grant_reply(&client.peer.link, reply, flight.now);
            }
        }
        if let (Some(marked), Some(reply)) = (flight.marked, flight.publish.reply) {
            client.peer.link.note_asked(reply, marked, flight.now);
        }
        if let (true, Some(reply)) = (flight.measured, flight.publish.reply) {
            client.hand_measured(plan.shown(target, client), reply, flight.now);
        }
        true
    }
}

/// What a witness says to a message that came by a stream import.
#[cold]
fn carried<W: Witness>(plan: &Plan, target: &PlanTarget, client: &ClientTarget, witness: &mut W) -> Carried {
    match target.carried {
        None => Carried::On,
        Some(traced) => witness.carried(client, plan.shown(target, client), traced),
    }
}

/// What only a witness wants to know before a delivery. `false` if there is none.
#[cold]
fn look<W: Witness>(target: &PlanTarget, client: &ClientTarget, witness: &mut W) -> bool {
    let subscription = &target.subscription;
    if !witness.delivers() {
        // A message that is only followed uses up nothing.
        witness.reached(subscription, client);
        return false;
    }
    let link = &client.peer.link;
    let missed = match link.closed() {
        Some(_) => Some(Missed::Closed),
        None => link.queue.lock().leaves_out().then_some(Missed::Behind),
    };
    missed.into_iter().for_each(|missed| witness.missed(subscription, missed));
    missed.is_none()
}

/// Gives the message to a part of this server. Why its publisher gets no answer, if the answer is refused.
#[cold]
fn hand_over(
    internal: &dyn InternalSubscriber,
    subject: &[u8],
    flight: &Flight<'_>,
    follower: Option<Follower>,
) -> Option<Denial> {
    let Publish { reply, header_len, .. } = *flight.publish;
    // A part of the server answers to where the message came from.
    let reply = flight.marked.or(reply);
    let body = flight.whole.body.strip_suffix(b"\r\n").unwrap_or(flight.whole.body);
    let (headers, payload) = body.split_at_checked(header_len).unwrap_or((b"", body));
    let unanswered = Cell::new(None);
    let sender =
        Sender { link: Some(flight.link), account: flight.account, rights: flight.rights, unanswered: &unanswered };
    let message = Message { subject, shown: flight.shown, reply, headers, payload };
    match follower {
        None => internal.deliver(&message, &sender),
        Some(follower) => internal.deliver_followed(&message, &sender, follower),
    }
    unanswered.take()
}
