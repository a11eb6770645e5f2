//! The message store: append-only blocks of sealed records, group commit, recovery.
//!
//! This room decides how messages and facts about streams lie on disk, how they are sealed, when they count as durable,
//! and what is true after a crash or after somebody tampered with a file. It does not know what a consumer, an
//! acknowledgement or a retention policy is, runs no thread, and reaches files, time and chance only through arguments:
//! [`Disk`], `Timestamp` and [`Entropy`].
//!
//! The types are [`Root`] (the store directory with its keys), [`FileStream`] and [`MemoryStream`] (the messages of a
//! stream), and [`MetaLog`] (names, configurations and consumer states).
//!
//! Durable before readable: a message is staged, a batch of them is written with one write and made durable with one
//! sync, and only then can it be read or acknowledged.
//!
//! ```
//! # use bulwark_store::*;
//! # use moment::Timestamp;
//! # use std::sync::Arc;
//! # let (disk, entropy) = (Arc::new(testkit::CrashDisk::new(1)), Arc::new(testkit::SeededEntropy::new(1)));
//! let root = Root::open(disk, entropy, &Sealing::default())?.root;
//! let mut stream = FileStream::create(root.context(), "streams/1", StreamId(1), FileSettings::default(), 1)?;
//! let draft = Draft { subject: b"orders.new", headers: b"", payload: b"42", time: Timestamp::EPOCH };
//! let seq = stream.stage(&draft)?;
//! assert_eq!(stream.load(seq)?, None);
//! stream.commit()?;
//! assert_eq!(stream.load(seq)?.expect("it is durable").payload(), b"42");
//! # Ok::<(), StoreError>(())
//! ```

mod account_keys;
mod aside;
mod bytes;
mod chunks;
mod contents;
mod deleted;
mod disk;
mod error;
mod file;
mod frame;
mod fuzz;
mod header;
mod index;
mod master;
mod memory;
mod meta;
mod opening;
mod part;
mod places;
mod record;
mod remembered;
mod root;
mod seal;
mod sheet;
mod subjects;
mod summary;
mod tail;

pub use account_keys::KeyNo;
pub use account_keys::keyring::{Destroyed, Keyring};
pub use disk::{Disk, DiskFile, Entropy};
pub use error::{Damage, Finding, StoreError};
pub use file::{
    BlockInfo, FileSettings, FileStream, MAX_PART, MAX_PAYLOAD, MAX_SPARSE_BLOCKS, Next, Opened, State, SyncMode,
};
pub use fuzz::{fuzz_block, fuzz_record};
pub use header::FORMAT_VERSION;
pub use memory::{MemoryStream, memory_size};
pub use meta::{MetaLog, MetaOpened};
pub use opening::{StoreOpened, open_store};
pub use part::{Down, Garbage, Part};
pub use record::{Draft, Message, MessageView, message_size};
pub use root::{Root, RootOpened, stream_dir};
pub use seal::{Cipher, KeyId, SealError, Sealing, StoreId, StreamId, Vault};
pub use subjects::{SubjectTotals, Walk};
pub use tail::{Context, SyncTicket};
