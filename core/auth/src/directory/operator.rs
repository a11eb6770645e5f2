//! Operator mode: accounts are claims that come and go while the server runs.

use std::collections::HashMap;
use std::sync::Arc;

use account::{
    Account, AccountIds, AccountName, Accounts, Destination, Limits, Mapping, Mappings, Sampling, TraceDest,
};
use jwt::AccountClaims;
use jwt::Zones;
use jwt::bound;
use jwt::chain::{OperatorTrust, TrustedAccount};
use nkeys::PublicKey;
use secret::Secret;

use super::build::{binding, proxy_keys};
use super::{Directory, Names, SettingsError};
use crate::password::Toll;
use crate::permissions::Permissions;
use crate::settings::{OperatorSettings, Place};

/// Whom to trust, and the accounts that are at hand.
#[derive(Clone)]
pub(crate) struct Operators {
    pub(crate) trust: OperatorTrust,
    pub(crate) sentinel: Option<Secret<String>>,
    pub(crate) zones: Arc<dyn Zones + Send + Sync>,
    pub(crate) tenants: HashMap<PublicKey, Arc<Tenant>>,
}

/// An account at hand.
pub(crate) struct Tenant {
    pub(crate) trusted: TrustedAccount,
    pub(crate) account: Arc<Account>,
}

impl Directory {
    /// A directory that knows no account yet, only whom to trust.
    pub fn of_operators(settings: OperatorSettings, ids: &mut AccountIds) -> Result<Self, Vec<SettingsError>> {
        let system = settings.system_account.or_else(|| settings.trust.system_account());
        let accounts = Accounts::build([], system.as_ref().map(name).as_ref(), ids);
        let accounts = Arc::new(accounts.expect("no account can be wrong where there is none"));
        let proxies = proxy_keys(&settings.trusted_proxies).map_err(|faults| -> Vec<SettingsError> {
            faults.into_iter().map(|fault| SettingsError { place: Place::default(), fault }).collect()
        })?;
        let operators = Operators {
            trust: settings.trust,
            sentinel: settings.default_sentinel,
            zones: settings.zones,
            tenants: HashMap::new(),
        };
        Ok(Self {
            plain: Arc::new(Permissions::unrestricted(binding(accounts.global()))),
            accounts,
            users: HashMap::new(),
            nkeys: HashMap::new(),
            single: None,
            anonymous: None,
            required: true,
            proxies,
            proxy_required: false,
            certificate_kinds: Vec::new(),
            toll: Toll::default(),
            operators: Some(operators),
            callout: None,
            distinguished: Names::default(),
            defaults: HashMap::new(),
        })
    }

    /// The same directory with this account, new or renewed. In configuration mode there is no such account.
    #[must_use]
    pub fn with_account(&self, trusted: TrustedAccount, ids: &mut AccountIds) -> Self {
        let key = trusted.key();
        let accounts = Arc::new(self.accounts.with(compiled(trusted.claims()), ids));
        let account = accounts.get(name(&key).as_str()).expect("it was added a line above").clone();
        self.changed(accounts, |tenants| {
            tenants.insert(key, Arc::new(Tenant { trusted, account }));
        })
    }

    /// The same directory without this account.
    #[must_use]
    pub fn without_account(&self, key: &PublicKey) -> Self {
        let accounts = Arc::new(self.accounts.without(&name(key)));
        self.changed(accounts, |tenants| {
            tenants.remove(key);
        })
    }

    /// The claims of an account, if they are at hand.
    pub fn claims_of(&self, key: &PublicKey) -> Option<&TrustedAccount> {
        self.operators.as_ref()?.tenants.get(key).map(|tenant| &tenant.trusted)
    }

    /// Whom to trust, in operator mode.
    pub fn trust(&self) -> Option<&OperatorTrust> {
        self.operators.as_ref().map(|operators| &operators.trust)
    }

    /// In operator mode nobody has users of the configuration, so what remains is soon copied.
    fn changed(&self, accounts: Arc<Accounts>, change: impl FnOnce(&mut HashMap<PublicKey, Arc<Tenant>>)) -> Self {
        let mut operators = self.operators.clone();
        if let Some(operators) = &mut operators {
            change(&mut operators.tenants);
        }
        Self {
            accounts,
            users: HashMap::new(),
            nkeys: HashMap::new(),
            single: None,
            anonymous: None,
            required: self.required,
            proxies: self.proxies.clone(),
            proxy_required: self.proxy_required,
            certificate_kinds: self.certificate_kinds.clone(),
            toll: self.toll.clone(),
            plain: self.plain.clone(),
            operators,
            callout: self.callout.clone(),
            distinguished: Names::default(),
            defaults: HashMap::new(),
        }
    }
}

fn name(key: &PublicKey) -> AccountName {
    AccountName::parse(&key.to_string()).expect("the text of a key is a name")
}

fn compiled(claims: &AccountClaims) -> Account {
    let (nats, account) = (&claims.limits.nats, &claims.limits.account);
    let limits = Limits {
        max_connections: bound(account.conn),
        max_subscriptions: bound(nats.subs),
        max_payload: bound(nats.payload),
        max_leafnodes: bound(account.leaf),
    };
    let key = claims.common.subject;
    let (trace, mappings) = (trace(claims), mappings(claims));
    Account { nkey: Some(key), limits, trace, mappings, ..Account::named(name(&key)) }
}

/// A mapping that does not compile moves nothing, as in the reference.
fn mappings(claims: &AccountClaims) -> Mappings {
    let mut mappings = Mappings::default();
    for (source, destinations) in &claims.mappings {
        let destinations = destinations.iter().map(|written| Destination {
            subject: written.subject.clone(),
            weight: written.percent(),
            cluster: Some(written.cluster.clone()).filter(|cluster| !cluster.is_empty()),
        });
        let compiled = Mapping::compile(source, &destinations.collect::<Vec<_>>());
        // The bound is that of the claims, which were judged.
        let _ = compiled.and_then(|mapping| mappings.add(mapping));
    }
    mappings
}

/// A destination that is no subject was refused with the claims; one that is none all the same traces nothing.
fn trace(claims: &AccountClaims) -> Option<TraceDest> {
    let trace = claims.trace.as_ref()?;
    let sampling = u8::try_from(trace.sampling).ok().and_then(Sampling::percent).unwrap_or(Sampling::ALL);
    Some(TraceDest { subject: trace.destination.parse().ok()?, sampling })
}
