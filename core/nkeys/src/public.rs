use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

use crate::codec::{decode_public, encode_public};
use crate::{KeyError, Role};

/// The bytes of an Ed25519 or X25519 public key.
pub const RAW_KEY_BYTES: usize = 32;
/// The characters of every public key's text.
pub const PUBLIC_KEY_CHARS: usize = 56;

/// A public key that can verify: of an operator, account, user, server or cluster.
///
/// Its text is unique: two keys are equal exactly when their texts are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey {
    role: Role,
    raw: [u8; RAW_KEY_BYTES],
}

impl PublicKey {
    /// The key with these bytes, or `None` for [`Role::Curve`], which is an [`XPublicKey`](crate::XPublicKey).
    pub fn from_raw(role: Role, raw: [u8; RAW_KEY_BYTES]) -> Option<Self> {
        (role != Role::Curve).then_some(Self { role, raw })
    }

    /// Reads a key that must be of one role.
    pub fn parse_as(role: Role, text: &str) -> Result<Self, KeyError> {
        let key: Self = text.parse()?;
        if key.role == role { Ok(key) } else { Err(KeyError::Role { wanted: role, found: key.role }) }
    }

    /// Whether the text is a public key of this role.
    pub fn is(role: Role, text: &str) -> bool {
        Self::parse_as(role, text).is_ok()
    }

    /// Whose key it is.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// The bytes of the curve point.
    pub const fn raw(&self) -> &[u8; RAW_KEY_BYTES] {
        &self.raw
    }

    /// Checks that the owner signed the message. A signature of any other length than 64 bytes is an error too.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        UnparsedPublicKey::new(&ED25519, &self.raw).verify(message, signature).map_err(|_| KeyError::Signature)
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        match decode_public(text)? {
            (Role::Curve, _) => Err(KeyError::Kind),
            (role, raw) => Ok(Self { role, raw }),
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&encode_public(self.role, &self.raw))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
