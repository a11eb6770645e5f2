//! Tokens as files `<account>.jwt` in one flat directory, the layout of the reference server.
//!
//! A file is written beside its place and renamed into it, so a crash leaves the former token or the new one. Only names
//! that are an account's key are looked at. A token that ended stays on disk in a full directory (a clock that jumped must
//! not empty it) and is neither listed nor packed; a cache lets it go.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jwt::bounds::MAX_TOKEN_BYTES;
use moment::Timestamp;
use nkeys::{PublicKey, Role};

use crate::description::{Hash, describe, hash_of};
use crate::index::Index;
use crate::settings::{CacheSettings, DeleteMode, DirectorySettings, ResolverError};
use crate::store::{Store, StoreError, Stored};

const EXTENSION: &str = "jwt";

/// Tokens in a directory.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    delete: DeleteMode,
    room: Room,
    index: Index,
}

/// What happens when there are many accounts, or unused ones.
#[derive(Debug, Clone, Copy)]
enum Room {
    /// Another account is refused.
    Bounded(Option<usize>),
    /// The one not used for longest goes.
    Evicting { limit: usize, ttl: Option<Duration> },
}

impl Directory {
    /// Opens a directory with every account; it is made if it is not there.
    pub fn full(settings: &DirectorySettings, now: Timestamp) -> Result<Self, ResolverError> {
        Self::open(&settings.path, settings.delete, Room::Bounded(settings.limit), now)
    }

    /// Opens a cache; it is made if it is not there.
    pub fn cache(settings: &CacheSettings, now: Timestamp) -> Result<Self, ResolverError> {
        let room = Room::Evicting { limit: settings.limit.max(1), ttl: settings.ttl };
        Self::open(&settings.path, DeleteMode::Removed, room, now)
    }

    fn open(path: &Path, delete: DeleteMode, room: Room, now: Timestamp) -> Result<Self, ResolverError> {
        if path.as_os_str().is_empty() {
            return Err(ResolverError::NoPath);
        }
        let failed = |error| ResolverError::Path { path: path.to_owned(), error };
        make_directory(path).map_err(failed)?;
        let mut directory = Self { path: path.to_owned(), delete, room, index: Index::default() };
        directory.index = directory.scan(now).map_err(failed)?;
        Ok(directory)
    }

