//! Why a `tls` block cannot be used. The operator's fault, or that of the files the block names.

use std::fmt;
use std::path::PathBuf;

/// What is wrong. At start-up the server does not begin; at reload the old state stays.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant says it in its text")]
pub enum BuildError {
    Unreadable { path: PathBuf, why: String },
    BadCertificate { path: PathBuf, why: String },
    BadKey { path: PathBuf, why: String },
    KeyMismatch { cert_file: PathBuf, key_file: PathBuf },
    PassphraseNeeded { path: PathBuf },
    WrongPassphrase { path: PathBuf },
    KeyEncryption { path: PathBuf, what: String },
    BadRoots { path: PathBuf },
    NoSystemRoots,
    BadCrl { path: PathBuf, why: String },
    NoCertificate,
    Unusable { why: String },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, why } => write!(f, "{}: {why}", path.display()),
            Self::BadCertificate { path, why } => {
                write!(f, "error parsing X509 certificate/key pair: {}: {why}", path.display())
            }
            Self::BadKey { path, why } => {
                write!(f, "error parsing X509 certificate/key pair: {}: {why}", path.display())
            }
            Self::KeyMismatch { cert_file, key_file } => write!(
                f,
                "error parsing X509 certificate/key pair: private key {} does not match public key of {}",
                key_file.display(),
                cert_file.display()
            ),
            Self::PassphraseNeeded { path } => {
                write!(f, "{}: the key is encrypted, set 'key_passphrase' or 'key_passphrase_file'", path.display())
            }
            Self::WrongPassphrase { path } => write!(f, "{}: the passphrase does not open the key", path.display()),
            Self::KeyEncryption { path, what } => write!(
                f,
                "{}: keys encrypted with {what} are not supported, convert with 'openssl pkcs8 -topk8 -v2 aes-256-cbc'",
                path.display()
            ),
            Self::BadRoots { path } => write!(f, "failed to parse root ca certificate: {}", path.display()),
            Self::NoSystemRoots => f.write_str("the system has no root certificates, set 'ca_file'"),
            Self::BadCrl { path, why } => write!(f, "error parsing revocation list {}: {why}", path.display()),
            Self::NoCertificate => f.write_str("missing 'cert_file' in TLS configuration"),
            Self::Unusable { why } => write!(f, "error in TLS configuration: {why}"),
        }
    }
}

impl std::error::Error for BuildError {}
