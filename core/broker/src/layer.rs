//! Byte layers: what may stand between the protocol and a transport (TLS; WebSocket framing).
//!
//! The layer sits in the outbound queue, under its lock. Any worker seals with it; the owner opens records with it.

/// A layer refused the peer's bytes.
#[derive(Debug)]
pub struct LayerError {
    /// What to log.
    pub text: String,
}

/// A transformation of bytes on their way out and in.
pub trait ByteLayer: Send {
    /// Takes bytes from the transport and appends what became readable to `plain`. Bytes that the layer itself wants
    /// to answer are appended to `wire_out`.
    ///
    /// # Errors
    /// If the peer broke the layer's rules: the connection is to be closed.
    fn open(&mut self, wire_in: &[u8], plain: &mut Vec<u8>, wire_out: &mut Vec<u8>) -> Result<(), LayerError>;

    /// Takes the next piece of a batch and appends what is ready for the transport to `wire`.
    fn seal(&mut self, plain: &[u8], wire: &mut Vec<u8>);

    /// The batch is over: nothing may be held back.
    fn finish(&mut self, wire: &mut Vec<u8>);
}
