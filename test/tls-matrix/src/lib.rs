//! What every combination of TLS options leads to, with real clients: openssl s_client, async-nats and nats-py, against
//! this server and the reference server.
//!
//! The cells are a pairwise cover of everything that should work, every refusal alone, and every configuration that cannot
//! be had. What a cell led to stands in `matrix.txt` in this folder; where the two servers part, the row names the decision
//! (the room `decisions`), and a difference that no decision covers fails the run.

pub mod axes;
mod cast;
pub mod client;
mod decisions;
mod house;
pub mod matrix;
pub mod outcome;
mod relay;

pub use house::Binary;
