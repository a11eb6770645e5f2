//! Waiting for a PROXY header, where the listener expects one: who really connected.
//!
//! The bytes stay in the kernel until the header is whole, so a stranger that sends half of one costs no memory here.

use std::io::{ErrorKind, Read};
use std::time::Duration;

use broker::Step;
use moment::Instant;
use wire::CloseReason;

use crate::proxy::{self, Origin, Parsed};
use crate::socket::Socket;
use crate::transport::TcpTransport;

/// How long a proxy may take for its header.
pub(crate) const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// Looks at what has come without taking it, and takes exactly the header once it is whole.
pub(crate) fn read_header(core: &mut broker::Worker, socket: &mut Socket) -> Step {
    let mut bytes = [0; proxy::MAX_V2];
    let seen = match socket.stream.peek(&mut bytes) {
        Ok(0) => return Step::Close(CloseReason::ClientClosed),
        Ok(seen) => &bytes[..seen],
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            socket.readable = false;
            return Step::Continue;
        }
        Err(_) => return Step::Close(CloseReason::ReadError),
    };
    match proxy::parse(seen) {
        Ok(Parsed::NoHeader) => begin(core, socket, Origin::Socket),
        Ok(Parsed::Header { consumed, origin }) => match take(socket, consumed) {
            Ok(()) => begin(core, socket, origin),
            Err(_) => Step::Close(CloseReason::ReadError),
        },
        // More will never come.
        Ok(Parsed::Incomplete { .. }) if socket.hung_up => Step::Close(CloseReason::ClientClosed),
        Ok(Parsed::Incomplete { .. }) => {
            socket.readable = false;
            Step::Continue
        }
        Err(error) => refuse(core, socket, &error.to_string()),
    }
}

/// The header did not come in time.
pub(crate) fn too_late(core: &mut broker::Worker, socket: &Socket) -> Step {
    refuse(core, socket, "timeout reading PROXY protocol header")
}

/// When a header that begins to come now is too late.
pub(crate) fn deadline(now: Instant) -> Instant {
    now + HEADER_TIMEOUT
}

fn refuse(core: &mut broker::Worker, socket: &Socket, why: &str) -> Step {
    let from = socket.connection.link().address;
    core.report(&socket.connection, &format!("Error reading PROXY protocol header from {from}: {why}"));
    Step::Close(CloseReason::ProtocolViolation)
}

/// From here on the bytes are the connection's own.
fn begin(core: &mut broker::Worker, socket: &mut Socket, origin: Origin) -> Step {
    socket.header_until = None;
    match origin {
        Origin::Socket => Step::Continue,
        Origin::Client { source, .. } => {
            let transport = Box::new(TcpTransport(socket.stream.clone()));
            core.readdress(&mut socket.connection, source, transport)
        }
    }
}

fn take(socket: &Socket, mut len: usize) -> std::io::Result<()> {
    let mut stream = &*socket.stream;
    let mut bytes = [0; 512];
    while len > 0 {
        let room = len.min(bytes.len());
        len -= stream.read(&mut bytes[..room])?;
    }
    Ok(())
}
