//! One account.

use std::sync::{Arc, LazyLock};

use nkeys::PublicKey;
use subject::Filter;

use crate::limits::Limits;
use crate::mapping::Mappings;
use crate::name::{AccountId, AccountName};
use crate::sharing::{Exports, Import, Sharing};

/// What most accounts have of others: one and the same for all of them.
static NOTHING_SHARED: LazyLock<Arc<Sharing>> = LazyLock::new(Arc::default);

/// An account as configured or claimed. Immutable; a reload makes new ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// What it is called.
    pub name: AccountName,
    /// Its number in this process.
    pub id: AccountId,
    /// Its public key, if it has one.
    pub nkey: Option<PublicKey>,
    /// What it may use.
    pub limits: Limits,
    /// Where traces go of messages that carry a foreign trace header.
    pub trace: Option<TraceDest>,
    /// How what its clients publish is moved.
    pub mappings: Mappings,
    /// What it offers to other accounts.
    pub exports: Exports,
    /// What it wants of other accounts, as written.
    pub imports: Vec<Import>,
    /// What of that may stand among all accounts. Compiled when the set is built.
    pub sharing: Arc<Sharing>,
    /// It is the system account.
    pub system: bool,
}

impl Account {
    /// An account with this name and nothing else. Its number is given when the set is built.
    pub fn named(name: AccountName) -> Self {
        Self {
            name,
            id: AccountId::default(),
            nkey: None,
            limits: Limits::default(),
            trace: None,
            mappings: Mappings::default(),
            exports: Exports::default(),
            imports: Vec::new(),
            sharing: NOTHING_SHARED.clone(),
            system: false,
        }
    }
}

/// Where an account wants traces, and how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceDest {
    /// A literal subject in the account.
    pub subject: Filter,
    /// How many of the messages are traced.
    pub sampling: Sampling,
}

/// A share from 1 to 100 percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling(u8);

impl Sampling {
    /// Every message.
    pub const ALL: Self = Self(100);

    /// `None` outside of 1 to 100.
    pub const fn percent(percent: u8) -> Option<Self> {
        if percent >= 1 && percent <= 100 { Some(Self(percent)) } else { None }
    }

    /// The share in percent.
    pub const fn get(self) -> u8 {
        self.0
    }
}
