//! What must be true of subjects, seen from outside.

mod algebra;
mod parse;
mod sublist;
mod transform;
