//! Each account that waits has its turn, and makes up for what it did beyond one.

use super::saying::{MAX_SAID_BYTES, Outboxes};
use super::{Desk, InAccount};
use crate::barrier::guarded;
use crate::lanes::{Lane, Lanes, Waiting};
use jetstream::{Now, Surroundings};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Units of work of one account before it is the others' turn: for messages that came, for what is due, and for what is delivered. A
/// message more may be begun; what it costs beyond that is a debt, and its account is passed over until that is paid.
pub(super) const TURN_UNITS: u64 = 16_384;
/// Turns that an account has in a round that it shares with nobody.
const TURNS_ALONE: usize = 4;

/// Units of work that were done.
#[derive(Default)]
pub(super) struct Debts {
    /// What accounts did beyond their turns.
    owed: BTreeMap<Arc<str>, u64>,
    /// All that was done so far, for all accounts.
    done: u64,
}

impl Debts {
    /// An account did so many in a turn; what is more than that has is to be made up for.
    pub(super) fn note(&mut self, account: &Arc<str>, units: u64, turn: u64) {
        self.done += units;
        if units > turn {
            *self.owed.entry(account.clone()).or_default() += units - turn;
        }
    }

    pub(super) fn is_owed(&self, account: &Arc<str>) -> bool {
        self.owed.contains_key(account)
    }

    /// Each gives up a turn.
    pub(super) fn pay(&mut self, turn: u64) {
        self.owed.values_mut().for_each(|owed| *owed = owed.saturating_sub(turn));
        self.owed.retain(|_, owed| *owed > 0);
    }

    pub(super) fn units_done(&self) -> u64 {
        self.done
    }
}

impl Desk {
    /// Gives each account that waits a turn, or a few to one that waits alone, until a round has enough to say.
    pub(super) fn give_turns(&mut self, now: Now, outboxes: &mut Outboxes, more: &mut dyn FnMut(&mut Lanes)) {
        let (mut turns, mut said, mut served, mut is_shared) = (0, 0, None, false);
        // What comes while nobody waits begins a round of its own: answers are on their way meanwhile.
        while said < MAX_SAID_BYTES && !self.lanes.is_empty() {
            more(&mut self.lanes);
            if !self.lanes.has_next() && !is_shared && turns < TURNS_ALONE {
                self.lanes.next_round();
            }
            let Some(lane) = self.lanes.next() else { break };
            // Whoever was served in this round is not forgotten because nothing of it waits just now.
            is_shared |= !self.lanes.is_empty() || served.as_ref().is_some_and(|served| *served != lane.account);
            (turns, served) = (turns + 1, Some(lane.account.clone()));
            match is_shared && self.debts.is_owed(&lane.account) {
                true => self.lanes.had_turn(lane),
                false => said += self.give_turn(lane, now, outboxes),
            }
        }
        self.lanes.next_round();
    }

    /// Gives an account its turn. How many bytes were said.
    fn give_turn(&mut self, mut lane: Lane, now: Now, outboxes: &mut Outboxes) -> usize {
        let account = lane.account.clone();
        let Some(tenant) = self.tenants.get_mut(&account) else {
            // Nobody is heard in it any more.
            while lane.first().is_some() {
                self.lanes.advance(&mut lane);
            }
            return 0;
        };
        let (interest, out) = (InAccount { port: &*self.port, account: &account }, outboxes.of(&account));
        let before = out.bytes();
        tenant.begin_turn(self.settings.turn_units);
        let done = guarded(|| {
            let mut around = Surroundings::own(&mut self.shelving, now, &interest, out);
            if !tenant.go_on(&mut around) || !tenant.may_receive() {
                return;
            }
            while !tenant.has_done_enough()
                && around.out.bytes().saturating_sub(before) < MAX_SAID_BYTES
                && let Some(Waiting { door, message, asker, follower }) = lane.first()
            {
                let (shelves, out) = (&mut *around.shelves, &mut *around.out);
                let mut around = Surroundings { shelves, now, interest: &interest, out, asker, follower };
                if !tenant.receive(door, &message, &mut around) {
                    break;
                }
                self.lanes.advance(&mut lane);
                if tenant.is_at_work() {
                    break;
                }
            }
        });
        let said = out.bytes().saturating_sub(before);
        self.debts.note(&account, tenant.units_done(), self.settings.turn_units);
        if let Err(why) = done {
            outboxes.by_account.remove(&account);
            self.quarantine(&account, &why);
            // What broke it is not tried again.
            self.lanes.advance(&mut lane);
        }
        self.lanes.had_turn(lane);
        said
    }

    /// What was held back until something was done is said now, so that it waits for the commit of this round.
    pub(super) fn say_held(&mut self, outboxes: &mut Outboxes) {
        for (account, tenant) in self.tenants.iter_mut().filter(|(_, tenant)| tenant.holds_back()) {
            tenant.say_held(outboxes.of(account));
        }
    }
}
