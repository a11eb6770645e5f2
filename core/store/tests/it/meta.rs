//! The metadata log and the identity of the store.

use crate::house::*;
use bulwark_store::*;
use std::collections::BTreeMap;
use testkit::{CrashDisk, Dice};

fn log(disk: &CrashDisk, cipher: Cipher) -> MetaOpened {
    MetaLog::open(root(disk, cipher, disk.operations() + 3).context(), "meta").expect("opens")
}

#[test]
fn values_come_back_and_removed_keys_do_not() {
    for cipher in Cipher::ALL {
        let disk = CrashDisk::new(1);
        let mut meta = log(&disk, cipher).log;
        meta.put(b"s/1", b"one").expect("works");
        meta.put(b"s/2", b"two").expect("works");
        meta.put(b"t/1", b"other").expect("works");
        meta.commit().expect("works");
        meta.put(b"s/1", b"uno").expect("works");
        meta.remove(b"s/2").expect("works");
        meta.commit().expect("works");
        for _ in 0..3 {
            let opened = log(&disk, cipher);
            assert_eq!(opened.findings, []);
            let found: Vec<(&[u8], &[u8])> = opened.log.range(b"s/").collect();
            assert_eq!(found, [(&b"s/1"[..], &b"uno"[..])]);
            assert_eq!(opened.log.get(b"t/1"), Some(&b"other"[..]));
        }
    }
}

#[test]
fn many_changes_share_one_sync_and_old_blocks_go() {
    let disk = CrashDisk::new(1);
    let mut meta = log(&disk, Cipher::Aes).log;
    let before = disk.syncs();
    for n in 0..1000_u32 {
        meta.put(&n.to_le_bytes(), &[7; 100]).expect("works");
    }
    meta.commit().expect("works");
    assert_eq!(disk.syncs() - before, 1);
    for round in 0..200_u8 {
        meta.put(b"big", &vec![round; 64 * 1024]).expect("works");
        meta.commit().expect("works");
    }
    assert_eq!(disk.files().iter().filter(|path| path.starts_with("meta/")).count(), 1);
    assert_eq!(log(&disk, Cipher::Aes).log.get(b"big"), Some(&vec![199; 64 * 1024][..]));
}

#[test]
fn acknowledged_changes_survive_any_crash() {
    for seed in 0..300_u64 {
        let mut dice = Dice(seed);
        let mut disk = CrashDisk::new(seed);
        let cipher = Cipher::ALL[dice.below(3) as usize];
        let mut acked: BTreeMap<u64, u64> = BTreeMap::new();
        for _ in 0..4 {
            let opened = log(&disk, cipher);
            assert!(
                opened.findings.iter().all(|f| f.what == Damage::TornTail || f.what == Damage::NoHead),
                "{seed}: {:?}",
                opened.findings
            );
            let mut meta = opened.log;
            let mut staged = acked.clone();
            disk.power_off_after(dice.below(20));
            for _ in 0..40 {
                let key = dice.below(8);
                let outcome = match dice.below(4) {
                    0 => {
                        staged.remove(&key);
                        meta.remove(&key.to_le_bytes())
                    }
                    1 => meta.commit().map(|()| acked = staged.clone()),
                    2 if dice.below(8) == 0 => meta.reseal().map(|()| acked = staged.clone()),
                    _ => {
                        let value = dice.next();
                        staged.insert(key, value);
                        meta.put(&key.to_le_bytes(), &value.to_le_bytes())
                    }
                };
                if outcome.is_err() {
                    break;
                }
            }
            disk = disk.crash_with(dice.next());
            let meta = log(&disk, cipher).log;
            let value =
                |key: &u64| meta.get(&key.to_le_bytes()).map(|v| u64::from_le_bytes(v.try_into().expect("eight")));
            for key in 0..8 {
                let stored = value(&key);
                let untouched = acked.get(&key) == staged.get(&key);
                assert!(!untouched || stored == acked.get(&key).copied() || stored.is_some(), "seed {seed}: key {key}");
                if untouched && staged.contains_key(&key) {
                    assert!(stored.is_some(), "seed {seed}: key {key} is lost");
                }
            }
            acked = (0..8).filter_map(|key| value(&key).map(|v| (key, v))).collect();
        }
    }
}

#[test]
fn a_damaged_entry_is_named_and_the_others_are_there() {
    let disk = CrashDisk::new(1);
    let mut meta = log(&disk, Cipher::Aes).log;
    for n in 0..20_u8 {
        meta.put(&[n], &[n; 50]).expect("works");
        meta.commit().expect("works");
    }
    let path = disk.files().into_iter().find(|path| path.starts_with("meta/")).expect("one");
    disk.flip(&path, 9000, 1);
    let opened = log(&disk, Cipher::Aes);
    assert_eq!(opened.findings.len(), 1);
    assert_eq!(opened.findings[0].what, Damage::Altered);
    assert_eq!((0..20_u8).filter(|n| opened.log.get(&[*n]).is_some()).count(), 19);
}

