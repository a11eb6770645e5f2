//! The NATS configuration language: text to a tree whose nodes know file, line and column.
//!
//! The language is a mixture of JSON and classic configuration files: `key value`, `key: value` and `key = value`,
//! maps in braces, arrays in brackets, comments with `#` and `//`, sizes such as `64mb`, block strings in parentheses,
//! `include "file"`, and variables `$NAME` that are looked up in the enclosing maps and then in the environment.
//!
//! This room does **not** know a single option, reads no file and no environment: both arrive as functions in
//! [`World`]. It does not decide what a duration is (durations are strings here) and it prints no value: texts are
//! secrets until somebody who knows the option says otherwise.
//!
//! Main types: [`parse`] makes a [`Map`] of [`Node`]s, or a list of [`Error`]s; [`digest`] names a tree by its content.
//!
//! ```
//! use bulwark_conf::{World, parse};
//! use secret::Secret;
//!
//! let text = Secret::new(b"max_payload: 1mb\nhost = $HOST".to_vec());
//! let tree = parse("nats.conf", text, &World::new(&|name| {
//!     (name == "HOST").then(|| "127.0.0.1".into())
//! }, &|path| Err(format!("open {path}: no such file or directory")))).unwrap();
//!
//! assert_eq!(tree.get("max_payload").unwrap().as_integer(), Some(1 << 20));
//! assert_eq!(tree.get("host").unwrap().as_str(), Some("127.0.0.1"));
//! assert_eq!(tree.get("host").unwrap().place.to_string(), "nats.conf:2:1");
//! ```
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

mod cursor;
mod datetime;
mod digest;
mod error;
mod fuzz;
mod include;
mod key;
mod limits;
mod node;
mod number;
mod place;
mod scalar;
mod structure;
mod variable;
mod world;

pub use digest::{digest, to_json};
pub use error::{Error, Fault, Unexpected};
#[doc(hidden)]
pub use fuzz::fuzz_parse;
pub use limits::{
    MAX_DEPTH, MAX_ERRORS, MAX_FILE_BYTES, MAX_INCLUDE_DEPTH, MAX_INCLUDES, MAX_NODES, MAX_VARIABLE_DEPTH,
};
pub use node::{Kind, Map, Node, Text, Value};
pub use place::Place;
pub use world::{World, parse};
