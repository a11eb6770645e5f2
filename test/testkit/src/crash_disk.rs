//! A disk in memory that forgets what was not synced.
//!
//! Reads see every write. [`CrashDisk::crash`] gives the disk as a power cut would leave it: bytes are there that were
//! synced; of each write since, any of its sectors may be there or not; names that were not synced may be gone, and a
//! removal that was not synced may be undone. The same seed gives the same image.
//!
//! It can also fail: from a chosen operation on ([`CrashDisk::power_off_after`]), or at the next syncs
//! ([`CrashDisk::fail_syncs`]), or for want of space ([`CrashDisk::limit_space`]).

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use store::{Disk, DiskFile};

/// What tears: a write reaches the medium in pieces of this size.
pub const SECTOR: usize = 512;

type Inode = usize;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Node {
    Dir,
    File(Inode),
}

#[derive(Clone, Default)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// Writes since the last sync.
    writes: Vec<(usize, Vec<u8>)>,
}

#[derive(Clone)]
enum NameChange {
    Add(String, Node),
    Remove(String),
    Rename(String, String),
}

#[derive(Default)]
struct State {
    contents: Vec<Content>,
    names: BTreeMap<String, Node>,
    durable_names: BTreeMap<String, Node>,
    changes: Vec<NameChange>,
    operations: u64,
    power_off_at: Option<u64>,
    failing_syncs: u32,
    space: Option<usize>,
    syncs: u64,
    bytes_written: u64,
}

/// A disk that forgets what was not synced.
#[derive(Clone)]
pub struct CrashDisk {
    state: Arc<Mutex<State>>,
    seed: u64,
}

impl CrashDisk {
    /// An empty disk. The seed decides what a crash leaves.
    pub fn new(seed: u64) -> CrashDisk {
        CrashDisk { state: Arc::default(), seed }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The disk after a power cut. This one stays as it is.
    pub fn crash(&self) -> CrashDisk {
        self.crash_with(self.seed)
    }

    /// The disk after a power cut that another seed decides.
    pub fn crash_with(&self, seed: u64) -> CrashDisk {
        let mut dice = Dice(seed ^ 0x9e37_79b9_7f4a_7c15);
        let state = self.state();
        let mut names = state.durable_names.clone();
        let survivors = dice.below(state.changes.len() as u64 + 1) as usize;
        state.changes[..survivors].iter().for_each(|change| apply(&mut names, change));
        forget_orphans(&mut names);
        let contents = state.contents.iter().map(|content| Content::settled(content.torn(&mut dice))).collect();
        let survived = State { contents, durable_names: names.clone(), names, ..State::default() };
        CrashDisk { state: Arc::new(Mutex::new(survived)), seed: dice.next() }
    }

    /// The disk after the process alone died: everything written is there.
    pub fn kill(&self) -> CrashDisk {
        let state = self.state();
        let contents = state.contents.iter().map(|content| Content::settled(content.now.clone())).collect();
        let names = state.names.clone();
        let survived = State { contents, durable_names: names.clone(), names, ..State::default() };
        CrashDisk { state: Arc::new(Mutex::new(survived)), seed: self.seed.wrapping_add(1) }
    }

    /// After so many more changing operations everything fails.
    pub fn power_off_after(&self, operations: u64) {
        let mut state = self.state();
        state.power_off_at = Some(state.operations + operations);
    }

    /// The next `count` syncs of files fail.
    pub fn fail_syncs(&self, count: u32) {
        self.state().failing_syncs = count;
    }

    /// Writes that would make the files larger than this together fail; `None` lifts the limit.
    pub fn limit_space(&self, bytes: Option<usize>) {
        self.state().space = bytes;
    }

    /// Changing operations so far.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Syncs of files so far.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// Bytes written so far.
    pub fn bytes_written(&self) -> u64 {
        self.state().bytes_written
    }

    /// Paths of all files, sorted.
    pub fn files(&self) -> Vec<String> {
        let state = self.state();
        state.names.iter().filter(|(_, node)| matches!(node, Node::File(_))).map(|(path, _)| path.clone()).collect()
    }

    /// The bytes of a file.
    ///
    /// # Panics
    /// When there is no such file: the scene is wrong.
    pub fn bytes(&self, path: &str) -> Vec<u8> {
        let state = self.state();
        let inode = state.file(path).expect("the scene names a file that exists");
        state.contents[inode].now.clone()
    }

    /// Puts bytes into a file behind the store's back, durably. The file is made when it is not there.
    pub fn plant(&self, path: &str, bytes: &[u8]) {
        let mut state = self.state();
        let inode = state.file(path).unwrap_or_else(|| state.add_file(path));
        state.contents[inode] = Content::settled(bytes.to_vec());
        let node = Node::File(inode);
        state.durable_names.insert(path.to_owned(), node);
    }

    /// Inverts bits of one byte.
    pub fn flip(&self, path: &str, at: usize, mask: u8) {
        let mut bytes = self.bytes(path);
        bytes[at] ^= mask;
        self.plant(path, &bytes);
    }

    /// Cuts a file.
    pub fn cut(&self, path: &str, len: usize) {
        let mut bytes = self.bytes(path);
        bytes.truncate(len);
        self.plant(path, &bytes);
    }

    /// Removes a file behind the store's back.
    pub fn lose(&self, path: &str) {
        let mut state = self.state();
        state.names.remove(path);
        state.durable_names.remove(path);
    }
}

impl Content {
    fn settled(bytes: Vec<u8>) -> Content {
        Content { now: bytes.clone(), durable: bytes, writes: Vec::new() }
    }

