//! Sealing: server key, stream keys, block keys, and records under them.
//!
//! ```text
//! server key (text) --HKDF-SHA256, salt = store id--> stream key --AEAD wraps--> block key (fresh random per generation)
//!                                                                                   |
//!                  nonce = offset of the record, or of the sheet, in its block      v
//!          associated data = store, stream, generation, offset, length      AEAD seals each record or sheet
//! ```
//!
//! Where an account has a key of its own, the stream key is derived from it and the server key together.
//!
//! A block key is drawn anew for every generation of a block and a generation is only ever appended to by the process
//! that drew it, at growing offsets. So no nonce is used twice under a key. The identity cipher goes the same way, with
//! a checksum over the same associated data in the place of the tag, of 64 bits, and of 128 in blocks of the first
//! [`Form`]: it finds accidents, not adversaries.

use crate::account_keys::{AccountKey, AccountKeys, KeyNo};
use crate::disk::Entropy;
use crate::master::Master;
use aead::{Key, NONCE_LEN};
use secret::{Secret, Zeroizing};
use std::fmt;
use std::sync::Arc;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed, xxh3_128_with_seed};

/// Bytes that a cipher adds to a record, and a checksum in the first form.
pub(crate) const TAG_LEN: usize = aead::TAG_LEN;
/// Bytes that a checksum adds.
pub(crate) const SUM_LEN: usize = 8;
pub(crate) const KEY_LEN: usize = 32;
/// A wrapped block key: its nonce, the sealed key and the tag.
pub(crate) const WRAPPED_LEN: usize = NONCE_LEN + KEY_LEN + TAG_LEN;

/// What records are sealed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Cipher {
    /// Not encrypted; a checksum finds accidents.
    #[default]
    None,
    /// ChaCha20-Poly1305.
    ChaChaPoly,
    /// AES-256-GCM.
    Aes,
}

impl Cipher {
    /// Every cipher, in the order of their codes on disk.
    pub const ALL: [Cipher; 3] = [Cipher::None, Cipher::ChaChaPoly, Cipher::Aes];

    pub(crate) const fn code(self) -> u8 {
        match self {
            Cipher::None => 0,
            Cipher::ChaChaPoly => 1,
            Cipher::Aes => 2,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Cipher> {
        Cipher::ALL.into_iter().find(|cipher| cipher.code() == code)
    }

    pub(crate) fn key(self, bytes: &[u8; KEY_LEN]) -> Option<Key> {
        match self {
            Cipher::None => None,
            Cipher::ChaChaPoly => Key::new(aead::Cipher::Chacha20Poly1305, bytes),
            Cipher::Aes => Key::new(aead::Cipher::Aes256Gcm, bytes),
        }
    }
}

impl fmt::Display for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cipher::None => "none",
            Cipher::ChaChaPoly => "chachapoly",
            Cipher::Aes => "aes",
        })
    }
}

/// Identity of a store, drawn once when it is made. Part of every key derivation and of every record's associated data.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoreId(pub [u8; 16]);

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A stream of the store by number; numbers are never used again. Zero is the metadata log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u64);

impl StreamId {
    /// The log of streams, consumers and their states.
    pub const METADATA: StreamId = StreamId(0);
}

/// A public mark of a server key: tells which key seals a block without telling the key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct KeyId(pub [u8; 8]);

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// How the records of a block are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Until version 2 of the format.
    First,
    /// Since version 3: shorter checksums, and short messages.
    Brief,
    /// Since version 5, where messages are encrypted: records are sealed by the sheet.
    Sheets,
}

impl Form {
    /// Of the blocks of a stream that are written from now on.
    pub(crate) fn of_blocks(cipher: Cipher) -> Form {
        if cipher == Cipher::None { Form::Brief } else { Form::Sheets }
    }
}

/// What the operator configured: the cipher of new blocks, the key, and the key before it.
#[derive(Clone, Debug, Default)]
pub struct Sealing {
    /// Cipher of everything written from now on.
    pub cipher: Cipher,
    /// The server key; needed with a cipher, and to read what an earlier cipher sealed.
    pub key: Option<Secret<String>>,
    /// The key before the last rotation: opens old blocks, seals nothing.
    pub previous_key: Option<Secret<String>>,
    /// Whether each account has a key of its own, needed beside the server key.
    pub account_keys: bool,
}

/// Keys of one store.
pub struct Vault {
    store: StoreId,
    cipher: Cipher,
    current: Option<Master>,
    previous: Option<Master>,
    /// Whether accounts that have no key get one.
    draws_account_keys: bool,
    accounts: Arc<AccountKeys>,
}

