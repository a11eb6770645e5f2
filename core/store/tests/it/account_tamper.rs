//! Somebody changes files of keys of accounts, or puts them back.

use crate::house::*;
use bulwark_store::*;
use testkit::CrashDisk;

fn open(disk: &CrashDisk) -> Tenants {
    Tenants::open(disk, &with_account_keys(Cipher::Aes)).expect("opens")
}

fn told(tenants: &Tenants) -> Vec<(String, Damage)> {
    tenants.findings.iter().map(|finding| (finding.file.clone(), finding.what)).collect()
}

#[test]
fn one_flipped_bit_is_survived_and_named_and_one_in_both_copies_takes_the_account_out_of_service() {
    let tenants = Tenants::furnished(&CrashDisk::new(1), Cipher::Aes);
    let path = tenants.key_path("ACME");
    let len = tenants.disk.bytes(&path).iter().take(4096).rposition(|byte| *byte != 0).expect("there is something") + 1;
    for at in 0..len {
        let disk = tenants.disk.kill();
        disk.flip(&path, at, 0x10);
        let opened = open(&disk);
        assert_eq!(told(&opened), [(path.clone(), Damage::HalfHead)], "byte {at}");
        opened.assert_whole("ACME", 1);
        let again = open(&disk.kill());
        assert_eq!(told(&again), [], "byte {at}: it was made again");

        let disk = tenants.disk.kill();
        disk.flip(&path, at, 0x10);
        disk.flip(&path, 4096 + at, 0x10);
        let before = disk.bytes(&path);
        let opened = open(&disk);
        assert_eq!(told(&opened), [(path.clone(), Damage::KeyDamaged)], "byte {at}");
        assert!(opened.keyring.lost("ACME").is_some());
        assert!(disk.bytes(&path) == before, "it was touched");
        opened.assert_whole("OTHER", 2);
    }
}

#[test]
fn files_that_change_places_open_nothing_and_both_are_named() {
    let tenants = Tenants::furnished(&CrashDisk::new(1), Cipher::Aes);
    let [one, other] = ["ACME", "OTHER"].map(|account| tenants.key_path(account));
    let disk = tenants.disk.kill();
    let (first, second) = (disk.bytes(&one), disk.bytes(&other));
    disk.plant(&one, &second);
    disk.plant(&other, &first);
    let opened = open(&disk);
    let mut expected = [(one.clone(), Damage::NotTheKey), (other.clone(), Damage::NotTheKey)];
    expected.sort_by(|(one, _), (other, _)| one.cmp(other));
    assert_eq!(told(&opened), expected);
    assert_eq!(opened.keyring.all_lost().count(), 2);
    assert!(opened.stream(1, "ACME").is_err() && opened.stream(2, "OTHER").is_err());
    disk.plant(&one, &first);
    disk.plant(&other, &second);
    open(&disk).assert_whole("ACME", 1);
}

#[test]
fn a_key_of_another_store_is_none() {
    let (here, there) = (CrashDisk::new(1), CrashDisk::new(2));
    // What is drawn goes by what a disk did before.
    there.create_dir("elsewhere").expect("works");
    let (mut mine, mut others) = (open(&here), open(&there));
    for (tenants, account) in [(&mut mine, "ACME"), (&mut others, "ACME")] {
        tenants.add(account, 1).expect("works");
    }
    let (path, theirs) = (mine.key_path("ACME"), there.bytes(&others.key_path("ACME")));
    let disk = here.kill();
    disk.plant(&path, &theirs);
    assert_eq!(told(&open(&disk)), [(path, Damage::NotTheKey)]);
}

#[test]
fn a_destroyed_key_that_is_put_back_is_destroyed_again_and_named() {
    let mut tenants = Tenants::furnished(&CrashDisk::new(1), Cipher::Aes);
    let (path, backup) = (tenants.key_path("ACME"), tenants.disk.kill());
    tenants.destroy("ACME", 1).expect("works");
    let disk = tenants.disk.kill();
    disk.create_dir(DIR).expect("works");
    for name in backup.files().iter().filter(|name| **name == path || name.starts_with(DIR)) {
        disk.plant(name, &backup.bytes(name));
    }
    let opened = open(&disk);
    assert_eq!(told(&opened), [(path.clone(), Damage::PutBack)]);
    assert!(opened.stream(1, "ACME").is_err(), "what was put back with it opens");
    assert!(!disk.files().contains(&path));
    opened.assert_whole("OTHER", 2);
    assert_eq!(told(&open(&disk.kill())), []);
}

