//! Accounts with keys of their own.

use crate::house::*;
use bulwark_store::*;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex};
use testkit::{CrashDisk, SeededEntropy};

fn files(disk: &CrashDisk) -> Vec<(String, Vec<u8>)> {
    disk.files().into_iter().map(|path| (path.clone(), disk.bytes(&path))).collect()
}

fn reopened(tenants: &Tenants, cipher: Cipher) -> Tenants {
    Tenants::open(&tenants.disk.kill(), &with_account_keys(cipher)).expect("opens")
}

const SEALING: [Cipher; 2] = [Cipher::ChaChaPoly, Cipher::Aes];

#[test]
fn each_account_has_a_key_of_its_own_and_everything_comes_back() {
    for cipher in SEALING {
        let tenants = reopened(&Tenants::furnished(&CrashDisk::new(1), cipher), cipher);
        assert_eq!(tenants.findings, []);
        assert_ne!(tenants.keyring.of("ACME"), tenants.keyring.of("OTHER"));
        tenants.assert_whole("ACME", 1);
        tenants.assert_whole("OTHER", 2);
        let mut stream = tenants.stream(1, "ACME").expect("opens");
        let key = tenants.keyring.of("ACME");
        assert!(stream.blocks().expect("reads").iter().all(|block| block.account == key && key.is_some()));
        assert_eq!(
            tenants.root.account_keys_in(StreamId(2)).expect("reads").into_iter().next(),
            tenants.keyring.of("OTHER")
        );
    }
}

#[test]
fn no_name_of_an_account_stands_in_the_clear() {
    let tenants = Tenants::furnished(&CrashDisk::new(1), Cipher::Aes);
    for (path, bytes) in files(&tenants.disk) {
        for word in ["ACME", "OTHER", "planted"] {
            assert!(!path.contains(word), "{path}");
            assert!(!bytes.windows(word.len()).any(|window| window == word.as_bytes()), "{word} in {path}");
        }
    }
    let len = |account| tenants.disk.bytes(&tenants.key_path(account)).iter().filter(|byte| **byte != 0).count();
    // Zeros among random bytes aside: names of any ordinary length take the same room.
    assert!(len("ACME").abs_diff(len("OTHER")) < 20);
}

#[test]
fn the_server_key_alone_opens_nothing_of_the_account_and_everything_of_others() {
    for cipher in SEALING {
        let tenants = Tenants::furnished(&CrashDisk::new(1), cipher);
        let (lost, key) = (tenants.key_path("ACME"), tenants.keyring.of("ACME").expect("has one"));
        let (file, disk) = (tenants.disk.bytes(&lost), tenants.disk.kill());
        disk.lose(&lost);
        let before = files(&disk);
        let without = Tenants::open(&disk, &with_account_keys(cipher)).expect("opens");
        let [finding] = &without.findings[..] else { panic!("{:?}", without.findings) };
        assert_eq!((&finding.file, finding.what), (&lost, Damage::Missing));
        assert_eq!((without.keyring.lost("ACME"), without.keyring.of("ACME")), (Some(key), None));
        assert!(without.meta.range(b"s\0ACME").next().is_none(), "its names can be read");
        let error = without.stream(1, "ACME").err().expect("its streams can be opened");
        assert!(matches!(error, StoreError::NoAccountKey { needed, .. } if needed == key), "{error}");
        without.assert_whole("OTHER", 2);
        assert!(files(&disk) == before, "something was touched");
        // Nobody draws another one: what is there would be nobody's.
        let Tenants { root, mut meta, mut keyring, .. } = without;
        assert!(matches!(keyring.draw(&root.context(), &mut meta, "ACME"), Err(StoreError::NoAccountKey { .. })));

        disk.plant(&lost, &file);
        let back = Tenants::open(&disk, &with_account_keys(cipher)).expect("opens");
        assert_eq!(back.findings, []);
        back.assert_whole("ACME", 1);
    }
}