    fn scan(&self, now: Timestamp) -> io::Result<Index> {
        let mut index = match self.room {
            Room::Bounded(_) => Index::default(),
            Room::Evicting { .. } => Index::ordered(),
        };
        let mut reader = Reader::default();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let account = account_of(&name).filter(|_| entry.file_type().is_ok_and(|kind| kind.is_file()));
            let Some(account) = account else { continue };
            if let Some(token) = reader.token(&entry.path())? {
                index.take_in(account, &describe(token));
            }
        }
        index.settle(self.until(now));
        Ok(index)
    }

    /// A key's text is letters and digits only, so this never leaves the directory.
    fn file(&self, account: &PublicKey) -> PathBuf {
        self.path.join(format!("{account}.{EXTENSION}"))
    }

    fn deleted_file(&self, account: &PublicKey) -> PathBuf {
        self.path.join(format!("{account}.{EXTENSION}.deleted"))
    }

    fn until(&self, now: Timestamp) -> i64 {
        match self.room {
            Room::Evicting { ttl: Some(ttl), .. } => (now + ttl).as_nanos(),
            _ => i64::MAX,
        }
    }

    fn make_room(&mut self) -> Result<(), StoreError> {
        match self.room {
            Room::Bounded(Some(limit)) if self.index.len() >= limit => Err(StoreError::Full),
            Room::Evicting { limit, .. } => {
                while self.index.len() >= limit {
                    let Some(oldest) = self.index.oldest() else { break };
                    self.evict(&oldest)?;
                }
                Ok(())
            }
            Room::Bounded(_) => Ok(()),
        }
    }

    fn evict(&mut self, account: &PublicKey) -> io::Result<()> {
        let former = self.hash_of_file(account);
        unless_missing(fs::remove_file(self.file(account)))?;
        self.index.remove(account, former);
        Ok(())
    }

    /// The hash of the token that an account has in the directory now.
    fn hash_of_file(&self, account: &PublicKey) -> Option<Hash> {
        read_token(&self.file(account)).ok()?.map(|token| hash_of(&token))
    }

    /// Takes the combined hash anew if files that went were not those that were put in.
    fn mend(&mut self) {
        let mut index = std::mem::take(&mut self.index);
        index.mend(|account| self.hash_of_file(account));
        self.index = index;
    }

    fn write(&self, account: &PublicKey, token: &str) -> io::Result<()> {
        let beside = self.path.join(format!("{account}.{EXTENSION}.new"));
        write_synced(&beside, token)?;
        fs::rename(&beside, self.file(account))?;
        self.sync()
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

impl Store for Directory {
    fn peek(&self, account: &PublicKey) -> Option<Stored> {
        self.index.get(account)
    }

    fn load(&mut self, account: &PublicKey, now: Timestamp) -> io::Result<Option<String>> {
        if self.index.get(account).is_none() {
            return Ok(None);
        }
        let token = read_token(&self.file(account))?;
        self.index.touch(account, self.until(now));
        Ok(token)
    }

    fn save(&mut self, account: &PublicKey, token: &str, now: Timestamp) -> Result<bool, StoreError> {
        let described = describe(token);
        match self.index.get(account) {
            Some(former) if former.mark == described.stored.mark => {
                self.index.touch(account, self.until(now));
                return Ok(false);
            }
            Some(_) => {}
            None => self.make_room()?,
        }
        let former = self.hash_of_file(account);
        self.write(account, token)?;
        self.index.put(*account, &described, former, self.until(now));
        self.mend();
        Ok(true)
    }

    fn delete(&mut self, account: &PublicKey) -> Result<(), StoreError> {
        let (file, former) = (self.file(account), self.hash_of_file(account));
        match self.delete {
            DeleteMode::Refused => return Err(StoreError::DeleteRefused),
            DeleteMode::Renamed => unless_missing(fs::rename(&file, self.deleted_file(account)))?,
            DeleteMode::Removed => unless_missing(fs::remove_file(&file))?,
        }
        self.sync()?;
        self.index.remove(account, former);
        self.mend();
        Ok(())
    }

    fn deleted(&self, account: &PublicKey) -> Option<i64> {
        let token = read_token(&self.deleted_file(account)).ok()??;
        Some(describe(&token).stored.issued_at)
    }

    fn accounts(&self, now: Timestamp) -> Vec<PublicKey> {
        let current = |stored: &Stored| stored.expires == 0 || stored.expires > now.as_secs();
        let accounts = self.index.accounts().filter(|(_, stored)| current(stored));
        let mut accounts: Vec<(String, PublicKey)> = accounts.map(|(key, _)| (key.to_string(), key)).collect();
        accounts.sort_unstable();
        accounts.into_iter().map(|(_, key)| key).collect()
    }

    fn hash(&self) -> [u8; 32] {
        self.index.hash()
    }

    fn prune(&mut self, now: Timestamp) -> Vec<PublicKey> {
        let mut gone = self.index.expired(now.as_secs());
        match self.room {
            Room::Bounded(_) => {
                for account in &gone {
                    let former = self.hash_of_file(account);
                    self.index.remove(account, former);
                }
            }
            Room::Evicting { .. } => {
                gone.extend(self.index.unused(now.as_nanos()));
                gone.sort_unstable();
                gone.dedup();
                // What cannot be removed now is tried again at the next pruning.
                gone.retain(|account| self.evict(account).is_ok());
            }
        }
        self.mend();
        gone
    }

    fn reload(&mut self, now: Timestamp) -> io::Result<Vec<PublicKey>> {
        let fresh = self.scan(now)?;
        let former = |account: &PublicKey| self.index.get(account).map(|stored| stored.mark);
        let changed = fresh.accounts().filter(|(account, stored)| former(account) != Some(stored.mark));
        let mut changed: Vec<PublicKey> = changed.map(|(account, _)| account).collect();
        changed.sort_unstable();
        self.index = fresh;
        Ok(changed)
    }
}

fn account_of(name: &OsStr) -> Option<PublicKey> {
    let (account, extension) = name.to_str()?.split_once('.')?;
    if extension != EXTENSION {
        return None;
    }
    PublicKey::parse_as(Role::Account, account).ok()
}

/// Reads files one after the other into the same memory: a start reads a hundred thousand of them.
#[derive(Default)]
struct Reader {
    bytes: Vec<u8>,
}

/// More than a token usually has, so that one read is enough for it.
const USUAL_BYTES: usize = 16 << 10;

impl Reader {
    /// The token in a file; `None` when there is no file, or nothing in it that could be a token.
    fn token(&mut self, path: &Path) -> io::Result<Option<&str>> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        self.bytes.resize(USUAL_BYTES, 0);
        let mut length = 0;
        while let Some(room) = self.bytes.get_mut(length..).filter(|room| !room.is_empty()) {
            let (read, most) = (file.read(room)?, room.len());
            length += read;
            // A file that gives less than it is asked for has no more.
            if read < most || length > MAX_TOKEN_BYTES {
                break;
            }
            self.bytes.resize((length * 2).min(MAX_TOKEN_BYTES + 1), 0);
        }
        let bytes = self.bytes.get(..length).filter(|bytes| bytes.len() <= MAX_TOKEN_BYTES);
        let token = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok());
        Ok(token.filter(|token| !token.trim_ascii().is_empty()))
    }
}

fn read_token(path: &Path) -> io::Result<Option<String>> {
    Ok(Reader::default().token(path)?.map(str::to_owned))
}

fn unless_missing(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(unix)]
fn make_directory(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o750).create(path)
}

#[cfg(not(unix))]
fn make_directory(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

fn write_synced(path: &Path, token: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    let mut file = options.open(path)?;
    file.write_all(token.as_bytes())?;
    file.sync_all()
}
