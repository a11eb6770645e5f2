//! Where the monitor listens.

use std::fmt;
use std::io;

/// Settings of the monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonitorSettings {
    /// The address to listen on.
    pub host: String,
    /// The port; 0 for any free one.
    pub port: u16,
    /// What every path begins with: `/`, or `/some/path` without a slash at its end.
    pub base_path: String,
    /// Pages of other origins may read the answers in a visitor's browser, as with the reference server.
    pub cross_origin: bool,
}

impl Default for MonitorSettings {
    fn default() -> Self {
        Self { host: "127.0.0.1".to_owned(), port: 8222, base_path: "/".to_owned(), cross_origin: true }
    }
}

impl MonitorSettings {
    /// The base path as `varz` shows it and paths are compared with it: nothing instead of a single slash.
    pub(crate) fn base(&self) -> &str {
        self.base_path.trim_end_matches('/')
    }
}

/// Why the monitor does not run.
#[derive(Debug)]
pub enum MonitorError {
    /// The port cannot be had.
    Listen {
        /// Where.
        at: String,
        /// What the system said.
        error: io::Error,
    },
    /// The system gave no thread, or none of what it needs.
    Thread(io::Error),
}

impl fmt::Display for MonitorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { at, error } => write!(f, "can't listen to the monitor port: {at}: {error}"),
            Self::Thread(error) => write!(f, "cannot start the monitor: {error}"),
        }
    }
}

impl std::error::Error for MonitorError {}
