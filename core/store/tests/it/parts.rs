//! Work in parts comes to the same as work at once, in files and in memory.

use crate::house::{blocks, create, fill, open_clean};
use bulwark_store::{Cipher, Down, Draft, FileStream, MemoryStream, Next, Part, Walk};
use moment::Timestamp;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use subject::Filter;
use testkit::{CrashDisk, Dice};

/// Looks that one part may take.
const PART: u64 = 7;
/// Parts until something is given up.
const MANY: usize = 100_000;
const SUBJECTS: u64 = 23;

fn filters(texts: &[&str]) -> Vec<Filter> {
    texts.iter().map(|text| Filter::parse(text.as_bytes()).expect("a filter")).collect()
}

/// Both kinds of stream, with the same messages.
struct Both {
    file: FileStream,
    memory: MemoryStream,
    dice: Dice,
}

impl Both {
    fn new(seed: u64) -> Both {
        let file = create(&CrashDisk::new(seed), Cipher::None);
        Both { file, memory: MemoryStream::new(1, seed), dice: Dice(seed) }
    }

    fn subject(&mut self) -> String {
        format!("s.{}.{}", self.dice.below(SUBJECTS), self.dice.below(3))
    }

    fn fill(&mut self) {
        for n in 0..400 {
            self.put();
            if n % 50 == 49 {
                self.file.commit().expect("works");
            }
        }
        self.remove_some();
        self.file.commit().expect("works");
    }

    fn put(&mut self) {
        let subject = self.subject();
        let time = Timestamp::from_secs(i64::try_from(self.memory.state().last_seq).expect("small"));
        let draft = Draft { subject: subject.as_bytes(), headers: b"", payload: &[b'x'; 100], time };
        assert_eq!(self.file.stage(&draft).expect("stages"), self.memory.stage(&draft).expect("stages"));
    }

    fn remove_some(&mut self) {
        for _ in 0..self.memory.state().messages / 3 {
            let seq = 1 + self.dice.below(self.memory.state().last_seq);
            assert_eq!(self.file.remove(seq).expect("removes"), self.memory.remove(seq));
        }
    }
}

/// Repeats a part until it is done; each may take [`PART`] looks.
fn in_parts<T>(mut part: impl FnMut(&mut u64) -> Option<T>) -> T {
    for _ in 0..MANY {
        let mut looks = PART;
        if let Some(done) = part(&mut looks) {
            return done;
        }
        assert_eq!(looks, 0, "what is not done has taken what it may");
    }
    panic!("it never ends")
}

