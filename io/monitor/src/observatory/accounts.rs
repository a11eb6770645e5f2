//! `accountz` and `accstatz`.

use account::Account;
use api::monitoring::options::AccstatzOptions;
use api::monitoring::{
    AccountDetail, AccountStat, Accountz, Accstatz, DataStats, HeldStats, MessageCount, RateLimits, SublistStats,
};
use broker::{AccountState, Amount, ByLink};
use moment::GoDuration;

use super::subsz::stats_of;
use super::{Fault, Observatory, PAGE_MAX, sharing, some};
use crate::totals::{self, AccountTotal, Traffic};

impl Observatory {
    /// The accounts, or one of them.
    ///
    /// # Errors
    /// If there is no such account.
    pub fn accountz(&self, account: &str) -> Result<Accountz, Fault> {
        let portrait = self.facts.portrait();
        let mut accountz = Accountz {
            server_id: self.server_id(),
            now: self.now(),
            system_account: portrait.system_account,
            ..Accountz::default()
        };
        match account {
            "" => accountz.accounts = self.account_names(),
            name => accountz.account_detail = Some(self.account_detail(name)?),
        }
        Ok(accountz)
    }

    fn account_names(&self) -> Vec<String> {
        let directory = self.hub.directory();
        let mut names: Vec<String> = directory.accounts().iter().map(|account| account.name.to_string()).collect();
        names.sort();
        names.truncate(PAGE_MAX);
        names
    }

    /// One account.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn account_detail(&self, name: &str) -> Result<AccountDetail, Fault> {
        let directory = self.hub.directory();
        let account = directory.account(name).ok_or_else(|| Fault(format!("Account {name} does not exist")))?;
        let alive = self.hub.accounts().into_iter().find(|state| state.settings().name == account.name);
        let rates = &account.limits.rates;
        let limits = (!rates.is_unlimited()).then(|| RateLimits {
            messages_per_second: rates.messages.map(|rate| rate.per_second().get()),
            messages_burst: rates.messages.map(|rate| rate.burst().get()),
            bytes_per_second: rates.bytes.map(|rate| rate.per_second().get()),
            bytes_burst: rates.bytes.map(|rate| rate.burst().get()),
        });
        let claims = self.facts.account(name).unwrap_or_default();
        Ok(AccountDetail {
            account_name: name.to_owned(),
            update_time: Some(self.facts.portrait().config_load_time.to_string()),
            is_system: account.system,
            expired: claims.is_expired,
            complete: true,
            jetstream_enabled: self.facts.has_streams(name) == Some(true),
            leafnode_connections: alive.as_ref().map_or(0, |state| state.leafs()),
            client_connections: alive.as_ref().map_or(0, |state| state.connections()),
            subscriptions: alive.as_ref().map_or_else(|| self.born_with(account), |state| state.subscriptions() as u64),
            mappings: sharing::mappings(account),
            exports: sharing::exports(account, &claims.revoked_activations),
            imports: sharing::imports(
                account,
                self.facts.portrait().system_account.as_deref(),
                self.facts.has_streams(name).is_some(),
            ),
            limits,
            jwt: some(&claims.jwt),
            issuer_key: some(&claims.issuer_key),
            name_tag: some(&claims.name_tag).or_else(|| Some(name.to_owned())),
            tags: claims.tags,
            decoded_jwt: claims.decoded_jwt,
            validation_result_jwt: claims.issues,
            revoked_user: claims.revoked_users,
            open_requests: alive.as_ref().map_or(0, |state| state.open_requests()),
            sublist_stats: Some(alive.as_deref().map_or_else(
                || SublistStats { num_subscriptions: self.born_with(account), ..SublistStats::default() },
                stats_of,
            )),
        })
    }

    /// The counts of accounts.
    pub fn accstatz(&self, options: &AccstatzOptions) -> Accstatz {
        let is_wanted = |name: &str| options.accounts.is_empty() || options.accounts.iter().any(|known| known == name);
        let totals = totals::of_accounts(&self.hub);
        let is_shown = |total: &&AccountTotal| options.include_unused || is_in_use(&total.account);
        let shown = totals.iter().filter(is_shown).filter(|total| is_wanted(&total.name)).take(PAGE_MAX);
        let mut account_statz: Vec<AccountStat> =
            shown.map(|total| stat(&total.account, self.tag_of(&total.name), total.traffic)).collect();
        if options.include_unused {
            account_statz.extend(self.sleeping_accounts(&totals).filter(|stat| is_wanted(&stat.acc)));
            account_statz.sort_by(|a, b| a.acc.cmp(&b.acc));
            account_statz.truncate(PAGE_MAX);
        }
        Accstatz { server_id: self.server_id(), now: self.now(), account_statz }
    }

    /// The counts of one account.
    pub fn account_stat(&self, account: &AccountState) -> AccountStat {
        let tag = self.tag_of(account.settings().name.as_str());
        stat(account, tag, Traffic::of_account(&self.hub, account))
    }

    /// What people call an account.
    pub(super) fn tag_of(&self, name: &str) -> String {
        let directory = self.hub.directory();
        let key = directory.account(name).and_then(|account| account.nkey);
        let claims = key.and_then(|key| directory.claims_of(&key));
        let tag = claims.map(|trusted| trusted.claims().common.name.clone()).filter(|tag| !tag.is_empty());
        tag.unwrap_or_else(|| name.to_owned())
    }

    /// Accounts that nobody has entered yet.
    fn sleeping_accounts(&self, alive: &[AccountTotal]) -> impl Iterator<Item = AccountStat> {
        let is_alive = |name: &str| alive.binary_search_by(|total| total.name.as_str().cmp(name)).is_ok();
        let names: Vec<String> = self.account_names().into_iter().filter(|name| !is_alive(name)).collect();
        let directory = self.hub.directory();
        names.into_iter().map(move |name| {
            let num_subscriptions = directory.account(&name).map_or(0, |account| self.born_with(account));
            AccountStat { acc: name.clone(), name, num_subscriptions, ..AccountStat::default() }
        })
    }

    /// Subscriptions of the server that an account has before anybody enters it.
    fn born_with(&self, account: &Account) -> u64 {
        let imported = if account.system { 0 } else { self.hub.listeners_everywhere() };
        (imported + account.sharing.services.len()) as u64
    }
}

