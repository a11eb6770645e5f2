//! Opening a store directory: its identity first, then what is known of its streams.

use crate::account_keys::keyring::{Destroyed, Keyring};
use crate::account_keys::survey::{Settled, Survey};
use crate::disk::{Disk, Entropy};
use crate::error::{Damage, Finding, StoreError};
use crate::meta::MetaLog;
use crate::root::{FILE, META_DIR, Root};
use crate::seal::{Sealing, StreamId};
use std::sync::Arc;

/// A store that was opened, and what was found on the way.
pub struct StoreOpened {
    /// Its directory and keys.
    pub root: Root,
    /// Names, configurations and states.
    pub meta: MetaLog,
    /// Keys of accounts.
    pub keyring: Keyring,
    /// Keys that were to be destroyed when the process before ended, and are.
    pub destroyed: Vec<Destroyed>,
    /// Whether it was made just now.
    pub is_new: bool,
    /// What was the matter, of identity and metadata. Empty after a clean shutdown.
    pub findings: Vec<Finding>,
}

/// Opens a store, or makes a new one in an empty directory. With a wrong key nothing is touched. Streams are not opened.
///
/// # Errors
/// A key that is missing, a newer format, or what the disk said. Damage is no error: it is among the findings.
pub fn open_store(
    disk: Arc<dyn Disk>,
    entropy: Arc<dyn Entropy>,
    sealing: &Sealing,
) -> Result<StoreOpened, StoreError> {
    let mut opened = Root::open(disk, entropy, sealing)?;
    let survey = Survey::of(&opened.root.context())?;
    let mut meta = MetaLog::open(opened.root.context(), META_DIR)?;
    let mut findings = Vec::new();
    let mut find = |file: &str, what| {
        findings.push(Finding { stream: StreamId::METADATA, file: file.to_owned(), what, bytes: None, lost: None });
    };
    if opened.was_repaired {
        find(FILE, Damage::MadeAgain);
    }
    if meta.is_blank && opened.root.holds_messages()? {
        find(META_DIR, Damage::Missing);
    }
    findings.append(&mut meta.findings);
    let Settled { keyring, finished } = survey.settle(&mut opened.root, &mut meta.log, &mut findings)?;
    let (root, meta, is_new) = (opened.root, meta.log, opened.is_new);
    Ok(StoreOpened { root, meta, keyring, destroyed: finished, is_new, findings })
}
