//! Who is meant: names, public keys, the only one there is, or the one a person picks.

use anyhow::{Result, anyhow, bail};
use jwt::{AccountClaims, OperatorClaims, Scope};
use nkeys::{KeyPair, PublicKey};

use crate::command::auth::plan::{Ended, Plan, Publishing};
use crate::failure::advise;
use crate::invocation::Invocation;
use crate::show::{is_interactive, pick};
use crate::vault::{Options, Place, Vault, selected};

/// What every command of `nats auth` works at.
pub(crate) struct Desk<'a> {
    pub(crate) invocation: &'a Invocation,
    pub(crate) vault: Vault,
    operator: Option<String>,
}

/// An account of an operator, by both its names.
pub(crate) struct Chosen {
    pub(crate) operator: String,
    pub(crate) account: String,
    pub(crate) claims: AccountClaims,
}

impl Chosen {
    /// Has it as its claims are now: signed, kept, and pushed where that is asked for.
    pub(crate) async fn keep(&self, desk: &Desk<'_>, publishing: &Publishing) -> Result<Ended> {
        let mut plan = desk.plan(&self.operator);
        plan.edit_account(&self.account, self.claims.clone())?;
        plan.commit(publishing).await
    }
}

/// This second.
pub(crate) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

impl<'a> Desk<'a> {
    pub(crate) fn open(invocation: &'a Invocation, options: &Options, operator: Option<String>) -> Result<Self> {
        Ok(Self { invocation, vault: Vault::open(options)?, operator })
    }

