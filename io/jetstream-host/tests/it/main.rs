//! JetStream on a disk that forgets, driven by hand.

mod clients;
mod crash;
mod front;
mod house;
mod scenes;
mod transcript;
