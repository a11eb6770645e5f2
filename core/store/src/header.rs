//! The head of a block file: what it is, where it belongs, and its wrapped key.
//!
//! ```text
//! 0        slot A, 140 bytes used     4096     slot B, 140 bytes used     8192   records
//!
//! slot:  0 magic[8] | 8 version u16 | 10 cipher u8 | 11 zero | 12 serial u32 | 16 store[16] | 32 stream u64
//!       40 generation u64 | 48 key id[8] | 56 wrapped key[60] | 116 checksum u64 (xxh3 of bytes 0..116)
//!      124 number of the account's key u64 | 132 checksum u64 (xxh3 of bytes 0..132); both zero up to version 3
//! ```
//!
//! The first checksum stays where it was, so that a release that does not know keys of accounts finds a newer version there and
//! not a damaged head.
//!
//! A new block has the same slot twice, so that one bad sector does not cost the block. When the server key changes the
//! block key is wrapped again with the next serial, first into one slot, then into the other, with a sync between, so a
//! torn write leaves the old one. The slot with the highest serial and a good checksum counts.

use crate::account_keys::KeyNo;
use crate::bytes::Reader;
use crate::seal::{Cipher, Form, KeyId, Place, StoreId, StreamId, WRAPPED_LEN, Wrapped};
use xxhash_rust::xxh3::xxh3_64;

/// Where records begin.
pub(crate) const DATA_START: u64 = 8192;
const SLOT_B: usize = 4096;
/// Where the slots lie.
pub(crate) const SLOTS: [u64; 2] = [0, SLOT_B as u64];
/// Bytes of a slot.
pub(crate) const SLOT_LEN: usize = 140;
const SUMMED: usize = 116;
/// Where the part for an account's key begins, and where its checksum stands.
const ACCOUNT_AT: usize = 124;
const ACCOUNT_SUMMED: usize = 132;
const MAGIC: &[u8; 8] = b"BLWKBLK1";
/// Version of the file format. Raised when an older release could not read what we write. Since 2 a full block ends with
/// its table of contents; since 3 messages and checksums are shorter; 4 are files that take the key of an account, or may name such,
/// and only those; since 5 encrypted messages are sealed by the sheet. What is not is written as version 3 or 4. Files of older
/// versions are read as they are.
pub const FORMAT_VERSION: u16 = 5;
/// The version of files without sheets that take no key of an account.
pub(crate) const WITHOUT_ACCOUNTS: u16 = 3;
/// The version of files without sheets that take one, or whose entries may.
pub(crate) const WITH_ACCOUNTS: u16 = 4;
/// The first versions of the forms.
const BRIEF_FROM: u16 = 3;
const SHEETS_FROM: u16 = 5;

/// Whether this release can read a file of this version.
pub(crate) fn is_known(version: u16) -> bool {
    (1..=FORMAT_VERSION).contains(&version)
}

/// One slot, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Of the records behind it.
    pub version: u16,
    pub place: Place,
    pub wrapped: Wrapped,
    pub serial: u32,
}

/// What the head of a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// A good slot, and the other one if it does not say the same.
    Good(Header, Option<Stray>),
    /// Written by a release whose format we do not know.
    Newer(u16),
    /// No good slot. Torn when it was made, if neither was ever written; damaged otherwise.
    Damaged { unwritten: bool },
}

/// The copy of a head that does not say what the head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stray {
    /// Where the slot lies.
    pub at: u64,
    pub why: Why,
}

/// Why it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It is from before a change of keys that was cut off between the two.
    Older,
    /// It was never written, or zeros were written over it.
    Unwritten,
    Damaged,
}

impl Header {
    /// The head of a new file.
    pub(crate) fn new(place: Place, wrapped: Wrapped, form: Form) -> Header {
        let version = match (form, wrapped.account) {
            (Form::Sheets, _) => SHEETS_FROM,
            (_, Some(_)) => WITH_ACCOUNTS,
            (_, None) => WITHOUT_ACCOUNTS,
        };
        Header { version, place, wrapped, serial: 0 }
    }

