//! Sealing seeds: a random data key seals each of them, and Argon2id over a passphrase seals the data key.
//!
//! ```text
//! keystore.json   { version, kdf: { name, memory_kib, passes, lanes, salt }, cipher, key }    key = sealed data key
//! KEY.nk.sealed   nats-sealed-1:BASE64(nonce, seed sealed for this key's name)
//! ```
//!
//! A new passphrase re-seals the data key alone. A seed is bound to its public key's name, so that files cannot be swapped.

use anyhow::{Result, anyhow, bail};
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use data_encoding::BASE64;
use secret::{Secret, Zeroizing};
use serde::{Deserialize, Serialize};

use crate::vault::random_bytes;

const KEY_BYTES: usize = 32;
const SALT_BYTES: usize = 16;
const MARK: &str = "nats-sealed-1:";
const VERSION: u32 = 1;
const KDF: &str = "argon2id";
const CIPHER: &str = "chacha20-poly1305";
const DATA_KEY_NAME: &[u8] = b"nats keystore 1 data key";

/// What a new store costs to open, and to guess at: 64 MiB, three passes.
const COST: Cost = Cost { memory_kib: 64 << 10, passes: 3, lanes: 1 };
/// The most a store's file may ask of us.
const MOST: Cost = Cost { memory_kib: 1 << 20, passes: 16, lanes: 16 };

#[derive(Clone, Copy)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// `keystore.json`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lock {
    version: u32,
    kdf: Kdf,
    cipher: String,
    key: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
struct Kdf {
    name: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
}

/// The key that seals seeds.
pub(crate) struct DataKey(Secret<[u8; KEY_BYTES]>);

impl Lock {
    /// A new lock around a new data key.
    pub(crate) fn new(passphrase: &Secret<String>) -> Result<(Self, DataKey)> {
        let key = DataKey(Secret::new(random_bytes()?));
        Ok((Self::around(&key, passphrase)?, key))
    }

    /// A lock around a data key that is there already.
    pub(crate) fn around(key: &DataKey, passphrase: &Secret<String>) -> Result<Self> {
        let salt: [u8; SALT_BYTES] = random_bytes()?;
        let outer = derive(passphrase, &salt, COST)?;
        let sealed = seal(&outer, key.0.expose(), DATA_KEY_NAME)?;
        Ok(Self {
            version: VERSION,
            kdf: Kdf {
                name: KDF.to_owned(),
                memory_kib: COST.memory_kib,
                passes: COST.passes,
                lanes: COST.lanes,
                salt: BASE64.encode(&salt),
            },
            cipher: CIPHER.to_owned(),
            key: BASE64.encode(&sealed),
        })
    }

    /// Opens the lock; `None` when the passphrase is wrong.
    pub(crate) fn open(&self, passphrase: &Secret<String>) -> Result<Option<DataKey>> {
        if self.version != VERSION || self.kdf.name != KDF || self.cipher != CIPHER {
            bail!(
                "the keystore is of version {} ({}, {}), which this program does not know",
                self.version,
                self.kdf.name,
                self.cipher
            );
        }
        let salt = BASE64.decode(self.kdf.salt.as_bytes()).map_err(|_| anyhow!("the keystore's salt is damaged"))?;
        let sealed = BASE64.decode(self.key.as_bytes()).map_err(|_| anyhow!("the keystore's data key is damaged"))?;
        let cost = Cost { memory_kib: self.kdf.memory_kib, passes: self.kdf.passes, lanes: self.kdf.lanes };
        let outer = derive(passphrase, &salt, cost)?;
        let Some(opened) = open(&outer, &sealed, DATA_KEY_NAME) else { return Ok(None) };
        let key = opened.as_slice().try_into().map_err(|_| anyhow!("the keystore's data key is damaged"))?;
        Ok(Some(DataKey(Secret::new(key))))
    }

    /// How much it costs to try a passphrase.
    pub(crate) fn cost(&self) -> String {
        format!("{KDF}, {} MiB, {} passes", self.kdf.memory_kib >> 10, self.kdf.passes)
    }
}

impl DataKey {
    /// The text of a sealed seed's file.
    pub(crate) fn seal(&self, name: &str, seed: &Secret<String>) -> Result<String> {
        Ok(format!("{MARK}{}\n", BASE64.encode(&seal(&self.0, seed.expose().as_bytes(), name.as_bytes())?)))
    }

