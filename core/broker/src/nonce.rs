//! The challenge that keys sign.

use crate::chance::Secure;

/// Random bytes of a nonce.
const NONCE_BYTES: usize = 11;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Eleven random bytes as fifteen characters of base64url.
pub(crate) fn nonce(secure: &dyn Secure) -> Box<str> {
    let mut random = [0; NONCE_BYTES];
    secure.fill(&mut random);
    let mut text = String::with_capacity(15);
    for group in random.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - group.len()));
        for place in 0..=group.len() {
            text.push(char::from(ALPHABET[(bits >> (18 - 6 * place)) as usize & 63]));
        }
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Secure for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.iter_mut().enumerate().for_each(|(at, byte)| *byte = at as u8);
        }
    }

    #[test]
    fn eleven_bytes_are_fifteen_characters() {
        assert_eq!(&*nonce(&Fixed), "AAECAwQFBgcICQo");
    }
}
