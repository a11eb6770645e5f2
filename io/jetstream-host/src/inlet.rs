//! The queue between the broker's workers and the host's thread.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// Messages that may wait.
pub const MAX_QUEUED_MESSAGES: usize = 100_000;
/// Bytes that may wait.
pub const MAX_QUEUED_BYTES: usize = 128 * 1024 * 1024;

/// A message on its way to the host. One buffer holds all its parts.
#[derive(Clone, Debug)]
pub struct Message {
    account: Arc<str>,
    bytes: Box<[u8]>,
    subject: usize,
    reply: Option<Range<usize>>,
    headers: Range<usize>,
}

impl Message {
    /// Copies the parts.
    pub fn new(account: &Arc<str>, subject: &[u8], reply: Option<&[u8]>, headers: &[u8], payload: &[u8]) -> Message {
        let reply_bytes = reply.unwrap_or_default();
        let bytes = [subject, reply_bytes, headers, payload].concat().into_boxed_slice();
        let headers_at = subject.len() + reply_bytes.len();
        Message {
            account: account.clone(),
            bytes,
            subject: subject.len(),
            reply: reply.map(|reply| subject.len()..subject.len() + reply.len()),
            headers: headers_at..headers_at + headers.len(),
        }
    }

    /// The account.
    pub fn account(&self) -> &Arc<str> {
        &self.account
    }

    /// The message, as streams take it.
    pub fn incoming(&self) -> jetstream::Incoming<'_> {
        jetstream::Incoming {
            subject: &self.bytes[..self.subject],
            reply: self.reply.clone().map(|reply| &self.bytes[reply]),
            headers: &self.bytes[self.headers.clone()],
            payload: &self.bytes[self.headers.end..],
        }
    }

    fn weight(&self) -> usize {
        self.bytes.len() + size_of::<Message>()
    }
}

/// The queue is full: the host is behind, and this message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

#[derive(Default)]
struct Queue {
    messages: VecDeque<Message>,
    bytes: usize,
    dropped: u64,
    is_closed: bool,
    /// Something else than a message wants the thread.
    is_poked: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    arrived: Condvar,
}

/// Where the broker hands messages in. Cheap to clone.
#[derive(Clone, Default)]
pub struct Inlet(Arc<Shared>);

/// What woke the thread.
pub(crate) struct Arrived {
    pub messages: Vec<Message>,
    pub is_closed: bool,
}

impl Inlet {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // The queue is valid after each statement, so a panic elsewhere does not make it unusable.
        self.0.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Hands a message in. Never blocks.
    pub fn deliver(
        &self,
        account: &Arc<str>,
        subject: &[u8],
        reply: Option<&[u8]>,
        headers: &[u8],
        payload: &[u8],
    ) -> Result<(), Full> {
        self.take(Message::new(account, subject, reply, headers, payload))
    }

    /// Hands a message in. Never blocks.
    pub fn take(&self, message: Message) -> Result<(), Full> {
        let mut queue = self.queue();
        let is_full = queue.messages.len() >= MAX_QUEUED_MESSAGES || queue.bytes + message.weight() > MAX_QUEUED_BYTES;
        if is_full || queue.is_closed {
            queue.dropped += 1;
            return Err(Full);
        }
        queue.bytes += message.weight();
        queue.messages.push_back(message);
        let is_first = queue.messages.len() == 1;
        drop(queue);
        if is_first {
            self.0.arrived.notify_one();
        }
        Ok(())
    }

    /// Messages that were not taken so far.
    pub fn dropped(&self) -> u64 {
        self.queue().dropped
    }

    /// Messages that wait.
    pub fn len(&self) -> usize {
        self.queue().messages.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Wakes the thread.
    pub(crate) fn poke(&self) {
        self.queue().is_poked = true;
        self.0.arrived.notify_one();
    }

    /// Takes no more messages and lets the thread come to its end.
    pub(crate) fn close(&self) {
        self.queue().is_closed = true;
        self.0.arrived.notify_one();
    }

    /// Waits for messages, for a poke, or for the time to pass, and takes up to `max` messages.
    pub(crate) fn wait(&self, at_most: Duration, max: usize) -> Arrived {
        let idle = |queue: &mut Queue| queue.messages.is_empty() && !queue.is_closed && !queue.is_poked;
        let waited = self.0.arrived.wait_timeout_while(self.queue(), at_most, idle);
        let mut queue = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        queue.is_poked = false;
        let count = queue.messages.len().min(max);
        let messages: Vec<Message> = queue.messages.drain(..count).collect();
        queue.bytes -= messages.iter().map(Message::weight).sum::<usize>();
        Arrived { is_closed: queue.is_closed && queue.messages.is_empty(), messages }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_keeps_its_parts() {
        let account: Arc<str> = "A".into();
        let message = Message::new(&account, b"a.b", Some(b"_INBOX.1"), b"NATS/1.0\r\n\r\n", b"body");
        let parts = message.incoming();
        assert_eq!((parts.subject, parts.reply), (&b"a.b"[..], Some(&b"_INBOX.1"[..])));
        assert_eq!((parts.headers, parts.payload), (&b"NATS/1.0\r\n\r\n"[..], &b"body"[..]));
        let bare = Message::new(&account, b"a", None, b"", b"");
        assert_eq!((bare.incoming().reply, bare.incoming().payload), (None, &b""[..]));
    }

    #[test]
    fn a_full_queue_takes_nothing_and_counts_it() {
        let (inlet, account) = (Inlet::default(), "A".into());
        let big = vec![0; MAX_QUEUED_BYTES / 2];
        assert_eq!(inlet.deliver(&account, b"a", None, b"", &big), Ok(()));
        assert_eq!(inlet.deliver(&account, b"a", None, b"", &big), Err(Full));
        assert_eq!((inlet.len(), inlet.dropped()), (1, 1));
        assert_eq!(inlet.wait(Duration::ZERO, 10).messages.len(), 1);
        assert_eq!(inlet.deliver(&account, b"a", None, b"", &big), Ok(()));
    }
}
