//! What the metadata says of each key of an account: whose it is, and whether it is to go or is gone.
//!
//! ```text
//! k NUMBER -> state u8 | at i64 | length of the account's name, name | streams | beginnings of keys of the metadata
//! ```
//!
//! A key that is destroyed on purpose leaves its entry, so that what it sealed is never taken for damage, and its file, should
//! it be put back, not for a key.

use super::KeyNo;
use crate::bytes::{Reader, put_varint};
use crate::seal::StreamId;
use moment::Timestamp;

const KIND: u8 = b'k';

const IN_USE: u8 = 1;
const LEAVING: u8 = 2;
const UNUSED: u8 = 3;
const DESTROYED: u8 = 4;

/// What is to go with a key, and why it goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Leaving {
    /// Whose key it is.
    pub account: String,
    /// Since when.
    pub at: Timestamp,
    /// Streams whose files go.
    pub streams: Vec<StreamId>,
    /// What of the metadata goes: keys that begin so, and what the key seals.
    pub beginnings: Vec<Vec<u8>>,
    /// It is destroyed with what it seals, and that is remembered. Else it seals nothing any more.
    pub is_destroyed: bool,
}

/// What the metadata says of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    InUse(String),
    /// Going on with that is the first thing that is done when the store is opened.
    Leaving(Leaving),
    Destroyed {
        account: String,
        at: Timestamp,
        streams: u64,
    },
}

/// The key of the metadata under which something is said of a key of an account.
pub(crate) fn key_of(no: KeyNo) -> Vec<u8> {
    let mut key = vec![KIND];
    key.extend_from_slice(&no.0.to_be_bytes());
    key
}

/// All entries there are. What makes no sense is left out.
pub(crate) fn read_all<'a>(entries: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<(KeyNo, Entry)> {
    let read = |(key, value): (&[u8], &[u8])| {
        let number = u64::from_be_bytes(key.strip_prefix(&[KIND])?.try_into().ok()?);
        Some((KeyNo::read(number)?, Entry::decode(value)?))
    };
    entries.filter_map(read).collect()
}

/// What all of their keys begin with.
pub(crate) const BEGINNING: &[u8] = &[KIND];

impl Entry {
    pub(crate) fn account(&self) -> &str {
        match self {
            Entry::InUse(account) | Entry::Destroyed { account, .. } => account,
            Entry::Leaving(leaving) => &leaving.account,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let (state, at) = match self {
            Entry::InUse(_) => (IN_USE, Timestamp::EPOCH),
            Entry::Leaving(leaving) => (if leaving.is_destroyed { LEAVING } else { UNUSED }, leaving.at),
            Entry::Destroyed { at, .. } => (DESTROYED, *at),
        };
        let mut out = vec![state];
        out.extend_from_slice(&at.as_nanos().to_le_bytes());
        put_bytes(&mut out, self.account().as_bytes());
        match self {
            Entry::InUse(_) => {}
            Entry::Destroyed { streams, .. } => put_varint(&mut out, *streams),
            Entry::Leaving(leaving) => {
                put_varint(&mut out, leaving.streams.len() as u64);
                leaving.streams.iter().for_each(|stream| put_varint(&mut out, stream.0));
                put_varint(&mut out, leaving.beginnings.len() as u64);
                leaving.beginnings.iter().for_each(|beginning| put_bytes(&mut out, beginning));
            }
        }
        out
    }

    pub(crate) fn decode(value: &[u8]) -> Option<Entry> {
        let mut reader = Reader(value);
        let (state, at) = (reader.u8()?, Timestamp::from_nanos(reader.i64()?));
        let account = String::from_utf8(bytes(&mut reader)?).ok()?;
        Some(match state {
            IN_USE => Entry::InUse(account),
            DESTROYED => Entry::Destroyed { account, at, streams: reader.varint()? },
            LEAVING | UNUSED => Entry::Leaving(Leaving {
                account,
                at,
                streams: (0..reader.varint()?).map(|_| reader.varint().map(StreamId)).collect::<Option<_>>()?,
                beginnings: (0..reader.varint()?).map(|_| bytes(&mut reader)).collect::<Option<_>>()?,
                is_destroyed: state == LEAVING,
            }),
            _ => return None,
        })
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn bytes(reader: &mut Reader<'_>) -> Option<Vec<u8>> {
    let len = usize::try_from(reader.varint()?).ok()?;
    reader.take(len).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_comes_back_and_a_part_of_one_is_none() {
        let leaving = |is_destroyed| Leaving {
            account: "ACME".into(),
            at: Timestamp::from_secs(5),
            streams: vec![StreamId(1), StreamId(900)],
            beginnings: vec![b"s\0ACME\0".to_vec()],
            is_destroyed,
        };
        let destroyed = Entry::Destroyed { account: "ACME".into(), at: Timestamp::from_secs(7), streams: 2 };
        let all =
            [Entry::InUse("ACME".into()), destroyed, Entry::Leaving(leaving(true)), Entry::Leaving(leaving(false))];
        for entry in all {
            let (key, value) = (key_of(KeyNo(77)), entry.encode());
            let read = read_all([(&key[..], &value[..])].into_iter());
            assert_eq!(read, [(KeyNo(77), entry)]);
            for len in 0..value.len() {
                assert_eq!(read_all([(&key[..], &value[..len])].into_iter()), []);
            }
        }
        let value = Entry::InUse("ACME".into()).encode();
        assert_eq!(read_all([(&b"k\0"[..], &value[..]), (b"s12345678", &value)].into_iter()), []);
    }
}
