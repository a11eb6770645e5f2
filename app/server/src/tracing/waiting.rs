//! Hops that wait for the thread that sends them.

use std::collections::{HashMap, VecDeque};

use broker::Hop;

/// Hops that may wait.
pub(super) const WAITING_MAX: usize = 2_048;

/// What waits, oldest first. An account may have no more of it than there are free places: however much one leaves, there is
/// room for the others.
#[derive(Default)]
pub(super) struct Waiting {
    hops: VecDeque<Hop>,
    of_account: HashMap<String, usize>,
    /// Nothing more will come.
    pub(super) is_over: bool,
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.hops.len()
    }

    pub(super) fn has_room(&self, account: &str) -> bool {
        self.of_account.get(account).copied().unwrap_or(0) < WAITING_MAX.saturating_sub(self.hops.len())
    }

    /// Whether there was room for it.
    pub(super) fn push(&mut self, hop: Hop) -> bool {
        let takes = !self.is_over && self.has_room(&hop.account);
        if takes {
            match self.of_account.get_mut(&hop.account) {
                Some(count) => *count += 1,
                None => drop(self.of_account.insert(hop.account.clone(), 1)),
            }
            self.hops.push_back(hop);
        }
        takes
    }

    /// So many of the oldest, at most.
    pub(super) fn pull(&mut self, most: usize) -> Vec<Hop> {
        let hops: Vec<Hop> = self.hops.drain(..most.min(self.hops.len())).collect();
        for hop in &hops {
            if let Some(count) = self.of_account.get_mut(&hop.account) {
                *count -= 1;
            }
        }
        self.of_account.retain(|_, count| *count > 0);
        hops
    }
}

#[cfg(test)]
mod tests {
    use broker::LinkKind;
    use moment::Timestamp;

    use super::*;

    fn hop(account: &str) -> Hop {
        let at = Timestamp::EPOCH;
        Hop {
            trace: [1; 16],
            parent: None,
            span: [1; 8],
            received: at,
            begun: at,
            decided: at,
            delivered: at,
            kind: LinkKind::Client,
            connection: 1,
            peer: String::new(),
            account: account.to_owned(),
            subject: String::new(),
            size_bytes: 0,
            refused: None,
            steps: Vec::new(),
            steps_left_out: 0,
        }
    }

    fn pushed(waiting: &mut Waiting, account: &str, how_many: usize) -> usize {
        (0..how_many).filter(|_| waiting.push(hop(account))).count()
    }

    #[test]
    fn one_account_fills_half_and_there_is_room_for_the_next() {
        let mut waiting = Waiting::default();
        assert_eq!(pushed(&mut waiting, "FLOOD", 10_000), WAITING_MAX / 2);
        assert_eq!(pushed(&mut waiting, "B", 10_000), WAITING_MAX / 4);
        assert!(waiting.has_room("C") && !waiting.has_room("FLOOD"));
    }

    #[test]
    fn what_is_pulled_makes_room_and_leaves_nothing_behind() {
        let mut waiting = Waiting::default();
        for _ in 0..3 {
            pushed(&mut waiting, "A", 700);
            pushed(&mut waiting, "B", 700);
            assert!(!waiting.has_room("A"));
            assert!(waiting.pull(5_000).len() > WAITING_MAX / 2);
            assert!(waiting.len() == 0 && waiting.of_account.is_empty());
        }
    }

    #[test]
    fn nothing_comes_behind_the_end() {
        let mut waiting = Waiting { is_over: true, ..Waiting::default() };
        assert!(!waiting.push(hop("A")));
    }
}
