//! Who is known here: an immutable snapshot, built from settings.

mod build;
mod operator;
mod sharing;
mod users;

use std::collections::HashMap;
use std::sync::Arc;

use account::{Account, AccountName, Accounts, Import};
use jwt::UserClaims;
use jwt::chain::{UserRefusal, rights_of};
use nkeys::PublicKey;
use secret::Secret;

use crate::allowance::WrittenLimits;
use crate::attempt::Attempt;
use crate::callout::Callout;
use crate::claims;
use crate::kind::ConnectionKind;
use crate::password::{Stored, Toll};
use crate::permissions::{Binding, Permissions};
use crate::settings::{AuthChain, Distinguished, KnownPeers, Place};
use crate::verdict::Refusal;

pub use build::{MAX_USERS, SettingsError, SettingsFault};
pub(crate) use operator::{Operators, Tenant};
pub(crate) use users::{Common, Named, NkeyUser, Table, User};

/// Users, accounts and rules of admission.
///
/// Where operators sign, accounts are claims. Accounts and users of the configuration may stand beside them; they share nothing
/// with each other.
pub struct Directory {
    accounts: Arc<Accounts>,
    pub(crate) users: Arc<Table<User>>,
    pub(crate) nkeys: Arc<Table<NkeyUser>>,
    single: Option<Single>,
    anonymous: Option<Anonymous>,
    /// Listeners with logins of their own.
    doors: Vec<Door>,
    required: bool,
    pub(crate) proxies: Vec<PublicKey>,
    pub(crate) proxy_required: bool,
    certificate_kinds: Vec<ConnectionKind>,
    pub(crate) known_peers: Option<KnownPeers>,
    pub(crate) toll: Toll,
    /// Users by their distinguished name.
    pub(crate) distinguished: Arc<Names>,
    /// For whom nobody has rules.
    pub(crate) plain: Arc<Permissions>,
    /// Accounts and users are signed claims.
    pub(crate) operators: Option<Operators>,
    /// A service has the last word about logins.
    pub(crate) callout: Option<Arc<Callout>>,
    /// Who decides beside the service.
    pub(crate) chain: AuthChain,
    /// By account, for users who have no permissions of their own.
    defaults: Arc<HashMap<AccountName, Arc<Permissions>>>,
    /// Where imports are written, by who imports; for explanations. Empty where accounts are claims.
    pub(crate) import_places: Arc<ImportPlaces>,
}

/// Imports as written, each with its place.
pub(crate) type ImportPlaces = HashMap<AccountName, Vec<(Import, Place)>>;

/// User names by the two texts of a distinguished name. Several users may have names that differ in order only; they are
/// in alphabetical order, so that the answer is always the same.
#[derive(Clone, Default)]
pub(crate) struct Names {
    ordered: HashMap<String, Vec<String>>,
    any_order: HashMap<String, Vec<String>>,
}

impl Names {
    fn enter(&mut self, name: &str, distinguished: &Distinguished) {
        let Distinguished { ordered, any_order } = distinguished;
        self.ordered.entry(ordered.clone()).or_default().push(name.to_owned());
        self.any_order.entry(any_order.clone()).or_default().push(name.to_owned());
    }

    fn complete(&mut self) {
        self.ordered.values_mut().chain(self.any_order.values_mut()).for_each(|same| same.sort());
    }

    /// Users whose name equals this one, then those whose name has the same parts.
    pub(crate) fn matching(&self, name: &Distinguished) -> impl Iterator<Item = &String> {
        let equal = self.ordered.get(&name.ordered).into_iter().flatten();
        equal.chain(self.any_order.get(&name.any_order).into_iter().flatten())
    }
}

/// The one user, or the one token, of a server without a list.
pub(crate) struct Single {
    /// The user's name; a token if absent.
    pub(crate) user: Option<String>,
    pub(crate) secret: Secret<String>,
    pub(crate) permissions: Arc<Permissions>,
}

impl Single {
    pub(crate) fn stored(&self) -> Stored<'_> {
        Stored::new(self.secret.expose())
    }
}

/// As whom a peer without credentials is admitted.
pub(crate) enum Anonymous {
    /// As this user or nkey user.
    Named(String),
    /// As nobody in particular, into the global account: only the system account has users.
    Global,
}

/// The login of one listener, instead of that of the server.
pub(crate) struct Door {
    kind: ConnectionKind,
    single: Option<Single>,
    anonymous: Option<Anonymous>,
}