#[test]
fn entries_whose_key_is_not_there_outlive_new_blocks_of_the_metadata() {
    let tenants = Tenants::furnished(&CrashDisk::new(1), Cipher::Aes);
    let (lost, file) = (tenants.key_path("ACME"), tenants.disk.bytes(&tenants.key_path("ACME")));
    let mut disk = tenants.disk.kill();
    disk.lose(&lost);
    for _ in 0..3 {
        let mut without = Tenants::open(&disk, &with_account_keys(Cipher::Aes)).expect("opens");
        without.meta.put(b"n", b"something").expect("works");
        without.meta.reseal().expect("works");
        disk = disk.kill();
    }
    disk.plant(&lost, &file);
    Tenants::open(&disk, &with_account_keys(Cipher::Aes)).expect("opens").assert_whole("ACME", 1);
}

#[test]
fn a_destroyed_key_takes_everything_with_it_and_nothing_of_others() {
    for cipher in SEALING {
        let mut tenants = Tenants::furnished(&CrashDisk::new(1), cipher);
        let (path, backup) = (tenants.key_path("ACME"), tenants.disk.kill());
        let key = tenants.keyring.of("ACME").expect("has one");
        assert_eq!(tenants.destroy("ACME", 1).expect("works"), 1);
        assert_eq!(tenants.destroy("ACME", 1).expect("works"), 0, "it has none any more");
        let disk = tenants.disk.kill();
        assert!(!disk.files().iter().any(|path| path.starts_with(DIR)), "{:?}", disk.files());
        let after = Tenants::open(&disk, &with_account_keys(cipher)).expect("opens");
        assert_eq!((after.findings.len(), after.keyring.of("ACME"), after.keyring.lost("ACME")), (0, None, None));
        let [gone] = after.keyring.destroyed() else { panic!("it is not remembered") };
        assert_eq!((gone.key, gone.account.as_str(), gone.streams), (key, "ACME", 1));
        assert!(after.meta.range(b"s\0ACME").next().is_none());
        after.assert_whole("OTHER", 2);

        // Whoever has a copy of everything but the key has nothing: not by the server key, and not of the metadata.
        disk.create_dir(DIR).expect("works");
        for (name, bytes) in files(&backup).into_iter().filter(|(name, _)| *name != path) {
            disk.plant(&name, &bytes);
        }
        let with_copy = Tenants::open(&disk, &with_account_keys(cipher)).expect("opens");
        assert!(with_copy.meta.range(b"s\0ACME").next().is_none());
        assert!(matches!(with_copy.stream(1, "ACME"), Err(StoreError::NoAccountKey { .. })));
    }
}

#[test]
fn an_account_begins_anew_after_its_key_was_destroyed() {
    let mut tenants = Tenants::furnished(&CrashDisk::new(1), Cipher::Aes);
    let before = tenants.keyring.of("ACME");
    tenants.destroy("ACME", 1).expect("works");
    tenants.add("ACME", 3).expect("works");
    assert_ne!(tenants.keyring.of("ACME"), before);
    let again = reopened(&tenants, Cipher::Aes);
    assert_eq!(again.findings, []);
    again.assert_whole("ACME", 3);
}

#[test]
fn a_key_that_is_not_there_can_be_given_up_and_what_it_sealed_goes() {
    let tenants = Tenants::furnished(&CrashDisk::new(1), Cipher::Aes);
    let disk = tenants.disk.kill();
    disk.lose(&tenants.key_path("ACME"));
    let mut without = Tenants::open(&disk, &with_account_keys(Cipher::Aes)).expect("opens");
    // Nobody knows which streams it had; their files tell.
    let none = (Vec::new(), vec![entry("ACME", "")]);
    let at = moment::Timestamp::from_secs(5);
    let key = without.keyring.begin_destroying((&without.root, &mut without.meta), "ACME", none, at);
    let key = key.expect("works").expect("it needs one");
    assert_eq!(without.keyring.finish(&mut without.root, &mut without.meta, key).expect("works"), 1);
    let after = reopened(&without, Cipher::Aes);
    assert_eq!((after.findings.len(), after.keyring.lost("ACME")), (0, None));
    assert_eq!(after.root.stream_ids().expect("lists"), [StreamId(2)]);
    after.assert_whole("OTHER", 2);
}

