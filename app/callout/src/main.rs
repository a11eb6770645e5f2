//! A ready auth-callout service
fn main() {}
