//! Frames: how sealed records stand one behind the other in a block, and how they are found again in a damaged one.
//!
//! ```text
//! len u32 | check u32 | sealed record, len bytes (the last 16, or the last 8 of a checksum, are the tag)
//! ```
//!
//! `check` is taken over the length, the offset and the generation. It is no protection (the tag is), it makes it cheap
//! to find the next frame behind a damaged stretch: any offset whose check fits is tried, and the tag decides.
//!
//! Where records are sealed by the [`sheet`](crate::sheet), sheets stand one behind the other in the same way.

use crate::seal::{BlockSeal, Form, SUM_LEN, TAG_LEN};
use crate::sheet::{self, RECORD_HEAD};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Bytes of a frame before the sealed record.
pub(crate) const FRAME_HEAD: usize = 8;
/// No record is longer: the largest payload a server may allow, its headers and subject, and our fields.
pub(crate) const MAX_SEALED: usize = 64 * 1024 * 1024 + 256 * 1024;

fn check(offset: u64, len: u32, generation: u64) -> u32 {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&offset.to_le_bytes());
    bytes[8..].copy_from_slice(&len.to_le_bytes());
    xxh3_64_with_seed(&bytes, generation) as u32
}

/// Appends a frame that will lie at `offset`; `write` appends the plain record, and what it gives is given.
pub(crate) fn append<T>(seal: &BlockSeal, offset: u64, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEAD]);
    let written = write(out);
    seal.seal(offset, out, start + FRAME_HEAD);
    let len = u32::try_from(out.len() - start - FRAME_HEAD).expect("records are bounded far below 4 GiB");
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
    out[start + 4..start + 8].copy_from_slice(&check(offset, len, seal.generation()).to_le_bytes());
    written
}

/// The sealed length that a frame head at `offset` claims, if its check fits.
pub(crate) fn sealed_len(head: &[u8], offset: u64, generation: u64) -> Option<usize> {
    let (len, sum) = (head.get(..4)?, head.get(4..8)?);
    let len = u32::from_le_bytes(len.try_into().ok()?);
    let sum = u32::from_le_bytes(sum.try_into().ok()?);
    let fits = sum == check(offset, len, generation) && (SUM_LEN..=MAX_SEALED).contains(&(len as usize));
    fits.then_some(len as usize)
}

/// One piece of a scanned block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// A record that opened: where it lies, and the end of the frame or of the sheet it is in.
    Record { offset: u64, len: usize, bound: Bound, end: u64, body: &'a [u8] },
    /// A stretch in which nothing opens.
    Damaged(Stretch),
}

/// What holds a record in its block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Bound {
    /// A frame that ends with a checksum.
    Sum,
    /// A frame that ends with a tag of a cipher, or a checksum of the first form.
    #[default]
    Tag,
    /// A sheet; so many bytes of it stand before the record.
    Sheet { within: usize },
}

impl Bound {
    /// Of the frames of a block.
    pub(crate) fn of_frames(seal: &BlockSeal) -> Bound {
        if seal.tag_len() == SUM_LEN { Bound::Sum } else { Bound::Tag }
    }

    /// What it adds to a record.
    pub(crate) fn overhead(self) -> usize {
        match self {
            Bound::Sum => FRAME_HEAD + SUM_LEN,
            Bound::Tag => FRAME_HEAD + TAG_LEN,
            Bound::Sheet { .. } => RECORD_HEAD,
        }
    }
}

/// A stretch of a block in which nothing opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub from: u64,
    pub to: u64,
    /// Records that stood there, as far as heads of frames tell; at least one.
    pub records: u32,
    /// Whether a write that was cut off explains it: a piece of it was never written.
    pub may_be_torn: bool,
}

/// What a disk writes whole or not at all, at least.
const SECTOR: usize = 512;

/// Walks all frames of a block from `from` to the end of `file`, skipping what does not open. Zeros up to the end of the
/// file are its end, not damage: space that was given to the file but never written.
pub(crate) fn scan(seal: &BlockSeal, file: &[u8], from: u64, mut visit: impl FnMut(Piece<'_>)) {
    let mut plain = Vec::new();
    let mut at = from as usize;
    while at < file.len() {
        if let Some(end) = open_at(seal, file, at, &mut plain) {
            records(seal, at as u64, end as u64, &plain).for_each(&mut visit);
            at = end;
            continue;
        }
        if file[at..].iter().all(|&byte| byte == 0) {
            return;
        }
        let next = (at + 1..file.len()).find(|&next| open_at(seal, file, next, &mut plain).is_some());
        let to = next.unwrap_or(file.len());
        visit(Piece::Damaged(judge(seal, file, at, to)));
        at = to;
    }
}

/// The records of what opened at `offset`: that of a frame, or those of a sheet.
fn records<'a>(seal: &BlockSeal, offset: u64, end: u64, plain: &'a [u8]) -> impl Iterator<Item = Piece<'a>> {
    let is_sheet = seal.form() == Form::Sheets;
    let frame = (!is_sheet).then(|| Piece::Record {
        offset,
        len: (end - offset) as usize,
        bound: Bound::of_frames(seal),
        end,
        body: plain,
    });
    let in_sheet = sheet::records(if is_sheet { plain } else { &[] }).map(move |(within, body)| Piece::Record {
        offset: offset + (sheet::SHEET_HEAD + within) as u64,
        len: RECORD_HEAD + body.len(),
        bound: Bound::Sheet { within },
        end,
        body,
    });
    frame.into_iter().chain(in_sheet)
}

