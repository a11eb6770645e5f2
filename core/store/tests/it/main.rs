//! The store on a disk that forgets, tears and lies.

mod account_crash;
mod account_keys;
mod account_tamper;
mod account_versions;
mod crash;
mod house;
mod meta;
mod parts;
mod rotation;
mod scenes;
mod tables;
mod tamper;
mod versions;
