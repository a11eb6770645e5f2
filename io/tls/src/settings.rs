//! What one `tls` block says, as plain data. Whoever reads the configuration fills it; nothing here touches a file.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use secret::Secret;

use crate::{CipherSuite, Curve, PinnedCerts, Version};

/// How long a handshake may take unless the block says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long `handshake_first: auto` waits for the peer's first byte before it sends INFO in the clear.
pub const AUTO_FALLBACK_DELAY: Duration = Duration::from_millis(50);

/// One `tls` block: of a listener, of a cluster, of a remote, of the resolver.
///
/// The block is the same for both roles. `ServerTls` reads the fields of an accepting side,
/// `ClientTls` those of a connecting side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `cert_file` and `key_file`, or the pairs of `certs`. The first one serves names that no other one covers.
    pub certificates: Vec<CertificateFiles>,
    /// `ca_file`: whom we trust. Absent means the roots of the system.
    pub ca_file: Option<PathBuf>,
    /// `crl_file` or `crl_files`: revocation lists, PEM or DER. Lists past their next update refuse, they do not pass.
    pub crl_files: Vec<PathBuf>,
    /// `verify`: the peer must show a certificate that we trust. The two fields below imply it.
    pub verify: bool,
    /// `verify_and_map`: the certificate also says who the peer is.
    pub verify_and_map: bool,
    /// `verify_cert_and_check_known_urls`: a DNS name of the certificate must be one of the configured peers.
    pub verify_cert_and_check_known_urls: bool,
    /// `insecure`: the connecting side takes any certificate. Has no meaning on the accepting side.
    pub insecure: bool,
    /// `timeout` of the handshake.
    pub timeout: Duration,
    /// `connection_rate_limit`: handshakes per second that a listener begins; more are closed.
    pub connection_rate_limit: Option<NonZeroU32>,
    /// `min_version`.
    pub min_version: Version,
    /// `cipher_suites`, from [`CipherSuite::from_names`]. Empty means all that we have.
    pub cipher_suites: Vec<CipherSuite>,
    /// `curve_preferences`, from [`Curve::from_names`], best first. Empty means [`Curve::DEFAULT`].
    pub curve_preferences: Vec<Curve>,
    /// `pinned_certs`: the peer's public key must be one of these. Empty means no pinning.
    pub pinned_certs: PinnedCerts,
    /// `handshake_first`.
    pub handshake_first: HandshakeFirst,
    /// The connecting side takes only a peer that shows a good OCSP answer with its certificate: links between servers where
    /// `ocsp` is on.
    pub require_staple: bool,
    /// `ocsp_peer`: ask the issuer of the peer's certificate whether it still stands by it.
    pub ocsp_peer: Option<OcspPeer>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            certificates: Vec::new(),
            ca_file: None,
            crl_files: Vec::new(),
            verify: false,
            verify_and_map: false,
            verify_cert_and_check_known_urls: false,
            insecure: false,
            timeout: DEFAULT_TIMEOUT,
            connection_rate_limit: None,
            min_version: Version::Tls12,
            cipher_suites: Vec::new(),
            curve_preferences: Vec::new(),
            pinned_certs: PinnedCerts::default(),
            handshake_first: HandshakeFirst::Off,
            require_staple: false,
            ocsp_peer: None,
        }
    }
}

impl Settings {
    /// Whether an accepting side asks the peer for a certificate, and refuses one without.
    pub fn wants_peer_certificate(&self) -> bool {
        self.verify || self.verify_and_map || self.verify_cert_and_check_known_urls
    }

    /// Every file the block names, in a fixed order: what a reload reads and a watcher looks at.
    pub fn files(&self) -> Vec<PathBuf> {
        let pairs = self.certificates.iter().flat_map(CertificateFiles::files);
        pairs.chain(self.ca_file.clone()).chain(self.crl_files.iter().cloned()).collect()
    }
}

/// A certificate chain, its key, and how to open the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// `cert_file`: PEM, the end entity first, then its issuers.
    pub cert_file: PathBuf,
    /// `key_file`: PEM; PKCS#8, PKCS#1 or SEC1, or an encrypted PKCS#8 key.
    pub key_file: PathBuf,
    /// How an encrypted key is opened.
    pub passphrase: Option<Passphrase>,
}

impl CertificateFiles {
    /// A pair of files whose key is not encrypted.
    pub fn new(cert_file: impl Into<PathBuf>, key_file: impl Into<PathBuf>) -> Self {
        Self { cert_file: cert_file.into(), key_file: key_file.into(), passphrase: None }
    }

