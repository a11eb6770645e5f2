//! The trail of who did what: records, the chain that holds them together, and whether a trail is whole.
//!
//! This room decides what a line of the trail looks like, which repetitions are counted instead of written, and whether
//! lines that are read back are the ones that were written. It writes no file, reads no clock and draws no key.
//!
//! * [`Record`]: who, from where, by which credential, what, by which rule, with which outcome. Never a secret: it has no
//!   field for one.
//! * [`Chain`]: turns records into lines. Each line ends in the SHA-256 of the line before it and of itself, so a line that
//!   is changed, taken out, put in or moved breaks the chain at that place. Who can write the file could compute a chain
//!   anew; so with a key the chain is signed now and then ([`Chain::checkpoint`]), and what was written before a
//!   checkpoint cannot be replaced without that key. Lines after the last checkpoint, and the loss of the newest lines,
//!   are only noticed by whoever kept a later checkpoint.
//! * [`Verifier`]: reads lines and names what is wrong, and where.
//! * [`Gate`]: the first of a kind at once, repetitions as a number per window, so that a flood of refusals fills no disk.
//!
//! A line is a JSON object without line breaks, at most [`MAX_LINE_BYTES`] long; times are RFC 3339 in UTC.

#![warn(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

mod chain;
mod gate;
mod query;
mod record;
mod verify;

pub use chain::{CHAIN_BYTES, Chain, ChainHead};
pub use gate::{Counts, GATE_KINDS_MAX, GATE_KINDS_OF_ONE_ACCOUNT_MAX, GATE_KINDS_OF_ONE_USER_MAX, Gate};
pub use query::Query;
pub use record::{Class, MAX_TEXT_BYTES, Outcome, Record};
pub use verify::{Finding, Summary, Verifier};

/// The longest line that is written, and the longest that is read.
pub const MAX_LINE_BYTES: usize = 16 * 1024;
