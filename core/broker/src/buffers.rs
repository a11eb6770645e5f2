//! Read buffers: what sockets are read into, and what staged payloads are borrowed from.
//!
//! A worker owns a handful of them. A buffer from which a payload was borrowed is *pinned* until the next flush; when
//! none is free, it is time to flush.

/// Size of a read buffer: one read takes up to about 850 messages of 128 bytes.
pub const READ_BUFFER_BYTES: usize = 128 * 1024;

/// Read buffers of one worker.
pub const READ_BUFFERS_MAX: usize = 16;

/// Names one buffer of a worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BufferId(u32);

struct Buffer {
    bytes: Vec<u8>,
    pinned: bool,
}

/// The read buffers of one worker.
#[derive(Default)]
pub struct ReadBuffers {
    pooled: Vec<Buffer>,
    /// Buffers lent by connections for a message larger than a pooled buffer. Dropped at the next flush.
    lent: Vec<Vec<u8>>,
    /// Lent buffers that came back, for the next message that needs one, and what they take.
    spare: Vec<Vec<u8>>,
    spare_bytes: usize,
}

/// Bytes of spare buffers kept: as many as are lent between two flushes, so that large messages of a stream are not given new
/// memory each, which the allocator would take from the system and give back every time.
const SPARE_BYTES_MAX: usize = 1024 * 1024;

impl ReadBuffers {
    /// A buffer that nothing is borrowed from, or `None`: flush first.
    pub fn free(&mut self) -> Option<BufferId> {
        if let Some(at) = self.pooled.iter().position(|buffer| !buffer.pinned) {
            return Some(BufferId(at as u32));
        }
        if self.pooled.len() == READ_BUFFERS_MAX {
            return None;
        }
        self.pooled.push(Buffer { bytes: vec![0; READ_BUFFER_BYTES], pinned: false });
        Some(BufferId(self.pooled.len() as u32 - 1))
    }

    /// Takes in a buffer of a connection until the next flush.
    pub(crate) fn lend(&mut self, bytes: Vec<u8>) -> BufferId {
        self.lent.push(bytes);
        BufferId((READ_BUFFERS_MAX + self.lent.len() - 1) as u32)
    }

    /// A pooled buffer itself, to be taken out for a moment and put back.
    pub(crate) fn whole_mut(&mut self, id: BufferId) -> &mut Vec<u8> {
        &mut self.pooled[id.0 as usize].bytes
    }

    /// An empty buffer to be filled and lent.
    pub(crate) fn blank(&mut self) -> Vec<u8> {
        let blank = self.spare.pop().unwrap_or_default();
        self.spare_bytes -= blank.capacity();
        blank
    }

    /// Lets go of half of the spare buffers: called now and then, so that a burst does not stay in memory.
    pub(crate) fn shrink(&mut self) {
        self.spare.truncate(self.spare.len() / 2);
        self.spare.shrink_to_fit();
        self.spare_bytes = self.spare.iter().map(Vec::capacity).sum();
    }

    /// The bytes of a buffer, to read into.
    pub fn bytes_mut(&mut self, id: BufferId) -> &mut [u8] {
        match (id.0 as usize).checked_sub(READ_BUFFERS_MAX) {
            None => &mut self.pooled[id.0 as usize].bytes,
            Some(lent) => &mut self.lent[lent],
        }
    }

    /// The bytes of a buffer.
    pub fn bytes(&self, id: BufferId) -> &[u8] {
        match (id.0 as usize).checked_sub(READ_BUFFERS_MAX) {
            None => &self.pooled[id.0 as usize].bytes,
            Some(lent) => &self.lent[lent],
        }
    }

    /// Something staged borrows from this buffer: it may not be read into before the next flush.
    pub(crate) fn pin(&mut self, id: BufferId) {
        if let Some(buffer) = self.pooled.get_mut(id.0 as usize) {
            buffer.pinned = true;
        }
    }

    /// Everything staged has left: all buffers are free again.
    pub(crate) fn unpin_all(&mut self) {
        self.pooled.iter_mut().for_each(|buffer| buffer.pinned = false);
        for mut buffer in self.lent.drain(..) {
            if self.spare_bytes + buffer.capacity() <= SPARE_BYTES_MAX {
                buffer.clear();
                self.spare_bytes += buffer.capacity();
                self.spare.push(buffer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lent_buffers_come_back_up_to_a_bound_and_are_let_go_of_in_the_end() {
        let mut buffers = ReadBuffers::default();
        for round in 0..3 {
            let made: Vec<Vec<u8>> = (0..SPARE_BYTES_MAX / 2048 + 8).map(|_| buffers.blank()).collect();
            let used = made.iter().filter(|blank| blank.capacity() > 0).count();
            assert_eq!(used, if round == 0 { 0 } else { SPARE_BYTES_MAX / 2048 });
            for mut blank in made {
                blank.reserve_exact(2048);
                blank.extend_from_slice(b"a message");
                buffers.lend(blank);
            }
            buffers.unpin_all();
            assert!(buffers.spare.iter().all(Vec::is_empty));
            assert_eq!(buffers.spare_bytes, SPARE_BYTES_MAX);
        }
        for _ in 0..12 {
            buffers.shrink();
            assert_eq!(buffers.spare_bytes, buffers.spare.len() * 2048);
        }
        assert_eq!(buffers.spare_bytes, 0);
        // One that is larger than all together is not kept.
        buffers.lend(Vec::with_capacity(SPARE_BYTES_MAX + 1));
        buffers.unpin_all();
        assert_eq!((buffers.spare_bytes, buffers.blank().capacity()), (0, 0));
    }
}
