//! What streams make of a message that is followed.
//!
//! A stream looks at it on another thread, after the message went everywhere. The report waits for that: it leaves when
//! whoever had something to add has said it, or has let go of the message without a word.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use moment::Timestamp;

use super::Told;
use super::event::{self, StreamEvent};
use super::request::{DESTINATION, DISABLED};
use crate::account_state::AccountState;
use crate::hub::Hub;

/// The part of a trace that a stream has to tell.
pub struct Follower {
    waiting: Arc<Waiting>,
    number: usize,
    only: bool,
}

/// What a stream made of a message.
#[derive(Clone, Copy, Debug)]
pub struct StreamPart<'a> {
    /// The stream.
    pub stream: &'a str,
    /// The subject the message has there; `None` if it did not come that far.
    pub subject: Option<&'a [u8]>,
    /// Nobody is interested in the message there.
    pub no_interest: bool,
    /// Why it was not taken.
    pub error: Option<&'a str>,
    /// When that was.
    pub at: Timestamp,
}

/// A report, and what is still to be added to it.
#[derive(Default)]
pub(super) struct Waiting(Mutex<State>);

#[derive(Default)]
struct State {
    /// What was told by each part, as far as it was.
    told: Vec<Option<Vec<u8>>>,
    /// Everything else, once the message went everywhere.
    rest: Option<Rest>,
}

pub(super) struct Rest {
    pub(super) hub: Arc<Hub>,
    pub(super) account: Arc<AccountState>,
    pub(super) told: Told,
}

impl Follower {
    /// The message is not to be stored, only looked at.
    pub fn is_only(&self) -> bool {
        self.only
    }

    /// What became of it.
    pub fn tell(&self, part: &StreamPart<'_>) {
        let StreamPart { stream, subject, no_interest, error, at } = *part;
        let event = StreamEvent { stream, subject: subject.unwrap_or_default(), no_interest, error };
        let mut bytes = Vec::new();
        event::stream(&mut bytes, &event, at);
        if let Some(told) = self.waiting.state().told.get_mut(self.number) {
            *told = Some(bytes);
        }
    }

    /// A block as it is stored: with the mark that it is not traced when it is delivered.
    pub fn stored_headers(&self, block: &[u8]) -> Vec<u8> {
        marked(block).unwrap_or_else(|| super::disabled(block))
    }
}

/// The block with the mark where its destination stands, if it has one.
fn marked(block: &[u8]) -> Option<Vec<u8>> {
    let mut at = 0;
    for line in block.split_inclusive(|&byte| byte == b'\n') {
        let value = line.strip_prefix(DESTINATION.as_bytes()).and_then(|rest| rest.strip_prefix(b":"));
        if value.is_some() {
            let (before, after) = (block.get(..at)?, block.get(at + line.len()..)?);
            return Some([before, DESTINATION.as_bytes(), b": ", DISABLED, b"\r\n", after].concat());
        }
        at += line.len();
    }
    None
}

impl Waiting {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is whole, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody more has something to add.
    pub(super) fn follower(self: &Arc<Self>, only: bool) -> Follower {
        let mut state = self.state();
        state.told.push(None);
        Follower { waiting: self.clone(), number: state.told.len() - 1, only }
    }

    /// The message went everywhere.
    pub(super) fn end(&self, rest: Rest) {
        self.state().rest = Some(rest);
    }
}

/// Nobody has anything to add any more.
impl Drop for Waiting {
    fn drop(&mut self) {
        let state = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Some(Rest { hub, account, told }) = state.rest.take() else { return };
        let events = std::mem::take(&mut state.told);
        let message = told.message(&hub, account, &events);
        hub.publish(vec![message]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_stands_where_the_destination_stood() {
        let block = b"NATS/1.0\r\nA: b\r\nNats-Trace-Dest:x\r\nC: d\r\n\r\n";
        let expected = b"NATS/1.0\r\nA: b\r\nNats-Trace-Dest: trace disabled\r\nC: d\r\n\r\n";
        assert_eq!(marked(block).as_deref(), Some(&expected[..]));
        assert_eq!(marked(b"NATS/1.0\r\nNats-Trace-Destination: x\r\n\r\n"), None);
        assert_eq!(marked(b""), None);
    }
}
