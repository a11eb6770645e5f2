//! All workers together.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::JoinHandle;

use broker::{Hub, Mailbox, Note};
use mio::{Poll, Waker};
use moment::{Instant, Timestamp};

use crate::asking::Asking;
use crate::dialer::Dialer;
use crate::listener::Listener;
use crate::logins::LoginPool;
use crate::peers::Peers;
use crate::worker::{Common, Door, DriverNote, Frame, Worker};

/// Monotonic time since the process started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(std::time::Instant);

impl Clock {
    pub(crate) fn now(self) -> Instant {
        Instant::from_nanos(self.0.elapsed().as_nanos() as u64)
    }

    /// The time of day.
    pub(crate) fn wall(self) -> Timestamp {
        wall()
    }
}

/// The time of day, as the system knows it.
pub(crate) fn wall() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// Why the workers could not start.
#[derive(Debug)]
pub struct WorkersError(std::io::Error);

impl fmt::Display for WorkersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot start the workers: {}", self.0)
    }
}

impl std::error::Error for WorkersError {}

/// Polls made ahead of the workers, because the mailboxes (and so the hub) need their wakers.
pub struct Workers {
    polls: Vec<Poll>,
    mailboxes: Arc<[Mailbox]>,
    peers: Arc<Peers>,
    clock: Clock,
}

/// Running workers.
pub struct Running {
    threads: Vec<JoinHandle<()>>,
    mailboxes: Arc<[Mailbox]>,
    loads: Arc<[AtomicUsize]>,
}

impl Workers {
    /// Prepares `count` workers. `start` is the moment from which the house counts time.
    ///
    /// # Errors
    /// If the system gives no poll or waker.
    pub fn prepare(count: usize, start: std::time::Instant) -> Result<Self, WorkersError> {
        let mut polls = Vec::new();
        let mut mailboxes = Vec::new();
        for _ in 0..count.max(1) {
            let poll = Poll::new().map_err(WorkersError)?;
            let waker = Waker::new(poll.registry(), mio::Token(0)).map_err(WorkersError)?;
            polls.push(poll);
            mailboxes.push(Mailbox::new(Box::new(move || drop(waker.wake()))));
        }
        Ok(Self { polls, mailboxes: mailboxes.into(), peers: Arc::default(), clock: Clock(start) })
    }

    /// The workers' mailboxes, for the hub.
    pub fn mailboxes(&self) -> Arc<[Mailbox]> {
        self.mailboxes.clone()
    }

    /// Those who will be connected by TLS, to be judged again when certificates change.
    pub fn peers(&self) -> Arc<Peers> {
        self.peers.clone()
    }

    /// Starts the threads. The first worker accepts.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        self,
        hub: &Arc<Hub>,
        listeners: Vec<Listener>,
        pool: &Arc<LoginPool>,
        seed: u64,
    ) -> Result<Running, WorkersError> {
        let loads: Arc<[AtomicUsize]> = self.polls.iter().map(|_| AtomicUsize::new(0)).collect();
        let frames: Arc<[Frame]> = listeners
            .iter()
            .map(|listener| Frame {
                kind: listener.kind,
                security: listener.security.clone(),
                expects_origin: listener.expects_origin,
                upgrades: listener.upgrades.clone(),
            })
            .collect();
        let mut doors: Vec<Door> = listeners
            .into_iter()
            .map(|Listener { socket, gate, .. }| Door::new(mio::net::TcpListener::from_std(socket), gate))
            .collect();
        let asking = Arc::new(Asking::new(self.mailboxes.clone()));
        let mut threads = Vec::new();
        for (number, poll) in self.polls.into_iter().enumerate() {
            let seed = seed.wrapping_add((number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let common = Common {
                hub: hub.clone(),
                loads: loads.clone(),
                clock: self.clock,
                frames: frames.clone(),
                asking: asking.clone(),
                peers: self.peers.clone(),
                pool: pool.clone(),
            };
            let doors = std::mem::take(&mut doors);
            let thread = std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
                Worker::new(number as u16, poll, common, doors, seed).run();
            });
            threads.push(thread.map_err(WorkersError)?);
        }
        Ok(Running { threads, mailboxes: self.mailboxes, loads })
    }
}

impl Running {
    /// Makes connections that these workers serve.
    pub fn dialer(&self) -> Dialer {
        Dialer::new(self.mailboxes.clone(), self.loads.clone())
    }

    /// Accepts no clients any more; those who are here stay.
    pub fn stop_listening(&self) {
        self.tell_all(|| DriverNote::StopListening);
    }

    /// Closes every connection and waits for the threads.
    pub fn stop(self) {
        self.tell_all(|| DriverNote::Stop);
        for thread in self.threads {
            let _ = thread.join();
        }
    }

    fn tell_all(&self, note: impl Fn() -> DriverNote) {
        for mailbox in self.mailboxes.iter() {
            mailbox.post(Note::Driver(Box::new(note())));
        }
    }
}
