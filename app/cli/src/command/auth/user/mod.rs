//! `nats auth user`.

mod creds;
mod edit;
mod end;
mod list;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::command::auth::desk::Desk;

pub(crate) use creds::write as write_creds;

/// Manage Account Users
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Users {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Adds a new User
    #[command(visible_aliases = ["create", "new"])]
    Add(edit::Add),
    /// Show User information
    #[command(visible_aliases = ["i", "show", "view"])]
    Info(list::Info),
    /// Edits User settings
    #[command(visible_alias = "update")]
    Edit(edit::Edit),
    /// List users
    Ls(list::Ls),
    /// Removes an user
    Rm(end::Rm),
    /// Makes void what was issued for a user, and closes its connections
    Revoke(end::Revoke),
    /// Gives a user a new key, and makes the old one void
    Rotate(end::Rotate),
    /// Ends a user after a time
    Expire(end::Expire),
    /// Creates a credential file for a user
    #[command(visible_aliases = ["cred", "creds"])]
    Credential(creds::Credential),
    /// Takes over a user from a credential file
    Import(creds::Import),
}

impl Users {
    pub(crate) async fn run(self, desk: &Desk<'_>) -> Result<()> {
        match self.command {
            Command::Add(command) => command.run(desk).await,
            Command::Info(command) => command.run(desk),
            Command::Edit(command) => command.run(desk).await,
            Command::Ls(command) => command.run(desk),
            Command::Rm(command) => command.run(desk).await,
            Command::Revoke(command) => command.run(desk).await,
            Command::Rotate(command) => command.run(desk).await,
            Command::Expire(command) => command.run(desk).await,
            Command::Credential(command) => command.run(desk),
            Command::Import(command) => command.run(desk),
        }
    }
}
