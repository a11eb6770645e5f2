//! Reading an answer: is it signed by somebody who may, and is it about this certificate?

use std::fmt;

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use rustls::crypto::aws_lc_rs::default_provider;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::der::{Malformed, Reader, Tag};

/// The longest answer that is read.
pub const MAX_ANSWER: usize = 64 << 10;

const BASIC: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];
const SHA1_OID: &[u8] = &[0x2b, 14, 3, 2, 26];
const SHA256_OID: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];

/// What the issuer says about a certificate. Times are seconds since the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether it stands by it.
    pub status: Status,
    /// From when on this was known to be so.
    pub this_update: i64,
    /// When there will be news. `None`: any time.
    pub next_update: Option<i64>,
}

/// Whether an issuer stands by a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It does.
    Good,
    /// It does not any more.
    Revoked {
        /// Since when.
        at: i64,
    },
    /// It knows nothing of it.
    Unknown,
}

impl Status {
    /// As in logs, events and the cache file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Revoked { .. } => "revoked",
            Self::Unknown => "unknown",
        }
    }
}

/// Why an answer is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OcspError {
    /// One of the certificates in question cannot be read.
    BadCertificate,
    /// Nobody is known who issued one of them.
    NoIssuer,
    /// The bytes are not an answer.
    Malformed,
    /// Longer than [`MAX_ANSWER`].
    TooLong,
    /// The responder says that it cannot answer, with this code.
    NoAnswer(u8),
    /// It answered about other certificates.
    OtherCertificate,
    /// Signed by nobody who may sign it.
    NotAuthorised,
    /// The signature is wrong, or of a kind that proves nothing.
    BadSignature,
}

impl From<Malformed> for OcspError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl fmt::Display for OcspError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadCertificate => f.write_str("ocsp: malformed certificate"),
            Self::NoIssuer => f.write_str("ocsp: the issuer of the certificate is not known"),
            Self::Malformed => f.write_str("ocsp: malformed response"),
            Self::TooLong => f.write_str("ocsp: response too long"),
            Self::NoAnswer(code) => write!(f, "ocsp: error from server: {}", error_text(*code)),
            Self::OtherCertificate => f.write_str("ocsp: no response matching the supplied certificate"),
            Self::NotAuthorised => f.write_str("ocsp: responder is not authorised by the issuer"),
            Self::BadSignature => f.write_str("ocsp: bad signature"),
        }
    }
}

impl std::error::Error for OcspError {}

fn error_text(code: u8) -> &'static str {
    match code {
        1 => "malformed request",
        2 => "internal error",
        3 => "try later",
        5 => "signature required",
        6 => "unauthorized",
        _ => "unknown error",
    }
}

impl Answer {
    /// Reads what a responder sent about `certificate`, which `issuer` issued.
    ///
    /// The answer counts if the issuer signed it, or somebody it gave a certificate for exactly this purpose, which must
    /// be in its time at `now`. Whether the answer is current is a question of policy: see [`crate::ocsp::judge`].
    pub fn read(response: &[u8], certificate: &[u8], issuer: &[u8], now: i64) -> Result<Self, OcspError> {
        if response.len() > MAX_ANSWER {
            return Err(OcspError::TooLong);
        }
        let basic = Basic::parse(response)?;
        let (_, issuer_parsed) = X509Certificate::from_der(issuer).map_err(|_| OcspError::BadCertificate)?;
        let signer = basic.signer(issuer, &issuer_parsed, now)?;
        if !verifies(signer, basic.algorithm, basic.signed, basic.signature) {
            return Err(OcspError::BadSignature);
        }
        let (_, certificate) = X509Certificate::from_der(certificate).map_err(|_| OcspError::BadCertificate)?;
        basic.about(&certificate, &issuer_parsed)
    }

    /// Whether the answer holds at `now`, give or take `skew` seconds; one without an end holds for `unset_ttl` seconds.
    pub fn is_current(&self, now: i64, skew: i64, unset_ttl: i64) -> bool {
        self.this_update <= now.saturating_add(skew) && self.until(unset_ttl) >= now.saturating_sub(skew)
    }

    /// Until when the answer holds.
    pub fn until(&self, unset_ttl: i64) -> i64 {
        self.next_update.unwrap_or_else(|| self.this_update.saturating_add(unset_ttl))
    }
}

