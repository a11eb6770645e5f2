//! Keys against published vectors, the published implementation and strangers' bytes.

mod creds;
mod keys;
mod xkeys;
