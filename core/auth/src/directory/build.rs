//! From settings to a directory. All faults are gathered, each with its place.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use account::{Account, AccountError, AccountIds, AccountName, Accounts, GLOBAL, SharingError};
use nkeys::{PublicKey, Role};
use secret::Secret;

use super::sharing;
use super::{Anonymous, Common, Directory, Door, ImportPlaces, Names, NkeyUser, Single, Table, User};
use crate::callout::Callout;
use crate::kind::KindSet;
use crate::password::Toll;
use crate::permissions::{Binding, Permissions, Source};
use crate::rule::RuleError;
use crate::settings::{
    AccountSettings, AuthorizationSettings, CalloutSettings, DoorLogin, PermissionsSettings, Place, Settings,
    UserSettings,
};
use subject::Quoted;

/// Most users of a configuration.
pub const MAX_USERS: usize = 1_000_000;

/// One thing that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    /// Where.
    pub place: Place,
    /// What.
    pub fault: SettingsFault,
}

/// What can be wrong with the settings. Always the operator's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingsFault {
    /// Accounts cannot live together.
    Account(AccountError),
    /// Not a public account key.
    AccountKey(String),
    /// An entry without name and key.
    UserWithoutName,
    /// Not a public user key.
    UserKey(String),
    /// An nkey user with a name or a password.
    NkeyUserWithPassword(String),
    /// Two users of this name, in whatever accounts.
    DuplicateUser(String),
    /// Two users with this key.
    DuplicateNkey(String),
    /// More than [`MAX_USERS`].
    TooManyUsers,
    /// A single user and a token.
    UserAndToken,
    /// A single user or a token, and a list of users.
    SingleAndUsers {
        /// It is a token.
        token: bool,
    },
    /// A single user or a token, and users in accounts.
    SingleAndAccounts {
        /// It is a token.
        token: bool,
    },
    /// A password that belongs to nobody: left alone it would leave the door open.
    PasswordWithoutUser,
    /// `no_auth_user` names nobody.
    NoAuthUserUnknown(String),
    /// `no_auth_user`, and no users at all.
    NoAuthUserWithoutUsers(String),
    /// An account cannot offer this.
    Export {
        /// It is a stream.
        stream: bool,
        /// What is offered.
        subject: String,
        /// Why not.
        error: Box<SharingError>,
    },
    /// An account cannot have this of another one.
    Import {
        /// It is a stream.
        stream: bool,
        /// What is wanted.
        subject: String,
        /// Why not.
        error: Box<SharingError>,
    },
    /// An entry of a permission list is not a rule.
    Rule(RuleError),
    /// Not the public key of a proxy.
    ProxyKey(String),
    /// The callout's issuer is not a public account key.
    CalloutIssuer(String),
    /// The callout's sealing key is not a public curve key.
    CalloutXkey(String),
    /// The callout's account does not exist.
    CalloutAccount(String),
    /// The callout service itself has no user.
    CalloutWithoutUsers,
}

impl fmt::Display for SettingsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = |token: &bool| if *token { "token" } else { "single user/pass" };
        match self {
            Self::Account(error) => error.fmt(f),
            Self::AccountKey(key) => {
                write!(f, "Not a valid public nkey for an account: {}", Quoted(key.as_bytes()))
            }
            Self::UserWithoutName => f.write_str("User entry requires a user"),
            Self::UserKey(_) => f.write_str("Not a valid public nkey for a user"),
            Self::NkeyUserWithPassword(_) => f.write_str("Nkey users do not take usernames or passwords"),
            Self::DuplicateUser(name) => write!(f, "Duplicate user {} detected", Quoted(name.as_bytes())),
            Self::DuplicateNkey(key) => write!(f, "Duplicate nkey {} detected", Quoted(key.as_bytes())),
            Self::TooManyUsers => write!(f, "more than {MAX_USERS} users"),
            Self::UserAndToken => f.write_str("Cannot have a user/pass and token"),
            Self::SingleAndUsers { token } => write!(f, "Can not have a {} and a users array", what(token)),
            Self::SingleAndAccounts { token } => write!(f, "Can not have a {} and accounts", what(token)),
            Self::PasswordWithoutUser => f.write_str("a password needs a user"),
            Self::NoAuthUserUnknown(name) => write!(
                f,
                "no_auth_user: \"{name}\" not present as user or nkey in authorization block or account configuration"
            ),
            Self::NoAuthUserWithoutUsers(name) => {
                write!(f, "no_auth_user: \"{name}\" present, but users/nkeys are not defined")
            }
            Self::Export { subject, error, .. } if error.is_about_latency() => {
                write!(f, "Error adding service latency sampling for {}: {error}", Quoted(subject.as_bytes()))
            }
            Self::Export { stream, subject, error } => {
                write!(f, "Error adding {} export {}: {error}", kind(*stream), Quoted(subject.as_bytes()))
            }
            Self::Import { stream, subject, error } => {
                write!(f, "Error adding {} import {}: {error}", kind(*stream), Quoted(subject.as_bytes()))
            }
            Self::Rule(error) => error.fmt(f),
            Self::CalloutIssuer(key) => {
                write!(f, "Expected callout user to be a valid public account nkey, got {}", Quoted(key.as_bytes()))
            }
            Self::CalloutXkey(key) => {
                write!(f, "Expected callout xkey to be a valid public xkey, got {}", Quoted(key.as_bytes()))
            }
            Self::CalloutAccount(name) => {
                write!(f, "Authorization callout account {} not valid", Quoted(name.as_bytes()))
            }
            Self::CalloutWithoutUsers => f.write_str("Authorization callouts require authorized users to be specified"),
            Self::ProxyKey(key) => write!(f, "not a public key of a proxy: {}", Quoted(key.as_bytes())),
        }
    }
}