fn held(account: &AccountState) -> Option<HeldStats> {
    let (times, time) = account.holds();
    (times > 0).then(|| HeldStats { times, time: GoDuration::from(time).to_string() })
}

/// Whether anybody is in the account: a client, or a leaf node.
pub(super) fn is_in_use(account: &AccountState) -> bool {
    account.connections() > 0 || account.leafs() > 0
}

/// `traffic` is that of clients; what crossed to and from other servers is added.
fn stat(account: &AccountState, name: String, traffic: Traffic) -> AccountStat {
    let (conns, leafnodes) = (account.connections(), account.leafs());
    let crossed = account.crossed();
    let count = |amount: Amount| MessageCount { msgs: amount.msgs, bytes: amount.bytes };
    let one_way = |msgs: u64, bytes: u64, crossed: ByLink| DataStats {
        msgs: msgs.wrapping_add(crossed.total().msgs),
        bytes: bytes.wrapping_add(crossed.total().bytes),
        gateways: count(crossed.gateways),
        routes: count(crossed.routes),
        leafs: count(crossed.leafs),
    };
    AccountStat {
        acc: account.settings().name.to_string(),
        name,
        conns,
        leafnodes,
        total_conns: conns + leafnodes,
        num_subscriptions: account.subscriptions() as u64,
        sent: one_way(traffic.out_msgs, traffic.out_bytes, crossed.outward),
        received: one_way(traffic.in_msgs, traffic.in_bytes, crossed.inward),
        slow_consumers: account.slow_consumers(),
        held: held(account),
    }
}
