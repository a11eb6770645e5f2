//! The subjects of the protocol.

use crate::settings::Settings;

/// The queue group in which requests for packs are taken, so that one server answers each.
pub const PACK_QUEUE: &str = "responder";
/// Most accounts one request deletes.
pub const MAX_DELETED_ACCOUNTS: usize = 65_536;

/// What is asked. The account is a text until it is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// Keep this token; the subject names the account, or the token alone does.
    Update(Option<&'a str>),
    /// Tell this account's token.
    Lookup(&'a str),
    /// Tell every token, unless the hash in the body is ours.
    Pack,
    /// Name every account.
    List,
    /// Forget accounts.
    Delete,
}

/// What a resolver listens to in the system account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscription {
    /// The filter.
    pub filter: &'static str,
    /// The queue group, if one server is to answer.
    pub queue: Option<&'static str>,
}

const UPDATE: Subscription = Subscription { filter: "$SYS.REQ.ACCOUNT.*.CLAIMS.UPDATE", queue: None };
const UPDATE_OLD: Subscription = Subscription { filter: "$SYS.ACCOUNT.*.CLAIMS.UPDATE", queue: None };
const UPDATE_ANY: Subscription = Subscription { filter: "$SYS.REQ.CLAIMS.UPDATE", queue: None };
const LOOKUP: Subscription = Subscription { filter: "$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP", queue: None };
const PACK: Subscription = Subscription { filter: "$SYS.REQ.CLAIMS.PACK", queue: Some(PACK_QUEUE) };
const LIST: Subscription = Subscription { filter: "$SYS.REQ.CLAIMS.LIST", queue: None };
const DELETE: Subscription = Subscription { filter: "$SYS.REQ.CLAIMS.DELETE", queue: None };

impl Settings {
    /// What such a resolver listens to.
    pub const fn subscriptions(&self) -> &'static [Subscription] {
        match self {
            Self::Memory | Self::Url(_) => &[UPDATE, UPDATE_OLD],
            Self::Cache(_) => &[UPDATE, UPDATE_OLD, UPDATE_ANY, LIST, DELETE],
            Self::Full(_) => &[UPDATE, UPDATE_OLD, UPDATE_ANY, LOOKUP, PACK, LIST, DELETE],
        }
    }
}

impl<'a> Request<'a> {
    /// Reads a subject; `None` when it is none of the protocol's.
    pub fn of(subject: &'a [u8]) -> Option<Self> {
        let tokens: Vec<&str> = std::str::from_utf8(subject).ok()?.split('.').collect();
        Some(match tokens.as_slice() {
            ["$SYS", "REQ", "ACCOUNT", account, "CLAIMS", "UPDATE"] => Self::Update(Some(account)),
            ["$SYS", "ACCOUNT", account, "CLAIMS", "UPDATE"] => Self::Update(Some(account)),
            ["$SYS", "REQ", "CLAIMS", "UPDATE"] => Self::Update(None),
            ["$SYS", "REQ", "ACCOUNT", account, "CLAIMS", "LOOKUP"] => Self::Lookup(account),
            ["$SYS", "REQ", "CLAIMS", "PACK"] => Self::Pack,
            ["$SYS", "REQ", "CLAIMS", "LIST"] => Self::List,
            ["$SYS", "REQ", "CLAIMS", "DELETE"] => Self::Delete,
            _ => return None,
        })
    }
}
