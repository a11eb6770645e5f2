//! Pairs of layers driven in memory: no socket, no file, no sleep. The other end is ours, or rustls as it comes.

mod keys;
mod layer;
mod mapping;
mod matrix;
mod ocsp;
mod pair;
mod refusals;
mod reload;
mod stock;
mod stream;
