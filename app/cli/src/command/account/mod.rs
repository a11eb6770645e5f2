//! `nats account`: the account we are in.

mod info;
mod report;
mod tls;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::invocation::Invocation;

/// Show the account we are in
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Account {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Who we are, where we are connected, and what we may use
    #[command(visible_alias = "nfo")]
    Info,
    /// Show tables over the connections of the account
    #[command(visible_alias = "rep")]
    Report(report::Report),
    /// Show the TLS certificates of the server
    Tls(tls::Tls),
}

impl Account {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<()> {
        match self.command {
            Command::Info => info::run(invocation).await,
            Command::Report(command) => command.run(invocation).await,
            Command::Tls(command) => command.run(invocation).await,
        }
    }
}
