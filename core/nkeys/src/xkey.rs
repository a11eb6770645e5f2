//! Curve keys: a box is sealed for one reader by one writer (X25519, XSalsa20-Poly1305), behind the version word `xkv1`.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::agreement;
use crypto_box::aead::Aead;
use crypto_box::{PublicKey as BoxPublic, SalsaBox, SecretKey as BoxSecret};
use secret::Secret;

use crate::codec::{decode_public, decode_seed, encode_public, encode_seed};
use crate::{KeyError, RAW_KEY_BYTES, RAW_SEED_BYTES, Role};

/// The bytes of a box nonce. Draw it fresh for every box.
pub const BOX_NONCE_BYTES: usize = 24;
/// What sealing adds: version, nonce and tag.
pub const BOX_OVERHEAD_BYTES: usize = VERSION.len() + BOX_NONCE_BYTES + TAG_BYTES;
/// The largest box [`XKey::open`] looks at.
pub const MAX_SEALED_BYTES: usize = 64 << 20;

const VERSION: &[u8; 4] = b"xkv1";
const TAG_BYTES: usize = 16;

/// The public half of a curve key (`X…`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct XPublicKey([u8; RAW_KEY_BYTES]);

impl XPublicKey {
    /// The key with these bytes. Points of small order (zero among them) are refused: every box sealed for one could be
    /// opened by anybody.
    pub fn from_raw(raw: [u8; RAW_KEY_BYTES]) -> Result<Self, KeyError> {
        if contributes(&raw) { Ok(Self(raw)) } else { Err(KeyError::WeakPoint) }
    }

    /// Whether the text is a usable public curve key.
    pub fn is(text: &str) -> bool {
        text.parse::<Self>().is_ok()
    }

    /// The bytes of the curve point.
    pub const fn raw(&self) -> &[u8; RAW_KEY_BYTES] {
        &self.0
    }
}

/// A scalar is always a multiple of eight, so one arbitrary scalar tells for all of them whether the secret is zero.
fn contributes(raw: &[u8; RAW_KEY_BYTES]) -> bool {
    let Ok(probe) = agreement::PrivateKey::from_private_key(&agreement::X25519, &[0x42; RAW_SEED_BYTES]) else {
        return false;
    };
    let point = agreement::UnparsedPublicKey::new(&agreement::X25519, raw);
    let shared =
        agreement::agree(&probe, point, KeyError::WeakPoint, |secret| Ok(secret.iter().any(|&byte| byte != 0)));
    shared == Ok(true)
}

impl FromStr for XPublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        match decode_public(text)? {
            (Role::Curve, raw) => Self::from_raw(raw),
            (found, _) => Err(KeyError::Role { wanted: Role::Curve, found }),
        }
    }
}

impl fmt::Display for XPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&encode_public(Role::Curve, &self.0))
    }
}

impl fmt::Debug for XPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A curve key that can seal and open.
#[derive(Clone)]
pub struct XKey {
    seed: Secret<[u8; RAW_SEED_BYTES]>,
}

impl XKey {
    /// The key that is these bytes. With fresh random bytes this is how a new one is made.
    pub const fn from_raw_seed(seed: Secret<[u8; RAW_SEED_BYTES]>) -> Self {
        Self { seed }
    }

    /// Reads a seed (`SX…`). Blanks around it are not part of it.
    pub fn from_seed(text: &str) -> Result<Self, KeyError> {
        match decode_seed(text.trim_ascii())? {
            (Role::Curve, seed) => Ok(Self { seed }),
            (found, _) => Err(KeyError::Role { wanted: Role::Curve, found }),
        }
    }

    /// The public half.
    pub fn public(&self) -> XPublicKey {
        XPublicKey(*self.secret().public_key().as_bytes())
    }

    /// The seed as text.
    pub fn seed(&self) -> Secret<String> {
        encode_seed(Role::Curve, self.seed.expose())
    }

    /// Seals a message so that only `reader` can open it and knows that we wrote it. The nonce must never be used twice.
    pub fn seal(&self, message: &[u8], reader: &XPublicKey, nonce: &[u8; BOX_NONCE_BYTES]) -> Vec<u8> {
        let boxed = self.shared_with(reader).encrypt(nonce.into(), message);
        let boxed = boxed.expect("sealing into memory fails only beyond the cipher's 256 GiB");
        [VERSION.as_slice(), nonce, &boxed].concat()
    }

    /// Opens a box that `writer` sealed for us.
    pub fn open(&self, sealed: &[u8], writer: &XPublicKey) -> Result<Vec<u8>, KeyError> {
        if sealed.len() > MAX_SEALED_BYTES {
            return Err(KeyError::Sealed);
        }
        let rest = sealed.strip_prefix(VERSION).ok_or(KeyError::Sealed)?;
        let (nonce, boxed) = rest.split_first_chunk::<BOX_NONCE_BYTES>().ok_or(KeyError::Sealed)?;
        self.shared_with(writer).decrypt(nonce.into(), boxed).map_err(|_| KeyError::NotOpened)
    }

    fn shared_with(&self, other: &XPublicKey) -> SalsaBox {
        SalsaBox::new(&BoxPublic::from(other.0), &self.secret())
    }

    fn secret(&self) -> BoxSecret {
        BoxSecret::from(*self.seed.expose())
    }
}

impl fmt::Debug for XKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "XKey({})", self.public())
    }
}
