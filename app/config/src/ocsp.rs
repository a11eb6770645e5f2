//! `ocsp` (our own staple), `ocsp_cache` (answers about peers) and `ocsp_peer` (asking about peers).

use std::path::PathBuf;
use std::time::Duration;

use conf::{Node, Value};
use moment::GoDuration;
use tls::OcspPeer;

use crate::go_text::quoted;
use crate::report::Report;

/// When the server staples an answer about its own certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StapleMode {
    /// If the certificate asks for it.
    Auto,
    /// Always; without an answer the server does not run.
    Always,
    /// If the certificate asks for it; when it is revoked the server stops.
    Must,
    /// Never.
    Never,
}

/// The `ocsp` option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staple {
    /// When.
    pub mode: StapleMode,
    /// Responders to ask instead of the ones in the certificate.
    pub urls: Vec<String>,
}

/// The `ocsp_cache` option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Whether answers are kept in files.
    pub is_local: bool,
    /// Where.
    pub folder: PathBuf,
    /// A revoked answer stays, even when it is old.
    pub preserve_revoked: bool,
    /// How often the files are written.
    pub save_interval: Duration,
}

impl Default for Cache {
    fn default() -> Self {
        Self { is_local: true, folder: "_rc_".into(), preserve_revoked: false, save_interval: Duration::from_secs(300) }
    }
}

/// Reads `ocsp`.
pub(crate) fn read_staple(node: &Node, report: &mut Report<'_>) -> Option<Staple> {
    let mut staple = Staple { mode: StapleMode::Auto, urls: Vec::new() };
    match &node.value {
        Value::Bool(true) => {}
        Value::Bool(false) => staple.mode = StapleMode::Never,
        Value::Map(map) => {
            for (key, value) in map.iter() {
                match key {
                    "mode" => read_mode(value, &mut staple.mode, report),
                    "urls" | "url" => staple.urls = report.strings("ocsp config", value)?,
                    _ => report.unknown_as(
                        key,
                        value,
                        &["mode", "urls", "url"],
                        format!("error parsing ocsp config: unsupported field {}", quoted(key)),
                    ),
                }
            }
        }
        _ => {
            let kind = node.kind().go_type();
            report.error(&node.place, format!("error parsing ocsp config: unsupported type {kind}"));
            return None;
        }
    }
    Some(staple)
}

fn read_mode(node: &Node, mode: &mut StapleMode, report: &mut Report<'_>) {
    let Some(word) = report.text(node) else {
        return;
    };
    *mode = match word.to_ascii_lowercase().as_str() {
        "auto" => StapleMode::Auto,
        "always" => StapleMode::Always,
        "must" => StapleMode::Must,
        "never" => StapleMode::Never,
        _ => {
            let text = format!("error parsing ocsp config: unsupported ocsp mode {}", quoted(word));
            return report.error_with(&node.place, text, "write auto, always, must or never");
        }
    };
}

/// Reads `ocsp_cache`.
pub(crate) fn read_cache(node: &Node, report: &mut Report<'_>) -> Option<Cache> {
    let mut cache = Cache::default();
    match &node.value {
        Value::Bool(truth) => cache.is_local = *truth,
        Value::Map(map) => {
            for (key, value) in map.iter() {
                read_cache_key(key, value, &mut cache, report);
            }
        }
        _ => {
            let kind = node.kind().go_type();
            report.error(&node.place, format!("expected map to define OCSP peer cache options, got [{kind}]"));
            return None;
        }
    }
    Some(cache)
}

fn read_cache_key(key: &str, node: &Node, cache: &mut Cache, report: &mut Report<'_>) {
    let unknown = format!("error parsing OCSP peer cache config, unknown field [{}]", quoted(key));
    match (key.to_ascii_lowercase().as_str(), &node.value) {
        ("type", Value::String(word)) => match word.as_str().to_ascii_lowercase().as_str() {
            "local" => cache.is_local = true,
            "none" => cache.is_local = false,
            other => {
                report.error(&node.place, format!("error parsing OCSP peer cache config, unknown type [{other}]"));
            }
        },
        ("local_store", Value::String(path)) => cache.folder = path.as_str().into(),
        ("preserve_revoked", Value::Bool(truth)) => cache.preserve_revoked = *truth,
        ("save_interval", _) => match seconds(node) {
            Some(seconds) => {
                cache.save_interval = Duration::from_secs(seconds.max(0.0) as u64).max(Duration::from_secs(1));
            }
            None => {
                let text = "error parsing OCSP peer cache config, conversion error: unexpected type";
                report.error(&node.place, text);
            }
        },
        _ => report.unknown_as(key, node, &["type", "local_store", "preserve_revoked", "save_interval"], unknown),
    }
}

/// Reads `ocsp_peer`; `None` when peers are not asked about.
pub(crate) fn read_peer(node: &Node, report: &mut Report<'_>) -> Option<OcspPeer> {
    let mut peer = OcspPeer::default();
    let mut verify = false;
    match &node.value {
        Value::Bool(truth) => verify = *truth,
        Value::Map(map) => {
            for (key, value) in map.iter() {
                read_peer_key(key, value, &mut verify, &mut peer, report);
            }
        }
        _ => {
            let kind = node.kind().go_type();
            report.error(&node.place, format!("error parsing ocsp peer config: unsupported type {kind}"));
        }
    }
    verify.then_some(peer)
}

fn read_peer_key(key: &str, node: &Node, verify: &mut bool, peer: &mut OcspPeer, report: &mut Report<'_>) {
    let known = [
        "verify",
        "ca_timeout",
        "allowed_clockskew",
        "warn_only",
        "unknown_is_good",
        "allow_when_ca_unreachable",
        "cache_ttl_when_next_update_unset",
    ];
    match (key.to_ascii_lowercase().as_str(), &node.value) {
        ("verify", Value::Bool(truth)) => *verify = *truth,
        ("warn_only", Value::Bool(truth)) => peer.warn_only = *truth,
        ("unknown_is_good", Value::Bool(truth)) => peer.unknown_is_good = *truth,
        ("allow_when_ca_unreachable", Value::Bool(truth)) => peer.allow_when_ca_unreachable = *truth,
        ("ca_timeout", _) => set_seconds(node, &mut peer.ca_timeout, report),
        ("allowed_clockskew", _) => set_seconds(node, &mut peer.allowed_clockskew, report),
        ("cache_ttl_when_next_update_unset", _) => {
            set_seconds(node, &mut peer.cache_ttl_when_next_update_unset, report);
        }
        _ => {
            let text = format!("error parsing tls peer config, unknown field [{}]", quoted(key));
            report.unknown_as(key, node, &known, text);
        }
    }
}

/// Negative numbers are ignored, as in the reference.
fn set_seconds(node: &Node, target: &mut Duration, report: &mut Report<'_>) {
    match seconds(node) {
        Some(seconds) => *target = Duration::try_from_secs_f64(seconds).unwrap_or(*target),
        None => report.error(&node.place, "error parsing tls peer config, conversion error: unexpected type"),
    }
}

fn seconds(node: &Node) -> Option<f64> {
    match &node.value {
        Value::Integer(seconds) => Some(*seconds as f64),
        Value::Float(seconds) => Some(*seconds),
        Value::String(text) => text.as_str().parse::<GoDuration>().ok().map(|duration| duration.0 as f64 / 1e9),
        _ => None,
    }
}
