//! What must be true of subjects, seen from outside.

mod algebra;
