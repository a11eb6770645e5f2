//! Entries of the metadata that only the key of their account opens.
//!
//! They stand in the metadata log like others, sealed with their block by the server key, and what is sealed there is sealed
//! once more:
//!
//! ```text
//! mark[16]: of the entry's key, so that a later value or a removal finds it without opening it
//! cipher u8 | salt[16] | number u64 | sealed: length of the key, key, value | tag[16]
//! ```
//!
//! The salt is drawn for each block of the log, and from it and the account's key comes what seals; the number counts what
//! was sealed in that block and is the nonce. So no nonce is used twice. An entry whose key is not there is carried into the
//! next block as it is.

use super::{AccountKey, KeyNo};
use crate::bytes::{Reader, put_varint};
use crate::disk::Entropy;
use crate::master::{expand, extract};
use crate::seal::{Cipher, KEY_LEN, SealError, StoreId, TAG_LEN, Vault};
use aead::{Key, NONCE_LEN};
use std::collections::BTreeMap;

const SALT_LEN: usize = 16;
const HEAD: usize = 1 + SALT_LEN + 8;

/// Bytes of a mark.
pub(crate) const MARK_LEN: usize = 16;

/// Stands for the key of an entry without telling it. Equal keys of one account have equal marks.
pub(crate) type Mark = [u8; MARK_LEN];

/// An entry, sealed.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub account: KeyNo,
    pub mark: Mark,
    pub bytes: Vec<u8>,
}

/// Whether an entry gives a value or takes one away; one is never taken for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    Put,
    Remove,
}

/// Seals the entries of one block of the log.
pub(crate) struct Sealer {
    salt: [u8; SALT_LEN],
    sealed: u64,
    keys: BTreeMap<KeyNo, Key>,
}

impl Sealer {
    pub(crate) fn new(entropy: &dyn Entropy) -> Sealer {
        let mut salt = [0; SALT_LEN];
        entropy.fill(&mut salt);
        Sealer { salt, sealed: 0, keys: BTreeMap::new() }
    }

    pub(crate) fn seal(
        &mut self,
        vault: &Vault,
        account: KeyNo,
        says: Says,
        (key, value): (&[u8], &[u8]),
    ) -> Result<Sealed, SealError> {
        let (store, cipher) = (vault.store(), vault.cipher());
        let of_account = vault.accounts().get(account).ok_or(SealError::NoAccountKey(account))?;
        let sealing = match self.keys.entry(account) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(entry_key(store, &of_account, &self.salt, cipher).ok_or(SealError::NoKey)?)
            }
        };
        let mark = mark(store, &of_account, key);
        let mut bytes = vec![cipher.code()];
        bytes.extend_from_slice(&self.salt);
        bytes.extend_from_slice(&self.sealed.to_le_bytes());
        put_varint(&mut bytes, key.len() as u64);
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value);
        let made = sealing.seal(nonce(self.sealed), &associated(store, account, &mark, says), &mut bytes[HEAD..]);
        bytes.extend_from_slice(&made.expect("entries are bounded far below the limit of the cipher"));
        self.sealed += 1;
        Ok(Sealed { account, mark, bytes })
    }
}

/// The key and the value of an entry, opened.
pub(crate) fn open(vault: &Vault, says: Says, sealed: &Sealed) -> Result<(Vec<u8>, Vec<u8>), SealError> {
    let of_account = vault.accounts().get(sealed.account).ok_or(SealError::NoAccountKey(sealed.account))?;
    opened(vault.store(), &of_account, says, sealed).ok_or(SealError::Altered)
}

fn opened(store: StoreId, of_account: &AccountKey, says: Says, sealed: &Sealed) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut reader = Reader(&sealed.bytes);
    let cipher = Cipher::from_code(reader.u8()?)?;
    let salt = reader.bytes16()?;
    let number = reader.u64()?;
    let (body, tag) = reader.0.split_last_chunk::<TAG_LEN>()?;
    let key = entry_key(store, of_account, &salt, cipher)?;
    let mut plain = Vec::new();
    key.open(nonce(number), &associated(store, sealed.account, &sealed.mark, says), body, tag, &mut plain).ok()?;
    let mut reader = Reader(&plain);
    let len = usize::try_from(reader.varint()?).ok()?;
    Some((reader.take(len)?.to_vec(), reader.0.to_vec()))
}

fn entry_key(store: StoreId, account: &AccountKey, salt: &[u8; SALT_LEN], cipher: Cipher) -> Option<Key> {
    let info: [&[u8]; 3] = [b"bulwark store: entries of an account", salt, &[cipher.code()]];
    cipher.key(&expand::<KEY_LEN>(&extract(store, account.bytes()), &info))
}

