//! The store as the streams see it.

use api::{StorageKind, StreamConfig};
use jetstream::{Draft, Found, Log, LogError, LogState, Shelves, Stored};
use moment::Timestamp;
use store::{
    Context, FileSettings, FileStream, Finding, MemoryStream, MetaLog, Next, StoreError, StreamId, SubjectTotals,
    SyncTicket, memory_size, message_size, stream_dir,
};
use subject::Filter;

/// The number of the next stream.
const NEXT_ID: &[u8] = b"n";
/// Streams that are gone from the metadata while their files may still be there.
const GONE: u8 = b'g';

/// The log of one stream.
pub enum Shelf {
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
    LogError(error.to_string())
}

fn counted<'a>(subjects: impl Iterator<Item = (&'a [u8], &'a SubjectTotals)>) -> Vec<(Vec<u8>, u64)> {
    subjects.map(|(text, totals)| (text.to_vec(), totals.messages)).collect()
}

fn found(next: Next) -> Found<Held> {
    match next {
        Next::Message(message) => Found::Message(Held(message)),
        Next::NotBefore(seq) => Found::NothingBefore(seq),
    }
}

impl Shelf {
    /// Whether something waits for a commit.
    pub fn is_dirty(&self) -> bool {
        match self {
            Shelf::File(file) => file.is_dirty(),
            Shelf::Memory(_) => false,
        }
    }

    /// Writes what is staged.
    pub fn flush(&mut self) -> Result<Option<SyncTicket>, StoreError> {
        match self {
            Shelf::File(file) => file.flush(),
            Shelf::Memory(_) => Ok(None),
        }
    }

    /// What was written and not synced, where that is done now and then.
    pub fn sync_ticket(&mut self) -> Option<SyncTicket> {
        match self {
            Shelf::File(file) => file.sync_ticket(),
            Shelf::Memory(_) => None,
        }
    }

    /// The outcome of a sync.
    pub fn synced(&mut self, outcome: std::io::Result<()>) -> Result<(), StoreError> {
        match self {
            Shelf::File(file) => file.synced(outcome),
            Shelf::Memory(_) => Ok(()),
        }
    }

    /// Damage noticed while reading.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        match self {
            Shelf::File(file) => file.take_findings(),
            Shelf::Memory(_) => Vec::new(),
        }
    }
}

impl Log for Shelf {
    type Message = Held;

    fn stage(&mut self, draft: &Draft<'_>) -> Result<u64, LogError> {
        let Draft { subject, headers, payload, time } = *draft;
        let draft = store::Draft { subject, headers, payload, time };
        match self {
            Shelf::File(file) => file.stage(&draft),
            Shelf::Memory(memory) => memory.stage(&draft),
        }
        .map_err(refused)
    }

    fn weight(&self, subject: usize, headers: usize, payload: usize) -> u64 {
        match self {
            Shelf::File(_) => message_size(subject, headers, payload),
            Shelf::Memory(_) => memory_size(subject, headers, payload),
        }
    }

    fn remove(&mut self, seq: u64) -> Result<bool, LogError> {
        match self {
            Shelf::File(file) => file.remove(seq).map_err(refused),
            Shelf::Memory(memory) => Ok(memory.remove(seq)),
        }
    }

    fn erase(&mut self, seq: u64) -> Result<bool, LogError> {
        match self {
            Shelf::File(file) => file.erase(seq).map_err(refused),
            Shelf::Memory(memory) => Ok(memory.remove(seq)),
        }
    }

    fn remove_below(&mut self, first: u64) -> Result<u64, LogError> {
        match self {
            Shelf::File(file) => file.remove_below(first).map_err(refused),
            Shelf::Memory(memory) => Ok(memory.remove_below(first)),
        }
    }

    fn trim_subject(&mut self, subject: &[u8], keep: u64) -> Result<u64, LogError> {
        match self {
            Shelf::File(file) => file.trim_subject(subject, keep).map_err(refused),
            Shelf::Memory(memory) => Ok(memory.trim_subject(subject, keep)),
        }
    }

    fn skip_to(&mut self, last: u64) -> Result<(), LogError> {
        match self {
            Shelf::File(file) => file.skip_to(last).map_err(refused),
            Shelf::Memory(memory) => {
                memory.skip_to(last);
                Ok(())
            }
        }
    }

