//! A whole deployment in one thread, from a seed: brokers as they are, with simulated time and simulated connections.
//!
//! A world has servers (each a `broker::Hub` with one worker), wires between them and clients. Chance decides what
//! clients do and what breaks: servers crash and come back as new ones, wires are cut or go dead without a word, groups of
//! servers are parted, wires get slow. Nothing is decided by a clock, a socket or a thread, so a seed is a story.
//!
//! Where servers take orders to streams, whoever sent one is bound as where it is connected, also if that is in another cluster.
//! What must hold, always: no client gets a message twice on one subscription, and of a queue group one member at most.
//! What must hold once nothing breaks any more: every server reaches every subscription; and when everybody has gone,
//! no interest is left anywhere and there are as many links as there should be.

mod crowd;
mod desk;
mod ear;
mod node;
mod plan;
mod wire;
mod world;

pub use plan::Shape;
pub use world::{Story, tell};
