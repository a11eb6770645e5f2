//! Somebody changes files. What they touched is named, the rest stays readable.

use crate::house::*;
use bulwark_store::*;
use testkit::CrashDisk;

const HEAD: usize = 8192;

fn filled(cipher: Cipher) -> CrashDisk {
    let disk = CrashDisk::new(1);
    let mut stream = create(&disk, cipher);
    fill(&mut stream, 200);
    disk
}

/// Opens and reads everything; gives what is live and what was found.
fn reread(disk: &CrashDisk, cipher: Cipher) -> (Vec<u64>, Vec<Finding>) {
    let mut opened = open(disk, cipher);
    let live = live(&mut opened.stream);
    opened.findings.extend(opened.stream.take_findings());
    (live, opened.findings)
}

fn lost(findings: &[Finding]) -> Vec<u64> {
    let mut lost: Vec<u64> = findings.iter().filter_map(|finding| finding.lost.clone()).flatten().collect();
    lost.sort_unstable();
    lost.dedup();
    lost
}

#[test]
fn a_flipped_bit_costs_what_was_sealed_with_it_and_is_named() {
    for cipher in Cipher::ALL {
        let clean = filled(cipher);
        let path = blocks(&clean)[0].clone();
        let len = clean.bytes(&path).len();
        for at in (HEAD..len).step_by(61) {
            let disk = clean.kill();
            disk.flip(&path, at, 1 << (at % 8));
            let (live, findings) = reread(&disk, cipher);
            let lost = lost(&findings);
            assert!([0, sealed_together(cipher)].contains(&lost.len()), "{cipher} at {at}: {findings:?}");
            assert!(lost.iter().all(|seq| (seq - 1) / COMMITTED == (lost[0] - 1) / COMMITTED), "{lost:?}");
            assert!(!findings.is_empty(), "{cipher} at {at}: not noticed");
            assert_eq!(live.len() + lost.len(), 200, "{cipher} at {at}");
            assert!(lost.iter().all(|seq| !live.contains(seq)));
            assert!(
                findings
                    .iter()
                    .any(|finding| finding.bytes.is_some_and(|(from, to)| (from..to).contains(&(at as u64))))
            );
        }
    }
}

#[test]
fn a_flipped_bit_in_the_newest_records_is_no_torn_write_and_their_sequences_are_not_given_out_again() {
    for cipher in Cipher::ALL {
        let clean = CrashDisk::new(1);
        // The last block is not full, so that it ends with messages.
        fill(&mut create(&clean, cipher), 225);
        let path = blocks(&clean).pop().expect("several");
        let bytes = clean.bytes(&path);
        let starts = record_starts(&bytes, cipher);
        // The last five were one write.
        let last_write = starts[starts.len() - 1 - COMMITTED as usize / sealed_together(cipher)];
        for at in (last_write..bytes.len() - 1).step_by(7) {
            let disk = clean.kill();
            disk.flip(&path, at, 1 << (at % 8));
            let mut opened = open(&disk, cipher);
            let found: Vec<Damage> = opened.findings.iter().map(|finding| finding.what).collect();
            assert!(!found.is_empty() && found.iter().all(|what| *what == Damage::Altered), "{cipher} {at}: {found:?}");
            assert_eq!(lost(&opened.findings).len(), sealed_together(cipher), "{cipher} at {at}");
            assert_eq!(opened.stream.state().last_seq, 225, "{cipher} at {at}");
            assert_eq!(opened.stream.state().lost_messages, sealed_together(cipher) as u64);
            assert_eq!(stage(&mut opened.stream, "s", b"next"), 226);
        }
        let disk = clean.kill();
        (last_write + 30..bytes.len()).step_by(100).for_each(|at| disk.flip(&path, at, 1));
        let opened = open(&disk, cipher);
        assert_eq!((lost(&opened.findings).len(), opened.stream.state().last_seq), (5, 225), "{cipher}");
        // Where the head of a sheet and what it holds are both altered, it may have held more.
        let disk = clean.kill();
        [last_write + 5, last_write + 200].into_iter().for_each(|at| disk.flip(&path, at, 1));
        let mut opened = open(&disk, cipher);
        assert!(stage(&mut opened.stream, "s", b"next") >= 226, "{cipher}");
    }
}

