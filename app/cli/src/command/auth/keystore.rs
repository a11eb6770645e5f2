//! `nats auth keystore`: how seeds are kept.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};

use crate::command::auth::desk::Desk;
use crate::command::auth::nkey;
use crate::command::confirmed::confirmed;
use crate::show::{Columns, outln, print_json};
use crate::vault::{Form, KeyStore, Library, Place, Source};

/// Seal, open, import and look at the store of keys
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Keystore {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Where the keystore is, and how it is kept
    #[command(visible_alias = "show")]
    Info(Info),
    /// List the public keys whose seeds are here
    Ls,
    /// Seal all seeds under a passphrase
    Seal,
    /// Lay all seeds bare, as nsc needs them
    Unseal(Unseal),
    /// Put another passphrase around the keystore
    Passphrase(Passphrase),
    /// Keep keys from files: seeds or credentials
    Add(Add),
    /// Take over operators and keys from a store of nsc
    Import(Import),
}

#[derive(Args, Debug)]
struct Info {
    /// Produce JSON output
    #[arg(long, short = 'j')]
    json: bool,
}

#[derive(Args, Debug)]
struct Unseal {
    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
}

#[derive(Args, Debug)]
struct Passphrase {
    /// File with the new passphrase
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct Add {
    /// Files with seeds
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

#[derive(Args, Debug)]
struct Import {
    /// Directory of operators, such as ~/.nsc/nats
    stores: PathBuf,
    /// Directory of keys, such as ~/.nkeys
    keys: PathBuf,
}

impl Keystore {
    pub(crate) fn run(self, desk: &Desk<'_>) -> Result<()> {
        let keys = &desk.vault.keys;
        match self.command {
            Command::Info(command) => command.run(desk),
            Command::Ls => {
                keys.names()?
                    .iter()
                    .for_each(|(name, is_sealed)| outln!("{name}{}", if *is_sealed { "" } else { " (bare)" }));
                Ok(())
            }
            Command::Seal => {
                let count = keys.seal_all()?;
                outln!("Sealed {count} key(s) in {}", keys.root().display());
                Ok(())
            }
            Command::Unseal(command) => command.run(keys),
            Command::Passphrase(command) => {
                if keys.form()? != Form::Sealed {
                    bail!("the keystore is not sealed: seal it with nats auth keystore seal");
                }
                keys.change_passphrase(&Source { file: command.new_passphrase_file })?;
                outln!("The keystore has a new passphrase");
                Ok(())
            }
            Command::Add(command) => {
                for path in &command.files {
                    let pair = nkey::read_pair(path)?;
                    keys.put(&pair)?;
                    outln!("Kept {}", pair.public());
                }
                Ok(())
            }
            Command::Import(command) => command.run(desk),
        }
    }
}

impl Info {
    fn run(self, desk: &Desk<'_>) -> Result<()> {
        let keys = &desk.vault.keys;
        let (form, names) = (keys.form()?, keys.names()?);
        let bare = names.iter().filter(|(_, is_sealed)| !is_sealed).count() as u64;
        let word = match form {
            Form::New => "empty",
            Form::Plain => "bare seeds, as nsc keeps them",
            Form::Sealed => "sealed",
        };
        if self.json {
            return print_json(&serde_json::json!({
                "keys": keys.root(), "stores": desk.vault.library.root(), "form": format!("{form:?}").to_lowercase(),
                "seeds": names.len(), "bare": bare,
            }));
        }
        let mut page = Columns::new("Keystore");
        page.row("Tokens", desk.vault.library.root().display().to_string());
        page.row("Keys", keys.root().display().to_string()).row("Form", word);
        if form == Form::Sealed {
            page.row("Sealed By", format!("{}, ChaCha20-Poly1305", keys.cost()?));
        }
        page.row("Seeds", names.len() as u64).row("Bare Seeds", bare);
        page.print();
        if form == Form::Plain {
            outln!("\nWhoever reads these files has the keys: nats auth keystore seal puts them under a passphrase");
        }
        Ok(())
    }
}

impl Unseal {
    fn run(self, keys: &KeyStore) -> Result<()> {
        if !confirmed(self.force, "Really keep all seeds bare, readable by whoever reads the files")? {
            return Ok(());
        }
        let count = keys.unseal_all()?;
        outln!("Unsealed {count} key(s) in {}", keys.root().display());
        Ok(())
    }
}

impl Import {
    fn run(self, desk: &Desk<'_>) -> Result<()> {
        let from = Library::at(self.stores.clone());
        let keys = KeyStore::at(self.keys.clone(), true, Source::default());
        let operators = from.operators()?;
        if operators.is_empty() {
            bail!("no operators found in {}", self.stores.display());
        }
        if let Some(name) = operators.iter().find(|name| desk.vault.library.has(name, &Place::Operator)) {
            bail!("operator {name} already exist");
        }
        desk.vault.keys.prepare()?;
        for operator in &operators {
            let count = copy(desk, &from, operator)?;
            outln!("Took over operator {operator} with {count} token(s)");
        }
        let mut count = 0;
        for (name, _) in keys.names()? {
            // Curve keys and others that sign nothing stay where they are.
            let Ok(Some(pair)) = keys.get(&name) else { continue };
            desk.vault.keys.put(&pair)?;
            count += 1;
        }
        outln!("Took over {count} key(s); {} is as it was", shown(&self.keys));
        Ok(())
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Copies every token of an operator, byte for byte.
fn copy(desk: &Desk<'_>, from: &Library, operator: &str) -> Result<usize> {
    let mut places = vec![Place::Operator];
    for account in from.accounts(operator)? {
        let users = from.users(operator, &account)?;
        places.push(Place::Account(account.clone()));
        places.extend(users.into_iter().map(|user| Place::User(account.clone(), user)));
    }
    for place in &places {
        let token = from.token(operator, place).with_context(|| format!("{place} of operator {operator}"))?;
        desk.vault.library.put(operator, place, &token)?;
    }
    Ok(places.len())
}
