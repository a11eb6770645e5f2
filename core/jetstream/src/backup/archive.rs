//! The archive of a stream: entries one after the other, behind eight bytes by which it is known.
//!
//! ```text
//! name length | time (zig-zag) | sequence | header length | payload length | name | headers | payload
//! ```
//!
//! Numbers are varints. An entry of nothing but zeros is the end.

/// What an archive begins with.
pub(crate) const MAGIC: &[u8] = b"NATSARC1";
/// The entry with the state of the stream, which is the first.
pub(crate) const STATE: &str = "state.json";
/// What the names of consumers begin with.
pub(crate) const CONSUMERS: &str = "consumers/";
/// Longest name.
const MAX_NAME_BYTES: u64 = 1 << 20;
/// Longest headers and payload together: more than any message may have.
const MAX_BODY_BYTES: u64 = 72 * 1024 * 1024;

/// An entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub name: Vec<u8>,
    pub nanos: i64,
    pub seq: u64,
    pub headers: Vec<u8>,
    pub payload: Vec<u8>,
}

impl Entry {
    /// Whether nothing comes after it.
    pub(crate) fn is_end(&self) -> bool {
        *self == Entry::default()
    }

    /// Appends it to an archive.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let zigzag = ((self.nanos << 1) ^ (self.nanos >> 63)) as u64;
        let (headers, payload) = (self.headers.len() as u64, self.payload.len() as u64);
        for number in [self.name.len() as u64, zigzag, self.seq, headers, payload] {
            put_varint(number, out);
        }
        [&self.name, &self.headers, &self.payload].iter().for_each(|part| out.extend_from_slice(part));
    }
}

fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// What is wrong with an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is none, or of an older version.
    Magic,
    /// An entry makes no sense.
    Entry,
    /// A checksum in it does not fit.
    Damaged,
}

/// Reads an archive that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    bytes: Vec<u8>,
    at: usize,
    has_begun: bool,
}

/// Numbers at the front of an entry, and how many bytes they take.
struct Front {
    numbers: [u64; 5],
    len: usize,
}

impl Reader {
    /// Takes a piece.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        // What was read goes when as much again has come, so that nothing is moved often.
        if self.at > self.bytes.len() / 2 {
            self.bytes.drain(..self.at);
            self.at = 0;
        }
        self.bytes.extend_from_slice(piece);
    }

    /// Bytes that came and make no entry yet.
    pub(crate) fn held(&self) -> usize {
        self.bytes.len()
    }

    /// Everything that came, of what is no archive of this kind.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The next entry; `None` when it has not come as a whole.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, Fault> {
        if !self.has_begun {
            let Some(magic) = self.bytes.get(..MAGIC.len()) else { return Ok(None) };
            if magic != MAGIC {
                return Err(Fault::Magic);
            }
            (self.has_begun, self.at) = (true, MAGIC.len());
        }
        let Some(Front { numbers: [name, zigzag, seq, headers, payload], len }) = self.front()? else {
            return Ok(None);
        };
        let total = headers.checked_add(payload).filter(|total| *total <= MAX_BODY_BYTES);
        let (Some(total), true) = (total, name <= MAX_NAME_BYTES) else { return Err(Fault::Entry) };
        let start = self.at + len;
        let Some(bytes) = self.bytes.get(start..start + (name + total) as usize) else { return Ok(None) };
        let (name, body) = bytes.split_at(name as usize);
        let (headers, payload) = body.split_at(headers as usize);
        let nanos = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
        let entry = Entry { name: name.to_vec(), nanos, seq, headers: headers.to_vec(), payload: payload.to_vec() };
        self.at = start + bytes.len();
        Ok(Some(entry))
    }

    fn front(&self) -> Result<Option<Front>, Fault> {
        let mut front = Front { numbers: [0; 5], len: 0 };
        for number in &mut front.numbers {
            let mut shift = 0;
            loop {
                let Some(&byte) = self.bytes.get(self.at + front.len) else { return Ok(None) };
                front.len += 1;
                if shift == 63 && byte > 1 {
                    return Err(Fault::Entry);
                }
                *number |= u64::from(byte & 0x7f) << shift;
                if byte < 0x80 {
                    break;
                }
                shift += 7;
            }
        }
        Ok(Some(front))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, nanos: i64, seq: u64) -> Entry {
        let (headers, payload) = (b"NATS/1.0\r\n\r\n".to_vec(), vec![9; 300]);
        Entry { name: name.into(), nanos, seq, headers, payload }
    }

    #[test]
    fn entries_come_back_however_the_archive_is_cut() {
        let entries =
            [entry("state.json", -5, 0), entry("a.b", i64::MAX, u64::MAX), entry("", i64::MIN, 1), Entry::default()];
        let mut bytes = MAGIC.to_vec();
        entries.iter().for_each(|entry| entry.write(&mut bytes));
        for size in [1, 7, 5_000] {
            let (mut reader, mut read) = (Reader::default(), Vec::new());
            for piece in bytes.chunks(size) {
                reader.push(piece);
                while let Some(entry) = reader.next().expect("an archive") {
                    read.push(entry);
                }
            }
            assert_eq!(read, entries);
        }
        assert!(entries[3].is_end() && !entries[2].is_end());
    }

    #[test]
    fn lengths_that_make_no_sense_are_refused_before_anything_is_kept() {
        let mut reader = Reader::default();
        reader.push(b"PK\x03\x04....");
        assert_eq!(reader.next(), Err(Fault::Magic));
        for front in [
            [0xff; 11].to_vec(),
            vec![0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x7f, 0],
            vec![0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0],
        ] {
            let mut reader = Reader::default();
            reader.push(&[MAGIC, &front].concat());
            assert_eq!(reader.next(), Err(Fault::Entry), "{front:?}");
        }
    }
}
