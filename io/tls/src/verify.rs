//! Whom we trust: chains to the configured roots, roots shown by themselves, revocation lists.
//!
//! Chains are built and checked by webpki. Three things are added here. A certificate that is itself configured as a root
//! is accepted from the peer that holds its key, so self-signed clients work. A certificate whose key usage forbids
//! signatures is refused, since a handshake proves itself by one. And `insecure` skips the chain on the connecting side,
//! never the proof that the peer holds the key.

use std::collections::HashSet;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use x509_parser::prelude::{ExtendedKeyUsage, FromDer, X509Certificate};

use crate::certificate::ListInfo;
use crate::files::{ReadFile, read, revocation_lists};
use crate::ocsp::{Answer, Finding, Judgement, find_issuer, judge};
use crate::{BuildError, OcspPeer, Settings};

/// The roots of one block, and what is revoked below them.
#[derive(Clone)]
pub(crate) struct Trust {
    roots: Arc<RootCertStore>,
    /// The configured roots as they are, to recognise one that a peer shows by itself.
    anchors: Arc<HashSet<Vec<u8>>>,
    /// Everybody who may have issued a certificate, to judge answers about it. Empty where nobody will ask.
    pub(crate) issuers: Vec<Vec<u8>>,
    revoked: Vec<CertificateRevocationListDer<'static>>,
    pub(crate) lists: Vec<ListInfo>,
    /// Roots of the system are too many to be named in a handshake.
    is_system: bool,
}

impl Trust {
    pub(crate) fn load(settings: &Settings, read_file: ReadFile<'_>) -> Result<Self, BuildError> {
        let (certificates, is_system) = match &settings.ca_file {
            Some(path) => (configured_roots(path, read_file)?, false),
            None => (system_roots()?, true),
        };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates.iter().cloned());
        if let (true, Some(path)) = (roots.is_empty(), &settings.ca_file) {
            return Err(BuildError::BadRoots { path: path.clone() });
        }
        let (mut revoked, mut lists) = (Vec::new(), Vec::new());
        for path in &settings.crl_files {
            for list in revocation_lists(path, &read(path, read_file)?)? {
                lists.push(ListInfo::read(path, &list)?);
                revoked.push(list);
            }
        }
        let all = || certificates.iter().map(|der| der.to_vec());
        // The roots of a system are many: they are kept only if somebody is going to ask for them.
        let issuers = if is_system && settings.ocsp_peer.is_none() { Vec::new() } else { all().collect() };
        let anchors = if is_system { HashSet::new() } else { all().collect() };
        Ok(Self { roots: Arc::new(roots), anchors: Arc::new(anchors), issuers, revoked, lists, is_system })
    }

    pub(crate) fn client_verifier(
        &self,
        settings: &Settings,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, BuildError> {
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(&self.roots), Arc::clone(provider))
            .with_crls(self.revoked.iter().cloned())
            .allow_unknown_revocation_status()
            .enforce_revocation_expiration();
        if self.is_system {
            builder = builder.clear_root_hint_subjects();
        }
        let chains = builder.build().map_err(|error| verifier_refused(settings, &error))?;
        Ok(Arc::new(ClientVerifier { chains, anchors: Arc::clone(&self.anchors) }))
    }

    pub(crate) fn server_verifier(
        &self,
        settings: &Settings,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, BuildError> {
        let chains = WebPkiServerVerifier::builder_with_provider(Arc::clone(&self.roots), Arc::clone(provider))
            .with_crls(self.revoked.iter().cloned())
            .allow_unknown_revocation_status()
            .enforce_revocation_expiration()
            .build()
            .map_err(|error| verifier_refused(settings, &error))?;
        let require_staple = settings.require_staple;
        Ok(Arc::new(ServerVerifier { chains, anchors: Arc::clone(&self.anchors), require_staple }))
    }
}

fn configured_roots(
    path: &std::path::Path,
    read_file: ReadFile<'_>,
) -> Result<Vec<CertificateDer<'static>>, BuildError> {
    let pem = read(path, read_file)?;
    crate::files::certificates(path, &pem).map_err(|_| BuildError::BadRoots { path: path.into() })
}

