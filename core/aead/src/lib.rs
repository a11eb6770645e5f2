//! Authenticated ciphers: AES-GCM and ChaCha20-Poly1305 over buffers of the caller.
//!
//! This room decides one thing: whose implementation works. Both are audited, and for one key and nonce both make the same
//! bytes (RFC 5116, RFC 8439), so the choice is never visible but in time. Which nonce, what is authenticated beside it
//! and how often a key may be used is the caller's: **a nonce must never be used twice with a key**.
//!
//! ```
//! use bulwark_aead::{Cipher, Key};
//!
//! let key = Key::new(Cipher::Aes128Gcm, &[7; 16]).expect("sixteen bytes");
//! let mut text = *b"attack at dawn";
//! let tag = key.seal([1; 12], b"header", &mut text).expect("short");
//! let mut read = Vec::new();
//! key.open([1; 12], b"header", &text, &tag, &mut read).expect("nobody touched it");
//! assert_eq!(read, b"attack at dawn");
//! assert!(key.open([2; 12], b"header", &text, &tag, &mut read).is_err());
//! ```

use std::fmt;
use std::sync::OnceLock;

use aws_lc_rs::aead as lc;
use ring::aead as ring;

/// Bytes of a nonce.
pub const NONCE_LEN: usize = 12;
/// Bytes that authenticate a text.
pub const TAG_LEN: usize = 16;

/// Which cipher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cipher {
    /// AES-GCM with a key of 16 bytes.
    Aes128Gcm,
    /// AES-GCM with a key of 32 bytes.
    Aes256Gcm,
    /// ChaCha20-Poly1305, a key of 32 bytes.
    Chacha20Poly1305,
}

impl Cipher {
    /// Every cipher.
    pub const ALL: [Cipher; 3] = [Cipher::Aes128Gcm, Cipher::Aes256Gcm, Cipher::Chacha20Poly1305];

    /// Bytes of its key.
    pub const fn key_len(self) -> usize {
        match self {
            Cipher::Aes128Gcm => 16,
            Cipher::Aes256Gcm | Cipher::Chacha20Poly1305 => 32,
        }
    }

    fn of_lc(self) -> &'static lc::Algorithm {
        match self {
            Cipher::Aes128Gcm => &lc::AES_128_GCM,
            Cipher::Aes256Gcm => &lc::AES_256_GCM,
            Cipher::Chacha20Poly1305 => &lc::CHACHA20_POLY1305,
        }
    }

    fn of_ring(self) -> &'static ring::Algorithm {
        match self {
            Cipher::Aes128Gcm => &ring::AES_128_GCM,
            Cipher::Aes256Gcm => &ring::AES_256_GCM,
            Cipher::Chacha20Poly1305 => &ring::CHACHA20_POLY1305,
        }
    }
}

/// The text is not what was sealed under this key and nonce, or it is longer than the cipher may protect at once
/// (64 GiB). It says no more, for nobody may learn more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not sealed by this key, or too long to be sealed")
    }
}

impl std::error::Error for Refused {}

/// A key made ready for its cipher. Its bytes are not printed.
pub struct Key(By);

#[expect(
    clippy::large_enum_variant,
    reason = "a key lives inside a connection or a block; a pointer would cost each use"
)]
enum By {
    Lc(lc::LessSafeKey),
    Ring(ring::LessSafeKey),
}

impl Key {
    /// From the bytes of a key. `None` if there are not as many as [`Cipher::key_len`].
    pub fn new(cipher: Cipher, key: &[u8]) -> Option<Key> {
        if is_ring_faster(cipher) { Key::by_ring(cipher, key) } else { Key::by_lc(cipher, key) }
    }

    fn by_lc(cipher: Cipher, key: &[u8]) -> Option<Key> {
        lc::UnboundKey::new(cipher.of_lc(), key).ok().map(|key| Key(By::Lc(lc::LessSafeKey::new(key))))
    }

    fn by_ring(cipher: Cipher, key: &[u8]) -> Option<Key> {
        ring::UnboundKey::new(cipher.of_ring(), key).ok().map(|key| Key(By::Ring(ring::LessSafeKey::new(key))))
    }

    /// Seals a text in place and gives its tag. `beside` is authenticated, not encrypted.
    ///
    /// # Errors
    /// If the text is too long; then nothing of it may be used.
    #[inline]
    pub fn seal(&self, nonce: [u8; NONCE_LEN], beside: &[u8], text: &mut [u8]) -> Result<[u8; TAG_LEN], Refused> {
        let mut tag = [0; TAG_LEN];
        match &self.0 {
            By::Lc(key) => {
                let nonce = lc::Nonce::assume_unique_for_key(nonce);
                let made = key.seal_in_place_separate_tag(nonce, lc::Aad::from(beside), text).map_err(|_| Refused)?;
                tag.copy_from_slice(made.as_ref());
            }
            By::Ring(key) => {
                let nonce = ring::Nonce::assume_unique_for_key(nonce);
                let made = key.seal_in_place_separate_tag(nonce, ring::Aad::from(beside), text).map_err(|_| Refused)?;
                tag.copy_from_slice(made.as_ref());
            }
        }
        Ok(tag)
    }

    /// Opens a sealed text and appends it to `plain`.
    ///
    /// # Errors
    /// If it does not open. `plain` is then as it was.
    #[inline]
    pub fn open(
        &self,
        nonce: [u8; NONCE_LEN],
        beside: &[u8],
        sealed: &[u8],
        tag: &[u8; TAG_LEN],
        plain: &mut Vec<u8>,
    ) -> Result<(), Refused> {
        let start = plain.len();
        plain.extend_from_slice(sealed);
        let opened = self.open_in_place(nonce, beside, &mut plain[start..], tag);
        if opened.is_err() {
            plain.truncate(start);
        }
        opened
    }

    /// Opens a sealed text where it lies.
    ///
    /// # Errors
    /// If it does not open. What then lies in `text` is neither the one nor the other and must not be looked at.
    #[inline]
    pub fn open_in_place(
        &self,
        nonce: [u8; NONCE_LEN],
        beside: &[u8],
        text: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), Refused> {
        match &self.0 {
            By::Lc(key) => {
                let nonce = lc::Nonce::assume_unique_for_key(nonce);
                key.open_in_place_separate_tag(nonce, lc::Aad::from(beside), tag, text).map(drop).map_err(|_| Refused)
            }
            By::Ring(key) => {
                let (nonce, tag) = (ring::Nonce::assume_unique_for_key(nonce), ring::Tag::from(*tag));
                let opened = key.open_in_place_separate_tag(nonce, ring::Aad::from(beside), tag, text, 0..);
                opened.map(drop).map_err(|_| Refused)
            }
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// AES-GCM on a processor with vector AES of 256 bits but without AVX-512: there *ring* uses it and *AWS-LC*, which has
/// the wider form only, falls back to one block at a time. Everywhere else AWS-LC is the faster one.
fn is_ring_faster(cipher: Cipher) -> bool {
    static VECTORS_OF_256: OnceLock<bool> = OnceLock::new();
    cipher != Cipher::Chacha20Poly1305 && *VECTORS_OF_256.get_or_init(has_vectors_of_256_only)
}

#[cfg(target_arch = "x86_64")]
fn has_vectors_of_256_only() -> bool {
    let has_aes = is_x86_feature_detected!("vaes") && is_x86_feature_detected!("vpclmulqdq");
    has_aes && is_x86_feature_detected!("avx2") && !is_x86_feature_detected!("avx512f")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_vectors_of_256_only() -> bool {
    false
}

#[cfg(test)]
mod tests;
