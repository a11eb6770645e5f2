//! Virtual clock, conversation, fixtures

pub mod certificates;
