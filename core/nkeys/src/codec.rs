//! The text form: base32 without padding over prefix, payload and a little-endian CRC-16 (XMODEM).

use std::fmt;

use data_encoding::BASE32_NOPAD;
use secret::{Secret, Zeroizing};

use crate::KeyError;

/// The longest text any kind of key has: a private key of 1 + 64 + 2 bytes.
const MAX_KEY_CHARS: usize = 108;
const CRC_BYTES: usize = 2;

/// Whose key it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// `O`: signs accounts.
    Operator,
    /// `A`: signs users and activations.
    Account,
    /// `U`: proves who is connecting.
    User,
    /// `N`: a server.
    Server,
    /// `C`: a cluster.
    Cluster,
    /// `X`: a curve key, which seals and cannot sign.
    Curve,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 6] = [Role::Operator, Role::Account, Role::User, Role::Server, Role::Cluster, Role::Curve];

    const fn byte(self) -> u8 {
        match self {
            Role::Operator => 14 << 3,
            Role::Account => 0,
            Role::User => 20 << 3,
            Role::Server => 13 << 3,
            Role::Cluster => 2 << 3,
            Role::Curve => 23 << 3,
        }
    }

    fn from_byte(byte: u8) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.byte() == byte)
    }

    /// The first letter of its public keys.
    pub const fn letter(self) -> char {
        match self {
            Role::Operator => 'O',
            Role::Account => 'A',
            Role::User => 'U',
            Role::Server => 'N',
            Role::Cluster => 'C',
            Role::Curve => 'X',
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Operator => "an operator",
            Role::Account => "an account",
            Role::User => "a user",
            Role::Server => "a server",
            Role::Cluster => "a cluster",
            Role::Curve => "an xkey",
        })
    }
}

/// What a text in the key encoding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    /// A public key.
    Public(Role),
    /// A seed (`S` and the role's letter).
    Seed(Role),
    /// A private key (`P`), which names no role.
    Private,
}

const SEED: u8 = 18 << 3;
const PRIVATE: u8 = 15 << 3;

impl Prefix {
    /// What kind of key the text is, checksum and length included; nothing is kept of it.
    pub fn of(text: &str) -> Result<Prefix, KeyError> {
        let raw = decode(text)?;
        match raw.split_first() {
            Some((&byte, rest)) => match Role::from_byte(byte) {
                Some(role) => sized(rest.len(), 32, Prefix::Public(role)),
                None if byte == PRIVATE => sized(rest.len(), 64, Prefix::Private),
                None => decode_seed(text).map(|(role, _)| Prefix::Seed(role)),
            },
            None => Err(KeyError::Length),
        }
    }
}

fn sized(found: usize, wanted: usize, prefix: Prefix) -> Result<Prefix, KeyError> {
    if found == wanted { Ok(prefix) } else { Err(KeyError::Length) }
}

pub(crate) fn encode_public(role: Role, raw: &[u8; 32]) -> String {
    let mut bytes = Vec::with_capacity(35);
    bytes.push(role.byte());
    bytes.extend_from_slice(raw);
    seal_text(&mut bytes)
}

/// The role's five bits are spread over two bytes, so that the text begins with `S` and then the role's letter.
pub(crate) fn encode_seed(role: Role, raw: &[u8; 32]) -> Secret<String> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(36));
    bytes.push(SEED | (role.byte() >> 5));
    bytes.push((role.byte() & 31) << 3);
    bytes.extend_from_slice(raw);
    Secret::new(seal_text(&mut bytes))
}

fn seal_text(bytes: &mut Vec<u8>) -> String {
    let checksum = crc16(bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    BASE32_NOPAD.encode(bytes)
}

pub(crate) fn decode_public(text: &str) -> Result<(Role, [u8; 32]), KeyError> {
    let raw = decode(text)?;
    let (&byte, rest) = raw.split_first().ok_or(KeyError::Length)?;
    let role = Role::from_byte(byte).ok_or(if byte & 0xf8 == SEED { KeyError::Kind } else { KeyError::Prefix })?;
    let key = rest.try_into().map_err(|_| KeyError::Length)?;
    Ok((role, key))
}

pub(crate) fn decode_seed(text: &str) -> Result<(Role, Secret<[u8; 32]>), KeyError> {
    let raw = decode(text)?;
    let [first, second, rest @ ..] = raw.as_slice() else { return Err(KeyError::Length) };
    if first & 0xf8 != SEED {
        return Err(if Role::from_byte(*first).is_some() { KeyError::Kind } else { KeyError::Prefix });
    }
    let role = Role::from_byte((first & 7) << 5 | second >> 3).ok_or(KeyError::Prefix)?;
    let seed = rest.try_into().map_err(|_| KeyError::Length)?;
    Ok((role, Secret::new(seed)))
}

/// Decodes and checks the checksum; what comes back has lost it.
fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    if text.len() > MAX_KEY_CHARS {
        return Err(KeyError::Length);
    }
    let mut raw = Zeroizing::new(BASE32_NOPAD.decode(text.as_bytes()).map_err(|_| KeyError::NotBase32)?);
    let payload = raw.len().checked_sub(CRC_BYTES).filter(|&len| len > 1).ok_or(KeyError::Length)?;
    let (body, checksum) = raw.split_at(payload);
    if crc16(body).to_le_bytes() != checksum {
        return Err(KeyError::Checksum);
    }
    raw.truncate(payload);
    Ok(raw)
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        let folded = crc ^ (u16::from(*byte) << 8);
        (0..8).fold(folded, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_crc16_xmodem() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(crc16(b""), 0);
    }

    #[test]
    fn every_role_begins_with_its_letter() {
        for role in Role::ALL {
            assert!(encode_public(role, &[0x5a; 32]).starts_with(role.letter()));
            let seed = encode_seed(role, &[0x5a; 32]);
            assert!(seed.expose().starts_with(&format!("S{}", role.letter())), "{role}");
        }
    }

    #[test]
    fn a_key_of_any_other_length_is_refused() {
        for len in (0..80).filter(|&len| len != 32) {
            let mut bytes = vec![Role::Account.byte()];
            bytes.extend(std::iter::repeat_n(7, len));
            let text = seal_text(&mut bytes);
            assert!(decode_public(&text).is_err(), "public key of {len} bytes");
            let mut bytes = vec![SEED | (Role::User.byte() >> 5), (Role::User.byte() & 31) << 3];
            bytes.extend(std::iter::repeat_n(7, len));
            let text = seal_text(&mut bytes);
            assert!(decode_seed(&text).is_err(), "seed of {len} bytes");
            assert!(Prefix::of(&text).is_err());
        }
    }

    #[test]
    fn an_unknown_prefix_is_refused() {
        for byte in 0..=255u8 {
            let mut bytes = vec![byte];
            bytes.extend([7; 32]);
            let found = decode_public(&seal_text(&mut bytes));
            assert_eq!(found.is_ok(), Role::from_byte(byte).is_some(), "prefix {byte}");
        }
    }

    #[test]
    fn a_private_key_is_known_for_what_it_is() {
        let mut bytes = vec![PRIVATE];
        bytes.extend([7; 64]);
        let text = seal_text(&mut bytes);
        assert_eq!(Prefix::of(&text), Ok(Prefix::Private));
        assert_eq!(text.len(), MAX_KEY_CHARS);
        assert_eq!(decode_public(&text), Err(KeyError::Prefix));
    }
}
