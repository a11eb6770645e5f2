//! The `jetstream` block and what belongs to it at the top of the file.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use auth::ReadRule;
use conf::{Map, Node, Value};
use moment::GoDuration;
use nkeys::Secret;

use crate::go_text::{self, Shown, quoted};
use crate::report::Report;
use crate::support::Feature;

/// How files are sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cipher {
    /// ChaCha20-Poly1305.
    #[default]
    ChaChaPoly,
    /// AES-256-GCM.
    Aes,
}

/// When writes reach the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Before they are acknowledged.
    Always,
    /// Every so often.
    Every(Duration),
}

/// The option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JetStream {
    /// Whether it is on.
    pub enabled: bool,
    /// Where files are; a folder of the system's temporary files if absent.
    pub store_dir: Option<PathBuf>,
    /// Bytes in memory; a share of what there is if absent.
    pub max_memory_bytes: Option<u64>,
    /// Bytes in files; a share of what there is if absent.
    pub max_store_bytes: Option<u64>,
    /// The name space across leaf nodes.
    pub domain: Option<String>,
    /// Seals files.
    pub key: Option<Secret<String>>,
    /// Opens files of before.
    pub previous_key: Option<Secret<String>>,
    /// How files are sealed.
    pub cipher: Cipher,
    /// Each account has a key of its own beside the server's.
    pub account_keys: bool,
    /// API requests with unknown fields are refused.
    pub strict: bool,
    /// Which subscribe permissions bind what users read from streams.
    pub reading: ReadRule,
    /// When writes reach the disk.
    pub sync: Sync,
    /// A hint about leaf nodes that extend this domain.
    pub extension_hint: Option<String>,
    /// Replicas are placed on servers that differ in this tag.
    pub unique_tag: Option<String>,
    /// Limits that hold for every account.
    pub limits: JetStreamLimits,
    /// The key is kept in a TPM.
    pub tpm: Option<Tpm>,
    /// Bytes on their way to a replica that catches up.
    pub max_outstanding_catchup_bytes: u64,
    /// Bytes of messages that wait to be stored.
    pub max_buffered_bytes: u64,
    /// Messages that wait to be stored.
    pub max_buffered_msgs: usize,
    /// API requests that wait.
    pub request_queue_limit: usize,
    /// Information requests that wait.
    pub info_queue_limit: usize,
    /// Entries of the meta log before it is compacted; the default if zero.
    pub meta_compact_entries: u64,
    /// Bytes of the meta log before it is compacted; the default if zero.
    pub meta_compact_bytes: u64,
    /// Compaction is waited for.
    pub meta_compact_sync: bool,
    /// File operations at once.
    pub max_concurrent_io: usize,
    /// The domain that an account without streams here uses; none if empty.
    pub default_domains: BTreeMap<String, String>,
}

/// Limits that hold for every account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JetStreamLimits {
    /// Unacknowledged messages of one consumer.
    pub max_ack_pending: Option<NonZeroUsize>,
    /// Replicated streams and consumers of this server.
    pub max_ha_assets: Option<NonZeroUsize>,
    /// Messages of one pull request.
    pub max_request_batch: Option<NonZeroUsize>,
    /// How long message ids may be remembered.
    pub duplicate_window: Option<Duration>,
    /// Consumers of a stream that sets no limit itself.
    pub default_max_consumers: usize,
    /// Open batches of one stream; the default of the kind of batch if absent.
    pub max_batch_inflight_per_stream: Option<NonZeroUsize>,
    /// Open batches of the server; the default of the kind of batch if absent.
    pub max_batch_inflight_total: Option<NonZeroUsize>,
    /// Messages of one batch; the default if absent.
    pub max_batch_msgs: Option<NonZeroUsize>,
    /// How long a batch may stay open; the default if absent.
    pub max_batch_timeout: Option<Duration>,
}

