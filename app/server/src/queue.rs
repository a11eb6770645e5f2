//! A bounded queue to a thread. Whoever leaves something never waits.
//!
//! It takes memory for what waits, and not for all that may: the bounded queue of the standard library makes ready for its
//! bound at once, which is megabytes for a queue that is nearly always empty.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvError, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// Where things are left.
pub struct Entrance<T> {
    sender: Sender<T>,
    waiting: Arc<AtomicUsize>,
    most: usize,
}

/// Where they are taken.
pub struct Exit<T> {
    receiver: Receiver<T>,
    waiting: Arc<AtomicUsize>,
}

/// A queue in which so many things may wait.
pub fn queue<T>(most: usize) -> (Entrance<T>, Exit<T>) {
    let (sender, receiver) = channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    (Entrance { sender, waiting: waiting.clone(), most }, Exit { receiver, waiting })
}

impl<T> Entrance<T> {
    /// Leaves something, if there is room.
    pub fn leave(&self, thing: T) -> bool {
        let has_room = self.waiting.fetch_add(1, Ordering::Relaxed) < self.most;
        match has_room {
            // Where nobody takes anything any more, nobody misses it.
            true => drop(self.sender.send(thing)),
            false => drop(self.waiting.fetch_sub(1, Ordering::Relaxed)),
        }
        has_room
    }

    /// Leaves something whether there is room or not: the few words by which the thread is told what to do.
    pub fn order(&self, thing: T) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // A thread that is gone has nothing to be told.
        let _ = self.sender.send(thing);
    }
}

impl<T> Clone for Entrance<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), waiting: self.waiting.clone(), most: self.most }
    }
}

impl<T> Exit<T> {
    /// The next thing; waits for it.
    ///
    /// # Errors
    /// If nobody is left who could leave something.
    pub fn take(&self) -> Result<T, RecvError> {
        self.receiver.recv().inspect(|_| self.taken())
    }

    /// The same, and waits no longer than so long.
    ///
    /// # Errors
    /// If nothing came in that time, or nobody is left who could leave something.
    pub fn take_within(&self, time: Duration) -> Result<T, RecvTimeoutError> {
        self.receiver.recv_timeout(time).inspect(|_| self.taken())
    }

    /// What waits now, one by one.
    pub fn waiting(&self) -> impl Iterator<Item = T> {
        self.receiver.try_iter().inspect(|_| self.taken())
    }

    fn taken(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_wait_and_no_more_but_for_orders() {
        let (entrance, exit) = queue(2);
        assert_eq!([1, 2, 3].map(|number| entrance.leave(number)), [true, true, false]);
        assert_eq!(exit.take(), Ok(1));
        assert!(entrance.clone().leave(4) && !entrance.leave(5));
        entrance.order(6);
        assert_eq!(exit.waiting().collect::<Vec<_>>(), [2, 4, 6]);
        assert_eq!(exit.take_within(Duration::ZERO), Err(RecvTimeoutError::Timeout));
        assert!(entrance.leave(7) && entrance.leave(8));
        drop(entrance);
        assert_eq!([exit.take(), exit.take(), exit.take()], [Ok(7), Ok(8), Err(RecvError)]);
    }
}