#[test]
fn what_was_cut_off_at_the_end_looks_like_a_torn_write() {
    let clean = filled(Cipher::Aes);
    let path = blocks(&clean).pop().expect("several");
    let len = clean.bytes(&path).len();
    for keep in [len - 1, len - 100, len - 500] {
        let disk = clean.kill();
        disk.cut(&path, keep);
        let (_, findings) = reread(&disk, Cipher::Aes);
        assert!(!findings.is_empty() && findings.iter().all(|finding| finding.what == Damage::TornTail), "{keep}");
    }
}

#[test]
fn a_damaged_copy_of_the_head_costs_nothing_is_named_and_made_again() {
    for cipher in Cipher::ALL {
        for slot in [0, 4096] {
            let disk = filled(cipher);
            let whole: Vec<_> = blocks(&disk).iter().map(|path| disk.bytes(path)).collect();
            blocks(&disk).iter().for_each(|path| disk.flip(path, slot + 60, 4));
            let (live, findings) = reread(&disk, cipher);
            assert_eq!(live.len(), 200);
            assert_eq!(findings.len(), whole.len(), "{findings:?}");
            assert!(findings.iter().all(|finding| finding.what == Damage::HalfHead));
            assert!(findings.iter().all(|finding| finding.bytes == Some((slot as u64, slot as u64 + 140))));
            assert_eq!(blocks(&disk).iter().map(|path| disk.bytes(path)).collect::<Vec<_>>(), whole);
            assert_eq!(reread(&disk, cipher), (live, vec![]));
        }
    }
}

#[test]
fn a_damaged_copy_of_the_head_is_made_again_while_the_stream_is_open() {
    let disk = filled(Cipher::Aes);
    let mut stream = open_clean(&disk, Cipher::Aes);
    let path = blocks(&disk)[0].clone();
    let whole = disk.bytes(&path);
    drop(stream.blocks());
    disk.flip(&path, 60, 4);
    // It is opened again, as after many others.
    drop(stream);
    stream = open(&disk, Cipher::Aes).stream;
    assert_eq!(stream.blocks_to_reseal().expect("reads"), Vec::<u64>::new());
    assert_eq!(disk.bytes(&path), whole);
}

/// Everything that lies aside.
fn aside(disk: &CrashDisk) -> Vec<(String, Vec<u8>)> {
    let files = disk.files().into_iter().filter(|path| path.contains("/aside/"));
    files.map(|path| (path.clone(), disk.bytes(&path))).collect()
}

/// A stream in whose first block two messages, or the sheets of two, are damaged; where they lie, and the bytes of the block.
fn damaged(cipher: Cipher) -> (CrashDisk, String, Vec<std::ops::Range<usize>>, Vec<u8>) {
    let disk = filled(cipher);
    let path = blocks(&disk)[0].clone();
    let starts = record_starts(&disk.bytes(&path), cipher);
    let places = vec![starts[1]..starts[2], starts[3]..starts[4]];
    places.iter().for_each(|place| disk.flip(&path, place.start + 30, 8));
    let bytes = disk.bytes(&path);
    (disk, path, places, bytes)
}

fn assert_kept(disk: &CrashDisk, path: &str, places: &[std::ops::Range<usize>], bytes: &[u8]) {
    assert!(!disk.files().contains(&path.to_owned()), "the block is gone, or there is nothing to keep");
    let aside = aside(disk);
    let name = path.rsplit('/').next().expect("a name");
    let (_, kept) = aside.iter().find(|(path, _)| path.contains(name)).expect("damage is kept aside");
    assert_eq!(kept[..HEAD], bytes[..HEAD], "with its head, so that who has the key can look");
    places.iter().for_each(|place| assert_eq!(kept[place.clone()], bytes[place.clone()]));
    let sound: Vec<u8> = kept[HEAD..places[0].start].to_vec();
    assert!(sound.iter().all(|&byte| byte == 0), "what is sound is not kept twice");
}

