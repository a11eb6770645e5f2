//! What arrives before or beside the protocol: names in certificates, answers about them, headers of proxies.

use tls::ocsp::Answer;
use tls::{Dn, PeerFacts};

use crate::proxy::{self, Parsed};

/// A distinguished name.
pub(crate) fn name(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(name) = Dn::parse(text) else { return };
    let (ordered, any_order) = (Dn::parse(&name.ordered()), Dn::parse(&name.any_order()));
    assert_eq!(ordered.as_ref(), Ok(&name), "a name survives its text");
    assert!(any_order.is_ok_and(|other| other.matches(&name) && other.any_order() == name.any_order()));
}

/// A certificate, and the names to look for. What it says becomes part of log lines: no line breaks from strangers.
pub(crate) fn certificate(bytes: &[u8]) {
    let Ok(facts) = PeerFacts::read(bytes) else { return };
    let names = facts.emails.iter().chain(&facts.dns_names).chain(&facts.uris);
    assert!(names.into_iter().all(|name| !name.contains(char::is_control)));
    for candidate in facts.candidates() {
        assert_ne!(candidate, tls::Candidate::Subject(""), "nobody is not a name");
    }
}

/// The answer of a responder, about a certificate that asks for it: nothing that was not signed is believed.
pub(crate) fn answer(bytes: &[u8]) {
    const NOW: i64 = 1_795_564_800;
    const PEER: &[u8] = include_bytes!("../../io/tls/tests/fixtures/ocsp/good.der");
    const ISSUER: &[u8] = include_bytes!("../../io/tls/tests/fixtures/ocsp/ca.der");
    if let Ok(answer) = Answer::read(bytes, PEER, ISSUER, NOW) {
        assert_eq!(answer.status, tls::ocsp::Status::Good, "its issuer never said anything else");
    }
}

/// The header of a proxy: it ends within the bytes, whole headers do not depend on what follows, and a shorter start
/// never means something else.
pub(crate) fn proxy(bytes: &[u8]) {
    let Ok(Parsed::Header { consumed, origin }) = proxy::parse(bytes) else { return };
    assert!(consumed <= bytes.len());
    assert_eq!(proxy::parse(&bytes[..consumed]), Ok(Parsed::Header { consumed, origin }));
    for cut in [consumed / 2, consumed - 1] {
        assert!(matches!(proxy::parse(&bytes[..cut]), Ok(Parsed::Incomplete { .. })));
    }
}
