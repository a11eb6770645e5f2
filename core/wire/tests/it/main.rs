//! The wire, seen from outside.

mod advisories;
mod client_table;
mod encode;
mod headers;
mod pieces;
mod servers;
