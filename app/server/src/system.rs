//! What the house has from the system: randomness and the number of cores.

use broker::Secure;

/// Randomness of the operating system.
pub struct SystemRandom;

impl Secure for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        // Without randomness nothing here is safe; the system gives it once it has booted.
        getrandom::fill(bytes).expect("the system gives randomness");
    }
}

/// A random number.
pub fn random_u64() -> u64 {
    let mut bytes = [0; 8];
    SystemRandom.fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// Worker threads: one per core that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
