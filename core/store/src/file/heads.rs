//! The heads of a stream's files: reading all of them, and mending those of which one copy is damaged.

use super::read::unusable;
use super::recovery::Recovery;
use crate::aside::ASIDE;
use crate::error::{Damage, Finding, StoreError};
use crate::header::{SLOT_LEN, Stray, Why};
use crate::index::{BlockError, BlockFile, Scanned};
use crate::seal::SealError;
use crate::summary;
use crate::tail::generation_of;
use std::io;

/// What the head of a file told, and how long the file is. It is not kept open: a stream may have more blocks than a process
/// may have files.
pub(super) enum File {
    Good { len: u64, stray: Option<Stray> },
    Foreign { len: u64 },
    NoHead { len: u64, unwritten: bool },
}

impl File {
    pub(super) fn len(&self) -> u64 {
        match self {
            File::Good { len, .. } | File::Foreign { len } | File::NoHead { len, .. } => *len,
        }
    }

    /// Its length, if both copies of its head are good.
    pub(super) fn sound_len(&self) -> Option<u64> {
        match self {
            File::Good { len, stray: None } => Some(*len),
            _ => None,
        }
    }
}

impl Recovery<'_> {
    pub(super) fn read_heads(&mut self) -> Result<(), StoreError> {
        let dir = &self.stream.dir;
        let names = match self.stream.context.disk.list(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.stream.context.disk.create_dir(dir).map_err(StoreError::disk("making directory", dir))?;
                let (stream, file) = (self.stream.id, "its directory".to_owned());
                self.findings.push(Finding { stream, file, what: Damage::Missing, bytes: None, lost: None });
                Vec::new()
            }
            listed => listed.map_err(StoreError::disk("listing", dir))?,
        };
        for name in names.into_iter().filter(|name| name != ASIDE) {
            match (generation_of(&name), summary::generation_of(&name)) {
                (Some(generation), _) => {
                    let file = self.read_head(generation)?;
                    self.files.insert(generation, file);
                }
                (None, Some(generation)) => self.summaries.push(generation),
                (None, None) => {
                    let stream = self.stream.id;
                    self.findings.push(Finding { stream, file: name, what: Damage::Unknown, bytes: None, lost: None });
                }
            }
        }
        self.summaries.sort_unstable();
        Ok(())
    }

    fn read_head(&self, generation: u64) -> Result<File, StoreError> {
        let path = self.path(generation);
        let context = &self.stream.context;
        let file = context.disk.open(&path).map_err(StoreError::disk("opening", &path))?;
        let len = file.len().map_err(StoreError::disk("reading", &path))?;
        match BlockFile::open(file, &context.vault, context.place(self.stream.id, generation)) {
            Ok(file) => Ok(File::Good { len, stray: file.stray }),
            Err(BlockError::NoHead { unwritten }) => Ok(File::NoHead { len, unwritten }),
            Err(BlockError::Foreign | BlockError::Seal(SealError::Altered)) => Ok(File::Foreign { len }),
            Err(error) => Err(unusable(error, &path)),
        }
    }

    /// Opens a block whose head is good.
    pub(super) fn block_file(&self, generation: u64) -> Result<BlockFile, StoreError> {
        let path = self.path(generation);
        let context = &self.stream.context;
        let file = context.disk.open(&path).map_err(StoreError::disk("opening", &path))?;
        let opened = BlockFile::open(file, &context.vault, context.place(self.stream.id, generation));
        opened.map_err(|error| unusable(error, &path))
    }

    /// Reads a whole block whose head is good.
    pub(super) fn scan(&self, generation: u64) -> Result<Scanned, StoreError> {
        let file = self.block_file(generation)?;
        file.scan().map_err(StoreError::disk("reading", &self.path(generation)))
    }

    /// Makes damaged copies of heads again from the good ones. One that was never written is explained by a crash in a file
    /// whose first write may have been torn, one that is older by a change of keys that was cut off.
    pub(super) fn mend_heads(&mut self, newest_tail: u64) -> Result<(), StoreError> {
        let strays = self.files.iter().filter_map(|(&generation, file)| match file {
            File::Good { stray: Some(stray), .. } => Some((generation, *stray)),
            _ => None,
        });
        for (generation, stray) in strays.collect::<Vec<_>>() {
            let mut file = self.block_file(generation)?;
            file.mend().map_err(StoreError::disk("writing", &self.path(generation)))?;
            let is_explained = match stray.why {
                Why::Older => true,
                Why::Unwritten => generation >= newest_tail,
                Why::Damaged => false,
            };
            if !is_explained {
                self.find(generation, Damage::HalfHead, Some((stray.at, stray.at + SLOT_LEN as u64)));
            }
        }
        Ok(())
    }
}
