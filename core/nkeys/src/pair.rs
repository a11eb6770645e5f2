use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use secret::Secret;

use crate::codec::{decode_seed, encode_seed};
use crate::{KeyError, PublicKey, Role};

/// The bytes a key pair grows from.
pub const RAW_SEED_BYTES: usize = 32;
/// The bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;

/// An Ed25519 signature.
pub type Signature = [u8; SIGNATURE_BYTES];

/// A key that can sign, with the seed it came from.
pub struct KeyPair {
    seed: Secret<[u8; RAW_SEED_BYTES]>,
    signer: Ed25519KeyPair,
    public: PublicKey,
}

impl KeyPair {
    /// The pair that grows from a seed. With fresh random bytes this is how a new key is made.
    ///
    /// # Panics
    /// For [`Role::Curve`]: a curve key cannot sign, see [`XKey`](crate::XKey).
    pub fn from_raw_seed(role: Role, seed: Secret<[u8; RAW_SEED_BYTES]>) -> Self {
        Self::grow(role, seed).expect("a seed of 32 bytes and a signing role always make a key pair")
    }

    /// Reads a seed (`SU…`, `SA…`, `SO…`, `SN…`, `SC…`). Blanks around it are not part of it.
    pub fn from_seed(text: &str) -> Result<Self, KeyError> {
        let (role, seed) = decode_seed(text.trim_ascii())?;
        Self::grow(role, seed)
    }

    fn grow(role: Role, seed: Secret<[u8; RAW_SEED_BYTES]>) -> Result<Self, KeyError> {
        let signer = Ed25519KeyPair::from_seed_unchecked(seed.expose()).map_err(|_| KeyError::Length)?;
        let raw = signer.public_key().as_ref().try_into().map_err(|_| KeyError::Length)?;
        let public = PublicKey::from_raw(role, raw).ok_or(KeyError::Kind)?;
        Ok(Self { seed, signer, public })
    }

    /// The public half.
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    /// Whose key it is.
    pub const fn role(&self) -> Role {
        self.public.role()
    }

    /// Signs a message.
    pub fn sign(&self, message: &[u8]) -> Signature {
        let made = self.signer.sign(message);
        made.as_ref().try_into().expect("an Ed25519 signature has 64 bytes")
    }

    /// The seed as text.
    pub fn seed(&self) -> Secret<String> {
        encode_seed(self.role(), self.seed.expose())
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPair({})", self.public)
    }
}

impl Clone for KeyPair {
    fn clone(&self) -> Self {
        Self::from_raw_seed(self.role(), self.seed.clone())
    }
}
