//! Where this server and the reference part on purpose, and why.

use crate::outcome::Outcome;

/// A difference that was decided.
struct Decision {
    /// What the row says, beside anything else.
    says: &'static [&'static str],
    /// What both lead to.
    differs: fn(&Outcome, &Outcome) -> bool,
    why: &'static str,
}

/// Refused here, served there.
fn is_stricter(ours: &Outcome, theirs: &Outcome) -> bool {
    matches!((ours, theirs), (Outcome::HandshakeRefused, Outcome::Served { .. }))
}

/// Both serve the same user, by different suites.
fn is_other_suite(ours: &Outcome, theirs: &Outcome) -> bool {
    matches!((ours, theirs), (Outcome::Served { user, .. }, Outcome::Served { user: same, .. }) if user == same)
}

/// An error at the start here, accepted there.
fn is_start_error(ours: &Outcome, theirs: &Outcome) -> bool {
    matches!((ours, theirs), (Outcome::Unusable(_), Outcome::Usable))
}

/// Names of suites for TLS 1.3 bind here.
const SUITES_BIND: &str = "a list that names suites of TLS 1.3 means those; the reference takes no choice there";

/// Each with what is written about it in docs/adr/0005-tls-records-are-sealed-in-place.md.
const DECISIONS: [Decision; 9] = [
    Decision { says: &["nats-py 1.3", " aes256 "], differs: is_other_suite, why: SUITES_BIND },
    Decision { says: &["nats-py 1.3", " chacha "], differs: is_other_suite, why: SUITES_BIND },
    Decision {
        says: &[" authority verify "],
        differs: is_stricter,
        why: "a certificate marked as an authority is nobody's own",
    },
    Decision {
        says: &[" cannot-sign verify "],
        differs: is_stricter,
        why: "a key that may not sign cannot prove itself (RFC 8446 section 4.4.2.2)",
    },
    Decision {
        says: &["a suite with CBC"],
        differs: is_start_error,
        why: "no CBC: the error names the suite to take instead",
    },
    Decision {
        says: &["the same, allowed"],
        differs: is_start_error,
        why: "no CBC, allowed or not: the error names the suite to take instead",
    },
    Decision {
        says: &["curve CurveP521"],
        differs: is_start_error,
        why: "the library does not have it: the error names the curve to take instead",
    },
    Decision {
        says: &["curve SecP384r1MLKEM1024"],
        differs: is_start_error,
        why: "the library does not have it: the error names the curve to take instead",
    },
    Decision {
        says: &["questions to issuers"],
        differs: is_start_error,
        why: "what the reference finds at the start, -t finds here as well",
    },
];

/// The decision behind a difference.
pub(crate) fn find(what: &str, ours: &Outcome, theirs: &Outcome) -> Option<&'static str> {
    let says_all = |decision: &&Decision| decision.says.iter().all(|word| what.contains(word));
    DECISIONS.iter().filter(says_all).find(|decision| (decision.differs)(ours, theirs)).map(|decision| decision.why)
}
