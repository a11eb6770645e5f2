//! Who is known here: an immutable snapshot, built from settings.

mod build;
mod operator;

use std::collections::HashMap;
use std::sync::Arc;

use account::{Account, AccountName, Accounts};
use nkeys::PublicKey;

use crate::attempt::{Attempt, UserLabel};
use crate::callout::Callout;
use crate::kind::{ConnectionKind, KindSet};
use crate::password::{Stored, Toll};
use crate::permissions::Permissions;
use crate::settings::Distinguished;

pub use build::{MAX_USERS, SettingsError, SettingsFault};
pub(crate) use operator::{Operators, Tenant};

/// Users, accounts and rules of admission.
pub struct Directory {
    accounts: Arc<Accounts>,
    pub(crate) users: HashMap<String, User>,
    pub(crate) nkeys: HashMap<String, NkeyUser>,
    pub(crate) single: Option<Single>,
    pub(crate) anonymous: Option<Anonymous>,
    required: bool,
    pub(crate) proxies: Vec<PublicKey>,
    pub(crate) proxy_required: bool,
    certificate_kinds: Vec<ConnectionKind>,
    pub(crate) toll: Toll,
    /// Users by their distinguished name.
    pub(crate) distinguished: Names,
    /// For whom nobody has rules.
    pub(crate) plain: Arc<Permissions>,
    /// Accounts and users are signed claims.
    pub(crate) operators: Option<Operators>,
    /// A service has the last word about logins.
    pub(crate) callout: Option<Arc<Callout>>,
    /// By account, for users who have no permissions of their own.
    defaults: HashMap<AccountName, Arc<Permissions>>,
}

/// A user that is found by name.
pub(crate) struct User {
    pub(crate) common: Common,
    pub(crate) password: Stored,
    pub(crate) has_password: bool,
    pub(crate) distinguished: Option<Distinguished>,
}

/// User names by the two texts of a distinguished name. Several users may have names that differ in order only; they are
/// in alphabetical order, so that the answer is always the same.
#[derive(Clone, Default)]
pub(crate) struct Names {
    ordered: HashMap<String, Vec<String>>,
    any_order: HashMap<String, Vec<String>>,
}

impl Names {
    fn of(users: &HashMap<String, User>) -> Self {
        let mut names = Self::default();
        for (name, user) in users {
            if let Some(Distinguished { ordered, any_order }) = &user.distinguished {
                names.ordered.entry(ordered.clone()).or_default().push(name.clone());
                names.any_order.entry(any_order.clone()).or_default().push(name.clone());
            }
        }
        names.ordered.values_mut().chain(names.any_order.values_mut()).for_each(|same| same.sort());
        names
    }

    /// Users whose name equals this one, then those whose name has the same parts.
    pub(crate) fn matching(&self, name: &Distinguished) -> impl Iterator<Item = &String> {
        let equal = self.ordered.get(&name.ordered).into_iter().flatten();
        equal.chain(self.any_order.get(&name.any_order).into_iter().flatten())
    }
}

/// A user that is found by its public key.
pub(crate) struct NkeyUser {
    pub(crate) common: Common,
    pub(crate) key: PublicKey,
}

/// What all users have.
pub(crate) struct Common {
    pub(crate) account: Arc<Account>,
    pub(crate) permissions: Arc<Permissions>,
    pub(crate) kinds: KindSet,
    pub(crate) proxy_required: bool,
}

/// The one user, or the one token, of a server without a list.
pub(crate) struct Single {
    /// The user's name; a token if absent.
    pub(crate) user: Option<String>,
    pub(crate) secret: Stored,
    pub(crate) permissions: Arc<Permissions>,
}

/// As whom a peer without credentials is admitted.
pub(crate) enum Anonymous {
    /// As this user or nkey user.
    Named(String),
    /// As nobody in particular, into the global account: only the system account has users.
    Global,
}

/// How much deciding takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// Look-ups and comparisons.
    Cheap,
    /// A hash or a signature: milliseconds, so not on a worker.
    Expensive,
}

impl Directory {
    /// All accounts.
    pub fn accounts(&self) -> &Arc<Accounts> {
        &self.accounts
    }

