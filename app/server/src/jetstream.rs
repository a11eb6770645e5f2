//! Streams in this server: which accounts have them, where they lie, and how they are joined to the broker.
//!
//! The rooms behind decide and do; here they are started, told of accounts, asked, and stopped.

mod accounts;
mod admission;
mod copies;
mod health;
mod port;
mod rights;
pub(crate) mod store;
#[cfg(test)]
mod tests;
mod totals;
mod without;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ::store::StoreError;
use account::Account;
use auth::{Directory, ReadRule};
use broker::Hub;
use config::{Settings, Sync, friendly_bytes};
use disk::{OsEntropy, RealDisk};
use jetstream::Limits;
use jetstream_host::{AccountSettings, BatchLimits, Host, Inlet, OpenBatches, RealClock};
use session::Greeting;

use crate::audit::Auditor;
use crate::identity::REFERENCE_VERSION;
use crate::log::Log;

use self::accounts::Permits;
use self::admission::Admissions;
use self::copies::Copies;
use self::port::BrokerPort;
use self::store::Place;
use self::without::{Purging, Refusing};

/// Whoever asks for a key to be destroyed waits so long: everything that it seals is removed with it.
const DESTROY_TIME_MAX: Duration = Duration::from_secs(30);

/// JetStream of a server, on or off.
pub struct JetStream {
    hub: Arc<Hub>,
    log: Arc<Log>,
    audit: Arc<Auditor>,
    start: Instant,
    server_name: String,
    /// What may wait for a client.
    max_pending_bytes: usize,
    /// Of all accounts.
    open_batches: OpenBatches,
    /// Whoever asks the thread something lets go of this before the answer comes: it may be long in coming.
    state: Mutex<Option<Running>>,
    admissions: Admissions,
}

/// JetStream, while it is on.
struct Running {
    host: Host,
    port: Arc<BrokerPort>,
    refusing: Refusing,
    settings: config::JetStream,
    permits: Permits,
    /// The accounts that have streams.
    admitted: BTreeSet<String>,
}

/// What the greeting says of JetStream.
pub fn introduce(greeting: &mut Greeting, settings: &Settings) {
    greeting.jetstream = settings.jetstream.enabled;
    greeting.domain = settings.jetstream.domain.clone().filter(|_| settings.jetstream.enabled);
}

impl JetStream {
    /// Starts it, if the configuration says so. `start` is when the broker's clock began.
    ///
    /// # Errors
    /// With the text for the user: why the store can not be opened.
    pub fn start(
        settings: &Settings,
        hub: &Arc<Hub>,
        log: &Arc<Log>,
        audit: &Arc<Auditor>,
        server_name: &str,
        start: Instant,
    ) -> Result<Arc<Self>, String> {
        let (log, audit, server_name) = (log.clone(), audit.clone(), server_name.to_owned());
        let (open_batches, max_pending_bytes) = (OpenBatches::default(), settings.limits.max_pending_bytes);
        let (state, admissions, hub) = (Mutex::default(), Admissions::default(), hub.clone());
        let jetstream =
            Self { hub, log, audit, start, server_name, max_pending_bytes, open_batches, state, admissions };
        jetstream.begin(settings, &jetstream.hub.directory())?;
        Ok(Arc::new(jetstream))
    }

    /// Starts, if another configuration switches it on. `directory` is that configuration's. What it says differently
    /// otherwise was checked to be something that can change.
    ///
    /// # Errors
    /// With the text for the user: why it can not be. Nothing has changed then.
    pub fn begin(&self, settings: &Settings, directory: &Directory) -> Result<(), String> {
        let mut state = self.state();
        if state.is_none() && settings.jetstream.enabled {
            *state = Some(self.launch(settings, directory)?);
        }
        Ok(())
    }

    /// Goes on with another configuration, for which it has begun.
    pub fn reload(&self, settings: &Settings) {
        let mut state = self.state();
        let Some(running) = state.as_mut().filter(|_| settings.jetstream.enabled) else {
            let ended = state.take();
            drop(state);
            return ended.into_iter().for_each(|running| self.end(running));
        };
        running.settings = settings.jetstream.clone();
        running.permits = Permits::of(settings);
        running.port.rule.set(settings.jetstream.reading);
        drop(state);
        self.accounts_changed();
    }

