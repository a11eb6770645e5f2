//! Asking issuers over the network: about our own certificates, to staple the answers, and about those of peers.
//!
//! What a question and an answer are, and what an answer means, is decided by the room of TLS. Here are the network, the
//! files and the threads.

mod fetch;
mod peer;
mod staple;

pub(crate) use peer::PeerAnswers;
pub(crate) use staple::{Revoked, Stapled, Staples, Stapling};

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since the epoch.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
