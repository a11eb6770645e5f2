//! The accounts of a server.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

use rpds::{HashTrieMapSync, HashTrieSetSync};

use crate::name::{AccountIds, AccountName, GLOBAL, NameError};
use crate::sharing::{self, Sharing};
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
///
/// A set is a value: one with another account more shares all it can with the one that it was made of, so that an account
/// that comes while the server runs costs the same with ten accounts and with a million.
#[derive(Debug, Clone)]
pub struct Accounts {
    by_name: HashTrieMapSync<AccountName, Arc<Account>>,
    importers: Importers,
    global: AccountName,
    system: AccountName,
}

impl Accounts {
    /// Gathers the accounts, adds `$G`, and the system account if it is not among them. `None` is `$SYS`.
    pub fn build(
        accounts: impl IntoIterator<Item = Account>,
        system: Option<&AccountName>,
        ids: &mut AccountIds,
    ) -> Result<Self, AccountError> {
        let system = system.cloned().unwrap_or_else(AccountName::system);
        let mut set = Self {
            by_name: HashTrieMapSync::default(),
            importers: Importers::default(),
            global: AccountName::global(),
            system: system.clone(),
        };
        set.enter(Account::named(AccountName::global()), ids);
        let mut seen = HashSet::new();
        for account in accounts {
            let name = account.name.clone();
            match seen.len() {
                _ if name.as_str() == GLOBAL => return Err(AccountError::Reserved(name)),
                _ if !seen.insert(name.clone()) => return Err(AccountError::Duplicate(name)),
                MAX_ACCOUNTS.. => return Err(AccountError::TooMany),
                _ => drop(set.enter(account, ids)),
            }
        }
        if set.get(system.as_str()).is_none() {
            set.enter(Account::named(system), ids);
        }
        // The others have nothing of anybody, which is how they came.
        let has_some = |account: &&Arc<Account>| !account.imports.is_empty() || *account.sharing != Sharing::default();
        let importers: BTreeSet<_> = set.iter().filter(has_some).map(|account| account.name.clone()).collect();
        set.link(&importers);
        Ok(set)
    }

    /// The same set with this account added, or in the place of the one that bears its name. What is global or system
    /// stays so. Says besides which accounts are not as they were: those that import from this one may be among them.
    #[must_use]
    pub fn with(&self, account: Account, ids: &mut AccountIds) -> (Self, Changed) {
        self.with_all(vec![account], ids)
    }

    /// The same for several at once.
    #[must_use]
    pub fn with_all(&self, accounts: Vec<Account>, ids: &mut AccountIds) -> (Self, Changed) {
        let mut next = self.clone();
        let mut changed = Changed::new();
        let mut sharing = BTreeSet::new();
        for account in accounts {
            let name = account.name.clone();
            let before = self.get(name.as_str());
            if shares(&account) || before.is_some_and(|before| shares(before)) || self.importers.any(&name) {
                sharing.insert(name.clone());
            }
            next.enter(account, ids);
            changed.insert(name);
        }
        changed.extend(next.relink(self, &sharing));
        (next, changed)
    }

    /// The same set without the account of this name. The global and the system account stay.
    #[must_use]
    pub fn without(&self, name: &AccountName) -> (Self, Changed) {
        let mut next = self.clone();
        let mut changed = Changed::new();
        if *name == self.global || *name == self.system {
            return (next, changed);
        }
        if let Some(gone) = self.get(name.as_str()) {
            next.by_name.remove_mut(name);
            next.importers.forget(gone);
            changed.insert(name.clone());
            changed.extend(next.relink(self, &BTreeSet::from([name.clone()])));
        }
        (next, changed)
    }

    /// Puts an account in, with the number of its name.
    fn enter(&mut self, mut account: Account, ids: &mut AccountIds) -> Arc<Account> {
        account.id = ids.of(&account.name);
        account.system = account.name == self.system;
        if let Some(before) = self.by_name.get(&account.name) {
            self.importers.forget(before);
        }
        self.importers.note(&account);
        let account = Arc::new(account);
        self.by_name.insert_mut(account.name.clone(), account.clone());
        account
    }

    /// Finds out anew what accounts may have of each other, where that may have changed with these: for themselves, for
    /// those that import from them, and along all that they import or imported, since circles through them came or went.
    fn relink(&mut self, before: &Self, of: &BTreeSet<AccountName>) -> Changed {
        if of.is_empty() {
            return Changed::new();
        }
        let mut concerned = self.exporters_of(of.clone());
        concerned.append(&mut before.exporters_of(of.clone()));
        concerned.extend(of.iter().flat_map(|name| self.importers.of(name)).cloned());
        self.link(&concerned)
    }

