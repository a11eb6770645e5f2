//! Who is let in before anything is read: bans, the limit of connections, and of strangers from one address.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use broker::{Hub, TOO_MANY_CLIENTS};
use net::{AcceptGate, Refused};

use crate::system::wall;

/// Counts clients in, up to `max_connections`.
#[derive(Default)]
pub struct ConnectionGate(OnceLock<Arc<Hub>>);

impl ConnectionGate {
    /// From now on the hub is asked. Before that nobody is let in.
    pub fn open(&self, hub: &Arc<Hub>) {
        self.0.get_or_init(|| hub.clone());
    }
}

impl AcceptGate for ConnectionGate {
    fn admit(&self, address: SocketAddr) -> Result<(), Option<Refused>> {
        let Some(hub) = self.0.get() else { return Err(None) };
        if !hub.admit_stranger(address.ip(), wall()) {
            return Err(None);
        }
        if hub.admit_client() {
            return Ok(());
        }
        hub.stranger_left(address.ip());
        Err(Some(Refused { error: TOO_MANY_CLIENTS, info_first: true }))
    }
}

/// Lets in whoever is no client, or not yet: other servers, and those who still have to ask for a WebSocket. As many as there are, but not
/// many strangers from one address.
#[derive(Default)]
pub struct StrangerGate(OnceLock<Arc<Hub>>);

impl StrangerGate {
    /// From now on the hub is asked. Before that nobody is let in.
    pub fn open(&self, hub: &Arc<Hub>) {
        self.0.get_or_init(|| hub.clone());
    }
}

impl AcceptGate for StrangerGate {
    fn admit(&self, address: SocketAddr) -> Result<(), Option<Refused>> {
        let admitted = self.0.get().is_some_and(|hub| hub.admit_stranger(address.ip(), wall()));
        if admitted { Ok(()) } else { Err(None) }
    }
}
