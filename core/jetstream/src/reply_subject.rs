//! The reply subject of a delivered message, as its text: where it is acknowledged.
//!
//! From one delivery of a consumer to the next most of it stays: two numbers go up by one, one goes down, and messages that were
//! stored together have one time. So the text is kept, and only the digits that change are written.

use crate::ack::PREFIX;
use moment::Timestamp;

/// What the numbers at the end of it tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    /// How often the message was delivered.
    pub deliveries: u64,
    /// Its sequence in the stream.
    pub stream_seq: u64,
    /// The number of this delivery.
    pub consumer_seq: u64,
    /// When it came to the stream.
    pub time: Timestamp,
    /// How many more are behind it.
    pub pending: u64,
}

/// How many numbers there are.
const NUMBERS: usize = 5;

/// The reply subject of the last delivery of one consumer of one stream.
#[derive(Debug, Default)]
pub(crate) struct ReplySubject {
    text: Vec<u8>,
    /// Where the names end, and each of the numbers.
    ends: [usize; NUMBERS + 1],
    counted: Option<Counted>,
}

impl ReplySubject {
    /// Becomes that of the next delivery.
    pub(crate) fn set(&mut self, stream: &str, consumer: &str, next: &Counted) {
        let is_turned = self.counted.is_some_and(|before| self.turn(&before, next));
        if !is_turned {
            self.write(stream, consumer, next);
        }
        self.counted = Some(*next);
    }

    /// Its text.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// Changes the digits that have to. `false` if a number becomes longer or shorter; then the text is to be written anew.
    fn turn(&mut self, before: &Counted, next: &Counted) -> bool {
        step(self.number(0), before.deliveries, next.deliveries)
            && step(self.number(1), before.stream_seq, next.stream_seq)
            && step(self.number(2), before.consumer_seq, next.consumer_seq)
            && (before.time == next.time || replace(self.number(3), next.time.as_nanos()))
            && step(self.number(4), before.pending, next.pending)
    }

    fn number(&mut self, number: usize) -> &mut [u8] {
        &mut self.text[self.ends[number] + 1..self.ends[number + 1]]
    }

    #[cold]
    fn write(&mut self, stream: &str, consumer: &str, next: &Counted) {
        self.text.clear();
        for part in [PREFIX, stream, ".", consumer] {
            self.text.extend_from_slice(part.as_bytes());
        }
        let Counted { deliveries, stream_seq, consumer_seq, time, pending } = *next;
        let numbers =
            [deliveries.into(), stream_seq.into(), consumer_seq.into(), time.as_nanos().into(), pending.into()];
        self.ends[0] = self.text.len();
        for (end, number) in self.ends[1..].iter_mut().zip::<[i128; NUMBERS]>(numbers) {
            self.text.push(b'.');
            self.text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
            *end = self.text.len();
        }
    }
}

/// Makes the digits of a number those of the next, if there are as many.
fn step(digits: &mut [u8], before: u64, next: u64) -> bool {
    if next == before {
        true
    } else if next.checked_sub(before) == Some(1) {
        count_up(digits)
    } else if before.checked_sub(next) == Some(1) {
        count_down(digits)
    } else {
        replace(digits, next)
    }
}

fn count_up(digits: &mut [u8]) -> bool {
    for digit in digits.iter_mut().rev() {
        if *digit != b'9' {
            *digit += 1;
            return true;
        }
        *digit = b'0';
    }
    false
}

fn count_down(digits: &mut [u8]) -> bool {
    for digit in digits.iter_mut().rev() {
        if *digit != b'0' {
            *digit -= 1;
            break;
        }
        *digit = b'9';
    }
    digits.len() == 1 || digits.first() != Some(&b'0')
}

fn replace(digits: &mut [u8], next: impl itoa::Integer) -> bool {
    let mut buffer = itoa::Buffer::new();
    let next = buffer.format(next).as_bytes();
    let fits = next.len() == digits.len();
    if fits {
        digits.copy_from_slice(next);
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDGES: [u64; 12] = [0, 1, 2, 8, 9, 10, 11, 99, 100, 101, 12_345, u64::MAX];

    fn counted([deliveries, stream_seq, consumer_seq, pending]: [u64; 4], nanos: i64) -> Counted {
        Counted { deliveries, stream_seq, consumer_seq, time: Timestamp::from_nanos(nanos), pending }
    }

    fn shows(subject: &ReplySubject, numbers: [u64; 4], nanos: i64) {
        let [deliveries, stream_seq, consumer_seq, pending] = numbers;
        let text = format!("$JS.ACK.S.c.{deliveries}.{stream_seq}.{consumer_seq}.{nanos}.{pending}");
        assert_eq!(String::from_utf8_lossy(subject.as_bytes()), text);
    }

    #[test]
    fn each_number_follows_each_other() {
        for place in 0..4 {
            for (before, next) in EDGES.iter().flat_map(|before| EDGES.map(|next| (*before, next))) {
                let mut subject = ReplySubject::default();
                let mut numbers = [7; 4];
                numbers[place] = before;
                subject.set("S", "c", &counted(numbers, 5));
                shows(&subject, numbers, 5);
                numbers[place] = next;
                subject.set("S", "c", &counted(numbers, 5));
                shows(&subject, numbers, 5);
            }
        }
    }

    #[test]
    fn times_may_go_anywhere() {
        let times = [0, 9, 10, -1, -2, i64::MIN, i64::MAX, 1_700_000_000_000_000_000, 1_700_000_000_000_000_001];
        for (before, next) in times.iter().flat_map(|before| times.map(|next| (*before, next))) {
            let mut subject = ReplySubject::default();
            subject.set("S", "c", &counted([1, 2, 3, 4], before));
            subject.set("S", "c", &counted([1, 3, 4, 3], next));
            shows(&subject, [1, 3, 4, 3], next);
        }
    }

    #[test]
    fn it_keeps_up_with_a_reader_in_order() {
        let mut subject = ReplySubject::default();
        for seq in 1..=1_200 {
            let (numbers, nanos) = ([1, seq + 95, seq, 1_200 - seq], 1_000 + (seq as i64) / 7);
            subject.set("S", "c", &counted(numbers, nanos));
            shows(&subject, numbers, nanos);
        }
    }
}
