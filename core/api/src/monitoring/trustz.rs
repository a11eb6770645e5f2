//! `/trustz`: who was refused, and how long certificates hold. Bulwark's own; the reference has no such document.

use serde::Serialize;

/// What was refused since the server started, and its certificates.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct Trustz {
    /// Logins that were refused.
    pub refused_logins: u64,
    /// Publishes, replies and subscriptions that were denied.
    pub denials: u64,
    /// The newest of both, newest first, as many as are remembered.
    pub recent: Vec<RefusalDetail>,
    /// Who is kept out, newest first.
    pub bans: Vec<BanDetail>,
    /// The certificates of the listeners.
    pub certificates: Vec<CertificateDetail>,
}

/// Something that was refused. Never a secret.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
pub struct RefusalDetail {
    /// When, in RFC 3339.
    pub time: String,
    /// `login` or `denial`.
    pub class: &'static str,
    /// The account, if it was known.
    pub account: String,
    /// Whom the peer said it is.
    pub user: String,
    /// Its address.
    pub from: String,
    /// What it wanted.
    pub what: String,
    /// The rule or reason that decided.
    pub rule: String,
}

/// Who is kept out for a time. What does not concern the ban is absent.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct BanDetail {
    /// A network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// An account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// A user by name or public key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Since when, in RFC 3339.
    pub since: String,
    /// Until when, in RFC 3339.
    pub until: String,
    /// Why.
    pub reason: String,
    /// How often it has kept somebody out.
    pub refused: u64,
}

/// The bans of a server, and how many connections the newest one closed.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct Banlist {
    /// Connections that were closed now.
    pub closed: usize,
    /// Who is kept out, newest first.
    pub bans: Vec<BanDetail>,
}

/// A certificate of ours.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
pub struct CertificateDetail {
    /// Which listener shows it.
    pub listener: &'static str,
    /// Whose it is.
    pub subject: String,
    /// Until when it holds, in RFC 3339.
    pub not_after: String,
    /// Whole days until then; negative if it is over.
    pub days_left: i64,
}
