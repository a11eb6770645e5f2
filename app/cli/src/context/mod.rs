//! Contexts: named sets of connection settings kept in files, and what holds in the end for one run.
//!
//! What is typed on the command line wins over the environment, which wins over the context, which wins over the
//! built-in default. A kind of credential given explicitly replaces the context's credentials as a whole, so that a
//! person never logs in as somebody else than they asked for.

mod credential;
mod effective;
mod record;
pub(crate) mod shelf;

pub(crate) use credential::{expand, read_bytes, read_text, scheme_of};
pub(crate) use effective::{DEFAULT_URL, Origin, effective, overlay};
pub(crate) use record::Record;
pub(crate) use shelf::{Shelf, check_name};
