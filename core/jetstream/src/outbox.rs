//! What the machines of this room want done.

use moment::{Instant, Timestamp};
use std::sync::Arc;
use subject::Filter;

/// The present, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The time of day, for what people and peers see.
    pub wall: Timestamp,
    /// Time that only goes forward, for deadlines.
    pub tick: Instant,
}

/// When an effect may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum After {
    /// At once.
    Nothing,
    /// Once everything staged in this stream's log is durable.
    Log(u64),
    /// Once the metadata is durable.
    Metadata,
}

/// A message to be published within the account, lent by whoever holds its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outgoing<'a> {
    /// The subject it is routed by.
    pub to: &'a [u8],
    /// The subject it bears, where that is another one: a delivered message keeps its own.
    pub subject: Option<&'a [u8]>,
    /// Where an answer goes.
    pub reply: Option<&'a [u8]>,
    /// The header block; empty without headers.
    pub headers: &'a [u8],
    /// The body.
    pub payload: &'a [u8],
    /// Header block, body and the end of a line, if they lie one behind the other: what a broker sends, so that it need not
    /// put them together.
    pub whole: Option<&'a [u8]>,
}

impl PartialEq for Outgoing<'_> {
    fn eq(&self, other: &Self) -> bool {
        let parts = |outgoing: &Self| {
            let Outgoing { to, subject, reply, headers, payload, whole: _ } = *outgoing;
            (to, subject, reply, headers, payload)
        };
        parts(self) == parts(other)
    }
}

impl Eq for Outgoing<'_> {}

/// Something to be done outside of this room, besides sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// From now on messages of these subjects are wanted.
    Listen(Filter),
    /// No longer.
    Unlisten(Filter),
    /// From now on what an origin of copies sends to these subjects is wanted.
    Hear(Filter),
    /// No longer.
    Deafen(Filter),
    /// A consumer wants to know at once when somebody listens to where it delivers.
    Await(Awaited),
    /// No longer.
    Forget(Awaited),
}

/// A delivery subject that nobody listens to, and the consumer that waits for somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// Where the consumer delivers.
    pub subject: Vec<u8>,
    /// The queue group that it delivers to; none if empty.
    pub group: String,
    /// `<stream>.<consumer>`; comes back through [`Door::Interest`](crate::Door::Interest).
    pub by: Vec<u8>,
}

/// What stands behind the body of a message on the wire.
const END_OF_LINE: &[u8] = b"\r\n";

/// Memory of an outbox that is kept for the next round.
const KEPT_BYTES: usize = 8 * 1024 * 1024;

/// What is wanted done, each kind in the order in which it came about.
///
/// Messages lie one behind the other in one buffer, which is used again from round to round: to send one allocates nothing.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    letters: Vec<Letter>,
    /// What is said instead of letters that can not leave.
    instead: Vec<Arc<[u8]>>,
    effects: Vec<Effect>,
}

/// How much was in an outbox.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    bytes: usize,
    letters: usize,
}

/// Where the parts of a message lie in the buffer, one behind the other and the end of a line behind them, and when it may
/// leave.
#[derive(Debug)]
struct Letter {
    start: usize,
    to: u32,
    subject: Option<u32>,
    reply: Option<u32>,
    headers: u32,
    payload: u32,
    after: After,
    /// Place among what is said instead.
    else_say: Option<u32>,
}

impl Outbox {
    /// Publishes at once.
    pub fn send(&mut self, outgoing: &Outgoing<'_>) {
        self.send_after(outgoing, After::Nothing);
    }

    /// Publishes as soon as `after` holds; not at all, if it never does.
    pub fn send_after(&mut self, outgoing: &Outgoing<'_>, after: After) {
        let Outgoing { to, subject, reply, headers, payload, whole: _ } = *outgoing;
        let mut letter = self.begin(to, after);
        letter.subject = subject.map(|subject| self.lay(subject));
        letter.reply = reply.map(|reply| self.lay(reply));
        (letter.headers, letter.payload) = (self.lay(headers), self.lay(payload));
        self.end(letter);
    }

    /// Answers somebody at once.
    pub fn say(&mut self, to: &[u8], headers: Vec<u8>, payload: Vec<u8>) {
        self.answer(to, headers, payload, After::Nothing, None);
    }

    /// Answers somebody once `after` holds; nobody, if nobody waits. `else_say` is what its receiver gets instead when what
    /// it waits for fails: the answer to a publisher or caller.
    pub fn answer(&mut self, to: &[u8], headers: Vec<u8>, payload: Vec<u8>, after: After, else_say: Option<Arc<[u8]>>) {
        if to.is_empty() {
            return;
        }
        let mut letter = self.begin(to, after);
        (letter.headers, letter.payload) = (self.lay(&headers), self.lay(&payload));
        letter.else_say = else_say.map(|text| self.instead(&text));
        self.end(letter);
    }

