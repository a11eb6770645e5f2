//! What accounts want done in a round is kept until it may be done.

use super::{Desk, Outcome};
use crate::Port;
use crate::shelf::Shelving;
use jetstream::{After, Door, Effect, Outbox, Tenant};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes that answers of one round may come to before they are sent, with those to one message more.
pub(super) const MAX_SAID_BYTES: usize = 8 * 1024 * 1024;
/// Empty outboxes that are kept.
const SPARE_OUTBOXES: usize = 4;

/// What the accounts want done in a round.
#[derive(Default)]
pub(super) struct Outboxes {
    pub(super) by_account: BTreeMap<Arc<str>, Outbox>,
    /// Empty ones, to be used again.
    spare: Vec<Outbox>,
}

impl Outboxes {
    pub(super) fn of(&mut self, account: &Arc<str>) -> &mut Outbox {
        let spare = &mut self.spare;
        self.by_account.entry(account.clone()).or_insert_with(|| spare.pop().unwrap_or_default())
    }

    /// Everything in them was done.
    fn put_away(&mut self) {
        while let Some((_, mut out)) = self.by_account.pop_first() {
            out.clear();
            if self.spare.len() < SPARE_OUTBOXES {
                self.spare.push(out);
            }
        }
    }
}

impl Desk {
    pub(super) fn perform_all(&self, outboxes: &mut Outboxes, outcome: &Outcome) {
        for (account, out) in &mut outboxes.by_account {
            self.perform(account, out, outcome);
        }
        outboxes.put_away();
    }

    pub(super) fn perform(&self, account: &str, out: &mut Outbox, outcome: &Outcome) {
        for effect in out.take_effects() {
            match effect {
                Effect::Listen(filter) => self.port.listen(account, Door::Streams, &filter),
                Effect::Unlisten(filter) => self.port.unlisten(account, Door::Streams, &filter),
                Effect::Hear(filter) => self.port.listen(account, Door::Copies, &filter),
                Effect::Deafen(filter) => self.port.unlisten(account, Door::Copies, &filter),
                Effect::Await(awaited) => self.port.await_interest(account, awaited),
                Effect::Forget(awaited) => self.port.no_longer_awaits(account, &awaited),
            }
        }
        if out.has_messages() {
            self.port.publish(account, &mut out.messages(|after| outcome.holds(after)));
        }
    }
}

/// Whoever waits for what an account did not get done hears that it failed.
pub(crate) fn refuse_held(port: &dyn Port, account: &str, tenant: &mut Tenant<Shelving>) {
    let held = tenant.take_held();
    if held.has_messages() {
        port.publish(account, &mut held.messages(|after| after == After::Nothing));
    }
}
