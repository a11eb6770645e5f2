//! What only the whole server knows.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use api::monitoring::healthz::HealthError;
use api::monitoring::options::{HealthzOptions, JszOptions};
use api::monitoring::{ClaimIssue, Jsz, JszAccount, LinksVarz, OcspCacheVarz, Trustz, Value};
use moment::Timestamp;

/// What the server tells of itself beside what the hub knows. Asked at each request.
pub trait ServerFacts: Send + Sync {
    /// The server as it is configured now.
    fn portrait(&self) -> Portrait;

    /// Who was refused, and how long certificates hold.
    fn trust(&self) -> Trustz {
        Trustz::default()
    }

    /// Streams, in as much detail as is wished for; `None` where JetStream is off. The server's id and the time are filled
    /// in by whoever asks.
    fn streams(&self, _wish: &JszOptions) -> Result<Option<Jsz>, Busy> {
        Ok(None)
    }

    /// The streams of one account; `None` where it may have none.
    fn streams_of(&self, _account: &str, _wish: &JszOptions) -> Result<Option<JszAccount>, Busy> {
        Ok(None)
    }

    /// Whether JetStream is on, and this account may have streams; `None` where it is off.
    fn has_streams(&self, _account: &str) -> Option<bool> {
        None
    }

    /// What is wrong with streams, each with the status that says so over HTTP.
    fn stream_troubles(&self, _wish: &HealthzOptions) -> Vec<(u16, HealthError)> {
        Vec::new()
    }

    /// An account that is claims; `None` where it is not, or is not known here.
    fn account(&self, _account: &str) -> Option<AccountPortrait> {
        None
    }

    /// What issuers have said of the certificates of peers; `None` where nobody asks them, or nothing is remembered.
    fn ocsp_peer_cache(&self) -> Option<OcspCacheVarz> {
        None
    }

    /// Logins that were refused because their account is not among the pinned ones.
    fn pinned_account_fails(&self) -> u64 {
        0
    }

    /// The listeners that should be up and are not, by name. A server with any is not healthy.
    fn missing_listeners(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// Whether visitors have to log in.
    fn asks_who(&self) -> bool {
        false
    }

    /// Whether this user with this password may look, from this address. May take the time of a hash.
    fn admits(&self, _user: &str, _password: &str, _from: IpAddr) -> bool {
        false
    }

    /// What became of traces since the start; `None` where nobody could send them.
    fn traces(&self) -> Option<TraceTotals> {
        None
    }

    /// A line for whoever watches the log.
    fn warn(&self, _text: &str) {}
}

/// Whoever works on streams does not say anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// What became of traces since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceTotals {
    /// Spans that a collector took.
    pub exported: u64,
    /// Messages that were not followed: they came too fast, or too many waited.
    pub dropped: u64,
    /// Spans that the collector did not take.
    pub failed: u64,
}

/// A server as it is configured.
#[derive(Clone, Debug)]
pub struct Portrait {
    /// When it started.
    pub start: Timestamp,
    /// When its configuration was read last.
    pub config_load_time: Timestamp,
    /// `sha256:` and the hash of the configuration, or nothing.
    pub config_digest: String,
    /// How long a login may take.
    pub auth_timeout: Duration,
    /// How long a TLS handshake may take.
    pub tls_timeout: Duration,
    /// What happens to a client that misses the write deadline, if that was said: `close` or `retry`.
    pub write_timeout: Option<&'static str>,
    /// The system account, if there is one.
    pub system_account: Option<String>,
    /// When the certificate of the client listener expires.
    pub tls_cert_not_after: Option<Timestamp>,
    /// The blocks of links.
    pub links: LinksVarz,
    /// The issuers of clients' certificates are asked about them.
    pub tls_ocsp_peer_verify: bool,
    /// The operators that are trusted by their tokens.
    pub operators: Vec<OperatorPortrait>,
    /// The public keys of trusted proxies.
    pub proxies: Vec<String>,
}

/// An operator that is trusted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OperatorPortrait {
    /// Its token.
    pub jwt: String,
    /// What that says.
    pub claims: Value,
}

/// An account that is claims.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccountPortrait {
    /// Its token. Nobody can log in by it.
    pub jwt: String,
    /// Who signed it.
    pub issuer_key: String,
    /// Its name for people, if it has one.
    pub name_tag: String,
    /// Its labels.
    pub tags: Vec<String>,
    /// What the token says.
    pub decoded_jwt: Option<Value>,
    /// What whoever signs it should know.
    pub issues: Vec<ClaimIssue>,
    /// Users that are void, and what was issued to them until when.
    pub revoked_users: BTreeMap<String, String>,
    /// The same of activations, by the subject that is exported.
    pub revoked_activations: BTreeMap<String, BTreeMap<String, String>>,
    /// It is past its time.
    pub is_expired: bool,
}

impl Default for Portrait {
    fn default() -> Self {
        Self {
            start: Timestamp::EPOCH,
            config_load_time: Timestamp::EPOCH,
            config_digest: String::new(),
            auth_timeout: Duration::from_secs(2),
            tls_timeout: Duration::from_secs(2),
            write_timeout: None,
            system_account: None,
            tls_cert_not_after: None,
            links: LinksVarz::default(),
            tls_ocsp_peer_verify: false,
            operators: Vec::new(),
            proxies: Vec::new(),
        }
    }
}
