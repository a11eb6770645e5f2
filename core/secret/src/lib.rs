//! A value that nobody should read by accident.
//!
//! [`Secret`] wraps passwords, tokens, seeds and keys. It is overwritten when it is dropped, `{:?}` prints a fixed word,
//! there is no `Display` and no way to serialise it, and two secrets are compared in a time that does not tell where
//! they differ. The one way to the value is [`Secret::expose`], a word that is easy to search for in a review.
//!
//! This room does not lock memory, does not encrypt and does not decide who may see a secret. It cannot wipe copies that
//! were made before the value came in: read straight into the type where that matters, and do not grow a wrapped vector.
//!
//! ```
//! use bulwark_secret::Secret;
//!
//! let password = Secret::new(String::from("s3cr3t"));
//! assert_eq!(format!("{password:?}"), "[REDACTED]");
//! assert!(password.is(b"s3cr3t"));
//! assert_eq!(password.expose(), "s3cr3t");
//! ```

use std::fmt;
use std::hint::black_box;

pub use zeroize::{Zeroize, Zeroizing};

/// A value that is wiped on drop and never printed.
pub struct Secret<T: Zeroize>(T);

/// What every secret prints as.
pub const REDACTED: &str = "[REDACTED]";

impl<T: Zeroize> Secret<T> {
    /// Takes the value in. From here on it is reachable through [`Secret::expose`] only.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Borrow it for the shortest time that does the work.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize + AsRef<[u8]>> Secret<T> {
    /// Whether the secret holds exactly these bytes. The time depends on the lengths alone.
    pub fn is(&self, other: &[u8]) -> bool {
        same_bytes(self.0.as_ref(), other)
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize + Clone> Clone for Secret<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Zeroize> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl From<&str> for Secret<String> {
    fn from(value: &str) -> Self {
        Self::new(value.to_owned())
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl<T: Zeroize + AsRef<[u8]>> PartialEq for Secret<T> {
    fn eq(&self, other: &Self) -> bool {
        same_bytes(self.0.as_ref(), other.0.as_ref())
    }
}

impl<T: Zeroize + AsRef<[u8]>> Eq for Secret<T> {}

/// Compares two byte strings in a time that depends on their lengths alone, never on where they differ.
pub fn same_bytes(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    // The barrier keeps the optimiser from leaving the loop at the first difference.
    let difference = left.iter().zip(right).fold(0, |seen, (l, r)| black_box(seen | (l ^ r)));
    black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn a_secret_never_prints_its_value() {
        let secret = Secret::new(String::from("marker-7f3a"));
        assert_eq!(format!("{secret:?} {:#?}", Some(&secret)), "[REDACTED] Some(\n    [REDACTED],\n)");
    }

    #[test]
    fn equality_sees_every_byte_and_the_length() {
        let secret = Secret::new(b"abc".to_vec());
        assert!(secret == Secret::new(b"abc".to_vec()));
        for other in ["", "ab", "abcd", "xbc", "axc", "abx"] {
            assert!(secret != Secret::new(other.as_bytes().to_vec()), "{other}");
            assert!(!secret.is(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn an_empty_secret_equals_only_itself() {
        assert!(Secret::new(String::new()).is(b""));
        assert!(!Secret::new(String::new()).is(b"\0"));
    }

    #[test]
    fn the_value_is_wiped_when_the_secret_is_dropped() {
        static WIPED: AtomicBool = AtomicBool::new(false);
        struct Witness;
        impl Zeroize for Witness {
            fn zeroize(&mut self) {
                WIPED.store(true, Ordering::SeqCst);
            }
        }
        drop(Secret::new(Witness));
        assert!(WIPED.load(Ordering::SeqCst));
    }

    #[test]
    fn a_clone_is_its_own_secret() {
        let first = Secret::from("tok");
        let second = first.clone();
        drop(first);
        assert!(second.is(b"tok"));
    }
}
