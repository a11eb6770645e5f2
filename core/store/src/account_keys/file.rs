//! The file of one account's key.
//!
//! ```text
//! keys/NUMBER.key    the same twice, at 0 and at 4096:
//!
//!  0 magic[8] | 8 version u16 | 10 cipher u8 | 11 zero | 12 serial u32 | 16 store[16] | 32 number u64
//! 40 server key id[8] | 48 nonce[12] | 60 length of what is sealed u16
//! 62 sealed: account key[32], length of the account's name u16, name, zeros | tag[16] | checksum u64 (xxh3 of all before)
//! ```
//!
//! Everything before the nonce is authenticated beside what is sealed, so a file can be no other account's, no other store's
//! and no other number's. A change of the server key wraps the key again in place, one copy after the other with a sync
//! between, and destroying it writes zeros in place: no older copy of it is left where the file system gives space away.

use super::{AccountKey, KeyNo};
use crate::bytes::Reader;
use crate::disk::{Disk, DiskFile, join};
use crate::error::StoreError;
use crate::seal::{Cipher, KEY_LEN, KeyId, StoreId, TAG_LEN, Vault};
use crate::tail::Context;
use aead::NONCE_LEN;
use secret::Zeroizing;
use std::io;
use xxhash_rust::xxh3::xxh3_64;

/// Directory of the files.
pub(crate) const DIR: &str = "keys";
/// No account that has a key of its own has a longer name.
const MAX_ACCOUNT: usize = 2048;
/// A file that was begun and is none yet.
const NEW: &str = ".new";

const MAGIC: &[u8; 8] = b"BLWKACC1";
/// Version of these files.
const VERSION: u16 = 1;
/// Where the copies stand.
const COPIES: [u64; 2] = [0, 4096];
const FILE_LEN: usize = 8192;
const ASSOCIATED: usize = 48;
const HEAD: usize = ASSOCIATED + NONCE_LEN + 2;
/// What is sealed is as long as a multiple of this, so that it tells little of the name.
const PADDED: usize = 128;

/// A key file that opened.
pub(crate) struct Opened {
    pub account: String,
    pub key: AccountKey,
    pub serial: u32,
    pub cipher: Cipher,
    pub server: KeyId,
    /// Where the copy stands that opened.
    at: u64,
    /// The other one, if it does not say the same.
    pub stray: Option<Stray>,
}

/// A copy that does not say what the other says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stray {
    at: u64,
    /// A change of keys that was cut off between the two explains it.
    pub is_older: bool,
}

/// What a file is that should be a key.
pub(crate) enum Found {
    Good(Opened),
    /// Wrapped by a server key that was not given.
    Unknown,
    /// Another store's, another number's, or altered on purpose: it does not open under the right key.
    Foreign,
    /// Neither copy is whole.
    Damaged,
}

/// Name of a key's file.
fn name(no: KeyNo) -> String {
    format!("{no}.key")
}

/// Where the file of a key lies.
pub(crate) fn path(no: KeyNo) -> String {
    join(DIR, &name(no))
}

/// The number a file name stands for.
fn number_of(name: &str) -> Option<KeyNo> {
    let digits = name.strip_suffix(".key").filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok().and_then(KeyNo::read).filter(|&no| self::name(no) == name)
}

/// What lies in the directory of keys.
#[derive(Default)]
pub(crate) struct Listed {
    pub keys: Vec<KeyNo>,
    /// Files that were begun and never finished.
    pub unfinished: Vec<String>,
    /// Files that are none of ours.
    pub strangers: Vec<String>,
}

/// Lists the directory.
pub(crate) fn list(disk: &dyn Disk) -> Result<Listed, StoreError> {
    let names = match disk.list(DIR) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Listed::default()),
        listed => listed.map_err(StoreError::disk("listing", DIR))?,
    };
    let mut listed = Listed::default();
    for name in names {
        match number_of(&name) {
            Some(no) => listed.keys.push(no),
            None if name.ends_with(NEW) => listed.unfinished.push(join(DIR, &name)),
            None => listed.strangers.push(join(DIR, &name)),
        }
    }
    listed.keys.sort_unstable();
    Ok(listed)
}

