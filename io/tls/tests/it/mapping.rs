//! What certificates say about their holders, and which user names they stand for.

use std::collections::HashSet;

use bulwark_tls::{Candidate, Dn, PeerFacts};
use testkit::certificates::{Authority, Subject};

/// An element of DER.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    match content.len() {
        len @ 0..=127 => out.push(len as u8),
        len => out.extend([0x82, (len >> 8) as u8, len as u8]),
    }
    out.extend(content);
    out
}

const UTF8: u8 = 12;
const PRINTABLE: u8 = 19;
const BMP: u8 = 30;

fn oid(kind: &str) -> Vec<u8> {
    match kind {
        "CN" => vec![0x55, 4, 3],
        "SERIALNUMBER" => vec![0x55, 4, 5],
        "C" => vec![0x55, 4, 6],
        "L" => vec![0x55, 4, 7],
        "ST" => vec![0x55, 4, 8],
        "O" => vec![0x55, 4, 10],
        "OU" => vec![0x55, 4, 11],
        "DC" => vec![0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 0x19],
        "UID" => vec![0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1],
        _ => panic!("no such kind"),
    }
}

fn attribute(kind: &str, tag: u8, value: &[u8]) -> Vec<u8> {
    der(0x30, &[&der(6, &[&oid(kind)]), &der(tag, &[value])])
}

/// A certificate with exactly this subject, in the order of the certificate: the most general part first. Nobody signed
/// it; facts are read after trust was settled.
fn with_subject(rdns: &[Vec<Vec<u8>>]) -> PeerFacts {
    let rdns: Vec<Vec<u8>> =
        rdns.iter().map(|rdn| der(0x31, &rdn.iter().map(Vec::as_slice).collect::<Vec<_>>())).collect();
    let subject = der(0x30, &rdns.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let template = Authority::new("CA").issue(Subject::nameless()).der;
    PeerFacts::read(&replace_subject(&template, &subject)).expect("a certificate")
}

/// Puts another subject where the empty one of a template stands: the only empty sequence before the public key.
fn replace_subject(template: &[u8], subject: &[u8]) -> Vec<u8> {
    let (outer, _) = split(template);
    let (body, rest) = split(outer);
    let signature = &outer[outer.len() - rest.len()..];
    let mut parts: Vec<&[u8]> = Vec::new();
    let mut left = body;
    while !left.is_empty() {
        let (_, after) = split(left);
        parts.push(&left[..left.len() - after.len()]);
        left = after;
    }
    let at = parts.iter().position(|part| *part == [0x30, 0]).expect("an empty subject");
    parts[at] = subject;
    der(0x30, &[&der(0x30, &parts), signature])
}

/// The content of the first element, and what follows it.
fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (len, start) = match bytes[1] {
        0x81 => (usize::from(bytes[2]), 3),
        0x82 => (usize::from(bytes[2]) << 8 | usize::from(bytes[3]), 4),
        len => (usize::from(len), 2),
    };
    (&bytes[start..start + len], &bytes[start + len..])
}

fn simple(parts: &[(&str, &str)]) -> PeerFacts {
    let rdns: Vec<_> = parts.iter().map(|(kind, value)| vec![attribute(kind, UTF8, value.as_bytes())]).collect();
    with_subject(&rdns)
}

/// The rule of the server, in a few lines: the first candidate that is a user wins.
fn user_of<'a>(facts: &PeerFacts, users: &[&'a str]) -> Option<&'a str> {
    let literal = |name: &str| users.iter().copied().find(|user| *user == name);
    facts.candidates().into_iter().find_map(|candidate| match candidate {
        Candidate::Email(name) | Candidate::Dns(name) | Candidate::Uri(name) | Candidate::Subject(name) => {
            literal(name)
        }
        Candidate::Dn(dn) => {
            let parsed = || users.iter().filter_map(|user| Dn::parse(user).ok().map(|parsed| (*user, parsed)));
            let equal = parsed().find(|(_, user)| user == dn);
            equal.or_else(|| parsed().find(|(_, user)| user.matches(dn))).map(|(user, _)| user)
        }
    })
}

