//! Runs streams and consumers on their thread.
//!
//! # The port
//!
//! The host and the broker know each other by two small things, and by nothing else:
//!
//! * **in**: [`Inlet::deliver`]. The broker calls it, from any of its workers, for each authorized message that matches a
//!   filter the host listens to: account, subject, reply, headers, payload. It copies the message onto a bounded queue and
//!   never blocks; a full queue is an error the broker may turn into an answer.
//! * **out**: the trait [`Port`], which the broker implements. The host listens to filters in an account
//!   ([`Port::listen`]), asks whether anybody would receive a subject ([`Port::is_wanted`]), and publishes as the server
//!   itself ([`Port::publish`]). A message has a subject it is *routed* by and, where that differs, a subject its
//!   receivers *see*: a consumer delivers to an inbox, and the client sees the subject the message was stored under.
//!
//! From the moment an account is added the host listens in it to `$JS.API.>`, `$JS.ACK.>` and `$JS.FC.>`, and to the
//! subjects of its streams as they come and go. With a domain it listens to `$JS.<domain>.API.>` as well.
//!
//! # What runs where
//!
//! One thread takes what arrived, lets the machines of `jetstream` decide, writes and syncs everything that was staged, one
//! sync for each file, many files at once, and only then sends what had to wait for that. While it syncs the next batch
//! gathers: the slower the disk, the larger the groups.
//!
//! [`Desk`] is that loop without the thread: scenes drive it by hand. [`Host`] runs it.

mod desk;
mod host;
mod inlet;
mod shelf;

pub use desk::{AccountSettings, Desk, DeskSettings, Opened};
pub use host::{Clock, Host, RealClock};
pub use inlet::{Full, Inlet, MAX_QUEUED_BYTES, MAX_QUEUED_MESSAGES, Message};
pub use jetstream::Outgoing;

use subject::Filter;

/// What the host needs of the broker.
pub trait Port: Send + Sync {
    /// Publishes in an account, as the server itself, in this order.
    fn publish(&self, account: &str, messages: Vec<Outgoing>);
    /// Whether anybody would receive a message of this subject.
    fn is_wanted(&self, account: &str, subject: &[u8]) -> bool;
    /// Messages that match are delivered to the inlet from now on.
    fn listen(&self, account: &str, filter: &Filter);
    /// No longer.
    fn unlisten(&self, account: &str, filter: &Filter);
    /// The operator should know.
    fn report(&self, report: Report);
}

/// Something the operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// What recovery or a read found wrong.
    Finding(String),
    /// The disk fails; nothing is acknowledged until it works again.
    StoreFailed(String),
    /// It works again.
    StoreRecovered,
    /// Progress of sealing everything by the present key and cipher: done, and to do.
    Resealing {
        /// Blocks sealed anew.
        done: u64,
        /// Blocks in all.
        all: u64,
    },
}
