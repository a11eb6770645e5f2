//! `nats auth account revocations`: users that are void, whoever holds their credentials.

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use jwt::Revoked;
use nkeys::{PublicKey, Role};

use crate::command::auth::desk::{Chosen, Desk, now};
use crate::command::auth::plan::Publishing;
use crate::command::auth::show::moment;
use crate::parse::point_in_time;
use crate::show::{Table, cells, outln, print_json};

/// Manage Users that are void
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Revocations {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes void what was issued for a user up to now
    #[command(visible_alias = "new")]
    Add(Add),
    /// List what is void
    #[command(visible_alias = "list")]
    Ls(Ls),
    /// Takes a revocation back
    Rm(Rm),
    /// Drops entries that the one for everybody makes superfluous
    Compact(Compact),
}

#[derive(Args, Debug)]
struct Add {
    /// A user's name or public key, or * for everybody
    user: String,
    /// Account to act on
    account: Option<String>,
    /// Credentials issued up to this point in time are void
    #[arg(long, value_parser = point_in_time, value_name = "TIME")]
    at: Option<jiff::Timestamp>,
    #[command(flatten)]
    publishing: Publishing,
}

#[derive(Args, Debug)]
struct Ls {
    /// Account to act on
    account: Option<String>,
    /// Produce JSON output
    #[arg(long, short = 'j')]
    json: bool,
}

#[derive(Args, Debug)]
struct Rm {
    /// A user's name or public key, or * for everybody
    user: String,
    /// Account to act on
    account: Option<String>,
    #[command(flatten)]
    publishing: Publishing,
}

#[derive(Args, Debug)]
struct Compact {
    /// Account to act on
    account: Option<String>,
    #[command(flatten)]
    publishing: Publishing,
}

/// A user by name or public key, or everybody.
fn whom(desk: &Desk<'_>, chosen: &Chosen, named: &str) -> Result<Revoked> {
    if named == "*" {
        return Ok(Revoked::All);
    }
    if let Ok(key) = PublicKey::parse_as(Role::User, named) {
        return Ok(Revoked::Key(key));
    }
    let user =
        desk.vault.library.user(&chosen.operator, &chosen.account, named).context("neither a user nor a public key")?;
    Ok(Revoked::Key(user.common.subject))
}

impl Revocations {
    pub(crate) async fn run(self, desk: &Desk<'_>) -> Result<()> {
        match self.command {
            Command::Add(command) => command.run(desk).await,
            Command::Ls(command) => command.run(desk),
            Command::Rm(command) => command.run(desk).await,
            Command::Compact(command) => command.run(desk).await,
        }
    }
}

async fn commit(desk: &Desk<'_>, chosen: Chosen, publishing: &Publishing) -> Result<()> {
    chosen.keep(desk, publishing).await.map(drop)
}

impl Add {
    async fn run(self, desk: &Desk<'_>) -> Result<()> {
        let mut chosen = desk.account(None, self.account.as_deref())?;
        let whom = whom(desk, &chosen, &self.user)?;
        let until = self.at.map_or_else(now, jiff::Timestamp::as_second);
        if until > now() {
            bail!("a revocation hits what was issued, and nothing was issued after now");
        }
        chosen.claims.revocations.revoke(whom, until);
        commit(desk, chosen, &self.publishing).await
    }
}

impl Ls {
    fn run(self, desk: &Desk<'_>) -> Result<()> {
        let chosen = desk.account(None, self.account.as_deref())?;
        let library = &desk.vault.library;
        let mut names = std::collections::HashMap::new();
        for user in library.users(&chosen.operator, &chosen.account)? {
            names.insert(library.user(&chosen.operator, &chosen.account, &user)?.common.subject, user);
        }
        let key = |who: &Revoked| match who {
            Revoked::All => "*".to_owned(),
            Revoked::Key(key) => key.to_string(),
        };
        if self.json {
            let map: serde_json::Map<_, _> =
                chosen.claims.revocations.iter().map(|(who, at)| (key(who), at.into())).collect();
            return print_json(&map);
        }
        if chosen.claims.revocations.is_empty() {
            outln!("No revocations found");
            return Ok(());
        }
        let mut table =
            Table::new(format!("Revocations of account {}", chosen.account), &["User", "Public Key", "Issued Until"]);
        for (who, at) in chosen.claims.revocations.iter() {
            let name = match who {
                Revoked::All => "everybody".to_owned(),
                Revoked::Key(key) => names.get(key).cloned().unwrap_or_default(),
            };
            table.row(cells![name, key(who), moment(at)]);
        }
        table.print();
        Ok(())
    }
}

impl Rm {
    async fn run(self, desk: &Desk<'_>) -> Result<()> {
        let mut chosen = desk.account(None, self.account.as_deref())?;
        let whom = whom(desk, &chosen, &self.user)?;
        if chosen.claims.revocations.clear(whom).is_none() {
            bail!("{} is not revoked", self.user);
        }
        commit(desk, chosen, &self.publishing).await
    }
}

impl Compact {
    async fn run(self, desk: &Desk<'_>) -> Result<()> {
        let mut chosen = desk.account(None, self.account.as_deref())?;
        if chosen.claims.revocations.compact().is_empty() {
            outln!("Nothing is superfluous");
            return Ok(());
        }
        commit(desk, chosen, &self.publishing).await
    }
}