/// What can be told of a stretch in which nothing opens. A write that was cut off leaves a sector that was never written,
/// which reads as zeros, or a file that ends before its last record does. Where all of it was written and still does
/// not open, it was altered.
fn judge(seal: &BlockSeal, file: &[u8], from: usize, to: usize) -> Stretch {
    let head_len = if seal.form() == Form::Sheets { sheet::SHEET_HEAD } else { FRAME_HEAD };
    let (mut at, mut records, mut is_cut) = (from, 0_u32, false);
    while at < to {
        if file.len() - at < head_len {
            records = records.saturating_add(1);
            is_cut = true;
            break;
        }
        let (there, len) = claimed(seal, file, at, to);
        records = records.saturating_add(there);
        let Some(len) = len else { break };
        at += len;
        is_cut = at > file.len();
    }
    let may_be_torn = is_cut || has_unwritten_sector(file, from, to);
    Stretch { from: from as u64, to: to as u64, records, may_be_torn }
}

/// How many records a head says there are, and how many bytes; no length, if it makes no sense.
fn claimed(seal: &BlockSeal, file: &[u8], at: usize, to: usize) -> (u32, Option<usize>) {
    let (offset, rest) = (at as u64, &file[at..]);
    if seal.form() == Form::Sheets {
        match sheet::claim(rest, offset, seal.generation()) {
            Some(claim) => (claim.records.into(), Some(claim.len)),
            None => (sheet::count_without_head(seal, offset, &file[at..to]), None),
        }
    } else {
        (1, sealed_len(rest, offset, seal.generation()).map(|len| FRAME_HEAD + len))
    }
}

/// Whether the part of a sector that lies in the stretch is all zeros.
fn has_unwritten_sector(file: &[u8], from: usize, to: usize) -> bool {
    let sectors = from / SECTOR..to.div_ceil(SECTOR);
    let mut parts = sectors.map(|sector| (sector * SECTOR).max(from)..((sector + 1) * SECTOR).min(to));
    parts.any(|part| file.get(part).is_some_and(|bytes| bytes.iter().all(|&byte| byte == 0)))
}

