//! The accepting side of a link.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::certificate::{CertificateInfo, ListInfo};
use crate::chooser::{Candidate, Chooser};
use crate::files::{ReadFile, pair};
use crate::handshake::{Handshake, fault_of};
use crate::ocsp::{Answer, OcspError, PeerAsking, Status};
use crate::provider::{provider, versions};
use crate::verify::Trust;
use crate::{BuildError, CertificateFiles, Fault, PeerFacts, PinnedCerts, Settings};

/// Everything an accepting side needs, built from one block. Immutable; a reload builds another one.
///
/// Session tickets are sealed with a key of this value's own, so none outlives a reload: what was trusted under the old
/// roots is checked anew under the new ones. Where the peer must show a certificate there are no tickets at all.
pub struct ServerTls {
    config: Arc<ServerConfig>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    chooser: Arc<Chooser>,
    certificates: Vec<CertificateInfo>,
    chains: Vec<Vec<CertificateDer<'static>>>,
    issuers: Vec<Vec<u8>>,
    lists: Vec<ListInfo>,
    asking: Option<Arc<PeerAsking>>,
    pinned: PinnedCerts,
    timeout: Duration,
}

impl ServerTls {
    /// Reads the files of the block and checks that everything fits together.
    pub fn build(settings: &Settings, read_file: ReadFile<'_>) -> Result<Self, BuildError> {
        if settings.certificates.is_empty() {
            return Err(BuildError::NoCertificate);
        }
        let provider = provider(settings);
        let versions = versions(settings)?;
        let ours = load_certificates(&settings.certificates, &provider, read_file)?;
        let chooser = Arc::new(Chooser(ours.iter().map(Own::candidate).collect()));
        // Roots that are named are read even where no peer is judged by them: they may have issued our own certificate.
        let is_wanted = settings.wants_peer_certificate() || settings.ca_file.is_some();
        let trust = is_wanted.then(|| Trust::load(settings, read_file)).transpose()?;
        let judging = trust.as_ref().filter(|_| settings.wants_peer_certificate());
        let verifier = judging.map(|trust| trust.client_verifier(settings, &provider)).transpose()?;
        let asked = verifier.clone().unwrap_or_else(WebPkiClientVerifier::no_client_auth);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(|error| BuildError::Unusable { why: error.to_string() })?
            .with_client_cert_verifier(asked)
            .with_cert_resolver(Arc::clone(&chooser) as _);
        config.ignore_client_order = true;
        config.enable_secret_extraction = true;
        limit_resumption(&mut config, verifier.is_some())?;
        let issuers: Vec<Vec<u8>> = trust.iter().flat_map(|trust| trust.issuers.iter().cloned()).collect();
        let asking = settings.ocsp_peer.clone().map(|policy| Arc::new(PeerAsking::new(policy, issuers.clone())));
        Ok(Self {
            config: Arc::new(config),
            verifier,
            chooser,
            certificates: ours.iter().map(|own| own.info.clone()).collect(),
            chains: ours.into_iter().map(|own| own.chain).collect(),
            issuers,
            lists: trust.map(|trust| trust.lists).unwrap_or_default(),
            asking,
            pinned: settings.pinned_certs.clone(),
            timeout: settings.timeout,
        })
    }

    /// Begins a handshake with a peer that connected to us.
    pub fn accept(&self) -> Result<Handshake, Fault> {
        Handshake::server(Arc::clone(&self.config), self.pinned.clone())
    }

    pub(crate) fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    pub(crate) fn pinned(&self) -> &PinnedCerts {
        &self.pinned
    }

    /// How long it may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether a peer must show a certificate.
    pub fn wants_peer_certificate(&self) -> bool {
        self.verifier.is_some()
    }

    /// Our certificates, for the log and for monitoring.
    pub fn certificates(&self) -> &[CertificateInfo] {
        &self.certificates
    }

    /// A certificate of ours and the one that issued it, to ask about it or to judge an answer. `None` if the file holds
    /// no issuer and no configured root is the issuer.
    pub fn with_issuer(&self, index: usize) -> Option<(&[u8], &[u8])> {
        let chain = self.chains.get(index)?;
        let end_entity = chain.first()?.as_ref();
        let roots = self.issuers.iter().map(Vec::as_slice);
        let candidates = chain.iter().skip(1).map(AsRef::as_ref).chain(roots);
        crate::ocsp::find_issuer(end_entity, candidates).map(|issuer| (end_entity, issuer))
    }

