//! The client connection in time: what it may say before login, what a login asks for, when it is pinged, stale or
//! expired.
//!
//! This room decides sequences. It does **not** judge credentials or permissions (`auth`), keep subscriptions or send
//! anything (`broker`), and it has no clock: `now` and chance are arguments.
//!
//! * [`Greeting`]: the INFO line.
//! * [`ConnectOptions`]: the CONNECT line, read with bounds; secrets are [`secret::Secret`].
//! * [`Handshake`]: before login. It has no way to publish or subscribe; all it can answer is [`Opening`].
//! * [`Session`]: after login: flags, PING and PONG, deadlines.
//! * [`aside`]: what servers say, said by a client. [`ClientLabel`], [`MemberLabel`]: who a line of the log is about.
//!
//! `PUB`, `HPUB`, `SUB` and `UNSUB` never come here: they need the subject graph and permissions, and the first two are
//! the hot path. The broker takes them itself and asks the session for its flags only.
//!
//! ```
//! use moment::Instant;
//! use bulwark_session as session;
//! use session::{Handshake, HandshakeRules, Opening};
//!
//! let rules = HandshakeRules { auth_required: true, anonymous_allowed: false, headers: true, ..Default::default() };
//! let mut handshake = Handshake::new(rules, Instant::START);
//! assert!(matches!(handshake.on_other(), Opening::Refuse(_)));
//! assert!(matches!(handshake.on_connect(br#"{"user":"alice","pass":"x"}"#), Opening::Login(_)));
//! ```
#![warn(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

mod active;
mod aside;
mod connect;
mod greeting;
mod handshake;
mod label;

pub use active::{Due, PingRules, Pong, Session};
pub use aside::{Aside, aside};
pub use connect::{ConnectError, ConnectOptions};
pub use greeting::Greeting;
pub use handshake::{EarlyDue, Handshake, HandshakeRules, LoginError, Opening};
pub use label::{ClientLabel, MemberLabel, write_labels};
