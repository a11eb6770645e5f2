//! Messages that wait, by account: each account has its turns, and waits for its own messages longer than for those of others.

use crate::inlet::Arrival;
use jetstream::{Asker, Door, Follower, Incoming};
use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::Arc;

/// Memory of a batch that is kept for the next one.
const KEPT_BYTES: usize = 4 * 1024 * 1024;
/// Batches that are kept, empty.
const KEPT_BATCHES: usize = 16;

/// Where the parts of a message lie in the buffer of its batch.
struct Entry {
    door: Door,
    start: usize,
    subject: u32,
    reply: Option<u32>,
    headers: u32,
    payload: u32,
    asker: Option<Arc<dyn Asker>>,
    /// Which of the followers of the batch, from one on.
    follower: Option<NonZeroU32>,
}

/// Messages of one account, one after the other in one buffer.
#[derive(Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// Who follows some of them.
    followers: Vec<Arc<dyn Follower>>,
}

/// A message of a batch.
#[derive(Clone, Copy)]
pub(crate) struct Waiting<'a> {
    pub door: Door,
    pub message: Incoming<'a>,
    pub asker: Option<&'a Arc<dyn Asker>>,
    pub follower: Option<&'a Arc<dyn Follower>>,
}

/// How many messages, of how many bytes, and how many requests are among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub messages: usize,
    pub bytes: usize,
    pub requests: usize,
}

impl Load {
    pub(crate) fn of(door: Door, message: &Incoming<'_>) -> Load {
        let Incoming { subject, reply, headers, payload } = *message;
        let bytes = subject.len() + reply.map_or(0, <[u8]>::len) + headers.len() + payload.len();
        Load { messages: 1, bytes, requests: usize::from(door == Door::Requests) }
    }

    pub(crate) fn add(&mut self, other: Load) {
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.requests += other.requests;
    }

    pub(crate) fn take(&mut self, other: Load) {
        self.messages = self.messages.saturating_sub(other.messages);
        self.bytes = self.bytes.saturating_sub(other.bytes);
        self.requests = self.requests.saturating_sub(other.requests);
    }
}

impl Batch {
    /// Copies a message to the end.
    pub(crate) fn push(&mut self, arrival: &Arrival<'_>) {
        let Incoming { subject, reply, headers, payload } = arrival.message;
        let start = self.bytes.len();
        for part in [subject, reply.unwrap_or_default(), headers, payload] {
            self.bytes.extend_from_slice(part);
        }
        self.entries.push(Entry {
            door: arrival.door,
            start,
            subject: length(subject),
            reply: reply.map(length),
            headers: length(headers),
            payload: length(payload),
            asker: arrival.asker.cloned(),
            follower: arrival.follower.and_then(|follower| {
                self.followers.push(follower.clone());
                NonZeroU32::new(u32::try_from(self.followers.len()).ok()?)
            }),
        });
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// One of them, by its place.
    #[inline]
    pub(crate) fn get(&self, at: usize) -> Option<Waiting<'_>> {
        let entry = self.entries.get(at)?;
        let mut rest = &self.bytes[entry.start..];
        let mut take = |length: u32| {
            let (part, after) = rest.split_at(length as usize);
            rest = after;
            part
        };
        let subject = take(entry.subject);
        let reply = entry.reply.map(&mut take);
        let (headers, payload) = (take(entry.headers), take(entry.payload));
        Some(Waiting {
            door: entry.door,
            message: Incoming { subject, reply, headers, payload },
            asker: entry.asker.as_ref(),
            follower: entry.follower.and_then(|number| self.followers.get(number.get() as usize - 1)),
        })
    }

    /// What those between two places weigh.
    fn load(&self, from: usize, to: usize) -> Load {
        let start = |at: usize| self.entries.get(at).map_or(self.bytes.len(), |entry| entry.start);
        let messages = self.entries.get(from..to).unwrap_or_default();
        let requests = messages.iter().filter(|entry| entry.door == Door::Requests).count();
        Load { messages: messages.len(), bytes: start(to) - start(from), requests }
    }

    /// Empty, for the next messages.
    fn cleared(mut self) -> Batch {
        if self.bytes.capacity() > KEPT_BYTES {
            return Batch::default();
        }
        self.bytes.clear();
        self.entries.clear();
        self.followers.clear();
        self
    }
}

/// No part of a message is longer than a message may be, and that is far below four gigabytes.
fn length(part: &[u8]) -> u32 {
    u32::try_from(part.len()).expect("messages are bounded")
}

/// What waits of one account, in order.
pub(crate) struct Lane {
    pub account: Arc<str>,
    batch: Batch,
    /// How many of this batch are done with, and of how many of them that was noted.
    at: usize,
    noted: usize,
    /// What came behind it.
    more: VecDeque<Batch>,
}

impl Lane {
    /// The next message.
    #[inline]
    pub(crate) fn first(&self) -> Option<Waiting<'_>> {
        self.batch.get(self.at)
    }
}

/// What waits of all accounts.
#[derive(Default)]
pub(crate) struct Lanes {
    by_account: HashMap<Arc<str>, Lane>,
    /// Those that have not had their turn, and those that had it and have more.
    to_come: VecDeque<Arc<str>>,
    had_turn: VecDeque<Arc<str>>,
    /// What was done with, by account, and nobody was told yet.
    done: Vec<(Arc<str>, Load)>,
    spare: Vec<Batch>,
}