    /// Whether it takes the key of an account, or may name such keys: releases that know none do not read it.
    pub(crate) fn may_take_accounts(&self) -> bool {
        self.version == WITH_ACCOUNTS || self.wrapped.account.is_some()
    }

    /// How its records are written.
    pub(crate) fn form(&self) -> Form {
        match self.version {
            SHEETS_FROM.. => Form::Sheets,
            BRIEF_FROM.. => Form::Brief,
            _ => Form::First,
        }
    }

    pub(crate) fn encode(&self) -> [u8; SLOT_LEN] {
        let mut out = [0; SLOT_LEN];
        out[..8].copy_from_slice(MAGIC);
        out[8..10].copy_from_slice(&self.version.to_le_bytes());
        out[10] = self.wrapped.cipher.code();
        out[12..16].copy_from_slice(&self.serial.to_le_bytes());
        out[16..32].copy_from_slice(&self.place.store.0);
        out[32..40].copy_from_slice(&self.place.stream.0.to_le_bytes());
        out[40..48].copy_from_slice(&self.place.generation.to_le_bytes());
        out[48..56].copy_from_slice(&self.wrapped.key.0);
        out[56..SUMMED].copy_from_slice(&self.wrapped.bytes);
        put_sum(&mut out, SUMMED);
        if self.version > WITHOUT_ACCOUNTS {
            out[ACCOUNT_AT..ACCOUNT_SUMMED].copy_from_slice(&KeyNo::written(self.wrapped.account).to_le_bytes());
            put_sum(&mut out, ACCOUNT_SUMMED);
        }
        out
    }

    /// The whole head of a new file: both slots and zeros up to the first record.
    pub(crate) fn first(&self) -> Vec<u8> {
        let mut out = vec![0; DATA_START as usize];
        SLOTS.iter().for_each(|&at| out[at as usize..][..SLOT_LEN].copy_from_slice(&self.encode()));
        out
    }

    /// Whether its block key can be wrapped anew, beside this key of an account: the oldest forms know none.
    pub(crate) fn may_take(&self, account: Option<KeyNo>) -> bool {
        account.is_none() || self.version >= BRIEF_FROM
    }

    /// The header with the block key wrapped anew.
    pub(crate) fn rewrapped(&self, wrapped: Wrapped) -> Header {
        let version = match (self.form(), wrapped.account) {
            (Form::Sheets, _) => self.version,
            (_, Some(_)) => WITH_ACCOUNTS,
            (_, None) => self.version.min(WITHOUT_ACCOUNTS),
        };
        Header { version, wrapped, serial: self.serial.saturating_add(1), ..*self }
    }
}

fn put_sum(slot: &mut [u8; SLOT_LEN], at: usize) {
    let sum = xxh3_64(&slot[..at]);
    slot[at..at + 8].copy_from_slice(&sum.to_le_bytes());
}

fn has_sum(slot: &[u8], at: usize) -> bool {
    let sum = slot.get(at..at + 8);
    slot.get(..at).zip(sum).is_some_and(|(summed, sum)| xxh3_64(summed).to_le_bytes() == *sum)
}

/// Reads the head of a file from its first [`DATA_START`] bytes, or as many as there are.
pub(crate) fn read(head: &[u8]) -> Head {
    let slots =
        SLOTS.map(|at| head.get(at as usize..).and_then(|rest| rest.get(..SLOT_LEN)).map_or(Slot::Unwritten, decode));
    let [at_a, at_b] = SLOTS;
    match slots {
        [Slot::Good(a), Slot::Good(b)] if b.serial > a.serial => {
            Head::Good(b, Some(Stray { at: at_a, why: Why::Older }))
        }
        [Slot::Good(a), Slot::Good(b)] if a == b => Head::Good(a, None),
        [Slot::Good(a), Slot::Good(b)] if a.serial > b.serial => {
            Head::Good(a, Some(Stray { at: at_b, why: Why::Older }))
        }
        [Slot::Newer(version), _] | [_, Slot::Newer(version)] => Head::Newer(version),
        [Slot::Good(only), other] => Head::Good(only, Some(Stray { at: at_b, why: why(&other) })),
        [other, Slot::Good(only)] => Head::Good(only, Some(Stray { at: at_a, why: why(&other) })),
        [Slot::Unwritten, Slot::Unwritten] => Head::Damaged { unwritten: true },
        _ => Head::Damaged { unwritten: false },
    }
}

