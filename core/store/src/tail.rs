//! The one block that is being written.
//!
//! Records are staged into a batch; [`Tail::write`] puts the batch into the file with one write. A tail lives from the
//! moment its key is drawn until it is full, an erase needs it closed, or a write fails. It is never reopened: what was
//! written by an earlier process is a closed block, and the next record begins a new generation under a new key.

use crate::account_keys::KeyNo;
use crate::disk::{Disk, DiskFile, Entropy, join};
use crate::error::StoreError;
use crate::frame;
use crate::header::{FORMAT_VERSION, Header};
use crate::index::{BlockFile, Laid};
use crate::record::{self, AFTER_SYNC, Draft, PACKED, Record};
use crate::seal::{BlockSeal, Cipher, Place, SUM_LEN, StreamId, Vault, Wrapped};
use std::io;
use std::sync::Arc;

/// What every part of a store needs to reach its files and keys.
#[derive(Clone)]
pub struct Context {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The keys.
    pub vault: Arc<Vault>,
    /// Where keys and nonces are drawn.
    pub entropy: Arc<dyn Entropy>,
    /// The key of the account whose stream it is, if it has one: what is written takes it beside the server key.
    pub account: Option<KeyNo>,
}

impl Context {
    /// The same for a stream of an account.
    #[must_use]
    pub fn of_account(&self, account: Option<KeyNo>) -> Context {
        Context { account, ..self.clone() }
    }

    /// Whether a block is sealed by the cipher and the keys that seal from now on.
    pub(crate) fn is_present(&self, wrapped: &Wrapped) -> bool {
        let vault = &self.vault;
        let account = self.account.filter(|_| wrapped.cipher != Cipher::None);
        (wrapped.cipher, wrapped.key, wrapped.account) == (vault.cipher(), vault.key_id(), account)
    }

    /// Draws a key for a block, and makes its head.
    pub(crate) fn new_block(&self, stream: StreamId, generation: u64) -> Result<(BlockSeal, Header), StoreError> {
        let place = self.place(stream, generation);
        let (seal, wrapped) = self.vault.new_block(place, self.account, &*self.entropy)?;
        Ok((seal, Header::new(place, wrapped)))
    }

    pub(crate) fn place(&self, stream: StreamId, generation: u64) -> Place {
        Place { store: self.vault.store(), stream, generation }
    }
}

/// Name of a block file.
pub(crate) fn block_name(generation: u64) -> String {
    format!("{generation:016x}.blk")
}

/// The generation a file name stands for.
pub(crate) fn generation_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".blk").filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok().filter(|&generation| block_name(generation) == name)
}

pub(crate) struct Tail {
    pub generation: u64,
    seal: BlockSeal,
    header: Header,
    file: Option<Arc<dyn DiskFile>>,
    /// Not yet written; `batch[0]` lies at `written` in the file.
    batch: Vec<u8>,
    written: u64,
    /// Whether the next record is the first after a sync.
    after_sync: bool,
}

impl Tail {
    /// Draws a key. No file is made before the first write.
    pub(crate) fn begin(context: &Context, stream: StreamId, generation: u64) -> Result<Tail, StoreError> {
        let (seal, header) = context.new_block(stream, generation)?;
        Ok(Tail { generation, seal, header, file: None, batch: header.first(), written: 0, after_sync: true })
    }

    /// One of the metadata. Where it may hold entries that take keys of accounts, releases that know none do not read it.
    pub(crate) fn begin_metadata(
        context: &Context,
        generation: u64,
        takes_account_keys: bool,
    ) -> Result<Tail, StoreError> {
        let (seal, mut header) = context.new_block(StreamId::METADATA, generation)?;
        if takes_account_keys {
            header.version = FORMAT_VERSION;
        }
        Ok(Tail { generation, seal, header, file: None, batch: header.first(), written: 0, after_sync: true })
    }

    /// Where the next record will lie.
    pub(crate) fn end(&self) -> u64 {
        self.written + self.batch.len() as u64
    }

    pub(crate) fn staged_bytes(&self) -> usize {
        self.batch.len()
    }

    /// A message; `is_packed` says that its payload is compressed already.
    pub(crate) fn message(&mut self, seq: u64, draft: &Draft<'_>, is_packed: bool) -> Laid {
        let flags = self.take_flags() | if is_packed { PACKED } else { 0 };
        let form = self.seal.form();
        let (offset, shape) = self.append(|out| record::put_message(out, form, flags, seq, draft));
        let (len, has_sum) = ((self.end() - offset) as usize, self.seal.tag_len() == SUM_LEN);
        Laid { offset, len, shape, has_sum }
    }

