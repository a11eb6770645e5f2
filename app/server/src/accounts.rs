//! Whose users may come in: the directory of the configuration, or that of operators with the accounts they signed.
//!
//! In operator mode the directory holds the accounts that are in use. Others are taken from the resolver when a login needs
//! them, and fetched from elsewhere when the resolver does not have them; what changes there is applied to those who are
//! logged in ([`Accounts::apply`]).

mod again;
mod desk;
mod fetching;
mod missing;
mod prepared;
mod source;
mod trust;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Instant;

use account::{Account, AccountIds, Changed};
use audit::Record;
use auth::{Directory, Refusal};
use broker::{AccountState, Hub, Note, Registered};
use config::Settings;
use moment::Timestamp;
use net::{LoginPool, Sought};
use nkeys::PublicKey;
use resolver::{AccountServer, Effect, Resolver, World};
use wire::CloseReason;

use crate::audit::{Auditor, changes};
use crate::jetstream::JetStream;
use crate::log::Log;
use crate::system::wall;
use again::Again;
use desk::Desk;
use fetching::{Began, Fetching};
use missing::Missing;
use source::Source;

/// Builds directories, and knows the accounts that are not in them yet.
pub struct Accounts {
    state: Mutex<State>,
    house: OnceLock<House>,
    log: Arc<Log>,
    /// Who did what to claims.
    audit: OnceLock<Arc<Auditor>>,
    /// Told of each account that comes, changes or goes.
    jetstream: OnceLock<Arc<JetStream>>,
}

/// What there is once the server stands.
struct House {
    hub: Weak<Hub>,
    pool: Weak<LoginPool>,
    desk: Option<Desk>,
}

#[derive(Default)]
struct State {
    ids: AccountIds,
    /// Where tokens are, in operator mode.
    resolver: Option<Opened>,
    /// Accounts that are being fetched from elsewhere.
    fetching: Fetching,
    missing: Missing,
    /// Accounts in use that are asked for again.
    again: Again,
    /// Accounts of the configuration that cannot be used, and why.
    unusable: HashMap<PublicKey, Refusal>,
    /// The system account by its key.
    system: Option<PublicKey>,
    /// The accounts that came, changed or went since a configuration was prepared that may take effect.
    touched: Option<HashSet<PublicKey>>,
}

/// A resolver with what it was opened by.
struct Opened {
    settings: resolver::Settings,
    resolver: Resolver,
    web: Option<AccountServer>,
}

impl Accounts {
    /// Nothing known yet.
    pub fn new(log: Arc<Log>) -> Self {
        let (house, audit, jetstream) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Self { state: Mutex::default(), house, log, audit, jetstream }
    }

    /// From now on changes of claims are in the trail.
    pub fn record_in(&self, audit: &Arc<Auditor>) {
        self.audit.get_or_init(|| audit.clone());
    }

    fn record(&self, record: Record) {
        if let Some(audit) = self.audit.get() {
            audit.note(&record);
        }
    }

    /// From now on this hears of each account that comes, changes or goes.
    pub fn tell(&self, jetstream: &Arc<JetStream>) {
        self.jetstream.get_or_init(|| jetstream.clone());
    }

