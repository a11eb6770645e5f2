//! Connecting: who we say we are, how we trust the server, what a failure means and what to do about it.

mod async_link;
mod counting;
mod explain;
mod identity;
mod line;
mod servers;
mod socks;
mod trust;

pub(crate) use async_link::{Link, connect};
pub(crate) use counting::{Counted, Counter};
pub(crate) use identity::Identity;
pub(crate) use line::{Line, Outgoing, encode_message};
pub(crate) use servers::{servers, without_password};
pub(crate) use trust::authorities;