/// Why a block key does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealError {
    /// The block is sealed by a key that was not given.
    UnknownKey(KeyId),
    /// The block key does not open under the right server key: header altered, or the block belongs to another stream.
    Altered,
    /// A cipher, or keys of accounts, were asked for without a key.
    NoKey,
    /// The key of the account is not there.
    NoAccountKey(KeyNo),
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SealError::UnknownKey(id) => {
                write!(f, "sealed by key {id:?}, which is neither the key nor the previous key given")
            }
            SealError::Altered => {
                f.write_str("the block key does not open: the header was altered or comes from another stream")
            }
            SealError::NoKey => f.write_str("a cipher is set but no key is given"),
            SealError::NoAccountKey(no) => write!(f, "sealed by key {no} of an account, which is not there"),
        }
    }
}

impl std::error::Error for SealError {}

/// Where a block belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub store: StoreId,
    pub stream: StreamId,
    pub generation: u64,
}

impl Place {
    fn bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&self.store.0);
        bytes[16..24].copy_from_slice(&self.stream.0.to_le_bytes());
        bytes[24..].copy_from_slice(&self.generation.to_le_bytes());
        bytes
    }
}

/// A block key as it lies in a block's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wrapped {
    pub cipher: Cipher,
    pub key: KeyId,
    /// The key of the account that it takes beside.
    pub account: Option<KeyNo>,
    pub bytes: [u8; WRAPPED_LEN],
}

impl Vault {
    /// Keys for a store of this identity.
    pub fn new(store: StoreId, sealing: &Sealing) -> Result<Vault, SealError> {
        Vault::with_accounts(store, sealing, Arc::default())
    }

    /// Other keys for the same store: those of accounts stay.
    pub(crate) fn changed(&self, sealing: &Sealing) -> Result<Vault, SealError> {
        Vault::with_accounts(self.store, sealing, self.accounts.clone())
    }

    fn with_accounts(store: StoreId, sealing: &Sealing, accounts: Arc<AccountKeys>) -> Result<Vault, SealError> {
        let master = |key: &Option<Secret<String>>| key.as_ref().map(|key| Master::new(store, key));
        let (current, previous) = (master(&sealing.key), master(&sealing.previous_key));
        let (cipher, draws_account_keys) = (sealing.cipher, sealing.account_keys);
        let is_sealing = cipher != Cipher::None;
        if is_sealing && current.is_none() || draws_account_keys && !is_sealing {
            return Err(SealError::NoKey);
        }
        Ok(Vault { store, cipher, current, previous, draws_account_keys, accounts })
    }

    /// Whether accounts that have no key of their own get one.
    pub fn draws_account_keys(&self) -> bool {
        self.draws_account_keys
    }

    /// The keys of accounts that are there.
    pub(crate) fn accounts(&self) -> &AccountKeys {
        &self.accounts
    }

    /// The key of an account, if one is needed.
    fn account(&self, no: Option<KeyNo>) -> Result<Option<Arc<AccountKey>>, SealError> {
        no.map(|no| self.accounts.get(no).ok_or(SealError::NoAccountKey(no))).transpose()
    }

    /// The store these keys belong to.
    pub fn store(&self) -> StoreId {
        self.store
    }

    /// Cipher of new blocks.
    pub fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// The mark of the key that seals new blocks; zeros without encryption.
    pub fn key_id(&self) -> KeyId {
        match (&self.current, self.cipher) {
            (Some(master), cipher) if cipher != Cipher::None => master.id(),
            _ => KeyId::default(),
        }
    }

    /// Whether one of the keys given has this mark, or it is the mark of no key.
    pub fn knows(&self, id: KeyId) -> bool {
        id == KeyId::default() || self.master(id).is_some()
    }

    pub(crate) fn master(&self, id: KeyId) -> Option<&Master> {
        [&self.current, &self.previous].into_iter().flatten().find(|master| master.id() == id)
    }

    /// The server key that seals from now on.
    pub(crate) fn current(&self) -> Option<&Master> {
        self.current.as_ref()
    }

    /// Draws a key for a new generation of a block of this form, of an account that has a key of its own or of none.
    pub(crate) fn new_block(
        &self,
        place: Place,
        form: Form,
        account: Option<KeyNo>,
        entropy: &dyn Entropy,
    ) -> Result<(BlockSeal, Wrapped), SealError> {
        let mut key = Zeroizing::new([0; KEY_LEN]);
        if self.cipher != Cipher::None {
            entropy.fill(&mut *key);
        }
        let seal = BlockSeal::new(self.cipher, form, place, key);
        let wrapped = self.wrap(&seal, account, entropy)?;
        Ok((seal, wrapped))
    }

