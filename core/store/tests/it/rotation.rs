//! Keys and ciphers change while the data stays.

use crate::house::*;
use bulwark_store::*;
use testkit::CrashDisk;

fn key(cipher: Cipher, key: &str, previous: Option<&str>) -> Sealing {
    Sealing { cipher, key: Some(key.into()), previous_key: previous.map(Into::into), account_keys: false }
}

fn open_with(disk: &CrashDisk, sealing: &Sealing) -> Result<(Root, FileStream), StoreError> {
    let root = open_root(disk, sealing, 9 + disk.operations())?;
    let opened = FileStream::open(root.context(), DIR, StreamId(1), small(), 1)?;
    assert_eq!(opened.findings, []);
    Ok((root, opened.stream))
}

fn reseal_all(root: &mut Root, stream: &mut FileStream) {
    for generation in stream.blocks_to_reseal().expect("works") {
        assert!(stream.reseal(generation).expect("works"));
    }
    assert_eq!(stream.blocks_to_reseal().expect("works"), Vec::<u64>::new());
    root.only_present_key().expect("works");
}

#[test]
fn rotating_the_key_keeps_every_message_and_makes_the_old_key_useless() {
    let disk = CrashDisk::new(1);
    let old = key(Cipher::Aes, "the server key", None);
    fill(&mut create(&disk, Cipher::Aes), 150);

    let (mut root, mut stream) = open_with(&disk, &key(Cipher::Aes, "new", Some("the server key"))).expect("opens");
    stage(&mut stream, "a", b"while rotating");
    stream.commit().expect("works");
    assert!(root.has_other_keys());
    let payloads: Vec<Vec<u8>> = blocks(&disk).iter().map(|path| disk.bytes(path)[8192..].to_vec()).collect();
    reseal_all(&mut root, &mut stream);
    let after: Vec<Vec<u8>> = blocks(&disk).iter().map(|path| disk.bytes(path)[8192..].to_vec()).collect();
    assert!(payloads == after, "only the heads change");
    drop(stream);

    let (_, mut stream) = open_with(&disk, &key(Cipher::Aes, "new", None)).expect("the new key is enough");
    assert_eq!(live(&mut stream).len(), 151);
    assert!(matches!(open_with(&disk, &old).map(drop), Err(StoreError::WrongKey { .. })));
}

#[test]
fn a_rotation_that_is_broken_off_opens_with_both_keys_and_says_so_without() {
    for stop in 0..12 {
        let disk = CrashDisk::new(stop);
        fill(&mut create(&disk, Cipher::ChaChaPoly), 150);
        let both = key(Cipher::ChaChaPoly, "new", Some("the server key"));
        let (mut root, mut stream) = open_with(&disk, &both).expect("opens");
        disk.power_off_after(stop);
        let _ = stream
            .blocks_to_reseal()
            .expect("reads")
            .into_iter()
            .try_for_each(|generation| stream.reseal(generation).map(drop));
        let _ = root.only_present_key();
        let disk = disk.crash();
        let (_, mut stream) = open_with(&disk, &both).expect("opens");
        assert_eq!(live(&mut stream).len(), 150, "stopped after {stop}");
    }
}

#[test]
fn changing_the_cipher_rewrites_the_blocks() {
    for (from, to) in
        [(Cipher::Aes, Cipher::ChaChaPoly), (Cipher::None, Cipher::Aes), (Cipher::ChaChaPoly, Cipher::None)]
    {
        let disk = CrashDisk::new(1);
        fill(&mut create(&disk, from), 150);
        let (mut root, mut stream) = open_with(&disk, &sealing(to)).expect("opens");
        let state = stream.state();
        reseal_all(&mut root, &mut stream);
        assert_eq!(stream.state(), state);
        assert_eq!(live(&mut stream).len(), 150);
        drop(stream);
        let plain = disk.files().iter().any(|path| disk.bytes(path).windows(9).any(|window| window == b"payload 1"));
        assert_eq!(plain, to == Cipher::None, "{from} to {to}");
        assert_eq!(live(&mut open_with(&disk, &sealing(to)).expect("opens").1).len(), 150);
    }
}