#[test]
fn a_lost_identity_file_is_made_again_from_the_blocks() {
    let disk = CrashDisk::new(1);
    let mut meta = log(&disk, Cipher::Aes).log;
    meta.put(b"k", b"v").expect("works");
    meta.commit().expect("works");
    let store = root(&disk, Cipher::Aes, 5).store();
    disk.lose("store");
    assert_eq!(root(&disk, Cipher::Aes, 6).store(), store);
    assert!(disk.files().contains(&"store".to_owned()));
    assert_eq!(log(&disk, Cipher::Aes).log.get(b"k"), Some(&b"v"[..]));
}

#[test]
fn removing_a_stream_takes_its_directory_and_no_other() {
    let disk = CrashDisk::new(1);
    let root = root(&disk, Cipher::None, 1);
    for id in [1, 2] {
        let mut stream =
            FileStream::create(root.context(), &stream_dir(StreamId(id)), StreamId(id), small(), 1).expect("fresh");
        fill(&mut stream, 20);
    }
    root.remove_stream(StreamId(1)).expect("works");
    assert_eq!(root.stream_ids().expect("lists"), [StreamId(2)]);
    assert!(disk.files().iter().all(|path| !path.contains("0000000000000001/")));
}

/// A log of which a block is damaged, and what it says.
fn kept_log(disk: &CrashDisk) -> String {
    let mut meta = log(disk, Cipher::Aes).log;
    for n in 0..20_u32 {
        meta.put(&n.to_le_bytes(), &[7; 100]).expect("works");
        meta.commit().expect("works");
    }
    disk.files().into_iter().find(|path| path.starts_with("meta/")).expect("a block")
}

#[test]
fn damaged_metadata_is_named_and_kept_aside_when_its_block_goes() {
    let disk = CrashDisk::new(1);
    let path = kept_log(&disk);
    let at = disk.bytes(&path).len() - 600;
    disk.flip(&path, at, 1);
    let bytes = disk.bytes(&path);
    let mut opened = log(&disk, Cipher::Aes);
    let found: Vec<_> = opened.findings.iter().map(|finding| finding.what).collect();
    assert_eq!(found, [Damage::Altered]);
    opened.log.reseal().expect("works");
    assert!(!disk.files().contains(&path));
    let aside = disk.files().into_iter().find(|path| path.starts_with("meta/aside/")).expect("kept");
    let kept = disk.bytes(&aside);
    let (from, to) = opened.findings[0].bytes.expect("a place");
    assert_eq!(kept[from as usize..to as usize], bytes[from as usize..to as usize]);
    assert_eq!(log(&disk, Cipher::Aes).findings, []);
}

#[test]
fn a_block_of_metadata_whose_head_does_not_open_is_kept_aside_whole() {
    for (slots, what) in [(vec![60, 4096 + 60], Damage::NoHead), (vec![60], Damage::HalfHead)] {
        let disk = CrashDisk::new(1);
        let path = kept_log(&disk);
        slots.iter().for_each(|&at| disk.flip(&path, at, 4));
        let bytes = disk.bytes(&path);
        let mut opened = log(&disk, Cipher::Aes);
        assert_eq!(opened.findings.iter().map(|finding| finding.what).collect::<Vec<_>>(), [what]);
        assert_eq!(opened.log.range(b"").count(), if what == Damage::NoHead { 0 } else { 20 });
        opened.log.put(b"new", b"value").expect("works");
        opened.log.commit().expect("works");
        let aside = disk.files().into_iter().find(|path| path.starts_with("meta/aside/"));
        assert_eq!(aside.map(|path| disk.bytes(&path)), (what == Damage::NoHead).then_some(bytes));
        let again = log(&disk, Cipher::Aes);
        assert_eq!((again.findings, again.log.get(b"new")), (vec![], Some(&b"value"[..])));
    }
}

#[test]
fn metadata_that_is_gone_while_messages_are_there_is_named() {
    let disk = CrashDisk::new(1);
    let opened = |disk: &CrashDisk| {
        let entropy = std::sync::Arc::new(testkit::SeededEntropy::new(5));
        open_store(std::sync::Arc::new(disk.clone()), entropy, &sealing(Cipher::Aes)).expect("opens")
    };
    assert_eq!(opened(&disk).findings, []);
    fill(&mut create(&disk, Cipher::Aes), 20);
    let path = kept_log(&disk);
    assert_eq!(opened(&disk).findings, []);
    disk.lose(&path);
    let found: Vec<_> = opened(&disk).findings.iter().map(|finding| finding.what).collect();
    assert_eq!(found, [Damage::Missing]);
}

#[test]
fn a_new_block_that_was_torn_before_its_end_does_not_stand_for_the_one_before() {
    for seed in 0..200 {
        let disk = CrashDisk::new(seed);
        kept_log(&disk);
        let mut meta = log(&disk, Cipher::Aes).log;
        meta.put(b"new", b"value").expect("works");
        // Written, and the power goes before it is synced: any of its sectors may be there.
        drop(meta.flush().expect("writes"));
        let disk = disk.crash();
        let opened = log(&disk, Cipher::Aes);
        let kept = (0..20_u32).filter(|n| opened.log.get(&n.to_le_bytes()) == Some(&[7; 100][..])).count();
        assert_eq!(kept, 20, "seed {seed}");
        assert!(
            opened.findings.iter().all(|finding| finding.what.is_expected_after_a_crash()),
            "{:?}",
            opened.findings
        );
    }
}