#[test]
fn mail_then_dns_then_uri_then_subject() {
    let authority = Authority::new("CA");
    let subject = Subject::named("n").email("a@b.c").dns("d.e").uri("spiffe://x/y").organisation("O");
    let facts = PeerFacts::read(&authority.issue(subject).der).unwrap();
    let users = ["CN=n,O=O", "spiffe://x/y", "d.e", "a@b.c"];
    for count in (1..=users.len()).rev() {
        assert_eq!(user_of(&facts, &users[..count]), Some(users[count - 1]));
    }
    assert_eq!(user_of(&facts, &["n", "O", "A@B.C", "D.E", "b.c"]), None);
}

#[test]
fn a_subject_is_found_in_any_order_of_its_parts() {
    let facts = simple(&[("C", "US"), ("O", "NATS"), ("OU", "dev"), ("CN", "www")]);
    for user in [
        "CN=www,OU=dev,O=NATS,C=US",
        "C=US,O=NATS,OU=dev,CN=www",
        "ou=dev, cn=www, c=US, o=NATS",
        r"CN=\77\77\77,OU=dev,O=NATS,C=US",
    ] {
        assert_eq!(user_of(&facts, &[user]), Some(user));
    }
    for user in ["CN=www,OU=dev,O=NATS", "CN=WWW,OU=dev,O=NATS,C=US", "CN=www,OU=dev,O=NATS,C=US,C=US", "CN=www", "www"]
    {
        assert_eq!(user_of(&facts, &[user]), None, "{user}");
    }
}

#[test]
fn an_equal_name_wins_over_one_that_only_matches() {
    let facts = simple(&[("O", "x"), ("CN", "a")]);
    assert_eq!(user_of(&facts, &["O=x,CN=a", "CN=a,O=x"]), Some("CN=a,O=x"));
}

/// Advisory 2026-13, through certificates.
#[test]
fn advisory_2026_13_repeated_parts_never_stand_for_others() {
    let repeated = simple(&[("O", "X"), ("CN", "A"), ("CN", "A")]);
    assert_eq!(user_of(&repeated, &["CN=A,O=X,OU=Y", "O=X,CN=A", "CN=A,O=X,O=X"]), None);
    assert_eq!(user_of(&repeated, &["O=X,CN=A,CN=A"]), Some("O=X,CN=A,CN=A"));
    let distinct = simple(&[("OU", "Y"), ("O", "X"), ("CN", "A")]);
    assert_eq!(user_of(&distinct, &["CN=A,CN=A,O=X"]), None);
}

