//! A stream in memory: the same questions and answers as a stream on disk, durable never, readable at once.

use crate::chunks::{Chunks, Spot};
use crate::error::StoreError;
use crate::file::{MAX_PART, MAX_PAYLOAD, MAX_SKIP, Next, State};
use crate::part::{Down, Garbage, Part};
use crate::places::Places;
use crate::record::{Draft, Message, MessageView};
use crate::subjects::{SubjectTotals, Subjects, Walk, fits, price};
use moment::Timestamp;
use std::ops::ControlFlow;
use subject::Filter;

/// Bytes the reference counts for a message in memory beyond its parts.
const MEMORY_OVERHEAD: usize = 16;

/// What a message kept in memory counts for in its stream's bytes.
pub const fn memory_size(subject: usize, headers: usize, payload: usize) -> u64 {
    (subject + headers + payload + MEMORY_OVERHEAD) as u64
}

/// A message: subject, headers and payload in one piece, and where the first two end.
#[derive(Clone, Copy)]
struct Slot {
    time: Timestamp,
    spot: Spot,
    subject: u16,
    headers: u16,
}

impl Slot {
    fn view<'a>(&self, seq: u64, chunks: &'a Chunks) -> MessageView<'a> {
        let bytes = chunks.get(self.spot);
        let (subject, rest) = bytes.split_at_checked(self.subject.into()).unwrap_or_default();
        let (headers, payload) = rest.split_at_checked(self.headers.into()).unwrap_or_default();
        MessageView { seq, time: self.time, subject, headers, payload }
    }
}

/// A stream in memory.
pub struct MemoryStream {
    slots: Places<Slot>,
    chunks: Chunks,
    subjects: Subjects,
    state: State,
    garbage: Vec<Garbage>,
}

impl MemoryStream {
    /// An empty stream whose messages begin at `first_seq`. `seed` keeps subjects from being chosen to collide.
    pub fn new(first_seq: u64, seed: u64) -> MemoryStream {
        let first_seq = first_seq.max(1);
        let state = State { first_seq, last_seq: first_seq - 1, ..State::default() };
        let (slots, chunks, subjects) = (Places::default(), Chunks::default(), Subjects::new(seed));
        MemoryStream { slots, chunks, subjects, state, garbage: Vec::new() }
    }

    /// What the stream holds.
    pub fn state(&self) -> State {
        State { subjects: self.subjects.len() as u64, ..self.state }
    }

    /// Takes a message in.
    pub fn stage(&mut self, draft: &Draft<'_>) -> Result<u64, StoreError> {
        for (part, bytes, max) in [
            ("subject", draft.subject, MAX_PART),
            ("header", draft.headers, MAX_PART),
            ("payload", draft.payload, MAX_PAYLOAD),
        ] {
            if bytes.len() > max {
                return Err(StoreError::TooLong { part, max });
            }
        }
        let seq = self.state.last_seq + 1;
        let size = size_of(draft.subject, draft.headers, draft.payload);
        let length = |part: &[u8]| u16::try_from(part.len()).expect("checked above");
        let (subject, headers) = (length(draft.subject), length(draft.headers));
        let spot = self.chunks.put(seq, &[draft.subject, draft.headers, draft.payload]);
        self.slots.push(seq, Slot { time: draft.time, spot, subject, headers });
        self.clear_out();
        self.subjects.add(draft.subject, seq, u32::try_from(size).unwrap_or(u32::MAX));
        self.state.last_seq = seq;
        self.state.last_time = draft.time;
        self.state.messages += 1;
        self.state.bytes += size;
        Ok(seq)
    }

