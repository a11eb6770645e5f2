//! The trail of who did what: records from everywhere in the server, on one thread, into a chained file.
//!
//! Whoever leaves a record never waits: what does not fit into the queue is counted, and the number is written. Repetitions are
//! counted at the door, so that a flood of them neither fills the queue nor wakes the thread. The thread writes lines, signs now
//! and then, and publishes each record in an account if one is configured.

mod claims;
mod file;
mod observe;
mod trail;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use ::audit::{Class, Counts, Gate, Outcome, Record};
use broker::Hub;
use config::Audit as Settings;

use crate::log::Log;
use crate::queue::{Entrance, Exit, queue};
use trail::Trail;

pub use claims::{asked_by, changes};
pub use file::put_aside;
pub use observe::record_of;

/// Records that may wait for the thread.
const QUEUE_MAX: usize = 16_384;

/// The thread looks around this often even if nothing comes.
const LOOK: Duration = Duration::from_millis(250);

/// So many records within [`LOOK`] are a flood. In one the thread rests after each round: whoever leaves a record in that time wakes
/// nobody, which costs more than to write it.
const FLOOD_MIN: usize = 64;

/// How long it rests.
const REST: Duration = Duration::from_millis(5);

enum Order {
    Write(Box<Record>),
    Settings(Option<Settings>),
    Stop,
}

/// Where repetitions are counted, while there is a trail.
type Door = Arc<Mutex<Option<Gate>>>;

