//! With keys of accounts and without: what releases find that know none.

use crate::house::*;
use crate::versions::stored;
use bulwark_store::*;
use testkit::CrashDisk;

fn version(disk: &CrashDisk, path: &str, at: usize) -> u16 {
    u16::from_le_bytes(disk.bytes(path)[at..at + 2].try_into().expect("two bytes"))
}

#[test]
fn without_the_setting_nothing_on_the_disk_is_other_than_before() {
    for cipher in Cipher::ALL {
        let disk = CrashDisk::new(1);
        let mut tenants = Tenants::open(&disk, &sealing(cipher)).expect("opens");
        tenants.meta.put(b"n", b"1").and_then(|()| tenants.meta.commit()).expect("works");
        let context = tenants.root.context();
        let mut stream = FileStream::create(context, DIR, StreamId(1), small(), 1).expect("fresh");
        fill(&mut stream, 200);
        stream.close().expect("closes");
        for path in disk.files() {
            let in_sheets = cipher != Cipher::None && path.ends_with(".blk") && path.starts_with(DIR);
            assert_eq!(version(&disk, &path, 8), if in_sheets { 5 } else { 3 }, "{path}");
            if path != "store" && !in_sheets {
                let bytes = disk.bytes(&path);
                assert!([124..4096, 4096 + 124..8192].into_iter().all(|rest| bytes[rest].iter().all(|&b| b == 0)));
            }
        }
        assert!(!disk.files().iter().any(|path| path.starts_with("keys")));
    }
}

#[test]
fn releases_that_know_no_keys_of_accounts_find_a_newer_format_before_anything_else() {
    let disk = CrashDisk::new(1);
    let tenants = Tenants::furnished(&disk, Cipher::Aes);
    assert_eq!(tenants.root.version(), 4);
    for path in disk.files().into_iter().filter(|path| !path.starts_with("keys/")) {
        let in_sheets = path.ends_with(".blk") && path.starts_with("streams/");
        assert_eq!(version(&disk, &path, 8), if in_sheets { 5 } else { 4 }, "{path}");
    }
    // Also where the first file is lost: the metadata is read next.
    disk.lose("store");
    let again = Tenants::open(&disk.kill(), &with_account_keys(Cipher::Aes)).expect("opens");
    assert_eq!(again.root.version(), 4);
    again.assert_whole("ACME", 1);
}

#[test]
fn blocks_that_know_no_keys_of_accounts_are_rewritten_under_one() {
    let disk = stored(2, Cipher::Aes);
    let mut tenants = Tenants::open(&disk, &with_account_keys(Cipher::Aes)).expect("opens");
    let context = tenants.root.context();
    let key = tenants.keyring.draw(&context, &mut tenants.meta, "ACME").expect("works");
    let mut stream =
        FileStream::open(context.of_account(Some(key)), DIR, StreamId(1), small(), 1).expect("opens").stream;
    let before: Vec<u64> = stream.blocks().expect("reads").iter().map(|block| block.generation).collect();
    for block in stream.blocks_to_reseal().expect("works") {
        assert!(stream.reseal(block).expect("works"));
    }
    let after = stream.blocks().expect("reads");
    assert!(after.iter().all(|block| block.account == Some(key) && !before.contains(&block.generation)), "{after:?}");
    crate::versions::check(&mut stream);
}

#[test]
fn taking_a_key_of_an_account_or_none_changes_heads_and_no_message() {
    let disk = CrashDisk::new(1);
    fill(&mut create(&disk, Cipher::Aes), 150);
    let bodies = |disk: &CrashDisk| -> Vec<Vec<u8>> {
        blocks(disk).iter().map(|path| disk.bytes(path)[8192..].to_vec()).collect()
    };
    let before = bodies(&disk);
    let mut tenants = Tenants::open(&disk, &with_account_keys(Cipher::Aes)).expect("opens");
    let context = tenants.root.context();
    let key = tenants.keyring.draw(&context, &mut tenants.meta, "ACME").expect("works");
    for account in [Some(key), None] {
        let context = context.of_account(account);
        let mut stream = FileStream::open(context, DIR, StreamId(1), small(), 1).expect("opens").stream;
        for block in stream.blocks_to_reseal().expect("works") {
            assert!(stream.reseal(block).expect("works"));
        }
        assert_eq!(stream.blocks_to_reseal().expect("works"), Vec::<u64>::new());
        assert!(stream.blocks().expect("reads").iter().all(|block| block.account == account));
        assert!(bodies(&disk) == before, "only the heads change");
        assert!(blocks(&disk).iter().all(|path| version(&disk, path, 8) == 5));
        assert_eq!(live(&mut stream).len(), 150);
    }
}
