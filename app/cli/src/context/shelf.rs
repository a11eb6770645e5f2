//! The directory of contexts: `nats/context/NAME.json`, and `nats/context.txt` with the name of the selected one.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::context::Record;

/// The largest context file that is read.
const MAX_RECORD_BYTES: u64 = 4 << 20;

/// Where contexts are kept.
pub(crate) struct Shelf {
    root: PathBuf,
}

/// A name is one part of a path and nothing else.
pub(crate) fn check_name(name: &str) -> Result<()> {
    if name.is_empty() {
        bail!("invalid context name: name is empty");
    }
    if name.contains("..") {
        bail!("invalid context name: {name:?} must not contain \"..\"");
    }
    if name.contains(['/', '\\']) {
        bail!("invalid context name: {name:?} must not contain \"/\" or \"\\\"");
    }
    Ok(())
}

impl Shelf {
    /// `$XDG_CONFIG_HOME`, or `~/.config`.
    pub(crate) fn open() -> Result<Self> {
        let root = match std::env::var_os("XDG_CONFIG_HOME").filter(|root| !root.is_empty()) {
            Some(root) => PathBuf::from(root),
            None => std::env::home_dir().context("cannot determine the home directory")?.join(".config"),
        };
        Ok(Self::at(&root))
    }

    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.join("nats") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join("context").join(format!("{name}.json"))
    }

    /// The names of all contexts, sorted.
    pub(crate) fn names(&self) -> Result<Vec<String>> {
        let folder = match std::fs::read_dir(self.root.join("context")) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            folder => folder?,
        };
        let mut names: Vec<String> = folder
            .filter_map(Result::ok)
            .filter(|entry| entry.metadata().is_ok_and(|about| about.is_file() && about.len() > 0))
            .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".json").map(str::to_owned))
            .filter(|name| check_name(name).is_ok())
            .collect();
        names.sort();
        Ok(names)
    }

    pub(crate) fn knows(&self, name: &str) -> bool {
        check_name(name).is_ok() && self.path(name).is_file()
    }

    pub(crate) fn load(&self, name: &str) -> Result<Record> {
        check_name(name)?;
        if !self.path(name).is_file() {
            return Err(self.unknown(name));
        }
        read(&self.path(name), name)
    }

    fn unknown(&self, name: &str) -> anyhow::Error {
        let known = self.names().unwrap_or_default();
        let advice = match known.as_slice() {
            [] => "there are no contexts yet; make one with: nats context add NAME --server URL".to_owned(),
            known => format!("known contexts: {}", known.join(", ")),
        };
        crate::failure::advise(format!("context not found: {name:?}"), advice)
    }

    pub(crate) fn save(&self, name: &str, record: &Record) -> Result<()> {
        check_name(name)?;
        if record.ways_to_log_in() > 1 {
            bail!("too many types of credentials. Choose only one from 'user/token', 'creds', 'nkey', 'nsc'");
        }
        let mut record = record.clone();
        record.name.clear();
        self.write(&self.path(name), &serde_json::to_vec_pretty(&record)?)
    }

    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        check_name(name)?;
        match std::fs::remove_file(self.path(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// The name of the selected context, also when its file is gone.
    pub(crate) fn selected(&self) -> Option<String> {
        one_line(&self.root.join("context.txt"))
    }

    pub(crate) fn previous(&self) -> Option<String> {
        one_line(&self.root.join("previous-context.txt"))
    }

    pub(crate) fn select(&self, name: &str) -> Result<()> {
        self.load(name)?;
        self.remember_previous()?;
        self.write(&self.root.join("context.txt"), name.as_bytes())
    }

    pub(crate) fn unselect(&self) -> Result<()> {
        self.remember_previous()?;
        match std::fs::remove_file(self.root.join("context.txt")) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn remember_previous(&self) -> Result<()> {
        match self.selected() {
            Some(name) => self.write(&self.root.join("previous-context.txt"), name.as_bytes()),
            None => Ok(()),
        }
    }

    /// Writes a file in one step, readable by its owner alone.
    fn write(&self, path: &Path, content: &[u8]) -> Result<()> {
        let folder = path.parent().ok_or_else(|| anyhow!("{} has no parent directory", path.display()))?;
        private_dir(folder)?;
        let fresh = path.with_extension(format!("tmp-{}", crate::template::random_letters(8)));
        let written = private_file(&fresh).and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()?;
            std::fs::rename(&fresh, path)
        });
        if written.is_err() {
            let _ = std::fs::remove_file(&fresh);
        }
        written.with_context(|| format!("could not write {}", path.display()))
    }
}

/// Reads a context from a file of any name.
pub(crate) fn read(path: &Path, name: &str) -> Result<Record> {
    let about = std::fs::metadata(path).with_context(|| format!("could not read context {name:?}"))?;
    if about.len() > MAX_RECORD_BYTES {
        bail!("context {name:?} is larger than {MAX_RECORD_BYTES} bytes");
    }
    let content = std::fs::read(path).with_context(|| format!("could not read context {name:?}"))?;
    let mut record: Record = serde_json::from_slice(&content)
        .map_err(|error| anyhow!("context {name:?} in {} is not valid: {error}", path.display()))?;
    name.clone_into(&mut record.name);
    Ok(record)
}

fn one_line(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

fn private_dir(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn private_file(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shelf() -> (tempfile::TempDir, Shelf) {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::at(folder.path());
        (folder, shelf)
    }

    #[test]
    fn a_saved_context_is_found_again_and_private() {
        let (_folder, shelf) = shelf();
        shelf.save("dev", &Record { url: "nats://a:1".into(), ..Record::default() }).unwrap();
        assert_eq!(shelf.names().unwrap(), ["dev"]);
        assert_eq!(shelf.load("dev").unwrap().url, "nats://a:1");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(shelf.path("dev")).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn selecting_remembers_the_one_before() {
        let (_folder, shelf) = shelf();
        shelf.save("a", &Record::default()).unwrap();
        shelf.save("b", &Record::default()).unwrap();
        shelf.select("a").unwrap();
        shelf.select("b").unwrap();
        assert_eq!((shelf.selected().as_deref(), shelf.previous().as_deref()), (Some("b"), Some("a")));
        shelf.unselect().unwrap();
        assert_eq!(shelf.selected(), None);
    }

    #[test]
    fn names_cannot_leave_the_directory() {
        let (_folder, shelf) = shelf();
        for name in ["", "..", "../x", "a/b", "a\\b"] {
            assert!(shelf.save(name, &Record::default()).is_err(), "{name:?}");
            assert!(shelf.load(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn two_ways_to_log_in_are_refused() {
        let (_folder, shelf) = shelf();
        let both = Record { user: "u".into(), creds: "c".into(), ..Record::default() };
        assert!(shelf.save("x", &both).unwrap_err().to_string().starts_with("too many types of credentials"));
    }
}
