use bulwark_nkeys::fuzz::fuzz_open;
use bulwark_nkeys::{BOX_OVERHEAD_BYTES, KeyError, KeyPair, Role, Secret, XKey, XPublicKey};
use proptest::prelude::*;

fn key(byte: u8) -> XKey {
    XKey::from_raw_seed(Secret::new([byte; 32]))
}

#[test]
fn a_box_opens_for_its_reader_only() {
    let (writer, reader, stranger) = (key(1), key(2), key(3));
    let sealed = writer.seal(b"Hello xkeys!", &reader.public(), &[7; 24]);

    assert_eq!(sealed.len(), 12 + BOX_OVERHEAD_BYTES);
    assert!(sealed.starts_with(b"xkv1"));
    assert_eq!(reader.open(&sealed, &writer.public()), Ok(b"Hello xkeys!".to_vec()));
    assert_eq!(stranger.open(&sealed, &writer.public()), Err(KeyError::NotOpened));
    assert_eq!(reader.open(&sealed, &stranger.public()), Err(KeyError::NotOpened));
}

#[test]
fn the_published_implementation_opens_our_boxes_and_we_its() {
    let ours = key(1);
    let theirs = oracle::XKey::new();
    let their_public: XPublicKey = theirs.public_key().parse().expect("a curve key");
    let our_public = oracle::XKey::from_public_key(&ours.public().to_string()).expect("a curve key");

    let sealed = ours.seal(b"to them", &their_public, &[9; 24]);
    assert_eq!(theirs.open(&sealed, &our_public).expect("opens"), b"to them");
    let sealed = theirs.seal(b"to us", &our_public).expect("seals");
    assert_eq!(ours.open(&sealed, &their_public), Ok(b"to us".to_vec()));
    let again = oracle::XKey::from_seed(ours.seed().expose()).expect("our seed");
    assert_eq!(again.public_key(), ours.public().to_string());
}

/// CVE-2023-46129: boxes were sealed with an all-zero key, so anybody could open them.
#[test]
fn cve_2023_46129_the_zero_key_neither_seals_nor_opens() {
    let (writer, reader) = (key(1), key(2));
    let sealed = writer.seal(b"Empty public better not work!", &reader.public(), &[7; 24]);
    assert_eq!(XPublicKey::from_raw([0; 32]), Err(KeyError::WeakPoint));
    let zero = XKey::from_raw_seed(Secret::new([0; 32]));
    assert_eq!(zero.open(&sealed, &writer.public()), Err(KeyError::NotOpened));
    assert_eq!(zero.open(&sealed, &reader.public()), Err(KeyError::NotOpened));
    let other = writer.seal(b"Empty public better not work!", &reader.public(), &[8; 24]);
    assert_ne!(sealed, other, "two nonces, two boxes");
}

#[test]
fn points_of_small_order_are_refused() {
    let small_order = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    for point in small_order {
        let raw: Vec<u8> =
            (0..64).step_by(2).map(|at| u8::from_str_radix(&point[at..at + 2], 16).expect("hex")).collect();
        let raw: [u8; 32] = raw.try_into().expect("32 bytes");
        assert_eq!(XPublicKey::from_raw(raw), Err(KeyError::WeakPoint), "{point}");
    }
}

#[test]
fn a_box_that_was_cut_or_changed_does_not_open() {
    let (writer, reader) = (key(1), key(2));
    let sealed = writer.seal(b"text", &reader.public(), &[7; 24]);
    for len in 0..sealed.len() {
        assert!(reader.open(&sealed[..len], &writer.public()).is_err(), "{len} bytes");
    }
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(reader.open(&changed, &writer.public()).is_err(), "byte {at}");
    }
}

#[test]
fn an_empty_message_can_be_sealed() {
    let sealed = key(1).seal(b"", &key(2).public(), &[7; 24]);
    assert_eq!(key(2).open(&sealed, &key(1).public()), Ok(Vec::new()));
}

#[test]
fn signing_keys_are_not_curve_keys() {
    let user = KeyPair::from_raw_seed(Role::User, Secret::new([9; 32]));
    assert!(XKey::from_seed(user.seed().expose()).is_err());
    assert!(!XPublicKey::is(&user.public().to_string()));
    assert!(KeyPair::from_seed(key(1).seed().expose()).is_err());
    assert!(key(1).public().to_string().parse::<bulwark_nkeys::PublicKey>().is_err());
}

proptest! {
    #[test]
    fn strangers_boxes_never_open(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), head: bool) {
        if head {
            bytes.splice(0..0, *b"xkv1");
        }
        fuzz_open(&bytes);
    }
}
