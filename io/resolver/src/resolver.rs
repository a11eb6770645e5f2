use std::io;

use jwt::chain::OperatorTrust;
use moment::{Duration, Timestamp};
use nkeys::PublicKey;
use serde_json::Value;

use crate::account_server::FETCH_TIMEOUT;
use crate::directory::Directory;
use crate::memory::Memory;
use crate::outcome::Outcome;
use crate::request::{Request, Subscription};
use crate::settings::{CacheSettings, DeleteMode, ResolverError, Settings};
use crate::store::{Store, StoreError};
use crate::update::{Manner, Update};
use crate::{delete, merge};

/// What a resolver has to know of its server to judge a request.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// Whose accounts are ours.
    pub trust: &'a OperatorTrust,
    /// The system account, which is never deleted.
    pub system: Option<PublicKey>,
    /// Whether the server has an account in use.
    pub known: &'a dyn Fn(&PublicKey) -> bool,
    /// The JSON object that describes the server.
    pub server: &'a str,
    /// The time.
    pub now: Timestamp,
}

/// What has to be done to live connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The account has a new token, which was judged. Judge its connections again.
    Changed {
        /// The account.
        account: PublicKey,
        /// The token.
        token: String,
    },
    /// The account is gone. Close its connections as expired.
    Deleted(PublicKey),
}

/// What is sent back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Nothing: the asker runs into its timeout.
    Silence,
    /// One message, which may be empty.
    One(Vec<u8>),
    /// [`Resolver::pack_line`] of each of these, one message each, and then an empty message.
    Pack(Vec<PublicKey>),
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handled {
    /// What is sent back, if the request names a reply.
    pub answer: Answer,
    /// What has to be done.
    pub effects: Vec<Effect>,
    /// What was done or tried, for the log; nothing for questions.
    pub outcome: Option<Outcome>,
}

impl Handled {
    fn answered(answer: Answer) -> Self {
        Self { answer, effects: Vec::new(), outcome: None }
    }

    fn with(outcome: Outcome, effects: Vec<Effect>, world: &World<'_>) -> Self {
        Self { answer: Answer::One(outcome.answer(world.server)), effects, outcome: Some(outcome) }
    }
}

/// A store and the manner in which it speaks.
pub struct Resolver {
    store: Box<dyn Store>,
    manner: Manner,
    delete: DeleteMode,
    subscriptions: &'static [Subscription],
    sync_interval: Option<Duration>,
    fetch_timeout: Option<Duration>,
}

impl Resolver {
    /// Opens what the settings say.
    pub fn open(settings: &Settings, now: Timestamp) -> Result<Self, ResolverError> {
        let (store, manner, delete): (Box<dyn Store>, _, _) = match settings {
            Settings::Memory | Settings::Url(_) => (Box::new(Memory::default()), Manner::Plain, DeleteMode::Refused),
            Settings::Full(full) => (Box::new(Directory::full(full, now)?), Manner::Full, full.delete),
            Settings::Cache(cache) => (Box::new(Directory::cache(cache, now)?), Manner::Cache, DeleteMode::Removed),
        };
        let (sync_interval, fetch_timeout) = match settings {
            Settings::Full(full) => (Some(full.interval), Some(full.fetch_timeout)),
            Settings::Cache(CacheSettings { fetch_timeout, .. }) => (None, Some(*fetch_timeout)),
            Settings::Url(_) => (None, Some(FETCH_TIMEOUT)),
            Settings::Memory => (None, None),
        };
        let subscriptions = settings.subscriptions();
        Ok(Self { store, manner, delete, subscriptions, sync_interval, fetch_timeout })
    }

