//! Byte layers: what may stand between the protocol and a transport (TLS; WebSocket framing).
//!
//! A layer has two halves. The [`Opener`] stays with the worker that reads the connection and needs no lock. The
//! [`Sealer`] sits in the outbound queue, under its lock: any worker seals with it, whole batches at a time, so records
//! leave in the order in which they were sealed.

use wire::CloseReason;

/// A layer refused the peer's bytes. The connection is to be closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerError {
    /// For the log.
    pub text: String,
    /// What the peer is told on the layer's own level, if anything.
    pub code: Option<u16>,
}

/// What came of opening.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// The peer has said its last word.
    pub closed: bool,
    /// [`Sealer::answer`] is to be called.
    pub answer: bool,
}

/// The half that reads.
pub trait Opener: Send {
    /// Takes bytes from the transport and appends what became readable to `plain`.
    ///
    /// # Errors
    /// If the peer broke the layer's rules.
    fn open(&mut self, wire: &[u8], plain: &mut Vec<u8>) -> Result<Opened, LayerError>;

    /// Whether it was given more than it opened at once: it goes on when it is asked again, without another byte.
    fn has_more(&self) -> bool {
        false
    }

    /// How many bytes it keeps that nobody can read yet. Strangers may have a bounded number of them.
    fn held(&self) -> usize {
        0
    }

    /// The peer has logged in: bounds for strangers end.
    fn is_known(&mut self) {}
}

/// The half that writes.
pub trait Sealer: Send {
    /// Takes the next piece of a batch and appends what is ready for the transport to `wire`.
    fn seal(&mut self, plain: &[u8], wire: &mut Vec<u8>);

    /// The batch is over: nothing may be held back.
    fn finish(&mut self, wire: &mut Vec<u8>);

    /// Sends what the opener asked for.
    fn answer(&mut self, wire: &mut Vec<u8>);

    /// Says goodbye, and why where the layer has words for that.
    fn close(&mut self, reason: CloseReason, wire: &mut Vec<u8>);

    /// Says that the peer broke the rules, by the layer's own code for it.
    fn fail(&mut self, error: &LayerError, wire: &mut Vec<u8>);
}
