//! Checks of accounts against the limits in their tokens.

use anyhow::Result;
use serde_json::Value;

use super::{Check, Findings, Outcome, Survey, Threshold};
use crate::archive::Kind;
use crate::command::dig::Dig;

pub(super) const CHECKS: &[Check] = &[Check {
    code: "ACCOUNTS_001",
    suite: "accounts",
    name: "Account Limits",
    description: "Account usage is below the configured limits",
    thresholds: &[
        Threshold {
            key: "connections",
            description: "Alerting threshold as a fraction of configured connections limit",
            value: 90.0,
            unit: "%",
        },
        Threshold {
            key: "subscriptions",
            description: "Alerting threshold as a fraction of configured subscriptions limit",
            value: 90.0,
            unit: "%",
        },
    ],
    run: limits,
}];

/// What is counted, under which limit of the token it falls, and the threshold for it.
const LIMITED: [(&str, &str, &str, &str); 3] = [
    ("client connections", "client_connections", "conn", "connections"),
    ("leaf connections", "leafnode_connections", "leaf", "connections"),
    ("subscriptions", "subscriptions", "subs", "subscriptions"),
];

fn limits(survey: &Survey<'_>, findings: &mut Findings) -> Result<Outcome> {
    let mut is_exceeded = false;
    for account in survey.archive.accounts() {
        for answer in survey.archive.of_account(account, Kind::AccountInfo)? {
            let limits = answer.dig("data.decoded_jwt.nats.limits");
            for limited in LIMITED {
                is_exceeded |= hold(survey, &answer, limits, limited, findings);
            }
        }
    }
    Ok(if is_exceeded { Outcome::Fail } else { findings.or(Outcome::Warn) })
}

/// Notes one number that is near its limit or beyond; tells whether it is beyond.
fn hold(
    survey: &Survey<'_>,
    answer: &Value,
    limits: &Value,
    (what, counted, limit, threshold): (&str, &str, &str, &str),
    findings: &mut Findings,
) -> bool {
    let (value, limit) = (answer.dig("data").signed(counted), limits.signed(limit));
    if limit <= 0 {
        return false;
    }
    let (account, server) = (answer.text("data.account_name"), answer.text("server.name"));
    let percent = value as f64 * 100.0 / limit as f64;
    if value > limit {
        findings.add(format!("account {account} (on {server}) exceeded {what} limit ({percent:.1}%, {value}/{limit})"));
    } else if percent > survey.threshold(threshold) {
        findings.add(format!("account {account} (on {server}) using {percent:.1}% of {what} limit ({value}/{limit})"));
    }
    value > limit
}
