use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Where account tokens come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settings {
    /// Memory: preloaded tokens and updates, gone at the end of the process.
    Memory,
    /// A directory with every account, kept in step with the other servers.
    Full(DirectorySettings),
    /// A directory with the accounts that were asked for.
    Cache(CacheSettings),
    /// An account server; what it gave is kept in memory.
    Url(String),
}

/// What a request to delete accounts does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeleteMode {
    /// It is refused.
    #[default]
    Refused,
    /// The file is renamed to `.jwt.deleted`.
    Renamed,
    /// The file is removed.
    Removed,
}

/// A directory with every account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectorySettings {
    /// Where.
    pub path: PathBuf,
    /// What deleting does.
    pub delete: DeleteMode,
    /// Most accounts; none for any number.
    pub limit: Option<usize>,
    /// How often the servers compare.
    pub interval: Duration,
    /// How long a fetch from another server may take.
    pub fetch_timeout: Duration,
}

/// A directory with the accounts that were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheSettings {
    /// Where.
    pub path: PathBuf,
    /// Most accounts; the one not used for longest makes room.
    pub limit: usize,
    /// How long an unused account is kept; none for as long as there is room.
    pub ttl: Option<Duration>,
    /// How long a fetch from another server may take.
    pub fetch_timeout: Duration,
}

impl DirectorySettings {
    /// How often servers compare unless told otherwise.
    pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);

    /// A directory without bounds, from which nothing is deleted.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            delete: DeleteMode::Refused,
            limit: None,
            interval: Self::DEFAULT_INTERVAL,
            fetch_timeout: CacheSettings::DEFAULT_FETCH_TIMEOUT,
        }
    }
}

impl CacheSettings {
    /// Most accounts unless told otherwise.
    pub const DEFAULT_LIMIT: usize = 1000;
    /// How long a fetch may take unless told otherwise.
    pub const DEFAULT_FETCH_TIMEOUT: Duration = Duration::from_millis(1900);

    /// A cache with the defaults.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), limit: Self::DEFAULT_LIMIT, ttl: None, fetch_timeout: Self::DEFAULT_FETCH_TIMEOUT }
    }
}

/// Why there is no resolver. The administrator is at fault, or the disk.
#[derive(Debug)]
pub enum ResolverError {
    /// No directory was named.
    NoPath,
    /// The path is something else than a directory, or cannot be reached.
    Path {
        /// The path.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl fmt::Display for ResolverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPath => f.write_str("dir has no value and needs to point to a directory"),
            Self::Path { path, error } => {
                write!(f, "dir needs to point to an accessible directory: {}: {error}", path.display())
            }
        }
    }
}

impl std::error::Error for ResolverError {}
