//! Users that are found by name or key, laid out for hundreds of thousands of them: what a tenant's users have in common
//! is there once, a name and its password are one piece of memory, and tables hold small numbers.

use std::hash::BuildHasher;
use std::sync::Arc;

use account::Account;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use nkeys::{PublicKey, Role};
use secret::Secret;

use crate::allowance::WrittenLimits;
use crate::attempt::UserLabel;
use crate::kind::KindSet;
use crate::password::Stored;
use crate::permissions::Permissions;

/// What users have, whoever they are. Those of one account that differ in nothing share it.
pub(crate) struct Common {
    pub(crate) account: Arc<Account>,
    pub(crate) permissions: Arc<Permissions>,
    pub(crate) kinds: KindSet,
    pub(crate) proxy_required: bool,
    pub(crate) limits: WrittenLimits,
}

/// A user that is found by name.
pub(crate) struct User {
    pub(crate) common: Arc<Common>,
    /// The name, and the password after it.
    text: Secret<Box<str>>,
    name_bytes: u32,
}

/// A name or a password of four gigabytes. The operator's text, and more than any configuration file may hold.
const FITS: &str = "a file holds less than four gigabytes";

impl User {
    /// A user with this password; without one it is empty.
    pub(crate) fn new(name: &str, password: Option<&Secret<String>>, common: Arc<Common>) -> Self {
        let password = password.map_or("", |password| password.expose());
        let text = Secret::new([name, password].concat().into_boxed_str());
        Self { common, text, name_bytes: u32::try_from(name.len()).expect(FITS) }
    }

    pub(crate) fn name(&self) -> &str {
        self.parts().0
    }

    pub(crate) fn password(&self) -> Stored<'_> {
        Stored::new(self.parts().1)
    }

    /// An empty password is none, where a certificate is enough.
    pub(crate) fn has_password(&self) -> bool {
        !self.parts().1.is_empty()
    }

    fn parts(&self) -> (&str, &str) {
        self.text.expose().split_at(self.name_bytes as usize)
    }

    pub(crate) fn label(name: &str) -> UserLabel {
        UserLabel::User(name.to_owned())
    }
}

/// A user that is found by its public key.
pub(crate) struct NkeyUser {
    pub(crate) common: Arc<Common>,
    pub(crate) key: PublicKey,
    text: Box<str>,
}

impl NkeyUser {
    /// Nothing if the text is no user's key.
    pub(crate) fn new(text: &str, common: Arc<Common>) -> Option<Self> {
        let key = PublicKey::parse_as(Role::User, text).ok()?;
        Some(Self { common, key, text: text.into() })
    }
}

/// What is found by a text of its own.
pub(crate) trait Named {
    fn known_as(&self) -> &str;
}

impl Named for User {
    fn known_as(&self) -> &str {
        self.name()
    }
}

impl Named for NkeyUser {
    fn known_as(&self) -> &str {
        &self.text
    }
}

/// Users by name, in the order in which they were entered. No two have the same.
pub(crate) struct Table<T> {
    users: Vec<T>,
    /// Places among the users.
    index: HashTable<u32>,
}

/// Somebody has this name already.
#[derive(Debug)]
pub(crate) struct Taken;

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { users: Vec::new(), index: HashTable::new() }
    }
}

/// Only the operator enters names, so nobody can choose those that meet in the table.
fn hash(name: &str) -> u64 {
    FixedState::default().hash_one(name)
}

impl<T: Named> Table<T> {
    /// An empty table in which so many have room at once.
    pub(crate) fn with_room(users: usize) -> Self {
        Self { users: Vec::with_capacity(users), index: HashTable::with_capacity(users) }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        if self.users.is_empty() {
            return None;
        }
        let at = self.index.find(hash(name), |at| self.is_called(*at, name))?;
        self.users.get(*at as usize)
    }

    fn is_called(&self, at: u32, name: &str) -> bool {
        self.users.get(at as usize).is_some_and(|user| user.known_as() == name)
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Enters a user, unless the name is taken.
    pub(crate) fn enter(&mut self, user: T) -> Result<(), Taken> {
        let at = u32::try_from(self.users.len()).expect("there are at most a million users");
        let users = &self.users;
        let is_called = |at: &u32| users.get(*at as usize).is_some_and(|known| known.known_as() == user.known_as());
        let rehash = |at: &u32| users.get(*at as usize).map_or(0, |user| hash(user.known_as()));
        match self.index.entry(hash(user.known_as()), is_called, rehash) {
            Entry::Occupied(_) => return Err(Taken),
            Entry::Vacant(place) => drop(place.insert(at)),
        }
        self.users.push(user);
        Ok(())
    }

    /// Nobody else is entered: room for more is given back.
    pub(crate) fn complete(&mut self) {
        self.users.shrink_to_fit();
        let users = &self.users;
        self.index.shrink_to_fit(|at| users.get(*at as usize).map_or(0, |user| hash(user.known_as())));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.users.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.users.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.users.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use account::AccountName;

    use super::*;
    use crate::permissions::Binding;

    fn common() -> Arc<Common> {
        Arc::new(Common {
            account: Arc::new(Account::named(AccountName::global())),
            permissions: Arc::new(Permissions::unrestricted(Binding::default())),
            kinds: KindSet::of_list(&[]),
            proxy_required: false,
            limits: WrittenLimits::default(),
        })
    }

    #[test]
    fn every_user_is_found_by_its_own_name_and_by_no_other() {
        let (mut table, common) = (Table::default(), common());
        let name = |number: usize| format!("u{number}");
        for number in 0..5_000 {
            assert!(!table.contains(&name(number)));
            let user = || User::new(&name(number), Some(&Secret::new(format!("p{number}"))), common.clone());
            assert!(table.enter(user()).is_ok() && table.enter(user()).is_err());
        }
        table.complete();
        for number in 0..5_000 {
            let user: &User = table.get(&name(number)).unwrap();
            assert!(user.name() == name(number) && user.password().is(&format!("p{number}")));
        }
        assert!(table.get("u5000").is_none() && table.get("").is_none());
        assert_eq!((table.len(), table.iter().count()), (5_000, 5_000));
    }

    #[test]
    fn where_a_name_ends_its_password_begins() {
        let common = common();
        let user =
            |name: &str, password: &str| User::new(name, Some(&Secret::new(password.to_owned())), common.clone());
        let (ab, a) = (user("ab", "c"), user("a", "bc"));
        assert_eq!((ab.name(), a.name()), ("ab", "a"));
        assert!(ab.password().is("c") && !ab.password().is("bc") && a.password().is("bc"));
        let none = User::new("ab", None, common.clone());
        assert!(!none.has_password() && none.password().is("") && user("ü", "é").password().is("é"));
    }

    #[test]
    fn a_user_is_small() {
        assert!(size_of::<User>() <= 32, "a hundred thousand of them are three megabytes");
    }
}
