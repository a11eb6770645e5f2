//! The queue between the broker's workers and the host's thread.

use jetstream::{Asker, Door, Follower, Incoming};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// A buffer that grew past this in a flood is not kept for the next one.
const KEPT_BYTES: usize = 8 * 1024 * 1024;

/// What may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InletLimits {
    /// Messages.
    pub messages: usize,
    /// Their bytes.
    pub bytes: usize,
    /// API requests among them.
    pub requests: usize,
}

impl Default for InletLimits {
    fn default() -> Self {
        InletLimits { messages: 100_000, bytes: 128 * 1024 * 1024, requests: 10_000 }
    }
}

/// A message on its way to the host: the account, the door it came through, and the message itself.
#[derive(Clone, Copy)]
pub struct Arrival<'a> {
    /// The account.
    pub account: &'a Arc<str>,
    /// What the host listened for when it came.
    pub door: Door,
    /// The message.
    pub message: Incoming<'a>,
    /// Whose it is, if somebody's who may not read everything.
    pub asker: Option<&'a Arc<dyn Asker>>,
    /// Who follows it, if somebody.
    pub follower: Option<&'a Arc<dyn Follower>>,
}

/// Where the parts of a message lie in the buffer of its batch.
struct Entry {
    /// Its place among the accounts of the batch.
    account: u32,
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

/// Messages that arrived, one after the other in one buffer.
#[derive(Default)]
pub struct Batch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// The accounts, each as often as messages of it came one after the other.
    accounts: Vec<Arc<str>>,
    /// Who follows some of them.
    followers: Vec<Arc<dyn Follower>>,
}