/// The key is kept in a TPM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tpm {
    /// The sealed key.
    pub keys_file: PathBuf,
    /// Opens the sealed key.
    pub encryption_password: Option<Secret<String>>,
    /// Opens the storage root key.
    pub srk_password: Option<Secret<String>>,
    /// The register that is asked.
    pub pcr: u32,
}

const QUEUE_LIMIT: usize = 10_000;
const CONCURRENT_IO: usize = 4096;
const DEFAULT_MAX_CONSUMERS: usize = 1000;

impl Default for JetStreamLimits {
    fn default() -> Self {
        Self {
            max_ack_pending: None,
            max_ha_assets: None,
            max_request_batch: None,
            duplicate_window: None,
            default_max_consumers: DEFAULT_MAX_CONSUMERS,
            max_batch_inflight_per_stream: None,
            max_batch_inflight_total: None,
            max_batch_msgs: None,
            max_batch_timeout: None,
        }
    }
}

impl Default for JetStream {
    fn default() -> Self {
        Self {
            enabled: false,
            store_dir: None,
            max_memory_bytes: None,
            max_store_bytes: None,
            domain: None,
            key: None,
            previous_key: None,
            cipher: Cipher::default(),
            account_keys: false,
            strict: true,
            reading: ReadRule::default(),
            // Durable unless the operator chooses otherwise.
            sync: Sync::Always,
            extension_hint: None,
            unique_tag: None,
            limits: JetStreamLimits::default(),
            tpm: None,
            max_outstanding_catchup_bytes: 64 << 20,
            max_buffered_bytes: 128 << 20,
            max_buffered_msgs: 100_000,
            request_queue_limit: QUEUE_LIMIT,
            info_queue_limit: 0,
            meta_compact_entries: 0,
            meta_compact_bytes: 0,
            meta_compact_sync: false,
            max_concurrent_io: CONCURRENT_IO,
            default_domains: BTreeMap::new(),
        }
    }
}

pub(crate) const KEYS: &[&str] = &[
    "enabled",
    "enable",
    "store_dir",
    "storedir",
    "store",
    "max_memory_store",
    "max_mem_store",
    "max_mem",
    "max_file_store",
    "max_file",
    "domain",
    "key",
    "ek",
    "encryption_key",
    "prev_key",
    "prev_ek",
    "prev_encryption_key",
    "cipher",
    "account_keys",
    "strict",
    "subscribe_permissions",
    "sync_interval",
    "sync",
    "extension_hint",
    "unique_tag",
    "limits",
    "tpm",
    "max_outstanding_catchup",
    "max_buffered_size",
    "max_buffered_msgs",
    "request_queue_limit",
    "info_queue_limit",
    "meta_compact",
    "meta_compact_size",
    "meta_compact_sync",
    "max_concurrent_io",
];

/// Reads the option over what is there already.
pub(crate) fn read(node: &Node, jetstream: &mut JetStream, report: &mut Report<'_>) {
    match &node.value {
        Value::Bool(enabled) => jetstream.enabled = *enabled,
        Value::String(word) => match word.as_str().to_ascii_lowercase().as_str() {
            "enabled" | "enable" => jetstream.enabled = true,
            "disabled" | "disable" => jetstream.enabled = false,
            _ => {
                let text = format!("Expected 'enabled' or 'disabled' for string value, got '{}'", word.as_str());
                report.error(&node.place, text);
            }
        },
        Value::Map(map) => {
            jetstream.enabled = true;
            for (key, value) in map.iter() {
                read_key(key, value, jetstream, report);
            }
        }
        _ => {
            let kind = node.kind().go_type();
            report.error(&node.place, format!("Expected map, bool or string to define JetStream, got {kind}"));
        }
    }
}