/// Where records are left. Cheap to keep; does nothing while no trail is configured.
pub struct Auditor {
    orders: Entrance<Order>,
    door: Door,
    lost: Arc<AtomicU64>,
    is_on: std::sync::atomic::AtomicBool,
    hub: Arc<OnceLock<Weak<Hub>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Auditor {
    /// Starts the thread and, if there is a configuration for it, the trail.
    ///
    /// # Errors
    /// With the text for the user, if the file cannot be had.
    pub fn start(settings: Option<&Settings>, log: &Arc<Log>) -> Result<Arc<Self>, String> {
        let trail = settings.map(|settings| open(settings, log)).transpose()?;
        let (orders, received) = queue(QUEUE_MAX);
        let (lost, hub) = (Arc::new(AtomicU64::new(0)), Arc::new(OnceLock::new()));
        let door = Arc::new(Mutex::new(settings.map(gate)));
        let desk =
            Desk { trail, door: door.clone(), lost: lost.clone(), hub: hub.clone(), log: log.clone(), is_over: false };
        let thread = std::thread::Builder::new().name("audit".to_owned()).spawn(move || desk.run(&received));
        let thread = thread.map_err(|error| format!("cannot start the audit thread: {error}"))?;
        let is_on = settings.is_some().into();
        Ok(Arc::new(Self { orders, door, lost, is_on, hub, thread: Mutex::new(Some(thread)) }))
    }

    /// Records are published through this hub.
    pub fn publish_through(&self, hub: &Arc<Hub>) {
        let _ = self.hub.set(Arc::downgrade(hub));
    }

    /// Whether anybody keeps records: whoever would have to make one can save the work.
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Leaves a record. Of those that tell of refusals the first of a kind is written, and how many came after it.
    pub fn note(&self, record: &Record) {
        if !self.is_on() {
            return;
        }
        // What succeeded is never a flood that somebody else can cause.
        if record.outcome == Outcome::Done || record.count != 1 {
            return self.leave(record);
        }
        let mut door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        if door.as_mut().is_none_or(|gate| gate.passes(record)) {
            // Before the door is free: it is in the queue when somebody asks how many came after it.
            self.leave(record);
        }
    }

    fn leave(&self, record: &Record) {
        if !self.orders.leave(Order::Write(Box::new(record.clone()))) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The configuration has changed. A trail that cannot be had keeps the old one, and the log says so.
    pub fn reconfigure(&self, settings: Option<&Settings>) {
        self.is_on.store(settings.is_some(), Ordering::Relaxed);
        self.orders.order(Order::Settings(settings.cloned()));
    }

    /// Writes what waits and ends.
    pub fn stop(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.is_on.store(false, Ordering::Relaxed);
        self.orders.order(Order::Stop);
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

fn gate(settings: &Settings) -> Gate {
    Gate::new(settings.window, crate::system::moment())
}

fn open(settings: &Settings, log: &Log) -> Result<Trail, String> {
    let opened = Trail::open(settings, crate::system::moment(), crate::system::wall());
    let trail = opened.map_err(|error| format!("audit: {}: {error}", settings.file.display()))?;
    let signed = if settings.key.is_some() { "chained and signed" } else { "chained, not signed: no key" };
    log.notice(&format!("Audit trail goes to {} ({signed})", settings.file.display()));
    Ok(trail)
}

/// What the thread works with.
struct Desk {
    trail: Option<Trail>,
    door: Door,
    lost: Arc<AtomicU64>,
    hub: Arc<OnceLock<Weak<Hub>>>,
    log: Arc<Log>,
    is_over: bool,
}

impl Desk {
    fn run(mut self, orders: &Exit<Order>) {
        let (mut since, mut count) = (std::time::Instant::now(), 0);
        while !self.is_over {
            // Without a trail there is nothing to look after.
            let order = match self.trail {
                Some(_) => orders.take_within(LOOK),
                None => orders.take().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match order {
                Ok(order) => count += self.round(order, orders),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.close(),
            }
            self.look(orders);
            if since.elapsed() >= LOOK {
                (since, count) = (std::time::Instant::now(), 0);
            } else if count >= FLOOD_MIN {
                std::thread::sleep(REST);
            }
        }
    }

    /// This order, and all that has come by now. How many these are.
    fn round(&mut self, first: Order, orders: &Exit<Order>) -> usize {
        let mut count = 0;
        for order in std::iter::once(first).chain(orders.waiting().take(QUEUE_MAX)) {
            count += 1;
            match order {
                Order::Write(record) => self.write(*record),
                Order::Settings(settings) => self.reconfigure(settings),
                Order::Stop => {
                    self.is_over = true;
                    self.close();
                    break;
                }
            }
        }
        count
    }

    fn reconfigure(&mut self, settings: Option<Settings>) {
        let Some(settings) = settings else { return self.close() };
        // One file has one chain: what was counted and signed in it comes before it is opened again.
        if self.trail.as_ref().is_some_and(|trail| trail.is_in(&settings.file)) {
            self.close();
        }
        match open(&settings, &self.log) {
            Ok(trail) => {
                self.close();
                self.trail = Some(trail);
                *self.door() = Some(gate(&settings));
            }
            Err(error) => self.log.error(&format!("{error}; the trail goes on where it was")),
        }
    }

    fn door(&self) -> MutexGuard<'_, Option<Gate>> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a record, publishes it, and tells if that could not be done.
    fn write(&mut self, record: Record) {
        let Some(trail) = &mut self.trail else { return };
        match trail.write(record.clone(), crate::system::wall()) {
            Ok(line) => self.publish(&record, &line),
            Err(error) => self.tell(&error),
        }
    }

    /// What is due, and what was lost meanwhile.
    fn look(&mut self, orders: &Exit<Order>) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let what = "records were lost: more came at once than can wait".to_owned();
            self.write(Record { what, count: lost, ..Record::new(Class::Trail, Outcome::Refused) });
        }
        let now = crate::system::moment();
        let counted = self.door().as_mut().and_then(|gate| gate.end_window(now));
        // Everybody who was refused something waits for the door, so nothing is put in order there.
        let counted = counted.map(Counts::records).unwrap_or_default();
        // The first of each kind is written before how many came after it.
        if !counted.is_empty()
            && let Some(order) = orders.waiting().next()
        {
            self.round(order, orders);
        }
        counted.into_iter().for_each(|record| self.write(record));
        if let Some(Err(error)) = self.trail.as_mut().map(|trail| trail.look(now, crate::system::wall())) {
            self.tell(&error);
        }
    }

    fn tell(&self, error: &std::io::Error) {
        self.log.error_once("audit", &format!("The audit trail cannot be written: {error}"));
    }

    fn publish(&self, record: &Record, line: &str) {
        let Some(account) = self.trail.as_ref().and_then(|trail| trail.account()) else { return };
        let Some(hub) = self.hub.get().and_then(Weak::upgrade) else { return };
        let Some(account) = hub.account_named(account) else { return };
        let subject = format!("audit.{}.{}", observe::token(&record.account), record.class.word());
        hub.publish(vec![broker::OwnMessage::new(account, subject, line.trim_end())]);
    }

    /// Writes what was counted, and closes the trail.
    fn close(&mut self) {
        let gate = self.door().take();
        let counted = gate.and_then(|mut gate| gate.end_window(gate.due())).map(Counts::records).unwrap_or_default();
        counted.into_iter().for_each(|record| self.write(record));
        if let Some(mut trail) = self.trail.take()
            && let Err(error) = trail.close(crate::system::wall())
        {
            self.log.error(&format!("The audit trail could not be closed: {error}"));
        }
    }
}