    pub(crate) fn plan(&self, operator: &str) -> Plan<'_> {
        Plan::of(self, operator)
    }

    /// The operator that is meant: named here, named by `--operator`, selected, the only one, or picked.
    pub(crate) fn operator(&self, named: Option<&str>) -> Result<String> {
        let library = &self.vault.library;
        if let Some(name) = named.or(self.operator.as_deref()) {
            library.token(name, &Place::Operator)?;
            return Ok(name.to_owned());
        }
        let names = library.operators()?;
        if let Some(name) = selected().filter(|name| names.contains(name)) {
            return Ok(name);
        }
        match names.as_slice() {
            [] => Err(advise("no operators found", "make one with: nats auth init")),
            [only] => Ok(only.clone()),
            names if is_interactive() => pick("Select an Operator", names),
            names => Err(advise(
                "cannot pick an Operator without a terminal and no operator name supplied",
                format!("name one with --operator, or select one with nats auth operator select: {}", names.join(", ")),
            )),
        }
    }

    /// The account that is meant, by name or public key. Nothing named means the only one that is not the system's.
    pub(crate) fn account(&self, operator: Option<&str>, named: Option<&str>) -> Result<Chosen> {
        let operator = self.operator(operator)?;
        let account = match named {
            Some(named) => self.account_named(&operator, named)?,
            None => self.only_account(&operator)?,
        };
        let claims = self.vault.library.account(&operator, &account)?;
        Ok(Chosen { operator, account, claims })
    }

    fn account_named(&self, operator: &str, named: &str) -> Result<String> {
        let library = &self.vault.library;
        if library.has(operator, &Place::Account(named.to_owned())) || !PublicKey::is(nkeys::Role::Account, named) {
            library.token(operator, &Place::Account(named.to_owned()))?;
            return Ok(named.to_owned());
        }
        for name in library.accounts(operator)? {
            if library.account(operator, &name)?.common.subject.to_string() == named {
                return Ok(name);
            }
        }
        bail!("unknown Account: {named}")
    }

    fn only_account(&self, operator: &str) -> Result<String> {
        let library = &self.vault.library;
        let system = library.operator(operator)?.system_account;
        let names = library.accounts(operator)?;
        let mut tenants = Vec::new();
        for name in &names {
            if Some(library.account(operator, name)?.common.subject) != system {
                tenants.push(name.clone());
            }
        }
        match tenants.as_slice() {
            [only] => Ok(only.clone()),
            _ if names.is_empty() => Err(advise("no accounts found", "make one with: nats auth account add NAME")),
            _ if is_interactive() => pick("Select an Account", &names),
            _ => Err(advise(
                "cannot pick an Account without a terminal and no Account name supplied",
                format!("name one of: {}", names.join(", ")),
            )),
        }
    }

    /// The user that is meant.
    pub(crate) fn user(&self, chosen: &Chosen, named: Option<&str>) -> Result<String> {
        let library = &self.vault.library;
        if let Some(name) = named {
            library.token(&chosen.operator, &Place::User(chosen.account.clone(), name.to_owned()))?;
            return Ok(name.to_owned());
        }
        let names = library.users(&chosen.operator, &chosen.account)?;
        match names.as_slice() {
            [] => bail!("no users found in {}", chosen.account),
            [only] => Ok(only.clone()),
            names if is_interactive() => pick("Select a User", names),
            names => Err(advise(
                "cannot pick a User without a terminal and no User name supplied",
                format!("name one of: {}", names.join(", ")),
            )),
        }
    }

    /// The name of an account whose public key is known; the key itself where it is of another operator.
    pub(crate) fn name_of(&self, operator: &str, key: &PublicKey) -> String {
        let library = &self.vault.library;
        let names = library.accounts(operator).unwrap_or_default();
        let found =
            names.into_iter().find(|name| library.account(operator, name).is_ok_and(|a| a.common.subject == *key));
        found.unwrap_or_else(|| key.to_string())
    }

    /// A pair whose seed is here, or an error that says what to do about it.
    pub(crate) fn pair(&self, key: &PublicKey, purpose: &str) -> Result<KeyPair> {
        self.vault.keys.get(&key.to_string())?.ok_or_else(|| {
            advise(
                format!("the key {key}, which signs {purpose}, is not in this keystore"),
                "import it with nats auth keystore add FILE, or use --sign-request FILE and sign where the key is",
            )
        })
    }

    /// The key that signs accounts: a signing key whose seed is here, else the identity key where that may sign.
    pub(crate) fn account_signer(&self, operator: &OperatorClaims) -> PublicKey {
        let own = Some(operator.common.subject).filter(|_| !operator.strict_signing_key_usage);
        let candidates = operator.signing_keys.iter().copied().chain(own);
        let here = candidates.clone().find(|key| self.vault.keys.has(&key.to_string()));
        here.or_else(|| candidates.into_iter().next()).unwrap_or(operator.common.subject)
    }

    /// The key that signs users who are not bound to a role.
    pub(crate) fn user_signer(&self, operator: &OperatorClaims, account: &AccountClaims) -> Result<PublicKey> {
        let own = Some(account.common.subject).filter(|_| !operator.strict_signing_key_usage);
        let plain = account.signing_keys.iter().filter(|(_, scope)| scope.is_none()).map(|(key, _)| *key);
        let candidates: Vec<_> = own.into_iter().chain(plain).collect();
        let here = candidates.iter().find(|key| self.vault.keys.has(&key.to_string()));
        here.or(candidates.first()).copied().ok_or_else(|| {
            advise(
                format!(
                    "operator {} wants users signed by signing keys, and account {} has none without a role",
                    operator.common.name, account.common.name
                ),
                "name a role with --key ROLE, or add a key with: nats auth account keys add ACCOUNT",
            )
        })
    }
}

/// A signing key by its role or its public key.
pub(crate) fn signing_key<'c>(claims: &'c AccountClaims, choice: &str) -> Result<(PublicKey, Option<&'c Scope>)> {
    let named: Vec<_> = claims.signing_keys.iter().filter(|(_, s)| s.is_some_and(|s| s.role == choice)).collect();
    if let [(key, scope)] = named.as_slice() {
        return Ok((**key, *scope));
    }
    if named.len() > 1 {
        let keys: Vec<_> = named.iter().map(|(key, _)| key.to_string()).collect();
        return Err(advise(
            format!("role {choice:?} has more than one key"),
            format!("name one of: {}", keys.join(", ")),
        ));
    }
    let by_key = claims.signing_keys.iter().find(|(key, _)| key.to_string() == choice);
    by_key.map(|(key, scope)| (*key, scope)).ok_or_else(|| {
        let roles: Vec<_> =
            claims.signing_keys.iter().map(|(key, s)| s.map_or(key.to_string(), |s| s.role.clone())).collect();
        match roles.as_slice() {
            [] => anyhow!("no signing keys found"),
            roles => advise(format!("no signing key {choice:?}"), format!("known: {}", roles.join(", "))),
        }
    })
}
