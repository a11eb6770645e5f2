//! What is wrong with a name in a `tls` block. The operator's fault, found at start-up.

use std::fmt;

/// A version, suite, curve or pin that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant says it in its text")]
pub enum NameError {
    UnknownVersion { name: String },
    UnsupportedVersion { name: String },
    EmptySuites,
    UnknownSuite { name: String },
    InsecureSuites { names: String },
    UnavailableSuite { name: String, instead: &'static str },
    EmptyCurves,
    UnknownCurve { name: String },
    UnavailableCurve { name: String, instead: &'static str },
    BadPin { text: String },
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownVersion { name } => write!(f, "unknown version: {name}"),
            Self::UnsupportedVersion { name } => {
                write!(f, "unsupported TLS version: TLS {name}, use '1.2' or '1.3'")
            }
            Self::EmptySuites => f.write_str("error parsing tls config, 'cipher_suites' cannot be empty"),
            Self::UnknownSuite { name } => write!(f, "unrecognized cipher {name}"),
            Self::InsecureSuites { names } => write!(
                f,
                "insecure cipher suites configured without 'allow_insecure_cipher_suites' option set: {names}"
            ),
            Self::UnavailableSuite { name, instead } => {
                write!(f, "cipher suite {name} is not available, use {instead}")
            }
            Self::EmptyCurves => f.write_str("error parsing tls config, 'curve_preferences' cannot be empty"),
            Self::UnknownCurve { name } => write!(f, "unrecognized curve preference {name}"),
            Self::UnavailableCurve { name, instead } => write!(f, "curve {name} is not available, use {instead}"),
            Self::BadPin { text } => write!(
                f,
                "error parsing tls config, 'pinned_certs' key {text} does not look like hex-encoded sha256 of DER \
                 encoded SubjectPublicKeyInfo"
            ),
        }
    }
}

impl std::error::Error for NameError {}
