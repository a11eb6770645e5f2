//! The store directory: its identity, the keys in use, and where everything lies.
//!
//! ```text
//! store       identity and key marks, twice      meta/       metadata log
//! streams/    one directory for each stream, named by its number
//! keys/       one file for each key of an account, named by its number
//! ```
//!
//! No name, subject or configuration stands in a file or directory name.

use crate::account_keys;
use crate::bytes::Reader;
use crate::disk::{Disk, Entropy, join};
use crate::error::StoreError;
use crate::header::{self, DATA_START, Head, WITH_ACCOUNTS, WITHOUT_ACCOUNTS};
use crate::seal::{KeyId, Sealing, StoreId, StreamId, Vault};
use crate::tail::{Context, generation_of};
use std::io;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

pub(crate) const FILE: &str = "store";
const NEW_FILE: &str = "store.new";
const MAGIC: &[u8; 8] = b"BLWKROOT";
/// The second copy stands in another sector.
const COPY_AT: usize = 4096;
/// Marks of keys in an identity file. Each must be one of the two keys given, so there are never more than two.
const MAX_KEYS: usize = 4;

/// Directory of the metadata log.
pub(crate) const META_DIR: &str = "meta";
const STREAMS_DIR: &str = "streams";

/// Where the blocks of a stream lie.
pub fn stream_dir(id: StreamId) -> String {
    format!("{STREAMS_DIR}/{:016x}", id.0)
}

/// An open store directory.
pub struct Root {
    context: Context,
    identity: Identity,
}

/// A store directory that was opened.
pub struct RootOpened {
    /// The store.
    pub root: Root,
    /// Whether it was made just now.
    pub is_new: bool,
    /// Whether its identity file was lost or damaged and was made again from what the blocks say.
    pub was_repaired: bool,
}

/// What the identity file says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    store: StoreId,
    keys: Vec<KeyId>,
    /// Told by the version: releases that know no keys of accounts must not open the store.
    has_account_keys: bool,
}

enum Read {
    Good(Identity),
    Newer(u16),
    Damaged,
    Missing,
}

impl Root {
    /// Opens the store, or makes a new one in an empty directory. With a wrong key nothing is touched.
    pub fn open(disk: Arc<dyn Disk>, entropy: Arc<dyn Entropy>, sealing: &Sealing) -> Result<RootOpened, StoreError> {
        let (found, was_repaired, is_new) = match read_identity(&*disk)? {
            Read::Good(identity) => (identity, false, false),
            Read::Newer(version) => return Err(StoreError::NewerFormat { version, path: FILE.to_owned() }),
            Read::Damaged | Read::Missing => match identity_from_blocks(&*disk)? {
                Some(identity) => (identity, true, false),
                None => (Identity::of(draw_store(&*entropy)), false, true),
            },
        };
        let vault = Vault::new(found.store, sealing)?;
        let keys = needed_keys(&*disk, found.keys, &vault)?;
        let identity = Identity { keys, ..found };
        let mut root = Root { context: Context { disk, vault: Arc::new(vault), entropy, account: None }, identity };
        let wanted = root.identity.beside(&root.context.vault);
        if was_repaired || is_new {
            root.write(&wanted)?;
        }
        root.note(wanted)?;
        Ok(RootOpened { root, is_new, was_repaired })
    }

    /// Seals what is written from now on by other keys or another cipher. What lies there stays as it is until it is sealed
    /// anew. Streams and metadata follow by [`FileStream::adopt`](crate::FileStream::adopt) and
    /// [`MetaLog::adopt`](crate::MetaLog::adopt).
    ///
    /// # Errors
    /// Without a key that is needed, or when the disk refuses, nothing changes: the keys before stay in use, and they go on
    /// opening everything.
    pub fn rekey(&mut self, sealing: &Sealing) -> Result<(), StoreError> {
        let vault = self.context.vault.changed(sealing)?;
        if let Some(&needed) = self.identity.keys.iter().find(|&&key| !vault.knows(key)) {
            return Err(StoreError::WrongKey { needed, path: FILE.to_owned() });
        }
        // The identity file is durable before the new key seals anything.
        self.note(self.identity.beside(&vault))?;
        self.context.vault = Arc::new(vault);
        Ok(())
    }

    /// Marks of the keys that seal parts of the store.
    pub fn keys(&self) -> &[KeyId] {
        &self.identity.keys
    }

    /// Version of the format that whoever opens the store has to know.
    pub fn version(&self) -> u16 {
        self.identity.version()
    }

    /// Everything is sealed by the present key: the others are not needed any more.
    pub fn only_present_key(&mut self) -> Result<(), StoreError> {
        let keys = with(&[], self.context.vault.key_id());
        self.note(Identity { keys, ..self.identity.clone() })
    }

    /// Nothing takes the key of an account any more: releases that know none may open the store.
    pub(crate) fn without_account_keys(&mut self) -> Result<(), StoreError> {
        self.note(Identity { has_account_keys: false, ..self.identity.clone() })
    }

