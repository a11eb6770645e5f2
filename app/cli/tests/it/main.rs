//! The `nats` program against a real server: what people type, what they see, and how it ends.
//!
//! The server is `$NATS_SERVER`, or the `nats-server` that was built beside these tests.

mod account;
mod audit;
mod auth;
mod auth_servers;
mod bench;
mod cluster;
mod completion;
mod connection;
mod consumer;
mod context;
mod counter;
mod errors;
mod events;
mod kv;
mod latency;
mod object;
mod person;
mod publish;
mod reply;
mod request;
mod rtt;
mod scene;
mod server_check;
mod service;
mod stream;
mod subscribe;
mod system;
mod terminal;
mod tls;
mod top;
mod trace;
