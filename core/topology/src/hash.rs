//! Short hashes by which servers and clusters name each other.

use sha2::{Digest, Sha256};
use subject::{MAPPED_HASH_LEN, OLD_MAPPED_HASH_LEN};

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Characters of a node's hash.
pub const NODE_HASH_LEN: usize = 8;

/// A hash of printable characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShortHash<const N: usize>([u8; N]);

impl<const N: usize> ShortHash<N> {
    /// The hash of a name: the first bytes of its SHA-256, each as one of 62 digits.
    pub fn of(name: &str) -> Self {
        let digest = Sha256::digest(name.as_bytes());
        let mut hash = [b'0'; N];
        for (place, byte) in hash.iter_mut().zip(digest) {
            *place = DIGITS.get(usize::from(byte) % DIGITS.len()).copied().unwrap_or(b'0');
        }
        Self(hash)
    }

    /// The characters.
    pub const fn as_bytes(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> std::fmt::Display for ShortHash<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl<const N: usize> std::fmt::Debug for ShortHash<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// The hash of a server's name.
pub type NodeHash = ShortHash<NODE_HASH_LEN>;

/// The hash of a cluster's name or a server's id in mapped replies.
pub type GatewayHash = ShortHash<MAPPED_HASH_LEN>;

/// The hash old servers use for a cluster: the first four hex digits of its SHA-256.
pub fn old_gateway_hash(cluster: &str) -> [u8; OLD_MAPPED_HASH_LEN] {
    let digest = Sha256::digest(cluster.as_bytes());
    let mut hash = [b'0'; OLD_MAPPED_HASH_LEN];
    let hex = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    for (place, nibble) in hash.iter_mut().zip(hex) {
        *place = b"0123456789abcdef".get(usize::from(nibble)).copied().unwrap_or(b'0');
    }
    hash
}