fn read_key(key: &str, node: &Node, jetstream: &mut JetStream, report: &mut Report<'_>) {
    let lower = key.to_ascii_lowercase();
    report.nothing_to_do(&lower, &node.place);
    match lower.as_str() {
        "strict" => match node.as_bool() {
            Some(strict) => jetstream.strict = strict,
            None => {
                let text = format!("Expected 'true' or 'false' for bool value, got '{}'", Shown(node));
                report.error(&node.place, text);
            }
        },
        "subscribe_permissions" => read_reading(node, &mut jetstream.reading, report),
        "store" | "store_dir" | "storedir" => read_store_dir(node, jetstream, report),
        "sync" | "sync_interval" => read_sync(&lower, node, jetstream, report),
        "max_memory_store" | "max_mem_store" | "max_mem" => {
            jetstream.max_memory_bytes = optional_size("max_mem_store", node, report);
        }
        "max_file_store" | "max_file" => {
            jetstream.max_store_bytes = optional_size("max_file_store", node, report);
        }
        "domain" => read_domain(node, jetstream, report),
        "enable" | "enabled" => report.set_bool(node, &mut jetstream.enabled),
        "key" | "ek" | "encryption_key" => report.set_secret(node, &mut jetstream.key),
        "prev_key" | "prev_ek" | "prev_encryption_key" => report.set_secret(node, &mut jetstream.previous_key),
        "cipher" => read_cipher(node, &mut jetstream.cipher, report),
        "account_keys" => report.set_bool(node, &mut jetstream.account_keys),
        "extension_hint" => read_hint(node, jetstream, report),
        "limits" => read_limits(node, &mut jetstream.limits, report),
        "tpm" => {
            jetstream.tpm = read_tpm(node, &mut jetstream.cipher, report);
            report.needs(Feature::Tpm, &node.place);
        }
        "unique_tag" => {
            let tag = report.text(node).map(|tag| tag.trim().to_lowercase());
            jetstream.unique_tag = tag.filter(|tag| !tag.is_empty());
        }
        "max_outstanding_catchup" => match report.size(&lower, node).map(u64::try_from) {
            Some(Ok(0)) | None => {}
            Some(Ok(bytes)) => jetstream.max_outstanding_catchup_bytes = bytes,
            Some(Err(_)) => report.error(&node.place, "jetstream max catchup cannot be negative"),
        },
        "max_buffered_size" => {
            if let Some(bytes) = optional_size(&lower, node, report).filter(|&bytes| bytes > 0) {
                jetstream.max_buffered_bytes = bytes;
            }
        }
        "max_buffered_msgs" => read_count(key, node, &mut jetstream.max_buffered_msgs, report),
        "request_queue_limit" => read_count(key, node, &mut jetstream.request_queue_limit, report),
        "info_queue_limit" => read_count(key, node, &mut jetstream.info_queue_limit, report),
        "meta_compact" => match node.as_integer().map(u64::try_from) {
            Some(Ok(entries)) => jetstream.meta_compact_entries = entries,
            _ => expected_absolute(key, node, report),
        },
        "meta_compact_size" => match report.size(&lower, node).map(u64::try_from) {
            Some(Ok(bytes)) => jetstream.meta_compact_bytes = bytes,
            Some(Err(_)) => expected_absolute(key, node, report),
            None => {}
        },
        "meta_compact_sync" => report.set_bool(node, &mut jetstream.meta_compact_sync),
        "max_concurrent_io" => match node.as_integer().map(usize::try_from) {
            Some(Ok(count @ 4..=8192)) => jetstream.max_concurrent_io = count,
            _ => {
                let shown = Shown(node);
                let text = format!("Expected an absolute size for {key:?} between 4 and 8192, got {shown}");
                report.error(&node.place, text);
            }
        },
        _ => report.unknown(key, node, KEYS),
    }
}

/// Reads a store folder, which can be written in two places, but only in one at a time.
pub(crate) fn read_store_dir(node: &Node, jetstream: &mut JetStream, report: &mut Report<'_>) {
    if jetstream.store_dir.is_some() {
        return report.error(&node.place, "Duplicate 'store_dir' configuration");
    }
    report.set_path(node, &mut jetstream.store_dir);
}

