//! Outbound queues: how staged bytes leave, in order, without a lock across a system call.
//!
//! All bytes for a peer pass through one queue under one lock; whoever sets `writing` owns the transport until it
//! clears it. Others append meanwhile, and the writer takes what they left before it goes. If the transport refuses
//! bytes, the owner of the connection is told when it takes bytes again; should that happen while somebody else is
//! still writing, `missed_edge` makes the writer try once more, so no wake-up is lost.

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use auth::ReplyGrants;
use moment::Instant;
use parking_lot::MutexGuard;
use wire::CloseReason;

use crate::buffers::ReadBuffers;
use crate::chunk::{Chunk, ChunkPool};
use crate::layer::{LayerError, Opener, Sealer};
use crate::link::{Link, QueueLimits};
use crate::links::replies::Asked;
use crate::mailbox::{ConnectionKey, Note};
use crate::sharing::latency_far::Handed;
use crate::stage::Staged;

/// Slices handed to one write.
const SLICES_MAX: usize = 128;

/// Publishers remembered as waiting for one link. Those beyond go on by their own timer.
const WAITERS_MAX: usize = 1024;

/// Bytes that wait for a peer, and who waits for them to go.
pub(crate) struct Queue {
    chunks: VecDeque<Chunk>,
    /// Bytes of the first chunk that have been sent.
    head_sent: usize,
    bytes: usize,
    limits: QueueLimits,
    writing: bool,
    missed_edge: bool,
    /// Why nothing may be sent any more.
    closed: Option<CloseReason>,
    waiters: Vec<ConnectionKey>,
    /// Lines that leave before anything that is staged from now on.
    lines: Vec<u8>,
    /// Bytes sent in all, and how far that must get by the deadline.
    sent_total: u64,
    deadline: Option<(Instant, u64)>,
    /// What had been sent when that deadline was set.
    sent_at_watch: u64,
    /// The writing half of TLS or another byte layer between the protocol and the transport.
    sealer: Option<Box<dyn Sealer>>,
    /// Replies that the peer may publish to because it was asked (`allow_responses`).
    pub(crate) reply_grants: Option<Box<ReplyGrants>>,
    /// Replies by which the peer was asked from other clusters.
    pub(crate) asked: Option<Box<Asked>>,
    /// Requests of other servers that the peer was handed and that are measured.
    pub(crate) handed: Option<Box<Handed>>,
}

/// What became of a flush.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flushed {
    /// Everything has left, or little enough waits.
    Fine,
    /// So much waits that publishers should pause.
    Stall,
    /// The peer is to be closed, or is closed already.
    Closed,
}

impl Queue {
    pub(crate) fn new(limits: QueueLimits) -> Self {
        Self {
            chunks: VecDeque::new(),
            head_sent: 0,
            bytes: 0,
            limits,
            writing: false,
            missed_edge: false,
            closed: None,
            waiters: Vec::new(),
            lines: Vec::new(),
            sent_total: 0,
            deadline: None,
            sent_at_watch: 0,
            sealer: None,
            reply_grants: None,
            asked: None,
            handed: None,
        }
    }

    pub(crate) fn pending_bytes(&self) -> usize {
        self.bytes
    }

    fn push(&mut self, chunk: Chunk) {
        self.bytes += chunk.len();
        self.chunks.push_back(chunk);
    }

    /// What was said first gets its place before what is staged.
    fn take_lines(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        match self.sealer.as_deref_mut() {
            None => self.push(Chunk::of(lines)),
            Some(sealer) => {
                let mut sealed = Vec::with_capacity(sealed_len(lines.len()));
                sealer.seal(&lines, &mut sealed);
                sealer.finish(&mut sealed);
                self.push(Chunk::of(sealed));
            }
        }
    }

    /// Whether the far end of this queue is so far behind that what comes now is to be left out.
    pub(crate) fn leaves_out(&self) -> bool {
        self.limits.never_stall && self.bytes >= self.limits.stall_bytes
    }

    /// What waits now must have gone by then.
    fn watch_until(&mut self, at: Instant) {
        self.deadline = Some((at, self.sent_total + self.bytes as u64));
        self.sent_at_watch = self.sent_total;
    }

    /// Publishers that may go on, once little enough waits.
    fn released(&mut self) -> Vec<ConnectionKey> {
        if self.bytes <= self.limits.resume_bytes { std::mem::take(&mut self.waiters) } else { Vec::new() }
    }

    fn wait(&mut self, publishers: &[ConnectionKey]) {
        for publisher in publishers {
            if self.waiters.len() < WAITERS_MAX && !self.waiters.contains(publisher) {
                self.waiters.push(*publisher);
            }
        }
    }

