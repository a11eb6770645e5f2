//! The `tracing` block: where hops of traced messages are sent. Bulwark's own; the reference has none.

use std::path::PathBuf;
use std::time::Duration;

use conf::Node;
use secret::Secret;

use crate::report::Report;

pub(crate) const KEYS: &[&str] =
    &["endpoint", "headers", "ca_file", "subjects", "interval", "timeout", "max_per_second"];

/// Spans leave at least this often.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);
/// A shorter interval is taken as this.
const INTERVAL_MIN: Duration = Duration::from_millis(50);
/// How long the collector may take.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// A longer time is taken as this: the server waits for it when it stops.
const TIMEOUT_MAX: Duration = Duration::from_secs(30);
/// Messages that are followed within a second.
const DEFAULT_PER_SECOND_MAX: usize = 1_000;
/// Headers that may be added.
const HEADERS_MAX: usize = 16;

/// Where hops of traced messages are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracing {
    /// The collector: `http://` or `https://`.
    pub endpoint: String,
    /// Headers of each request, for whoever lets only some in.
    pub headers: Vec<(String, Secret<String>)>,
    /// Whom the collector's certificate is trusted from; the roots of the system if absent.
    pub ca_file: Option<PathBuf>,
    /// Whether spans say subjects.
    pub subjects: bool,
    /// Spans leave at least this often.
    pub interval: Duration,
    /// How long the collector may take.
    pub timeout: Duration,
    /// Messages that are followed within a second; the others are counted.
    pub per_second_max: usize,
}

/// Reads the block.
pub(crate) fn read(node: &Node, report: &mut Report<'_>) -> Option<Tracing> {
    let map = report.map_or(node, "expected tracing to be a map/struct")?;
    let mut endpoint = None;
    let mut tracing = Tracing {
        endpoint: String::new(),
        headers: Vec::new(),
        ca_file: None,
        subjects: true,
        interval: DEFAULT_INTERVAL,
        timeout: DEFAULT_TIMEOUT,
        per_second_max: DEFAULT_PER_SECOND_MAX,
    };
    for (key, value) in map.iter() {
        match key.to_ascii_lowercase().as_str() {
            "endpoint" => endpoint = read_endpoint(value, report),
            "headers" => read_headers(value, &mut tracing.headers, report),
            "ca_file" => report.set_path(value, &mut tracing.ca_file),
            "subjects" => report.set_bool(value, &mut tracing.subjects),
            "interval" => {
                report.set_duration_or("interval", value, &mut tracing.interval, DEFAULT_INTERVAL);
                tracing.interval = tracing.interval.max(INTERVAL_MIN);
            }
            "timeout" => {
                report.set_duration_or("timeout", value, &mut tracing.timeout, DEFAULT_TIMEOUT);
                tracing.timeout = tracing.timeout.min(TIMEOUT_MAX);
            }
            "max_per_second" => {
                report.set_count("max_per_second", value, &mut tracing.per_second_max, DEFAULT_PER_SECOND_MAX);
            }
            _ => report.unknown(key, value, KEYS),
        }
    }
    if map.get("endpoint").is_none() {
        let remedy = "add endpoint: \"http://collector:4318\"";
        report.error_with(&node.place, "tracing has no endpoint to send to", remedy);
    }
    Some(Tracing { endpoint: endpoint?, ..tracing })
}

/// An address of the web, without a password in it.
fn read_endpoint(node: &Node, report: &mut Report<'_>) -> Option<String> {
    let text = report.text(node)?;
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let host = rest.map(|rest| rest.split('/').next().unwrap_or_default());
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    if host.is_none_or(|host| host.is_empty() || host.contains('@') || !has_port(host)) || !is_plain {
        let remedy = "http://HOST:PORT or https://HOST:PORT; what opens the collector's door belongs into headers";
        report.error_with(&node.place, "tracing's endpoint is no address of a collector", remedy);
        return None;
    }
    Some(text.to_owned())
}

/// A host alone, or with a number behind it.
fn has_port(host: &str) -> bool {
    match host.rsplit_once(':') {
        Some((_, port)) if !port.ends_with(']') => port.parse::<u16>().is_ok(),
        _ => true,
    }
}

fn read_headers(node: &Node, headers: &mut Vec<(String, Secret<String>)>, report: &mut Report<'_>) {
    let Some(map) = report.map_or(node, "expected tracing's headers to be a map/struct") else { return };
    for (name, value) in map.iter() {
        let mut secret = None;
        report.set_secret(value, &mut secret);
        let Some(secret) = secret else { continue };
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        let is_value = secret.expose().bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if !is_name || !is_value {
            report.error(&value.place, format!("tracing's header {name:?} can not be sent"));
        } else if headers.len() == HEADERS_MAX {
            return report.error(&value.place, format!("tracing has more than {HEADERS_MAX} headers"));
        } else {
            headers.push((name.to_owned(), secret));
        }
    }
}
