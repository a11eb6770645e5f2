//! The door to the disk: what the store asks of files and directories.
//!
//! Every byte the store keeps goes through these two traits, so that a test can be a disk that loses what was not synced,
//! tears sectors or fails. The real one lives in `io/disk`.

use std::io;
use std::sync::Arc;

/// A tree of directories and files. Paths are relative to its root and use `/`.
///
/// Names survive a power cut only after [`Disk::sync_dir`] of the directory they are in, bytes only after
/// [`DiskFile::sync`].
pub trait Disk: Send + Sync {
    /// Makes a directory and those above it; fine when it is there already.
    fn create_dir(&self, path: &str) -> io::Result<()>;
    /// Names in a directory, in no particular order. A missing directory is `NotFound`.
    fn list(&self, path: &str) -> io::Result<Vec<String>>;
    /// Makes a new, empty file. One that exists is `AlreadyExists`: nothing is ever overwritten by accident.
    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file that exists, for reading and writing.
    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Gives a file or directory another name; an existing file of that name is replaced.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, path: &str) -> io::Result<()>;
    /// Makes creations, renames and removals in this directory durable.
    fn sync_dir(&self, path: &str) -> io::Result<()>;
}

/// One open file. Shared, so that a sync can run on another thread than the writer.
pub trait DiskFile: Send + Sync {
    /// Bytes in the file.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file holds no byte.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Writes all bytes at an offset, or fails; after a failure any part of them may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Reads up to `into.len()` bytes; fewer only at the end of the file.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;
    /// Makes the bytes and the length durable.
    fn sync(&self) -> io::Result<()>;
}

/// Reads a whole file, up to a bound.
pub(crate) fn read_all(file: &dyn DiskFile, max: u64) -> io::Result<Vec<u8>> {
    let len = file.len()?;
    if len > max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "file is longer than any file of this store"));
    }
    let len = usize::try_from(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut bytes = vec![0; len];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(filled as u64, rest)? {
            0 => break,
            read => filled += read,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Joins two path parts.
pub(crate) fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

/// Chance as an argument: keys, nonces and identities are drawn from here.
pub trait Entropy: Send + Sync {
    /// Fills the slice with bytes nobody can guess.
    fn fill(&self, into: &mut [u8]);
}