    /// These accounts, those that they import from, those that these import from, and so on.
    fn exporters_of(&self, mut found: BTreeSet<AccountName>) -> BTreeSet<AccountName> {
        let mut rest: Vec<AccountName> = found.iter().cloned().collect();
        while let Some(name) = rest.pop() {
            let imports = self.get(name.as_str()).map(|account| account.imports.as_slice()).unwrap_or_default();
            for import in imports {
                if found.insert(import.account.clone()) {
                    rest.push(import.account.clone());
                }
            }
        }
        found
    }

    /// Compiles what these accounts may have of others. Says which of them are not as they were.
    fn link(&mut self, concerned: &BTreeSet<AccountName>) -> Changed {
        let among = self.exporters_of(concerned.clone());
        let find = |name: &AccountName| self.by_name.get(name).map(Arc::as_ref);
        let mut compiled = sharing::compile(among.iter().filter_map(find), &find);
        let mut changed = Changed::new();
        for name in concerned {
            let Some(account) = self.by_name.get(name) else { continue };
            let sharing = compiled.remove(name).unwrap_or_default();
            if *account.sharing != sharing {
                let account = Account { sharing: Arc::new(sharing), ..Account::clone(account) };
                self.by_name.insert_mut(name.clone(), Arc::new(account));
                changed.insert(name.clone());
            }
        }
        changed
    }

    /// The account of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Account>> {
        self.by_name.get(name)
    }

    /// Who imports from the account of this name, whether that is here or not.
    pub fn importers_of(&self, name: &AccountName) -> impl Iterator<Item = &Arc<Account>> {
        self.importers.of(name).filter_map(|importer| self.by_name.get(importer))
    }

    /// `$G`.
    pub fn global(&self) -> &Arc<Account> {
        self.by_name.get(&self.global).expect("it was entered first, and stays")
    }

    /// The system account.
    pub fn system(&self) -> &Arc<Account> {
        self.by_name.get(&self.system).expect("it was entered when the set was built, and stays")
    }

    /// All of them, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.by_name.values()
    }

    /// How many there are, the global and the system account included.
    pub fn count(&self) -> usize {
        self.by_name.size()
    }
}

/// The accounts by which a set differs from the one it was made of: those that came, changed or went.
pub type Changed = BTreeSet<AccountName>;

/// Whether what others may have depends on this account, or it on them.
fn shares(account: &Account) -> bool {
    !account.exports.is_empty() || !account.imports.is_empty()
}

/// Who imports from whom, by the exporter, whether that is here or not.
#[derive(Debug, Clone, Default)]
struct Importers(HashTrieMapSync<AccountName, HashTrieSetSync<AccountName>>);

impl Importers {
    fn of(&self, exporter: &AccountName) -> impl Iterator<Item = &AccountName> {
        self.0.get(exporter).into_iter().flat_map(HashTrieSetSync::iter)
    }

    fn any(&self, exporter: &AccountName) -> bool {
        self.0.contains_key(exporter)
    }

    fn note(&mut self, account: &Account) {
        for import in &account.imports {
            let mut known = self.0.get(&import.account).cloned().unwrap_or_default();
            known.insert_mut(account.name.clone());
            self.0.insert_mut(import.account.clone(), known);
        }
    }

    fn forget(&mut self, account: &Account) {
        for import in &account.imports {
            let Some(mut known) = self.0.get(&import.account).cloned() else { continue };
            known.remove_mut(&account.name);
            match known.is_empty() {
                true => drop(self.0.remove_mut(&import.account)),
                false => self.0.insert_mut(import.account.clone(), known),
            }
        }
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
        let (one, _) = none.with(named("A"), &mut ids);
        let (changed, _) = one.with(Account { nkey: None, trace: None, ..named("A") }, &mut ids);
        assert_eq!((none.count(), one.count(), changed.count()), (2, 3, 3));
        assert_eq!(one.get("A").unwrap().id, changed.get("A").unwrap().id);
        assert!(changed.without(&AccountName::parse("A").unwrap()).0.get("A").is_none());
        assert!(changed.without(&AccountName::system()).0.get("$SYS").is_some());
        let (system, _) = none.with(named("$SYS"), &mut ids);
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