#[test]
fn sealing_anew_keeps_damaged_stretches_aside() {
    for cipher in Cipher::ALL {
        let (disk, path, places, bytes) = damaged(cipher);
        let other = if cipher == Cipher::Aes { Cipher::ChaChaPoly } else { Cipher::Aes };
        let mut opened = open(&disk, other);
        assert_eq!(lost(&opened.findings).len(), 2 * sealed_together(cipher));
        for block in opened.stream.blocks_to_reseal().expect("reads") {
            opened.stream.reseal(block).expect("works");
        }
        assert_kept(&disk, &path, &places, &bytes);
        drop(opened);
        let opened = open(&disk, other);
        let left = 200 - 2 * sealed_together(cipher) as u64;
        assert_eq!((opened.findings, opened.stream.state().messages), (vec![], left));
        assert_kept(&disk, &path, &places, &bytes);
    }
}

#[test]
fn damage_found_while_a_block_is_rewritten_is_kept_aside() {
    let disk = filled(Cipher::Aes);
    let path = blocks(&disk)[0].clone();
    let mut stream = open_clean(&disk, Cipher::Aes);
    let starts = record_starts(&disk.bytes(&path), Cipher::Aes);
    let place = starts[2]..starts[3];
    disk.flip(&path, place.start + 30, 8);
    let bytes = disk.bytes(&path);
    assert!(stream.erase(1).expect("works"));
    assert_eq!(lost(&stream.take_findings()), [6, 7, 8, 9, 10]);
    assert_kept(&disk, &path, std::slice::from_ref(&place), &bytes);
}

#[test]
fn a_block_of_which_nothing_is_left_keeps_its_damage_aside_whatever_removes_it() {
    for way in 0..3 {
        let (disk, path, places, bytes) = damaged(Cipher::Aes);
        let mut stream = open(&disk, Cipher::Aes).stream;
        let last = 100;
        match way {
            0 => assert!(stream.remove_below(last).expect("works") > 50),
            1 => assert!((1..last).filter(|&seq| stream.remove(seq).expect("works")).count() > 50),
            _ => {
                assert!((10..60).filter(|&seq| stream.remove(seq).expect("works")).count() > 40);
                stream.commit().expect("works");
                while stream.tidy().expect("works") {}
            }
        }
        stream.commit().expect("works");
        assert_kept(&disk, &path, &places, &bytes);
    }
}

#[test]
fn a_power_cut_at_any_point_of_a_rewrite_keeps_damage_in_the_block_or_aside() {
    for stop in 0..40 {
        let (disk, path, places, bytes) = damaged(Cipher::Aes);
        let mut stream = open(&disk, Cipher::ChaChaPoly).stream;
        let first = stream.blocks_to_reseal().expect("reads")[0];
        disk.power_off_after(stop);
        let _ = stream.reseal(first).and_then(|_| stream.commit());
        drop(stream);
        let disk = disk.crash();
        let opened = open(&disk, Cipher::ChaChaPoly);
        assert_eq!(opened.stream.state().messages, 190, "stopped after {stop}");
        let is_there = disk.files().contains(&path);
        assert!(!is_there || disk.bytes(&path) == bytes, "stopped after {stop}");
        if !is_there {
            assert_kept(&disk, &path, &places, &bytes);
        }
    }
}

#[test]
fn nothing_aside_is_ever_read_or_changed() {
    let (disk, ..) = damaged(Cipher::Aes);
    let mut stream = open(&disk, Cipher::Aes).stream;
    stream.remove_below(150).expect("works");
    stream.commit().expect("works");
    let kept = aside(&disk);
    assert!(!kept.is_empty());
    for _ in 0..3 {
        let mut stream = open_clean(&disk, Cipher::Aes);
        fill(&mut stream, 20);
        while stream.tidy().expect("works") {}
        assert_eq!(aside(&disk), kept);
    }
}

