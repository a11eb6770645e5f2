//! What is wrong with claims whose form is right.

use std::fmt;

use crate::common::{Common, Subject, UnixSeconds};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The claim must not be used.
    Blocking,
    /// The claim must not be used now.
    Time,
    /// Works, and should be changed.
    Warning,
}

/// One thing that is wrong, as a sentence for whoever signs claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// How bad it is.
    pub severity: Severity,
    /// What it is.
    pub text: String,
}

/// Everything that is wrong with a claim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Issues(Vec<Issue>);

/// Enough for a person to see what is wrong; a stranger's claim must not fill the log.
const MAX_ISSUES: usize = 64;

impl Issues {
    pub(crate) fn block(&mut self, text: impl fmt::Display) {
        self.add(Severity::Blocking, text);
    }

    pub(crate) fn warn(&mut self, text: impl fmt::Display) {
        self.add(Severity::Warning, text);
    }

    fn add(&mut self, severity: Severity, text: impl fmt::Display) {
        // A blocking issue always finds a place: without it the claim would pass.
        let decides = severity == Severity::Blocking && !self.is_blocking();
        if decides || self.0.len() < MAX_ISSUES {
            self.0.push(Issue { severity, text: text.to_string() });
        }
    }

    pub(crate) fn check_time<S: Subject>(&mut self, common: &Common<S>, now: UnixSeconds) {
        if common.is_expired(now) {
            self.add(Severity::Time, "claim is expired");
        }
        if common.is_early(now) {
            self.add(Severity::Time, "claim is not yet valid");
        }
    }

    /// Whether the claim must never be used as it is.
    pub fn is_blocking(&self) -> bool {
        self.0.iter().any(|issue| issue.severity == Severity::Blocking)
    }

    /// Whether the claim must not be used now.
    pub fn is_blocking_now(&self) -> bool {
        self.0.iter().any(|issue| issue.severity != Severity::Warning)
    }

    /// Nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Issue> {
        self.0.iter()
    }

    /// The blocking ones, as they go into an answer: `[one two]`.
    pub fn blocking(&self) -> String {
        let texts = self.0.iter().filter(|issue| issue.severity == Severity::Blocking);
        let texts: Vec<&str> = texts.map(|issue| issue.text.as_str()).collect();
        format!("[{}]", texts.join(" "))
    }
}