const fn kind(stream: bool) -> &'static str {
    if stream { "stream" } else { "service" }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.fault)
    }
}

impl std::error::Error for SettingsError {}

impl Directory {
    /// Compiles the settings, or says everything that is wrong with them.
    pub fn build(settings: &Settings, ids: &mut AccountIds) -> Result<Self, Vec<SettingsError>> {
        let system = settings.system_account.as_deref().map(AccountName::parse).transpose();
        let system = system.map_err(|error| {
            vec![SettingsError { place: Place::default(), fault: SettingsFault::Account(AccountError::Name(error)) }]
        })?;
        Self::beside(settings, system.as_ref(), ids)
    }

    /// The same with another account as the system account.
    pub(super) fn beside(
        settings: &Settings,
        system: Option<&AccountName>,
        ids: &mut AccountIds,
    ) -> Result<Self, Vec<SettingsError>> {
        let mut builder = Builder::new(settings, system, ids)?;
        builder.check_combination();
        let defaults = settings.authorization.default_permissions.as_ref();
        let global = builder.accounts.global().clone();
        builder.users_of(&global, settings.authorization.users.as_deref().unwrap_or_default(), defaults);
        for account in &settings.accounts {
            let tenant = builder.accounts.get(&account.name).cloned().expect("every account was entered");
            builder.users_of(&tenant, &account.users, account.default_permissions.as_ref());
        }
        builder.single(&global);
        builder.doors(&global);
        builder.callout();
        builder.proxies();
        builder.finish()
    }
}

struct Builder<'a> {
    settings: &'a Settings,
    accounts: Arc<Accounts>,
    users: Table<User>,
    nkeys: Table<NkeyUser>,
    distinguished: Names,
    /// For whom there are no rules, by what its account is.
    plain: HashMap<Binding, Arc<Permissions>>,
    single: Option<Single>,
    doors: Vec<Door>,
    proxies: Vec<PublicKey>,
    callout: Option<Arc<Callout>>,
    defaults: HashMap<AccountName, Arc<Permissions>>,
    errors: Vec<SettingsError>,
}

impl<'a> Builder<'a> {
    fn new(
        settings: &'a Settings,
        system: Option<&AccountName>,
        ids: &mut AccountIds,
    ) -> Result<Self, Vec<SettingsError>> {
        let (tenants, errors): (Vec<_>, Vec<_>) =
            settings.accounts.iter().map(|account| (tenant(account), account)).partition(|(tenant, _)| tenant.is_ok());
        if !errors.is_empty() {
            let errors = errors.into_iter().filter_map(|(tenant, _)| tenant.err());
            return Err(errors.collect());
        }
        let tenants = tenants.into_iter().filter_map(|(tenant, _)| tenant.ok());
        let accounts = Accounts::build(tenants, system, ids).map_err(|error| {
            let place = settings.accounts.iter().rfind(|account| concerns(&error, &account.name));
            let place = place.map(|account| account.origin.clone()).unwrap_or_default();
            vec![SettingsError { place, fault: SettingsFault::Account(error) }]
        })?;
        let global = Account { mappings: settings.global_mappings.clone(), ..Account::named(AccountName::global()) };
        let (accounts, _) = accounts.with(global, ids);
        let refused = sharing::refused(&settings.accounts, &accounts);
        if !refused.is_empty() {
            return Err(refused);
        }
        let listed = settings.authorization.users.as_ref().map_or(0, Vec::len);
        let count = listed + settings.accounts.iter().map(|account| account.users.len()).sum::<usize>();
        Ok(Self {
            settings,
            accounts: Arc::new(accounts),
            users: Table::with_room(count.min(MAX_USERS)),
            nkeys: Table::default(),
            distinguished: Names::default(),
            plain: HashMap::new(),
            single: None,
            doors: Vec::new(),
            proxies: Vec::new(),
            callout: None,
            defaults: HashMap::new(),
            errors: Vec::new(),
        })
    }

