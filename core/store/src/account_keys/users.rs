//! Which files take the key of an account, told by their heads alone.

use super::KeyNo;
use crate::aside::ASIDE;
use crate::disk::{Disk, join};
use crate::error::StoreError;
use crate::header::{self, DATA_START, Head, Header, SLOT_LEN, SLOTS};
use crate::root::{META_DIR, Root, stream_dir};
use crate::seal::StreamId;
use std::collections::BTreeSet;
use std::io::{self, ErrorKind};

/// Names in a directory; none if there is no such directory.
fn names(disk: &dyn Disk, dir: &str) -> Result<Vec<String>, StoreError> {
    match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(StoreError::disk("listing", dir)),
    }
}

/// The head of a file, if it has a good one.
fn head(disk: &dyn Disk, path: &str) -> Result<Option<Header>, StoreError> {
    let file = match disk.open(path) {
        Ok(file) => file,
        // A directory, or a file that is gone by now, has none. What cannot be opened for another reason may well take a key.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory) => return Ok(None),
        Err(error) => return Err(StoreError::disk("opening", path)(error)),
    };
    let mut bytes = vec![0; DATA_START as usize];
    let read = file.read_at(0, &mut bytes).map_err(StoreError::disk("reading", path))?;
    Ok(match header::read(&bytes[..read]) {
        Head::Good(header, _) => Some(header),
        _ => None,
    })
}

/// Shows the heads of the files in a directory, and of those kept aside there.
fn each_head(
    disk: &dyn Disk,
    dir: &str,
    mut show: impl FnMut(&str, &Header) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    for dir in [dir.to_owned(), join(dir, ASIDE)] {
        for name in names(disk, &dir)?.into_iter().filter(|name| name != ASIDE) {
            let path = join(&dir, &name);
            if let Some(header) = head(disk, &path)? {
                show(&path, &header)?;
            }
        }
    }
    Ok(())
}

impl Root {
    /// Streams of which a file takes this key, what was kept aside included.
    pub(crate) fn streams_of(&self, no: KeyNo) -> Result<Vec<StreamId>, StoreError> {
        let mut found = Vec::new();
        for id in self.stream_ids()? {
            if self.account_keys_in(id)?.contains(&no) {
                found.push(id);
            }
        }
        Ok(found)
    }

    /// The keys of accounts that files of a stream take, what was kept aside included.
    pub fn account_keys_in(&self, id: StreamId) -> Result<BTreeSet<KeyNo>, StoreError> {
        let mut found = BTreeSet::new();
        each_head(&*self.context().disk, &stream_dir(id), |_, header| {
            found.extend(header.wrapped.account);
            Ok(())
        })?;
        Ok(found)
    }

    /// Whether metadata that was kept aside may hold entries that take keys of accounts.
    pub(crate) fn metadata_aside_may_take_keys(&self) -> Result<bool, StoreError> {
        let mut may = false;
        each_head(&*self.context().disk, &join(META_DIR, ASIDE), |_, header| {
            may |= header.may_take_accounts();
            Ok(())
        })?;
        Ok(may)
    }

    /// Removes a stream whose key is destroyed. Blocks that do not take it yet lose the head, which holds their own keys.
    pub(crate) fn destroy_stream(&self, id: StreamId) -> Result<(), StoreError> {
        let disk = &*self.context().disk;
        each_head(disk, &stream_dir(id), |path, header| match header.wrapped.account {
            Some(_) => Ok(()),
            None => blank_head(disk, path),
        })?;
        self.remove_stream(id)
    }
}

fn blank_head(disk: &dyn Disk, path: &str) -> Result<(), StoreError> {
    let file = disk.open(path).map_err(StoreError::disk("opening", path))?;
    let blanked = SLOTS.iter().try_for_each(|&at| file.write_at(at, &[0; SLOT_LEN]));
    blanked.and_then(|()| file.sync()).map_err(StoreError::disk("overwriting", path))
}
