//! Revisions: when an answer kept from a graph stops being true.

use std::sync::atomic::{AtomicU32, Ordering};

/// How many counters first tokens are spread over.
const BUCKETS: usize = 256;

/// A point in the life of a graph, for one first token. Two equal revisions mean equal answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Revision(u64);

/// One counter for filters whose first token is a wildcard, and one per bucket of first tokens.
pub(crate) struct Revisions {
    root: AtomicU32,
    buckets: Box<[AtomicU32; BUCKETS]>,
}

/// The bucket of a first token: a small multiplicative hash; collisions only cost a needless look-up.
fn bucket(first_token: &[u8]) -> usize {
    let hash = first_token.iter().fold(0u32, |hash, &byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
    (hash.wrapping_mul(0x9e37_79b1) >> 24) as usize
}

/// The text before the first dot.
pub(crate) fn first_token(subject: &[u8]) -> &[u8] {
    let end = subject.iter().position(|&byte| byte == b'.').unwrap_or(subject.len());
    &subject[..end]
}

impl Revisions {
    pub(crate) fn new() -> Self {
        Self { root: AtomicU32::new(0), buckets: Box::new(std::array::from_fn(|_| AtomicU32::new(0))) }
    }

    /// The revision that answers for subjects beginning with the first token of `subject` have now.
    #[inline]
    pub(crate) fn of(&self, subject: &[u8]) -> Revision {
        self.of_bucket(bucket(first_token(subject)))
    }

    #[inline]
    pub(crate) fn of_bucket(&self, bucket: usize) -> Revision {
        let root = u64::from(self.root.load(Ordering::Acquire));
        let token = u64::from(self.buckets[bucket & (BUCKETS - 1)].load(Ordering::Acquire));
        Revision(root << 32 | token)
    }

    pub(crate) fn bucket_of(subject: &[u8]) -> usize {
        bucket(first_token(subject))
    }

    /// Answers for subjects that `filter` may match are void from now on.
    pub(crate) fn moved(&self, filter: &[u8]) {
        match first_token(filter) {
            b"*" | b">" => self.everything_moved(),
            token => drop(self.buckets[bucket(token)].fetch_add(1, Ordering::Release)),
        }
    }

    /// Answers for all subjects are void from now on.
    pub(crate) fn everything_moved(&self) {
        self.root.fetch_add(1, Ordering::Release);
    }
}
