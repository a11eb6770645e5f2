//! Connections between servers: bytes on their way, and what may happen to them.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, PoisonError};

use broker::Transport;
use moment::Instant;

/// What a server has written and nobody has taken yet.
#[derive(Default)]
pub(crate) struct Written {
    pub(crate) bytes: Vec<u8>,
    pub(crate) is_shut: bool,
}

/// The writing end of a connection, as a broker has it.
pub(crate) struct Pen(pub Arc<Mutex<Written>>);

impl Transport for Pen {
    fn write(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.iter().for_each(|slice| written.bytes.extend_from_slice(slice));
        Ok(bytes.iter().map(|slice| slice.len()).sum())
    }

    fn shut_down(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_shut = true;
    }
}

/// Takes what was written.
pub(crate) fn taken(written: &Mutex<Written>) -> Vec<u8> {
    std::mem::take(&mut written.lock().unwrap_or_else(PoisonError::into_inner).bytes)
}

/// What arrives at one end.
pub(crate) enum Parcel {
    Bytes(Vec<u8>),
    /// The far end has closed.
    End,
}

/// One direction of a wire.
#[derive(Default)]
pub(crate) struct Lane {
    /// What is on its way, with the time of its arrival, in order.
    pub(crate) parcels: VecDeque<(Instant, Parcel)>,
}

/// The seat of a connection at a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SeatAt {
    pub(crate) node: usize,
    pub(crate) place: usize,
}

/// A connection between two servers.
pub(crate) struct Wire {
    /// The solicitor's end, and the acceptor's.
    pub(crate) ends: [SeatAt; 2],
    /// Towards each of the ends.
    pub(crate) lanes: [Lane; 2],
    /// Nothing arrives any more, and nobody is told.
    pub(crate) is_dead: bool,
}
