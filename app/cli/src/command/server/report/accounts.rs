//! Accounts and what they send and receive.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::command::dig::Dig;
use crate::command::server::report::Desk;
use crate::command::server::report::connections::{self, Choice, Connection, Key as ConnectionKey};
use crate::command::server::request::State;
use crate::show::{Table, cells, ibytes, out, print_json};

/// Show accounts and what they send and receive
#[derive(Args, Debug)]
pub(crate) struct Accounts {
    /// Show the connections of this account
    account: Option<String>,
    /// Wait for so many servers
    limit: Option<usize>,
    /// Sort by this
    #[arg(long, default_value = "subs", value_name = "KEY")]
    sort: Key,
    /// Show only the first so many
    #[arg(long, default_value_t = 1000)]
    top: usize,
    /// Show JSON
    #[arg(long, short = 'j')]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Key {
    InBytes,
    OutBytes,
    InMsgs,
    OutMsgs,
    Conns,
    Subs,
}

#[derive(Default)]
struct Account {
    connections: u64,
    in_msgs: u64,
    out_msgs: u64,
    in_bytes: u64,
    out_bytes: u64,
    subs: u64,
}

impl Accounts {
    pub(crate) async fn run(&self, desk: &Desk<'_>) -> Result<()> {
        let choice = self.choice();
        let found = connections::gather(desk, &choice.body(self.account.as_deref()), self.limit).await?;
        if let Some(account) = &self.account {
            if found.is_empty() {
                bail!("did not receive any results for account {account}");
            }
            choice.show(found, desk.is_reversed);
            return Ok(());
        }
        let mut accounts: Vec<_> = sums(&found).into_iter().collect();
        desk.sort(&mut accounts, |(_, account)| account.key(self.sort));
        if self.top > 0 && self.top < accounts.len() {
            accounts = if desk.is_reversed {
                accounts.into_iter().take(self.top).collect()
            } else {
                accounts.split_off(accounts.len() - self.top)
            };
        }
        if self.json {
            return print_json(&accounts.iter().map(|(name, account)| account.json(name)).collect::<Vec<_>>());
        }
        out!("{}\n", table(&accounts).render());
        Ok(())
    }

    fn choice(&self) -> Choice {
        let sort = match self.sort {
            Key::InBytes => ConnectionKey::InBytes,
            Key::OutBytes => ConnectionKey::OutBytes,
            Key::InMsgs => ConnectionKey::InMsgs,
            Key::OutMsgs => ConnectionKey::OutMsgs,
            Key::Conns | Key::Subs => ConnectionKey::Subs,
        };
        Choice { sort, top: self.top, subject: None, username: None, state: State::Open, closed_reason: None }
    }
}

fn sums(connections: &[Connection]) -> BTreeMap<String, Account> {
    let mut accounts: BTreeMap<String, Account> = BTreeMap::new();
    for facts in connections.iter().map(|connection| &connection.facts) {
        let account = accounts.entry(facts.text("account").to_owned()).or_default();
        account.connections += 1;
        account.in_msgs += facts.whole("in_msgs");
        account.out_msgs += facts.whole("out_msgs");
        account.in_bytes += facts.whole("in_bytes");
        account.out_bytes += facts.whole("out_bytes");
        account.subs += facts.whole("subscriptions");
    }
    accounts
}

impl Account {
    const fn key(&self, key: Key) -> u64 {
        match key {
            Key::InBytes => self.in_bytes,
            Key::OutBytes => self.out_bytes,
            Key::InMsgs => self.in_msgs,
            Key::OutMsgs => self.out_msgs,
            Key::Conns => self.connections,
            Key::Subs => self.subs,
        }
    }

    fn json(&self, name: &str) -> serde_json::Value {
        json!({
            "account": name,
            "connections": self.connections,
            "in_msgs": self.in_msgs,
            "out_msgs": self.out_msgs,
            "in_bytes": self.in_bytes,
            "out_bytes": self.out_bytes,
            "subscriptions": self.subs,
        })
    }
}

fn table(accounts: &[(String, Account)]) -> Table {
    let header = ["Account", "Connections", "In Msgs", "Out Msgs", "In Bytes", "Out Bytes", "Subs"];
    let mut table = Table::new(format!("{} Accounts Overview", accounts.len()), &header);
    for (name, account) in accounts {
        table.row(cells![
            name,
            account.connections,
            account.in_msgs,
            account.out_msgs,
            ibytes(account.in_bytes),
            ibytes(account.out_bytes),
            account.subs,
        ]);
    }
    table
}