    /// Parts of it take keys of accounts, or may: releases that know none must not open it.
    pub(crate) fn may_have_account_keys(&mut self) -> Result<(), StoreError> {
        self.note(Identity { has_account_keys: true, ..self.identity.clone() })
    }

    /// Whether parts of it take keys of accounts, or may.
    pub fn has_account_keys(&self) -> bool {
        self.identity.has_account_keys
    }

    /// Whether parts of the store are still sealed by another key than the present one.
    pub fn has_other_keys(&self) -> bool {
        self.identity.keys.iter().any(|&key| key != self.context.vault.key_id())
    }

    /// From now on this is what the identity file says. It says it before anything is sealed so.
    fn note(&mut self, wanted: Identity) -> Result<(), StoreError> {
        if wanted != self.identity {
            self.write(&wanted)?;
        }
        self.identity = wanted;
        Ok(())
    }

    fn write(&self, identity: &Identity) -> Result<(), StoreError> {
        let disk = &self.context.disk;
        disk.create_dir("").map_err(StoreError::disk("making directory", ""))?;
        match disk.remove(NEW_FILE) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::disk("removing", NEW_FILE)(error));
            }
            _ => {}
        }
        let file = disk.create(NEW_FILE).map_err(StoreError::disk("making", NEW_FILE))?;
        file.write_at(0, &identity.encode())
            .and_then(|()| file.sync())
            .map_err(StoreError::disk("writing", NEW_FILE))?;
        disk.rename(NEW_FILE, FILE).map_err(StoreError::disk("renaming", NEW_FILE))?;
        disk.create_dir(STREAMS_DIR).map_err(StoreError::disk("making directory", STREAMS_DIR))?;
        disk.sync_dir("").map_err(StoreError::disk("syncing directory", ""))
    }

    /// What streams need to reach their files and keys.
    pub fn context(&self) -> Context {
        self.context.clone()
    }

    /// The identity of the store.
    pub fn store(&self) -> StoreId {
        self.context.vault.store()
    }

    /// Directories of streams that lie in the store, known to the metadata or not.
    pub fn stream_ids(&self) -> Result<Vec<StreamId>, StoreError> {
        let names = match self.context.disk.list(STREAMS_DIR) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            listed => listed.map_err(StoreError::disk("listing", STREAMS_DIR))?,
        };
        let mut ids: Vec<StreamId> =
            names.iter().filter_map(|name| u64::from_str_radix(name, 16).ok().map(StreamId)).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// Whether there is a block of any stream.
    pub(crate) fn holds_messages(&self) -> Result<bool, StoreError> {
        for id in self.stream_ids()? {
            if self.has_blocks(id)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether there is a block of this stream: of one that was only just made there is none.
    pub fn has_blocks(&self, id: StreamId) -> Result<bool, StoreError> {
        let dir = stream_dir(id);
        match self.context.disk.list(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            listed => {
                let names = listed.map_err(StoreError::disk("listing", &dir))?;
                Ok(names.iter().any(|name| generation_of(name).is_some()))
            }
        }
    }

    /// Removes a stream's directory with everything in it. For a stream that was deleted, never for one that is unknown.
    pub fn remove_stream(&self, id: StreamId) -> Result<(), StoreError> {
        remove_tree(&*self.context.disk, &stream_dir(id), 2)?;
        self.context.disk.sync_dir(STREAMS_DIR).map_err(StoreError::disk("syncing directory", STREAMS_DIR))
    }
}

/// The marks with one more, unless it is there or is the mark of no key.
fn with(keys: &[KeyId], key: KeyId) -> Vec<KeyId> {
    let new = (key != KeyId::default() && !keys.contains(&key)).then_some(key);
    keys.iter().copied().chain(new).collect()
}

/// The keys an identity file names, without those that were not given and seal nothing: a change of keys names the new one
/// before it is used, and may have been given up right there.
fn needed_keys(disk: &dyn Disk, named: Vec<KeyId>, vault: &Vault) -> Result<Vec<KeyId>, StoreError> {
    if named.iter().all(|&key| vault.knows(key)) {
        return Ok(named);
    }
    let (known, mut unknown): (Vec<KeyId>, Vec<KeyId>) = named.into_iter().partition(|&key| vault.knows(key));
    // A store without any block is the one of the key it was made with.
    if let Some(identity) = identity_from_blocks(disk)? {
        unknown.retain(|key| identity.keys.contains(key));
    }
    match unknown.first() {
        Some(&needed) => Err(StoreError::WrongKey { needed, path: FILE.to_owned() }),
        None => Ok(known),
    }
}

/// Removes a directory tree of a known depth.
fn remove_tree(disk: &dyn Disk, dir: &str, depth: u32) -> Result<(), StoreError> {
    let names = match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        listed => listed.map_err(StoreError::disk("listing", dir))?,
    };
    for name in names {
        let path = join(dir, &name);
        if depth > 1 && disk.list(&path).is_ok() {
            remove_tree(disk, &path, depth - 1)?;
        } else {
            disk.remove(&path).map_err(StoreError::disk("removing", &path))?;
        }
    }
    disk.remove_dir(dir).map_err(StoreError::disk("removing directory", dir))
}