/// The signed part of a response, and by whom.
struct Basic<'a> {
    /// The bytes that are signed.
    signed: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
    responder: Responder<'a>,
    answers: Reader<'a>,
    certificates: Option<Reader<'a>>,
}

/// How the responder calls itself.
enum Responder<'a> {
    Name(&'a [u8]),
    KeyHash(&'a [u8]),
}

impl<'a> Basic<'a> {
    fn parse(response: &'a [u8]) -> Result<Self, OcspError> {
        let mut outer = Reader::new(response).sequence()?;
        match *outer.take(Tag::ENUMERATED)? {
            [0] => {}
            [code] => return Err(OcspError::NoAnswer(code)),
            _ => return Err(OcspError::Malformed),
        }
        let mut bytes = Reader::new(outer.take(Tag::context(0))?).sequence()?;
        if bytes.take(Tag::OID)? != BASIC {
            return Err(OcspError::Malformed);
        }
        let mut basic = Reader::new(bytes.take(Tag::OCTET_STRING)?).sequence()?;
        let signed = basic.raw()?;
        let algorithm = basic.take(Tag::SEQUENCE)?;
        let signature = bits(basic.take(Tag::BIT_STRING)?)?;
        let certificates = basic.take_if(Tag::context(0))?.map(|list| Reader::new(list).sequence()).transpose()?;
        let mut data = Reader::new(signed).sequence()?;
        data.take_if(Tag::context(0))?;
        let responder = match data.peek() {
            Some(tag) if tag == Tag::context(1) => Responder::Name(data.take(tag)?),
            Some(tag) if tag == Tag::context(2) => {
                Responder::KeyHash(Reader::new(data.take(tag)?).take(Tag::OCTET_STRING)?)
            }
            _ => return Err(OcspError::Malformed),
        };
        data.take(Tag::GENERALIZED_TIME)?;
        let answers = data.sequence()?;
        Ok(Self { signed, algorithm, signature, responder, answers, certificates })
    }

    /// The certificate whose key must have signed: the issuer's, or that of somebody it sent.
    fn signer<'c>(&self, issuer: &'c [u8], issuer_parsed: &X509Certificate<'_>, now: i64) -> Result<&'c [u8], OcspError>
    where
        'a: 'c,
    {
        if self.responder.is(issuer_parsed) {
            return Ok(issuer);
        }
        let mut certificates = self.certificates.ok_or(OcspError::NotAuthorised)?;
        while !certificates.is_empty() {
            let candidate = certificates.raw()?;
            if let Ok((_, parsed)) = X509Certificate::from_der(candidate)
                && self.responder.is(&parsed)
                && may_answer(&parsed, now)
                && is_signed_by(candidate, issuer)
            {
                return Ok(candidate);
            }
        }
        Err(OcspError::NotAuthorised)
    }

    /// The answer about this certificate among those given.
    fn about(&self, certificate: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> Result<Answer, OcspError> {
        let mut answers = self.answers;
        while !answers.is_empty() {
            let mut single = answers.sequence()?;
            if is_about(single.sequence()?, certificate, issuer)? {
                return read_single(single);
            }
        }
        Err(OcspError::OtherCertificate)
    }
}

impl Responder<'_> {
    fn is(&self, certificate: &X509Certificate<'_>) -> bool {
        match self {
            Self::Name(name) => certificate.subject().as_raw() == *name,
            Self::KeyHash(hash) => {
                let key = &certificate.public_key().subject_public_key.data;
                digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, key).as_ref() == *hash
            }
        }
    }
}

/// RFC 6960 section 4.2.2.2: a delegate must be made for this, or any certificate of the issuer could speak for it.
fn may_answer(delegate: &X509Certificate<'_>, now: i64) -> bool {
    let validity = delegate.validity();
    let in_time = (validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&now);
    in_time && delegate.extended_key_usage().ok().flatten().is_some_and(|usage| usage.value.ocsp_signing)
}

fn is_about(
    mut id: Reader<'_>,
    certificate: &X509Certificate<'_>,
    issuer: &X509Certificate<'_>,
) -> Result<bool, OcspError> {
    let algorithm = match id.sequence()?.take(Tag::OID)? {
        oid if oid == SHA1_OID => &SHA1_FOR_LEGACY_USE_ONLY,
        oid if oid == SHA256_OID => &SHA256,
        _ => return Ok(false),
    };
    let name = id.take(Tag::OCTET_STRING)?;
    let key = id.take(Tag::OCTET_STRING)?;
    let serial = id.take(Tag::INTEGER)?;
    Ok(serial == certificate.raw_serial()
        && digest::digest(algorithm, issuer.subject().as_raw()).as_ref() == name
        && digest::digest(algorithm, &issuer.public_key().subject_public_key.data).as_ref() == key)
}

