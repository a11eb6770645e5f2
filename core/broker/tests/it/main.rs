//! Scenes with a whole broker and no socket.

// The harness is written as a library would be.
#![allow(unreachable_pub)]

extern crate bulwark_broker as broker;

mod allocations;
mod conversation;
mod cost;
mod explain;
mod fixtures;
mod flow;
mod hops;
mod house;
mod isolation;
mod layers;
mod limits;
mod permissions;
mod protocol;
mod protocol_log;
mod sharing;
mod tracing;
mod ways;
