//! Whether lines that are read back are the ones that were written.

use std::fmt;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use nkeys::PublicKey;

use crate::MAX_LINE_BYTES;
use crate::chain::{CHAIN_BYTES, ChainHead, Line, link, signed, split};

/// Something that is wrong with a trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The line is not one of a trail: altered beyond reading, or cut off.
    Unreadable,
    /// The line was altered, or it does not follow the one before it: something was taken out, put in or moved.
    Broken {
        /// The number that the line bears.
        seq: u64,
    },
    /// Numbers are missing before this line, or come twice.
    Gap {
        /// The number that should be here.
        expected: u64,
        /// The number that is.
        found: u64,
    },
    /// The file does not go on where the one before it ended: a file is missing, or the order is wrong.
    Torn,
    /// A checkpoint whose signature is not right.
    Forged {
        /// The number of the line.
        seq: u64,
    },
    /// A checkpoint by another key than the one that was expected.
    OtherKey {
        /// The number of the line.
        seq: u64,
        /// That key.
        key: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable => f.write_str("is no line of a trail"),
            Self::Broken { seq } => {
                write!(f, "record {seq} was altered, or records before it were removed, inserted or moved")
            }
            Self::Gap { expected, found } => write!(f, "record {expected} was expected and {found} is here"),
            Self::Torn => f.write_str("does not go on where the file before it ended"),
            Self::Forged { seq } => write!(f, "the signature of checkpoint {seq} is wrong"),
            Self::OtherKey { seq, key } => write!(f, "checkpoint {seq} is signed by {key}, not by the expected key"),
        }
    }
}

/// What was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Lines.
    pub lines: u64,
    /// Checkpoints with a right signature.
    pub checkpoints: u64,
    /// The number of the last line that a right checkpoint signs.
    pub signed_up_to: u64,
    /// Where the trail ends.
    pub head: ChainHead,
}

/// Reads a trail from its first line on.
#[derive(Default)]
pub struct Verifier {
    key: Option<PublicKey>,
    expected: Option<ChainHead>,
    summary: Summary,
}

impl Verifier {
    /// Checkpoints must be signed by this key; by any key if there is none.
    pub fn new(key: Option<PublicKey>) -> Self {
        Self { key, ..Self::default() }
    }

    /// Reads the next line. What is wrong with it; afterwards the verifier goes on from this line, so that one mistake is
    /// found once.
    pub fn read(&mut self, line: &str) -> Vec<Finding> {
        self.summary.lines += 1;
        let Some((line, body, link_here)) = parsed(line) else {
            self.expected = None;
            return vec![Finding::Unreadable];
        };
        let mut findings = Vec::new();
        let before = self.before(&line, &mut findings);
        if let Some(before) = before {
            if line.seq != before.seq + 1 {
                findings.push(Finding::Gap { expected: before.seq + 1, found: line.seq });
            }
            if link(&before.link, body) != link_here {
                findings.push(Finding::Broken { seq: line.seq });
            } else if !line.signature.is_empty() {
                findings.extend(self.checkpoint(&line, before));
            }
        }
        let head = ChainHead { seq: line.seq, link: link_here };
        self.expected = Some(head);
        self.summary.head = head;
        findings
    }

    /// What stands before a line: what was read, or what a line that opens a file says of itself.
    fn before(&self, line: &Line, findings: &mut Vec<Finding>) -> Option<ChainHead> {
        let opened: Option<[u8; CHAIN_BYTES]> =
            HEXLOWER.decode(line.previous.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        match (self.expected, opened) {
            (Some(head), Some(previous)) if head.link != previous => {
                findings.push(Finding::Torn);
                Some(ChainHead { seq: head.seq, link: previous })
            }
            (Some(head), _) => Some(head),
            (None, Some(link)) => Some(ChainHead { seq: line.seq.checked_sub(1)?, link }),
            (None, None) => {
                // After a line that cannot be read, the next can only be taken as it is.
                if self.summary.lines == 1 {
                    findings.push(Finding::Torn);
                }
                None
            }
        }
    }

    fn checkpoint(&mut self, line: &Line, before: ChainHead) -> Option<Finding> {
        let forged = Some(Finding::Forged { seq: line.seq });
        let (Ok(key), Ok(signature)) =
            (line.key.parse::<PublicKey>(), BASE64URL_NOPAD.decode(line.signature.as_bytes()))
        else {
            return forged;
        };
        if key.verify(&signed(before.seq, &before.link), &signature).is_err() {
            return forged;
        }
        if self.key.is_some_and(|expected| expected != key) {
            return Some(Finding::OtherKey { seq: line.seq, key: key.to_string() });
        }
        self.summary.checkpoints += 1;
        self.summary.signed_up_to = before.seq;
        None
    }

    /// What was read so far.
    pub const fn summary(&self) -> Summary {
        self.summary
    }
}

fn parsed(line: &str) -> Option<(Line, &str, [u8; CHAIN_BYTES])> {
    if line.len() > MAX_LINE_BYTES {
        return None;
    }
    let (body, link) = split(line)?;
    let line = serde_json::from_str(&format!("{body}}}")).ok()?;
    Some((line, body, link))
}
