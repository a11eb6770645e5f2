//! Counts added up: over connections that are, and those that were.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use broker::{AccountState, Crossed, Hub, Numbers, Registered};

/// Messages and bytes both ways.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) in_msgs: u64,
    pub(crate) in_bytes: u64,
    pub(crate) out_msgs: u64,
    pub(crate) out_bytes: u64,
}

impl Traffic {
    /// What the connections of one account have counted, and those it had.
    pub(crate) fn of_account(hub: &Hub, account: &AccountState) -> Self {
        let mut traffic = Self::of_retired(account);
        for Registered { link, account: home, .. } in hub.connections() {
            if home.is_some_and(|home| home.id == account.id) {
                traffic.add(link.stats.numbers().into());
            }
        }
        traffic
    }

    fn of_retired(account: &AccountState) -> Self {
        let retired = account.retired();
        Self {
            in_msgs: retired.in_msgs.load(Ordering::Relaxed),
            in_bytes: retired.in_bytes.load(Ordering::Relaxed),
            out_msgs: retired.out_msgs.load(Ordering::Relaxed),
            out_bytes: retired.out_bytes.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn add(&mut self, more: Self) {
        self.in_msgs = self.in_msgs.wrapping_add(more.in_msgs);
        self.in_bytes = self.in_bytes.wrapping_add(more.in_bytes);
        self.out_msgs = self.out_msgs.wrapping_add(more.out_msgs);
        self.out_bytes = self.out_bytes.wrapping_add(more.out_bytes);
    }

    fn at_least(self, floor: Self) -> Self {
        Self {
            in_msgs: self.in_msgs.max(floor.in_msgs),
            in_bytes: self.in_bytes.max(floor.in_bytes),
            out_msgs: self.out_msgs.max(floor.out_msgs),
            out_bytes: self.out_bytes.max(floor.out_bytes),
        }
    }
}

impl From<Numbers> for Traffic {
    fn from(numbers: Numbers) -> Self {
        let Numbers { in_msgs, in_bytes, out_msgs, out_bytes, .. } = numbers;
        Self { in_msgs, in_bytes, out_msgs, out_bytes }
    }
}

/// One account, added up.
pub(crate) struct AccountTotal {
    pub(crate) account: Arc<AccountState>,
    pub(crate) name: String,
    pub(crate) traffic: Traffic,
}

/// The accounts that have come to life, by name, added up.
///
/// A connection that closes while this adds may be missed, and is never counted twice: it leaves the register before its
/// counts go to the account, and the account is read first.
pub(crate) fn of_accounts(hub: &Hub) -> Vec<AccountTotal> {
    let mut totals: Vec<AccountTotal> = hub.accounts().into_iter().map(AccountTotal::new).collect();
    let places: HashMap<_, _> = totals.iter().enumerate().map(|(place, total)| (total.account.id, place)).collect();
    for Registered { link, account, .. } in hub.connections() {
        let place = account.and_then(|account| places.get(&account.id).copied());
        if let Some(total) = place.and_then(|place| totals.get_mut(place)) {
            total.traffic.add(link.stats.numbers().into());
        }
    }
    totals.sort_by(|a, b| a.name.cmp(&b.name));
    totals
}

impl AccountTotal {
    fn new(account: Arc<AccountState>) -> Self {
        Self { name: account.settings().name.to_string(), traffic: Traffic::of_retired(&account), account }
    }
}

/// Totals of the server that never go back, though a sum may miss a connection that closes just then.
#[derive(Default)]
pub(crate) struct Rising(Traffic);

/// What the server has moved.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    /// For its clients.
    pub(crate) clients: Traffic,
    /// For them, and for other servers.
    pub(crate) all: Traffic,
}

impl Rising {
    pub(crate) fn of(&mut self, totals: &[AccountTotal]) -> Moved {
        let mut sum = Traffic::default();
        totals.iter().for_each(|total| sum.add(total.traffic));
        self.0 = sum.at_least(self.0);
        let mut all = self.0;
        totals.iter().for_each(|total| all.add(total.account.crossed().into()));
        Moved { clients: self.0, all }
    }
}

impl From<Crossed> for Traffic {
    fn from(crossed: Crossed) -> Self {
        let (inward, outward) = (crossed.inward.total(), crossed.outward.total());
        Self { in_msgs: inward.msgs, in_bytes: inward.bytes, out_msgs: outward.msgs, out_bytes: outward.bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_never_go_back() {
        let mut rising = Rising(Traffic { in_msgs: 5, ..Traffic::default() });
        assert_eq!(rising.of(&[]).clients.in_msgs, 5);
    }
}
