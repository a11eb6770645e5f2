//! Connections of an account at other servers: they count towards its limits here.
//!
//! What is known is what those servers told last. One that has told nothing for a while counts no more.

use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashMap;
use parking_lot::Mutex;

/// Servers that are remembered for one account. Those beyond are not counted.
const SERVERS_MAX: usize = 4096;

/// Looks ([`Elsewhere::look`]) after which a server that told nothing is forgotten.
const LOOKS_MAX: u8 = 5;

/// What one server told.
#[derive(Clone, Copy, Default)]
struct Told {
    clients: usize,
    leafs: usize,
    looks: u8,
}

/// An account's connections at other servers.
#[derive(Default)]
pub(crate) struct Elsewhere {
    servers: Mutex<HashMap<Box<str>, Told>>,
    clients: AtomicUsize,
    leafs: AtomicUsize,
}

impl Elsewhere {
    /// A server has told how many it has.
    pub(crate) fn note(&self, server: &str, clients: usize, leafs: usize) {
        let mut servers = self.servers.lock();
        if (clients, leafs) == (0, 0) {
            servers.remove(server);
        } else if servers.len() < SERVERS_MAX || servers.contains_key(server) {
            servers.insert(server.into(), Told { clients, leafs, looks: 0 });
        }
        self.add_up(&servers);
    }

    /// Time has passed: who told nothing for long is forgotten.
    pub(crate) fn look(&self) {
        let mut servers = self.servers.lock();
        servers.retain(|_, told| {
            told.looks += 1;
            told.looks < LOOKS_MAX
        });
        self.add_up(&servers);
    }

    fn add_up(&self, servers: &HashMap<Box<str>, Told>) {
        let sum = |of: fn(&Told) -> usize| servers.values().map(of).fold(0, usize::saturating_add);
        self.clients.store(sum(|told| told.clients), Ordering::Relaxed);
        self.leafs.store(sum(|told| told.leafs), Ordering::Relaxed);
    }

    /// Servers that told of connections.
    pub(crate) fn servers(&self) -> usize {
        self.servers.lock().len()
    }

    /// Clients at other servers.
    pub(crate) fn clients(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    /// Leaf nodes at other servers.
    pub(crate) fn leafs(&self) -> usize {
        self.leafs.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_told_last_counts_until_it_is_silent_for_long() {
        let elsewhere = Elsewhere::default();
        elsewhere.note("NA", 3, 1);
        elsewhere.note("NB", 2, 0);
        elsewhere.note("NA", 1, 2);
        assert_eq!((elsewhere.clients(), elsewhere.leafs()), (3, 2));
        for _ in 1..LOOKS_MAX {
            elsewhere.look();
            elsewhere.note("NB", 2, 0);
        }
        assert_eq!(elsewhere.clients(), 3);
        elsewhere.look();
        assert_eq!((elsewhere.clients(), elsewhere.leafs()), (2, 0), "NA was silent");
        elsewhere.note("NB", 0, 0);
        assert_eq!(elsewhere.clients(), 0);
    }

    #[test]
    fn who_tells_of_too_many_servers_is_not_believed() {
        let elsewhere = Elsewhere::default();
        for server in 0..SERVERS_MAX + 10 {
            elsewhere.note(&server.to_string(), 1, 0);
        }
        assert_eq!(elsewhere.clients(), SERVERS_MAX);
        elsewhere.note("0", usize::MAX, 0);
        assert_eq!(elsewhere.clients(), usize::MAX, "nothing overflows");
    }
}
