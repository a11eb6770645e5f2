//! Streams and consumers as machines.
//!
//! This room decides what a stream stores and what it refuses, what must go, what a consumer delivers to whom and when
//! again, and what each API call answers. It does not store a byte, send a message, run a thread or read a clock: messages
//! lie in a [`Log`] that the host gives it, and what it wants done comes out as [`Effect`]s, some of them only to be done
//! once something is durable.
//!
//! The types are [`Tenant`] (everything of one account), [`Stream`] and [`Consumer`].

pub mod ack;
mod asker;
mod backup;
mod batch_limits;
mod chance;
pub mod consumer;
pub mod consumer_config;
pub mod dedupe;
mod follower;
mod limits;
mod log;
mod number;
mod origins;
mod outbox;
pub mod publish;
mod reply_subject;
mod schedule;
mod search;
pub mod stream;
pub mod stream_config;
mod tenant;
mod work;

pub use asker::Asker;
pub use backup::fuzz_restore;
pub use batch_limits::{BatchLimits, OpenBatches};
pub use chance::{Chance, random_word};
pub use consumer::Consumer;
pub use follower::{Follower, Made};
pub use limits::Limits;
pub use log::{Down, Draft, Found, Known, Log, LogError, LogState, Shelves, Stored, View, Walk};
pub use outbox::{After, Awaited, Effect, Interest, Now, Outbox, Outgoing, status};
pub use stream::{ASKING_INBOX, Incoming, Stream};
pub use tenant::{Door, KeptConsumer, KeptStream, Missing, Settings, Surroundings, Tenant};
pub use work::{BYTES_A_UNIT, DISK_UNITS, MESSAGE_UNITS, REQUEST_UNITS, Work};

use subject::{Filter, Subject};

/// Whether one of the filters takes this subject.
pub(crate) fn subjects_match(filters: &[Filter], subject: &[u8]) -> bool {
    Subject::parse(subject).is_ok_and(|subject| filters.iter().any(|filter| filter.matches(subject)))
}
