//! A message's hop through this server, for traces that span systems (W3C Trace Context,
//! <https://www.w3.org/TR/trace-context/>).
//!
//! A hop is opened for a message whose `traceparent` is sampled, or that asks to be followed by `Nats-Trace-Dest`, and only
//! while somebody takes hops ([`Hub::tell_hops`](crate::Hub::tell_hops)). What goes on bears this server's span as its
//! parent, so that hops of several servers, and whoever receives the message, stand below each other. What becomes of a hop
//! is up to the taker; this room keeps it bounded.

use moment::Timestamp;

use crate::link::LinkKind;

/// Steps of one hop that are told; the others are a number.
pub const HOP_STEPS_MAX: usize = 32;

/// Longer texts of a hop are cut: subjects and names may be as long as a control line.
pub const HOP_TEXT_BYTES_MAX: usize = 256;

/// The number of a trace.
pub type TraceId = [u8; 16];

/// The number of a span.
pub type SpanId = [u8; 8];

/// Takes hops. Called on workers: it must neither block nor take long.
pub trait HopTaker: Send + Sync {
    /// Whether it has room for one more of this account, and what time it is now: a worker's clock stands still during a
    /// round.
    fn opens(&self, account: &str) -> Option<Timestamp>;

    /// The time now.
    fn now(&self) -> Timestamp;

    /// A hop is over.
    fn take(&self, hop: Hop);
}

/// What became of one message at this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The trace it is part of.
    pub trace: TraceId,
    /// The span of whoever sent it, if it said so.
    pub parent: Option<SpanId>,
    /// The span of this server.
    pub span: SpanId,
    /// When the round began in which its bytes were read.
    pub received: Timestamp,
    /// When it was looked at.
    pub begun: Timestamp,
    /// When it was clear where it goes, or that it does not.
    pub decided: Timestamp,
    /// When it was handed on to all of them.
    pub delivered: Timestamp,
    /// What kind of peer sent it.
    pub kind: LinkKind,
    /// The number of the connection.
    pub connection: u64,
    /// What the peer calls itself.
    pub peer: String,
    /// The account it was published in.
    pub account: String,
    /// What it was published to.
    pub subject: String,
    /// Bytes of headers and payload.
    pub size_bytes: usize,
    /// Why it went no further.
    pub refused: Option<HopRefusal>,
    /// Where it went.
    pub steps: Vec<Step>,
    /// Steps beyond [`HOP_STEPS_MAX`].
    pub steps_left_out: usize,
}

/// Why a message went no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HopRefusal {
    /// What was refused, in words that name no subject.
    pub what: &'static str,
    /// Which rule decided. May name subjects.
    pub because: String,
}

/// Where a message went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub at: Timestamp,
    /// Where.
    pub to: StepTo,
}

/// Where a message went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepTo {
    /// To a client.
    Client {
        /// The number of its connection.
        connection: u64,
        /// What it calls itself.
        name: String,
        /// Its account.
        account: String,
        /// Its subscription.
        filter: String,
        /// The queue group.
        queue: Option<String>,
        /// Why it did not get it.
        missed: Option<&'static str>,
    },
    /// To another server.
    Server {
        /// What kind of link.
        kind: LinkKind,
        /// The number of its connection.
        connection: u64,
        /// What it calls itself.
        name: String,
    },
    /// By a service import into the account that exports it.
    Service {
        /// The account.
        account: String,
        /// Under this subject before.
        from: String,
        /// And under this one there.
        to: String,
    },
    /// By a stream import into the account that imports it.
    Stream {
        /// The account.
        account: String,
        /// Under this subject.
        to: String,
    },
}

/// A text of a peer, at most [`HOP_TEXT_BYTES_MAX`] bytes of it.
pub(crate) fn text(bytes: &[u8]) -> String {
    let cut = bytes.get(..HOP_TEXT_BYTES_MAX).unwrap_or(bytes);
    String::from_utf8_lossy(cut).into_owned()
}
