//! What is logged, how and where.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use conf::Node;

use crate::report::Report;

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// `[pid] date time [LVL] text`.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// The log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logging {
    /// Debug lines.
    pub debug: bool,
    /// Protocol lines.
    pub trace: bool,
    /// Protocol lines of the system account too.
    pub trace_verbose: bool,
    /// Of messages only the headers.
    pub trace_headers: bool,
    /// Bytes of a payload that are shown; all if absent.
    pub max_traced_bytes: Option<NonZeroUsize>,
    /// Date and time on each line.
    pub time: bool,
    /// In UTC.
    pub utc: bool,
    /// Text or JSON.
    pub format: LogFormat,
    /// A file instead of standard error.
    pub file: Option<PathBuf>,
    /// The file is put aside when it has grown past this; never if zero.
    pub size_limit_bytes: u64,
    /// Files that are kept, the active one included; all if zero.
    pub files_max: usize,
    /// The system's log.
    pub syslog: bool,
    /// A remote system log.
    pub remote_syslog: Option<String>,
}

impl Default for Logging {
    fn default() -> Self {
        Self {
            debug: false,
            trace: false,
            trace_verbose: false,
            trace_headers: false,
            max_traced_bytes: None,
            time: true,
            utc: false,
            format: LogFormat::Text,
            file: None,
            size_limit_bytes: 0,
            files_max: 0,
            syslog: false,
            remote_syslog: None,
        }
    }
}

pub(crate) const KEYS: &[&str] = &[
    "debug",
    "trace",
    "trace_verbose",
    "trace_headers",
    "max_traced_msg_len",
    "logtime",
    "logtime_utc",
    "log_format",
    "log_file",
    "logfile",
    "log_size_limit",
    "logfile_size_limit",
    "log_max_num",
    "logfile_max_num",
    "syslog",
    "remote_syslog",
];

impl Logging {
    /// Reads one key; false when it is not one of ours.
    pub(crate) fn read(&mut self, key: &str, node: &Node, report: &mut Report<'_>) -> bool {
        match key {
            "debug" => report.set_bool(node, &mut self.debug),
            "trace" => report.set_bool(node, &mut self.trace),
            "trace_verbose" => {
                report.set_bool(node, &mut self.trace_verbose);
                self.trace = node.as_bool().unwrap_or(self.trace);
            }
            "trace_headers" => {
                report.set_bool(node, &mut self.trace_headers);
                self.trace = node.as_bool().unwrap_or(self.trace);
            }
            "max_traced_msg_len" => {
                if let Some(bytes) = report.integer(node) {
                    self.max_traced_bytes = usize::try_from(bytes).ok().and_then(NonZeroUsize::new);
                }
            }
            "logtime" => report.set_bool(node, &mut self.time),
            "logtime_utc" => report.set_bool(node, &mut self.utc),
            "log_format" => self.read_format(node, report),
            "log_file" | "logfile" => report.set_path(node, &mut self.file),
            "log_size_limit" | "logfile_size_limit" => {
                if let Some(bytes) = report.integer(node) {
                    self.size_limit_bytes = u64::try_from(bytes).unwrap_or(0);
                }
            }
            "log_max_num" | "logfile_max_num" => {
                if let Some(count) = report.integer(node) {
                    self.files_max = usize::try_from(count).unwrap_or(0);
                }
            }
            "syslog" => report.set_bool(node, &mut self.syslog),
            "remote_syslog" => report.set_optional_text(node, &mut self.remote_syslog),
            _ => return false,
        }
        true
    }

    fn read_format(&mut self, node: &Node, report: &mut Report<'_>) {
        match report.text(node) {
            Some("text") => self.format = LogFormat::Text,
            Some("json") => self.format = LogFormat::Json,
            Some(_) => report.error(&node.place, "log_format must be 'text' or 'json'"),
            None => {}
        }
    }
}
