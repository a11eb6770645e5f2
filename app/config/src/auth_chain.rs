//! `auth_chain` and `callout_cache`: who decides beside a service, and how long its word is kept.

use std::collections::HashSet;
use std::time::Duration;

use auth::settings::{AuthorizationSettings, CalloutCacheSettings, Judge};
use auth::{MAX_DECISION_TIME, MAX_DECISIONS};
use conf::{Node, Place};
use nkeys::{PublicKey, Role};

use crate::go_text::quoted;
use crate::report::Report;
use crate::settings::Settings;

/// How long a decision is kept where only the number is given.
const DECISION_TIME: Duration = Duration::from_secs(10);
/// How many decisions are kept where only the time is given.
const DECISIONS: usize = 1000;

const CACHE_KEYS: &[&str] = &["ttl", "size"];
const FORMS: &str = "write two of users, jwt and callout, or all three, in the order in which they are to decide";

/// Reads the list of those who decide.
pub(crate) fn read_chain(node: &Node, report: &mut Report<'_>) -> Vec<Judge> {
    let mut judges = Vec::new();
    for word in report.strings("auth_chain", node).unwrap_or_default() {
        match word.as_str() {
            "users" => judges.push(Judge::Users),
            "jwt" => judges.push(Judge::Claims),
            "callout" => judges.push(Judge::Callout),
            other => report.error_with(&node.place, format!("auth_chain knows no {}", quoted(other)), FORMS),
        }
    }
    let distinct: HashSet<_> = judges.iter().collect();
    let is_sound = distinct.len() == judges.len() && judges.len() >= 2;
    if !is_sound && !judges.is_empty() {
        report.error_with(&node.place, "auth_chain is two or three who differ", FORMS);
    }
    judges
}

/// Reads for how long, and how many.
pub(crate) fn read_cache(node: &Node, report: &mut Report<'_>) -> Option<CalloutCacheSettings> {
    let map = report.map(node)?;
    let mut cache = CalloutCacheSettings { time: DECISION_TIME, most: DECISIONS };
    for (key, value) in map.iter() {
        match key.to_ascii_lowercase().as_str() {
            "ttl" => report.set_duration("ttl", value, &mut cache.time),
            "size" => report.set_count("size", value, &mut cache.most, DECISIONS),
            _ => report.unknown(key, value, CACHE_KEYS),
        }
    }
    if cache.time.is_zero() || cache.time > MAX_DECISION_TIME {
        let most = MAX_DECISION_TIME.as_secs();
        report.error(&node.place, format!("callout_cache keeps decisions for more than nothing and at most {most}s"));
    }
    if cache.most > MAX_DECISIONS {
        report.error(&node.place, format!("callout_cache keeps at most {MAX_DECISIONS} decisions"));
    }
    Some(cache)
}

/// What the chain needs of the rest.
pub(crate) fn check(settings: &Settings, report: &mut Report<'_>) {
    let AuthorizationSettings { judges, auth_callout, callout_cache, origin, .. } = &settings.auth.authorization;
    let place = Place { file: origin.file.clone(), line: origin.line, column: origin.column };
    let is_operator = settings.operator.is_on();
    if is_operator && !judges.is_empty() && !judges.contains(&Judge::Claims) {
        report.error(&place, "auth_chain: where operators sign, jwt is one of those who decide");
    }
    if judges.contains(&Judge::Claims) && !is_operator {
        report.error(&place, "auth_chain: jwt needs an operator");
    }
    if judges.contains(&Judge::Users) && is_operator {
        check_users_beside_claims(&place, &settings.auth, report);
    }
    if !is_operator && auth_callout.is_none() && (!judges.is_empty() || callout_cache.is_some()) {
        report.error(&place, "auth_chain and callout_cache need auth_callout");
    }
}

/// Accounts of the configuration are told from those of operators by their names, and never take the place of one.
fn check_users_beside_claims(place: &Place, settings: &auth::Settings, report: &mut Report<'_>) {
    let is_taken = |name: &str| name == account::SYSTEM || PublicKey::is(Role::Account, name);
    for account in settings.accounts.iter().filter(|account| account.nkey.is_some() || is_taken(&account.name)) {
        let name = quoted(&account.name);
        let text = format!("auth_chain: account {name} of the configuration would be one of the operators' accounts");
        report.error_with(place, text, "give it a name that is no key, and no nkey");
    }
    if settings.authorization.user.is_some() || settings.authorization.token.is_some() {
        report.error(place, "auth_chain: where operators sign too, users of the configuration are a list");
    }
}
