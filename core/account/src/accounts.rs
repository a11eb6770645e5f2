//! The accounts of a server.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::name::{AccountIds, AccountName, GLOBAL, NameError};
use crate::tenant::Account;

/// Most accounts of a server.
pub const MAX_ACCOUNTS: usize = 1_000_000;

/// Why accounts cannot live together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountError {
    /// A name is not one.
    Name(NameError),
    /// `$G` is made by the server.
    Reserved(AccountName),
    /// Two accounts bear this name.
    Duplicate(AccountName),
    /// More than [`MAX_ACCOUNTS`].
    TooMany,
}

impl fmt::Display for AccountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => error.fmt(f),
            Self::Reserved(name) => write!(f, "\"{name}\" is a Reserved Account"),
            Self::Duplicate(name) => write!(f, "Duplicate Account Entry: {name}"),
            Self::TooMany => write!(f, "more than {MAX_ACCOUNTS} accounts"),
        }
    }
}

impl std::error::Error for AccountError {}

impl From<NameError> for AccountError {
    fn from(error: NameError) -> Self {
        Self::Name(error)
    }
}

/// All accounts, by name. There are always a global and a system account.
#[derive(Debug, Clone)]
pub struct Accounts {
    by_name: HashMap<AccountName, Arc<Account>>,
    global: Arc<Account>,
    system: Arc<Account>,
}

impl Accounts {
    /// Gathers the accounts, adds `$G`, and the system account if it is not among them. `None` is `$SYS`.
    pub fn build(
        accounts: impl IntoIterator<Item = Account>,
        system: Option<&AccountName>,
        ids: &mut AccountIds,
    ) -> Result<Self, AccountError> {
        let system = system.cloned().unwrap_or_else(AccountName::system);
        let mut by_name = HashMap::new();
        let mut enter = |mut account: Account| {
            account.id = ids.of(&account.name);
            account.system = account.name == system;
            by_name.entry(account.name.clone()).or_insert_with(|| Arc::new(account)).clone()
        };
        let global = enter(Account::named(AccountName::global()));
        let mut seen = std::collections::HashSet::new();
        for account in accounts {
            let name = account.name.clone();
            match seen.len() {
                _ if name.as_str() == GLOBAL => return Err(AccountError::Reserved(name)),
                _ if !seen.insert(name.clone()) => return Err(AccountError::Duplicate(name)),
                MAX_ACCOUNTS.. => return Err(AccountError::TooMany),
                _ => drop(enter(account)),
            }
        }
        let system = enter(Account::named(system.clone()));
        Ok(Self { by_name, global, system })
    }

    /// The same set with this account added, or in the place of the one that bears its name. What is global or system
    /// stays so.
    #[must_use]
    pub fn with(&self, mut account: Account, ids: &mut AccountIds) -> Self {
        account.id = ids.of(&account.name);
        account.system = account.name == self.system.name;
        let account = Arc::new(account);
        let mut next = self.clone();
        if account.system {
            next.system = account.clone();
        }
        if account.name == next.global.name {
            next.global = account.clone();
        }
        next.by_name.insert(account.name.clone(), account);
        next
    }

    /// The same set without the account of this name. The global and the system account stay.
    #[must_use]
    pub fn without(&self, name: &AccountName) -> Self {
        let mut next = self.clone();
        if *name != next.global.name && *name != next.system.name {
            next.by_name.remove(name);
        }
        next
    }

    /// The account of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Account>> {
        self.by_name.get(name)
    }

    /// `$G`.
    pub fn global(&self) -> &Arc<Account> {
        &self.global
    }

    /// The system account.
    pub fn system(&self) -> &Arc<Account> {
        &self.system
    }

    /// All of them, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.by_name.values()
    }

    /// How many there are, the global and the system account included.
    pub fn count(&self) -> usize {
        self.by_name.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Account {
        Account::named(AccountName::parse(name).unwrap())
    }

    #[test]
    fn the_global_and_the_system_account_are_always_there() {
        let accounts = Accounts::build([named("A")], None, &mut AccountIds::default()).unwrap();
        assert_eq!(accounts.count(), 3);
        assert!(accounts.system().system && !accounts.global().system);
    }

    #[test]
    fn a_configured_account_can_be_the_system_account() {
        let sys = AccountName::parse("ADMIN").unwrap();
        let accounts = Accounts::build([named("ADMIN")], Some(&sys), &mut AccountIds::default()).unwrap();
        assert_eq!(accounts.count(), 2);
        assert!(Arc::ptr_eq(accounts.system(), accounts.get("ADMIN").unwrap()));
    }

    #[test]
    fn the_reserved_name_and_a_name_used_twice_are_refused() {
        let build = |names: &[&str]| {
            let error = Accounts::build(names.iter().map(|name| named(name)), None, &mut AccountIds::default());
            error.unwrap_err().to_string()
        };
        assert_eq!(build(&["$G"]), "\"$G\" is a Reserved Account");
        assert_eq!(build(&["A", "A"]), "Duplicate Account Entry: A");
    }

    #[test]
    fn an_account_comes_changes_and_goes() {
        let mut ids = AccountIds::default();
        let none = Accounts::build([], None, &mut ids).unwrap();
        let one = none.with(named("A"), &mut ids);
        let changed = one.with(Account { nkey: None, trace: None, ..named("A") }, &mut ids);
        assert_eq!((none.count(), one.count(), changed.count()), (2, 3, 3));
        assert_eq!(one.get("A").unwrap().id, changed.get("A").unwrap().id);
        assert!(changed.without(&AccountName::parse("A").unwrap()).get("A").is_none());
        assert!(changed.without(&AccountName::system()).get("$SYS").is_some());
        let system = none.with(named("$SYS"), &mut ids);
        assert!(system.system().system && Arc::ptr_eq(system.system(), system.get("$SYS").unwrap()));
    }

    #[test]
    fn numbers_stay_the_same_over_a_reload() {
        let mut ids = AccountIds::default();
        let before = Accounts::build([named("A"), named("B")], None, &mut ids).unwrap();
        let after = Accounts::build([named("C"), named("B")], None, &mut ids).unwrap();
        assert_eq!(before.get("B").unwrap().id, after.get("B").unwrap().id);
        assert_ne!(before.get("A").unwrap().id, after.get("C").unwrap().id);
    }
}
