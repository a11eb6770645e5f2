//! Cipher suites by the names that configuration files use.

use crate::NameError;

/// A suite that can be had. The order is ours, best first: hardware has AES, and its shorter key is the cheaper one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each variant is the registered name of a suite")]
pub enum CipherSuite {
    Aes128GcmSha256,
    Aes256GcmSha384,
    Chacha20Poly1305Sha256,
    EcdheEcdsaAes128Gcm,
    EcdheRsaAes128Gcm,
    EcdheEcdsaAes256Gcm,
    EcdheRsaAes256Gcm,
    EcdheEcdsaChacha20,
    EcdheRsaChacha20,
}

use CipherSuite as S;

const NAMES: [(&str, CipherSuite); 9] = [
    ("TLS_AES_128_GCM_SHA256", S::Aes128GcmSha256),
    ("TLS_AES_256_GCM_SHA384", S::Aes256GcmSha384),
    ("TLS_CHACHA20_POLY1305_SHA256", S::Chacha20Poly1305Sha256),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", S::EcdheEcdsaAes128Gcm),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", S::EcdheRsaAes128Gcm),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", S::EcdheEcdsaAes256Gcm),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", S::EcdheRsaAes256Gcm),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", S::EcdheEcdsaChacha20),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", S::EcdheRsaChacha20),
];

/// Suites the reference accepts and we do not have, each with the one to use instead.
const REPLACED: [(&str, CipherSuite, Safety); 16] = [
    ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", S::EcdheEcdsaAes128Gcm, Safety::Accepted),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", S::EcdheEcdsaAes256Gcm, Safety::Accepted),
    ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", S::EcdheRsaAes128Gcm, Safety::Accepted),
    ("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", S::EcdheRsaAes256Gcm, Safety::Accepted),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", S::EcdheEcdsaAes128Gcm, Safety::Insecure),
    ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", S::EcdheRsaAes128Gcm, Safety::Insecure),
    ("TLS_ECDHE_ECDSA_WITH_RC4_128_SHA", S::EcdheEcdsaAes128Gcm, Safety::Insecure),
    ("TLS_ECDHE_RSA_WITH_RC4_128_SHA", S::EcdheRsaAes128Gcm, Safety::Insecure),
    ("TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA", S::EcdheRsaAes128Gcm, Safety::Insecure),
    ("TLS_RSA_WITH_RC4_128_SHA", S::EcdheRsaAes128Gcm, Safety::Insecure),
    ("TLS_RSA_WITH_3DES_EDE_CBC_SHA", S::EcdheRsaAes128Gcm, Safety::Insecure),
    ("TLS_RSA_WITH_AES_128_CBC_SHA", S::EcdheRsaAes128Gcm, Safety::Insecure),
    ("TLS_RSA_WITH_AES_256_CBC_SHA", S::EcdheRsaAes256Gcm, Safety::Insecure),
    ("TLS_RSA_WITH_AES_128_CBC_SHA256", S::EcdheRsaAes128Gcm, Safety::Insecure),
    ("TLS_RSA_WITH_AES_128_GCM_SHA256", S::EcdheRsaAes128Gcm, Safety::Insecure),
    ("TLS_RSA_WITH_AES_256_GCM_SHA384", S::EcdheRsaAes256Gcm, Safety::Insecure),
];

/// What the reference thinks of a suite that we do not have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Safety {
    Accepted,
    Insecure,
}

impl CipherSuite {
    /// Every suite, in our order.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.iter().map(|&(_, suite)| suite)
    }

    /// The value of `cipher_suites`. Insecure names need `allow_insecure_cipher_suites`, and even with it they cannot be
    /// had: then the error names what to write instead.
    pub fn from_names<'a>(
        names: impl IntoIterator<Item = &'a str>,
        allow_insecure: bool,
    ) -> Result<Vec<Self>, NameError> {
        let names: Vec<&str> = names.into_iter().collect();
        if names.is_empty() {
            return Err(NameError::EmptySuites);
        }
        if let Some(unknown) = names.iter().find(|name| Self::from_name(name).is_none() && replaced(name).is_none()) {
            return Err(NameError::UnknownSuite { name: (*unknown).into() });
        }
        let insecure: Vec<&str> = names.iter().copied().filter(|name| is_insecure(name)).collect();
        if !insecure.is_empty() && !allow_insecure {
            return Err(NameError::InsecureSuites { names: insecure.join(", ") });
        }
        names.into_iter().map(available).collect()
    }

    /// The suite of this name, if we have it.
    pub fn from_name(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|&(_, suite)| suite)
    }

    /// Its registered name, as in the configuration and in monitoring.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, suite)| *suite == self).map_or("", |&(name, _)| name)
    }

    /// Whether the suite belongs to TLS 1.3.
    pub fn is_tls13(self) -> bool {
        matches!(self, S::Aes128GcmSha256 | S::Aes256GcmSha384 | S::Chacha20Poly1305Sha256)
    }
}

fn replaced(name: &str) -> Option<(CipherSuite, Safety)> {
    REPLACED.iter().find(|(known, ..)| *known == name).map(|&(_, instead, safety)| (instead, safety))
}

fn is_insecure(name: &str) -> bool {
    replaced(name).is_some_and(|(_, safety)| safety == Safety::Insecure)
}

fn available(name: &str) -> Result<CipherSuite, NameError> {
    if let Some(suite) = CipherSuite::from_name(name) {
        return Ok(suite);
    }
    match replaced(name) {
        Some((instead, _)) => Err(NameError::UnavailableSuite { name: name.into(), instead: instead.name() }),
        None => Err(NameError::UnknownSuite { name: name.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(names: &[&str], allow_insecure: bool) -> String {
        CipherSuite::from_names(names.iter().copied(), allow_insecure).unwrap_err().to_string()
    }

    #[test]
    fn every_suite_is_found_by_its_name() {
        for suite in CipherSuite::all() {
            assert_eq!(CipherSuite::from_name(suite.name()), Some(suite));
        }
    }

    #[test]
    fn a_suite_we_do_not_have_names_the_one_to_use() {
        assert_eq!(
            refusal(&["TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"], false),
            "cipher suite TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA is not available, use TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"
        );
    }

    #[test]
    fn insecure_suites_need_the_flag_and_even_then_are_replaced() {
        let names = ["TLS_RSA_WITH_RC4_128_SHA", "TLS_AES_128_GCM_SHA256", "TLS_RSA_WITH_3DES_EDE_CBC_SHA"];
        assert_eq!(
            refusal(&names, false),
            "insecure cipher suites configured without 'allow_insecure_cipher_suites' option set: \
             TLS_RSA_WITH_RC4_128_SHA, TLS_RSA_WITH_3DES_EDE_CBC_SHA"
        );
        assert!(refusal(&names, true).ends_with("use TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"));
    }

    #[test]
    fn unknown_and_missing_names_are_errors() {
        assert_eq!(refusal(&["TLS_BOGUS"], true), "unrecognized cipher TLS_BOGUS");
        assert_eq!(refusal(&[], false), "error parsing tls config, 'cipher_suites' cannot be empty");
    }
}
