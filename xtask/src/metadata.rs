//! What cargo knows of the workspace: packages, their licences, and who uses whom.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::Failure;
use crate::shell;

/// A package of the lock file that this machine would build.
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) licence: String,
    pub(crate) source: String,
}

/// A room: its short name and what it uses outside tests.
pub(crate) struct Room {
    pub(crate) name: String,
    pub(crate) uses: BTreeSet<String>,
    /// Uses of guest crates outside tests.
    pub(crate) guests: BTreeSet<String>,
}

pub(crate) struct Metadata(Value);

impl Metadata {
    pub(crate) fn read() -> Result<Self, Failure> {
        let arguments = ["metadata", "--format-version", "1", "--locked"];
        let text = shell::read(Command::new(shell::cargo_program()).args(arguments).current_dir(shell::root()))?;
        serde_json::from_str(&text).map(Self).map_err(|error| error.to_string())
    }

    fn list(&self, name: &str) -> impl Iterator<Item = &Value> {
        self.0[name].as_array().into_iter().flatten()
    }

    fn members(&self) -> BTreeSet<&str> {
        self.list("workspace_members").filter_map(Value::as_str).collect()
    }

    /// All packages that are not ours.
    pub(crate) fn guests(&self) -> Vec<Package> {
        let members = self.members();
        self.list("packages").filter(|package| !members.contains(text(package, "id"))).map(package).collect()
    }

    fn guest(&self, name: &str) -> Result<&Value, Failure> {
        self.list("packages").find(|package| text(package, "name") == name).ok_or(format!("no package {name}"))
    }

    /// Which version of a package is used.
    pub(crate) fn version(&self, name: &str) -> Result<String, Failure> {
        Ok(text(self.guest(name)?, "version").to_owned())
    }

    /// Where the source of a package lies.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf, Failure> {
        let manifest = PathBuf::from(text(self.guest(name)?, "manifest_path"));
        manifest.parent().map(PathBuf::from).ok_or(format!("{name} lies nowhere"))
    }

    /// All rooms with their uses outside tests, by short names.
    pub(crate) fn rooms(&self) -> Vec<Room> {
        let members = self.members();
        let ours = self.list("packages").filter(|package| members.contains(text(package, "id")));
        let ours: Vec<&Value> = ours.collect();
        let short: BTreeMap<&str, String> =
            ours.iter().map(|package| (text(package, "name"), short_name(text(package, "name")))).collect();
        ours.iter().map(|package| room(package, &short)).collect()
    }
}

fn room(package: &Value, short: &BTreeMap<&str, String>) -> Room {
    let dependencies = package["dependencies"].as_array().into_iter().flatten();
    let used = dependencies.filter(|dependency| dependency["kind"].as_str() != Some("dev"));
    let used: Vec<&str> = used.map(|dependency| text(dependency, "name")).collect();
    Room {
        name: short_name(text(package, "name")),
        uses: used.iter().filter_map(|name| short.get(name).cloned()).collect(),
        guests: used.iter().filter(|name| !short.contains_key(*name)).map(|name| (*name).to_owned()).collect(),
    }
}

/// `bulwark-wire` is `wire`.
fn short_name(name: &str) -> String {
    name.strip_prefix("bulwark-").unwrap_or(name).to_owned()
}

fn package(value: &Value) -> Package {
    Package {
        name: text(value, "name").to_owned(),
        version: text(value, "version").to_owned(),
        licence: text(value, "license").to_owned(),
        source: text(value, "source").to_owned(),
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}
