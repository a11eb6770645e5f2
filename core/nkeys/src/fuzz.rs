//! Entries for the fuzzer: any bytes in, no panic, and what decodes encodes back to the same text.

use crate::{Creds, KeyPair, Prefix, PublicKey, XKey, XPublicKey, undecorate_jwt};

/// Texts of keys.
pub fn fuzz_key(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = Prefix::of(text);
    if let Ok(key) = text.parse::<PublicKey>() {
        assert_eq!(key.to_string(), text, "a public key has one text");
        let _ = key.verify(bytes, bytes);
    }
    if let Ok(key) = text.parse::<XPublicKey>() {
        assert_eq!(key.to_string(), text, "a curve key has one text");
    }
    if let Ok(pair) = KeyPair::from_seed(text) {
        assert!(pair.seed().is(text.trim_ascii().as_bytes()), "a seed has one text");
    }
}

/// Credentials files.
pub fn fuzz_creds(bytes: &[u8]) {
    let _ = undecorate_jwt(bytes);
    let _ = Creds::seed_of(bytes);
    if let Ok(creds) = Creds::parse(bytes) {
        let again = Creds::parse(creds.to_text().expose().as_bytes()).expect("written creds are readable");
        assert_eq!(again.jwt, creds.jwt);
        assert_eq!(again.key.public(), creds.key.public());
    }
}

/// Sealed boxes.
pub fn fuzz_open(bytes: &[u8]) {
    let reader = XKey::from_raw_seed([3; 32].into());
    let writer = XKey::from_raw_seed([4; 32].into()).public();
    assert!(reader.open(bytes, &writer).is_err(), "a box opened that nobody sealed");
}