    fn fail(&mut self, place: &Place, fault: SettingsFault) {
        self.errors.push(SettingsError { place: place.clone(), fault });
    }

    /// Ways of asking that exclude each other.
    fn check_combination(&mut self) {
        let AuthorizationSettings { users, user, password, token, origin, .. } = &self.settings.authorization;
        let (single, token) = (user.is_some(), token.is_some());
        let account_users = self.settings.accounts.iter().any(|account| !account.users.is_empty());
        if (single || password.is_some()) && token {
            self.fail(origin, SettingsFault::UserAndToken);
        } else if password.is_some() && !single {
            self.fail(origin, SettingsFault::PasswordWithoutUser);
        }
        if (single || token) && users.is_some() {
            self.fail(origin, SettingsFault::SingleAndUsers { token: !single });
        } else if (single || token) && account_users {
            self.fail(origin, SettingsFault::SingleAndAccounts { token: !single });
        }
    }

    fn users_of(&mut self, account: &Arc<Account>, users: &[UserSettings], defaults: Option<&PermissionsSettings>) {
        let binding = self.binding(account);
        let compiled = defaults.map(|settings| Arc::new(self.compile(settings, &Source::Default, binding)));
        self.defaults.extend(compiled.iter().map(|defaults| (account.name.clone(), defaults.clone())));
        let defaults = compiled.unwrap_or_else(|| self.unrestricted(binding));
        let mut last: Option<Arc<Common>> = None;
        for user in users {
            let own = user.permissions.as_ref();
            let own = own.map(|settings| Arc::new(self.compile(settings, &Source::Config, binding)));
            let permissions = own.as_ref().unwrap_or(&defaults);
            let kinds = KindSet::of_list(&user.allowed_connection_types);
            let limits = user.limits.as_deref().copied().unwrap_or_default();
            let is_same = |last: &Arc<Common>| {
                Arc::ptr_eq(&last.permissions, permissions)
                    && (last.kinds, last.proxy_required, last.limits) == (kinds, user.proxy_required, limits)
            };
            let common = last.take().filter(is_same).unwrap_or_else(|| {
                let (account, permissions, proxy_required) =
                    (account.clone(), permissions.clone(), user.proxy_required);
                Arc::new(Common { account, permissions, kinds, proxy_required, limits })
            });
            last = Some(common.clone());
            if let Err(fault) = self.enter(user, common) {
                self.fail(&user.origin, fault);
            }
        }
    }

    /// What somebody without rules may do: the same for all accounts of a kind.
    fn unrestricted(&mut self, binding: Binding) -> Arc<Permissions> {
        self.plain.entry(binding).or_insert_with(|| Arc::new(Permissions::unrestricted(binding))).clone()
    }

    /// A rule that does not compile fails the whole build, so what stands in for it is never used.
    fn compile(&mut self, settings: &PermissionsSettings, source: &Source, binding: Binding) -> Permissions {
        Permissions::compile(settings, source, binding).unwrap_or_else(|error| {
            let texts = [&settings.publish, &settings.subscribe].map(|side| [&side.allow, &side.deny]);
            let mut texts = texts.into_iter().flatten().flatten().flatten();
            let place = texts.find(|text| *text.text == *error.rule.text).map_or(&settings.place, |text| &text.place);
            self.fail(&place.clone(), SettingsFault::Rule(error));
            Permissions::unrestricted(binding)
        })
    }

    fn enter(&mut self, user: &UserSettings, common: Arc<Common>) -> Result<(), SettingsFault> {
        if self.users.len() + self.nkeys.len() >= MAX_USERS {
            return Err(SettingsFault::TooManyUsers);
        }
        let name = user.user.as_deref().filter(|name| !name.is_empty());
        match (&user.nkey, name) {
            (None, None) => Err(SettingsFault::UserWithoutName),
            (None, Some(name)) => {
                let entered = self.users.enter(User::new(name, user.password.as_ref(), common));
                if entered.is_err() || self.nkeys.contains(name) {
                    return Err(SettingsFault::DuplicateUser(name.to_owned()));
                }
                user.distinguished.iter().for_each(|distinguished| self.distinguished.enter(name, distinguished));
                Ok(())
            }
            (Some(nkey), None) if user.password.is_none() => self.enter_nkey(nkey, common),
            (Some(nkey), _) => Err(SettingsFault::NkeyUserWithPassword(nkey.clone())),
        }
    }

