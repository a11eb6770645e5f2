//! What a stream asks of the place where its messages are kept.
//!
//! The host implements these traits over the store; the scenes of this room implement them in memory.

use crate::work::Work;
use moment::Timestamp;
use subject::Filter;

/// No stream begins behind this sequence, none is restored behind it, and no origin or consumer is believed to be: so that
/// counting on never ends.
pub(crate) const MAX_FIRST_SEQUENCE: u64 = i64::MAX as u64;

/// A message about to be kept.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// What it was published to, after the stream's transform.
    pub subject: &'a [u8],
    /// The header block; empty without headers.
    pub headers: &'a [u8],
    /// The body.
    pub payload: &'a [u8],
    /// When it came.
    pub time: Timestamp,
}

/// A kept message.
pub trait Stored {
    /// Its sequence.
    fn seq(&self) -> u64;
    /// When it came.
    fn time(&self) -> Timestamp;
    /// Its subject.
    fn subject(&self) -> &[u8];
    /// Its header block; empty without headers.
    fn headers(&self) -> &[u8];
    /// Its body.
    fn payload(&self) -> &[u8];
}

/// A kept message, lent by its log until that is asked for something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View<'a> {
    /// Its sequence.
    pub seq: u64,
    /// When it came.
    pub time: Timestamp,
    /// Its subject.
    pub subject: &'a [u8],
    /// Its header block; empty without headers.
    pub headers: &'a [u8],
    /// Its body.
    pub payload: &'a [u8],
}

/// What a log holds, staged messages included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogState {
    /// Live messages.
    pub messages: u64,
    /// What they weigh.
    pub bytes: u64,
    /// Sequence of the oldest; one more than `last_seq` without any.
    pub first_seq: u64,
    /// The last sequence given out.
    pub last_seq: u64,
    /// When the last message came; `None` before the first.
    pub last_time: Option<Timestamp>,
    /// Different subjects.
    pub subjects: u64,
    /// Messages lost to damage.
    pub lost_messages: u64,
    /// What they weighed.
    pub lost_bytes: u64,
}

/// Why the log does not do it, or not yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogError {
    /// The disk failed, is full, or a write failed earlier. The text is for the operator.
    Failed(String),
    /// It is more work than is left of the turn. Asked again in another turn it goes on.
    Unfinished,
}

/// A search for the next message.
#[derive(Debug)]
pub enum Found<M> {
    /// The next message that fits.
    Message(M),
    /// Nothing fits below this sequence, where the messages end; go on there later.
    NothingBefore(u64),
    /// Nothing fits below this sequence, and the turn is over; go on there in another one.
    Unfinished(u64),
}

/// A search for the newest message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Down {
    /// The newest that fits.
    Found(u64),
    /// There is none.
    End,
    /// It would take longer than was allowed.
    Stopped,
}

/// How far a walk over the subjects of a log is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// Which numbers the subjects had, and where it is among them: only the log knows what that means.
    pub at: (u32, u32),
}

/// What is known of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known<'a> {
    /// Its text.
    pub subject: &'a [u8],
    /// Its messages.
    pub messages: u64,
    /// Sequence of the newest, or an upper bound of it.
    pub last: u64,
    /// Whether it is not just a bound.
    pub is_exact: bool,
}

/// The messages of one stream. What is staged counts in every answer but those of reading; it can be read once the host
/// has committed it.
///
/// What may look at many messages or subjects takes the work that is left of a turn, and does no more.
pub trait Log {
    /// A message that was read.
    type Message: Stored;

