//! The one block that is being written.
//!
//! Records are staged into a batch; [`Tail::write`] puts the batch into the file with one write. Where they are sealed by the
//! sheet, the last one of the batch is sealed then. A tail lives from the
//! moment its key is drawn until it is full, an erase needs it closed, or a write fails. It is never reopened: what was
//! written by an earlier process is a closed block, and the next record begins a new generation under a new key.

use crate::account_keys::KeyNo;
use crate::disk::{Disk, DiskFile, Entropy, join};
use crate::error::StoreError;
use crate::frame;
use crate::frame::Bound;
use crate::header::{Header, WITH_ACCOUNTS};
use crate::index::{BlockFile, Laid};
use crate::record::{self, AFTER_SYNC, Draft, PACKED, Record};
use crate::seal::{BlockSeal, Cipher, Form, Place, StreamId, Vault, Wrapped};
use crate::sheet;
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
    pub(crate) fn new_block(
        &self,
        (stream, generation): (StreamId, u64),
        form: Form,
    ) -> Result<(BlockSeal, Header), StoreError> {
        let place = self.place(stream, generation);
        let (seal, wrapped) = self.vault.new_block(place, form, self.account, &*self.entropy)?;
        Ok((seal, Header::new(place, wrapped, form)))
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
    /// What the batch ends with, not yet sealed.
    sheet: Option<sheet::Draft>,
    written: u64,
    /// Whether the next record is the first after a sync.
    after_sync: bool,
}

impl Tail {
    /// Draws a key. No file is made before the first write.
    pub(crate) fn begin(context: &Context, stream: StreamId, generation: u64) -> Result<Tail, StoreError> {
        let form = Form::of_blocks(context.vault.cipher());
        let (seal, header) = context.new_block((stream, generation), form)?;
        Ok(Tail::new(seal, header))
    }

    /// One of the metadata. Where it may hold entries that take keys of accounts, releases that know none do not read it. Each
    /// entry is sealed for itself: damage costs one name, and not all of a sheet.
    pub(crate) fn begin_metadata(
        context: &Context,
        generation: u64,
        takes_account_keys: bool,
    ) -> Result<Tail, StoreError> {
        let (seal, mut header) = context.new_block((StreamId::METADATA, generation), Form::Brief)?;
        if takes_account_keys {
            header.version = WITH_ACCOUNTS;
        }
        Ok(Tail::new(seal, header))
    }

    fn new(seal: BlockSeal, header: Header) -> Tail {
        let (generation, batch) = (seal.generation(), header.first());
        Tail { generation, seal, header, file: None, batch, sheet: None, written: 0, after_sync: true }
    }

    /// Where what is staged will end.
    pub(crate) fn end(&self) -> u64 {
        let tag = if self.sheet.is_some() { self.seal.tag_len() } else { 0 };
        self.written + (self.batch.len() + tag) as u64
    }

    pub(crate) fn staged_bytes(&self) -> usize {
        self.batch.len()
    }

    /// A message; `is_packed` says that its payload is compressed already.
    pub(crate) fn message(&mut self, seq: u64, draft: &Draft<'_>, is_packed: bool) -> Laid {
        let flags = self.take_flags() | if is_packed { PACKED } else { 0 };
        let form = self.seal.form();
        let most = record::most_bytes(draft);
        let (placed, shape) = self.append(most, |out| record::put_message(out, form, flags, seq, draft));
        let Placed { offset, len, bound } = placed;
        Laid { offset, len, shape, bound }
    }

    pub(crate) fn record(&mut self, record: &Record<'_>) {
        let flags = self.take_flags();
        if self.seal.form() == Form::Sheets {
            // How long it is decides which sheet it is in.
            let mut bytes = Vec::new();
            record::put(&mut bytes, flags, record);
            self.append_to_sheet(bytes.len(), |out| out.extend_from_slice(&bytes));
        } else {
            self.append_frame(|out| record::put(out, flags, record));
        }
    }

    /// A record that shares its sheet with no other: it opens whatever becomes of those beside it, and is found by its length.
    pub(crate) fn record_alone(&mut self, record: &Record<'_>) {
        self.seal_sheet();
        self.record(record);
        self.seal_sheet();
    }

    fn take_flags(&mut self) -> u8 {
        if std::mem::take(&mut self.after_sync) { AFTER_SYNC } else { 0 }
    }

    /// Appends a record of at most so many bytes.
    fn append<T>(&mut self, most: usize, write: impl FnOnce(&mut Vec<u8>) -> T) -> (Placed, T) {
        if self.seal.form() == Form::Sheets { self.append_to_sheet(most, write) } else { self.append_frame(write) }
    }

    fn append_frame<T>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> T) -> (Placed, T) {
        let offset = self.written + self.batch.len() as u64;
        let written = frame::append(&self.seal, offset, &mut self.batch, write);
        let len = (self.written + self.batch.len() as u64 - offset) as usize;
        (Placed { offset, len, bound: Bound::of_frames(&self.seal) }, written)
    }

    fn append_to_sheet<T>(&mut self, most: usize, write: impl FnOnce(&mut Vec<u8>) -> T) -> (Placed, T) {
        if self.sheet.as_ref().is_some_and(|sheet| !sheet.has_room(&self.batch, most)) {
            self.seal_sheet();
        }
        let sheet = self.sheet.get_or_insert_with(|| sheet::Draft::begin(&mut self.batch));
        let at = self.batch.len();
        let (within, written) = sheet.put(&mut self.batch, write);
        let (offset, len) = (self.written + at as u64, self.batch.len() - at);
        (Placed { offset, len, bound: Bound::Sheet { within } }, written)
    }

    /// Ends the sheet that is being filled, if there is one.
    pub(crate) fn seal_sheet(&mut self) {
        if let Some(sheet) = self.sheet.take() {
            sheet.seal(&self.seal, self.written, &mut self.batch);
        }
    }

    /// Writes the batch. After an error this tail must not be written to again: what reached the file is unknown, and
    /// other bytes at the same place would use a nonce twice.
    fn write(&mut self, disk: &dyn Disk, dir: &str) -> io::Result<Written> {
        if self.batch.is_empty() {
            return Ok(Written::Nothing);
        }
        self.seal_sheet();
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

/// Where a record was put, and what holds it there.
struct Placed {
    offset: u64,
    len: usize,
    bound: Bound,
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
