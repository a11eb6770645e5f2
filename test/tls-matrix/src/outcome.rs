//! What a cell led to.

use std::fmt;

/// What a cell led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A client was served.
    Served {
        /// By which version and suite, as the server's monitoring names them.
        by: String,
        /// Who it is, where a certificate says so.
        user: String,
    },
    /// The connection was secure, and the login refused.
    LoginRefused,
    /// There was no secure connection.
    HandshakeRefused,
    /// The server does not start with this.
    Unusable(String),
    /// The server accepts the configuration.
    Usable,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Served { by, user } if user.is_empty() => write!(f, "served by {by}"),
            Self::Served { by, user } => write!(f, "served by {by} as {user}"),
            Self::LoginRefused => f.write_str("login refused"),
            Self::HandshakeRefused => f.write_str("handshake refused"),
            Self::Unusable(why) => write!(f, "does not start: {why}"),
            Self::Usable => f.write_str("starts"),
        }
    }
}
