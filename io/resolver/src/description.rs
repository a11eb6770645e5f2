//! What a store keeps of a token besides its text.

use aws_lc_rs::digest::{SHA256, digest};
use jwt::Glance;

use crate::store::{Mark, Stored};

/// SHA-256 of a token's text.
pub(crate) type Hash = [u8; 32];

/// A token, described.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Description {
    pub(crate) stored: Stored,
    pub(crate) hash: Hash,
}

/// Describes a token.
pub(crate) fn describe(token: &str) -> Description {
    let glance = Glance::of(token).unwrap_or_default();
    let hash = hash_of(token);
    let stored = Stored { issued_at: glance.issued_at, expires: glance.expires, mark: Mark::of(&hash) };
    Description { stored, hash }
}

/// The hash of a token.
pub(crate) fn hash_of(token: &str) -> Hash {
    digest(&SHA256, token.as_bytes()).as_ref().try_into().expect("SHA-256 makes 32 bytes")
}
