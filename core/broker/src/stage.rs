//! Staging: what a worker has to say to each link, gathered until the end of the batch.
//!
//! One lock and one write per link and batch is what makes fan-out cheap; so a message is first laid out here, in
//! memory that only this worker touches. Payloads from [`BORROW_BYTES`] on are not copied: the stage notes where
//! they lie in the read buffer, which stays pinned until the flush.

use std::io::{self, IoSlice};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use moment::Instant;
use wire::CloseReason;

use crate::buffers::{BufferId, ReadBuffers};
use crate::chunk::{Chunk, ChunkPool};
use crate::link::Link;
use crate::mailbox::ConnectionKey;
use crate::outbound::Flushed;
use crate::protocol_log::ProtocolLog;

/// Payloads from this size on are borrowed from the read buffer. Measured: an extra slice per write costs about as
/// much as copying this many bytes.
pub(crate) const BORROW_BYTES: usize = 1024;

/// A worker flushes when its stages take this much memory.
const STAGED_BYTES_MAX: usize = 32 << 20;

/// Slices handed to one write.
const SLICES_MAX: usize = 256;

/// "No stage" in the table of stages by slot.
const NONE: u32 = u32::MAX;

/// Bytes of a read buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Borrowed {
    pub(crate) buffer: BufferId,
    pub(crate) start: usize,
    pub(crate) len: usize,
}

/// Borrowed bytes and where they belong: behind `offset` bytes of chunk number `chunk`.
struct Mark {
    chunk: usize,
    offset: usize,
    borrowed: Borrowed,
}

/// What is to be sent to one link.
#[derive(Default)]
pub(crate) struct Staged {
    link: Option<Arc<Link>>,
    chunks: Vec<Chunk>,
    marks: Vec<Mark>,
    borrowed_bytes: usize,
    /// Protocol lines are in it, not just messages.
    urgent: bool,
    /// Messages and their bytes, for the statistics.
    pub(crate) msgs: u64,
    pub(crate) bytes: u64,
    /// Connections whose messages these are: they pause when the link falls behind.
    pub(crate) publishers: Vec<ConnectionKey>,
    /// Replies of requests in here that the peer is to be allowed to answer.
    pub(crate) replies: Vec<(Box<[u8]>, Instant)>,
}

impl Staged {
    pub(crate) fn len(&self) -> usize {
        self.chunks.iter().map(Chunk::len).sum::<usize>() + self.borrowed_bytes
    }

    pub(crate) fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// Room for the next `bytes`, and how much memory was taken for it.
    #[inline(always)]
    fn room(&mut self, bytes: usize, pool: &mut ChunkPool, taken: &mut usize) -> &mut [u8] {
        let last = self.chunks.len().wrapping_sub(1);
        // Asked twice for the borrow checker; the second question is free.
        let fits = self.chunks.get(last).is_some_and(|chunk| chunk.room() - chunk.len() >= bytes);
        if !fits {
            self.add_chunk(bytes, pool, taken);
        }
        let last = self.chunks.len() - 1;
        self.chunks[last].take_room(bytes).expect("a chunk with room was made")
    }

    #[cold]
    fn add_chunk(&mut self, bytes: usize, pool: &mut ChunkPool, taken: &mut usize) {
        let chunk = if self.chunks.is_empty() { pool.take_first(bytes) } else { pool.take(bytes) };
        *taken += chunk.room();
        self.chunks.push(chunk);
    }

    fn borrow(&mut self, borrowed: Borrowed) {
        let chunk = self.chunks.len() - 1;
        self.marks.push(Mark { chunk, offset: self.chunks[chunk].len(), borrowed });
        self.borrowed_bytes += borrowed.len;
    }

