//! `nats context`: named connection settings in files.

mod add;
mod edit;
mod info;
mod ls;
mod select;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};

use crate::command::confirmed::confirmed;
use crate::context::Shelf;
use crate::invocation::Invocation;

/// Manage contexts: named sets of connection settings
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Contexts {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a context, or change one, from the connection flags
    #[command(visible_aliases = ["create", "save"])]
    Add(add::Add),
    /// Make a context from another one
    #[command(visible_alias = "cp")]
    Copy(add::Copy),
    /// Edit a context in $EDITOR
    #[command(visible_alias = "vi")]
    Edit(edit::Edit),
    /// List known contexts
    #[command(visible_aliases = ["list", "l"])]
    Ls(ls::Ls),
    /// Remove a context
    #[command(visible_alias = "remove")]
    Rm(Rm),
    /// Select the context that is used when none is named
    #[command(visible_aliases = ["switch", "set"])]
    Select(select::Select),
    /// Select no context
    Unselect,
    /// Select the context that was selected before
    #[command(visible_alias = "-")]
    Previous,
    /// Show a context
    #[command(visible_aliases = ["show", "v", "view"])]
    Info(info::Info),
    /// Check one context, or all
    Validate(info::Validate),
}

/// Remove a context
#[derive(Args, Debug)]
struct Rm {
    /// The context to remove
    name: String,
    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
}

impl Contexts {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<()> {
        let shelf = Shelf::open()?;
        match self.command {
            Command::Add(command) => command.run(invocation, &shelf).await,
            Command::Copy(command) => command.run(invocation, &shelf).await,
            Command::Edit(command) => command.run(invocation, &shelf).await,
            Command::Ls(command) => command.run(&shelf),
            Command::Rm(command) => command.run(&shelf),
            Command::Select(command) => command.run(invocation, &shelf).await,
            Command::Unselect => select::unselect(&shelf),
            Command::Previous => select::previous(invocation, &shelf).await,
            Command::Info(command) => command.run(invocation, &shelf).await,
            Command::Validate(command) => command.run(invocation, &shelf).await,
        }
    }
}

impl Rm {
    fn run(&self, shelf: &Shelf) -> Result<()> {
        let is_selected = shelf.selected().as_deref() == Some(&self.name);
        if is_selected && !self.force {
            bail!("cannot remove the selected context, select another one or use the unselect command");
        }
        if !confirmed(self.force, &format!("Really delete context {:?}", self.name))? {
            return Ok(());
        }
        if is_selected {
            shelf.unselect()?;
        }
        shelf.remove(&self.name)
    }
}
