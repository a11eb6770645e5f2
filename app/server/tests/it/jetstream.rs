//! Streams, as clients and operators meet them.

mod crash;
mod elsewhere;
mod house;
mod limits;
mod monitoring;
mod orders;
mod reading;
mod sealing;
mod streams;
mod tools;
