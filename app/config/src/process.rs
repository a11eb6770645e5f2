//! Files about the process, its monitoring port, and how it says goodbye.

use std::path::PathBuf;
use std::time::Duration;

use conf::{Node, Place};
use moment::GoDuration;

use crate::go_text;
use crate::listener::{Port, read_listen, read_port};
use crate::report::Report;
use crate::support::Feature;

/// Files that tell other programs about this one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessFiles {
    /// Holds the process id.
    pub pid_file: Option<PathBuf>,
    /// Where the file with the ports is written.
    pub ports_file_dir: Option<PathBuf>,
}

/// The HTTP listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitoring {
    /// Where it binds; the client listener's host if absent.
    pub host: Option<String>,
    /// Plain HTTP; off if absent.
    pub http_port: Option<Port>,
    /// With the client listener's TLS; off if absent.
    pub https_port: Option<Port>,
    /// What every path begins with: `/`, or `/some/path` without a slash at its end.
    pub base_path: String,
    /// Visitors log in as users of the system account.
    pub login: bool,
}

impl Default for Monitoring {
    fn default() -> Self {
        Self { host: None, http_port: None, https_port: None, base_path: "/".to_owned(), login: false }
    }
}

/// Shutting down politely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LameDuck {
    /// How long all of it takes.
    pub duration: Duration,
    /// How long clients have to leave by themselves.
    pub grace_period: Duration,
}

impl Default for LameDuck {
    fn default() -> Self {
        Self { duration: Duration::from_secs(120), grace_period: Duration::from_secs(10) }
    }
}

pub(crate) const KEYS: &[&str] = &[
    "pid_file",
    "pidfile",
    "ports_file_dir",
    "http",
    "https",
    "http_port",
    "monitor_port",
    "https_port",
    "http_base_path",
    "http_login",
    "lame_duck_duration",
    "lame_duck_grace_period",
];

impl ProcessFiles {
    pub(crate) fn read(&mut self, key: &str, node: &Node, report: &mut Report<'_>) -> bool {
        match key {
            "pid_file" | "pidfile" => report.set_path(node, &mut self.pid_file),
            "ports_file_dir" => report.set_path(node, &mut self.ports_file_dir),
            _ => return false,
        }
        true
    }
}

impl Monitoring {
    pub(crate) fn read(&mut self, key: &str, node: &Node, report: &mut Report<'_>) -> bool {
        match key {
            "http" => {
                if let Some((host, port)) = read_listen(node, report) {
                    self.host = Some(host).filter(|host| !host.is_empty());
                    self.set_http(port, node, report);
                }
            }
            "https" => {
                if let Some((host, port)) = read_listen(node, report) {
                    self.host = Some(host).filter(|host| !host.is_empty());
                    self.set_https(port, node, report);
                }
            }
            "http_port" | "monitor_port" => {
                if let Some(port) = read_port(node, report) {
                    self.set_http(port, node, report);
                }
            }
            "https_port" => {
                if let Some(port) = read_port(node, report) {
                    self.set_https(port, node, report);
                }
            }
            "http_login" => report.set_bool(node, &mut self.login),
            "http_base_path" => {
                if let Some(path) = report.text(node) {
                    self.base_path = clean_path(path);
                }
            }
            _ => return false,
        }
        true
    }
}

impl Monitoring {
    fn set_http(&mut self, port: Option<Port>, node: &Node, report: &mut Report<'_>) {
        self.http_port = port;
        if port.is_some() {
            report.needs(Feature::Monitoring, &node.place);
        }
    }

    fn set_https(&mut self, port: Option<Port>, node: &Node, report: &mut Report<'_>) {
        self.https_port = port;
        if port.is_some() {
            report.needs(Feature::HttpsMonitoring, &node.place);
        }
    }
}

/// A rooted path without empty, `.` and `..` parts.
fn clean_path(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

impl LameDuck {
    pub(crate) fn read(&mut self, key: &str, node: &Node, report: &mut Report<'_>) -> bool {
        match key {
            "lame_duck_duration" => {
                let Some(duration) = parse(key, node, report) else {
                    return true;
                };
                match duration.to_std().filter(|duration| *duration >= Duration::from_secs(30)) {
                    Some(duration) => self.duration = duration,
                    None => {
                        let text = format!("invalid lame_duck_duration of {duration}, minimum is 30 seconds");
                        report.error(&node.place, text);
                    }
                }
            }
            "lame_duck_grace_period" => match parse(key, node, report).map(GoDuration::to_std) {
                // Zero asks for the default.
                Some(Some(Duration::ZERO)) => self.grace_period = Self::default().grace_period,
                Some(Some(period)) => self.grace_period = period,
                Some(None) => report.error(&node.place, "invalid lame_duck_grace_period, needs to be positive"),
                None => {}
            },
            _ => return false,
        }
        true
    }

    pub(crate) fn check(&self, report: &mut Report<'_>) {
        if self.grace_period >= self.duration {
            report.plain(format!(
                "lame duck grace period ({}) should be strictly lower than lame duck duration ({})",
                GoDuration::from(self.grace_period),
                GoDuration::from(self.duration)
            ));
        }
    }
}

fn parse(field: &str, node: &Node, report: &mut Report<'_>) -> Option<GoDuration> {
    if node.as_integer().is_some() {
        // Without quotes 2m is the number of two millions.
        let text = "interface conversion: interface {} is int64, not string";
        report.error_with(&node.place, text, "write a duration in quotes, such as \"2m\"");
        return None;
    }
    let text = report.text(node)?;
    let error = |place: &Place, error, report: &mut Report<'_>| {
        report.error(place, format!("error parsing {field}: {}", go_text::duration_error(error, text)));
    };
    text.parse().map_err(|wrong| error(&node.place, wrong, report)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_is_rooted_and_clean() {
        for (written, clean) in [("", "/"), ("nats", "/nats"), ("/a//b/./c/", "/a/b/c"), ("../a", "/a"), ("/", "/")] {
            assert_eq!(clean_path(written), clean, "{written}");
        }
    }
}
