//! TLS as a byte layer of the broker.

use auth::settings::Distinguished;
use auth::{CertificateName, ClientTls};
use broker::{LayerError, Opened};
use tls::{Answer, Candidate, Dn, Established, PeerFacts};
use wire::CloseReason;

/// The reading half.
pub(crate) struct TlsOpener(pub(crate) tls::Opener);

/// The writing half.
pub(crate) struct TlsSealer(pub(crate) tls::Sealer);

impl broker::Opener for TlsOpener {
    fn open(&mut self, wire: &[u8], plain: &mut Vec<u8>) -> Result<Opened, LayerError> {
        match self.0.open(wire, plain) {
            Ok(opened) => Ok(Opened { closed: opened.closed, answer: opened.answer.is_some() }),
            Err(fault) => Err(LayerError { text: format!("TLS error: {fault}"), code: fault.alert().map(u16::from) }),
        }
    }
}

impl broker::Sealer for TlsSealer {
    fn seal(&mut self, plain: &[u8], wire: &mut Vec<u8>) {
        self.0.seal(plain, wire);
    }

    fn finish(&mut self, wire: &mut Vec<u8>) {
        self.0.finish(wire);
    }

    fn answer(&mut self, wire: &mut Vec<u8>) {
        self.0.answer(Answer::KeyUpdate, wire);
    }

    fn close(&mut self, _: CloseReason, wire: &mut Vec<u8>) {
        self.0.close(wire);
    }

    fn fail(&mut self, error: &LayerError, wire: &mut Vec<u8>) {
        if let Some(code) = error.code.and_then(|code| u8::try_from(code).ok()) {
            self.0.alert(code, wire);
        }
    }
}

/// The names of a certificate, best first, as the room that knows users wants them.
pub(crate) fn names(facts: &PeerFacts) -> Vec<CertificateName> {
    let name = |candidate: Candidate<'_>| match candidate {
        Candidate::Email(email) => CertificateName::Email(email.to_owned()),
        Candidate::Dns(dns) => CertificateName::Dns(dns.to_owned()),
        Candidate::Uri(uri) => CertificateName::Uri(uri.to_owned()),
        Candidate::Dn(dn) => CertificateName::Distinguished(distinguished(dn)),
        Candidate::Subject(subject) => CertificateName::Subject(subject.to_owned()),
    };
    facts.candidates().into_iter().map(name).collect()
}

/// A distinguished name in texts that are written in one way only.
pub fn distinguished(dn: &Dn) -> Distinguished {
    Distinguished { ordered: dn.ordered(), any_order: dn.any_order() }
}

/// What was agreed, and the certificates that the peer showed. Whoever shows one here was verified.
pub(crate) fn agreed(established: &Established) -> ClientTls {
    let chain: Vec<String> = established.peer_chain.iter().map(|certificate| pem(certificate)).collect();
    ClientTls {
        version: established.session.version.name().to_owned(),
        cipher: established.session.suite.name().to_owned(),
        certs: Vec::new(),
        verified_chains: if chain.is_empty() { Vec::new() } else { vec![chain] },
    }
}

/// A certificate as PEM.
fn pem(certificate: &[u8]) -> String {
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in data_encoding::BASE64.encode(certificate).as_bytes().chunks(64) {
        text.extend(line.iter().map(|&byte| char::from(byte)));
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}
