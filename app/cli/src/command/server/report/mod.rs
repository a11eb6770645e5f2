//! `nats server report`: tables over all servers.

mod accounts;
pub(crate) mod connections;
mod downgrade;
mod gateways;
mod health;
mod jetstream;
mod leafnodes;
mod routes;
mod usage;

use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use crate::command::server::source::{Among, FromArchive, Source};
use crate::command::wait::interrupted;
use crate::invocation::Invocation;
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
    #[command(flatten)]
    from: FromArchive,
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
    /// Streams and consumers that an older server would not run
    Downgrade(downgrade::Downgrade),
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

/// Who is asked, and how what they say is put in order.
pub(crate) struct Desk<'a> {
    pub(crate) source: Source<'a>,
    among: Among,
    pub(crate) is_reversed: bool,
}

impl Desk<'_> {
    /// Asks the servers in scope. `limit` is how many answers to wait for; without it all known servers are.
    pub(crate) async fn ask(&self, what: &str, body: Value, limit: Option<usize>) -> Result<Vec<Value>> {
        let body = match body {
            Value::Object(body) => body,
            _ => Map::new(),
        };
        self.source.ask(what, body, &self.among, limit).await
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
    fn among(&self) -> Among {
        Among { name: None, host: self.host.clone(), cluster: self.cluster.clone(), tags: self.tags.clone() }
    }
}

impl Report {
    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<()> {
        let stop = interrupted();
        let source = Source::open(invocation, self.from.archive.as_deref()).await?;
        let desk = Desk { source, among: self.scope.among(), is_reversed: self.reverse };
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
            Kind::Downgrade(report) => report.run(desk).await,
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
