//! Mailboxes: how one worker, or a thread beside the workers, tells another worker something.

use std::sync::Arc;

use account::AccountId;
use parking_lot::Mutex;
use wire::CloseReason;

use crate::login::LoginOutcome;

/// Names a connection of a worker: its place there, and its id, so that a late note never meets a successor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectionKey {
    /// The worker that reads the connection.
    pub worker: u16,
    /// Its place among the connections of that worker.
    pub place: u32,
    /// The connection id.
    pub id: u64,
}

/// Something to be done with a connection by the worker that owns it.
pub type Action = Box<dyn FnOnce(&mut crate::Hands<'_>) -> crate::Step + Send>;

/// What a worker can be told.
pub enum Note {
    /// The target that held this publisher up has drained.
    Resume(ConnectionKey),
    /// Bytes wait for this connection: watch its write deadline.
    Watch(ConnectionKey),
    /// A subscription of this connection got its last message.
    Spent(ConnectionKey, Arc<crate::Subscription>),
    /// The answer to a login.
    Login(ConnectionKey, Box<LoginOutcome>),
    /// This link has something to say.
    Flush(ConnectionKey),
    /// Close this connection.
    Close(ConnectionKey, CloseReason),
    /// Settings or directory changed: judge every connection again.
    Review,
    /// Something about these accounts changed: judge their connections again.
    ReviewOf(Arc<[AccountId]>),
    /// The greeting changed: tell clients that understand it.
    Announce,
    /// Do something with this connection.
    Do(ConnectionKey, Action),
    /// Publish these as the server.
    Publish(Vec<crate::OwnMessage>),
    /// Everything before this is done: say so.
    Done(Arc<dyn Fn() + Send + Sync>),
    /// Something for the driver that runs the worker; the broker hands it through.
    Driver(Box<dyn std::any::Any + Send>),
}

/// What is done once everybody has let go of it.
pub(crate) struct Afterwards(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Afterwards {
    pub(crate) fn new(then: Box<dyn FnOnce() + Send>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some(then))))
    }
}

impl Drop for Afterwards {
    fn drop(&mut self) {
        if let Some(then) = self.0.get_mut().take() {
            then();
        }
    }
}

/// A worker's letter box.
pub struct Mailbox {
    notes: Mutex<Vec<Note>>,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Mailbox {
    /// A mailbox whose owner is woken by `wake`.
    pub fn new(wake: Box<dyn Fn() + Send + Sync>) -> Self {
        Self { notes: Mutex::new(Vec::new()), wake }
    }

    /// Leaves a note. The owner is woken only if there was none before.
    pub fn post(&self, note: Note) {
        let mut notes = self.notes.lock();
        notes.push(note);
        let first = notes.len() == 1;
        drop(notes);
        if first {
            (self.wake)();
        }
    }

    /// Takes all notes into `into`, which keeps the room of both lists in use.
    pub fn collect(&self, into: &mut Vec<Note>) {
        into.clear();
        std::mem::swap(&mut *self.notes.lock(), into);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn what_comes_afterwards_comes_once_everybody_has_let_go() {
        let done = Arc::new(AtomicUsize::new(0));
        let counts = done.clone();
        let first = Afterwards::new(Box::new(move || {
            counts.fetch_add(1, Ordering::SeqCst);
        }));
        let second = first.clone();
        drop(first);
        assert_eq!(done.load(Ordering::SeqCst), 0);
        drop(second);
        assert_eq!(done.load(Ordering::SeqCst), 1);
    }
}