    /// The server stands: accounts can be fetched, and requests of the claims protocol are answered.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn join(self: &Arc<Self>, hub: &Arc<Hub>, pool: &Arc<LoginPool>) -> Result<(), String> {
        let is_on = self.state().resolver.is_some();
        let desk = is_on.then(|| Desk::open(self, hub)).transpose();
        let desk = desk.map_err(|error| format!("cannot start the thread for claims: {error}"))?;
        let _ = self.house.set(House { hub: Arc::downgrade(hub), pool: Arc::downgrade(pool), desk });
        Ok(())
    }

    /// The directory with this account in it.
    pub fn seek(&self, account: &PublicKey, now: Timestamp) -> Sought {
        let Some(hub) = self.hub() else { return Sought::Now(Err(Refusal::UnknownAccount(*account))) };
        let mut state = self.state();
        let directory = hub.directory();
        if directory.claims_of(account).is_some() {
            drop(state);
            if let Some(streams) = self.jetstream.get() {
                streams.account_is_there(&account.to_string());
            }
            return Sought::Now(Ok(directory));
        }
        match state.source(now).at_hand(&directory, account) {
            Some(Ok(wider)) => Sought::Now(Ok(self.widen(&hub, state, account, wider))),
            Some(Err(refusal)) => Sought::Now(Err(refusal)),
            None => self.fetch(&mut state, account),
        }
    }

    /// Begins to fetch an account, unless that makes no sense.
    fn fetch(&self, state: &mut State, account: &PublicKey) -> Sought {
        if state.missing.holds(account, Instant::now()) {
            return Sought::Now(Err(Refusal::UnknownAccount(*account)));
        }
        let desk = self.house.get().and_then(|house| house.desk.as_ref());
        if let Some(refusal) = state.unusable.get(account) {
            return Sought::Now(Err(refusal.clone()));
        }
        let (Some(opened), Some(desk)) = (&state.resolver, desk) else {
            return Sought::Now(Err(Refusal::UnknownAccount(*account)));
        };
        match state.fetching.begin(account, opened, desk) {
            Began::Later => Sought::Later,
            Began::Nowhere => Sought::Now(Err(Refusal::UnknownAccount(*account))),
            Began::TooMany => Sought::Now(Err(Refusal::TooManyLogins)),
        }
    }

    /// An account has come. Begins to fetch those from which it imports; nobody waits for them: imports stand once they
    /// are here. The lock is the one under which it came: it is let go before its streams are waited for.
    fn widen(
        &self,
        hub: &Hub,
        mut state: MutexGuard<'_, State>,
        account: &PublicKey,
        wider: (Directory, Changed),
    ) -> Arc<Directory> {
        let (directory, changed) = (Arc::new(wider.0), wider.1);
        state.touch(*account);
        let before = hub.directory();
        hub.widen(directory.clone(), &changed);
        self.record_new(&before, &directory, &changed);
        for exporter in directory.missing_exporters(&changed) {
            self.fetch(&mut state, &exporter);
        }
        let coming =
            self.jetstream.get().map(|streams| (streams, streams.account_comes(&directory, &account.to_string())));
        drop(state);
        if let Some((streams, Some(coming))) = coming {
            streams.admitted(coming);
        }
        directory
    }

    /// Has the trail tell whose claims are in use from now on, and who signed them.
    fn record_new(&self, before: &Directory, after: &Directory, changed: &Changed) {
        let keys = changed.iter().filter_map(|name| name.as_str().parse::<PublicKey>().ok());
        for account in keys.filter(|account| before.claims_of(account).is_none()) {
            let claims = after.claims_of(&account).map(|known| known.claims());
            changes(&account.to_string(), None, claims).into_iter().for_each(|record| self.record(record));
        }
    }

    /// What a fetch brought, or why it brought nothing.
    fn fetched(&self, account: &PublicKey, found: Result<String, String>) {
        let (Some(house), Some(hub)) = (self.house.get(), self.hub()) else { return };
        let supply = self.take_in(&hub, account, found);
        if let Some(pool) = house.pool.upgrade() {
            pool.supplied(account, &supply);
        }
    }

    fn take_in(
        &self,
        hub: &Hub,
        account: &PublicKey,
        found: Result<String, String>,
    ) -> Result<Arc<Directory>, Refusal> {
        let now = wall();
        let mut state = self.state();
        state.fetching.end(account);
        let directory = hub.directory();
        let kept = found.and_then(|token| state.keep(&directory, account, &token, now));
        match kept.map(|()| state.source(now).at_hand(&directory, account)) {
            Ok(Some(Ok(wider))) => Ok(self.widen(hub, state, account, wider)),
            Ok(Some(Err(refusal))) => Err(refusal),
            Ok(None) => Err(Refusal::UnknownAccount(*account)),
            Err(why) => {
                state.missing.note(*account, Instant::now());
                self.log.warn(&format!("Account [{account}] could not be fetched: {why}"));
                Err(Refusal::UnknownAccount(*account))
            }
        }
    }

    /// Applies what changed to those who are logged in. The lock is the one under which it changed.
    fn apply(&self, mut state: MutexGuard<'_, State>, effects: Vec<Effect>) {
        let Some(hub) = self.hub().filter(|_| !effects.is_empty()) else { return };
        let now = wall();
        let mut directory = hub.directory();
        let (mut changed, mut renewed) = (Changed::new(), Vec::new());
        for effect in effects {
            let (account, next) = match effect {
                Effect::Changed { account, token } => {
                    state.touch(account);
                    state.missing.found(&account);
                    state.unusable.remove(&account);
                    if directory.claims_of(&account).is_none() {
                        continue;
                    }
                    renewed.push(account);
                    (account, self.renewed(&mut state, &directory, &account, &token, now))
                }
                Effect::Deleted(account) => {
                    state.touch(account);
                    (account, directory.without_account(&account, &mut state.ids, now))
                }
            };
            if directory.claims_of(&account).is_some() {
                let claims = |directory: &Directory| directory.claims_of(&account).map(|known| known.claims().clone());
                let (before, after) = (claims(&directory), claims(&next.0));
                let told = changes(&account.to_string(), before.as_ref(), after.as_ref());
                told.into_iter().for_each(|record| self.record(record));
                directory = Arc::new(next.0);
                changed.extend(next.1);
            }
        }
        self.renew(&hub, state, directory, &changed);
        close_surplus(&hub, renewed.iter().filter_map(|account| hub.account_named(&account.to_string())));
    }

    /// A reload is through: accounts of claims may have fewer connections by now.
    pub fn reloaded(&self) {
        if let Some(hub) = self.hub().filter(|hub| hub.directory().trust().is_some()) {
            close_surplus(&hub, hub.accounts().into_iter());
        }
    }

    /// Ends the imports whose tokens ended.
    fn end_tokens(&self) {
        let Some(hub) = self.hub() else { return };
        let (now, directory) = (wall(), hub.directory());
        if directory.next_token_end().is_some_and(|end| end <= now) {
            let mut state = self.state();
            // It may be another one by now.
            let (directory, changed) = hub.directory().shared_at(&mut state.ids, now);
            self.renew(&hub, state, Arc::new(directory), &changed);
        }
    }

    fn renew(&self, hub: &Hub, state: MutexGuard<'_, State>, directory: Arc<Directory>, changed: &Changed) {
        if changed.is_empty() {
            return;
        }
        hub.renew(directory, changed);
        drop(state);
        if let Some(jetstream) = self.jetstream.get() {
            jetstream.accounts_changed();
        }
    }

    /// The directory with an account's new claims; without the account, if they are not to be used.
    fn renewed(
        &self,
        state: &mut State,
        directory: &Directory,
        account: &PublicKey,
        token: &str,
        now: Timestamp,
    ) -> (Directory, Changed) {
        let judged = directory.trust().map(|trust| trust.admit_account(token, account, now));
        match judged {
            Some(Ok(trusted)) => directory.with_account(trusted, &mut state.ids, now),
            Some(Err(refusal)) => {
                self.log.warn(&format!("Account [{account}] is not used: {refusal}"));
                directory.without_account(account, &mut state.ids, now)
            }
            None => directory.without_account(account, &mut state.ids, now),
        }
    }

    /// Somebody logs in to an account, which may have come for him: he comes in when other servers are heard there.
    pub fn bring_to_life(&self, account: &Arc<Account>, then: Box<dyn FnOnce() + Send>) {
        match self.hub() {
            Some(hub) => hub.bring_to_life(account, then),
            None => then(),
        }
    }

    fn hub(&self) -> Option<Arc<Hub>> {
        self.house.get()?.hub.upgrade()
    }

    /// A panic elsewhere must not keep everybody out.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Opens the resolver that the configuration asks for, unless it is open.
    fn open(&self, settings: &Settings, now: Timestamp) -> Result<Option<Opened>, String> {
        let wanted = trust::resolver(settings);
        // Memory begins anew: what the configuration no longer has is gone.
        let is_open = self.resolver.as_ref().is_some_and(|opened| opened.settings == wanted);
        // What the desk listens to was decided at the start.
        let kind = |settings: &resolver::Settings| std::mem::discriminant(settings);
        if self.resolver.as_ref().is_some_and(|opened| kind(&opened.settings) != kind(&wanted)) {
            return Err("config reload does not support another type of account resolver".into());
        }
        if is_open && wanted != resolver::Settings::Memory {
            return Ok(None);
        }
        let web = match &wanted {
            resolver::Settings::Url(address) => Some(account_server(address, settings)?),
            _ => None,
        };
        let resolver = Resolver::open(&wanted, now).map_err(|error| error.to_string())?;
        Ok(Some(Opened { settings: wanted, resolver, web }))
    }

    /// Looks again at files that others may have changed. What lies there is so, whatever becomes of the configuration.
    fn look_again(&mut self, directory: &Directory, system: Option<PublicKey>, now: Timestamp) -> Result<(), String> {
        let (Some(opened), Some(trust)) = (&mut self.resolver, directory.trust()) else { return Ok(()) };
        let world = World { trust, system, known: &|_| true, server: "{}", now };
        opened.resolver.reload(&world).map(drop).map_err(|error| error.to_string())
    }

    /// Keeps a token that came from the configuration or from elsewhere.
    fn keep(&mut self, directory: &Directory, account: &PublicKey, token: &str, now: Timestamp) -> Result<(), String> {
        let (Some(opened), Some(trust)) = (&mut self.resolver, directory.trust()) else { return Ok(()) };
        let world = World { trust, system: self.system, known: &|_| true, server: "{}", now };
        opened.resolver.preload(account, token, &world)
    }

    /// Where accounts come from now.
    fn source(&mut self, now: Timestamp) -> Source<'_> {
        let resolver = self.resolver.as_mut().map(|opened| &mut opened.resolver);
        Source { resolver, fresh: None, ids: &mut self.ids, now }
    }

    /// An account came, changed or went.
    fn touch(&mut self, account: PublicKey) {
        if let Some(touched) = &mut self.touched {
            touched.insert(account);
        }
    }
}

