//! Streams as monitoring shows them: what all add up to, and what each account has.

use std::sync::Arc;
use std::time::Duration;

use api::monitoring::options::JszOptions;
use api::monitoring::{Jsz, JszAccount, JszApi, JszConfig, JszLimits, JszStats};
use auth::Directory;
use config::Sync;
use jetstream_host::{Desk, Hand};
use monitor::{Busy, PAGE_MAX};

use super::store::{Place, sealing};
use super::{JetStream, Running};

/// What the reference shows beside `sync_always`, where it means nothing.
const DEFAULT_SYNC_INTERVAL: Duration = Duration::from_secs(120);

/// What a question about streams needs. The answer may be long in coming, and nobody else is to wait for it: the lock on
/// what is running is let go before the question is put.
struct Asking {
    hand: Hand,
    directory: Arc<Directory>,
}

impl JetStream {
    /// The totals, and the accounts that are wished for; `None` when JetStream is off.
    ///
    /// Each account is a question of its own, so that messages have their turn in between.
    pub fn shown(&self, wish: &JszOptions) -> Result<Option<Jsz>, Busy> {
        let known = self.at_hand(|running| (shown_config(running), shown_limits(running), running.wished(wish)));
        let Some((asking, (config, limits, wished))) = known else { return Ok(None) };
        let counted = asking.hand.ask(|desk, _| count(desk)).ok_or(Busy)?;
        let mut account_details = Vec::new();
        for name in wished {
            account_details.extend(asking.account(&name, wish)?);
        }
        let leads = |count: usize| wish.raft.then_some(count);
        let (streams_leader, consumers_leader) = (leads(counted.streams), leads(counted.consumers));
        let limits = Some(limits);
        Ok(Some(Jsz { config, limits, streams_leader, consumers_leader, account_details, ..counted }))
    }

    /// One account; `None` when JetStream is off, or the account has no streams.
    pub fn shown_account(&self, name: &str, wish: &JszOptions) -> Result<Option<JszAccount>, Busy> {
        let Some((asking, ())) = self.at_hand(|_| ()) else { return Ok(None) };
        asking.account(name, wish)
    }

    /// Whether an account may have streams; `None` when JetStream is off.
    pub fn serves(&self, account: &str) -> Option<bool> {
        self.state().as_ref().map(|running| running.admitted.contains(account))
    }

    /// What is needed to ask, and what is known without asking; `None` when JetStream is off.
    fn at_hand<T>(&self, known: impl FnOnce(&Running) -> T) -> Option<(Asking, T)> {
        let state = self.state();
        let running = state.as_ref()?;
        let asking = Asking { hand: running.host.hand(), directory: self.hub.directory() };
        Some((asking, known(running)))
    }

    /// What asks the thread, without a lock; `None` when JetStream is off.
    pub(super) fn hand(&self) -> Option<Hand> {
        self.state().as_ref().map(|running| running.host.hand())
    }
}

impl Running {
    /// The accounts that are wished for, one by name or a page of all.
    fn wished(&self, wish: &JszOptions) -> Vec<String> {
        if !wish.account.is_empty() {
            return vec![wish.account.clone()];
        }
        let is_wished = wish.accounts || wish.streams || wish.consumers;
        let all: Vec<String> = self.admitted.iter().filter(|_| is_wished).cloned().collect();
        wish.page.of(all, PAGE_MAX)
    }
}

impl Asking {
    fn account(&self, name: &str, wish: &JszOptions) -> Result<Option<JszAccount>, Busy> {
        let (asked, wish) = (name.to_owned(), wish.clone());
        let detail = self.hand.ask(move |desk, now| desk.detail(&asked, &wish, now)).ok_or(Busy)?;
        let Some(detail) = detail else { return Ok(None) };
        let key = self.directory.account(name).and_then(|account| account.nkey);
        let trusted = key.and_then(|key| self.directory.claims_of(&key));
        let title = trusted.map(|trusted| trusted.claims().common.name.clone());
        let name = title.filter(|title| !title.is_empty()).unwrap_or(detail.name);
        Ok(Some(JszAccount { name, ..detail }))
    }
}

fn shown_config(running: &Running) -> JszConfig {
    let (settings, place) = (&running.settings, Place::of(&running.settings));
    let (sync_interval, sync_always) = match settings.sync {
        Sync::Always => (nanos(DEFAULT_SYNC_INTERVAL), true),
        Sync::Every(interval) => (nanos(interval), false),
    };
    JszConfig {
        max_memory: place.max_memory,
        max_storage: place.max_store,
        store_dir: place.folder.display().to_string(),
        sync_interval,
        sync_always,
        cipher: match sealing(settings).cipher {
            store::Cipher::None => "",
            store::Cipher::Aes => "aes",
            store::Cipher::ChaChaPoly => "chachapoly",
        },
        domain: settings.domain.clone().unwrap_or_default(),
        compress_ok: true,
        unique_tag: settings.unique_tag.clone().unwrap_or_default(),
        strict: settings.strict,
    }
}

fn shown_limits(running: &Running) -> JszLimits {
    let limits = &running.settings.limits;
    let count = |limit: Option<std::num::NonZeroUsize>| limit.map_or(0, std::num::NonZeroUsize::get);
    JszLimits {
        max_request_batch: count(limits.max_request_batch),
        max_ack_pending: count(limits.max_ack_pending),
        max_ha_assets: count(limits.max_ha_assets),
        max_duplicate_window: limits.duplicate_window.map_or(0, nanos),
        max_batch_inflight_per_stream: count(limits.max_batch_inflight_per_stream),
        max_batch_inflight_total: count(limits.max_batch_inflight_total),
        max_batch_size: count(limits.max_batch_msgs),
        max_batch_timeout: limits.max_batch_timeout.map_or(0, nanos),
        default_max_consumers: limits.default_max_consumers,
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn count(desk: &Desk) -> Jsz {
    let stats = JszStats {
        memory: desk.ledger().used(false),
        storage: desk.ledger().used(true),
        reserved_memory: desk.reserved(false),
        reserved_storage: desk.reserved(true),
        api: JszApi { level: api::API_LEVEL, ..JszApi::default() },
        ..JszStats::default()
    };
    let mut jsz = Jsz { stats, ..Jsz::default() };
    for (_, tenant) in desk.tenants() {
        let (calls, errors) = tenant.calls();
        jsz.stats.accounts += 1;
        jsz.total += 1;
        jsz.stats.api.total += calls;
        jsz.stats.api.errors += errors;
        for stream in tenant.streams() {
            let state = stream.state();
            jsz.streams += 1;
            jsz.consumers += stream.consumers.len();
            jsz.messages += state.messages;
            jsz.bytes += state.bytes;
        }
    }
    jsz
}
