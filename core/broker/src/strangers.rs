//! Strangers: connections that have not logged in, counted by address and all in all, with the bytes they make the
//! server keep, so that neither one host nor many can take all the room. What an honest handshake needs is every
//! stranger's own and not taken by the others: only what goes beyond it comes out of the common goods.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::BeforeLogin;

/// Parts of the table, so that acceptances do not wait for each other.
const SHARDS: usize = 16;

/// Bytes of a handshake that each stranger may have kept whatever the others do: more than a hello with a post-quantum
/// share, or a certificate with its issuer. With it, strangers take at most as much as the bounds of bytes and this
/// times the bounds of connections.
pub(crate) const SHARE_BYTES: usize = 4096;

/// Connections before login, by address.
pub(crate) struct Strangers {
    shards: [Mutex<HashMap<IpAddr, Tally>>; SHARDS],
    count: AtomicUsize,
    /// Beyond the share of each.
    bytes: AtomicUsize,
    hasher: FixedState,
}

#[derive(Default)]
struct Tally {
    count: u32,
    /// Beyond the share of each.
    bytes: usize,
}

impl Strangers {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            count: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            hasher: FixedState::with_seed(seed),
        }
    }

    fn shard(&self, address: IpAddr) -> &Mutex<HashMap<IpAddr, Tally>> {
        &self.shards[self.hasher.hash_one(address) as usize % SHARDS]
    }

    /// One more, if there may be.
    pub(crate) fn enter(&self, address: IpAddr, bounds: &BeforeLogin) -> bool {
        if !take(&self.count, 1, bounds.connections) {
            return false;
        }
        let mut shard = self.shard(address).lock();
        let tally = shard.entry(address).or_default();
        if tally.count < bounds.connections_per_address {
            tally.count += 1;
            return true;
        }
        self.count.fetch_sub(1, Ordering::Relaxed);
        false
    }

    /// One has logged in, or is gone, and with it the `had` bytes that were kept for it.
    pub(crate) fn leave(&self, address: IpAddr, had: usize) {
        let bytes = beyond(had);
        let mut shard = self.shard(address).lock();
        let Some(tally) = shard.get_mut(&address) else { return };
        tally.count = tally.count.saturating_sub(1);
        tally.bytes = tally.bytes.saturating_sub(bytes);
        if tally.count == 0 {
            shard.remove(&address);
        }
        drop(shard);
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Keeps bytes for a stranger that has `had` so many, if there may be more.
    pub(crate) fn lend(&self, address: IpAddr, had: usize, bytes: usize, bounds: &BeforeLogin) -> bool {
        let bytes = beyond(had.saturating_add(bytes)) - beyond(had);
        if bytes == 0 {
            return true;
        }
        if !take(&self.bytes, bytes, bounds.bytes) {
            return false;
        }
        let mut shard = self.shard(address).lock();
        match shard.get_mut(&address) {
            Some(tally) if tally.bytes + bytes <= bounds.bytes_per_address => {
                tally.bytes += bytes;
                true
            }
            _ => {
                self.bytes.fetch_sub(bytes, Ordering::Relaxed);
                false
            }
        }
    }

    /// The bytes that a stranger had are not kept any more.
    pub(crate) fn give_back(&self, address: IpAddr, had: usize) {
        let bytes = beyond(had);
        if let Some(tally) = self.shard(address).lock().get_mut(&address) {
            tally.bytes = tally.bytes.saturating_sub(bytes);
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

/// What comes out of the common goods for one stranger.
fn beyond(had: usize) -> usize {
    had.saturating_sub(SHARE_BYTES)
}

/// Takes so many of a common good, if there are.
fn take(from: &AtomicUsize, wanted: usize, most: usize) -> bool {
    let taken = from.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
        taken.checked_add(wanted).filter(|taken| *taken <= most)
    });
    taken.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds() -> BeforeLogin {
        BeforeLogin::default()
    }

    #[test]
    fn one_address_has_a_bound_and_another_has_its_own() {
        let strangers = Strangers::new(1);
        let (one, other) = ([1, 1, 1, 1].into(), [2, 2, 2, 2].into());
        for _ in 0..bounds().connections_per_address {
            assert!(strangers.enter(one, &bounds()));
        }
        assert!(!strangers.enter(one, &bounds()) && strangers.enter(other, &bounds()));
        strangers.leave(one, 0);
        assert!(strangers.enter(one, &bounds()));
    }

    #[test]
    fn all_addresses_together_have_a_bound_too() {
        let strangers = Strangers::new(1);
        let address = |n: usize| IpAddr::from([10, 0, (n / 250) as u8, (n % 250) as u8]);
        assert!((0..bounds().connections).all(|n| strangers.enter(address(n), &bounds())));
        assert!(!strangers.enter([9, 9, 9, 9].into(), &bounds()));
        strangers.leave(address(0), 0);
        assert!(strangers.enter([9, 9, 9, 9].into(), &bounds()));
    }

    #[test]
    fn bytes_are_lent_within_bounds_and_come_back() {
        let strangers = Strangers::new(1);
        let piece = bounds().bytes_per_address / 4;
        let address = |n: u8| IpAddr::from([10, 0, 0, n]);
        let lend = |n, had, bytes| strangers.lend(address(n), had, bytes, &bounds());
        assert!(strangers.enter(address(0), &bounds()));
        assert!(lend(0, 0, SHARE_BYTES + piece));
        assert!((1..4).all(|n| lend(0, SHARE_BYTES + n * piece, piece)));
        assert!(!lend(0, SHARE_BYTES + 4 * piece, 1), "the bound of an address");
        strangers.give_back(address(0), SHARE_BYTES + piece);
        assert!(lend(0, SHARE_BYTES + 3 * piece, 1));
        strangers.leave(address(0), SHARE_BYTES + 3 * piece + 1);
        assert_eq!(strangers.bytes.load(Ordering::Relaxed), 0);
        for n in 1..=4 {
            assert!(strangers.enter(address(n), &bounds()) && lend(n, 0, SHARE_BYTES + 4 * piece));
        }
        assert!(strangers.enter(address(5), &bounds()) && !lend(5, SHARE_BYTES, 1), "the bound of all");
    }

    #[test]
    fn a_handshake_finds_its_share_however_much_the_others_took() {
        let strangers = Strangers::new(1);
        let flood = |n: u8| IpAddr::from([10, 0, 0, n]);
        for n in 0..4 {
            assert!(strangers.enter(flood(n), &bounds()));
            assert!(strangers.lend(flood(n), 0, SHARE_BYTES + bounds().bytes_per_address, &bounds()));
        }
        for honest in [flood(0), flood(9)] {
            assert!(strangers.enter(honest, &bounds()));
            assert!(strangers.lend(honest, 0, 1800, &bounds()) && strangers.lend(honest, 1800, 2200, &bounds()));
            assert!(!strangers.lend(honest, 4000, 97, &bounds()));
        }
    }

    #[test]
    fn an_address_without_strangers_takes_no_memory() {
        let strangers = Strangers::new(1);
        let address = [1, 1, 1, 1].into();
        assert!(strangers.enter(address, &bounds()));
        strangers.leave(address, 0);
        strangers.leave(address, 0);
        assert!(strangers.shards.iter().all(|shard| shard.lock().is_empty()));
        assert_eq!(strangers.count.load(Ordering::Relaxed), 0);
    }
}
