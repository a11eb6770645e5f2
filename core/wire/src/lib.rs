//! Bytes to operations and back, one dialect per peer kind