#[test]
fn what_a_change_of_keys_replaced_does_not_come_back_with_a_power_cut() {
    for seed in 0..40 {
        let disk = CrashDisk::new(seed);
        fill(&mut create(&disk, Cipher::Aes), 150);
        let both = key(Cipher::ChaChaPoly, "new", Some("the server key"));
        let (mut root, mut stream) = open_with(&disk, &both).expect("opens");
        let mut meta = MetaLog::open(root.context(), "meta").expect("opens").log;
        meta.put(b"n", b"1").expect("works");
        meta.reseal().expect("works");
        reseal_all(&mut root, &mut stream);
        let after = disk.crash_with(seed);
        let (root, mut stream) =
            open_with(&after, &key(Cipher::ChaChaPoly, "new", None)).expect("the new key is enough");
        assert_eq!(live(&mut stream).len(), 150);
        assert!(MetaLog::open(root.context(), "meta").is_ok(), "seed {seed}");
    }
}

#[test]
fn a_change_of_keys_that_stops_anywhere_leaves_both_keys_usable() {
    for (stop, old_sealing) in (0..12).flat_map(|stop| [(stop, sealing(Cipher::Aes)), (stop, Sealing::default())]) {
        let disk = CrashDisk::new(stop);
        let mut root = open_root(&disk, &old_sealing, 1).expect("opens");
        let mut stream = FileStream::create(root.context(), DIR, StreamId(1), small(), 1).expect("fresh");
        fill(&mut stream, 20);
        drop(stream);
        let both = key(Cipher::Aes, "new", Some("the server key"));
        disk.power_off_after(stop);
        let _ = root.rekey(&both);
        for sealing in [&old_sealing, &both] {
            let disk = disk.crash_with(stop);
            let (_, mut stream) = open_with(&disk, sealing).unwrap_or_else(|error| panic!("after {stop}: {error}"));
            assert_eq!(live(&mut stream).len(), 20, "stopped after {stop}");
        }
    }
}

#[test]
fn a_change_of_keys_that_the_disk_refuses_goes_on_with_the_old_one() {
    for stop in 0..8 {
        let disk = CrashDisk::new(stop);
        let mut root = root(&disk, Cipher::Aes, 1);
        let (vault, keys) = (root.context().vault, root.keys().to_vec());
        disk.power_off_after(stop);
        let both = key(Cipher::Aes, "new", Some("the server key"));
        match root.rekey(&both) {
            Ok(()) => assert_ne!(root.context().vault.key_id(), vault.key_id(), "{stop}"),
            Err(_) => {
                assert_eq!((root.context().vault.key_id(), root.keys()), (vault.key_id(), &keys[..]), "{stop}");
                // What is sealed now is sealed by the key that the identity file has named all along.
                disk.power_off_after(10_000);
                let mut stream = FileStream::create(root.context(), DIR, StreamId(1), small(), 1).expect("fresh");
                fill(&mut stream, 20);
                drop(stream);
                assert_eq!(live(&mut open_with(&disk.kill(), &sealing(Cipher::Aes)).expect("opens").1).len(), 20);
            }
        }
    }
}

#[test]
fn the_identity_names_a_new_key_before_it_seals_anything() {
    let disk = CrashDisk::new(1);
    let mut root = root(&disk, Cipher::Aes, 1);
    root.rekey(&key(Cipher::Aes, "new", Some("the server key"))).expect("works");
    let mut stream = FileStream::create(root.context(), DIR, StreamId(1), small(), 1).expect("fresh");
    fill(&mut stream, 20);
    drop(stream);
    let disk = disk.crash();
    assert!(matches!(open_with(&disk, &sealing(Cipher::Aes)).map(drop), Err(StoreError::WrongKey { .. })));
    assert_eq!(
        live(&mut open_with(&disk, &key(Cipher::Aes, "new", None)).expect("the old one seals nothing").1).len(),
        20
    );
}
