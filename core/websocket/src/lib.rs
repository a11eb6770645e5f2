//! WebSocket (RFC 6455, RFC 7692) for a stream of bytes: the upgrade of an HTTP request, and the frames after it.
//!
//! This room decides whether a request becomes a connection ([`hear`]), which [`Origin`]s may ask, how one asks for a
//! connection oneself ([`Asking`]), what is in a frame ([`Opener`]) and how bytes become frames ([`Sealer`]). It knows neither
//! sockets nor TLS nor the protocol within: data is a stream, a frame may hold a part of an operation or several.
//!
//! Everything a peer says has a bound: its request or answer ([`MAX_HEAD_BYTES`], [`MAX_HEADERS`]), its control frames (125
//! bytes), its compressed messages when they no longer are ([`Limits`]). Data is handed on as it comes, unpacked or as it is,
//! and what was packed tightly comes in turns of [`OPENED_MAX_BYTES`]: a message is never kept.
//!
//! ```
//! use bulwark_websocket::{Heard, Limits, Settings, hear, pair};
//!
//! let request = b"GET / HTTP/1.1\r\nHost: nats.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
//!     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
//! let Heard::Upgrade(upgrade) = hear(request, &Settings::default(), false) else { panic!() };
//! assert!(upgrade.answer.starts_with(b"HTTP/1.1 101 "));
//! let (mut opener, mut sealer) = pair(&upgrade.agreed, Limits::default());
//! let mut wire = Vec::new();
//! sealer.seal(b"PING\r\n", &mut wire);
//! sealer.finish(&mut wire);
//! assert_eq!(wire, b"\x82\x06PING\r\n");
//! let mut plain = Vec::new();
//! opener.open(b"\x82\x86\0\0\0\0PONG\r\n", &mut plain).expect("a frame");
//! assert_eq!(plain, b"PONG\r\n");
//! ```
#![warn(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

mod asking;
mod close;
mod deflate;
mod frame;
mod opener;
mod origin;
mod request;
mod sealer;
mod upgrade;

pub use asking::{Answer, Asking, BadAnswer};
pub use close::{Fault, MAX_REASON_BYTES};
pub use opener::{Limits, OPENED_MAX_BYTES, Opened, Opener};
pub use origin::{Origin, OriginError, Origins};
pub use request::{MAX_HEAD_BYTES, MAX_HEADERS};
pub use sealer::{Masks, Sealer};
pub use upgrade::{Agreed, Cookies, Heard, Kind, Masking, Refusal, Settings, Upgrade, hear};

/// Both halves of a connection, as the side that was asked for it has them, and as the other has them if nothing is masked.
pub fn pair(agreed: &Agreed, limits: Limits) -> (Opener, Sealer) {
    halves(agreed, limits, None)
}

/// Both halves of a connection, as the side that asked for it has them.
pub fn pair_with_masks(agreed: &Agreed, limits: Limits, masks: Masks) -> (Opener, Sealer) {
    halves(agreed, limits, Some(masks))
}

fn halves(agreed: &Agreed, limits: Limits, masks: Option<Masks>) -> (Opener, Sealer) {
    let answers = opener::Answers::default();
    (Opener::new(agreed, limits, answers.clone()), Sealer::new(agreed, masks, answers))
}