fn why(slot: &Slot) -> Why {
    if matches!(slot, Slot::Unwritten) { Why::Unwritten } else { Why::Damaged }
}

enum Slot {
    Good(Header),
    Newer(u16),
    /// Not there, or zeros.
    Unwritten,
    Bad,
}

fn decode(slot: &[u8]) -> Slot {
    if slot.iter().all(|&byte| byte == 0) {
        return Slot::Unwritten;
    }
    if !has_sum(slot, SUMMED) {
        return Slot::Bad;
    }
    fields(slot).unwrap_or(Slot::Bad)
}

fn fields(slot: &[u8]) -> Option<Slot> {
    let mut reader = Reader(slot);
    if reader.take(8)? != MAGIC {
        return None;
    }
    let version = reader.u16()?;
    if !is_known(version) {
        return Some(Slot::Newer(version));
    }
    let cipher = Cipher::from_code(reader.u8()?)?;
    reader.u8()?;
    let serial = reader.u32()?;
    let place = Place { store: StoreId(reader.bytes16()?), stream: StreamId(reader.u64()?), generation: reader.u64()? };
    let key = KeyId(reader.u64()?.to_le_bytes());
    let bytes: [u8; WRAPPED_LEN] = reader.take(WRAPPED_LEN)?.try_into().ok()?;
    let account = account(version, slot)?;
    Some(Slot::Good(Header { version, place, wrapped: Wrapped { cipher, key, account, bytes }, serial }))
}