/// The text form gathers a kind and keeps the last common name, so a certificate with two is also that of its last one:
/// configuration files rely on it. Whoever issues certificates answers for what stands in them.
#[test]
fn the_text_form_is_the_one_that_files_were_written_from() {
    let facts = simple(&[("C", "US"), ("O", "b"), ("OU", "x"), ("OU", "y"), ("CN", "n"), ("SERIALNUMBER", "7")]);
    assert_eq!(facts.subject, "SERIALNUMBER=7,CN=n,OU=x+OU=y,O=b,C=US");
    assert_eq!(facts.subject_with_domain, None);
    let facts = simple(&[("DC", "com"), ("DC", "example"), ("OU", "dev"), ("CN", "www")]);
    assert_eq!(facts.subject, "CN=www,OU=dev");
    assert_eq!(facts.subject_with_domain.as_deref(), Some("CN=www,OU=dev,DC=com,DC=example"));
    let facts = simple(&[("CN", " a,b+c\"\\<>;# ")]);
    assert_eq!(facts.subject, r#"CN=\ a\,b\+c\"\\\<\>\;#\ "#);
}

#[test]
fn domain_components_take_part() {
    let facts = simple(&[("DC", "com"), ("DC", "example"), ("CN", "www")]);
    for user in ["CN=www,DC=example,DC=com", "DC=com,DC=example,CN=www", "CN=www,DC=com,DC=example"] {
        assert_eq!(user_of(&facts, &[user]), Some(user));
    }
    assert_eq!(user_of(&facts, &["CN=www,DC=example,DC=org"]), None);
    assert_eq!(user_of(&facts, &["CN=www"]), Some("CN=www"), "the text form without them is tried last");
}

#[test]
fn parts_of_several_values_have_no_order_within() {
    let facts = with_subject(&[
        vec![attribute("O", UTF8, b"x")],
        vec![attribute("CN", UTF8, b"a"), attribute("OU", UTF8, b"b")],
    ]);
    for user in ["CN=a+OU=b,O=x", "OU=b+CN=a,O=x", "O=x,OU=b+CN=a"] {
        assert_eq!(user_of(&facts, &[user]), Some(user));
    }
    assert_ne!(facts.dn, Dn::parse("CN=a,OU=b,O=x").ok());
}

#[test]
fn strings_of_several_kinds_are_the_same_name() {
    let wide: Vec<u8> = "Žofie".encode_utf16().flat_map(u16::to_be_bytes).collect();
    for facts in [
        with_subject(&[vec![attribute("CN", UTF8, "Žofie".as_bytes())]]),
        with_subject(&[vec![attribute("CN", BMP, &wide)]]),
    ] {
        assert_eq!(user_of(&facts, &["CN=Žofie"]), Some("CN=Žofie"));
        assert_eq!(user_of(&facts, &[r"CN=\c5\bdofie"]), Some(r"CN=\c5\bdofie"));
    }
    assert_eq!(with_subject(&[vec![attribute("CN", PRINTABLE, b"a")]]).subject, "CN=a");
}

#[test]
fn subjects_that_text_cannot_say_are_nobodys_distinguished_name() {
    let unknown_kind = simple(&[("UID", "root"), ("CN", "a")]);
    assert_eq!(unknown_kind.dn, None);
    assert_eq!(user_of(&unknown_kind, &["UID=root,CN=a"]), None);
    let broken = with_subject(&[vec![attribute("CN", UTF8, &[0xff, 0xfe])]]);
    assert_eq!(broken.dn, None);
    let not_a_string = with_subject(&[vec![attribute("CN", 2, &[1])]]);
    assert_eq!((not_a_string.dn, not_a_string.subject.as_str()), (None, ""));
}

#[test]
fn a_certificate_that_names_nobody_is_nobody() {
    let facts = with_subject(&[]);
    assert!(facts.candidates().is_empty());
    assert_eq!(user_of(&facts, &["", " ", "CN=", "="]), None);
}

#[test]
fn control_characters_make_no_name() {
    let authority = Authority::new("CA");
    let facts = PeerFacts::read(&authority.issue(Subject::named("x").email("root@a").dns("good.local")).der).unwrap();
    assert_eq!(facts.emails, ["root@a"]);
    // The bytes of the names, with a line break and a zero in them.
    let mut der = authority.issue(Subject::nameless().email("root@a.bcd").dns("good.local")).der;
    for (from, to) in [(&b"root@a.bcd"[..], &b"root@a\0bcd"[..]), (b"good.local", b"good\nlocal")] {
        let at = der.windows(from.len()).position(|window| window == from).unwrap();
        der[at..at + to.len()].copy_from_slice(to);
    }
    let facts = PeerFacts::read(&der).unwrap();
    assert_eq!(facts.emails, Vec::<String>::new());
    assert_eq!(facts.dns_names, Vec::<String>::new());
}

#[test]
fn every_cut_and_every_flipped_byte_is_read_or_refused() {
    let authority = Authority::new("CA");
    let subject =
        Subject::named("n").email("a@b.c").dns("d.e").uri("spiffe://x/y").organisation("O").domain_component("c");
    let der = authority.issue(subject).der;
    for at in 0..der.len() {
        assert!(PeerFacts::read(&der[..at]).is_err(), "{at}");
        let mut mutated = der.clone();
        mutated[at] ^= 0x55;
        let _ = PeerFacts::read(&mutated);
    }
    assert!(PeerFacts::read(&[der, vec![0]].concat()).is_err());
}

#[test]
fn fingerprints_are_of_the_key_and_of_the_whole() {
    let authority = Authority::new("CA");
    let facts: Vec<_> = (0..3).map(|_| PeerFacts::read(&authority.issue(Subject::named("n")).der).unwrap()).collect();
    assert_eq!(facts.iter().map(|facts| facts.spki_sha256).collect::<HashSet<_>>().len(), 3);
    assert_eq!(facts[0].spki_sha256.to_string().len(), 64);
    assert_eq!(facts[0].issuer, "CN=CA");
}