impl Batch {
    /// Copies a message to the end.
    pub fn push(&mut self, arrival: &Arrival<'_>) {
        let Incoming { subject, reply, headers, payload } = arrival.message;
        if self.accounts.last().is_none_or(|last| !Arc::ptr_eq(last, arrival.account)) {
            self.accounts.push(arrival.account.clone());
        }
        let start = self.bytes.len();
        for part in [subject, reply.unwrap_or_default(), headers, payload] {
            self.bytes.extend_from_slice(part);
        }
        self.entries.push(Entry {
            account: u32::try_from(self.accounts.len() - 1).expect("messages are bounded"),
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

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The messages from one place on, at most `count`.
    pub fn part(&self, from: usize, count: usize) -> impl Iterator<Item = Arrival<'_>> {
        self.entries.iter().skip(from).take(count).map(|entry| self.arrival(entry))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Arrival<'_>> {
        self.part(0, self.len())
    }

    fn arrival<'a>(&'a self, entry: &'a Entry) -> Arrival<'a> {
        let mut rest = &self.bytes[entry.start..];
        let mut take = |length: u32| {
            let (part, after) = rest.split_at(length as usize);
            rest = after;
            part
        };
        let subject = take(entry.subject);
        let reply = entry.reply.map(&mut take);
        let (headers, payload) = (take(entry.headers), take(entry.payload));
        let message = Incoming { subject, reply, headers, payload };
        Arrival {
            account: &self.accounts[entry.account as usize],
            door: entry.door,
            message,
            asker: entry.asker.as_ref(),
            follower: entry.follower.and_then(|number| self.followers.get(number.get() as usize - 1)),
        }
    }

    fn clear(&mut self) {
        if self.bytes.capacity() > KEPT_BYTES {
            *self = Batch::default();
        }
        self.bytes.clear();
        self.entries.clear();
        self.accounts.clear();
        self.followers.clear();
    }
}

/// No part of a message is longer than a message may be, and that is far below four gigabytes.
fn length(part: &[u8]) -> u32 {
    u32::try_from(part.len()).expect("messages are bounded")
}

/// The queue is full: the host is behind, and this message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

#[derive(Default)]
struct Queue {
    batch: Batch,
    requests: usize,
    dropped: u64,
    /// Requests among them that nobody was told of yet.
    lost_requests: u64,
    is_closed: bool,
    /// Something else than a message wants the thread.
    is_poked: bool,
    /// The thread sleeps until it is told.
    is_idle: bool,
}

#[derive(Default)]
struct Shared {
    limits: InletLimits,
    queue: Mutex<Queue>,
    arrived: Condvar,
    /// Something was put in while the thread slept, and it was not told yet.
    owes_word: AtomicBool,
}

/// Where the broker hands messages in. Cheap to clone.
#[derive(Clone, Default)]
pub struct Inlet(Arc<Shared>);

impl Inlet {
    /// A queue with these limits.
    pub fn new(limits: InletLimits) -> Inlet {
        Inlet(Arc::new(Shared { limits, ..Shared::default() }))
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // The queue is valid after each statement, so a panic elsewhere does not make it unusable.
        self.0.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Hands a message in and has it worked on. Never blocks.
    pub fn deliver(&self, arrival: &Arrival<'_>) -> Result<(), Full> {
        let put = self.put(arrival);
        self.wake();
        put
    }

    /// Hands in one of many messages. Never blocks. [`Inlet::wake`] has to follow behind the last of them.
    pub fn put(&self, arrival: &Arrival<'_>) -> Result<(), Full> {
        let Incoming { subject, reply, headers, payload } = arrival.message;
        let weight = subject.len() + reply.map_or(0, <[u8]>::len) + headers.len() + payload.len();
        let is_request = arrival.door == Door::Requests;
        let limits = &self.0.limits;
        let mut queue = self.queue();
        let is_full = queue.batch.len() >= limits.messages
            || queue.batch.bytes.len() + weight > limits.bytes
            || (is_request && queue.requests >= limits.requests);
        if is_full || queue.is_closed {
            queue.dropped += 1;
            queue.lost_requests += u64::from(is_request && !queue.is_closed);
            return Err(Full);
        }
        queue.batch.push(arrival);
        queue.requests += usize::from(is_request);
        if queue.is_idle {
            self.0.owes_word.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Wakes the thread if it sleeps although something was put in.
    pub fn wake(&self) {
        if self.0.owes_word.load(Ordering::Acquire) && self.0.owes_word.swap(false, Ordering::AcqRel) {
            self.queue().is_idle = false;
            self.0.arrived.notify_one();
        }
    }

    /// Messages that were not taken so far.
    pub fn dropped(&self) -> u64 {
        self.queue().dropped
    }

    /// Requests that were not taken since this was asked last.
    pub(crate) fn take_lost_requests(&self) -> u64 {
        std::mem::take(&mut self.queue().lost_requests)
    }

    /// Messages that wait.
    pub fn len(&self) -> usize {
        self.queue().batch.len()
    }

    /// API requests that wait.
    pub fn requests(&self) -> usize {
        self.queue().requests
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Wakes the thread.
    pub(crate) fn poke(&self) {
        self.queue().is_poked = true;
        self.0.arrived.notify_one();
    }

    /// Takes no more messages and lets the thread come to its end.
    pub(crate) fn close(&self) {
        self.queue().is_closed = true;
        self.0.arrived.notify_one();
    }

    /// Waits for messages, for a poke, or for the time to pass, and takes everything that waits in exchange for a batch
    /// that is done with. Whether the queue is closed.
    pub(crate) fn wait(&self, at_most: Duration, batch: &mut Batch) -> bool {
        batch.clear();
        let idle = |queue: &mut Queue| {
            queue.is_idle = queue.batch.is_empty() && !queue.is_closed && !queue.is_poked;
            queue.is_idle
        };
        let waited = self.0.arrived.wait_timeout_while(self.queue(), at_most, idle);
        let mut queue = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        (queue.is_poked, queue.is_idle, queue.requests) = (false, false, 0);
        std::mem::swap(&mut queue.batch, batch);
        queue.is_closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<'a>(subject: &'a [u8], payload: &'a [u8]) -> Incoming<'a> {
        Incoming { subject, reply: None, headers: b"", payload }
    }

    #[test]
    fn messages_keep_their_parts() {
        let account: Arc<str> = "A".into();
        let full = Incoming { reply: Some(b"_INBOX.1"), headers: b"NATS/1.0\r\n\r\n", ..message(b"a.b", b"body") };
        let mut batch = Batch::default();
        batch.push(&Arrival { account: &account, door: Door::Streams, message: full, asker: None, follower: None });
        batch.push(&Arrival {
            account: &account,
            door: Door::Requests,
            message: message(b"a", b""),
            asker: None,
            follower: None,
        });
        let arrivals: Vec<_> = batch.iter().collect();
        assert_eq!((arrivals[0].message, arrivals[0].door), (full, Door::Streams));
        assert_eq!((arrivals[1].message, arrivals[1].door), (message(b"a", b""), Door::Requests));
        assert_eq!(batch.part(1, 9).count(), 1);
    }

    #[test]
    fn a_full_queue_takes_nothing_and_counts_it() {
        let inlet = Inlet::new(InletLimits { bytes: 100, ..InletLimits::default() });
        let account: Arc<str> = "A".into();
        let big = Arrival {
            account: &account,
            door: Door::Streams,
            message: message(b"a", &[0; 50]),
            asker: None,
            follower: None,
        };
        assert_eq!(inlet.deliver(&big), Ok(()));
        assert_eq!(inlet.deliver(&big), Err(Full));
        assert_eq!((inlet.len(), inlet.dropped()), (1, 1));
        let mut batch = Batch::default();
        inlet.wait(Duration::ZERO, &mut batch);
        assert_eq!(batch.len(), 1);
        assert_eq!(inlet.deliver(&big), Ok(()));
    }

    #[test]
    fn who_sleeps_is_woken_once_for_a_batch() {
        let (inlet, account) = (Inlet::default(), Arc::<str>::from("A"));
        let sleeper = inlet.clone();
        let thread = std::thread::spawn(move || {
            let mut batch = Batch::default();
            sleeper.wait(Duration::from_secs(60), &mut batch);
            batch.len()
        });
        while !inlet.queue().is_idle {
            std::thread::yield_now();
        }
        let arrival = Arrival {
            account: &account,
            door: Door::Streams,
            message: message(b"a", b""),
            asker: None,
            follower: None,
        };
        assert_eq!((inlet.put(&arrival), inlet.put(&arrival)), (Ok(()), Ok(())));
        inlet.wake();
        assert_eq!(thread.join().expect("no panic"), 2);
        assert!(!inlet.0.owes_word.load(Ordering::Acquire));
    }

    #[test]
    fn requests_have_a_limit_of_their_own() {
        let inlet = Inlet::new(InletLimits { requests: 1, ..InletLimits::default() });
        let account: Arc<str> = "A".into();
        let request = Arrival {
            account: &account,
            door: Door::Requests,
            message: message(b"$JS.API.INFO", b""),
            asker: None,
            follower: None,
        };
        assert_eq!((inlet.deliver(&request), inlet.deliver(&request)), (Ok(()), Err(Full)));
        assert_eq!(inlet.deliver(&Arrival { door: Door::Answers, ..request }), Ok(()));
        assert_eq!(inlet.requests(), 1);
        assert_eq!((inlet.take_lost_requests(), inlet.take_lost_requests()), (1, 0));
    }
}
