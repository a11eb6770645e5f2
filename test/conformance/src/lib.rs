//! Same script against us and the reference.
