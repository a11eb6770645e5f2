//! What must not be used and must not be lost: whole files, and damaged stretches of files that go.
//!
//! Everything here lies in a directory `aside` beside the blocks and is sealed by the key of its day. Nothing in there is ever
//! read, changed or removed by the store; it goes with its stream, or when an operator takes it away.
//!
//! ```text
//! aside/GENERATION.blk.N            a block file as it was found
//! aside/GENERATION.blk.damaged.N    the head of a block file and its damaged stretches, each at its own offset
//! ```

use crate::disk::{Disk, DiskFile, join};
use crate::error::StoreError;
use crate::header::DATA_START;
use std::io;
use std::iter::once;
use std::ops::Range;

/// Directory, beside the blocks, for what is kept aside.
pub(crate) const ASIDE: &str = "aside";
/// Bytes copied at once.
const COPIED: u64 = 256 * 1024;

/// Moves a file aside, durably.
pub(crate) fn keep_file(disk: &dyn Disk, dir: &str, name: &str) -> Result<(), StoreError> {
    let aside = directory(disk, dir)?;
    let (from, to) = (join(dir, name), join(&aside, &free_name(disk, &aside, name)?));
    disk.rename(&from, &to).map_err(StoreError::disk("moving aside", &from))?;
    sync_names(disk, &aside, dir)
}

/// Copies damaged stretches of a file aside, durably, before the file goes. One that is gone already has nothing to copy.
pub(crate) fn keep_stretches(
    disk: &dyn Disk,
    dir: &str,
    name: &str,
    stretches: &[Range<u64>],
) -> Result<(), StoreError> {
    let path = join(dir, name);
    let from = match disk.open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened.map_err(StoreError::disk("opening", &path))?,
    };
    if stretches.is_empty() {
        return Ok(());
    }
    let aside = directory(disk, dir)?;
    let path = join(&aside, &free_name(disk, &aside, &format!("{name}.damaged"))?);
    let to = disk.create(&path).map_err(StoreError::disk("making", &path))?;
    let mut copied = once(0..DATA_START).chain(stretches.iter().cloned());
    let copied = copied.try_for_each(|range| copy(&*from, &*to, range));
    copied.and_then(|()| to.sync()).map_err(StoreError::disk("copying aside", &path))?;
    sync_names(disk, &aside, dir)
}

fn directory(disk: &dyn Disk, dir: &str) -> Result<String, StoreError> {
    let aside = join(dir, ASIDE);
    disk.create_dir(&aside).map_err(StoreError::disk("making directory", &aside))?;
    Ok(aside)
}

fn free_name(disk: &dyn Disk, aside: &str, name: &str) -> Result<String, StoreError> {
    let taken = disk.list(aside).map_err(StoreError::disk("listing", aside))?;
    let mut names = (0_u64..).map(|n| format!("{name}.{n}"));
    Ok(names.find(|name| !taken.contains(name)).expect("a directory does not hold 2^64 files"))
}

fn sync_names(disk: &dyn Disk, aside: &str, dir: &str) -> Result<(), StoreError> {
    [aside, dir].into_iter().try_for_each(|dir| disk.sync_dir(dir).map_err(StoreError::disk("syncing directory", dir)))
}

fn copy(from: &dyn DiskFile, to: &dyn DiskFile, range: Range<u64>) -> io::Result<()> {
    let mut at = range.start;
    while at < range.end {
        let mut bytes = vec![0; (range.end - at).min(COPIED) as usize];
        let read = from.read_at(at, &mut bytes)?;
        if read == 0 {
            break;
        }
        to.write_at(at, &bytes[..read])?;
        at += read as u64;
    }
    Ok(())
}
