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

impl Flight<'_> {
    #[inline(always)]
    fn is_echo(&self, target: &PlanTarget) -> bool {
        self.no_echo && target.slot == self.link.slot
    }
}

impl Delivery<'_> {
    #[inline]
    pub(crate) fn fan_out(&mut self, plan: &Plan, flight: &Flight<'_>) {
        for target in &plan.targets {
            self.deliver(plan, target, flight);
        }
        for group in &plan.groups {
            if let Some(member) = self.pick(group, flight) {
                self.deliver(plan, member, flight);
            }
        }
    }

    /// One member of a queue group, by chance, among those that may have the message.
    fn pick<'p>(&mut self, group: &'p [PlanTarget], flight: &Flight<'_>) -> Option<&'p PlanTarget> {
        let takes = |member: &&PlanTarget| {
            let over = member.limited && member.client().is_some_and(ClientTarget::is_over);
            !over && !flight.is_echo(member)
        };
        let (before, from) = group.split_at(self.chance.below(group.len()));
        from.iter().chain(before).find(takes)
    }

    #[inline(always)]
    fn deliver(&mut self, plan: &Plan, target: &PlanTarget, flight: &Flight<'_>) {
        if flight.is_echo(target) {
            return;
        }
        let client = match &target.subscription.target {
            Target::Client(client) => client,
            Target::Internal(internal) => return hand_over(&**internal, flight),
        };
        if target.limited || target.grants_replies {
            if !self.before_delivery(target, client, flight) {
                return;
            }
        } else {
            target.delivered.set(target.delivered.get() + 1);
        }
        let head = plan.head(target);
        let (head, laid) = if flight.publish.header_len == 0 {
            (&head[1..], flight.whole)
        } else if target.headers {
            (head, flight.whole)
        } else {
            (&head[1..], flight.stripped)
        };
        self.stages.message(target.slot, &client.peer.link, flight.link, head, laid);
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

/// Gives the message to a part of this server.
#[cold]
fn hand_over(internal: &dyn InternalSubscriber, flight: &Flight<'_>) {
    let Publish { subject, reply, header_len, .. } = *flight.publish;
    let body = flight.whole.body.strip_suffix(b"\r\n").unwrap_or(flight.whole.body);
    let (headers, payload) = body.split_at_checked(header_len).unwrap_or((b"", body));
    let sender = Sender { link: Some(flight.link), account: flight.account };
    internal.deliver(&Message { subject, reply, headers, payload }, &sender);
}
