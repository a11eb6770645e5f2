//! Why the service's answer admits nobody.

use std::fmt;

use jwt::DecodeError;
use jwt::chain::UserRefusal;
use nkeys::{KeyError, PublicKey};

/// See [`crate::conclude`]. The texts are those that operators find in events and logs. Each names the account in which the
/// service listens, where that helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CalloutRefusal {
    /// Nobody answered in time.
    NoAnswer,
    /// The answer is empty: no, without a reason.
    Empty,
    /// Longer than [`crate::MAX_ANSWER_BYTES`].
    TooLong,
    /// The answer cannot be opened.
    Sealed(KeyError),
    /// The answer came in the clear although requests are sealed.
    InTheClear,
    /// Not an answer token.
    Malformed(DecodeError),
    /// What the answer says makes no sense; the first of its issues.
    Invalid(String),
    /// About another user than the one that was asked about.
    OtherUser,
    /// For another server.
    OtherServer,
    /// The service says no, for this reason.
    Denied(String),
    /// Signed by a key that the account does not know.
    UnknownSigner,
    /// The user claims are not a token.
    UserMalformed(DecodeError),
    /// The user claims are those of another user.
    UserOther {
        /// Whom they had to be about.
        expected: PublicKey,
        /// Whom they are about.
        found: PublicKey,
    },
    /// The user claims name an issuing account, which only operator mode has.
    IssuerAccount,
    /// The user claims were not signed by the configured issuer.
    WrongIssuer {
        /// Whose signature was expected.
        expected: PublicKey,
        /// Whose it is.
        found: PublicKey,
    },
    /// The service may not place users in this account.
    AccountNotAllowed(PublicKey),
    /// There is no such account.
    AccountUnknown(String),
    /// The user claims do not admit this connection.
    User(UserRefusal),
    /// A permission in the user claims is not a rule.
    Permissions(String),
}

impl fmt::Display for CalloutRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer => f.write_str("Authorization callout response not received in time"),
            Self::Empty => f.write_str("Auth callout violation: \"no reason supplied\""),
            Self::TooLong => f.write_str("Auth callout violation: the response is too long"),
            Self::Sealed(error) => write!(f, "Error decrypting auth callout response: {error}"),
            Self::InTheClear => f.write_str("Auth callout violation: the response is not encrypted"),
            Self::Malformed(error) => write!(f, "Auth callout response is not valid: {error}"),
            Self::Invalid(issue) => write!(f, "Authorization response had validation errors: {issue}"),
            Self::OtherUser => f.write_str("Auth callout violation: auth callout response is not for expected user"),
            Self::OtherServer => f.write_str("Auth callout violation: auth callout response is not for server"),
            Self::Denied(reason) => write!(f, "Auth callout service returned an error: {reason}"),
            Self::UnknownSigner => f.write_str("Auth callout signing key is unknown"),
            Self::UserMalformed(error) => write!(f, "Error validating user JWT: {error}"),
            Self::UserOther { expected, found } => {
                write!(f, "Expected authorized user of \"{expected}\" but got \"{found}\"")
            }
            Self::IssuerAccount => f.write_str("Error non operator mode: attempted to use issuer_account"),
            Self::WrongIssuer { expected, found } => {
                write!(f, "Wrong issuer for auth callout response, expected \"{expected}\" got \"{found}\"")
            }
            Self::AccountNotAllowed(account) => {
                write!(f, "Account \"{account}\" not permitted as valid account option for auth callout")
            }
            Self::AccountUnknown(account) => {
                write!(f, "No valid account {account:?} for auth callout response: account missing")
            }
            Self::User(UserRefusal::OutsideTimes) => f.write_str("Authorized user outside of valid connect times"),
            Self::User(refusal) => write!(f, "Authorized user: {refusal}"),
            Self::Permissions(error) => write!(f, "User JWT generated invalid permissions: {error}"),
        }
    }
}

impl std::error::Error for CalloutRefusal {}
