//! Syncs that come now and then, beside the work on messages.
//!
//! A sync of files that were written lazily may take as long as the disk likes. It runs on a thread of its own, and what came of it
//! is taken up in a later round; meanwhile the streams are written to. One round of syncs runs at a time.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;
use store::SyncTicket;

/// A sync of a stream, and its number there.
pub(crate) struct Due {
    pub stream: u64,
    pub number: u64,
    pub ticket: SyncTicket,
}

/// What came of one.
pub(crate) struct Done {
    pub stream: u64,
    pub number: u64,
    pub outcome: io::Result<()>,
}

/// Syncs that run.
pub(crate) struct Syncing(Receiver<Vec<Done>>);

/// Runs syncs, one after the other.
pub(crate) fn run(due: Vec<Due>) -> Vec<Done> {
    let run = |Due { stream, number, ticket }| Done { stream, number, outcome: ticket.run() };
    due.into_iter().map(run).collect()
}

impl Syncing {
    /// Runs them beside; if there is no thread to be had, at once.
    pub(crate) fn begin(due: Vec<Due>) -> Syncing {
        let (tell, told) = sync_channel(1);
        let (for_thread, kept) = (tell.clone(), std::sync::Arc::new(std::sync::Mutex::new(Some(due))));
        let of_thread = kept.clone();
        let take = |due: &std::sync::Mutex<Option<Vec<Due>>>| {
            due.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take().unwrap_or_default()
        };
        let work = move || {
            // Whoever asked may have ended.
            let _ = for_thread.send(run(take(&of_thread)));
        };
        if std::thread::Builder::new().name("jetstream-sync".into()).spawn(work).is_err() {
            let _ = tell.send(run(take(&kept)));
        }
        Syncing(told)
    }

    /// What came of them, once they all ran; that is waited for so long. An error: the thread broke off.
    pub(crate) fn done(&self, within: Duration) -> Result<Option<Vec<Done>>, RecvTimeoutError> {
        match self.0.recv_timeout(within) {
            Ok(done) => Ok(Some(done)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(broken) => Err(broken),
        }
    }
}
