//! New certificates, roots and revocation lists without a restart.
//!
//! What is in use is swapped whole: a handshake works with what was there when it began. A block whose new files do not
//! fit together changes nothing, and the error says why.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::files::ReadFile;
use crate::{BuildError, ClientTls, ServerTls, Settings};

/// Something built from a block: one side of a link.
pub trait Build: Sized {
    /// Reads the files of the block and checks that everything fits together.
    fn build(settings: &Settings, read_file: ReadFile<'_>) -> Result<Self, BuildError>;
}

impl Build for ServerTls {
    fn build(settings: &Settings, read_file: ReadFile<'_>) -> Result<Self, BuildError> {
        Self::build(settings, read_file)
    }
}

impl Build for ClientTls {
    fn build(settings: &Settings, read_file: ReadFile<'_>) -> Result<Self, BuildError> {
        Self::build(settings, read_file)
    }
}

/// What a block stands for right now.
#[derive(Debug)]
pub struct Live<T> {
    current: ArcSwap<T>,
}

impl<T: Build> Live<T> {
    /// Builds for the first time.
    pub fn build(settings: &Settings, read_file: ReadFile<'_>) -> Result<Self, BuildError> {
        T::build(settings, read_file).map(|built| Self { current: ArcSwap::from_pointee(built) })
    }

    /// What new connections use.
    pub fn current(&self) -> Arc<T> {
        self.current.load_full()
    }

    /// Builds again and swaps.
    ///
    /// # Errors
    /// If something does not fit. What was in use stays in use.
    pub fn reload(&self, settings: &Settings, read_file: ReadFile<'_>) -> Result<Arc<T>, BuildError> {
        let built = Arc::new(T::build(settings, read_file)?);
        self.current.store(Arc::clone(&built));
        Ok(built)
    }
}

/// What the file system says about a file without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// When it was last written, in nanoseconds since the epoch.
    pub modified: i128,
    /// How long it is.
    pub len: u64,
    /// Which file it is: a renamed file or a moved link shows here even with the same time and length.
    pub inode: u64,
}

impl Stamp {
    /// Asks the file system; links are followed. `None` if there is no such file.
    pub fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata = std::fs::metadata(path).ok()?;
        let modified = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        Some(Self { modified, len: metadata.len(), inode: metadata.ino() })
    }
}

/// Notices that files changed, by looking at them now and then.
///
/// A certificate and its key are two files, and whoever renews them writes one after the other. A look in between leads
/// to a reload that fails and changes nothing; the second file changes the stamps again, and the next look reloads.
#[derive(Debug)]
pub struct FileWatch {
    seen: Vec<(PathBuf, Option<Stamp>)>,
}

impl FileWatch {
    /// Remembers how the files are now. `stamp` is [`Stamp::of`], outside of tests.
    pub fn new(files: impl IntoIterator<Item = PathBuf>, stamp: impl Fn(&Path) -> Option<Stamp>) -> Self {
        let seen = files.into_iter().map(|path| {
            let stamp = stamp(&path);
            (path, stamp)
        });
        Self { seen: seen.collect() }
    }

    /// Which files are not as they were at the last look.
    pub fn changed(&mut self, stamp: impl Fn(&Path) -> Option<Stamp>) -> Vec<PathBuf> {
        let mut changed = Vec::new();
        for (path, seen) in &mut self.seen {
            let now = stamp(path);
            if *seen != now {
                *seen = now;
                changed.push(path.clone());
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_noticed_once() {
        let at = |modified| move |_: &Path| Some(Stamp { modified, len: 1, inode: 1 });
        let mut watch = FileWatch::new(["a".into(), "b".into()], at(1));
        assert!(watch.changed(at(1)).is_empty());
        assert_eq!(watch.changed(at(2)).len(), 2);
        assert!(watch.changed(at(2)).is_empty());
        assert_eq!(watch.changed(|_| None).len(), 2, "a file that went away");
        let moved = |_: &Path| Some(Stamp { modified: 2, len: 1, inode: 9 });
        assert_eq!(watch.changed(moved).len(), 2, "and came back as another one");
    }

    #[test]
    fn a_real_file_has_a_stamp() {
        assert!(Stamp::of(Path::new(env!("CARGO_MANIFEST_DIR"))).is_some());
        assert_eq!(Stamp::of(Path::new("/no/such/file")), None);
    }
}
