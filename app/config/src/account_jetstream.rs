//! What an account may store.

use conf::{Kind, Map, Node, Value};

use crate::go_text::Shown;
use crate::report::Report;

/// Limits of an account's streams and consumers; unlimited where absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountJetStream {
    /// Bytes in memory.
    pub max_memory_bytes: Option<u64>,
    /// Bytes in files.
    pub max_store_bytes: Option<u64>,
    /// Streams.
    pub max_streams: Option<u64>,
    /// Consumers.
    pub max_consumers: Option<u64>,
    /// Every stream must say how large it may get.
    pub max_bytes_required: bool,
    /// Bytes of one stream in memory.
    pub memory_max_stream_bytes: Option<u64>,
    /// Bytes of one stream in files.
    pub store_max_stream_bytes: Option<u64>,
    /// Unacknowledged messages of one consumer.
    pub max_ack_pending: Option<u64>,
    /// Replication traffic runs in this account instead of the system account.
    pub is_traffic_owner: bool,
}

pub(crate) const KEYS: &[&str] = &[
    "max_memory",
    "max_mem",
    "mem",
    "memory",
    "max_store",
    "max_file",
    "max_disk",
    "store",
    "disk",
    "max_streams",
    "streams",
    "max_consumers",
    "consumers",
    "max_bytes_required",
    "max_stream_bytes",
    "max_bytes",
    "memory_max_stream_bytes",
    "mem_max_stream_bytes",
    "store_max_stream_bytes",
    "disk_max_stream_bytes",
    "max_ack_pending",
    "cluster_traffic",
];

/// Reads the option; `None` when the account has no JetStream.
pub(crate) fn read(node: &Node, report: &mut Report<'_>) -> Option<AccountJetStream> {
    match &node.value {
        Value::Bool(enabled) => enabled.then(AccountJetStream::default),
        Value::String(word) => match word.as_str().to_ascii_lowercase().as_str() {
            "enabled" | "enable" => Some(AccountJetStream::default()),
            "disabled" | "disable" => None,
            _ => {
                let text = format!("Expected 'enabled' or 'disabled' for string value, got '{}'", word.as_str());
                report.error(&node.place, text);
                None
            }
        },
        Value::Map(map) => Some(read_map(map, report)),
        _ => {
            let kind = node.kind().go_type();
            report.error(&node.place, format!("Expected map, bool or string to define JetStream, got {kind}"));
            None
        }
    }
}

fn read_map(map: &Map, report: &mut Report<'_>) -> AccountJetStream {
    let mut limits = AccountJetStream::default();
    for (key, value) in map.iter() {
        let target = match key.to_ascii_lowercase().as_str() {
            "max_memory" | "max_mem" | "mem" | "memory" => &mut limits.max_memory_bytes,
            "max_store" | "max_file" | "max_disk" | "store" | "disk" => &mut limits.max_store_bytes,
            "max_streams" | "streams" => &mut limits.max_streams,
            "max_consumers" | "consumers" => &mut limits.max_consumers,
            "mem_max_stream_bytes" | "memory_max_stream_bytes" => &mut limits.memory_max_stream_bytes,
            "disk_max_stream_bytes" | "store_max_stream_bytes" => &mut limits.store_max_stream_bytes,
            "max_ack_pending" => &mut limits.max_ack_pending,
            "max_bytes_required" | "max_stream_bytes" | "max_bytes" => {
                match value.as_bool() {
                    Some(required) => limits.max_bytes_required = required,
                    None => expected(key, value, Kind::Bool, report),
                }
                continue;
            }
            "cluster_traffic" => {
                read_traffic(key, value, &mut limits.is_traffic_owner, report);
                report.nothing_to_do("cluster_traffic", &value.place);
                continue;
            }
            _ => {
                report.unknown(key, value, KEYS);
                continue;
            }
        };
        match value.as_integer() {
            Some(number) => *target = u64::try_from(number).ok(),
            None => expected(key, value, Kind::Integer, report),
        }
    }
    limits
}

fn expected(key: &str, node: &Node, kind: Kind, report: &mut Report<'_>) {
    let what = if kind == Kind::Bool { "bool" } else { "size" };
    report.error(&node.place, format!("Expected a parseable {what} for {key:?}, got {}", Shown(node)));
}

fn read_traffic(key: &str, node: &Node, is_owner: &mut bool, report: &mut Report<'_>) {
    *is_owner = match node.as_str() {
        Some("system" | "") => false,
        Some("owner") => true,
        Some(other) => {
            let text = format!("Expected 'system' or 'owner' string value for {key:?}, got {other}");
            return report.error(&node.place, text);
        }
        None => {
            let shown = Shown(node);
            let text = format!("Expected either 'system' or 'owner' string value for {key:?}, got {shown}");
            return report.error(&node.place, text);
        }
    };
}
