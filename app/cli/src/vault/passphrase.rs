//! Where the passphrase of the keystore comes from: a file, the environment, or a person.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use secret::Secret;

use crate::failure::advise;
use crate::show::is_interactive;
use crate::vault::files::read_bounded;

const VARIABLE: &str = "NATS_AUTH_PASSPHRASE";
const FILE_VARIABLE: &str = "NATS_AUTH_PASSPHRASE_FILE";
const MAX_PASSPHRASE_BYTES: u64 = 4096;
const LEAST_CHARS: usize = 8;
const HINT: &str = "set NATS_AUTH_PASSPHRASE, name a file with --passphrase-file or NATS_AUTH_PASSPHRASE_FILE, \
                    or run the command at a terminal";

/// Where to look first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source {
    /// `--passphrase-file`.
    pub(crate) file: Option<PathBuf>,
}

impl Source {
    /// The passphrase of a store that is there.
    pub(crate) fn passphrase(&self) -> Result<Secret<String>> {
        match self.given()? {
            Some(given) => Ok(given),
            None => prompt("Passphrase of the keystore"),
        }
    }

    /// The passphrase for a new lock: a person types it twice.
    pub(crate) fn new_passphrase(&self) -> Result<Secret<String>> {
        let chosen = match self.given()? {
            Some(given) => given,
            None => {
                let first = prompt("New passphrase for the keystore")?;
                if first != prompt("The same passphrase again")? {
                    bail!("the two passphrases differ");
                }
                first
            }
        };
        if chosen.expose().chars().count() < LEAST_CHARS {
            bail!("the passphrase must have at least {LEAST_CHARS} characters");
        }
        Ok(chosen)
    }

    fn given(&self) -> Result<Option<Secret<String>>> {
        if let Some(path) = &self.file {
            return from_file(path).map(Some);
        }
        if let Some(value) = std::env::var(VARIABLE).ok().filter(|value| !value.is_empty()) {
            return Ok(Some(Secret::new(value)));
        }
        match std::env::var_os(FILE_VARIABLE).filter(|path| !path.is_empty()) {
            Some(path) => from_file(Path::new(&path)).map(Some),
            None => Ok(None),
        }
    }
}

fn from_file(path: &Path) -> Result<Secret<String>> {
    let bytes = Secret::new(read_bounded(path, MAX_PASSPHRASE_BYTES)?);
    let text = std::str::from_utf8(bytes.expose()).map_err(|_| anyhow::anyhow!("{} is not text", path.display()))?;
    let line = text.trim_end_matches(['\r', '\n']);
    if line.is_empty() {
        bail!("{} holds no passphrase", path.display());
    }
    Ok(Secret::new(line.to_owned()))
}

fn prompt(question: &str) -> Result<Secret<String>> {
    if !is_interactive() {
        return Err(advise("the keystore is sealed and no passphrase was given", HINT));
    }
    let terminal = console::Term::stderr();
    terminal.write_str(&format!("? {question}: "))?;
    Ok(Secret::new(terminal.read_secure_line()?))
}
