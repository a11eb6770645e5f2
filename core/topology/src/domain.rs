//! JetStream across a leaf connection: whether two servers share one, decided when the connection is registered.

/// What decides.
#[derive(Clone, Copy, Debug)]
pub struct DomainFacts<'a> {
    /// This server's domain; empty for none.
    pub local: &'a str,
    /// The far end's.
    pub remote: &'a str,
    /// JetStream runs on this server.
    pub has_jetstream: bool,
    /// `extension_hint: will_extend` is set.
    pub will_extend: bool,
    /// The connection is bound to the system account.
    pub is_system_account: bool,
    /// There is a system account.
    pub has_system_account: bool,
    /// `default_js_domain` says that some account uses the empty domain.
    pub has_empty_default: bool,
    /// `default_js_domain` says that this account does.
    pub account_has_empty_default: bool,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DomainVerdict {
    /// The account uses the other side's JetStream as it did before there were domains: nothing is denied.
    OldWay,
    /// Two domains; on the system account.
    SeparateSystem,
    /// Two domains; on another account.
    Separate,
    /// One domain, and this connection joins its metadata.
    Extended,
    /// One domain; its API travels by the system account.
    Shared,
}

const SYSTEM_DENIES: &[&str] = &["$JSC.>", "$NRG.>", "$JS.API.>", "$KV.>", "$OBJ.>"];
const ACCOUNT_DENIES: &[&str] = &["$JS.API.>", "$KV.>", "$OBJ.>"];

impl DomainVerdict {
    /// Subjects that go neither in nor out.
    pub const fn denies(self) -> &'static [&'static str] {
        match self {
            Self::OldWay | Self::Extended => &[],
            Self::SeparateSystem => SYSTEM_DENIES,
            Self::Separate | Self::Shared => ACCOUNT_DENIES,
        }
    }

    /// What is meant for this server's domain by name does not leave by this connection.
    pub const fn keeps_own_domain(self) -> bool {
        matches!(self, Self::SeparateSystem | Self::Separate)
    }
}

/// Decides. The rows are in order; the first that fits counts.
pub fn judge_domains(facts: &DomainFacts<'_>) -> DomainVerdict {
    if !facts.is_system_account && facts.account_has_empty_default {
        return DomainVerdict::OldWay;
    }
    let cannot_extend = !facts.has_jetstream && facts.local.is_empty() && !facts.will_extend;
    let forced_apart = facts.is_system_account && facts.has_empty_default;
    if facts.local != facts.remote || cannot_extend || !facts.has_system_account || forced_apart {
        return if facts.is_system_account { DomainVerdict::SeparateSystem } else { DomainVerdict::Separate };
    }
    if facts.is_system_account { DomainVerdict::Extended } else { DomainVerdict::Shared }
}

/// The mappings that make `$JS.<domain>.API` of an account reach this server's JetStream.
pub fn domain_mappings(domain: &str) -> Vec<(String, String)> {
    const PARTS: [&str; 7] = ["INFO", "STREAM.>", "CONSUMER.>", "DIRECT.>", "META.>", "SERVER.>", "ACCOUNT.>"];
    let api = PARTS.iter().map(|part| (format!("$JS.{domain}.API.{part}"), format!("$JS.API.{part}")));
    let stores = ["$KV.>", "$OBJ.>"].iter().map(|name| (format!("$JS.{domain}.API.{name}"), (*name).to_owned()));
    api.chain(stores).collect()
}
