//! Whether and how a link between servers is compressed.

use std::time::Duration;

use crate::error::LinkError;

/// What a side wants, or what was agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Old servers: not even the field.
    NotSupported,
    /// Refused.
    Off,
    /// Whatever the other side wants.
    Accept,
    /// By round trip time.
    S2Auto,
    /// Framed without compressing.
    S2Uncompressed,
    /// Fast.
    S2Fast,
    /// Better.
    S2Better,
    /// Best.
    S2Best,
}

impl Compression {
    /// The text on the wire; `None` where the field is left out.
    pub const fn as_str(self) -> Option<&'static str> {
        Some(match self {
            Self::NotSupported => return None,
            Self::Off => "off",
            Self::Accept => "accept",
            Self::S2Auto => "s2_auto",
            Self::S2Uncompressed => "s2_uncompressed",
            Self::S2Fast => "s2_fast",
            Self::S2Better => "s2_better",
            Self::S2Best => "s2_best",
        })
    }

    /// Reads the field of an INFO or CONNECT.
    ///
    /// # Errors
    /// If it is a mode nobody knows.
    pub fn parse(text: Option<&str>) -> Result<Self, LinkError> {
        Ok(match text {
            None | Some("" | "not supported") => Self::NotSupported,
            Some("off") => Self::Off,
            Some("accept") => Self::Accept,
            Some("s2_auto") => Self::S2Auto,
            Some("s2_uncompressed") => Self::S2Uncompressed,
            Some("s2_fast") => Self::S2Fast,
            Some("s2_better") => Self::S2Better,
            Some("s2_best") => Self::S2Best,
            Some(other) => return Err(LinkError::UnknownCompression(other.chars().take(32).collect())),
        })
    }

    /// Bytes are framed in S2.
    pub const fn is_framed(self) -> bool {
        !matches!(self, Self::NotSupported | Self::Off | Self::Accept)
    }

    /// This side takes part in a negotiation.
    pub const fn negotiates(self) -> bool {
        !matches!(self, Self::NotSupported | Self::Off)
    }

    /// What two sides agree on. Never `Accept`; `S2Auto` is settled by [`Levels::pick`].
    pub const fn agree(local: Self, remote: Self) -> Self {
        match (local, remote) {
            (_, Self::NotSupported) | (Self::NotSupported, _) => Self::NotSupported,
            (_, Self::Off) | (Self::Off, _) | (Self::Accept, Self::Accept) => Self::Off,
            (Self::Accept, Self::S2Auto) => Self::S2Fast,
            (Self::Accept, remote) => remote,
            (local, _) => local,
        }
    }
}

/// Round trip times up to which each level serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels(Vec<Duration>);

impl Default for Levels {
    fn default() -> Self {
        Self(vec![Duration::from_millis(10), Duration::from_millis(50), Duration::from_millis(100)])
    }
}

impl Levels {
    /// Levels from a list of at most four times; an empty list means the usual ones.
    pub fn new(thresholds: Vec<Duration>) -> Option<Self> {
        match thresholds.len() {
            0 => Some(Self::default()),
            1..=4 => Some(Self(thresholds)),
            _ => None,
        }
    }

    /// These levels, where a side wants the level to follow the round trip time.
    pub fn followed(&self, wanted: Compression) -> Option<&Self> {
        (wanted == Compression::S2Auto).then_some(self)
    }

    /// The level for a round trip time.
    pub fn pick(&self, rtt: Duration) -> Compression {
        let beyond = if self.0.len() >= 3 { 3 } else { self.0.len().saturating_sub(1) };
        match self.0.iter().position(|threshold| rtt <= *threshold).unwrap_or(beyond) {
            0 => Compression::S2Uncompressed,
            1 => Compression::S2Fast,
            2 => Compression::S2Better,
            _ => Compression::S2Best,
        }
    }
}