fn draw_store(entropy: &dyn Entropy) -> StoreId {
    let mut id = [0; 16];
    entropy.fill(&mut id);
    StoreId(id)
}

fn read_identity(disk: &dyn Disk) -> Result<Read, StoreError> {
    let file = match disk.open(FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Read::Missing),
        opened => opened.map_err(StoreError::disk("opening", FILE))?,
    };
    let mut bytes = vec![0; 2 * COPY_AT];
    let read = file.read_at(0, &mut bytes).map_err(StoreError::disk("reading", FILE))?;
    let copies = [bytes[..read].get(..COPY_AT), bytes[..read].get(COPY_AT..)];
    let mut decoded = copies.into_iter().flatten().map(Identity::decode);
    Ok(decoded.find(|copy| matches!(copy, Read::Good(_) | Read::Newer(_))).unwrap_or(Read::Damaged))
}

/// The identity file is gone; every block knows which store it is from, and which key seals it, and so does every file of an
/// account's key.
fn identity_from_blocks(disk: &dyn Disk) -> Result<Option<Identity>, StoreError> {
    let mut found: Option<Identity> = None;
    let streams = disk.list(STREAMS_DIR).unwrap_or_default().into_iter().map(|name| join(STREAMS_DIR, &name));
    for dir in std::iter::once(META_DIR.to_owned()).chain(streams) {
        for name in disk.list(&dir).unwrap_or_default() {
            let Some(header) = block_header(disk, &join(&dir, &name))? else { continue };
            let identity = found.get_or_insert_with(|| Identity::of(header.place.store));
            identity.keys = with(&identity.keys, header.wrapped.key);
            identity.has_account_keys |= header.may_take_accounts();
        }
    }
    for (store, key) in account_keys::file::server_keys(disk)? {
        let identity = found.get_or_insert_with(|| Identity::of(store));
        identity.keys = with(&identity.keys, key);
        identity.has_account_keys = true;
    }
    Ok(found)
}

fn block_header(disk: &dyn Disk, path: &str) -> Result<Option<header::Header>, StoreError> {
    if !path.ends_with(".blk") {
        return Ok(None);
    }
    let file = disk.open(path).map_err(StoreError::disk("opening", path))?;
    let mut head = vec![0; DATA_START as usize];
    let read = file.read_at(0, &mut head).map_err(StoreError::disk("reading", path))?;
    Ok(match header::read(&head[..read]) {
        Head::Good(header, _) => Some(header),
        _ => None,
    })
}

impl Identity {
    fn of(store: StoreId) -> Identity {
        Identity { store, keys: Vec::new(), has_account_keys: false }
    }

    /// With what a vault seals by.
    fn beside(&self, vault: &Vault) -> Identity {
        let has_account_keys = self.has_account_keys || vault.draws_account_keys();
        Identity { store: self.store, keys: with(&self.keys, vault.key_id()), has_account_keys }
    }

    fn version(&self) -> u16 {
        if self.has_account_keys { WITH_ACCOUNTS } else { WITHOUT_ACCOUNTS }
    }

    fn encode(&self) -> Vec<u8> {
        let mut copy = MAGIC.to_vec();
        copy.extend_from_slice(&self.version().to_le_bytes());
        copy.extend_from_slice(&self.store.0);
        copy.push(self.keys.len() as u8);
        self.keys.iter().for_each(|key| copy.extend_from_slice(&key.0));
        let sum = xxh3_64(&copy);
        copy.extend_from_slice(&sum.to_le_bytes());
        let mut bytes = vec![0; 2 * COPY_AT];
        bytes[..copy.len()].copy_from_slice(&copy);
        bytes[COPY_AT..COPY_AT + copy.len()].copy_from_slice(&copy);
        bytes
    }

    fn decode(copy: &[u8]) -> Read {
        Identity::fields(copy).unwrap_or(Read::Damaged)
    }

    fn fields(copy: &[u8]) -> Option<Read> {
        let mut reader = Reader(copy);
        if reader.take(8)? != MAGIC {
            return None;
        }
        let version = reader.u16()?;
        let store = StoreId(reader.bytes16()?);
        let count = usize::from(reader.u8()?).min(MAX_KEYS);
        let keys = (0..count).map(|_| reader.u64().map(|key| KeyId(key.to_le_bytes()))).collect::<Option<_>>()?;
        let summed = copy.len() - reader.0.len();
        let fits = reader.u64()? == xxh3_64(&copy[..summed]);
        match fits {
            true if !header::is_known(version) => Some(Read::Newer(version)),
            true => Some(Read::Good(Identity { store, keys, has_account_keys: version > WITHOUT_ACCOUNTS })),
            false => None,
        }
    }
}