    /// Wraps a block key under the current server key, and that of an account. The cipher of the block stays as it is.
    pub(crate) fn wrap(
        &self,
        seal: &BlockSeal,
        account: Option<KeyNo>,
        entropy: &dyn Entropy,
    ) -> Result<Wrapped, SealError> {
        let mut bytes = [0; WRAPPED_LEN];
        let (cipher, place) = (seal.cipher, seal.place);
        if cipher == Cipher::None {
            return Ok(Wrapped { cipher, key: KeyId::default(), account: None, bytes });
        }
        let master = self.current.as_ref().ok_or(SealError::NoKey)?;
        let beside = self.account(account)?;
        let wrapping = master.stream_key(place, cipher, beside.as_deref()).ok_or(SealError::NoKey)?;
        let mut nonce = [0; NONCE_LEN];
        entropy.fill(&mut nonce);
        let (before, rest) = bytes.split_at_mut(NONCE_LEN);
        let (key, tag) = rest.split_at_mut(KEY_LEN);
        before.copy_from_slice(&nonce);
        key.copy_from_slice(&*seal.key);
        let made = wrapping.seal(nonce, &place.bytes(), key);
        tag.copy_from_slice(&made.expect("32 bytes are within the bounds of the cipher"));
        Ok(Wrapped { cipher, key: master.id(), account, bytes })
    }

    /// Opens the key of a block.
    pub(crate) fn open_block(&self, place: Place, wrapped: &Wrapped, form: Form) -> Result<BlockSeal, SealError> {
        if wrapped.cipher == Cipher::None {
            return Ok(BlockSeal::new(Cipher::None, form, place, Zeroizing::new([0; KEY_LEN])));
        }
        let master = self.master(wrapped.key).ok_or(SealError::UnknownKey(wrapped.key))?;
        let beside = self.account(wrapped.account)?;
        let wrapping = master.stream_key(place, wrapped.cipher, beside.as_deref()).ok_or(SealError::NoKey)?;
        let (nonce, rest) = wrapped.bytes.split_first_chunk().ok_or(SealError::Altered)?;
        let (sealed, tag) = rest.split_first_chunk::<KEY_LEN>().ok_or(SealError::Altered)?;
        let tag = tag.first_chunk().ok_or(SealError::Altered)?;
        let mut key = Zeroizing::new(*sealed);
        wrapping.open_in_place(*nonce, &place.bytes(), &mut *key, tag).map_err(|_| SealError::Altered)?;
        Ok(BlockSeal::new(wrapped.cipher, form, place, key))
    }
}

/// Seals and opens the records of one generation of one block.
pub(crate) struct BlockSeal {
    cipher: Cipher,
    form: Form,
    place: Place,
    /// Kept to be wrapped again when the server key changes.
    key: Zeroizing<[u8; KEY_LEN]>,
    means: Means,
}

/// What a record is sealed with.
enum Means {
    Cipher(Box<Key>),
    /// A checksum of the first form.
    Wide,
    /// A checksum, from this seed of the block.
    Sum(u64),
}

/// The bytes do not open here: altered, torn, or moved from another place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotHere;

impl BlockSeal {
    fn new(cipher: Cipher, form: Form, place: Place, key: Zeroizing<[u8; KEY_LEN]>) -> BlockSeal {
        let means = match (cipher.key(&key), form) {
            (Some(key), _) => Means::Cipher(Box::new(key)),
            (None, Form::First) => Means::Wide,
            (None, Form::Brief | Form::Sheets) => Means::Sum(xxh3_64(&place.bytes())),
        };
        BlockSeal { cipher, form, place, key, means }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.place.generation
    }

    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// Bytes that sealing adds to a record.
    pub(crate) fn tag_len(&self) -> usize {
        match &self.means {
            Means::Cipher(_) | Means::Wide => TAG_LEN,
            Means::Sum(_) => SUM_LEN,
        }
    }

    /// Seals everything in `out` from `start` on, as a record at `offset`, and appends the tag.
    pub(crate) fn seal(&self, offset: u64, out: &mut Vec<u8>, start: usize) {
        let body = &mut out[start..];
        match &self.means {
            Means::Cipher(key) => {
                let tag = key.seal(nonce(offset), &self.associated(offset, body.len()), body);
                out.extend_from_slice(&tag.expect("records are bounded far below the limit of the cipher"));
            }
            Means::Wide => {
                let sum = wide_sum(&self.associated(offset, body.len()), body);
                out.extend_from_slice(&sum);
            }
            Means::Sum(seed) => {
                let sum = sum(*seed, offset, body);
                out.extend_from_slice(&sum);
            }
        }
    }

