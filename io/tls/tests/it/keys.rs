//! Private keys in the forms that tools write.
//!
//! The encrypted ones are one key of no other use, written by `openssl pkcs8 -topk8 -v2 …` and its older siblings, with the
//! passphrase `secret`.

use bulwark_tls::{BuildError, CertificateFiles, Passphrase, ServerTls, Settings};
use secret::Secret;
use testkit::certificates::{Authority, Files, Key, Subject};

const CERTIFICATE: &str = include_str!("../fixtures/encrypted.pem");

fn build(key: &str, passphrase: Option<Passphrase>) -> Result<(), BuildError> {
    let files = Files::new();
    files.write("c.pem", CERTIFICATE);
    files.write("k.pem", key);
    files.write("pass.txt", "secret\r\nanother line\n");
    let settings = Settings {
        certificates: vec![CertificateFiles { passphrase, ..CertificateFiles::new("c.pem", "k.pem") }],
        ..Settings::default()
    };
    ServerTls::build(&settings, &|path| files.read(path)).map(|_| ())
}

fn known(text: &str) -> Option<Passphrase> {
    Some(Passphrase::Value(Secret::new(text.to_owned())))
}

#[test]
fn encrypted_keys_open_with_their_passphrase() {
    for key in [
        include_str!("../fixtures/encrypted.aes-128-cbc.key"),
        include_str!("../fixtures/encrypted.aes-192-cbc.key"),
        include_str!("../fixtures/encrypted.aes-256-cbc.key"),
        include_str!("../fixtures/encrypted.sha1.key"),
        include_str!("../fixtures/encrypted.sha512.key"),
    ] {
        build(key, known("secret")).unwrap();
        build(key, Some(Passphrase::File("pass.txt".into()))).unwrap();
        assert_eq!(build(key, known("Secret")), Err(BuildError::WrongPassphrase { path: "k.pem".into() }));
        assert_eq!(build(key, known("")), Err(BuildError::WrongPassphrase { path: "k.pem".into() }));
        assert_eq!(build(key, None), Err(BuildError::PassphraseNeeded { path: "k.pem".into() }));
    }
}

#[test]
fn encryption_that_we_do_not_have_names_the_command_that_converts() {
    for (key, what) in [
        (include_str!("../fixtures/encrypted.des3.key"), "a cipher other than AES-CBC"),
        (include_str!("../fixtures/encrypted.scrypt.key"), "scrypt"),
        (include_str!("../fixtures/encrypted.traditional.key"), "the traditional PEM method"),
    ] {
        let error = build(key, known("secret")).unwrap_err().to_string();
        assert!(error.contains(what) && error.contains("openssl pkcs8 -topk8"), "{error}");
    }
}

#[test]
fn damaged_encrypted_keys_are_refused() {
    let key = include_str!("../fixtures/encrypted.sha512.key");
    // The third line and what follows it is the sealed key; before it stand parameters, some of which say nothing.
    let lines: Vec<usize> = key.match_indices('\n').map(|(at, _)| at + 1).collect();
    for at in (lines[2]..key.len() - 40).filter(|at| !lines.contains(&(at + 1))) {
        let mut damaged = key.as_bytes().to_vec();
        damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
        assert!(build(&String::from_utf8(damaged).unwrap(), known("secret")).is_err(), "{at}");
    }
    assert!(build("-----BEGIN ENCRYPTED PRIVATE KEY-----\n", known("secret")).is_err());
    assert!(build(&key.replace("MI", "!!"), known("secret")).is_err());
}

#[test]
fn keys_of_every_kind_serve() {
    for key in [Key::P256, Key::P384, Key::Ed25519, Key::Rsa] {
        let (server, client, files, authority) = crate::layer::plain_files();
        files.write_identity("server", &authority.issue(Subject::named("s").dns("localhost").key(key)));
        crate::pair::meet(&server, &client, &files).unwrap();
    }
}

#[test]
fn a_passphrase_on_an_open_key_does_no_harm() {
    let identity = Authority::new("CA").issue(Subject::named("s"));
    let files = Files::new();
    files.write_identity("s", &identity);
    let pair = CertificateFiles { passphrase: known("secret"), ..CertificateFiles::new("s.pem", "s.key") };
    let settings = Settings { certificates: vec![pair], ..Settings::default() };
    ServerTls::build(&settings, &|path| files.read(path)).unwrap();
}