/// Marks of the server keys that wrap the keys that lie there, as far as that can be told without any.
pub(crate) fn server_keys(disk: &dyn Disk) -> Result<Vec<(StoreId, KeyId)>, StoreError> {
    let mut found = Vec::new();
    for no in list(disk)?.keys {
        let bytes = read_file(disk, &path(no))?;
        let copies = COPIES.iter().filter_map(|&at| Slot::decode(bytes.get(at as usize..)?).ok());
        found.extend(copies.filter(|slot| slot.no == no).map(|slot| (slot.store, slot.server)));
    }
    Ok(found)
}

fn read_file(disk: &dyn Disk, path: &str) -> Result<Vec<u8>, StoreError> {
    let file = disk.open(path).map_err(StoreError::disk("opening", path))?;
    let mut bytes = vec![0; FILE_LEN];
    let read = file.read_at(0, &mut bytes).map_err(StoreError::disk("reading", path))?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Writes the file of a new key, durably.
pub(crate) fn create(context: &Context, no: KeyNo, account: &str, key: &AccountKey) -> Result<(), StoreError> {
    if account.len() > MAX_ACCOUNT {
        return Err(StoreError::TooLong { part: "account name", max: MAX_ACCOUNT });
    }
    let slot = Slot::seal(context, (no, 0), account, key)?;
    let (disk, path) = (&*context.disk, path(no));
    let new = format!("{path}{NEW}");
    disk.create_dir(DIR).map_err(StoreError::disk("making directory", DIR))?;
    disk.sync_dir("").map_err(StoreError::disk("syncing directory", ""))?;
    let file = disk.create(&new).map_err(StoreError::disk("making", &new))?;
    let mut bytes = vec![0; FILE_LEN];
    COPIES.iter().for_each(|&at| bytes[at as usize..][..slot.len()].copy_from_slice(&slot));
    file.write_at(0, &bytes).and_then(|()| file.sync()).map_err(StoreError::disk("writing", &new))?;
    disk.rename(&new, &path).map_err(StoreError::disk("renaming", &new))?;
    disk.sync_dir(DIR).map_err(StoreError::disk("syncing directory", DIR))
}

/// Reads the file of a key.
///
/// # Errors
/// What the disk said, or a version that a newer release wrote.
pub(crate) fn read(context: &Context, no: KeyNo) -> Result<Found, StoreError> {
    let path = path(no);
    let bytes = read_file(&*context.disk, &path)?;
    let slots = COPIES.map(|at| bytes.get(at as usize..).map_or(Err(Bad::Damaged), Slot::decode));
    if let Some(Bad::Newer(version)) = slots.iter().find_map(|slot| slot.as_ref().err()) {
        return Err(StoreError::NewerFormat { version: *version, path });
    }
    let mut good: Vec<(u64, &Slot<'_>)> =
        COPIES.into_iter().zip(&slots).filter_map(|(at, slot)| Some((at, slot.as_ref().ok()?))).collect();
    // The newest first; of two that are equally new any.
    good.sort_by_key(|(_, slot)| std::cmp::Reverse(slot.serial));
    let mut outcome = Found::Damaged;
    for (at, slot) in good {
        match slot.open(&context.vault, no) {
            Ok((account, key)) => return Ok(Found::Good(opened(at, (account, key), slot, &slots))),
            Err(found) => outcome = worse(outcome, found),
        }
    }
    Ok(outcome)
}

/// A key that is not known may be given next time; what does not open under the right one never opens.
fn worse(known: Found, next: Found) -> Found {
    if matches!(known, Found::Unknown) { known } else { next }
}

fn opened(
    at: u64,
    (account, key): (String, AccountKey),
    slot: &Slot<'_>,
    slots: &[Result<Slot<'_>, Bad>; 2],
) -> Opened {
    let other = COPIES.into_iter().zip(slots).find(|(other, _)| *other != at);
    let stray = other.and_then(|(other, found)| match found {
        Ok(found) if found == slot => None,
        Ok(found) => Some(Stray { at: other, is_older: found.serial < slot.serial }),
        Err(_) => Some(Stray { at: other, is_older: false }),
    });
    Opened { account, key, serial: slot.serial, cipher: slot.cipher, server: slot.server, at, stray }
}

/// Wraps a key again, by the present server key and cipher. Both copies say the same afterwards.
pub(crate) fn rewrap(context: &Context, no: KeyNo, opened: &Opened) -> Result<(), StoreError> {
    let slot = Slot::seal(context, (no, opened.serial.saturating_add(1)), &opened.account, &opened.key)?;
    let path = path(no);
    let file = context.disk.open(&path).map_err(StoreError::disk("opening", &path))?;
    // The one that opens stays until the other does.
    let order = COPIES.into_iter().filter(|&at| at != opened.at).chain([opened.at]);
    let mut written = order.map(|at| file.write_at(at, &slot).and_then(|()| file.sync()));
    written.try_for_each(|written| written).map_err(StoreError::disk("writing", &path))
}

/// Makes the copy that strays say what the other says.
pub(crate) fn mend(disk: &dyn Disk, no: KeyNo, stray: Stray) -> Result<(), StoreError> {
    let path = path(no);
    let file = disk.open(&path).map_err(StoreError::disk("opening", &path))?;
    let mut copy = vec![0; COPIES[1] as usize];
    let sound = if stray.at == COPIES[0] { COPIES[1] } else { COPIES[0] };
    let mended =
        file.read_at(sound, &mut copy).and_then(|read| file.write_at(stray.at, copy.get(..read).unwrap_or_default()));
    mended.and_then(|()| file.sync()).map_err(StoreError::disk("writing", &path))
}

/// Writes zeros over a file and removes it, durably. One that is not there is gone.
pub(crate) fn destroy(disk: &dyn Disk, path: &str) -> Result<(), StoreError> {
    match disk.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => {
            let file = opened.map_err(StoreError::disk("opening", path))?;
            overwrite(&*file).map_err(StoreError::disk("overwriting", path))?;
            disk.remove(path).map_err(StoreError::disk("removing", path))?;
        }
    }
    match disk.sync_dir(DIR) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        synced => synced.map_err(StoreError::disk("syncing directory", DIR)),
    }
}

fn overwrite(file: &dyn DiskFile) -> io::Result<()> {
    let len = usize::try_from(file.len()?).unwrap_or(FILE_LEN).clamp(FILE_LEN, 2 * FILE_LEN);
    file.write_at(0, &vec![0; len])?;
    file.sync()
}

/// Any bytes as a copy: for the fuzzer.
pub(crate) fn any(bytes: &[u8]) {
    let _ = Slot::decode(bytes);
    let _ = read_plain(bytes);
}

/// One copy of what a file says.
#[derive(PartialEq, Eq)]
struct Slot<'a> {
    associated: &'a [u8],
    cipher: Cipher,
    serial: u32,
    store: StoreId,
    no: KeyNo,
    server: KeyId,
    nonce: [u8; NONCE_LEN],
    sealed: &'a [u8],
    tag: [u8; TAG_LEN],
}

