//! What all streams add up to, for monitoring.

use api::monitoring::{Jsz, JszApi, JszConfig};
use config::Sync;
use jetstream_host::Desk;

use super::store::{Place, sealing};
use super::{JetStream, Running};

impl JetStream {
    /// The totals; `None` when JetStream is off, or too busy to say.
    pub fn totals(&self) -> Option<Jsz> {
        let state = self.state();
        let running = state.as_ref()?;
        let config = shown(running);
        let counted = running.host.ask(|desk, _| count(desk))?;
        Some(Jsz { config, ..counted })
    }
}

fn shown(running: &Running) -> JszConfig {
    let (settings, place) = (&running.settings.jetstream, Place::of(&running.settings.jetstream));
    let (sync_interval, sync_always) = match settings.sync {
        Sync::Always => (0, true),
        Sync::Every(interval) => (u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX), false),
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
        strict: settings.strict,
    }
}

fn count(desk: &Desk) -> Jsz {
    let mut jsz = Jsz {
        memory: desk.ledger().used(false),
        storage: desk.ledger().used(true),
        reserved_memory: desk.reserved(false),
        reserved_storage: desk.reserved(true),
        api: JszApi { level: api::API_LEVEL, ..JszApi::default() },
        ..Jsz::default()
    };
    for (_, tenant) in desk.tenants() {
        let (calls, errors) = tenant.calls();
        jsz.accounts += 1;
        jsz.total += 1;
        jsz.api.total += calls;
        jsz.api.errors += errors;
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
