//! One server, one stream, nothing goes wrong.

use crate::house::*;
use bulwark_store::*;
use moment::Timestamp;
use subject::Filter;
use testkit::CrashDisk;

fn filter(text: &str) -> Vec<Filter> {
    vec![Filter::parse(text.as_bytes()).expect("a filter")]
}

#[test]
fn a_message_is_readable_once_it_is_durable_and_not_before() {
    for cipher in Cipher::ALL {
        let disk = CrashDisk::new(1);
        let mut stream = create(&disk, cipher);
        assert_eq!(stage(&mut stream, "a.b", b"one"), 1);
        assert_eq!(stream.load(1).expect("reads"), None);
        let ticket = stream.flush().expect("writes").expect("something to sync");
        assert_eq!(stream.load(1).expect("reads"), None, "written is not durable");
        stream.synced(ticket.run()).expect("synced");
        let message = stream.load(1).expect("reads").expect("is there");
        assert_eq!((message.subject(), message.payload()), (&b"a.b"[..], &b"one"[..]));
    }
}

#[test]
fn a_batch_costs_one_write_and_one_sync() {
    let disk = CrashDisk::new(1);
    let mut stream = create(&disk, Cipher::Aes);
    stage(&mut stream, "a", b"first");
    stream.commit().expect("works");
    let (operations, syncs) = (disk.operations(), disk.syncs());
    (0..50).for_each(|_| {
        stage(&mut stream, "a", b"more");
    });
    stream.commit().expect("works");
    assert_eq!((disk.operations() - operations, disk.syncs() - syncs), (2, 1));
}

#[test]
fn everything_is_there_after_reopening_and_the_old_block_is_not_written_again() {
    for cipher in Cipher::ALL {
        let disk = CrashDisk::new(1);
        let mut stream = create(&disk, cipher);
        fill(&mut stream, 200);
        let state = stream.state();
        drop(stream);
        let before: Vec<(String, Vec<u8>)> =
            blocks(&disk).into_iter().map(|path| (path.clone(), disk.bytes(&path))).collect();
        assert!(before.len() > 2, "several blocks");

        let mut stream = open_clean(&disk, cipher);
        assert_eq!(stream.state(), state);
        assert_eq!(live(&mut stream), (1..=200).collect::<Vec<_>>());
        assert_eq!(stage(&mut stream, "a", b"next"), 201);
        stream.commit().expect("works");
        for (path, bytes) in before {
            assert!(disk.bytes(&path) == bytes, "{path} was written to");
        }
        assert_eq!(open_clean(&disk, cipher).state().last_seq, 201);
    }
}

#[test]
fn removed_messages_stay_removed() {
    let disk = CrashDisk::new(1);
    let mut stream = create(&disk, Cipher::ChaChaPoly);
    fill(&mut stream, 100);
    for seq in [1, 2, 50, 51, 100] {
        assert!(stream.remove(seq).expect("works"));
        assert!(!stream.remove(seq).expect("works"));
    }
    stream.commit().expect("works");
    let state = stream.state();
    assert_eq!((state.messages, state.first_seq, state.last_seq, state.deleted()), (95, 3, 100, 3));
    assert_eq!(stream.deleted(10), [50, 51, 100]);
    let mut stream = open_clean(&disk, Cipher::ChaChaPoly);
    assert_eq!(stream.state(), state);
    assert_eq!(stream.deleted(10), [50, 51, 100]);
    assert_eq!(live(&mut stream).len(), 95);
}

#[test]
fn a_purged_stream_keeps_counting_even_after_several_reopenings() {
    let disk = CrashDisk::new(1);
    let mut stream = create(&disk, Cipher::Aes);
    fill(&mut stream, 100);
    assert_eq!(stream.remove_below(u64::MAX).expect("works"), 100);
    stream.commit().expect("works");
    for _ in 0..3 {
        let stream = open_clean(&disk, Cipher::Aes);
        let state = stream.state();
        assert_eq!((state.messages, state.bytes, state.first_seq, state.last_seq), (0, 0, 101, 100));
    }
    let mut stream = open_clean(&disk, Cipher::Aes);
    assert_eq!(stage(&mut stream, "a", b"x"), 101);
    stream.commit().expect("works");
    assert_eq!(blocks(&disk).len(), 1, "blocks without messages are gone");
    assert_eq!(live(&mut open_clean(&disk, Cipher::Aes)), [101]);
}

#[test]
fn a_partial_purge_removes_whole_blocks_and_the_rest_of_one() {
    let disk = CrashDisk::new(1);
    let mut stream = create(&disk, Cipher::None);
    fill(&mut stream, 300);
    let before = blocks(&disk).len();
    assert_eq!(stream.remove_below(200).expect("works"), 199);
    stream.commit().expect("works");
    assert!(blocks(&disk).len() < before);
    let mut stream = open_clean(&disk, Cipher::None);
    assert_eq!((stream.state().first_seq, stream.state().messages), (200, 101));
    assert_eq!(live(&mut stream), (200..=300).collect::<Vec<_>>());
}