#[test]
fn a_block_without_head_is_kept_aside_and_the_rest_is_served() {
    for cipher in Cipher::ALL {
        let disk = filled(cipher);
        let path = blocks(&disk)[1].clone();
        let bytes = disk.bytes(&path);
        disk.flip(&path, 60, 4);
        disk.flip(&path, 4096 + 60, 4);
        let (live, findings) = reread(&disk, cipher);
        let lost = lost(&findings);
        assert!(!lost.is_empty() && live.len() + lost.len() == 200);
        assert!(findings.iter().all(|finding| finding.what == Damage::NoHead));
        let aside = disk.files().into_iter().find(|path| path.contains("/aside/")).expect("kept");
        assert_eq!(disk.bytes(&aside)[HEAD..], bytes[HEAD..]);
        assert_eq!(open(&disk, cipher).stream.state().last_seq, 200);
    }
}

#[test]
fn swapped_records_are_named() {
    for cipher in Cipher::ALL {
        let disk = filled(cipher);
        let path = blocks(&disk)[0].clone();
        let mut bytes = disk.bytes(&path);
        // All records of the scene but the manifest have nearly the same length; two neighbours of equal length are swapped.
        let starts = record_starts(&bytes, cipher);
        let at = (1..starts.len() - 2)
            .find(|&at| starts[at + 1] - starts[at] == starts[at + 2] - starts[at + 1])
            .expect("equal neighbours");
        let (a, b, c) = (starts[at], starts[at + 1], starts[at + 2]);
        let (first, second) = (bytes[a..b].to_vec(), bytes[b..c].to_vec());
        bytes[a..b].copy_from_slice(&second);
        bytes[b..c].copy_from_slice(&first);
        disk.plant(&path, &bytes);
        let (live, findings) = reread(&disk, cipher);
        let (lost, swapped) = (lost(&findings), 2 * sealed_together(cipher));
        assert_eq!((live.len(), lost.len()), (200 - swapped, swapped), "{cipher}");
        assert_eq!(lost, (lost[0]..lost[0] + swapped as u64).collect::<Vec<_>>());
    }
}

/// Offsets of the frames, or the sheets, of an undamaged block.
fn record_starts(bytes: &[u8], cipher: Cipher) -> Vec<usize> {
    let head = if cipher == Cipher::None { 8 } else { 10 };
    let mut starts = vec![HEAD];
    while let Some(len) = starts.last().and_then(|&at| bytes.get(at..at + 4)) {
        let len = u32::from_le_bytes(len.try_into().expect("four bytes")) as usize;
        starts.push(starts[starts.len() - 1] + head + len);
    }
    starts
}

#[test]
fn a_cut_block_loses_its_tail_and_says_how_much() {
    for cipher in Cipher::ALL {
        let clean = filled(cipher);
        let path = blocks(&clean)[0].clone();
        let len = clean.bytes(&path).len();
        for keep in [len - 1, len / 2 + 4096, HEAD + 1, HEAD] {
            let disk = clean.kill();
            disk.cut(&path, keep);
            let (live, findings) = reread(&disk, cipher);
            let lost = lost(&findings);
            // The last byte is one of the table of contents, which says nothing that the records do not.
            assert_eq!(lost.is_empty(), keep == len - 1, "{cipher} cut to {keep}");
            assert_eq!(live.len() + lost.len(), 200, "{cipher} cut to {keep}");
            assert!(findings.iter().any(|f| f.what == Damage::Cut && f.bytes == Some((keep as u64, len as u64))));
        }
    }
}

#[test]
fn a_missing_block_is_named() {
    let disk = filled(Cipher::Aes);
    let path = blocks(&disk)[1].clone();
    disk.lose(&path);
    let (live, findings) = reread(&disk, Cipher::Aes);
    assert_eq!(live.len() + lost(&findings).len(), 200);
    assert!(findings.iter().all(|finding| finding.what == Damage::Missing));
}

