//! Where something was written.

use std::fmt;
use std::sync::Arc;

/// File, line and column.
///
/// The column is the one the reference server prints: the byte offset from the line break before, so it counts from 0
/// in the first line and from 1 in all others.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The file as it was named, on the command line or by the `include`.
    pub file: Arc<str>,
    /// Counts from 1.
    pub line: u32,
    /// See above.
    pub column: u32,
}

impl Place {
    /// A place in a file.
    pub fn new(file: impl Into<Arc<str>>, line: u32, column: u32) -> Self {
        Self { file: file.into(), line, column }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}
