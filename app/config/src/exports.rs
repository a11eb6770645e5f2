//! `exports` of an account: what it offers to others.

use std::time::Duration;

use account::{Access, AccountName, DEFAULT_RESPONSE_THRESHOLD, ServiceExport, StreamExport};
pub use account::{Latency, LatencySampling, ResponseType};
use auth::settings::ExportSettings;
use conf::{Map, Node, Place, Value};
use moment::GoDuration;

use crate::go_text::quoted;
use crate::report::{Report, lowered};

/// What is exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportKind {
    /// Messages of the account.
    Stream,
    /// An endpoint of the account.
    Service {
        /// How it answers.
        response: ResponseType,
        /// How long an answer may take; two minutes if absent.
        threshold: Option<Duration>,
        /// Whether latencies are published.
        latency: Option<Latency>,
        /// A trace may follow requests into the account.
        allow_trace: bool,
    },
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// What kind.
    pub kind: ExportKind,
    /// The subjects.
    pub subject: String,
    /// Who may import; everybody if absent.
    pub accounts: Option<Vec<String>>,
    /// Which token of the subject must be the importing account, counted from one; none if zero.
    pub account_token_position: u32,
    /// Where it is written.
    pub place: Place,
}

impl Export {
    /// Whether it is a stream.
    pub const fn is_stream(&self) -> bool {
        matches!(self.kind, ExportKind::Stream)
    }
}

impl Export {
    /// The same for the room that compiles it. Nothing if its subject is none.
    pub(crate) fn settings(&self) -> Option<ExportSettings> {
        let subject = self.subject.parse().ok()?;
        let named = |names: &Vec<String>| names.iter().filter_map(|name| AccountName::parse(name).ok()).collect();
        let access = match (self.account_token_position, &self.accounts) {
            (0, None) => Access::Public,
            (0, Some(names)) => Access::Approved(named(names)),
            (position, _) => Access::Position(position),
        };
        Some(match &self.kind {
            ExportKind::Stream => ExportSettings::Stream(StreamExport { subject, access }),
            ExportKind::Service { response, threshold, latency, allow_trace } => {
                let threshold = threshold.unwrap_or(DEFAULT_RESPONSE_THRESHOLD);
                let (response, latency, allow_trace) = (*response, latency.clone(), *allow_trace);
                ExportSettings::Service(ServiceExport { subject, access, response, threshold, latency, allow_trace })
            }
        })
    }
}

pub(crate) const KEYS: &[&str] = &[
    "stream",
    "service",
    "accounts",
    "response",
    "response_type",
    "threshold",
    "response_threshold",
    "response_max_time",
    "response_time",
    "latency",
    "account_token_position",
    "allow_trace",
];

/// Reads the array.
pub(crate) fn read(node: &Node, report: &mut Report<'_>) -> Vec<Export> {
    let Some(elements) = report.array_or(node, "Exports should be an array") else {
        return Vec::new();
    };
    let mut exports = Vec::with_capacity(elements.len());
    for element in elements {
        if let Some(map) = report.map_or(element, "Export Items should be a map with type entry") {
            exports.extend(read_entry(element, map, report));
        }
    }
    exports
}