/// The key of an account that a slot names; `None` if what stands there is not as it was written.
fn account(version: u16, slot: &[u8]) -> Option<Option<KeyNo>> {
    let rest = slot.get(ACCOUNT_AT..)?;
    if version <= WITHOUT_ACCOUNTS {
        return rest.iter().all(|&byte| byte == 0).then_some(None);
    }
    has_sum(slot, ACCOUNT_SUMMED).then_some(KeyNo::read(Reader(rest).u64()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(serial: u32) -> Header {
        let place = Place { store: StoreId([1; 16]), stream: StreamId(2), generation: 3 };
        let wrapped = Wrapped { cipher: Cipher::Aes, key: KeyId([4; 8]), account: None, bytes: [5; WRAPPED_LEN] };
        Header { serial, ..Header::new(place, wrapped, Form::Brief) }
    }

    fn of_account(serial: u32) -> Header {
        let wrapped = Wrapped { account: Some(KeyNo(77)), ..header(0).wrapped };
        Header { serial, ..Header::new(header(0).place, wrapped, Form::Brief) }
    }

    #[test]
    fn a_head_reads_back() {
        assert_eq!(read(&header(0).first()), Head::Good(header(0), None));
        assert_eq!(read(&of_account(0).first()), Head::Good(of_account(0), None));
        assert_eq!((header(0).version, of_account(0).version), (3, 4));
    }

    #[test]
    fn the_newer_of_two_slots_counts_and_a_torn_one_leaves_the_other() {
        let next = header(0).rewrapped(Wrapped { key: KeyId([9; 8]), ..header(0).wrapped });
        for (slot, other) in [(SLOT_B, 0), (0, SLOT_B)] {
            let mut file = header(0).first();
            file[slot..][..SLOT_LEN].copy_from_slice(&next.encode());
            assert_eq!(read(&file), Head::Good(next, Some(Stray { at: other as u64, why: Why::Older })));
            file[slot + 60] ^= 1;
            assert_eq!(read(&file), Head::Good(header(0), Some(Stray { at: slot as u64, why: Why::Damaged })));
            file[slot..][..SLOT_LEN].fill(0);
            assert_eq!(read(&file), Head::Good(header(0), Some(Stray { at: slot as u64, why: Why::Unwritten })));
        }
    }

    #[test]
    fn one_flipped_bit_is_survived_and_named_and_two_in_both_slots_are_damage() {
        let good = header(0).first();
        for header in [header(0), of_account(0)] {
            for at in 0..SLOT_LEN {
                let mut file = header.first();
                file[at] ^= 0x10;
                assert_eq!(read(&file), Head::Good(header, Some(Stray { at: 0, why: Why::Damaged })), "byte {at}");
                file[SLOT_B + at] ^= 0x10;
                assert_eq!(read(&file), Head::Damaged { unwritten: false }, "byte {at}");
            }
        }
        assert_eq!(read(&[]), Head::Damaged { unwritten: true });
        assert_eq!(read(&vec![0; DATA_START as usize]), Head::Damaged { unwritten: true });
        assert_eq!(read(&good[..SLOT_LEN - 1]), Head::Damaged { unwritten: true });
        assert_eq!(read(&of_account(0).first()[..SLOT_LEN - 1]), Head::Damaged { unwritten: true });
    }

    #[test]
    fn two_slots_of_one_serial_that_differ_are_not_both_right() {
        let mut file = header(0).first();
        let other = Header { wrapped: Wrapped { bytes: [6; WRAPPED_LEN], ..header(0).wrapped }, ..header(0) };
        file[SLOT_B..][..SLOT_LEN].copy_from_slice(&other.encode());
        assert_eq!(read(&file), Head::Good(header(0), Some(Stray { at: SLOT_B as u64, why: Why::Damaged })));
    }

    #[test]
    fn a_newer_format_is_named() {
        let mut file = header(0).first();
        file.truncate(SLOT_B);
        file[8] = 6;
        let sum = xxh3_64(&file[..SUMMED]);
        file[SUMMED..ACCOUNT_AT].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(read(&file), Head::Newer(6));
    }

    #[test]
    fn a_release_without_keys_of_accounts_finds_a_newer_version_with_a_sound_checksum() {
        let slot = of_account(0).encode();
        assert_eq!(slot[8..10], 4_u16.to_le_bytes());
        assert_eq!(slot[SUMMED..ACCOUNT_AT], xxh3_64(&slot[..SUMMED]).to_le_bytes());
    }

    #[test]
    fn without_a_key_of_an_account_a_head_is_what_it_was() {
        assert!(header(0).encode()[ACCOUNT_AT..].iter().all(|&byte| byte == 0));
        let back = of_account(0).rewrapped(header(0).wrapped);
        assert_eq!((back, back.version), (Header { serial: 1, ..header(0) }, 3));
    }

    #[test]
    fn all_formats_are_read_and_stay_what_they_are_under_another_key() {
        for (version, form) in [(1, Form::First), (2, Form::First), (3, Form::Brief), (5, Form::Sheets)] {
            let old = Header { version, ..header(0) };
            assert_eq!((read(&old.first()), old.form()), (Head::Good(old, None), form));
            let rewrapped = old.rewrapped(Wrapped { key: KeyId([9; 8]), ..old.wrapped });
            assert_eq!((rewrapped.version, rewrapped.serial), (version, 1));
            assert_eq!(old.may_take(Some(KeyNo(1))), form != Form::First);
        }
    }

    #[test]
    fn sheets_stay_sheets_whether_they_take_the_key_of_an_account_or_not() {
        let none = Header::new(header(0).place, header(0).wrapped, Form::Sheets);
        let taken = none.rewrapped(of_account(0).wrapped);
        for (head, may_take) in [(none, false), (taken, true), (taken.rewrapped(none.wrapped), false)] {
            assert_eq!((read(&head.first()), head.form()), (Head::Good(head, None), Form::Sheets));
            assert_eq!((head.version, head.may_take_accounts()), (5, may_take));
        }
    }
}
