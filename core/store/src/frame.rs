//! Frames: how sealed records stand one behind the other in a block, and how they are found again in a damaged one.
//!
//! ```text
//! len u32 | check u32 | sealed record, len bytes (the last 16 are the tag)
//! ```
//!
//! `check` is taken over the length, the offset and the generation. It is no protection (the tag is), it makes it cheap
//! to find the next frame behind a damaged stretch: any offset whose check fits is tried, and the tag decides.

use crate::seal::{BlockSeal, TAG_LEN};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Bytes of a frame before the sealed record.
pub(crate) const FRAME_HEAD: usize = 8;
/// Bytes a frame adds to the plain record.
pub(crate) const FRAME_OVERHEAD: usize = FRAME_HEAD + TAG_LEN;
/// No record is longer: the largest payload a server may allow, its headers and subject, and our fields.
pub(crate) const MAX_SEALED: usize = 64 * 1024 * 1024 + 256 * 1024;

fn check(offset: u64, len: u32, generation: u64) -> u32 {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&offset.to_le_bytes());
    bytes[8..].copy_from_slice(&len.to_le_bytes());
    xxh3_64_with_seed(&bytes, generation) as u32
}

/// Appends a frame that will lie at `offset`; `write` appends the plain record.
pub(crate) fn append(seal: &BlockSeal, offset: u64, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEAD]);
    write(out);
    let plain_len = out.len() - start - FRAME_HEAD;
    seal.seal(offset, out, start + FRAME_HEAD);
    let len = u32::try_from(plain_len + TAG_LEN).expect("records are bounded far below 4 GiB");
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
    out[start + 4..start + 8].copy_from_slice(&check(offset, len, seal.generation()).to_le_bytes());
}

/// The sealed length that a frame head at `offset` claims, if its check fits.
pub(crate) fn sealed_len(head: &[u8], offset: u64, generation: u64) -> Option<usize> {
    let (len, sum) = (head.get(..4)?, head.get(4..8)?);
    let len = u32::from_le_bytes(len.try_into().ok()?);
    let sum = u32::from_le_bytes(sum.try_into().ok()?);
    let fits = sum == check(offset, len, generation) && (TAG_LEN..=MAX_SEALED).contains(&(len as usize));
    fits.then_some(len as usize)
}

/// One piece of a scanned block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// A record that opened.
    Record { offset: u64, end: u64, body: &'a [u8] },
    /// A stretch in which nothing opens.
    Damaged { from: u64, to: u64 },
}

/// Walks all frames of a block from `from` to the end of `file`, skipping what does not open. Zeros up to the end of the
/// file are its end, not damage: space that was given to the file but never written.
pub(crate) fn scan(seal: &BlockSeal, file: &[u8], from: u64, mut visit: impl FnMut(Piece<'_>)) {
    let mut plain = Vec::new();
    let mut at = from as usize;
    while at < file.len() {
        if let Some(end) = open_at(seal, file, at, &mut plain) {
            visit(Piece::Record { offset: at as u64, end: end as u64, body: &plain });
            at = end;
            continue;
        }
        if file[at..].iter().all(|&byte| byte == 0) {
            return;
        }
        let next = (at + 1..file.len()).find(|&next| open_at(seal, file, next, &mut plain).is_some());
        let to = next.unwrap_or(file.len());
        visit(Piece::Damaged { from: at as u64, to: to as u64 });
        at = to;
    }
}

fn open_at(seal: &BlockSeal, file: &[u8], at: usize, plain: &mut Vec<u8>) -> Option<usize> {
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
    use crate::seal::{Cipher, Sealing, StoreId, StreamId, Vault};
    use secret::Secret;

    struct Fixed;
    impl Entropy for Fixed {
        fn fill(&self, into: &mut [u8]) {
            into.fill(42);
        }
    }

    fn seal(cipher: Cipher) -> BlockSeal {
        let sealing = Sealing { cipher, key: Some(Secret::from("k")), previous_key: None };
        Vault::new(StoreId([1; 16]), &sealing).expect("complete").new_block(StreamId(1), 1, &Fixed).0
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
                Piece::Damaged { from, to } => Err((from, to)),
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
