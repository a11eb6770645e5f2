//! `nats server`: looking after servers.

mod check;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::invocation::Invocation;

/// Look after servers
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Server {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check the health of servers, for monitoring systems
    Check(check::Check),
}

impl Server {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<()> {
        match self.command {
            Command::Check(command) => command.run(invocation).await,
        }
    }
}
