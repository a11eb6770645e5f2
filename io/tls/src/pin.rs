//! Pinned certificates: which public keys a peer may have.

use std::collections::BTreeSet;
use std::fmt;

use crate::NameError;

/// SHA-256 of a certificate's DER SubjectPublicKeyInfo. It survives a renewal that keeps the key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpkiHash(pub [u8; 32]);

impl SpkiHash {
    /// Reads 64 hex digits, of either case.
    pub fn from_hex(text: &str) -> Result<Self, NameError> {
        let refusal = || NameError::BadPin { text: text.to_ascii_lowercase() };
        let digits: Option<Vec<u8>> =
            text.bytes().map(|byte| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
        let bytes: Vec<u8> = digits
            .ok_or_else(refusal)?
            .chunks(2)
            .map(|pair| pair.iter().fold(0, |high, low| high << 4 | low))
            .collect();
        let exact = if text.len() == 64 { bytes.try_into().ok() } else { None };
        exact.map(Self).ok_or_else(refusal)
    }
}

impl fmt::Display for SpkiHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SpkiHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The set of keys that may connect. An empty set pins nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PinnedCerts(BTreeSet<SpkiHash>);

impl PinnedCerts {
    /// The value of `pinned_certs`.
    pub fn from_hex<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, NameError> {
        texts.into_iter().map(SpkiHash::from_hex).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a peer with this key may connect; `None` is a peer that showed no certificate. A reload asks again for
    /// every open connection.
    pub fn allows(&self, key: Option<&SpkiHash>) -> bool {
        self.0.is_empty() || key.is_some_and(|key| self.0.contains(key))
    }

    /// Whether nothing is pinned.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pinned keys, in order.
    pub fn iter(&self) -> impl Iterator<Item = &SpkiHash> {
        self.0.iter()
    }
}

impl FromIterator<SpkiHash> for PinnedCerts {
    fn from_iter<I: IntoIterator<Item = SpkiHash>>(keys: I) -> Self {
        Self(keys.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_64_hex_digits_of_either_case() {
        let lower = "a1".repeat(32);
        assert_eq!(SpkiHash::from_hex(&lower).unwrap(), SpkiHash([0xa1; 32]));
        assert_eq!(SpkiHash::from_hex(&lower.to_uppercase()).unwrap().to_string(), lower);
        for bad in ["", "a1", &lower[1..], &format!("{lower}0"), &lower.replace('a', "g"), &"é".repeat(32)] {
            let refusal = SpkiHash::from_hex(bad).unwrap_err().to_string();
            assert!(refusal.contains("does not look like hex-encoded sha256"), "{refusal}");
        }
    }

    #[test]
    fn a_peer_without_certificate_fails_a_pinned_block() {
        let pinned = PinnedCerts::from_iter([SpkiHash([1; 32])]);
        assert!(pinned.allows(Some(&SpkiHash([1; 32]))));
        assert!(!pinned.allows(Some(&SpkiHash([2; 32]))));
        assert!(!pinned.allows(None));
        assert!(PinnedCerts::default().allows(None));
    }
}
