//! A server key, made ready for one store, and what is derived from it.

use crate::account_keys::{AccountKey, KeyNo};
use crate::seal::{Cipher, KEY_LEN, KeyId, Place, StoreId};
use aead::Key;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use secret::{Secret, Zeroizing};

/// One server key.
pub(crate) struct Master {
    store: StoreId,
    prk: Prk,
    id: KeyId,
}

impl Master {
    pub(crate) fn new(store: StoreId, key: &Secret<String>) -> Master {
        let prk = extract(store, key.expose().as_bytes());
        let id = KeyId(*expand::<8>(&prk, &[b"bulwark store: key id"]));
        Master { store, prk, id }
    }

    /// Its public mark.
    pub(crate) fn id(&self) -> KeyId {
        self.id
    }

    /// What wraps the keys of a stream's blocks. With the key of an account it takes both.
    pub(crate) fn stream_key(&self, place: Place, cipher: Cipher, account: Option<&AccountKey>) -> Option<Key> {
        let stream = place.stream.0.to_le_bytes();
        let key = match account {
            None => expand::<KEY_LEN>(&self.prk, &[b"bulwark store: stream key", &stream, &[cipher.code()]]),
            Some(account) => {
                let mut both = Zeroizing::new([0; 2 * KEY_LEN]);
                let (of_server, of_account) = both.split_at_mut(KEY_LEN);
                of_server.copy_from_slice(&*expand::<KEY_LEN>(&self.prk, &[b"bulwark store: beside an account's"]));
                of_account.copy_from_slice(account.bytes());
                let joined = extract(self.store, &*both);
                expand::<KEY_LEN>(&joined, &[b"bulwark store: stream key of an account", &stream, &[cipher.code()]])
            }
        };
        cipher.key(&key)
    }

    /// What wraps the key of an account in its file.
    pub(crate) fn file_key(&self, no: KeyNo, cipher: Cipher) -> Option<Key> {
        let info: [&[u8]; 3] = [b"bulwark store: file of an account's key", &no.0.to_le_bytes(), &[cipher.code()]];
        cipher.key(&expand::<KEY_LEN>(&self.prk, &info))
    }
}

/// Makes a key that is not random bytes of the right length, or two of them, ready to derive from.
pub(crate) fn extract(store: StoreId, key: &[u8]) -> Prk {
    Salt::new(HKDF_SHA256, &store.0).extract(key)
}

/// Derives bytes for one purpose, which `info` names.
pub(crate) fn expand<const N: usize>(prk: &Prk, info: &[&[u8]]) -> Zeroizing<[u8; N]> {
    let mut out = Zeroizing::new([0; N]);
    prk.expand(info, Bytes::<N>).and_then(|okm| okm.fill(&mut *out)).expect("length is far below the bound of HKDF");
    out
}

struct Bytes<const N: usize>;

impl<const N: usize> KeyType for Bytes<N> {
    fn len(&self) -> usize {
        N
    }
}
