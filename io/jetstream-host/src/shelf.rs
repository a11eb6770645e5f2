//! The store as the streams see it.

use crate::ledger::{Bounds, Ledger, signed};
use api::{Compression, PersistMode, StorageKind, StreamConfig};
use jetstream::{Down, Draft, Found, KeptStream, Known, Log, LogError, LogState, Shelves, Stored, View, Walk, Work};
use moment::Timestamp;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use store::{
    Context, FileSettings, FileStream, Finding, Garbage, KeyNo, Keyring, MemoryStream, MessageView, MetaLog, Next,
    Part, StoreError, StreamId, SubjectTotals, SyncMode, SyncTicket, Vault, memory_size, message_size, stream_dir,
};
use subject::Filter;

/// The number of the next stream.
const NEXT_ID: &[u8] = b"n";
/// Streams that are gone from the metadata while their files may still be there.
const GONE: u8 = b'g';

/// The log of one stream, with what it weighs in the account of everything.
pub struct Shelf {
    kept: Kept,
    ledger: Arc<Ledger>,
    counted: u64,
}

/// Where the messages are.
enum Kept {
    /// On disk.
    File(Box<FileStream>),
    /// In memory.
    Memory(Box<MemoryStream>),
}

/// A message as it was read.
pub struct Held(store::Message);

impl Stored for Held {
    fn seq(&self) -> u64 {
        self.0.seq()
    }
    fn time(&self) -> Timestamp {
        self.0.time()
    }
    fn subject(&self) -> &[u8] {
        self.0.subject()
    }
    fn headers(&self) -> &[u8] {
        self.0.headers()
    }
    fn payload(&self) -> &[u8] {
        self.0.payload()
    }
}

fn refused(error: StoreError) -> LogError {
    LogError::Failed(error.to_string())
}

fn done<T>(part: Part<T>) -> Result<T, LogError> {
    part.done().ok_or(LogError::Unfinished)
}

