//! What accounts are called.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// The account of users that no account claims.
pub const GLOBAL: &str = "$G";
/// The account of system events and services, unless another is named.
pub const SYSTEM: &str = "$SYS";
/// Longest account name. A name is part of subjects and of control lines between servers.
pub const MAX_ACCOUNT_NAME_BYTES: usize = 256;

/// Why a text is not an account name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// There is no text.
    Empty,
    /// More than [`MAX_ACCOUNT_NAME_BYTES`].
    TooLong,
    /// A blank or a control character, which would end the name in the middle of a control line.
    BadByte,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "an account needs a name",
            Self::TooLong => "the account name is too long",
            Self::BadByte => "an account name holds no blanks and no control characters",
        })
    }
}

impl std::error::Error for NameError {}

/// The name of an account: a word in a configuration file, or the account's public key.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountName(Arc<str>);

impl AccountName {
    /// Checks and keeps the text.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        match text {
            "" => Err(NameError::Empty),
            _ if text.len() > MAX_ACCOUNT_NAME_BYTES => Err(NameError::TooLong),
            _ if text.bytes().any(|byte| byte < 0x21 || byte == 0x7f) => Err(NameError::BadByte),
            _ => Ok(Self(text.into())),
        }
    }

    /// `$G`.
    pub fn global() -> Self {
        Self(GLOBAL.into())
    }

    /// `$SYS`.
    pub fn system() -> Self {
        Self(SYSTEM.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for AccountName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A small number for an account, the same as long as the process lives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(u32);

impl AccountId {
    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// Which number belongs to which name. Kept by whoever builds [`crate::Accounts`] again and again.
#[derive(Debug, Default)]
pub struct AccountIds(HashMap<AccountName, AccountId>);

impl AccountIds {
    /// The number of this name; a new one at the first question. A name that left and comes back gets its old number.
    pub fn of(&mut self, name: &AccountName) -> AccountId {
        let next = AccountId(u32::try_from(self.0.len()).unwrap_or(u32::MAX));
        *self.0.entry(name.clone()).or_insert(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_a_control_line() {
        for bad in ["", "a b", "a\r\nPING", "a\tb", "\0", "a\u{7f}"] {
            assert!(AccountName::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(AccountName::parse(&"x".repeat(257)), Err(NameError::TooLong));
        assert_eq!(AccountName::parse("Ümläut.1").map(|name| name.to_string()), Ok("Ümläut.1".to_owned()));
    }

    #[test]
    fn a_name_keeps_its_number() {
        let mut ids = AccountIds::default();
        let (a, b) = (AccountName::parse("A").unwrap(), AccountName::parse("B").unwrap());
        let first = ids.of(&a);
        assert_ne!(first, ids.of(&b));
        assert_eq!(first, ids.of(&a));
    }
}
