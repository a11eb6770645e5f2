//! Keys and ciphers change while the data stays.

use crate::house::*;
use bulwark_store::*;
use testkit::CrashDisk;

fn key(cipher: Cipher, key: &str, previous: Option<&str>) -> Sealing {
    Sealing { cipher, key: Some(key.into()), previous_key: previous.map(Into::into) }
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
