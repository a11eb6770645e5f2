//! Scenes with real sockets on loopback: a broker with workers, clients that speak its protocol, and visitors of the
//! monitor.

extern crate bulwark_monitor as monitor;

mod bounds;
mod connections;
mod dashboard;
mod documents;
mod house;
mod secrets;