#[derive(Default)]
struct Draft<'n> {
    stream: Option<(&'n Node, String)>,
    service: Option<(&'n Node, String)>,
    accounts: Vec<String>,
    response: Option<(&'n Node, ResponseType)>,
    threshold: Option<(&'n Node, Duration)>,
    latency: Option<(&'n Node, Latency)>,
    allow_trace: Option<(&'n Node, bool)>,
    account_token_position: u32,
}

fn read_entry(node: &Node, map: &Map, report: &mut Report<'_>) -> Option<Export> {
    let before = report.errors.len();
    let mut draft = Draft::default();
    for (key, value) in map.iter() {
        draft.read(key, value, report);
    }
    if report.errors.len() > before {
        return None;
    }
    let export = draft.finish(node, report);
    export.filter(|_| report.errors.len() == before)
}

impl<'n> Draft<'n> {
    fn read(&mut self, key: &str, node: &'n Node, report: &mut Report<'_>) {
        match &*lowered(key) {
            "stream" => self.stream = name("stream", node, report).map(|subject| (node, subject)),
            "service" => self.service = name("service", node, report).map(|subject| (node, subject)),
            "accounts" => self.accounts = report.string_array(node).unwrap_or_default(),
            "response" | "response_type" => {
                if self.response.is_some() {
                    return report.error(&node.place, "Duplicate response type definition");
                }
                self.response = read_response(node, report).map(|response| (node, response));
            }
            "threshold" | "response_threshold" | "response_max_time" | "response_time" => {
                if self.threshold.is_some() {
                    return report.error(&node.place, "Duplicate response threshold detected");
                }
                self.threshold = read_threshold(node, report).map(|threshold| (node, threshold));
            }
            "latency" => self.latency = read_latency(node, report).map(|latency| (node, latency)),
            "account_token_position" => {
                if let Some(position) = report.integer(node) {
                    match u32::try_from(position) {
                        Ok(position) => self.account_token_position = position,
                        Err(_) => report.error(&node.place, "account_token_position can not be negative"),
                    }
                }
            }
            "allow_trace" => self.allow_trace = report.boolean(node).map(|allowed| (node, allowed)),
            _ => report.unknown(key, node, KEYS),
        }
    }

    fn finish(self, node: &Node, report: &mut Report<'_>) -> Option<Export> {
        let (kind, subject) = match (&self.stream, &self.service) {
            (Some((node, subject)), Some(_)) => {
                let text = format!("Detected stream {} but already saw a service", quoted(subject));
                report.error(&node.place, text);
                return None;
            }
            (Some((_, subject)), None) => {
                self.check_stream(report);
                (ExportKind::Stream, subject.clone())
            }
            (None, Some((_, subject))) => (self.service(), subject.clone()),
            (None, None) => {
                report.error(&node.place, "Export Items should be a map with type entry");
                return None;
            }
        };
        let accounts = Some(self.accounts).filter(|accounts| !accounts.is_empty());
        let account_token_position = self.account_token_position;
        Some(Export { kind, subject, accounts, account_token_position, place: node.place.clone() })
    }

    fn service(&self) -> ExportKind {
        ExportKind::Service {
            response: self.response.map(|(_, response)| response).unwrap_or_default(),
            threshold: self.threshold.map(|(_, threshold)| threshold).filter(|threshold| !threshold.is_zero()),
            latency: self.latency.as_ref().map(|(_, latency)| latency.clone()),
            allow_trace: self.allow_trace.is_some_and(|(_, allowed)| allowed),
        }
    }

    fn check_stream(&self, report: &mut Report<'_>) {
        let response = self.response.map(|(node, _)| node).or(self.threshold.map(|(node, _)| node));
        let latency = self.latency.as_ref().map(|(node, _)| *node);
        let allow_trace = self.allow_trace.map(|(node, _)| node);
        for (node, what) in [(response, "response"), (latency, "latency"), (allow_trace, "allow_trace")] {
            if let Some(node) = node {
                report.error(&node.place, format!("Detected {what} directive on non-service"));
            }
        }
    }
}

fn name(what: &str, node: &Node, report: &mut Report<'_>) -> Option<String> {
    if node.as_str().is_none() {
        let kind = node.kind().go_type();
        report.error(&node.place, format!("Expected {what} name to be string, got {kind}"));
    }
    node.as_str().map(str::to_owned)
}

fn read_response(node: &Node, report: &mut Report<'_>) -> Option<ResponseType> {
    let Some(word) = node.as_str() else {
        let kind = node.kind().go_type();
        report.error(&node.place, format!("Expected response type to be string, got {kind}"));
        return None;
    };
    match word.to_ascii_lowercase().as_str() {
        "single" | "singleton" => Some(ResponseType::Singleton),
        "stream" => Some(ResponseType::Stream),
        "chunk" | "chunked" => Some(ResponseType::Chunked),
        _ => {
            report.error(&node.place, format!("Unknown response type: {}", quoted(word)));
            None
        }
    }
}

fn read_threshold(node: &Node, report: &mut Report<'_>) -> Option<Duration> {
    let sentence = "Expected response threshold to be a parseable time duration, got";
    let Some(text) = node.as_str() else {
        report.error(&node.place, format!("{sentence} {}", node.kind().go_type()));
        return None;
    };
    let threshold = text.parse::<GoDuration>().ok().and_then(GoDuration::to_std);
    if threshold.is_none() {
        report.error(&node.place, format!("{sentence} {}", quoted(text)));
    }
    threshold
}

fn read_latency(node: &Node, report: &mut Report<'_>) -> Option<Latency> {
    let map = match &node.value {
        Value::String(subject) => {
            let subject = subject.as_str().to_owned();
            return Some(Latency { sampling: LatencySampling::Percent(100), subject });
        }
        Value::Map(map) => map,
        _ => {
            let kind = node.kind().go_type();
            let text = format!("Expected latency entry to be a map/struct or string, got {kind}");
            report.error(&node.place, text);
            return None;
        }
    };
    let (mut sampling, mut subject) = (LatencySampling::Percent(100), None);
    for (key, value) in map.iter() {
        match key {
            "sampling" => sampling = read_sampling(value, report)?,
            "subject" => match value.as_str() {
                Some(text) => subject = Some(text.to_owned()),
                None => {
                    let kind = value.kind().go_type();
                    let text = format!("Expected latency subject to be a string, got {kind}");
                    report.error(&value.place, text);
                    return None;
                }
            },
            _ => report.unknown(key, value, &["sampling", "subject"]),
        }
    }
    if subject.is_none() {
        report.error(&node.place, "Latency subject required, but missing");
    }
    Some(Latency { sampling, subject: subject? })
}

fn read_sampling(node: &Node, report: &mut Report<'_>) -> Option<LatencySampling> {
    let percent = match &node.value {
        Value::Integer(percent) => Ok(*percent),
        Value::String(text) if text.as_str().trim().eq_ignore_ascii_case("headers") => {
            return Some(LatencySampling::Headers);
        }
        Value::String(text) => text.as_str().trim_end_matches('%').parse().map_err(|_| {
            let digits = quoted(text.as_str().trim_end_matches('%'));
            format!("Failed to parse latency sample: strconv.Atoi: parsing {digits}: invalid syntax")
        }),
        _ => {
            let kind = node.kind().go_type();
            Err(format!("Expected latency sample to be a string or map/struct, got {kind}"))
        }
    };
    let checked = percent.and_then(|percent: i64| match u8::try_from(percent) {
        Ok(percent @ 1..=100) => Ok(LatencySampling::Percent(percent)),
        _ => Err("bad sampling percentage, should be 1-100".to_owned()),
    });
    checked.map_err(|why| report.error(&node.place, why)).ok()
}