    /// The account of this name.
    pub fn account(&self, name: &str) -> Option<&Arc<Account>> {
        self.accounts.get(name)
    }

    /// Whether peers are asked who they are.
    pub fn requires_auth(&self) -> bool {
        self.required
    }

    /// What INFO says: a peer that may come without credentials is not told that it needs them. It is told so where only
    /// the system account has users, as the reference does.
    pub fn announces_auth_required(&self) -> bool {
        self.required && !matches!(self.anonymous, Some(Anonymous::Named(_)))
    }

    /// Whether INFO must hold a nonce.
    pub fn needs_nonce(&self) -> bool {
        !self.nkeys.is_empty() || !self.proxies.is_empty() || self.operators.is_some()
    }

    /// Whether a peer that begins with something other than CONNECT may be admitted at all. How, is for
    /// [`crate::authenticate`] to say, with [`Attempt::silent`].
    pub fn admits_silent_peers(&self) -> bool {
        let sentinel = self.operators.as_ref().is_some_and(|operators| operators.sentinel.is_some());
        !self.required || self.anonymous.is_some() || sentinel
    }

    /// How much deciding this attempt takes.
    pub fn cost(&self, attempt: &Attempt) -> Cost {
        let said = &attempt.credentials;
        if self.operators.is_some() {
            return Cost::Expensive;
        }
        let signed = said.signature.is_some() && self.needs_nonce() || said.proxy_signature.is_some();
        let shown = said.password.is_some() || said.token.is_some() || said.user.is_some();
        if self.required && (signed || shown && self.toll.is_due()) { Cost::Expensive } else { Cost::Cheap }
    }

    /// The user names, for those who configure a callout or explain permissions.
    pub fn user_names(&self) -> impl Iterator<Item = &str> {
        self.users.keys().chain(self.nkeys.keys()).map(String::as_str)
    }

    /// What a configured user may do, for explanations.
    pub fn permissions_of(&self, user: &str) -> Option<(&Arc<Account>, &Arc<Permissions>)> {
        let common = self.users.get(user).map(|user| &user.common);
        let common = common.or_else(|| self.nkeys.get(user).map(|user| &user.common))?;
        Some((&common.account, &common.permissions))
    }

    /// The default permissions of a configured account.
    pub(crate) fn default_permissions(&self, account: &Account) -> Option<Arc<Permissions>> {
        self.defaults.get(&account.name).cloned()
    }

    /// Users of the callout service that do not exist. Nobody can log in while they are missing.
    pub fn missing_callout_users(&self) -> Vec<&str> {
        let known = |name: &&String| self.users.contains_key(*name) || self.nkeys.contains_key(*name);
        let wanted = self.callout.iter().flat_map(|callout| &callout.auth_users);
        wanted.filter(|name| !known(name)).map(String::as_str).collect()
    }

    /// Whether passwords are plain text for which the operator should be warned.
    pub fn has_plain_passwords(&self) -> bool {
        let plain = |secret: &Stored| matches!(secret, Stored::Plain(_));
        let users = self.users.values().filter(|user| user.has_password || !self.known_by_certificate(user));
        users.map(|user| &user.password).chain(self.single.iter().map(|single| &single.secret)).any(plain)
    }

    /// Whether listeners for this kind of connection take the user from the certificate.
    pub(crate) fn maps_certificates(&self, kind: ConnectionKind) -> bool {
        self.certificate_kinds.contains(&kind)
    }

    /// Whether some listener could find this user by certificate. If it has no password either, it is known by
    /// certificate only, and an empty password must not open a door next to it.
    pub(crate) fn known_by_certificate(&self, user: &User) -> bool {
        self.certificate_kinds.iter().any(|kind| user.common.kinds.holds(*kind))
    }

    pub(crate) fn is_anonymous(&self, name: &str) -> bool {
        matches!(&self.anonymous, Some(Anonymous::Named(anonymous)) if anonymous == name)
    }
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (users, nkeys, accounts) = (self.users.len(), self.nkeys.len(), self.accounts.count());
        write!(f, "Directory({users} users, {nkeys} nkey users, {accounts} accounts)")
    }
}

impl User {
    pub(crate) fn label(name: &str) -> UserLabel {
        UserLabel::User(name.to_owned())
    }
}
