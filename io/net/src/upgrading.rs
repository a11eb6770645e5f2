//! Waiting for a connection to become a WebSocket: whoever comes asks for it, and whoever was gone to answers.
//!
//! Nothing of the protocol within is said or heard before that. The bytes of a stranger are counted with those of handshakes,
//! and what is awaited has its own time.

mod asks;
mod hears;

use std::sync::Arc;

use broker::Step;
use moment::Instant;
use websocket::{Asking, MAX_HEAD_BYTES};
use wire::CloseReason;

use crate::socket::Socket;

pub use asks::DialFrames;
pub(crate) use asks::ask;
pub use hears::Upgrades;

/// Bytes read at once.
const READ_BYTES: usize = 4 * 1024;

/// The longest compressed message of anybody, when it no longer is. Another server sends as one what waits for us.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// What a connection waits for.
pub(crate) struct Upgrading {
    side: Side,
    bytes: Vec<u8>,
    /// It must be there by then.
    pub(crate) until: Instant,
}

enum Side {
    /// A request, over TLS or not.
    Hears(Arc<Upgrades>, bool),
    /// The answer to ours.
    Asks(Asking),
}

impl Upgrading {
    /// A request is awaited.
    pub(crate) fn begin(upgrades: Arc<Upgrades>, is_secure: bool, now: Instant) -> Self {
        let until = now + upgrades.timeout;
        Self { side: Side::Hears(upgrades, is_secure), bytes: Vec::new(), until }
    }
}

/// One read.
pub(crate) fn read(core: &mut broker::Worker, socket: &mut Socket) -> Step {
    match socket.read(&mut [0; READ_BYTES]) {
        Ok(bytes) => take(core, socket, bytes),
        Err(step) => step,
    }
}

/// Takes what came, and what a layer below may have kept of it.
pub(crate) fn take(core: &mut broker::Worker, socket: &mut Socket, wire: &[u8]) -> Step {
    let Some(upgrading) = &mut socket.upgrading else { return Step::Continue };
    let before = upgrading.bytes.len();
    if let Err(step) = core.open(&mut socket.connection, wire, &mut upgrading.bytes) {
        return step;
    }
    let new = upgrading.bytes.get(before..).unwrap_or_default();
    if !core.lend(&mut socket.connection, new.len()) {
        core.upgrade_refused(&socket.connection, "too many bytes wait for the end of a request");
        return Step::Close(CloseReason::ReadError);
    }
    // Whatever decides ends a line, or is too long.
    if !new.contains(&b'\n') && upgrading.bytes.len() < MAX_HEAD_BYTES {
        return Step::Continue;
    }
    match &upgrading.side {
        Side::Hears(upgrades, is_secure) => {
            let heard = websocket::hear(&upgrading.bytes, &upgrades.settings, *is_secure);
            hears::judged(core, socket, heard)
        }
        Side::Asks(asking) => {
            let answer = asking.hear(&upgrading.bytes);
            asks::judged(core, socket, answer)
        }
    }
}

/// Whether it is too late.
pub(crate) fn overdue(core: &broker::Worker, socket: &Socket, now: Instant) -> Step {
    let Some(upgrading) = socket.upgrading.as_ref().filter(|upgrading| upgrading.until <= now) else {
        return Step::Continue;
    };
    match &upgrading.side {
        Side::Hears(..) => core.upgrade_refused(&socket.connection, "the request did not come in time"),
        Side::Asks(_) => asks::failed(core, &socket.connection, "the answer did not come in time"),
    }
    Step::Close(CloseReason::ClientClosed)
}
