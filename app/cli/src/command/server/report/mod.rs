//! `nats server report`: tables over all servers.

mod accounts;
pub(crate) mod connections;
mod gateways;
mod health;
mod jetstream;
mod leafnodes;
mod routes;
mod usage;

use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::command::gather::{Question, active_servers, ask_servers, check};
use crate::command::wait::interrupted;
use crate::invocation::Invocation;
use crate::link::Link;
use crate::show::{out, stdout_is_terminal};

/// Show tables over all servers
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Report {
    /// Sort the other way round
    #[arg(long, short = 'R', global = true)]
    reverse: bool,
    /// Show the table again every so many seconds
    #[arg(long, global = true, value_name = "SECONDS")]
    watch: Option<u64>,
    #[command(flatten)]
    scope: Scope,
    #[command(subcommand)]
    kind: Kind,
}

/// Which servers are asked.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Scope {
    /// Only servers on this host
    #[arg(long, global = true)]
    host: Option<String>,
    /// Only servers of this cluster
    #[arg(long, global = true)]
    cluster: Option<String>,
    /// Only servers with this tag, may be given several times
    #[arg(long, global = true)]
    tags: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Kind {
    /// Accounts and what they send and receive
    #[command(visible_alias = "acct")]
    Accounts(accounts::Accounts),
    /// Connections
    #[command(visible_aliases = ["conn", "connz", "conns"])]
    Connections(connections::Connections),
    /// Use of processors
    Cpu(usage::Usage),
    /// Gateways of a super cluster
    #[command(visible_aliases = ["super", "gateway"])]
    Gateways(gateways::Gateways),
    /// Health of servers
    Health(health::Health),
    /// JetStream
    #[command(visible_aliases = ["jsz", "js"])]
    Jetstream(jetstream::Jetstream),
    /// Leaf nodes
    #[command(visible_aliases = ["leaf", "leafz"])]
    Leafnodes(leafnodes::Leafnodes),
    /// Use of memory
    Mem(usage::Usage),
    /// Routes of clusters
    #[command(visible_alias = "route")]
    Routes(routes::Routes),
}

/// Who asks the servers, and how what they say is put in order.
pub(crate) struct Desk<'a> {
    pub(crate) invocation: &'a Invocation,
    pub(crate) link: Link,
    pub(crate) scope: Scope,
    pub(crate) is_reversed: bool,
}

impl Desk<'_> {
    /// Asks the servers in scope. `limit` is how many answers to wait for; without it all known servers are.
    pub(crate) async fn ask(&self, what: &str, body: Value, limit: Option<usize>) -> Result<Vec<Value>> {
        let mut body = match body {
            Value::Object(body) => body,
            _ => Map::new(),
        };
        self.scope.narrow(&mut body);
        let expect = match limit {
            Some(limit) if limit > 0 => limit,
            _ if self.scope.is_wide() => active_servers(self.invocation, &self.link).await?,
            _ => 0,
        };
        let subject =
            if what.is_empty() { "$SYS.REQ.SERVER.PING".to_owned() } else { format!("$SYS.REQ.SERVER.PING.{what}") };
        let question = Question { subject: &subject, body: body.into(), expect };
        let answers = ask_servers(self.invocation, &self.link, &question).await?;
        answers.iter().try_for_each(check)?;
        Ok(answers)
    }

    /// Sorts, and turns the order round when asked.
    pub(crate) fn sort<T, K: Ord>(&self, rows: &mut [T], key: impl Fn(&T) -> K) {
        rows.sort_by_key(key);
        if self.is_reversed {
            rows.reverse();
        }
    }
}

impl Scope {
    fn is_wide(&self) -> bool {
        self.host.is_none() && self.cluster.is_none() && self.tags.is_empty()
    }

    fn narrow(&self, body: &mut Map<String, Value>) {
        for (key, value) in [("host", &self.host), ("cluster", &self.cluster)] {
            if let Some(value) = value {
                body.insert(key.to_owned(), value.clone().into());
                body.insert("exact_match".to_owned(), true.into());
            }
        }
        if !self.tags.is_empty() {
            body.insert("tags".to_owned(), json!(self.tags));
        }
    }
}

impl Report {
    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<()> {
        let stop = interrupted();
        let link = invocation.connect().await?;
        let desk = Desk { invocation, link, scope: self.scope.clone(), is_reversed: self.reverse };
        let shown = async {
            self.once(&desk).await?;
            let Some(seconds) = self.watch.filter(|seconds| *seconds > 0) else { return Ok(()) };
            loop {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                if stdout_is_terminal() {
                    out!("\x1b[2J\x1b[H");
                }
                self.once(&desk).await?;
            }
        };
        tokio::select! {
            ended = shown => ended,
            () = stop => Ok(()),
        }
    }

    async fn once(&self, desk: &Desk<'_>) -> Result<()> {
        match &self.kind {
            Kind::Accounts(report) => report.run(desk).await,
            Kind::Connections(report) => report.run(desk).await,
            Kind::Cpu(report) => report.run(desk, usage::What::Cpu).await,
            Kind::Gateways(report) => report.run(desk).await,
            Kind::Health(report) => report.run(desk).await,
            Kind::Jetstream(report) => report.run(desk).await,
            Kind::Leafnodes(report) => report.run(desk).await,
            Kind::Mem(report) => report.run(desk, usage::What::Memory).await,
            Kind::Routes(report) => report.run(desk).await,
        }
    }
}

/// A long account key without its middle.
fn short_account(account: &str) -> String {
    match (account.get(..10), account.len().checked_sub(10).and_then(|at| account.get(at..))) {
        (Some(start), Some(end)) if account.len() > 23 => format!("{start}...{end}"),
        _ => account.to_owned(),
    }
}

/// A name, or nothing when it is the one that was shown last.
fn unless_same<'a>(name: &'a str, last: &mut String) -> &'a str {
    if name == last {
        return "";
    }
    name.clone_into(last);
    name
}