    /// All bytes in order, in pieces, until `each` says `false`.
    fn walk<'a>(&'a self, buffers: &'a ReadBuffers, mut each: impl FnMut(&'a [u8]) -> bool) {
        let mut marks = self.marks.iter().peekable();
        for (number, chunk) in self.chunks.iter().enumerate() {
            let mut at = 0;
            while let Some(mark) = marks.next_if(|mark| mark.chunk == number) {
                let Borrowed { buffer, start, len } = mark.borrowed;
                let own = &chunk.bytes()[at..mark.offset];
                if !each(own) || !each(&buffers.bytes(buffer)[start..start + len]) {
                    return;
                }
                at = mark.offset;
            }
            if !each(&chunk.bytes()[at..]) {
                return;
            }
        }
    }

    /// All bytes in order, in pieces.
    pub(crate) fn for_each_slice(&self, buffers: &ReadBuffers, each: &mut dyn FnMut(&[u8])) {
        self.walk(buffers, |slice| {
            each(slice);
            true
        });
    }

    /// One write of what follows the first `sent` bytes, as far as it fits into one call.
    pub(crate) fn write_from(
        &self,
        mut sent: usize,
        buffers: &ReadBuffers,
        write: impl FnOnce(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut used = 0;
        self.walk(buffers, |slice| {
            if slice.len() <= sent {
                sent -= slice.len();
                return true;
            }
            slices[used] = IoSlice::new(&slice[sent..]);
            sent = 0;
            used += 1;
            used < SLICES_MAX
        });
        write(&slices[..used])
    }

    /// Hands over what follows the first `sent` bytes as chunks of its own: whole chunks are moved, pieces copied.
    pub(crate) fn move_into(
        &mut self,
        sent: usize,
        buffers: &ReadBuffers,
        pool: &mut ChunkPool,
        push: &mut dyn FnMut(Chunk),
    ) {
        if self.marks.is_empty() && sent == 0 {
            return self.chunks.drain(..).for_each(push);
        }
        let mut skip = sent;
        let mut open: Option<Chunk> = None;
        self.walk(buffers, |slice| {
            let skipped = skip.min(slice.len());
            skip -= skipped;
            let mut rest = &slice[skipped..];
            while !rest.is_empty() {
                rest = open.get_or_insert_with(|| pool.take(0)).fill(rest);
                if !rest.is_empty() {
                    open.take().into_iter().for_each(&mut *push);
                }
            }
            true
        });
        open.into_iter().for_each(push);
    }

    fn clear(&mut self, pool: &mut ChunkPool) {
        self.link = None;
        self.chunks.drain(..).for_each(|chunk| pool.give(chunk));
        self.marks.clear();
        self.publishers.clear();
        self.replies.clear();
        self.borrowed_bytes = 0;
        self.urgent = false;
        self.msgs = 0;
        self.bytes = 0;
    }
}

/// A message as the stage wants it: what is the same for every target of one kind.
#[derive(Clone, Copy)]
pub(crate) struct Laid<'a> {
    /// `[reply ][header-size ]size CRLF`.
    pub(crate) tail: &'a [u8],
    /// Header block and payload, with CRLF behind.
    pub(crate) body: &'a [u8],
    /// Where the body lies, if it is to be borrowed.
    pub(crate) borrowed: Option<Borrowed>,
    /// Bytes that count in statistics: header block and payload.
    pub(crate) counted: u64,
}

/// The stages of one worker.
#[derive(Default)]
pub(crate) struct Stages {
    of_slot: Vec<u32>,
    staged: Vec<Staged>,
    used: usize,
    taken: usize,
    pub(crate) pool: ChunkPool,
    /// The time of the round.
    pub(crate) now: Instant,
    /// Hears what is said, while somebody wants to see protocol lines.
    pub(crate) log: Option<Arc<ProtocolLog>>,
}

impl Stages {
    /// The stage of a link, opened if it is not open yet.
    #[inline(always)]
    fn open(&mut self, slot: u32, link: &Arc<Link>) -> usize {
        match self.of_slot.get(slot as usize) {
            Some(&stage) if stage != NONE => stage as usize,
            _ => self.open_new(link),
        }
    }

