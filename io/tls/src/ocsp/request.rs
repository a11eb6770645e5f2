//! About which certificates to ask, where, and in which words.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use data_encoding::BASE64;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::der::{Tag, element, sequence};
use crate::ocsp::OcspError;
use crate::ocsp::answer::is_signed_by;

/// The longest chain that is followed.
pub const MAX_LINKS: usize = 8;

/// A certificate that can be asked about, and whom to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The certificate.
    pub certificate: Vec<u8>,
    /// The one that issued it.
    pub issuer: Vec<u8>,
    /// Where its issuer answers, in order of preference.
    pub responders: Vec<String>,
}

/// The links of a peer's chain that name a responder. A root is nobody's link, and a chain without such links is beyond
/// reproach: its issuers chose not to answer.
///
/// # Errors
/// If a certificate names a responder and its issuer is neither in the chain nor among the roots: then nobody's answer
/// could be judged. Likewise if the chain has more than [`MAX_LINKS`].
pub fn links<'a>(chain: &'a [Vec<u8>], roots: impl Iterator<Item = &'a [u8]> + Clone) -> Result<Vec<Link>, OcspError> {
    let mut found = Vec::new();
    let mut current = chain.first().map(Vec::as_slice);
    for _ in 0..MAX_LINKS {
        let Some(certificate) = current else { return Ok(found) };
        // A root that a peer shows by itself is the end of its chain.
        if roots.clone().any(|root| root == certificate) {
            return Ok(found);
        }
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| OcspError::BadCertificate)?;
        let responders = responders(&parsed);
        let issuer = find_issuer(certificate, chain.iter().map(Vec::as_slice).chain(roots.clone()));
        current = issuer.filter(|issuer| *issuer != certificate);
        match current {
            Some(issuer) if !responders.is_empty() => {
                found.push(Link { certificate: certificate.to_vec(), issuer: issuer.to_vec(), responders });
            }
            None if !responders.is_empty() => return Err(OcspError::NoIssuer),
            _ => {}
        }
    }
    Err(OcspError::TooLong)
}

/// The certificate among `candidates` that signed `certificate`.
pub(crate) fn find_issuer<'a>(certificate: &[u8], mut candidates: impl Iterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    candidates.find(|candidate| {
        X509Certificate::from_der(candidate)
            .is_ok_and(|(_, issuer)| issuer.subject().as_raw() == parsed.issuer().as_raw())
            && is_signed_by(certificate, candidate)
    })
}

/// Where the issuer of a certificate answers questions: `http` and `https` only.
pub(crate) fn responders(certificate: &X509Certificate<'_>) -> Vec<String> {
    const OCSP: &str = "1.3.6.1.5.5.7.48.1";
    let access = certificate.extensions().iter().filter_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityInfoAccess(access) => Some(&access.accessdescs),
        _ => None,
    });
    let ours = access.flatten().filter(|description| description.access_method.to_id_string() == OCSP);
    ours.filter_map(|description| match &description.access_location {
        GeneralName::URI(uri) if uri.starts_with("http://") || uri.starts_with("https://") => Some((*uri).to_owned()),
        _ => None,
    })
    .collect()
}

/// The question about one certificate, in DER. It names the issuer by SHA-1, as everybody does: the hash only finds the
/// certificate, the answer is signed.
pub fn request(certificate: &[u8], issuer: &[u8]) -> Result<Vec<u8>, OcspError> {
    const SHA1: [u8; 7] = [6, 5, 0x2b, 14, 3, 2, 26];
    let (_, certificate) = X509Certificate::from_der(certificate).map_err(|_| OcspError::BadCertificate)?;
    let (_, issuer) = X509Certificate::from_der(issuer).map_err(|_| OcspError::BadCertificate)?;
    let sha1 = |bytes: &[u8]| digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes);
    let name = element(Tag::OCTET_STRING, sha1(issuer.subject().as_raw()).as_ref());
    let key = element(Tag::OCTET_STRING, sha1(&issuer.public_key().subject_public_key.data).as_ref());
    let serial = element(Tag::INTEGER, certificate.raw_serial());
    let algorithm = sequence(&[&SHA1, &element(Tag::NULL, &[])]);
    let certificate_id = sequence(&[&algorithm, &name, &key, &serial]);
    let list = sequence(&[&sequence(&[&certificate_id])]);
    Ok(sequence(&[&sequence(&[&list])]))
}

/// Where to fetch the answer with a plain GET (RFC 6960 appendix A.1).
pub fn get_url(responder: &str, request: &[u8]) -> String {
    let mut url = format!("{}/", responder.trim_end_matches('/'));
    for letter in BASE64.encode(request).chars() {
        match letter {
            '+' => url.push_str("%2B"),
            '/' => url.push_str("%2F"),
            '=' => url.push_str("%3D"),
            _ => url.push(letter),
        }
    }
    url
}
