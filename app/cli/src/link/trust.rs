//! TLS from the client's side: whom to trust, what to show, and under which name the server is checked.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result, bail};
use async_nats::rustls::client::WebPkiServerVerifier;
use async_nats::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use async_nats::rustls::pki_types::pem::PemObject;
use async_nats::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use async_nats::rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
    client::ClientConnection, client::WantsClientCert, crypto::CryptoProvider,
};

use crate::context::{Record, expand};

/// The file behind a setting that can be a path only.
pub(crate) fn file_of(reference: &str) -> PathBuf {
    PathBuf::from(expand(reference.strip_prefix("file://").unwrap_or(reference)))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(async_nats::rustls::crypto::aws_lc_rs::default_provider())
}

/// The TLS settings of this run.
pub(crate) fn client_config(settings: &Record) -> Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    show_certificate(settings, builder.with_root_certificates(roots(settings)?))
}

/// As [`client_config`], but the server is checked against a name other than the one it was reached by.
pub(crate) fn client_config_for(settings: &Record, name: &str) -> Result<ClientConfig> {
    let name = ServerName::try_from(name.to_owned()).with_context(|| format!("{name:?} is not a server name"))?;
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots(settings)?), provider()).build()?;
    build(settings, Arc::new(Renamed { inner, name }))
}

/// TLS settings that accept every certificate: for looking at certificates, never for talking. What the server's issuer
/// says of its certificate, if the server shows it, is kept.
pub(crate) fn accept_any_config(settings: &Record, stapled: &Stapled) -> Result<ClientConfig> {
    build(settings, Arc::new(AcceptAny { provider: provider(), stapled: Arc::clone(stapled) }))
}

/// An OCSP answer that came with a certificate.
pub(crate) type Stapled = Arc<OnceLock<Vec<u8>>>;

/// The authorities of this run, when they are in a file.
pub(crate) fn authorities(settings: &Record) -> Result<Vec<Vec<u8>>> {
    if settings.ca.is_empty() {
        return Ok(Vec::new());
    }
    Ok(certificates(&settings.ca)?.iter().map(|certificate| certificate.to_vec()).collect())
}

fn build(settings: &Record, verifier: Arc<dyn ServerCertVerifier>) -> Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    show_certificate(settings, builder)
}

fn show_certificate(settings: &Record, builder: ConfigBuilder<ClientConfig, WantsClientCert>) -> Result<ClientConfig> {
    if settings.cert.is_empty() {
        return Ok(builder.with_no_client_auth());
    }
    let (chain, key) = (certificates(&settings.cert)?, private_key(&settings.key)?);
    builder.with_client_auth_cert(chain, key).context("the TLS certificate and key do not belong together")
}

fn roots(settings: &Record) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    if settings.ca.is_empty() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    }
    for certificate in certificates(&settings.ca)? {
        roots.add(certificate).with_context(|| format!("{} has an unusable certificate", settings.ca))?;
    }
    Ok(roots)
}

fn certificates(reference: &str) -> Result<Vec<CertificateDer<'static>>> {
    let path = file_of(reference);
    let found: Vec<_> = CertificateDer::pem_file_iter(&path)
        .and_then(Iterator::collect)
        .with_context(|| format!("could not read certificates from {}", path.display()))?;
    if found.is_empty() {
        bail!("{} has no certificate", path.display());
    }
    Ok(found)
}

fn private_key(reference: &str) -> Result<PrivateKeyDer<'static>> {
    let path = file_of(reference);
    PrivateKeyDer::from_pem_file(&path).with_context(|| format!("could not read a private key from {}", path.display()))
}

/// Checks a server under a fixed name: it was reached by an address or through a proxy.
#[derive(Debug)]
struct Renamed {
    inner: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
}

impl ServerCertVerifier for Renamed {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _reached_by: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        self.inner.verify_server_cert(end_entity, intermediates, &self.name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Believes every chain; signatures are still checked, so the certificates shown are the server's own.
#[derive(Debug)]
struct AcceptAny {
    provider: Arc<CryptoProvider>,
    stapled: Stapled,
}

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        if !ocsp.is_empty() {
            let _ = self.stapled.set(ocsp.to_vec());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        async_nats::rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        async_nats::rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What was agreed in a handshake.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsFacts {
    pub(crate) version: String,
    pub(crate) suite: String,
    pub(crate) chain: Vec<Vec<u8>>,
    /// What came with the certificate; looked for only while looking at certificates.
    pub(crate) stapled: Stapled,
}

impl TlsFacts {
    pub(crate) fn of(connection: &ClientConnection) -> Self {
        let version = match connection.protocol_version() {
            Some(async_nats::rustls::ProtocolVersion::TLSv1_2) => "1.2".to_owned(),
            Some(async_nats::rustls::ProtocolVersion::TLSv1_3) => "1.3".to_owned(),
            other => format!("{other:?}"),
        };
        let suite =
            connection.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite())).unwrap_or_default();
        let chain = connection.peer_certificates().unwrap_or_default().iter().map(|c| c.to_vec()).collect();
        Self { version, suite, chain, stapled: Stapled::default() }
    }
}
