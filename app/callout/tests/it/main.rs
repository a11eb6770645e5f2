//! The service as it is deployed: a server that asks, people who log in, and real providers behind it.
//!
//! The server is `$NATS_SERVER` or the `nats-server` built beside these tests, and the reference where it is installed. The
//! directory is Debian's `slapd`; the OpenID provider is npm's `oidc-provider` under `target/oidc` (or `$CALLOUT_OIDC`). What
//! is not installed is left out, and said so.

mod directory;
mod file;
mod oidc;
mod operator;
mod walk;
mod world;
