//! Which accounts have streams, and how many.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use account::{Account, GLOBAL};
use api::responses::AccountLimits;
use auth::Directory;
use config::{AccountJetStream, Settings};
use jetstream::Limits;
use jwt::JetStreamLimits;

/// What the configuration says of who may have streams. It holds nothing of accounts that may not: there may be very many.
#[derive(Clone)]
pub(super) struct Permits {
    /// Without accounts of one's own it is the global one that may.
    is_global_only: bool,
    /// The configured accounts that may.
    configured: HashMap<String, Limits>,
}

impl Permits {
    /// Those of this configuration.
    pub(super) fn of(settings: &Settings) -> Self {
        let configured = settings.sharing.iter().filter_map(|sharing| {
            let limits = Limits::Flat(configured(sharing.jetstream.as_ref()?));
            Some((sharing.name.clone(), limits))
        });
        Self {
            is_global_only: !settings.operator.is_on() && is_global_only(settings),
            configured: configured.collect(),
        }
    }

    /// The accounts that may have streams, with their limits.
    pub(super) fn enabled(&self, directory: &Directory) -> Vec<(Arc<Account>, Limits)> {
        let accounts = directory.accounts().iter();
        let mut enabled: Vec<_> = accounts.filter_map(|account| self.account(account, directory)).collect();
        enabled.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
        enabled
    }

    /// What this account may have, if it may have streams at all.
    pub(super) fn account(&self, account: &Arc<Account>, directory: &Directory) -> Option<(Arc<Account>, Limits)> {
        if account.system {
            return None;
        }
        let claims = account.nkey.as_ref().and_then(|key| directory.claims_of(key));
        let limits = if let Some(claims) = claims.map(|trusted| trusted.claims()) {
            claimed(&claims.limits.tiers, &claims.limits.jetstream)?
        } else if account.name.as_str() == GLOBAL {
            // With accounts of one's own, who may have streams is said there.
            self.is_global_only.then(Limits::default)?
        } else {
            self.configured.get(account.name.as_str())?.clone()
        };
        Some((account.clone(), limits))
    }
}

fn is_global_only(settings: &Settings) -> bool {
    let system = settings.system_account();
    settings.sharing.iter().all(|account| Some(account.name.as_str()) == system)
}

fn claimed(tiers: &BTreeMap<String, JetStreamLimits>, plain: &JetStreamLimits) -> Option<Limits> {
    if tiers.is_empty() {
        return plain.is_enabled().then(|| Limits::Flat(granted(plain)));
    }
    let is_any_enabled = tiers.values().any(JetStreamLimits::is_enabled);
    let granted = tiers.iter().map(|(name, limits)| (name.clone(), granted(limits)));
    is_any_enabled.then(|| Limits::Tiers(granted.collect()))
}

fn granted(limits: &JetStreamLimits) -> AccountLimits {
    // Zero is no limit in some of the claims, and none in the others.
    let or_none = |limit: i64| if limit == 0 { -1 } else { limit };
    AccountLimits {
        max_memory: limits.mem_storage,
        max_storage: limits.disk_storage,
        max_streams: limits.streams,
        max_consumers: limits.consumer,
        max_ack_pending: or_none(limits.max_ack_pending),
        memory_max_stream_bytes: or_none(limits.mem_max_stream_bytes),
        storage_max_stream_bytes: or_none(limits.disk_max_stream_bytes),
        max_bytes_required: limits.max_bytes_required,
    }
}

fn configured(limits: &AccountJetStream) -> AccountLimits {
    let number = |limit: Option<u64>| limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
    AccountLimits {
        max_memory: number(limits.max_memory_bytes),
        max_storage: number(limits.max_store_bytes),
        max_streams: number(limits.max_streams),
        max_consumers: number(limits.max_consumers),
        max_ack_pending: number(limits.max_ack_pending),
        memory_max_stream_bytes: number(limits.memory_max_stream_bytes),
        storage_max_stream_bytes: number(limits.store_max_stream_bytes),
        max_bytes_required: limits.max_bytes_required,
    }
}