/// Of an account that may have fewer connections than it has, the youngest go.
fn close_surplus(hub: &Hub, changed: impl Iterator<Item = Arc<AccountState>>) {
    for account in changed {
        let most = account.settings().limits.max_connections.unwrap_or(u64::MAX);
        let surplus = usize::try_from((account.connections() as u64).saturating_sub(most)).unwrap_or(usize::MAX);
        if surplus > 0 {
            close_youngest(hub, &account, surplus);
        }
    }
}

/// Closes so many of an account's clients, the youngest first.
pub fn close_youngest(hub: &Hub, account: &AccountState, surplus: usize) {
    let is_of = |registered: &Registered| registered.account.as_ref().is_some_and(|of| of.id == account.id);
    for registered in hub.connections().iter().filter(|registered| is_of(registered)).rev().take(surplus) {
        let key = registered.link.key;
        hub.tell(
            key,
            Note::Do(
                key,
                Box::new(|hands| {
                    hands.send(&wire::encode::err("maximum account active connections exceeded"));
                    broker::Step::Close(CloseReason::MaxAccountConnectionsExceeded)
                }),
            ),
        );
    }
}

/// The account server, which must be there when the server starts.
fn account_server(address: &str, settings: &Settings) -> Result<AccountServer, String> {
    let read = |path: &std::path::Path| std::fs::read(path);
    let block = settings.operator.resolver_tls.clone().unwrap_or_default();
    let secure = address.trim_start().to_ascii_lowercase().starts_with("https:");
    let tls = secure.then(|| tls::ClientTls::build(&block, &read)).transpose().map_err(|error| error.to_string())?;
    let server = AccountServer::start(address, tls).map_err(|error| error.to_string())?;
    let shown = address.rsplit('@').next().unwrap_or_default();
    server.probe().map_err(|error| format!("could not fetch <{shown:?}>: {error}"))?;
    Ok(server)
}

fn lines(errors: &[auth::SettingsError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
