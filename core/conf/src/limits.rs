//! How much configuration is still configuration. Past a bound the text is refused, with the bound named.

/// Bytes of one file.
pub const MAX_FILE_BYTES: usize = 64 << 20;
/// Maps and arrays inside each other.
pub const MAX_DEPTH: usize = 100;
/// Files that include files.
pub const MAX_INCLUDE_DEPTH: usize = 16;
/// Files that are included, all in all: a file that includes two others, which do the same, needs few lines to be many.
pub const MAX_INCLUDES: usize = 10_000;
/// Environment variables whose value refers to a further one.
pub const MAX_VARIABLE_DEPTH: usize = 16;
/// Nodes of the whole tree. Variables copy what they refer to, so a short text can ask for a tree of any size.
pub const MAX_NODES: usize = 4_000_000;
/// Errors that are collected before parsing gives up.
pub const MAX_ERRORS: usize = 100;
