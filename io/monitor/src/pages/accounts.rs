//! `/accountz` and `/accstatz`.

use api::monitoring::{AccountDetail, AccountStat, Accountz, Accstatz, DataStats};
use broker::AccountState;

use super::subsz::stats_of;
use crate::answer::Answer;
use crate::pages::{House, PAGE_MAX};
use crate::query::{Fault, Query};
use crate::totals::{self, AccountTotal};

impl House {
    pub(super) fn accountz(&self, query: &Query) -> Result<Answer, Fault> {
        let portrait = self.facts.portrait();
        let mut accountz = Accountz {
            server_id: self.server_id(),
            now: self.now(),
            system_account: portrait.system_account,
            ..Accountz::default()
        };
        match query.text("acc") {
            "" => accountz.accounts = self.account_names(),
            name => accountz.account_detail = Some(self.account_detail(name)?),
        }
        Ok(Answer::document(&accountz))
    }

    fn account_names(&self) -> Vec<String> {
        let directory = self.hub.directory();
        let mut names: Vec<String> = directory.accounts().iter().map(|account| account.name.to_string()).collect();
        names.sort();
        names.truncate(PAGE_MAX);
        names
    }

    fn account_detail(&self, name: &str) -> Result<AccountDetail, Fault> {
        let directory = self.hub.directory();
        let account = directory.account(name).ok_or_else(|| Fault(format!("Account {name} does not exist")))?;
        let alive = self.hub.accounts().into_iter().find(|state| state.settings().name == account.name);
        Ok(AccountDetail {
            account_name: name.to_owned(),
            update_time: Some(self.facts.portrait().config_load_time.to_string()),
            is_system: account.system,
            complete: true,
            client_connections: alive.as_ref().map_or(0, |state| state.connections()),
            subscriptions: alive.as_ref().map_or(0, |state| state.graph.len() as u64),
            name_tag: Some(name.to_owned()),
            sublist_stats: Some(alive.as_deref().map(stats_of).unwrap_or_default()),
            ..AccountDetail::default()
        })
    }

    pub(super) fn accstatz(&self, query: &Query) -> Result<Answer, Fault> {
        let unused = query.flag("unused")?;
        let totals = totals::of_accounts(&self.hub);
        let shown = totals.iter().filter(|total| unused || total.account.connections() > 0).take(PAGE_MAX);
        let mut account_statz: Vec<AccountStat> = shown.map(stat).collect();
        if unused {
            account_statz.extend(self.sleeping_accounts(&totals));
            account_statz.sort_by(|a, b| a.acc.cmp(&b.acc));
            account_statz.truncate(PAGE_MAX);
        }
        Ok(Answer::document(&Accstatz { server_id: self.server_id(), now: self.now(), account_statz }))
    }

    /// Accounts that nobody has entered yet.
    fn sleeping_accounts(&self, alive: &[AccountTotal]) -> Vec<AccountStat> {
        let is_alive = |name: &str| alive.binary_search_by(|total| total.name.as_str().cmp(name)).is_ok();
        let names = self.account_names().into_iter().filter(|name| !is_alive(name));
        names.map(|name| AccountStat { acc: name.clone(), name, ..AccountStat::default() }).collect()
    }
}

fn stat(total: &AccountTotal) -> AccountStat {
    let AccountTotal { account, name, traffic } = total;
    let account: &AccountState = account;
    let conns = account.connections();
    let one_way = |msgs, bytes| DataStats { msgs, bytes, ..DataStats::default() };
    AccountStat {
        acc: name.clone(),
        name: name.clone(),
        conns,
        leafnodes: 0,
        total_conns: conns,
        num_subscriptions: account.graph.len() as u64,
        sent: one_way(traffic.out_msgs, traffic.out_bytes),
        received: one_way(traffic.in_msgs, traffic.in_bytes),
        slow_consumers: account.slow_consumers(),
    }
}