impl Lanes {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_account.is_empty()
    }

    /// Whether anybody waits for a turn who had none in this round.
    pub(crate) fn has_next(&self) -> bool {
        !self.to_come.is_empty()
    }

    /// Messages of an account come behind those that wait already.
    pub(crate) fn push(&mut self, account: &Arc<str>, batch: Batch) {
        if batch.is_empty() {
            return;
        }
        match self.by_account.get_mut(account) {
            Some(lane) => lane.more.push_back(batch),
            None => {
                let lane = Lane { account: account.clone(), batch, at: 0, noted: 0, more: VecDeque::new() };
                self.by_account.insert(account.clone(), lane);
                self.to_come.push_back(account.clone());
            }
        }
    }

    /// An empty batch.
    pub(crate) fn blank(&mut self) -> Batch {
        self.spare.pop().unwrap_or_default()
    }

    /// The account that has its turn: it is taken out until it had it.
    pub(crate) fn next(&mut self) -> Option<Lane> {
        let account = self.to_come.pop_front()?;
        self.by_account.remove(&account)
    }

    /// The first message of a lane is done with.
    #[inline]
    pub(crate) fn advance(&mut self, lane: &mut Lane) {
        lane.at += 1;
        if lane.at >= lane.batch.len() {
            self.next_batch(lane);
        }
    }

    fn next_batch(&mut self, lane: &mut Lane) {
        self.note_done(lane);
        (lane.at, lane.noted) = (0, 0);
        let empty = std::mem::replace(&mut lane.batch, lane.more.pop_front().unwrap_or_default());
        if self.spare.len() < KEPT_BATCHES {
            self.spare.push(empty.cleared());
        }
    }

    fn note_done(&mut self, lane: &mut Lane) {
        if lane.noted >= lane.at {
            return;
        }
        let load = lane.batch.load(std::mem::replace(&mut lane.noted, lane.at), lane.at);
        match self.done.last_mut().filter(|(account, _)| Arc::ptr_eq(account, &lane.account)) {
            Some((_, done)) => done.add(load),
            None => self.done.push((lane.account.clone(), load)),
        }
    }

    /// It had its turn. What is left of it waits for the next round, or for nothing.
    pub(crate) fn had_turn(&mut self, mut lane: Lane) {
        self.note_done(&mut lane);
        if lane.first().is_some() {
            self.had_turn.push_back(lane.account.clone());
            self.by_account.insert(lane.account.clone(), lane);
        }
    }

    /// Everybody may have a turn again.
    pub(crate) fn next_round(&mut self) {
        self.to_come.append(&mut self.had_turn);
    }

    /// What was done with since this was asked last.
    pub(crate) fn take_done(&mut self) -> Vec<(Arc<str>, Load)> {
        std::mem::take(&mut self.done)
    }

    /// Batches that are empty, to be filled again.
    pub(crate) fn take_spare(&mut self) -> Vec<Batch> {
        std::mem::take(&mut self.spare)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival<'a>(account: &'a Arc<str>, subject: &'a [u8]) -> Arrival<'a> {
        let message = Incoming { subject, reply: None, headers: b"", payload: b"" };
        Arrival { account, door: Door::Streams, message, asker: None, follower: None }
    }

    fn batch(account: &Arc<str>, subjects: &[&[u8]]) -> Batch {
        let mut batch = Batch::default();
        subjects.iter().for_each(|subject| batch.push(&arrival(account, subject)));
        batch
    }

    #[test]
    fn messages_keep_their_parts() {
        let account: Arc<str> = "A".into();
        let full =
            Incoming { subject: b"a.b", reply: Some(b"_INBOX.1"), headers: b"NATS/1.0\r\n\r\n", payload: b"body" };
        let mut batch = Batch::default();
        batch.push(&Arrival { message: full, ..arrival(&account, b"") });
        batch.push(&Arrival { door: Door::Requests, ..arrival(&account, b"a") });
        let first = batch.get(0).expect("there are two");
        assert_eq!((first.message, first.door), (full, Door::Streams));
        let second = batch.get(1).expect("there are two");
        assert_eq!((second.message, second.door), (arrival(&account, b"a").message, Door::Requests));
        assert!(batch.get(2).is_none() && batch.len() == 2);
    }

    #[test]
    fn who_had_a_turn_waits_for_all_others() {
        let (a, b): (Arc<str>, Arc<str>) = ("A".into(), "B".into());
        let mut lanes = Lanes::default();
        lanes.push(&a, batch(&a, &[b"1", b"2"]));
        lanes.push(&a, batch(&a, &[b"3"]));
        let mut lane = lanes.next().expect("A waits");
        assert_eq!(lane.first().map(|waiting| waiting.message.subject), Some(&b"1"[..]));
        lanes.advance(&mut lane);
        lanes.had_turn(lane);
        lanes.push(&b, batch(&b, &[b"x"]));
        lanes.push(&a, batch(&a, &[b"4"]));
        let mut lane = lanes.next().expect("B waits");
        assert_eq!(&*lane.account, "B");
        lanes.advance(&mut lane);
        lanes.had_turn(lane);
        assert!(lanes.next().is_none() && !lanes.has_next());
        lanes.next_round();
        let mut lane = lanes.next().expect("A has more");
        let mut seen = Vec::new();
        while let Some(Waiting { message, .. }) = lane.first() {
            seen.push(message.subject.to_vec());
            lanes.advance(&mut lane);
        }
        lanes.had_turn(lane);
        assert_eq!(seen, [b"2", b"3", b"4"]);
        assert!(lanes.is_empty());
        let done: usize = lanes.take_done().iter().map(|(_, load)| load.messages).sum();
        assert_eq!((done, lanes.take_done().len()), (5, 0));
    }
}
