//! From our names to what rustls offers. The provider is always named, so nothing depends on a process-wide default.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::{self, cipher_suite as suites, kx_group as groups};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::{NamedGroup, SupportedCipherSuite, SupportedProtocolVersion};

use crate::{BuildError, CipherSuite, Curve, Settings, Version};

/// The provider of one block: its suites in our order, its curves in the order of the block.
pub(crate) fn provider(settings: &Settings) -> Arc<CryptoProvider> {
    let chosen = chosen_suites(settings);
    Arc::new(CryptoProvider {
        cipher_suites: CipherSuite::all().filter(|suite| chosen.contains(suite)).map(supported_suite).collect(),
        kx_groups: chosen_curves(settings).iter().copied().map(supported_group).collect(),
        ..aws_lc_rs::default_provider()
    })
}

/// The versions that the block allows and its suites make possible.
pub(crate) fn versions(settings: &Settings) -> Result<Vec<&'static SupportedProtocolVersion>, BuildError> {
    let suites = chosen_suites(settings);
    let tls12 = settings.min_version == Version::Tls12 && suites.iter().any(|suite| !suite.is_tls13());
    let tls13 = suites.iter().any(|suite| suite.is_tls13());
    let versions: Vec<_> = [(tls13, &rustls::version::TLS13), (tls12, &rustls::version::TLS12)]
        .into_iter()
        .filter_map(|(wanted, version)| wanted.then_some(version))
        .collect();
    if versions.is_empty() {
        return Err(BuildError::Unusable { why: "no cipher suite is left for the allowed versions".into() });
    }
    Ok(versions)
}

/// A list without TLS 1.3 suites says nothing about TLS 1.3: files written for other servers name the older suites only,
/// and there all three new ones stay. A list that names some of them means those.
fn chosen_suites(settings: &Settings) -> Vec<CipherSuite> {
    let named = &settings.cipher_suites;
    let says_tls13 = named.iter().any(|suite| suite.is_tls13());
    CipherSuite::all()
        .filter(|suite| named.is_empty() || named.contains(suite) || (suite.is_tls13() && !says_tls13))
        .collect()
}

fn chosen_curves(settings: &Settings) -> &[Curve] {
    if settings.curve_preferences.is_empty() { &Curve::DEFAULT } else { &settings.curve_preferences }
}

fn supported_suite(suite: CipherSuite) -> SupportedCipherSuite {
    match suite {
        CipherSuite::Aes128GcmSha256 => suites::TLS13_AES_128_GCM_SHA256,
        CipherSuite::Aes256GcmSha384 => suites::TLS13_AES_256_GCM_SHA384,
        CipherSuite::Chacha20Poly1305Sha256 => suites::TLS13_CHACHA20_POLY1305_SHA256,
        CipherSuite::EcdheEcdsaAes128Gcm => suites::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::EcdheRsaAes128Gcm => suites::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::EcdheEcdsaAes256Gcm => suites::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::EcdheRsaAes256Gcm => suites::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::EcdheEcdsaChacha20 => suites::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        CipherSuite::EcdheRsaChacha20 => suites::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    }
}

/// Our name of a negotiated suite.
pub(crate) fn suite_of(negotiated: SupportedCipherSuite) -> Option<CipherSuite> {
    CipherSuite::all().find(|&suite| supported_suite(suite) == negotiated)
}

fn supported_group(curve: Curve) -> &'static dyn SupportedKxGroup {
    match curve {
        Curve::X25519MlKem768 => groups::X25519MLKEM768,
        Curve::SecP256r1MlKem768 => groups::SECP256R1MLKEM768,
        Curve::X25519 => groups::X25519,
        Curve::P256 => groups::SECP256R1,
        Curve::P384 => groups::SECP384R1,
    }
}

/// Our name of a negotiated group.
pub(crate) fn curve_of(negotiated: NamedGroup) -> Option<Curve> {
    Curve::DEFAULT.into_iter().find(|&curve| supported_group(curve).name() == negotiated)
}
