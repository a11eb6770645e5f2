//! Message ids that were seen lately.

use moment::Timestamp;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Longest message id that is remembered; a longer one is an ordinary header.
pub const MAX_ID_BYTES: usize = 4096;
/// Most ids of one stream at a time. Beyond, the oldest are forgotten before their window ends.
pub const MAX_IDS: usize = 4 * 1024 * 1024;

/// The dedupe window of one stream.
#[derive(Debug, Default)]
pub struct Dedupe {
    seqs: HashMap<Arc<[u8]>, u64>,
    order: VecDeque<(Timestamp, Arc<[u8]>)>,
    last: Option<Arc<[u8]>>,
}

impl Dedupe {
    /// The sequence under which this id was stored, if that was lately.
    pub fn seen(&self, id: &[u8]) -> Option<u64> {
        self.seqs.get(id).copied()
    }

    /// Remembers an id.
    pub fn note(&mut self, id: &[u8], seq: u64, at: Timestamp) {
        let id: Arc<[u8]> = id.into();
        self.seqs.insert(id.clone(), seq);
        self.order.push_back((at, id.clone()));
        self.last = Some(id);
        if self.order.len() > MAX_IDS {
            self.forget_oldest();
        }
    }

    /// The id of the last message stored; nothing when it had none.
    pub fn last(&self) -> &[u8] {
        self.last.as_deref().unwrap_or_default()
    }

    /// A message without id was stored.
    pub fn note_without_id(&mut self) {
        self.last = None;
    }

    /// Forgets what is older than the window.
    pub fn expire(&mut self, now: Timestamp, window: Duration) {
        while self.order.front().is_some_and(|(at, _)| now.since(*at) >= window) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, id)) = self.order.pop_front() {
            self.seqs.remove(&id);
        }
    }

    /// Ids remembered.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_remembered_for_its_window() {
        let mut dedupe = Dedupe::default();
        let at = Timestamp::from_secs;
        dedupe.note(b"a", 1, at(0));
        dedupe.note(b"b", 2, at(1));
        dedupe.expire(at(1), Duration::from_secs(2));
        assert_eq!((dedupe.seen(b"a"), dedupe.seen(b"b"), dedupe.last()), (Some(1), Some(2), &b"b"[..]));
        dedupe.expire(at(2), Duration::from_secs(2));
        assert_eq!((dedupe.seen(b"a"), dedupe.seen(b"b"), dedupe.len()), (None, Some(2), 1));
    }

    #[test]
    fn a_message_without_id_leaves_no_last_one() {
        let mut dedupe = Dedupe::default();
        dedupe.note(b"a", 1, Timestamp::EPOCH);
        dedupe.note_without_id();
        assert_eq!(dedupe.last(), b"");
    }
}
