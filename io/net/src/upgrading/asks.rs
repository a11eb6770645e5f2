//! The side that asks: a server that goes to another by its listener for WebSocket.

use std::sync::Arc;
use std::time::Duration;

use broker::{Connection, Presented, Secure, Step};
use moment::Instant;
use websocket::{Answer, Asking, Limits, Masks};
use wire::CloseReason;

use super::{MESSAGE_BYTES_MAX, Side, Upgrading};
use crate::frames;
use crate::socket::Socket;

/// Bytes of randomness that are fetched at once.
const MASKS_BYTES: usize = 256;

/// How a connection that this server makes is framed.
#[derive(Clone, Debug)]
pub struct DialFrames {
    /// Host and port, as the request names them.
    pub host: String,
    /// The path of the request.
    pub path: String,
    /// Messages are compressed if the far end does so too.
    pub compresses: bool,
    /// Frames have no mask if the far end does without.
    pub unmasked: bool,
    /// How long the answer may take.
    pub timeout: Duration,
}

/// Asks for the connection to become one.
pub(crate) fn ask(core: &mut broker::Worker, socket: &mut Socket, frames: &DialFrames, now: Instant) -> Step {
    let mut key = [0; 16];
    core.secret_chance().fill(&mut key);
    let asking = Asking::new(key, frames.compresses, frames.unmasked);
    let Some(request) = asking.request(&frames.host, &frames.path) else {
        failed(core, &socket.connection, "host or path cannot be asked for");
        return Step::Close(CloseReason::ClientClosed);
    };
    core.send_raw(&socket.connection, &request);
    socket.upgrading = Some(Upgrading { side: Side::Asks(asking), bytes: Vec::new(), until: now + frames.timeout });
    Step::Continue
}

/// What came of it.
pub(super) fn judged(core: &mut broker::Worker, socket: &mut Socket, answer: Answer) -> Step {
    let (agreed, masks, len) = match answer {
        Answer::More => return Step::Continue,
        Answer::Agreed { agreed, masks, len } => (agreed, masks, len),
        Answer::Refused(bad) => {
            failed(core, &socket.connection, &bad.to_string());
            return Step::Close(CloseReason::ReadError);
        }
    };
    let bytes = socket.upgrading.take().map(|upgrading| upgrading.bytes).unwrap_or_default();
    let limits = Limits { message_max_bytes: MESSAGE_BYTES_MAX };
    let made = masks.then(|| random_masks(core.secret_chance().clone()));
    let (opener, sealer) = frames::pair(&agreed, made, (limits, limits));
    // Frames may have come right behind the answer.
    let opener = opener.beginning_with(bytes.get(len..).unwrap_or_default());
    core.wrap(&mut socket.connection, Presented::default(), |below| opener.over(below), |below| sealer.over(below));
    core.remark(&socket.connection, &frames::told(&agreed, masks));
    core.greet(&mut socket.connection);
    Step::Continue
}

pub(super) fn failed(core: &broker::Worker, connection: &Connection, why: &str) {
    core.report(connection, &format!("Error soliciting websocket connection: {why}"));
}

/// A mask for each frame, of randomness that is fetched for many at once.
fn random_masks(secure: Arc<dyn Secure>) -> Masks {
    let (mut bytes, mut used) = ([0; MASKS_BYTES], MASKS_BYTES);
    Box::new(move || {
        if used + 4 > MASKS_BYTES {
            secure.fill(&mut bytes);
            used = 0;
        }
        used += 4;
        bytes.get(used - 4..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default()
    })
}
