//! Load generator and side-by-side figures
fn main() {}