    fn enter_nkey(&mut self, nkey: &str, common: Arc<Common>) -> Result<(), SettingsFault> {
        let user = NkeyUser::new(nkey, common).ok_or_else(|| SettingsFault::UserKey(nkey.to_owned()))?;
        if self.nkeys.enter(user).is_err() || self.users.contains(nkey) {
            return Err(SettingsFault::DuplicateNkey(nkey.to_owned()));
        }
        Ok(())
    }

    fn is_taken(&self, name: &str) -> bool {
        self.users.contains(name) || self.nkeys.contains(name)
    }

    fn single(&mut self, global: &Arc<Account>) {
        let AuthorizationSettings { user, password, token, .. } = &self.settings.authorization;
        self.single = self.single_of(global, user.as_ref(), password.as_ref(), token.as_ref());
    }

    /// The logins of listeners that have their own.
    fn doors(&mut self, global: &Arc<Account>) {
        let settings = self.settings;
        for DoorLogin { kind, user, password, token, no_auth_user } in &settings.doors {
            let single = self.single_of(global, user.as_ref(), password.as_ref(), token.as_ref());
            let anonymous = no_auth_user.as_ref().map(|name| self.named(name));
            self.doors.push(Door { kind: *kind, single, anonymous });
        }
    }

    fn single_of(
        &mut self,
        global: &Arc<Account>,
        user: Option<&String>,
        password: Option<&Secret<String>>,
        token: Option<&Secret<String>>,
    ) -> Option<Single> {
        let default_permissions = &self.settings.authorization.default_permissions;
        let secret = match (user, token) {
            (Some(_), _) => password.cloned().unwrap_or_else(|| Secret::new(String::new())),
            (None, token) => token?.clone(),
        };
        let binding = self.binding(global);
        let permissions = Arc::new(match default_permissions {
            None => Permissions::unrestricted(binding),
            Some(settings) => self.compile(settings, &Source::Default, binding),
        });
        Some(Single { user: user.cloned(), secret, permissions })
    }

    /// Whether this account is the callout service's is known from the settings, before the callout is compiled.
    fn binding(&self, account: &Account) -> Binding {
        let callout = self.settings.authorization.auth_callout.as_ref();
        let listens_in = callout.map(|callout| callout.account.as_deref().unwrap_or(GLOBAL));
        Binding { callout: listens_in == Some(account.name.as_str()), ..binding(account) }
    }

    fn callout(&mut self) {
        let Some(settings) = &self.settings.authorization.auth_callout else { return };
        match compile_callout(settings, &self.accounts) {
            Ok(callout) => self.callout = Some(Arc::new(callout)),
            Err(fault) => self.fail(&settings.origin, fault),
        }
    }

    fn proxies(&mut self) {
        match proxy_keys(&self.settings.trusted_proxies) {
            Ok(keys) => self.proxies = keys,
            Err(faults) => faults.into_iter().for_each(|fault| self.fail(&Place::default(), fault)),
        }
    }

    /// Only a system account, with or without users, and not a word about who may come: then everybody may, into the
    /// global account, and the system account stays closed.
    fn only_system_has_users(&self) -> bool {
        let [only] = &*self.settings.accounts else { return false };
        only.name == self.accounts.system().name.as_str() && !self.settings.authorization.defined
    }

    fn anonymous(&mut self) -> Option<Anonymous> {
        let Some(name) = &self.settings.authorization.no_auth_user else {
            return self.only_system_has_users().then_some(Anonymous::Global);
        };
        Some(self.named(name))
    }

    /// As this user.
    fn named(&mut self, name: &str) -> Anonymous {
        if !self.is_taken(name) {
            let fault = match self.has_users() {
                true => SettingsFault::NoAuthUserUnknown(name.to_owned()),
                false => SettingsFault::NoAuthUserWithoutUsers(name.to_owned()),
            };
            self.fail(&self.settings.authorization.origin.clone(), fault);
        }
        Anonymous::Named(name.to_owned())
    }

    /// A list of users that is there but empty still asks everybody.
    fn has_users(&self) -> bool {
        self.settings.authorization.users.is_some() || !self.users.is_empty() || !self.nkeys.is_empty()
    }