#[test]
fn an_erased_message_leaves_no_byte_behind() {
    let disk = CrashDisk::new(1);
    let mut stream = create(&disk, Cipher::None);
    fill(&mut stream, 20);
    stage(&mut stream, "secret.subject", b"the-erased-payload");
    stream.commit().expect("works");
    fill(&mut stream, 20);
    let holds = |disk: &CrashDisk, needle: &[u8]| {
        disk.files().iter().any(|path| disk.bytes(path).windows(needle.len()).any(|window| window == needle))
    };
    assert!(holds(&disk, b"the-erased-payload"));
    assert!(stream.erase(21).expect("works"));
    assert!(!holds(&disk, b"the-erased-payload") && !holds(&disk, b"secret.subject"));
    assert_eq!(stream.load(21).expect("reads"), None);
    let mut stream = open_clean(&disk, Cipher::None);
    assert_eq!(live(&mut stream), (1..=41).filter(|&seq| seq != 21).collect::<Vec<_>>());
    assert!(!stream.erase(21).expect("works"));
}

#[test]
fn the_only_message_can_be_erased() {
    let disk = CrashDisk::new(1);
    let mut stream = create(&disk, Cipher::None);
    stage(&mut stream, "a", b"the-erased-payload");
    stream.commit().expect("works");
    assert!(stream.erase(1).expect("works"));
    let found =
        disk.files().iter().any(|path| disk.bytes(path).windows(18).any(|window| window == b"the-erased-payload"));
    assert!(!found);
    assert_eq!(open_clean(&disk, Cipher::None).state().last_seq, 1);
}

#[test]
fn a_subject_keeps_its_newest_messages_when_trimmed() {
    for cipher in [Cipher::None, Cipher::Aes] {
        let disk = CrashDisk::new(1);
        let mut stream = create(&disk, cipher);
        for n in 0..200_u64 {
            let key = format!("kv.{}", n % 10);
            stage(&mut stream, &key, format!("{n} {}", "y".repeat(90)).as_bytes());
            stream.trim_subject(key.as_bytes(), 3).expect("works");
            if n % 4 == 0 {
                stream.commit().expect("works");
            }
        }
        stream.commit().expect("works");
        let check = |stream: &mut FileStream| {
            assert_eq!(stream.state().messages, 30);
            for key in 0..10_u64 {
                let key_text = format!("kv.{key}");
                let totals = stream.subject(key_text.as_bytes()).expect("three messages");
                assert_eq!(totals.messages, 3);
                assert_eq!(stream.first_of(key_text.as_bytes()).expect("works"), Some(171 + key));
                assert_eq!(stream.last_of(key_text.as_bytes()).expect("works"), Some(191 + key));
            }
        };
        check(&mut stream);
        check(&mut open_clean(&disk, cipher));
    }
}

#[test]
fn the_last_of_a_subject_is_found_after_the_last_was_removed() {
    let disk = CrashDisk::new(1);
    let mut stream = create(&disk, Cipher::None);
    for subject in ["a", "b", "a", "b", "a"] {
        stage(&mut stream, subject, b"");
    }
    stream.commit().expect("works");
    stream.remove(5).expect("works");
    assert_eq!(stream.last_of(b"a").expect("works"), Some(3));
    assert_eq!(stream.last_of(b"b").expect("works"), Some(4));
    assert_eq!(stream.last_of(b"c").expect("works"), None);
}

#[test]
fn reading_on_follows_filters_and_skips_what_is_gone() {
    let disk = CrashDisk::new(1);
    let mut stream = create(&disk, Cipher::Aes);
    fill(&mut stream, 100);
    stream.remove(8).expect("works");
    let seqs = |stream: &mut FileStream, filters: &[Filter]| {
        let (mut at, mut seen) = (1, Vec::new());
        while let Next::Message(message) = stream.next(filters, at).expect("works") {
            at = message.seq() + 1;
            seen.push(message.seq());
        }
        seen
    };
    assert_eq!(seqs(&mut stream, &[]).len(), 99);
    let expected: Vec<u64> = (1..=100).filter(|seq| (seq - 1) % 7 == 0 && *seq != 8).collect();
    assert_eq!(seqs(&mut stream, &filter("s.0")), expected);
    assert_eq!(seqs(&mut stream, &filter("s.*")).len(), 99);
    assert_eq!(stream.next(&filter("none"), 1).expect("works"), Next::NotBefore(101));
    assert_eq!(stream.next(&[], 500).expect("works"), Next::NotBefore(500));
}