#[test]
fn a_block_of_another_stream_is_not_taken() {
    for cipher in Cipher::ALL {
        let disk = filled(cipher);
        let other = "streams/0000000000000002";
        let root = root(&disk, cipher, 2);
        let mut stream = FileStream::create(root.context(), other, StreamId(2), small(), 1).expect("fresh");
        fill(&mut stream, 200);
        drop(stream);
        let mine = blocks(&disk)[0].clone();
        let theirs = mine.replace(DIR, other);
        disk.plant(&mine, &disk.bytes(&theirs));
        let (live, findings) = reread(&disk, cipher);
        let lost = lost(&findings);
        assert!(!lost.is_empty() && live.len() + lost.len() == 200);
        assert!(findings.iter().all(|finding| finding.what == Damage::Foreign), "{findings:?}");
    }
}

#[test]
fn a_block_with_a_forged_head_does_not_open() {
    for cipher in [Cipher::Aes, Cipher::ChaChaPoly] {
        let disk = filled(cipher);
        let (first, second) = (blocks(&disk)[0].clone(), blocks(&disk)[1].clone());
        // Records of one block under the head of another: every record is damaged, none is served as something else.
        let mut forged = disk.bytes(&first);
        forged[..HEAD].copy_from_slice(&disk.bytes(&second)[..HEAD]);
        disk.plant(&second, &forged);
        let (live, findings) = reread(&disk, cipher);
        let lost = lost(&findings);
        assert!(!lost.is_empty() && live.len() + lost.len() == 200);
    }
}

#[test]
fn an_old_version_of_a_block_that_was_put_back_is_found_out() {
    for cipher in Cipher::ALL {
        let disk = CrashDisk::new(1);
        let mut stream = create(&disk, cipher);
        fill(&mut stream, 20);
        let path = blocks(&disk)[0].clone();
        let old = disk.bytes(&path);
        fill(&mut stream, 180);
        drop(stream);
        disk.plant(&path, &old);
        let (live, findings) = reread(&disk, cipher);
        let lost = lost(&findings);
        assert_eq!(lost.first(), Some(&21));
        assert_eq!(live.len() + lost.len(), 200);
        assert!(findings.iter().any(|finding| finding.what == Damage::Cut));
    }
}

#[test]
fn a_block_from_before_an_erase_that_was_put_back_is_kept_aside() {
    for cipher in Cipher::ALL {
        let disk = CrashDisk::new(1);
        let mut stream = create(&disk, cipher);
        fill(&mut stream, 200);
        let path = blocks(&disk)[0].clone();
        let old = disk.bytes(&path);
        assert!(stream.erase(3).expect("works"));
        // Later blocks begin with a manifest that does not know the old one.
        fill(&mut stream, 200);
        drop(stream);
        disk.plant(&path, &old);
        let (live, findings) = reread(&disk, cipher);
        assert_eq!(live.len(), 399);
        assert!(!live.contains(&3));
        assert_eq!(findings.iter().map(|finding| finding.what).collect::<Vec<_>>(), [Damage::Stale]);
        assert!(!disk.files().contains(&path));
    }
}

#[test]
fn the_manifest_may_be_damaged_and_nothing_is_lost() {
    for cipher in Cipher::ALL {
        let disk = filled(cipher);
        let path = blocks(&disk).pop().expect("several");
        disk.flip(&path, HEAD + 20, 1);
        let (live, findings) = reread(&disk, cipher);
        assert_eq!(live.len(), 200, "{cipher}");
        assert_eq!(findings.iter().map(|finding| finding.what).collect::<Vec<_>>(), [Damage::Altered]);
    }
}

#[test]
fn all_manifests_may_be_damaged_and_nothing_is_lost() {
    let disk = filled(Cipher::Aes);
    for path in blocks(&disk) {
        disk.flip(&path, HEAD + 20, 1);
    }
    let (live, _) = reread(&disk, Cipher::Aes);
    assert_eq!(live.len(), 200);
}

