//! The trail of who did what: records from everywhere in the server, on one thread, into a chained file.
//!
//! Whoever leaves a record never waits: what does not fit into the queue is counted, and the number is written. The thread
//! counts repetitions, writes lines, signs now and then, and publishes each record in an account if one is configured.

mod claims;
mod file;
mod observe;
mod trail;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use ::audit::{Class, Outcome, Record};
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

/// Where records are left. Cheap to keep; does nothing while no trail is configured.
pub struct Auditor {
    orders: Entrance<Order>,
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
        let desk = Desk { trail, lost: lost.clone(), hub: hub.clone(), log: log.clone() };
        let thread = std::thread::Builder::new().name("audit".to_owned()).spawn(move || desk.run(&received));
        let thread = thread.map_err(|error| format!("cannot start the audit thread: {error}"))?;
        let is_on = settings.is_some().into();
        Ok(Arc::new(Self { orders, lost, is_on, hub, thread: Mutex::new(Some(thread)) }))
    }

    /// Records are published through this hub.
    pub fn publish_through(&self, hub: &Arc<Hub>) {
        let _ = self.hub.set(Arc::downgrade(hub));
    }

    /// Whether anybody keeps records: whoever would have to make one can save the work.
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Leaves a record.
    pub fn note(&self, record: Record) {
        if !self.is_on() {
            return;
        }
        if !self.orders.leave(Order::Write(Box::new(record))) {
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
    lost: Arc<AtomicU64>,
    hub: Arc<OnceLock<Weak<Hub>>>,
    log: Arc<Log>,
}

impl Desk {
    fn run(mut self, orders: &Exit<Order>) {
        let (mut since, mut count) = (std::time::Instant::now(), 0);
        loop {
            // Without a trail there is nothing to look after.
            let order = match self.trail {
                Some(_) => orders.take_within(LOOK),
                None => orders.take().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let order = match order {
                Ok(order) => order,
                Err(RecvTimeoutError::Disconnected) => return self.close(),
                Err(RecvTimeoutError::Timeout) => {
                    self.look();
                    continue;
                }
            };
            // All that has come by now is one round.
            for order in std::iter::once(order).chain(orders.waiting().take(QUEUE_MAX)) {
                count += 1;
                match order {
                    Order::Write(record) => self.write(*record),
                    Order::Settings(settings) => self.reconfigure(settings),
                    Order::Stop => return self.close(),
                }
            }
            self.look();
            if since.elapsed() >= LOOK {
                (since, count) = (std::time::Instant::now(), 0);
            } else if count >= FLOOD_MIN {
                std::thread::sleep(REST);
            }
        }
    }

    fn reconfigure(&mut self, settings: Option<Settings>) {
        let Some(settings) = settings else { return self.close() };
        match open(&settings, &self.log) {
            Ok(trail) => {
                self.close();
                self.trail = Some(trail);
            }
            Err(error) => self.log.error(&format!("{error}; the trail goes on where it was")),
        }
    }

    fn write(&mut self, record: Record) {
        let Some(trail) = &mut self.trail else { return };
        let written = trail.take(record, crate::system::wall());
        self.done(written);
    }

    /// What is due, and what was lost meanwhile.
    fn look(&mut self) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let what = "records were lost: more came at once than can wait".to_owned();
            self.write(Record { what, count: lost, ..Record::new(Class::Trail, Outcome::Refused) });
        }
        let Some(trail) = &mut self.trail else { return };
        let written = trail.look(crate::system::moment(), crate::system::wall());
        self.done(written);
    }

    /// Tells of what could not be written, and publishes what was.
    fn done(&self, written: std::io::Result<Vec<(Record, String)>>) {
        let written = match written {
            Ok(written) => written,
            Err(error) => return self.log.error_once("audit", &format!("The audit trail cannot be written: {error}")),
        };
        let Some(account) = self.trail.as_ref().and_then(|trail| trail.account()) else { return };
        let Some(hub) = self.hub.get().and_then(Weak::upgrade) else { return };
        let Some(account) = hub.account_named(account) else { return };
        let messages = written.into_iter().map(|(record, line)| {
            let subject = format!("audit.{}.{}", observe::token(&record.account), record.class.word());
            broker::OwnMessage::new(account.clone(), subject, line.trim_end())
        });
        hub.publish(messages.collect());
    }

    fn close(&mut self) {
        if let Some(mut trail) = self.trail.take()
            && let Err(error) = trail.close(crate::system::moment(), crate::system::wall())
        {
            self.log.error(&format!("The audit trail could not be closed: {error}"));
        }
    }
}
