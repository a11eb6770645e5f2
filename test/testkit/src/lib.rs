//! Virtual clock, conversation, fixtures

pub mod accounts;
pub mod certificates;
pub mod crash_disk;
pub mod responder;

pub use crash_disk::{CrashDisk, Dice, SeededEntropy};