#[test]
fn a_wrong_key_is_said_and_touches_nothing() {
    let disk = filled(Cipher::Aes);
    let image = |disk: &CrashDisk| disk.files().iter().map(|path| (path.clone(), disk.bytes(path))).collect::<Vec<_>>();
    let before = image(&disk);
    let wrong = Sealing { cipher: Cipher::Aes, key: Some("another key".into()), ..Sealing::default() };
    let Err(StoreError::WrongKey { .. }) = open_root(&disk, &wrong, 1) else {
        panic!("the wrong key opened the store")
    };
    assert!(image(&disk) == before, "something was touched");
    // The identity file is no way around: with it gone, the blocks say which key they need.
    disk.lose("store");
    let before = image(&disk);
    assert!(matches!(open_root(&disk, &wrong, 1), Err(StoreError::WrongKey { .. })));
    assert!(matches!(open_root(&disk, &Sealing::default(), 1), Err(StoreError::WrongKey { .. })));
    assert!(image(&disk) == before, "something was touched");
    assert_eq!(reread(&disk, Cipher::Aes).0.len(), 200);
}

#[test]
fn no_plaintext_is_in_any_file_at_any_time() {
    for cipher in [Cipher::Aes, Cipher::ChaChaPoly] {
        let disk = CrashDisk::new(3);
        let root = root(&disk, cipher, 1);
        let mut meta = MetaLog::open(root.context(), "meta").expect("opens").log;
        meta.put(b"stream/1", b"canary-stream-name").expect("works");
        meta.commit().expect("works");
        let mut stream = FileStream::create(root.context(), DIR, StreamId(1), small(), 1).expect("fresh");
        let clean = |when: &str| {
            for path in disk.files() {
                let bytes = disk.bytes(&path);
                for needle in
                    ["canary-subject", "canary-payload", "canary-header", "canary-stream-name", "the server key"]
                {
                    let found = bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
                    assert!(!found, "{needle} lies in {path} {when}");
                }
            }
        };
        for n in 0..300_u64 {
            let (subject, payload) = (format!("canary-subject.{}", n % 9), format!("canary-payload {n}"));
            let headers = b"NATS/1.0\r\nX: canary-header\r\n\r\n";
            let time = moment::Timestamp::from_secs(n as i64);
            stream
                .stage(&Draft { subject: subject.as_bytes(), headers, payload: payload.as_bytes(), time })
                .expect("works");
            if n % 10 == 0 {
                stream.commit().expect("works");
            }
        }
        stream.commit().expect("works");
        clean("after writing");
        assert!(stream.erase(7).expect("works"));
        clean("after an erase");
        (1..250).for_each(|seq| {
            stream.remove(seq).expect("works");
        });
        stream.commit().expect("works");
        while stream.tidy().expect("works") {}
        clean("after a rewrite");
        meta.reseal().expect("works");
        clean("after resealing");
    }
}

#[test]
fn a_block_and_its_rewrite_share_no_key_stream() {
    for cipher in [Cipher::Aes, Cipher::ChaChaPoly] {
        let disk = CrashDisk::new(1);
        let mut stream = create(&disk, cipher);
        (0..20).for_each(|_| {
            stage(&mut stream, "same", &[0; 400]);
        });
        stream.commit().expect("works");
        let before = disk.bytes(&blocks(&disk)[0]);
        stream.erase(20).expect("works");
        for path in blocks(&disk) {
            let after = disk.bytes(&path);
            let both = before[HEAD..].iter().zip(&after[HEAD..]);
            let (equal, all) = (both.clone().filter(|(left, right)| left == right).count(), both.count());
            // Equal plaintext at equal places: under one key stream most bytes would be equal, by chance 1 in 256 is.
            assert!(equal < 12 + all / 64, "{equal} of {all} bytes of {path} are equal");
        }
    }
}
