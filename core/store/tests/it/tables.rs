//! Opening by tables of contents: the same as by reading everything, and nothing damaged is missed for long.

use crate::house::*;
use bulwark_store::*;
use moment::Timestamp;
use testkit::CrashDisk;

const HEAD: usize = 8192;

/// The frame or sheet that ends a table.
fn end_len(cipher: Cipher) -> usize {
    if cipher == Cipher::None { 50 } else { 64 }
}

/// A stream of many blocks that was not closed, with some messages gone.
fn killed(cipher: Cipher) -> CrashDisk {
    let disk = CrashDisk::new(1);
    let mut stream = create(&disk, cipher);
    fill(&mut stream, 300);
    (100..110).for_each(|seq| assert!(stream.remove(seq).expect("works")));
    stream.trim_subject(b"s.3", 20).expect("works");
    fill(&mut stream, 100);
    disk.kill()
}

/// Full blocks, which have tables.
fn full(disk: &CrashDisk) -> Vec<String> {
    let mut all = blocks(disk);
    all.pop();
    all
}

fn without_tables(disk: &CrashDisk) -> CrashDisk {
    let disk = disk.kill();
    for path in full(&disk) {
        let len = disk.bytes(&path).len();
        disk.flip(&path, len - 25, 1);
    }
    disk
}

type Told = (State, Vec<(Option<u64>, Option<u64>, Option<u64>)>, Vec<u64>);

fn told(stream: &mut FileStream) -> Told {
    let mut subjects = Vec::new();
    for n in 0..7 {
        let subject = format!("s.{n}");
        let (first, last) = (stream.first_of(subject.as_bytes()), stream.last_of(subject.as_bytes()));
        let messages = stream.subject(subject.as_bytes()).map(|totals| totals.messages);
        subjects.push((messages, first.expect("reads"), last.expect("reads")));
    }
    (stream.state(), subjects, live(stream))
}

#[test]
fn a_killed_stream_opens_by_its_tables_as_by_reading_everything() {
    for cipher in Cipher::ALL {
        let disk = killed(cipher);
        let mut by_tables = open_only(&disk.kill(), cipher);
        assert_eq!(by_tables.findings, []);
        let mut by_reading = open_only(&without_tables(&disk), cipher);
        assert_eq!(by_reading.findings.len(), full(&disk).len(), "the tables are altered, and that is named");
        assert_eq!(told(&mut by_tables.stream), told(&mut by_reading.stream));
        while by_tables.stream.examine_next().expect("works") {}
        assert_eq!(by_tables.stream.take_findings(), []);
    }
}

#[test]
fn opening_reads_tables_and_what_is_damaged_is_named_when_its_turn_comes() {
    for cipher in Cipher::ALL {
        let disk = killed(cipher);
        let path = full(&disk)[0].clone();
        disk.flip(&path, HEAD + 2000, 1);
        let mut opened = open_only(&disk, cipher);
        let before = opened.stream.state().messages;
        assert_eq!(opened.findings, [], "it was not looked at");
        let turns = std::iter::from_fn(|| opened.stream.examine_next().expect("works").then_some(())).count();
        let untouched = full(&disk).len() - 3;
        assert!(turns >= untouched, "{turns} of {untouched} blocks at least");
        let found = opened.stream.take_findings();
        assert!(found.iter().all(|finding| finding.what == Damage::Altered) && !found.is_empty(), "{found:?}");
        let left = opened.stream.state().messages;
        // Some of a sheet may have been removed before.
        assert!((1..=sealed_together(cipher) as u64).contains(&(before - left)), "{cipher}: {left} of {before}");
        assert_eq!(live(&mut opened.stream).len() as u64, left);
    }
}

#[test]
fn a_block_that_goes_before_it_was_read_keeps_its_damage_aside() {
    let disk = killed(Cipher::Aes);
    let path = full(&disk)[0].clone();
    disk.flip(&path, HEAD + 2000, 1);
    let bytes = disk.bytes(&path);
    let mut stream = open_only(&disk, Cipher::Aes).stream;
    stream.remove_below(150).expect("works");
    stream.commit().expect("works");
    // One that is read first is enough at once.
    while stream.remove_leaving(16) > 0 {}
    assert!(!stream.is_leaving() && !disk.files().contains(&path));
    let aside = disk.files().into_iter().find(|path| path.contains("/aside/")).expect("it is kept");
    assert_eq!(disk.bytes(&aside)[HEAD + 2000], bytes[HEAD + 2000]);
}

