//! Signed claims: operators, accounts, users, activations, the callout's question and answer.
//!
//! This room decides whether a text is a token that its issuer signed ([`Claims::decode`] and the `decode` of each kind),
//! what is wrong with what it says (`validate`), and whether the chain from a trusted operator down to a user holds
//! ([`chain`]). It also writes tokens (`encode`, or [`Unsigned`] for a key that lives elsewhere).
//!
//! It does *not* fetch accounts, keep them, compile exports and imports, or enforce permissions; it reads no clock and no
//! zone table ([`Zones`] is an argument). A token is at most 1 MiB and every list in it has a [bound](bounds). A field of
//! the wrong type, a missing one, one named twice or misspelt is a [`DecodeError`] that names its path, never a panic.
//!
//! The main types: [`AccountClaims`] and [`UserClaims`] (what was signed), [`chain::TrustedAccount`] (what was judged),
//! [`chain::UserGrant`] (what came of it).
//!
//! ```
//! use bulwark_jwt::chain::{Attempt, admit_user};
//! use bulwark_jwt::testing::{Chain, NOW};
//! use bulwark_jwt::{ConnectionType, UserClaims, UtcOnly};
//!
//! let chain = Chain::new("acme");
//! let account = chain.account("shop");
//! let joe = account.user("joe");
//!
//! let trust = chain.trust();
//! let claims = UserClaims::decode(&joe.token())?;
//! let shop = trust.admit_account(&account.token(), &trust.account_of(&claims)?, NOW)?;
//! let signature = joe.sign(b"nonce");
//! let attempt = Attempt {
//!     nonce: b"nonce",
//!     signature: Some(&signature),
//!     address: None,
//!     connection: ConnectionType::Standard,
//!     via_trusted_proxy: false,
//! };
//! let grant = admit_user(&trust, &shop, &claims, &attempt, &UtcOnly, NOW)?;
//! assert_eq!((grant.name.as_str(), grant.account_name.as_str()), ("joe", "shop"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

mod account;
mod activation;
pub mod bounds;
pub mod callout;
pub mod chain;
mod claims;
mod common;
mod connection;
mod error;
mod export;
#[doc(hidden)]
pub mod fuzz;
mod generic;
mod glance;
mod import;
mod issue;
mod limits;
mod mapping;
mod network;
mod operator;
mod permission;
mod read;
mod revocation;
mod sharing;
mod signing;
mod subjects;
mod template;
pub mod testing;
mod token;
mod url;
mod user;
mod window;
mod write;

pub use account::{AccountClaims, AllowedAccount, ClusterTraffic, ExternalAuthorization, MessageTrace};
pub use activation::ActivationClaims;
pub use callout::{AuthorizationRequest, AuthorizationResponse};
pub use claims::Claims;
pub use common::{Common, Kind, Subject, UnixSeconds};
pub use connection::{ConnectionType, ConnectionTypes};
pub use error::{DecodeError, EncodeError, Problem};
pub use export::{Export, ResponseType, Sampling, ServiceLatency};
pub use generic::GenericClaims;
pub use glance::Glance;
pub use import::Import;
pub use issue::{Issue, Issues, Severity};
pub use limits::{AccountLimits, JetStreamLimits, Limits, NO_LIMIT, NatsLimits, bound};
pub use mapping::{Mappings, WeightedMapping};
pub use network::{Network, NotANetwork};
pub use operator::OperatorClaims;
pub use permission::{
    Allow, AnswerRule, DEFAULT_MAX_RESPONSES, DEFAULT_RESPONSE_TTL, Entry, Permission, Permissions, Responses, Rule,
    Rules,
};
pub use revocation::{Revocations, Revoked};
pub use sharing::Sharing;
pub use signing::{Scope, SigningKeys};
pub use template::TemplateRefusal;
pub use token::Unsigned;
pub use user::{TimeRange, UserClaims, UserRights};
pub use window::{TimeOfDay, UtcOnly, Window, Zones, open_until};
