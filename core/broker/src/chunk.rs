//! Chunks: the fixed pieces that staged and pending bytes are kept in.
//!
//! One growing buffer per target was measured to cost more than everything else together once it passed the size at
//! which the allocator gives memory back to the system after each use; pieces of one size are kept and used again.

/// The first chunk of a stage is small, so that one message to very many peers does not take very much memory.
pub(crate) const SMALL_CHUNK_BYTES: usize = 2 * 1024;

/// Further chunks. A TLS record and a burst of a hundred small messages fit; so does every message head together with
/// a payload that is copied.
pub(crate) const CHUNK_BYTES: usize = 16 * 1024;

/// How many idle chunks of each size a worker keeps (18 MiB at most).
const IDLE_CHUNKS_MAX: usize = 1024;

/// A piece of outgoing bytes.
#[derive(Default)]
pub(crate) struct Chunk {
    data: Vec<u8>,
    len: usize,
}

impl Chunk {
    /// An empty chunk with room for `bytes`.
    pub(crate) fn with_room(bytes: usize) -> Self {
        Self { data: vec![0; bytes], len: 0 }
    }

    /// A chunk that holds these bytes.
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        let len = bytes.len();
        Self { data: bytes, len }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.data[..self.len]
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Bytes the chunk takes in memory.
    pub(crate) fn room(&self) -> usize {
        self.data.len()
    }

    /// Takes the next `bytes` of room, or `None` if they do not fit.
    #[inline(always)]
    pub(crate) fn take_room(&mut self, bytes: usize) -> Option<&mut [u8]> {
        let start = self.len;
        let room = self.data.get_mut(start..start + bytes)?;
        self.len = start + bytes;
        Some(room)
    }

    /// Appends as many bytes as fit and returns the rest.
    pub(crate) fn fill<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let fits = bytes.len().min(self.data.len() - self.len);
        let (now, later) = bytes.split_at(fits);
        self.data[self.len..self.len + fits].copy_from_slice(now);
        self.len += fits;
        later
    }
}

/// A worker's idle chunks.
#[derive(Default)]
pub(crate) struct ChunkPool {
    small: Vec<Chunk>,
    large: Vec<Chunk>,
}

impl ChunkPool {
    /// A chunk to begin a stage with, with room for at least `bytes`.
    pub(crate) fn take_first(&mut self, bytes: usize) -> Chunk {
        if bytes > SMALL_CHUNK_BYTES {
            return self.take(bytes);
        }
        self.small.pop().unwrap_or_else(|| Chunk::with_room(SMALL_CHUNK_BYTES))
    }

    /// An empty chunk with room for at least `bytes`.
    pub(crate) fn take(&mut self, bytes: usize) -> Chunk {
        if bytes > CHUNK_BYTES {
            return Chunk::with_room(bytes);
        }
        self.large.pop().unwrap_or_else(|| Chunk::with_room(CHUNK_BYTES))
    }

    /// Gives a chunk back. Odd sizes and what is beyond the bound go back to the allocator.
    pub(crate) fn give(&mut self, mut chunk: Chunk) {
        let idle = match chunk.data.len() {
            SMALL_CHUNK_BYTES => &mut self.small,
            CHUNK_BYTES => &mut self.large,
            _ => return,
        };
        if idle.len() < IDLE_CHUNKS_MAX {
            chunk.len = 0;
            idle.push(chunk);
        }
    }

    /// Lets go of half of the idle chunks: called now and then, so that a burst does not stay in memory.
    pub(crate) fn shrink(&mut self) {
        for idle in [&mut self.small, &mut self.large] {
            let keep = idle.len() / 2;
            idle.truncate(keep);
            idle.shrink_to(keep);
        }
    }
}