#[test]
fn an_altered_table_is_named_and_costs_nothing() {
    for cipher in Cipher::ALL {
        let clean = killed(cipher);
        let path = full(&clean)[1].clone();
        let (len, before) = (clean.bytes(&path).len(), open_clean(&clean.kill(), cipher).state());
        for at in (len - end_len(cipher) - 40..len).step_by(9) {
            let disk = clean.kill();
            disk.flip(&path, at, 8);
            let mut opened = open(&disk, cipher);
            assert_eq!(opened.stream.state(), before, "{cipher} at {at}");
            assert!(opened.findings.iter().all(|finding| finding.what == Damage::Altered && finding.lost.is_none()));
            assert_eq!(opened.findings.len(), 1, "{cipher} at {at}");
            assert_eq!(live(&mut opened.stream).len() as u64, before.messages);
        }
    }
}

#[test]
fn an_altered_table_of_the_newest_block_is_no_lost_message() {
    for cipher in Cipher::ALL {
        let clean = CrashDisk::new(1);
        let mut stream = create(&clean, cipher);
        let mut sent = 0;
        while blocks(&clean).len() < 3 {
            fill(&mut stream, 5);
            sent += 5;
        }
        // The block before the newest is full: without the newest, it is the newest.
        clean.lose(&blocks(&clean)[2]);
        let path = blocks(&clean)[1].clone();
        let len = clean.bytes(&path).len();
        for at in (len - end_len(cipher) - 30..len - 1).step_by(7) {
            let disk = clean.kill();
            disk.flip(&path, at, 8);
            let opened = open(&disk, cipher);
            assert_eq!(opened.findings.iter().map(|finding| finding.what).collect::<Vec<_>>(), [Damage::Altered]);
            assert_eq!((opened.stream.state().last_seq, opened.stream.state().lost_messages), (sent - 5, 0), "{at}");
        }
    }
}

#[test]
fn a_table_of_another_block_is_not_believed() {
    for cipher in Cipher::ALL {
        let disk = killed(cipher);
        let (one, other) = (full(&disk)[1].clone(), full(&disk)[2].clone());
        let (mut bytes, theirs) = (disk.bytes(&one), disk.bytes(&other));
        let (end, len) = (bytes.len() - end_len(cipher), end_len(cipher));
        bytes[end..].copy_from_slice(&theirs[theirs.len() - len..]);
        disk.plant(&one, &bytes);
        let opened = open(&disk, cipher);
        assert_eq!(opened.findings.iter().map(|finding| finding.what).collect::<Vec<_>>(), [Damage::Altered]);
        assert_eq!(opened.stream.state(), open_clean(&killed(cipher), cipher).state());
    }
}

#[test]
fn messages_with_headers_are_found_without_reading_the_others() {
    let disk = CrashDisk::new(1);
    let mut stream = create(&disk, Cipher::Aes);
    let headed = [3_u64, 4, 150, 299];
    for seq in 1..=300_u64 {
        let headers: &[u8] = if headed.contains(&seq) { b"NATS/1.0\r\nA: b\r\n\r\n" } else { b"" };
        let time = Timestamp::from_secs(seq as i64);
        stream.stage(&Draft { subject: b"s", headers, payload: &[7; 120], time }).expect("works");
        if seq % 5 == 0 {
            stream.commit().expect("works");
        }
    }
    drop(stream);
    let mut stream = open_only(&disk.kill(), Cipher::Aes).stream;
    assert!(stream.remove(4).expect("works"));
    let (mut from, mut found) = (1, Vec::new());
    while let Next::Message(message) = stream.next_headed(from).expect("reads") {
        found.push(message.seq());
        from = message.seq() + 1;
    }
    assert_eq!(found, [3, 150, 299]);
    assert_eq!(stream.next_headed(300).expect("reads"), Next::NotBefore(301));
    for seq in [1, 2, 77, 150, 300] {
        assert_eq!(stream.seq_at(Timestamp::from_secs(seq)).expect("reads"), if seq == 4 { 5 } else { seq as u64 });
    }
}
