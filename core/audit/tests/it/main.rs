//! The trail: whole, or broken at a known place.

extern crate bulwark_audit as audit;

mod chain;
mod gate;
