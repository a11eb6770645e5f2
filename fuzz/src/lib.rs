//! Any bytes, every door: the functions behind the fuzz targets, by name.
//!
//! A target is one line. What must hold is written where it belongs: in the room that reads the bytes, or here when it
//! follows from the room's public words alone. The corpus is replayed on the stable compiler by `cargo test`.

mod algebra;
mod callout;
mod frames;
mod links;
/// The file of the room, without the event loops around it: a target should not build the whole server.
#[path = "../../io/net/src/proxy.rs"]
pub mod proxy;
mod secure;
mod streams;
mod texts;

/// A fuzz target: a name and what it does with bytes. It panics when something that must hold does not.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 27] = [
    ("wire_client", wire::fuzz_client),
    ("wire_headers", wire::fuzz_headers),
    ("wire_servers", wire::fuzz_servers),
    ("conf", conf::fuzz_parse),
    ("nkeys_key", nkeys::fuzz::fuzz_key),
    ("nkeys_creds", nkeys::fuzz::fuzz_creds),
    ("nkeys_open", nkeys::fuzz::fuzz_open),
    ("jwt_token", jwt::fuzz::fuzz_token),
    ("jwt_claims", jwt::fuzz::fuzz_claims),
    ("auth_callout", callout::answer),
    ("subject_algebra", algebra::filters),
    ("subject_transform", algebra::transform),
    ("session_connect", texts::connect),
    ("moment_texts", texts::moments),
    ("tls_name", secure::name),
    ("tls_certificate", secure::certificate),
    ("tls_ocsp_answer", secure::answer),
    ("store_record", store::fuzz_record),
    ("store_block", store::fuzz_block),
    ("jetstream_restore", jetstream::fuzz_restore),
    ("jetstream_bodies", streams::bodies),
    ("net_proxy", secure::proxy),
    ("topology_handshake", links::handshake),
    ("topology_rights", links::rights),
    ("websocket_hear", frames::hear),
    ("websocket_frames", frames::open),
    ("websocket_answer", frames::answer),
];

/// Runs the target of that name.
///
/// # Panics
/// When there is none, or when what must hold does not.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name).expect("the target is in the table");
    target.1(bytes);
}