    /// The same, without headers, with a body that is written into its place.
    pub(crate) fn acknowledge(
        &mut self,
        to: &[u8],
        write: impl FnOnce(&mut Vec<u8>),
        after: After,
        else_say: &Arc<[u8]>,
    ) {
        if to.is_empty() {
            return;
        }
        let mut letter = self.begin(to, after);
        letter.payload = self.written(write);
        letter.else_say = Some(self.instead(else_say));
        self.end(letter);
    }

    fn begin(&mut self, to: &[u8], after: After) -> Letter {
        let start = self.bytes.len();
        let to = self.lay(to);
        Letter { start, to, subject: None, reply: None, headers: 0, payload: 0, after, else_say: None }
    }

    fn end(&mut self, letter: Letter) {
        self.bytes.extend_from_slice(END_OF_LINE);
        self.letters.push(letter);
    }

    fn lay(&mut self, part: &[u8]) -> u32 {
        if !part.is_empty() {
            self.bytes.extend_from_slice(part);
        }
        length(part.len())
    }

    fn written(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> u32 {
        let start = self.bytes.len();
        write(&mut self.bytes);
        length(self.bytes.len().saturating_sub(start))
    }

    /// The place of a text among those that are said instead. Messages of one stream have one in common.
    fn instead(&mut self, text: &Arc<[u8]>) -> u32 {
        if self.instead.last().is_none_or(|last| !Arc::ptr_eq(last, text)) {
            self.instead.push(text.clone());
        }
        length(self.instead.len() - 1)
    }

    /// Wants something else done.
    pub fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Wants these done.
    pub fn extend(&mut self, effects: impl IntoIterator<Item = Effect>) {
        self.effects.extend(effects);
    }

    /// What is to be done besides sending.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Whether anything is to be sent.
    pub fn has_messages(&self) -> bool {
        !self.letters.is_empty()
    }

    /// What may leave, in order: messages whose condition holds, and of the others what is said instead.
    pub fn messages(&self, holds: impl Fn(After) -> bool) -> impl Iterator<Item = Outgoing<'_>> {
        self.letters.iter().filter_map(move |letter| {
            let outgoing = self.lent(letter);
            if holds(letter.after) {
                return Some(outgoing);
            }
            let payload = self.instead.get(letter.else_say? as usize)?;
            Some(Outgoing { to: outgoing.to, payload, ..Outgoing::default() })
        })
    }

    fn lent(&self, letter: &Letter) -> Outgoing<'_> {
        let mut rest = &self.bytes[letter.start..];
        let mut take = |length: u32| {
            let (part, after) = rest.split_at(length as usize);
            rest = after;
            part
        };
        let to = take(letter.to);
        let (subject, reply) = (letter.subject.map(&mut take), letter.reply.map(&mut take));
        let whole = take(letter.headers + letter.payload + END_OF_LINE.len() as u32);
        let (headers, rest) = whole.split_at(letter.headers as usize);
        let payload = &rest[..letter.payload as usize];
        Outgoing { to, subject, reply, headers, payload, whole: Some(whole) }
    }

    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.letters.is_empty() && self.effects.is_empty()
    }

    /// Bytes of the messages in it.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// How much is in it now.
    pub fn mark(&self) -> Mark {
        let (bytes, letters) = (self.bytes.len(), self.letters.len());
        Mark { bytes, letters }
    }

    /// Bytes of the messages behind a mark.
    pub fn bytes_since(&self, mark: &Mark) -> usize {
        self.bytes.len().saturating_sub(mark.bytes)
    }

    /// What was said behind a mark is not to be said. What else is wanted stays: it goes with what was changed, which is changed once.
    pub fn rewind(&mut self, mark: &Mark) {
        self.bytes.truncate(mark.bytes);
        self.letters.truncate(mark.letters);
    }

    /// Takes out the messages behind a mark. What else is wanted stays.
    pub fn split_off(&mut self, mark: &Mark) -> Outbox {
        let mut taken = Outbox { bytes: self.bytes.split_off(mark.bytes.min(self.bytes.len())), ..Outbox::default() };
        for letter in self.letters.split_off(mark.letters.min(self.letters.len())) {
            let else_say = letter.else_say.and_then(|place| self.instead.get(place as usize));
            let else_say = else_say.map(|text| taken.instead(text));
            taken.letters.push(Letter { start: letter.start.saturating_sub(mark.bytes), else_say, ..letter });
        }
        taken
    }

    /// Puts what is in another one behind what is in this.
    pub fn append(&mut self, other: &mut Outbox) {
        let start = self.bytes.len();
        self.bytes.append(&mut other.bytes);
        let (letters, instead) = (std::mem::take(&mut other.letters), std::mem::take(&mut other.instead));
        for letter in letters {
            let else_say = letter.else_say.and_then(|place| instead.get(place as usize));
            let else_say = else_say.map(|text| self.instead(text));
            self.letters.push(Letter { start: start + letter.start, else_say, ..letter });
        }
        self.effects.append(&mut other.effects);
    }

    /// Everything was done. A buffer that grew past what is usual is given back.
    pub fn clear(&mut self) {
        if self.bytes.capacity() > KEPT_BYTES {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        self.letters.clear();
        self.instead.clear();
        self.effects.clear();
    }
}

