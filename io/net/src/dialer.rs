//! Going to other servers: names are resolved and connections made on threads of their own, never on a worker.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use broker::{Arrival, Mailbox, Note, RemoteId};
use parking_lot::{Condvar, Mutex};
use tls::ClientTls;

use crate::asking::PeerCheck;
use crate::tunnel::Tunnel;
use crate::upgrading::DialFrames;
use crate::worker::DriverNote;

/// Connections that are being made at the same time.
const THREADS: usize = 4;

/// Attempts that may wait. A server has fewer remotes than that.
const WAITING_MAX: usize = 65_536;

/// How a connection that this server makes is encrypted.
#[derive(Clone)]
pub struct DialTls {
    /// Which of the remotes it is.
    pub remote: RemoteId,
    /// Certificates, trust, pins.
    pub tls: Arc<ClientTls>,
    /// The name the far end's certificate must have.
    pub host: String,
    /// The handshake comes before the first line.
    pub first: bool,
    /// What the far end's certificate has to pass beside the handshake.
    pub check: Option<Arc<dyn PeerCheck>>,
}

/// A connection to be made.
pub struct Dial {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// How long it may take.
    pub timeout: Duration,
    /// How it is encrypted.
    pub tls: Option<DialTls>,
    /// What it is to become.
    pub arrival: Arrival,
    /// The way leads through this.
    pub tunnel: Option<Arc<Tunnel>>,
    /// The protocol travels in frames of WebSocket.
    pub frames: Option<DialFrames>,
}

/// A connection that has been made.
pub(crate) struct Dialed {
    pub(crate) stream: TcpStream,
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<DialTls>,
    pub(crate) arrival: Arrival,
    pub(crate) frames: Option<DialFrames>,
}

/// Knows where to go. Called on the dialer's threads.
pub trait Destinations: Send + Sync {
    /// Where to go now for this remote; `None` if it is not wanted any more.
    fn next(&self, remote: RemoteId) -> Option<Dial>;

    /// It could not be reached: how long to wait before the next attempt; `None` to give up.
    fn failed(&self, remote: RemoteId, host: &str, port: u16, error: &io::Error) -> Option<Duration>;
}

#[derive(Default)]
struct Waiting {
    jobs: BinaryHeap<Reverse<(Instant, u64)>>,
    stopping: bool,
}

struct Shared {
    waiting: Mutex<Waiting>,
    more: Condvar,
    mailboxes: Arc<[Mailbox]>,
    loads: Arc<[AtomicUsize]>,
}

/// Threads that make connections.
#[derive(Clone)]
pub struct Dialer {
    shared: Arc<Shared>,
}

/// The threads, to be waited for.
pub struct DialerThreads {
    dialer: Dialer,
    threads: Vec<JoinHandle<()>>,
}

impl Dialer {
    pub(crate) fn new(mailboxes: Arc<[Mailbox]>, loads: Arc<[AtomicUsize]>) -> Self {
        let shared = Shared { waiting: Mutex::default(), more: Condvar::new(), mailboxes, loads };
        Self { shared: Arc::new(shared) }
    }

    /// Starts the threads.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(&self, destinations: &Arc<dyn Destinations>) -> io::Result<DialerThreads> {
        let mut threads = Vec::new();
        for number in 0..THREADS {
            let (shared, destinations) = (self.shared.clone(), destinations.clone());
            let thread = std::thread::Builder::new().name(format!("dialer-{number}"));
            threads.push(thread.spawn(move || shared.work(&*destinations))?);
        }
        Ok(DialerThreads { dialer: self.clone(), threads })
    }

    /// Goes to a remote after this time.
    pub fn dial(&self, remote: RemoteId, after: Duration) {
        let mut waiting = self.shared.waiting.lock();
        if waiting.jobs.len() < WAITING_MAX {
            waiting.jobs.push(Reverse((Instant::now() + after, remote.0)));
            self.shared.more.notify_one();
        }
    }
}

impl DialerThreads {
    /// Ends the threads; what is being made is waited for, as long as its timeout lets it.
    pub fn stop(self) {
        self.dialer.shared.waiting.lock().stopping = true;
        self.dialer.shared.more.notify_all();
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn work(&self, destinations: &dyn Destinations) {
        while let Some(remote) = self.next_due() {
            let Some(dial) = destinations.next(remote) else { continue };
            match connect(&dial) {
                Ok((stream, address)) => self.hand_over(stream, address, dial),
                Err(error) => {
                    if let Some(after) = destinations.failed(remote, &dial.host, dial.port, &error) {
                        self.again(remote, after);
                    }
                }
            }
        }
    }

    fn again(&self, remote: RemoteId, after: Duration) {
        self.waiting.lock().jobs.push(Reverse((Instant::now() + after, remote.0)));
        self.more.notify_one();
    }

    fn next_due(&self) -> Option<RemoteId> {
        let mut waiting = self.waiting.lock();
        loop {
            if waiting.stopping {
                return None;
            }
            let next = waiting.jobs.peek().map(|Reverse((at, remote))| (*at, *remote));
            match next {
                None => self.more.wait(&mut waiting),
                Some((at, remote)) if at <= Instant::now() => {
                    waiting.jobs.pop();
                    return Some(RemoteId(remote));
                }
                Some((at, _)) => drop(self.more.wait_until(&mut waiting, at)),
            }
        }
    }

    /// Gives the connection to the worker with the fewest.
    fn hand_over(&self, stream: TcpStream, address: SocketAddr, dial: Dial) {
        let Dial { tls, arrival, frames, .. } = dial;
        let least = (0..self.loads.len()).min_by_key(|&worker| self.loads[worker].load(Ordering::Relaxed)).unwrap_or(0);
        self.loads[least].fetch_add(1, Ordering::Relaxed);
        let dialed = Box::new(DriverNote::Dialed(Box::new(Dialed { stream, address, tls, arrival, frames })));
        self.mailboxes[least].post(Note::Driver(dialed));
    }
}

fn connect(dial: &Dial) -> io::Result<(TcpStream, SocketAddr)> {
    let bare = dial.host.trim_start_matches('[').trim_end_matches(']');
    let (stream, address) = match &dial.tunnel {
        Some(tunnel) => tunnel.through(bare, dial.port)?,
        None => reach(bare, dial.port, dial.timeout)?,
    };
    stream.set_nonblocking(true)?;
    Ok((stream, address))
}

/// A connection to the first of a name's addresses that takes one.
pub(crate) fn reach(host: &str, port: u16, timeout: Duration) -> io::Result<(TcpStream, SocketAddr)> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no address for host");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => return Ok((stream, address)),
            Err(error) => last = error,
        }
    }
    Err(last)
}
