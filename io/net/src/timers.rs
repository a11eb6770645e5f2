//! When a worker must look at a connection although nothing happened.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use broker::ConnectionKey;
use moment::Instant;

/// Wake-ups of a worker's connections. An entry is never taken back: the connection is asked when it is due and says
/// when to ask again.
#[derive(Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, u32, u64)>>,
}

impl Timers {
    pub(crate) fn set(&mut self, at: Instant, key: ConnectionKey) {
        self.heap.push(Reverse((at, key.place, key.id)));
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// The next connection that is due: its place and id.
    pub(crate) fn due(&mut self, now: Instant) -> Option<(u32, u64)> {
        let Reverse((at, place, id)) = *self.heap.peek()?;
        if at > now {
            return None;
        }
        self.heap.pop();
        Some((place, id))
    }
}
