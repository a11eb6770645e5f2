//! A link: what the whole house may know of a connection, and its way out.
//!
//! The worker that reads a connection owns the rest of it; any worker may send to its link.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use moment::Instant;
use parking_lot::Mutex;

use crate::mailbox::{ConnectionKey, Mailbox, Note};
use crate::outbound::Queue;

/// The non-blocking write half of a connection. The driver implements it on a socket, tests on memory.
pub trait Transport: Send + Sync {
    /// Writes what the far end takes now; [`io::ErrorKind::WouldBlock`] if nothing. The owner is told
    /// ([`Link::writable`]) when a refused transport takes bytes again.
    fn write(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Ends both directions; the owner will read the end of the stream.
    fn shut_down(&self);
}

/// What kind of peer is at the far end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkKind {
    /// A client on the NATS protocol.
    Client,
    /// Another server of the cluster.
    Route,
    /// A server of another cluster.
    Gateway,
    /// A leaf node, or the hub of one.
    Leaf,
    /// Nobody: the server itself publishes.
    House,
}

/// What carries the protocol to the far end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Carrier {
    /// A stream of bytes, perhaps encrypted.
    #[default]
    Stream,
    /// Frames of WebSocket in one.
    WebSocket,
}

impl Carrier {
    /// What a client is called that comes by it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stream => "nats",
            Self::WebSocket => "websocket",
        }
    }
}

/// Counters of one link. Added to once per batch, read by monitoring.
#[derive(Default, Debug)]
#[repr(align(64))]
pub struct LinkStats {
    /// Messages received from the peer.
    pub in_msgs: AtomicU64,
    /// Payload and header bytes received.
    pub in_bytes: AtomicU64,
    /// Messages sent to the peer.
    pub out_msgs: AtomicU64,
    /// Payload and header bytes sent.
    pub out_bytes: AtomicU64,
    /// When the peer last said something or got a message, in nanoseconds of the house's clock.
    pub last_activity: AtomicU64,
    /// The round trip time in nanoseconds; 0 while it is not known.
    pub rtt: AtomicU64,
    /// Subscriptions of the peer.
    pub subscriptions: AtomicU64,
    /// How long limits have held the peer up, in nanoseconds.
    pub held: AtomicU64,
}

/// Small dense numbers for links, so that a worker finds a link's stage by index.
#[derive(Default)]
pub(crate) struct Slots(Mutex<SlotList>);

#[derive(Default)]
struct SlotList {
    free: Vec<u32>,
    next: u32,
}

impl Slots {
    fn take(&self) -> u32 {
        let mut list = self.0.lock();
        list.free.pop().unwrap_or_else(|| {
            list.next += 1;
            list.next - 1
        })
    }

    fn give(&self, slot: u32) {
        self.0.lock().free.push(slot);
    }
}

/// The shared part of a connection.
pub struct Link {
    /// Who reads it, where, and its id.
    pub key: ConnectionKey,
    /// What is at the far end.
    pub kind: LinkKind,
    /// What carries the protocol.
    pub carrier: Carrier,
    /// The far end's address, as the listener or a trusted proxy told it.
    pub address: SocketAddr,
    /// When the connection was accepted.
    pub started: Instant,
    /// Counters.
    pub stats: LinkStats,
    pub(crate) slot: u32,
    pub(crate) transport: Box<dyn Transport>,
    pub(crate) queue: Mutex<Queue>,
    /// Whether the queue holds bytes: lets the owner skip the lock on the many "writable" events that mean nothing.
    pub(crate) has_pending: AtomicBool,
    /// How often publishers were held up because the peer was behind.
    pub(crate) stalls: AtomicU64,
    /// Until then the peer may answer by a marked reply, in nanoseconds of the house's clock. Zero if it never was asked so.
    pub(crate) asked_until: AtomicU64,
    /// Until then the peer may answer a request that is measured. Zero if it was handed none, or answered all.
    pub(crate) handed_until: AtomicU64,
    pub(crate) mailboxes: Arc<[Mailbox]>,
    slots: Arc<Slots>,
}

impl Link {
    pub(crate) fn new(parts: LinkParts, mailboxes: Arc<[Mailbox]>, slots: Arc<Slots>) -> Arc<Self> {
        Arc::new(Self {
            key: parts.key,
            kind: parts.kind,
            carrier: parts.carrier,
            address: parts.address,
            started: parts.now,
            stats: LinkStats::default(),
            slot: slots.take(),
            transport: parts.transport,
            queue: Mutex::new(Queue::new(parts.limits)),
            has_pending: AtomicBool::new(false),
            stalls: AtomicU64::new(0),
            asked_until: AtomicU64::new(0),
            handed_until: AtomicU64::new(0),
            mailboxes,
            slots,
        })
    }

    /// Tells a worker something. A worker that does not exist is not told.
    pub(crate) fn post(&self, worker: u16, note: Note) {
        if let Some(mailbox) = self.mailboxes.get(usize::from(worker)) {
            mailbox.post(note);
        }
    }

    /// How often publishers were held up because the peer was behind.
    pub fn stalls(&self) -> u64 {
        self.stalls.load(Ordering::Relaxed)
    }

    /// Bytes that wait for the peer.
    pub fn pending_bytes(&self) -> usize {
        if self.has_pending.load(Ordering::Acquire) { self.queue.lock().pending_bytes() } else { 0 }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.slots.give(self.slot);
    }
}

/// What a link is made of.
pub(crate) struct LinkParts {
    /// Who reads it, where, and its id.
    pub(crate) key: ConnectionKey,
    pub(crate) kind: LinkKind,
    pub(crate) carrier: Carrier,
    pub(crate) address: SocketAddr,
    pub(crate) transport: Box<dyn Transport>,
    pub(crate) limits: QueueLimits,
    /// The time of acceptance.
    pub(crate) now: Instant,
}

/// Bounds of an outbound queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueLimits {
    /// More pending bytes than this: the peer is a slow consumer and is closed.
    pub max_pending_bytes: usize,
    /// From here on publishers to this link are held up, at most [`STALL_MAX`](crate::STALL_MAX) at a time.
    pub stall_bytes: usize,
    /// Below this, held-up publishers go on.
    pub resume_bytes: usize,
    /// Publishers are never held up; what a full peer should get is left out instead (`no_fast_producer_stall`).
    pub never_stall: bool,
}

/// Pending bytes from which publishers are held up, unless the limit is smaller.
const STALL_BYTES: usize = 1 << 20;

/// Pending bytes below which publishers go on.
const RESUME_BYTES: usize = 256 << 10;

impl QueueLimits {
    /// The bounds that follow from `max_pending`.
    pub fn new(max_pending_bytes: usize, never_stall: bool) -> Self {
        let stall_bytes =
            if never_stall { max_pending_bytes / 4 * 3 } else { STALL_BYTES.min(max_pending_bytes / 4 * 3) };
        Self { max_pending_bytes, stall_bytes, resume_bytes: RESUME_BYTES.min(stall_bytes / 2), never_stall }
    }
}
