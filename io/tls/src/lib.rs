//! Encryption in transit: the only room that names rustls.
//!
//! It turns one `tls` block ([`Settings`], plain data) into one side of a link ([`ServerTls`], [`ClientTls`]), leads the
//! handshake ([`Handshake`]: a value that any thread may work on), seals and opens bytes without ever touching a socket
//! ([`Layer`], in two halves), and tells who the peer's certificate says it is ([`PeerFacts`]).
//!
//! It does not read the configuration, open a socket, decide who may log in, or fetch anything over the network. Files
//! arrive through a function that the caller passes in. OCSP is questions and answers as bytes ([`ocsp`]).
//!
//! **Handshake and records.** rustls does the handshake, on the named aws-lc-rs provider. The records behind it are
//! protected here, with the keys that it agreed on and the same primitives: each direction on its own, in place, without
//! an allocation. The reasons and the figures are in `docs/adr/0005-tls-records-are-sealed-in-place.md`.
//!
//! **Which side a link uses.** Every kind of link has a block of its own and comes through the same two values; there is
//! no second way. [`Live`] holds either of them across reloads.
//!
//! | link | accepts | connects | beside |
//! |---|---|---|---|
//! | clients, WebSocket, MQTT | [`ServerTls::accept`] | | the workers |
//! | routes, gateways | [`ServerTls::accept`] | [`ClientTls::connect`], from the same block | the workers |
//! | leaf nodes | [`ServerTls::accept`] | [`ClientTls::connect`], from the block of the remote | the workers |
//! | the monitor (https) | [`ServerTls::accept_stream`] | | tokio |
//! | the resolver (`resolver_tls`) | | [`ClientTls::connect_stream`] | tokio |
//!
//! Both sides of a worker's link are led by the same [`Handshake`]: the one that connects has work at once
//! ([`Handshake::has_work`]), the one that accepts when the peer's first record is there. Either way the worker only moves
//! bytes, and a thread of the login pool does the arithmetic. What comes out, [`Established`], holds the names for
//! `verify_and_map` ([`PeerFacts::candidates`]), for known URLs, and the chain that a reload judges again
//! ([`ServerTls::recheck`], [`ClientTls::recheck`]).
//!
//! **Trust.** Chains are webpki's. A certificate that is itself a configured root is accepted from the peer that holds
//! its key. Where a peer must show a certificate no session is resumed; elsewhere a ticket lives no longer than the value
//! that sealed it, and a reload makes a new value ([`Live`]).
//!
//! ```
//! use bulwark_tls::{CertificateFiles, ClientTls, ServerTls, Settings, Step};
//! use testkit::certificates::{Authority, Files, Subject};
//!
//! let (files, authority) = (Files::new(), Authority::new("CA"));
//! files.write_identity("server", &authority.issue(Subject::named("server").dns("localhost")));
//! files.write("ca.pem", authority.pem.as_str());
//! let server = Settings { certificates: vec![CertificateFiles::new("server.pem", "server.key")], ..Settings::default() };
//! let client = Settings { ca_file: Some("ca.pem".into()), ..Settings::default() };
//! let mut server = ServerTls::build(&server, &|path| files.read(path))?.accept()?;
//! let mut client = ClientTls::build(&client, &|path| files.read(path))?.connect("localhost")?;
//!
//! // Bytes go to and fro; here there is no wire between them.
//! let (mut up, mut down) = (Vec::new(), Vec::new());
//! assert!(matches!(client.step(&mut up)?, Step::Wait));
//! server.feed(&up)?;
//! assert!(matches!(server.step(&mut down)?, Step::Wait));
//! client.feed(&down)?;
//! up.clear();
//! let Step::Done(mut client) = client.step(&mut up)? else { panic!("the client has all it needs") };
//! server.feed(&up)?;
//! let Step::Done(mut server) = server.step(&mut Vec::new())? else { panic!("and so has the server") };
//!
//! let (mut wire, mut read) = (Vec::new(), Vec::new());
//! client.layer.seal(b"PING\r\n", &mut wire);
//! client.layer.finish(&mut wire);
//! server.layer.open(&wire, &mut read, &mut Vec::new())?;
//! assert_eq!(read, b"PING\r\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
mod stream;
mod suite;
mod verify;
mod version;

pub use build_error::BuildError;
pub use certificate::{CertificateInfo, ListInfo};
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
pub use stream::Stream;
pub use suite::CipherSuite;
pub use version::Version;
