//! The log file and its rotation.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::ZonedDateTime;

/// When a log file is rotated, and how many old ones stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileLimits {
    /// A file that has grown past this is put aside; 0 for never.
    pub size_bytes: u64,
    /// Files kept, the active one included; 0 for all.
    pub files_max: usize,
}

pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    written: u64,
    limits: FileLimits,
}

impl LogFile {
    pub(super) fn open(path: PathBuf, limits: FileLimits) -> io::Result<Self> {
        let file = open(&path)?;
        let written = file.metadata()?.len();
        Ok(Self { path, file, written, limits })
    }

    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.file = open(&self.path)?;
        self.written = self.file.metadata()?.len();
        Ok(())
    }

    /// Writes a line; `note` makes a line of what rotation itself has to say.
    pub(super) fn write(&mut self, line: &[u8], note: &dyn Fn(&str) -> String) -> io::Result<()> {
        self.file.write_all(line)?;
        self.written += line.len() as u64;
        if self.limits.size_bytes > 0 && self.written > self.limits.size_bytes {
            self.rotate(note)?;
        }
        Ok(())
    }

    fn rotate(&mut self, note: &dyn Fn(&str) -> String) -> io::Result<()> {
        let backup = self.backup_name(&ZonedDateTime::now());
        fs::rename(&self.path, &backup)?;
        self.reopen()?;
        let mut said = vec![format!("Rotated log, backup saved as \"{}\"", backup.display())];
        said.extend(self.purge()?.iter().map(|gone| format!("Purged log file \"{}\"", gone.display())));
        for text in said {
            let line = note(&text);
            self.file.write_all(line.as_bytes())?;
            self.written += line.len() as u64;
        }
        Ok(())
    }

    fn backup_name(&self, now: &ZonedDateTime) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(now.strftime(".%Y.%m.%d.%H.%M.%S.").to_string());
        name.push(format!("{:09}", now.subsec_nanosecond()));
        name.into()
    }

    /// Removes the oldest backups beyond the bound.
    fn purge(&self) -> io::Result<Vec<PathBuf>> {
        let Some(keep) = self.limits.files_max.checked_sub(1) else { return Ok(Vec::new()) };
        let mut backups = backups_of(&self.path)?;
        // The names end in the time, so their order is that of age.
        backups.sort();
        let surplus = backups.len().saturating_sub(keep);
        backups.truncate(surplus);
        for old in &backups {
            fs::remove_file(old)?;
        }
        Ok(backups)
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    options.open(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// Files named like the log with a time behind.
fn backups_of(path: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let stem = format!("{}.", path.file_name().unwrap_or_default().to_string_lossy());
    let is_backup = |name: &str| {
        name.strip_prefix(&stem)
            .is_some_and(|rest| rest.len() == 29 && rest.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if is_backup(&entry.file_name().to_string_lossy()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_is_put_aside_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nats.log");
        let limits = FileLimits { size_bytes: 100, files_max: 3 };
        let mut log = LogFile::open(path.clone(), limits).unwrap();
        for round in 0..40 {
            log.write(format!("line {round:<60}\n").as_bytes(), &|note| format!("{note}\n")).unwrap();
        }
        assert_eq!(backups_of(&path).unwrap().len(), 2);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("Rotated log, backup saved as \""), "{text}");
        assert!(text.contains("Purged log file \""), "{text}");
    }

    #[test]
    fn other_files_beside_the_log_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nats.log");
        let other = folder.path().join("nats.log.keep");
        fs::write(&other, "mine").unwrap();
        let mut log = LogFile::open(path, FileLimits { size_bytes: 1, files_max: 1 }).unwrap();
        log.write(b"a line\n", &|note| format!("{note}\n")).unwrap();
        assert!(other.exists());
    }

    #[test]
    fn a_moved_file_is_opened_again_under_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nats.log");
        let mut log = LogFile::open(path.clone(), FileLimits::default()).unwrap();
        log.write(b"one\n", &|note| note.into()).unwrap();
        fs::rename(&path, folder.path().join("moved")).unwrap();
        log.reopen().unwrap();
        log.write(b"two\n", &|note| note.into()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
    }
}
