//! Who wants to be read, and in which order: those who are past their handshake all of them in each round, those who are
//! not a few at a time, so that a crowd at the door delays no message.

use std::collections::VecDeque;

use crate::socket::Socket;

/// Connections before the end of their handshake that are read before the others get their turn.
const STRANGERS_PER_ROUND: usize = 1;

/// The connections of one worker that want to be read, each listed once.
#[derive(Default)]
pub(crate) struct Ready {
    known: VecDeque<usize>,
    strangers: VecDeque<usize>,
}

impl Ready {
    /// Lists a connection that wants reading.
    pub(crate) fn list(&mut self, place: usize, socket: &mut Socket) {
        if socket.wants_reading() && !socket.listed {
            socket.listed = true;
            self.push(place, socket.is_stranger());
        }
    }

    fn push(&mut self, place: usize, is_stranger: bool) {
        if is_stranger { &mut self.strangers } else { &mut self.known }.push_back(place);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty() && self.strangers.is_empty()
    }

    /// How many are read in a round that begins now: first of those who are known, then of the others.
    pub(crate) fn round(&self) -> (usize, usize) {
        (self.known.len(), self.strangers.len().min(STRANGERS_PER_ROUND))
    }

    pub(crate) fn next_known(&mut self) -> Option<usize> {
        self.known.pop_front()
    }

    pub(crate) fn next_stranger(&mut self) -> Option<usize> {
        self.strangers.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_of_strangers_is_read_a_few_at_a_time_and_nobody_is_forgotten() {
        let mut ready = Ready::default();
        (0..100).for_each(|place| ready.push(place, true));
        (100..103).for_each(|place| ready.push(place, false));
        assert_eq!(ready.round(), (3, STRANGERS_PER_ROUND));
        let known: Vec<_> = std::iter::from_fn(|| ready.next_known()).collect();
        assert_eq!(known, [100, 101, 102]);
        assert_eq!(ready.round(), (0, STRANGERS_PER_ROUND));
        assert!(!ready.is_empty());
        assert!(std::iter::from_fn(|| ready.next_stranger()).eq(0..100));
        assert!(ready.is_empty());
    }
}
