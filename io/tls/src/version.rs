//! The protocol versions we speak.

use crate::NameError;

/// A TLS version. Older ones do not exist here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

impl Version {
    /// The value of `min_version`.
    pub fn from_name(name: &str) -> Result<Self, NameError> {
        match name {
            "1.2" => Ok(Self::Tls12),
            "1.3" => Ok(Self::Tls13),
            "1.0" | "1.1" => Err(NameError::UnsupportedVersion { name: name.into() }),
            _ => Err(NameError::UnknownVersion { name: name.into() }),
        }
    }

    /// As in the configuration and in monitoring: `1.2`, `1.3`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_before_1_2_are_refused_by_name() {
        assert_eq!(Version::from_name("1.2"), Ok(Version::Tls12));
        assert_eq!(Version::from_name("1.3"), Ok(Version::Tls13));
        assert_eq!(
            Version::from_name("1.1").unwrap_err().to_string(),
            "unsupported TLS version: TLS 1.1, use '1.2' or '1.3'"
        );
        assert_eq!(Version::from_name("2").unwrap_err().to_string(), "unknown version: 2");
    }
}
