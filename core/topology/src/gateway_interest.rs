//! What a server of another cluster wants that is *optimistic*: older than 2.9, it does not say what it wants but what it
//! does not want, one subject after the other, until it has refused so many that it changes its mind and tells all.
//!
//! Newer servers say in INFO (`gateway_iom`) that they tell what they want from the start, and so does this one. Interest
//! of queue groups is told in every mode.

use std::collections::{BTreeMap, BTreeSet};

use subject::Filter;

/// Subjects that nobody wants which are remembered for an account. The far end tells all it wants after half of them; one
/// that does not gets what it refused.
pub const MAX_NO_INTEREST: usize = 2000;

/// What is known of an account over there.
#[derive(Clone, Debug)]
enum Known {
    /// It wants nothing.
    Nothing,
    /// It wants everything but these subjects.
    AllBut(BTreeSet<Box<[u8]>>),
    /// It tells what it wants, and until it has told everything, all but these are sent.
    Telling(BTreeSet<Box<[u8]>>),
    /// It has told everything that it wants.
    Told,
}

/// What an optimistic server has said, by account.
#[derive(Clone, Debug, Default)]
pub struct Optimism {
    /// An account that is not here wants everything.
    accounts: BTreeMap<Box<str>, Known>,
}

impl Optimism {
    /// Whether a message is sent although nobody over there asked for it.
    pub fn sends(&self, account: &str, subject: &[u8]) -> bool {
        match self.accounts.get(account) {
            None => true,
            Some(Known::AllBut(refused) | Known::Telling(refused)) => !refused.contains(subject),
            Some(Known::Nothing | Known::Told) => false,
        }
    }

    /// `A+`: the account may want something again.
    pub fn account_wants(&mut self, account: &str) {
        if matches!(self.accounts.get(account), Some(Known::Nothing)) {
            self.accounts.remove(account);
        }
    }

    /// `A-`: the account wants nothing, queue groups excepted.
    pub fn account_wants_nothing(&mut self, account: &str) {
        if !self.tells(account) {
            self.accounts.insert(account.into(), Known::Nothing);
        }
    }

    /// `RS+` outside queue groups. Whether it is interest to be remembered; else it takes refusals back.
    pub fn subscribes(&mut self, account: &str, filter: &Filter) -> bool {
        if let Some(Known::AllBut(refused)) = self.accounts.get_mut(account) {
            // A wildcard takes back every refusal it covers.
            refused.retain(|subject| !Filter::parse(subject).is_ok_and(|refused| filter.covers(&refused)));
        }
        self.tells(account)
    }

    /// `RS-` outside queue groups. Whether it is interest that ends; else nobody wants this subject.
    pub fn unsubscribes(&mut self, account: &str, subject: &[u8]) -> bool {
        let known = self.accounts.entry(account.into()).or_insert_with(|| Known::AllBut(BTreeSet::new()));
        if let Known::AllBut(refused) = known
            && refused.len() < MAX_NO_INTEREST
        {
            refused.insert(subject.into());
        }
        self.tells(account)
    }

    /// All interest of the account follows.
    pub fn all_follows(&mut self, account: &str) {
        let refused = match self.accounts.remove(account) {
            Some(Known::AllBut(refused) | Known::Telling(refused)) => refused,
            Some(Known::Nothing | Known::Told) | None => BTreeSet::new(),
        };
        self.accounts.insert(account.into(), Known::Telling(refused));
    }

    /// All interest of the account was sent.
    pub fn all_sent(&mut self, account: &str) {
        self.accounts.insert(account.into(), Known::Told);
    }

    fn tells(&self, account: &str) -> bool {
        matches!(self.accounts.get(account), Some(Known::Telling(_) | Known::Told))
    }
}
