//! What our own certificates say about themselves, for the log and for monitoring.

use std::path::{Path, PathBuf};

use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::revocation_list::CertificateRevocationList;

use crate::BuildError;
use crate::identity::{dns_names, name_text, subject_text};

const SECONDS_PER_DAY: i64 = 86_400;

/// One of our certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateInfo {
    /// Where it was read.
    pub file: PathBuf,
    /// Its subject.
    pub subject: String,
    /// The names it covers.
    pub dns_names: Vec<String>,
    /// From when on it holds, in seconds since the epoch.
    pub not_before: i64,
    /// Until when.
    pub not_after: i64,
    /// Whether it promises that an OCSP answer is stapled (RFC 7633).
    pub must_staple: bool,
    /// Where its issuer answers OCSP questions.
    pub ocsp_urls: Vec<String>,
}

impl CertificateInfo {
    pub(crate) fn read(file: &Path, certificate: &CertificateDer<'_>) -> Result<Self, BuildError> {
        let refusal = |why: String| BuildError::BadCertificate { path: file.into(), why };
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| refusal(error.to_string()))?;
        Ok(Self {
            file: file.into(),
            subject: subject_text(&parsed),
            dns_names: dns_names(&parsed),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            must_staple: must_staple(&parsed),
            ocsp_urls: crate::ocsp::responders(&parsed),
        })
    }

    /// Whole days until it expires; negative once it has.
    pub fn days_left(&self, now: i64) -> i64 {
        self.not_after.saturating_sub(now).div_euclid(SECONDS_PER_DAY)
    }
}

/// One of our revocation lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListInfo {
    /// Where it was read.
    pub file: PathBuf,
    /// Whose certificates it is about.
    pub issuer: String,
    /// When the next one should be here, in seconds since the epoch. Afterwards it refuses.
    pub next_update: Option<i64>,
    /// How many certificates it revokes.
    pub revoked: usize,
}

impl ListInfo {
    pub(crate) fn read(file: &Path, list: &CertificateRevocationListDer<'_>) -> Result<Self, BuildError> {
        let (_, parsed) = CertificateRevocationList::from_der(list)
            .map_err(|error| BuildError::BadCrl { path: file.into(), why: error.to_string() })?;
        Ok(Self {
            file: file.into(),
            issuer: name_text(parsed.issuer()),
            next_update: parsed.next_update().map(|time| time.timestamp()),
            revoked: parsed.iter_revoked_certificates().count(),
        })
    }
}

/// The TLS feature extension (1.3.6.1.5.5.7.1.24) with `status_request` (5) in it.
fn must_staple(certificate: &X509Certificate<'_>) -> bool {
    const STATUS_REQUEST: [u8; 3] = [2, 1, 5];
    certificate
        .extensions()
        .iter()
        .filter(|extension| extension.oid.to_id_string() == "1.3.6.1.5.5.7.1.24")
        .any(|extension| extension.value.windows(3).any(|window| window == STATUS_REQUEST))
}
