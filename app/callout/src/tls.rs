//! TLS towards others: the system's authorities, or the ones that were named.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// A client's configuration. Certificates are always verified.
pub(crate) fn client(authorities: Option<&Path>) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    match authorities {
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        Some(path) => {
            let certificates =
                CertificateDer::pem_file_iter(path).with_context(|| format!("could not read {}", path.display()))?;
            for certificate in certificates {
                roots.add(certificate.with_context(|| format!("{} is damaged", path.display()))?)?;
            }
            if roots.is_empty() {
                bail!("{} holds no certificate", path.display());
            }
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}
