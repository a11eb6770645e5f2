//! Certificates of everybody who takes part, as files.

use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use tempfile::TempDir;
use testkit::certificates::{Authority, Identity, Key, Subject, Usage, Years};
use tls::PeerFacts;

use crate::axes::AXES;

/// What an Ed25519 key in the first version of PKCS#8 begins with; its 32 bytes follow.
const ED25519_HEAD: &[u8] = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";

/// An Ed25519 key as older programs read it: the second version, with the public key in it, is strange to OpenSSL 3.0.
fn plain_ed25519(identity: &Identity) -> Option<String> {
    let mark = ED25519_HEAD.get(5..)?;
    let at = identity.key_der.windows(mark.len()).position(|part| part == mark)? + mark.len();
    let key = [ED25519_HEAD, identity.key_der.get(at..at + 32)?].concat();
    Some(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64.encode(&key)))
}

/// A folder with the certificates of the server and of every kind of client.
pub(crate) struct Cast {
    folder: TempDir,
    clients: Vec<(&'static str, Identity)>,
}

impl Cast {
    pub(crate) fn new() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let (servers, issuer) = (Authority::new("Server CA"), Authority::new("Client CA"));
        let subject = || {
            Subject::named("client")
                .unit("unit")
                .organisation("org")
                .email("client@test")
                .dns("client.test")
                .uri("spiffe://test/client")
                .usage(Usage::Client)
        };
        let root = subject().self_signed();
        let issued = |kind: &str| match kind {
            "none" => None,
            "p384" => Some(issuer.issue(subject().key(Key::P384))),
            "ed25519" => Some(issuer.issue(subject().key(Key::Ed25519))),
            "rsa" => Some(issuer.issue(subject().key(Key::Rsa))),
            "below" => Some(issuer.intermediate("Below").issue(subject())),
            "root" => Some(root.clone()),
            "self" => Some(subject().self_signed()),
            "stranger" => Some(Authority::new("Stranger CA").issue(subject())),
            "expired" => Some(issuer.issue(subject().years(Years::Past))),
            "future" => Some(issuer.issue(subject().years(Years::Future))),
            "server-only" => Some(issuer.issue(subject().usage(Usage::Server))),
            "authority" => Some(issuer.issue(subject().authority())),
            "cannot-sign" => Some(issuer.issue(subject().may_not_sign())),
            _ => Some(issuer.issue(subject())),
        };
        let clients = AXES[5].1.iter().filter_map(|kind| issued(kind).map(|identity| (*kind, identity))).collect();
        let cast = Self { folder, clients };
        cast.write("ca.pem", &servers.pem)?;
        cast.write("roots.pem", &(issuer.pem.clone() + &root.chain_pem))?;
        let server = servers.issue(Subject::named("server").dns("localhost").address([127, 0, 0, 1].into()));
        cast.write_identity("server", &server)?;
        cast.clients.iter().try_for_each(|(kind, identity)| cast.write_identity(kind, identity))?;
        Ok(cast)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        fs::write(self.path(name), text).map_err(|error| error.to_string())
    }

    fn write_identity(&self, name: &str, identity: &Identity) -> Result<(), String> {
        self.write(&format!("{name}.pem"), &identity.chain_pem)?;
        // Those above it alone, for a program that takes them apart.
        let above = identity.chain_pem.match_indices("-----BEGIN").nth(1).map(|(at, _)| &identity.chain_pem[at..]);
        self.write(&format!("{name}.chain"), above.unwrap_or_default())?;
        self.write(&format!("{name}.key"), &plain_ed25519(identity).unwrap_or_else(|| identity.key_pem.clone()))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The pin of a client's key.
    pub(crate) fn pin(&self, kind: &str) -> Option<String> {
        let (_, identity) = self.clients.iter().find(|(known, _)| *known == kind)?;
        PeerFacts::read(&identity.der).ok().map(|facts| facts.spki_sha256.to_string())
    }
}
