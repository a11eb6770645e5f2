//! Questions to issuers and their answers. The fixtures were written by `openssl ocsp` on 2026-11-24 with answers that
//! hold for a week; what is signed here by hand breaks one rule each.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use bulwark_tls::ocsp::{Answer, OcspError, Status, get_url, links, request};
use bulwark_tls::{Fault, Settings};
use testkit::certificates::{Authority, Identity, Subject, Usage, Years};

/// 2026-11-25T00:00:00Z, while the answers of the fixtures hold.
const NOW: i64 = 1_795_564_800;

const CA: &[u8] = include_bytes!("../fixtures/ocsp/ca.der");
const GOOD: &[u8] = include_bytes!("../fixtures/ocsp/good.der");
const REVOKED: &[u8] = include_bytes!("../fixtures/ocsp/revoked.der");
const UNKNOWN: &[u8] = include_bytes!("../fixtures/ocsp/unknown.der");
const GOOD_ANSWER: &[u8] = include_bytes!("../fixtures/ocsp/good.direct");

#[test]
fn our_question_is_the_one_that_openssl_asks() {
    assert_eq!(request(GOOD, CA).unwrap(), include_bytes!("../fixtures/ocsp/good.req"));
    let url = get_url("http://ocsp.test/", &[0xfb, 0xff, 0xfe, 0x01]);
    assert_eq!(url, "http://ocsp.test/%2B%2F%2F%2BAQ%3D%3D");
}

#[test]
fn answers_of_openssl_are_read() {
    let cases: [(&[u8], &[u8], Status); 7] = [
        (GOOD, GOOD_ANSWER, Status::Good),
        (GOOD, include_bytes!("../fixtures/ocsp/good.delegated"), Status::Good),
        (GOOD, include_bytes!("../fixtures/ocsp/good.keyid"), Status::Good),
        (REVOKED, include_bytes!("../fixtures/ocsp/revoked.direct"), Status::Revoked { at: 1_735_689_600 }),
        (REVOKED, include_bytes!("../fixtures/ocsp/revoked.delegated"), Status::Revoked { at: 1_735_689_600 }),
        (UNKNOWN, include_bytes!("../fixtures/ocsp/unknown.direct"), Status::Unknown),
        (UNKNOWN, include_bytes!("../fixtures/ocsp/unknown.delegated"), Status::Unknown),
    ];
    for (certificate, response, status) in cases {
        let answer = Answer::read(response, certificate, CA, NOW).unwrap();
        assert_eq!(answer.status, status);
        assert!(answer.is_current(NOW, 30, 3600));
        assert!(!answer.is_current(NOW + 8 * 86_400, 30, 3600));
        assert_eq!(answer.next_update.unwrap() - answer.this_update, 7 * 86_400);
    }
}

#[test]
fn an_answer_about_another_certificate_or_issuer_is_none() {
    assert_eq!(Answer::read(GOOD_ANSWER, REVOKED, CA, NOW), Err(OcspError::OtherCertificate));
    let other = Authority::new("Other");
    assert!(Answer::read(GOOD_ANSWER, GOOD, &other.der, NOW).is_err());
}

#[test]
fn every_flipped_bit_and_every_cut_of_an_answer_is_noticed() {
    for at in 0..GOOD_ANSWER.len() {
        assert!(Answer::read(&GOOD_ANSWER[..at], GOOD, CA, NOW).is_err(), "{at}");
    }
    // What is signed, and the signature. The certificates behind it are not: a damaged one is only of no use.
    let signed = GOOD_ANSWER.windows(7).position(|window| window == b"OCSP CA").expect("the name of the responder");
    for at in signed..signed + 100 {
        let mut damaged = GOOD_ANSWER.to_vec();
        damaged[at] ^= 1;
        assert!(Answer::read(&damaged, GOOD, CA, NOW).is_err(), "{at}");
    }
}

fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    match content.len() {
        len @ 0..=127 => out.push(len as u8),
        len @ 128..=255 => out.extend([0x81, len as u8]),
        len => out.extend([0x82, (len >> 8) as u8, len as u8]),
    }
    out.extend(content);
    out
}

/// An answer made by hand.
struct Forge<'a> {
    status: &'a [u8],
    signer_key: &'a [u8],
    signer: &'a [u8],
    enclosed: Option<&'a [u8]>,
    certificate: &'a [u8],
    issuer: &'a [u8],
}

