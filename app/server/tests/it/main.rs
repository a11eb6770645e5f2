//! The built server, as its peers meet it.

mod operator;
mod tls;