fn system_roots() -> Result<Vec<CertificateDer<'static>>, BuildError> {
    let found = rustls_native_certs::load_native_certs().certs;
    if found.is_empty() { Err(BuildError::NoSystemRoots) } else { Ok(found) }
}

fn verifier_refused(settings: &Settings, error: &rustls::server::VerifierBuilderError) -> BuildError {
    match settings.crl_files.first() {
        Some(path) => BuildError::BadCrl { path: path.clone(), why: error.to_string() },
        None => BuildError::Unusable { why: error.to_string() },
    }
}

/// What a certificate must be good for.
#[derive(Clone, Copy)]
enum Purpose {
    Client,
    Server,
}

impl Purpose {
    fn is_allowed_by(self, usage: &ExtendedKeyUsage<'_>) -> bool {
        usage.any
            || match self {
                Self::Client => usage.client_auth,
                Self::Server => usage.server_auth,
            }
    }
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Error> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(CertificateError::BadEncoding.into()),
    }
}

/// RFC 8446 section 4.4.2.2: a key whose usage is limited must be allowed to sign.
fn may_sign(certificate: &X509Certificate<'_>) -> Result<(), Error> {
    let usage = certificate.key_usage().map_err(|_| CertificateError::BadEncoding)?;
    match usage {
        Some(usage) if !usage.value.digital_signature() => Err(CertificateError::InvalidPurpose.into()),
        _ => Ok(()),
    }
}

/// A root that is shown by itself has no chain to check, but must still be in its time and made for the purpose.
fn stands_alone(certificate: &X509Certificate<'_>, purpose: Purpose, now: UnixTime) -> Result<(), Error> {
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < certificate.validity().not_before.timestamp() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > certificate.validity().not_after.timestamp() {
        return Err(CertificateError::Expired.into());
    }
    let usage = certificate.extended_key_usage().map_err(|_| CertificateError::BadEncoding)?;
    match usage {
        Some(usage) if !purpose.is_allowed_by(usage.value) => Err(CertificateError::InvalidPurpose.into()),
        _ => Ok(()),
    }
}

#[derive(Debug)]
struct ClientVerifier {
    chains: Arc<dyn ClientCertVerifier>,
    anchors: Arc<HashSet<Vec<u8>>>,
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chains.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let certificate = parse(end_entity)?;
        if self.anchors.contains(end_entity.as_ref()) {
            stands_alone(&certificate, Purpose::Client, now)?;
        } else {
            self.chains.verify_client_cert(end_entity, intermediates, now)?;
        }
        may_sign(&certificate)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

#[derive(Debug)]
struct ServerVerifier {
    chains: Arc<WebPkiServerVerifier>,
    anchors: Arc<HashSet<Vec<u8>>>,
    require_staple: bool,
}

impl ServerVerifier {
    /// The stapled answer must be about this certificate, from its issuer, current and good.
    fn check_staple(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        response: &[u8],
        now: UnixTime,
    ) -> Result<(), Error> {
        if response.is_empty() {
            return Err(refused("peer missing OCSP staple"));
        }
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let roots = self.anchors.iter().map(Vec::as_slice);
        let issuer = find_issuer(end_entity, intermediates.iter().map(AsRef::as_ref).chain(roots));
        let issuer = issuer.ok_or_else(|| refused("no issuer to judge the OCSP staple of the peer"))?;
        let answer = Answer::read(response, end_entity, issuer, now).map_err(|error| refused(&error.to_string()))?;
        match judge(&Finding::Answered(answer), &OcspPeer::default(), now) {
            Judgement::Valid => Ok(()),
            Judgement::Tolerated(why) | Judgement::Invalid(why) => Err(refused(&why)),
        }
    }
}

fn refused(why: &str) -> Error {
    let why: Box<dyn std::error::Error + Send + Sync> = why.into();
    CertificateError::Other(OtherError(why.into())).into()
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = parse(end_entity)?;
        if self.anchors.contains(end_entity.as_ref()) {
            stands_alone(&certificate, Purpose::Server, now)?;
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        } else {
            self.chains.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        }
        may_sign(&certificate)?;
        if self.require_staple {
            self.check_staple(end_entity, intermediates, ocsp_response, now)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

/// `insecure`: any certificate will do. The peer still proves that it holds the key of the one it shows.
#[derive(Debug)]
pub(crate) struct AnyServer(pub(crate) Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
