//! The connecting side of a link.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::sign::SingleCertAndKey;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::certificate::CertificateInfo;
use crate::files::ReadFile;
use crate::handshake::{Handshake, fault_of};
use crate::ocsp::PeerAsking;
use crate::provider::{provider, versions};
use crate::server::{Own, load_certificates};
use crate::verify::{AnyServer, Trust};
use crate::{BuildError, Fault, PeerFacts, PinnedCerts, Settings};

/// Everything a connecting side needs, built from one block. Immutable; a reload builds another one.
///
/// Sessions are never resumed: each connection checks its peer afresh.
pub struct ClientTls {
    config: Arc<ClientConfig>,
    /// The check of chains without that of staples: those belong to a handshake.
    chains: Arc<dyn ServerCertVerifier>,
    certificates: Vec<CertificateInfo>,
    asking: Option<Arc<PeerAsking>>,
    pinned: PinnedCerts,
    timeout: Duration,
}

impl ClientTls {
    /// Reads the files of the block and checks that everything fits together.
    pub fn build(settings: &Settings, read_file: ReadFile<'_>) -> Result<Self, BuildError> {
        let provider = provider(settings);
        let versions = versions(settings)?;
        let ours = load_certificates(&settings.certificates, &provider, read_file)?;
        let Judges { verifier, chains, issuers } = judges(settings, &provider, read_file)?;
        let asking = settings.ocsp_peer.clone().map(|policy| Arc::new(PeerAsking::new(policy, issuers)));
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
            chains,
            certificates: ours.into_iter().map(|own: Own| own.info).collect(),
            asking,
            pinned: settings.pinned_certs.clone(),
            timeout: settings.timeout,
        })
    }

    /// Begins a handshake with the peer we connected to. `host` is the name or address from its URL: its certificate must
    /// be valid for it.
    pub fn connect(&self, host: &str) -> Result<Handshake, Fault> {
        Handshake::client(Arc::clone(&self.config), server_name(host)?, self.pinned.clone())
    }

    pub(crate) fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    pub(crate) fn pinned(&self) -> &PinnedCerts {
        &self.pinned
    }

    /// Asks again about a peer that we connected to before a reload: is its certificate still trusted, in time, not
    /// revoked, valid for its host, pinned?
    pub fn recheck(&self, chain: &[Vec<u8>], host: &str, now: i64) -> Result<(), Fault> {
        let facts = chain.first().map(|der| PeerFacts::read(der)).transpose()?;
        if !self.pinned.allows(facts.as_ref().map(|facts| &facts.spki_sha256)) {
            return Err(Fault::NotPinned);
        }
        let certificates: Vec<_> = chain.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let (end_entity, intermediates) = certificates.split_first().ok_or(Fault::NoCertificate)?;
        let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now).unwrap_or_default()));
        let verified = self.chains.verify_server_cert(end_entity, intermediates, &server_name(host)?, &[], now);
        verified.map(|_| ()).map_err(|error| fault_of(&error))
    }

    /// How the issuers of the far end's certificate are asked, if they are.
    pub fn asking(&self) -> Option<&Arc<PeerAsking>> {
        self.asking.as_ref()
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

type Verifier = Arc<dyn ServerCertVerifier>;

/// Who judges a peer in its handshake, who judges it again later, and who may have issued its certificate.
struct Judges {
    verifier: Verifier,
    chains: Verifier,
    issuers: Vec<Vec<u8>>,
}

fn judges(settings: &Settings, provider: &Arc<CryptoProvider>, read_file: ReadFile<'_>) -> Result<Judges, BuildError> {
    if settings.insecure {
        let any: Verifier = Arc::new(AnyServer(Arc::clone(provider)));
        return Ok(Judges { verifier: Arc::clone(&any), chains: any, issuers: Vec::new() });
    }
    let trust = Trust::load(settings, read_file)?;
    let later = Settings { require_staple: false, ..settings.clone() };
    let (verifier, chains) = (trust.server_verifier(settings, provider)?, trust.server_verifier(&later, provider)?);
    Ok(Judges { verifier, chains, issuers: trust.issuers })
}

/// The name or address of a URL as certificates have it.
pub(crate) fn server_name(host: &str) -> Result<ServerName<'static>, Fault> {
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    ServerName::try_from(host).map_err(|_| Fault::Handshake("invalid host name".into()))
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientTls").field("certificates", &self.certificates).finish_non_exhaustive()
    }
}