    /// Drops `sent` bytes from the front.
    fn advance(&mut self, mut sent: usize, pool: &mut ChunkPool) {
        self.bytes -= sent;
        self.sent_total += sent as u64;
        while let Some(head) = self.chunks.front() {
            let left = head.len() - self.head_sent;
            if sent < left {
                self.head_sent += sent;
                return;
            }
            sent -= left;
            self.head_sent = 0;
            if let Some(chunk) = self.chunks.pop_front() {
                pool.give(chunk);
            }
        }
    }
}

impl Link {
    /// Sends what is staged, or queues it behind what already waits.
    pub(crate) fn flush(self: &Arc<Self>, staged: &mut Staged, buffers: &ReadBuffers, pool: &mut ChunkPool) -> Flushed {
        let mut queue = self.queue.lock();
        if queue.closed.is_some() {
            return Flushed::Closed;
        }
        if !queue.lines.is_empty() {
            queue.take_lines();
        }
        if queue.leaves_out() && !staged.is_urgent() {
            return Flushed::Fine;
        }
        self.stats.out_msgs.fetch_add(staged.msgs, Ordering::Relaxed);
        self.stats.out_bytes.fetch_add(staged.bytes, Ordering::Relaxed);
        if let Some(grants) = queue.reply_grants.as_deref_mut() {
            staged.replies.drain(..).for_each(|(reply, now)| grants.record(&reply, now));
        }
        if queue.sealer.is_some() {
            self.seal(&mut queue, staged, buffers);
        } else if queue.writing || queue.bytes > 0 {
            staged.move_into(0, buffers, pool, &mut |chunk| queue.push(chunk));
        } else {
            queue = self.write_staged(queue, staged, buffers, pool);
        }
        self.settle(queue, &staged.publishers, pool)
    }

    /// Whole batches are sealed under the lock, so that records stay in order.
    fn seal(&self, queue: &mut Queue, staged: &Staged, buffers: &ReadBuffers) {
        let mut sealed = Vec::with_capacity(sealed_len(staged.len()));
        if let Some(sealer) = queue.sealer.as_deref_mut() {
            staged.for_each_slice(buffers, &mut |plain| sealer.seal(plain, &mut sealed));
            sealer.finish(&mut sealed);
        }
        queue.push(Chunk::of(sealed));
    }

    /// Says something before everything that is staged from now on. It leaves with the next flush, for which the caller
    /// cares. A peer that does not take its lines is a slow consumer like one that does not take its messages.
    pub(crate) fn say_first(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut queue = self.queue.lock();
        if queue.closed.is_some() {
            return;
        }
        write(&mut queue.lines);
        if queue.lines.len() + queue.bytes > queue.limits.max_pending_bytes {
            self.shut(&mut queue, CloseReason::SlowConsumerPendingBytes);
        }
    }

    /// From now on everything is sealed. What was sent before has left in the clear.
    pub(crate) fn set_sealer(&self, sealer: Box<dyn Sealer>) {
        self.queue.lock().sealer = Some(sealer);
    }

    /// The writing half of the layer that stands, for another link to the same peer.
    pub(crate) fn take_sealer(&self) -> Option<Box<dyn Sealer>> {
        self.queue.lock().sealer.take()
    }

    /// From now on everything passes this layer before it reaches the one that stands already.
    pub(crate) fn wrap_sealer(&self, wrap: impl FnOnce(Option<Box<dyn Sealer>>) -> Box<dyn Sealer>) {
        let mut queue = self.queue.lock();
        if !queue.lines.is_empty() {
            queue.take_lines();
        }
        let inner = queue.sealer.take();
        queue.sealer = Some(wrap(inner));
    }

    /// Opens what the transport delivered, and lets the sealer say what the opener asks for.
    pub(crate) fn open(
        self: &Arc<Self>,
        opener: &mut dyn Opener,
        wire: &[u8],
        plain: &mut Vec<u8>,
        pool: &mut ChunkPool,
    ) -> Result<bool, LayerError> {
        let opened = opener.open(wire, plain)?;
        if opened.answer {
            self.say_sealed(pool, |sealer, wire| sealer.answer(wire));
        }
        Ok(opened.closed)
    }

    /// Says something on the layer's own level.
    pub(crate) fn say_sealed(self: &Arc<Self>, pool: &mut ChunkPool, say: impl FnOnce(&mut dyn Sealer, &mut Vec<u8>)) {
        let mut queue = self.queue.lock();
        let mut wire = Vec::new();
        if queue.closed.is_some() {
            return;
        }
        if let Some(sealer) = queue.sealer.as_deref_mut() {
            say(sealer, &mut wire);
            queue.push(Chunk::of(wire));
            self.settle(queue, &[], pool);
        }
    }

