//! The nats-server binary
fn main() {}
