//! What an answer, or none, means for a peer; and when to ask again.

use std::time::Duration;

use crate::OcspPeer;
use crate::ocsp::{Answer, OcspError, Status};

/// What asking about one link led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// An answer that its issuer stands behind.
    Answered(Answer),
    /// Something came back that is no answer.
    Unusable(OcspError),
    /// Nothing came back.
    Unreachable {
        /// An earlier answer, past its time by now, said revoked.
        was_revoked: bool,
    },
}

/// What that means for the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The link is in order.
    Valid,
    /// It is not, but the block lets it pass. The text is a warning.
    Tolerated(String),
    /// The peer is refused. The text is for our log and for the advisory.
    Invalid(String),
}

/// Judges one link. A peer is let in if none of its links is invalid.
pub fn judge(finding: &Finding, policy: &OcspPeer, now: i64) -> Judgement {
    let problem = match finding {
        Finding::Unreachable { was_revoked: false } if policy.allow_when_ca_unreachable => {
            return Judgement::Tolerated("OCSP responder unreachable, allowed by configuration".into());
        }
        Finding::Unreachable { was_revoked: true } => "OCSP responder unreachable, last known status revoked".into(),
        Finding::Unreachable { was_revoked: false } => "OCSP responder unreachable".into(),
        Finding::Unusable(error) => error.to_string(),
        Finding::Answered(answer) => match problem_of(answer, policy, now) {
            Some(problem) => problem,
            None => return Judgement::Valid,
        },
    };
    if policy.warn_only { Judgement::Tolerated(problem) } else { Judgement::Invalid(problem) }
}

/// Why a link is invalid, in the words that the advisories of the reference server have.
pub fn advisory_reason(finding: &Finding, policy: &OcspPeer, now: i64) -> String {
    let (skew, ttl) = (seconds(policy.allowed_clockskew), seconds(policy.cache_ttl_when_next_update_unset));
    match finding {
        Finding::Unreachable { .. } => "Failed OCSP response fetch".to_owned(),
        Finding::Unusable(_) => "Failed OCSP response parse".to_owned(),
        Finding::Answered(answer) if !answer.is_current(now, skew, ttl) => {
            "OCSP response not in effectivity window".to_owned()
        }
        Finding::Answered(answer) => format!("Invalid OCSP response status: {}", answer.status.name()),
    }
}

fn problem_of(answer: &Answer, policy: &OcspPeer, now: i64) -> Option<String> {
    let (skew, ttl) = (seconds(policy.allowed_clockskew), seconds(policy.cache_ttl_when_next_update_unset));
    if !answer.is_current(now, skew, ttl) {
        return Some("OCSP response not current".into());
    }
    match answer.status {
        Status::Good => None,
        Status::Unknown if policy.unknown_is_good => None,
        status => Some(format!("OCSP status {}", status.name())),
    }
}

/// When to fetch a new answer for our own certificate: halfway to its end, after a day if it names none, and never sooner
/// than in two minutes.
pub fn refresh_at(answer: &Answer, now: i64) -> i64 {
    const DAY: i64 = 86_400;
    const AT_LEAST: i64 = 120;
    let wait = match answer.next_update {
        Some(next) => next.saturating_sub(now) / 2,
        None => DAY,
    };
    now.saturating_add(wait.max(AT_LEAST))
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    fn answered(status: Status, this_update: i64, next_update: Option<i64>) -> Finding {
        Finding::Answered(Answer { status, this_update, next_update })
    }

    fn strict() -> OcspPeer {
        OcspPeer::default()
    }

    /// Every finding against every switch, as a table.
    #[test]
    fn each_finding_under_each_policy() {
        let fresh = |status| answered(status, NOW - 10, Some(NOW + 1000));
        let rows = [
            (fresh(Status::Good), "valid", "valid", "valid", "valid"),
            (fresh(Status::Unknown), "invalid", "tolerated", "valid", "invalid"),
            (fresh(Status::Revoked { at: 1 }), "invalid", "tolerated", "invalid", "invalid"),
            (answered(Status::Good, NOW - 999, Some(NOW - 31)), "invalid", "tolerated", "invalid", "invalid"),
            (answered(Status::Good, NOW - 999, Some(NOW - 30)), "valid", "valid", "valid", "valid"),
            (answered(Status::Good, NOW + 30, Some(NOW + 99)), "valid", "valid", "valid", "valid"),
            (answered(Status::Good, NOW + 31, Some(NOW + 99)), "invalid", "tolerated", "invalid", "invalid"),
            (answered(Status::Good, NOW - 3630, None), "valid", "valid", "valid", "valid"),
            (answered(Status::Good, NOW - 3631, None), "invalid", "tolerated", "invalid", "invalid"),
            (Finding::Unusable(OcspError::BadSignature), "invalid", "tolerated", "invalid", "invalid"),
            (Finding::Unreachable { was_revoked: false }, "invalid", "tolerated", "invalid", "tolerated"),
            (Finding::Unreachable { was_revoked: true }, "invalid", "tolerated", "invalid", "invalid"),
        ];
        let policies = [
            strict(),
            OcspPeer { warn_only: true, ..strict() },
            OcspPeer { unknown_is_good: true, ..strict() },
            OcspPeer { allow_when_ca_unreachable: true, ..strict() },
        ];
        for (finding, a, b, c, d) in rows {
            for (policy, expected) in policies.iter().zip([a, b, c, d]) {
                let word = match judge(&finding, policy, NOW) {
                    Judgement::Valid => "valid",
                    Judgement::Tolerated(_) => "tolerated",
                    Judgement::Invalid(_) => "invalid",
                };
                assert_eq!(word, expected, "{finding:?} {policy:?}");
            }
        }
    }

    #[test]
    fn our_own_answer_is_renewed_halfway() {
        let answer = |next_update| Answer { status: Status::Good, this_update: 0, next_update };
        assert_eq!(refresh_at(&answer(Some(NOW + 1000)), NOW), NOW + 500);
        assert_eq!(refresh_at(&answer(Some(NOW + 10)), NOW), NOW + 120);
        assert_eq!(refresh_at(&answer(Some(NOW - 10)), NOW), NOW + 120);
        assert_eq!(refresh_at(&answer(None), NOW), NOW + 86_400);
    }
}
