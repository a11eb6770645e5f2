//! Operator mode: accounts are claims that come and go while the server runs.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use account::{
    Account, AccountIds, AccountName, Accounts, Changed, Destination, Limits, Mapping, Mappings, Sampling, TraceDest,
};
use jwt::AccountClaims;
use jwt::Zones;
use jwt::bound;
use jwt::chain::{OperatorTrust, TrustedAccount};
use moment::Timestamp;
use nkeys::PublicKey;
use rpds::{HashTrieMapSync, RedBlackTreeSetSync};
use secret::Secret;

use super::build::proxy_keys;
use super::sharing;
use super::{Directory, SettingsError};
use crate::allowance::account_limits;
use crate::settings::{AuthChain, OperatorSettings, Place, Settings};

/// Whom to trust, and the accounts that are at hand. A copy shares all it can, since there is one for each account that comes.
#[derive(Clone)]
pub(crate) struct Operators {
    pub(crate) trust: OperatorTrust,
    pub(crate) sentinel: Option<Secret<String>>,
    pub(crate) zones: Arc<dyn Zones + Send + Sync>,
    pub(crate) chain: AuthChain,
    /// Whoever shows claims and is a user of the configuration is judged as that one.
    pub(crate) users_first: bool,
    pub(crate) tenants: Tenants,
    /// When the first token of an account's imports ends, of those that hold now.
    token_ends: RedBlackTreeSetSync<(Timestamp, PublicKey)>,
}

/// The accounts at hand.
pub(crate) type Tenants = HashTrieMapSync<PublicKey, Arc<Tenant>>;

/// An account at hand.
pub(crate) struct Tenant {
    pub(crate) trusted: TrustedAccount,
    pub(crate) account: Arc<Account>,
    token_end: Option<Timestamp>,
}

impl Operators {
    fn enter(&mut self, key: PublicKey, tenant: Tenant) {
        self.forget(&key);
        if let Some(end) = tenant.token_end {
            self.token_ends.insert_mut((end, key));
        }
        self.tenants.insert_mut(key, Arc::new(tenant));
    }

    fn forget(&mut self, key: &PublicKey) {
        if let Some(end) = self.tenants.get(key).and_then(|tenant| tenant.token_end) {
            self.token_ends.remove_mut(&(end, *key));
        }
        self.tenants.remove_mut(key);
    }
}

impl Directory {
    /// A directory that knows no account yet, only whom to trust.
    pub fn of_operators(settings: OperatorSettings, ids: &mut AccountIds) -> Result<Self, Vec<SettingsError>> {
        Self::of_operators_and_users(settings, &Settings::default(), ids)
    }

    /// The same with accounts and users of the configuration beside those that are claims. The system account is that of the
    /// operators.
    pub fn of_operators_and_users(
        settings: OperatorSettings,
        local: &Settings,
        ids: &mut AccountIds,
    ) -> Result<Self, Vec<SettingsError>> {
        let system = settings.system_account.or_else(|| settings.trust.system_account());
        let local_only = Self::beside(local, system.as_ref().map(name).as_ref(), ids)?;
        let proxies = proxy_keys(&settings.trusted_proxies).map_err(|faults| -> Vec<SettingsError> {
            faults.into_iter().map(|fault| SettingsError { place: Place::default(), fault }).collect()
        })?;
        let operators = Operators {
            trust: settings.trust,
            sentinel: settings.default_sentinel,
            zones: settings.zones,
            chain: settings.chain,
            users_first: local.authorization.users_first(),
            tenants: Tenants::default(),
            token_ends: RedBlackTreeSetSync::default(),
        };
        let (operators, chain) = (Some(operators), settings.chain);
        Ok(Self {
            required: true,
            single: None,
            anonymous: None,
            doors: Vec::new(),
            proxies,
            operators,
            chain,
            ..local_only
        })
    }

    /// The same directory with this account, new or renewed, and the accounts that are not as they were. In configuration
    /// mode there is no such account. Imports of others that hold tokens of it are judged again.
    #[must_use]
    pub fn with_account(&self, trusted: TrustedAccount, ids: &mut AccountIds, now: Timestamp) -> (Self, Changed) {
        let key = trusted.key();
        let mut concerned = self.dependents(&key);
        concerned.insert(key);
        let mut changed = self.changed(self.accounts.clone(), |operators| {
            let account = Arc::new(compiled(trusted.claims()));
            operators.enter(key, Tenant { trusted, account, token_end: None });
        });
        let which = changed.share(ids, now, &concerned);
        (changed, which)
    }

    /// The same directory as tokens are at this time, and the accounts whose imports lost theirs.
    #[must_use]
    pub fn shared_at(&self, ids: &mut AccountIds, now: Timestamp) -> (Self, Changed) {
        let ends = self.operators.iter().flat_map(|operators| operators.token_ends.iter());
        let concerned = ends.take_while(|(end, _)| *end <= now).map(|(_, key)| *key).collect();
        let mut changed = self.changed(self.accounts.clone(), |_| {});
        let which = changed.share(ids, now, &concerned);
        (changed, which)
    }

    /// When the first token of an import ends, of those that hold.
    pub fn next_token_end(&self) -> Option<Timestamp> {
        self.operators.as_ref()?.token_ends.first().map(|(end, _)| *end)
    }

