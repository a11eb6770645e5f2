//! `nats audit`: an archive of what servers tell, and checks of it that need no server any more.

mod analyze;
mod checks;
mod gather;
mod report;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::invocation::Invocation;

/// Gather what servers tell into an archive, and check it
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Audit {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask all servers about everything and keep it in an archive
    #[command(visible_aliases = ["capture", "cap"])]
    Gather(gather::Gather),
    /// Check an archive
    Analyze(analyze::Analyze),
    /// List the checks
    #[command(visible_alias = "ls")]
    Checks(checks::Checks),
}

impl Audit {
    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<()> {
        match &self.command {
            Command::Gather(command) => command.run(invocation).await,
            Command::Analyze(command) => command.run(),
            Command::Checks(command) => command.run(),
        }
    }
}
