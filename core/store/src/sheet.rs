//! Sheets: records that are written together are sealed together.
//!
//! ```text
//! len u32 | records u16 | check u32 | sealed: (len u32, record) … | tag
//! ```
//!
//! A cipher costs some hundred nanoseconds for each text, whatever its length, and a message is short; so an encrypted block
//! consists of sheets. A sheet ends with the write that it is part of, and before it would be longer than [`SHEET`]; only a record
//! that is longer itself stands in a longer one, alone. What does not open is a sheet: damage costs those few records and
//! no other. Each sheet is sealed once, at an offset that no other of its block has, which is its nonce.
//!
//! `check` is taken over the length, the number of records, the offset and the generation. As with frames it is no protection, and
//! makes it cheap to find the next sheet behind a damaged stretch. The number of records is told outside of the seal for
//! the sheets that do not open: so many sequences are not given out again.

use crate::frame::MAX_SEALED;
use crate::seal::BlockSeal;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Bytes of a sheet before what is sealed.
pub(crate) const SHEET_HEAD: usize = 10;
/// Bytes of a record in a sheet before what it says.
pub(crate) const RECORD_HEAD: usize = 4;
/// No sheet of several records is longer, without its head and its tag.
pub(crate) const SHEET: usize = 8 * 1024;
/// No message in a sheet is shorter, its head included.
const MIN_MESSAGE: usize = RECORD_HEAD + 17;

/// What the head of a sheet claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Bytes of the sheet, with head and tag.
    pub len: usize,
    pub records: u16,
}

fn check(offset: u64, len: u32, records: u16, generation: u64) -> u32 {
    let mut bytes = [0; 14];
    bytes[..8].copy_from_slice(&offset.to_le_bytes());
    bytes[8..12].copy_from_slice(&len.to_le_bytes());
    bytes[12..].copy_from_slice(&records.to_le_bytes());
    xxh3_64_with_seed(&bytes, generation) as u32
}

/// What a head at `offset` claims, if its check fits.
pub(crate) fn claim(bytes: &[u8], offset: u64, generation: u64) -> Option<Claim> {
    let (head, _) = bytes.split_first_chunk::<SHEET_HEAD>()?;
    let [l0, l1, l2, l3, r0, r1, c0, c1, c2, c3] = *head;
    let (len, records) = (u32::from_le_bytes([l0, l1, l2, l3]), u16::from_le_bytes([r0, r1]));
    let fits = u32::from_le_bytes([c0, c1, c2, c3]) == check(offset, len, records, generation)
        && records > 0
        && (1..=MAX_SEALED).contains(&(len as usize));
    fits.then_some(Claim { len: SHEET_HEAD + len as usize, records })
}

/// How many records stand in a stretch that begins with a sheet whose head makes no sense: those that are there, if it is the
/// head alone that was altered, and else as many messages as there may have been.
pub(crate) fn count_without_head(seal: &BlockSeal, offset: u64, stretch: &[u8]) -> u32 {
    let mut plain = Vec::new();
    let is_there = stretch.get(SHEET_HEAD..).is_some_and(|sealed| seal.open_into(offset, sealed, &mut plain).is_ok());
    let most = if is_there { records(&plain).count() } else { stretch.len() / MIN_MESSAGE };
    u32::try_from(most).unwrap_or(u32::MAX).max(1)
}

/// Opens the sheet at `offset`, with which `bytes` begin, into `plain`. `None`: there is none, or it was altered.
pub(crate) fn open(seal: &BlockSeal, offset: u64, bytes: &[u8], plain: &mut Vec<u8>) -> Option<Claim> {
    let claim = claim(bytes, offset, seal.generation())?;
    seal.open_into(offset, bytes.get(SHEET_HEAD..claim.len)?, plain).ok()?;
    let (mut at, mut records) = (0, 0_u16);
    while at < plain.len() {
        at += RECORD_HEAD + record_at(plain, at)?.len();
        records = records.checked_add(1)?;
    }
    let is_one = records == claim.records && (records == 1 || plain.len() <= SHEET);
    is_one.then_some(claim)
}

/// The record of an opened sheet that begins `within` it.
pub(crate) fn record_at(plain: &[u8], within: usize) -> Option<&[u8]> {
    let (len, rest) = plain.get(within..)?.split_first_chunk::<RECORD_HEAD>()?;
    rest.get(..u32::from_le_bytes(*len) as usize)
}

/// All records of an opened sheet, and where each begins within it.
pub(crate) fn records(plain: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (within, record) = (at, record_at(plain, at)?);
        at += RECORD_HEAD + record.len();
        Some((within, record))
    })
}

/// A sheet that is being filled, at the end of a batch.
pub(crate) struct Draft {
    /// Where it begins in the batch.
    start: usize,
    records: u16,
}

