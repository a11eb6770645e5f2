//! The NATS configuration language: text to a tree with positions