fn read_sync(key: &str, node: &Node, jetstream: &mut JetStream, report: &mut Report<'_>) {
    if node.as_str().is_some_and(|word| word.eq_ignore_ascii_case("always")) {
        jetstream.sync = Sync::Always;
        return;
    }
    match report.duration(key, node) {
        Some(Duration::ZERO) => jetstream.sync = Sync::Always,
        Some(interval) => jetstream.sync = Sync::Every(interval),
        None => {}
    }
}

/// A size; a negative one asks for the default.
fn optional_size(field: &str, node: &Node, report: &mut Report<'_>) -> Option<u64> {
    u64::try_from(report.size(field, node)?).ok()
}

fn read_count(key: &str, node: &Node, target: &mut usize, report: &mut Report<'_>) {
    match node.as_integer() {
        Some(count) => match usize::try_from(count) {
            Ok(count) if count > 0 => *target = count,
            _ => {}
        },
        None => {
            let shown = Shown(node);
            report.error(&node.place, format!("Expected a parseable size for {key:?}, got {shown}"));
        }
    }
}

fn expected_absolute(key: &str, node: &Node, report: &mut Report<'_>) {
    report.error(&node.place, format!("Expected an absolute size for {key:?}, got {}", Shown(node)));
}

/// The domain is one token of API subjects.
fn read_domain(node: &Node, jetstream: &mut JetStream, report: &mut Report<'_>) {
    let Some(domain) = report.text(node) else {
        return;
    };
    let api = format!("$JS.{domain}.API.>");
    if !domain.is_empty() && subject::Filter::parse(api.as_bytes()).is_err() {
        let text = format!("invalid domain name: derived {} is not a valid subject", quoted(&api));
        report.error(&node.place, text);
    } else if domain.contains(['.', '*', '>', ' ']) {
        report.error(&node.place, "invalid domain name: may not contain ., * or >");
    } else {
        jetstream.domain = Some(domain.to_owned()).filter(|domain| !domain.is_empty());
    }
}

fn read_cipher(node: &Node, cipher: &mut Cipher, report: &mut Report<'_>) {
    let Some(word) = report.text(node) else {
        return;
    };
    *cipher = match word.to_ascii_lowercase().as_str() {
        "chacha" | "chachapoly" => Cipher::ChaChaPoly,
        "aes" => Cipher::Aes,
        _ => return report.error(&node.place, format!("Unknown cipher type: {}", quoted(word))),
    };
}

fn read_reading(node: &Node, rule: &mut ReadRule, report: &mut Report<'_>) {
    // Without quotes the word `off` is a truth value in this language.
    if node.as_bool() == Some(false) {
        *rule = ReadRule::Free;
        return;
    }
    let Some(word) = report.text(node) else {
        return;
    };
    *rule = match word.to_ascii_lowercase().as_str() {
        "deny" => ReadRule::Denied,
        "all" => ReadRule::Allowed,
        "off" => ReadRule::Free,
        _ => {
            let text =
                format!("subscribe_permissions of jetstream is \"deny\", \"all\" or \"off\", not {}", quoted(word));
            return report.error(&node.place, text);
        }
    };
}

fn read_hint(node: &Node, jetstream: &mut JetStream, report: &mut Report<'_>) {
    match report.text(node).map(str::to_ascii_lowercase) {
        Some(hint) if ["will_extend", "no_extend"].contains(&hint.as_str()) => {
            jetstream.extension_hint = Some(hint);
        }
        Some(hint) if hint.is_empty() => jetstream.extension_hint = None,
        Some(hint) => report.error(&node.place, format!("expected 'no_extend' for string value, got '{hint}'")),
        None => {}
    }
}

pub(crate) const LIMIT_KEYS: &[&str] =
    &["max_ack_pending", "max_ha_assets", "max_request_batch", "duplicate_window", "default_max_consumers", "batch"];

