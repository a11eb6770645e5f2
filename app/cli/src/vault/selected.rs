//! Which operator is meant when none is named: `select_operator` in `~/.config/nats/config.json`.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value};

use crate::vault::files::{read_bounded, write_private};

const KEY: &str = "select_operator";
const MAX_CONFIG_BYTES: u64 = 1 << 20;

fn path() -> Result<PathBuf> {
    let root = match std::env::var_os("XDG_CONFIG_HOME").filter(|root| !root.is_empty()) {
        Some(root) => PathBuf::from(root),
        None => std::env::home_dir().context("cannot determine the home directory")?.join(".config"),
    };
    Ok(root.join("nats").join("config.json"))
}

fn read() -> Result<Map<String, Value>> {
    let path = path()?;
    if !path.exists() {
        return Ok(Map::new());
    }
    let content = read_bounded(&path, MAX_CONFIG_BYTES)?;
    serde_json::from_slice(&content).with_context(|| format!("could not parse {}", path.display()))
}

/// The name of the selected operator.
pub(crate) fn selected() -> Option<String> {
    let config = read().ok()?;
    config.get(KEY)?.as_str().filter(|name| !name.is_empty()).map(str::to_owned)
}

/// Remembers an operator; what else stands in the file stays.
pub(crate) fn select(operator: &str) -> Result<()> {
    let mut config = read()?;
    config.insert(KEY.to_owned(), operator.into());
    write_private(&path()?, &serde_json::to_vec(&config)?)
}