#[test]
fn counting_agrees_with_reading() {
    let disk = CrashDisk::new(1);
    let mut stream = create(&disk, Cipher::None);
    fill(&mut stream, 120);
    [3, 60, 61, 99].into_iter().for_each(|seq| {
        stream.remove(seq).expect("works");
    });
    for filters in [vec![], filter("s.3"), filter("s.*"), filter("t"), [filter("s.1"), filter("s.2")].concat()] {
        for from in [1, 2, 50, 61, 100, 120, 121, 500] {
            let (mut at, mut read) = (from, 0);
            while let Next::Message(message) = stream.next(&filters, at).expect("works") {
                at = message.seq() + 1;
                read += 1;
            }
            assert_eq!(stream.count(&filters, from).expect("works"), read, "{filters:?} from {from}");
        }
    }
}

#[test]
fn a_moment_finds_its_sequence() {
    let disk = CrashDisk::new(1);
    let mut stream = create(&disk, Cipher::None);
    fill(&mut stream, 100);
    stream.remove(51).expect("works");
    let at = |stream: &mut FileStream, secs| stream.seq_at(Timestamp::from_secs(secs)).expect("works");
    assert_eq!(at(&mut stream, -5), 1);
    assert_eq!(at(&mut stream, 29), 30);
    assert_eq!(at(&mut stream, 50), 52, "51 is gone");
    assert_eq!(at(&mut stream, 1_000), 101);
}

#[test]
fn skipped_sequences_are_never_given_out() {
    let disk = CrashDisk::new(1);
    let mut stream = create(&disk, Cipher::Aes);
    stage(&mut stream, "a", b"");
    stream.skip_to(1_000_000_000).expect("works");
    assert_eq!(stage(&mut stream, "a", b"far"), 1_000_000_001);
    stream.commit().expect("works");
    let mut stream = open_clean(&disk, Cipher::Aes);
    assert_eq!(stream.state().last_seq, 1_000_000_001);
    assert_eq!(stream.load(1_000_000_001).expect("reads").expect("is there").payload(), b"far");
    assert_eq!(
        stream.next(&[], 2).expect("works"),
        Next::Message(stream.load(1_000_000_001).expect("reads").expect("there"))
    );
}

#[test]
fn gaps_cost_no_block_and_are_known_after_reopening() {
    let disk = CrashDisk::new(1);
    let mut stream = create(&disk, Cipher::Aes);
    let wanted: Vec<u64> = (1..=20).map(|n| n * 3).collect();
    for seq in &wanted {
        stream.skip_to(seq - 1).expect("works");
        assert_eq!(stage(&mut stream, "a", b"x"), *seq);
        stream.commit().expect("works");
    }
    stream.skip_to(100).expect("works");
    stream.commit().expect("works");
    assert_eq!(blocks(&disk).len(), 1);
    let state = stream.state();
    assert_eq!((state.messages, state.first_seq, state.last_seq), (20, 3, 100));
    drop(stream);
    let mut stream = open_clean(&disk, Cipher::Aes);
    assert_eq!(stream.state(), state);
    assert_eq!(live(&mut stream), wanted);
    assert_eq!(stream.deleted(5), [4, 5, 7, 8, 10]);
    assert_eq!(stage(&mut stream, "a", b"x"), 101);
}

