//! Seeds by public key, in the directory where `nsc` keeps them: `keys/O/AB/OAB….nk`, or `….nk.sealed`.

use std::cell::OnceCell;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use nkeys::KeyPair;
use secret::Secret;

use crate::failure::advise;
use crate::vault::files::{read_bounded, write_private};
use crate::vault::passphrase::Source;
use crate::vault::sealing::{DataKey, Lock};

const MAX_KEY_FILE_BYTES: u64 = 4096;
const MAX_LOCK_BYTES: u64 = 64 << 10;
const MAX_KEYS: usize = 1_000_000;
const PLAIN: &str = ".nk";
const SEALED: &str = ".nk.sealed";

/// How seeds lie there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Nothing is there yet.
    New,
    /// Bare seeds, as `nsc` keeps them.
    Plain,
    /// Sealed under a passphrase.
    Sealed,
}

/// A directory of keys.
pub(crate) struct KeyStore {
    root: PathBuf,
    prefers_plain: bool,
    source: Source,
    opened: OnceCell<DataKey>,
}

impl KeyStore {
    pub(crate) fn at(root: PathBuf, prefers_plain: bool, source: Source) -> Self {
        Self { root, prefers_plain, source, opened: OnceCell::new() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// How the seeds are kept.
    pub(crate) fn form(&self) -> Result<Form> {
        if self.lock_path().is_file() {
            return Ok(Form::Sealed);
        }
        Ok(if self.names()?.is_empty() { Form::New } else { Form::Plain })
    }

    /// Whether the seed of a public key is here.
    pub(crate) fn has(&self, key: &str) -> bool {
        [PLAIN, SEALED].iter().any(|ending| self.path(key, ending).is_some_and(|path| path.is_file()))
    }

    /// The pair of a public key, if its seed is here.
    pub(crate) fn get(&self, key: &str) -> Result<Option<KeyPair>> {
        let Some(seed) = self.seed(key)? else { return Ok(None) };
        let pair = KeyPair::from_seed(seed.expose()).with_context(|| format!("the seed kept as {key} is damaged"))?;
        if pair.public().to_string() != key {
            bail!("the seed kept as {key} belongs to {}", pair.public());
        }
        Ok(Some(pair))
    }

    fn seed(&self, key: &str) -> Result<Option<Secret<String>>> {
        let (Some(plain), Some(sealed)) = (self.path(key, PLAIN), self.path(key, SEALED)) else { return Ok(None) };
        if sealed.is_file() {
            let text = String::from_utf8(read_bounded(&sealed, MAX_KEY_FILE_BYTES)?)
                .map_err(|_| anyhow!("{} is damaged", sealed.display()))?;
            return self.data_key()?.open(key, &text).map(Some);
        }
        if plain.is_file() {
            let text = Secret::new(read_bounded(&plain, MAX_KEY_FILE_BYTES)?);
            let text = std::str::from_utf8(text.expose()).map_err(|_| anyhow!("{} is damaged", plain.display()))?;
            return Ok(Some(Secret::new(text.trim().to_owned())));
        }
        Ok(None)
    }

    /// Keeps a seed, sealed unless this is a directory of bare seeds.
    pub(crate) fn put(&self, pair: &KeyPair) -> Result<()> {
        self.prepare()?;
        let name = pair.public().to_string();
        if self.form()? == Form::Sealed {
            return self.write(&name, SEALED, self.data_key()?.seal(&name, &pair.seed())?.as_bytes());
        }
        self.write(&name, PLAIN, pair.seed().expose().as_bytes())
    }

    /// Asks for what a new store needs before anything else is made.
    pub(crate) fn prepare(&self) -> Result<()> {
        if self.form()? != Form::New || self.prefers_plain {
            return Ok(());
        }
        let passphrase = self.source.new_passphrase().map_err(|error| match error.is::<crate::failure::Advised>() {
            true => advise(
                "a new keystore is sealed, and no passphrase was given",
                "set NATS_AUTH_PASSPHRASE, name a file with --passphrase-file, run the command at a terminal, \
                 or keep bare seeds as nsc does with --plain-keys",
            ),
            false => error,
        })?;
        self.lock(&passphrase)
    }

    fn lock(&self, passphrase: &Secret<String>) -> Result<()> {
        let (lock, key) = Lock::new(passphrase)?;
        write_private(&self.lock_path(), &serde_json::to_vec_pretty(&lock)?)?;
        let _ = self.opened.set(key);
        Ok(())
    }

    /// Forgets a seed, and says whether it was here.
    pub(crate) fn remove(&self, key: &str) -> Result<bool> {
        let mut was_here = false;
        for path in [PLAIN, SEALED].iter().filter_map(|ending| self.path(key, ending)) {
            match fs::remove_file(&path) {
                Ok(()) => was_here = true,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(anyhow!(error).context(format!("could not remove {}", path.display()))),
            }
        }
        Ok(was_here)
    }

    /// Seals every bare seed. A store that was bare gets its lock first.
    pub(crate) fn seal_all(&self) -> Result<usize> {
        if self.form()? != Form::Sealed {
            self.lock(&self.source.new_passphrase()?)?;
        }
        let mut count = 0;
        for (name, is_sealed) in self.names()? {
            let Some(pair) = (if is_sealed { None } else { self.get(&name)? }) else { continue };
            self.put(&pair)?;
            if let Some(plain) = self.path(&name, PLAIN) {
                fs::remove_file(plain)?;
            }
            count += 1;
        }
        Ok(count)
    }

    /// Lays every seed bare, as `nsc` needs it, and takes the lock away.
    pub(crate) fn unseal_all(&self) -> Result<usize> {
        if self.form()? != Form::Sealed {
            bail!("the keystore is not sealed");
        }
        let sealed: Vec<String> =
            self.names()?.into_iter().filter(|(_, is_sealed)| *is_sealed).map(|(n, _)| n).collect();
        for name in &sealed {
            let pair = self.get(name)?.ok_or_else(|| anyhow!("the key {name} went away"))?;
            self.write(name, PLAIN, pair.seed().expose().as_bytes())?;
        }
        for name in &sealed {
            if let Some(path) = self.path(name, SEALED) {
                fs::remove_file(path)?;
            }
        }
        fs::remove_file(self.lock_path())?;
        Ok(sealed.len())
    }

    /// Puts another passphrase around the data key. The old one comes from its source, the new one from `new`.
    pub(crate) fn change_passphrase(&self, new: &Source) -> Result<()> {
        let lock = Lock::around(self.data_key()?, &new.new_passphrase()?)?;
        write_private(&self.lock_path(), &serde_json::to_vec_pretty(&lock)?)
    }

    /// The public keys whose seeds are here, and whether each is sealed.
    pub(crate) fn names(&self) -> Result<Vec<(String, bool)>> {
        let mut names = Vec::new();
        for path in walk(&self.root.join("keys"), 3)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let found = match (name.strip_suffix(SEALED), name.strip_suffix(PLAIN)) {
                (Some(name), _) => Some((name.to_owned(), true)),
                (None, Some(name)) => Some((name.to_owned(), false)),
                (None, None) => None,
            };
            names.extend(found);
            if names.len() > MAX_KEYS {
                bail!("there are more than {MAX_KEYS} keys in {}", self.root.display());
            }
        }
        names.sort();
        Ok(names)
    }

    /// What trying a passphrase costs, where the store is sealed.
    pub(crate) fn cost(&self) -> Result<String> {
        Ok(self.read_lock()?.cost())
    }

    /// Where `nsc` keeps a user's credentials.
    pub(crate) fn creds_path(&self, operator: &str, account: &str, user: &str) -> PathBuf {
        self.root.join("creds").join(operator).join(account).join(format!("{user}.creds"))
    }

    fn data_key(&self) -> Result<&DataKey> {
        if let Some(key) = self.opened.get() {
            return Ok(key);
        }
        let lock = self.read_lock()?;
        let opened = lock.open(&self.source.passphrase()?)?;
        let key = opened.ok_or_else(|| anyhow!("the passphrase does not open the keystore {}", self.root.display()))?;
        Ok(self.opened.get_or_init(|| key))
    }

    fn read_lock(&self) -> Result<Lock> {
        let content = read_bounded(&self.lock_path(), MAX_LOCK_BYTES)?;
        serde_json::from_slice(&content).with_context(|| format!("{} is damaged", self.lock_path().display()))
    }

    fn lock_path(&self) -> PathBuf {
        self.root.join("keystore.json")
    }

    fn write(&self, name: &str, ending: &str, content: &[u8]) -> Result<()> {
        let path = self.path(name, ending).ok_or_else(|| anyhow!("{name:?} is not a public key"))?;
        write_private(&path, content)
    }

    /// `keys/O/AB/OAB….nk`; nothing for a text that could leave the directory.
    fn path(&self, key: &str, ending: &str) -> Option<PathBuf> {
        if key.len() < 3 || !key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let folder = self.root.join("keys").join(key.get(..1)?).join(key.get(1..3)?);
        Some(folder.join(format!("{key}{ending}")))
    }
}

/// The files at this depth below a directory.
fn walk(folder: &Path, depth: usize) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("could not read {}", folder.display()))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
        match depth {
            1 if kind.is_file() => found.push(path),
            2.. if kind.is_dir() => found.extend(walk(&path, depth - 1)?),
            _ => {}
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::fresh_key;
    use nkeys::Role;

    fn store(folder: &Path, plain: bool) -> KeyStore {
        let file = folder.join("phrase");
        fs::write(&file, "a long passphrase\n").unwrap();
        KeyStore::at(folder.join("keys"), plain, Source { file: Some(file) })
    }

    #[test]
    fn a_new_store_is_sealed_and_opens_again() {
        let folder = tempfile::tempdir().unwrap();
        let pair = fresh_key(Role::Operator).unwrap();
        store(folder.path(), false).put(&pair).unwrap();
        let again = store(folder.path(), false);
        assert_eq!(again.form().unwrap(), Form::Sealed);
        let name = pair.public().to_string();
        assert_eq!(again.get(&name).unwrap().expect("it is kept").seed(), pair.seed());
        assert!(again.remove(&name).unwrap() && !again.has(&name));
    }

    #[test]
    fn bare_seeds_stay_bare_until_somebody_seals_them() {
        let folder = tempfile::tempdir().unwrap();
        let pair = fresh_key(Role::Account).unwrap();
        let bare = store(folder.path(), true);
        bare.put(&pair).unwrap();
        let name = pair.public().to_string();
        let path = folder.path().join("keys/keys/A").join(&name[1..3]).join(format!("{name}.nk"));
        assert_eq!(fs::read_to_string(&path).unwrap(), *pair.seed().expose());
        let second = fresh_key(Role::User).unwrap();
        store(folder.path(), false).put(&second).unwrap();
        assert_eq!(store(folder.path(), false).form().unwrap(), Form::Plain, "a second key does not change the form");
        assert_eq!(store(folder.path(), false).seal_all().unwrap(), 2);
        assert!(!path.exists());
        let sealed = store(folder.path(), false);
        assert_eq!(sealed.get(&name).unwrap().expect("it is kept").public(), pair.public());
        assert_eq!(sealed.unseal_all().unwrap(), 2);
        assert_eq!(fs::read_to_string(&path).unwrap(), *pair.seed().expose());
    }

    #[test]
    fn names_cannot_leave_the_directory() {
        let folder = tempfile::tempdir().unwrap();
        for odd in ["", "O", "../../x", "O/AB", "O.A"] {
            assert!(!store(folder.path(), true).has(odd), "{odd}");
            assert!(store(folder.path(), true).get(odd).unwrap().is_none(), "{odd}");
        }
    }

    #[test]
    fn a_seed_under_another_name_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (fresh_key(Role::Account).unwrap(), fresh_key(Role::Account).unwrap());
        let bare = store(folder.path(), true);
        bare.put(&one).unwrap();
        bare.write(&other.public().to_string(), PLAIN, one.seed().expose().as_bytes()).unwrap();
        assert!(bare.get(&other.public().to_string()).unwrap_err().to_string().contains("belongs to"));
    }
}
