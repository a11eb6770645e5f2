//! What the configuration says about users, as plain data. `app/config` fills it; this room compiles it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use account::{Limits, Mappings, TraceDest};
use jwt::Zones;
use jwt::chain::OperatorTrust;
use nkeys::PublicKey;
use secret::Secret;

use crate::allowance::WrittenLimits;
use crate::kind::ConnectionKind;

/// Where something stands in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The file, as the operator named it.
    pub file: Arc<str>,
    /// Counted from one.
    pub line: u32,
    /// Counted from one.
    pub column: u32,
}

impl Place {
    /// A place in a file.
    pub fn new(file: impl Into<Arc<str>>, line: u32, column: u32) -> Self {
        Self { file: file.into(), line, column }
    }
}

impl Default for Place {
    /// No file at all: flags, or a fixture.
    fn default() -> Self {
        Self::new("", 0, 0)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return f.write_str("the configuration");
        }
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One entry of an allow or deny list: `orders.>`, or with a queue `orders.> workers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleText {
    /// As written.
    pub text: String,
    /// Where it is written.
    pub place: Place,
}

impl From<&str> for RuleText {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), place: Place::default() }
    }
}

/// The two lists for one direction. An absent list and an empty one are different things: an absent allow list allows
/// everything, an empty one nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SideSettings {
    /// What is allowed; everything if absent.
    pub allow: Option<Vec<RuleText>>,
    /// What is denied, even if allowed.
    pub deny: Option<Vec<RuleText>>,
}

/// A reply permission: a client may answer what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponsePermission {
    /// Messages per request; `None` is unlimited.
    pub max: Option<u32>,
    /// How long after the request; [`Duration::MAX`] is without end.
    pub expires: Duration,
}

impl ResponsePermission {
    /// What a number in the configuration says: zero is the default, negative is unlimited.
    pub fn from_written(max: i64, expires_nanos: i64) -> Self {
        let default = Self::default();
        Self {
            max: match max {
                0 => default.max,
                ..0 => None,
                _ => Some(u32::try_from(max).unwrap_or(u32::MAX)),
            },
            expires: match expires_nanos {
                0 => default.expires,
                ..0 => Duration::MAX,
                _ => Duration::from_nanos(expires_nanos.unsigned_abs()),
            },
        }
    }
}

impl Default for ResponsePermission {
    /// One message within two minutes.
    fn default() -> Self {
        Self { max: Some(1), expires: Duration::from_secs(120) }
    }
}

/// A `permissions` block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PermissionsSettings {
    /// What may be published to.
    pub publish: SideSettings,
    /// What may be subscribed to.
    pub subscribe: SideSettings,
    /// Whether requests may be answered. With it, an absent publish allow list allows nothing.
    pub allow_responses: Option<ResponsePermission>,
    /// Where the block begins.
    pub place: Place,
}

/// A user: by name and password, or by nkey.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserSettings {
    /// Its name, unless it is an nkey user.
    pub user: Option<String>,
    /// Its password, plain or bcrypt.
    pub password: Option<Secret<String>>,
    /// Its name as a distinguished name, if it can be read as one: what a certificate's subject is compared with.
    pub distinguished: Option<Box<Distinguished>>,
    /// Its public key, for nkey users.
    pub nkey: Option<String>,
    /// Its own permissions; the block's default if absent.
    pub permissions: Option<Box<PermissionsSettings>>,
    /// The kinds of connection it may use; all if empty.
    pub allowed_connection_types: Vec<ConnectionKind>,
    /// It may come through a trusted proxy only.
    pub proxy_required: bool,
    /// What it may use; nothing is limited if absent.
    pub limits: Option<Box<WrittenLimits>>,
    /// Where it is written.
    pub origin: Place,
}

/// A distinguished name in two texts that are written in one way only, so that comparing names is comparing texts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Distinguished {
    /// Two names share it exactly if they have the same parts in the same order.
    pub ordered: String,
    /// Two names share it exactly if they have the same parts in any order.
    pub any_order: String,
}

/// The `authorization` block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthorizationSettings {
    /// The block is there at all, even if empty.
    pub defined: bool,
    /// The user list; a present but empty list still asks everyone for credentials.
    pub users: Option<Vec<UserSettings>>,
    /// The single user.
    pub user: Option<String>,
    /// The single user's password, plain or bcrypt.
    pub password: Option<Secret<String>>,
    /// The single token, plain or bcrypt.
    pub token: Option<Secret<String>>,
    /// How long a peer may take to log in.
    pub timeout: Option<Duration>,
    /// For users of this block that have no permissions of their own.
    pub default_permissions: Option<PermissionsSettings>,
    /// The single user or token may come through a trusted proxy only.
    pub proxy_required: bool,
    /// The user as which a peer without credentials is admitted.
    pub no_auth_user: Option<String>,
    /// An external service decides.
    pub auth_callout: Option<CalloutSettings>,
    /// Who decides, in this order; empty for the service alone.
    pub judges: Vec<Judge>,
    /// What services decide is kept for a while.
    pub callout_cache: Option<CalloutCacheSettings>,
    /// Where the block begins.
    pub origin: Place,
}

/// The `callout_cache` block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CalloutCacheSettings {
    /// For how long; at most [`crate::MAX_DECISION_TIME`].
    pub time: Duration,
    /// How many; at most [`crate::MAX_DECISIONS`].
    pub most: usize,
}

/// One of those who may decide about a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Judge {
    /// The users of the configuration.
    Users,
    /// Claims, in operator mode.
    Claims,
    /// The service.
    Callout,
}

impl AuthorizationSettings {
    /// Who decides beside the service: claims, where there are any, else users of the configuration.
    pub fn chain(&self) -> AuthChain {
        let local = self.place_of(Judge::Claims).or(self.place_of(Judge::Users));
        match (self.place_of(Judge::Callout), local) {
            (None, _) => AuthChain::CalloutAlone,
            (Some(callout), Some(local)) if local < callout => AuthChain::LocalFirst,
            (Some(_), _) => AuthChain::CalloutFirst,
        }
    }

    /// Whether users of the configuration stand before claims.
    pub fn users_first(&self) -> bool {
        let (users, claims) = (self.place_of(Judge::Users), self.place_of(Judge::Claims));
        users.zip(claims).is_some_and(|(users, claims)| users < claims)
    }

    fn place_of(&self, judge: Judge) -> Option<usize> {
        self.judges.iter().position(|known| *known == judge)
    }
}

/// In which order those are asked who may decide about a login. Ours; the reference knows the first way only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AuthChain {
    /// The service has the last word about everyone but itself.
    #[default]
    CalloutAlone,
    /// Whoever this server knows is admitted or refused here; the service decides about strangers.
    LocalFirst,
    /// The service decides; where it does not answer, whoever this server knows is admitted all the same.
    CalloutFirst,
}

/// The `auth_callout` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalloutSettings {
    /// The public account key whose signature an answer must bear.
    pub issuer: String,
    /// The account in which the service lives; `$G` if absent.
    pub account: Option<String>,
    /// Users that are not asked about: the service itself.
    pub auth_users: Vec<String>,
    /// The public curve key to which requests are sealed.
    pub xkey: Option<String>,
    /// Accounts whose configured users are asked about too; all if empty.
    pub allowed_accounts: Vec<String>,
    /// Where the block begins.
    pub origin: Place,
}

/// Something with the place where it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed<T> {
    /// What.
    pub what: T,
    /// Where.
    pub origin: Place,
}

/// One entry of an account's `exports`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExportSettings {
    /// Messages of the account.
    Stream(account::StreamExport),
    /// An endpoint of the account.
    Service(account::ServiceExport),
}

/// One entry of the `accounts` block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountSettings {
    /// Its name.
    pub name: String,
    /// Its public account key.
    pub nkey: Option<String>,
    /// Its users.
    pub users: Vec<UserSettings>,
    /// For users of this account that have no permissions of their own.
    pub default_permissions: Option<PermissionsSettings>,
    /// What it may use.
    pub limits: Limits,
    /// Where it wants traces.
    pub msg_trace: Option<TraceDest>,
    /// How what its clients publish is moved.
    pub mappings: Mappings,
    /// What it offers to other accounts.
    pub exports: Vec<Placed<ExportSettings>>,
    /// What it wants of other accounts.
    pub imports: Vec<Placed<account::Import>>,
    /// Where it is written.
    pub origin: Place,
}

/// Everything from which a [`crate::Directory`] is built in operator mode, where accounts and users are signed claims.
#[derive(Clone)]
pub struct OperatorSettings {
    /// Whose accounts are ours, and which of them are pinned.
    pub trust: OperatorTrust,
    /// The system account, where it is not the one that an operator names.
    pub system_account: Option<PublicKey>,
    /// The user claims of a peer that shows none.
    pub default_sentinel: Option<Secret<String>>,
    /// Public keys of proxies whose word counts.
    pub trusted_proxies: Vec<String>,
    /// What time of day it is where.
    pub zones: Arc<dyn Zones + Send + Sync>,
    /// Whether claims decide before or after the services that accounts name.
    pub chain: AuthChain,
}

/// Everything from which a [`crate::Directory`] is built in configuration mode.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The `authorization` block.
    pub authorization: AuthorizationSettings,
    /// The `accounts` block.
    pub accounts: Vec<AccountSettings>,
    /// The system account; `$SYS` if absent.
    pub system_account: Option<String>,
    /// How what clients of the global account publish is moved.
    pub global_mappings: Mappings,
    /// Kinds of connection whose listener maps client certificates to users (`verify_and_map`).
    pub certificate_kinds: Vec<ConnectionKind>,
    /// Public keys of proxies whose word counts.
    pub trusted_proxies: Vec<String>,
    /// Servers are known by their certificates, and by nothing else.
    pub known_peers: Option<KnownPeers>,
    /// Logins of listeners that have their own.
    pub doors: Vec<DoorLogin>,
}

/// A listener with a login of its own (`websocket`). It takes the place of the one user or token of the server, and of
/// `no_auth_user`; listed users may come in everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoorLogin {
    /// Who comes in there.
    pub kind: ConnectionKind,
    /// The single user.
    pub user: Option<String>,
    /// Its password, plain or bcrypt.
    pub password: Option<Secret<String>>,
    /// The single token, plain or bcrypt.
    pub token: Option<Secret<String>>,
    /// The user as which a peer without credentials is admitted.
    pub no_auth_user: Option<String>,
}

/// Which certificates a listener for other servers takes (`verify_and_map`, `verify_cert_and_check_known_urls`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownPeers {
    /// Those with a DNS name that is one of these hosts: the configured routes, or those of remote gateways.
    pub hosts: Vec<String>,
    /// Those with a name that is this user.
    pub user: Option<String>,
}
