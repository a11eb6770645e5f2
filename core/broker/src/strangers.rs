//! Strangers: connections that have not logged in, counted by address, so that one host cannot take all the room.

use std::hash::BuildHasher;
use std::net::IpAddr;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use parking_lot::Mutex;

/// Connections of one address that may be between acceptance and login. Each may make the server keep a control line.
pub const STRANGERS_PER_ADDRESS_MAX: u32 = 8192;

/// Parts of the table, so that acceptances do not wait for each other.
const SHARDS: usize = 16;

/// Connections before login, by address.
pub(crate) struct Strangers {
    shards: [Mutex<HashMap<IpAddr, u32>>; SHARDS],
    hasher: FixedState,
}

impl Strangers {
    pub(crate) fn new(seed: u64) -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), hasher: FixedState::with_seed(seed) }
    }

    fn shard(&self, address: IpAddr) -> &Mutex<HashMap<IpAddr, u32>> {
        &self.shards[self.hasher.hash_one(address) as usize % SHARDS]
    }

    /// One more, if there may be.
    pub(crate) fn enter(&self, address: IpAddr) -> bool {
        let mut shard = self.shard(address).lock();
        let count = shard.entry(address).or_default();
        let fits = *count < STRANGERS_PER_ADDRESS_MAX;
        *count += u32::from(fits);
        fits
    }

    /// One has logged in, or is gone.
    pub(crate) fn leave(&self, address: IpAddr) {
        let mut shard = self.shard(address).lock();
        if let Some(count) = shard.get_mut(&address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                shard.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_a_bound_and_another_has_its_own() {
        let strangers = Strangers::new(1);
        let (one, other) = ([1, 1, 1, 1].into(), [2, 2, 2, 2].into());
        for _ in 0..STRANGERS_PER_ADDRESS_MAX {
            assert!(strangers.enter(one));
        }
        assert!(!strangers.enter(one) && strangers.enter(other));
        strangers.leave(one);
        assert!(strangers.enter(one));
    }

    #[test]
    fn an_address_without_strangers_takes_no_memory() {
        let strangers = Strangers::new(1);
        let address = [1, 1, 1, 1].into();
        assert!(strangers.enter(address));
        strangers.leave(address);
        strangers.leave(address);
        assert!(strangers.shards.iter().all(|shard| shard.lock().is_empty()));
    }
}
