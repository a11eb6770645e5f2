//! Accounts: the tenants of a server, each with its own subject space.
//!
//! This room decides what an account is called, what it may use, and which accounts a server has. It does *not* know
//! users or credentials (that is `auth`), counts no connections (the broker does) and fetches no claims.
//!
//! The types: [`AccountName`], [`Limits`], [`Account`] and [`Accounts`], the set that is built once from settings and
//! then only read. [`AccountIds`] gives every name a small number that stays the same over reloads. What accounts share
//! with each other is compiled with the set: [`Exports`] and [`Import`]s as written become [`StreamImport`]s and
//! [`ServiceImport`]s that may stand, and [`SharingError`]s for those that may not.
//!
//! ```
//! use account::{Account, AccountIds, AccountName, Accounts};
//!
//! let mut ids = AccountIds::default();
//! let orders = Account::named(AccountName::parse("ORDERS")?);
//! let accounts = Accounts::build([orders], None, &mut ids)?;
//! assert!(accounts.get("ORDERS").is_some());
//! assert_eq!(accounts.global().name.as_str(), "$G");
//! assert_eq!(accounts.system().name.as_str(), "$SYS");
//! # Ok::<(), account::AccountError>(())
//! ```
#![warn(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

mod accounts;
mod limits;
mod mapping;
mod name;
mod rate;
mod sharing;
mod tenant;

pub use accounts::{AccountError, Accounts, Changed, MAX_ACCOUNTS};
pub use limits::Limits;
pub use mapping::{Destination, MAX_MAPPINGS, Mapped, Mapping, MappingError, Mappings};
pub use name::{AccountId, AccountIds, AccountName, GLOBAL, MAX_ACCOUNT_NAME_BYTES, NameError, SYSTEM};
pub use rate::{Rate, Rates};
pub use sharing::{
    Access, DEFAULT_RESPONSE_THRESHOLD, Exports, Import, ImportKind, Latency, LatencySampling, LocalName, MAX_IMPORTS,
    ResponseType, ServiceExport, ServiceImport, Sharing, SharingError, StreamExport, StreamImport,
};
pub use tenant::{Account, Sampling, TraceDest};
