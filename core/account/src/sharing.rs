//! Sharing between accounts: what one exports, what another imports, and whether the two meet.
//!
//! [`Exports`] and [`Import`]s are what is written down, in a configuration or in claims. [`Sharing`] is what comes of it
//! once all accounts are known: the imports that may stand, each with its transform, and those that may not, each with
//! the reason. A compiled import can only be made here, so whoever holds one holds the exporter's consent.

mod compile;
mod cycles;
mod export;
mod service;
mod stream;

use std::fmt;
use std::sync::Arc;

use subject::Quoted;
use subject::transform::TransformError;

use crate::name::AccountName;

pub(crate) use compile::compile;
pub use export::{
    Access, DEFAULT_RESPONSE_THRESHOLD, Exports, Latency, LatencySampling, ResponseType, ServiceExport, StreamExport,
};
pub use service::ServiceImport;
pub use stream::StreamImport;

/// Most imports of one account.
pub const MAX_IMPORTS: usize = 100_000;

/// What is taken from another account, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// From whom.
    pub account: AccountName,
    /// The subject there. May be narrower than what is exported.
    pub subject: String,
    /// What kind, and what it is called here.
    pub kind: ImportKind,
    /// A token of the exporter lets this account in. Whoever reads claims judges it.
    pub activated: bool,
}

/// The two kinds of import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportKind {
    /// Messages of the other account.
    Stream {
        /// What they are called here.
        local: LocalName,
        /// A trace may follow them into this account.
        allow_trace: bool,
    },
    /// An endpoint of the other account.
    Service {
        /// What it is called here; as there if empty.
        to: String,
        /// The other account learns who asks.
        share: bool,
    },
}

/// What an imported stream is called here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalName {
    /// As there.
    Same,
    /// As there, with this before it.
    Prefixed(String),
    /// So, with `$1` for the first wildcard.
    Mapped(String),
}

impl Import {
    /// Whether it is a stream.
    pub const fn is_stream(&self) -> bool {
        matches!(self.kind, ImportKind::Stream { .. })
    }
}

/// Why an export or an import may not stand. Always the fault of whoever wrote it; the texts are known to operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SharingError {
    /// Not a subject, or the position of the account's token is no `*`.
    Subject,
    /// The exporter does not exist.
    MissingAccount,
    /// The exporter does not offer the stream to this account.
    StreamNotAuthorized,
    /// The exporter does not offer the service to this account.
    ServiceNotAuthorized,
    /// A prefix with wildcards.
    Prefix,
    /// The stream is imported already.
    DuplicateStream,
    /// A service of the same account has this name here already.
    DuplicateService {
        /// What it is called here.
        to: String,
        /// The account it is from.
        account: AccountName,
        /// What it is called there.
        subject: String,
    },
    /// The names here and there do not fit.
    Transform {
        /// It is a stream.
        stream: bool,
        /// From this subject.
        from: String,
        /// To this one.
        to: String,
        /// Why not.
        error: TransformError,
    },
    /// Messages would come back to where they came from.
    Cycle,
    /// Latencies of a service that answers with more than one message.
    LatencyOfMany,
    /// Latencies go to something that is no subject, or to the service itself.
    LatencySubject,
    /// More than [`MAX_IMPORTS`].
    TooMany,
}

impl SharingError {
    /// Whether the service itself is all right, and only its latencies cannot be told so.
    pub const fn is_about_latency(&self) -> bool {
        matches!(self, Self::LatencyOfMany | Self::LatencySubject)
    }
}

impl fmt::Display for SharingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Subject => "invalid subject",
            Self::MissingAccount => "account missing",
            Self::StreamNotAuthorized => "stream import not authorized",
            Self::ServiceNotAuthorized => "service import not authorized",
            Self::Prefix => "stream import prefix can not contain wildcard tokens",
            Self::DuplicateStream => "stream import already exists",
            Self::Cycle => "import forms a cycle",
            Self::LatencyOfMany => "bad service response type",
            Self::LatencySubject => "invalid publish subject",
            Self::TooMany => return write!(f, "more than {MAX_IMPORTS} imports"),
            Self::DuplicateService { to, account, subject } => {
                let (to, subject) = (Quoted(to.as_bytes()), Quoted(subject.as_bytes()));
                let account = Quoted(account.as_str().as_bytes());
                return write!(
                    f,
                    "duplicate service import subject {to}, previously used in import for account {account}, \
                     subject {subject}"
                );
            }
            Self::Transform { stream, from, to, error } => {
                let what = if *stream { "stream" } else { "service" };
                let (from, to) = (Quoted(from.as_bytes()), Quoted(to.as_bytes()));
                return write!(
                    f,
                    "failed to create mapping transform for {what} import subject from {from} to {to}: {error}"
                );
            }
        })
    }
}

impl std::error::Error for SharingError {}

/// What of an account's imports may stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sharing {
    /// Streams of other accounts.
    pub streams: Vec<Arc<StreamImport>>,
    /// Endpoints of other accounts.
    pub services: Vec<Arc<ServiceImport>>,
    /// What may not stand: its place among the imports as written, and why.
    pub refused: Vec<(usize, SharingError)>,
}

#[cfg(test)]
use crate::tenant::Account;

#[cfg(test)]
mod tests;
