//! Checks of each server.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;

use super::{Check, Findings, Outcome, Survey, Threshold};
use crate::archive::Kind;
use crate::command::dig::Dig;
use crate::command::server::check::server::CERTIFICATES;
use crate::show::{humanize, ibytes};

const DAY_SECONDS: f64 = 86_400.0;

pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "SERVER_001",
        suite: "server",
        name: "Server Health",
        description: "All known nodes are healthy",
        thresholds: &[],
        run: health,
    },
    Check {
        code: "SERVER_002",
        suite: "server",
        name: "Server Version",
        description: "All known nodes are running the same software version",
        thresholds: &[],
        run: version,
    },
    Check {
        code: "SERVER_003",
        suite: "server",
        name: "Server CPU Usage",
        description: "CPU usage for all known nodes is below a given threshold",
        thresholds: &[Threshold { key: "cpu", description: "CPU Limit Threshold", value: 90.0, unit: "%" }],
        run: processors,
    },
    Check {
        code: "SERVER_004",
        suite: "server",
        name: "Server Slow Consumers",
        description: "No node is reporting slow consumers",
        thresholds: &[],
        run: slow_consumers,
    },
    Check {
        code: "SERVER_005",
        suite: "server",
        name: "Server Resources Limits",
        description: "Resources are below a given threshold compared to the configured limit",
        thresholds: &[
            Threshold { key: "memory", description: "Threshold for memory usage", value: 90.0, unit: "%" },
            Threshold { key: "store", description: "Threshold for store usage", value: 90.0, unit: "%" },
        ],
        run: resources,
    },
    Check {
        code: "SERVER_006",
        suite: "server",
        name: "Whitespace in JetStream domains",
        description: "No JetStream server is configured with whitespace in its domain",
        thresholds: &[],
        run: domains,
    },
    Check {
        code: "SERVER_007",
        suite: "server",
        name: "Authentication required",
        description: "Each server requires authentication",
        thresholds: &[],
        run: authentication,
    },
    Check {
        code: "SERVER_008",
        suite: "server",
        name: "TLS Certificate Expiry",
        description: "TLS certificates are valid and not expiring soon",
        thresholds: &[
            Threshold {
                key: "tls_expire_critical",
                description: "Certificate expiry critical threshold in days",
                value: 7.0,
                unit: "uint",
            },
            Threshold {
                key: "tls_expire_warning",
                description: "Certificate expiry warning threshold in days",
                value: 30.0,
                unit: "uint",
            },
        ],
        run: certificates,
    },
];

fn health(survey: &Survey<'_>, findings: &mut Findings) -> Result<Outcome> {
    for answer in survey.answered(Kind::Health)? {
        let status = answer.data.text("status");
        if !matches!(status, "ok" | "") {
            findings.add(format!("{}: {} - {status}", answer.server, answer.data.whole("status_code")));
        }
    }
    Ok(findings.or(Outcome::Warn))
}

fn version(survey: &Survey<'_>, findings: &mut Findings) -> Result<Outcome> {
    let mut versions: BTreeMap<String, String> = BTreeMap::new();
    for answer in survey.answered(Kind::Variables)? {
        versions.entry(answer.data.text("version").to_owned()).or_insert_with(|| answer.server.to_owned());
    }
    if versions.len() > 1 {
        versions.iter().for_each(|(version, server)| findings.add(format!("{server} - {version}")));
    }
    Ok(if versions.is_empty() { Outcome::Skip } else { findings.or(Outcome::Fail) })
}

fn processors(survey: &Survey<'_>, findings: &mut Findings) -> Result<Outcome> {
    let limit = survey.threshold("cpu");
    for answer in survey.answered(Kind::Variables)? {
        let cores = answer.data.number("cores");
        let used = answer.data.number("cpu") / cores;
        if cores > 0.0 && used > limit {
            findings.add(format!("{} - {}: {used:.1}%", answer.cluster, answer.server));
        }
    }
    Ok(findings.or(Outcome::Fail))
}

fn slow_consumers(survey: &Survey<'_>, findings: &mut Findings) -> Result<Outcome> {
    for answer in survey.answered(Kind::Variables)? {
        let slow = answer.data.whole("slow_consumers");
        if slow > 0 {
            findings.add(format!("{}/{}: {slow} slow consumers", answer.cluster, answer.server));
        }
    }
    Ok(findings.or(Outcome::Warn))
}

fn resources(survey: &Survey<'_>, findings: &mut Findings) -> Result<Outcome> {
    for answer in survey.answered(Kind::JetStream)? {
        for (what, used, limit) in
            [("memory", "memory", "config.max_memory"), ("store", "storage", "config.max_storage")]
        {
            let (used, limit) = (answer.data.whole(used), answer.data.whole(limit));
            if limit > 0 && used as f64 > limit as f64 * survey.threshold(what) / 100.0 {
                findings.add(format!("{} {what} usage: {} of {}", answer.server, ibytes(used), ibytes(limit)));
            }
        }
    }
    Ok(findings.or(Outcome::Warn))
}

fn domains(survey: &Survey<'_>, findings: &mut Findings) -> Result<Outcome> {
    for answer in survey.answered(Kind::JetStream)? {
        let domain = answer.data.text("config.domain");
        if domain.contains(char::is_whitespace) {
            findings.add(format!("Cluster {} Server {} Domain {domain}", answer.cluster, answer.server));
        }
    }
    Ok(findings.or(Outcome::Warn))
}

fn authentication(survey: &Survey<'_>, findings: &mut Findings) -> Result<Outcome> {
    for answer in survey.answered(Kind::Variables)? {
        if !answer.data.flag("auth_required") {
            findings.add(format!("{}: authentication not required", answer.server));
        }
    }
    Ok(findings.or(Outcome::Warn))
}

fn certificates(survey: &Survey<'_>, findings: &mut Findings) -> Result<Outcome> {
    let (warning, critical) = (survey.threshold("tls_expire_warning"), survey.threshold("tls_expire_critical"));
    let (mut seen, mut is_critical) = (false, false);
    for answer in survey.answered(Kind::Variables)? {
        let Some(now) = answer.data.time("now") else { continue };
        for (part, path) in CERTIFICATES {
            let Some(until) = answer.data.time(path) else { continue };
            seen = true;
            let left = (until.as_second() - now.as_second()) as f64;
            let at = format!("{}/{} {part} TLS certificate", answer.cluster, answer.server);
            if left <= 0.0 {
                findings.add(format!("{at} expired (expired_at={until})"));
            } else if left <= warning * DAY_SECONDS {
                let span = humanize(Duration::from_secs_f64(left));
                findings.add(format!("{at} expires in {span} (expires_at={until})"));
            }
            is_critical |= left <= critical * DAY_SECONDS;
        }
    }
    Ok(match (seen, is_critical) {
        (false, _) => Outcome::Skip,
        (true, true) => Outcome::Fail,
        (true, false) => findings.or(Outcome::Warn),
    })
}
