//! What becomes of requests and answers, as matrices.

mod asking;
mod requests;
