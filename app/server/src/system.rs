//! What the house has from the system: randomness and the number of cores.

use std::time::SystemTime;

use broker::Secure;
use moment::{Instant, Timestamp};

/// Randomness of the operating system.
pub struct SystemRandom;

impl Secure for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        // Without randomness nothing here is safe; the system gives it once it has booted.
        getrandom::fill(bytes).expect("the system gives randomness");
    }
}

/// The time of day.
pub fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// Letters of an event's id.
const ID_LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// How long an event's id is.
const ID_LENGTH: usize = 22;

/// An id that no other event has.
pub fn event_id() -> String {
    let mut bytes = [0; ID_LENGTH];
    SystemRandom.fill(&mut bytes);
    bytes.iter().map(|byte| char::from(ID_LETTERS[usize::from(*byte) % ID_LETTERS.len()])).collect()
}

/// Time since the process first asked.
pub fn moment() -> Instant {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    let since = START.get_or_init(std::time::Instant::now).elapsed();
    Instant::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// A random number.
pub fn random_u64() -> u64 {
    let mut bytes = [0; 8];
    SystemRandom.fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// Whether a person reads what is printed.
pub fn is_terminal() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stdout())
}

/// Worker threads: one per core that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Bytes of memory that this machine has, if it says so.
pub fn memory_bytes() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kilobytes: u64 =
        info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.split_whitespace().next()?.parse().ok()?;
    let machine = kilobytes.checked_mul(1024)?;
    // A container may have less.
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    Some(group.map_or(machine, |group: u64| group.min(machine)))
}

/// Bytes that are free on the disk of a folder, or of the nearest folder above it that exists.
pub fn free_bytes(folder: &std::path::Path) -> Option<u64> {
    let facts = folder.ancestors().find_map(|folder| rustix::fs::statvfs(folder).ok())?;
    facts.f_bavail.checked_mul(facts.f_frsize)
}
