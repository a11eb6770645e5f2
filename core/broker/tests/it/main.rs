//! Scenes with a whole broker and no socket.

extern crate bulwark_broker as broker;

mod allocations;
mod conversation;
mod fixtures;
mod flow;
mod layers;
mod permissions;
mod protocol;