impl Draft {
    pub(crate) fn begin(batch: &mut Vec<u8>) -> Draft {
        let start = batch.len();
        batch.extend_from_slice(&[0; SHEET_HEAD]);
        Draft { start, records: 0 }
    }

    /// Whether a record that is not longer than `len` may still be part of it.
    pub(crate) fn has_room(&self, batch: &[u8], len: usize) -> bool {
        self.records == 0 || batch.len() - self.start - SHEET_HEAD + RECORD_HEAD + len <= SHEET
    }

    /// Appends a record that `write` writes. Gives where it begins within the sheet, and what `write` gives.
    pub(crate) fn put<T>(&mut self, batch: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> T) -> (usize, T) {
        let at = batch.len();
        batch.extend_from_slice(&[0; RECORD_HEAD]);
        let written = write(batch);
        let len = u32::try_from(batch.len() - at - RECORD_HEAD).expect("records are bounded far below 4 GiB");
        batch[at..at + RECORD_HEAD].copy_from_slice(&len.to_le_bytes());
        self.records += 1;
        (at - self.start - SHEET_HEAD, written)
    }

    /// Seals it. `batch_at` is where the batch will lie in its file.
    pub(crate) fn seal(self, seal: &BlockSeal, batch_at: u64, batch: &mut Vec<u8>) {
        let Draft { start, records } = self;
        let offset = batch_at + start as u64;
        seal.seal(offset, batch, start + SHEET_HEAD);
        let len = u32::try_from(batch.len() - start - SHEET_HEAD).expect("sheets are bounded far below 4 GiB");
        batch[start..start + 4].copy_from_slice(&len.to_le_bytes());
        batch[start + 4..start + 6].copy_from_slice(&records.to_le_bytes());
        let check = check(offset, len, records, seal.generation());
        batch[start + 6..start + SHEET_HEAD].copy_from_slice(&check.to_le_bytes());
    }
}

