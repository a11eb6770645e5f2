//! Where streams are kept, how they are sealed, and how much there may be.

use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{Cipher, JetStream, Settings, Sync};
use jetstream_host::{Bounds, DeskSettings, InletLimits};
use store::{FileSettings, Sealing, SyncMode};

use crate::system;

/// The folder in `store_dir` that is ours.
const FOLDER: &str = "jetstream";
/// What may be used where nothing is said: this share of what there is, in quarters.
const SHARE_QUARTERS: u64 = 3;
/// Streams with `persist_mode: async` do not wait for the disk; what they wrote is durable within this time.
const ASYNC_SYNC_EVERY: Duration = Duration::from_secs(1);
/// Where the machine does not say how much memory it has.
const MEMORY_FALLBACK: u64 = 256 << 20;
/// Where the disk does not say how much is free.
const STORE_FALLBACK: u64 = 1 << 40;

/// The store of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The folder.
    pub(crate) folder: PathBuf,
    /// Nobody said where.
    pub(super) is_temporary: bool,
    /// Bytes in memory, of all accounts.
    pub(super) max_memory: u64,
    /// Bytes in files, of all accounts.
    pub(super) max_store: u64,
}

impl Place {
    pub(crate) fn of(settings: &JetStream) -> Self {
        let root = settings.store_dir.clone().unwrap_or_else(|| std::env::temp_dir().join("nats"));
        let folder = root.join(FOLDER);
        let share = |all: u64| all / 4 * SHARE_QUARTERS;
        let memory = || system::memory_bytes().map_or(MEMORY_FALLBACK, share);
        let store = || system::free_bytes(&folder).map_or(STORE_FALLBACK, share);
        let (max_memory, max_store) = (settings.max_memory_bytes, settings.max_store_bytes);
        Self {
            is_temporary: settings.store_dir.is_none(),
            max_memory: max_memory.unwrap_or_else(memory),
            max_store: max_store.unwrap_or_else(store),
            folder,
        }
    }

    /// A folder in which the reference server keeps streams: it has files of another format, and nobody may think that
    /// they are served.
    pub(super) fn is_of_reference(&self) -> bool {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut folders = entries.map(|entry| entry.path()).filter(|path| path.is_dir());
        !self.folder.join("store").exists() && folders.any(|path| has_streams(&path))
    }
}

/// The reference has a folder per account, and in it one that is called `streams`.
fn has_streams(account: &Path) -> bool {
    account.join("streams").is_dir()
}

/// By what everything is sealed.
pub(crate) fn sealing(settings: &JetStream) -> Sealing {
    let cipher = match settings.cipher {
        _ if settings.key.is_none() => store::Cipher::None,
        Cipher::Aes => store::Cipher::Aes,
        Cipher::ChaChaPoly => store::Cipher::ChaChaPoly,
    };
    let (key, previous_key) = (settings.key.clone(), settings.previous_key.clone());
    Sealing { cipher, key, previous_key, account_keys: settings.account_keys }
}

/// What the host is told.
pub(super) fn desk(settings: &JetStream, place: &Place) -> DeskSettings {
    let sealing = sealing(settings);
    let (sync, sync_every) = match settings.sync {
        Sync::Always => (SyncMode::Always, ASYNC_SYNC_EVERY),
        Sync::Every(interval) => (SyncMode::Lazy, interval),
    };
    let bounds = Bounds { memory: place.max_memory, store: place.max_store };
    let files = FileSettings { sync, ..FileSettings::default() };
    DeskSettings { sealing, files, sync_every, bounds, ..DeskSettings::default() }
}

/// What may wait for the host.
pub(super) fn inlet(settings: &Settings) -> InletLimits {
    let settings = &settings.jetstream;
    InletLimits {
        messages: settings.max_buffered_msgs,
        bytes: usize::try_from(settings.max_buffered_bytes).unwrap_or(usize::MAX),
        requests: settings.request_queue_limit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_taken_and_the_rest_is_a_share_of_what_there_is() {
        let said = JetStream { max_memory_bytes: Some(5), max_store_bytes: Some(6), ..JetStream::default() };
        let place = Place::of(&JetStream { store_dir: Some("/data".into()), ..said });
        assert_eq!((place.max_memory, place.max_store, place.is_temporary), (5, 6, false));
        assert_eq!(place.folder, Path::new("/data/jetstream"));
        let unsaid = Place::of(&JetStream::default());
        assert!(unsaid.is_temporary && unsaid.max_memory > 0 && unsaid.max_store > 0);
    }

    #[test]
    fn a_folder_of_the_reference_is_known() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = JetStream { store_dir: Some(folder.path().to_owned()), ..JetStream::default() };
        let place = Place::of(&settings);
        assert!(!place.is_of_reference());
        std::fs::create_dir_all(place.folder.join("$G/streams/ORDERS")).expect("a folder");
        assert!(place.is_of_reference());
        std::fs::write(place.folder.join("store"), "ours").expect("a file");
        assert!(!place.is_of_reference());
    }

    #[test]
    fn without_a_key_nothing_is_sealed_and_syncing_is_as_said() {
        let place = Place::of(&JetStream { max_store_bytes: Some(9), ..JetStream::default() });
        let plain = desk(&JetStream { cipher: Cipher::Aes, ..JetStream::default() }, &place);
        assert_eq!(plain.bounds.store, 9);
        assert_eq!((plain.sealing.cipher, plain.files.sync), (store::Cipher::None, SyncMode::Always));
        assert_eq!(plain.sync_every, ASYNC_SYNC_EVERY, "the thread rests in between");
        let key = Some(secret::Secret::new("k".to_owned()));
        let sync = Sync::Every(Duration::from_secs(5));
        let sealed = desk(&JetStream { cipher: Cipher::Aes, key, sync, ..JetStream::default() }, &place);
        assert_eq!((sealed.sealing.cipher, sealed.files.sync), (store::Cipher::Aes, SyncMode::Lazy));
        assert_eq!(sealed.sync_every, Duration::from_secs(5));
    }
}
