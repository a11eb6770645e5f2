use std::fmt;
use std::io;

use moment::Timestamp;
use nkeys::PublicKey;

use crate::description::Hash;

/// What is known of a stored token without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// When it was issued.
    pub issued_at: i64,
    /// When it ends; zero for never.
    pub expires: i64,
    /// What tells its text from others.
    pub mark: Mark,
}

/// The first bytes of SHA-256 of a token's text: enough to see that a text is another one, not to trust one because of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark([u8; 8]);

impl Mark {
    /// Of a text that was not seen.
    pub(crate) const UNSEEN: Self = Self([0; 8]);

    /// The mark of a text with this hash.
    pub(crate) const fn of(hash: &Hash) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = *hash;
        Self([a, b, c, d, e, f, g, h])
    }
}

/// A place for account tokens. It keeps what it is given; judging comes before.
pub trait Store: Send {
    /// What is known of an account's token.
    fn peek(&self, account: &PublicKey) -> Option<Stored>;

    /// An account's token. Counts as use.
    fn load(&mut self, account: &PublicKey, now: Timestamp) -> io::Result<Option<String>>;

    /// Keeps a token in place of the account's former one, and says whether that changed anything.
    fn save(&mut self, account: &PublicKey, token: &str, now: Timestamp) -> Result<bool, StoreError>;

    /// Forgets an account; one that is not there counts as forgotten.
    fn delete(&mut self, account: &PublicKey) -> Result<(), StoreError>;

    /// When the account's token was issued that was deleted here, as far as that is still known.
    fn deleted(&self, account: &PublicKey) -> Option<i64>;

    /// Every account whose token is current.
    fn accounts(&self, now: Timestamp) -> Vec<PublicKey>;

    /// All hashes combined: two stores with the same tokens have the same.
    fn hash(&self) -> [u8; 32];

    /// Drops what ended or was not used for too long, and names it.
    fn prune(&mut self, now: Timestamp) -> Vec<PublicKey>;

    /// Looks again at what others may have changed, and names the accounts whose tokens did.
    fn reload(&mut self, now: Timestamp) -> io::Result<Vec<PublicKey>>;
}

/// Why a token was not kept or forgotten.
#[derive(Debug)]
pub enum StoreError {
    /// No room for another account.
    Full,
    /// Nothing is deleted here.
    DeleteRefused,
    /// The disk.
    Io(io::Error),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("jwt store is full"),
            Self::DeleteRefused => f.write_str("store is not set up to for delete"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
