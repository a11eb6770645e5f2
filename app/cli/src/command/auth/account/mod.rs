//! `nats auth account`.

mod activation;
mod exports;
mod imports;
mod keys;
mod limits;
mod mapping_file;
mod mappings;
mod push;
mod revocations;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::command::auth::desk::Desk;
use crate::command::auth::show;
use crate::show::{Table, cells, outln, print_json};

pub(crate) use keys::RightsArgs;
pub(crate) use limits::after;

/// Manage NATS Accounts
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Accounts {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Adds a new Account
    #[command(visible_aliases = ["create", "new"])]
    Add(limits::Add),
    /// Show Account information
    #[command(visible_aliases = ["show", "view"])]
    Info(Info),
    /// Edit Account settings
    #[command(visible_alias = "update")]
    Edit(limits::Edit),
    /// List Accounts
    Ls(Ls),
    /// Refuses all connections of an Account; edit --connections takes it back
    Suspend(limits::Suspend),
    /// Ends an Account after a time
    Expire(limits::Expire),
    /// Removes an Account here and from the NATS Resolver
    Rm(push::Rm),
    /// Push the Account to the NATS Resolver
    Push(push::Push),
    /// Pull the Account from the NATS Resolver and view it
    #[command(visible_alias = "pull")]
    Query(push::Query),
    /// Manage account Imports
    #[command(visible_aliases = ["i", "imp", "import"])]
    Imports(imports::Imports),
    /// Manage account Exports
    #[command(visible_aliases = ["e", "exp", "export"])]
    Exports(exports::Exports),
    /// Manage Scoped Signing Keys
    #[command(visible_aliases = ["sk", "s"])]
    Keys(keys::Keys),
    /// Manage account level subject mapping and partitioning
    #[command(visible_aliases = ["m", "mapping", "map"])]
    Mappings(mappings::Mappings),
    /// Manage Users that are void
    #[command(visible_alias = "rev")]
    Revocations(revocations::Revocations),
}

#[derive(Args, Debug)]
struct Info {
    /// Account to view
    account: Option<String>,
    /// Produce JSON output
    #[arg(long, short = 'j')]
    json: bool,
}

#[derive(Args, Debug)]
struct Ls {
    /// Operator to act on
    operator: Option<String>,
    /// Show just the Account names
    #[arg(long)]
    names: bool,
    /// Produce JSON output
    #[arg(long, short = 'j')]
    json: bool,
}

impl Accounts {
    pub(crate) async fn run(self, desk: &Desk<'_>) -> Result<()> {
        match self.command {
            Command::Add(command) => command.run(desk).await,
            Command::Info(command) => command.run(desk),
            Command::Edit(command) => command.run(desk).await,
            Command::Ls(command) => command.run(desk),
            Command::Suspend(command) => command.run(desk).await,
            Command::Expire(command) => command.run(desk).await,
            Command::Rm(command) => command.run(desk).await,
            Command::Push(command) => command.run(desk).await,
            Command::Query(command) => command.run(desk).await,
            Command::Imports(command) => command.run(desk).await,
            Command::Exports(command) => command.run(desk).await,
            Command::Keys(command) => command.run(desk).await,
            Command::Mappings(command) => command.run(desk).await,
            Command::Revocations(command) => command.run(desk).await,
        }
    }
}

/// Shows an account as it is kept.
fn print(desk: &Desk<'_>, operator: &str, account: &str) -> Result<()> {
    let claims = desk.vault.library.account(operator, account)?;
    show::account(desk, operator, account, &claims)?.print();
    Ok(())
}

impl Info {
    fn run(self, desk: &Desk<'_>) -> Result<()> {
        let chosen = desk.account(None, self.account.as_deref())?;
        if self.json {
            return print_json(&chosen.claims.to_json());
        }
        print(desk, &chosen.operator, &chosen.account)
    }
}

impl Ls {
    fn run(self, desk: &Desk<'_>) -> Result<()> {
        let operator = desk.operator(self.operator.as_deref())?;
        let names = desk.vault.library.accounts(&operator)?;
        if self.json {
            return print_json(&names);
        }
        if names.is_empty() {
            outln!("No Accounts found");
            return Ok(());
        }
        if self.names {
            names.iter().for_each(|name| outln!("{name}"));
            return Ok(());
        }
        let system = desk.vault.library.operator(&operator)?.system_account;
        let mut table = Table::new("Accounts", &["Name", "Subject", "Users", "JetStream", "System"]);
        for name in names {
            let claims = desk.vault.library.account(&operator, &name)?;
            let users = desk.vault.library.users(&operator, &name)?.len() as u64;
            let mark = |is_so: bool| if is_so { "true" } else { "" };
            let (js, sys) = (mark(show::has_jetstream(&claims)), mark(system == Some(claims.common.subject)));
            table.row(cells![name, claims.common.subject.to_string(), users, js, sys]);
        }
        table.print();
        Ok(())
    }
}
