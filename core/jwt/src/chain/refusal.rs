use std::fmt;
use std::net::IpAddr;

use nkeys::PublicKey;

use crate::DecodeError;
use crate::connection::ConnectionType;
use crate::template::TemplateRefusal;

/// Why an operator of the configuration is not trusted. The administrator is at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperatorRefusal {
    /// Not an operator token.
    Token(DecodeError),
    /// A trusted key of another role.
    NotOperatorKey(PublicKey),
    /// Its time is over.
    Expired(PublicKey),
    /// Its time has not come.
    Early(PublicKey),
    /// Signed by a key that is not its own.
    NotSelfSigned(PublicKey),
    /// Blocking issues, as one text.
    Invalid(String),
    /// The default sentinel is not a user token.
    Sentinel(DecodeError),
    /// The default sentinel would have to sign a nonce.
    SentinelNotBearer,
    /// It wants a newer server.
    Version {
        /// Which operator.
        operator: PublicKey,
        /// The oldest version it accepts.
        wanted: [u64; 3],
        /// This server's.
        server: [u64; 3],
    },
}

impl fmt::Display for OperatorRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(error) => write!(f, "error parsing operator JWT: {error}"),
            Self::NotOperatorKey(key) => {
                write!(f, "trust key \"{key}\" required to be a valid public operator nkey")
            }
            Self::Expired(key) => write!(f, "operator {key} is expired"),
            Self::Early(key) => write!(f, "operator {key} is not yet valid"),
            Self::NotSelfSigned(key) => write!(f, "operator {key} is signed by a key that is not its own"),
            Self::Invalid(issues) => write!(f, "operator JWT is not valid: {issues}"),
            Self::Sentinel(_) => f.write_str("default sentinel JWT not valid"),
            Self::SentinelNotBearer => f.write_str("default sentinel must be a bearer token"),
            Self::Version { operator, wanted, server } => {
                let parts = ["major", "minor", "update"].into_iter().zip(wanted.iter().zip(server));
                let differing = parts.into_iter().find(|(_, (wanted, server))| wanted != server);
                let (part, (wanted, server)) = differing.unwrap_or(("update", (&0, &0)));
                write!(f, "operator {operator} expected {part} version {wanted} > server {part} version {server}")
            }
        }
    }
}

impl std::error::Error for OperatorRefusal {}

/// Why an account's claims are not used. Whoever signed or sent them is at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountRefusal {
    /// Not an account token.
    Token(DecodeError),
    /// The claims of another account.
    Subject {
        /// Whose claims were wanted.
        wanted: PublicKey,
        /// Whose these are.
        found: PublicKey,
    },
    /// Signed by a key no trusted operator has, or has any more.
    Untrusted(PublicKey),
    /// Blocking issues, as one text.
    Invalid(String),
    /// Its time is over.
    Expired,
    /// Its time has not come.
    Early,
}

impl fmt::Display for AccountRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(error) => error.fmt(f),
            Self::Subject { .. } => f.write_str("subject does not match jwt content"),
            Self::Untrusted(issuer) => write!(f, "account is not signed by a trusted operator but by {issuer}"),
            Self::Invalid(issues) => write!(f, "validation errors: {issues}"),
            Self::Expired => f.write_str("account claim is expired"),
            Self::Early => f.write_str("account claim is not yet valid"),
        }
    }
}

impl std::error::Error for AccountRefusal {}

/// Why a user is not admitted. The text is for the administrator; the peer hears the standard words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserRefusal {
    /// Users of this account are not admitted here.
    NotPinned(PublicKey),
    /// The account at hand is not the user's.
    OtherAccount(PublicKey),
    /// The account is not current.
    Account(AccountRefusal),
    /// Blocking issues, as one text.
    Invalid(String),
    /// The user's time is over.
    Expired,
    /// The user's time has not come.
    Early,
    /// The account does not let this key sign users.
    UnknownIssuer(PublicKey),
    /// The operator is strict, and the account's own key signed.
    IdentityKey,
    /// The signing key has a scope, and the user brings rights of its own.
    ScopedWithRights(PublicKey),
    /// The scope cannot be filled in for this user.
    Template(TemplateRefusal),
    /// A permission of the scope or the account is not a subject.
    Permissions,
    /// Only connections through a trusted proxy.
    ProxyRequired,
    /// A bearer token, which the account does not take.
    BearerDisallowed,
    /// Not over this kind of connection.
    ConnectionType(ConnectionType),
    /// Limited to kinds of connections nobody knows.
    NoKnownConnectionType,
    /// No signature of the nonce.
    SignatureMissing,
    /// The signature is not base64.
    SignatureEncoding,
    /// The signature is not the user's.
    Signature,
    /// The account has revoked what it issued then.
    Revoked,
    /// Not from there; `None` when it is unknown from where.
    Source(Option<IpAddr>),
    /// Not at this time.
    OutsideTimes,
    /// The times are in a zone nobody knows.
    UnknownZone(String),
}

impl fmt::Display for UserRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPinned(account) => write!(f, "account {account} is not listed as pinned account"),
            Self::OtherAccount(account) => write!(f, "user belongs to account {account}"),
            Self::Account(refusal) => refusal.fmt(f),
            Self::Invalid(issues) => write!(f, "user claim is not valid: {issues}"),
            Self::Expired => f.write_str("user claim is expired"),
            Self::Early => f.write_str("user claim is not yet valid"),
            Self::UnknownIssuer(key) => write!(f, "user issuer {key} is no signing key of the account"),
            Self::IdentityKey => f.write_str("operator requires users to be signed by a signing key"),
            Self::ScopedWithRights(key) => {
                write!(f, "scoped users require no permissions or limits set, signing key {key} has a scope")
            }
            Self::Template(refusal) => refusal.fmt(f),
            Self::Permissions => f.write_str("a permission is not a valid subject"),
            Self::ProxyRequired => f.write_str("proxy connection required"),
            Self::BearerDisallowed => f.write_str("account does not allow bearer tokens"),
            Self::ConnectionType(kind) => write!(f, "connection type {} is not allowed", kind.word()),
            Self::NoKnownConnectionType => f.write_str("none of the allowed connection types is known"),
            Self::SignatureMissing => f.write_str("signature of the nonce is missing"),
            Self::SignatureEncoding => f.write_str("signature is not valid base64"),
            Self::Signature => f.write_str("signature of the nonce does not verify"),
            Self::Revoked => f.write_str("user is revoked"),
            Self::Source(Some(address)) => write!(f, "address {address} is in none of the user's networks"),
            Self::Source(None) => f.write_str("the user is limited to networks and the address is unknown"),
            Self::OutsideTimes => f.write_str("outside of the user's connect times"),
            Self::UnknownZone(zone) => write!(f, "time zone {zone:?} of the connect times is unknown"),
        }
    }
}

impl std::error::Error for UserRefusal {}