    /// What it listens to in the system account.
    pub const fn subscriptions(&self) -> &'static [Subscription] {
        self.subscriptions
    }

    /// How often it asks another server for what it lacks; `None` when it keeps to itself.
    pub const fn sync_interval(&self) -> Option<Duration> {
        self.sync_interval
    }

    /// How long a fetch from the other servers may take; `None` when they are not asked.
    pub const fn fetch_timeout(&self) -> Option<Duration> {
        self.fetch_timeout
    }

    /// An account's token, as far as it is here.
    pub fn load(&mut self, account: &PublicKey, now: Timestamp) -> io::Result<Option<String>> {
        self.store.load(account, now)
    }

    /// Handles a request of the protocol. A body's headers have to be taken off before.
    pub fn handle(&mut self, request: &Request<'_>, body: &[u8], world: &World<'_>) -> Handled {
        match request {
            Request::Update(addressed) => self.update(*addressed, body, world),
            Request::Lookup(account) => Handled::answered(self.lookup(account, world)),
            Request::Pack => Handled::answered(self.pack(body, world)),
            Request::List => Handled::answered(self.list(world)),
            Request::Delete => self.delete(body, world),
        }
    }

    fn update(&mut self, addressed: Option<&str>, body: &[u8], world: &World<'_>) -> Handled {
        let update = Update { manner: self.manner, addressed, body };
        let accepted = match update.judge(self.store.as_ref(), world) {
            Ok(accepted) => accepted,
            Err(outcome) => return Handled::with(outcome, Vec::new(), world),
        };
        let saved = self.store.save(&accepted.account, &accepted.token, world.now);
        let outcome = update.stored(&accepted.account, &saved);
        let changed = matches!(saved, Ok(true));
        let effect = Effect::Changed { account: accepted.account, token: accepted.token };
        Handled::with(outcome, if changed { vec![effect] } else { Vec::new() }, world)
    }

    /// An unknown account, and any other key, is answered with nothing in it; what is no key is not answered.
    fn lookup(&mut self, account: &str, world: &World<'_>) -> Answer {
        let Ok(account) = account.parse::<PublicKey>() else { return Answer::Silence };
        match self.store.load(&account, world.now) {
            Ok(token) => Answer::One(token.unwrap_or_default().into_bytes()),
            Err(_) => Answer::Silence,
        }
    }

    fn pack(&self, theirs: &[u8], world: &World<'_>) -> Answer {
        if theirs == self.store.hash() { Answer::One(Vec::new()) } else { Answer::Pack(self.store.accounts(world.now)) }
    }

    /// One message of a pack; `None` when the account went in the meantime.
    pub fn pack_line(&mut self, account: &PublicKey, now: Timestamp) -> Option<Vec<u8>> {
        let token = self.store.load(account, now).ok().flatten()?;
        Some(format!("{account}|{token}").into_bytes())
    }

    /// The body of our own request for a pack.
    pub fn hash(&self) -> [u8; 32] {
        self.store.hash()
    }

    fn list(&self, world: &World<'_>) -> Answer {
        let accounts: Vec<Value> = self.store.accounts(world.now).iter().map(|key| key.to_string().into()).collect();
        Answer::One(format!("{{\"data\":{},\"server\":{}}}", Value::Array(accounts), world.server).into_bytes())
    }

    fn delete(&mut self, body: &[u8], world: &World<'_>) -> Handled {
        let accounts = match delete::judge(body, self.delete, world) {
            Ok(accounts) => accounts,
            Err(outcome) => return Handled::with(outcome, Vec::new(), world),
        };
        let (mut effects, mut errors) = (Vec::new(), Vec::new());
        for account in accounts {
            match self.store.delete(&account) {
                Ok(()) => effects.push(Effect::Deleted(account)),
                Err(error) => errors.push(error.to_string()),
            }
        }
        let deleted = effects.len();
        let outcome = if errors.is_empty() {
            Outcome::done("", format!("deleted {deleted} accounts"))
        } else {
            let message = format!("deleted {deleted} accounts, failed for {}", errors.len());
            Outcome::failed("", message, errors.join("\n"))
        };
        Handled::with(outcome, effects, world)
    }

    /// Takes over a message of another server's pack. The second list says what was refused.
    pub fn merge(&mut self, body: &[u8], world: &World<'_>) -> (Vec<Effect>, Vec<String>) {
        let (mut effects, mut refused) = (Vec::new(), Vec::new());
        for line in merge::lines(body) {
            match line.and_then(|(account, token)| self.take_over(&account, token, world)) {
                Ok(effect) => effects.extend(effect),
                Err(error) => refused.push(error),
            }
        }
        (effects, refused)
    }

    /// Takes over what another server answered to a [`Fetch`](crate::Fetch). Call [`Resolver::load`] afterwards: what is
    /// here may be newer.
    pub fn fetched(&mut self, account: &PublicKey, token: &str, world: &World<'_>) -> Result<Option<Effect>, String> {
        self.take_over(account, token, world)
    }

    /// Forgets an account that does not exist any more where it came from.
    ///
    /// # Errors
    /// Why it stays.
    pub fn forget(&mut self, account: &PublicKey) -> Result<(), StoreError> {
        self.store.delete(account)
    }

    fn take_over(&mut self, account: &PublicKey, token: &str, world: &World<'_>) -> Result<Option<Effect>, String> {
        if !merge::is_wanted(self.store.as_ref(), account, token, world)? {
            return Ok(None);
        }
        let changed = self.store.save(account, token, world.now).map_err(|error: StoreError| error.to_string())?;
        Ok(changed.then(|| Effect::Changed { account: *account, token: token.to_owned() }))
    }

    /// Puts a configured token in, unless what is here is newer. What no trusted operator signed is refused.
    pub fn preload(&mut self, account: &PublicKey, token: &str, world: &World<'_>) -> Result<(), String> {
        self.take_over(account, token, world).map(drop)
    }

    /// Whether [`Resolver::preload`] would put a token in. Nothing changes by the question.
    ///
    /// # Errors
    /// Why it would be refused.
    pub fn wants(&self, account: &PublicKey, token: &str, world: &World<'_>) -> Result<bool, String> {
        merge::is_wanted(self.store.as_ref(), account, token, world)
    }

    /// Drops what ended or was not used for too long.
    pub fn prune(&mut self, now: Timestamp) -> Vec<PublicKey> {
        self.store.prune(now)
    }

    /// Looks again at what others may have changed. Tokens that are not to be trusted have no effect.
    pub fn reload(&mut self, world: &World<'_>) -> io::Result<Vec<Effect>> {
        let changed = self.store.reload(world.now)?;
        let mut effects = Vec::new();
        for account in changed {
            let Some(token) = self.store.load(&account, world.now)? else { continue };
            if world.trust.admit_account(&token, &account, world.now).is_ok() {
                effects.push(Effect::Changed { account, token });
            }
        }
        Ok(effects)
    }
}
