use std::fmt;

use crate::Role;

/// Why a text is not the key, signature or box it should be. Every variant is the fault of whoever supplied it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyError {
    /// Not base32 without padding, or a base32 text with bits left over.
    NotBase32,
    /// The number of bytes is not the one of this kind of key.
    Length,
    /// The checksum at the end does not fit the rest.
    Checksum,
    /// The first letter does not name a known kind of key.
    Prefix,
    /// A key of another role was wanted.
    Role {
        /// What the place asked for.
        wanted: Role,
        /// What the text is.
        found: Role,
    },
    /// A public key where a seed was wanted, or the other way round.
    Kind,
    /// The key does not verify this signature over this text.
    Signature,
    /// The point is one of the few that make every shared secret the same.
    WeakPoint,
    /// Not a sealed box of a known version.
    Sealed,
    /// The box was not sealed for this key by that sender, or was changed.
    NotOpened,
    /// A credentials file without a user JWT.
    NoJwt,
    /// A credentials file without a seed.
    NoSeed,
    /// A file larger than any credentials file.
    TooLarge,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBase32 => f.write_str("key is not base32 text"),
            Self::Length => f.write_str("key has the wrong length"),
            Self::Checksum => f.write_str("key checksum does not match"),
            Self::Prefix => f.write_str("key has an unknown prefix"),
            Self::Role { wanted, found } => write!(f, "expected the key of {wanted}, got the key of {found}"),
            Self::Kind => f.write_str("public key and seed are mixed up"),
            Self::Signature => f.write_str("signature does not verify"),
            Self::WeakPoint => f.write_str("curve key is a point of small order"),
            Self::Sealed => f.write_str("not a sealed xkv1 box"),
            Self::NotOpened => f.write_str("sealed box does not open with these keys"),
            Self::NoJwt => f.write_str("credentials hold no user JWT"),
            Self::NoSeed => f.write_str("credentials hold no seed"),
            Self::TooLarge => f.write_str("credentials are too large"),
        }
    }
}

impl std::error::Error for KeyError {}