fn read_limits(node: &Node, limits: &mut JetStreamLimits, report: &mut Report<'_>) {
    let Some(map) = report.map_or(node, "Expected a map to define JetStreamLimits") else {
        return;
    };
    for (key, value) in map.iter() {
        report.nothing_to_do(&key.to_ascii_lowercase(), &value.place);
        match key.to_ascii_lowercase().as_str() {
            "max_ack_pending" => limits.max_ack_pending = limit(value, report),
            "max_ha_assets" => limits.max_ha_assets = limit(value, report),
            "max_request_batch" => limits.max_request_batch = limit(value, report),
            "duplicate_window" => limits.duplicate_window = plain_duration(value, report),
            "default_max_consumers" => {
                let count = limit(value, report);
                limits.default_max_consumers = count.map_or(DEFAULT_MAX_CONSUMERS, NonZeroUsize::get);
            }
            "batch" => read_batch(value, limits, report),
            _ => report.unknown(key, value, LIMIT_KEYS),
        }
    }
}

fn read_batch(node: &Node, limits: &mut JetStreamLimits, report: &mut Report<'_>) {
    let Some(map) = report.map_or(node, "Expected a map to define batch limits") else {
        return;
    };
    let known = ["max_inflight_per_stream", "max_inflight_total", "max_msgs", "timeout"];
    for (key, value) in map.iter() {
        match key.to_ascii_lowercase().as_str() {
            "max_inflight_per_stream" => limits.max_batch_inflight_per_stream = limit(value, report),
            "max_inflight_total" => limits.max_batch_inflight_total = limit(value, report),
            "max_msgs" => limits.max_batch_msgs = limit(value, report),
            "timeout" => limits.max_batch_timeout = plain_duration(value, report),
            _ => report.unknown(key, value, &known),
        }
    }
}

/// A count; zero and less is no limit of ours.
fn limit(node: &Node, report: &mut Report<'_>) -> Option<NonZeroUsize> {
    report.integer(node).and_then(|count| usize::try_from(count).ok()).and_then(NonZeroUsize::new)
}

/// A duration as text only.
fn plain_duration(node: &Node, report: &mut Report<'_>) -> Option<Duration> {
    let text = report.text(node)?;
    match text.parse::<GoDuration>() {
        Ok(duration) => duration.to_std().filter(|duration| !duration.is_zero()),
        Err(error) => {
            report.error(&node.place, go_text::duration_error(error, text));
            None
        }
    }
}

fn read_tpm(node: &Node, cipher: &mut Cipher, report: &mut Report<'_>) -> Option<Tpm> {
    let map: &Map = report.map_or(node, "Expected a map to define JetStreamLimits")?;
    let mut tpm = Tpm::default();
    for (key, value) in map.iter() {
        match key.to_ascii_lowercase().as_str() {
            "keys_file" => {
                let mut path = None;
                report.set_path(value, &mut path);
                tpm.keys_file = path.unwrap_or_default();
            }
            "encryption_password" => report.set_secret(value, &mut tpm.encryption_password),
            "srk_password" => report.set_secret(value, &mut tpm.srk_password),
            "pcr" => {
                if let Some(register) = report.integer(value) {
                    tpm.pcr = u32::try_from(register).unwrap_or(0);
                }
            }
            "cipher" => read_cipher(value, cipher, report),
            _ => report.unknown(key, value, &["keys_file", "encryption_password", "srk_password", "pcr", "cipher"]),
        }
    }
    Some(tpm)
}

/// Reads `default_js_domain`.
pub(crate) fn read_default_domains(node: &Node, jetstream: &mut JetStream, report: &mut Report<'_>) {
    let Some(map) = node.as_map() else {
        let kind = node.kind().go_type();
        return report.error(&node.place, format!("error default_js_domain config: unsupported type {kind}"));
    };
    for (account, value) in map.iter() {
        if let Some(domain) = report.text(value) {
            jetstream.default_domains.insert(account.to_owned(), domain.to_owned());
        }
    }
}

impl JetStream {
    pub(crate) fn finish(&mut self, report: &mut Report<'_>) {
        if self.enabled && self.account_keys && self.key.is_none() {
            report.plain("account_keys of jetstream needs a key of the server (key), which wraps those of accounts");
        }
        if self.info_queue_limit == 0 {
            self.info_queue_limit = self.request_queue_limit;
        }
    }
}