    /// A message in its place.
    pub fn look_at(&self, seq: u64) -> Option<MessageView<'_>> {
        Some(self.slots.get(seq)?.view(seq, &self.chunks))
    }

    /// Removes one message. Whether there was one.
    pub fn remove(&mut self, seq: u64) -> bool {
        let Some(slot) = self.slots.remove(seq) else { return false };
        let message = slot.view(seq, &self.chunks);
        if let Some(no) = self.subjects.find(message.subject) {
            self.subjects.remove(no, seq);
        }
        self.state.messages -= 1;
        self.state.bytes -= size_of(message.subject, message.headers, message.payload);
        let neighbours = self.chunks.free(slot.spot);
        neighbours.into_iter().for_each(|seq| self.move_out(seq, slot.spot));
        self.clear_out();
        if self.subjects.is_wasteful() {
            self.subjects.renumber();
        }
        if seq == self.state.first_seq {
            self.state.first_seq = self.slots.first().unwrap_or(self.state.last_seq + 1);
        }
        true
    }

    /// Empties chunks that were ended with little in them.
    fn clear_out(&mut self) {
        while let Some((spot, owners)) = self.chunks.left_sparse() {
            owners.into_iter().for_each(|seq| self.move_out(seq, spot));
        }
    }

    /// Puts a message elsewhere if it lies beside this spot.
    fn move_out(&mut self, seq: u64, beside: Spot) {
        if let Some(slot) = self.slots.get_mut(seq).filter(|slot| Chunks::are_together(slot.spot, beside)) {
            let bytes = self.chunks.get(slot.spot).to_vec();
            let old = std::mem::replace(&mut slot.spot, self.chunks.put(seq, &[&bytes]));
            self.chunks.free(old);
        }
    }

    /// Removes the oldest message.
    pub fn remove_first(&mut self) -> bool {
        self.remove(self.state.first_seq)
    }

    /// Removes everything below `first`. Gives how many messages went.
    pub fn remove_below(&mut self, first: u64) -> u64 {
        let before = self.state.messages;
        self.remove_below_within(first, &mut { u64::MAX });
        before - self.state.messages
    }

    /// The same in parts: each message is a look. Whether that is done.
    pub fn remove_below_within(&mut self, first: u64, looks: &mut u64) -> bool {
        if first > self.state.last_seq && self.state.messages > 0 {
            self.clear();
        }
        while self.state.messages > 0 && self.state.first_seq < first {
            if *looks == 0 {
                return false;
            }
            *looks -= 1;
            self.remove_first();
        }
        true
    }

    fn clear(&mut self) {
        let (slots, chunks) = (std::mem::take(&mut self.slots), std::mem::take(&mut self.chunks));
        self.garbage.push(Garbage::of((slots, chunks, self.subjects.clear())));
        (self.state.messages, self.state.bytes, self.state.first_seq) = (0, 0, self.state.last_seq + 1);
    }

    /// What is of no use any more and takes long to be given back.
    pub fn take_garbage(&mut self) -> Vec<Garbage> {
        std::mem::take(&mut self.garbage)
    }

    /// Removes the oldest messages of a subject until at most `keep` are left. Gives how many went.
    pub fn trim_subject(&mut self, subject: &[u8], keep: u64) -> u64 {
        let mut removed = 0;
        self.trim_within(subject, keep, &mut { u64::MAX }, |_| removed += 1);
        removed
    }

    /// The same in parts, and tells which went. Whether that is done.
    pub fn trim_within(&mut self, subject: &[u8], keep: u64, looks: &mut u64, mut gone: impl FnMut(u64)) -> bool {
        while self.subject(subject).is_some_and(|totals| totals.messages > keep) {
            match self.first_of_within(subject, looks) {
                Part::Done(Some(_)) | Part::Unfinished if *looks == 0 => return false,
                Part::Done(Some(first)) if self.remove(first) => gone(first),
                Part::Done(_) => return true,
                Part::Unfinished => return false,
            }
            *looks -= 1;
        }
        true
    }

    /// The next message will have a sequence above `last`, or above 2^63 - 1 if `last` is.
    pub fn skip_to(&mut self, last: u64) {
        let last = last.min(MAX_SKIP);
        if last <= self.state.last_seq {
            return;
        }
        if self.state.messages == 0 {
            self.state.first_seq = last + 1;
        }
        self.state.last_seq = last;
    }

    /// Reads a message.
    pub fn load(&self, seq: u64) -> Option<Message> {
        self.look_at(seq).map(|message| Message::of(&message))
    }

    /// Whether there is a message with this sequence.
    pub fn is_live(&self, seq: u64) -> bool {
        self.look_at(seq).is_some()
    }

    /// The next message from `from` on that one of the filters takes; without filters, the next.
    pub fn next(&self, filters: &[Filter], from: u64) -> Next {
        match self.look(filters, from) {
            Ok(message) => Next::Message(Message::of(&message)),
            Err(seq) => Next::NotBefore(seq),
        }
    }

    /// The same, in its place; the sequence to go on with when there is none.
    pub fn look(&self, filters: &[Filter], from: u64) -> Result<MessageView<'_>, u64> {
        self.look_within(filters, from, &mut { u64::MAX })
    }

    /// The same in parts: with no looks left it gives the sequence to go on with as well.
    pub fn look_within(&self, filters: &[Filter], from: u64, looks: &mut u64) -> Result<MessageView<'_>, u64> {
        let price = price(filters);
        for message in self.live_from(from) {
            if *looks == 0 {
                return Err(message.seq);
            }
            *looks = looks.saturating_sub(price);
            if takes(filters, &message) {
                return Ok(message);
            }
        }
        Err((self.state.last_seq + 1).max(from))
    }

    /// The next message, in parts: with no looks left it gives the sequence to go on with as well.
    pub fn next_within(&self, filters: &[Filter], from: u64, looks: &mut u64) -> Next {
        match self.look_within(filters, from, looks) {
            Ok(message) => Next::Message(Message::of(&message)),
            Err(seq) => Next::NotBefore(seq),
        }
    }

    /// The first sequence from one on that a message is kept under.
    pub fn next_live_from(&self, seq: u64) -> Option<u64> {
        self.slots.from(seq).next().map(|(seq, _)| seq)
    }

    /// The next message with headers from `from` on.
    pub fn next_headed(&self, from: u64) -> Next {
        match self.live_from(from).find(|message| !message.headers.is_empty()) {
            Some(message) => Next::Message(Message::of(&message)),
            None => Next::NotBefore((self.state.last_seq + 1).max(from)),
        }
    }

    fn live_from(&self, from: u64) -> impl Iterator<Item = MessageView<'_>> {
        self.slots.from(from).map(|(seq, slot)| slot.view(seq, &self.chunks))
    }

    /// Totals of one subject.
    pub fn subject(&self, subject: &[u8]) -> Option<SubjectTotals> {
        self.subjects.totals(self.subjects.find(subject)?).copied()
    }

    /// Walks on over the subjects that filters take, see [`Walk`]. Whether that was all.
    pub fn walk(
        &mut self,
        filters: &[Filter],
        walk: &mut Walk,
        looks: &mut u64,
        found: impl FnMut(&[u8], &SubjectTotals) -> ControlFlow<()>,
    ) -> bool {
        self.subjects.walk(filters, walk, looks, found)
    }

    /// Sequence of the oldest message of a subject.
    pub fn first_of(&mut self, subject: &[u8]) -> Option<u64> {
        self.first_of_within(subject, &mut { u64::MAX }).done().flatten()
    }

    fn first_of_within(&mut self, subject: &[u8], looks: &mut u64) -> Part<Option<u64>> {
        let Some(totals) = self.subject(subject) else { return Part::Done(None) };
        if totals.first_is_exact {
            return Part::Done(Some(totals.first));
        }
        let (found, at) = seek(self.live_from(totals.first), subject, looks);
        if let Some(totals) = self.subjects.find(subject).and_then(|no| self.subjects.totals_mut(no)) {
            (totals.first, totals.first_is_exact) = (at.unwrap_or(totals.first), found);
        }
        if found || at.is_none() { Part::Done(at) } else { Part::Unfinished }
    }

    /// Sequence of the newest message of a subject.
    pub fn last_of(&mut self, subject: &[u8]) -> Option<u64> {
        self.last_of_within(subject, &mut { u64::MAX }).done().flatten()
    }

    /// The same in parts: asked again it goes on where it was.
    pub fn last_of_within(&mut self, subject: &[u8], looks: &mut u64) -> Part<Option<u64>> {
        let Some(totals) = self.subject(subject) else { return Part::Done(None) };
        if totals.last_is_exact {
            return Part::Done(Some(totals.last));
        }
        let (found, at) = seek(self.live_down_from(totals.last), subject, looks);
        if let Some(totals) = self.subjects.find(subject).and_then(|no| self.subjects.totals_mut(no)) {
            (totals.last, totals.last_is_exact) = (at.unwrap_or(totals.last), found);
        }
        if found || at.is_none() { Part::Done(at) } else { Part::Unfinished }
    }

    fn live_down_from(&self, from: u64) -> impl Iterator<Item = MessageView<'_>> {
        self.slots.down_from(from).map(|(seq, slot)| slot.view(seq, &self.chunks))
    }

    /// Looks from the newest message on towards older ones for one that a filter takes.
    pub fn look_down(&self, filter: &Filter, looks: &mut u64) -> Down {
        for message in self.live_down_from(self.state.last_seq) {
            if *looks == 0 {
                return Down::Stopped;
            }
            *looks -= 1;
            if filter.matches_stored(message.subject) {
                return Down::Found(message.seq);
            }
        }
        Down::End
    }

    /// How many live messages from `from` on one of the filters takes; without filters, all of them.
    pub fn count(&self, filters: &[Filter], from: u64) -> u64 {
        self.count_within((filters, &[]), from, &mut { u64::MAX }).0
    }

    /// How many live messages from `from` on one of the filters takes, or all, and none of the others does, as far as the looks
    /// reach; and where to go on: behind the last message when that was all.
    pub fn count_within(&self, (filters, but): (&[Filter], &[Filter]), from: u64, looks: &mut u64) -> (u64, u64) {
        let end = (self.state.last_seq + 1).max(from);
        if filters.is_empty() && but.is_empty() {
            if from <= self.state.first_seq {
                return (self.state.messages, end);
            }
            let (count, on) = self.slots.count_from(from, looks);
            return (count, on.unwrap_or(end));
        }
        let (price, mut count) = (price(filters) + price(but) - 1, 0);
        for message in self.live_from(from) {
            if *looks == 0 {
                return (count, message.seq);
            }
            *looks = looks.saturating_sub(price);
            count += u64::from(takes(filters, &message) && !fits(but, message.subject));
        }
        (count, end)
    }

    /// The first live sequence stored at or after a moment; one more than the last when there is none.
    pub fn seq_at(&self, time: Timestamp) -> u64 {
        let (mut low, mut high) = (self.state.first_seq, self.state.last_seq + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.live_from(middle).next() {
                Some(message) if message.seq < high && message.time < time => low = message.seq + 1,
                _ => high = middle,
            }
        }
        self.live_from(low).next().map_or(self.state.last_seq + 1, |message| message.seq)
    }

    /// Sequences between the first and the last message that are gone, at most `max` of them.
    pub fn deleted(&self, max: usize) -> Vec<u64> {
        let mut gone = Vec::new();
        self.deleted_within(self.state.first_seq, max, &mut { u64::MAX }, &mut gone);
        gone
    }

    /// The same in parts, from a sequence on. Where to go on, as long as there is more.
    pub fn deleted_within(&self, from: u64, max: usize, looks: &mut u64, gone: &mut Vec<u64>) -> Option<u64> {
        let mut next = from.max(self.state.first_seq);
        let live = self.slots.from(next).map(|(seq, _)| seq);
        for live in live.chain([self.state.last_seq + 1]) {
            while next < live {
                if gone.len() >= max {
                    return None;
                }
                if *looks == 0 {
                    return Some(next);
                }
                *looks -= 1;
                gone.push(next);
                next += 1;
            }
            if *looks == 0 {
                return Some(next);
            }
            *looks -= 1;
            next = live + 1;
        }
        None
    }
}

