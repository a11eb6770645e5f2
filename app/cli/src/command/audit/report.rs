//! What checks of an archive found: as a page, as Markdown, as JSON that can be loaded again.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::command::dig::Dig;
use crate::show::{Columns, may_paint, outln, stdout_is_terminal};

const KIND: &str = "io.nats.audit.v1.analysis";

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    Pass,
    Warn,
    Fail,
    Skip,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Pass, Self::Warn, Self::Fail, Self::Skip];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
            Self::Skip => "SKIP",
        }
    }
}

/// What one check found.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Found {
    pub(super) check: Value,
    outcome: u8,
    pub(super) outcome_string: String,
    pub(super) examples: Examples,
}

/// What shows that something is wrong.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Examples {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) examples: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) error: String,
    #[serde(skip)]
    pub(super) left_out: usize,
}

impl Found {
    pub(super) fn new(check: Value, outcome: Outcome, examples: Examples) -> Self {
        Self { check, outcome: outcome as u8, outcome_string: outcome.name().to_owned(), examples }
    }
}

/// What all checks found.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Report {
    r#type: String,
    time: String,
    #[serde(default)]
    metadata: Value,
    #[serde(default)]
    skipped_checks: Vec<String>,
    #[serde(default)]
    skipped_suites: Vec<String>,
    checks: Vec<Found>,
    outcomes: BTreeMap<String, usize>,
}

impl Report {
    pub(super) fn new(metadata: Value, skipped: &[String], checks: Vec<Found>) -> Self {
        let mut outcomes: BTreeMap<String, usize> =
            Outcome::ALL.iter().map(|outcome| (outcome.name().to_owned(), 0)).collect();
        for found in &checks {
            *outcomes.entry(found.outcome_string.clone()).or_default() += 1;
        }
        let mut skipped_checks = skipped.to_vec();
        skipped_checks.sort();
        let time = jiff::Timestamp::now().to_string();
        Self { r#type: KIND.to_owned(), time, metadata, skipped_checks, skipped_suites: Vec::new(), checks, outcomes }
    }

    pub(super) fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).with_context(|| format!("could not read {}", path.display()))?;
        let report: Self =
            serde_json::from_slice(&text).with_context(|| format!("{} is not a report", path.display()))?;
        if report.r#type != KIND {
            bail!("unexpected analysis type {:?}", report.r#type);
        }
        Ok(report)
    }

    pub(super) fn print(&self, name: &str, limit: usize) {
        outln!("NATS Audit Report {name:?} captured at {}\n", self.metadata.text("capture_timestamp"));
        for found in &self.checks {
            let (code, description) = (found.check.text("code"), found.check.text("description"));
            outln!("[{}] [{code}] {description}", coloured(&found.outcome_string));
            if !found.examples.error.is_empty() {
                outln!("Error: {}", found.examples.error);
            }
            found.examples.print(limit);
        }
        outln!();
        self.summary().print();
    }

    fn summary(&self) -> Columns {
        let mut page = Columns::new("Report Summary");
        page.section("Archive Information")
            .row("Connection Server", self.metadata.text("connect_url"))
            .row("Server Version", self.metadata.text("connected_server_version"))
            .row("Creator", self.metadata.text("version"))
            .row("User", self.metadata.text("user_name"));
        page.section("Summary of Checks");
        for outcome in Outcome::ALL {
            page.row(outcome.name(), self.count(outcome));
        }
        page
    }

    fn count(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(outcome.name()).map_or(0, |count| *count as u64)
    }

    pub(super) fn markdown(&self, limit: usize) -> String {
        let mut text = format!("# NATS Audit Report produced {}\n\n## Connection Details\n\n", self.time);
        let of = |key: &str| self.metadata.text(key);
        let (url, user, at) = (of("connect_url"), of("user_name"), of("capture_timestamp"));
        let _ = write!(text, "Report of the archive that **{user}** made at **{at}** from **{url}**\n\n");
        let _ = write!(text, "## Report Summary\n\n|Status|Count|\n|------|-----|\n");
        for outcome in [Outcome::Fail, Outcome::Warn, Outcome::Pass, Outcome::Skip] {
            let _ = writeln!(text, "|{}|{}|", outcome.name(), self.count(outcome));
        }
        text.push_str("\n## Results\n");
        let mut suite = "";
        for found in &self.checks {
            if found.check.text("suite") != suite {
                suite = found.check.text("suite");
                let _ = write!(text, "\n### Check Suite: {suite}\n");
            }
            let (name, outcome) = (found.check.text("name"), &found.outcome_string);
            let _ = write!(text, "\n#### {name}\n\nOutcome: **{outcome}**\n{}", found.examples.markdown(limit));
        }
        text
    }
}

impl Examples {
    fn shown(&self, limit: usize) -> &[String] {
        let limit = if limit == 0 { self.examples.len() } else { limit };
        self.examples.get(..limit).unwrap_or(&self.examples)
    }

    fn print(&self, limit: usize) {
        let shown = self.shown(limit);
        shown.iter().for_each(|example| outln!(" - {example}"));
        let more = self.left_out + self.examples.len() - shown.len();
        if more > 0 {
            outln!(" - ... and {more} more ...");
        }
        if !shown.is_empty() {
            outln!();
        }
    }

    fn markdown(&self, limit: usize) -> String {
        let shown = self.shown(limit);
        if shown.is_empty() {
            return String::new();
        }
        let rows =
            shown.iter().enumerate().map(|(at, example)| format!("|{}|{}|\n", at + 1, example.replace('|', "\\|")));
        format!("\n|#|Example|\n|-|-------|\n{}", rows.collect::<String>())
    }
}

fn coloured(outcome: &str) -> String {
    let code = match outcome {
        _ if !stdout_is_terminal() || !may_paint() => return outcome.to_owned(),
        "PASS" => 32,
        "WARN" => 33,
        "FAIL" => 31,
        _ => return outcome.to_owned(),
    };
    format!("\x1b[{code}m{outcome}\x1b[0m")
}
