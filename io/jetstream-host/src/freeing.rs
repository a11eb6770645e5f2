//! Memory that takes long to be given back is given back beside the work on messages: a stream of a million subjects held a million
//! texts.

use std::sync::mpsc::{Sender, channel};
use store::Garbage;

/// Where it is given back: at once, or on a thread of its own.
#[derive(Default)]
pub(crate) struct Freeing {
    is_beside: bool,
    thread: Option<Sender<Vec<Garbage>>>,
}

impl Freeing {
    /// From now on a thread does it.
    pub(crate) fn beside(&mut self) {
        self.is_beside = true;
    }

    /// Gives memory back.
    pub(crate) fn free(&mut self, garbage: Vec<Garbage>) {
        if garbage.is_empty() || !self.is_beside {
            return;
        }
        let thread = match self.thread.take() {
            Some(thread) => Some(thread),
            None => begin(),
        };
        // Without a thread it is done here.
        self.thread = thread.filter(|thread| thread.send(garbage).is_ok());
    }
}

fn begin() -> Option<Sender<Vec<Garbage>>> {
    let (thread, given) = channel::<Vec<Garbage>>();
    let work = move || given.into_iter().for_each(drop);
    std::thread::Builder::new().name("jetstream-free".into()).spawn(work).ok().map(|_| thread)
}