/// How much deciding takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// Look-ups and comparisons.
    Cheap,
    /// Signatures: a tenth of a millisecond or a few of them, so not on a worker.
    Signatures,
    /// A hash that is meant to take long: a tenth of a second, so not where others wait for a signature either.
    Hash,
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

    /// The same of those who connect like this.
    pub fn requires_auth_of(&self, kind: ConnectionKind) -> bool {
        self.required || self.door(kind).is_some()
    }

    fn door(&self, kind: ConnectionKind) -> Option<&Door> {
        self.doors.iter().find(|door| door.kind == kind)
    }

    pub(crate) fn single(&self, kind: ConnectionKind) -> Option<&Single> {
        self.door(kind).map_or(self.single.as_ref(), |door| door.single.as_ref())
    }

    pub(crate) fn anonymous(&self, kind: ConnectionKind) -> Option<&Anonymous> {
        self.door(kind).map_or(self.anonymous.as_ref(), |door| door.anonymous.as_ref())
    }

    /// There is one user, or one token, for some of those who come.
    pub(crate) fn has_single(&self) -> bool {
        self.single.is_some() || self.doors.iter().any(|door| door.single.is_some())
    }

    /// What INFO says: a peer that may come without credentials is not told that it needs them. It is told so where only
    /// the system account has users, as the reference does.
    pub fn announces_auth_required(&self) -> bool {
        self.required && !matches!(self.anonymous, Some(Anonymous::Named(_)))
    }

    /// The same to those who connect like this. Where a listener has a login of its own, everybody is told so.
    pub fn announces_auth_required_of(&self, kind: ConnectionKind) -> bool {
        self.door(kind).is_some() || self.announces_auth_required()
    }

    /// Whether INFO must hold a nonce.
    pub fn needs_nonce(&self) -> bool {
        !self.nkeys.is_empty() || !self.proxies.is_empty() || self.operators.is_some()
    }

    /// Whether a peer that begins with something other than CONNECT may be admitted at all. How, is for
    /// [`crate::authenticate`] to say, with [`Attempt::silent`].
    pub fn admits_silent_peers(&self) -> bool {
        self.admits_silent_peers_of(ConnectionKind::Standard)
    }

    /// The same of those who connect like this.
    pub fn admits_silent_peers_of(&self, kind: ConnectionKind) -> bool {
        let sentinel = self.operators.as_ref().is_some_and(|operators| operators.sentinel.is_some());
        !self.requires_auth_of(kind) || self.anonymous(kind).is_some() || sentinel
    }

    /// How much deciding this attempt takes.
    pub fn cost(&self, attempt: &Attempt) -> Cost {
        let said = &attempt.credentials;
        let signed = said.signature.is_some() && self.needs_nonce() || said.proxy_signature.is_some();
        let shown = said.password.is_some() || said.token.is_some() || said.user.is_some();
        match self.requires_auth_of(attempt.kind) {
            true if shown && self.toll.is_due() => Cost::Hash,
            _ if self.operators.is_some() => Cost::Signatures,
            true if signed => Cost::Signatures,
            _ => Cost::Cheap,
        }
    }

    /// The user names, for those who configure a callout or explain permissions.
    pub fn user_names(&self) -> impl Iterator<Item = &str> {
        self.users.iter().map(Named::known_as).chain(self.nkeys.iter().map(Named::known_as))
    }

    /// What a configured user may do, for explanations.
    pub fn permissions_of(&self, user: &str) -> Option<(&Arc<Account>, &Arc<Permissions>)> {
        let common = self.common_of(user)?;
        Some((&common.account, &common.permissions))
    }

    /// The limits of a configured user.
    pub fn limits_of(&self, user: &str) -> Option<WrittenLimits> {
        self.common_of(user).map(|common| common.limits)
    }

    fn common_of(&self, user: &str) -> Option<&Arc<Common>> {
        let common = self.users.get(user).map(|user| &user.common);
        common.or_else(|| self.nkeys.get(user).map(|user| &user.common))
    }

    /// What a user that is signed claims may do by the chain of trust alone: nothing is asked about times, places and
    /// signatures of the nonce. For explanations.
    ///
    /// # Errors
    /// If the chain does not hold, or the account is not at hand.
    pub fn permissions_of_claims(&self, user: &UserClaims) -> Result<(Arc<Account>, Permissions), Refusal> {
        let refused = |refusal| Refusal::User(user.common.subject, refusal);
        let operators = self.operators.as_ref().ok_or(Refusal::JwtMissing)?;
        let key = operators.trust.account_of(user).map_err(refused)?;
        let tenant = operators.tenants.get(&key).ok_or(Refusal::UnknownAccount(key))?;
        let rights = rights_of(&operators.trust, &tenant.trusted, user).map_err(refused)?;
        let callout = !tenant.trusted.claims().authorization.auth_users.is_empty();
        let binding = Binding { system: tenant.account.system, callout };
        let permissions = claims::permissions(rights.rules.as_ref(), &claims::source(&rights.origin), binding);
        let permissions = permissions.map_err(|_| refused(UserRefusal::Permissions))?;
        Ok((tenant.account.clone(), permissions))
    }

    /// The default permissions of a configured account.
    pub(crate) fn default_permissions(&self, account: &Account) -> Option<Arc<Permissions>> {
        self.defaults.get(&account.name).cloned()
    }

    /// Users of the callout service that do not exist. Nobody can log in while they are missing.
    pub fn missing_callout_users(&self) -> Vec<&str> {
        let known = |name: &&String| self.users.contains(name) || self.nkeys.contains(name);
        let wanted = self.callout.iter().flat_map(|callout| &callout.auth_users);
        wanted.filter(|name| !known(name)).map(String::as_str).collect()
    }

    fn singles(&self) -> impl Iterator<Item = &Single> {
        self.single.iter().chain(self.doors.iter().filter_map(|door| door.single.as_ref()))
    }

    /// Whether passwords are plain text for which the operator should be warned.
    pub fn has_plain_passwords(&self) -> bool {
        let users = self.users.iter().filter(|user| user.has_password() || !self.known_by_certificate(user));
        let mut all = users.map(User::password).chain(self.singles().map(Single::stored));
        all.any(|stored| !stored.is_hash())
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

    pub(crate) fn is_anonymous(&self, name: &str, kind: ConnectionKind) -> bool {
        matches!(self.anonymous(kind), Some(Anonymous::Named(anonymous)) if anonymous == name)
    }
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (users, nkeys, accounts) = (self.users.len(), self.nkeys.len(), self.accounts.count());
        write!(f, "Directory({users} users, {nkeys} nkey users, {accounts} accounts)")
    }
}
