//! Keys with names: the textual Ed25519 and X25519 keys by which operators, accounts, users and servers are known.
//!
//! This room decides whether a text is a key, of which [`Role`], and whether a signature or a sealed box was made by its
//! owner. It reads no files, draws no random numbers (entropy and box nonces are arguments), knows no JWT and keeps no
//! key store. Every length is checked before a key reaches the cryptography, so a truncated or stretched key is an
//! error and never a panic, and seeds live in [`Secret`].
//!
//! The main types: [`PublicKey`] (verifies), [`KeyPair`] (signs), [`XKey`] and [`XPublicKey`] (seal and open),
//! [`Creds`] (the decorated file a client keeps).
//!
//! ```
//! use bulwark_nkeys::{KeyPair, PublicKey, Role};
//! # use bulwark_nkeys::Secret;
//!
//! let user = KeyPair::from_raw_seed(Role::User, Secret::new([7; 32]));
//! let signature = user.sign(b"nonce");
//!
//! let known: PublicKey = user.public().to_string().parse()?;
//! assert_eq!(known.role(), Role::User);
//! assert!(known.verify(b"nonce", &signature).is_ok());
//! assert!(known.verify(b"other", &signature).is_err());
//! # Ok::<(), bulwark_nkeys::KeyError>(())
//! ```

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

mod codec;
mod creds;
mod error;
#[doc(hidden)]
pub mod fuzz;
mod pair;
mod public;
mod xkey;

pub use codec::{Prefix, Role};
pub use creds::{Creds, MAX_CREDS_BYTES, decorate_jwt, undecorate_jwt};
pub use error::KeyError;
pub use pair::{KeyPair, RAW_SEED_BYTES, SIGNATURE_BYTES, Signature};
pub use public::{PUBLIC_KEY_CHARS, PublicKey, RAW_KEY_BYTES};
pub use secret::Secret;
pub use xkey::{BOX_NONCE_BYTES, BOX_OVERHEAD_BYTES, MAX_SEALED_BYTES, XKey, XPublicKey};