/// No part of a message is longer than a message may be, and that is far below four gigabytes.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("messages are bounded")
}

/// Who listens, in one account.
pub trait Interest {
    /// Whether anybody would receive a message of this subject.
    fn is_wanted(&self, subject: &[u8]) -> bool;

    /// Whether a member of this queue group would; without a group, whether somebody would who is in none. Where groups are
    /// not told apart it is whether anybody would.
    fn is_heard(&self, subject: &[u8], group: &str) -> bool {
        let _ = group;
        self.is_wanted(subject)
    }
}

/// A header block with headers alone.
pub(crate) fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = b"NATS/1.0\r\n".to_vec();
    for (name, value) in headers {
        block.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    block.extend_from_slice(b"\r\n");
    block
}

/// A header block with a status line and headers.
pub fn status(line: &str, headers: &[(&str, String)]) -> Vec<u8> {
    let mut block = format!("NATS/1.0 {line}\r\n").into_bytes();
    for (name, value) in headers {
        block.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    block.extend_from_slice(b"\r\n");
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_keep_their_parts_and_leave_when_they_may() {
        let (mut out, failed) = (Outbox::default(), Arc::<[u8]>::from(&b"failed"[..]));
        let full = Outgoing {
            to: b"inbox",
            subject: Some(b"a.b"),
            reply: Some(b"$JS.ACK"),
            headers: b"NATS/1.0\r\n\r\n",
            payload: b"body",
            whole: None,
        };
        out.send(&full);
        out.acknowledge(b"one", |bytes| bytes.extend_from_slice(b"stored"), After::Log(1), &failed);
        out.answer(b"two", Vec::new(), b"made".to_vec(), After::Metadata, None);
        out.answer(b"", Vec::new(), b"nobody waits".to_vec(), After::Nothing, None);
        let acknowledged = Outgoing { to: b"one", payload: b"stored", ..Outgoing::default() };
        let made = Outgoing { to: b"two", payload: b"made", ..Outgoing::default() };
        assert_eq!(out.messages(|_| true).collect::<Vec<_>>(), [full, acknowledged, made]);
        let wholes: Vec<_> = out.messages(|_| true).filter_map(|outgoing| outgoing.whole).collect();
        assert_eq!(wholes, [&b"NATS/1.0\r\n\r\nbody\r\n"[..], b"stored\r\n", b"made\r\n"]);
        let refused = Outgoing { payload: b"failed", ..acknowledged };
        assert_eq!(out.messages(|after| after == After::Nothing).collect::<Vec<_>>(), [full, refused]);
        let mark = out.mark();
        out.acknowledge(b"three", |bytes| bytes.extend_from_slice(b"late"), After::Log(2), &failed);
        let late = Outgoing { to: b"three", payload: b"late", ..Outgoing::default() };
        let mut held = out.split_off(&mark);
        assert_eq!(held.messages(|_| true).collect::<Vec<_>>(), [late]);
        assert_eq!(out.messages(|_| true).collect::<Vec<_>>(), [full, acknowledged, made]);
        out.append(&mut held);
        assert!(held.is_empty() && out.bytes_since(&mark) > 0);
        assert_eq!(out.messages(|_| true).collect::<Vec<_>>(), [full, acknowledged, made, late]);
        let unstored = Outgoing { payload: b"failed", ..late };
        assert_eq!(out.messages(|after| after == After::Nothing).collect::<Vec<_>>(), [full, refused, unstored]);
        out.rewind(&mark);
        assert_eq!(out.messages(|_| true).collect::<Vec<_>>(), [full, acknowledged, made]);
        out.clear();
        assert!(out.is_empty() && out.messages(|_| true).next().is_none());
    }
}
