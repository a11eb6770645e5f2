//! `nats account`: the account we are in.

mod backup;
mod info;
mod report;
mod restore;
mod tls;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::command::api::Api;
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
    /// Write all streams to a directory
    #[command(visible_alias = "snapshot")]
    Backup(backup::Backup),
    /// Who we are, where we are connected, and what we may use
    #[command(visible_alias = "nfo")]
    Info,
    /// Show tables over the connections of the account
    #[command(visible_alias = "rep")]
    Report(report::Report),
    /// Read all streams from a directory
    Restore(restore::Restore),
    /// Show the TLS certificates of the server
    Tls(tls::Tls),
}

impl Account {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<()> {
        match self.command {
            Command::Backup(command) => command.run(&Api::open(invocation).await?).await,
            Command::Restore(command) => command.run(&Api::open(invocation).await?).await,
            Command::Info => info::run(invocation).await,
            Command::Report(command) => command.run(invocation).await,
            Command::Tls(command) => command.run(invocation).await,
        }
    }
}
