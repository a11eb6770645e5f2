//! Checks of the group that leads JetStream.

use std::collections::BTreeMap;

use anyhow::Result;

use super::{Check, Findings, Outcome, Survey};
use crate::archive::Kind;
use crate::command::dig::Dig;

pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "META_001",
        suite: "meta",
        name: "Meta cluster offline replicas",
        description: "All nodes part of the meta group are online",
        thresholds: &[],
        run: offline,
    },
    Check {
        code: "META_002",
        suite: "meta",
        name: "Meta cluster leader",
        description: "All nodes part of the meta group agree on the meta cluster leader",
        thresholds: &[],
        run: leader,
    },
];

fn offline(survey: &Survey<'_>, findings: &mut Findings) -> Result<Outcome> {
    for answer in survey.answered(Kind::JetStream)? {
        for peer in answer.data.list("meta_cluster.replicas").iter().filter(|peer| peer.flag("offline")) {
            findings.add(format!(
                "{} - {} reports peer {} as offline",
                answer.cluster,
                answer.server,
                peer.text("name")
            ));
        }
    }
    Ok(findings.or(Outcome::Fail))
}

fn leader(survey: &Survey<'_>, findings: &mut Findings) -> Result<Outcome> {
    let mut clusters: BTreeMap<&str, BTreeMap<String, Vec<&str>>> = BTreeMap::new();
    let answers = survey.answered(Kind::JetStream)?;
    for answer in answers.iter().filter(|answer| answer.data.has("meta_cluster") && !answer.data.flag("disabled")) {
        let leader = answer.data.text("meta_cluster.leader").to_owned();
        let followers = clusters.entry(answer.cluster).or_default().entry(leader).or_default();
        // A server may have answered in several pages.
        if followers.last() != Some(&answer.server) {
            followers.push(answer.server);
        }
    }
    for (cluster, leaders) in clusters {
        if leaders.contains_key("") {
            findings.add(format!("Members of {cluster} have no meta leader"));
        } else if leaders.len() > 1 {
            findings.add(format!("Members of {cluster} disagree on meta leader ({leaders:?})"));
        }
    }
    Ok(findings.or(Outcome::Fail))
}