    pub(crate) fn record(&mut self, record: &Record<'_>) -> u64 {
        let flags = self.take_flags();
        self.append(|out| record::put(out, flags, record)).0
    }

    fn take_flags(&mut self) -> u8 {
        if std::mem::take(&mut self.after_sync) { AFTER_SYNC } else { 0 }
    }

    fn append<T>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> T) -> (u64, T) {
        let offset = self.end();
        (offset, frame::append(&self.seal, offset, &mut self.batch, write))
    }

    /// Writes the batch. After an error this tail must not be written to again: what reached the file is unknown, and
    /// other bytes at the same place would use a nonce twice.
    fn write(&mut self, disk: &dyn Disk, dir: &str) -> io::Result<Written> {
        if self.batch.is_empty() {
            return Ok(Written::Nothing);
        }
        let fresh = self.file.is_none();
        let file = match &self.file {
            Some(file) => file.clone(),
            None => self.file.insert(disk.create(&join(dir, &block_name(self.generation)))?).clone(),
        };
        file.write_at(self.written, &self.batch)?;
        self.written += self.batch.len() as u64;
        self.batch.clear();
        self.batch.shrink_to(BATCH_KEPT);
        Ok(if fresh { Written::NewFile(file) } else { Written::Bytes(file) })
    }

    /// Everything written so far is durable.
    pub(crate) fn synced(&mut self) {
        self.after_sync = true;
    }

    /// Ends the tail; from now on it is a block like the others.
    pub(crate) fn close(self) -> Option<BlockFile> {
        Some(BlockFile::new(self.file?, self.seal, self.header))
    }

    /// A second handle to read with, once there is a file.
    pub(crate) fn reader(&self, context: &Context) -> Option<BlockFile> {
        let seal = context.vault.open_block(self.header.place, &self.header.wrapped, self.header.form()).ok()?;
        Some(BlockFile::new(self.file.clone()?, seal, self.header))
    }
}

/// Memory of the batch kept between batches.
const BATCH_KEPT: usize = 1024 * 1024;

/// What a write touched.
enum Written {
    Nothing,
    Bytes(Arc<dyn DiskFile>),
    NewFile(Arc<dyn DiskFile>),
}

/// Files and names written and not yet synced.
#[derive(Default)]
pub(crate) struct Unsynced {
    files: Vec<Arc<dyn DiskFile>>,
    names: bool,
}

impl Unsynced {
    /// Writes a tail's batch and remembers what to sync.
    pub(crate) fn write(&mut self, tail: &mut Tail, context: &Context, dir: &str) -> Result<(), StoreError> {
        let written = tail.write(&*context.disk, dir);
        let file = match written.map_err(StoreError::disk("writing", &join(dir, &block_name(tail.generation))))? {
            Written::Nothing => return Ok(()),
            Written::Bytes(file) => file,
            Written::NewFile(file) => {
                self.names = true;
                file
            }
        };
        if !self.files.iter().any(|known| Arc::ptr_eq(known, &file)) {
            self.files.push(file);
        }
        Ok(())
    }

    /// Whether nothing was written that was not asked to be synced.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// What an earlier sync was to make durable is part of the next as well.
    pub(crate) fn join(&mut self, ticket: SyncTicket) {
        let SyncTicket { files, names } = ticket;
        self.names |= names.is_some();
        for file in files {
            if !self.files.iter().any(|known| Arc::ptr_eq(known, &file)) {
                self.files.push(file);
            }
        }
    }

    /// The sync that is due, if any.
    pub(crate) fn ticket(&mut self, context: &Context, dir: &str) -> Option<SyncTicket> {
        let Unsynced { files, names } = std::mem::take(self);
        let names = names.then(|| (context.disk.clone(), dir.to_owned()));
        (!files.is_empty()).then_some(SyncTicket { files, names })
    }
}

/// A sync that is due. It may run on any thread; its outcome goes back to whoever gave the ticket.
#[must_use = "nothing is acknowledged before the sync ran and its outcome was reported"]
#[derive(Clone)]
pub struct SyncTicket {
    files: Vec<Arc<dyn DiskFile>>,
    names: Option<(Arc<dyn Disk>, String)>,
}

impl SyncTicket {
    /// Makes bytes durable, then names.
    pub fn run(&self) -> io::Result<()> {
        self.files.iter().try_for_each(|file| file.sync())?;
        self.names.iter().try_for_each(|(disk, dir)| disk.sync_dir(dir))
    }
}
