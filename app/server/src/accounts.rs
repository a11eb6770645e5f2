//! Whose users may come in: the directory of the configuration, or that of operators with the accounts they signed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use account::AccountIds;
use auth::{Directory, OperatorSettings, Refusal};
use config::Settings;
use jwt::chain::OperatorTrust;
use moment::Timestamp;
use net::AccountSource;
use nkeys::PublicKey;
use resolver::{Memory, Store, SystemZones};

use crate::log::Log;

/// Builds directories, and knows the accounts that are not in them yet.
pub struct Accounts {
    known: Mutex<Known>,
    log: Arc<Log>,
}

#[derive(Default)]
struct Known {
    ids: AccountIds,
    tokens: Memory,
}

impl Accounts {
    /// Nothing known yet.
    pub fn new(log: Arc<Log>) -> Self {
        Self { known: Mutex::default(), log }
    }

    /// The directory of a configuration.
    ///
    /// # Errors
    /// With the text for the user: which setting is wrong.
    pub fn directory(&self, settings: &Settings) -> Result<Directory, String> {
        let mut known = self.known();
        if settings.operator.is_on() {
            return known.of_operators(settings, wall(), &self.log);
        }
        Directory::build(&settings.auth, &mut known.ids).map_err(|errors| lines(&errors))
    }

    /// A panic elsewhere must not keep everybody out.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AccountSource for Accounts {
    fn supply(&self, directory: &Directory, account: &PublicKey, now: Timestamp) -> Result<Directory, Refusal> {
        self.known().supply(directory, account, now)
    }
}

impl Known {
    /// Accounts that cannot be used are told and left out: the others' users must come in all the same.
    fn of_operators(&mut self, settings: &Settings, now: Timestamp, log: &Log) -> Result<Directory, String> {
        let operators = operators(settings, now)?;
        let mut directory = Directory::of_operators(operators, &mut self.ids).map_err(|errors| lines(&errors))?;
        self.tokens = Memory::default();
        for (account, token) in &settings.operator.preload {
            let taken = self.preload(&directory, account, token, now);
            match taken {
                Ok(wider) => directory = wider,
                Err(why) => log.warn(&format!("Preloaded account [{account}] is not used: {why}")),
            }
        }
        Ok(directory)
    }

    fn preload(&mut self, directory: &Directory, key: &str, token: &str, now: Timestamp) -> Result<Directory, String> {
        let account: PublicKey = key.parse().map_err(|error: nkeys::KeyError| error.to_string())?;
        self.tokens.save(&account, token, now).map_err(|error| error.to_string())?;
        self.supply(directory, &account, now).map_err(|refusal| refusal.to_string())
    }

    fn supply(&mut self, directory: &Directory, account: &PublicKey, now: Timestamp) -> Result<Directory, Refusal> {
        let unknown = || Refusal::UnknownAccount(*account);
        let trust = directory.trust().ok_or_else(unknown)?;
        let token = self.tokens.load(account, now).ok().flatten().ok_or_else(unknown)?;
        let trusted = trust.admit_account(&token, account, now);
        let trusted = trusted.map_err(|refusal| Refusal::Account(*account, refusal))?;
        Ok(directory.with_account(trusted, &mut self.ids))
    }
}

/// Whom the configuration trusts.
fn operators(settings: &Settings, now: Timestamp) -> Result<OperatorSettings, String> {
    let operator = &settings.operator;
    let tokens: Vec<String> = operator.operators.iter().map(|operator| operator.jwt.clone()).collect();
    let mut trust =
        OperatorTrust::of_operators(&tokens, config::EQUAL_TO_VERSION, now).map_err(|refusal| refusal.to_string())?;
    let system_account = settings.auth.system_account.as_deref().map(account_key).transpose()?;
    if !operator.pinned_accounts.is_empty() {
        let pinned = operator.pinned_accounts.iter().map(|account| account_key(account));
        // The system account may be named by the configuration alone.
        trust = trust.pinned_to(pinned.chain(system_account.map(Ok)).collect::<Result<Vec<_>, _>>()?);
    }
    Ok(OperatorSettings {
        trust,
        system_account,
        default_sentinel: operator.default_sentinel.clone(),
        trusted_proxies: settings.auth.trusted_proxies.clone(),
        zones: Arc::new(SystemZones),
    })
}

fn account_key(text: &str) -> Result<PublicKey, String> {
    text.parse().map_err(|error| format!("account {text:?} is not a public key: {error}"))
}

fn lines(errors: &[auth::SettingsError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The time of day.
fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
