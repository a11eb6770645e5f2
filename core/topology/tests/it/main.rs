//! Links between servers: the scenes.

mod compression;
mod domain;
mod gateway;
mod gateway_interest;
mod gossip;
mod hop;
mod json;
mod leaf;
mod leaf_interest;
mod names;
mod pool;
mod reply;
mod retry;
mod rights;
mod route;