/// A sheet at the beginning of a block that claims so many records and holds anything: for the fuzzer.
pub(crate) fn forged(seal: &BlockSeal, records: u16, inside: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let draft = Draft { records, ..Draft::begin(&mut bytes) };
    bytes.extend_from_slice(inside);
    draft.seal(seal, 0, &mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Entropy;
    use crate::frame::{self, Bound, Piece, Stretch};
    use crate::seal::{Cipher, Form, Place, Sealing, StoreId, StreamId, Vault};
    use secret::Secret;

    struct Fixed;
    impl Entropy for Fixed {
        fn fill(&self, into: &mut [u8]) {
            into.fill(42);
        }
    }

    fn seal(cipher: Cipher) -> BlockSeal {
        let sealing = Sealing { cipher, key: Some(Secret::from("k")), ..Sealing::default() };
        let place = Place { store: StoreId([1; 16]), stream: StreamId(1), generation: 1 };
        let vault = Vault::new(place.store, &sealing).expect("complete");
        vault.new_block(place, Form::Sheets, None, &Fixed).expect("sealed").0
    }

    /// A block of sheets, and where each begins.
    fn block(seal: &BlockSeal, sheets: &[&[&[u8]]]) -> (Vec<u8>, Vec<usize>) {
        let (mut file, mut starts) = (Vec::new(), Vec::new());
        for records in sheets {
            starts.push(file.len());
            let mut sheet = Draft::begin(&mut file);
            for record in *records {
                sheet.put(&mut file, |out| out.extend_from_slice(record));
            }
            sheet.seal(seal, 0, &mut file);
        }
        starts.push(file.len());
        (file, starts)
    }

    fn pieces(seal: &BlockSeal, file: &[u8]) -> Vec<Result<Vec<u8>, Stretch>> {
        let mut seen = Vec::new();
        frame::scan(seal, file, 0, |piece| {
            seen.push(match piece {
                Piece::Record { body, .. } => Ok(body.to_vec()),
                Piece::Damaged(stretch) => Err(stretch),
            });
        });
        seen
    }

    const CIPHERS: [Cipher; 2] = [Cipher::ChaChaPoly, Cipher::Aes];
    const SHEETS: [&[&[u8]]; 3] = [&[b"one", b""], &[b"two", b"three", b"four"], &[&[5; 20_000]]];

    #[test]
    fn sheets_read_back_in_order_and_each_record_lies_where_it_says() {
        for cipher in CIPHERS {
            let seal = seal(cipher);
            let (file, starts) = block(&seal, &SHEETS);
            let (mut plain, mut seen) = (Vec::new(), 0);
            frame::scan(&seal, &file, 0, |piece| {
                let Piece::Record { offset, len, bound: Bound::Sheet { within }, end, body } = piece else {
                    panic!("{cipher}: {piece:?}")
                };
                let start = offset as usize - within - SHEET_HEAD;
                assert!(starts.contains(&start) && starts.contains(&(end as usize)));
                open(&seal, start as u64, &file[start..], &mut plain).expect("it opened before");
                assert_eq!((record_at(&plain, within), len), (Some(body), RECORD_HEAD + body.len()));
                seen += 1;
            });
            assert_eq!(seen, 6);
            let said: Vec<_> = pieces(&seal, &file).into_iter().map(|piece| piece.expect("sound")).collect();
            assert_eq!(said, SHEETS.concat());
        }
    }

    #[test]
    fn damage_costs_the_sheet_it_hits_and_tells_how_many_records_that_were() {
        for cipher in CIPHERS {
            let seal = seal(cipher);
            let (file, starts) = block(&seal, &SHEETS);
            for at in starts[1]..starts[2] {
                let mut hit = file.clone();
                hit[at] ^= 0x40;
                let (from, to) = (starts[1] as u64, starts[2] as u64);
                let stretch = Stretch { from, to, records: 3, may_be_torn: false };
                let rest = [Ok(b"one".to_vec()), Ok(vec![]), Err(stretch), Ok(vec![5; 20_000])];
                assert_eq!(pieces(&seal, &hit), rest, "{cipher} {at}");
            }
        }
    }

    #[test]
    fn of_a_sheet_that_tells_nothing_no_fewer_records_are_supposed_than_it_had() {
        let seal = seal(Cipher::Aes);
        let messages = [&[7_u8; 17][..]; 300];
        let (mut file, starts) = block(&seal, &[&messages]);
        assert!(starts[1] <= SHEET_HEAD + SHEET + crate::seal::TAG_LEN);
        file[0] ^= 1;
        file[SHEET_HEAD] ^= 1;
        let [Err(stretch)] = pieces(&seal, &file)[..] else { panic!("nothing opens") };
        assert!((300..310).contains(&stretch.records), "{stretch:?}");
    }

    #[test]
    fn a_sheet_opens_nowhere_else() {
        for cipher in CIPHERS {
            let seal = seal(cipher);
            let (file, starts) = block(&seal, &[&[b"one"], &[b"two"]]);
            let mut plain = Vec::new();
            assert!(open(&seal, 0, &file, &mut plain).is_some());
            assert_eq!(open(&seal, starts[1] as u64, &file, &mut plain), None);
            let swapped = [&file[starts[1]..], &file[..starts[1]]].concat();
            assert!(pieces(&seal, &swapped).iter().all(Result::is_err), "{cipher}");
        }
    }

    #[test]
    fn what_was_cut_off_may_be_torn() {
        let seal = seal(Cipher::ChaChaPoly);
        let (file, starts) = block(&seal, &SHEETS);
        for len in (starts[1] + 1..file.len()).step_by(7).filter(|len| !starts.contains(len)) {
            let torn = pieces(&seal, &file[..len]).into_iter().filter_map(Result::err).collect::<Vec<_>>();
            assert!(torn.iter().all(|stretch| stretch.may_be_torn) && torn.len() == 1, "{len}: {torn:?}");
        }
    }

    #[test]
    fn a_sheet_that_nobody_would_have_written_is_damage() {
        let seal = seal(Cipher::Aes);
        let mut plain = Vec::new();
        // Without any record; several in more bytes than that may be; one that is not all there.
        let mut empty = Vec::new();
        Draft::begin(&mut empty).seal(&seal, 0, &mut empty);
        assert_eq!(open(&seal, 0, &empty, &mut plain), None);
        let (long, _) = block(&seal, &[&[&[1; SHEET], b"two"]]);
        assert_eq!(open(&seal, 0, &long, &mut plain), None);
        let mut cut = Vec::new();
        let mut sheet = Draft::begin(&mut cut);
        sheet.put(&mut cut, |out| out.extend_from_slice(b"one"));
        cut.truncate(cut.len() - 1);
        sheet.seal(&seal, 0, &mut cut);
        assert_eq!(open(&seal, 0, &cut, &mut plain), None);
        let (one, _) = block(&seal, &[&[b"one"]]);
        assert!(open(&seal, 0, &one, &mut plain).is_some());
    }

    #[test]
    fn a_sheet_takes_records_until_it_is_full_and_one_that_is_longer_alone() {
        let mut batch = Vec::new();
        let mut sheet = Draft::begin(&mut batch);
        assert!(sheet.has_room(&batch, 5 * SHEET));
        sheet.put(&mut batch, |out| out.extend_from_slice(&[0; 100]));
        let left = SHEET - 104 - RECORD_HEAD;
        assert!(sheet.has_room(&batch, left) && !sheet.has_room(&batch, left + 1));
    }
}
