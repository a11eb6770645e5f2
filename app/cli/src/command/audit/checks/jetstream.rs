//! Checks of streams and consumers.

use anyhow::Result;
use jiff::Timestamp;
use serde_json::Value;

use super::{Check, Findings, Outcome, Survey, Threshold};
use crate::archive::METADATA;
use crate::command::dig::Dig;
use crate::command::server::check::{consumer_by_metadata, stream_by_metadata};

pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "JETSTREAM_001",
        suite: "jetstream",
        name: "Stream Lagging Replicas",
        description: "All replicas of a stream are keeping up",
        thresholds: &[Threshold {
            key: "last_seq",
            description: "How far a replica may be behind the highest known last sequence",
            value: 10.0,
            unit: "%",
        }],
        run: lagging,
    },
    Check {
        code: "JETSTREAM_002",
        suite: "jetstream",
        name: "Stream High Cardinality",
        description: "Streams unique subjects do not exceed a given threshold",
        thresholds: &[Threshold {
            key: "subjects",
            description: "Alerting threshold for unique subjects in a stream",
            value: 1_000_000.0,
            unit: "int",
        }],
        run: subjects,
    },
    Check {
        code: "JETSTREAM_003",
        suite: "jetstream",
        name: "Stream Limits",
        description: "Stream usage is below the configured limits",
        thresholds: &[
            Threshold { key: "bytes", description: "Alert if size near configured limit", value: 90.0, unit: "%" },
            Threshold {
                key: "consumers",
                description: "Alert if consumer count near configured limit",
                value: 90.0,
                unit: "%",
            },
            Threshold {
                key: "messages",
                description: "Alert if messages near configured limit",
                value: 90.0,
                unit: "%",
            },
        ],
        run: limits,
    },
    Check {
        code: "JETSTREAM_004",
        suite: "jetstream",
        name: "Stream Metadata based monitoring",
        description: "Stream health using the 'nats server check stream' metadata",
        thresholds: &[],
        run: streams_by_metadata,
    },
    Check {
        code: "JETSTREAM_005",
        suite: "jetstream",
        name: "Consumer Metadata based monitoring",
        description: "Consumer health using the 'nats server check consumer' metadata",
        thresholds: &[],
        run: consumers_by_metadata,
    },
];

/// A replica of a stream: whose it is, where it is, and what its server says.
struct Replica<'a> {
    account: &'a str,
    stream: &'a str,
    server: &'a str,
    info: Value,
}

impl Replica<'_> {
    fn leads(&self, cluster: &Value) -> bool {
        cluster.is_null() || cluster.text("leader") == self.server
    }
}

/// All replicas, those of one stream together.
fn streams<'a>(survey: &'a Survey<'_>) -> Result<Vec<Vec<Replica<'a>>>> {
    let mut all = Vec::new();
    for account in survey.archive.accounts() {
        for stream in survey.archive.streams(account) {
            let mut replicas = Vec::new();
            for server in survey.archive.replicas(account, stream) {
                let pages = survey.archive.of_stream(account, stream, server)?;
                replicas.extend(pages.into_iter().map(|info| Replica { account, stream, server, info }));
            }
            all.push(replicas);
        }
    }
    Ok(all)
}

fn lagging(survey: &Survey<'_>, findings: &mut Findings) -> Result<Outcome> {
    let tolerated = survey.threshold("last_seq") / 100.0;
    for replicas in streams(survey)? {
        let last = |replica: &Replica<'_>| replica.info.whole("state.last_seq");
        let Some(first) = replicas.iter().max_by_key(|replica| last(replica)) else { continue };
        let least = (last(first) as f64 * (1.0 - tolerated)).floor() as u64;
        for behind in replicas.iter().filter(|replica| last(replica) < least) {
            let Replica { account, stream, server, .. } = behind;
            findings.add(format!(
                "{account}/{stream} server {server} lastSequence: {} is behind highest lastSequence: {} on server: {}",
                last(behind),
                last(first),
                first.server
            ));
        }
    }
    Ok(findings.or(Outcome::Fail))
}

fn subjects(survey: &Survey<'_>, findings: &mut Findings) -> Result<Outcome> {
    for Replica { account, stream, info, .. } in streams(survey)?.into_iter().flatten() {
        let subjects = info.whole("state.num_subjects");
        if subjects as f64 > survey.threshold("subjects") {
            findings.add(format!("{account}/{stream}: {subjects} subjects"));
        }
    }
    Ok(findings.or(Outcome::Warn))
}

/// What is limited: its threshold, its value, and its limit.
const LIMITED: [(&str, &str, &str); 3] = [
    ("messages", "state.messages", "config.max_msgs"),
    ("bytes", "state.bytes", "config.max_bytes"),
    ("consumers", "state.consumer_count", "config.max_consumers"),
];

fn limits(survey: &Survey<'_>, findings: &mut Findings) -> Result<Outcome> {
    for Replica { account, stream, server, info } in streams(survey)?.into_iter().flatten() {
        for (what, value, limit) in LIMITED {
            let (value, limit) = (info.signed(value), info.signed(limit));
            let percent = value as f64 * 100.0 / limit as f64;
            if limit > 0 && percent > survey.threshold(what) {
                findings.add(format!(
                    "stream {stream} (in {account} on {server}) using {percent:.1}% of {what} limit ({value}/{limit})"
                ));
            }
        }
    }
    Ok(findings.or(Outcome::Warn))
}

/// Notes faults; tells whether one is critical.
fn note(findings: &mut Findings, what: &str, (warnings, criticals): (Vec<String>, Vec<String>)) -> bool {
    warnings.iter().for_each(|text| findings.add(format!("WARNING: {what}: {text}")));
    criticals.iter().for_each(|text| findings.add(format!("CRITICAL: {what}: {text}")));
    !criticals.is_empty()
}

fn streams_by_metadata(survey: &Survey<'_>, findings: &mut Findings) -> Result<Outcome> {
    let mut is_critical = false;
    for replica in streams(survey)?.into_iter().flatten() {
        if replica.leads(replica.info.dig("cluster")) {
            let what = format!("stream {} in {}", replica.stream, replica.account);
            is_critical |= note(findings, &what, stream_by_metadata(&replica.info)?);
        }
    }
    Ok(if is_critical { Outcome::Fail } else { findings.or(Outcome::Warn) })
}

/// Ages are counted up to the time the archive was made.
fn consumers_by_metadata(survey: &Survey<'_>, findings: &mut Findings) -> Result<Outcome> {
    let made = survey.archive.special(METADATA).ok().and_then(|metadata| metadata.time("capture_timestamp"));
    let now = made.unwrap_or_else(Timestamp::now);
    let mut is_critical = false;
    for replica in streams(survey)?.into_iter().flatten() {
        for consumer in replica.info.list("consumer_detail") {
            if replica.leads(consumer.dig("cluster")) {
                let name = consumer.text("name");
                let what = format!("consumer {name} in stream {} in {}", replica.stream, replica.account);
                is_critical |= note(findings, &what, consumer_by_metadata(consumer, now)?);
            }
        }
    }
    Ok(if is_critical { Outcome::Fail } else { findings.or(Outcome::Warn) })
}
