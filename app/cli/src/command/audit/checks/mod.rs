//! The checks of an archive, by suite. Codes and thresholds are those that people know.

mod accounts;
mod cluster;
mod jetstream;
mod leaf;
mod meta;
mod server;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use crate::archive::{Archive, Kind, METADATA};
use crate::command::audit::report::{Examples, Found, Outcome, Report};
use crate::show::{Table, cells, commaf, log, print_json};

/// List the checks
#[derive(Args, Debug)]
pub(super) struct Checks {
    /// Show JSON
    #[arg(long, short = 'j')]
    json: bool,
}

/// A check: what it is called, what it holds values against, and how it is done.
struct Check {
    code: &'static str,
    suite: &'static str,
    name: &'static str,
    description: &'static str,
    thresholds: &'static [Threshold],
    run: fn(&Survey<'_>, &mut Findings) -> Result<Outcome>,
}

/// A value that a check holds others against.
struct Threshold {
    key: &'static str,
    description: &'static str,
    value: f64,
    unit: &'static str,
}

/// All checks, in the order of their suites.
fn all() -> impl Iterator<Item = &'static Check> {
    [accounts::CHECKS, cluster::CHECKS, jetstream::CHECKS, leaf::CHECKS, meta::CHECKS, server::CHECKS]
        .into_iter()
        .flatten()
}

impl Check {
    fn json(&self) -> Value {
        let threshold = |threshold: &Threshold| {
            let value = json!({
                "key": threshold.key, "check": self.code, "description": threshold.description,
                "default": threshold.value, "unit": threshold.unit,
            });
            (threshold.key.to_owned(), value)
        };
        json!({
            "code": self.code, "suite": self.suite, "name": self.name, "description": self.description,
            "configuration": Value::Object(self.thresholds.iter().map(threshold).collect()),
        })
    }
}

impl Threshold {
    fn shown(&self) -> String {
        format!("{} ({}{})", self.key, commaf(self.value), if self.unit == "%" { "%" } else { "" })
    }
}

impl Checks {
    pub(super) fn run(&self) -> Result<()> {
        if self.json {
            return print_json(&all().map(Check::json).collect::<Vec<_>>());
        }
        let mut table = Table::new("Audit Checks", &["Suite", "Code", "Description", "Configuration"]);
        for check in all() {
            let thresholds: Vec<String> = check.thresholds.iter().map(Threshold::shown).collect();
            table.row(cells![check.suite, check.code, check.description, thresholds.join(", ")]);
        }
        table.print();
        Ok(())
    }
}

/// What a check works on.
struct Survey<'a> {
    archive: &'a Archive,
    check: &'a Check,
    is_verbose: bool,
}

/// A server, and what it answered.
struct Answered<'a> {
    cluster: &'a str,
    server: &'a str,
    data: Value,
}

impl Survey<'_> {
    fn threshold(&self, key: &str) -> f64 {
        let found = self.check.thresholds.iter().find(|threshold| threshold.key == key);
        found.map_or(0.0, |threshold| threshold.value)
    }

    /// What every server answered to one question. Servers that did not are told when details are wanted.
    fn answered(&self, kind: Kind) -> Result<Vec<Answered<'_>>> {
        let mut found = Vec::new();
        for cluster in self.archive.clusters() {
            for server in self.archive.servers(cluster) {
                let pages = self.archive.of_server(cluster, server, kind)?;
                if pages.is_empty() {
                    self.tell(&format!("Artifact {kind:?} is missing for server {server}"));
                }
                found.extend(pages.into_iter().map(|mut page| Answered { cluster, server, data: page["data"].take() }));
            }
        }
        Ok(found)
    }

    fn tell(&self, text: &str) {
        if self.is_verbose {
            log!("{}: {text}", self.check.code);
        }
    }
}

/// Examples of what is wrong, up to a limit.
struct Findings {
    limit: usize,
    examples: Examples,
}

impl Findings {
    fn add(&mut self, text: String) {
        if self.limit > 0 && self.examples.examples.len() >= self.limit {
            self.examples.left_out += 1;
        } else {
            self.examples.examples.push(text);
        }
    }

    fn is_empty(&self) -> bool {
        self.examples.examples.is_empty()
    }

    /// Everything is fine, or it ends like this.
    fn or(&self, outcome: Outcome) -> Outcome {
        if self.is_empty() { Outcome::Pass } else { outcome }
    }
}

/// Does all checks that are not left out.
pub(super) fn run_all(archive: &Archive, skip: &[String], limit: usize, is_verbose: bool) -> Result<Report> {
    let metadata = archive.special(METADATA).unwrap_or(Value::Null);
    let run = |check: &'static Check| {
        if skip.iter().any(|code| code.eq_ignore_ascii_case(check.code)) {
            return Found::new(check.json(), Outcome::Skip, Examples::default());
        }
        let mut findings = Findings { limit, examples: Examples::default() };
        let outcome = (check.run)(&Survey { archive, check, is_verbose }, &mut findings).unwrap_or_else(|error| {
            findings.examples.error = format!("{error:#}");
            Outcome::Skip
        });
        Found::new(check.json(), outcome, findings.examples)
    };
    Ok(Report::new(metadata, skip, all().map(run).collect()))
}

#[cfg(test)]
mod tests;
