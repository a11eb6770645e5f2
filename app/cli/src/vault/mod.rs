//! What `nats auth` keeps: the tokens of operators, accounts and users, and the keys that sign them.
//!
//! Tokens lie where `nsc` keeps them, in the same layout, so that both tools see the same operators. Keys lie beside them,
//! sealed under a passphrase; a directory of bare seeds, as `nsc` makes it, is used as it is until somebody seals it.
//!
//! The parts: [`Library`] (tokens by name), [`KeyStore`] (seeds by public key), [`Vault`] (both, and who is selected).

mod backup;
mod files;
mod keystore;
mod library;
mod passphrase;
mod sealing;
mod selected;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use nkeys::{KeyPair, Role};
use secret::Secret;

pub(crate) use backup::Backup;
pub(crate) use files::{read_bounded, write_new};
pub(crate) use keystore::{Form, KeyStore};
pub(crate) use library::{Library, Place, check_name};
pub(crate) use passphrase::Source;
pub(crate) use selected::{select, selected};

/// Tokens and keys of one person.
pub(crate) struct Vault {
    pub(crate) library: Library,
    pub(crate) keys: KeyStore,
}

/// How the vault was asked for on the command line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Another directory than the usual one.
    pub(crate) root: Option<PathBuf>,
    /// A new store of keys shall be bare seeds, as `nsc` keeps them.
    pub(crate) plain: bool,
    /// Where the passphrase is.
    pub(crate) source: Source,
}

impl Vault {
    /// Opens the vault; nothing is created before something is written.
    pub(crate) fn open(options: &Options) -> Result<Self> {
        let root = match &options.root {
            Some(root) => root.clone(),
            None => usual_root()?,
        };
        Ok(Self {
            library: Library::at(root.join("stores")),
            keys: KeyStore::at(root.join("keys"), options.plain, options.source.clone()),
        })
    }
}

/// `$XDG_DATA_HOME/nats/nsc`, or `~/.local/share/nats/nsc`.
fn usual_root() -> Result<PathBuf> {
    let data = match std::env::var_os("XDG_DATA_HOME").filter(|root| !root.is_empty()) {
        Some(root) => PathBuf::from(root),
        None => std::env::home_dir().context("cannot determine the home directory")?.join(".local").join("share"),
    };
    Ok(data.join("nats").join("nsc"))
}

/// A fresh key, from the operating system's randomness.
pub(crate) fn fresh_key(role: Role) -> Result<KeyPair> {
    Ok(KeyPair::from_raw_seed(role, Secret::new(random_bytes()?)))
}

pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness from the operating system: {error}"))?;
    Ok(bytes)
}
