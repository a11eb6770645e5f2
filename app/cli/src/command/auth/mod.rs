//! `nats auth`: operators, accounts, users and their keys.
//!
//! One command does what one intent needs: it changes the claims, signs them, keeps them, brings them to the servers,
//! waits for these and shows what changed. `--dry-run` shows the same and does nothing; `--sign-request` writes what has to be
//! signed into a file, for a key that lives on another machine.

mod account;
mod claims;
mod config;
mod desk;
mod doctor;
mod explain;
mod init;
mod keystore;
mod live;
mod nkey;
mod offline;
mod operator;
mod plan;
mod show;
mod user;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::command::auth::desk::Desk;
use crate::invocation::Invocation;
use crate::vault::{Options, Source};

/// Look after operators, accounts, users and their keys
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Auth {
    #[command(flatten)]
    place: PlaceArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Keystore")]
struct PlaceArgs {
    /// Operator to act on
    #[arg(long, global = true, id = "auth-operator", value_name = "OPERATOR")]
    operator: Option<String>,
    /// Directory of tokens and keys, instead of ~/.local/share/nats/nsc
    #[arg(long, global = true, id = "auth-store", value_name = "DIR")]
    store: Option<PathBuf>,
    /// File with the passphrase of the keystore; also NATS_AUTH_PASSPHRASE and NATS_AUTH_PASSPHRASE_FILE
    #[arg(long, global = true, id = "auth-passphrase", value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Make a new keystore of bare seeds, as nsc does
    #[arg(long, global = true, id = "auth-plain")]
    plain_keys: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an operator, a system account, an account, a user and a server configuration in one step
    Init(init::Init),
    /// Manage NATS Operators
    #[command(visible_aliases = ["o", "op"])]
    Operator(operator::Operators),
    /// Manage NATS Accounts
    #[command(visible_aliases = ["a", "acct", "act"])]
    Account(account::Accounts),
    /// Manage Account Users
    #[command(visible_aliases = ["u", "usr", "users"])]
    User(user::Users),
    /// Create and Use NKeys
    #[command(visible_alias = "nk")]
    Nkey(nkey::NKeys),
    /// Seal, open, import and look at the store of keys
    #[command(visible_alias = "ks")]
    Keystore(keystore::Keystore),
    /// Write the part of a server's configuration that trusts an operator
    Config(config::Config),
    /// Check the whole chain: keys, claims, clocks, servers
    Doctor(doctor::Doctor),
    /// What somebody may do on the running servers, and which rule decides
    Explain(explain::Explain),
    /// Sign a request that another machine wrote
    Sign(offline::Sign),
    /// Take over what another machine signed, and push it
    Apply(offline::Apply),
}

impl Auth {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<()> {
        if let Command::Explain(command) = self.command {
            // It asks servers and needs no keys.
            return command.run(invocation).await;
        }
        let options = Options {
            root: self.place.store,
            plain: self.place.plain_keys,
            source: Source { file: self.place.passphrase_file },
        };
        let desk = Desk::open(invocation, &options, self.place.operator)?;
        match self.command {
            Command::Init(command) => command.run(&desk).await,
            Command::Operator(command) => command.run(&desk).await,
            Command::Account(command) => command.run(&desk).await,
            Command::User(command) => command.run(&desk).await,
            Command::Nkey(command) => command.run(),
            Command::Keystore(command) => command.run(&desk),
            Command::Config(command) => command.run(&desk),
            Command::Doctor(command) => command.run(&desk).await,
            Command::Explain(command) => command.run(invocation).await,
            Command::Sign(command) => command.run(&desk),
            Command::Apply(command) => command.run(&desk).await,
        }
    }
}