fn view(message: MessageView<'_>) -> View<'_> {
    let MessageView { seq, time, subject, headers, payload } = message;
    View { seq, time, subject, headers, payload }
}

impl Shelf {
    /// Whether something waits for a commit.
    pub fn is_dirty(&self) -> bool {
        match &self.kept {
            Kept::File(file) => file.is_dirty(),
            Kept::Memory(_) => false,
        }
    }

    /// Whether an earlier failure keeps it from acknowledging anything.
    pub fn is_poisoned(&self) -> bool {
        match &self.kept {
            Kept::File(file) => file.is_poisoned(),
            Kept::Memory(_) => false,
        }
    }

    /// Writes what is staged.
    pub fn flush(&mut self) -> Result<Option<SyncTicket>, StoreError> {
        match &mut self.kept {
            Kept::File(file) => file.flush(),
            Kept::Memory(_) => Ok(None),
        }
    }

    /// What was written and not synced, where that is done now and then: a sync to run beside, and its number.
    pub(crate) fn sync_beside(&mut self) -> Option<(u64, SyncTicket)> {
        match &mut self.kept {
            Kept::File(file) => file.sync_beside(),
            Kept::Memory(_) => None,
        }
    }

    /// The outcome of such a sync.
    pub(crate) fn synced_beside(&mut self, number: u64, outcome: std::io::Result<()>) -> Result<(), StoreError> {
        match &mut self.kept {
            Kept::File(file) => file.synced_beside(number, outcome),
            Kept::Memory(_) => Ok(()),
        }
    }

    /// The outcome of a sync.
    pub fn synced(&mut self, outcome: std::io::Result<()>) -> Result<(), StoreError> {
        match &mut self.kept {
            Kept::File(file) => file.synced(outcome),
            Kept::Memory(_) => Ok(()),
        }
    }

    /// Whether files are still to be removed that nothing needs any more.
    pub(crate) fn is_leaving(&self) -> bool {
        match &self.kept {
            Kept::File(file) => file.is_leaving(),
            Kept::Memory(_) => false,
        }
    }

    /// Removes some of them. How many of those that may go at once that was.
    pub(crate) fn remove_leaving(&mut self, most: usize) -> usize {
        match &mut self.kept {
            Kept::File(file) => file.remove_leaving(most),
            Kept::Memory(_) => 0,
        }
    }

    /// Writes down what opening would have to read everything for. Everything is committed.
    pub(crate) fn close(&mut self) -> Result<(), StoreError> {
        match &mut self.kept {
            Kept::File(file) => file.close(),
            Kept::Memory(_) => Ok(()),
        }
    }

    /// Follows a change of keys.
    pub(crate) fn adopt(&mut self, vault: &Arc<Vault>, account: Option<KeyNo>) -> Result<(), StoreError> {
        match &mut self.kept {
            Kept::File(file) => file.adopt(vault.clone(), account),
            Kept::Memory(_) => Ok(()),
        }
    }

    /// Whether what is written takes this key of an account.
    pub(crate) fn takes(&self, account: Option<KeyNo>) -> bool {
        match &self.kept {
            Kept::File(file) => file.account_key() == account,
            Kept::Memory(_) => true,
        }
    }

    /// Blocks that are not sealed by the present cipher and key.
    pub(crate) fn blocks_to_reseal(&mut self) -> Result<Vec<u64>, StoreError> {
        match &mut self.kept {
            Kept::File(file) => file.blocks_to_reseal(),
            Kept::Memory(_) => Ok(Vec::new()),
        }
    }

    /// Seals one block by them.
    pub(crate) fn reseal(&mut self, block: u64) -> Result<bool, StoreError> {
        match &mut self.kept {
            Kept::File(file) => file.reseal(block),
            Kept::Memory(_) => Ok(false),
        }
    }

    /// Gives back the space of messages that are gone, a block or a few small ones at a time. Whether there was any.
    pub(crate) fn tidy(&mut self) -> Result<bool, StoreError> {
        match &mut self.kept {
            Kept::File(file) => file.tidy(),
            Kept::Memory(_) => Ok(false),
        }
    }

    /// Reads one block that opening did not read. Whether there was one.
    pub(crate) fn examine(&mut self) -> Result<bool, StoreError> {
        let examined = match &mut self.kept {
            Kept::File(file) => file.examine_next(),
            Kept::Memory(_) => Ok(false),
        };
        self.weigh();
        examined
    }

    fn nothing_before<M>(&self, seq: u64, work: &Work) -> Found<M> {
        match work.is_over() && seq <= self.readable() {
            true => Found::Unfinished(seq),
            false => Found::NothingBefore(seq),
        }
    }

    /// Memory of messages that are gone, to be given back where nobody waits.
    pub(crate) fn take_garbage(&mut self) -> Vec<Garbage> {
        match &mut self.kept {
            Kept::File(file) => file.take_garbage(),
            Kept::Memory(memory) => memory.take_garbage(),
        }
    }

    /// It is not in the account of everything any more.
    fn weighs_nothing(&mut self) {
        self.ledger.weigh(self.is_on_disk(), self.counted, 0);
        self.counted = 0;
    }

    /// What it weighs now, noted in the account of everything.
    fn weigh(&mut self) {
        let now = self.state().bytes;
        self.ledger.weigh(self.is_on_disk(), self.counted, now);
        self.counted = now;
    }

    fn is_on_disk(&self) -> bool {
        matches!(self.kept, Kept::File(_))
    }

    /// Damage noticed while reading.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        match &mut self.kept {
            Kept::File(file) => file.take_findings(),
            Kept::Memory(_) => Vec::new(),
        }
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        self.weighs_nothing();
    }
}

impl Log for Shelf {
    type Message = Held;

    fn stage(&mut self, draft: &Draft<'_>) -> Result<u64, LogError> {
        let Draft { subject, headers, payload, time } = *draft;
        let draft = store::Draft { subject, headers, payload, time };
        let staged = match &mut self.kept {
            Kept::File(file) => file.stage(&draft),
            Kept::Memory(memory) => memory.stage(&draft),
        };
        self.weigh();
        staged.map_err(refused)
    }

    fn weight(&self, subject: usize, headers: usize, payload: usize) -> u64 {
        match &self.kept {
            Kept::File(_) => message_size(subject, headers, payload),
            Kept::Memory(_) => memory_size(subject, headers, payload),
        }
    }

    fn waits_for_disk(&self) -> bool {
        self.is_dirty()
    }

    fn remove(&mut self, seq: u64, gone: &mut dyn FnMut(&[u8])) -> Result<bool, LogError> {
        self.subject_of(seq)?.into_iter().for_each(gone);
        let removed = match &mut self.kept {
            Kept::File(file) => file.remove(seq).map_err(refused),
            Kept::Memory(memory) => Ok(memory.remove(seq)),
        };
        self.weigh();
        removed
    }

