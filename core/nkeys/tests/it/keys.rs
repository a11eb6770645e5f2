use bulwark_nkeys::fuzz::fuzz_key;
use bulwark_nkeys::{KeyError, KeyPair, Prefix, PublicKey, Role, Secret};
use proptest::prelude::*;

/// RFC 8032 section 7.1, tests 1 to 3: seed, public key, message, signature.
const RFC_8032: [(&str, &str, &str, &str); 3] = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
];

fn hex<const N: usize>(text: &str) -> [u8; N] {
    hex_vec(text).try_into().expect("the vector has this length")
}

fn hex_vec(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

#[test]
fn signatures_are_those_of_rfc_8032() {
    for (seed, public, message, signature) in RFC_8032 {
        let pair = KeyPair::from_raw_seed(Role::Server, Secret::new(hex(seed)));
        assert_eq!(*pair.public().raw(), hex::<32>(public));
        assert_eq!(pair.sign(&hex_vec(message)), hex::<64>(signature));
        assert_eq!(pair.public().verify(&hex_vec(message), &hex_vec(signature)), Ok(()));
    }
}

/// Texts printed in the published library's own tests.
#[test]
fn published_texts_are_read() {
    let pair = KeyPair::from_seed("SUAOTBNEUHZDFJT3EUMELT7MQTP24JF3XVCXQNDSCU74G5IU6VAJBKH5LI").expect("a user seed");
    assert_eq!(pair.public().to_string(), "UDE6WTGLTTPCRJRJCKBJRGVNZTLIVR7LEEELR4CYWWWBKJS7XYIKXDUU");
    assert_eq!(Prefix::of("SUAMAR5BIQ2AZCPYRTLLK7UGWMGSG2GWD2VPIXBNO7ZIB6TZAU4QAEJS2Q"), Ok(Prefix::Seed(Role::User)));
    let account = PublicKey::parse_as(Role::Account, "AADWLTHICV4SUAGF6EKNVEW5BBP7YRDIBGWGGHZ5JBDOQYA7GUFM6AQU");
    assert_eq!(account.map(|key| key.role()), Ok(Role::Account));
}

#[test]
fn the_published_implementation_agrees_on_every_role() {
    let roles = [
        (Role::Operator, oracle::KeyPairType::Operator),
        (Role::Account, oracle::KeyPairType::Account),
        (Role::User, oracle::KeyPairType::User),
        (Role::Server, oracle::KeyPairType::Server),
        (Role::Cluster, oracle::KeyPairType::Cluster),
    ];
    for (at, (role, theirs)) in roles.into_iter().enumerate() {
        let raw = [at as u8 + 1; 32];
        let ours = KeyPair::from_raw_seed(role, Secret::new(raw));
        let theirs = oracle::KeyPair::new_from_raw(theirs, raw).expect("a pair");
        assert_eq!(ours.public().to_string(), theirs.public_key());
        assert_eq!(*ours.seed().expose(), theirs.seed().expect("a seed"));
        assert_eq!(ours.sign(b"nonce").to_vec(), theirs.sign(b"nonce").expect("a signature"));
        assert!(theirs.verify(b"nonce", &ours.sign(b"nonce")).is_ok());
    }
}

/// Advisory 2026-23: a truncated issuer key must be an error before it reaches the curve.
#[test]
fn advisory_2026_23_a_truncated_key_is_an_error() {
    let whole = KeyPair::from_raw_seed(Role::Account, Secret::new([9; 32])).public().to_string();
    for len in 0..whole.len() {
        assert!(whole[..len].parse::<PublicKey>().is_err(), "{len} characters");
    }
    for more in ["A", "AA", "AAAAAAAA", "=", " "] {
        assert!(format!("{whole}{more}").parse::<PublicKey>().is_err());
    }
}

#[test]
fn a_signature_of_another_length_is_an_error() {
    let pair = KeyPair::from_raw_seed(Role::User, Secret::new([9; 32]));
    let signature = pair.sign(b"nonce");
    for len in 0..64 {
        assert_eq!(pair.public().verify(b"nonce", &signature[..len]), Err(KeyError::Signature));
    }
    let longer = [signature.as_slice(), &[0]].concat();
    assert_eq!(pair.public().verify(b"nonce", &longer), Err(KeyError::Signature));
}

#[test]
fn a_key_of_another_role_is_named_in_the_error() {
    let user = KeyPair::from_raw_seed(Role::User, Secret::new([9; 32])).public().to_string();
    let refused = PublicKey::parse_as(Role::Account, &user);
    assert_eq!(refused, Err(KeyError::Role { wanted: Role::Account, found: Role::User }));
    assert_eq!(refused.unwrap_err().to_string(), "expected the key of an account, got the key of a user");
}

#[test]
fn a_seed_is_not_a_public_key_and_the_other_way_round() {
    let pair = KeyPair::from_raw_seed(Role::User, Secret::new([9; 32]));
    assert_eq!(pair.seed().expose().parse::<PublicKey>(), Err(KeyError::Kind));
    assert_eq!(KeyPair::from_seed(&pair.public().to_string()).err(), Some(KeyError::Kind));
}

#[test]
fn nothing_prints_a_seed() {
    let pair = KeyPair::from_raw_seed(Role::User, Secret::new([9; 32]));
    let seed = pair.seed();
    let printed = format!("{pair:?} {seed:?} {:?}", pair.clone());
    assert!(!printed.contains(seed.expose().as_str()), "{printed}");
}

#[test]
fn lower_case_and_other_alphabets_are_refused() {
    let text = KeyPair::from_raw_seed(Role::User, Secret::new([9; 32])).public().to_string();
    assert_eq!(text.to_lowercase().parse::<PublicKey>(), Err(KeyError::NotBase32));
    for odd in ["../../etc/passwd", "A/../../b", "A\0", "Ä", ""] {
        assert!(odd.parse::<PublicKey>().is_err(), "{odd:?}");
    }
}

proptest! {
    #[test]
    fn one_changed_character_is_noticed(seed: [u8; 32], at in 0usize..56, with in "[A-Z2-7]") {
        let text = KeyPair::from_raw_seed(Role::Account, Secret::new(seed)).public().to_string();
        let mut changed = text.clone();
        changed.replace_range(at..=at, &with);
        prop_assume!(changed != text);
        prop_assert!(changed.parse::<PublicKey>().is_err());
    }

    #[test]
    fn strangers_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        fuzz_key(&bytes);
    }

    #[test]
    fn base32_texts_never_panic(text in "[A-Z2-7]{0,120}") {
        fuzz_key(text.as_bytes());
    }

    #[test]
    fn a_seed_reads_back(seed: [u8; 32]) {
        let pair = KeyPair::from_raw_seed(Role::Operator, Secret::new(seed));
        fuzz_key(pair.seed().expose().as_bytes());
        fuzz_key(pair.public().to_string().as_bytes());
        let again = KeyPair::from_seed(pair.seed().expose()).expect("our own seed");
        prop_assert_eq!(again.public(), pair.public());
    }
}