fn mark(store: StoreId, account: &AccountKey, key: &[u8]) -> Mark {
    *expand::<MARK_LEN>(&extract(store, account.bytes()), &[b"bulwark store: mark of an entry", key])
}

fn nonce(number: u64) -> [u8; NONCE_LEN] {
    let mut bytes = [0; NONCE_LEN];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

fn associated(store: StoreId, account: KeyNo, mark: &Mark, says: Says) -> Vec<u8> {
    let mut beside = store.0.to_vec();
    beside.extend_from_slice(&account.0.to_le_bytes());
    beside.extend_from_slice(mark);
    beside.push(u8::from(says == Says::Put));
    beside
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::Sealing;
    use std::sync::atomic::{AtomicU8, Ordering};

    /// Never the same twice.
    struct Count(AtomicU8);

    impl Entropy for Count {
        fn fill(&self, into: &mut [u8]) {
            into.fill(self.0.fetch_add(1, Ordering::Relaxed));
        }
    }

    const ONE: KeyNo = KeyNo(1);
    const OTHER: KeyNo = KeyNo(2);

    fn vault(entropy: &Count, cipher: Cipher) -> Vault {
        let sealing = Sealing { cipher, key: Some("k".into()), account_keys: true, ..Sealing::default() };
        let vault = Vault::new(StoreId([7; 16]), &sealing).expect("complete");
        [ONE, OTHER].into_iter().for_each(|no| vault.accounts().insert(no, AccountKey::drawn(entropy)));
        vault
    }

    #[test]
    fn an_entry_opens_by_the_key_of_its_account_and_only_as_what_it_says() {
        for cipher in [Cipher::ChaChaPoly, Cipher::Aes] {
            let entropy = Count(1.into());
            let (vault, mut sealer) = (vault(&entropy, cipher), Sealer::new(&entropy));
            let sealed = sealer.seal(&vault, ONE, Says::Put, (b"key", b"value")).expect("seals");
            assert_eq!(open(&vault, Says::Put, &sealed), Ok((b"key".to_vec(), b"value".to_vec())));
            assert_eq!(open(&vault, Says::Remove, &sealed), Err(SealError::Altered));
            let changed = |change: &dyn Fn(&mut Sealed)| {
                let Sealed { account, mark, bytes } = &sealed;
                let mut changed = Sealed { account: *account, mark: *mark, bytes: bytes.clone() };
                change(&mut changed);
                open(&vault, Says::Put, &changed)
            };
            assert_eq!(changed(&|sealed| sealed.account = OTHER), Err(SealError::Altered));
            assert_eq!(changed(&|sealed| sealed.mark[3] ^= 1), Err(SealError::Altered));
            for at in 0..sealed.bytes.len() {
                assert_eq!(changed(&|sealed| sealed.bytes[at] ^= 4), Err(SealError::Altered), "byte {at}");
                assert_eq!(changed(&|sealed| sealed.bytes.truncate(at)), Err(SealError::Altered), "cut to {at}");
            }
            vault.accounts().remove(ONE);
            assert_eq!(open(&vault, Says::Put, &sealed), Err(SealError::NoAccountKey(ONE)));
            assert!(sealer.seal(&vault, ONE, Says::Put, (b"key", b"value")).is_err());
        }
    }

    #[test]
    fn equal_entries_are_marked_alike_within_an_account_and_share_nothing_else() {
        let entropy = Count(1.into());
        let (vault, mut sealer, mut next) =
            (vault(&entropy, Cipher::Aes), Sealer::new(&entropy), Sealer::new(&entropy));
        let value = [9; 64];
        let seal = |sealer: &mut Sealer, no| sealer.seal(&vault, no, Says::Put, (b"key", &value)).expect("seals");
        let all = [
            seal(&mut sealer, ONE),
            seal(&mut sealer, ONE),
            seal(&mut next, ONE),
            seal(&mut sealer, OTHER),
            seal(&mut next, OTHER),
        ];
        assert!(all[0].mark == all[1].mark && all[0].mark == all[2].mark && all[3].mark == all[4].mark);
        assert_ne!(all[0].mark, all[3].mark);
        for (at, one) in all.iter().enumerate() {
            for other in &all[at + 1..] {
                let equal = one.bytes[HEAD..].iter().zip(&other.bytes[HEAD..]).filter(|(l, r)| l == r).count();
                assert!(equal < 8, "{equal} of {} bytes are equal", one.bytes.len() - HEAD);
            }
        }
    }
}
