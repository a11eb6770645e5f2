//! Checks of leaf nodes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::{Check, Findings, Outcome, Survey};
use crate::archive::Kind;
use crate::command::dig::Dig;

pub(super) const CHECKS: &[Check] = &[Check {
    code: "LEAF_001",
    suite: "leaf",
    name: "Whitespace in leafnode server names",
    description: "No Leafnode contains whitespace in its name",
    thresholds: &[],
    run: names,
}];

fn names(survey: &Survey<'_>, findings: &mut Findings) -> Result<Outcome> {
    let mut clusters: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for answer in survey.answered(Kind::Leafs)? {
        let names = answer.data.list("leafs").iter().map(|leaf| leaf.text("name"));
        let spaced = names.filter(|name| name.contains(char::is_whitespace)).map(str::to_owned);
        clusters.entry(answer.cluster).or_default().extend(spaced);
    }
    for (cluster, names) in clusters.iter().filter(|(_, names)| !names.is_empty()) {
        findings.add(format!("Cluster {cluster}: {names:?}"));
    }
    Ok(findings.or(Outcome::Fail))
}
