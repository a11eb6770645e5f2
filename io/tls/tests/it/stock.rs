//! The other end as rustls itself does it, with its own record layer: what it reads and writes is the standard.

use std::io::{Read, Write};
use std::sync::Arc;

use bulwark_tls::{Established, Fault, Handshake, Step};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection, SupportedCipherSuite,
    SupportedProtocolVersion,
};
use testkit::certificates::Identity;

/// How the standard end is set up.
#[derive(Clone)]
pub(crate) struct Stock {
    pub(crate) roots: Vec<Vec<u8>>,
    pub(crate) identity: Option<Identity>,
    pub(crate) versions: Vec<&'static SupportedProtocolVersion>,
    pub(crate) suites: Option<Vec<SupportedCipherSuite>>,
    pub(crate) groups: Option<Vec<&'static dyn rustls::crypto::SupportedKxGroup>>,
}

impl Stock {
    pub(crate) fn trusting(roots: &[&[u8]]) -> Self {
        Self {
            roots: roots.iter().map(|root| root.to_vec()).collect(),
            identity: None,
            versions: rustls::ALL_VERSIONS.to_vec(),
            suites: None,
            groups: None,
        }
    }

    pub(crate) fn version(mut self, version: &'static SupportedProtocolVersion) -> Self {
        self.versions = vec![version];
        self
    }

    pub(crate) fn suite(mut self, suite: SupportedCipherSuite) -> Self {
        self.suites = Some(vec![suite]);
        self
    }

    pub(crate) fn group(mut self, group: &'static dyn rustls::crypto::SupportedKxGroup) -> Self {
        self.groups = Some(vec![group]);
        self
    }

    pub(crate) fn identity(mut self, identity: &Identity) -> Self {
        self.identity = Some(identity.clone());
        self
    }

    fn provider(&self) -> Arc<CryptoProvider> {
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites = self.suites.clone().unwrap_or(provider.cipher_suites);
        provider.kx_groups = self.groups.clone().unwrap_or(provider.kx_groups);
        Arc::new(provider)
    }

    fn root_store(&self) -> Arc<RootCertStore> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(self.roots.iter().map(|der| CertificateDer::from(der.clone())));
        Arc::new(store)
    }

    pub(crate) fn client_config(&self) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(self.provider())
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(self.root_store());
        Arc::new(match &self.identity {
            Some(identity) => builder.with_client_auth_cert(chain(identity), key(identity)).unwrap(),
            None => builder.with_no_client_auth(),
        })
    }

    pub(crate) fn client(&self) -> Connection {
        Self::client_of(self.client_config())
    }

    pub(crate) fn client_of(config: Arc<ClientConfig>) -> Connection {
        ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap().into()
    }

    pub(crate) fn server(&self) -> Connection {
        let builder =
            ServerConfig::builder_with_provider(self.provider()).with_protocol_versions(&self.versions).unwrap();
        let builder = if self.roots.is_empty() {
            builder.with_no_client_auth()
        } else {
            let verifier = WebPkiClientVerifier::builder_with_provider(self.root_store(), self.provider());
            builder.with_client_cert_verifier(verifier.build().unwrap())
        };
        let identity = self.identity.as_ref().expect("a server has a certificate");
        let config = builder.with_single_cert(chain(identity), key(identity)).unwrap();
        ServerConnection::new(Arc::new(config)).unwrap().into()
    }
}

fn chain(identity: &Identity) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(identity.chain_pem.as_bytes()).collect::<Result<_, _>>().unwrap()
}

fn key(identity: &Identity) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap()
}

/// What rustls has to send.
pub(crate) fn take_wire(connection: &mut Connection) -> Vec<u8> {
    let mut wire = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut wire).unwrap();
    }
    wire
}

/// Gives rustls bytes from the wire; what it could read comes back.
pub(crate) fn give_wire(connection: &mut Connection, mut wire: &[u8]) -> Result<Vec<u8>, rustls::Error> {
    let mut plain = Vec::new();
    while !wire.is_empty() {
        connection.read_tls(&mut wire).unwrap();
        let state = connection.process_new_packets()?;
        let start = plain.len();
        plain.resize(start + state.plaintext_bytes_to_read(), 0);
        connection.reader().read_exact(&mut plain[start..]).unwrap();
    }
    Ok(plain)
}

/// Seals with rustls.
pub(crate) fn seal(connection: &mut Connection, plain: &[u8]) -> Vec<u8> {
    connection.set_buffer_limit(None);
    connection.writer().write_all(plain).unwrap();
    take_wire(connection)
}

/// How a meeting with the standard end failed.
#[derive(Debug)]
pub(crate) enum Failed {
    Ours(Fault),
    Theirs(rustls::Error),
}

/// Lets one of ours and rustls talk until both are done.
pub(crate) fn shake(mut ours: Handshake, mut theirs: Connection) -> Result<(Established, Connection), Failed> {
    let mut done: Option<Established> = None;
    for _ in 0..10 {
        let mut out = Vec::new();
        let wire = take_wire(&mut theirs);
        if let Some(established) = &mut done {
            established.layer.open(&wire, &mut Vec::new(), &mut out).map_err(Failed::Ours)?;
        } else {
            ours.feed(&wire).map_err(Failed::Ours)?;
            match if ours.has_work() { ours.step(&mut out) } else { Ok(Step::Wait) } {
                Ok(Step::Wait) => {}
                Ok(Step::Done(established)) => done = Some(established),
                Err(fault) => {
                    let _ = give_wire(&mut theirs, &out);
                    return Err(Failed::Ours(fault));
                }
            }
        }
        give_wire(&mut theirs, &out).map_err(Failed::Theirs)?;
        if done.is_some() && !theirs.is_handshaking() && !theirs.wants_write() {
            break;
        }
    }
    Ok((done.expect("the handshake comes to an end"), theirs))
}
