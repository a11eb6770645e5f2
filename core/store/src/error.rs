//! What can go wrong, and what was found wrong.

use crate::account_keys::KeyNo;
use crate::seal::{KeyId, SealError, StreamId};
use std::fmt;
use std::io;
use std::ops::RangeInclusive;

/// Why the store does not do what was asked.
#[derive(Debug)]
pub enum StoreError {
    /// The disk refused. Full disks and read-only file systems arrive here, too.
    Disk {
        /// What was attempted.
        doing: &'static str,
        /// On which file or directory.
        path: String,
        /// What the disk said.
        source: io::Error,
    },
    /// A write or sync failed earlier. Nothing is acknowledged until the store was closed and opened again.
    Poisoned,
    /// The data is sealed by a key that was not given. Nothing was touched.
    WrongKey {
        /// Mark of the key that is needed.
        needed: KeyId,
        /// The file that told.
        path: String,
    },
    /// Encryption, or keys of accounts, are configured without a key.
    NoKey,
    /// The data is sealed by the key of an account, which is not there.
    NoAccountKey {
        /// Its number.
        needed: KeyNo,
        /// The file that told; empty where something was to be written.
        path: String,
    },
    /// The file was written by a newer release. Nothing was touched.
    NewerFormat {
        /// Version of its format.
        version: u16,
        /// The file.
        path: String,
    },
    /// Its sequences jump too often: each jump of millions takes a block of its own.
    TooSparse {
        /// How many such blocks there may be.
        max: usize,
    },
    /// A part of a message is longer than the format can say.
    TooLong {
        /// Which part.
        part: &'static str,
        /// How long it may be.
        max: usize,
    },
    /// The directory is not what it should be.
    Unusable {
        /// Which directory or file.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl StoreError {
    /// Gives disk errors their place.
    pub(crate) fn disk(doing: &'static str, path: &str) -> impl FnOnce(io::Error) -> StoreError {
        move |source| StoreError::Disk { doing, path: path.to_owned(), source }
    }

    /// Whether the disk is full: publishers are told so, and it may pass.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, StoreError::Disk { source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Disk { doing, path, source } => write!(f, "{doing} {path}: {source}"),
            StoreError::Poisoned => {
                f.write_str("an earlier write or sync failed; the store acknowledges nothing until it was reopened")
            }
            StoreError::WrongKey { needed, path } => {
                write!(f, "{path} is sealed by key {needed:?}, which is neither the key nor the previous key given")
            }
            StoreError::NoKey => f.write_str("a cipher is set but no key is given"),
            StoreError::NoAccountKey { needed, path } if path.is_empty() => {
                write!(f, "key {needed} of an account is not there")
            }
            StoreError::NoAccountKey { needed, path } => {
                write!(f, "{path} is sealed by key {needed} of an account, which is not there")
            }
            StoreError::NewerFormat { version, path } => {
                write!(f, "{path} has format version {version}, written by a newer release")
            }
            StoreError::TooSparse { max } => write!(f, "sequences jump by millions more than {max} times"),
            StoreError::TooLong { part, max } => write!(f, "{part} is longer than {max} bytes"),
            StoreError::Unusable { path, why } => write!(f, "{path}: {why}"),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StoreError::Disk { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Why nothing can be sealed.
impl From<SealError> for StoreError {
    fn from(error: SealError) -> StoreError {
        match error {
            SealError::NoAccountKey(needed) => StoreError::NoAccountKey { needed, path: String::new() },
            SealError::NoKey | SealError::UnknownKey(_) | SealError::Altered => StoreError::NoKey,
        }
    }
}

/// Something recovery saw. Findings are for the log, the operator and the alarm; they are not errors, the store runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The stream; [`StreamId::METADATA`] for the metadata log.
    pub stream: StreamId,
    /// The file, relative to the stream's directory.
    pub file: String,
    /// What is the matter.
    pub what: Damage,
    /// Bytes of the file concerned, where it is a part of it.
    pub bytes: Option<(u64, u64)>,
    /// Messages that are gone, where that can be told.
    pub lost: Option<RangeInclusive<u64>>,
}

/// What is the matter with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Damage {
    /// The last write was cut off: a part of it was never written, or the file ends within it. A crash explains it, and
    /// nothing in it was acknowledged if it was one; somebody who cuts or blanks the newest records leaves the same. What of
    /// it opens is kept all the same, so messages named as lost may stand between others.
    TornTail,
    /// Bytes that were durable once do not open any more.
    Altered,
    /// The file is shorter than it was when it was closed.
    Cut,
    /// The file is not there.
    Missing,
    /// Neither copy of the file's head is good; the file is kept aside.
    NoHead,
    /// One of the two copies of the file's head is damaged; it was made again from the other.
    HalfHead,
    /// The file belongs to another stream, store or place; it is kept aside.
    Foreign,
    /// The file was removed or replaced earlier and is back; it is kept aside.
    Stale,
    /// Not a file of the store; left alone.
    Unknown,
    /// It was lost or damaged, and was made again from what the blocks say.
    MadeAgain,
    /// The key of an account is wrapped by a server key that was not given; left alone.
    WrongKey,
    /// The file is no key of this number, account and store; left alone.
    NotTheKey,
    /// Neither copy of the key of an account is whole; left alone.
    KeyDamaged,
    /// The key of an account was destroyed and its file is back; it is destroyed again.
    PutBack,
}

impl Damage {
    /// Whether a crash alone explains it.
    pub const fn is_expected_after_a_crash(self) -> bool {
        matches!(self, Damage::TornTail)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            Damage::TornTail => "the last write is torn",
            Damage::Altered => "damaged",
            Damage::Cut => "cut short",
            Damage::Missing => "missing",
            Damage::NoHead => "its head is damaged, kept aside",
            Damage::HalfHead => "one copy of its head was damaged, made again from the other",
            Damage::Foreign => "belongs to another stream, kept aside",
            Damage::Stale => "an earlier version that was put back, kept aside",
            Damage::Unknown => "not a file of the store, left alone",
            Damage::MadeAgain => "lost or damaged, made again from the blocks",
            Damage::WrongKey => "wrapped by another server key than those given, left alone",
            Damage::NotTheKey => "not the key of its account, left alone",
            Damage::KeyDamaged => "damaged, left alone",
            Damage::PutBack => "the key was destroyed and put back, destroyed again",
        };
        write!(f, "stream {}, {}: {what}", self.stream.0, self.file)?;
        if let Some((from, to)) = self.bytes {
            write!(f, ", bytes {from} to {to}")?;
        }
        match &self.lost {
            Some(lost) if lost.start() == lost.end() => write!(f, ", lost: message {}", lost.start()),
            Some(lost) => write!(f, ", lost: messages {} to {}", lost.start(), lost.end()),
            None => Ok(()),
        }
    }
}
