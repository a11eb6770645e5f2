//! Streams and consumers as state machines, placement and limits
