//! Who a certificate says its holder is.
//!
//! Facts only: which of the names belongs to a user is decided where users are known. [`PeerFacts::candidates`] gives the
//! names in the order in which they are tried.

use aws_lc_rs::digest::{SHA256, digest};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::X509Name;

use crate::dn::{DOMAIN_COMPONENT, kind_name, string_bytes};
use crate::{Dn, Fault, SpkiHash};

/// What the end entity certificate of a peer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerFacts {
    /// Mail addresses among the alternative names.
    pub emails: Vec<String>,
    /// DNS names among the alternative names.
    pub dns_names: Vec<String>,
    /// URIs among the alternative names, SPIFFE identities for instance.
    pub uris: Vec<String>,
    /// The subject, if it is one that text can say.
    pub dn: Option<Dn>,
    /// The subject as text followed by its domain components, if it has some.
    pub subject_with_domain: Option<String>,
    /// The subject as text: the common attributes, each kind together, the most specific first.
    pub subject: String,
    /// The issuer in the same form.
    pub issuer: String,
    /// What a pin names.
    pub spki_sha256: SpkiHash,
    /// SHA-256 of the whole certificate.
    pub certificate_sha256: [u8; 32],
    /// Until when the certificate holds, in seconds since the epoch.
    pub not_after: i64,
}

/// One name to look for, in the order of [`PeerFacts::candidates`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidate<'a> {
    /// A user name to be found literally; from a mail address.
    Email(&'a str),
    /// Likewise, from a DNS name. Cluster peers are also recognised by it.
    Dns(&'a str),
    /// Likewise, from a URI.
    Uri(&'a str),
    /// To be compared with user names that are distinguished names: first equal ones, then matching ones.
    Dn(&'a Dn),
    /// A user name to be found literally; from the subject.
    Subject(&'a str),
}

impl PeerFacts {
    /// Reads a certificate.
    ///
    /// # Errors
    /// If it is not one, or says something twice that may be said once.
    pub fn read(der: &[u8]) -> Result<Self, Fault> {
        let refusal = || Fault::CertificateRefused("x509: malformed certificate".into());
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| refusal())?;
        if !rest.is_empty() {
            return Err(refusal());
        }
        let names = certificate.subject_alternative_name().map_err(|_| refusal())?;
        let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
        let subject = subject_text(&certificate);
        let domain = domain_components(certificate.subject());
        Ok(Self {
            emails: usable(names, |name| if let GeneralName::RFC822Name(email) = name { Some(*email) } else { None }),
            dns_names: usable(names, |name| if let GeneralName::DNSName(dns) = name { Some(*dns) } else { None }),
            uris: usable(names, |name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None }),
            dn: Dn::of_subject(certificate.subject()),
            subject_with_domain: (!domain.is_empty()).then(|| format!("{subject},{domain}")),
            subject,
            issuer: name_text(certificate.issuer()),
            spki_sha256: SpkiHash(sha256(certificate.public_key().raw)),
            certificate_sha256: sha256(der),
            not_after: certificate.validity().not_after.timestamp(),
        })
    }

    /// Names to look for, best first. The first one that belongs to a user wins. Empty if the certificate names nobody:
    /// then nobody is logged in.
    pub fn candidates(&self) -> Vec<Candidate<'_>> {
        let emails = self.emails.iter().map(|email| Candidate::Email(email));
        let dns = self.dns_names.iter().map(|name| Candidate::Dns(name));
        let uris = self.uris.iter().map(|uri| Candidate::Uri(uri));
        let subjects = self.subject_with_domain.iter().chain(Some(&self.subject).filter(|text| !text.is_empty()));
        emails
            .chain(dns)
            .chain(uris)
            .chain(self.dn.iter().map(Candidate::Dn))
            .chain(subjects.map(|text| Candidate::Subject(text)))
            .collect()
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = digest(&SHA256, bytes);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Names that text can hold. One with a control character or a blank in it is nobody's name, and would be a line of its own in a log.
fn usable<'a>(names: &'a [GeneralName<'a>], pick: impl Fn(&'a GeneralName<'a>) -> Option<&'a str>) -> Vec<String> {
    let clean = |name: &&str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
    names.iter().filter_map(pick).filter(clean).map(str::to_owned).collect()
}

/// The DNS names of a certificate.
pub(crate) fn dns_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    usable(names, |name| if let GeneralName::DNSName(dns) = name { Some(*dns) } else { None })
}

/// The subject of a certificate as text.
pub(crate) fn subject_text(certificate: &X509Certificate<'_>) -> String {
    name_text(certificate.subject())
}

/// The kinds that the text form shows, in the order in which it shows them. It gathers the values of one kind into one
/// RDN, and of a common name or a serial number only the last counts: user names in configuration files were written from
/// this form.
const SHOWN: [(&str, Several); 9] = [
    ("SERIALNUMBER", Several::LastCounts),
    ("CN", Several::LastCounts),
    ("POSTALCODE", Several::Gathered),
    ("STREET", Several::Gathered),
    ("ST", Several::Gathered),
    ("L", Several::Gathered),
    ("OU", Several::Gathered),
    ("O", Several::Gathered),
    ("C", Several::Gathered),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Several {
    LastCounts,
    Gathered,
}

pub(crate) fn name_text(name: &X509Name<'_>) -> String {
    let attributes = attributes(name);
    let parts = SHOWN.iter().filter_map(|&(kind, several)| {
        let mut values: Vec<&str> =
            attributes.iter().filter(|(shown, _)| *shown == kind).map(|(_, value)| value.as_str()).collect();
        if several == Several::LastCounts {
            values.drain(..values.len().saturating_sub(1));
            values.retain(|value| !value.is_empty());
        }
        let shown: Vec<String> = values.into_iter().map(|value| format!("{kind}={}", escaped(value))).collect();
        (!shown.is_empty()).then(|| shown.join("+"))
    });
    parts.collect::<Vec<_>>().join(",")
}

fn domain_components(name: &X509Name<'_>) -> String {
    let dc = kind_name(DOMAIN_COMPONENT);
    let shown = attributes(name).into_iter().filter(|(kind, _)| Some(*kind) == dc);
    shown.map(|(_, value)| format!("DC={value}")).collect::<Vec<_>>().join(",")
}

fn attributes(name: &X509Name<'_>) -> Vec<(&'static str, String)> {
    let known = name.iter_attributes().filter_map(|attribute| {
        let kind = kind_name(&attribute.attr_type().to_id_string())?;
        let value = String::from_utf8(string_bytes(attribute.attr_value())?).ok()?;
        Some((kind, value))
    });
    known.collect()
}

/// RFC 2253 section 2.4.
fn escaped(value: &str) -> String {
    let last = value.len().saturating_sub(1);
    let mut out = String::with_capacity(value.len());
    for (at, letter) in value.char_indices() {
        let must = match letter {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => true,
            ' ' => at == 0 || at == last,
            '#' => at == 0,
            _ => false,
        };
        if must {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_would_mean_something_is_escaped() {
        assert_eq!(escaped(" a,b#c "), r"\ a\,b#c\ ");
        assert_eq!(escaped("#x"), r"\#x");
        assert_eq!(escaped(""), "");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400)) {
            let _ = PeerFacts::read(&bytes);
        }
    }
}
