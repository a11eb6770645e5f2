//! Runs streams and consumers on their thread.
//!
//! # The port
//!
//! The host and the broker know each other by two small things, and by nothing else:
//!
//! * **in**: [`Inlet::deliver`]. The broker calls it, from any of its workers, for each authorized message that matches a
//!   filter the host listens to: account, the door it listens by, the message. It is copied to the end of a bounded buffer
//!   and nobody waits; a full queue is an error the broker may turn into an answer.
//! * **out**: the trait [`Port`], which the broker implements. The host listens to filters in an account
//!   ([`Port::listen`]), asks whether anybody would receive a subject ([`Port::is_wanted`]), and publishes as the server
//!   itself ([`Port::publish`]). A message has a subject it is *routed* by and, where that differs, a subject its
//!   receivers *see*: a consumer delivers to an inbox, and the client sees the subject the message was stored under.
//!
//! From the moment an account is added the host listens in it to `$JS.API.>`, `$JS.ACK.>`, `$JS.FC.>` and `$JS.SNAPSHOT.>`, and to the
//! subjects of its streams as they come and go. With a domain it listens to `$JS.<domain>.API.>` as well.
//!
//! # What runs where
//!
//! One thread takes what arrived, lets the machines of `jetstream` decide, writes and syncs everything that was staged, one
//! sync for each file, many files at once, and only then sends what had to wait for that. While it syncs the next batch
//! gathers: the slower the disk, the larger the groups.
//!
//! [`Desk`] is that loop without the thread: scenes drive it by hand. [`Host`] runs it.

mod account_keys;
mod barrier;
mod desk;
mod freeing;
mod host;
mod inlet;
mod lanes;
mod ledger;
mod opening;
mod shelf;
mod syncing;
mod upkeep;

pub use desk::{AccountSettings, Desk, DeskSettings, Opened};
pub use host::{Asked, Clock, Hand, Host, RealClock};
pub use inlet::{Arrival, Full, Inlet, InletLimits};
pub use jetstream::{ASKING_INBOX, Asker, Awaited, BatchLimits, Door, Follower, Incoming, Made, OpenBatches, Outgoing};
pub use ledger::{Bounds, Ledger};
pub use shelf::{Shelf, Shelving, half_gone};

use subject::Filter;

/// What the host needs of the broker.
pub trait Port: Send + Sync {
    /// Publishes in an account, as the server itself, in this order. Messages are lent: copy what outlives the call.
    fn publish<'a>(&self, account: &str, messages: &mut dyn Iterator<Item = Outgoing<'a>>);
    /// Whether anybody would receive a message of this subject.
    fn is_wanted(&self, account: &str, subject: &[u8]) -> bool;
    /// Whether a member of this queue group would; without a group, whether somebody would who is in none. A port that does
    /// not tell groups apart says whether anybody would.
    fn is_heard(&self, account: &str, subject: &[u8], group: &str) -> bool {
        let _ = group;
        self.is_wanted(account, subject)
    }
    /// Messages that match are delivered to the inlet from now on, by this door.
    fn listen(&self, account: &str, door: Door, filter: &Filter);
    /// No longer.
    fn unlisten(&self, account: &str, door: Door, filter: &Filter);
    /// As soon as anybody would receive a message of the subject, the name of who waits is delivered to the inlet, once, by
    /// [`Door::Interest`]. It is asked for again after that. A port that can not tell leaves it to the host to look every
    /// second.
    fn await_interest(&self, account: &str, awaited: Awaited) {
        let _ = (account, awaited);
    }
    /// No longer.
    fn no_longer_awaits(&self, account: &str, awaited: &Awaited) {
        let _ = (account, awaited);
    }
    /// The operator should know.
    fn report(&self, report: Report);
}

/// Something the operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A stream is back after a start.
    Restored {
        /// Whose it is.
        account: String,
        /// Its name.
        stream: String,
        /// Its messages.
        messages: u64,
        /// Its consumers.
        consumers: usize,
    },
    /// What recovery or a read found wrong.
    Finding(String),
    /// All accounts together store more than the server may; nothing is stored until something goes.
    OutOfRoom {
        /// In files, or in memory.
        on_disk: bool,
    },
    /// So many API requests were not taken, because too many waited.
    RequestsLost(u64),
    /// The disk fails; nothing is acknowledged until it works again.
    StoreFailed {
        /// What it said.
        why: String,
        /// The account and the name of the stream whose file it was, if it was one's.
        stream: Option<(String, String)>,
        /// There is no room on it.
        is_full: bool,
    },
    /// It works again.
    StoreRecovered,
    /// Progress of sealing everything by the present key and cipher: done, and to do.
    Resealing {
        /// Blocks sealed anew.
        done: u64,
        /// Blocks in all.
        all: u64,
    },
    /// Everything is sealed by the present key and cipher; the previous key is not needed any more.
    Resealed {
        /// Blocks that were sealed anew.
        blocks: u64,
    },
    /// Everything of the accounts that are served takes keys of their own.
    AccountsSealed {
        /// Accounts that have one.
        accounts: usize,
        /// Blocks that were sealed anew.
        blocks: u64,
    },
    /// An account has a key of its own from now on.
    KeyDrawn {
        /// Whose it is.
        account: String,
    },
    /// The key of an account is destroyed, with everything that it sealed: now, or when a start found that it was to be.
    KeyDestroyed {
        /// Whose it was.
        account: String,
        /// Streams that went with it.
        streams: u64,
    },
    /// Nothing takes the key that an account had of its own any more, and it is gone.
    KeyRetired {
        /// Whose it was.
        account: String,
    },
}