    /// The seed in such a text.
    pub(crate) fn open(&self, name: &str, text: &str) -> Result<Secret<String>> {
        let damaged = || anyhow!("the sealed key {name} is damaged, or was put in the place of another");
        let sealed = text.trim().strip_prefix(MARK).ok_or_else(damaged)?;
        let sealed = BASE64.decode(sealed.as_bytes()).map_err(|_| damaged())?;
        let seed = open(&self.0, &sealed, name.as_bytes()).ok_or_else(damaged)?;
        Ok(Secret::new(std::str::from_utf8(&seed).map_err(|_| damaged())?.to_owned()))
    }
}

fn derive(passphrase: &Secret<String>, salt: &[u8], cost: Cost) -> Result<Secret<[u8; KEY_BYTES]>> {
    if cost.memory_kib > MOST.memory_kib || cost.passes > MOST.passes || cost.lanes > MOST.lanes {
        bail!("the keystore asks for more memory or time than any keystore needs");
    }
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(KEY_BYTES))
        .map_err(|error| anyhow!("the keystore's parameters are not valid: {error}"))?;
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.expose().as_bytes(), salt, key.as_mut_slice())
        .map_err(|error| anyhow!("no key from the passphrase: {error}"))?;
    Ok(Secret::new(*key))
}

fn cipher(key: &Secret<[u8; KEY_BYTES]>) -> Result<LessSafeKey> {
    let unbound = UnboundKey::new(&CHACHA20_POLY1305, key.expose()).map_err(|_| anyhow!("no cipher"))?;
    Ok(LessSafeKey::new(unbound))
}

/// A fresh random nonce and what is sealed with it. There are too few seeds for two nonces to meet.
fn seal(key: &Secret<[u8; KEY_BYTES]>, content: &[u8], name: &[u8]) -> Result<Vec<u8>> {
    let nonce: [u8; NONCE_LEN] = random_bytes()?;
    let mut sealed = content.to_vec();
    cipher(key)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(name), &mut sealed)
        .map_err(|_| anyhow!("sealing failed"))?;
    Ok([nonce.as_slice(), &sealed].concat())
}

fn open(key: &Secret<[u8; KEY_BYTES]>, sealed: &[u8], name: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut content = Zeroizing::new(sealed.to_vec());
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let opened = cipher(key).ok()?.open_in_place(nonce, Aad::from(name), content.as_mut_slice()).ok()?.len();
    content.truncate(opened);
    Some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phrase(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[test]
    fn a_seed_comes_back_with_the_passphrase_and_only_under_its_own_name() {
        let (lock, key) = Lock::new(&phrase("open sesame")).unwrap();
        let text = key.seal("OABC", &phrase("SOSEED")).unwrap();
        assert!(!text.contains("SOSEED"));
        let again = lock.open(&phrase("open sesame")).unwrap().expect("the right passphrase");
        assert_eq!(again.open("OABC", &text).unwrap().expose(), "SOSEED");
        assert!(again.open("OABD", &text).unwrap_err().to_string().contains("put in the place of another"));
        assert!(lock.open(&phrase("open sesam")).unwrap().is_none());
    }

    #[test]
    fn a_new_passphrase_keeps_the_seeds() {
        let (_, key) = Lock::new(&phrase("one")).unwrap();
        let text = key.seal("A", &phrase("seed")).unwrap();
        let changed = Lock::around(&key, &phrase("two")).unwrap();
        let again = changed.open(&phrase("two")).unwrap().expect("the new passphrase");
        assert_eq!(again.open("A", &text).unwrap().expose(), "seed");
        assert!(changed.open(&phrase("one")).unwrap().is_none());
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let (_, key) = Lock::new(&phrase("one")).unwrap();
        let text = key.seal("A", &phrase("seed")).unwrap();
        let bytes = BASE64.decode(text.trim().strip_prefix(MARK).unwrap().as_bytes()).unwrap();
        for at in 0..bytes.len() {
            let mut odd = bytes.clone();
            odd[at] ^= 1;
            assert!(key.open("A", &format!("{MARK}{}", BASE64.encode(&odd))).is_err(), "{at}");
        }
    }

    #[test]
    fn a_file_cannot_ask_for_all_memory() {
        let (lock, _) = Lock::new(&phrase("one")).unwrap();
        let greedy = Lock { kdf: Kdf { memory_kib: u32::MAX, ..lock.kdf.clone() }, ..lock };
        assert!(greedy.open(&phrase("one")).is_err());
    }
}
