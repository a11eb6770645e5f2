//! Private key files, encrypted ones included.
//!
//! An encrypted key is PKCS#8 with PBES2 (RFC 8018): a key from the passphrase by PBKDF2, then AES in CBC mode. It is what
//! `openssl pkcs8 -topk8 -v2 aes-256-cbc` and `openssl genpkey -aes256` write. Older forms derive the key with MD5 or in
//! one round: they are refused with the command that converts them.

use std::num::NonZeroU32;
use std::path::Path;

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use data_encoding::{BASE64, Specification};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use secret::{Secret, Zeroize, Zeroizing};

use crate::BuildError;
use crate::der::{Reader, Tag};

/// More rounds than anybody writes; a file that asks for more would only burn time.
const MAX_ROUNDS: u32 = 50_000_000;

const ENCRYPTED_BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
const ENCRYPTED_END: &str = "-----END ENCRYPTED PRIVATE KEY-----";
const LEGACY_MARK: &str = "Proc-Type: 4,ENCRYPTED";

const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 13];
const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 12];
const SCRYPT: &[u8] = &[0x2b, 6, 1, 4, 1, 0xda, 0x47, 4, 11];
const HMAC_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 7];
const HMAC_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 9];
const HMAC_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 10];
const HMAC_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 11];
const AES_128_CBC: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 2];
const AES_192_CBC: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 22];
const AES_256_CBC: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 42];

/// The first private key of a PEM file.
pub(crate) fn read_key(
    path: &Path,
    pem: &[u8],
    passphrase: Option<&Secret<Vec<u8>>>,
) -> Result<PrivateKeyDer<'static>, BuildError> {
    let text = String::from_utf8_lossy(pem);
    if text.contains(LEGACY_MARK) {
        return Err(BuildError::KeyEncryption { path: path.into(), what: "the traditional PEM method".into() });
    }
    if let Some(body) = encrypted_body(&text) {
        let passphrase = passphrase.ok_or_else(|| BuildError::PassphraseNeeded { path: path.into() })?;
        return open(path, body, passphrase);
    }
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|error| BuildError::BadKey { path: path.into(), why: format!("private key: {error}") })
}

fn encrypted_body(text: &str) -> Option<&str> {
    let (_, after) = text.split_once(ENCRYPTED_BEGIN)?;
    after.split_once(ENCRYPTED_END).map(|(body, _)| body)
}

fn open(path: &Path, body: &str, passphrase: &Secret<Vec<u8>>) -> Result<PrivateKeyDer<'static>, BuildError> {
    let bad = |why: &str| BuildError::BadKey { path: path.into(), why: why.into() };
    let der = decode_base64(body).ok_or_else(|| bad("the encrypted key is not base64"))?;
    let sealed = SealedKey::parse(&der).map_err(|problem| match problem {
        Problem::Malformed => bad("the encrypted key is malformed"),
        Problem::Unsupported(what) => BuildError::KeyEncryption { path: path.into(), what: what.into() },
    })?;
    let key = sealed.open(passphrase).ok_or_else(|| BuildError::WrongPassphrase { path: path.into() })?;
    Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.to_vec())))
}

fn decode_base64(body: &str) -> Option<Vec<u8>> {
    let mut specification: Specification = BASE64.specification();
    specification.ignore.push_str(" \t\r\n");
    specification.encoding().ok()?.decode(body.as_bytes()).ok()
}

enum Problem {
    Malformed,
    Unsupported(&'static str),
}

impl From<crate::der::Malformed> for Problem {
    fn from(_: crate::der::Malformed) -> Self {
        Self::Malformed
    }
}

/// What `EncryptedPrivateKeyInfo` says.
struct SealedKey<'a> {
    derivation: pbkdf2::Algorithm,
    rounds: NonZeroU32,
    salt: &'a [u8],
    cipher: &'static Algorithm,
    key_len: usize,
    iv: &'a [u8],
    sealed: &'a [u8],
}

impl<'a> SealedKey<'a> {
    fn parse(der: &'a [u8]) -> Result<Self, Problem> {
        let mut whole = Reader::new(der).sequence()?;
        let mut scheme = whole.sequence()?;
        if scheme.take(Tag::OID)? != PBES2 {
            return Err(Problem::Unsupported("a scheme older than PBES2"));
        }
        let mut parameters = scheme.sequence()?;
        let (derivation, rounds, salt) = derivation(parameters.sequence()?)?;
        let mut encryption = parameters.sequence()?;
        let (cipher, key_len) = cipher(encryption.take(Tag::OID)?)?;
        let iv = encryption.take(Tag::OCTET_STRING)?;
        let sealed = whole.take(Tag::OCTET_STRING)?;
        Ok(Self { derivation, rounds, salt, cipher, key_len, iv, sealed })
    }

    /// `None` for a wrong passphrase, which shows as bad padding, or as something that is not a key.
    fn open(&self, passphrase: &Secret<Vec<u8>>) -> Option<Zeroizing<Vec<u8>>> {
        let mut key = Zeroizing::new(vec![0; self.key_len]);
        pbkdf2::derive(self.derivation, self.rounds, self.salt, passphrase.expose(), &mut key);
        let key = UnboundCipherKey::new(self.cipher, &key).ok()?;
        let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?;
        let iv = FixedLength::<16>::try_from(self.iv).ok()?;
        let mut buffer = Zeroizing::new(self.sealed.to_vec());
        let opened = key.decrypt(&mut buffer, DecryptionContext::Iv128(iv)).ok()?;
        let plain = Zeroizing::new(opened.to_vec());
        buffer.zeroize();
        // One time in 256 a wrong passphrase leaves padding that looks right.
        Reader::new(&plain).sequence().is_ok().then_some(plain)
    }
}

fn derivation(mut reader: Reader<'_>) -> Result<(pbkdf2::Algorithm, NonZeroU32, &[u8]), Problem> {
    match reader.take(Tag::OID)? {
        id if id == PBKDF2 => {}
        id if id == SCRYPT => return Err(Problem::Unsupported("scrypt")),
        _ => return Err(Problem::Unsupported("an unknown key derivation")),
    }
    let mut parameters = reader.sequence()?;
    let salt = parameters.take(Tag::OCTET_STRING)?;
    let rounds = parameters.small_integer()?;
    let rounds = NonZeroU32::new(rounds).filter(|rounds| rounds.get() <= MAX_ROUNDS).ok_or(Problem::Malformed)?;
    parameters.take_if(Tag::INTEGER)?;
    let function = match parameters.take_if(Tag::SEQUENCE)? {
        Some(inner) => Reader::new(inner).take(Tag::OID)?,
        None => HMAC_SHA1,
    };
    let algorithm = match function {
        id if id == HMAC_SHA1 => pbkdf2::PBKDF2_HMAC_SHA1,
        id if id == HMAC_SHA256 => pbkdf2::PBKDF2_HMAC_SHA256,
        id if id == HMAC_SHA384 => pbkdf2::PBKDF2_HMAC_SHA384,
        id if id == HMAC_SHA512 => pbkdf2::PBKDF2_HMAC_SHA512,
        _ => return Err(Problem::Unsupported("an unknown pseudorandom function")),
    };
    Ok((algorithm, rounds, salt))
}

fn cipher(id: &[u8]) -> Result<(&'static Algorithm, usize), Problem> {
    match id {
        id if id == AES_128_CBC => Ok((&AES_128, 16)),
        id if id == AES_192_CBC => Ok((&AES_192, 24)),
        id if id == AES_256_CBC => Ok((&AES_256, 32)),
        _ => Err(Problem::Unsupported("a cipher other than AES-CBC")),
    }
}