fn read_single(mut single: Reader<'_>) -> Result<Answer, OcspError> {
    let (tag, content, _) = single.any()?;
    let status = if tag == Tag::context_primitive(0) {
        Status::Good
    } else if tag == Tag::context(1) {
        Status::Revoked { at: time(Reader::new(content).take(Tag::GENERALIZED_TIME)?)? }
    } else if tag == Tag::context_primitive(2) {
        Status::Unknown
    } else {
        return Err(OcspError::Malformed);
    };
    let this_update = time(single.take(Tag::GENERALIZED_TIME)?)?;
    let next_update = match single.take_if(Tag::context(0))? {
        Some(inner) => Some(time(Reader::new(inner).take(Tag::GENERALIZED_TIME)?)?),
        None => None,
    };
    Ok(Answer { status, this_update, next_update })
}

/// Whether the key of `issuer` signed `certificate`.
pub(crate) fn is_signed_by(certificate: &[u8], issuer: &[u8]) -> bool {
    let parts = || -> Result<_, Malformed> {
        let mut outer = Reader::new(certificate).sequence()?;
        let signed = outer.raw()?;
        let algorithm = outer.take(Tag::SEQUENCE)?;
        Ok((signed, algorithm, bits(outer.take(Tag::BIT_STRING)?)?))
    };
    parts().is_ok_and(|(signed, algorithm, signature)| verifies(issuer, algorithm, signed, signature))
}

/// Whether the key of `signer` made this signature, with an algorithm that is good enough for certificates.
fn verifies(signer: &[u8], algorithm: &[u8], signed: &[u8], signature: &[u8]) -> bool {
    let Ok((_, signer)) = X509Certificate::from_der(signer) else {
        return false;
    };
    let Ok(key_algorithm) =
        Reader::new(signer.public_key().raw).sequence().and_then(|mut info| info.take(Tag::SEQUENCE))
    else {
        return false;
    };
    let key = &signer.public_key().subject_public_key.data;
    default_provider()
        .signature_verification_algorithms
        .all
        .iter()
        .filter(|known| {
            known.signature_alg_id().as_ref() == algorithm && known.public_key_alg_id().as_ref() == key_algorithm
        })
        .any(|known| known.verify_signature(key, signed, signature).is_ok())
}

/// A bit string of whole bytes.
fn bits(content: &[u8]) -> Result<&[u8], Malformed> {
    match content {
        [0, bytes @ ..] => Ok(bytes),
        _ => Err(Malformed),
    }
}

/// `YYYYMMDDHHMMSSZ`, the only form that DER allows without fractions.
fn time(text: &[u8]) -> Result<i64, OcspError> {
    let text = text.strip_suffix(b"Z").filter(|digits| digits.len() == 14).ok_or(OcspError::Malformed)?;
    let number = |range: std::ops::Range<usize>| {
        let digits =
            text.get(range).filter(|digits| digits.iter().all(u8::is_ascii_digit)).ok_or(OcspError::Malformed)?;
        Ok::<i64, OcspError>(digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
    };
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    let (hour, minute, second) = (number(8..10)?, number(10..12)?, number(12..14)?);
    let plausible = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !plausible {
        return Err(OcspError::Malformed);
    }
    Ok(days_since_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Days from 1970-01-01 in the Gregorian calendar: years begin in March, so that the leap day is the last one.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_from_the_epoch() {
        for (text, seconds) in [
            ("19700101000000Z", 0),
            ("20000229120000Z", 951_825_600),
            ("20240229000000Z", 1_709_164_800),
            ("20261231235959Z", 1_798_761_599),
            ("21000301000000Z", 4_107_542_400),
        ] {
            assert_eq!(time(text.as_bytes()), Ok(seconds), "{text}");
        }
        for text in [
            "",
            "2026",
            "20261301000000Z",
            "20260100000000Z",
            "20260101250000Z",
            "2026010100000Z",
            "20260101000000",
            "2026010100000xZ",
        ] {
            assert_eq!(time(text.as_bytes()), Err(OcspError::Malformed), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = Basic::parse(&bytes);
        }
    }
}
