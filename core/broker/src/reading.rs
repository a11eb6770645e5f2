//! Reading: into pooled buffers, into a buffer of its own for a large message, and through the layers between.

use std::io;
use std::mem;

use wire::CloseReason;

use crate::buffers::{BufferId, READ_BUFFER_BYTES};
use crate::connection::{Carry, Connection, Phase, ReadOutcome, Step};
use crate::engine::{Flow, is_metered};
use crate::layer::LayerError;
use crate::observer::Event;
use crate::worker::Worker;

/// A connection that lends its own buffer for a large message takes memory in steps of this size, as bytes arrive: a
/// promise of a large message costs the server nothing.
const LARGE_STEP_BYTES: usize = 256 * 1024;

/// Bytes read at once from a connection under a limit, unless one message is longer.
const METERED_READ_BYTES: usize = 16 * 1024;

impl Worker {
    /// Takes bytes that the driver read itself.
    pub fn take_bytes(&mut self, connection: &mut Connection, bytes: &[u8]) -> Step {
        let mut all = mem::take(&mut connection.carry.bytes);
        all.extend_from_slice(bytes);
        self.take_lent(connection, all)
    }

    pub(crate) fn take_lent(&mut self, connection: &mut Connection, bytes: Vec<u8>) -> Step {
        connection.carry.need = 0;
        let len = bytes.len();
        let id = self.buffers.lend(bytes);
        self.take(connection, id, len)
    }

    /// Opens bytes of the transport and takes what became readable.
    pub(crate) fn take_opened(&mut self, connection: &mut Connection, wire: &[u8]) -> Step {
        if connection.squeeze.is_some() {
            return self.take_squeezed(connection, wire);
        }
        let Some(opener) = connection.opener.as_deref_mut() else { return Step::Continue };
        let mut plain = self.buffers.blank();
        plain.append(&mut connection.carry.bytes);
        let pool = &mut self.engine.stages.pool;
        let opened = connection.link.open(opener, wire, &mut plain, pool);
        let held = opener.held();
        match opened {
            Err(error) => self.broken_layer(connection, &error),
            Ok(_) if !self.may_hold(connection, held) => {
                self.engine.tell(connection, &Event::Error("too many bytes before login"));
                Step::Close(CloseReason::ReadError)
            }
            Ok(closed) if plain.len() >= connection.carry.need => match self.take_lent(connection, plain) {
                Step::Continue if closed => Step::Close(CloseReason::ClientClosed),
                step => step,
            },
            Ok(closed) => {
                connection.carry.bytes = plain;
                if closed { Step::Close(CloseReason::ClientClosed) } else { Step::Continue }
            }
        }
    }

    /// Whether a layer may keep so many bytes for this peer. For strangers they are counted.
    fn may_hold(&self, connection: &mut Connection, held: usize) -> bool {
        let more = held.saturating_sub(connection.lent);
        !connection.is_stranger || more == 0 || self.lend(connection, more)
    }

    /// Opens bytes of the transport for whoever reads them before the protocol begins.
    ///
    /// # Errors
    /// With what it leads to, if a layer refuses them or the peer has said its last word.
    pub fn open(&mut self, connection: &mut Connection, wire: &[u8], plain: &mut Vec<u8>) -> Result<(), Step> {
        let Some(opener) = connection.opener.as_deref_mut() else {
            plain.extend_from_slice(wire);
            return Ok(());
        };
        match connection.link.open(opener, wire, plain, &mut self.engine.stages.pool) {
            Ok(false) => Ok(()),
            Ok(true) => Err(Step::Close(CloseReason::ClientClosed)),
            Err(error) => Err(self.broken_layer(connection, &error)),
        }
    }

    fn broken_layer(&mut self, connection: &Connection, error: &LayerError) -> Step {
        if error.code.is_some() {
            self.flush_staged();
            connection.link.say_sealed(&mut self.engine.stages.pool, |sealer, wire| sealer.fail(error, wire));
        }
        self.engine.tell(connection, &Event::Error(&error.text));
        Step::Close(CloseReason::ReadError)
    }

    /// The same where bytes are framed: frame by frame, so that what a peer packed tightly never lies here as a whole.
    fn take_squeezed(&mut self, connection: &mut Connection, wire: &[u8]) -> Step {
        let mut closed = false;
        let mut framed = Vec::new();
        let framed = match connection.opener.as_deref_mut() {
            None => wire,
            Some(opener) => {
                match connection.link.open(opener, wire, &mut framed, &mut self.engine.stages.pool) {
                    Ok(last) => closed = last,
                    Err(error) => return self.broken_layer(connection, &error),
                }
                &framed
            }
        };
        if let Some(squeeze) = connection.squeeze.as_deref_mut() {
            squeeze.feed(framed);
        }
        loop {
            let mut plain = mem::take(&mut connection.carry.bytes);
            let Some(squeeze) = connection.squeeze.as_deref_mut() else { return Step::Continue };
            match squeeze.next(&mut plain) {
                Err(error) => return self.broken_layer(connection, &error),
                Ok(false) => {
                    connection.carry.bytes = plain;
                    return if closed { Step::Close(CloseReason::ClientClosed) } else { Step::Continue };
                }
                Ok(true) if plain.len() < connection.carry.need => connection.carry.bytes = plain,
                Ok(true) => match self.take_lent(connection, plain) {
                    Step::Continue => {}
                    step => return step,
                },
            }
        }
    }

