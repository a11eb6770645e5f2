//! Files that only their owner reads, written in one step.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};

/// Creates the directory and those above it, closed to others.
pub(crate) fn private_dir(path: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).with_context(|| format!("could not create {}", path.display()))
}

/// Writes a file, in place of the one that was there.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let folder = parent(path)?;
    private_dir(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = folder.join(format!(".{name}.{}", crate::template::random_letters(8)));
    let written = create(&fresh, content).and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written.with_context(|| format!("could not write {}", path.display()))
}

/// Writes a file that must not be there yet, unless it may be replaced.
pub(crate) fn write_new(path: &Path, content: &[u8], may_replace: bool) -> Result<()> {
    if !may_replace && path.exists() {
        bail!("file {} already exist", path.display());
    }
    match parent(path)? {
        folder if folder.as_os_str().is_empty() || folder.is_dir() => write_beside(path, content),
        folder => bail!("directory {} does not exist", folder.display()),
    }
}

fn write_beside(path: &Path, content: &[u8]) -> Result<()> {
    let fresh = path.with_extension(format!("tmp-{}", crate::template::random_letters(8)));
    let written = create(&fresh, content).and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written.with_context(|| format!("could not write {}", path.display()))
}

fn create(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Reads a file that must not be larger than the bound.
pub(crate) fn read_bounded(path: &Path, bound: u64) -> Result<Vec<u8>> {
    let size = fs::metadata(path).with_context(|| format!("could not read {}", path.display()))?.len();
    if size > bound {
        bail!("{} has {size} bytes, more than the {bound} such a file may have", path.display());
    }
    fs::read(path).with_context(|| format!("could not read {}", path.display()))
}

fn parent(path: &Path) -> Result<&Path> {
    path.parent().ok_or_else(|| anyhow!("{} has no parent directory", path.display()))
}
