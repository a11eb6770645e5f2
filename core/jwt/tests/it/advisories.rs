//! Published advisories of NATS software, each as a scene.

use bulwark_jwt::testing::{Chain, NOW, key, resign};
use bulwark_jwt::{Claims, Revoked, UserClaims};
use nkeys::Role;

/// Advisory 2026-23: a truncated key in `iss`, `sub` or `issuer_account` reached the signature check and crashed.
#[test]
fn advisory_2026_23_truncated_keys_in_claims_are_refused() {
    let (account, user) = (key(Role::Account, "a"), key(Role::User, "u"));
    let (issuer, subject) = (account.public().to_string(), user.public().to_string());
    let decode = |issuer: &str, subject: &str, issuer_account: &str| {
        let nats = format!(r#"{{"type":"user","version":2,"issuer_account":"{issuer_account}"}}"#);
        UserClaims::decode(&resign(&account, &format!(r#"{{"iss":"{issuer}","sub":"{subject}","nats":{nats}}}"#)))
    };
    assert!(decode(&issuer, &subject, &issuer).is_ok());
    for len in 0..issuer.len() {
        assert!(decode(&issuer[..len], &subject, "").is_err(), "iss of {len}");
        assert!(decode(&issuer, &subject[..len], "").is_err(), "sub of {len}");
        assert!(len == 0 || decode(&issuer, &subject, &issuer[..len]).is_err(), "issuer_account of {len}");
    }
    let text = format!(r#"{{"iss":"{issuer}","sub":"{issuer}","nats":{{"type":"user","version":2}}}}"#);
    assert!(UserClaims::decode(&resign(&account, &text)).is_err(), "an account is no user");
}

/// CVE-2020-26892: revocation was compared with the present instead of the time of issue.
#[test]
fn cve_2020_26892_revocation_compares_with_the_time_of_issue() {
    let chain = Chain::new("acme");
    let shop = chain.account("shop");
    let joe = shop.user("joe");
    let revoked = shop.with(|claims| claims.revocations.revoke(Revoked::Key(joe.key.public()), NOW.as_secs()));
    let claims = revoked.trusted(&chain);
    let hit = |issued_at| claims.claims().revocations.hit(&joe.key.public(), issued_at);
    assert!(hit(NOW.as_secs() - 1) && hit(NOW.as_secs()));
    assert!(!hit(NOW.as_secs() + 1), "a renewed user is welcome");
}

/// A revocation that was made can only grow: an update that carries less does not come from here.
#[test]
fn a_revocation_never_shrinks() {
    let joe = Revoked::Key(key(Role::User, "joe").public());
    let mut revocations = bulwark_jwt::Revocations::default();
    revocations.revoke(joe, 10);
    revocations.revoke(joe, 5);
    assert_eq!(revocations.iter().collect::<Vec<_>>(), [(&joe, 10)]);
    revocations.revoke(Revoked::All, 10);
    assert_eq!(revocations.compact(), [(joe, 10)]);
    assert_eq!(revocations.clear(Revoked::All), Some(10));
    assert!(revocations.is_empty());
}

/// CVE-2022-28357 and its kin: names from claims never reach a path; a subject is a key or the claim is refused.
#[test]
fn a_subject_that_is_a_path_is_refused() {
    let account = key(Role::Account, "a");
    for odd in ["../../x", "A/../../b", "/etc/passwd", "", "A\\u0000"] {
        let text = format!(r#"{{"iss":"{}","sub":"{odd}","nats":{{"type":"account","version":2}}}}"#, account.public());
        assert!(Claims::decode(&resign(&account, &text)).is_err(), "{odd}");
    }
}
