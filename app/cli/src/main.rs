//! The nats binary
fn main() {}
