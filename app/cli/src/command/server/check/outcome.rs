//! What a check found, and its four looks.

use std::fmt::Write;

use anyhow::Result;
use serde::Serialize;

use crate::show::{Table, commaf_digits};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Status {
    Ok,
    Warning,
    Critical,
}

impl Status {
    pub(crate) const fn code(self) -> u8 {
        self as u8
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
        }
    }
}

/// A measured value with the thresholds it was held against; 0 means none.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Metric {
    #[serde(skip)]
    pub(crate) help: &'static str,
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) warning: f64,
    pub(crate) critical: f64,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) unit: &'static str,
}

/// What a check found.
pub(crate) struct Outcome {
    name: String,
    suite: &'static str,
    oks: Vec<String>,
    warnings: Vec<String>,
    criticals: Vec<String>,
    metrics: Vec<Metric>,
}

#[derive(Serialize)]
struct Report<'a> {
    status: Status,
    check_suite: &'a str,
    check_name: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warning: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    critical: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    ok: &'a [String],
    perf_data: &'a [Metric],
}

impl Outcome {
    pub(crate) fn new(name: impl Into<String>, suite: &'static str) -> Self {
        let (oks, warnings, criticals, metrics) = Default::default();
        Self { name: name.into(), suite, oks, warnings, criticals, metrics }
    }

    pub(crate) fn ok(&mut self, text: impl Into<String>) {
        self.oks.push(text.into());
    }

    pub(crate) fn ok_if_fine(&mut self, text: &str) {
        if self.status() == Status::Ok {
            self.ok(text);
        }
    }

    pub(crate) fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(text.into());
    }

    pub(crate) fn critical(&mut self, text: impl Into<String>) {
        self.criticals.push(text.into());
    }

    pub(crate) fn metric(&mut self, metric: Metric) {
        self.metrics.push(metric);
    }

    /// Critical when any are bad, fine when none are.
    pub(crate) fn all_fine(&mut self, bad: usize, trouble: String, fine: String) {
        if bad > 0 { self.critical(trouble) } else { self.ok(fine) }
    }

    /// What was asked for, or nothing after it has been filed why it is missing.
    pub(crate) fn needs<T>(&mut self, result: Result<T>, what: &str) -> Option<T> {
        result.map_err(|error| self.critical(format!("{what}: {error:#}"))).ok()
    }

    /// What is worth a warning, and what is critical.
    pub(crate) fn faults(self) -> (Vec<String>, Vec<String>) {
        (self.warnings, self.criticals)
    }

    pub(crate) const fn status(&self) -> Status {
        if !self.criticals.is_empty() {
            Status::Critical
        } else if !self.warnings.is_empty() {
            Status::Warning
        } else {
            Status::Ok
        }
    }

    /// `STATUS NAME Crit:a Warn:b OK:c | metric=value`
    pub(crate) fn nagios(&self) -> String {
        let mut text = format!("{} {}", self.status().name(), self.name);
        for (label, messages) in [("Crit", &self.criticals), ("Warn", &self.warnings), ("OK", &self.oks)] {
            for message in messages {
                let _ = write!(text, " {label}:{message}");
            }
        }
        if !self.metrics.is_empty() {
            let metrics: Vec<_> = self.metrics.iter().map(Metric::nagios).collect();
            let _ = write!(text, " | {}", metrics.join(" "));
        }
        text
    }

    pub(crate) fn json(&self) -> Result<String> {
        let report = Report {
            status: self.status(),
            check_suite: self.suite,
            check_name: &self.name,
            warning: &self.warnings,
            critical: &self.criticals,
            ok: &self.oks,
            perf_data: &self.metrics,
        };
        Ok(serde_json::to_string_pretty(&report)?)
    }

    /// One gauge for each metric, in the order of their names, and one for the status.
    pub(crate) fn prometheus(&self, namespace: &str) -> String {
        let item = self.name.replace('"', ".").replace('\\', "\\\\").replace('\n', "\\n");
        let prefix =
            [namespace, self.suite].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("_");
        let mut gauges: Vec<(String, String, String)> = self
            .metrics
            .iter()
            .map(|metric| {
                let name = format!("{prefix}_{}", metric.name);
                let sample = format!("{name}{{item=\"{item}\"}} {}", metric.value);
                (name, metric.help.to_owned(), sample)
            })
            .collect();
        let name = format!("{prefix}_status_code");
        let status = self.status();
        let sample = format!("{name}{{item=\"{item}\",status=\"{}\"}} {}", status.name(), status.code());
        gauges.push((name, format!("Nagios compatible status code for {}", self.suite), sample));
        gauges.sort();
        let mut text = String::new();
        for (name, help, sample) in gauges {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{sample}\n");
        }
        text
    }

    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}: {}\n\n", self.name, self.status().name());
        let mut details = Table::new("", &["Status", "Message"]);
        for (label, messages) in [("OK", &self.oks), ("Warning", &self.warnings), ("Critical", &self.criticals)] {
            for message in messages {
                details.line([label, message]);
            }
        }
        if !details.is_empty() {
            let _ = write!(text, "Status Detail\n\n{}\n", details.render());
        }
        let header = ["Metric", "Value", "Unit", "Critical Threshold", "Warning Threshold", "Description"];
        let mut metrics = Table::new("", &header);
        for metric in &self.metrics {
            let number = |value| commaf_digits(value, 3);
            metrics.row(vec![
                metric.name.clone(),
                number(metric.value),
                metric.unit.to_owned(),
                number(metric.critical),
                number(metric.warning),
                metric.help.to_owned(),
            ]);
        }
        if !metrics.is_empty() {
            let _ = write!(text, "\nCheck Metrics\n\n{}\n", metrics.render());
        }
        text
    }
}

