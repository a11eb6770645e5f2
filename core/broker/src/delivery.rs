//! Delivery: one message to everybody a plan names.

use std::sync::Arc;

use moment::Instant;
use subject::Subject;
use wire::client::Publish;

use crate::account_state::AccountState;
use crate::chance::Chance;
use crate::internal::{InternalSubscriber, Message, Sender};
use crate::link::Link;
use crate::plan::{Plan, PlanTarget};
use crate::stage::{Laid, Stages};
use crate::subscription::{ClientTarget, Subscription, Target, Turn};

/// One message on its way to many targets.
pub(crate) struct Flight<'a> {
    /// Whose message it is.
    pub(crate) link: &'a Arc<Link>,
    /// It is not to come back to its publisher.
    pub(crate) no_echo: bool,
    pub(crate) publish: &'a Publish<'a>,
    /// The message as it came.
    pub(crate) whole: &'a Laid<'a>,
    /// Without headers, for clients that read none.
    pub(crate) stripped: &'a Laid<'a>,
    pub(crate) account: &'a Arc<AccountState>,
    pub(crate) now: Instant,
}

/// What delivering needs of a worker.
pub(crate) struct Delivery<'a> {
    pub(crate) stages: &'a mut Stages,
    pub(crate) chance: &'a mut Chance,
    /// Subscriptions that get their last message.
    pub(crate) spent: &'a mut Vec<Arc<Subscription>>,
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

/// Looks on while a message is delivered.
pub(crate) trait Witness {
    /// Whether more is asked than delivering itself needs.
    const LOOKS_CLOSELY: bool;

    /// Whether the message is delivered at all, not just followed.
    fn delivers(&self) -> bool;

    /// The target gets the message, or would get it.
    fn reached(&mut self, subscription: &Subscription, client: &ClientTarget);

    /// The target does not get the message.
    fn missed(&mut self, subscription: &Subscription, missed: Missed);

    /// These bytes are on their way.
    fn staged(&mut self, client: &ClientTarget, head: &[u8], laid: &Laid<'_>, header_len: usize);
}

/// The witness of most messages.
pub(crate) struct Nobody;

impl Witness for Nobody {
    const LOOKS_CLOSELY: bool = false;

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

impl Flight<'_> {
    #[inline(always)]
    fn is_echo(&self, target: &PlanTarget) -> bool {
        self.no_echo && target.slot == self.link.slot
    }
}

impl Delivery<'_> {
    #[inline]
    pub(crate) fn fan_out<W: Witness>(&mut self, plan: &Plan, flight: &Flight<'_>, witness: &mut W) {
        for target in &plan.targets {
            self.deliver(plan, target, flight, witness);
        }
        for group in &plan.groups {
            if let Some(member) = self.pick(group, flight, witness) {
                self.deliver(plan, member, flight, witness);
            }
        }
    }

    /// One member of a queue group, by chance, among those that may have the message.
    fn pick<'p, W: Witness>(
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

    #[inline(always)]
    fn deliver<W: Witness>(&mut self, plan: &Plan, target: &PlanTarget, flight: &Flight<'_>, witness: &mut W) {
        if flight.is_echo(target) {
            return witness.missed(&target.subscription, Missed::Echo);
        }
        let client = match &target.subscription.target {
            Target::Client(client) => client,
            Target::Internal(internal) => {
                if witness.delivers() {
                    hand_over(&**internal, flight);
                }
                return;
            }
        };
        if W::LOOKS_CLOSELY && !look(target, client, witness) {
            return;
        }
        if target.limited || target.grants_replies {
            if !self.before_delivery(target, client, flight) {
                return witness.missed(&target.subscription, Missed::Over);
            }
        } else {
            target.delivered.set(target.delivered.get() + 1);
        }
        let head = plan.head(target);
        let (head, laid, header_len) = if flight.publish.header_len == 0 {
            (&head[1..], flight.whole, 0)
        } else if target.headers {
            (head, flight.whole, flight.publish.header_len)
        } else {
            (&head[1..], flight.stripped, 0)
        };
        self.stages.message(target.slot, &client.peer.link, flight.link, head, laid);
        witness.reached(&target.subscription, client);
        witness.staged(client, head, laid, header_len);
    }

    /// What limited subscriptions and reply grants ask for. `false` if the message is not to be delivered.
    #[cold]
    fn before_delivery(&mut self, target: &PlanTarget, client: &ClientTarget, flight: &Flight<'_>) -> bool {
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
        true
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

/// Gives the message to a part of this server.
#[cold]
fn hand_over(internal: &dyn InternalSubscriber, flight: &Flight<'_>) {
    let Publish { subject, reply, header_len, .. } = *flight.publish;
    let body = flight.whole.body.strip_suffix(b"\r\n").unwrap_or(flight.whole.body);
    let (headers, payload) = body.split_at_checked(header_len).unwrap_or((b"", body));
    let sender = Sender { link: Some(flight.link), account: flight.account };
    internal.deliver(&Message { subject, reply, headers, payload }, &sender);
}
