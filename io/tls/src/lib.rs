//! Encryption in transit: the only room that names rustls.
//!
//! It turns one `tls` block ([`Settings`], plain data) into something a link can use, seals and opens bytes without ever
//! touching a socket, and tells who the peer's certificate says it is.
//!
//! It does not read the configuration, open a socket, keep a clock, decide who may log in, or fetch anything over the
//! network. Files arrive through a function the caller passes in.

mod curve;
mod names;
mod pin;
mod settings;
mod suite;
mod version;

pub use curve::Curve;
pub use names::NameError;
pub use pin::{PinnedCerts, SpkiHash};
pub use settings::{
    AUTO_FALLBACK_DELAY, CertificateFiles, DEFAULT_TIMEOUT, HandshakeFirst, OcspPeer, Passphrase, Settings,
};
pub use suite::CipherSuite;
pub use version::Version;
