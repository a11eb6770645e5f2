//! Scenes with a whole broker and no socket.

// The harness is written as a library would be.
#![allow(unreachable_pub)]

extern crate bulwark_broker as broker;

mod allocations;
mod conversation;
mod fixtures;
mod flow;
mod layers;
mod permissions;
mod protocol;
mod protocol_log;
mod tracing;
