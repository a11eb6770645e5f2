//! Where account tokens come from, and the `$SYS.REQ.CLAIMS` protocol by which they are listed, fetched, changed and
//! deleted.
//!
//! This room keeps tokens: in memory ([`Memory`]) or as files ([`Directory`], with all accounts or as a cache), and answers
//! the requests of the protocol ([`Resolver::handle`]): bytes in, answer bytes and [`Effect`]s out. It sends no message and
//! judges no login; who calls it publishes the answers and applies the effects to live connections. [`AccountServer`] fetches
//! tokens from the web.
//! [`SystemZones`] is the host's zone table for [`jwt::Zones`].
//!
//! What is stored was judged: signed by a trusted operator, valid, current, and not older than what it replaces, so a
//! revocation cannot be rolled back. File names are made from checked keys and from nothing else.
//!
//! ```
//! use bulwark_resolver::{Answer, Effect, Request, Resolver, Settings, World};
//! use jwt::testing::{Chain, NOW};
//!
//! let chain = Chain::new("acme");
//! let (trust, shop) = (chain.trust(), chain.account("shop"));
//! let world = World { trust: &trust, system: None, known: &|_| true, server: "{}", now: NOW };
//! let mut resolver = Resolver::open(&Settings::Memory, NOW)?;
//! let subject = format!("$SYS.REQ.ACCOUNT.{}.CLAIMS.UPDATE", shop.key.public());
//! let request = Request::of(subject.as_bytes()).unwrap();
//! let handled = resolver.handle(&request, shop.token().as_bytes(), &world);
//! assert!(matches!(handled.answer, Answer::One(text) if text.windows(11).any(|part| part == b"jwt updated")));
//! assert!(matches!(&handled.effects[..], [Effect::Changed { .. }]));
//! # Ok::<(), bulwark_resolver::ResolverError>(())
//! ```

mod account_server;
mod delete;
mod description;
mod directory;
mod fetch;
mod index;
mod memory;
mod merge;
mod outcome;
mod request;
mod resolver;
mod settings;
mod store;
mod update;
mod zones;

pub use account_server::{AccountServer, FETCH_TIMEOUT, MAX_FETCHES, WebError};
pub use directory::Directory;
pub use fetch::{Fetch, FetchError, FetchStep, lookup_subject};
pub use memory::Memory;
pub use outcome::Outcome;
pub use request::{MAX_DELETED_ACCOUNTS, PACK_QUEUE, Request, Subscription};
pub use resolver::{Answer, Effect, Handled, Resolver, World};
pub use settings::{CacheSettings, DeleteMode, DirectorySettings, ResolverError, Settings};
pub use store::{Mark, Store, StoreError, Stored};
pub use zones::SystemZones;