    fn finish(mut self) -> Result<Directory, Vec<SettingsError>> {
        let anonymous = self.anonymous();
        if !self.errors.is_empty() {
            return Err(self.errors);
        }
        self.users.complete();
        self.nkeys.complete();
        self.distinguished.complete();
        let passwords = self.users.iter().map(User::password);
        let singles = self.single.iter().chain(self.doors.iter().filter_map(|door| door.single.as_ref()));
        Ok(Directory {
            toll: Toll::of(passwords.chain(singles.map(Single::stored))),
            required: self.has_users()
                || self.single.is_some()
                || anonymous.is_some()
                || self.settings.known_peers.is_some(),
            plain: self.unrestricted(self.binding(self.accounts.global())),
            accounts: self.accounts,
            distinguished: Arc::new(self.distinguished),
            users: Arc::new(self.users),
            nkeys: Arc::new(self.nkeys),
            single: self.single,
            doors: self.doors,
            anonymous,
            proxies: self.proxies,
            proxy_required: self.settings.authorization.proxy_required,
            certificate_kinds: self.settings.certificate_kinds.clone(),
            known_peers: self.settings.known_peers.clone(),
            operators: None,
            callout: self.callout,
            chain: self.settings.authorization.chain(),
            defaults: Arc::new(self.defaults),
            import_places: Arc::new(import_places(&self.settings.accounts)),
        })
    }
}

fn import_places(accounts: &[AccountSettings]) -> ImportPlaces {
    let places = |account: &AccountSettings| {
        let placed = account.imports.iter().map(|import| (import.what.clone(), import.origin.clone()));
        Some((AccountName::parse(&account.name).ok()?, placed.collect::<Vec<_>>()))
    };
    accounts.iter().filter(|account| !account.imports.is_empty()).filter_map(places).collect()
}

fn tenant(settings: &AccountSettings) -> Result<Account, SettingsError> {
    let failed = |fault| SettingsError { place: settings.origin.clone(), fault };
    let name = AccountName::parse(&settings.name).map_err(|error| failed(SettingsFault::Account(error.into())))?;
    let key =
        |text: &String| PublicKey::parse_as(Role::Account, text).map_err(|_| SettingsFault::AccountKey(text.clone()));
    let nkey = settings.nkey.as_ref().map(key).transpose().map_err(failed)?;
    let (limits, trace, mappings) = (settings.limits, settings.msg_trace.clone(), settings.mappings.clone());
    let exports = sharing::exports(settings)?;
    let imports = settings.imports.iter().map(|import| import.what.clone()).collect();
    Ok(Account { nkey, limits, trace, mappings, exports, imports, ..Account::named(name) })
}

fn concerns(error: &AccountError, account: &str) -> bool {
    matches!(error, AccountError::Reserved(name) | AccountError::Duplicate(name) if name.as_str() == account)
}

fn compile_callout(settings: &CalloutSettings, accounts: &Accounts) -> Result<Callout, SettingsFault> {
    let issuer = PublicKey::parse_as(Role::Account, &settings.issuer);
    let xkey = settings.xkey.as_ref().map(|key| key.parse().map_err(|_| SettingsFault::CalloutXkey(key.clone())));
    let account = settings.account.as_deref().unwrap_or(GLOBAL);
    if settings.auth_users.is_empty() {
        return Err(SettingsFault::CalloutWithoutUsers);
    }
    Ok(Callout {
        issuer: issuer.map_err(|_| SettingsFault::CalloutIssuer(settings.issuer.clone()))?,
        xkey: xkey.transpose()?,
        account: accounts.get(account).ok_or_else(|| SettingsFault::CalloutAccount(account.to_owned()))?.clone(),
        auth_users: settings.auth_users.clone(),
        allowed_accounts: settings.allowed_accounts.clone(),
    })
}

/// The keys of proxies, or every text that is none.
pub(super) fn proxy_keys(texts: &[String]) -> Result<Vec<PublicKey>, Vec<SettingsFault>> {
    let parsed = texts.iter().map(|text| text.parse::<PublicKey>().map_err(|_| SettingsFault::ProxyKey(text.clone())));
    let (keys, faults): (Vec<_>, Vec<_>) = parsed.partition(Result::is_ok);
    let faults: Vec<_> = faults.into_iter().filter_map(Result::err).collect();
    if faults.is_empty() { Ok(keys.into_iter().flatten().collect()) } else { Err(faults) }
}

fn binding(account: &Account) -> Binding {
    Binding { system: account.system, callout: false }
}
