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
    /// Lent buffers that came back, for the next message that needs one.
    spare: Vec<Vec<u8>>,
}

/// Spare buffers kept, and how large they may be.
const SPARES_MAX: usize = 4;
const SPARE_BYTES_MAX: usize = 256 * 1024;

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
        self.spare.pop().unwrap_or_default()
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
            if self.spare.len() < SPARES_MAX && buffer.capacity() <= SPARE_BYTES_MAX {
                buffer.clear();
                self.spare.push(buffer);
            }
        }
    }
}