impl Forge<'_> {
    fn answer(&self) -> Vec<u8> {
        let question = request(self.certificate, self.issuer).unwrap();
        // The certificate's id stands at the same place in each question: behind four sequences.
        let id = &question[8..];
        let single = der(
            0x30,
            &[id, self.status, &der(0x18, &[b"20201124000000Z"]), &der(0xa0, &[&der(0x18, &[b"20891201000000Z"])])],
        );
        let name = subject_of(self.signer);
        let data = der(0x30, &[&der(0xa1, &[&name]), &der(0x18, &[b"20261124000000Z"]), &der(0x30, &[&single])]);
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, self.signer_key).unwrap();
        let signature = key.sign(&SystemRandom::new(), &data).unwrap();
        let algorithm = der(0x30, &[&[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]]);
        let certificates =
            self.enclosed.map(|certificate| der(0xa0, &[&der(0x30, &[certificate])])).unwrap_or_default();
        let basic = der(0x30, &[&data, &algorithm, &der(3, &[&[0], signature.as_ref()]), &certificates]);
        let bytes = der(0x30, &[&[6, 9, 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1], &der(4, &[&basic])]);
        der(0x30, &[&[0x0a, 1, 0], &der(0xa0, &[&bytes])])
    }

    fn read(&self) -> Result<Answer, OcspError> {
        Answer::read(&self.answer(), self.certificate, self.issuer, NOW)
    }
}

fn subject_of(certificate: &[u8]) -> Vec<u8> {
    use x509_parser::prelude::{FromDer, X509Certificate};
    X509Certificate::from_der(certificate).unwrap().1.subject().as_raw().to_vec()
}

const GOOD_STATUS: [u8; 2] = [0x80, 0];
const UNKNOWN_STATUS: [u8; 2] = [0x82, 0];

struct Scene {
    authority: Authority,
    peer: Identity,
}

impl Scene {
    fn new() -> Self {
        let authority = Authority::new("CA");
        let peer = authority.issue(Subject::named("peer").ocsp("http://ocsp.test"));
        Self { authority, peer }
    }

    fn signed_by<'a>(&'a self, key: &'a [u8], signer: &'a [u8], enclosed: Option<&'a [u8]>) -> Forge<'a> {
        Forge {
            status: &GOOD_STATUS,
            signer_key: key,
            signer,
            enclosed,
            certificate: &self.peer.der,
            issuer: &self.authority.der,
        }
    }
}

#[test]
fn the_issuer_and_its_delegate_may_answer() {
    let scene = Scene::new();
    let direct = scene.signed_by(&scene.authority.key_der, &scene.authority.der, None);
    assert_eq!(direct.read().unwrap().status, Status::Good);
    let delegate = scene.authority.issue(Subject::named("delegate").usage(Usage::OcspSigning));
    let delegated = scene.signed_by(&delegate.key_der, &delegate.der, Some(&delegate.der));
    assert_eq!(delegated.read().unwrap().status, Status::Good);
}

#[test]
fn nobody_else_may_answer() {
    let scene = Scene::new();
    let stranger = Authority::new("CA");
    // The same name, another key.
    assert_eq!(scene.signed_by(&stranger.key_der, &stranger.der, None).read(), Err(OcspError::BadSignature));
    // A certificate of the issuer that was not made for this: the peer answering for itself, for instance.
    let own = scene.signed_by(&scene.peer.key_der, &scene.peer.der, Some(&scene.peer.der));
    assert_eq!(own.read(), Err(OcspError::NotAuthorised));
    for subject in [
        Subject::named("d").usage(Usage::Client),
        Subject::named("d").usage(Usage::OcspSigning).years(Years::Past),
        Subject::named("d").usage(Usage::OcspSigning).years(Years::Future),
    ] {
        let delegate = scene.authority.issue(subject);
        let forge = scene.signed_by(&delegate.key_der, &delegate.der, Some(&delegate.der));
        assert_eq!(forge.read(), Err(OcspError::NotAuthorised));
    }
    // A delegate of somebody else.
    let delegate = stranger.issue(Subject::named("d").usage(Usage::OcspSigning));
    let forge = scene.signed_by(&delegate.key_der, &delegate.der, Some(&delegate.der));
    assert_eq!(forge.read(), Err(OcspError::NotAuthorised));
    // A delegate that is not enclosed.
    let delegate = scene.authority.issue(Subject::named("d").usage(Usage::OcspSigning));
    assert_eq!(scene.signed_by(&delegate.key_der, &delegate.der, None).read(), Err(OcspError::NotAuthorised));
    // A delegate whose key did not sign.
    let forge = scene.signed_by(&scene.peer.key_der, &delegate.der, Some(&delegate.der));
    assert_eq!(forge.read(), Err(OcspError::BadSignature));
}