    /// Writes staged bytes straight from the stage and the read buffers; keeps only what the transport refused.
    fn write_staged<'a>(
        &'a self,
        mut queue: MutexGuard<'a, Queue>,
        staged: &mut Staged,
        buffers: &ReadBuffers,
        pool: &mut ChunkPool,
    ) -> MutexGuard<'a, Queue> {
        queue.writing = true;
        queue.missed_edge = false;
        drop(queue);
        let total = staged.len();
        let mut sent = 0;
        let mut broken = false;
        while sent < total {
            match staged.write_from(sent, buffers, |slices| self.transport.write(slices)) {
                Ok(0) => broken = true,
                Ok(taken) => {
                    sent += taken;
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => broken = error.kind() != ErrorKind::WouldBlock,
            }
            break;
        }
        let mut queue = self.queue.lock();
        queue.writing = false;
        if queue.closed.is_some() {
            return queue;
        }
        queue.sent_total += sent as u64;
        if broken {
            self.shut(&mut queue, CloseReason::WriteError);
        } else if sent < total {
            let mut rest = Vec::new();
            staged.move_into(sent, buffers, pool, &mut |chunk| rest.push(chunk));
            for chunk in rest.into_iter().rev() {
                queue.bytes += chunk.len();
                queue.chunks.push_front(chunk);
            }
        }
        queue
    }

    /// Writes what waits, judges what is left, and lets go of the lock.
    fn settle<'a>(
        self: &'a Arc<Self>,
        mut queue: MutexGuard<'a, Queue>,
        publishers: &[ConnectionKey],
        pool: &mut ChunkPool,
    ) -> Flushed {
        queue = self.drain(queue, pool);
        if queue.closed.is_some() {
            return Flushed::Closed;
        }
        if queue.bytes > queue.limits.max_pending_bytes {
            self.shut(&mut queue, CloseReason::SlowConsumerPendingBytes);
            return Flushed::Closed;
        }
        let newly_pending = queue.bytes > 0 && !self.has_pending.swap(queue.bytes > 0, Ordering::AcqRel);
        if queue.bytes == 0 {
            self.has_pending.store(false, Ordering::Release);
        }
        let stall = queue.bytes > queue.limits.stall_bytes && !queue.limits.never_stall;
        if stall {
            self.stalls.fetch_add(publishers.len() as u64, Ordering::Relaxed);
            queue.wait(publishers);
        }
        let released = queue.released();
        drop(queue);
        self.tell(released);
        if newly_pending {
            self.post(self.key.worker, Note::Watch(self.key));
        }
        if stall { Flushed::Stall } else { Flushed::Fine }
    }

    fn tell(&self, released: Vec<ConnectionKey>) {
        for publisher in released {
            self.post(publisher.worker, Note::Resume(publisher));
        }
    }

    /// Writes pending bytes until none is left or the transport refuses. Does nothing while somebody else writes.
    fn drain<'a>(&'a self, mut queue: MutexGuard<'a, Queue>, pool: &mut ChunkPool) -> MutexGuard<'a, Queue> {
        if queue.writing {
            return queue;
        }
        queue.missed_edge = false;
        while queue.bytes > 0 && queue.closed.is_none() {
            let chunks = std::mem::take(&mut queue.chunks);
            let head_sent = queue.head_sent;
            queue.writing = true;
            drop(queue);
            let written = write_chunks(&chunks, head_sent, |slices| self.transport.write(slices));
            queue = self.queue.lock();
            queue.writing = false;
            // Whoever closed it meanwhile has dropped what waited, and counted it down.
            if queue.closed.is_some() {
                return queue;
            }
            // What others queued meanwhile comes after what was taken.
            let later = std::mem::replace(&mut queue.chunks, chunks);
            queue.chunks.extend(later);
            match written {
                Ok(0) => self.shut(&mut queue, CloseReason::WriteError),
                Ok(sent) => queue.advance(sent, pool),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if !std::mem::take(&mut queue.missed_edge) {
                        break;
                    }
                }
                Err(_) => self.shut(&mut queue, CloseReason::WriteError),
            }
        }
        queue
    }

    /// The transport takes bytes again: called by the owner.
    pub fn writable(self: &Arc<Self>, worker: &mut crate::Worker) {
        if !self.has_pending.load(Ordering::Acquire) {
            return;
        }
        let mut queue = self.queue.lock();
        if queue.writing {
            queue.missed_edge = true;
            return;
        }
        self.settle(queue, &[], worker.pool());
    }

    /// Whether the peer has let the write deadline pass; otherwise when to look again, if bytes wait.
    pub(crate) fn check_write_deadline(
        &self,
        now: Instant,
        write_deadline: Duration,
        retry: bool,
    ) -> Result<Option<Instant>, ()> {
        let mut queue = self.queue.lock();
        if queue.bytes == 0 {
            queue.deadline = None;
            return Ok(None);
        }
        match queue.deadline {
            Some((at, goal)) if queue.sent_total < goal => {
                if now >= at && retry && queue.sent_total > queue.sent_at_watch {
                    let next = now + write_deadline;
                    queue.watch_until(next);
                    return Ok(Some(next));
                }
                if now >= at {
                    self.shut(&mut queue, CloseReason::SlowConsumerWriteDeadline);
                    return Err(());
                }
                Ok(Some(at))
            }
            _ => {
                let at = now + write_deadline;
                queue.watch_until(at);
                Ok(Some(at))
            }
        }
    }

    /// Nothing is sent any more; the owner will read the end of the stream and clean up.
    fn shut(&self, queue: &mut Queue, reason: CloseReason) {
        if queue.closed.is_none() {
            queue.closed = Some(reason);
            queue.chunks.clear();
            queue.lines = Vec::new();
            queue.bytes = 0;
            queue.head_sent = 0;
            self.transport.shut_down();
            // Held-up publishers go on by their own timer.
            queue.waiters.clear();
        }
    }

    /// Closes the way out, from the owner's side. Pending bytes are dropped: what the transport took is sent.
    pub(crate) fn close(&self, reason: CloseReason) -> CloseReason {
        let mut queue = self.queue.lock();
        self.shut(&mut queue, reason);
        queue.closed.unwrap_or(reason)
    }

    /// Why the link was closed, if it was.
    pub fn closed(&self) -> Option<CloseReason> {
        self.queue.lock().closed
    }
}

