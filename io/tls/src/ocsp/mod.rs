//! OCSP (RFC 6960): asking the issuer of a certificate whether it still stands by it, and judging the answer. Pure: the
//! question and the answer are bytes, and somebody else carries them.

use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Where the issuer of a certificate answers questions: `http` and `https` only.
pub(crate) fn responders(certificate: &X509Certificate<'_>) -> Vec<String> {
    const OCSP: &str = "1.3.6.1.5.5.7.48.1";
    let access = certificate.extensions().iter().filter_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityInfoAccess(access) => Some(&access.accessdescs),
        _ => None,
    });
    access
        .flatten()
        .filter(|description| description.access_method.to_id_string() == OCSP)
        .filter_map(|description| match &description.access_location {
            GeneralName::URI(uri) if uri.starts_with("http://") || uri.starts_with("https://") => {
                Some((*uri).to_owned())
            }
            _ => None,
        })
        .collect()
}

/// The certificate among `candidates` that issued `certificate`, by name and key identifier; signatures are checked where
/// an answer is judged.
pub(crate) fn find_issuer<'a>(certificate: &[u8], candidates: impl Iterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let mut candidates = candidates;
    candidates.find(|candidate| {
        X509Certificate::from_der(candidate)
            .is_ok_and(|(_, issuer)| issuer.subject().as_raw() == parsed.issuer().as_raw())
    })
}