    fn files(&self) -> impl Iterator<Item = PathBuf> {
        let passphrase = match &self.passphrase {
            Some(Passphrase::File(path)) => Some(path.clone()),
            _ => None,
        };
        [self.cert_file.clone(), self.key_file.clone()].into_iter().chain(passphrase)
    }
}

/// Where the passphrase of a key comes from. One from the environment arrives as a value: the room that reads the
/// configuration looked it up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passphrase {
    /// Known already.
    Value(Secret<String>),
    /// The first line of a file, read whenever the key is.
    File(PathBuf),
}

/// Whether INFO waits for the handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HandshakeFirst {
    /// INFO in the clear, then the handshake.
    #[default]
    Off,
    /// The handshake, then INFO inside it.
    On,
    /// The handshake if the peer begins within this time, else INFO in the clear.
    WithFallback(Duration),
}

impl HandshakeFirst {
    /// The words of the option: `true`, `on`, `false`, `off`, `auto`, `auto_fallback`. A duration is not a word: whoever
    /// reads the configuration parses it and uses [`HandshakeFirst::WithFallback`].
    pub fn from_word(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "true" | "on" => Some(Self::On),
            "false" | "off" => Some(Self::Off),
            "auto" | "auto_fallback" => Some(Self::WithFallback(AUTO_FALLBACK_DELAY)),
            _ => None,
        }
    }

    /// How long to hold INFO back for the peer's first byte: `None` says for as long as the handshake may take.
    pub fn fallback_delay(self) -> Option<Duration> {
        match self {
            Self::WithFallback(delay) => Some(delay),
            Self::Off | Self::On => None,
        }
    }
}

/// `ocsp_peer`: how the answers of the peer's issuer are judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OcspPeer {
    /// `ca_timeout`: how long a responder may take.
    pub ca_timeout: Duration,
    /// `allowed_clockskew` between us and the responder.
    pub allowed_clockskew: Duration,
    /// `warn_only`: say it, but let the peer in.
    pub warn_only: bool,
    /// `unknown_is_good`: a responder that does not know the certificate does not speak against it.
    pub unknown_is_good: bool,
    /// `allow_when_ca_unreachable`: no answer is no objection, unless an old answer said revoked.
    pub allow_when_ca_unreachable: bool,
    /// `cache_ttl_when_next_update_unset`: how long an answer without an end is worth something.
    pub cache_ttl_when_next_update_unset: Duration,
}

impl Default for OcspPeer {
    fn default() -> Self {
        Self {
            ca_timeout: Duration::from_secs(2),
            allowed_clockskew: Duration::from_secs(30),
            warn_only: false,
            unknown_is_good: false,
            allow_when_ca_unreachable: false,
            cache_ttl_when_next_update_unset: Duration::from_secs(3600),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapping_and_known_urls_imply_that_a_certificate_is_asked_for() {
        let plain = Settings::default();
        assert!(!plain.wants_peer_certificate());
        assert!(Settings { verify: true, ..plain.clone() }.wants_peer_certificate());
        assert!(Settings { verify_and_map: true, ..plain.clone() }.wants_peer_certificate());
        assert!(Settings { verify_cert_and_check_known_urls: true, ..plain }.wants_peer_certificate());
    }

    #[test]
    fn the_words_of_handshake_first() {
        assert_eq!(HandshakeFirst::from_word("ON"), Some(HandshakeFirst::On));
        assert_eq!(HandshakeFirst::from_word("false"), Some(HandshakeFirst::Off));
        let auto = HandshakeFirst::from_word("auto_fallback").unwrap();
        assert_eq!(auto.fallback_delay(), Some(AUTO_FALLBACK_DELAY));
        assert_eq!(HandshakeFirst::from_word("perhaps"), None);
    }

    #[test]
    fn a_reload_reads_every_file_of_the_block() {
        let mut pair = CertificateFiles::new("c.pem", "k.pem");
        pair.passphrase = Some(Passphrase::File("p.txt".into()));
        let settings = Settings {
            certificates: vec![pair],
            ca_file: Some("ca.pem".into()),
            crl_files: vec!["r.crl".into()],
            ..Settings::default()
        };
        let names: Vec<_> = settings.files().iter().map(|p| p.display().to_string()).collect();
        assert_eq!(names, ["c.pem", "k.pem", "p.txt", "ca.pem", "r.crl"]);
    }

    #[test]
    fn a_passphrase_is_never_printed() {
        let shown = format!("{:?}", Passphrase::Value(Secret::new("open-sesame".into())));
        assert!(!shown.contains("sesame"), "{shown}");
    }
}
