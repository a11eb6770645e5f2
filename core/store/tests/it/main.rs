//! The store on a disk that forgets, tears and lies.

mod crash;
mod house;
mod meta;
mod rotation;
mod scenes;
mod tables;
mod tamper;
mod versions;
