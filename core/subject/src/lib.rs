//! Subjects, subject filters and what can be said about them.
//!
//! This room decides which bytes are a subject or a filter, whether a filter matches a subject, covers another filter or
//! overlaps it, how a subject is rewritten ([`transform`]), and it keeps things under filters so that all of those a
//! subject reaches are found quickly ([`Sublist`]). It also reads the mark of replies that cross clusters ([`MappedReply`]).
//!
//! It does *not* know accounts, permissions, queue choice or the wire: who may use a subject is decided in `auth`, who
//! receives a message in `interest`.
//!
//! The types are [`Subject`] (what a message is published to; borrowed, free to copy), [`Filter`] (what a subscription or
//! a rule names; may hold `*` and `>`), [`Queue`] (the name of a queue group) and [`Sublist`]. A `Filter` cannot be
//! published to and a `Subject` cannot be subscribed to, so the two are never confused.
//!
//! ```
//! use subject::{Filter, Subject, Sublist};
//!
//! let orders = Filter::parse(b"orders.>")?;
//! let created = Subject::parse(b"orders.eu.created")?;
//! assert!(orders.matches(created));
//! assert!(orders.covers(&Filter::parse(b"orders.*.created")?));
//! assert!(orders.overlaps(&Filter::parse(b"*.eu")?));
//!
//! let mut list = Sublist::with_seed(7);
//! list.insert(&orders, "warehouse");
//! let mut reached = Vec::new();
//! list.matches(created.as_bytes(), &mut |name| reached.push(*name));
//! assert_eq!(reached, ["warehouse"]);
//! # Ok::<(), subject::SubjectError>(())
//! ```
#![warn(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

mod algebra;
mod filter;
mod literal;
mod mapped;
mod overlaps;
mod queue;
mod quoted;
mod sublist;
pub mod transform;

pub use filter::{Filter, MAX_FILTER_TOKENS};
pub use literal::{MAX_SUBJECT_BYTES, Subject, SubjectError};
pub use mapped::{MAPPED_HASH_LEN, MAPPED_PREFIX, MappedReply, OLD_MAPPED_HASH_LEN, OLD_MAPPED_PREFIX};
pub use overlaps::Overlaps;
pub use queue::{MAX_QUEUE_BYTES, Queue};
pub use quoted::Quoted;
pub use sublist::Sublist;

/// The glossary's name of [`Filter`].
pub type SubjectFilter = Filter;

/// The glossary's name of [`Queue`].
pub type QueueName = Queue;