    fn erase(&mut self, seq: u64, gone: &mut dyn FnMut(&[u8])) -> Result<bool, LogError> {
        self.subject_of(seq)?.into_iter().for_each(gone);
        let removed = match &mut self.kept {
            Kept::File(file) => file.erase(seq).map_err(refused),
            Kept::Memory(memory) => Ok(memory.remove(seq)),
        };
        self.weigh();
        removed
    }

    fn remove_below(&mut self, first: u64, work: &mut Work) -> Result<(), LogError> {
        let is_done = work.lend(|looks| match &mut self.kept {
            Kept::File(file) => file.remove_below_within(first, looks).map_err(refused),
            Kept::Memory(memory) => Ok(memory.remove_below_within(first, looks)),
        });
        self.weigh();
        if is_done? { Ok(()) } else { Err(LogError::Unfinished) }
    }

    fn trim_subject(
        &mut self,
        subject: &[u8],
        keep: u64,
        work: &mut Work,
        gone: &mut dyn FnMut(u64),
    ) -> Result<(), LogError> {
        let is_done = work.lend(|looks| match &mut self.kept {
            Kept::File(file) => file.trim_within(subject, keep, looks, gone).map_err(refused),
            Kept::Memory(memory) => Ok(memory.trim_within(subject, keep, looks, gone)),
        });
        self.weigh();
        if is_done? { Ok(()) } else { Err(LogError::Unfinished) }
    }

    fn skip_to(&mut self, last: u64) -> Result<(), LogError> {
        match &mut self.kept {
            Kept::File(file) => file.skip_to(last).map_err(refused),
            Kept::Memory(memory) => {
                memory.skip_to(last);
                Ok(())
            }
        }
    }

    fn state(&self) -> LogState {
        let state = match &self.kept {
            Kept::File(file) => file.state(),
            Kept::Memory(memory) => memory.state(),
        };
        LogState {
            messages: state.messages,
            bytes: state.bytes,
            first_seq: state.first_seq,
            last_seq: state.last_seq,
            last_time: Some(state.last_time).filter(|time| *time != Timestamp::EPOCH),
            subjects: state.subjects,
            lost_messages: state.lost_messages,
            lost_bytes: state.lost_bytes,
        }
    }

    fn readable(&self) -> u64 {
        match &self.kept {
            Kept::File(file) => file.readable(),
            Kept::Memory(memory) => memory.state().last_seq,
        }
    }

    fn is_live(&self, seq: u64) -> bool {
        match &self.kept {
            Kept::File(file) => file.is_live(seq),
            Kept::Memory(memory) => memory.is_live(seq),
        }
    }

    fn next_live(&self, seq: u64) -> Option<u64> {
        match &self.kept {
            Kept::File(file) => file.next_live_from(seq),
            Kept::Memory(memory) => memory.next_live_from(seq),
        }
    }

    fn subject_of(&mut self, seq: u64) -> Result<Option<&[u8]>, LogError> {
        match &mut self.kept {
            Kept::File(file) => file.subject_of(seq).map_err(refused),
            Kept::Memory(memory) => Ok(memory.look_at(seq).map(|message| message.subject)),
        }
    }

    fn load(&mut self, seq: u64) -> Result<Option<Held>, LogError> {
        match &mut self.kept {
            Kept::File(file) => file.load(seq).map(|message| message.map(Held)).map_err(refused),
            Kept::Memory(memory) => Ok(memory.load(seq).map(Held)),
        }
    }

    fn next(&mut self, filters: &[Filter], from: u64, work: &mut Work) -> Result<Found<Held>, LogError> {
        let next = work.lend(|looks| match &mut self.kept {
            Kept::File(file) => file.next_within(filters, from, looks).map_err(refused),
            Kept::Memory(memory) => Ok(memory.next_within(filters, from, looks)),
        })?;
        Ok(match next {
            Next::Message(message) => Found::Message(Held(message)),
            Next::NotBefore(seq) => self.nothing_before(seq, work),
        })
    }

    fn next_headed(&mut self, from: u64) -> Result<Found<Held>, LogError> {
        let next = match &mut self.kept {
            Kept::File(file) => file.next_headed(from).map_err(refused)?,
            Kept::Memory(memory) => memory.next_headed(from),
        };
        Ok(match next {
            Next::Message(message) => Found::Message(Held(message)),
            Next::NotBefore(seq) => Found::NothingBefore(seq),
        })
    }

