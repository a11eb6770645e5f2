//! JetStream on a disk that forgets, driven by hand.

mod crash;
mod house;
mod scenes;
mod transcript;
