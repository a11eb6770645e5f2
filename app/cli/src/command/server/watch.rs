//! `nats server watch`: other words for `nats top`.

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::command::top::{Look, Top};
use crate::invocation::Invocation;

/// Watch servers, accounts or JetStream; nats top shows more
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Watch {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    /// What accounts do
    #[command(visible_aliases = ["account", "acct"])]
    Accounts(Order),
    /// What JetStream does on each server
    #[command(visible_aliases = ["js", "jsz"])]
    Jetstream(Order),
    /// What servers do
    #[command(visible_aliases = ["server", "srv"])]
    Servers(Order),
}

/// In which order, and how much.
#[derive(Args, Debug)]
struct Order {
    /// Sort by the column of this name
    #[arg(long, value_name = "COLUMN")]
    sort: Option<String>,
    /// Show only the first so many; 0 shows all
    #[arg(long, short = 'n', default_value_t = 0, value_name = "ROWS")]
    number: usize,
}

impl Watch {
    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<()> {
        let (look, order) = match &self.kind {
            Kind::Accounts(order) => (Look::Accounts, order),
            Kind::Jetstream(order) => (Look::Jetstream, order),
            Kind::Servers(order) => (Look::Servers, order),
        };
        let rows = if order.number == 0 { usize::MAX } else { order.number };
        Top::at(look, order.sort.clone(), rows).run(invocation).await
    }
}
