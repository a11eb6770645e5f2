//! Encryption in transit: the only room that names rustls.
//!
//! It turns one `tls` block ([`Settings`], plain data) into something a link can use, seals and opens bytes without ever
//! touching a socket, and tells who the peer's certificate says it is.
//!
//! It does not read the configuration, open a socket, keep a clock, decide who may log in, or fetch anything over the
//! network. Files arrive through a function the caller passes in.

mod build_error;
mod certificate;
mod chooser;
mod client;
mod curve;
mod der;
mod dn;
mod fault;
mod files;
mod handshake;
mod identity;
mod key_file;
mod layer;
mod names;
pub mod ocsp;
mod pin;
mod provider;
mod record;
mod reload;
mod server;
mod settings;
mod suite;
mod verify;
mod version;

pub use build_error::BuildError;
pub use certificate::CertificateInfo;
pub use client::ClientTls;
pub use curve::Curve;
pub use dn::{Dn, DnError, MAX_DN_TEXT};
pub use fault::Fault;
pub use files::{MAX_FILE, ReadFile};
pub use handshake::{Established, FIRST_BYTE, Handshake, MAX_HANDSHAKE_BYTES, Session, Step};
pub use identity::{Candidate, PeerFacts};
pub use layer::{Answer, Layer, Opened, Opener, Sealer};
pub use names::NameError;
pub use pin::{PinnedCerts, SpkiHash};
pub use reload::{Build, FileWatch, Live, Stamp};
pub use server::ServerTls;
pub use settings::{
    AUTO_FALLBACK_DELAY, CertificateFiles, DEFAULT_TIMEOUT, HandshakeFirst, OcspPeer, Passphrase, Settings,
};
pub use suite::CipherSuite;
pub use version::Version;