/// Goes through messages until one is of the subject, as far as the looks reach. Whether one was found, and where it is or where
/// to go on; `None` at the end.
fn seek<'a>(messages: impl Iterator<Item = MessageView<'a>>, subject: &[u8], looks: &mut u64) -> (bool, Option<u64>) {
    for message in messages {
        if message.subject == subject {
            return (true, Some(message.seq));
        }
        if *looks == 0 {
            return (false, Some(message.seq));
        }
        *looks -= 1;
    }
    (false, None)
}

fn takes(filters: &[Filter], message: &MessageView<'_>) -> bool {
    filters.is_empty() || fits(filters, message.subject)
}

fn size_of(subject: &[u8], headers: &[u8], payload: &[u8]) -> u64 {
    memory_size(subject.len(), headers.len(), payload.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(stream: &mut MemoryStream, subject: &[u8]) -> u64 {
        let draft = Draft { subject, headers: b"", payload: b"0123456789", time: Timestamp::EPOCH };
        stream.stage(&draft).expect("is short")
    }

    #[test]
    fn sequences_that_are_skipped_cost_no_memory() {
        let mut stream = MemoryStream::new(1, 7);
        put(&mut stream, b"a");
        stream.skip_to(1 << 40);
        let far = put(&mut stream, b"b");
        stream.skip_to(1 << 50);
        assert_eq!(far, (1 << 40) + 1);
        let (pages, places) = stream.slots.held();
        assert!(pages <= 3 && places <= 256, "{pages} pages, {places} places");
        assert_eq!(stream.deleted(3), [2, 3, 4]);
        assert_eq!(stream.load(far).map(|message| message.seq()), Some(far));
        assert_eq!(stream.next(&[], 2), stream.next(&[], far));
        assert_eq!((stream.last_of(b"a"), stream.last_of(b"b"), stream.count(&[], 2)), (Some(1), Some(far), 1));
        assert_eq!(stream.seq_at(Timestamp::from_secs(1)), (1 << 50) + 1);
        assert!(stream.remove(1) && stream.state().first_seq == far);
        assert!(stream.remove(far) && stream.state().first_seq == (1 << 50) + 1);
    }

    #[test]
    fn a_key_that_is_overwritten_a_million_times_costs_what_lives() {
        let mut stream = MemoryStream::new(1, 7);
        put(&mut stream, b"lasting");
        for _ in 0..1_000_000 {
            put(&mut stream, b"hot");
            stream.trim_subject(b"hot", 1);
        }
        let (pages, places) = stream.slots.held();
        assert!(pages <= 3 && places <= 256, "{pages} pages, {places} places");
        assert_eq!((stream.state().messages, stream.state().first_seq), (2, 1));
    }
}
