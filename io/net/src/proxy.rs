//! The PROXY header (being written).