    /// Opens a sealed record in place and gives the plain part of it.
    pub(crate) fn open<'a>(&self, offset: u64, sealed: &'a mut [u8]) -> Result<&'a [u8], NotHere> {
        let len = sealed.len().checked_sub(self.tag_len()).ok_or(NotHere)?;
        let (body, tag) = sealed.split_at_mut_checked(len).ok_or(NotHere)?;
        match &self.means {
            Means::Cipher(key) => {
                let tag = tag.first_chunk().ok_or(NotHere)?;
                let aad = self.associated(offset, len);
                key.open_in_place(nonce(offset), &aad, body, tag).map_err(|_| NotHere)?;
            }
            Means::Wide | Means::Sum(_) => self.check(offset, body, tag)?,
        }
        Ok(body)
    }

    /// As [`BlockSeal::open`], leaving the sealed bytes alone: what does not open may hold another record.
    pub(crate) fn open_into(&self, offset: u64, sealed: &[u8], plain: &mut Vec<u8>) -> Result<(), NotHere> {
        let len = sealed.len().checked_sub(self.tag_len()).ok_or(NotHere)?;
        let (body, tag) = sealed.split_at_checked(len).ok_or(NotHere)?;
        plain.clear();
        match &self.means {
            Means::Cipher(key) => {
                let tag = tag.first_chunk().ok_or(NotHere)?;
                let aad = self.associated(offset, len);
                key.open(nonce(offset), &aad, body, tag, plain).map_err(|_| NotHere)?;
            }
            Means::Wide | Means::Sum(_) => {
                self.check(offset, body, tag)?;
                plain.extend_from_slice(body);
            }
        }
        Ok(())
    }

    /// Whether records lie as they are, with a checksum.
    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.means, Means::Cipher(_))
    }

    /// The plain part of a record that lies as it is.
    pub(crate) fn checked<'a>(&self, offset: u64, sealed: &'a [u8]) -> Result<&'a [u8], NotHere> {
        let len = sealed.len().checked_sub(self.tag_len()).ok_or(NotHere)?;
        let (body, tag) = sealed.split_at_checked(len).ok_or(NotHere)?;
        self.check(offset, body, tag).map(|()| body)
    }

    /// Compares what is not encrypted with its checksum.
    fn check(&self, offset: u64, body: &[u8], tag: &[u8]) -> Result<(), NotHere> {
        let is_it = match &self.means {
            Means::Cipher(_) => false,
            Means::Wide => wide_sum(&self.associated(offset, body.len()), body) == tag,
            Means::Sum(seed) => sum(*seed, offset, body) == tag,
        };
        if is_it { Ok(()) } else { Err(NotHere) }
    }

    fn associated(&self, offset: u64, len: usize) -> [u8; 48] {
        let mut aad = [0; 48];
        aad[..32].copy_from_slice(&self.place.bytes());
        aad[32..40].copy_from_slice(&offset.to_le_bytes());
        aad[40..].copy_from_slice(&(len as u64).to_le_bytes());
        aad
    }
}

fn nonce(offset: u64) -> [u8; NONCE_LEN] {
    let mut bytes = [0; NONCE_LEN];
    bytes[..8].copy_from_slice(&offset.to_le_bytes());
    bytes
}

fn wide_sum(aad: &[u8], body: &[u8]) -> [u8; TAG_LEN] {
    xxh3_128_with_seed(body, xxh3_64(aad)).to_le_bytes()
}