    fn look_at(&mut self, seq: u64) -> Result<Option<View<'_>>, LogError> {
        match &mut self.kept {
            Kept::File(file) => file.look_at(seq).map(|message| message.map(view)).map_err(refused),
            Kept::Memory(memory) => Ok(memory.look_at(seq).map(view)),
        }
    }

    fn look(&mut self, filters: &[Filter], from: u64, work: &mut Work) -> Result<Found<View<'_>>, LogError> {
        let end = self.readable();
        let found = work.lend(|looks| match &mut self.kept {
            Kept::File(file) => file.look_within(filters, from, looks).map_err(refused),
            Kept::Memory(memory) => Ok(memory.look_within(filters, from, looks)),
        })?;
        Ok(match found {
            Ok(message) => Found::Message(view(message)),
            Err(seq) if work.is_over() && seq <= end => Found::Unfinished(seq),
            Err(seq) => Found::NothingBefore(seq),
        })
    }

    fn look_down(&mut self, filter: &Filter, looks: u64, work: &mut Work) -> Down {
        let down = work.lend_some(looks, |looks| match &self.kept {
            Kept::File(file) => file.look_down(filter, looks),
            Kept::Memory(memory) => memory.look_down(filter, looks),
        });
        match down {
            store::Down::Found(seq) => Down::Found(seq),
            store::Down::End => Down::End,
            store::Down::Stopped => Down::Stopped,
        }
    }

    fn last_of(&mut self, subject: &[u8], work: &mut Work) -> Result<Option<u64>, LogError> {
        work.lend(|looks| match &mut self.kept {
            Kept::File(file) => file.last_of_within(subject, looks).map_err(refused).and_then(done),
            Kept::Memory(memory) => done(memory.last_of_within(subject, looks)),
        })
    }

    fn messages_of(&self, subject: &[u8]) -> u64 {
        let totals = match &self.kept {
            Kept::File(file) => file.subject(subject),
            Kept::Memory(memory) => memory.subject(subject),
        };
        totals.map_or(0, |totals| totals.messages)
    }

    fn walk(
        &mut self,
        filters: &[Filter],
        walk: &mut Walk,
        work: &mut Work,
        found: &mut dyn FnMut(&Known<'_>) -> bool,
    ) -> bool {
        let mut at = store::Walk::of(walk.at);
        let mut tell = |subject: &[u8], totals: &SubjectTotals| {
            let SubjectTotals { messages, last, last_is_exact: is_exact, .. } = *totals;
            match found(&Known { subject, messages, last, is_exact }) {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        };
        let is_over = work.lend(|looks| match &mut self.kept {
            Kept::File(file) => file.walk(filters, &mut at, looks, &mut tell),
            Kept::Memory(memory) => memory.walk(filters, &mut at, looks, &mut tell),
        });
        walk.at = at.numbers();
        is_over
    }

    fn count(&mut self, filters: (&[Filter], &[Filter]), from: u64, work: &mut Work) -> Result<(u64, u64), LogError> {
        work.lend(|looks| match &mut self.kept {
            Kept::File(file) => file.count_within(filters, from, looks).map_err(refused),
            Kept::Memory(memory) => Ok(memory.count_within(filters, from, looks)),
        })
    }

    fn seq_at(&mut self, time: Timestamp) -> Result<u64, LogError> {
        match &mut self.kept {
            Kept::File(file) => file.seq_at(time).map_err(refused),
            Kept::Memory(memory) => Ok(memory.seq_at(time)),
        }
    }

    fn deleted(&self, from: u64, max: usize, work: &mut Work, gone: &mut Vec<u64>) -> Option<u64> {
        work.lend(|looks| match &self.kept {
            Kept::File(file) => file.deleted_within(from, max, looks, gone),
            Kept::Memory(memory) => memory.deleted_within(from, max, looks, gone),
        })
    }

    fn take_toll(&mut self) -> u64 {
        match &mut self.kept {
            Kept::File(file) => file.take_toll(),
            Kept::Memory(_) => 0,
        }
    }
}

/// All logs and the metadata.
pub struct Shelving {
    pub(crate) context: Context,
    pub(crate) meta: MetaLog,
    /// The keys of accounts.
    pub(crate) keyring: Keyring,
    /// Accounts that got one since that was told last.
    pub(crate) drawn: Vec<String>,
    /// Entries that are to be sealed otherwise than they lie in the newest block.
    pub(crate) is_meta_due: bool,
    pub(crate) files: FileSettings,
    /// Streams whose files go once the metadata says that they are gone.
    pub(crate) discarded: Vec<u64>,
    pub(crate) next_id: u64,
    pub(crate) ledger: Arc<Ledger>,
    /// What each stream may grow to, as far as it says so.
    reserved: BTreeMap<u64, (bool, u64)>,
    /// What was unpacked of archives in this round.
    unpacked: usize,
    /// What archives hold that is not unpacked as a whole.
    held: usize,
    /// Logs of streams that are gone.
    garbage: Vec<Garbage>,
}

/// What is unpacked of archives in one round, of all accounts: it is held in memory until it is durable. A few bytes can be
/// unpacked to very many.
const MAX_UNPACKED_BYTES: usize = 16 * 1024 * 1024;
/// What all archives together hold of messages and files that did not come as a whole.
const MAX_HELD_BYTES: usize = 256 * 1024 * 1024;

impl Shelving {
    /// `newest` is the highest number of a stream that has a directory: whatever the metadata lost, no stream is laid where
    /// another one lies.
    pub(crate) fn new(
        context: Context,
        (meta, keyring): (MetaLog, Keyring),
        files: FileSettings,
        bounds: Bounds,
        newest: u64,
    ) -> Shelving {
        let kept = meta.get(NEXT_ID).and_then(|bytes| bytes.try_into().ok()).map_or(1, u64::from_le_bytes);
        let (ledger, next_id) = (Arc::new(Ledger::new(bounds)), kept.max(newest.saturating_add(1)));
        Shelving {
            context,
            meta,
            keyring,
            drawn: Vec::new(),
            is_meta_due: false,
            files,
            discarded: Vec::new(),
            next_id,
            ledger,
            reserved: BTreeMap::new(),
            unpacked: 0,
            held: 0,
            garbage: Vec::new(),
        }
    }

    /// Memory of streams that are gone, to be given back where nobody waits.
    pub(crate) fn take_garbage(&mut self) -> Vec<Garbage> {
        std::mem::take(&mut self.garbage)
    }

    /// A round begins.
    pub(crate) fn begin_round(&mut self) {
        self.unpacked = 0;
    }

    /// Opens the log of a stream of an account that was kept.
    pub(crate) fn open(
        &mut self,
        account: &str,
        id: u64,
        config: &StreamConfig,
    ) -> Result<(Shelf, Vec<Finding>), StoreError> {
        self.reserve(id, config);
        let first = config.first_seq.max(1);
        if config.storage == StorageKind::Memory {
            return Ok((self.memory(first), Vec::new()));
        }
        let (id, dir) = (StreamId(id), stream_dir(StreamId(id)));
        let context = self.context.of_account(self.key_in_use(account));
        let opened = FileStream::open(context, &dir, id, self.files_of(config), first)?;
        Ok((self.shelf(Kept::File(Box::new(opened.stream))), opened.findings))
    }

    /// How a stream lies in files: one that asks for it does not wait for the disk.
    fn files_of(&self, config: &StreamConfig) -> FileSettings {
        let compress = config.compression == Compression::S2;
        match config.persist_mode {
            PersistMode::Default => FileSettings { compress, ..self.files },
            PersistMode::Async => FileSettings { compress, sync: SyncMode::Lazy, ..self.files },
        }
    }

    fn memory(&self, first: u64) -> Shelf {
        let mut seed = [0; 8];
        self.context.entropy.fill(&mut seed);
        self.shelf(Kept::Memory(Box::new(MemoryStream::new(first, u64::from_le_bytes(seed)))))
    }

    fn shelf(&self, kept: Kept) -> Shelf {
        let mut shelf = Shelf { kept, ledger: self.ledger.clone(), counted: 0 };
        shelf.weigh();
        shelf
    }

    fn reserve(&mut self, id: u64, config: &StreamConfig) {
        let bytes = u64::try_from(config.max_bytes).unwrap_or(0);
        self.reserved.insert(id, (config.storage != StorageKind::Memory, bytes));
    }

    /// Bytes that streams of this kind may grow to, all together.
    pub(crate) fn reserved(&self, on_disk: bool) -> u64 {
        self.reserved.values().filter(|(kind, _)| *kind == on_disk).map(|(_, bytes)| bytes).sum()
    }

    /// Removes the streams of an account that nobody serves. How many there were.
    pub(crate) fn forget_account(&mut self, account: &str) -> Result<usize, LogError> {
        let (kept, _) = KeptStream::read_all(self.meta.range(&[]));
        let ids: Vec<u64> = kept.iter().filter(|(of, _)| of == account).map(|(_, stream)| stream.id).collect();
        for key in KeptStream::keys_of(account, self.meta.range(&[])) {
            self.meta.remove(&key).map_err(refused)?;
        }
        for &id in &ids {
            self.meta.put(&gone_key(id), &[]).map_err(refused)?;
            self.discarded.push(id);
        }
        Ok(ids.len())
    }

    /// The files of a removed stream are gone.
    pub(crate) fn forget_gone(&mut self, id: u64) -> Result<(), StoreError> {
        self.meta.remove(&gone_key(id))
    }
}

/// Streams that were removed, or not yet restored, when the process ended before their files were gone.
pub fn half_gone(meta: &MetaLog) -> Vec<u64> {
    meta.range(&[GONE]).filter_map(|(key, _)| key.get(1..)?.try_into().ok().map(u64::from_be_bytes)).collect()
}

fn gone_key(id: u64) -> Vec<u8> {
    let mut key = vec![GONE];
    key.extend_from_slice(&id.to_be_bytes());
    key
}

impl Shelves for Shelving {
    type Log = Shelf;

    fn new_id(&mut self) -> Result<u64, LogError> {
        let id = self.next_id;
        self.next_id += 1;
        self.meta.put(NEXT_ID, &self.next_id.to_le_bytes()).map_err(refused)?;
        Ok(id)
    }

    fn create(&mut self, account: &str, id: u64, config: &StreamConfig) -> Result<Shelf, LogError> {
        self.reserve(id, config);
        let first = config.first_seq.max(1);
        if config.storage == StorageKind::Memory {
            return Ok(self.memory(first));
        }
        let (id, dir) = (StreamId(id), stream_dir(StreamId(id)));
        let key = self.key_for(account).map_err(refused)?;
        let context = self.context.of_account(key);
        let stream = FileStream::create(context, &dir, id, self.files_of(config), first).map_err(refused)?;
        Ok(self.shelf(Kept::File(Box::new(stream))))
    }

    fn reconfigure(&mut self, id: u64, log: &mut Shelf, config: &StreamConfig) -> Result<(), LogError> {
        self.reserve(id, config);
        // What else the store needs of a configuration, its storage and first sequence, never changes.
        if let Kept::File(file) = &mut log.kept {
            file.set_compression(config.compression == Compression::S2);
        }
        Ok(())
    }

    fn discard(&mut self, id: u64, mut log: Shelf) {
        self.reserved.remove(&id);
        if log.is_on_disk() {
            // Noted first, so that a crash in between leaves no files that nobody knows.
            let _ = self.meta.put(&gone_key(id), &[]);
            self.discarded.push(id);
        }
        log.weighs_nothing();
        self.garbage.push(Garbage::of(log));
    }

    fn hold(&mut self, id: u64) -> Result<(), LogError> {
        self.meta.put(&gone_key(id), &[]).map_err(refused)
    }

    fn release(&mut self, id: u64) -> Result<(), LogError> {
        self.meta.remove(&gone_key(id)).map_err(refused)
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), LogError> {
        let account = KeptStream::account_of(key).map_or(Ok(None), |account| self.key_for(account));
        account.and_then(|account| self.meta.put_for(account, key, value)).map_err(refused)
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), LogError> {
        self.meta.remove(key).map_err(refused)
    }

    fn room(&self, on_disk: bool) -> i64 {
        self.ledger.room(on_disk)
    }

    fn reservable(&self, on_disk: bool) -> i64 {
        signed(self.ledger.bound(on_disk)).saturating_sub(signed(self.reserved(on_disk)))
    }

    fn may_unpack(&self) -> bool {
        self.unpacked < MAX_UNPACKED_BYTES
    }

    fn note_unpacked(&mut self, bytes: usize) {
        self.unpacked = self.unpacked.saturating_add(bytes);
    }

    fn hold_unpacked(&mut self, before: usize, now: usize) -> bool {
        self.held = self.held.saturating_sub(before).saturating_add(now);
        now <= before || self.held <= MAX_HELD_BYTES
    }
}
