//! Memory for many small pieces: chunks that are filled one after the other and given back as a whole.
//!
//! A piece of its own for each message would cost a call of the allocator when it comes and another when it goes, and on a
//! thread other than the first that call is a system call every few messages.

/// Chunks begin with this and double up to the largest; a piece that is larger has a chunk of its own.
const CHUNK_MIN: usize = 4 * 1024;
const CHUNK_MAX: usize = 256 * 1024;
/// A chunk of which less than one half is in use is cleared out.
const SPARSE: usize = 2;
/// Pieces put into one chunk, so that a chunk of tiny ones does not remember more owners than bytes.
const MAX_OWNERS: usize = 16 * 1024;

/// Where a piece lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    chunk: u32,
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
    /// Those that were given back leave an empty place, which is among `free`.
    chunks: Vec<Option<Chunk>>,
    free: Vec<u32>,
    /// The one that is being filled.
    last: u32,
    next_size: usize,
    /// A chunk that was nearly empty when it was ended, and its owners.
    sparse: Option<(u32, Vec<u64>)>,
}

impl Chunks {
    /// Puts a piece down, given in parts. The caller has seen to it that it is shorter than four gigabytes, and asks
    /// [`Chunks::left_sparse`] afterwards.
    pub(crate) fn put(&mut self, owner: u64, parts: &[&[u8]]) -> Spot {
        let len = parts.iter().map(|part| part.len()).sum();
        let last = self.chunks.get(self.last as usize).and_then(Option::as_ref);
        let has_room =
            |chunk: &Chunk| chunk.bytes.capacity() - chunk.bytes.len() >= len && chunk.owners.len() < MAX_OWNERS;
        if !last.is_some_and(has_room) {
            self.begin(len);
        }
        let number = self.last;
        let Some(Some(chunk)) = self.chunks.get_mut(number as usize) else {
            unreachable!("there is a chunk with room")
        };
        let start = chunk.bytes.len();
        parts.iter().for_each(|part| chunk.bytes.extend_from_slice(part));
        chunk.used += len;
        chunk.owners.push(owner);
        let short = |bytes: usize| u32::try_from(bytes).expect("the length was checked");
        Spot { chunk: number, start: short(start), len: short(len) }
    }

    /// Begins a chunk that has room for a piece.
    fn begin(&mut self, len: usize) {
        self.end_last();
        let size = self.next_size.clamp(CHUNK_MIN, CHUNK_MAX).max(len);
        self.next_size = (2 * size).min(CHUNK_MAX);
        let chunk = Some(Chunk { bytes: Vec::with_capacity(size), used: 0, owners: Vec::new() });
        match self.free.pop() {
            Some(number) => {
                self.chunks[number as usize] = chunk;
                self.last = number;
            }
            None => {
                self.last = u32::try_from(self.chunks.len()).expect("each holds kilobytes");
                self.chunks.push(chunk);
            }
        }
    }

    /// No piece goes to the last chunk any more: it keeps no room that it does not need.
    fn end_last(&mut self) {
        let number = self.last;
        let Some(Some(chunk)) = self.chunks.get_mut(number as usize) else { return };
        if chunk.used == 0 {
            self.give_back(number);
        } else if chunk.used < chunk.bytes.len() / SPARSE {
            self.sparse = Some((number, std::mem::take(&mut chunk.owners)));
        } else if chunk.bytes.len() < chunk.bytes.capacity() / SPARSE {
            chunk.bytes.shrink_to_fit();
            chunk.owners.shrink_to_fit();
        }
    }

    fn give_back(&mut self, number: u32) {
        self.chunks[number as usize] = None;
        self.free.push(number);
    }

    /// A chunk that was ended nearly empty, as a spot in it, and the owners whose pieces should be moved out of it.
    pub(crate) fn left_sparse(&mut self) -> Option<(Spot, Vec<u64>)> {
        self.sparse.take().map(|(chunk, owners)| (Spot { chunk, start: 0, len: 0 }, owners))
    }

    /// A piece; nothing, if it was freed.
    pub(crate) fn get(&self, spot: Spot) -> &[u8] {
        let start = spot.start as usize;
        let chunk = self.chunks.get(spot.chunk as usize).and_then(Option::as_ref);
        chunk.and_then(|chunk| chunk.bytes.get(start..start + spot.len as usize)).unwrap_or_default()
    }

    /// A piece is not needed any more. Gives the owners whose pieces in the same chunk should be moved, which is nearly empty:
    /// each is put again and its old piece freed, and then the chunk is given back.
    pub(crate) fn free(&mut self, spot: Spot) -> Vec<u64> {
        let is_last = spot.chunk == self.last;
        let Some(Some(chunk)) = self.chunks.get_mut(spot.chunk as usize) else { return Vec::new() };
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
        self.give_back(spot.chunk);
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
        assert_eq!((chunks.chunks.iter().flatten().count(), chunks.get(spot)), (0, &[][..]));
        let next = chunks.put(2, &[b"a", b"b"]);
        assert_eq!(chunks.get(next), b"ab");
    }

    fn held(chunks: &Chunks) -> usize {
        chunks.chunks.iter().flatten().map(|chunk| chunk.bytes.capacity()).sum()
    }

    #[test]
    fn small_pieces_between_large_ones_that_go_keep_little() {
        let mut chunks = Chunks::default();
        for owner in 0..200 {
            chunks.put(2 * owner, &[b"small"]);
            let large = chunks.put(2 * owner + 1, &[&[7; CHUNK_MAX]]);
            assert!(chunks.free(large).is_empty() && chunks.left_sparse().is_none());
        }
        assert!(held(&chunks) <= 2 * CHUNK_MAX, "{} bytes", held(&chunks));
        assert!(chunks.chunks.len() <= 202, "{} places", chunks.chunks.len());
    }

    #[test]
    fn a_chunk_that_is_empty_when_it_is_ended_is_given_back() {
        let mut chunks = Chunks::default();
        for owner in 0..200 {
            let small = chunks.put(owner, &[b"small"]);
            chunks.free(small);
            let large = chunks.put(owner, &[&[7; CHUNK_MAX + 1]]);
            chunks.free(large);
        }
        assert!(held(&chunks) <= CHUNK_MAX && chunks.chunks.len() <= 2, "{} bytes", held(&chunks));
    }

    #[test]
    fn a_chunk_that_is_nearly_empty_when_it_is_ended_is_named() {
        let mut chunks = Chunks { next_size: CHUNK_MAX, ..Chunks::default() };
        let small = chunks.put(1, &[b"small"]);
        let large = chunks.put(2, &[&[7; CHUNK_MAX / 2]]);
        chunks.free(large);
        assert!(chunks.left_sparse().is_none());
        chunks.put(3, &[&[7; CHUNK_MAX / 2]]);
        let (spot, owners) = chunks.left_sparse().expect("one was ended");
        assert!(Chunks::are_together(spot, small) && owners.contains(&1));
        chunks.put(1, &[b"small"]);
        assert!(chunks.free(small).is_empty());
        assert_eq!(chunks.chunks.iter().flatten().count(), 1);
    }
}
