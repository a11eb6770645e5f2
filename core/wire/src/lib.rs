//! Bytes to operations and back, one dialect per peer kind.
//!
//! This room decides which bytes are an operation, what is wrong with those that are not, and how operations and
//! messages are written. It does **not** know connections, accounts or permissions, does not read JSON (the argument of
//! `INFO` and `CONNECT` is handed on as bytes) and does not check subjects beyond what keeps a line a line: `subject`
//! does that. It never allocates per message: operations borrow from the buffer they were parsed from.
//!
//! * [`client::parse`] takes one operation from the front of a buffer, or says how many bytes it would need.
//! * [`route::parse`], [`leaf::parse`], [`gateway::parse`] do the same for links between servers. Each dialect has its own
//!   enum, so what clients send can never become an operation of a server; they share the pieces in [`server`].
//! * [`ProtocolError`] says what a peer did wrong, and whether and how it is told; [`CloseReason`] why a connection ended.
//! * [`encode`] appends lines and message heads to a buffer and refuses words that would break a line.
//! * [`headers`] looks into header blocks and rewrites them.
//!
//! ```
//! use bulwark_wire::client::{Limits, Op, Parsed, parse};
//!
//! let bytes = b"PUB orders.created _INBOX.1 5\r\nhello\r\nPING\r\n";
//! let Parsed::Op { op: Op::Publish(publish), consumed } = parse(bytes, &Limits::default())? else { panic!() };
//! assert_eq!(publish.subject, b"orders.created");
//! assert_eq!(publish.reply, Some(&b"_INBOX.1"[..]));
//! assert_eq!(&bytes[publish.body.clone()], b"hello");
//! assert_eq!(&bytes[consumed..], b"PING\r\n");
//! # Ok::<(), bulwark_wire::ProtocolError>(())
//! ```
#![warn(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

pub mod client;
mod close_reason;
pub mod encode;
mod fuzz;
pub mod gateway;
pub mod headers;
pub mod leaf;
mod line;
mod protocol_error;
pub mod route;
pub mod server;
mod size;
mod word;

pub use close_reason::CloseReason;
#[doc(hidden)]
pub use fuzz::{fuzz_client, fuzz_headers, fuzz_servers};
pub use protocol_error::{ProtocolError, Snippet};
pub use size::MAX_SIZE_DIGITS;
