//! Checks of clusters: whether their servers are alike.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::Value;

use super::{Check, Findings, Outcome, Survey, Threshold};
use crate::archive::Kind;
use crate::command::dig::Dig;
use crate::show::ibytes;

pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "CLUSTER_001",
        suite: "cluster",
        name: "Cluster Memory Usage Outliers",
        description: "Memory usage is uniform across nodes in a cluster",
        thresholds: &[Threshold {
            key: "memory",
            description: "Threshold of memory usage above average",
            value: 1.5,
            unit: "",
        }],
        run: memory,
    },
    Check {
        code: "CLUSTER_002",
        suite: "cluster",
        name: "Cluster Uniform Gateways",
        description: "All nodes in a cluster share the same gateways configuration",
        thresholds: &[],
        run: gateways,
    },
    Check {
        code: "CLUSTER_003",
        suite: "cluster",
        name: "Cluster High HA Assets",
        description: "Number of HA assets is below a given threshold",
        thresholds: &[Threshold {
            key: "assets",
            description: "Number of HA assets per server",
            value: 1000.0,
            unit: "uint",
        }],
        run: assets,
    },
    Check {
        code: "CLUSTER_004",
        suite: "cluster",
        name: "Whitespace in cluster name",
        description: "No cluster name contains whitespace",
        thresholds: &[],
        run: names,
    },
];

fn memory(survey: &Survey<'_>, findings: &mut Findings) -> Result<Outcome> {
    let mut clusters: BTreeMap<&str, Vec<(&str, f64)>> = BTreeMap::new();
    let answers = survey.answered(Kind::Variables)?;
    for answer in &answers {
        clusters.entry(answer.cluster).or_default().push((answer.server, answer.data.number("mem")));
    }
    for (cluster, servers) in clusters {
        let mean = servers.iter().map(|(_, used)| used).sum::<f64>() / servers.len().max(1) as f64;
        for (server, used) in servers.iter().filter(|(_, used)| *used > mean * survey.threshold("memory")) {
            let (mean, used) = (ibytes(mean as u64), ibytes(*used as u64));
            findings.add(format!("Cluster {cluster} avg: {mean}, server {server}: {used}"));
        }
    }
    Ok(findings.or(Outcome::Warn))
}

/// Names of the clusters to which gateways were configured, in one direction.
fn configured(data: &Value, direction: &str) -> Vec<String> {
    let is_configured = |gateway: &Value| match gateway {
        Value::Array(several) => several.iter().any(|one| one.flag("configured")),
        one => one.flag("configured"),
    };
    let gateways = data.dig(direction).as_object().into_iter().flatten();
    let mut names: Vec<String> =
        gateways.filter(|(_, gateway)| is_configured(gateway)).map(|(name, _)| name.clone()).collect();
    names.sort();
    names
}

fn gateways(survey: &Survey<'_>, findings: &mut Findings) -> Result<Outcome> {
    let answers = survey.answered(Kind::Gateways)?;
    for (label, direction) in [("inbound", "inbound_gateways"), ("outbound", "outbound_gateways")] {
        let mut before: Option<(&str, &str, Vec<String>)> = None;
        for answer in &answers {
            let names = configured(&answer.data, direction);
            if let Some((cluster, server, others)) = before.filter(|(cluster, ..)| *cluster == answer.cluster)
                && others != names
            {
                findings.add(format!(
                    "Cluster {cluster}, {label} gateways server {}: {names:?} != server {server}: {others:?}",
                    answer.server
                ));
            }
            before = Some((answer.cluster, answer.server, names));
        }
    }
    Ok(findings.or(Outcome::Fail))
}

fn assets(survey: &Survey<'_>, findings: &mut Findings) -> Result<Outcome> {
    for answer in survey.answered(Kind::JetStream)? {
        let assets = answer.data.whole("ha_assets");
        if assets as f64 > survey.threshold("assets") {
            findings.add(format!("{}: {assets} HA assets", answer.server));
        }
    }
    Ok(findings.or(Outcome::Warn))
}

fn names(survey: &Survey<'_>, findings: &mut Findings) -> Result<Outcome> {
    let clusters = survey.archive.clusters();
    for cluster in clusters.iter().filter(|cluster| cluster.contains(char::is_whitespace)) {
        findings.add(format!("Cluster: {cluster}"));
    }
    Ok(findings.or(Outcome::Fail))
}
