//! Frames of WebSocket as a byte layer of the broker, over the one that stands already (TLS) or over none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use broker::{LayerError, Opened, Opener, Sealer};
use websocket::{Agreed, Fault, Limits, Masks};
use wire::CloseReason;

/// Codes of WebSocket begin here; those below are of the layer under it.
const FIRST_CODE: u16 = 1000;

/// The reading half.
pub(crate) struct FrameOpener {
    frames: websocket::Opener,
    below: Option<Box<dyn Opener>>,
    /// What counts once the peer has logged in.
    limits: Limits,
    /// The layer below has heard the last word; what came before it may not all be read yet.
    is_over: bool,
    asked_below: Arc<AtomicBool>,
}

/// The writing half.
pub(crate) struct FrameSealer {
    frames: websocket::Sealer,
    below: Option<Box<dyn Sealer>>,
    /// The layer below has something to answer.
    asked_below: Arc<AtomicBool>,
    framed: Vec<u8>,
}

/// Both halves, before they know what they stand on. A stranger has its own limits; whoever asked for the connection has masks.
pub(crate) fn pair(
    agreed: &Agreed,
    masks: Option<Masks>,
    (stranger, known): (Limits, Limits),
) -> (FrameOpener, FrameSealer) {
    let (opener, sealer) = match masks {
        Some(masks) => websocket::pair_with_masks(agreed, stranger, masks),
        None => websocket::pair(agreed, stranger),
    };
    let asked_below = Arc::<AtomicBool>::default();
    let opener =
        FrameOpener { frames: opener, below: None, limits: known, is_over: false, asked_below: asked_below.clone() };
    (opener, FrameSealer { frames: sealer, below: None, asked_below, framed: Vec::new() })
}

/// What was agreed, for whoever looks for trouble.
pub(crate) fn told(agreed: &Agreed, masks: bool) -> String {
    format!("WebSocket: compression={} masking={masks}", agreed.compresses)
}

impl FrameOpener {
    /// Frames that came already.
    pub(crate) fn beginning_with(mut self, wire: &[u8]) -> Self {
        self.frames.keep(wire);
        self
    }

    pub(crate) fn over(self, below: Option<Box<dyn Opener>>) -> Box<dyn Opener> {
        Box::new(Self { below, ..self })
    }
}

impl Opener for FrameOpener {
    fn open(&mut self, wire: &[u8], plain: &mut Vec<u8>) -> Result<Opened, LayerError> {
        let Some(below) = self.below.as_deref_mut() else {
            let websocket::Opened { closed, answer } = self.frames.open(wire, plain).map_err(broken)?;
            return Ok(Opened { closed, answer });
        };
        let mut framed = Vec::with_capacity(wire.len());
        let lower = below.open(wire, &mut framed)?;
        self.asked_below.fetch_or(lower.answer, Ordering::Relaxed);
        let upper = self.frames.open(&framed, plain).map_err(broken)?;
        self.is_over |= lower.closed;
        let closed = upper.closed || (self.is_over && !self.frames.has_more());
        Ok(Opened { closed, answer: lower.answer || upper.answer })
    }

    fn has_more(&self) -> bool {
        self.frames.has_more()
    }

    fn held(&self) -> usize {
        self.frames.held()
    }

    fn is_known(&mut self) {
        self.frames.limit(self.limits);
    }
}

fn broken(fault: Fault) -> LayerError {
    LayerError { code: Some(fault.code), text: fault.text.into_owned() }
}

impl FrameSealer {
    pub(crate) fn over(self, below: Option<Box<dyn Sealer>>) -> Box<dyn Sealer> {
        Box::new(Self { below, ..self })
    }

    /// Has frames written, and hands them to the layer below if there is one.
    fn write(&mut self, wire: &mut Vec<u8>, is_last: bool, write: impl FnOnce(&mut websocket::Sealer, &mut Vec<u8>)) {
        let Some(below) = self.below.as_deref_mut() else { return write(&mut self.frames, wire) };
        self.framed.clear();
        write(&mut self.frames, &mut self.framed);
        below.seal(&self.framed, wire);
        if is_last {
            below.finish(wire);
            self.framed = Vec::new();
        }
    }
}