    /// From now on shows this OCSP answer with the certificate at `index`; `None` shows none.
    pub fn staple(&self, index: usize, response: Option<Vec<u8>>) {
        self.chooser.staple(index, response);
    }

    /// Checks a fetched or stored OCSP answer and shows it from now on if it is about the certificate at `index`, signed by
    /// its issuer, and good. Whatever was shown before stays if it is not.
    ///
    /// # Errors
    /// If it is no answer. An answer that says something other than good comes back and is not shown.
    pub fn staple_answer(&self, index: usize, response: Vec<u8>, now: i64) -> Result<Answer, OcspError> {
        let (certificate, issuer) = self.with_issuer(index).ok_or(OcspError::BadCertificate)?;
        let answer = Answer::read(&response, certificate, issuer, now)?;
        if answer.status == Status::Good && answer.is_current(now, 0, 0) {
            self.staple(index, Some(response));
        }
        Ok(answer)
    }

    /// The revocation lists of the block: one past its time refuses everybody, so somebody should look at their end.
    pub fn revocation_lists(&self) -> &[ListInfo] {
        &self.lists
    }

    /// Asks again about a peer that was let in before a reload: is its certificate still trusted, in time, not revoked,
    /// pinned?
    pub fn recheck(&self, chain: &[Vec<u8>], now: i64) -> Result<(), Fault> {
        let facts = chain.first().map(|der| PeerFacts::read(der)).transpose()?;
        if !self.pinned.allows(facts.as_ref().map(|facts| &facts.spki_sha256)) {
            return Err(Fault::NotPinned);
        }
        let Some(verifier) = &self.verifier else {
            return Ok(());
        };
        let certificates: Vec<_> = chain.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let (end_entity, intermediates) = certificates.split_first().ok_or(Fault::NoCertificate)?;
        let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now).unwrap_or_default()));
        verifier.verify_client_cert(end_entity, intermediates, now).map(|_| ()).map_err(|error| fault_of(&error))
    }

    /// How the issuers of the peers' certificates are asked, if they are.
    pub fn asking(&self) -> Option<&Arc<PeerAsking>> {
        self.asking.as_ref()
    }
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls").field("certificates", &self.certificates).finish_non_exhaustive()
    }
}

/// A peer with a certificate proves itself each time; others may resume under a key that lives as long as this config.
fn limit_resumption(config: &mut ServerConfig, proves_itself: bool) -> Result<(), BuildError> {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    if !proves_itself {
        config.ticketer = Ticketer::new().map_err(|error| BuildError::Unusable { why: error.to_string() })?;
        config.send_tls13_tickets = 1;
    }
    Ok(())
}

/// One of our certificates, loaded.
pub(crate) struct Own {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: CertifiedKey,
    pub(crate) info: CertificateInfo,
}

impl Own {
    fn candidate(&self) -> Candidate {
        Candidate { names: self.info.dns_names.clone(), key: ArcSwap::from_pointee(self.key.clone()) }
    }
}

pub(crate) fn load_certificates(
    files: &[CertificateFiles],
    provider: &rustls::crypto::CryptoProvider,
    read_file: ReadFile<'_>,
) -> Result<Vec<Own>, BuildError> {
    files.iter().map(|files| load_certificate(files, provider, read_file)).collect()
}

fn load_certificate(
    files: &CertificateFiles,
    provider: &rustls::crypto::CryptoProvider,
    read_file: ReadFile<'_>,
) -> Result<Own, BuildError> {
    let (chain, key) = pair(files, read_file)?;
    let end_entity = chain.first().expect("a chain has at least one certificate");
    let info = CertificateInfo::read(&files.cert_file, end_entity)?;
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| BuildError::BadKey { path: files.key_file.clone(), why: error.to_string() })?;
    let key = CertifiedKey::new(chain.clone(), key);
    match key.keys_match() {
        Ok(()) => Ok(Own { chain, key, info }),
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
            Err(BuildError::KeyMismatch { cert_file: files.cert_file.clone(), key_file: files.key_file.clone() })
        }
        Err(error) => Err(BuildError::BadKey { path: files.key_file.clone(), why: error.to_string() }),
    }
}
