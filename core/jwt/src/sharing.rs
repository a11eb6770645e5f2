//! What exports and imports have in common.

use std::fmt;

use serde_json::Value;

use crate::bounds::MAX_TEXT_BYTES;
use crate::issue::Issues;
use crate::read;
use crate::{DecodeError, Problem, url};

/// Whether messages flow one way, or are asked for and answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sharing {
    /// The exporter publishes, the importer listens.
    Stream,
    /// The importer asks, the exporter answers.
    Service,
}

impl Sharing {
    /// The word in the token.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Service => "service",
        }
    }

    pub(crate) fn read(value: &Value) -> Result<Self, DecodeError> {
        match read::text(value, MAX_TEXT_BYTES)?.as_str() {
            "stream" => Ok(Self::Stream),
            "service" => Ok(Self::Service),
            other => Err(DecodeError::field(Problem::Word(other.to_owned()))),
        }
    }
}

impl fmt::Display for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Notes a description or URL that cannot be one.
pub(crate) fn validate_info(info_url: &str, issues: &mut Issues) {
    if !info_url.is_empty() && url::host(info_url).is_none() {
        issues.block("error parsing info url: no hostname or scheme");
    }
}