    /// Takes over other keys or another cipher, if there are any: what is written from now on is sealed by them, and what lies
    /// there follows in the background.
    ///
    /// # Errors
    /// With the text for the user, if the store needs a key that is not there. Nothing has changed then.
    pub fn rekey(&self, settings: &Settings) -> Result<(), String> {
        let mut state = self.state();
        let Some(running) = state.as_mut().filter(|_| settings.jetstream.enabled) else { return Ok(()) };
        let keys = |jetstream: &config::JetStream| {
            let config::JetStream { key, previous_key, cipher, account_keys, .. } = jetstream;
            (key.clone(), previous_key.clone(), *cipher, *account_keys)
        };
        if keys(&running.settings) == keys(&settings.jetstream) {
            return Ok(());
        }
        let sealing = store::sealing(&settings.jetstream);
        let asked = running.host.hand().put(move |desk, now| desk.rekey(sealing, now));
        drop(state);
        match asked.answer() {
            Some(Ok(())) => {
                if let Some(running) = &mut *self.state() {
                    let jetstream = &mut running.settings;
                    jetstream.key.clone_from(&settings.jetstream.key);
                    jetstream.previous_key.clone_from(&settings.jetstream.previous_key);
                    jetstream.cipher = settings.jetstream.cipher;
                    jetstream.account_keys = settings.jetstream.account_keys;
                }
                Ok(())
            }
            Some(Err(error)) => Err(format!("JetStream keeps its keys: {error}")),
            None => Err("JetStream does not answer, so its keys stay".to_owned()),
        }
    }

    /// Destroys the key that an account has of its own, with everything that it seals. How many streams went.
    ///
    /// # Errors
    /// With the text for the user: that there is none, or what the store said.
    pub fn destroy_key(&self, account: &str) -> Result<u64, String> {
        // Nobody else is to wait for the answer, so it is not asked for under the lock.
        let hand = self.hand().ok_or("JetStream is not enabled here")?;
        let account = account.to_owned();
        let destroyed = hand.put(move |desk, now| desk.destroy_key(&account, now)).answer_within(DESTROY_TIME_MAX);
        destroyed
            .unwrap_or_else(|| Err("JetStream does not answer; the log tells when the key is destroyed".to_owned()))
    }

    fn launch(&self, settings: &Settings, directory: &Directory) -> Result<Running, String> {
        let began = Instant::now();
        let place = Place::of(&settings.jetstream);
        self.log.notice("Starting JetStream");
        self.announce(settings, &place);
        if place.is_of_reference() {
            return Err(format!(
                "the store directory {:?} holds streams in the format of another server, which would not be served: \
                 bring them over by backup and restore, and name an empty store_dir",
                place.folder
            ));
        }
        let disk = RealDisk::open(&place.folder).map_err(|error| format!("JetStream: {error}"))?;
        let inlet = Inlet::new(store::inlet(settings));
        let domain = settings.jetstream.domain.as_deref().unwrap_or_default();
        let copies = Arc::new(Copies::new(&self.hub, domain));
        let port = BrokerPort::new(&self.hub, (&self.log, &self.audit), inlet.clone(), &copies, self.start);
        let port = Arc::new(port);
        port.rule.set(settings.jetstream.reading);
        let permits = Permits::of(settings);
        let enabled = permits.enabled(directory);
        enabled.iter().for_each(|(account, _)| port.introduce(account));
        let admitted = enabled.iter().map(|(account, _)| account.name.to_string()).collect();
        let tenants =
            enabled.iter().map(|(account, limits)| self.tenant(&settings.jetstream, account, limits.clone())).collect();
        let host = Host::start(
            Arc::new(disk),
            Arc::new(OsEntropy),
            store::desk(&settings.jetstream, &place),
            tenants,
            (port.clone(), inlet),
            Arc::new(RealClock::default()),
        );
        let host = host.map_err(|error| refused(&error, &place))?;
        let purging = Purging { hand: host.hand(), audit: self.audit.clone(), log: self.log.clone() };
        let refusing = Refusing::new(&self.hub, domain, &copies, purging);
        let running = Running { host, port, refusing, settings: settings.jetstream.clone(), permits, admitted };
        running.refuse_others(directory);
        self.log.notice(&format!("Took {} to start JetStream", port::shown(began.elapsed())));
        Ok(running)
    }

