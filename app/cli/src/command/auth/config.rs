//! `nats auth config`: the part of a server's configuration that trusts an operator.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use crate::command::auth::desk::Desk;
use crate::failure::advise;
use crate::show::{out, outln};
use crate::vault::{Place, write_new};

/// How servers come by accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Resolver {
    /// A directory that holds all accounts
    Full,
    /// A directory that holds the accounts in use
    Cache,
    /// This configuration
    Memory,
}

/// Write the part of a server's configuration that trusts an operator
#[derive(Args, Debug)]
pub(crate) struct Config {
    /// Operator to trust
    operator: Option<String>,
    /// How servers come by accounts
    #[arg(long, value_enum, default_value_t = Resolver::Full)]
    resolver: Resolver,
    /// Directory of the servers for accounts
    #[arg(long, value_name = "DIR", default_value = "./jwt")]
    resolver_dir: PathBuf,
    /// Put all accounts into the configuration, not the system account alone
    #[arg(long)]
    preload_all: bool,
    /// File to write
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Overwrite an existing file
    #[arg(long, short = 'f')]
    force: bool,
}

impl Config {
    pub(crate) fn run(self, desk: &Desk<'_>) -> Result<()> {
        let operator = desk.operator(self.operator.as_deref())?;
        let text = text(desk, &operator, self.resolver, &self.resolver_dir, self.preload_all)?;
        match &self.output {
            None => out!("{text}"),
            Some(path) => {
                write_new(path, text.as_bytes(), self.force)?;
                outln!(
                    "Wrote {}; include it in the server's configuration with: include {:?}",
                    path.display(),
                    path.display().to_string()
                );
            }
        }
        Ok(())
    }
}

/// The configuration's text. The system account is preloaded, because nobody could push without it; a directory keeps what
/// is newer than what is preloaded.
pub(crate) fn text(
    desk: &Desk<'_>,
    operator: &str,
    resolver: Resolver,
    folder: &Path,
    is_whole: bool,
) -> Result<String> {
    let library = &desk.vault.library;
    let claims = library.operator(operator)?;
    let system = claims.system_account.ok_or_else(|| {
        advise(
            format!("operator {operator} has no system account"),
            "make one and name it: nats auth account add SYSTEM; nats auth operator edit --system-account SYSTEM",
        )
    })?;
    let mut text = format!("# Operator {operator}.\noperator: {}\n", library.token(operator, &Place::Operator)?);
    let _ = writeln!(text, "# Account {}.\nsystem_account: {system}\n", desk.name_of(operator, &system));
    match resolver {
        Resolver::Memory => text.push_str("resolver: MEMORY\n"),
        Resolver::Full => {
            let _ = write!(
                text,
                "resolver {{\n  type: full\n  dir: {:?}\n  allow_delete: true\n  interval: \"2m\"\n  limit: 100000\n}}\n",
                folder.display().to_string()
            );
        }
        Resolver::Cache => {
            let _ = write!(
                text,
                "resolver {{\n  type: cache\n  dir: {:?}\n  ttl: \"1h\"\n}}\n",
                folder.display().to_string()
            );
        }
    }
    text.push_str("resolver_preload {\n");
    for account in library.accounts(operator)? {
        let subject = library.account(operator, &account)?.common.subject;
        if is_whole || resolver == Resolver::Memory || subject == system {
            let token = library.token(operator, &Place::Account(account.clone()))?;
            let _ = writeln!(text, "  # Account {account}.\n  {subject}: {token}");
        }
    }
    text.push_str("}\n");
    Ok(text)
}
