//! Memory for many small pieces: chunks that are filled one after the other and given back as a whole.
//!
//! A piece of its own for each message would cost a call of the allocator when it comes and another when it goes, and on a
//! thread other than the first that call is a system call every few messages.

use std::collections::VecDeque;

/// Chunks begin with this and double up to the largest; a piece that is larger has a chunk of its own.
const CHUNK_MIN: usize = 4 * 1024;
const CHUNK_MAX: usize = 256 * 1024;
/// A chunk of which less than one half is in use is cleared out.
const SPARSE: usize = 2;

/// Where a piece lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    chunk: u64,
    start: u32,
    len: u32,
}

#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    used: usize,
    /// Whose pieces were put here, moved and freed ones included.
    owners: Vec<u64>,
}

/// The chunks of one stream.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    /// By number from `base` on; those that were given back leave an empty place until they are the first.
    chunks: VecDeque<Option<Chunk>>,
    base: u64,
    next_size: usize,
}

impl Chunks {
    /// Puts a piece down, given in parts. The caller has seen to it that it is shorter than four gigabytes.
    pub(crate) fn put(&mut self, owner: u64, parts: &[&[u8]]) -> Spot {
        let len = parts.iter().map(|part| part.len()).sum();
        let has_room = |chunk: &Chunk| chunk.bytes.capacity() - chunk.bytes.len() >= len;
        if !self.chunks.back().is_some_and(|last| last.as_ref().is_some_and(has_room)) {
            let size = self.next_size.clamp(CHUNK_MIN, CHUNK_MAX).max(len);
            self.next_size = (2 * size).min(CHUNK_MAX);
            self.chunks.push_back(Some(Chunk { bytes: Vec::with_capacity(size), used: 0, owners: Vec::new() }));
        }
        let number = self.base + self.chunks.len() as u64 - 1;
        let Some(Some(chunk)) = self.chunks.back_mut() else { unreachable!("there is a chunk with room") };
        let start = chunk.bytes.len();
        parts.iter().for_each(|part| chunk.bytes.extend_from_slice(part));
        chunk.used += len;
        chunk.owners.push(owner);
        let short = |bytes: usize| u32::try_from(bytes).expect("the length was checked");
        Spot { chunk: number, start: short(start), len: short(len) }
    }

    /// A piece; nothing, if it was freed.
    pub(crate) fn get(&self, spot: Spot) -> &[u8] {
        let start = spot.start as usize;
        let chunk = self.chunk_at(spot).and_then(|at| self.chunks.get(at)?.as_ref());
        chunk.and_then(|chunk| chunk.bytes.get(start..start + spot.len as usize)).unwrap_or_default()
    }

    fn chunk_at(&self, spot: Spot) -> Option<usize> {
        usize::try_from(spot.chunk.checked_sub(self.base)?).ok()
    }

    /// A piece is not needed any more. Gives the owners whose pieces in the same chunk should be moved, which is nearly empty:
    /// each is put again and its old piece freed, and then the chunk is given back.
    pub(crate) fn free(&mut self, spot: Spot) -> Vec<u64> {
        let Some(at) = self.chunk_at(spot) else { return Vec::new() };
        let is_last = at + 1 == self.chunks.len();
        let Some(Some(chunk)) = self.chunks.get_mut(at) else { return Vec::new() };
        chunk.used -= spot.len as usize;
        if chunk.used > 0 {
            let is_sparse = !is_last && chunk.used < chunk.bytes.len() / SPARSE;
            return if is_sparse { std::mem::take(&mut chunk.owners) } else { Vec::new() };
        }
        if is_last && chunk.bytes.capacity() <= CHUNK_MAX {
            chunk.bytes.clear();
            chunk.owners.clear();
            return Vec::new();
        }
        self.chunks[at] = None;
        while self.chunks.front().is_some_and(Option::is_none) {
            self.chunks.pop_front();
            self.base += 1;
        }
        Vec::new()
    }

    /// Whether a piece lies in the same chunk as another.
    pub(crate) fn are_together(one: Spot, other: Spot) -> bool {
        one.chunk == other.chunk
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_stay_what_they_are_while_others_come_and_go() {
        let mut chunks = Chunks::default();
        let body = |owner: u64| vec![owner as u8; 100 + owner as usize % 7];
        let mut spots: Vec<Option<Spot>> = (0..5_000).map(|owner| Some(chunks.put(owner, &[&body(owner)]))).collect();
        // All but every tenth go, in an order that leaves chunks sparse.
        for owner in (0..5_000_u64).filter(|owner| owner % 10 != 0) {
            let Some(spot) = spots[owner as usize].take() else { continue };
            for neighbour in chunks.free(spot) {
                let Some(old) = spots[neighbour as usize].filter(|old| Chunks::are_together(*old, spot)) else {
                    continue;
                };
                let bytes = chunks.get(old).to_vec();
                spots[neighbour as usize] = Some(chunks.put(neighbour, &[&bytes]));
                assert!(chunks.free(old).is_empty(), "a chunk is cleared out once");
            }
        }
        for (owner, spot) in spots.iter().enumerate() {
            if let Some(spot) = spot {
                assert_eq!(chunks.get(*spot), body(owner as u64), "{owner}");
            }
        }
        let held: usize = chunks.chunks.iter().flatten().map(|chunk| chunk.bytes.capacity()).sum();
        let used: usize = chunks.chunks.iter().flatten().map(|chunk| chunk.used).sum();
        assert_eq!(used, spots.iter().flatten().map(|spot| spot.len as usize).sum::<usize>());
        assert!(held <= SPARSE * used + 2 * CHUNK_MAX, "{held} bytes for {used}");
    }

    #[test]
    fn a_large_piece_has_a_chunk_of_its_own_that_goes_with_it() {
        let mut chunks = Chunks::default();
        let spot = chunks.put(1, &[&[7; 600], &[8; CHUNK_MAX]]);
        assert_eq!(chunks.get(spot).len(), 600 + CHUNK_MAX);
        assert!(chunks.free(spot).is_empty());
        assert_eq!((chunks.chunks.len(), chunks.get(spot)), (0, &[][..]));
        let next = chunks.put(2, &[b"a", b"b"]);
        assert_eq!(chunks.get(next), b"ab");
    }
}
