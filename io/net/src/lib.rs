//! Sockets and threads: listeners, worker event loops, byte layers, the login pool.
//!
//! This room *does*: it accepts, reads, writes and waits, and hands every byte to the broker, which decides. It knows
//! no protocol, no account and no permission. One worker thread per core, each with its own readiness loop; a
//! connection is read by one worker and written to by any (see the broker's `Link`). Whatever takes long (password
//! hashes, signatures, TLS handshakes) runs on the [`LoginPool`] and comes back as a note.
//!
//! Readiness is edge-triggered: a read that filled its buffer puts the connection back on the worker's ready list, a
//! connection that is held up leaves that list and comes back by note or by a short timer.
//!
//! * [`Workers`]: starts and stops the worker threads.
//! * [`Listener`]: where they accept, and what is to be done with those who come.
//! * [`Dialer`]: connections to other servers, made beside the workers.
//! * [`own_addresses`]: where a listener on every address is reached.
//! * [`LoginPool`]: threads for expensive answers, bounded.

mod addresses;
mod asking;
mod dialer;
mod frames;
mod listener;
mod logins;
mod origin;
mod peers;
pub mod proxy;
mod ready;
mod securing;
mod socket;
mod timers;
mod tls_layer;
mod transport;
mod tunnel;
mod upgrading;
mod worker;
mod workers;

pub use addresses::own_addresses;
pub use asking::PeerCheck;
pub use dialer::{Destinations, Dial, DialTls, Dialer, DialerThreads};
pub use listener::{AcceptGate, DoorKind, Listener, Refused};
pub use logins::{Counsel, Inquiry, LoginPool, LoginPoolLimits, NoCounsel, Question, Sought, Ticket};
pub use peers::{CameBy, PeerChain, Peers};
pub use securing::{HandshakeRate, Security, SharedSecurity, Side};
pub use tls_layer::distinguished;
pub use tunnel::Tunnel;
pub use upgrading::{DialFrames, Upgrades};
pub use workers::{Running, Workers, WorkersError};