#[test]
fn a_file_from_before_a_rotation_is_named_and_opens_with_the_key_of_its_day() {
    let tenants = Tenants::furnished(&CrashDisk::new(1), Cipher::Aes);
    let (path, old) = (tenants.key_path("ACME"), tenants.disk.bytes(&tenants.key_path("ACME")));
    let disk = tenants.disk.kill();
    let new = Sealing { key: Some("new".into()), ..with_account_keys(Cipher::Aes) };
    let with_both = Sealing { previous_key: Some("the server key".into()), ..new.clone() };
    let mut rotated = Tenants::open(&disk, &with_both).expect("opens");
    let context = rotated.root.context();
    for no in rotated.keyring.to_rewrap(&context) {
        rotated.keyring.rewrap(&context, no).expect("works");
    }
    assert_eq!(rotated.keyring.to_rewrap(&context), []);
    for (account, id) in [("ACME", 1), ("OTHER", 2)] {
        let mut stream = rotated.stream(id, account).expect("opens");
        for block in stream.blocks_to_reseal().expect("works") {
            stream.reseal(block).expect("works");
        }
    }
    rotated.meta.reseal().expect("works");
    rotated.root.only_present_key().expect("works");
    let disk = disk.kill();
    disk.plant(&path, &old);
    let opened = Tenants::open(&disk, &new).expect("opens");
    assert_eq!(told(&opened), [(path.clone(), Damage::WrongKey)]);
    opened.assert_whole("OTHER", 2);
    let opened = Tenants::open(&disk, &with_both).expect("opens");
    assert_eq!(told(&opened), []);
    opened.assert_whole("ACME", 1);
}

#[test]
fn a_block_that_names_the_key_of_another_account_does_not_open() {
    let tenants = Tenants::furnished(&CrashDisk::new(1), Cipher::Aes);
    let others = tenants.keyring.of("OTHER").expect("has one");
    let disk = tenants.disk.kill();
    let path = blocks(&disk)[0].clone();
    let mut bytes = disk.bytes(&path);
    for slot in [0, 4096] {
        bytes[slot + 124..slot + 132].copy_from_slice(&others.0.to_le_bytes());
        let sum = xxhash_rust::xxh3::xxh3_64(&bytes[slot..slot + 132]);
        bytes[slot + 132..slot + 140].copy_from_slice(&sum.to_le_bytes());
    }
    disk.plant(&path, &bytes);
    let opened = open(&disk);
    let context = opened.root.context().of_account(opened.keyring.of("ACME"));
    let stream = FileStream::open(context, DIR, StreamId(1), small(), 1).expect("opens");
    assert!(stream.findings.iter().any(|finding| finding.what == Damage::Foreign), "{:?}", stream.findings);
}

#[test]
fn files_that_are_no_keys_are_named_and_left_alone() {
    let tenants = Tenants::furnished(&CrashDisk::new(1), Cipher::Aes);
    let disk = tenants.disk.kill();
    disk.plant("keys/notes.txt", b"somebody's");
    disk.plant("keys/00000000000000aa.key", b"no key");
    disk.plant("keys/00000000000000ab.key.new", b"begun and never finished");
    let opened = open(&disk);
    let mut found = told(&opened);
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    let expected = [("keys/00000000000000aa.key", Damage::KeyDamaged), ("keys/notes.txt", Damage::Unknown)];
    assert_eq!(found, expected.map(|(file, what)| (file.to_owned(), what)));
    let left = |name: &str| disk.files().iter().any(|path| path.ends_with(name));
    assert!(left("notes.txt") && left("aa.key") && !left(".new"));
    opened.assert_whole("ACME", 1);
}
