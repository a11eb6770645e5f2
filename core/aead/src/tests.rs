//! The two implementations against each other, and against the vectors of the standards.

use proptest::prelude::*;

use super::*;

type Make = fn(Cipher, &[u8]) -> Option<Key>;

const MAKERS: [Make; 2] = [Key::by_lc, Key::by_ring];

/// Seals by each implementation: they must agree. Opens by each what the other made.
fn sealed(cipher: Cipher, key: &[u8], nonce: [u8; NONCE_LEN], beside: &[u8], text: &[u8]) -> (Vec<u8>, [u8; TAG_LEN]) {
    let made = MAKERS.map(|make| {
        let mut sealed = text.to_vec();
        let tag = make(cipher, key).unwrap().seal(nonce, beside, &mut sealed).unwrap();
        (sealed, tag)
    });
    assert_eq!(made[0], made[1], "{cipher:?}");
    let [(sealed, tag), _] = made;
    for make in MAKERS {
        let mut plain = b"before".to_vec();
        make(cipher, key).unwrap().open(nonce, beside, &sealed, &tag, &mut plain).unwrap();
        assert_eq!(plain, [b"before", text].concat(), "{cipher:?}");
    }
    (sealed, tag)
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn aes_gcm_seals_as_the_test_cases_of_its_authors_say() {
    // "The Galois/Counter Mode of Operation", test cases 4 (128 bits) and 16 (256 bits).
    let text = hex(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
    );
    let beside = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    let nonce: [u8; NONCE_LEN] = hex("cafebabefacedbaddecaf888").try_into().unwrap();
    let short = hex("feffe9928665731c6d6a8f9467308308");
    let (body, tag) = sealed(Cipher::Aes128Gcm, &short, nonce, &beside, &text);
    assert!(body.starts_with(&hex("42831ec2217774244b7221b784d0d49c")));
    assert_eq!(tag.to_vec(), hex("5bc94fbc3221a5db94fae95ae7121a47"));
    let (body, tag) = sealed(Cipher::Aes256Gcm, &short.repeat(2), nonce, &beside, &text);
    assert!(body.starts_with(&hex("522dc1f099567d07f47f37a32a84427d")));
    assert_eq!(tag.to_vec(), hex("76fc6ece0f4e1768cddf8853bb2d551b"));
}

#[test]
fn chacha20_poly1305_seals_as_the_example_of_rfc_8439_says() {
    let text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
    let key: Vec<u8> = (0x80..0xa0).collect();
    let nonce: [u8; NONCE_LEN] = hex("070000004041424344454647").try_into().unwrap();
    let (_, tag) = sealed(Cipher::Chacha20Poly1305, &key, nonce, &hex("50515253c0c1c2c3c4c5c6c7"), text);
    assert_eq!(tag.to_vec(), hex("1ae10b594f09e26a7e902ecbd0600691"));
}

#[test]
fn a_key_of_another_length_is_no_key() {
    for cipher in Cipher::ALL {
        for len in (0..64).filter(|&len| len != cipher.key_len()) {
            assert!(Key::new(cipher, &vec![1; len]).is_none(), "{cipher:?} {len}");
        }
        assert!(Key::new(cipher, &vec![1; cipher.key_len()]).is_some(), "{cipher:?}");
    }
}

#[test]
fn any_bit_that_differs_is_refused_and_nothing_is_left() {
    for cipher in Cipher::ALL {
        let bytes = vec![3; cipher.key_len()];
        let (body, tag) = sealed(cipher, &bytes, [9; NONCE_LEN], b"beside", b"seventeen letters");
        for make in MAKERS {
            let key = make(cipher, &bytes).unwrap();
            let refused = |nonce, beside: &[u8], body: &[u8], tag: &[u8; TAG_LEN]| {
                let mut plain = b"kept".to_vec();
                assert_eq!(key.open(nonce, beside, body, tag, &mut plain), Err(Refused), "{cipher:?}");
                assert_eq!(plain, b"kept");
            };
            for bit in 0..body.len() * 8 {
                let mut body = body.clone();
                body[bit / 8] ^= 1 << (bit % 8);
                refused([9; NONCE_LEN], b"beside", &body, &tag);
            }
            for bit in 0..TAG_LEN * 8 {
                let mut tag = tag;
                tag[bit / 8] ^= 1 << (bit % 8);
                refused([9; NONCE_LEN], b"beside", &body, &tag);
            }
            refused([8; NONCE_LEN], b"beside", &body, &tag);
            refused([9; NONCE_LEN], b"besides", &body, &tag);
            refused([9; NONCE_LEN], b"beside", &body[1..], &tag);
        }
    }
}

proptest! {
    #[test]
    fn both_make_the_same_of_texts_of_any_length(
        len in 0_usize..5000,
        beside in proptest::collection::vec(any::<u8>(), 0..70),
        seed in any::<u8>(),
        nonce in any::<[u8; NONCE_LEN]>(),
    ) {
        let text: Vec<u8> = (0..len).map(|at| (at as u8).wrapping_mul(31) ^ seed).collect();
        for cipher in Cipher::ALL {
            sealed(cipher, &vec![seed; cipher.key_len()], nonce, &beside, &text);
        }
    }
}