fn open_at(seal: &BlockSeal, file: &[u8], at: usize, plain: &mut Vec<u8>) -> Option<usize> {
    if seal.form() == Form::Sheets {
        return Some(at + sheet::open(seal, at as u64, file.get(at..)?, plain)?.len);
    }
    let len = sealed_len(file.get(at..)?, at as u64, seal.generation())?;
    let start = at + FRAME_HEAD;
    let sealed = file.get(start..start + len)?;
    seal.open_into(at as u64, sealed, plain).ok()?;
    Some(start + len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Entropy;
    use crate::seal::{Cipher, Place, Sealing, StoreId, StreamId, Vault};
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
        vault.new_block(place, Form::Brief, None, &Fixed).expect("sealed").0
    }

    fn block(seal: &BlockSeal, bodies: &[&[u8]]) -> (Vec<u8>, Vec<usize>) {
        let (mut file, mut starts) = (Vec::new(), Vec::new());
        for body in bodies {
            starts.push(file.len());
            append(seal, file.len() as u64, &mut file, |out| out.extend_from_slice(body));
        }
        (file, starts)
    }

    fn pieces(seal: &BlockSeal, file: &[u8]) -> Vec<Result<Vec<u8>, (u64, u64)>> {
        let mut seen = Vec::new();
        scan(seal, file, 0, |piece| {
            seen.push(match piece {
                Piece::Record { body, .. } => Ok(body.to_vec()),
                Piece::Damaged(Stretch { from, to, .. }) => Err((from, to)),
            });
        });
        seen
    }

    #[test]
    fn a_block_reads_back_in_order() {
        for cipher in Cipher::ALL {
            let seal = seal(cipher);
            let (file, _) = block(&seal, &[b"one", b"", b"three"]);
            assert_eq!(pieces(&seal, &file), [Ok(b"one".to_vec()), Ok(vec![]), Ok(b"three".to_vec())]);
        }
    }

    #[test]
    fn damage_costs_the_record_it_hits_and_no_other() {
        for cipher in Cipher::ALL {
            let seal = seal(cipher);
            let (file, starts) = block(&seal, &[b"one", b"two", b"three"]);
            for at in starts[1]..starts[2] {
                let mut hit = file.clone();
                hit[at] ^= 0x40;
                let lost = Err((starts[1] as u64, starts[2] as u64));
                assert_eq!(pieces(&seal, &hit), [Ok(b"one".to_vec()), lost, Ok(b"three".to_vec())], "{cipher} {at}");
            }
        }
    }

    #[test]
    fn a_cut_or_zeroed_tail_ends_the_block() {
        let seal = seal(Cipher::Aes);
        let (mut file, starts) = block(&seal, &[b"one", b"two"]);
        let cut = &file[..file.len() - 1];
        assert_eq!(pieces(&seal, cut), [Ok(b"one".to_vec()), Err((starts[1] as u64, cut.len() as u64))]);
        file[starts[1]..].fill(0);
        assert_eq!(pieces(&seal, &file), [Ok(b"one".to_vec())]);
    }

    fn stretches(seal: &BlockSeal, file: &[u8]) -> Vec<Stretch> {
        let mut seen = Vec::new();
        scan(seal, file, 0, |piece| {
            if let Piece::Damaged(stretch) = piece {
                seen.push(stretch);
            }
        });
        seen
    }

    #[test]
    fn what_was_written_whole_and_does_not_open_was_altered_and_not_torn() {
        for cipher in Cipher::ALL {
            let seal = seal(cipher);
            let (file, starts) = block(&seal, &[&[7; 900], &[8; 900], &[9; 900]]);
            // In any part of the last two records, heads and tags included; a last byte of zero would look unwritten.
            for at in (starts[1]..file.len() - 1).filter(|at| at % 13 == 0 || at - starts[1] < FRAME_HEAD) {
                let mut hit = file.clone();
                hit[at] ^= 0x04;
                let seen = stretches(&seal, &hit);
                assert!(seen.iter().all(|stretch| !stretch.may_be_torn), "{cipher} {at}: {seen:?}");
                assert_eq!(seen.iter().map(|stretch| stretch.records).sum::<u32>(), 1, "{cipher} {at}");
            }
            let mut both = file.clone();
            both[starts[1] + 20] ^= 1;
            both[starts[2] + 20] ^= 1;
            assert_eq!(stretches(&seal, &both).iter().map(|stretch| stretch.records).collect::<Vec<_>>(), [2]);
        }
    }

    #[test]
    fn what_was_cut_off_at_any_byte_or_sector_may_be_torn() {
        for cipher in Cipher::ALL {
            let seal = seal(cipher);
            let (file, starts) = block(&seal, &[&[7; 900], &[8; 900], &[9; 900]]);
            for len in (starts[1] + 1..file.len()).step_by(7) {
                let seen = stretches(&seal, &file[..len]);
                assert!(seen.iter().all(|stretch| stretch.may_be_torn), "{cipher} cut to {len}: {seen:?}");
                assert!(!seen.is_empty() || len == starts[2]);
            }
            // Sectors from the first sync on, which ended at the second record: any of them may be missing.
            let sectors = starts[1] / SECTOR..file.len().div_ceil(SECTOR);
            for mask in 0_usize..1 << sectors.len() {
                let mut torn = file.clone();
                for (_, sector) in sectors.clone().enumerate().filter(|(bit, _)| mask >> bit & 1 == 1) {
                    torn[(sector * SECTOR).max(starts[1])..((sector + 1) * SECTOR).min(file.len())].fill(0);
                }
                let seen = stretches(&seal, &torn);
                assert!(seen.iter().all(|stretch| stretch.may_be_torn), "{cipher} {mask:b}: {seen:?}");
            }
        }
    }

    #[test]
    fn swapped_records_do_not_open() {
        let seal = seal(Cipher::None);
        let (mut file, starts) = block(&seal, &[b"one", b"two", b"end"]);
        let (one, two) = (file[starts[0]..starts[1]].to_vec(), file[starts[1]..starts[2]].to_vec());
        file[starts[0]..starts[1]].copy_from_slice(&two);
        file[starts[1]..starts[2]].copy_from_slice(&one);
        assert_eq!(pieces(&seal, &file), [Err((0, starts[2] as u64)), Ok(b"end".to_vec())]);
    }
}