fn sum(block: u64, offset: u64, body: &[u8]) -> [u8; SUM_LEN] {
    let mut place = [0; 16];
    place[..8].copy_from_slice(&offset.to_le_bytes());
    place[8..].copy_from_slice(&(body.len() as u64).to_le_bytes());
    xxh3_64_with_seed(body, xxh3_64_with_seed(&place, block)).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Count;
    impl Entropy for Count {
        fn fill(&self, into: &mut [u8]) {
            into.iter_mut().zip(1..).for_each(|(byte, n)| *byte = n);
        }
    }

    fn sealing(cipher: Cipher, key: &str, previous: Option<&str>) -> Sealing {
        Sealing { cipher, key: Some(key.into()), previous_key: previous.map(Into::into), account_keys: false }
    }

    fn vault(sealing: &Sealing) -> Vault {
        Vault::new(StoreId([7; 16]), sealing).expect("settings are complete")
    }

    fn place(stream: u64, generation: u64) -> Place {
        Place { store: StoreId([7; 16]), stream: StreamId(stream), generation }
    }

    #[test]
    fn a_record_opens_only_where_it_was_sealed() {
        for cipher in Cipher::ALL {
            let vault = vault(&sealing(cipher, "k", None));
            let (seal, wrapped) = vault.new_block(place(1, 5), Form::Brief, None, &Count).expect("sealed");
            let mut sealed = b"record".to_vec();
            seal.seal(100, &mut sealed, 0);
            assert_eq!(sealed.len(), 6 + seal.tag_len());
            let again = vault.open_block(place(1, 5), &wrapped, Form::Brief).expect("same keys");
            assert_eq!(again.open(100, &mut sealed.clone()), Ok(&b"record"[..]), "{cipher}");
            assert_eq!(again.open(101, &mut sealed.clone()), Err(NotHere), "{cipher}: moved within the block");
            for at in 0..sealed.len() {
                let mut flipped = sealed.clone();
                flipped[at] ^= 1;
                assert_eq!(again.open(100, &mut flipped), Err(NotHere), "{cipher}: bit flip at {at}");
            }
            assert_eq!(again.open(100, &mut sealed[..sealed.len() - 1].to_vec()), Err(NotHere), "{cipher}: cut");
        }
    }

    #[test]
    fn a_block_key_opens_only_in_its_stream_and_generation() {
        for cipher in [Cipher::ChaChaPoly, Cipher::Aes] {
            let vault = vault(&sealing(cipher, "k", None));
            let (_, wrapped) = vault.new_block(place(1, 5), Form::Brief, None, &Count).expect("sealed");
            assert_eq!(vault.open_block(place(2, 5), &wrapped, Form::Brief).err(), Some(SealError::Altered));
            assert_eq!(vault.open_block(place(1, 6), &wrapped, Form::Brief).err(), Some(SealError::Altered));
        }
    }

    #[test]
    fn the_previous_key_opens_and_the_new_key_wraps_again() {
        let old = vault(&sealing(Cipher::Aes, "old", None));
        let (seal, wrapped) = old.new_block(place(1, 1), Form::Brief, None, &Count).expect("sealed");
        let mut sealed = b"kept".to_vec();
        seal.seal(8192, &mut sealed, 0);

        let rotating = vault(&sealing(Cipher::Aes, "new", Some("old")));
        let opened = rotating.open_block(place(1, 1), &wrapped, Form::Brief).expect("previous key opens");
        let rewrapped = rotating.wrap(&opened, None, &Count).expect("key is there");
        assert_ne!(rewrapped.key, wrapped.key);

        let after = vault(&sealing(Cipher::Aes, "new", None));
        assert_eq!(
            after.open_block(place(1, 1), &wrapped, Form::Brief).err(),
            Some(SealError::UnknownKey(wrapped.key))
        );
        let opened = after.open_block(place(1, 1), &rewrapped, Form::Brief).expect("wrapped by the new key");
        assert_eq!(opened.open(8192, &mut sealed), Ok(&b"kept"[..]));
    }

    #[test]
    fn a_cipher_without_a_key_is_refused() {
        let sealing = Sealing { cipher: Cipher::Aes, ..Sealing::default() };
        assert_eq!(Vault::new(StoreId([0; 16]), &sealing).err(), Some(SealError::NoKey));
    }

    #[test]
    fn the_same_plaintext_in_two_generations_shares_no_bytes() {
        struct Xorshift(std::sync::atomic::AtomicU64);
        impl Entropy for Xorshift {
            fn fill(&self, into: &mut [u8]) {
                for byte in into {
                    let mut x = self.0.load(std::sync::atomic::Ordering::Relaxed);
                    x ^= x << 13;
                    x ^= x >> 7;
                    x ^= x << 17;
                    self.0.store(x, std::sync::atomic::Ordering::Relaxed);
                    *byte = (x >> 32) as u8;
                }
            }
        }
        let entropy = Xorshift(99.into());
        let vault = vault(&sealing(Cipher::ChaChaPoly, "k", None));
        let sealed: Vec<Vec<u8>> = [1, 2]
            .map(|generation| {
                let mut bytes = vec![b'a'; 256];
                let block = vault.new_block(place(1, generation), Form::Brief, None, &entropy).expect("sealed");
                block.0.seal(0, &mut bytes, 0);
                bytes
            })
            .into();
        let equal = sealed[0].iter().zip(&sealed[1]).filter(|(l, r)| l == r).count();
        assert!(equal < 16, "{equal} of 272 bytes are equal");
    }
}
