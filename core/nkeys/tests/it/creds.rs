use bulwark_nkeys::fuzz::fuzz_creds;
use bulwark_nkeys::{Creds, KeyError, KeyPair, MAX_CREDS_BYTES, Role, Secret, decorate_jwt, undecorate_jwt};
use proptest::prelude::*;

const SEED: &str = "SUAOTBNEUHZDFJT3EUMELT7MQTP24JF3XVCXQNDSCU74G5IU6VAJBKH5LI";
const FILE: &str = "\
-----BEGIN NATS USER JWT-----
eyJ0eXAi.eyJqdGki-_.c_XQT04
------END NATS USER JWT------

************************* IMPORTANT *************************
NKEY Seed printed below can be used to sign and prove identity.

-----BEGIN USER NKEY SEED-----
SUAOTBNEUHZDFJT3EUMELT7MQTP24JF3XVCXQNDSCU74G5IU6VAJBKH5LI
------END USER NKEY SEED------

*************************************************************
";

#[test]
fn a_creds_file_is_read_whatever_its_line_ends() {
    for text in [FILE.to_owned(), FILE.replace('\n', "\r\n"), FILE.replace("-----\n", "-----\n  ")] {
        let creds = Creds::parse(text.as_bytes()).expect("a creds file");
        assert_eq!(creds.jwt, "eyJ0eXAi.eyJqdGki-_.c_XQT04");
        assert!(creds.key.seed().is(SEED.as_bytes()));
    }
}

#[test]
fn a_bare_seed_file_is_read() {
    let key = Creds::seed_of(format!("# my seed\n\n  {SEED}\n").as_bytes()).expect("a seed");
    assert_eq!(key.role(), Role::User);
    assert_eq!(Creds::seed_of(b"foo").err(), Some(KeyError::NoSeed));
}

#[test]
fn an_undecorated_jwt_is_the_text_itself() {
    assert_eq!(undecorate_jwt(b" eyJ.a.b\n"), Ok("eyJ.a.b"));
    assert_eq!(undecorate_jwt(decorate_jwt("OPERATOR", "eyJ.a.b").as_bytes()), Ok("eyJ.a.b"));
    assert_eq!(undecorate_jwt(b" \n"), Err(KeyError::NoJwt));
}

#[test]
fn creds_of_another_role_are_refused() {
    let account = KeyPair::from_raw_seed(Role::Account, Secret::new([1; 32]));
    let text = FILE.replace(SEED, account.seed().expose());
    let wanted = KeyError::Role { wanted: Role::User, found: Role::Account };
    assert_eq!(Creds::parse(text.as_bytes()).err(), Some(wanted));
}

#[test]
fn a_file_without_jwt_or_seed_or_measure_is_refused() {
    assert_eq!(Creds::parse(b"").err(), Some(KeyError::NoJwt));
    assert_eq!(Creds::parse(decorate_jwt("USER", "a.b.c").as_bytes()).err(), Some(KeyError::NoSeed));
    assert_eq!(Creds::parse(&vec![b'a'; MAX_CREDS_BYTES + 1]).err(), Some(KeyError::TooLarge));
    assert_eq!(Creds::parse(b"\xff").err(), Some(KeyError::NoJwt));
}

#[test]
fn written_creds_read_back_here_and_with_the_published_pattern() {
    let creds = Creds::parse(FILE.as_bytes()).expect("a creds file");
    let text = creds.to_text();
    fuzz_creds(text.expose().as_bytes());
    assert!(!format!("{creds:?}").contains(SEED));
    assert!(
        text.expose().contains(&format!("-----BEGIN USER NKEY SEED-----\n{SEED}\n------END USER NKEY SEED------\n"))
    );
}

proptest! {
    #[test]
    fn strangers_files_never_panic(text in "(-{3,6}[A-Z ]{0,9}-{3,6}|S[OAU][A-Z2-7]{0,60}|[a-z.]{0,9}|\r?\n){0,20}") {
        fuzz_creds(text.as_bytes());
    }
}