    #[cold]
    fn open_new(&mut self, link: &Arc<Link>) -> usize {
        let slot = link.slot as usize;
        if slot >= self.of_slot.len() {
            self.of_slot.resize(slot + 64, NONE);
        }
        if self.used == self.staged.len() {
            self.staged.push(Staged::default());
        }
        self.of_slot[slot] = self.used as u32;
        self.staged[self.used].link = Some(link.clone());
        self.used += 1;
        self.used - 1
    }

    /// Stages one message: `head`, then the laid-out rest.
    #[inline(always)]
    pub(crate) fn message(&mut self, slot: u32, link: &Arc<Link>, publisher: &Link, head: &[u8], laid: &Laid<'_>) {
        let stage = self.open(slot, link);
        let Self { staged, pool, taken, .. } = self;
        let staged = &mut staged[stage];
        staged.msgs += 1;
        staged.bytes += laid.counted;
        if staged.publishers.last().is_none_or(|last| last.id != publisher.key.id) {
            staged.publishers.push(publisher.key);
        }
        match laid.borrowed {
            None => lay(staged.room(head.len() + laid.tail.len() + laid.body.len(), pool, taken), head, laid),
            Some(borrowed) => {
                let room = staged.room(head.len() + laid.tail.len(), pool, taken);
                let (first, second) = room.split_at_mut(head.len());
                first.copy_from_slice(head);
                second.copy_from_slice(laid.tail);
                staged.borrow(borrowed);
            }
        }
    }

    /// The link has something to say of its own: it is flushed with the others.
    pub(crate) fn touch(&mut self, link: &Arc<Link>) {
        self.open(link.slot, link);
    }

    /// Notes that the peer may answer to this reply, once the message is on its way.
    pub(crate) fn grant_reply(&mut self, link: &Arc<Link>, reply: &[u8], now: Instant) {
        let stage = self.open(link.slot, link);
        self.staged[stage].replies.push((reply.into(), now));
    }

    /// Stages protocol bytes that are no message.
    pub(crate) fn line(&mut self, link: &Arc<Link>, bytes: &[u8]) {
        if let Some(log) = &self.log {
            log.line_out(link, bytes);
        }
        let stage = self.open(link.slot, link);
        let Self { staged, pool, taken, .. } = self;
        staged[stage].urgent = true;
        staged[stage].room(bytes.len(), pool, taken).copy_from_slice(bytes);
    }

    /// Whether so much is staged that it is time to flush.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.taken >= STAGED_BYTES_MAX
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Sends everything. `stalled` hears the publishers of links that fell behind.
    pub(crate) fn flush(&mut self, buffers: &ReadBuffers, stalled: &mut dyn FnMut(&[ConnectionKey])) {
        for staged in &mut self.staged[..self.used] {
            if let Some(link) = staged.link.take() {
                self.of_slot[link.slot as usize] = NONE;
                if staged.msgs > 0 {
                    link.stats.last_activity.store(self.now.as_nanos(), Ordering::Relaxed);
                }
                // A panic costs this link, and no other.
                let flush = AssertUnwindSafe(|| link.flush(staged, buffers, &mut self.pool));
                match catch_unwind(flush) {
                    Ok(Flushed::Stall) => stalled(&staged.publishers),
                    Ok(Flushed::Fine | Flushed::Closed) => {}
                    Err(_) => drop(link.close(CloseReason::Unknown)),
                }
            }
            staged.clear(&mut self.pool);
        }
        self.used = 0;
        self.taken = 0;
    }
}

/// Lays head, tail and body into their room.
#[inline(always)]
fn lay(room: &mut [u8], head: &[u8], laid: &Laid<'_>) {
    let (first, rest) = room.split_at_mut(head.len());
    let (second, third) = rest.split_at_mut(laid.tail.len());
    first.copy_from_slice(head);
    second.copy_from_slice(laid.tail);
    third.copy_from_slice(laid.body);
}