#[test]
fn the_wrong_server_key_is_refused_and_nothing_is_touched() {
    let tenants = Tenants::furnished(&CrashDisk::new(1), Cipher::Aes);
    let disk = tenants.disk.kill();
    let before = files(&disk);
    let other = |account_keys| Sealing { key: Some("another".into()), account_keys, ..sealing(Cipher::Aes) };
    for wrong in [other(true), other(false), Sealing::default()] {
        assert!(matches!(Tenants::open(&disk, &wrong), Err(StoreError::WrongKey { .. })));
        assert!(files(&disk) == before);
    }
    // Also where only files of keys would tell.
    disk.files().iter().filter(|path| !path.starts_with("keys/")).for_each(|path| disk.lose(path));
    let before = files(&disk);
    assert!(matches!(Tenants::open(&disk, &other(true)), Err(StoreError::WrongKey { .. })));
    assert!(files(&disk) == before);
}

#[test]
fn keys_of_accounts_need_a_cipher() {
    let disk = CrashDisk::new(1);
    let without = Sealing { account_keys: true, ..Sealing::default() };
    assert!(matches!(Tenants::open(&disk, &without), Err(StoreError::NoKey)));
    assert_eq!(disk.files(), Vec::<String>::new());
}

#[test]
fn a_name_that_is_too_long_is_refused_and_leaves_nothing() {
    let mut tenants = Tenants::open(&CrashDisk::new(1), &with_account_keys(Cipher::Aes)).expect("opens");
    let long = "A".repeat(2049);
    assert!(matches!(tenants.add(&long, 1), Err(StoreError::TooLong { .. })));
    assert!(tenants.add(&long[1..], 1).is_ok());
    assert_eq!(tenants.disk.files().iter().filter(|path| path.starts_with("keys/")).count(), 1);
}

/// A disk on which one file cannot be opened, for this reason.
struct Shut(CrashDisk, Mutex<Option<(String, ErrorKind)>>);

impl Disk for Shut {
    fn create_dir(&self, path: &str) -> io::Result<()> {
        self.0.create_dir(path)
    }
    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        self.0.list(path)
    }
    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.0.create(path)
    }
    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        match &*self.1.lock().expect("unharmed") {
            Some((shut, why)) if shut == path => Err((*why).into()),
            _ => self.0.open(path),
        }
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, path: &str) -> io::Result<()> {
        self.0.remove(path)
    }
    fn remove_dir(&self, path: &str) -> io::Result<()> {
        self.0.remove_dir(path)
    }
    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.0.sync_dir(path)
    }
}

/// Too many open files, a mode that somebody changed: that says nothing about what is in the file.
#[test]
fn a_file_that_cannot_be_opened_counts_as_one_that_takes_a_key() {
    let tenants = Tenants::furnished(&CrashDisk::new(1), Cipher::Aes);
    let shut = Arc::new(Shut(tenants.disk.kill(), Mutex::default()));
    let entropy = Arc::new(SeededEntropy::new(9));
    let root = open_store(shut.clone(), entropy, &with_account_keys(Cipher::Aes)).expect("opens").root;
    let of_one = || root.account_keys_in(StreamId(1));
    let taken = of_one().expect("reads");
    assert_eq!(taken.len(), 1);
    for block in blocks(&shut.0) {
        for why in [ErrorKind::PermissionDenied, ErrorKind::ResourceBusy, ErrorKind::Other] {
            *shut.1.lock().expect("unharmed") = Some((block.clone(), why));
            assert!(matches!(of_one(), Err(StoreError::Disk { .. })), "{block}: {why}");
        }
        // What is gone by now takes nothing, nor does a directory.
        for why in [ErrorKind::NotFound, ErrorKind::IsADirectory] {
            *shut.1.lock().expect("unharmed") = Some((block.clone(), why));
            assert!(of_one().is_ok(), "{block}: {why}");
        }
    }
}
