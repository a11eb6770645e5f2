//! Whom the configuration trusts, and where it says accounts come from.

use std::sync::Arc;

use auth::OperatorSettings;
use config::Settings;
use jwt::chain::OperatorTrust;
use moment::Timestamp;
use nkeys::PublicKey;
use resolver::{CacheSettings, DeleteMode, DirectorySettings, SystemZones};

/// Whom the configuration trusts.
///
/// # Errors
/// With the text for the user.
pub(super) fn operators(settings: &Settings, now: Timestamp) -> Result<OperatorSettings, String> {
    let operator = &settings.operator;
    let mut trust = trust(&operator.operators, &operator.trusted_keys, now)?;
    let system_account = system_account(settings)?;
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
        chain: settings.auth.authorization.chain(),
    })
}

/// Operators with all they say, or their keys alone.
fn trust(operators: &[config::TrustedOperator], keys: &[String], now: Timestamp) -> Result<OperatorTrust, String> {
    if operators.is_empty() {
        let keys: Result<Vec<PublicKey>, _> = keys.iter().map(|key| key.parse()).collect();
        let keys = keys.map_err(|error: nkeys::KeyError| error.to_string())?;
        return OperatorTrust::of_keys(&keys).map_err(|refusal| refusal.to_string());
    }
    let tokens: Vec<String> = operators.iter().map(|operator| operator.jwt.clone()).collect();
    OperatorTrust::of_operators(&tokens, config::EQUAL_TO_VERSION, now).map_err(|refusal| refusal.to_string())
}

/// The system account that the configuration names.
pub(super) fn system_account(settings: &Settings) -> Result<Option<PublicKey>, String> {
    settings.auth.system_account.as_deref().map(account_key).transpose()
}

fn account_key(text: &str) -> Result<PublicKey, String> {
    text.parse().map_err(|error| format!("account {text:?} is not a public key: {error}"))
}

/// The resolver that the configuration asks for. Without a word it is memory.
pub(super) fn resolver(settings: &Settings) -> resolver::Settings {
    match &settings.operator.resolver {
        None | Some(config::Resolver::Memory) => resolver::Settings::Memory,
        Some(config::Resolver::Url(address)) => resolver::Settings::Url(address.clone()),
        Some(config::Resolver::Full { dir, delete, limit, interval, timeout }) => {
            resolver::Settings::Full(DirectorySettings {
                path: dir.clone(),
                delete: match delete {
                    config::Deletion::Refused => DeleteMode::Refused,
                    config::Deletion::Renames => DeleteMode::Renamed,
                    config::Deletion::Removes => DeleteMode::Removed,
                },
                limit: usize::try_from(*limit).ok().filter(|limit| *limit > 0),
                interval: interval.unwrap_or(DirectorySettings::DEFAULT_INTERVAL),
                fetch_timeout: timeout.unwrap_or(CacheSettings::DEFAULT_FETCH_TIMEOUT),
            })
        }
        Some(config::Resolver::Cache { dir, limit, ttl, timeout }) => resolver::Settings::Cache(CacheSettings {
            path: dir.clone(),
            limit: usize::try_from(*limit).ok().filter(|limit| *limit > 0).unwrap_or(CacheSettings::DEFAULT_LIMIT),
            ttl: *ttl,
            fetch_timeout: timeout.unwrap_or(CacheSettings::DEFAULT_FETCH_TIMEOUT),
        }),
    }
}
