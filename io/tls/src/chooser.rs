//! Which of our certificates a peer gets to see, and the OCSP answer that goes with it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// One of our certificates with the names it covers.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) names: Vec<String>,
    /// Swapped when a fresh OCSP answer is stapled.
    pub(crate) key: ArcSwap<CertifiedKey>,
}

/// The certificates of one block, in its order.
#[derive(Debug)]
pub(crate) struct Chooser(pub(crate) Vec<Candidate>);

impl Chooser {
    /// Serves `response` with the certificate at `index` from now on, or nothing.
    pub(crate) fn staple(&self, index: usize, response: Option<Vec<u8>>) {
        if let Some(candidate) = self.0.get(index) {
            let mut key = CertifiedKey::clone(&candidate.key.load());
            key.ocsp = response;
            candidate.key.store(Arc::new(key));
        }
    }
}

impl ResolvesServerCert for Chooser {
    /// The first certificate that covers the name and whose key the peer can check; failing that the first whose key it
    /// can check, failing that the first.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let suits =
            |candidate: &&Candidate| candidate.key.load().key.choose_scheme(hello.signature_schemes()).is_some();
        let covers = |candidate: &&Candidate| hello.server_name().is_none_or(|name| covers(&candidate.names, name));
        let best = self.0.iter().filter(suits).find(covers);
        let chosen = best.or_else(|| self.0.iter().find(suits)).or_else(|| self.0.first())?;
        Some(chosen.key.load_full())
    }
}

/// Whether one of the names of a certificate is this one. A star stands for the whole first label and nothing else.
fn covers(names: &[String], wanted: &str) -> bool {
    let wanted = wanted.trim_end_matches('.');
    names.iter().any(|name| match name.strip_prefix("*.") {
        Some(parent) => {
            wanted.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(parent))
        }
        None => name.eq_ignore_ascii_case(wanted),
    })
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_star_covers_exactly_one_label() {
        let names = ["*.example.com".to_owned(), "plain.org".to_owned()];
        for wanted in ["a.example.com", "A.Example.COM", "plain.org", "a.example.com."] {
            assert!(covers(&names, wanted), "{wanted}");
        }
        for wanted in ["example.com", "a.b.example.com", ".example.com", "x.plain.org", ""] {
            assert!(!covers(&names, wanted), "{wanted}");
        }
    }
}
