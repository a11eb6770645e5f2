//! The side that is asked: requests of clients and leaf nodes, and what becomes of them.

use std::time::Duration;

use broker::{Arrival, Presented, Step};
use websocket::{Heard, Kind, Limits, Upgrade};
use wire::CloseReason;

use super::MESSAGE_BYTES_MAX;
use crate::frames;
use crate::socket::Socket;
use crate::transport::TcpTransport;

/// The longest compressed message of a stranger beside the longest operation it may send: a login may come with others.
const LOGIN_BYTES: usize = 16 * 1024;

/// What a listener for WebSocket does with requests.
#[derive(Debug)]
pub struct Upgrades {
    /// What they are judged by.
    pub settings: websocket::Settings,
    /// How long one may take.
    pub timeout: Duration,
}

/// What came of a request.
pub(super) fn judged(core: &mut broker::Worker, socket: &mut Socket, heard: Heard) -> Step {
    match heard {
        Heard::More => Step::Continue,
        Heard::Refused(refusal) => {
            core.send_raw(&socket.connection, &refusal.answer);
            core.upgrade_refused(&socket.connection, &refusal.reason);
            Step::Close(CloseReason::ProtocolViolation)
        }
        Heard::Upgrade(upgrade) => begin(core, socket, *upgrade),
    }
}

/// The request is answered; from here on there are frames, and the protocol in them.
fn begin(core: &mut broker::Worker, socket: &mut Socket, upgrade: Upgrade) -> Step {
    socket.upgrading = None;
    core.send_raw(&socket.connection, &upgrade.answer);
    let Upgrade { kind, agreed, cookies, .. } = upgrade;
    if kind == Kind::Leaf {
        let transport = Box::new(TcpTransport(socket.stream.clone()));
        match core.becomes_link(&mut socket.connection, Arrival::LeafAccepted, transport) {
            Step::Continue => {}
            step => return step,
        }
    }
    let stranger = core.operation_bound(&socket.connection).saturating_add(LOGIN_BYTES).min(MESSAGE_BYTES_MAX);
    let limits = |message_max_bytes| Limits { message_max_bytes };
    let (opener, sealer) = frames::pair(&agreed, None, (limits(stranger), limits(MESSAGE_BYTES_MAX)));
    let websocket::Cookies { jwt, user, pass: password, token } = cookies;
    let shown = Presented { jwt, user, password, token };
    core.wrap(&mut socket.connection, shown, |below| opener.over(below), |below| sealer.over(below));
    core.remark(&socket.connection, &frames::told(&agreed, false));
    core.greet(&mut socket.connection);
    match kind {
        Kind::Leaf => Step::Continue,
        Kind::Client | Kind::Mqtt => core.count_in(&mut socket.connection),
    }
}