    /// Reads sealed bytes.
    fn read_sealed(
        &mut self,
        connection: &mut Connection,
        id: BufferId,
        most: usize,
        read: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> ReadOutcome {
        let room = &mut self.buffers.bytes_mut(id)[..most];
        let read = match read(room) {
            Ok(0) => return ReadOutcome::End,
            Ok(read) => read,
            Err(error) => return failed(&error),
        };
        // The opener copies out of the buffer, so it is lent to nobody and free again at once.
        let wire = mem::take(self.buffers.whole_mut(id));
        let step = self.take_opened(connection, &wire[..read]);
        let filled = read == most;
        *self.buffers.whole_mut(id) = wire;
        ReadOutcome::Step { step, filled }
    }

    /// Reads once and takes what came.
    pub fn read(
        &mut self,
        connection: &mut Connection,
        read: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> ReadOutcome {
        if connection.has_more() {
            // Nobody has asked the transport yet: there may be more there as well.
            return ReadOutcome::Step { step: self.take_opened(connection, &[]), filled: true };
        }
        let is_layered = connection.opener.is_some() || connection.squeeze.is_some();
        if !is_layered && connection.carry.need > READ_BUFFER_BYTES {
            return self.read_large(connection, read);
        }
        let most = most_to_read(connection, is_layered);
        let id = match self.buffers.free() {
            Some(id) => id,
            None => {
                self.flush_staged();
                self.buffers.free().expect("a flush frees every buffer")
            }
        };
        if is_layered {
            return self.read_sealed(connection, id, most, read);
        }
        let carried = connection.carry.bytes.len();
        let room = self.buffers.bytes_mut(id);
        room[..carried].copy_from_slice(&connection.carry.bytes);
        let room = &mut room[carried..most.max(carried + 1)];
        let read = match read(room) {
            Ok(0) => return ReadOutcome::End,
            Ok(read) => read,
            Err(error) => return failed(&error),
        };
        let filled = read == room.len();
        connection.carry.clear();
        let step = self.take(connection, id, carried + read);
        ReadOutcome::Step { step, filled }
    }

    /// Reads on into the connection's own buffer, for a message larger than a pooled one.
    fn read_large(
        &mut self,
        connection: &mut Connection,
        read: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> ReadOutcome {
        let Carry { bytes, need } = &mut connection.carry;
        let have = bytes.len();
        let step = (*need - have).min(LARGE_STEP_BYTES);
        bytes.resize(have + step, 0);
        let outcome = read(&mut bytes[have..]);
        bytes.truncate(have + *outcome.as_ref().unwrap_or(&0));
        let read = match outcome {
            Ok(0) => return ReadOutcome::End,
            Ok(read) => read,
            Err(error) => return failed(&error),
        };
        if bytes.len() < *need {
            return ReadOutcome::Step { step: Step::Continue, filled: read == step };
        }
        let bytes = mem::take(bytes);
        connection.carry.need = 0;
        let len = bytes.len();
        let id = self.buffers.lend(bytes);
        let taken = self.take(connection, id, len);
        ReadOutcome::Step { step: taken, filled: read == step }
    }

    /// Takes all whole operations in the first `len` bytes of a buffer and keeps the rest for the next read.
    fn take(&mut self, connection: &mut Connection, id: BufferId, len: usize) -> Step {
        let bytes = &self.buffers.bytes(id)[..len];
        let flow = match connection.phase {
            Phase::Server(_) => self.engine.run_link(connection, id, bytes),
            _ => self.engine.run(connection, id, bytes),
        };
        let mut left = Vec::new();
        let step = match flow {
            Flow::Taken { bytes: taken, need } => {
                connection.carry.keep(&bytes[taken..], need);
                Step::Continue
            }
            Flow::Wait { bytes: taken } => {
                connection.carry.keep(&bytes[taken..], 0);
                Step::Continue
            }
            Flow::Layered { bytes: taken } => {
                left.extend_from_slice(&bytes[taken..]);
                Step::Continue
            }
            Flow::StartTls => Step::StartTls,
            Flow::Close(reason) => Step::Close(reason),
        };
        if mem::take(&mut self.engine.borrowed) {
            self.buffers.pin(id);
        }
        self.engine.end_run(connection);
        if self.engine.stages.is_full() {
            self.flush_staged();
        }
        if left.is_empty() { step } else { self.take_left(connection, &left) }
    }

    /// What came behind the line that put a layer up belongs to that layer; what lies below it is open already.
    #[cold]
    fn take_left(&mut self, connection: &mut Connection, left: &[u8]) -> Step {
        let below = connection.opener.take();
        let step = self.take_opened(connection, left);
        connection.opener = below;
        step
    }

    /// Takes bytes that were kept while a login was judged, or while a limit held the connection up.
    pub(crate) fn take_carried(&mut self, connection: &mut Connection) -> Step {
        if connection.held_until.is_some() || connection.carry.bytes.is_empty() {
            return Step::Continue;
        }
        let bytes = mem::take(&mut connection.carry.bytes);
        self.take_lent(connection, bytes)
    }
}

/// The end of what one read may fill of a buffer. Where a limit will soon stop the connection, what was read too much
/// would have to be kept.
fn most_to_read(connection: &Connection, is_layered: bool) -> usize {
    match is_metered(connection) {
        false => READ_BUFFER_BYTES,
        // What a message still needs is counted in plain bytes, and may be more than a buffer holds.
        true if is_layered => METERED_READ_BYTES,
        true => METERED_READ_BYTES.max(connection.carry.need).min(READ_BUFFER_BYTES),
    }
}

fn failed(error: &io::Error) -> ReadOutcome {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => ReadOutcome::Nothing,
        _ => ReadOutcome::Failed,
    }
}

impl Carry {
    /// Keeps bytes for the next read. A connection without any keeps no memory either.
    fn keep(&mut self, rest: &[u8], need: usize) {
        self.need = need;
        if rest.is_empty() {
            self.bytes = Vec::new();
        } else {
            self.bytes.clear();
            self.bytes.extend_from_slice(rest);
        }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.need = 0;
    }
}
