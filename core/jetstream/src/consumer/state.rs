//! A consumer's state as it is kept.
//!
//! ```text
//! version u8 | created i64 | next | delivered 2 | floor 2 | firsts n | pending n: seq, consumer seq, count
//! ```
//!
//! All numbers are u64, low byte first. Deadlines are not kept: after a restart everything without acknowledgement gets a
//! full wait again.

use super::{Consumer, Pending, Position};
use crate::outbox::Now;
use moment::Timestamp;

const VERSION: u8 = 1;

impl Consumer {
    /// The state, to be kept.
    pub(crate) fn encode_state(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + 24 * self.deliveries.len());
        out.push(VERSION);
        let mut put = |number: u64| out.extend_from_slice(&number.to_le_bytes());
        put(self.created.as_nanos() as u64);
        [self.next, self.delivered.consumer, self.delivered.stream].into_iter().for_each(&mut put);
        [self.floor.consumer, self.floor.stream].into_iter().for_each(&mut put);
        put(self.firsts.len() as u64);
        self.firsts.iter().copied().for_each(&mut put);
        put(self.deliveries.len() as u64);
        for (seq, pending) in self.deliveries.iter() {
            [seq, pending.consumer_seq, pending.count].into_iter().for_each(&mut put);
        }
        out
    }

    /// Takes a kept state back. `None` when it makes no sense.
    pub(crate) fn restore_state(&mut self, bytes: &[u8], now: Now) -> Option<()> {
        let (&version, rest) = bytes.split_first()?;
        if version != VERSION || !rest.len().is_multiple_of(8) {
            return None;
        }
        let mut numbers = rest.chunks_exact(8).filter_map(|chunk| chunk.try_into().ok()).map(u64::from_le_bytes);
        self.created = Timestamp::from_nanos(numbers.next()? as i64);
        self.next = numbers.next()?.max(1);
        self.delivered = Position { consumer: numbers.next()?, stream: numbers.next()? };
        self.floor = Position { consumer: numbers.next()?, stream: numbers.next()? };
        for _ in 0..numbers.next()? {
            self.firsts.push_back(numbers.next()?);
        }
        for _ in 0..numbers.next()? {
            let (seq, consumer_seq, count) = (numbers.next()?, numbers.next()?, numbers.next()?);
            let wait = self.wait_of(count);
            let due = (!wait.is_zero()).then(|| now.tick + wait);
            self.deliveries.restore(seq, Pending { consumer_seq, count, since: now.tick, due });
        }
        Some(())
    }
}
