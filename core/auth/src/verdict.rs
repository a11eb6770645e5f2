//! What came of an attempt to log in.

use std::fmt;
use std::sync::Arc;

use account::Account;
use jwt::DecodeError;
use jwt::chain::{AccountRefusal, UserRefusal};
use moment::Timestamp;
use nkeys::PublicKey;

use crate::allowance::{Allowance, TagFault, WrittenLimits};
use crate::attempt::UserLabel;
use crate::bans::Banned;
use crate::callout::{CalloutQuestion, CalloutRefusal};
use crate::kind::ConnectionKind;
use crate::permissions::Permissions;
use subject::Quoted;

/// The answer to an attempt.
#[derive(Debug)]
pub enum Verdict {
    /// Come in.
    Admit(Admission),
    /// Stay out.
    Refuse(Refusal),
    /// Cannot be said without the claims of this account. Fetch them, put them into the directory and ask again.
    NeedAccount(PublicKey),
    /// An external service has the last word. Ask it, and [`crate::conclude`] with its answer.
    AskCallout(Box<CalloutQuestion>),
}

impl Verdict {
    /// Nothing more has to be had before it stands.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Admit(_) | Self::Refuse(_))
    }

    /// The admission, where it is one.
    pub fn admitted(self) -> Option<Admission> {
        match self {
            Self::Admit(admission) => Some(admission),
            _ => None,
        }
    }
}

/// Who a connection is and what it may do. Only this room makes one.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Admission {
    /// The account it belongs to.
    pub account: Arc<Account>,
    /// What it may do.
    pub permissions: Arc<Permissions>,
    /// Who it is.
    pub user: UserLabel,
    /// How it proved that.
    pub by: Proof,
    /// When it must leave.
    pub expires: Option<Timestamp>,
    /// When everybody of its account must leave.
    pub account_expires: Option<Timestamp>,
    /// What its user claims say about it, if it came with some.
    pub claims: Option<Arc<UserFacts>>,
    /// The tighter of the user's and the account's limits.
    pub limits: ConnectionLimits,
    /// What all connections of the user may use together.
    pub allowance: Allowance,
    /// The key of the trusted proxy through which it came.
    pub proxy: Option<String>,
}

impl Admission {
    pub(crate) fn new(account: Arc<Account>, permissions: Arc<Permissions>, user: UserLabel, by: Proof) -> Self {
        let limits = ConnectionLimits {
            max_subscriptions: account.limits.max_subscriptions,
            max_payload: account.limits.max_payload,
        };
        Self {
            account,
            permissions,
            user,
            by,
            expires: None,
            account_expires: None,
            claims: None,
            limits,
            allowance: Allowance::default(),
            proxy: None,
        }
    }

    /// The user's own limits: the tighter hold.
    pub(crate) fn limit(&mut self, own: &WrittenLimits) {
        let each = ConnectionLimits { max_subscriptions: own.max_subscriptions, max_payload: own.max_payload };
        self.limits = self.limits.within(each);
        self.allowance = own.allowance();
    }

    /// Whether the other one is the same user of the same account: what a second CONNECT must be.
    pub fn is_same_identity(&self, other: &Self) -> bool {
        self.account.name == other.account.name && self.user == other.user && self.by == other.by
    }
}

/// What user claims say about a user besides its rights: for events, monitoring and reviews.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserFacts {
    /// The user's public key.
    pub user: PublicKey,
    /// Its name, for people.
    pub name: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// The name of its account, for people.
    pub account_name: String,
    /// The key that signed the claims.
    pub issuer: PublicKey,
    /// When they were signed, in seconds.
    pub issued_at: i64,
}

/// How a peer proved who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Proof {
    /// Nobody is asked.
    NotRequired,
    /// It showed nothing and is the user for such peers.
    Anonymous,
    /// A password.
    Password,
    /// The token.
    Token,
    /// A signature of the nonce.
    Signature,
    /// A client certificate.
    Certificate,
    /// A user JWT.
    Jwt,
    /// The callout service vouched for it.
    Callout,
}

impl Proof {
    /// The kind of credential, in one word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotRequired | Self::Anonymous => "none",
            Self::Password => "password",
            Self::Token => "token",
            Self::Signature => "nkey",
            Self::Certificate => "certificate",
            Self::Jwt => "jwt",
            Self::Callout => "callout",
        }
    }
}

/// Limits of one connection. `None` is unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Subscriptions.
    pub max_subscriptions: Option<u64>,
    /// Bytes of one message, header included.
    pub max_payload: Option<u64>,
}

impl ConnectionLimits {
    /// The tighter of both, limit by limit.
    #[must_use]
    pub(crate) fn within(self, other: Self) -> Self {
        let tighter = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Self {
            max_subscriptions: tighter(self.max_subscriptions, other.max_subscriptions),
            max_payload: tighter(self.max_payload, other.max_payload),
        }
    }
}