enum Bad {
    Newer(u16),
    Damaged,
}

impl<'a> Slot<'a> {
    /// The bytes of a copy.
    fn seal(
        context: &Context,
        (no, serial): (KeyNo, u32),
        account: &str,
        key: &AccountKey,
    ) -> Result<Vec<u8>, StoreError> {
        let (vault, cipher) = (&context.vault, context.vault.cipher());
        let master = vault.current().ok_or(StoreError::NoKey)?;
        let wrapping = master.file_key(no, cipher).ok_or(StoreError::NoKey)?;
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[cipher.code(), 0]);
        out.extend_from_slice(&serial.to_le_bytes());
        out.extend_from_slice(&vault.store().0);
        out.extend_from_slice(&no.0.to_le_bytes());
        out.extend_from_slice(&master.id().0);
        let mut nonce = [0; NONCE_LEN];
        context.entropy.fill(&mut nonce);
        let mut plain = plain(account, key);
        let tag = wrapping.seal(nonce, &out, &mut plain).expect("names are bounded far below the limit of the cipher");
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&u16::try_from(plain.len()).expect("names are bounded").to_le_bytes());
        out.extend_from_slice(&plain);
        out.extend_from_slice(&tag);
        let sum = xxh3_64(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        Ok(out)
    }

    fn decode(bytes: &'a [u8]) -> Result<Slot<'a>, Bad> {
        Slot::fields(bytes).unwrap_or(Err(Bad::Damaged))
    }

    fn fields(bytes: &'a [u8]) -> Option<Result<Slot<'a>, Bad>> {
        let len = usize::from(Reader(bytes.get(HEAD - 2..HEAD)?).u16()?);
        let summed = bytes.get(..HEAD + len + TAG_LEN)?;
        let sum = Reader(bytes.get(summed.len()..)?).u64()?;
        let mut reader = Reader(summed);
        if reader.take(8)? != MAGIC || sum != xxh3_64(summed) {
            return None;
        }
        let version = reader.u16()?;
        if version != VERSION {
            return Some(Err(Bad::Newer(version)));
        }
        let cipher = Cipher::from_code(reader.u8()?)?;
        reader.u8()?;
        Some(Ok(Slot {
            associated: summed.get(..ASSOCIATED)?,
            cipher,
            serial: reader.u32()?,
            store: StoreId(reader.bytes16()?),
            no: KeyNo::read(reader.u64()?)?,
            server: KeyId(reader.u64()?.to_le_bytes()),
            nonce: reader.take(NONCE_LEN)?.try_into().ok()?,
            sealed: summed.get(HEAD..HEAD + len)?,
            tag: summed.get(HEAD + len..)?.try_into().ok()?,
        }))
    }

    fn open(&self, vault: &Vault, no: KeyNo) -> Result<(String, AccountKey), Found> {
        if self.no != no || self.store != vault.store() {
            return Err(Found::Foreign);
        }
        let master = vault.master(self.server).ok_or(Found::Unknown)?;
        let wrapping = master.file_key(no, self.cipher).ok_or(Found::Foreign)?;
        let mut plain = Zeroizing::new(self.sealed.to_vec());
        wrapping.open_in_place(self.nonce, self.associated, &mut plain, &self.tag).map_err(|_| Found::Foreign)?;
        read_plain(&plain).ok_or(Found::Foreign)
    }
}

fn plain(account: &str, key: &AccountKey) -> Zeroizing<Vec<u8>> {
    let len = (KEY_LEN + 2 + account.len()).next_multiple_of(PADDED);
    let mut plain = Zeroizing::new(Vec::with_capacity(len));
    plain.extend_from_slice(key.bytes());
    plain.extend_from_slice(&u16::try_from(account.len()).expect("names are bounded").to_le_bytes());
    plain.extend_from_slice(account.as_bytes());
    plain.resize(len, 0);
    plain
}

fn read_plain(plain: &[u8]) -> Option<(String, AccountKey)> {
    let mut reader = Reader(plain);
    let mut key = Zeroizing::new([0; KEY_LEN]);
    key.copy_from_slice(reader.take(KEY_LEN)?);
    let len = usize::from(reader.u16()?);
    let account = std::str::from_utf8(reader.take(len)?).ok()?.to_owned();
    Some((account, AccountKey::new(key)))
}
