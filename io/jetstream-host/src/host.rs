//! The thread.

use crate::Port;
use crate::desk::{Desk, DeskSettings};
use crate::inlet::Inlet;
use jetstream::{Now, Settings};
use moment::{Instant, Timestamp};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use store::{Disk, Entropy, StoreError};

/// Who asks the thread something waits this long at most.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Requests that were lost are told of this often at most.
const TELL_LOST_EVERY: Duration = Duration::from_secs(1);

/// The time, as an argument.
pub trait Clock: Send + Sync {
    /// The present.
    fn now(&self) -> Now;
}

/// The clocks of the machine.
pub struct RealClock(std::time::Instant);

impl Default for RealClock {
    fn default() -> Self {
        RealClock(std::time::Instant::now())
    }
}

impl Clock for RealClock {
    fn now(&self) -> Now {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            wall: Timestamp::from_nanos(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX)),
            tick: Instant::from_nanos(u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)),
        }
    }
}

/// A change that the thread makes between two rounds.
type Change = Box<dyn FnOnce(&mut Desk, Now) + Send>;

/// JetStream, running.
pub struct Host {
    inlet: Inlet,
    changes: Arc<Mutex<Vec<Change>>>,
    thread: Option<JoinHandle<Result<(), StoreError>>>,
    streams: usize,
    is_new: bool,
}

impl Host {
    /// Opens the store and begins to work on what is handed into the inlet. An error says why the store can not be opened, and nothing was touched.
    pub fn start(
        disk: Arc<dyn Disk>,
        entropy: Arc<dyn Entropy>,
        settings: DeskSettings,
        accounts: Vec<Settings>,
        (port, inlet): (Arc<dyn Port>, Inlet),
        clock: Arc<dyn Clock>,
    ) -> Result<Host, StoreError> {
        let opened = Desk::open(disk, entropy, settings, accounts, port, clock.now())?;
        let changes = Arc::<Mutex<Vec<Change>>>::default();
        let (for_thread, its_changes) = (inlet.clone(), changes.clone());
        let mut desk = opened.desk;
        desk.sync_beside();
        let run = move || run(desk, &for_thread, &its_changes, &*clock);
        let thread = std::thread::Builder::new().name("jetstream".into()).spawn(run);
        let thread =
            thread.map_err(|source| StoreError::Disk { doing: "starting", path: "jetstream".into(), source })?;
        Ok(Host { inlet, changes, thread: Some(thread), streams: opened.streams, is_new: opened.is_new })
    }

    /// Where messages are handed in.
    pub fn inlet(&self) -> Inlet {
        self.inlet.clone()
    }

    /// Streams found at the start.
    pub fn streams_found(&self) -> usize {
        self.streams
    }

    /// Whether the store was made at the start.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Adds an account, or changes its settings, soon.
    pub fn set_account(&self, settings: Settings) {
        self.change(Box::new(move |desk, now| {
            // What can not be opened was reported through the port.
            let _ = desk.set_account(settings, now);
        }));
    }

    /// What asks the thread for changes without waiting for them.
    pub fn hand(&self) -> Hand {
        Hand { changes: self.changes.clone(), inlet: self.inlet.clone() }
    }

    /// Asks the thread something and waits for what it says; `None` if it says nothing for long.
    pub fn ask<T: Send + 'static>(&self, question: impl FnOnce(&mut Desk, Now) -> T + Send + 'static) -> Option<T> {
        self.hand().ask(question)
    }

    fn change(&self, change: Change) {
        self.hand().change(change);
    }

    /// Takes no more messages, works off those that wait, makes everything durable and ends.
    pub fn stop(mut self) -> Result<(), StoreError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), StoreError> {
        self.inlet.close();
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) => Err(StoreError::Poisoned),
            None => Ok(()),
        }
    }
}

/// A question that was put to the thread.
pub struct Asked<T>(Receiver<T>);

impl<T> Asked<T> {
    /// What the thread says; `None` if it says nothing for long.
    pub fn answer(self) -> Option<T> {
        self.answer_within(ANSWER_WITHIN)
    }

    /// As [`Asked::answer`], of something that may take this long.
    pub fn answer_within(self, at_most: Duration) -> Option<T> {
        self.0.recv_timeout(at_most).ok()
    }
}

/// Asks the thread for changes. Cheap to clone.
#[derive(Clone)]
pub struct Hand {
    changes: Arc<Mutex<Vec<Change>>>,
    inlet: Inlet,
}

impl Hand {
    /// Removes everything that an account stores, whether it is served now or not. `done` is called on the thread once that
    /// can not be undone by a crash, with how many streams there were, or what the store said.
    pub fn purge_account(&self, account: String, done: impl FnOnce(Result<usize, String>) + Send + 'static) {
        self.change(Box::new(move |desk, now| done(desk.purge_account(&account, now))));
    }

    /// As [`Host::ask`]. Whoever keeps the host under a lock asks by a hand: the answer may be long in coming.
    pub fn ask<T: Send + 'static>(&self, question: impl FnOnce(&mut Desk, Now) -> T + Send + 'static) -> Option<T> {
        self.put(question).answer()
    }

    /// Puts a question to the thread. Whoever holds a lock lets it go before waiting for the answer. Questions are answered in the
    /// order in which they were put.
    pub fn put<T: Send + 'static>(&self, question: impl FnOnce(&mut Desk, Now) -> T + Send + 'static) -> Asked<T> {
        let (answer, answered) = sync_channel(1);
        self.change(Box::new(move |desk, now| {
            // Whoever asked may have gone.
            let _ = answer.send(question(desk, now));
        }));
        Asked(answered)
    }

    /// Questions and changes that wait for the thread.
    pub fn waiting(&self) -> usize {
        self.changes.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).len()
    }

    fn change(&self, change: Change) {
        self.changes.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(change);
        self.inlet.poke();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Whoever wants to know how it ended calls `stop`.
        let _ = self.end();
    }
}

fn run(mut desk: Desk, inlet: &Inlet, changes: &Mutex<Vec<Change>>, clock: &dyn Clock) -> Result<(), StoreError> {
    let mut rest = Duration::ZERO;
    let mut tell_lost_at = clock.now().tick;
    loop {
        let is_closed = inlet.wait(rest, desk.lanes());
        make(changes, &mut desk, clock);
        desk.work(clock.now(), &mut |lanes| inlet.take(lanes));
        let now = clock.now();
        if now.tick >= tell_lost_at {
            desk.tell_lost(inlet.take_lost_requests());
            tell_lost_at = now.tick + TELL_LOST_EVERY;
        }
        if is_closed {
            // Nothing comes in any more; who still waits for an answer hears that there is none.
            changes.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clear();
            return desk.close(clock.now());
        }
        rest = desk.rest(clock.now());
    }
}

fn make(changes: &Mutex<Vec<Change>>, desk: &mut Desk, clock: &dyn Clock) {
    // Taken first: while a change is made, others may be handed in.
    let taken = std::mem::take(&mut *changes.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
    for change in taken {
        change(desk, clock.now());
    }
}
