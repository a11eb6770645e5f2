//! What monitoring says of operators, and of accounts that are claims: what was signed, by whom, and what of it is void.
//!
//! Nobody logs in by the token of an operator or an account, so these are shown as the reference shows them. Tokens of users
//! are shown to nobody.

use std::collections::BTreeMap;

use api::monitoring::ClaimIssue;
use data_encoding::BASE64URL_NOPAD;
use jwt::chain::TrustedAccount;
use jwt::{Revocations, Revoked, Severity};
use moment::Timestamp;
use monitor::{AccountPortrait, OperatorPortrait};
use serde_json::Value;

/// The operators that a configuration trusts by their tokens.
pub(crate) fn operators(settings: &config::Settings) -> Vec<OperatorPortrait> {
    let tokens = settings.operator.operators.iter().map(|operator| operator.jwt.as_str());
    let portrait = |token: &str| Some(OperatorPortrait { jwt: token.to_owned(), claims: payload(token)? });
    tokens.filter_map(|token| portrait(nkeys::undecorate_jwt(token.as_bytes()).ok()?)).collect()
}

/// An account.
pub(crate) fn account(trusted: &TrustedAccount, now: Timestamp) -> AccountPortrait {
    let claims = trusted.claims();
    let issues = claims.validate(now.as_secs());
    let issue = |issue: &jwt::Issue| ClaimIssue {
        description: issue.text.clone(),
        blocking: issue.severity == Severity::Blocking,
        time_check: issue.severity == Severity::Time,
    };
    let exports = claims.exports.iter().map(|export| (export.subject.to_string(), revoked(&export.revocations)));
    AccountPortrait {
        jwt: trusted.token().to_owned(),
        issuer_key: claims.common.issuer.to_string(),
        name_tag: claims.common.name.clone(),
        tags: claims.common.tags.clone(),
        decoded_jwt: payload(trusted.token()),
        issues: issues.iter().map(issue).collect(),
        revoked_users: revoked(&claims.revocations),
        revoked_activations: exports.filter(|(_, revoked)| !revoked.is_empty()).collect(),
        is_expired: claims.common.is_expired(now.as_secs()),
    }
}

/// Who is void, and what was issued to him until when.
fn revoked(revocations: &Revocations) -> BTreeMap<String, String> {
    let who = |who: &Revoked| match who {
        Revoked::All => "*".to_owned(),
        Revoked::Key(key) => key.to_string(),
    };
    revocations.iter().map(|(of, until)| (who(of), Timestamp::from_secs(until).to_string())).collect()
}

/// The claims in a token that was accepted, as they were signed.
fn payload(token: &str) -> Option<Value> {
    let middle = token.split('.').nth(1)?;
    serde_json::from_slice(&BASE64URL_NOPAD.decode(middle.as_bytes()).ok()?).ok()
}