impl Sealer for FrameSealer {
    fn seal(&mut self, plain: &[u8], wire: &mut Vec<u8>) {
        self.write(wire, false, |frames, wire| frames.seal(plain, wire));
    }

    fn finish(&mut self, wire: &mut Vec<u8>) {
        self.write(wire, true, websocket::Sealer::finish);
    }

    fn answer(&mut self, wire: &mut Vec<u8>) {
        if self.asked_below.swap(false, Ordering::Relaxed)
            && let Some(below) = self.below.as_deref_mut()
        {
            below.answer(wire);
        }
        self.write(wire, true, websocket::Sealer::answer);
    }

    fn close(&mut self, reason: CloseReason, wire: &mut Vec<u8>) {
        self.write(wire, true, |frames, wire| frames.close(code_of(reason), reason.as_str(), wire));
        if let Some(below) = self.below.as_deref_mut() {
            below.close(reason, wire);
        }
    }

    fn fail(&mut self, error: &LayerError, wire: &mut Vec<u8>) {
        match (error.code, self.below.as_deref_mut()) {
            (Some(code @ FIRST_CODE..), _) => {
                self.write(wire, true, |frames, wire| frames.close(code, &error.text, wire));
            }
            (_, Some(below)) => below.fail(error, wire),
            (_, None) => {}
        }
    }
}

/// The code by which a peer hears that its connection is closed for this reason.
fn code_of(reason: CloseReason) -> u16 {
    match reason {
        CloseReason::ClientClosed => 1000,
        CloseReason::WriteError
        | CloseReason::ReadError
        | CloseReason::StaleConnection
        | CloseReason::ServerShutdown => 1001,
        CloseReason::ParseError | CloseReason::ProtocolViolation | CloseReason::BadClientProtocolVersion => 1002,
        CloseReason::AuthenticationTimeout
        | CloseReason::AuthenticationFailure
        | CloseReason::AuthenticationExpired
        | CloseReason::SlowConsumerPendingBytes
        | CloseReason::SlowConsumerWriteDeadline
        | CloseReason::MaxAccountConnectionsExceeded
        | CloseReason::MaxConnectionsExceeded
        | CloseReason::MaxControlLineExceeded
        | CloseReason::MaxSubscriptionsExceeded
        | CloseReason::MissingAccount
        | CloseReason::CredentialsRevoked => 1008,
        CloseReason::MaxPayloadExceeded => 1009,
        // Never sent (RFC 6455 §7.4.1), and there is no frame before the handshake.
        CloseReason::TlsHandshakeFailure => 1011,
        _ => 1011,
    }
}

#[cfg(test)]
mod tests {
    use websocket::Masking;

    use super::*;

    /// A layer that hands on what it gets, and hears the last word with it.
    struct Last;

    impl Opener for Last {
        fn open(&mut self, wire: &[u8], plain: &mut Vec<u8>) -> Result<Opened, LayerError> {
            plain.extend_from_slice(wire);
            Ok(Opened { closed: true, answer: false })
        }
    }

    #[test]
    fn what_was_packed_tightly_is_read_before_the_last_word_below_counts() {
        let known = Limits { message_max_bytes: usize::MAX };
        let sending = Agreed { peer_masks: Masking::Never, compresses: true, ..Agreed::default() };
        let (_, mut sealer) = websocket::pair(&sending, known);
        let (sent, mut wire) = (vec![b'x'; 3 * websocket::OPENED_MAX_BYTES], Vec::new());
        sealer.seal(&sent, &mut wire);
        sealer.finish(&mut wire);
        let (opener, _) = pair(&sending, None, (known, known));
        let (mut opener, mut plain, mut turns) = (opener.over(Some(Box::new(Last))), Vec::new(), 0);
        let mut opened = opener.open(&wire, &mut plain).unwrap();
        while opener.has_more() {
            assert!(!opened.closed);
            opened = opener.open(&[], &mut plain).unwrap();
            turns += 1;
        }
        assert!(opened.closed && turns > 1 && plain == sent);
    }
}