    /// What may be left of it: each sector of each write since the last sync is there or not.
    fn torn(&self, dice: &mut Dice) -> Vec<u8> {
        let mut left = self.durable.clone();
        for (offset, bytes) in &self.writes {
            let mut at = 0;
            while at < bytes.len() {
                let to_boundary = SECTOR - (offset + at) % SECTOR;
                let piece = &bytes[at..(at + to_boundary).min(bytes.len())];
                if dice.below(2) == 0 {
                    put(&mut left, offset + at, piece);
                }
                at += piece.len();
            }
        }
        left
    }
}

fn put(into: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if into.len() < end {
        into.resize(end, 0);
    }
    into[offset..end].copy_from_slice(bytes);
}

fn apply(names: &mut BTreeMap<String, Node>, change: &NameChange) {
    match change {
        NameChange::Add(path, node) => {
            names.insert(path.clone(), *node);
        }
        NameChange::Remove(path) => {
            names.remove(path);
        }
        NameChange::Rename(from, to) => {
            if let Some(node) = names.remove(from) {
                names.insert(to.clone(), node);
            }
        }
    }
}

/// A file whose directory did not survive is gone.
fn forget_orphans(names: &mut BTreeMap<String, Node>) {
    let known = names.clone();
    names.retain(|path, _| {
        let parents = path.match_indices('/').map(|(at, _)| &path[..at]);
        parents.into_iter().all(|parent| known.get(parent) == Some(&Node::Dir))
    });
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn error(kind: io::ErrorKind, path: &str) -> io::Error {
    io::Error::new(kind, path.to_owned())
}

impl State {
    fn operate(&mut self) -> io::Result<()> {
        if self.power_off_at.is_some_and(|at| self.operations >= at) {
            return Err(io::Error::other("the power is off"));
        }
        self.operations += 1;
        Ok(())
    }

    fn file(&self, path: &str) -> Option<Inode> {
        match self.names.get(path) {
            Some(Node::File(inode)) => Some(*inode),
            _ => None,
        }
    }

    fn is_dir(&self, path: &str) -> bool {
        path.is_empty() || self.names.get(path) == Some(&Node::Dir)
    }

    fn add_file(&mut self, path: &str) -> Inode {
        self.contents.push(Content::default());
        let inode = self.contents.len() - 1;
        self.names.insert(path.to_owned(), Node::File(inode));
        inode
    }

    fn change(&mut self, change: NameChange) {
        apply(&mut self.names, &change);
        self.changes.push(change);
    }
}

impl Disk for CrashDisk {
    fn create_dir(&self, path: &str) -> io::Result<()> {
        let mut state = self.state();
        let parents: Vec<String> = path.match_indices('/').map(|(at, _)| path[..at].to_owned()).collect();
        for dir in parents.into_iter().chain([path.to_owned()]) {
            if !state.is_dir(&dir) {
                state.operate()?;
                state.change(NameChange::Add(dir, Node::Dir));
            }
        }
        Ok(())
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let state = self.state();
        if !state.is_dir(path) {
            return Err(error(io::ErrorKind::NotFound, path));
        }
        let inside = state.names.keys().filter(|name| parent(name) == path && name.as_str() != path);
        Ok(inside.map(|name| name.rsplit('/').next().unwrap_or(name).to_owned()).collect())
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        if state.names.contains_key(path) {
            return Err(error(io::ErrorKind::AlreadyExists, path));
        }
        if !state.is_dir(parent(path)) {
            return Err(error(io::ErrorKind::NotFound, path));
        }
        state.operate()?;
        let inode = state.add_file(path);
        state.changes.push(NameChange::Add(path.to_owned(), Node::File(inode)));
        Ok(Arc::new(CrashFile { disk: self.clone(), inode }))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let inode = self.state().file(path).ok_or_else(|| error(io::ErrorKind::NotFound, path))?;
        Ok(Arc::new(CrashFile { disk: self.clone(), inode }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        if !state.names.contains_key(from) {
            return Err(error(io::ErrorKind::NotFound, from));
        }
        state.operate()?;
        state.change(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut state = self.state();
        state.file(path).ok_or_else(|| error(io::ErrorKind::NotFound, path))?;
        state.operate()?;
        state.change(NameChange::Remove(path.to_owned()));
        Ok(())
    }

    fn remove_dir(&self, path: &str) -> io::Result<()> {
        if !self.list(path)?.is_empty() {
            return Err(error(io::ErrorKind::DirectoryNotEmpty, path));
        }
        let mut state = self.state();
        state.operate()?;
        state.change(NameChange::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        let mut state = self.state();
        if !state.is_dir(path) {
            return Err(error(io::ErrorKind::NotFound, path));
        }
        state.operate()?;
        let touches = |name: &String| parent(name) == path;
        let (synced, left): (Vec<NameChange>, Vec<NameChange>) =
            state.changes.drain(..).partition(|change| match change {
                NameChange::Add(name, _) | NameChange::Remove(name) => touches(name),
                NameChange::Rename(from, to) => touches(from) || touches(to),
            });
        synced.iter().for_each(|change| apply(&mut state.durable_names, change));
        state.changes = left;
        Ok(())
    }
}

struct CrashFile {
    disk: CrashDisk,
    inode: Inode,
}

impl DiskFile for CrashFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state().contents[self.inode].now.len() as u64)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate()?;
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let used: usize = state.contents.iter().map(|content| content.now.len()).sum();
        let grows = (offset + bytes.len()).saturating_sub(state.contents[self.inode].now.len());
        let fits = state.space.is_none_or(|space| used + grows <= space);
        // A full disk takes what it can before it says no.
        let bytes = if fits { bytes } else { &bytes[..bytes.len() / 2] };
        state.bytes_written += bytes.len() as u64;
        let content = &mut state.contents[self.inode];
        put(&mut content.now, offset, bytes);
        content.writes.push((offset, bytes.to_vec()));
        if fits { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let state = self.disk.state();
        let bytes = &state.contents[self.inode].now;
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let read = into.len().min(bytes.len() - from);
        into[..read].copy_from_slice(&bytes[from..from + read]);
        Ok(read)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate()?;
        if state.failing_syncs > 0 {
            state.failing_syncs -= 1;
            return Err(io::Error::other("the sync failed"));
        }
        state.syncs += 1;
        let content = &mut state.contents[self.inode];
        content.durable = content.now.clone();
        content.writes.clear();
        Ok(())
    }
}

/// Small, fast, seeded chance for scenes.
#[derive(Clone)]
pub struct Dice(pub u64);

impl Dice {
    /// The next number.
    #[allow(clippy::should_implement_trait, reason = "dice are rolled, not iterated")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

/// Keys and nonces from a seed. Two of the same seed give the same bytes.
pub struct SeededEntropy(Mutex<Dice>);

impl SeededEntropy {
    /// Starts from a seed.
    pub fn new(seed: u64) -> SeededEntropy {
        SeededEntropy(Mutex::new(Dice(seed)))
    }
}

impl store::Entropy for SeededEntropy {
    fn fill(&self, into: &mut [u8]) {
        let mut dice = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        into.iter_mut().for_each(|byte| *byte = dice.next() as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synced_bytes_and_names_survive_and_others_may_not() {
        let (mut torn, mut whole) = (0, 0);
        for seed in 0..64 {
            let disk = CrashDisk::new(seed);
            disk.create_dir("d").expect("fresh");
            disk.sync_dir("").expect("there");
            let file = disk.create("d/a").expect("fresh");
            file.write_at(0, b"kept").expect("room");
            file.sync().expect("works");
            disk.sync_dir("d").expect("there");
            file.write_at(4, b"perhaps").expect("room");
            disk.create("d/b").expect("fresh");
            let after = disk.crash();
            let bytes = after.bytes("d/a");
            assert_eq!(&bytes[..4], b"kept");
            if bytes.len() == 4 { torn += 1 } else { whole += 1 }
        }
        assert!(torn > 10 && whole > 10, "{torn} {whole}");
    }

    #[test]
    fn an_unsynced_removal_may_be_undone() {
        let mut back = 0;
        for seed in 0..32 {
            let disk = CrashDisk::new(seed);
            disk.create("a").expect("fresh").sync().expect("works");
            disk.sync_dir("").expect("there");
            disk.remove("a").expect("there");
            back += disk.crash().files().len();
        }
        assert!((1..32).contains(&back));
    }

    #[test]
    fn after_the_power_is_off_nothing_changes() {
        let disk = CrashDisk::new(1);
        let file = disk.create("a").expect("fresh");
        disk.power_off_after(1);
        file.write_at(0, b"x").expect("still on");
        assert!(file.write_at(1, b"y").is_err() && file.sync().is_err() && disk.create("b").is_err());
        assert_eq!(disk.bytes("a"), b"x");
    }
}
