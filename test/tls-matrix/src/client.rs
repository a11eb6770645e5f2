//! The clients: each tries to come in as a cell says.

mod async_nats;
mod nats_py;
mod openssl;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::axes::Cell;
use crate::cast::Cast;

/// Nobody waits longer than that for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the programs are that are not ours.
#[derive(Clone, Debug)]
pub struct Tools {
    /// The `openssl` program.
    pub openssl: PathBuf,
    /// A Python that has nats-py.
    pub python: PathBuf,
}

/// What a client met with.
pub(crate) enum Met {
    /// It is served, as long as this lives.
    Service(Box<dyn Send>),
    /// It was refused after the handshake.
    LoginRefused,
    /// It was refused before.
    HandshakeRefused,
}

/// Has the cell's client connect.
pub(crate) fn connect(cell: &Cell, server: SocketAddr, cast: &Cast, tools: &Tools) -> Result<Met, String> {
    match cell.get("client") {
        "openssl" => openssl::connect(cell, server, cast, tools),
        "nats-py" => nats_py::connect(cell, server, cast, tools),
        _ => async_nats::connect(cell, server, cast),
    }
}
