//! The queue between the broker's workers and the host's thread.

use crate::lanes::{Batch, Lanes, Load};
use jetstream::{Asker, Door, Follower, Incoming};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// Of what is still free an account may have so many times as much waiting: alone it fills nine tenths, and there is room for those
/// that come next.
const SHARE: usize = 9;
/// Batches that are kept, empty.
const KEPT_BATCHES: usize = 16;

/// What may wait, of all accounts together.
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

impl InletLimits {
    /// Whether there is room for one more, beside everything that waits and what waits of its account.
    fn has_room(&self, all: Load, own: Load, more: Load) -> bool {
        let fits = |limit: usize, all: usize, own: usize, more: usize| {
            let free = limit.saturating_sub(all);
            more <= free && own.saturating_add(more) <= free.saturating_mul(SHARE)
        };
        fits(self.messages, all.messages, own.messages, more.messages)
            && fits(self.bytes, all.bytes, own.bytes, more.bytes)
            && (more.requests == 0 || fits(self.requests, all.requests, own.requests, more.requests))
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

/// The queue is full: the host is behind, and this message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// An account of which something waits, here or at the host.
struct Account {
    name: Arc<str>,
    load: Load,
    /// What the host has not taken yet.
    batch: Batch,
}

#[derive(Default)]
struct Queue {
    accounts: Vec<Option<Account>>,
    free: Vec<usize>,
    by_name: HashMap<Arc<str>, usize>,
    /// The account of the last message: many come one after the other.
    last: Option<usize>,
    /// Accounts of which the host has not taken everything, in order.
    arrived: Vec<usize>,
    /// What waits of all accounts.
    load: Load,
    spare: Vec<Batch>,
    dropped: u64,
    /// Requests among them that nobody was told of yet.
    lost_requests: u64,
    is_closed: bool,
    /// Something else than a message wants the thread.
    is_poked: bool,
    /// The thread sleeps until it is told.
    is_idle: bool,
}

const PLACED: &str = "a place that is named is taken";

impl Queue {
    /// The place of an account, made if it has none.
    fn place(&mut self, name: &Arc<str>) -> usize {
        let is_last = |at: &usize| {
            let account = self.accounts.get(*at).and_then(Option::as_ref);
            account.is_some_and(|account| Arc::ptr_eq(&account.name, name))
        };
        if let Some(at) = self.last.filter(is_last) {
            return at;
        }
        let at = match self.by_name.get(name) {
            Some(&at) => at,
            None => {
                let account = Some(Account { name: name.clone(), load: Load::default(), batch: Batch::default() });
                let at = match self.free.pop() {
                    Some(at) => {
                        self.accounts[at] = account;
                        at
                    }
                    None => {
                        self.accounts.push(account);
                        self.accounts.len() - 1
                    }
                };
                self.by_name.insert(name.clone(), at);
                at
            }
        };
        self.last = Some(at);
        at
    }

    fn account(&mut self, at: usize) -> &mut Account {
        self.accounts[at].as_mut().expect(PLACED)
    }

    /// It is full, or closed.
    #[cold]
    fn refuse(&mut self, name: &Arc<str>, load: Load) {
        self.dropped += 1;
        self.lost_requests += u64::from(load.requests > 0 && !self.is_closed);
        // It has a place only as long as anything waits.
        self.done(name, Load::default());
    }

    /// Something of an account is done with; without anything that waits it has no place any more.
    fn done(&mut self, name: &Arc<str>, load: Load) {
        self.load.take(load);
        let Some(&at) = self.by_name.get(name) else { return };
        let account = self.account(at);
        account.load.take(load);
        if account.load.messages == 0 && account.batch.is_empty() {
            self.by_name.remove(name);
            self.accounts[at] = None;
            self.free.push(at);
        }
    }
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
        let load = Load::of(arrival.door, &arrival.message);
        let mut queue = self.queue();
        let at = queue.place(arrival.account);
        let Queue { accounts, load: all, arrived, spare, is_closed, .. } = &mut *queue;
        let account = accounts[at].as_mut().expect(PLACED);
        if *is_closed || !self.0.limits.has_room(*all, account.load, load) {
            queue.refuse(arrival.account, load);
            return Err(Full);
        }
        if account.batch.is_empty() {
            arrived.push(at);
            account.batch = spare.pop().unwrap_or_default();
        }
        all.add(load);
        account.load.add(load);
        account.batch.push(arrival);
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
        self.queue().load.messages
    }

    /// API requests that wait.
    pub fn requests(&self) -> usize {
        self.queue().load.requests
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

    /// Waits for messages, for a poke, or for the time to pass, and takes everything that came. Whether the queue is closed.
    pub(crate) fn wait(&self, at_most: Duration, lanes: &mut Lanes) -> bool {
        let idle = |queue: &mut Queue| {
            queue.is_idle = queue.arrived.is_empty() && !queue.is_closed && !queue.is_poked;
            queue.is_idle
        };
        let waited = self.0.arrived.wait_timeout_while(self.queue(), at_most, idle);
        let mut queue = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        (queue.is_poked, queue.is_idle) = (false, false);
        take(&mut queue, lanes);
        queue.is_closed
    }

    /// Takes what came meanwhile, and what the host is done with makes room.
    pub(crate) fn take(&self, lanes: &mut Lanes) {
        take(&mut self.queue(), lanes);
    }
}

fn take(queue: &mut Queue, lanes: &mut Lanes) {
    for (account, load) in lanes.take_done() {
        queue.done(&account, load);
    }
    let room = KEPT_BATCHES.saturating_sub(queue.spare.len());
    queue.spare.extend(lanes.take_spare().into_iter().take(room));
    for at in std::mem::take(&mut queue.arrived) {
        let account = queue.account(at);
        let (name, batch) = (account.name.clone(), std::mem::take(&mut account.batch));
        lanes.push(&name, batch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<'a>(subject: &'a [u8], payload: &'a [u8]) -> Incoming<'a> {
        Incoming { subject, reply: None, headers: b"", payload }
    }

    fn request<'a>(account: &'a Arc<str>) -> Arrival<'a> {
        let message = message(b"$JS.API.INFO", b"");
        Arrival { account, door: Door::Requests, message, asker: None, follower: None }
    }

    /// Works off everything that waits.
    fn work_off(inlet: &Inlet, lanes: &mut Lanes) -> usize {
        inlet.wait(Duration::ZERO, lanes);
        let mut count = 0;
        while let Some(mut lane) = lanes.next() {
            while lane.first().is_some() {
                lanes.advance(&mut lane);
                count += 1;
            }
        }
        inlet.take(lanes);
        count
    }

    #[test]
    fn a_full_queue_takes_nothing_and_counts_it() {
        let inlet = Inlet::new(InletLimits { bytes: 100, ..InletLimits::default() });
        let account: Arc<str> = "A".into();
        let big = Arrival { door: Door::Streams, message: message(b"a", &[0; 50]), ..request(&account) };
        assert_eq!(inlet.deliver(&big), Ok(()));
        assert_eq!(inlet.deliver(&big), Err(Full));
        assert_eq!((inlet.len(), inlet.dropped()), (1, 1));
        let mut lanes = Lanes::default();
        inlet.wait(Duration::ZERO, &mut lanes);
        assert_eq!(inlet.deliver(&big), Err(Full), "what the host has not done yet waits still");
        let mut lane = lanes.next().expect("one waits");
        lanes.advance(&mut lane);
        inlet.take(&mut lanes);
        assert_eq!((inlet.deliver(&big), inlet.len()), (Ok(()), 1));
    }

    #[test]
    fn who_sleeps_is_woken_once_for_a_batch() {
        let (inlet, account) = (Inlet::default(), Arc::<str>::from("A"));
        let sleeper = inlet.clone();
        let thread = std::thread::spawn(move || work_off_after_sleep(&sleeper));
        while !inlet.queue().is_idle {
            std::thread::yield_now();
        }
        let arrival = Arrival { door: Door::Streams, message: message(b"a", b""), ..request(&account) };
        assert_eq!((inlet.put(&arrival), inlet.put(&arrival)), (Ok(()), Ok(())));
        inlet.wake();
        assert_eq!(thread.join().expect("no panic"), 2);
        assert!(!inlet.0.owes_word.load(Ordering::Acquire));
    }

    fn work_off_after_sleep(inlet: &Inlet) -> usize {
        let mut lanes = Lanes::default();
        inlet.wait(Duration::from_secs(60), &mut lanes);
        work_off(inlet, &mut lanes)
    }

    #[test]
    fn requests_have_a_limit_of_their_own() {
        let inlet = Inlet::new(InletLimits { requests: 1, ..InletLimits::default() });
        let account: Arc<str> = "A".into();
        assert_eq!((inlet.deliver(&request(&account)), inlet.deliver(&request(&account))), (Ok(()), Err(Full)));
        assert_eq!(inlet.deliver(&Arrival { door: Door::Answers, ..request(&account) }), Ok(()));
        assert_eq!(inlet.requests(), 1);
        assert_eq!((inlet.take_lost_requests(), inlet.take_lost_requests()), (1, 0));
        assert_eq!((work_off(&inlet, &mut Lanes::default()), inlet.requests()), (2, 0));
    }

    #[test]
    fn an_account_that_floods_leaves_room_for_others() {
        let inlet = Inlet::new(InletLimits { requests: 1_000, ..InletLimits::default() });
        let accounts: Vec<Arc<str>> = (0..5).map(|n| format!("A{n}").into()).collect();
        let taken: Vec<usize> = accounts
            .iter()
            .map(|account| (0..2_000).filter(|_| inlet.deliver(&request(account)).is_ok()).count())
            .collect();
        assert_eq!(taken, [900, 90, 9, 1, 0], "each leaves a tenth of what it found");
        let mut lanes = Lanes::default();
        assert_eq!(work_off(&inlet, &mut lanes), 1_000);
        assert_eq!(inlet.deliver(&request(&accounts[4])), Ok(()));
        assert!(inlet.queue().by_name.len() == 1, "nothing is kept of accounts that wait for nothing");
    }
}