#[test]
fn a_responder_that_cannot_answer_says_so() {
    for (code, text) in [(1, "malformed request"), (3, "try later"), (6, "unauthorized"), (9, "unknown error")] {
        let error = Answer::read(&[0x30, 3, 0x0a, 1, code], GOOD, CA, NOW).unwrap_err();
        assert_eq!(error, OcspError::NoAnswer(code));
        assert!(error.to_string().contains(text));
    }
    assert_eq!(Answer::read(&vec![0x30; 100_000], GOOD, CA, NOW), Err(OcspError::TooLong));
}

#[test]
fn the_links_of_a_chain_are_those_that_name_a_responder() {
    let root = Authority::new("Root");
    let below = root.intermediate("Below");
    let silent = below.issue(Subject::named("silent"));
    let peer = below.issue(Subject::named("peer").ocsp("http://ocsp.test"));
    let roots = || std::iter::once(root.der.as_slice());
    let chain = |identity: &Identity| vec![identity.der.clone(), below.der.clone()];
    assert_eq!(links(&chain(&silent), roots()), Ok(vec![]));
    let found = links(&chain(&peer), roots()).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].issuer.as_slice(), found[0].responders.as_slice()),
        (&below.der[..], &["http://ocsp.test".to_owned()][..])
    );
    // Another authority of the same name is not the issuer, wherever it stands.
    let impostor = Authority::new("Below");
    assert_eq!(links(&[peer.der.clone(), impostor.der], roots()), Err(OcspError::NoIssuer));
    // Someone who is a root alone has no issuer to ask.
    let alone = Subject::named("alone").ocsp("http://ocsp.test").self_signed();
    assert_eq!(links(std::slice::from_ref(&alone.der), std::iter::once(alone.der.as_slice())), Ok(vec![]));
}

#[test]
fn our_own_certificate_says_where_to_ask_and_whether_it_promised() {
    let (server, client, files, authority) = crate::layer::plain_files();
    let subject = Subject::named("s").dns("localhost").must_staple().ocsp("http://ocsp.test/x");
    files.write_identity("server", &authority.issue(subject));
    files.write("server.pem", {
        let own = String::from_utf8(files.read("server.pem".as_ref()).unwrap()).unwrap();
        own + &authority.pem
    });
    let tls = crate::pair::server_tls(&server, &files);
    let info = &tls.certificates()[0];
    assert!(info.must_staple);
    assert_eq!(info.ocsp_urls, ["http://ocsp.test/x"]);
    let (own, issuer) = tls.with_issuer(0).unwrap();
    assert_eq!(issuer, authority.der);
    let forge = |status| Forge {
        status,
        signer_key: &authority.key_der,
        signer: &authority.der,
        enclosed: None,
        certificate: own,
        issuer,
    };
    let response = forge(&GOOD_STATUS[..]).answer();
    assert_eq!(tls.staple_answer(0, response, NOW).unwrap().status, Status::Good);
    assert!(tls.staple_answer(0, GOOD_ANSWER.to_vec(), NOW).is_err(), "an answer about somebody else");
    assert_eq!(tls.staple_answer(7, Vec::new(), NOW), Err(OcspError::BadCertificate));
    // A client that wants it gets it, and judges for itself.
    let strict = Settings { require_staple: true, ..client };
    let meet = || {
        let client = crate::pair::client_tls(&strict, &files).connect("localhost").unwrap();
        crate::pair::shake(tls.accept().unwrap(), client).map(|_| ()).map_err(|failed| failed.client.unwrap())
    };
    meet().unwrap();
    assert_eq!(tls.staple_answer(0, forge(&UNKNOWN_STATUS[..]).answer(), NOW).unwrap().status, Status::Unknown);
    meet().expect("what is not good is not shown");
    for (response, why) in [
        (Some(forge(&UNKNOWN_STATUS[..]).answer()), "OCSP status unknown"),
        (Some(GOOD_ANSWER.to_vec()), "ocsp: responder is not authorised by the issuer"),
        (None, "peer missing OCSP staple"),
    ] {
        tls.staple(0, response);
        assert_eq!(meet(), Err(Fault::CertificateRefused(format!("x509: {why}"))));
    }
}
