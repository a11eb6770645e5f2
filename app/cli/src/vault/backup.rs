//! An operator with everything below it in one JSON text, as the `nats` CLI of others writes and reads it.

use anyhow::{Context as _, Result, bail};
use jwt::{AccountClaims, OperatorClaims, UserClaims};
use nkeys::KeyPair;
use secret::Secret;
use serde::{Deserialize, Serialize};

use crate::vault::{Place, Vault, check_name};

/// A token with its keys, and what stands below it. It holds seeds in the clear and therefore has no `Debug`.
#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Backup {
    name: String,
    key: Seed,
    token: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signing_keys: Option<Vec<Seed>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accounts: Option<Vec<Backup>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    users: Option<Vec<Backup>>,
}

#[derive(Default, Deserialize, Serialize)]
struct Seed {
    key: String,
}

impl Drop for Seed {
    fn drop(&mut self) {
        secret::Zeroize::zeroize(&mut self.key);
    }
}

impl Backup {
    /// Takes everything of an operator whose seeds are all here.
    pub(crate) fn take(vault: &Vault, operator: &str) -> Result<Self> {
        let claims = vault.library.operator(operator)?;
        let mut accounts = Vec::new();
        for account in vault.library.accounts(operator)? {
            accounts.push(take_account(vault, operator, &account)?);
        }
        Ok(Self {
            name: operator.to_owned(),
            key: seed(vault, &claims.common.subject.to_string())?,
            token: vault.library.token(operator, &Place::Operator)?,
            signing_keys: Some(seeds(vault, claims.signing_keys.iter().map(ToString::to_string))?),
            accounts: Some(accounts),
            users: None,
        })
    }

    pub(crate) fn to_text(&self) -> Result<Secret<String>> {
        Ok(Secret::new(serde_json::to_string_pretty(self)?))
    }

    pub(crate) fn parse(text: &[u8]) -> Result<Self> {
        serde_json::from_slice(text).context("this is not a backup of an operator")
    }

    /// Puts everything into the vault under a name. All is checked before anything is written.
    pub(crate) fn restore(&self, vault: &Vault, operator: &str) -> Result<()> {
        let mut pairs = Vec::new();
        let mut tokens = Vec::new();
        check_name("operator", operator)?;
        let claims = OperatorClaims::decode(&self.token).context("the operator's token cannot be read")?;
        self.collect(&claims.common.subject.to_string(), &mut pairs)?;
        tokens.push((Place::Operator, &self.token));
        for account in self.accounts.iter().flatten() {
            check_name("account", &account.name)?;
            let claims = AccountClaims::decode(&account.token)
                .with_context(|| format!("the token of account {} cannot be read", account.name))?;
            account.collect(&claims.common.subject.to_string(), &mut pairs)?;
            tokens.push((Place::Account(account.name.clone()), &account.token));
            for user in account.users.iter().flatten() {
                check_name("user", &user.name)?;
                let claims = UserClaims::decode(&user.token)
                    .with_context(|| format!("the token of user {} cannot be read", user.name))?;
                user.collect(&claims.common.subject.to_string(), &mut pairs)?;
                tokens.push((Place::User(account.name.clone(), user.name.clone()), &user.token));
            }
        }
        vault.keys.prepare()?;
        pairs.iter().try_for_each(|pair| vault.keys.put(pair))?;
        tokens.iter().try_for_each(|(place, token)| vault.library.put(operator, place, token))
    }

    fn collect(&self, subject: &str, pairs: &mut Vec<KeyPair>) -> Result<()> {
        for seed in std::iter::once(&self.key).chain(self.signing_keys.iter().flatten()) {
            if !seed.key.is_empty() {
                let pair =
                    KeyPair::from_seed(&seed.key).with_context(|| format!("a seed of {} is damaged", self.name))?;
                pairs.push(pair);
            }
        }
        let own = KeyPair::from_seed(&self.key.key).ok().map(|pair| pair.public().to_string());
        if own.as_deref().is_some_and(|own| own != subject) {
            bail!("the key of {} does not belong to its token", self.name);
        }
        Ok(())
    }
}

fn take_account(vault: &Vault, operator: &str, account: &str) -> Result<Backup> {
    let claims = vault.library.account(operator, account)?;
    let mut users = Vec::new();
    for user in vault.library.users(operator, account)? {
        let subject = vault.library.user(operator, account, &user)?.common.subject.to_string();
        users.push(Backup {
            name: user.clone(),
            key: seed(vault, &subject)?,
            token: vault.library.token(operator, &Place::User(account.to_owned(), user))?,
            ..Backup::default()
        });
    }
    Ok(Backup {
        name: account.to_owned(),
        key: seed(vault, &claims.common.subject.to_string())?,
        token: vault.library.token(operator, &Place::Account(account.to_owned()))?,
        signing_keys: Some(seeds(vault, claims.signing_keys.iter().map(|(key, _)| key.to_string()))?),
        accounts: None,
        users: Some(users),
    })
}

/// The seed of a key; empty where it is kept elsewhere.
fn seed(vault: &Vault, key: &str) -> Result<Seed> {
    let pair = vault.keys.get(key)?;
    Ok(Seed { key: pair.map(|pair| pair.seed().expose().clone()).unwrap_or_default() })
}

fn seeds(vault: &Vault, keys: impl Iterator<Item = String>) -> Result<Vec<Seed>> {
    let mut seeds = Vec::new();
    for key in keys {
        let seed = seed(vault, &key)?;
        if !seed.key.is_empty() {
            seeds.push(seed);
        }
    }
    Ok(seeds)
}
