//! The subjects of a stream as its summary has them, until somebody asks for one.
//!
//! A stream that was opened and is not used yet keeps a third of the memory and needs a fraction of the time. What is packed was
//! checked when it was read, so counting it can not fail.

use crate::bytes::{Reader, put_varint};
use crate::subjects::{SubjectNo, SubjectTotals, Subjects};
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, OnceLock, PoisonError};

const FIRST_IS_EXACT: u8 = 1;
const LAST_IS_EXACT: u8 = 2;

/// Subjects, packed or counted.
pub(crate) struct Remembered {
    packed: Mutex<Packed>,
    counted: OnceLock<Subjects>,
    /// How many there are while they are packed.
    len: usize,
    seed: u64,
}

/// Subjects one behind the other, each sound.
#[derive(Default)]
pub(crate) struct Packed {
    bytes: Vec<u8>,
    len: usize,
}

impl Packed {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve_exact(bytes);
    }

    /// Takes some more. `None`: they are not sound.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Option<()> {
        let mut reader = Reader(bytes);
        while !reader.is_done() {
            unpacked(&mut reader).filter(|(_, totals)| totals.messages > 0)?;
            self.len += 1;
        }
        self.bytes.extend_from_slice(bytes);
        Some(())
    }
}

impl Remembered {
    /// None yet. `seed` keeps a publisher from choosing subjects that collide.
    pub(crate) fn new(seed: u64) -> Remembered {
        Remembered { packed: Mutex::default(), counted: Subjects::new(seed).into(), len: 0, seed }
    }

    pub(crate) fn packed(seed: u64, packed: Packed) -> Remembered {
        Remembered { len: packed.len, packed: Mutex::new(packed), counted: OnceLock::new(), seed }
    }

    /// How many there are. Counts nothing.
    pub(crate) fn len(&self) -> usize {
        self.counted.get().map_or(self.len, Subjects::len)
    }

    /// Whether they are still as the summary has them.
    #[cfg(test)]
    pub(crate) fn is_packed(&self) -> bool {
        self.counted.get().is_none()
    }

    /// Numbers the subjects anew if many are gone, see [`Subjects::renumber`]. Counts nothing.
    pub(crate) fn renumber_if_wasteful(&mut self) -> Option<Vec<SubjectNo>> {
        self.counted.get_mut().filter(|subjects| subjects.is_wasteful()).map(Subjects::renumber)
    }

    fn count(&self) -> Subjects {
        let packed = std::mem::take(&mut *self.packed.lock().unwrap_or_else(PoisonError::into_inner));
        let (mut subjects, mut reader) = (Subjects::new(self.seed), Reader(&packed.bytes));
        subjects.reserve(packed.len);
        while let Some((text, totals)) = unpacked(&mut reader) {
            subjects.restore(text, totals);
        }
        subjects
    }
}

impl Deref for Remembered {
    type Target = Subjects;

    fn deref(&self) -> &Subjects {
        self.counted.get_or_init(|| self.count())
    }
}

impl DerefMut for Remembered {
    fn deref_mut(&mut self) -> &mut Subjects {
        let _ = self.counted.get_or_init(|| self.count());
        self.counted.get_mut().expect("it was counted just now")
    }
}

/// Appends one subject as [`unpacked`] reads it.
pub(crate) fn pack(out: &mut Vec<u8>, text: &[u8], totals: &SubjectTotals) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text);
    out.push(u8::from(totals.first_is_exact) * FIRST_IS_EXACT + u8::from(totals.last_is_exact) * LAST_IS_EXACT);
    let span = totals.last.saturating_sub(totals.first);
    for number in [totals.messages, totals.first, span, totals.first_size.into(), totals.last_size.into()] {
        put_varint(out, number);
    }
}

fn unpacked<'a>(reader: &mut Reader<'a>) -> Option<(&'a [u8], SubjectTotals)> {
    let len = usize::try_from(reader.varint()?).ok()?;
    let text = reader.take(len)?;
    let flags = reader.u8()?;
    let (messages, first) = (reader.varint()?, reader.varint()?);
    let totals = SubjectTotals {
        messages,
        first,
        last: first.checked_add(reader.varint()?)?,
        first_is_exact: flags & FIRST_IS_EXACT != 0,
        last_is_exact: flags & LAST_IS_EXACT != 0,
        first_size: u32::try_from(reader.varint()?).ok()?,
        last_size: u32::try_from(reader.varint()?).ok()?,
    };
    Some((text, totals))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_back_when_it_is_asked_for() {
        let mut subjects = Subjects::new(1);
        for seq in 1..=100_u64 {
            subjects.add(format!("s.{}", seq % 7).as_bytes(), seq, 10);
        }
        let no = subjects.find(b"s.3").expect("is there");
        subjects.remove(no, 3);
        let mut bytes = Vec::new();
        subjects.all().for_each(|(text, totals)| pack(&mut bytes, text, totals));
        let mut packed = Packed::default();
        assert_eq!(packed.take(&bytes), Some(()));
        let mut remembered = Remembered::packed(2, packed);
        assert!(remembered.is_packed());
        assert_eq!(remembered.len(), 7);
        assert!(remembered.is_packed(), "how many there are is known without");
        for (text, totals) in subjects.all() {
            let no = remembered.find(text).expect("is there");
            assert_eq!(remembered.totals(no), Some(totals));
        }
        remembered.add(b"new", 101, 10);
        assert_eq!((remembered.len(), remembered.is_packed()), (8, false));
    }

    #[test]
    fn what_is_not_sound_is_not_taken() {
        let mut bytes = Vec::new();
        let mut subjects = Subjects::new(1);
        subjects.add(b"s", 1, 10);
        subjects.all().for_each(|(text, totals)| pack(&mut bytes, text, totals));
        for len in 1..bytes.len() {
            assert_eq!(Packed::default().take(&bytes[..len]), None);
        }
        assert_eq!(Packed::default().take(&[200]), None);
    }
}