impl Metric {
    /// A number that is held against nothing yet.
    pub(crate) fn count(name: &str, value: f64, help: &'static str) -> Self {
        Self { help, name: name.to_owned(), value, warning: 0.0, critical: 0.0, unit: "" }
    }

    pub(crate) fn limits(self, warning: f64, critical: f64) -> Self {
        Self { warning, critical, ..self }
    }

    pub(crate) fn unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    fn nagios(&self) -> String {
        let number = |value: f64| if self.unit == "s" { format!("{value:.4}") } else { format!("{value:.0}") };
        let name = if self.name.contains([' ', '\t']) { format!("'{}'", self.name) } else { self.name.clone() };
        let mut text = format!("{name}={}{}", number(self.value), self.unit);
        if self.warning != 0.0 {
            let _ = write!(text, ";{}", number(self.warning));
        } else if self.critical != 0.0 {
            text.push(';');
        }
        if self.critical != 0.0 {
            let _ = write!(text, ";{}", number(self.critical));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Outcome {
        let mut outcome = Outcome::new("Connection", "connections");
        outcome.ok("rtt time 1ms");
        outcome.warn("slow");
        outcome.metric(Metric {
            help: "The time",
            name: "rtt".into(),
            value: 0.0012,
            warning: 0.5,
            critical: 1.0,
            unit: "s",
        });
        outcome.metric(Metric { help: "", name: "a b".into(), value: 3.0, warning: 0.0, critical: 9.0, unit: "" });
        outcome
    }

    #[test]
    fn nagios_reads_one_line() {
        let wanted = "WARNING Connection Warn:slow OK:rtt time 1ms | rtt=0.0012s;0.5000;1.0000 'a b'=3;;9";
        assert_eq!(sample().nagios(), wanted);
    }

    #[test]
    fn prometheus_reads_gauges() {
        let text = sample().prometheus("nats_server_check");
        assert!(text.contains("# TYPE nats_server_check_connections_rtt gauge\nnats_server_check_connections_rtt{item=\"Connection\"} 0.0012\n"));
        assert!(text.contains("nats_server_check_connections_status_code{item=\"Connection\",status=\"WARNING\"} 1\n"));
    }

    #[test]
    fn programs_read_json() {
        let json: serde_json::Value = serde_json::from_str(&sample().json().unwrap()).unwrap();
        assert_eq!(json["status"], "WARNING");
        assert_eq!(json["warning"][0], "slow");
        assert_eq!(json["perf_data"][0]["critical"], 1.0);
        assert!(json.get("critical").is_none());
    }
}