/// A little more than records of 16 KiB add to a batch.
fn sealed_len(plain: usize) -> usize {
    plain + (plain / 16_384 + 1) * 40
}

/// One write of as many queued chunks as one call takes.
fn write_chunks(
    chunks: &VecDeque<Chunk>,
    head_sent: usize,
    write: impl FnOnce(&[IoSlice<'_>]) -> std::io::Result<usize>,
) -> std::io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
    let mut used = 0;
    for (slice, chunk) in slices.iter_mut().zip(chunks) {
        *slice = IoSlice::new(if used == 0 { &chunk.bytes()[head_sent..] } else { chunk.bytes() });
        used += 1;
    }
    write(&slices[..used])
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{OnceLock, Weak};

    use super::*;
    use crate::link::{LinkKind, LinkParts, QueueLimits, Slots, Transport};

    /// While bytes are written, the owner of the link closes it.
    struct Closing(Arc<OnceLock<Weak<Link>>>);

    impl Transport for Closing {
        fn write(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
            let link = self.0.get().and_then(Weak::upgrade).expect("the link is there");
            link.close(CloseReason::ClientClosed);
            Ok(bytes.iter().map(|slice| slice.len()).sum::<usize>() / 2)
        }

        fn shut_down(&self) {}
    }

    fn closing() -> Arc<Link> {
        let own = Arc::new(OnceLock::new());
        let parts = LinkParts {
            key: ConnectionKey { worker: 0, place: 0, id: 1 },
            kind: LinkKind::Client,
            carrier: crate::link::Carrier::Stream,
            address: ([127, 0, 0, 1], 1).into(),
            transport: Box::new(Closing(own.clone())),
            limits: QueueLimits::new(1 << 20, false),
            now: Instant::START,
        };
        let link = Link::new(parts, Vec::new().into(), Arc::<Slots>::default());
        own.set(Arc::downgrade(&link)).expect("once");
        link
    }

    #[test]
    fn a_link_that_is_closed_while_what_waits_is_written_is_closed_and_nothing_else() {
        let link = closing();
        let mut pool = ChunkPool::default();
        let mut queue = link.queue.lock();
        for _ in 0..3 {
            queue.push(Chunk::of(vec![b'x'; 1000]));
        }
        assert!(matches!(link.settle(queue, &[], &mut pool), Flushed::Closed));
        let queue = link.queue.lock();
        assert_eq!((queue.bytes, queue.chunks.len(), queue.writing), (0, 0, false));
        assert_eq!(queue.closed, Some(CloseReason::ClientClosed));
    }
}
