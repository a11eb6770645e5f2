//! Where clients and other servers come in.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;

use crate::securing::SharedSecurity;
use crate::upgrading::Upgrades;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 1024;

/// Why a connection is not served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused {
    /// The text of the `-ERR` that is sent before closing.
    pub error: &'static str,
    /// Whether INFO goes first, as peers expect it.
    pub info_first: bool,
}

/// Decides about a connection before anything is read from it. Called on the accepting worker: it must not block.
pub trait AcceptGate: Send + Sync {
    /// Whether a connection from this address is served. `Err(None)` closes without a word.
    ///
    /// # Errors
    /// With what to say to the peer, if anything.
    fn admit(&self, address: SocketAddr) -> Result<(), Option<Refused>>;
}

/// Who comes in by a listener.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DoorKind {
    /// Clients.
    Client,
    /// Clients over WebSocket.
    WebSocket,
    /// Leaf nodes.
    Leaf,
    /// Servers of the cluster.
    Route,
    /// Servers of other clusters.
    Gateway,
}

/// A bound socket that accepts connections of one kind.
pub struct Listener {
    pub(crate) kind: DoorKind,
    pub(crate) socket: TcpListener,
    pub(crate) gate: Arc<dyn AcceptGate>,
    pub(crate) security: SharedSecurity,
    pub(crate) expects_origin: bool,
    pub(crate) upgrades: Option<Arc<Upgrades>>,
}

impl DoorKind {
    /// Whether clients come in, by whatever carries their protocol.
    pub const fn is_for_clients(self) -> bool {
        matches!(self, Self::Client | Self::WebSocket)
    }
}

impl Listener {
    /// Binds `host:port`; port 0 takes any free one.
    ///
    /// # Errors
    /// Those of the system: the address does not exist here, is taken, or needs rights.
    pub fn bind(
        kind: DoorKind,
        host: &str,
        port: u16,
        gate: Arc<dyn AcceptGate>,
        security: SharedSecurity,
    ) -> io::Result<Self> {
        let address = resolve(host, port)?;
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if address.ip().is_unspecified() && address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(Self { kind, socket: socket.into(), gate, security, expects_origin: false, upgrades: None })
    }

    /// From now on a connection may begin with a PROXY header, and what it says is believed.
    #[must_use]
    pub fn behind_proxy(mut self) -> Self {
        self.expects_origin = true;
        self
    }

    /// From now on a connection begins with a request to become a WebSocket, which is judged by this.
    #[must_use]
    pub fn upgrading(mut self, upgrades: Upgrades) -> Self {
        self.upgrades = Some(Arc::new(upgrades));
        self
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Those of the system.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// `0.0.0.0` means every address of the host, IPv6 included where there is any, as operators expect it.
fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    if matches!(host, "" | "0.0.0.0") && has_ipv6() {
        return Ok(SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, port)));
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let mut found = (if bare.is_empty() { "0.0.0.0" } else { bare }, port).to_socket_addrs()?;
    found.next().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no address for host {host:?}")))
}

fn has_ipv6() -> bool {
    TcpListener::bind((std::net::Ipv6Addr::UNSPECIFIED, 0)).is_ok()
}
