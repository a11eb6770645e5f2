//! The connecting side of a link.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::sign::SingleCertAndKey;
use rustls_pki_types::ServerName;

use crate::certificate::CertificateInfo;
use crate::files::ReadFile;
use crate::handshake::Handshake;
use crate::provider::{provider, versions};
use crate::server::{Own, load_certificates};
use crate::verify::{AnyServer, Trust};
use crate::{BuildError, Fault, PinnedCerts, Settings};

/// Everything a connecting side needs, built from one block. Immutable; a reload builds another one.
///
/// Sessions are never resumed: each connection checks its peer afresh.
pub struct ClientTls {
    config: Arc<ClientConfig>,
    certificates: Vec<CertificateInfo>,
    pinned: PinnedCerts,
    timeout: Duration,
}

impl ClientTls {
    /// Reads the files of the block and checks that everything fits together.
    pub fn build(settings: &Settings, read_file: ReadFile<'_>) -> Result<Self, BuildError> {
        let provider = provider(settings);
        let versions = versions(settings)?;
        let ours = load_certificates(&settings.certificates, &provider, read_file)?;
        let verifier: Arc<dyn ServerCertVerifier> = if settings.insecure {
            Arc::new(AnyServer(Arc::clone(&provider)))
        } else {
            Trust::load(settings, read_file)?.server_verifier(settings, &provider)?
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(|error| BuildError::Unusable { why: error.to_string() })?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match ours.first() {
            Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own.key.clone()))),
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        config.enable_secret_extraction = true;
        Ok(Self {
            config: Arc::new(config),
            certificates: ours.into_iter().map(|own: Own| own.info).collect(),
            pinned: settings.pinned_certs.clone(),
            timeout: settings.timeout,
        })
    }

    /// Begins a handshake with the peer we connected to. `host` is the name or address from its URL: its certificate must
    /// be valid for it.
    pub fn connect(&self, host: &str) -> Result<Handshake, Fault> {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|_| Fault::Handshake("invalid host name".into()))?;
        Handshake::client(Arc::clone(&self.config), name, self.pinned.clone())
    }

    /// How long it may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Our certificates, for the log and for monitoring.
    pub fn certificates(&self) -> &[CertificateInfo] {
        &self.certificates
    }
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientTls").field("certificates", &self.certificates).finish_non_exhaustive()
    }
}