    fn tenant(&self, jetstream: &config::JetStream, account: &Arc<Account>, limits: Limits) -> AccountSettings {
        let nanos = |window: std::time::Duration| i64::try_from(window.as_nanos()).unwrap_or(i64::MAX);
        let name = account.name.as_str();
        self.log.debug(&format!("Enabled JetStream for account {name:?}"));
        AccountSettings {
            account: name.to_owned(),
            domain: jetstream.domain.clone().unwrap_or_default(),
            server_name: self.server_name.clone(),
            version: REFERENCE_VERSION.to_owned(),
            limits,
            mode: if jetstream.strict { api::Mode::Strict } else { api::Mode::Lenient },
            max_duplicate_window: jetstream.limits.duplicate_window.map_or(0, nanos),
            default_max_consumers: i64::try_from(jetstream.limits.default_max_consumers).unwrap_or(i64::MAX),
            max_ack_pending: count(jetstream.limits.max_ack_pending),
            max_request_batch: count(jetstream.limits.max_request_batch),
            max_batch_bytes: self.max_pending_bytes,
            batches: BatchLimits {
                per_stream: jetstream.limits.max_batch_inflight_per_stream,
                total: jetstream.limits.max_batch_inflight_total,
                messages: jetstream.limits.max_batch_msgs,
                timeout: jetstream.limits.max_batch_timeout,
                open: self.open_batches.clone(),
            },
        }
    }

    /// The lines that operators know, and what an acknowledgement means here.
    fn announce(&self, settings: &Settings, place: &Place) {
        let (log, jetstream) = (&self.log, &settings.jetstream);
        log.notice("---------------- JETSTREAM ----------------");
        log.notice(&format!("  Strict:          {}", jetstream.strict));
        log.notice(&format!("  Max Memory:      {}", friendly_bytes(place.max_memory)));
        log.notice(&format!("  Max Storage:     {}", friendly_bytes(place.max_store)));
        log.notice(&format!("  Store Directory: {:?}", place.folder));
        if let Some(domain) = &jetstream.domain {
            log.notice(&format!("  Domain:          {domain}"));
        }
        if jetstream.key.is_some() {
            let cipher = match jetstream.cipher {
                config::Cipher::Aes => "AES-GCM",
                config::Cipher::ChaChaPoly => "ChaCha20-Poly1305",
            };
            log.notice(&format!("  Encryption:      {cipher}"));
        }
        if jetstream.account_keys {
            log.notice("  Account Keys:    each account has a key of its own; without it nothing of the account opens");
        }
        log.notice(&format!("  API Level:       {}", api::API_LEVEL));
        log.notice(match jetstream.reading {
            ReadRule::Denied => {
                "  Reading:         what a user is denied to subscribe to is not read from streams either"
            }
            ReadRule::Allowed => "  Reading:         only what a user may subscribe to is read from streams",
            ReadRule::Free => "  Reading:         whoever may call the API reads every stream of the account",
        });
        match jetstream.sync {
            Sync::Always => log.notice("  Sync Interval:   always; what is acknowledged is on the disk"),
            Sync::Every(interval) => {
                let interval = port::shown(interval);
                log.notice(&format!(
                    "  Sync Interval:   {interval}; a loss of power loses what was acknowledged since"
                ));
            }
        }
        log.notice("-------------------------------------------");
        if place.is_temporary {
            log.warn("Temporary storage directory used, data could be lost on system reboot");
        }
    }

    /// Works off what waits, makes everything durable, and ends.
    pub fn stop(&self) {
        let running = self.state().take();
        if let Some(running) = running {
            self.end(running);
        }
    }

    fn end(&self, running: Running) {
        self.log.notice("Initiating JetStream Shutdown...");
        running.refusing.release_all();
        if let Err(error) = running.host.stop() {
            self.log.error(&format!("JetStream Shutdown: the last changes may not be on the disk: {error}"));
        }
        self.log.notice("JetStream Shutdown");
    }

    /// A panic elsewhere must not keep the streams from being closed.
    fn state(&self) -> MutexGuard<'_, Option<Running>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// Accounts without streams are told so.
    fn refuse_others(&self, directory: &Directory) {
        for account in directory.accounts().iter() {
            if self.permits.account(account, directory).is_none() {
                self.refusing.refuse(account);
            }
        }
    }
}

/// A limit as the machines take it: zero is none.
fn count(limit: Option<std::num::NonZeroUsize>) -> i64 {
    limit.map_or(0, |limit| i64::try_from(limit.get()).unwrap_or(i64::MAX))
}

/// Why the store does not open. Nothing in it was touched.
fn refused(error: &StoreError, place: &Place) -> String {
    format!("JetStream can not open its store in {:?}: {error}", place.folder)
}