#[test]
fn what_is_found_in_parts_is_what_is_found_at_once() {
    for seed in 1..=12 {
        let mut both = Both::new(seed);
        both.fill();
        let end = both.memory.state().last_seq + 1;
        for texts in [&[][..], &["s.1.*"], &["s.*.0", "s.2.>"], &["s.1.1"], &["none.>"]] {
            let filters = filters(texts);
            for from in [1, 2, 57, 200, end - 1, end, end + 9] {
                let whole = both.memory.next(&filters, from);
                let parts = |looks: &mut u64, next: Next, at: &mut u64| match next {
                    Next::NotBefore(seq) if *looks == 0 && seq < end => {
                        *at = seq;
                        None
                    }
                    found => Some(found),
                };
                let mut at = from;
                let found = in_parts(|looks| {
                    let next = both.file.next_within(&filters, at, looks).expect("reads");
                    parts(looks, next, &mut at)
                });
                assert_eq!(found, whole, "{texts:?} from {from} in files");
                let mut at = from;
                let found = in_parts(|looks| match both.memory.look_within(&filters, at, looks) {
                    Err(seq) if *looks == 0 && seq < end => {
                        at = seq;
                        None
                    }
                    found => Some(found.map(|message| message.seq)),
                });
                let expected = match whole {
                    Next::Message(message) => Ok(message.seq()),
                    Next::NotBefore(seq) => Err(seq),
                };
                assert_eq!(found, expected, "{texts:?} from {from} in memory");

                let count = both.memory.count(&filters, from);
                let (mut at, mut sum) = (from, 0);
                in_parts(|looks| {
                    let (some, next) = both.file.count_within((&filters, &[]), at, looks).expect("reads");
                    (at, sum) = (next, sum + some);
                    (next >= end).then_some(())
                });
                assert_eq!(sum, count, "{texts:?} from {from} in files");
                let (mut at, mut sum) = (from, 0);
                in_parts(|looks| {
                    let (some, next) = both.memory.count_within((&filters, &[]), at, looks);
                    (at, sum) = (next, sum + some);
                    (next >= end).then_some(())
                });
                assert_eq!(sum, count, "{texts:?} from {from} in memory");
                let (mut at, mut without) = (from, 0);
                let but = self::filters(&["s.*.1"]);
                in_parts(|looks| {
                    let (some, next) = both.memory.count_within((&filters, &but), at, looks);
                    (at, without) = (next, without + some);
                    (next >= end).then_some(())
                });
                let (some, _) = both.file.count_within((&filters, &but), from, &mut 1_000_000).expect("reads");
                assert_eq!(without, some, "{texts:?} from {from} without some");
            }
        }
        let gone = both.memory.deleted(1_000);
        for max in [3, 1_000] {
            let (mut at, mut some) = (1, Vec::new());
            in_parts(|looks| match both.file.deleted_within(at, max, looks, &mut some) {
                Some(next) => {
                    at = next;
                    None
                }
                None => Some(()),
            });
            assert_eq!(some, gone[..max.min(gone.len())], "in files");
            let (mut at, mut some) = (1, Vec::new());
            in_parts(|looks| match both.memory.deleted_within(at, max, looks, &mut some) {
                Some(next) => {
                    at = next;
                    None
                }
                None => Some(()),
            });
            assert_eq!(some, gone[..max.min(gone.len())], "in memory");
        }
    }
}

/// The last sequence of each subject, by looking at every message.
fn lasts(memory: &MemoryStream) -> BTreeMap<String, u64> {
    let mut lasts = BTreeMap::new();
    let mut at = 1;
    while let Next::Message(message) = memory.next(&[], at) {
        lasts.insert(String::from_utf8_lossy(message.subject()).into_owned(), message.seq());
        at = message.seq() + 1;
    }
    lasts
}

#[test]
fn the_last_of_each_subject_is_found_in_parts() {
    for seed in 1..=12 {
        let mut both = Both::new(seed);
        both.fill();
        let expected = lasts(&both.memory);
        let mut met: Vec<String> = Vec::new();
        let mut walk = Walk::default();
        in_parts(|looks| {
            let is_over = both.file.walk(&[], &mut walk, looks, |text, totals| {
                met.push(String::from_utf8_lossy(text).into_owned());
                assert!(totals.messages > 0);
                ControlFlow::Continue(())
            });
            is_over.then_some(())
        });
        met.sort();
        assert!(met.iter().eq(expected.keys()), "each once");
        for (subject, last) in &expected {
            let found =
                in_parts(|looks| Part::done(both.file.last_of_within(subject.as_bytes(), looks).expect("reads")));
            assert_eq!(found, Some(*last), "{subject} in files");
            let found = in_parts(|looks| Part::done(both.memory.last_of_within(subject.as_bytes(), looks)));
            assert_eq!(found, Some(*last), "{subject} in memory");
        }
        let wild = &filters(&["s.*.1"])[0];
        let newest = expected.iter().filter(|(subject, _)| subject.ends_with(".1")).map(|(_, last)| *last).max();
        let newest = newest.map_or(Down::End, Down::Found);
        assert_eq!(both.memory.look_down(wild, &mut 1_000), newest);
        let found = both.file.look_down(wild, &mut 1_000);
        assert!(found == newest || found == Down::Stopped, "{found:?}");
        assert_eq!(both.memory.look_down(&filters(&["none"])[0], &mut 3), Down::Stopped);
    }
}

