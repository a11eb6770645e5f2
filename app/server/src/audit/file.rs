//! The files of a trail: one that grows, and those that were put aside.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use ::audit::MAX_LINE_BYTES;
use moment::Timestamp;

/// The file that is written.
pub struct TrailFile {
    path: PathBuf,
    file: File,
    written: u64,
    size_limit_bytes: u64,
    files_max: usize,
}

impl TrailFile {
    /// Opens the file and gives the last line in it. A line that was cut off by a crash is closed with a line break, so
    /// that it stays alone.
    pub fn open(path: &Path, size_limit_bytes: u64, files_max: usize) -> io::Result<(Self, Option<String>)> {
        let mut file = open(path)?;
        let written = file.metadata()?.len();
        let last = last_line(&mut file, written)?;
        let mut file = Self { path: path.to_owned(), file, written, size_limit_bytes, files_max };
        if let Some(cut) = last.as_deref().filter(|line| !line.ends_with('\n')) {
            let cut = cut.to_owned();
            file.write("\n")?;
            return Ok((file, Some(cut)));
        }
        Ok((file, last))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a line.
    pub fn write(&mut self, line: &str) -> io::Result<()> {
        self.file.write_all(line.as_bytes())?;
        self.written += line.len() as u64;
        Ok(())
    }

    /// Makes what was written durable.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Whether it has grown past its limit.
    pub fn is_full(&self) -> bool {
        self.size_limit_bytes > 0 && self.written >= self.size_limit_bytes
    }

    /// Puts the file aside, begins another one, and removes the oldest beyond the bound. The names of those that were removed.
    pub fn rotate(&mut self, now: Timestamp) -> io::Result<Vec<String>> {
        self.sync()?;
        let mut aside = self.path.clone().into_os_string();
        // Twenty digits: their order as texts is that of time.
        aside.push(format!(".{:020}", now.as_nanos()));
        fs::rename(&self.path, aside)?;
        self.file = open(&self.path)?;
        self.written = 0;
        self.purge()
    }

    fn purge(&self) -> io::Result<Vec<String>> {
        let Some(keep) = self.files_max.checked_sub(1) else { return Ok(Vec::new()) };
        let mut aside = put_aside(&self.path)?;
        aside.truncate(aside.len().saturating_sub(keep));
        aside.iter().try_for_each(fs::remove_file)?;
        Ok(aside.iter().map(|file| file.file_name().unwrap_or_default().to_string_lossy().into_owned()).collect())
    }
}

/// The files that were put aside, oldest first.
pub fn put_aside(path: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let stem = format!("{}.", path.file_name().unwrap_or_default().to_string_lossy());
    let is_ours = |name: &str| {
        name.strip_prefix(&stem).is_some_and(|rest| rest.len() == 20 && rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if is_ours(&entry.file_name().to_string_lossy()) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    options.open(path)
}

/// The last line, with its line break if it has one.
fn last_line(file: &mut File, len: u64) -> io::Result<Option<String>> {
    if len == 0 {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(len.saturating_sub(MAX_LINE_BYTES as u64 + 1)))?;
    let mut tail = Vec::new();
    file.take(MAX_LINE_BYTES as u64 + 1).read_to_end(&mut tail)?;
    let tail = String::from_utf8_lossy(&tail);
    let whole = tail.strip_suffix('\n').unwrap_or(&tail);
    let start = whole.rfind('\n').map_or(0, |at| at + 1);
    Ok(Some(tail[start..].to_owned()))
}
