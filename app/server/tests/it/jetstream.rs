//! Streams, as clients and operators meet them.

mod abroad;
mod account_keys;
mod copies;
mod crash;
mod elsewhere;
mod house;
mod limits;
mod monitoring;
mod orders;
mod reading;
mod sealing;
mod streams;
mod told;
mod tools;
mod wire;