    /// Accounts from which these import, and that are not at hand.
    pub fn missing_exporters(&self, of: &Changed) -> Vec<PublicKey> {
        let Some(operators) = &self.operators else { return Vec::new() };
        let tenants = of.iter().filter_map(|name| operators.tenants.get(&self.account(name.as_str())?.nkey?));
        let imports = tenants.flat_map(|tenant| &tenant.trusted.claims().imports);
        let missing = imports.map(|import| import.account).filter(|key| !operators.tenants.contains_key(key));
        missing.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The accounts whose imports hold tokens of this one.
    fn dependents(&self, exporter: &PublicKey) -> BTreeSet<PublicKey> {
        let Some(operators) = &self.operators else { return BTreeSet::new() };
        let own = name(exporter);
        let importers = self.accounts.importers_of(&own).filter_map(|importer| importer.nkey);
        let holds = |importer: &PublicKey| {
            operators.tenants.get(importer).is_some_and(|tenant| sharing::depends(tenant, exporter))
        };
        importers.filter(holds).collect()
    }

    /// Compiles what these tenants share.
    fn share(&mut self, ids: &mut AccountIds, now: Timestamp, concerned: &BTreeSet<PublicKey>) -> Changed {
        let Some(operators) = &mut self.operators else { return Changed::new() };
        let claims = sharing::Claims { trust: &operators.trust, tenants: &operators.tenants, now };
        let (mut accounts, mut ends) = (Vec::new(), HashMap::new());
        for tenant in concerned.iter().filter_map(|key| operators.tenants.get(key)) {
            let own = tenant.trusted.claims();
            accounts.push(sharing::shared(compiled(own), own, &claims));
            ends.insert(tenant.trusted.key(), claims.first_end(own));
        }
        let (accounts, changed) = self.accounts.with_all(accounts, ids);
        self.accounts = Arc::new(accounts);
        self.settle(&changed, &ends);
        changed
    }

    /// Gives tenants their accounts as they are in the set now. `ends` says when tokens end of those that were judged.
    fn settle(&mut self, changed: &Changed, ends: &HashMap<PublicKey, Option<Timestamp>>) {
        let Some(operators) = &mut self.operators else { return };
        for account in changed.iter().filter_map(|name| self.accounts.get(name.as_str())) {
            let Some(tenant) = account.nkey.and_then(|key| operators.tenants.get(&key)) else { continue };
            let key = tenant.trusted.key();
            let token_end = ends.get(&key).copied().unwrap_or(tenant.token_end);
            operators.enter(key, Tenant { trusted: tenant.trusted.clone(), account: account.clone(), token_end });
        }
    }

    /// The same directory without this account, and the accounts that are not as they were: those that import from it lose
    /// what they had of it at once, and what its tokens gave them.
    #[must_use]
    pub fn without_account(&self, key: &PublicKey, ids: &mut AccountIds, now: Timestamp) -> (Self, Changed) {
        let concerned = self.dependents(key);
        let (accounts, mut which) = self.accounts.without(&name(key));
        let mut changed = self.changed(Arc::new(accounts), |operators| operators.forget(key));
        which.extend(changed.share(ids, now, &concerned));
        changed.settle(&which, &HashMap::new());
        (changed, which)
    }

    /// The claims of all accounts that are at hand.
    pub fn claims(&self) -> impl Iterator<Item = &TrustedAccount> {
        self.operators.iter().flat_map(|operators| operators.tenants.values()).map(|tenant| &tenant.trusted)
    }

    /// The claims of an account, if they are at hand.
    pub fn claims_of(&self, key: &PublicKey) -> Option<&TrustedAccount> {
        self.operators.as_ref()?.tenants.get(key).map(|tenant| &tenant.trusted)
    }

    /// Whom to trust, in operator mode.
    pub fn trust(&self) -> Option<&OperatorTrust> {
        self.operators.as_ref().map(|operators| &operators.trust)
    }

    /// What does not change is shared.
    fn changed(&self, accounts: Arc<Accounts>, change: impl FnOnce(&mut Operators)) -> Self {
        let mut operators = self.operators.clone();
        if let Some(operators) = &mut operators {
            change(operators);
        }
        Self {
            accounts,
            users: self.users.clone(),
            nkeys: self.nkeys.clone(),
            single: None,
            anonymous: None,
            doors: Vec::new(),
            required: self.required,
            proxies: self.proxies.clone(),
            proxy_required: self.proxy_required,
            certificate_kinds: self.certificate_kinds.clone(),
            known_peers: self.known_peers.clone(),
            toll: self.toll.clone(),
            plain: self.plain.clone(),
            operators,
            callout: self.callout.clone(),
            chain: self.chain,
            distinguished: self.distinguished.clone(),
            defaults: self.defaults.clone(),
            import_places: self.import_places.clone(),
        }
    }
}

pub(super) fn name(key: &PublicKey) -> AccountName {
    AccountName::parse(&key.to_string()).expect("the text of a key is a name")
}

fn compiled(claims: &AccountClaims) -> Account {
    let (nats, account) = (&claims.limits.nats, &claims.limits.account);
    let limits = Limits {
        max_connections: bound(account.conn),
        max_subscriptions: bound(nats.subs),
        max_payload: bound(nats.payload),
        max_leafnodes: bound(account.leaf),
        ..Limits::default()
    };
    let limits = account_limits(&claims.common.tags, limits);
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
