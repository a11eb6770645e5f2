//! JetStream on a disk that forgets, driven by hand.

mod house;
mod transcript;
