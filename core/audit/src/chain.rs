//! The chain: every line vouches for all before it.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use moment::Timestamp;
use nkeys::KeyPair;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::record::{Class, Outcome, Record};

/// Bytes of a link of the chain.
pub const CHAIN_BYTES: usize = 32;

/// What stands before the link at the end of a line.
pub(crate) const LINK_FIELD: &str = ",\"chain\":\"";

/// Where a chain stands: the number of its last line, and that line's link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChainHead {
    /// The number of the last line; 0 before the first.
    pub seq: u64,
    /// Its link.
    pub link: [u8; CHAIN_BYTES],
}

impl ChainHead {
    /// The head behind this line, if it is a line of a trail. Nothing is verified.
    pub fn of_line(line: &str) -> Option<Self> {
        let (body, link) = split(line)?;
        let seq = serde_json::from_str::<Numbered>(&format!("{body}}}")).ok()?.seq;
        Some(Self { seq, link })
    }
}

#[derive(Deserialize)]
struct Numbered {
    seq: u64,
}

/// A line as it is written, but for its link.
#[derive(Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) seq: u64,
    pub(crate) time: String,
    #[serde(flatten)]
    pub(crate) record: Record,
    /// In a line that opens a file: the link of the line before it, in the file before.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) previous: String,
    /// In a checkpoint: the public key and the signature of the link before this line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) key: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) signature: String,
}

/// Makes lines of records.
pub struct Chain {
    head: ChainHead,
}

impl Chain {
    /// A chain that goes on behind `head`; a new one behind the default.
    pub const fn behind(head: ChainHead) -> Self {
        Self { head }
    }

    /// Where it stands.
    pub const fn head(&self) -> ChainHead {
        self.head
    }

    /// The line of a record, with its line break.
    pub fn append(&mut self, record: Record, now: Timestamp) -> String {
        self.line(record, now, |_| {})
    }

    /// The line that a file begins with: it names the link it goes on from, so that a file can be verified by itself and
    /// a missing file is noticed.
    pub fn open(&mut self, what: &str, now: Timestamp) -> String {
        let previous = HEXLOWER.encode(&self.head.link);
        self.line(trail(what), now, |line| line.previous = previous)
    }

    /// The line that signs everything before it.
    pub fn checkpoint(&mut self, key: &KeyPair, now: Timestamp) -> String {
        let signature = BASE64URL_NOPAD.encode(&key.sign(&signed(self.head.seq, &self.head.link)));
        let key = key.public().to_string();
        self.line(trail("checkpoint"), now, |line| (line.key, line.signature) = (key, signature))
    }

    fn line(&mut self, record: Record, now: Timestamp, add: impl FnOnce(&mut Line)) -> String {
        let seq = self.head.seq + 1;
        let mut line = Line {
            seq,
            time: now.to_string(),
            record: record.bounded(),
            previous: String::new(),
            key: String::new(),
            signature: String::new(),
        };
        add(&mut line);
        let mut text = serde_json::to_string(&line).expect("texts and numbers are always JSON");
        text.pop();
        self.head = ChainHead { seq, link: link(&self.head.link, &text) };
        text.push_str(LINK_FIELD);
        text.push_str(&HEXLOWER.encode(&self.head.link));
        text.push_str("\"}\n");
        text
    }
}

fn trail(what: &str) -> Record {
    Record { what: what.to_owned(), ..Record::new(Class::Trail, Outcome::Done) }
}

/// What a checkpoint signs: a text of its own, so that the signature fits nothing else this key may sign.
pub(crate) fn signed(seq: u64, link: &[u8; CHAIN_BYTES]) -> Vec<u8> {
    format!("bulwark-audit-checkpoint:{seq}:{}", HEXLOWER.encode(link)).into_bytes()
}

/// The link of a line that follows `previous`.
pub(crate) fn link(previous: &[u8; CHAIN_BYTES], body: &str) -> [u8; CHAIN_BYTES] {
    Sha256::new().chain_update(previous).chain_update(body.as_bytes()).finalize().into()
}

/// A line taken apart: what the link is made of, and the link.
pub(crate) fn split(line: &str) -> Option<(&str, [u8; CHAIN_BYTES])> {
    let line = line.strip_suffix('\n').unwrap_or(line);
    let (body, rest) = line.rsplit_once(LINK_FIELD)?;
    let link = HEXLOWER.decode(rest.strip_suffix("\"}")?.as_bytes()).ok()?;
    Some((body, link.try_into().ok()?))
}