    /// Takes a message in and gives it the next sequence.
    fn stage(&mut self, draft: &Draft<'_>) -> Result<u64, LogError>;
    /// What a message of these lengths weighs.
    fn weight(&self, subject: usize, headers: usize, payload: usize) -> u64;
    /// Whether something is staged that waits for the disk.
    fn waits_for_disk(&self) -> bool;
    /// Removes one message, and says what its subject was. Whether there was one.
    fn remove(&mut self, seq: u64, gone: &mut dyn FnMut(&[u8])) -> Result<bool, LogError>;
    /// Removes one message and its bytes. Whether there was one.
    fn erase(&mut self, seq: u64, gone: &mut dyn FnMut(&[u8])) -> Result<bool, LogError>;
    /// Removes everything below a sequence.
    fn remove_below(&mut self, first: u64, work: &mut Work) -> Result<(), LogError>;
    /// Removes the oldest of a subject until `keep` are left, and says which went.
    fn trim_subject(
        &mut self,
        subject: &[u8],
        keep: u64,
        work: &mut Work,
        gone: &mut dyn FnMut(u64),
    ) -> Result<(), LogError>;
    /// The next message gets a sequence above `last`.
    fn skip_to(&mut self, last: u64) -> Result<(), LogError>;
    /// What it holds.
    fn state(&self) -> LogState;
    /// The last sequence that can be read.
    fn readable(&self) -> u64;
    /// Whether a message is kept under this sequence, staged ones included.
    fn is_live(&self, seq: u64) -> bool;
    /// The first sequence from one on that a message is kept under, staged ones included.
    fn next_live(&self, seq: u64) -> Option<u64>;
    /// The subject of a message, staged ones included.
    fn subject_of(&mut self, seq: u64) -> Result<Option<&[u8]>, LogError>;
    /// Reads one message.
    fn load(&mut self, seq: u64) -> Result<Option<Self::Message>, LogError>;
    /// The next message from `from` on that one of the filters takes; without filters, the next.
    fn next(&mut self, filters: &[Filter], from: u64, work: &mut Work) -> Result<Found<Self::Message>, LogError>;
    /// The next message with headers from `from` on. Those without are not read.
    fn next_headed(&mut self, from: u64) -> Result<Found<Self::Message>, LogError>;
    /// As [`Log::load`], without making the message the caller's own.
    fn look_at(&mut self, seq: u64) -> Result<Option<View<'_>>, LogError>;
    /// As [`Log::next`], without making the message the caller's own.
    fn look(&mut self, filters: &[Filter], from: u64, work: &mut Work) -> Result<Found<View<'_>>, LogError>;
    /// The newest message that a filter takes, staged ones included, as far as so many looks reach.
    fn look_down(&mut self, filter: &Filter, looks: u64, work: &mut Work) -> Down;
    /// Sequence of the newest message of a subject.
    fn last_of(&mut self, subject: &[u8], work: &mut Work) -> Result<Option<u64>, LogError>;
    /// Messages of a subject.
    fn messages_of(&self, subject: &[u8]) -> u64;
    /// Goes on with a walk over the subjects that one of the filters takes, or over all, in no particular order. Each is met once, if
    /// the filters are different ones. `found` says whether to go on. Whether the walk is at its end.
    ///
    /// Nothing else is done with the log meanwhile: a walk may begin anew if subjects came or went.
    fn walk(
        &mut self,
        filters: &[Filter],
        walk: &mut Walk,
        work: &mut Work,
        found: &mut dyn FnMut(&Known<'_>) -> bool,
    ) -> bool;
    /// How many messages from `from` on one of the filters takes, or all without filters, and none of the others does, staged ones
    /// included; and where to go on: behind the last when that was all.
    fn count(&mut self, filters: (&[Filter], &[Filter]), from: u64, work: &mut Work) -> Result<(u64, u64), LogError>;
    /// The first sequence kept since a moment; one more than the last when there is none.
    fn seq_at(&mut self, time: Timestamp) -> Result<u64, LogError>;
    /// Adds sequences between first and last that are gone, from one on, until there are `max`. Where to go on, if that was not
    /// all.
    fn deleted(&self, from: u64, max: usize, work: &mut Work, gone: &mut Vec<u64>) -> Option<u64>;
    /// Units of work that nobody counted yet, since this was asked last.
    fn take_toll(&mut self) -> u64;
}

/// Where logs and metadata are kept.
pub trait Shelves {
    /// The log of a stream.
    type Log: Log;

    /// A number that no stream ever had.
    fn new_id(&mut self) -> Result<u64, LogError>;
    /// Makes the log of a new stream of an account. `id` was never used before.
    fn create(&mut self, account: &str, id: u64, config: &api::StreamConfig) -> Result<Self::Log, LogError>;
    /// A stream's configuration changed.
    fn reconfigure(&mut self, id: u64, log: &mut Self::Log, config: &api::StreamConfig) -> Result<(), LogError>;
    /// The stream is gone; its log goes once that is durable.
    fn discard(&mut self, id: u64, log: Self::Log);
    /// A log is made for a stream that is not one yet: should the process end before it is, the log goes.
    fn hold(&mut self, id: u64) -> Result<(), LogError>;
    /// It is one now.
    fn release(&mut self, id: u64) -> Result<(), LogError>;
    /// Keeps a value under a key, durably with the next commit.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), LogError>;
    /// Forgets a key.
    fn remove(&mut self, key: &[u8]) -> Result<(), LogError>;
    /// Bytes that all accounts together may still store in files, or in memory; negative when there is too much.
    fn room(&self, on_disk: bool) -> i64;
    /// Bytes that streams in files, or in memory, may still reserve.
    fn reservable(&self, on_disk: bool) -> i64;

    /// Whether more of the archives of streams may be unpacked and staged in this round, of all accounts together.
    fn may_unpack(&self) -> bool;
    /// So many bytes were.
    fn note_unpacked(&mut self, bytes: usize);
    /// An archive holds so many bytes now of which nothing can be made yet, and held so many before. Whether there is room for
    /// that beside those of all others.
    fn hold_unpacked(&mut self, before: usize, now: usize) -> bool;
}
