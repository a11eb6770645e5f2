//! What a stranger may cost the server before it has logged in: the bounds, as they are configured.

use std::time::Duration;

/// Bounds for connections that have not logged in, and what failing costs. The defaults suit a server on an open network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeforeLogin {
    /// Connections between acceptance and login, all in all.
    pub connections: usize,
    /// The same of one address.
    pub connections_per_address: u32,
    /// Bytes of unfinished handshakes that are kept, all in all, beyond the first 4 KiB of each: those are every
    /// stranger's own, so that a flood of long handshakes keeps no honest one out.
    pub bytes: usize,
    /// The same for one address.
    pub bytes_per_address: usize,
    /// Failed logins that cost nothing: people mistype, and fleets come back with old credentials.
    pub free_failures: u32,
    /// The first delay of an answer. Each further failure doubles it.
    pub delay_min: Duration,
    /// The longest delay: shorter than any client's patience.
    pub delay_max: Duration,
    /// After this time half of the failures are forgotten.
    pub half_life: Duration,
    /// Refused connections of one address that may wait for their answer. While so many do, nobody else from there is
    /// judged.
    pub held_per_address: u32,
}

impl Default for BeforeLogin {
    fn default() -> Self {
        Self {
            connections: 32_768,
            connections_per_address: 8_192,
            bytes: 128 << 20,
            bytes_per_address: 32 << 20,
            free_failures: 10,
            delay_min: Duration::from_millis(50),
            delay_max: Duration::from_secs(1),
            half_life: Duration::from_secs(60),
            held_per_address: 64,
        }
    }
}
