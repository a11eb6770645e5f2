//! A disk that is only read: what is written, renamed and removed happens in memory.
//!
//! Opening a store repairs what a crash left. Whoever only wants to know looks at it through this, and the very same code
//! tells what it would do.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store::{Disk, DiskFile};

/// See the module.
pub(super) struct Overlay {
    under: Arc<dyn Disk>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What differs from the disk: a file in memory, or none any more.
    files: BTreeMap<String, Option<Arc<MemoryFile>>>,
    folders: BTreeSet<String>,
}

impl Overlay {
    pub(super) fn over(under: Arc<dyn Disk>) -> Overlay {
        Overlay { under, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file as one that can be changed in memory.
    fn take(&self, path: &str) -> io::Result<Arc<MemoryFile>> {
        let known = self.state().files.get(path).cloned();
        match known {
            Some(Some(file)) => Ok(file),
            Some(None) => Err(io::ErrorKind::NotFound.into()),
            None => {
                let file = Arc::new(MemoryFile { under: Some(self.under.open(path)?), changed: Mutex::default() });
                self.state().files.insert(path.to_owned(), Some(file.clone()));
                Ok(file)
            }
        }
    }
}

impl Disk for Overlay {
    fn create_dir(&self, path: &str) -> io::Result<()> {
        self.state().folders.insert(path.to_owned());
        Ok(())
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let state = self.state();
        let mut names: BTreeSet<String> = match self.under.list(path) {
            Ok(names) => names.into_iter().collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound && state.folders.contains(path) => BTreeSet::new(),
            Err(error) => return Err(error),
        };
        for (known, file) in &state.files {
            let (folder, name) = known.rsplit_once('/').unwrap_or(("", known));
            if folder == path {
                match file {
                    Some(_) => names.insert(name.to_owned()),
                    None => names.remove(name),
                };
            }
        }
        Ok(names.into_iter().collect())
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        if self.take(path).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = Arc::new(MemoryFile { under: None, changed: Mutex::new(Some(Vec::new())) });
        self.state().files.insert(path.to_owned(), Some(file.clone()));
        Ok(file)
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.take(path)?)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let file = self.take(from)?;
        let mut state = self.state();
        state.files.insert(to.to_owned(), Some(file));
        state.files.insert(from.to_owned(), None);
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.take(path)?;
        self.state().files.insert(path.to_owned(), None);
        Ok(())
    }

    fn remove_dir(&self, path: &str) -> io::Result<()> {
        self.state().folders.remove(path);
        Ok(())
    }

    fn sync_dir(&self, _: &str) -> io::Result<()> {
        Ok(())
    }
}

/// A file of the disk until it is written to.
struct MemoryFile {
    under: Option<Arc<dyn DiskFile>>,
    changed: Mutex<Option<Vec<u8>>>,
}

impl MemoryFile {
    fn changed(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn copy(&self) -> io::Result<Vec<u8>> {
        let Some(under) = &self.under else { return Ok(Vec::new()) };
        let len = usize::try_from(under.len()?).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let mut bytes = vec![0; len];
        let mut filled = 0;
        while filled < len {
            match under.read_at(filled as u64, &mut bytes[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}

impl DiskFile for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        match (&*self.changed(), &self.under) {
            (Some(bytes), _) => Ok(bytes.len() as u64),
            (None, Some(under)) => under.len(),
            (None, None) => Ok(0),
        }
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut changed = self.changed();
        if changed.is_none() {
            *changed = Some(self.copy()?);
        }
        let content = changed.get_or_insert_default();
        let from = usize::try_from(offset).map_err(|_| io::ErrorKind::OutOfMemory)?;
        if content.len() < from + bytes.len() {
            content.resize(from + bytes.len(), 0);
        }
        content[from..from + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        match (&*self.changed(), &self.under) {
            (Some(bytes), _) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                let read = into.len().min(bytes.len() - from);
                into[..read].copy_from_slice(&bytes[from..from + read]);
                Ok(read)
            }
            (None, Some(under)) => under.read_at(offset, into),
            (None, None) => Ok(0),
        }
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_is_seen_and_the_disk_stays_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let real = Arc::new(disk::RealDisk::open(folder.path()).expect("opens"));
        real.create_dir("d").expect("works");
        for name in ["d/a", "d/b"] {
            real.create(name).and_then(|file| file.write_at(0, b"on the disk")).expect("works");
        }
        let overlay = Overlay::over(real.clone());
        overlay.open("d/a").and_then(|file| file.write_at(3, b"ON")).expect("works");
        overlay.rename("d/b", "d/c").expect("works");
        overlay.create("d/new").and_then(|file| file.write_at(0, b"x")).expect("works");
        assert_eq!(overlay.list("d").expect("works"), ["a", "c", "new"]);
        let read = |disk: &dyn Disk, path: &str| {
            let mut bytes = [0; 32];
            let read = disk.open(path).and_then(|file| file.read_at(0, &mut bytes)).expect("works");
            String::from_utf8_lossy(&bytes[..read]).into_owned()
        };
        assert_eq!(
            (read(&overlay, "d/a"), read(&overlay, "d/c")),
            ("on ONe disk".to_owned(), "on the disk".to_owned())
        );
        overlay.remove("d/a").expect("works");
        assert!(overlay.open("d/a").is_err() && overlay.create("d/a").is_ok());
        let mut names = real.list("d").expect("works");
        names.sort();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(read(&*real, "d/a"), "on the disk");
    }
}