#[test]
fn what_goes_in_parts_is_what_goes_at_once() {
    for seed in 1..=12 {
        let mut both = Both::new(seed);
        both.fill();
        let subject = both.subject();
        let mut told = Vec::new();
        in_parts(|looks| {
            let done = both.file.trim_within(subject.as_bytes(), 2, looks, |seq| told.push(seq)).expect("works");
            done.then_some(())
        });
        let mut told_in_memory = Vec::new();
        in_parts(|looks| {
            both.memory.trim_within(subject.as_bytes(), 2, looks, |seq| told_in_memory.push(seq)).then_some(())
        });
        assert_eq!(told, told_in_memory);
        assert!(both.memory.subject(subject.as_bytes()).is_none_or(|totals| totals.messages <= 2));
        assert_eq!(both.file.deleted(1_000), both.memory.deleted(1_000));
        for first in [both.memory.state().first_seq + 100, u64::MAX] {
            in_parts(|looks| both.file.remove_below_within(first, looks).expect("works").then_some(()));
            in_parts(|looks| both.memory.remove_below_within(first, looks).then_some(()));
            both.file.commit().expect("works");
            let (file, memory) = (both.file.state(), both.memory.state());
            let told = |state: bulwark_store::State| (state.messages, state.first_seq, state.last_seq, state.subjects);
            assert_eq!(told(file), told(memory));
        }
        assert_eq!((both.memory.state().messages, both.memory.state().bytes), (0, 0));
        both.put();
        both.file.commit().expect("works");
        assert_eq!(both.memory.state().messages, 1, "it goes on");
    }
}

#[test]
fn files_of_what_is_purged_go_some_at_a_time_and_come_back_with_no_crash() {
    for crash_after in [0, 1, 3, usize::MAX] {
        let disk = CrashDisk::new(7);
        let mut stream = create(&disk, Cipher::None);
        fill(&mut stream, 6_000);
        let before = blocks(&disk).len();
        assert!(before > 60, "{before} blocks");
        stream.remove_below(5_990).expect("removes");
        stream.commit().expect("works");
        assert!(stream.is_leaving() && before - blocks(&disk).len() <= 16, "{} of {before}", blocks(&disk).len());
        assert!(stream.take_toll() >= before as u64, "it is to be paid for");
        for turn in 0.. {
            if turn == crash_after || !stream.is_leaving() {
                break;
            }
            let there = blocks(&disk).len();
            assert_eq!(stream.remove_leaving(5), there - blocks(&disk).len());
            // A new block may begin meanwhile, which names them.
            fill(&mut stream, 60);
        }
        let last = stream.state();
        drop(stream);
        let disk = disk.crash();
        let mut stream = open_clean(&disk, Cipher::None);
        assert_eq!(stream.state(), last);
        fill(&mut stream, 5);
        while stream.is_leaving() {
            stream.remove_leaving(5);
        }
        assert!(blocks(&disk).len() < 20, "after {crash_after}: {:?}", blocks(&disk));
    }
}

#[test]
fn no_part_takes_more_than_it_may() {
    let mut both = Both::new(1);
    for _ in 0..100 {
        let draft = Draft { subject: b"same", headers: b"", payload: b"x", time: Timestamp::from_secs(1) };
        both.file.stage(&draft).expect("stages");
        both.memory.stage(&draft).expect("stages");
    }
    both.file.commit().expect("works");
    let (mut in_file, mut in_memory) = (0, 0);
    assert!(!both.file.trim_within(b"same", 0, &mut { PART }, |_| in_file += 1).expect("works"));
    assert!(!both.memory.trim_within(b"same", 0, &mut { PART }, |_| in_memory += 1));
    assert!((1..=PART).contains(&in_file) && (1..=PART).contains(&in_memory), "{in_file} and {in_memory}");
}