    fn state(&self) -> LogState {
        let state = match self {
            Shelf::File(file) => file.state(),
            Shelf::Memory(memory) => memory.state(),
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
        match self {
            Shelf::File(file) => file.readable(),
            Shelf::Memory(memory) => memory.state().last_seq,
        }
    }

    fn is_live(&self, seq: u64) -> bool {
        match self {
            Shelf::File(file) => file.is_live(seq),
            Shelf::Memory(memory) => memory.is_live(seq),
        }
    }

    fn load(&mut self, seq: u64) -> Result<Option<Held>, LogError> {
        match self {
            Shelf::File(file) => file.load(seq).map(|message| message.map(Held)).map_err(refused),
            Shelf::Memory(memory) => Ok(memory.load(seq).map(Held)),
        }
    }

    fn next(&mut self, filters: &[Filter], from: u64) -> Result<Found<Held>, LogError> {
        match self {
            Shelf::File(file) => file.next(filters, from).map(found).map_err(refused),
            Shelf::Memory(memory) => Ok(found(memory.next(filters, from))),
        }
    }

    fn last_of(&mut self, subject: &[u8]) -> Result<Option<u64>, LogError> {
        match self {
            Shelf::File(file) => file.last_of(subject).map_err(refused),
            Shelf::Memory(memory) => Ok(memory.last_of(subject)),
        }
    }

    fn messages_of(&self, subject: &[u8]) -> u64 {
        let totals = match self {
            Shelf::File(file) => file.subject(subject),
            Shelf::Memory(memory) => memory.subject(subject),
        };
        totals.map_or(0, |totals| totals.messages)
    }

    fn subjects(&self, filter: &Filter) -> Vec<(Vec<u8>, u64)> {
        match self {
            Shelf::File(file) => counted(file.subjects(filter)),
            Shelf::Memory(memory) => counted(memory.subjects(filter)),
        }
    }

    fn count(&mut self, filters: &[Filter], from: u64) -> Result<u64, LogError> {
        match self {
            Shelf::File(file) => file.count(filters, from).map_err(refused),
            Shelf::Memory(memory) => Ok(memory.count(filters, from)),
        }
    }

    fn seq_at(&mut self, time: Timestamp) -> Result<u64, LogError> {
        match self {
            Shelf::File(file) => file.seq_at(time).map_err(refused),
            Shelf::Memory(memory) => Ok(memory.seq_at(time)),
        }
    }

    fn deleted(&self, max: usize) -> Vec<u64> {
        match self {
            Shelf::File(file) => file.deleted(max),
            Shelf::Memory(memory) => memory.deleted(max),
        }
    }
}

/// All logs and the metadata.
pub struct Shelving {
    pub(crate) context: Context,
    pub(crate) meta: MetaLog,
    pub(crate) files: FileSettings,
    /// Streams whose files go once the metadata says that they are gone.
    pub(crate) discarded: Vec<u64>,
    pub(crate) next_id: u64,
}

impl Shelving {
    pub(crate) fn new(context: Context, meta: MetaLog, files: FileSettings) -> Shelving {
        let kept = meta.get(NEXT_ID).and_then(|bytes| bytes.try_into().ok()).map_or(1, u64::from_le_bytes);
        Shelving { context, meta, files, discarded: Vec::new(), next_id: kept }
    }

    /// Opens the log of a stream that was kept.
    pub(crate) fn open(&self, id: u64, config: &StreamConfig) -> Result<(Shelf, Vec<Finding>), StoreError> {
        let first = config.first_seq.max(1);
        if config.storage == StorageKind::Memory {
            return Ok((self.memory(first), Vec::new()));
        }
        let (id, dir) = (StreamId(id), stream_dir(StreamId(id)));
        let opened = FileStream::open(self.context.clone(), &dir, id, self.files, first)?;
        Ok((Shelf::File(Box::new(opened.stream)), opened.findings))
    }

    fn memory(&self, first: u64) -> Shelf {
        let mut seed = [0; 8];
        self.context.entropy.fill(&mut seed);
        Shelf::Memory(Box::new(MemoryStream::new(first, u64::from_le_bytes(seed))))
    }

    /// Streams that were removed when the process ended before their files were.
    pub(crate) fn half_gone(&self) -> Vec<u64> {
        self.meta.range(&[GONE]).filter_map(|(key, _)| key[1..].try_into().ok().map(u64::from_be_bytes)).collect()
    }

    /// The files of a removed stream are gone.
    pub(crate) fn forget_gone(&mut self, id: u64) -> Result<(), StoreError> {
        self.meta.remove(&gone_key(id))
    }
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

    fn create(&mut self, id: u64, config: &StreamConfig) -> Result<Shelf, LogError> {
        let first = config.first_seq.max(1);
        if config.storage == StorageKind::Memory {
            return Ok(self.memory(first));
        }
        let (id, dir) = (StreamId(id), stream_dir(StreamId(id)));
        let stream = FileStream::create(self.context.clone(), &dir, id, self.files, first).map_err(refused)?;
        Ok(Shelf::File(Box::new(stream)))
    }

    fn reconfigure(&mut self, _id: u64, _log: &mut Shelf, _config: &StreamConfig) -> Result<(), LogError> {
        // What the store itself needs of a configuration, its storage and first sequence, never changes.
        Ok(())
    }

    fn discard(&mut self, id: u64, log: Shelf) {
        if let Shelf::File(_) = log {
            // Noted first, so that a crash in between leaves no files that nobody knows.
            let _ = self.meta.put(&gone_key(id), &[]);
            self.discarded.push(id);
        }
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), LogError> {
        self.meta.put(key, value).map_err(refused)
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), LogError> {
        self.meta.remove(key).map_err(refused)
    }
}
