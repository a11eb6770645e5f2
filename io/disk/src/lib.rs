//! The store's disk on real files.
//!
//! This room does what [`store::Disk`] asks: it creates, writes, syncs and renames below one directory, and it holds a lock
//! so that two servers never share a store. It decides nothing about what the bytes mean, and it never reaches above its
//! directory.
//!
//! Files are made with mode 0600 and directories with 0700. A file's sync is `fdatasync`, which on Linux also makes the
//! length durable; a name is durable after the sync of its directory.
//!
//! ```
//! use bulwark_disk::RealDisk;
//! use store::Disk;
//!
//! let dir = tempfile::tempdir()?;
//! let disk = RealDisk::open(dir.path())?;
//! let file = disk.create("greeting")?;
//! file.write_at(0, b"hello")?;
//! file.sync()?;
//! disk.sync_dir("")?;
//! assert_eq!(disk.list("")?, ["greeting"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use rustix::fs::{FlockOperation, flock};
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use store::{Disk, DiskFile};

/// Name of the lock file in the store directory.
pub const LOCK_FILE: &str = "lock";

/// A directory of the file system, locked for this process.
pub struct RealDisk {
    root: PathBuf,
    /// Held open: the lock goes when the process goes, however it goes.
    _lock: File,
}

/// Why a store directory can not be used.
#[derive(Debug)]
pub enum OpenError {
    /// Another server holds it.
    InUse(PathBuf),
    /// The file system refused.
    Io {
        /// On what.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::InUse(path) => write!(f, "store directory {} is in use by another server", path.display()),
            OpenError::Io { path, source } => write!(f, "{}: {source}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OpenError::InUse(_) => None,
            OpenError::Io { source, .. } => Some(source),
        }
    }
}

impl RealDisk {
    /// Takes the directory, making it if need be, and locks it.
    pub fn open(root: &Path) -> Result<RealDisk, OpenError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { path, source }
        };
        make_dirs(root).map_err(at(root))?;
        let path = root.join(LOCK_FILE);
        let lock = options().create(true).truncate(false).open(&path).map_err(at(&path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(RealDisk { root: root.to_owned(), _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::InUse(root.to_owned())),
            Err(error) => Err(at(&path)(error.into())),
        }
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a path of the store lies. Nothing leads out of the directory.
    fn at(&self, path: &str) -> io::Result<PathBuf> {
        let relative = Path::new(path);
        let stays_inside = relative.components().all(|part| matches!(part, Component::Normal(_)));
        if stays_inside { Ok(self.root.join(relative)) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

fn make_dirs(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

impl Disk for RealDisk {
    fn create_dir(&self, path: &str) -> io::Result<()> {
        make_dirs(&self.at(path)?)
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let is_root = path.is_empty();
        let names = fs::read_dir(self.at(path)?)?.map(|entry| {
            let name = entry?.file_name();
            name.into_string().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a file name that is not UTF-8"))
        });
        names.filter(|name| !is_root || !name.as_ref().is_ok_and(|name| name == LOCK_FILE)).collect()
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(RealFile(options().create_new(true).open(self.at(path)?)?)))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(RealFile(options().open(self.at(path)?)?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.at(from)?, self.at(to)?)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.at(path)?)
    }

    fn remove_dir(&self, path: &str) -> io::Result<()> {
        fs::remove_dir(self.at(path)?)
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        File::open(self.at(path)?)?.sync_all()
    }
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < into.len() {
            match self.0.read_at(&mut into[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// Chance from the operating system.
pub struct OsEntropy;

impl store::Entropy for OsEntropy {
    fn fill(&self, into: &mut [u8]) {
        getrandom::fill(into).expect("the operating system gives random bytes");
    }
}