#[test]
fn small_and_hollow_blocks_are_rewritten_and_nothing_is_lost() {
    for cipher in Cipher::ALL {
        let disk = CrashDisk::new(1);
        let mut stream = create(&disk, cipher);
        fill(&mut stream, 300);
        let before = blocks(&disk).len();
        for seq in (1..=300).filter(|seq| seq % 10 != 0) {
            stream.remove(seq).expect("works");
        }
        stream.commit().expect("works");
        while stream.tidy().expect("works") {}
        let expected: Vec<u64> = (1..=30).map(|n| n * 10).collect();
        assert_eq!(live(&mut stream), expected);
        assert!(blocks(&disk).len() < before / 2, "{before} then {}", blocks(&disk).len());
        assert_eq!(live(&mut open_clean(&disk, cipher)), expected);
    }
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_until_it_was_reopened() {
    let disk = CrashDisk::new(1);
    let mut stream = create(&disk, Cipher::Aes);
    fill(&mut stream, 10);
    stage(&mut stream, "a", b"doubtful");
    disk.fail_syncs(1);
    assert!(matches!(stream.commit(), Err(StoreError::Disk { doing: "syncing", .. })));
    assert_eq!(stream.load(11).expect("reads"), None);
    let draft = Draft { subject: b"a", headers: b"", payload: b"", time: Timestamp::EPOCH };
    assert!(matches!(stream.stage(&draft), Err(StoreError::Poisoned)));
    assert!(matches!(stream.commit(), Err(StoreError::Poisoned)));
    assert!(stream.load(10).expect("reads").is_some(), "what was durable is still served");
    assert!(open(&disk.crash(), Cipher::Aes).stream.state().last_seq >= 10);
}

#[test]
fn a_full_disk_is_said_and_survived() {
    let disk = CrashDisk::new(1);
    let mut stream = create(&disk, Cipher::ChaChaPoly);
    fill(&mut stream, 10);
    disk.limit_space(Some(12_000));
    (0..100).for_each(|_| {
        stage(&mut stream, "a", &[b'x'; 100]);
    });
    assert!(stream.commit().expect_err("no room").is_disk_full());
    disk.limit_space(None);
    let mut stream = open(&disk.kill(), Cipher::ChaChaPoly).stream;
    let survived = stream.state().last_seq;
    assert!((10..110).contains(&survived));
    assert_eq!(live(&mut stream), (1..=survived).collect::<Vec<_>>());
    assert_eq!(stage(&mut stream, "a", b""), survived + 1);
    stream.commit().expect("there is room again");
}

#[test]
fn lazily_synced_messages_are_readable_at_once() {
    let disk = CrashDisk::new(1);
    let root = root(&disk, Cipher::None, 1);
    let settings = FileSettings { sync: SyncMode::Lazy, ..small() };
    let mut stream = FileStream::create(root.context(), DIR, StreamId(1), settings, 1).expect("fresh");
    for n in 1..=200 {
        assert_eq!(stage(&mut stream, "a", &[b'x'; 200]), n);
        assert!(stream.flush().expect("writes").is_none());
        assert!(stream.load(n).expect("reads").is_some());
    }
    assert_eq!(disk.syncs(), 1, "only the identity file");
    let ticket = stream.sync_ticket().expect("due");
    stream.synced(ticket.run()).expect("works");
    let opened = FileStream::open(root.context(), DIR, StreamId(1), settings, 1).expect("opens");
    assert_eq!(opened.stream.state().messages, 200);
}

#[test]
fn parts_longer_than_the_format_are_refused() {
    let disk = CrashDisk::new(1);
    let mut stream = create(&disk, Cipher::None);
    let long = vec![b'h'; MAX_PART + 1];
    let draft = Draft { subject: b"a", headers: &long, payload: b"", time: Timestamp::EPOCH };
    assert!(matches!(stream.stage(&draft), Err(StoreError::TooLong { part: "header", .. })));
    assert_eq!(stream.state().last_seq, 0);
}

#[test]
fn a_memory_stream_answers_like_a_file_stream() {
    let disk = CrashDisk::new(1);
    let mut file = create(&disk, Cipher::None);
    let mut memory = MemoryStream::new(1, 7);
    let mut dice = testkit::Dice(5);
    for step in 0..500_u64 {
        match dice.below(8) {
            0 => {
                let seq = 1 + dice.below(file.state().last_seq + 2);
                assert_eq!(file.remove(seq).expect("works"), memory.remove(seq));
            }
            1 => {
                let subject = format!("s.{}", dice.below(5));
                let keep = dice.below(6);
                let removed = file.trim_subject(subject.as_bytes(), keep).expect("works");
                assert_eq!(removed, memory.trim_subject(subject.as_bytes(), keep));
            }
            2 if dice.below(10) == 0 => {
                let first = 1 + dice.below(file.state().last_seq + 2);
                assert_eq!(file.remove_below(first).expect("works"), memory.remove_below(first));
            }
            3 if dice.below(10) == 0 => {
                let last = file.state().last_seq + dice.below(5);
                file.skip_to(last).expect("works");
                memory.skip_to(last);
            }
            _ => {
                let subject = format!("s.{}", dice.below(5));
                let time = Timestamp::from_secs(step as i64);
                let draft = Draft { subject: subject.as_bytes(), headers: b"", payload: b"p", time };
                assert_eq!(file.stage(&draft).expect("works"), memory.stage(&draft).expect("works"));
            }
        }
        file.commit().expect("works");
        let (f, m) = (file.state(), memory.state());
        assert_eq!(
            (f.messages, f.first_seq, f.last_seq, f.subjects),
            (m.messages, m.first_seq, m.last_seq, m.subjects),
            "step {step}"
        );
        assert_eq!(file.deleted(1_000), memory.deleted(1_000), "step {step}");
        for filters in [vec![], filter("s.1"), filter("s.*")] {
            let from = dice.below(f.last_seq + 2);
            assert_eq!(file.next(&filters, from).expect("works"), memory.next(&filters, from), "step {step}");
            assert_eq!(file.count(&filters, from).expect("works"), memory.count(&filters, from), "step {step}");
        }
        let subject = format!("s.{}", dice.below(5));
        assert_eq!(
            file.first_of(subject.as_bytes()).expect("works"),
            memory.first_of(subject.as_bytes()),
            "step {step}"
        );
        assert_eq!(file.last_of(subject.as_bytes()).expect("works"), memory.last_of(subject.as_bytes()), "step {step}");
        let moment = Timestamp::from_secs(dice.below(step + 2) as i64);
        assert_eq!(file.seq_at(moment).expect("works"), memory.seq_at(moment), "step {step}");
    }
}

#[test]
fn subjects_that_are_left_are_found_when_most_are_gone() {
    let disk = CrashDisk::new(1);
    let mut file = create(&disk, Cipher::None);
    let mut memory = MemoryStream::new(1, 7);
    let text = |n: u64| format!("s.{n}");
    for n in 1..=3_000 {
        stage(&mut file, &text(n), b"p");
        let subject = text(n);
        let draft = Draft { subject: subject.as_bytes(), headers: b"", payload: b"p", time: Timestamp::EPOCH };
        memory.stage(&draft).expect("works");
        if n % 500 == 0 {
            file.commit().expect("works");
        }
    }
    for seq in (1..=3_000).filter(|seq| seq % 300 != 1) {
        assert!(file.remove(seq).expect("works") && memory.remove(seq));
    }
    file.commit().expect("works");
    // A number that was given out anew belongs to one subject only.
    stage(&mut file, "new", b"p");
    file.commit().expect("works");
    assert_eq!((file.state().subjects, memory.state().subjects), (11, 10));
    for n in (1..=3_000).step_by(300) {
        let filters = filter(&text(n));
        assert!(matches!(file.next(&filters, 1).expect("works"), Next::Message(message) if message.seq() == n));
        assert!(matches!(memory.next(&filters, 1), Next::Message(message) if message.seq() == n));
        assert_eq!(file.load(n).expect("works").expect("is there").subject(), text(n).as_bytes());
        assert_eq!(
            (file.last_of(text(n).as_bytes()).expect("works"), memory.last_of(text(n).as_bytes())),
            (Some(n), Some(n))
        );
    }
    assert_eq!(file.last_of(b"new").expect("works"), Some(3_001));
    assert_eq!(file.last_of(b"s.2").expect("works"), None);
}

#[test]
fn a_gap_of_any_length_is_crossed_and_comes_back() {
    let disk = CrashDisk::new(1);
    let mut stream = create(&disk, Cipher::None);
    let mut expected = vec![stage(&mut stream, "a", b"p")];
    for gap in [1_u64 << 40, (1 << 22) - 2, 1 << 21] {
        let last = stream.state().last_seq + gap;
        stream.skip_to(last).expect("works");
        expected.push(stage(&mut stream, "a", b"p"));
        stream.commit().expect("works");
    }
    let mut stream = open_clean(&disk.kill(), Cipher::None);
    let mut found = Vec::new();
    let mut from = 1;
    while let Next::Message(message) = stream.next(&[], from).expect("works") {
        found.push(message.seq());
        from = message.seq() + 1;
    }
    assert_eq!(found, expected);
    assert!(stream.blocks().expect("works").len() <= expected.len());
    assert!(stream.remove_first().expect("works"));
    assert_eq!(stream.state().first_seq, expected[1]);
}

#[test]
fn no_skip_leads_to_the_end_of_all_numbers() {
    for is_empty in [true, false] {
        let disk = CrashDisk::new(1);
        let mut file = create(&disk, Cipher::None);
        let mut memory = MemoryStream::new(1, 7);
        let draft = Draft { subject: b"a", headers: b"", payload: b"p", time: Timestamp::EPOCH };
        if !is_empty {
            assert_eq!(file.stage(&draft).expect("works"), memory.stage(&draft).expect("works"));
        }
        for expected in [1 << 63, (1 << 63) + 1] {
            file.skip_to(u64::MAX).expect("works");
            memory.skip_to(u64::MAX);
            assert_eq!(file.stage(&draft).expect("works"), expected);
            assert_eq!(memory.stage(&draft).expect("works"), expected);
            file.commit().expect("works");
        }
        assert_eq!(open_clean(&disk.kill(), Cipher::None).state().last_seq, memory.state().last_seq);
    }
}

#[test]
fn compressed_payloads_take_less_room_and_come_back_as_they_were() {
    let disk = CrashDisk::new(1);
    let payload = |n: u64| format!("{n} {}", "the same words again and again ".repeat(20)).into_bytes();
    let bytes = |disk: &CrashDisk| disk.files().iter().map(|path| disk.bytes(path).len()).sum::<usize>();
    let mut stream = create(&disk, Cipher::Aes);
    stage(&mut stream, "a", &payload(1));
    stream.commit().expect("works");
    stream.set_compression(true);
    for n in 2..=200 {
        stage(&mut stream, "a", &payload(n));
    }
    stage(&mut stream, "a", b"short");
    stream.commit().expect("works");
    assert!(bytes(&disk) < 60_000, "{} bytes", bytes(&disk));
    assert!(stream.state().bytes < 30_000, "{} counted", stream.state().bytes);
    // Deletions, a rewrite and another cipher change nothing in what stays.
    (2..=100).for_each(|n| assert!(stream.remove(n).expect("works")));
    assert!(stream.erase(150).expect("works"));
    while stream.tidy().expect("works") {}
    let state = stream.state();
    drop(stream);
    let mut stream = open(&disk, Cipher::Aes).stream;
    assert_eq!(stream.state(), State { last_time: stream.state().last_time, ..state });
    for n in (1..=1).chain(101..=149).chain(151..=200) {
        assert_eq!(stream.load(n).expect("reads").expect("is there").payload(), payload(n), "{n}");
    }
    assert_eq!(stream.load(201).expect("reads").expect("is there").payload(), b"short");
    stage(&mut stream, "a", &payload(9));
    stream.commit().expect("works");
    assert_eq!(stream.load(202).expect("reads").expect("not compressed any more").payload(), payload(9));
}

#[test]
fn a_closed_stream_opens_as_what_it_was() {
    for cipher in Cipher::ALL {
        let disk = CrashDisk::new(1);
        let mut stream = create(&disk, cipher);
        fill(&mut stream, 300);
        (10..40).for_each(|seq| assert!(stream.remove(seq).expect("works")));
        stream.remove_below(5).expect("works");
        stream.close().expect("works");
        let (state, before) = (stream.state(), contents(&mut stream));
        drop(stream);
        let disk = disk.crash();
        let mut read = open_clean(&disk, cipher);
        assert_eq!(read.state(), state);
        assert_eq!(contents(&mut read), before);
        for subject in 0..7 {
            let subject = format!("s.{subject}");
            let (first, last) = (read.first_of(subject.as_bytes()), read.last_of(subject.as_bytes()));
            let of: Vec<u64> = before.iter().filter(|(_, text)| *text == subject).map(|(seq, _)| *seq).collect();
            assert_eq!((first.expect("reads"), last.expect("reads")), (of.first().copied(), of.last().copied()));
            assert_eq!(read.subject(subject.as_bytes()).map(|totals| totals.messages), Some(of.len() as u64));
        }
        // It goes on, is closed and opened again, and reading all blocks gives the same.
        fill(&mut read, 50);
        assert!(read.erase(100).expect("works"));
        read.close().expect("works");
        let (state, before) = (read.state(), contents(&mut read));
        drop(read);
        let (with, without) = (disk.kill(), disk.kill());
        summaries(&without).iter().for_each(|path| without.lose(path));
        for disk in [with, without] {
            let mut again = open_clean(&disk, cipher);
            assert_eq!((again.state(), contents(&mut again)), (state, before.clone()));
        }
    }
}

/// Sequences with their subjects.
fn contents(stream: &mut FileStream) -> Vec<(u64, String)> {
    let messages = live(stream).into_iter().filter_map(|seq| stream.load(seq).expect("reads"));
    messages.map(|message| (message.seq(), String::from_utf8_lossy(message.subject()).into_owned())).collect()
}

fn summaries(disk: &CrashDisk) -> Vec<String> {
    disk.files().into_iter().filter(|path| path.ends_with(".sum")).collect()
}

#[test]
fn a_summary_goes_before_anything_is_written_and_one_that_comes_back_is_not_believed() {
    let disk = CrashDisk::new(1);
    let mut stream = create(&disk, Cipher::Aes);
    fill(&mut stream, 100);
    stream.close().expect("works");
    let old: Vec<(String, Vec<u8>)> =
        summaries(&disk).into_iter().map(|path| (path.clone(), disk.bytes(&path))).collect();
    assert_eq!(old.len(), 1);
    stage(&mut stream, "s", b"later");
    assert_eq!(summaries(&disk), Vec::<String>::new());
    stream.commit().expect("works");
    drop(stream);
    disk.plant(&old[0].0, &old[0].1);
    let mut stream = open_clean(&disk, Cipher::Aes);
    assert_eq!((stream.state().messages, live(&mut stream).len()), (101, 101));
    assert_eq!(summaries(&disk), Vec::<String>::new());
}

#[test]
fn what_was_cut_from_a_closed_stream_is_no_torn_write() {
    for way in 0..2 {
        let disk = CrashDisk::new(1);
        let mut stream = create(&disk, Cipher::Aes);
        fill(&mut stream, 100);
        stream.close().expect("works");
        drop(stream);
        let newest = blocks(&disk).pop().expect("several");
        let len = disk.bytes(&newest).len();
        if way == 0 {
            disk.cut(&newest, len - 30)
        } else {
            disk.lose(&newest)
        }
        let found: Vec<Damage> = open(&disk, Cipher::Aes).findings.iter().map(|finding| finding.what).collect();
        assert!(found.contains(if way == 0 { &Damage::Cut } else { &Damage::Missing }), "{found:?}");
    }
}

#[test]
fn an_altered_summary_is_named_and_kept_aside_and_costs_nothing() {
    for cipher in Cipher::ALL {
        let clean = CrashDisk::new(1);
        let mut stream = create(&clean, cipher);
        fill(&mut stream, 100);
        stream.close().expect("works");
        drop(stream);
        let path = summaries(&clean)[0].clone();
        let len = clean.bytes(&path).len();
        for at in (8192..len - 1).step_by(5) {
            let disk = clean.kill();
            disk.flip(&path, at, 1);
            let opened = open(&disk, cipher);
            assert_eq!(opened.findings.iter().map(|finding| finding.what).collect::<Vec<_>>(), [Damage::Altered]);
            assert_eq!(opened.stream.state().messages, 100);
            assert!(disk.files().iter().any(|path| path.contains("/aside/") && path.contains(".sum")));
        }
        for keep in [0, 100, 8192, 8200, len - 1] {
            let disk = clean.kill();
            disk.cut(&path, keep);
            assert_eq!(open_clean(&disk, cipher).state().messages, 100, "cut to {keep}");
        }
    }
}

#[test]
fn a_summary_is_sealed_and_follows_a_change_of_keys() {
    let disk = CrashDisk::new(1);
    let mut stream = create(&disk, Cipher::None);
    fill(&mut stream, 100);
    stream.close().expect("works");
    drop(stream);
    let plain = |disk: &CrashDisk| disk.bytes(&summaries(disk)[0]).windows(3).any(|window| window == b"s.3");
    assert!(plain(&disk), "the search below could find nothing");
    let mut stream = open_clean(&disk, Cipher::Aes);
    assert_eq!(summaries(&disk), Vec::<String>::new(), "what lay open goes at once");
    for block in stream.blocks_to_reseal().expect("reads") {
        stream.reseal(block).expect("works");
    }
    stream.close().expect("works");
    assert!(!plain(&disk));
}

#[test]
fn a_closed_stream_opens_without_its_blocks_being_read() {
    let disk = CrashDisk::new(1);
    let mut stream = create(&disk, Cipher::Aes);
    fill(&mut stream, 100);
    stream.close().expect("works");
    drop(stream);
    let path = blocks(&disk)[0].clone();
    disk.flip(&path, 8192 + 1500, 1);
    let mut opened = open(&disk, Cipher::Aes);
    assert_eq!((opened.findings, opened.stream.state().messages), (vec![], 100), "it was not looked at");
    // Whoever reads it finds it, and so does who looks for it.
    assert_eq!(opened.stream.examine().len(), 0);
    assert!(opened.stream.take_findings().iter().any(|finding| finding.lost.is_some()));
    assert_eq!(opened.stream.state().messages, 95);
}

#[test]
fn a_moment_is_found_without_reading_what_is_older() {
    let disk = CrashDisk::new(1);
    let mut stream = create(&disk, Cipher::Aes);
    fill(&mut stream, 300);
    stream.close().expect("works");
    drop(stream);
    // What is older is damaged, and whoever reads it says so.
    let old = blocks(&disk);
    old[..old.len() - 1].iter().for_each(|path| disk.flip(path, 8192 + 1500, 1));
    let mut stream = open_clean(&disk, Cipher::Aes);
    assert_eq!(stream.seq_at(Timestamp::from_secs(1_000)).expect("reads"), 301);
    assert_eq!(stream.seq_at(Timestamp::from_secs(299)).expect("reads"), 300);
    assert_eq!(stream.seq_at(Timestamp::from_secs(297)).expect("reads"), 298);
    assert_eq!(stream.take_findings(), []);
    for seq in [1, 2, 150, 299, 300] {
        assert_eq!(stream.seq_at(Timestamp::from_secs(seq - 1)).expect("reads"), seq as u64);
    }
}

#[test]
fn a_summary_that_does_not_fit_on_the_disk_is_done_without() {
    let disk = CrashDisk::new(1);
    let mut stream = create(&disk, Cipher::Aes);
    fill(&mut stream, 100);
    let used: usize = disk.files().iter().map(|path| disk.bytes(path).len()).sum();
    disk.limit_space(Some(used));
    stream.close().expect("everything is durable without");
    assert_eq!(summaries(&disk), Vec::<String>::new());
    drop(stream);
    disk.limit_space(None);
    assert_eq!(open_clean(&disk, Cipher::Aes).state().messages, 100);
}

#[test]
fn jumps_of_sequences_make_no_more_blocks_than_there_may_be() {
    let disk = CrashDisk::new(1);
    let mut stream = create(&disk, Cipher::None);
    let far = 1 << 22;
    let mut stored = 0;
    let refused = loop {
        let last = stream.state().last_seq + far;
        if let Err(error) = stream.skip_to(last) {
            break error;
        }
        stage(&mut stream, "s", b"x");
        stored += 1;
        assert!(stored <= MAX_SPARSE_BLOCKS + 1, "each message has a block of its own");
    };
    assert!(matches!(refused, StoreError::TooSparse { max: MAX_SPARSE_BLOCKS }), "{refused}");
    stream.commit().expect("nothing else is the matter");
    let last = stream.state().last_seq;
    assert_eq!((stage(&mut stream, "s", b"next"), stream.is_poisoned()), (last + 1, false), "and it goes on");
}

/// Pages of four kilobytes: a write dirties all that it touches, and the one that it ends in is written again with the next.
#[test]
fn what_is_written_is_little_more_than_what_is_stored() {
    for (cipher, most) in [(Cipher::None, 1.08), (Cipher::Aes, 1.13)] {
        let disk = CrashDisk::new(1);
        let root = root(&disk, cipher, 1);
        let settings = FileSettings::default();
        let mut stream = FileStream::create(root.context(), DIR, StreamId(1), settings, 1).expect("a fresh directory");
        let (payload, mut pages, mut end) = ([7; 128], 0, 0);
        for _ in 0..200 {
            for _ in 0..500 {
                stage(&mut stream, "js.LD.x", &payload);
            }
            stream.commit().expect("works");
            let len = blocks(&disk).iter().map(|path| disk.bytes(path).len() as u64).sum::<u64>();
            pages += len.div_ceil(4096) - end / 4096;
            end = len;
        }
        let share = (pages * 4096) as f64 / stream.state().bytes as f64;
        assert!(share < most, "{cipher}: {share}");
        assert!((disk.bytes_written() as f64) < stream.state().bytes as f64 * (most - 0.04), "{cipher}");
    }
}

/// Lengths of payloads on all sides of what a sheet holds.
const LENGTHS: [usize; 14] = [0, 1, 100, 900, 3_000, 4_000, 8_100, 8_150, 8_192, 9_000, 40, 40_000, 1, 2_700];

fn body(seq: u64) -> Vec<u8> {
    let len = LENGTHS[seq as usize % LENGTHS.len()] + seq as usize % 3;
    (0..len).map(|at| (at as u64 * 31 + seq) as u8).collect()
}

fn assert_reads(stream: &mut FileStream, seqs: impl Iterator<Item = u64>, when: &str) {
    for seq in seqs {
        let expected = body(seq);
        let lent = stream.look_at(seq).expect("reads").expect("is there");
        assert_eq!((lent.seq, lent.payload), (seq, &expected[..]), "{when}");
        let loaded = stream.load(seq).expect("reads").expect("is there");
        assert_eq!((loaded.seq(), loaded.payload()), (seq, &expected[..]), "{when}");
    }
}

#[test]
fn messages_of_all_lengths_are_read_in_any_order_whatever_they_are_sealed_with() {
    for cipher in Cipher::ALL {
        let disk = CrashDisk::new(1);
        let root = root(&disk, cipher, 1);
        let settings = FileSettings { block_bytes: 200_000, ..FileSettings::default() };
        let mut stream = FileStream::create(root.context(), DIR, StreamId(1), settings, 1).expect("fresh");
        for seq in 1..=400_u64 {
            stage(&mut stream, &format!("s.{}", seq % 5), &body(seq));
            if seq % 9 == 0 {
                stream.commit().expect("works");
                // What was written just now, in a sheet that is the last so far.
                assert_reads(&mut stream, seq.saturating_sub(3).max(1)..=seq, "written just now");
            }
        }
        stream.commit().expect("works");
        let leaps = |stride: u64| (1..=400_u64).map(move |seq| seq * stride % 401);
        assert_reads(&mut stream, 1..=400, "in order");
        assert_reads(&mut stream, leaps(173), "in leaps");
        drop(stream);
        for (disk, when) in [(disk.kill(), "by tables"), (without_tables(&disk), "by reading everything")] {
            let mut stream = open(&disk, cipher).stream;
            assert_eq!(stream.state().messages, 400);
            assert_reads(&mut stream, (1..=400).rev(), when);
            assert_reads(&mut stream, leaps(89), when);
            (1..=400).filter(|seq| seq % 4 != 1).for_each(|seq| assert!(stream.remove(seq).expect("works")));
            stream.commit().expect("works");
            while stream.tidy().expect("works") {}
            assert_reads(&mut stream, (1..=400).filter(|seq| seq % 4 == 1), "rewritten");
            drop(stream);
            let mut stream = open_clean(&disk.kill(), cipher);
            assert_reads(&mut stream, (1..=400).filter(|seq| seq % 4 == 1), "rewritten, by tables");
        }
    }
}

fn without_tables(disk: &CrashDisk) -> CrashDisk {
    let disk = disk.kill();
    let all = blocks(&disk);
    // The last is not full and has none.
    for path in &all[..all.len() - 1] {
        let len = disk.bytes(path).len();
        disk.flip(path, len - 25, 1);
    }
    disk
}

#[test]
fn messages_that_are_committed_one_by_one_are_damaged_one_by_one() {
    for cipher in Cipher::ALL {
        let disk = CrashDisk::new(1);
        let mut stream = create(&disk, cipher);
        for seq in 1..=10_u64 {
            stage(&mut stream, "s", &body(seq)[..50.min(body(seq).len())]);
            stream.commit().expect("works");
        }
        drop(stream);
        let path = blocks(&disk)[0].clone();
        let middle = (8192 + disk.bytes(&path).len()) / 2;
        disk.flip(&path, middle, 1);
        let opened = open(&disk, cipher);
        assert_eq!(opened.stream.state().messages, 9, "{cipher}");
    }
}
