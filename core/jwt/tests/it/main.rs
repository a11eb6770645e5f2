//! Tokens and chains of trust, scene by scene.

mod accounts;
mod activations;
mod advisories;
mod callouts;
mod logins;
mod odd;
mod published;
mod scopes;
mod trust;
