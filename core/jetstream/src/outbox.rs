//! What the machines of this room want done.

use moment::{Instant, Timestamp};
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

/// A message to be published within the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The subject it is routed by.
    pub to: Vec<u8>,
    /// The subject it bears, where that is another one: a delivered message keeps its own.
    pub subject: Option<Vec<u8>>,
    /// Where an answer goes.
    pub reply: Option<Vec<u8>>,
    /// The header block; empty without headers.
    pub headers: Vec<u8>,
    /// The body.
    pub payload: Vec<u8>,
    /// When it may leave.
    pub after: After,
    /// What its receiver gets instead when what it waits for fails: the answer to a publisher or caller.
    pub else_say: Option<Vec<u8>>,
}

/// Something to be done outside of this room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Publish this.
    Send(Outgoing),
    /// From now on messages of these subjects are wanted.
    Listen(Filter),
    /// No longer.
    Unlisten(Filter),
}

/// Effects in the order in which they came about.
#[derive(Debug, Default)]
pub struct Outbox {
    effects: Vec<Effect>,
}

impl Outbox {
    /// Publishes as soon as `after` holds.
    pub fn send(&mut self, outgoing: Outgoing) {
        self.effects.push(Effect::Send(outgoing));
    }

    /// Answers somebody at once.
    pub fn say(&mut self, to: &[u8], headers: Vec<u8>, payload: Vec<u8>) {
        self.answer(to, headers, payload, After::Nothing, None);
    }

    /// Answers somebody once `after` holds.
    pub fn answer(&mut self, to: &[u8], headers: Vec<u8>, payload: Vec<u8>, after: After, else_say: Option<Vec<u8>>) {
        let to = to.to_vec();
        self.send(Outgoing { to, subject: None, reply: None, headers, payload, after, else_say });
    }

    /// Wants something else done.
    pub fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Everything so far.
    pub fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.effects.is_empty()
    }
}

/// Who listens, in one account.
pub trait Interest {
    /// Whether anybody would receive a message of this subject.
    fn is_wanted(&self, subject: &[u8]) -> bool;
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
