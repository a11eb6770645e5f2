//! The name of a queue group.

use std::fmt;
use std::sync::Arc;

use crate::algebra;
use crate::filter::Filter;
use crate::literal::SubjectError;

/// Longest queue name, in bytes.
pub const MAX_QUEUE_BYTES: usize = 4096;

/// The name of a queue group: any bytes without blanks and control characters. It has no token rules of its own, yet a
/// rule may speak of many names at once with a filter (`v1.*`).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Queue(Arc<[u8]>);

impl Queue {
    /// Checks and keeps the bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, SubjectError> {
        if bytes.is_empty() {
            return Err(SubjectError::Empty);
        }
        if bytes.len() > MAX_QUEUE_BYTES {
            return Err(SubjectError::TooLong);
        }
        match bytes.iter().position(|&byte| byte < 0x21 || byte == 0x7f) {
            Some(at) => Err(SubjectError::BadByte(at)),
            None => Ok(Self(bytes.into())),
        }
    }

    /// The checked bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the filter speaks of this queue: the same text, or a wider one.
    pub fn is_within(&self, filter: &Filter) -> bool {
        *self.0 == *filter.as_bytes() || algebra::covers(filter.as_bytes(), &self.0)
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({self})")
    }
}