/// Why an attempt failed. Precise for the operator; the peer always sees the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The peer wanted to choose its account.
    NamesAccount,
    /// It came with a proxy's signature that no trusted proxy made.
    ProxyNotTrusted,
    /// The user may come through a trusted proxy only.
    ProxyRequired(UserLabel),
    /// It showed nothing, and there is no user for such peers.
    NoCredentials,
    /// There is no such user.
    UnknownUser(String),
    /// The password is wrong.
    WrongPassword(String),
    /// The token is wrong or missing.
    WrongToken,
    /// There is no such nkey user.
    UnknownNkey(String),
    /// The nonce was not signed.
    SignatureMissing(UserLabel),
    /// The signature is not base64.
    SignatureMalformed(UserLabel),
    /// The signature does not verify, or there was no nonce to sign.
    SignatureWrong(UserLabel),
    /// The user may not use this kind of connection.
    KindNotAllowed(UserLabel, ConnectionKind),
    /// Users are taken from certificates here, and there is none.
    CertificateMissing,
    /// No name in the certificate belongs to a user; the names that were tried.
    CertificateUnknown(Vec<String>),
    /// The user has no password: it is known by its certificate only.
    CertificateRequired(String),
    /// User claims are required, and there are none.
    JwtMissing,
    /// The user claims are not a token that somebody signed.
    JwtMalformed(DecodeError),
    /// The user claims do not admit the peer.
    User(PublicKey, UserRefusal),
    /// Nobody knows the account of the user claims.
    UnknownAccount(PublicKey),
    /// The claims of the account did not come in time.
    AccountLate(PublicKey),
    /// The claims of the user's account are not used.
    Account(PublicKey, AccountRefusal),
    /// An administrator keeps it out until then.
    Banned(UserLabel, Banned, Timestamp),
    /// A limit in the claims cannot be read, of the user or of its account.
    Limits(UserLabel, TagFault),
    /// The callout service did not admit the peer.
    Callout(CalloutRefusal),
    /// So many logins wait to be judged that this one is not taken in.
    TooManyLogins,
    /// A second login on a connection is somebody else's.
    IdentityChanged,
}

impl Refusal {
    /// The text that the peer gets, whatever the reason.
    pub const fn wire_text(&self) -> &'static str {
        "Authorization Violation"
    }

    /// Whom the peer said it is, as far as that was read. Never a secret.
    pub fn user(&self) -> String {
        match self {
            Self::ProxyRequired(user)
            | Self::SignatureMissing(user)
            | Self::SignatureMalformed(user)
            | Self::SignatureWrong(user)
            | Self::KindNotAllowed(user, _)
            | Self::Banned(user, ..)
            | Self::Limits(user, _) => user.name().to_owned(),
            Self::UnknownUser(name)
            | Self::WrongPassword(name)
            | Self::UnknownNkey(name)
            | Self::CertificateRequired(name) => name.clone(),
            Self::User(key, _) => key.to_string(),
            _ => String::new(),
        }
    }

    /// The text for a peer that was admitted and no longer is. `None`: it is closed without a word.
    pub const fn farewell_text(&self) -> Option<&'static str> {
        match self {
            Self::User(_, UserRefusal::Revoked) => Some("User Authentication Revoked"),
            Self::User(_, UserRefusal::Expired | UserRefusal::OutsideTimes) => Some("User Authentication Expired"),
            Self::User(_, UserRefusal::Account(AccountRefusal::Expired))
            | Self::Account(_, AccountRefusal::Expired)
            | Self::UnknownAccount(_)
            | Self::AccountLate(_) => Some("Account Authentication Expired"),
            Self::User(..) | Self::Account(..) => None,
            _ => Some(self.wire_text()),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NamesAccount => f.write_str("the peer asked for an account"),
            Self::ProxyNotTrusted => f.write_str("proxy is not trusted"),
            Self::ProxyRequired(user) => write!(f, "{user}: proxy required"),
            Self::NoCredentials => f.write_str("no credentials, and no_auth_user is not set"),
            Self::UnknownUser(name) => write!(f, "User {} is unknown", Quoted(name.as_bytes())),
            Self::WrongPassword(name) => write!(f, "User {}: wrong password", Quoted(name.as_bytes())),
            Self::WrongToken => f.write_str("wrong token"),
            Self::UnknownNkey(key) => write!(f, "Nkey {} is unknown", Quoted(key.as_bytes())),
            Self::SignatureMissing(user) => write!(f, "{user}: signature missing"),
            Self::SignatureMalformed(user) => write!(f, "{user}: signature is not valid base64"),
            Self::SignatureWrong(user) => write!(f, "{user}: signature not verified"),
            Self::KindNotAllowed(user, kind) => write!(f, "{user}: connection type {kind} is not allowed"),
            Self::CertificateMissing => f.write_str("a client certificate is required, none was shown"),
            Self::CertificateUnknown(names) => write!(f, "User in cert {names:?}, not found"),
            Self::JwtMissing => f.write_str("a user JWT is required"),
            Self::JwtMalformed(error) => write!(f, "User JWT not valid: {error}"),
            Self::User(key, refusal) => write!(f, "JWT User \"{key}\": {refusal}"),
            Self::UnknownAccount(key) => write!(f, "account {key} is unknown"),
            Self::AccountLate(key) => write!(f, "account {key} could not be fetched in time"),
            Self::Account(key, refusal) => write!(f, "account {key}: {refusal}"),
            Self::Banned(user, who, until) => write!(f, "{user}: {who} is banned until {until}"),
            Self::Limits(user, fault) => write!(f, "{user}: {fault}"),
            Self::Callout(refusal) => refusal.fmt(f),
            Self::TooManyLogins => f.write_str("too many logins are waiting"),
            Self::IdentityChanged => f.write_str("a second CONNECT with another identity"),
            Self::CertificateRequired(name) => {
                write!(f, "User {} requires a client certificate", Quoted(name.as_bytes()))
            }
        }
    }
}

impl std::error::Error for Refusal {}
