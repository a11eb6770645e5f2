//! Commands that are programs of their own: `nats shop` is `nats-shop`, when there is one in PATH.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use clap::error::ErrorKind;

/// A program and what it is called with.
pub(crate) struct External {
    program: PathBuf,
    args: Vec<OsString>,
}

impl External {
    /// The program for what was typed. Only the first word can be the name of one, so flags stand behind it.
    pub(crate) fn find(error: &clap::Error, args: &[OsString]) -> Option<Self> {
        if error.kind() != ErrorKind::InvalidSubcommand {
            return None;
        }
        let name = args.get(1)?.to_str().filter(|name| is_name(name))?;
        let program = in_path(&format!("nats-{name}"), &std::env::var_os("PATH")?)?;
        Some(Self { program, args: args.get(2..)?.to_vec() })
    }

    /// Runs it in place of this program, with the same environment; gives its code.
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let status = Command::new(&self.program)
            .args(&self.args)
            .status()
            .with_context(|| format!("could not run {}", self.program.display()))?;
        Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
    }
}

/// Small letters, digits and dashes: nothing that leads out of the folders of PATH.
fn is_name(name: &str) -> bool {
    !name.starts_with('-')
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn in_path(program: &str, path: &OsString) -> Option<PathBuf> {
    std::env::split_paths(path).map(|folder| folder.join(program)).find(|file| may_run(file))
}

#[cfg(unix)]
fn may_run(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn may_run(file: &Path) -> bool {
    file.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_words_are_names_of_programs() {
        assert!(is_name("shop") && is_name("shop-2"));
        assert!(!is_name("../shop") && !is_name("-x") && !is_name("") && !is_name("a/b"));
    }
}
