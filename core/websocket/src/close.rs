//! How a connection ends: codes of RFC 6455 §7.4, and the frame that says one.

use std::borrow::Cow;

use crate::frame::MAX_CONTROL_BYTES;

/// The longest reason that fits beside the code.
pub const MAX_REASON_BYTES: usize = MAX_CONTROL_BYTES - 2;

/// The peer broke the rules: the code it is told, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// A code of RFC 6455 §7.4.1.
    pub code: u16,
    /// In words, for both sides.
    pub text: Cow<'static, str>,
}

impl Fault {
    /// The peer broke the protocol of frames.
    pub(crate) fn protocol(text: impl Into<Cow<'static, str>>) -> Self {
        Self { code: 1002, text: text.into() }
    }

    /// What the peer sent is longer than it may be.
    pub(crate) fn too_big() -> Self {
        Self { code: 1009, text: "maximum payload exceeded".into() }
    }

    /// What the peer sent as text is none.
    pub(crate) fn not_text(text: &'static str) -> Self {
        Self { code: 1007, text: text.into() }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Fault {}

/// Whether a peer may say this code: those of the standard that are for the wire, and those of applications.
pub(crate) fn is_for_the_wire(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// The body of a close frame. A reason that is too long is cut at a character and ends in three dots.
pub(crate) fn body(code: u16, reason: &str) -> Vec<u8> {
    let mut body = code.to_be_bytes().to_vec();
    if reason.len() <= MAX_REASON_BYTES {
        body.extend_from_slice(reason.as_bytes());
    } else {
        let end = (0..=MAX_REASON_BYTES - 3).rev().find(|&end| reason.is_char_boundary(end)).unwrap_or(0);
        body.extend_from_slice(reason.get(..end).unwrap_or_default().as_bytes());
        body.extend_from_slice(b"...");
    }
    body
}

/// What a close frame of a peer says, if it says anything that may be said.
///
/// # Errors
/// If it may not.
pub(crate) fn read(body: &[u8]) -> Result<(), Fault> {
    match body {
        [] => Ok(()),
        [_] => Err(Fault::protocol("close frame payload cannot be 1 byte")),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !is_for_the_wire(code) {
                return Err(Fault::protocol(format!("invalid close status code {code}")));
            }
            match std::str::from_utf8(reason) {
                Ok(_) => Ok(()),
                Err(_) => Err(Fault::not_text("invalid utf8 body in close frame")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_for_the_wire_are_these() {
        let refused = |codes: std::ops::RangeInclusive<u16>| codes.filter(|&code| !is_for_the_wire(code)).count();
        assert_eq!((refused(0..=999), refused(5000..=u16::MAX)), (1000, 60_536));
        let within: Vec<u16> = (1000..=1020).filter(|&code| !is_for_the_wire(code)).collect();
        assert_eq!(within, [1004, 1005, 1006, 1015, 1016, 1017, 1018, 1019, 1020]);
        assert_eq!(refused(3000..=4999), 0);
    }

    #[test]
    fn a_reason_is_cut_at_a_character() {
        let long = body(1008, &"ä".repeat(100));
        assert_eq!(long.len(), 2 + 120 + 3);
        assert!(std::str::from_utf8(&long[2..]).unwrap().ends_with("ä..."));
        assert_eq!(body(1000, "Client Closed"), b"\x03\xe8Client Closed");
    }
}
